"""The book of one app: what is appended to its streams, and how they are read again.

Rule 1: what belongs together is one append, over several streams too: `together` collects it.
Rule 2: who appended is told in the order of the appends, whether they were collected or not.
Rule 3: an app is read from its last snapshot on: what is before it is not looked at.
Rule 4: what cannot be read in one run's stream is that run's matter. It is held, and the journal says
    so: whoever lists the runs that are held finds it, in every process.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final, TypeAlias, cast

from plait._abc import ENDED, Entry, Journal, Opening, StreamInfo
from plait._engine.passes import Passes
from plait._engine.past import listed
from plait._errors import (
    JournalError,
    PlaitInternalError,
    UnknownRunError,
    UnreadableEntryError,
    fault_of,
)
from plait._journal.failures import Failure
from plait._journal.forms import Values
from plait._journal.life_kinds import STATUS
from plait._journal.recorded import write_error
from plait._journal.scribes import AppScribe, FunctionScribe
from plait._kernel.admission.apply import apply
from plait._kernel.admission.plan import AppPlan
from plait._kernel.admission.records import AppSnapshot
from plait._kernel.admission.snapshot import Picture, state_of
from plait._kernel.admission.state import AppState
from plait._kernel.calls.apply import count
from plait._kernel.functions.apply import fold
from plait._kernel.functions.reasons import Unreadable
from plait._kernel.functions.records import FunctionHeld, RunQueued
from plait._kernel.functions.state import FunctionState

Done: TypeAlias = Callable[[JournalError | None], object]

#: Is told up to which number the records of a run are on disk.
Kept: TypeAlias = Callable[[int, JournalError | None], object]

#: Entries that are read at a time.
PAGE: Final = 1000

#: The tag of a snapshot of an app.
SNAPSHOT: Final = "app.snapshot"
#: The tag of what says that a run is held.
HELD: Final = "run.held"


class Recorded:
    """Writes what records have of users' values: errors; the rest is JSON by the time it is recorded."""

    def encode(self, value: object, /) -> object:
        """Write an error; give back what is written already."""
        return write_error(value) if isinstance(value, Exception | Failure) else value

    def decode(self, data: object, /) -> object:
        """Give it back: the type of a value, and whether it is an error, is for the reader to know."""
        return data


