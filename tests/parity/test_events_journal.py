"""Rows 95, 96, 98 and 105, as far as they need a journal and no snapshot; and what 3.8 to 3.10 say of one."""

import collections
import os
import signal
import subprocess
import sys
import textwrap

import anyio
import pytest

from plait import (
    Context,
    Event,
    HumanResponseEvent,
    JsonSerializer,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from plait.durable import MemoryJournal
from plait.errors import (
    ContextSerdeError,
    PlaitError,
    RunConflictError,
    RunLockedError,
    UnknownRunError,
    WorkflowCancelledByUser,
    WorkflowRuntimeError,
)
from tests.parity.clocks import in_virtual_time, live_tasks
from tests.parity.letters import A, B, C


class Six(Workflow):
    """Six items, two at a time; each takes a second."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> A | None:
        runs["start"] += 1
        for n in range(6):
            ctx.send_event(A(n=n))

    @step(num_workers=2)
    async def work(self, ctx: Context, ev: A) -> B:
        runs[ev.n] += 1
        order.append(ev.n)
        keys[ev.n].add(ctx.idempotency_key)
        await anyio.sleep(1)
        return B(n=ev.n)

    @step
    async def end(self, ctx: Context, ev: B) -> StopEvent | None:
        got = ctx.collect_events(ev, [B] * 6)
        return None if got is None else StopEvent(result=sorted(b.n for b in got))


runs = collections.Counter()
keys = collections.defaultdict(set)
order = []


@pytest.fixture(autouse=True)
def no_runs():
    runs.clear()
    keys.clear()
    order.clear()


@in_virtual_time
async def test_row_095_a_run_that_was_left_goes_on():
    journal = MemoryJournal()
    before = live_tasks()
    with anyio.move_on_after(1.5):
        await Six(journal=journal).run(run_id="r")
    assert live_tasks() == before
    assert await Six(journal=journal).resume("r") == [0, 1, 2, 3, 4, 5]
    assert runs["start"] == 1


@in_virtual_time
async def test_row_096_completed_work_never_runs_again():
    journal = MemoryJournal()
    with anyio.move_on_after(1.5):
        await Six(journal=journal).run(run_id="r")
    assert await Six(journal=journal).resume("r") == [0, 1, 2, 3, 4, 5]
    assert [runs[n] for n in range(6)] == [1, 1, 2, 2, 1, 1]
    assert [len(keys[n]) for n in range(6)] == [1] * 6
    assert order == [0, 1, 2, 3, 2, 3, 4, 5]
    assert all(key.startswith("r:work:") for n in range(6) for key in keys[n])


@in_virtual_time
async def test_row_097_a_value_that_cannot_be_kept_is_refused():
    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await ctx.store.set("f", lambda: None)
            return StopEvent()

    with pytest.raises(ContextSerdeError, match="Failed to serialize state value for key f:"):
        await W(journal=MemoryJournal()).run()


@in_virtual_time
async def test_row_098_a_record_of_an_unknown_step_is_refused():
    """And the run is not touched: the class that knows the step goes on with it."""

    class Less(Workflow):
        @step
        async def start(self, ev: StartEvent | A) -> StopEvent:
            return StopEvent()

    journal = MemoryJournal()
    flow = Six(journal=journal, workflow_name="six")
    with anyio.move_on_after(1.5):
        await flow.run(run_id="r")
    with pytest.raises(PlaitError, match="work"):
        await Less(journal=journal, workflow_name="six", disable_validation=True).resume("r")
    again = Six(journal=journal, workflow_name="six")
    assert await again.resume("r") == [0, 1, 2, 3, 4, 5]


KILLED = """
    import os, signal, sys
    import anyio
    from plait import Context, Event, HumanResponseEvent, JsonSerializer, StartEvent, StopEvent, Workflow, step

    class A(Event):
        n: int

    class B(Event):
        n: int

    class Told(HumanResponseEvent):
        n: int

    life, backend = int(sys.argv[1]), sys.argv[2]

    def say(*words):
        print(*words, flush=True)

    class Child(Workflow):
        @step
        async def first(self, ev: StartEvent) -> A:
            say("child first")
            return A(n=ev.n)

        @step
        async def second(self, ev: A) -> StopEvent:
            say("child second")
            if life == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return StopEvent(result=ev.n)

    class Parent(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> list[A]:
            say("start")
            await ctx.store.set("base", 100)
            return [A(n=1), A(n=2), A(n=3)]

        @step(num_workers=1)
        async def work(self, ctx: Context, ev: A) -> B:
            say("work", ev.n, ctx.idempotency_key)
            if ev.n == 3:
                told = await ctx.wait_for_event(Told, requirements={"n": 3})
                return B(n=told.n + await ctx.run_child(Child(), n=10) + await ctx.store.get("base"))
            return B(n=ev.n)

        @step
        async def end(self, evs: list[B]) -> StopEvent:
            return StopEvent(result=sorted(b.n for b in evs))

    async def main():
        flow = Parent(journal="runs.db", serializer=JsonSerializer(allowed_types=[Told]))
        async with flow.run(run_id="r") as run:
            await run.wait_idle()
            if life == 1:
                run.send_event(Told(n=3))
            say(await run.result())

    anyio.run(main, backend=backend)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_row_105_killed_with_a_wait_answered_and_a_child_in_flight(tmp_path, backend):
    """Another process has the answer, the finished deliveries, the store, and the half of the child."""
    (tmp_path / "program.py").write_text(textwrap.dedent(KILLED))

    def live(life):
        return subprocess.run(
            [sys.executable, "program.py", str(life), backend],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )

    first = live(1)
    assert first.returncode == -signal.SIGKILL, first.stderr
    assert first.stdout.splitlines() == [
        "start",
        "work 1 r:work:2",
        "work 2 r:work:3",
        "work 3 r:work:4",
        "child first",
        "child second",
    ]
    second = live(2)
    assert second.stdout.splitlines() == ["work 3 r:work:4", "child second", "[1, 2, 113]"], (
        second.stderr
    )
    third = live(3)
    assert third.stdout.splitlines() == ["[1, 2, 113]"], third.stderr


@in_virtual_time
async def test_row_107_a_stepwise_run_goes_on_step_by_step():
    """A delivery that ended is not let run again; the next call is for the next one."""

    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> A:
            runs["s"] += 1
            return A()

        @step
        async def t(self, ev: A) -> B:
            runs["t"] += 1
            return B()

        @step
        async def u(self, ev: B) -> StopEvent:
            runs["u"] += 1
            return StopEvent(result=1)

    journal = MemoryJournal()
    with anyio.CancelScope() as scope:
        async with W(journal=journal).run(run_id="r").stepwise() as run:
            assert await run.run_step() == [A()]
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    async with W(journal=journal).resume("r").stepwise() as run:
        assert await run.run_step() == [B()]
        assert runs == {"s": 1, "t": 1}
        assert await run.run_step() == [StopEvent(result=1)]
        assert await run.run_step() is None
    assert await W(journal=journal).resume("r") == 1
    assert runs == {"s": 1, "t": 1, "u": 1}


@in_virtual_time
async def test_row_107_a_stepwise_run_goes_on_at_its_own_pace():
    """Stepwise is how a process runs it, not what the run is."""
    journal = MemoryJournal()
    with anyio.CancelScope() as scope:
        async with Six(journal=journal).run(run_id="r").stepwise() as run:
            assert len(await run.run_step()) == 6
            await run.run_step()
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert await Six(journal=journal).resume("r") == [0, 1, 2, 3, 4, 5]
    assert runs[0] == runs["start"] == 1


@in_virtual_time
async def test_texts_of_a_run_that_is_known_and_of_one_that_is_not():
    """The errors of 3.10, with what is wrong and the names."""

    class Named(StartEvent):
        n: int

    class W(Workflow):
        @step
        async def s(self, ev: Named) -> StopEvent:
            return StopEvent(result=ev.n)

    journal = MemoryJournal()
    assert await W(journal=journal).run(run_id="r", n=1) == 1
    with pytest.raises(RunConflictError, match=r"Named\(n=1\), not Named\(n=2\)"):
        await W(journal=journal).run(run_id="r", n=2)
    with pytest.raises(UnknownRunError, match="no run 's'"):
        await W(journal=journal).resume("s")
    with pytest.raises(WorkflowRuntimeError, match="has no journal"):
        W().resume("r")
    assert issubclass(UnknownRunError, PlaitError)
    assert issubclass(RunLockedError, PlaitError)


@in_virtual_time
async def test_cancel_is_final_and_leaving_is_not():
    journal = MemoryJournal()
    with anyio.move_on_after(0.5):
        await Six(journal=journal).run(run_id="left")
    async with Six(journal=journal).run(run_id="cancelled") as run:
        await anyio.sleep(0.5)
        run.cancel()
    assert await Six(journal=journal).resume("left") == [0, 1, 2, 3, 4, 5]
    for _ in range(2):
        with pytest.raises(
            WorkflowCancelledByUser, match=r"Run cancelled of workflow 'Six' was cancelled\."
        ):
            await Six(journal=journal).resume("cancelled")


class Told(HumanResponseEvent):
    n: int


class Note(Event):
    text: str


@in_virtual_time
async def test_a_question_that_was_answered_is_answered_at_once():
    """What an earlier life was told is told again without anybody asking."""

    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            first = await ctx.wait_for_event(Told, timeout=None)
            ctx.write_event_to_stream(C(n=first.n))
            await anyio.sleep(10)
            return StopEvent(result=first.n)

    options = {"serializer": JsonSerializer(allowed_types=[Told, C]), "journal": MemoryJournal()}
    with anyio.move_on_after(5):
        async with W(**options).run(run_id="r") as run:
            await run.wait_idle()
            run.send_event(Told(n=4))
            await anyio.sleep_forever()
    assert anyio.current_time() == 5
    assert await W(**options).resume("r") == 4
    assert anyio.current_time() == 15


@in_virtual_time
async def test_observers_and_traces_of_a_further_life():
    """They see the life that they were asked for, from the record that takes the run up."""
    journal = MemoryJournal()
    with anyio.move_on_after(1.5):
        await Six(journal=journal).run(run_id="r")
    run = Six(journal=journal).resume("r")
    trace, seen = run.trace(), []
    run.observe(seen.append)
    await run
    assert [*trace.records] == seen
    assert type(seen[0]).__name__ == "Reopened"
    assert type(seen[-1]).__name__ == "Closed"
    assert "work" in str(trace)
