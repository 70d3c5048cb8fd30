"""Event loops whose time jumps, and stands still while a thread of a durable function is at work."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

import anyio
import trio
import trio.testing

from plait._engine.bodies.rest import CountedRest, PolledRest
from plait._steps import attempt

T = TypeVar("T")

Library: TypeAlias = Literal["trio", "asyncio"]

#: Seconds of real time between two looks at a thread that is at work.
LOOK: Final = 0.001


class Threads:
    """How many threads are at work, and who wants to hear of it."""

    def __init__(self) -> None:
        self.busy = 0
        self.told: Callable[[], object] = lambda: None

    def count(self, more: int) -> None:
        """Count one that begins or stops; on the event loop's thread."""
        self.busy += more
        self.told()


@contextmanager
def counted(threads: Threads) -> Generator[None]:
    """Count the threads of plain functions, and of plain handlers, while they are at work.

    Three private names of the durable strand; tests/testing/test_check_recovery.py says if they change.
    """
    kinds: list[Any] = [CountedRest, PolledRest]
    before = [kind._thread for kind in kinds]
    in_thread = attempt.in_thread

    def counting(own: Callable[..., None], rest: Any, place: Any, more: int) -> None:
        threads.count(more)
        own(rest, place, more)

    async def counted_handler(limiter: Any, fn: Callable[[], T]) -> T:
        threads.count(1)
        try:
            return await in_thread(limiter, fn)
        finally:
            threads.count(-1)

    for kind, own in zip(kinds, before, strict=True):
        kind._thread = _method(partial(counting, own))
    attempt.in_thread = counted_handler
    try:
        yield
    finally:
        for kind, own in zip(kinds, before, strict=True):
            kind._thread = own
        attempt.in_thread = in_thread


def _method(fn: Callable[..., None]) -> Callable[..., None]:
    def method(self: Any, place: Any, more: int) -> None:
        fn(self, place, more)

    return method


def run_virtual(
    library: Library, main: Callable[[], Awaitable[T]], *, begin: float, threads: Threads
) -> T:
    """Run an async function in a loop whose time begins there, and jumps when there is nothing to do.

    Args:
        library: Of the event loop.
        main: What to run.
        begin: Seconds on the loop's clock.
        threads: While one of them is at work, time stands still.
    """
    if library == "trio":
        clock = trio.testing.MockClock(autojump_threshold=0)
        clock.jump(begin)

        def told() -> None:
            clock.autojump_threshold = math.inf if threads.busy else 0

        threads.told = told
        return trio.run(main, clock=clock)
    factory = partial(_Loop, begin, threads)
    return anyio.run(main, backend="asyncio", backend_options={"loop_factory": factory})


class _Selector(selectors.DefaultSelector):
    """Does not wait for a time to come: it has the clock jump there."""

    def __init__(self, threads: Threads) -> None:
        super().__init__()
        self._threads = threads
        self.jump: Callable[[], object] = lambda: None

    def select(self, timeout: float | None = None) -> list[Any]:
        if self._threads.busy:
            return super().select(LOOK if timeout is None or timeout > 0 else timeout)
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self.jump()
        return ready


class _Loop(asyncio.SelectorEventLoop):
    """An event loop of asyncio's on such a clock."""

    def __init__(self, begin: float, threads: Threads) -> None:
        self._at = begin
        selector = _Selector(threads)
        selector.jump = self._jump
        super().__init__(selector)

    def time(self) -> float:
        """Tell the virtual time, in seconds."""
        return self._at

    def _jump(self) -> None:
        # To the very moment: a hair before it, nothing would be due.
        self._at = max(self._at, cast("Any", self)._scheduled[0].when())
