"""A journal whose process can die at any append.

`Disk` is what is committed, and outlives the process. `Process` is the journal as one process has
it: the port, with a plot for what goes wrong.

Rule 1: what is not committed at the death is lost. Nothing that the process does afterwards reaches
    the disk, and none of its `done`s says that something did.
Rule 2: a slow disk commits later than it was asked, in the order of the calls and perhaps several at
    once, while the process goes on: so much the more is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final, Literal, TypeAlias

import anyio
import attrs

from plait._abc import Entry, Status, StreamInfo
from plait.errors import JournalError, JournalFullError, StreamConflictError

Done: TypeAlias = Callable[[JournalError | None], object]

#: What happens at an append: the process dies before it is committed; after that, before anybody is
#: told; as soon as it has been told. It is asked to leave. The disk is full.
How: TypeAlias = Literal["before", "unanswered", "answered", "leave", "full"]
DEATHS: Final[tuple[How, ...]] = ("before", "unanswered", "answered")

#: The words of the error that a full disk gives.
FULL: Final = "runs.db: the disk is full"


class DiedError(JournalError):
    """What a dead process hears, so that its tasks come to an end. Nobody looks at that."""


@attrs.frozen
class Plot:
    """What goes wrong in one life: `how`, at append number `at`. 0: nothing."""

    at: int = 0
    how: How = "before"

    def __str__(self) -> str:
        return f"{self.at}:{self.how}"

    @classmethod
    def of(cls, text: str) -> Plot:
        """Read what `str` writes."""
        at, _, how = text.partition(":")
        assert how in {*DEATHS, "leave", "full"}
        return cls(int(at), how)


class Disk:
    """What has been committed, by any process."""

    def __init__(self) -> None:
        self.streams: dict[str, list[Entry]] = {}

    def count(self, stream: str) -> int:
        """Say how many entries of a stream there are."""
        return len(self.streams.get(stream, ()))

    def status(self, stream: str) -> Status:
        """Say where a stream stands."""
        return [entry.status for entry in self.streams[stream] if entry.status][-1]

    def info(self, stream: str) -> StreamInfo:
        """Describe a stream."""
        entries = self.streams[stream]
        opening = entries[0].opening
        assert opening is not None
        return StreamInfo(
            stream=stream,
            app_id=opening.app_id,
            target=opening.target,
            parent=opening.parent,
            status=self.status(stream),
            source=opening.source,
            created=entries[0].at,
            updated=entries[-1].at,
            last_n=len(entries),
        )

    def commit(self, entries: Sequence[Entry]) -> StreamConflictError | None:
        """Keep these, all or none."""
        due: dict[str, int] = {}
        for entry in entries:
            n = due.get(entry.stream, self.count(entry.stream)) + 1
            if entry.n != n or (n == 1 and (entry.opening is None or entry.status is None)):
                return StreamConflictError(f"{entry.stream}: {entry.n} came, {n} is due")
            due[entry.stream] = n
        for entry in entries:
            self.streams.setdefault(entry.stream, []).append(entry)
        return None


@attrs.define
class _Pending:
    nth: int
    entries: Sequence[Entry]
    done: Done


class Process:
    """The journal of one process."""

    def __init__(
        self,
        disk: Disk,
        plot: Plot,
        *,
        die: Callable[[], object],
        leave: Callable[[], object],
        tell: Callable[[str], object],
        slow: Random | None = None,
    ) -> None:
        self.disk = disk
        self.plot = plot
        self.dead = False
        self.appends = 0
        self._die = die
        self._leave = leave
        self._warn = tell
        self._slow = slow
        self._backend = None
        self._queue: deque[_Pending] = deque()
        self._answers: deque[tuple[_Pending, JournalError | None]] = deque()
        self._more = anyio.Event()
        self._error: JournalError | None = None

    @property
    def is_open(self) -> bool:
        """Has it been opened, and not closed?"""
        return self._backend is not None

    async def open(self, backend, *, write: bool = True) -> None:
        assert self._backend is None
        self._backend = backend

    async def aclose(self) -> None:
        while self._queue or self._answers:
            self._write(len(self._queue))
            self._tell()
        self._backend = None

    def append(self, entries: Sequence[Entry], done: Done) -> None:
        assert self._backend is not None
        self.appends += 1
        self._queue.append(_Pending(self.appends, tuple(entries), done))
        if self.dead or self._slow is None:
            self._write(len(self._queue))
        else:
            self._more.set()
        if self._answers:
            self._backend.run_sync_soon(self._tell)

    def flush(self) -> None:
        pass

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        assert self._backend is not None
        found = self.disk.streams.get(stream, [])[after : after + limit]
        return [attrs.evolve(entry, status=None, opening=None) for entry in found]

    async def streams(
        self,
        *,
        app_id: str | None = None,
        status: Sequence[str] = (),
        after: str = "",
        limit: int = 100,
    ) -> list[StreamInfo]:
        assert self._backend is not None
        found = [self.disk.info(name) for name in sorted(self.disk.streams) if name > after]
        if app_id is not None:
            found = [info for info in found if info.app_id == app_id]
        return [info for info in found if not status or info.status in status][:limit]

    async def prune(self, *, ended_before: float) -> int:
        raise NotImplementedError

    # ------------------------------------------------------------ the disk

    async def spin(self) -> None:
        """Be a slow disk, in a task of its own."""
        if self._slow is None:
            return
        while True:
            await self._more.wait()
            self._more = anyio.Event()
            while self._queue:
                await anyio.sleep(self._slow.choice((0, 0.1, 0.4, 1.5)))
                self._write(self._slow.randint(1, len(self._queue) or 1))
                self._tell()

    def _write(self, most: int) -> None:
        """Commit the oldest."""
        for _ in range(min(most, len(self._queue))):
            asked = self._queue.popleft()
            how = self.plot.how if asked.nth == self.plot.at else None
            if how == "before":
                self._end()
            elif how == "full":
                self._error = JournalFullError(FULL)
            error = DiedError() if self.dead else self._error
            if error is None:
                error = self.disk.commit(asked.entries)
            if how == "unanswered":
                self._end()
                error = DiedError()
            elif how == "answered":
                asked.done = partial(self._last, asked.done)
            elif how == "leave":
                self._leave()
            self._answers.append((asked, error))

    def _last(self, done: Done, error: JournalError | None) -> None:
        done(error)
        self._end()

    def _end(self) -> None:
        self.dead = True
        self._die()

    def _tell(self) -> None:
        for _ in range(len(self._answers)):
            asked, error = self._answers.popleft()
            if error is not None and error is self._error:
                for entry in asked.entries:
                    self._warn(entry.stream)
            asked.done(DiedError() if self.dead else error)
