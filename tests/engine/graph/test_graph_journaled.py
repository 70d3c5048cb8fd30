"""A run of steps that follow one another on a journal: nobody is launched before that is on disk."""

import json

import pytest

from plait._abc import Opening
from plait._engine import native
from plait._engine.graph import JournaledGraphShell
from plait._errors import JournalError
from plait._journal.memory import MemoryJournal
from plait._journal.sqlite import SqliteJournal
from plait._kernel import records
from plait._kernel.graph.records import Readied
from plait._strands._flows.kept import FlowArchive, FlowScribe, reader_of
from plait._strands._flows.result import StepFailed, StepFailure
from tests.engine.graph.running import DONE, RUN, flow, kinds, run, step
from tests.engine.graph.test_graph_tree import raising, sleeping, tasks
from tests.kernel.strategies import Patience
from tests.parity.clocks import in_virtual_time
from tests.strands.events.journal.lives import Held, Kept, everywhere

FAILED = StepFailed("a", StepFailure(kind="exit", message="bad"))


def acknowledging(journal):
    """A class of journal that knows what it has acknowledged, and can break."""

    class Acknowledging(journal):
        breaks_after = 1_000_000

        def append(self, entries, done):
            def told(error):
                if error is None:
                    self.acknowledged += entries
                done(error)

            if self.breaks_after <= 0:
                self._answers.append((done, JournalError("the disk is full")))
                self._ask(self._opened())
                return
            self.breaks_after -= 1
            super().append(entries, told)

    Acknowledging.acknowledged = []
    return Acknowledging


@pytest.fixture
def journal(on_file, tmp_path):
    if on_file:
        return acknowledging(SqliteJournal)(tmp_path / "runs.db")
    return acknowledging(MemoryJournal)()


def shell_on(journal, ran):
    archive = FlowArchive(
        journal,
        FlowScribe(RUN, Opening("", "flow"), lambda state: bool(state.failures)),
        "flow",
        resumes=None,
        before=None,
    )
    return ran.shell(JournaledGraphShell, archive=archive)


def begun(journal):
    """The deliveries whose start has been acknowledged, once for each attempt."""
    found = [entry for entry in journal.acknowledged if entry.kind == "delivery.started"]
    return [json.loads(entry.body)["delivery"] for entry in found]


@everywhere
async def test_nobody_is_launched_before_that_is_on_disk(journal):
    attempts = {}

    async def body(attempt):
        number = attempt.delivery.number
        attempts[number] = attempts.get(number, 0) + 1
        assert begun(journal).count(number) == attempts[number]
        await native.current().checkpoint()
        if attempt.delivery.step == "a" and attempt.delivery.attempt == 1:
            raise FAILED
        return DONE

    names = ["a", "b", "C", "d", "e"]
    ran = flow(
        step("a", retry=Patience(2, 0.0)), step("b"), step("C", "a", workers=2),
        step("d", "C", "b"), step("e", "a"),
        bodies=dict.fromkeys(names, body), items={"C": 4}, workers=3,
    )  # fmt: skip
    end = await run(shell_on(journal, ran))
    assert end.error is None
    assert len(attempts) == 8
    assert sum(attempts.values()) == 9
    kept = [*reader_of(RUN).records(journal.acknowledged)]
    assert kinds(kept) == kinds(ran.records)
    assert kept[-2:] == ran.records[-2:]


@everywhere
async def test_the_records_of_a_run_are_read_back(journal):
    ran = flow(
        step("a"), step("b", on={"a": "skip"}), step("c"),
        bodies={"a": raising(FAILED)},
    )  # fmt: skip
    end = await run(shell_on(journal, ran))
    assert end.error is FAILED
    kept = [*reader_of(RUN).records(journal.acknowledged)]
    assert kinds(kept) == kinds(ran.records)
    assert [r for r in kept if isinstance(r, Readied)] == [
        r for r in ran.records if isinstance(r, Readied)
    ]
    assert kept[-2].outcome == records.Finished()


@in_virtual_time
async def test_what_follows_waits_for_the_disk():
    """And nothing else does: the bodies that run go on."""
    journal, told = Held(), []

    async def first(attempt):
        journal.hold()
        told.append("a")
        return DONE

    async def other(attempt):
        await sleeping(5)(attempt)
        told.append("other")
        journal.release()
        return DONE

    async def behind(attempt):
        told.append("b")
        return DONE

    ran = flow(
        step("other"), step("a"), step("b", "a"),
        bodies={"a": first, "b": behind, "other": other},
    )  # fmt: skip
    assert (await run(shell_on(journal, ran))).error is None
    assert told == ["a", "other", "b"]


@in_virtual_time
@pytest.mark.parametrize("after", range(6))
async def test_a_journal_that_breaks_ends_the_run_cleanly(after):
    """Whoever has begun leaves through its `finally`; nothing that is not on disk is launched."""
    journal, inside = acknowledging(Kept)(), []
    journal.breaks_after = after

    async def body(attempt):
        assert attempt.delivery.number in begun(journal)
        inside.append(attempt.delivery.step)
        try:
            await sleeping(attempt.delivery.number)(attempt)
        finally:
            with native.current().cancel_scope(shield=True):
                await sleeping(1)(attempt)
            inside.remove(attempt.delivery.step)
        return DONE

    names = ["a", "b", "c", "d", "e", "f"]
    ran = flow(
        step("a"), step("b"), step("c", "a"), step("d", "b"), step("e", "c"), step("f", "e"),
        bodies=dict.fromkeys(names, body),
    )  # fmt: skip
    shell = shell_on(journal, ran)
    end = await run(shell)
    assert isinstance(end.error, JournalError)
    assert inside == []
    assert tasks() == []
    assert not shell._bodies
    assert shell._limiter.borrowed_tokens == 0
    assert "run.closed" not in [entry.kind for entry in journal.acknowledged]


@in_virtual_time
async def test_what_cannot_be_written_is_a_failure_of_its_step():
    async def odd(attempt):
        return object()

    journal = acknowledging(Kept)()
    ran = flow(step("a"), step("b", on={"a": "continue"}), bodies={"a": odd})
    end = await run(shell_on(journal, ran))
    assert "a flow has no value such as object" in str(end.error)
    assert kinds(ran.records).count("Completed") == 1


@in_virtual_time
async def test_a_fail_fast_item_whose_start_is_on_its_way_does_not_run():
    """Its step has failed before its start was on disk."""
    journal, ran_too = Held(), []

    async def item(attempt):
        number = attempt.delivery.event
        if number == 0:
            await sleeping(1)(attempt)
            journal.hold()
            return DONE  # item 2 is given its slot, and that is on its way to the disk
        if number == 1:
            await sleeping(2)(attempt)
            raise FAILED
        ran_too.append(number)
        return DONE

    async def release(attempt):
        await sleeping(3)(attempt)
        journal.release()
        return DONE

    ran = flow(step("A", workers=2), step("r"), bodies={"A": item, "r": release}, items={"A": 3})
    end = await run(shell_on(journal, ran))
    assert end.error is FAILED
    assert ran_too == []
    assert kinds(ran.records).count("Interrupted") == 1
