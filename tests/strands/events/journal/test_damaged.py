"""When the journal fails, or one run in it cannot be read: clear errors, and nothing is lost."""

import anyio
import attrs
import pytest

from plait import Context, StartEvent, StopEvent, Workflow, step
from plait.errors import JournalError, JournalFullError, PlaitError, StreamConflictError
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A
from tests.strands.events.journal.lives import Kept, entries_of, live_for, outcome_of


class Two(Workflow):
    def __init__(self, journal, log=None):
        super().__init__(journal=journal)
        self.log = [] if log is None else log

    @step
    async def first(self, ctx: Context, ev: StartEvent) -> A:
        self.log.append("first")
        try:
            await anyio.sleep(1)
        finally:
            self.log.append("first left")
        return A()

    @step
    async def second(self, ev: A) -> StopEvent:
        self.log.append("second")
        await anyio.sleep(1)
        return StopEvent(result=1)


class Fails(Kept):
    """Refuses its n-th append and all that follow, as a full disk does."""

    def __init__(self, at, appends=()):
        super().__init__(appends)
        self.at = at
        self.asked = 0
        self.error = JournalFullError("runs.db: the disk is full")

    def append(self, entries, done):
        self.asked += bool(entries)
        if self.asked < self.at:
            super().append(entries, done)
        else:
            self._answers.append((lambda _: done(self.error), None))
            self._ask(self._backend)


@in_virtual_time
async def test_a_journal_that_fails_at_each_append_in_turn():
    """The error comes out as it is, every body is left properly, and the next process goes on."""
    whole = Kept()
    await Two(whole).run(run_id="r")
    for at in range(1, len(whole.appends) + 1):
        journal = Fails(at)
        flow = Two(journal)
        run = flow.run(run_id="r")
        error = await outcome_of(run)
        assert error is journal.error, at
        assert flow.log.count("first") == flow.log.count("first left"), at
        assert run.state == "failed", at
        assert len(journal.appends) == at - 1
        left = Kept(journal.appends)
        assert not {entry.kind for entry in entries_of(left, "r")} & {"delivery.failed"}
        again = Two(left)
        assert await again.run(run_id="r") == 1
        if "second" in flow.log:
            assert "first" not in again.log, at


@in_virtual_time
async def test_all_runs_on_the_journal_are_left():
    """One disk, one fault: each run on it is suspended, and each of them says so."""
    journal = Fails(12)
    results = []

    async def one(name):
        results.append(await outcome_of(Two(journal).run(run_id=name)))

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(one, f"r{number}")
    failed = [result for result in results if isinstance(result, JournalError)]
    assert failed
    assert {*map(type, results)} <= {JournalFullError, int}
    left = Kept(journal.appends)
    for number in range(4):
        assert await Two(left).run(run_id=f"r{number}") == 1


@in_virtual_time
async def test_a_body_that_catches_everything_does_not_go_on():
    """What it does after the fault is not recorded, and the run is where the journal has it."""

    class W(Workflow):
        @step
        async def only(self, ctx: Context, ev: StartEvent) -> A | StopEvent:
            for n in range(5):
                ctx.send_event(A(n=n))
                try:
                    await anyio.sleep(1)
                except BaseException:
                    log.append("cancelled")
                    raise
            return StopEvent(result=1)

        @step
        async def take(self, ev: A) -> StopEvent | None:
            return None

    log = []
    journal = Fails(4)
    assert await outcome_of(W(journal=journal).run(run_id="r")) is journal.error
    assert log == ["cancelled"]


@in_virtual_time
async def test_a_conflict_is_one_runs_matter():
    """It refuses one append; the journal goes on, and so do the other runs on it."""

    class Conflicts(Kept):
        def append(self, entries, done):
            if entries and entries[0].stream == "r" and len(entries_of(self, "r")) > 2:
                self._answers.append((lambda _: done(conflict), None))
                self._ask(self._backend)
            else:
                super().append(entries, done)

    conflict = StreamConflictError("stream 'r': entry 4 came, 3 is due")
    journal = Conflicts()
    results = {}

    async def one(name):
        results[name] = await outcome_of(Two(journal).run(run_id=name))

    async with anyio.create_task_group() as tasks:
        for name in ("r", "other"):
            tasks.start_soon(one, name)
    assert results == {"r": conflict, "other": 1}


def damaged(entries, how):
    """The entries of a run, with one thing wrong."""
    entries = [*entries]
    if how == "gap":
        del entries[3]
    elif how == "kind":
        entries[3] = attrs.evolve(entries[3], kind="step.danced")
    elif how == "version":
        entries[3] = attrs.evolve(entries[3], version=99)
    elif how == "body":
        entries[3] = attrs.evolve(entries[3], body=b"{}")
    elif how == "json":
        entries[3] = attrs.evolve(entries[3], body=b"\xff{")
    elif how == "twice":
        entries.append(attrs.evolve(entries[3], n=len(entries) + 1))
    return entries


@in_virtual_time
@pytest.mark.parametrize("how", ["gap", "kind", "version", "body", "json", "twice"])
async def test_one_run_that_cannot_be_read(how):
    """It is refused with its name and place, no body runs, it is held; the others go on."""
    journal = Kept()
    for name in ("good", "bad"):
        await live_for(1.5, Two(journal).run(run_id=name))
    bad = journal._streams["bad"]
    bad.entries[:] = damaged(bad.entries, how)
    before = [*bad.entries]
    flow = Two(journal)
    error = await outcome_of(flow.resume("bad"))
    assert isinstance(error, PlaitError)
    assert not isinstance(error, JournalError)
    assert "bad" in str(error)
    assert flow.log == []
    added = [entry.kind for entry in bad.entries[len(before) :]]
    # In memory entries are counted: there is no room for one after a gap.
    assert (bad.status, added) == (("running", []) if how == "gap" else ("held", ["run.held"]))
    assert type(await outcome_of(Two(journal).resume("bad"))) is type(error)
    assert len(bad.entries) == len(before) + len(added)
    assert await Two(journal).resume("good") == 1


@in_virtual_time
async def test_a_journal_that_cannot_be_opened():
    class Closed(Kept):
        async def open(self, backend, *, write=True):
            raise JournalFullError("no room")

    flow = Two(Closed())
    run = flow.run(run_id="r")
    with pytest.raises(JournalFullError, match="no room"):
        await run
    assert flow.log == []
    with pytest.raises(JournalFullError):
        async with Two(Closed()).resume("r") as run:
            assert run.is_done()