class Book:
    """The streams of one app in a journal that is open.

    Args:
        app_id: The app's id.
        journal: Opened by somebody else, and closed by him.
        values: Writes users' values and errors, if not as `Recorded` does.
        passes: Where what is gathered in a pass of the event loop is appended; without them nothing is
            gathered.

    Attributes:
        app: Writes and reads the app's own stream.
        app_n: The place of the last record of that stream, as far as was read. Whoever writes to it
            counts on.
    """

    def __init__(
        self,
        app_id: str,
        journal: Journal,
        *,
        values: Values | None = None,
        passes: Passes | None = None,
    ) -> None:
        self.app_id: Final = app_id
        self.stream: Final = f"app/{app_id}"
        self.journal: Final = journal
        self.app: Final = AppScribe(app_id)
        self.app_n: int = 0
        self._values: Values = Recorded() if values is None else values
        #: What is collected, while somebody collects.
        self._collected: tuple[list[Entry], list[Done]] | None = None
        self._passes = passes
        #: What is gathered in this pass of the loop, and who is to be told, up to which number.
        self._gathered: list[Entry] = []
        self._gatherers: list[tuple[Kept, int]] = []
        #: Is there something among it for which somebody waits?
        self._waited_for = False
        patiently = _patient_way(journal)
        self._append_patiently = journal.append if patiently is None else patiently
        if passes is not None:
            # Whom another journal wakes, nobody knows: it is called where that may be.
            self._at_end = passes.soon if patiently is None else passes.at_end
            self._when_quiet = passes.soon if patiently is None else passes.when_quiet

    def scribe(
        self, run_id: str, *, target: str, parent: str | None, source: str | None
    ) -> FunctionScribe:
        """Make what writes and reads the stream of a run.

        Args:
            run_id: The run.
            target: The function's id.
            parent: The run that invokes it, if one does.
            source: The digest of the function, if it is known.
        """
        return FunctionScribe(run_id, Opening(self.app_id, target, parent, source), self._values)

    # ------------------------------------------------------------ writing

    def append(self, entries: Sequence[Entry], done: Done) -> None:
        """Append entries, all or none, and have `done` called when they are on disk. Not a checkpoint.

        Inside `together` they are collected.

        Args:
            entries: Of any streams, each stream's in its order.
            done: Called with `None`, or with what went wrong. It must not raise.

        Raises:
            JournalError: The journal is not open, or only to be read.
        """
        if self._collected is None:
            self.flush()
            self.journal.append(entries, done)
        else:
            collected, dones = self._collected
            collected += entries
            dones.append(done)

    def gather(self, entries: Sequence[Entry], n: int, kept: Kept, *, notes: bool = False) -> None:
        """Append entries of one stream, in one append with others of this pass of the loop. Not a checkpoint.

        Branches of a run begin and end together, so that an append for each of their records would be
        most of what they cost.

        Args:
            entries: Of one stream.
            n: The number of the last of them.
            kept: Called with the highest number that is on disk, or with what went wrong.
            notes: Does nobody wait for them? Then they may wait for others in the journal as well.
        """
        if self._collected is not None or self._passes is None:
            self.append(entries, partial(kept, n))
            return
        if not notes and not self._waited_for:
            self._waited_for = True
            self._at_end(self.flush)
        elif not self._gathered:
            self._when_quiet(self.flush)
        self._gathered += entries
        gatherers = self._gatherers
        if gatherers and gatherers[-1][0] == kept:
            gatherers.pop()
        gatherers.append((kept, n))

    def flush(self) -> None:
        """Append what was gathered. Not a checkpoint; it does not raise."""
        if not self._gathered:
            return
        entries, self._gathered = self._gathered, []
        gatherers, self._gatherers = self._gatherers, []
        append = self.journal.append if self._waited_for else self._append_patiently
        self._waited_for = False
        dones = [partial(kept, n) for kept, n in gatherers]
        done = dones[0] if len(dones) == 1 else partial(_tell, dones)
        try:
            append(entries, done)
        except (
            JournalError
        ) as error:  # it takes nothing, and nobody is here whom that could be told
            assert self._passes is not None
            self._passes.soon(
                partial(done, error)
            )  # whom that wakes, between two passes nobody may

    @contextmanager
    def together(self) -> Generator[None]:
        """Collect all that is appended inside: it is one append, made when the outermost block is left.

        If that block raises, nothing of it is kept, and each `done` is told so: what was decided inside
        has changed states already, and those who have them must not go on.

        Raises:
            JournalError: As for `append`, when the outermost block is left; each `done` is told as well.
        """
        if self._collected is not None:
            yield
            return
        entries: list[Entry] = []
        dones: list[Done] = []
        self._collected = entries, dones
        try:
            yield
        except BaseException as error:
            self._collected = None
            lost = JournalError(f"What belonged together was not kept: {error!r} came in between.")
            lost.__cause__ = error
            _tell(dones, lost)
            raise
        self._collected = None
        if not dones:
            return
        self.flush()
        try:
            self.journal.append(entries, lambda error: _tell(dones, error))
        except JournalError as error:  # it takes nothing: those who are not here must know as well
            _tell(dones, error)
            raise

    async def hold(self, run_id: str, error: UnreadableEntryError, now: float, done: Done) -> None:
        """Say in a run's stream that it is held because it cannot be read.

        Not again, if that is what it says last; and not of a run that has ended.

        A checkpoint, as the journal's reading is. Nobody else may write to the stream meanwhile.

        Args:
            run_id: The run.
            error: What reading it has raised.
            now: The wall clock, in Unix seconds.
            done: As for `append`; called at once with `None` if there is nothing to append.

        Raises:
            UnknownRunError: There is no such run in this app.
            JournalError: The journal cannot be read, or takes nothing.
        """
        info = await self.info(run_id)
        if info is None:
            raise UnknownRunError(f"{self.app_id} has no run {run_id!r}.")
        if info.status in ENDED:  # nothing of it is to go on
            done(None)
            return
        why = Unreadable(fault_of(error))
        scribe = self._reader(run_id)
        last = await self.journal.read(run_id, after=info.last_n - 1, limit=1)
        held = FunctionHeld(now, why, info.last_n)
        if info.status == STATUS[FunctionHeld] and last and last[0].kind == HELD:
            (written,) = scribe.entries([(info.last_n, held)])
            if _says_the_same(last[0], written, scribe):
                done(None)
                return
        self.append(scribe.entries([(info.last_n + 1, held)]), done)

    # ------------------------------------------------------------ reading

    async def info(self, stream: str) -> StreamInfo | None:
        """Look up what is listed of one stream of this app; `None`: there is none. As `Journal.streams`."""
        info = await listed(self.journal, stream)
        return None if info is None or info.app_id != self.app_id else info

    async def entries(self, stream: str) -> list[Entry]:
        """Read all of a stream, page by page; nothing, if there is none. As `Journal.read`."""
        found: list[Entry] = []
        while True:
            page = await self.journal.read(stream, after=found[-1].n if found else 0, limit=PAGE)
            found += page
            if len(page) < PAGE:
                return found

    async def read_app(self, plan: AppPlan) -> AppState:
        """Sum the app's own stream up, and set `app_n`. A checkpoint, as the journal's reading is.

        Raises:
            UnreadableEntryError: It cannot be read: the app cannot be served.
            JournalError: The journal cannot be read.
        """
        found = await self._since_snapshot()
        state = AppState(plan)
        after = found[0].n - 1 if found else 0
        if after and found[0].kind != SNAPSHOT:
            raise UnreadableEntryError(found[0], "the records before it are missing")
        for entry in found:
            for n, record in self.app.records([entry], after=after):
                try:
                    if isinstance(record, AppSnapshot):
                        state = state_of(plan, cast("Picture", record.state))
                    else:
                        apply(state, record)
                except Exception as error:  # `apply` never judges: what fails fails anyhow
                    raise _does_not_follow(entry, error) from error
                after = n
        self.app_n = after
        return state

    async def _since_snapshot(self) -> list[Entry]:
        """Read the app's stream from its last snapshot on, page by page from the end."""
        info = await self.info(self.stream)
        found: list[Entry] = []
        top = 0 if info is None else info.last_n
        while top > 0:
            after = max(top - PAGE, 0)
            page = await self.journal.read(self.stream, after=after, limit=top - after)
            places = [place for place, entry in enumerate(page) if entry.kind == SNAPSHOT]
            found = [*(page[places[-1] :] if places else page), *found]
            if places or not page:
                break
            top = after
        return found

    async def read_run(self, run_id: str) -> FunctionState | None:
        """Sum a run's stream up; `None` if there is none. A checkpoint, as the journal's reading is.

        Raises:
            UnreadableEntryError: It cannot be read: `hold` says so in its stream.
            JournalError: The journal cannot be read.
        """
        state = FunctionState()
        scribe, last = self._reader(run_id), 0
        while True:
            page = await self.journal.read(run_id, after=last, limit=PAGE)
            for entry, record in scribe.each(page, after=last):
                last = entry.n
                if record is None:  # a note, of which its number is all there is to know
                    count(state.calls, last)
                    continue
                try:
                    fold(state, record, last)
                except Exception as error:  # `fold` never judges: what fails fails anyhow
                    raise _does_not_follow(entry, error) from error
            if len(page) < PAGE:
                return state if last else None

    async def queued(self, run_id: str) -> RunQueued:
        """Read what a run was asked for with. A checkpoint, as the journal's reading is.

        Raises:
            UnknownRunError: There is no such run.
            UnreadableEntryError: The first entry of the stream is something else.
            JournalError: The journal cannot be read.
        """
        first = await self.journal.read(run_id, limit=1)
        if not first:
            raise UnknownRunError(f"{self.app_id} has no run {run_id!r}.")
        for _, record in self._reader(run_id).records(first, notes=True):
            if isinstance(record, RunQueued):
                return record
        raise UnreadableEntryError(first[0], "the stream of a run begins with run.queued")

    def _reader(self, run_id: str) -> FunctionScribe:
        return self.scribe(run_id, target="", parent=None, source=None)


