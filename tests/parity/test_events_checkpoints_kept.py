"""Row 105: checkpoints are kept in the journal, and a run may begin from them in another process."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import anyio
import attrs
import pytest

from plait import (
    Checkpoint,
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    JsonSerializer,
    StartEvent,
    StopEvent,
    Workflow,
    WorkflowCheckpointer,
    step,
)
from plait._journal.memory import MemoryJournal
from plait.errors import (
    ContextSerdeError,
    RunConflictError,
    UnreadableEntryError,
    WorkflowRuntimeError,
)
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B
from tests.parity.test_events_checkpoints import FOUR, ParallelWorkflow, steps_of

# ---------------------------------------------------------------- another process


PROGRAM = """
import os, signal, sys
import anyio, {backend}
from plait import *


second_step = []


class Line(Event):
    n: int


class Answer(HumanResponseEvent):
    text: str


class Done(Event):
    text: str


class Child(Workflow):
    @step
    async def c1(self, ev: StartEvent) -> Line:
        print("body c1", flush=True)
        return Line(n=ev.n)

    @step
    async def c2(self, ev: Line) -> StopEvent:
        print("body c2", flush=True)
        second_step.append(1)
        await anyio.sleep(0.01 if len(sys.argv) > 3 else 60)
        return StopEvent(result=ev.n * 10)


class Flow(Workflow):
    def __init__(self, journal):
        super().__init__(journal=journal, serializer=JsonSerializer([Answer]))

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Line | None:
        await ctx.store.set("seen", [])
        for n in range(5):
            ctx.send_event(Line(n=n))

    @step(num_workers=5)
    async def work(self, ctx: Context, ev: Line) -> InputRequiredEvent | Done:
        print("body", ev.n, flush=True)
        if ev.n == 0:
            answer = await ctx.wait_for_event(Answer, InputRequiredEvent(text="?"))
            return Done(text=answer.text)
        if ev.n == 1:
            return Done(text=str(await Child().run(n=ev.n)))
        while sys.argv[1] == "first" and not second_step:
            await anyio.sleep(0.001)
        if ev.n == 4:
            await anyio.sleep(0.01 if len(sys.argv) > 3 else 60)
            return Done(text="late")
        await anyio.sleep(ev.n / 50)
        async with ctx.store.edit_state() as state:
            state.seen = [*state.seen, ev.n]
        return Done(text=f"done {{ev.n}}")

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        done = ctx.collect_events(ev, [Done] * 5)
        if ev.text == "done 3" and sys.argv[1] == "first":
            os.kill(os.getpid(), signal.SIGKILL)  # the second checkpoint is on disk, or we were not here
        if done is None:
            return None
        return StopEvent(result=[sorted(one.text for one in done), await ctx.store.get("seen")])


async def first(journal):
    await Flow(journal=journal).run(run_id="r1")


async def second(journal):
    checkpointer = WorkflowCheckpointer(Flow(journal=journal))
    await checkpointer.load()
    kept = checkpointer.checkpoints["r1"]
    print([one.last_completed_step for one in kept])
    async with checkpointer.run_from(kept[1], run_id="r2") as run:
        await anyio.sleep(0.3)
        run.send_event(Answer(text="yes"))
    print(await run)


