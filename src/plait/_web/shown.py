"""A run that the page shows: one of this process, or one that a journal has."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Any, Final, Protocol, cast

import anyio
import attrs

from plait._abc import ENDED, Journal, StreamInfo
from plait._engine import native
from plait._engine.desk import reading, under_way
from plait._engine.journaled import JournaledShell
from plait._engine.past import listed
from plait._engine.run import Run
from plait._errors import (
    PlaitError,
    WorkflowCancelledByUser,
    WorkflowRuntimeError,
)
from plait._journal.standing import INTERRUPTED, standing
from plait._kernel import records
from plait._kernel.graph.state import GraphState
from plait._viz.executions.parts import Status

from .feed import MOST_RECORDS, Feed
from .forms import made
from .kept_records import KeptRecords
from .payloads import said
from .questions import check_reach, find, kind_named, open_questions, told
from .refused import Refused
from .targets import Target, name_of, plan_of
from .view import RunView

Fields = Mapping[str, Any]

#: Entries of a journal that are read at once.
PAGE: Final = 1_000
#: And has ended badly.
BADLY: Final = frozenset({"failed", "cancelled"})
#: Or was stopped in the midst of its work.
STOPPED: Final = BADLY | {INTERRUPTED}


@attrs.frozen
class KeptInfo:
    """What a journal says of a run, and where that stands: as is written there, or interrupted."""

    info: StreamInfo
    state: str


class Shown(Protocol):
    """A run that windows can look at."""

    feed: Feed
    view: RunView

    async def pull(self) -> None:
        """Take in what has happened since the last call. A checkpoint."""
        ...

    def watched(self) -> AbstractContextManager[None]:
        """Have a window look at it, for the length of a block."""
        ...

    def is_of(self, target: Target, /) -> bool:
        """Say whether it is a run of this, as far as its name or plan tells."""
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
        shell = run._shell
        #: Of a flow all records are kept, since they have the outputs that `/outputs` gives. It has few.
        most = None if isinstance(shell.state, GraphState) else MOST_RECORDS
        self.view = RunView(
            run.run_id,
            target,
            plan=shell.plan,
            cancellable=True,
            state=lambda: shell.state,
        )
        self.feed = Feed(self.view, most_records=most)
        self.resumable = resumable
        #: Called when the page has seen that it is over.
        self.ended: Callable[[], object] = bool
        self._raised: BaseException | None = None
        self._resumes = isinstance(shell, JournaledShell) and shell.archive.resumes
        self._lock = anyio.Lock()
        if run._started:
            raise WorkflowRuntimeError(
                f"Run {run.run_id} has already been started. Watch it before that."
            )
        shell.tap(self.feed.tap)

    async def pull(self) -> None:
        """Take in what has happened since the last call. A checkpoint."""
        over = self.run.is_done()
        if self._resumes and (self.feed.has_gap or isinstance(self.feed.first, records.Reopened)):
            await self._recall()
        await taken_in(self.feed)
        questions = [told(one) for one in open_questions(self.run, self.view.asked)]
        if questions != self.view.questions:
            self.view.questions = questions
            self.feed.advance()
        if over and self.view.settled is None:
            self.view.settle(cast("Status", self.run.state))
            self.feed.advance()
            self.ended()

    @contextmanager
    def watched(self) -> Generator[None]:
        """Keep more records for as long as a window is there."""
        self._widen(by=1)
        try:
            yield
        finally:
            self._widen(by=-1)

    def _widen(self, *, by: int) -> None:
        before = self.feed.tap
        if self.feed.widen(by=by):
            self.run._shell.tap(self.feed.tap, instead_of=before)

    def answer(self, name: str, kind: str, fields: Fields) -> None:
        """Answer a question. Not a checkpoint.

        Args:
            name: The question's.
            kind: The wire name of the class that it is answered with.
            fields: What was filled in.

        Raises:
            Refused: It is open no more, or cannot be answered so.
            Unfit: What was filled in makes no such event.
        """
        asked = self.view.asked
        question = find(open_questions(self.run, asked), name)
        event = made(kind_named(question, kind), fields, question.fixed)
        check_reach(self.run, question, event)
        if question.wait is None:
            asked.answering.append(question.id)
        try:
            self.run.send_event(event)
        except PlaitError as error:
            if question.wait is None:
                asked.answering.remove(question.id)
            raise Refused(str(error)) from error

    def is_of(self, target: Target, /) -> bool:
        """Say whether it has the plan of this."""
        return self.run._shell.plan == plan_of(target)

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
        kept: What the journal says of it.
        journal: Where it is.
        deeds: Says which buttons there are for it, see `about`.
        cancellable: Can it be cancelled from here?
    """

    def __init__(
        self,
        kept: KeptInfo,
        journal: Journal,
        *,
        deeds: Callable[[KeptInfo], Mapping[str, bool]],
        cancellable: bool = False,
    ) -> None:
        info = kept.info
        self.view = RunView(info.stream, info.target, cancellable=cancellable)
        #: What is read is taken in at once, however much it is.
        self.feed = Feed(self.view, most_records=None)
        self._kept = kept
        self._journal = journal
        self._reader = KeptRecords(info.stream)
        self._lock = anyio.Lock()
        self._deeds = deeds

    async def pull(self) -> None:
        """Read what has been written since the last call. A checkpoint; raises `JournalError`."""
        reader = self._reader
        async with self._lock, opened(self._journal) as journal:
            name = self._kept.info.stream
            while page := await journal.read(name, after=reader.place, limit=PAGE):
                self.feed.tap([*reader.records(page)])
                await taken_in(self.feed)
            self.view.unreadable = reader.unreadable
            if self.view.settled is None:
                await self._look_up(journal)

    async def _look_up(self, journal: Journal) -> None:
        """See where the run stands now: of an end, and of no end, its records do not say all."""
        name = self._kept.info.stream
        info = await listed(journal, name)
        if info is None:  # it was pruned: what was read is there to be seen
            return  # noqa: ASYNC910 - it has looked for it
        state = (await standing(journal, [info], here=under_way(journal)))[name]
        self._kept = KeptInfo(info, state)
        self.view.interrupted = state == INTERRUPTED
        if self._reader.ended and info.status in ENDED:
            self.view.settle(cast("Status", info.status))
        self.feed.advance()

    def watched(self) -> AbstractContextManager[None]:
        """Have a window look at it: what it reads is all in the journal."""
        return nullcontext()

    def is_of(self, target: Target, /) -> bool:
        """Say whether it is called like the runs of this."""
        info = self._kept.info
        return not info.app_id and info.target == name_of(target)

    @property
    def listed(self) -> Fields:
        """What the list of runs says of it."""
        return about(self._kept, **self._deeds(self._kept))


async def taken_in(feed: Feed) -> None:
    """Take in all that waits, a part at a time: the runs go on in between. A checkpoint."""
    await native.current().checkpoint()
    while feed.advance():
        await native.current().checkpoint()


def about(kept: KeptInfo, *, resumable: bool = False, retryable: bool = False) -> Fields:
    """What the list of runs says of one that a journal has."""
    info = kept.info
    return {
        "id": info.stream,
        "target": info.target,
        "state": kept.state,
        "started": info.created,
        "ended": info.updated if info.status in ENDED else None,
        "live": False,
        "error": None,
        "resumable": resumable,
        "retryable": retryable,
    }


@asynccontextmanager
async def opened(journal: Journal) -> AsyncGenerator[Journal]:
    """Have a journal open to read it. A checkpoint; raises `JournalError`."""
    async with reading(journal, native.current()):
        yield journal