def _patient_way(journal: Journal) -> Callable[[Sequence[Entry], Done], object] | None:
    """Find how a journal appends what nobody waits for; one that can wakes nobody when it is called.

    Only the class that says how it appends can say how it does so patiently: a journal around another
    one, or made of another one, is to see every entry, and in order.
    """
    for cls in type(journal).__mro__:
        own = vars(cls)
        if "append" in own:
            way: Callable[[Sequence[Entry], Done], object] | None
            way = getattr(journal, "append_patiently") if "append_patiently" in own else None  # noqa: B009
            return way
    return None


def _says_the_same(entry: Entry, written: Entry, scribe: FunctionScribe) -> bool:
    """Do both hold the run for the same reason, whenever they were written?"""
    try:
        pair: list[Any] = [
            record
            for one in (entry, written)
            for _, record in scribe.records([one], after=one.n - 1)
        ]
    except UnreadableEntryError:
        return False
    return bool(pair[0].why == pair[1].why)


def _does_not_follow(entry: Entry, error: Exception) -> UnreadableEntryError:
    said = str(error).partition("\n")[0] if isinstance(error, PlaitInternalError) else repr(error)
    return UnreadableEntryError(entry, f"it does not follow from the records before it: {said}")


def _tell(dones: Sequence[Done], error: JournalError | None) -> None:
    """Tell them all, in their order, whatever one of them raises."""
    with ExitStack() as stack:
        for done in reversed(dones):
            stack.callback(done, error)
