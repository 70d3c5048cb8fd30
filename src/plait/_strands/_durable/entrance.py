"""How a plain function's thread enters the event loop: what a `SyncContext` is made of.

In a run that is the engine's affair; `plait.testing.context` has an entrance of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from plait._engine.bodies.threads import Threads
from plait._naming import publish

if TYPE_CHECKING:
    from plait._engine.native import CancelScope

T = TypeVar("T")


class Entrance(ABC):
    """How threads have things done in the event loop, each by its own task."""

    @abstractmethod
    def call(self, fn: Callable[[], Awaitable[T]], step_id: str | None = None) -> T:
        """Await something there, and wait for that."""

    @abstractmethod
    async def thread(self, fn: Callable[[], T]) -> T:
        """Run a plain function in a thread, in the name of the calling task."""

    def ask(self, fn: Callable[[], T]) -> T:
        """Call something there, and wait for that."""

        async def asked() -> T:
            return fn()  # noqa: ASYNC910 - the thread waits, no task does

        return self.call(asked)

    @contextmanager
    def scope(
        self, make: Callable[[], AbstractContextManager[CancelScope]]
    ) -> Generator[SyncScope]:
        """Enter and leave a scope of the task."""
        manager = self.ask(make)
        scope = SyncScope(self, self.ask(manager.__enter__))
        try:
            yield scope
        except BaseException as error:  # noqa: ASYNC103 - the scope decides
            given = error  # `error` is gone when the scope is left
            if not self.ask(lambda: manager.__exit__(type(given), given, given.__traceback__)):
                raise
        else:
            self.ask(lambda: manager.__exit__(None, None, None))

    @contextmanager
    def async_scope(self, manager: AbstractAsyncContextManager[T]) -> Generator[T]:
        """Enter and leave what a task enters with `async with`."""
        entered = self.call(manager.__aenter__)
        try:
            yield entered
        except BaseException as error:  # noqa: ASYNC103 - the scope decides
            given = error
            if not self.call(lambda: manager.__aexit__(type(given), given, given.__traceback__)):
                raise
        else:
            self.call(lambda: manager.__aexit__(None, None, None))


class ThreadEntrance(Entrance):
    """The entrance of a body's threads."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    def call(self, fn: Callable[[], Awaitable[T]], step_id: str | None = None) -> T:
        """As `Threads.call`."""
        return self._threads.call(fn, step_id)

    async def thread(self, fn: Callable[[], T]) -> T:
        """As `Threads.run`."""
        return await self._threads.run(fn)


class SyncScope:
    """A scope around calls of a plain function.

    Example:
        ```python
        with ctx.move_on_after(60) as scope:
            ctx.step.run("fetch", fetch)
        if scope.cancelled_caught:
            ...
        ```
    """

    def __init__(self, entrance: Entrance, scope: Any) -> None:
        self._entrance = entrance
        self._scope = scope

    def cancel(self) -> None:
        """Cancel what is inside: the call that waits now, or the next one."""
        self._entrance.ask(self._scope.cancel)

    @property
    def cancel_called(self) -> bool:
        """Has it been cancelled, or is its time over?"""
        return bool(self._scope.cancel_called)

    @property
    def cancelled_caught(self) -> bool:
        """Was what is inside cut short? Known when the scope has been left."""
        return bool(self._scope.cancelled_caught)


publish("plait.durable", SyncScope)
