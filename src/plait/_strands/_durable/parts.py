"""What a context needs of whoever hosts its run: the ports of `ctx`.

The host makes one for each start of a body, and gives it to `start.body_of`. Nothing here says how
calls are recorded: `plait.testing.context` has parts that remember nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from plait._engine.bodies.paths import Path
from plait._engine.bodies.ports import Children, Output, Waits
from plait._kernel.calls.keys import Key
from plait._kernel.retry.ask import AnyRetryPolicy
from plait._kernel.retry.policy import RetryPolicy
from plait._steps import parts as of_steps

from .event import Event
from .middleware import Middleware

if TYPE_CHECKING:
    from plait._engine.native import Limiter


class MakesCalls(of_steps.MakesCalls, Protocol):
    """The calls of one start of a function's body. The engine's `Calls` are such."""

    async def send(
        self,
        step_id: str,
        put: Callable[[Key, Callable[[object], None]], object],
        *,
        output: Output = ...,
    ) -> Any:
        """As `Calls.send`."""

    async def wait(
        self, step_id: str, event: str, *, seconds: float, waits: Waits, output: Output = ...
    ) -> Any:
        """As `Calls.wait`."""

    async def invoke(
        self,
        step_id: str,
        child: Callable[[Key, int], str],
        *,
        name: str,
        children: Children,
        seconds: float | None = None,
        output: Output = ...,
    ) -> Any:
        """As `Calls.invoke`."""

    def patched(self, patch: str) -> bool:
        """As `Calls.patched`."""
        ...


class Lookout(Waits, Output, Protocol):
    """What looks out for the event of one wait, and reads what is recorded of it."""


@attrs.frozen
class Invocation:
    """One function that a step invokes.

    Attributes:
        children: Runs it.
        output: Reads the result as the host tells it to `Calls.child_ended`.
    """

    children: Children
    output: Output


@attrs.frozen(eq=False)
class Undoing:
    """What undoes a step, kept until it is known how the run ends.

    Attributes:
        name: The callable's name.
        undo: Called with the step's value as it is recorded; for each attempt.
        retry: The policy of the step.
    """

    name: str
    undo: Callable[[object], Awaitable[object]]
    retry: AnyRetryPolicy


class RunParts(of_steps.Parts, Protocol):
    """What the host of a run gives to its context: one for each start of a body."""

    @property
    def run_id(self) -> str:
        """The run."""
        ...

    @property
    def event(self) -> Event[Any]:
        """What started it; of a batch, the first."""
        ...

    @property
    def events(self) -> tuple[Event[Any], ...]:
        """All of a batch; else that one."""
        ...

    @property
    def attempt(self) -> int:
        """The attempt of the body, from 0."""
        ...

    @property
    def seed(self) -> int:
        """The run's: all chance in it comes from it."""
        ...

    @property
    def began(self) -> float:
        """What `now()` says before an outcome was handed out: the same in each start of the body."""
        ...

    @property
    def moment(self) -> float | None:
        """The time of the outcome that was handed out last: `BodyState.moment`."""
        ...

    @property
    def replaying(self) -> bool:
        """Do memos remain to be handed out? `BodyState.replaying`."""
        ...

    @property
    def logger(self) -> logging.Logger:
        """The app's. The context keeps it silent while memos are handed out."""
        ...

    @property
    def policy(self) -> RetryPolicy:
        """The function's: of steps that have none of their own."""
        ...

    @property
    def middleware(self) -> Sequence[Middleware]:
        """The app's, then the function's."""
        ...

    @property
    def calls(self) -> MakesCalls:
        """The body's calls."""
        ...

    @property
    def function_limiter(self) -> Limiter:
        """Bounds how many threads of plain functions are at work, of all runs of the app."""
        ...

    def here(self) -> Path:
        """Find the place of the calling task: `calls.body.place().path`. Not a checkpoint.

        Raises:
            UntrackedTaskError: The task is not of this body.
        """
        ...

    def waits(self, if_exp: Callable[[Event[Any]], bool] | None, buffer: bool) -> Lookout:  # noqa: FBT001
        """Make what looks out for one wait's event. It tells `Calls.event_arrived`."""
        ...

    def invocation(self, function_id: str, data: object) -> Invocation:
        """Make what runs a function, with this data, event or `None`. Not a checkpoint.

        Raises:
            ValueError: The app has no such function.
            TypeError: The function cannot be given this data.
        """
        ...

    def send(
        self, key: Key, events: Sequence[Event[Any]], complete: Callable[[object], None]
    ) -> object:
        """Have the app accept events, and call `complete` with their ids, all in one append.

        Args:
            key: The call.
            events: They have ids, and have been through `before_send`.
            complete: To be called once, before this returns, while the append collects.
        """
        ...

    def undoable(self, step_id: str, undoing: Undoing) -> None:
        """Keep what undoes the call with this id that the calling task is about to make.

        Its key is `calls.state.next_key(calls.enter(step_id).path, step_id)`. Not a checkpoint.

        Raises:
            NestedStepError: The task is inside a handler.
            UntrackedTaskError: It is not of this body.
        """
        ...
