"""Where the runs of one process share a journal: it is open as long as one of them needs it.

Rule 1: the first opens it and the last closes it, and nobody uses it before or after. One event loop at
    a time, and one run of a name.
Rule 2: when it has failed for one, it has failed for all, and each run on it is told at once: what its
    bodies do from then on could not be kept.
Rule 3: who only reads opens it to read: another process may be writing to it. Who reads beside runs of
    this process reads what they have open.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple

from plait._abc import Journal
from plait._errors import (
    JournalError,
    JournalForkedError,
    JournalLockedError,
    RunLockedError,
)
from plait._ids import RunId

if TYPE_CHECKING:
    from .native import Backend, Lock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Loop:
    """This event loop, as a journal knows it."""

    def __init__(self, native: Backend) -> None:
        self._native = native
        self._call: Callable[[Callable[[], object]], object] = native.caller()

    def run_sync_soon(self, fn: Callable[[*Ts], object], /, *args: *Ts) -> None:
        """Call `fn` in the event loop, soon and in the order asked for. From any thread."""
        self._call(partial(fn, *args))

    async def to_thread(self, fn: Callable[[*Ts], T], /, *args: *Ts) -> T:
        """Call `fn` in a worker thread and wait for it, also if the caller is cancelled."""
        done: list[T] = []
        with self._native.cancel_scope(shield=True):
            done.append(await self._native.run_in_thread(fn, *args))
        return done[0]


class Desk:
    """One journal in use. Its users come and go; `runs` are those under way."""

    def __init__(self, journal: Journal, native: Backend) -> None:
        self.journal = journal
        self.loop: object = native.loop()
        self.pid: int = os.getpid()
        self.users = 0
        self.runs: set[RunId] = set()
        self._tell: dict[Callable[[JournalError], object], None] = {}
        self._native = native
        self._turn: Lock = native.lock()
        self._open = False

    @property
    def writes(self) -> bool:
        """Is it open to be written?"""
        return self._open

    async def enter(self) -> None:
        """Open the journal, unless somebody has. Raises `JournalError`."""
        async with self._turn:
            if not self._open:
                await self.journal.open(Loop(self._native))
                self._open = True

    @asynccontextmanager
    async def to_read(self) -> AsyncGenerator[None]:
        """Have it open as it is, or else to read. Raises `JournalError`."""
        async with self._turn:
            if not self._open:
                await self.journal.open(Loop(self._native), write=False)
                try:
                    yield  # in our turn: a run that begins meanwhile opens it when we have closed it
                finally:
                    with self._native.cancel_scope(shield=True):
                        await self.journal.aclose()
                return
        yield

    async def leave(self) -> None:
        """Close it, if nobody is left."""
        with self._native.cancel_scope(shield=True):
            async with self._turn:
                if self._open and not self.users:
                    self._open = False
                    await self.journal.aclose()

    @contextmanager
    def claim(self, run_id: RunId) -> Generator[None]:
        """Keep others from executing this run meanwhile. Raises `RunLockedError`."""
        if run_id in self.runs:
            raise RunLockedError(f"Run {run_id!r} is under way in this process.")
        self.runs.add(run_id)
        try:
            yield
        finally:
            self.runs.remove(run_id)

    @contextmanager
    def told(self, tell: Callable[[JournalError], object]) -> Generator[None]:
        """Have `tell` called if the journal fails meanwhile for somebody else."""
        self._tell[tell] = None
        try:
            yield
        finally:
            del self._tell[tell]

    def fail(self, error: JournalError) -> None:
        """Tell all: the journal takes nothing more."""
        for tell in [*self._tell]:
            tell(error)


#: The journals in use, by identity: a user's journal may be of any class.
_desks: Final[dict[int, Desk]] = {}


@asynccontextmanager
async def using(journal: Journal, native: Backend) -> AsyncGenerator[Desk]:
    """Have a journal open to write to it. A checkpoint; raises `JournalError`."""
    async with _at_desk(journal, native) as desk:
        await desk.enter()
        yield desk


@asynccontextmanager
async def reading(journal: Journal, native: Backend) -> AsyncGenerator[None]:
    """Have a journal open to read it. A checkpoint; raises `JournalError`."""
    async with _at_desk(journal, native) as desk, desk.to_read():
        yield


@asynccontextmanager
async def _at_desk(journal: Journal, native: Backend) -> AsyncGenerator[Desk]:
    desk = _desks.get(id(journal))
    if desk is None:
        desk = _desks[id(journal)] = Desk(journal, native)
    elif desk.pid != (here := os.getpid()):
        raise JournalForkedError(
            f"{journal!r} was opened by process {desk.pid}, and this is its forked child {here}. "
            "Make one in the process that uses it, after the fork."
        )
    elif desk.loop is not native.loop():
        raise JournalLockedError(f"{journal!r} is in use in another event loop of this process.")
    desk.users += 1
    try:
        yield desk
    finally:
        desk.users -= 1
        if not desk.users:
            await desk.leave()  # noqa: ASYNC102 - it is shielded
        if not desk.users:  # else somebody has come meanwhile, and has opened it again
            _desks.pop(id(journal), None)


def under_way(journal: Journal) -> Collection[RunId] | None:
    """List the runs of this process on a journal; `None`: it does not write to it by this object."""
    desk = _desks.get(id(journal))
    if desk is None or desk.pid != os.getpid() or not desk.writes:
        return None
    return desk.runs
