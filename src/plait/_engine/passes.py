"""The end of a pass of the event loop: what tasks gather in one pass is handed on there, together.

A pass runs all tasks that can run; then the loop waits for what comes from outside. To have something
called soon costs a pass of its own and, on Trio, a byte through a socket. On Trio an instrument is asked
at the end of each pass, which costs nothing of that.

Rule 1: what is called here is called by the loop, and not in a task: it wakes nobody by itself. Trio has
    looked by then how long it will sleep, and would do so. Who is to be woken is called soon.
Rule 2: what raises is not lost: Trio would only log it, and switch the instrument off.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias, cast

from .native import Backend, TrioBackend

if TYPE_CHECKING:
    import asyncio

    import trio

Handle: TypeAlias = Callable[[], object]

#: Seconds for which what nobody waits for is put off while a loop has tasks to run.
LONGEST: Final = 0.001


class Passes(ABC):
    """Calls what is to be called between two passes. Each is called once for each time it asks."""

    @abstractmethod
    def at_end(self, fn: Handle) -> None:
        """Call `fn` at the end of this pass, or of the next one. Not a checkpoint."""

    @abstractmethod
    def when_quiet(self, fn: Handle) -> None:
        """Call `fn` when no task is left to be run, or in about a millisecond. Not a checkpoint."""

    @abstractmethod
    def soon(self, fn: Handle) -> None:
        """Call `fn` in the next pass, where it may wake who it will. Not a checkpoint."""

    @abstractmethod
    def close(self) -> None:
        """Call nobody any more at an end. Not a checkpoint."""


def passes_of(backend: Backend) -> Passes:
    """Make them, in the running loop."""
    if isinstance(backend, TrioBackend):
        return TrioPasses(backend.caller())
    return AsyncioPasses(cast("asyncio.AbstractEventLoop", backend.loop()))


class _Instrument:
    """Trio takes any public name that is one of its `Instrument`'s."""

    def __init__(self, end: Callable[[float], object]) -> None:
        self.before_io_wait = end


class TrioPasses(Passes):
    """Those of a Trio run.

    Args:
        soon: Has something called in the next pass.
    """

    def __init__(self, soon: Callable[[Handle], object]) -> None:
        import trio

        lowlevel = trio.lowlevel
        self._soon = soon
        self._take_off = lowlevel.remove_instrument
        self._statistics = lowlevel.current_statistics
        self._instrument = cast("trio.abc.Instrument", _Instrument(self._end))
        self._at_end: list[Handle] = []
        self._when_quiet: list[Handle] = []
        self._since = 0.0
        lowlevel.add_instrument(self._instrument)

    def at_end(self, fn: Handle) -> None:
        """Call `fn` at the end of this pass. Not a checkpoint."""
        self._at_end.append(fn)

    def when_quiet(self, fn: Handle) -> None:
        """Call `fn` when no task is left to be run, or in about a millisecond. Not a checkpoint."""
        if not self._when_quiet:
            self._since = time.monotonic()
        self._when_quiet.append(fn)

    def soon(self, fn: Handle) -> None:
        """Call `fn` in the next pass. Not a checkpoint."""
        self._soon(fn)

    def close(self) -> None:
        """Call nobody any more. Not a checkpoint."""
        self._take_off(self._instrument)

    def _end(self, timeout: float) -> None:
        if self._at_end:
            due, self._at_end = self._at_end, []
            self._call(due)
        if self._when_quiet and (timeout > 0 or self._is_time()):
            due, self._when_quiet = self._when_quiet, []
            self._call(due)

    def _is_time(self) -> bool:
        # A clock that jumps, and who waits until all are blocked, have a loop that sleeps for no time.
        quiet = self._statistics().tasks_runnable == 0
        return quiet or time.monotonic() - self._since > LONGEST

    def _call(self, due: list[Handle]) -> None:
        for fn in due:
            try:
                fn()
            except BaseException as error:  # noqa: BLE001, ASYNC103 - rule 2
                self._soon(partial(_raise, error))


class AsyncioPasses(Passes):
    """Those of an asyncio loop, which tells nobody of their ends, but has no socket in the way."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def at_end(self, fn: Handle) -> None:
        """Call `fn` in the next pass. Not a checkpoint."""
        self._loop.call_soon(fn)

    def when_quiet(self, fn: Handle) -> None:
        """Call `fn` in a millisecond. Not a checkpoint."""
        self._loop.call_later(LONGEST, fn)

    def soon(self, fn: Handle) -> None:
        """Call `fn` in the next pass. Not a checkpoint."""
        self._loop.call_soon(fn)

    def close(self) -> None:
        """Do nothing: what has been asked for comes to an end by itself."""


def _raise(error: BaseException) -> NoReturn:
    raise error
