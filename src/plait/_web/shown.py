"""A run that the page shows: one of this process, or one that a journal has."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, cast

import anyio

from plait._abc import Journal, StreamInfo
from plait._engine import native
from plait._engine.desk import reading
from plait._engine.journaled import JournaledShell
from plait._engine.run import Run
from plait._errors import WorkflowCancelledByUser, WorkflowRuntimeError
from plait._kernel import records
from plait._viz.executions.parts import Status

from .feed import Feed
from .kept_records import KeptRecords, info_of
from .payloads import said
from .view import RunView

Fields = Mapping[str, Any]

#: Entries of a journal that are read at once.
PAGE: Final = 1_000
#: Statuses of a stream that has come to its end.
ENDED: Final = frozenset({"completed", "failed", "cancelled"})


class Shown(Protocol):
    """A run that windows can look at."""

    feed: Feed
    view: RunView

    async def pull(self) -> None:
        """Take in what has happened since the last call. A checkpoint."""
        ...

    @property
    def listed(self) -> Fields:
        """What the list of runs says of it."""
        ...


class LiveRun:
    """A run of this process, watched from before its start.

    Args:
        run: The run, which has not been started.
        target: What it is of.
        resumable: Can another run go on where this one ends?
    """

    def __init__(self, run: Run[Any], target: str, *, resumable: bool = False) -> None:
        self.run = run
        self.created = time.time()
        self.view = RunView(run.run_id, target, plan=run._shell.plan, cancellable=True)
        self.feed = Feed(self.view)
        self.resumable = resumable
        #: Called when the page has seen that it is over.
        self.ended: Callable[[], object] = bool
        self._raised: BaseException | None = None
        shell = run._shell
        self._resumes = isinstance(shell, JournaledShell) and shell.archive.resumes
        self._lock = anyio.Lock()
        if run._started:
            raise WorkflowRuntimeError(
                f"Run {run.run_id} has already been started. Watch it before that."
            )
        run._shell.tap(self.feed.tap)

    async def pull(self) -> None:
        """Take in what has happened since the last call. A checkpoint."""
        over = self.run.is_done()
        if self._resumes and isinstance(self.feed.first, records.Reopened):
            await self._recall()
        await taken_in(self.feed)
        if over and self.view.settled is None:
            self.view.settle(cast("Status", self.run.state))
            self.feed.advance()
            self.ended()

    async def _recall(self) -> None:
        """Read what the run did before this process took it up. A checkpoint."""
        shell = self.run._shell
        assert isinstance(shell, JournaledShell)
        async with self._lock:
            if not self._resumes:
                return
            reader = KeptRecords(self.run.run_id)
            past: list[Any] = []
            async with opened(shell.archive.journal) as journal:
                while page := await journal.read(self.run.run_id, after=reader.place, limit=PAGE):
                    past += reader.records(page)
            taken_up = [n for n, one in enumerate(past) if isinstance(one, records.Reopened)]
            self.feed.begin_with(past[: taken_up[-1]] if taken_up else past)
            self._resumes = False

    def failed(self, error: BaseException) -> None:
        """Remember what the run has raised: perhaps it has no record of that."""
        self._raised = error

    @property
    def error(self) -> str | None:
        """What the run has come to if it has no result, in a line."""
        conclusion = self.run._shell.conclusion
        error = self._raised if conclusion is None else conclusion.error
        if error is None or isinstance(error, WorkflowCancelledByUser):
            return None
        return said(error)

    @property
    def listed(self) -> Fields:
        """What the list of runs says of it."""
        state = self.run.state
        return {
            "id": self.run.run_id,
            "target": self.view.target,
            "state": state,
            "started": self.created,
            "live": True,
            "error": self.error,
            "resumable": self.resumable and state in ENDED,
        }


class KeptRun:
    """A run of a journal. If another process goes on writing it, so does this go on reading.

    Args:
        info: What the journal says of it.
        journal: Where it is.
        resumable: Can a run go on where this one ends?
    """

    def __init__(
        self, info: StreamInfo, journal: Journal, *, resumable: Callable[[StreamInfo], bool]
    ) -> None:
        self.view = RunView(info.stream, info.target)
        self.feed = Feed(self.view)
        self._info = info
        self._journal = journal
        self._reader = KeptRecords(info.stream)
        self._lock = anyio.Lock()
        self._resumable = resumable

    async def pull(self) -> None:
        """Read what has been written since the last call. A checkpoint; raises `JournalError`."""
        reader = self._reader
        async with self._lock, opened(self._journal) as journal:
            while page := await journal.read(self._info.stream, after=reader.place, limit=PAGE):
                self.feed.tap(reader.records(page))
                await taken_in(self.feed)
            self.view.unreadable = reader.unreadable
            if reader.ended and self.view.settled is None:
                self._info = await info_of(journal, self._info.stream)
                if self._info.status in ENDED:
                    self.view.settle(cast("Status", self._info.status))
                    self.feed.advance()

    @property
    def listed(self) -> Fields:
        """What the list of runs says of it."""
        return about(self._info, resumable=self._resumable(self._info))


async def taken_in(feed: Feed) -> None:
    """Take in all that waits, a part at a time: the runs go on in between. A checkpoint."""
    await native.current().checkpoint()
    while feed.advance():
        await native.current().checkpoint()


def about(info: StreamInfo, *, resumable: bool) -> Fields:
    """What the list of runs says of one that a journal has."""
    return {
        "id": info.stream,
        "target": info.target,
        "state": info.status,
        "started": info.created,
        "ended": info.updated if info.status in ENDED else None,
        "live": False,
        "error": None,
        "resumable": resumable,
    }


@asynccontextmanager
async def opened(journal: Journal) -> AsyncGenerator[Journal]:
    """Have a journal open to read it. A checkpoint; raises `JournalError`."""
    async with reading(journal, native.current()):
        yield journal
