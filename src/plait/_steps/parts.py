"""What calls need of whoever hosts their body: the ports of `ctx.step` and `ctx.group`.

The host makes one for each start of a body. Nothing here says how calls are recorded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from plait._engine.bodies.groups import Branch, Mode, OnError
from plait._engine.bodies.ports import Output
from plait._kernel.retry.ask import AnyRetryPolicy

if TYPE_CHECKING:
    from plait._engine.bodies.groups import Tasks
    from plait._engine.native import CancelScope, Limiter


class MakesCalls(Protocol):
    """The calls of one start of a body. The engine's `Calls` are such."""

    async def run(
        self,
        step_id: str,
        handler: Callable[[], Awaitable[object]],
        *,
        name: str,
        retry: AnyRetryPolicy | None = None,
        output: Output = ...,
        undoable: bool = False,
    ) -> Any:
        """As `Calls.run`."""

    async def sleep(self, step_id: str, seconds: float) -> None:
        """As `Calls.sleep`."""

    async def sleep_until(self, step_id: str, until: datetime) -> None:
        """As `Calls.sleep_until`."""

    def move_on_after(self, seconds: float) -> AbstractContextManager[CancelScope]:
        """As `Calls.move_on_after`."""
        ...

    def fail_after(self, seconds: float) -> AbstractContextManager[CancelScope]:
        """As `Calls.fail_after`."""
        ...


class RunsGroups(Protocol):
    """The groups of one start of a body. The engine's `Groups` are such."""

    async def parallel(
        self, branches: Sequence[Branch], *, mode: Mode = ..., on_error: OnError = ...
    ) -> object:
        """As `Groups.parallel`."""

    async def map(
        self,
        step_id: str,
        call: Callable[[Any], Awaitable[object]],
        items: Iterable[object],
        *,
        limit: int | Limiter | None = None,
        on_error: OnError = ...,
    ) -> tuple[object, ...]:
        """As `Groups.map`."""
        ...

    def open(self) -> AbstractAsyncContextManager[Tasks]:
        """As `Groups.open`."""
        ...


class Parts(Protocol):
    """What the host of a body gives to what its code holds: one for each start of it."""

    @property
    def policy(self) -> AnyRetryPolicy | None:
        """The body's: of steps that have none of their own. `None`: they have one attempt."""
        ...

    @property
    def calls(self) -> MakesCalls:
        """The body's calls."""
        ...

    @property
    def groups(self) -> RunsGroups:
        """The body's groups."""
        ...

    @property
    def handler_limiter(self) -> Limiter:
        """Bounds how many threads of plain handlers there are. Never the one of functions."""
        ...