anyio.run({{"first": first, "second": second}}[sys.argv[1]], sys.argv[2], backend="{backend}")
"""


def start(program, *args):
    here = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(
        [sys.executable, program, *args],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": here},
        check=False,
    )


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_row_105_killed_and_begun_again_in_another_process(tmp_path: Path, backend):
    program, journal = tmp_path / "program.py", str(tmp_path / "runs.db")
    program.write_text(textwrap.dedent(PROGRAM.format(backend=backend)))
    first = start(program, "first", journal)
    assert first.returncode == -signal.SIGKILL, first.stderr
    assert sorted(first.stdout.split("\n")) == sorted(
        ["", *(f"body {n}" for n in range(5)), "body c1", "body c2"]
    )
    second = start(program, "second", journal, "fast")
    assert second.returncode == 0, second.stderr
    *bodies, result = second.stdout.splitlines()
    assert bodies[0] == "['work', 'work']"
    # What waited, what had a child and what slept runs again; of the child what had not returned.
    assert sorted(bodies[1:]) == ["body 0", "body 1", "body 4", "body c2"]
    assert result == str([["10", "done 2", "done 3", "late", "yes"], [2, 3]])


# ---------------------------------------------------------------- in one process, on virtual time


class Answer(HumanResponseEvent):
    text: str


class Question(InputRequiredEvent):
    text: str


class Done(Event):
    text: str


class B2(Event):
    n: int


class Inner(Workflow):
    @step
    async def i1(self, ctx: Context, ev: StartEvent) -> A:
        await ctx.store.set("n", ev.n)
        await anyio.sleep(0.5)
        return A(n=ev.n)

    @step
    async def i2(self, ctx: Context, ev: A) -> StopEvent:
        await anyio.sleep(2)
        return StopEvent(result=await ctx.store.get("n"))


class Child(Workflow):
    @step
    async def c1(self, ev: StartEvent) -> StopEvent:
        return StopEvent(result=10 * await Inner().run(n=ev.n))


KNOWN = JsonSerializer(allowed_types=[Answer, Question])


class Zoo(Workflow):
    """A wait, a child with a child, a stream with a join, and a buffer."""

    def __init__(self, journal=None):
        super().__init__(journal=journal, serializer=KNOWN)

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> list[A] | B:
        await ctx.store.set("seen", [])
        ctx.send_event(B(n=1))
        ctx.send_event(B(n=2))
        return [A(n=n) for n in range(3)]

    @step
    async def ask(self, ctx: Context, ev: B) -> Done:
        if ev.n == 1:
            answer = await ctx.wait_for_event(Answer, Question(text="?"))
            return Done(text=answer.text)
        return Done(text=str(await Child().run(n=7)))

    @step(num_workers=2)
    async def work(self, ctx: Context, ev: A) -> B2:
        await anyio.sleep(ev.n + 1)
        async with ctx.store.edit_state() as state:
            state.seen = sorted({*state.seen, ev.n})
        return B2(n=ev.n)

    @step
    async def gather(self, evs: list[B2]) -> Done:
        return Done(text=str(sorted(ev.n for ev in evs)))

    @step
    async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
        done = ctx.collect_events(ev, [Done] * 3)
        if done is None:
            return None
        return StopEvent(result=[sorted(d.text for d in done), await ctx.store.get("seen")])


RESULT = [["70", "[0, 1, 2]", "yes"], [0, 1, 2]]


async def answered(run):
    """Run it, and answer its question."""
    async with run:
        await anyio.sleep(20)
        if run.waiting() and any(one.kind == "wait" for one in run.waiting()):
            run.send_event(Answer(text="yes"))
    return await run


@in_virtual_time
async def test_row_105_what_is_loaded_is_what_was_taken():
    journal = MemoryJournal()
    checkpointer = WorkflowCheckpointer(Zoo(journal=journal))
    assert await answered(checkpointer.run(run_id="r1")) == RESULT
    for name, index in (("r2", 1), ("r3", 3)):  # and of runs that began from a checkpoint
        again = checkpointer.run_from(checkpointer.checkpoints["r1"][index], run_id=name)
        assert await answered(again) == RESULT
    other = WorkflowCheckpointer(Zoo(journal=journal))
    await other.load()
    assert [*other.checkpoints] == ["r1", "r2", "r3"]
    children = 0
    for run_id, taken in checkpointer.checkpoints.items():
        for one, two in zip(taken, other.checkpoints[run_id], strict=True):
            assert one.id_ == two.id_
            assert (one.input_event, one.output_event) == (two.input_event, two.output_event)
            assert one.last_completed_step == two.last_completed_step
            assert one.ctx_state | {"children": {}} == two.ctx_state | {"children": {}}
            assert one.ctx_state["run_id"] == run_id
            assert one.ctx_state["children"].keys() == two.ctx_state["children"].keys()
            children += len(one.ctx_state["children"])
    assert children >= 3


@in_virtual_time
async def test_row_105_a_run_begins_from_each_that_is_loaded():
    journal = MemoryJournal()
    checkpointer = WorkflowCheckpointer(Zoo(journal=journal))
    assert await answered(checkpointer.run(run_id="r1")) == RESULT
    taken = steps_of(checkpointer.checkpoints["r1"])
    for target in (Zoo(journal=journal), Zoo()):
        other = WorkflowCheckpointer(Zoo(journal=journal))
        await other.load()
        for index, one in enumerate(other.checkpoints["r1"]):
            other.workflow = target
            read = Checkpoint.from_json(one.to_json(), target)
            assert read == one
            run = other.run_from(read)
            assert await answered(run) == RESULT
            later = steps_of(other.checkpoints.get(run.run_id, []))
            assert sorted(later) == sorted(taken[index + 1 :])


@in_virtual_time
async def test_row_105_children_go_on_where_they_were():
    bodies = []

    class Logged(Inner):
        @step
        async def i1(self, ctx: Context, ev: StartEvent) -> A:
            bodies.append("i1")
            return await super().i1(ctx, ev)

        @step
        async def i2(self, ctx: Context, ev: A) -> StopEvent:
            bodies.append("i2")
            return await super().i2(ctx, ev)

    class LoggedZoo(Zoo):
        @step
        async def ask(self, ctx: Context, ev: B) -> Done:
            if ev.n == 1:
                answer = await ctx.wait_for_event(Answer, Question(text="?"))
                return Done(text=answer.text)
            return Done(text=str(10 * await Logged().run(n=7)))

    journal = MemoryJournal()
    checkpointer = WorkflowCheckpointer(LoggedZoo(journal=journal))
    assert await answered(checkpointer.run(run_id="r1")) == RESULT
    other = WorkflowCheckpointer(LoggedZoo(journal=journal))
    await other.load()
    kept = other.checkpoints["r1"]
    seen = {}
    for one in [*kept]:
        bodies.clear()
        began = anyio.current_time()
        assert await answered(other.run_from(one)) == RESULT
        assert anyio.current_time() <= began + 20
        seen[one.id_] = [*bodies]
    # At first both its steps were ahead, then one, then none: the child's result is given again.
    assert seen["r1:1"] == ["i1", "i2"]
    assert ["i2"] in seen.values()
    assert [] in seen.values()
    assert len(journal._streams) > len(kept)


@in_virtual_time
async def test_row_105_of_a_run_that_was_left():
    journal = MemoryJournal()
    with anyio.move_on_after(1.5):
        await ParallelWorkflow(journal=journal).run(run_id="r1")
    checkpointer = WorkflowCheckpointer(ParallelWorkflow(journal=journal))
    await checkpointer.load()
    (one,) = checkpointer.checkpoints["r1"]
    assert one.last_completed_step == "process_data"
    assert one.ctx_state["elapsed"] == 1
    run = checkpointer.run_from(one)
    assert set((await run).split(", ")) == {f"Processed: {item}" for item in "ABC"}
    await checkpointer.load()  # and again: nothing is there twice
    assert [steps_of(kept) for kept in checkpointer.checkpoints.values()] == [FOUR[:1], FOUR[1:]]
    resumed = await ParallelWorkflow(journal=journal).resume("r1")
    assert resumed.startswith("Processed: A")
    await checkpointer.load()
    assert steps_of(checkpointer.checkpoints["r1"]) == FOUR
    assert checkpointer.checkpoints["r1"][0] is one


@in_virtual_time
async def test_row_105_one_that_is_taken_again_takes_the_place_of_the_first():
    journal = MemoryJournal()
    checkpointer = WorkflowCheckpointer(ParallelWorkflow(journal=journal))

    async def slow(**_):
        await anyio.sleep(1)

    with anyio.move_on_after(1.5):  # while a checkpoint is being taken: its body runs again
        await checkpointer.run(run_id="r1").on_checkpoint(slow)
    (first,) = checkpointer.checkpoints["r1"]
    run = ParallelWorkflow(journal=journal).resume("r1")
    run.on_checkpoint(checkpointer.new_checkpoint_callback_for_run())
    await run
    kept = checkpointer.checkpoints["r1"]
    assert steps_of(kept) == FOUR
    assert len({one.id_ for one in kept}) == 4
    assert kept[0].id_ == first.id_
    assert kept[0] is not first


@in_virtual_time
async def test_row_105_runs_that_cannot_be_read_are_left_out(caplog):
    journal = MemoryJournal()
    checkpointer = WorkflowCheckpointer(ParallelWorkflow(journal=journal))
    for name in ("r1", "r2"):
        await checkpointer.run(run_id=name)
    kept = journal._streams["r1"].entries
    kept[4] = attrs.evolve(kept[4], body=b"{}")
    other = WorkflowCheckpointer(ParallelWorkflow(journal=journal))
    await other.load()
    assert [*other.checkpoints] == ["r2"]
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith(
        "Run r1 has checkpoints that cannot be loaded: Run r1 is held: its record 5"
    )


@in_virtual_time
async def test_row_105_a_forged_beginning_is_refused():
    journal = MemoryJournal()
    checkpointer = WorkflowCheckpointer(ParallelWorkflow(journal=journal))
    await checkpointer.run(run_id="r1")
    await checkpointer.run_from(checkpointer.checkpoints["r1"][0], run_id="r2")
    entries = journal._streams["r2"].entries
    good = json.loads(entries[0].body)
    forged = [{}, [], good | {"snapshot": {}}, good | {"snapshot": {"state": {}}}]
    forged += [{k: v for k, v in good.items() if k != key} for key in good]
    forged += [good | {key: 1.5} for key in good]
    forged += [good | {"output": None}, good | {"snapshot": good["snapshot"] | {"steps": {}}}]
    for body in forged:
        cut = MemoryJournal()
        await write(cut, "r2", journal._streams["r2"], len(entries))
        cut._streams["r2"].entries[0] = attrs.evolve(entries[0], body=json.dumps(body).encode())
        with pytest.raises((UnreadableEntryError, ContextSerdeError)):
            await ParallelWorkflow(journal=cut).resume("r2")


@in_virtual_time
async def test_row_105_of_a_child():
    journal = MemoryJournal()
    await answered(Zoo(journal=journal).run(run_id="r1"))
    checkpointer = WorkflowCheckpointer(Inner(journal=journal))
    await checkpointer.load()
    ((name, kept),) = checkpointer.checkpoints.items()
    assert steps_of(kept) == ["i1", "i2"]
    run = checkpointer.run_from(kept[0])
    assert await run == 7
    assert run.run_id != name


@in_virtual_time
async def test_row_105_disabled_steps_and_other_workflows_are_left_out():
    journal = MemoryJournal()
    await ParallelWorkflow(journal=journal).run(run_id="r1")
    await answered(Zoo(journal=journal).run(run_id="r2"))
    checkpointer = WorkflowCheckpointer(
        ParallelWorkflow(journal=journal), disabled_steps=["process_data"]
    )
    await checkpointer.load()
    assert {n: steps_of(kept) for n, kept in checkpointer.checkpoints.items()} == {
        "r1": ["combine_results"]
    }


@in_virtual_time
async def test_row_105_a_run_that_began_from_a_checkpoint_survives_any_crash():
    journal, appends = MemoryJournal(), []
    keep = journal.append

    def append(entries, done):
        appends.extend(entries[-1:])
        keep(entries, done)

    journal.append = append
    checkpointer = WorkflowCheckpointer(Zoo(journal=journal))
    assert await answered(checkpointer.run(run_id="r1")) == RESULT
    first = checkpointer.checkpoints["r1"][1]
    assert await answered(checkpointer.run_from(first, run_id="r2")) == RESULT
    counts = [entry.n for entry in appends if entry.stream == "r2"]
    counts = sorted({2, *counts})  # the state is kept, and what was returned is not routed
    for count in counts:
        cut = MemoryJournal()
        await write(cut, "r2", journal._streams["r2"], count)
        assert await answered(Zoo(journal=cut).resume("r2")) == RESULT, count


async def write(journal, name, stream, count):
    """Write the first entries of a stream into another journal."""
    kept = type(stream)(stream.opening, "running", list(stream.entries[:count]))
    journal._streams[name] = kept
    await anyio.lowlevel.checkpoint()


@in_virtual_time
async def test_row_105_a_snapshot_goes_on_in_a_journal_and_survives_there():
    async with Zoo().run() as run:
        await anyio.sleep(1.2)
        saved = json.loads(json.dumps(run.ctx.to_dict()))
        run.cancel()
    journal = MemoryJournal()
    for _ in range(3):  # the same program, started again
        workflow = Zoo(journal=journal)
        with anyio.move_on_after(0.6):
            await workflow.run(ctx=Context.from_dict(workflow, saved))
    assert [entry.kind for entry in journal._streams[run.run_id].entries].count("run.reopened") == 3
    assert await answered(Zoo(journal=journal).resume(run.run_id)) == RESULT
    workflow = Zoo(journal=journal)
    assert await workflow.run(ctx=Context.from_dict(workflow, saved)) == RESULT


@in_virtual_time
async def test_row_105_a_name_is_one_runs():
    journal = MemoryJournal()
    checkpointer = WorkflowCheckpointer(ParallelWorkflow(journal=journal))
    await checkpointer.run(run_id="r1")
    first, second, *_ = checkpointer.checkpoints["r1"]
    result = await checkpointer.run_from(first, run_id="r2")
    assert await checkpointer.run_from(first, run_id="r2") == result
    for run in (
        checkpointer.run_from(second, run_id="r2"),
        checkpointer.run_from(first, run_id="r1"),
        ParallelWorkflow(journal=journal).run(run_id="r2"),
    ):
        with pytest.raises(RunConflictError, match="Take another name"):
            await run


@in_virtual_time
async def test_row_105_without_a_journal_there_is_nothing_to_load():
    with pytest.raises(WorkflowRuntimeError, match="has no journal, so there is nothing to load"):
        await WorkflowCheckpointer(ParallelWorkflow()).load()


@in_virtual_time
async def test_row_105_records_of_another_workflow_are_refused():
    journal = MemoryJournal()
    await answered(Zoo(journal=journal).run(run_id="r1"))
    checkpointer = WorkflowCheckpointer(Zoo(journal=journal))
    await checkpointer.load()
    children = [one.ctx_state["children"] for one in checkpointer.checkpoints["r1"]]
    child = next(next(iter(each.values())) for each in children if each)
    Context.from_dict(Child(), child)
    with pytest.raises(ContextSerdeError, match="Cannot load this context"):
        Context.from_dict(Inner(), child)
    for key in child:
        for bad in (
            {k: v for k, v in child.items() if k != key or key == "format"},
            child | {key: 5},
            child | {key: [[1]]},
        ):
            if bad != child and (key, bad.get(key)) != ("until", 5):
                with pytest.raises(ContextSerdeError):
                    Context.from_dict(Child(), bad)
