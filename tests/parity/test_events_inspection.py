"""Rows 68, 107, 109, 126 and 127: what a run tells of its steps, and a run taken step by step."""

import json
from contextlib import asynccontextmanager
from typing import Annotated

import anyio
import anyio.lowlevel
import pytest

from plait import (
    Context,
    HumanResponseEvent,
    Resource,
    ResourceConfig,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from plait.errors import WorkflowRuntimeError, WorkflowValidationError
from plait.events import StepFailedEvent, StepState, StepStateChanged, catch_error
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B, C


class TwoEvents(Workflow):
    """Two events for a step with one worker."""

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | None:
        ctx.send_event(A(n=1))
        ctx.send_event(A(n=2))

    @step(num_workers=1)
    async def t(self, ctx: Context, ev: A) -> B | None:
        await anyio.lowlevel.checkpoint()
        return B() if ev.n == 2 else None

    @step
    async def end(self, ev: B) -> StopEvent:
        return StopEvent()


@pytest.mark.anyio
async def test_row_068_step_states_on_request():
    async with TwoEvents().run() as run:
        events = [event async for event in run.stream_events(expose_internal=True)]
    states = [e for e in events if isinstance(e, StepStateChanged) and e.name == "t"]
    assert [event.step_state for event in states] == [
        StepState.RUNNING,
        StepState.PREPARING,
        StepState.NOT_RUNNING,
        StepState.RUNNING,
        StepState.NOT_RUNNING,
    ]
    assert [event.worker_id for event in states] == ["0", "<enqueued>", "0", "0", "0"]
    assert [event.input_event_name for event in states] == ["A"] * 5
    assert [event.output_event_name for event in states] == [None, None, None, None, "B"]
    assert events[-1] == StopEvent()


@pytest.mark.anyio
async def test_row_068_without_request_there_are_none():
    async with TwoEvents().run() as run:
        internal = run.stream_events(expose_internal=True)
        assert [event async for event in run.stream_events()] == [StopEvent()]
        assert len([event async for event in internal]) > 1
    assert [event async for event in run.stream_events(expose_internal=True)] == [StopEvent()]


@pytest.mark.anyio
async def test_row_068_the_output_of_a_fan_out():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A]:
            return [A(n=1), A(n=2)]

        @step
        async def join(self, evs: list[A]) -> StopEvent:
            return StopEvent()

    async with Flow().run() as run:
        events = [
            event
            async for event in run.stream_events(expose_internal=True)
            if isinstance(event, StepStateChanged) and event.step_state is StepState.NOT_RUNNING
        ]
    assert [(event.name, event.output_event_name) for event in events] == [
        ("s", "list"),
        ("join", "StopEvent"),
    ]


@pytest.mark.anyio
async def test_row_107_stepwise():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> A:
            log.append("s")
            return A(n=1)

        @step
        async def t(self, ev: A) -> StopEvent:
            log.append("t")
            return StopEvent(result="r")

    log = []
    async with Flow().run().stepwise() as run:
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        assert log == []
        assert await run.run_step() == [A(n=1)]
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        assert log == ["s"]
        assert await run.run_step() == [StopEvent(result="r")]
        assert await run.run_step() is None
        assert await run.run_step() is None
    assert await run == "r"


@pytest.mark.anyio
async def test_row_107_one_delivery_at_a_time_in_the_order_of_their_numbers():
    log = []

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
            ctx.send_event(A(n=1))
            ctx.send_event(B(n=1))
            return A(n=2)

        @step
        async def t(self, ev: A) -> C | None:
            log.append(f"begin {ev!r}")
            await anyio.lowlevel.checkpoint()
            log.append(f"end {ev!r}")
            return C(n=ev.n) if ev.n == 2 else None

        @step
        async def u(self, ev: B) -> None:
            log.append(f"begin {ev!r}")
            await anyio.lowlevel.checkpoint()
            log.append(f"end {ev!r}")

        @step
        async def end(self, ev: C) -> StopEvent:
            return StopEvent()

    async with Flow(disable_validation=True).run().stepwise() as run:
        assert await run.run_step() == [A(n=1), B(n=1), A(n=2)]
        assert await run.run_step() == []
        assert await run.run_step() == []
        assert await run.run_step() == [C(n=2)]
        assert await run.run_step() == [StopEvent()]
        assert await run.run_step() is None
    assert log == [
        f"{what} {event}" for event in ("A(n=1)", "B(n=1)", "A(n=2)") for what in ("begin", "end")
    ]


@pytest.mark.anyio
async def test_row_107_no_deadlock_at_a_join():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
            ctx.send_event(A(n=1))
            ctx.send_event(B(n=2))

        @step
        async def a(self, ev: A) -> C:
            return C(n=ev.n)

        @step
        async def j(self, c: C, b: B) -> StopEvent:
            return StopEvent(result=c.n + b.n)

    async with Flow().run().stepwise() as run:
        steps = []
        while (events := await run.run_step()) is not None:
            steps.append(events)
    assert steps == [[A(n=1), B(n=2)], [C(n=1)], [StopEvent(result=3)]]
    assert await run == 3


@pytest.mark.anyio
async def test_row_107_a_fan_out_and_its_fan_in():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A]:
            return [A(n=1), A(n=2)]

        @step
        async def t(self, ev: A) -> B:
            return B(n=ev.n)

        @step
        async def join(self, evs: list[B]) -> StopEvent:
            return StopEvent(result=[ev.n for ev in evs])

    async with Flow().run().stepwise() as run:
        steps = []
        while (events := await run.run_step()) is not None:
            steps.append(events)
    assert steps == [[A(n=1), A(n=2)], [B(n=1)], [B(n=2)], [StopEvent(result=[1, 2])]]


@pytest.mark.anyio
async def test_row_107_it_waits_while_the_run_is_idle():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> None:
            pass

        @step
        async def end(self, ev: HumanResponseEvent) -> StopEvent:
            return StopEvent(result=ev.response)

    steps = []

    async def walk(run):
        while (events := await run.run_step()) is not None:
            steps.append(events)

    async with (
        Flow(skip_graph_checks=["dead_end"]).run().stepwise() as run,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(walk, run)
        await run.wait_idle()
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        assert steps == [[]]
        run.send_event(HumanResponseEvent(response="yes"))
    assert steps == [[], [StopEvent(result="yes")]]


@pytest.mark.anyio
async def test_row_107_a_question_and_its_answer():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            answer = await ctx.wait_for_event(HumanResponseEvent)
            return StopEvent(result=answer.response)

    steps = []

    async def walk(run):
        while (events := await run.run_step()) is not None:
            steps.append(events)

    async with Flow().run().stepwise() as run, anyio.create_task_group() as tasks:
        tasks.start_soon(walk, run)
        await run.wait_idle()
        run.send_event(HumanResponseEvent(response="yes"))
    assert await run == "yes"
    assert steps[-1] == [StopEvent(result="yes")]


@pytest.mark.anyio
async def test_row_107_a_failure_ends_the_steps():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        async with Flow().run().stepwise() as run:
            assert await run.run_step() in ([], None)
            assert await run.run_step() is None


@pytest.mark.anyio
async def test_row_107_only_after_stepwise_and_only_before_the_start():
    async with TwoEvents().run() as run:
        with pytest.raises(WorkflowRuntimeError):
            await run.run_step()
        for ask in (run.stepwise, run.trace):
            with pytest.raises(WorkflowRuntimeError):
                ask()


# ---------------------------------------------------------------- 109: resources


def faults(call):
    with pytest.raises(WorkflowValidationError) as caught:
        call()
    return caught.value


def test_row_109_a_config_file_that_is_missing(tmp_path):
    missing = str(tmp_path / "x.json")

    class W(Workflow):
        @step
        async def s(self, ev: StartEvent, c: Annotated[dict, ResourceConfig(missing)]) -> StopEvent:
            return StopEvent()

    text = str(faults(W().validate))
    assert "Resource config validation failed:\n" in text
    assert f"  - In step 's', parameter 'c': No such file: {missing}" in text
    assert W().validate(validate_resource_configs=False) is False


def test_row_109_a_config_file_that_is_there(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"a": {"b": 1}}))

    class W(Workflow):
        @step
        async def s(
            self, ev: StartEvent, c: Annotated[dict, ResourceConfig(str(path), "a")]
        ) -> StopEvent:
            return StopEvent()

    assert W().validate() is False


def test_row_109_a_context_manager_does_not_live_with_the_workflow():
    @asynccontextmanager
    async def pool():
        yield 1

    class W(Workflow):
        @step
        async def s(
            self, ev: StartEvent, p: Annotated[int, Resource(pool, scope="workflow")]
        ) -> StopEvent:
            return StopEvent()

    text = str(faults(W().validate))
    assert "A context manager resource cannot have scope 'workflow'. Use scope='run'." in text


# ---------------------------------------------------------------- 126: verbose


@in_virtual_time
async def test_row_126_verbose_lines(capsys):
    class Flow(Workflow):
        @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=2, delay=5))
        async def s(self, ctx: Context, ev: StartEvent) -> A:
            if ctx.retry_info().retry_number == 0:
                raise ValueError("x")
            return A()

        @step
        async def t(self, ev: A) -> StopEvent:
            return StopEvent(result=1)

    await Flow(verbose=True).run()
    assert capsys.readouterr().out.splitlines() == [
        "[s:0] started from StartEvent",
        "[s:0] failed: ValueError('x')",
        "[s:0] retry in 5.0 s",
        "[s:0] started from StartEvent",
        "[s:0] complete with A",
        "[t:0] started from A",
        "[t:0] complete with StopEvent",
        "[result] StopEvent(result=1)",
    ]


@pytest.mark.anyio
async def test_row_126_verbose_lines_of_several_workers(capsys):
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A]:
            return [A(n=1), A(n=2)]

        @step(num_workers=2)
        async def t(self, ev: A) -> B | None:
            for _ in range(ev.n):
                await anyio.lowlevel.checkpoint()
            await both.wait() if ev.n == 1 else both.set()
            return None

        @step
        async def join(self, evs: list[B]) -> StopEvent:
            return StopEvent(result=len(evs))

    both = anyio.Event()
    await Flow(verbose=True).run()
    out = capsys.readouterr().out.splitlines()
    assert out[:1] == ["[s:0] started from StartEvent"]
    assert sorted(out[2:4]) == ["[t:0] started from A", "[t:1] started from A"]
    assert sorted(out[4:6]) == ["[t:0] complete with None", "[t:1] complete with None"]
    assert out[-1] == "[result] StopEvent(result=0)"


@pytest.mark.anyio
async def test_row_126_a_failure_is_a_line(capsys):
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            raise ValueError("x")

        @catch_error
        async def h(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

    await Flow(verbose=True).run()
    assert capsys.readouterr().out.splitlines() == [
        "[s:0] started from StartEvent",
        "[s:0] failed: ValueError('x')",
        "[h:0] started from StepFailedEvent",
        "[h:0] complete with StopEvent",
        "[result] StopEvent(result=None)",
    ]


@pytest.mark.anyio
async def test_row_126_without_verbose_nothing_is_printed(capsys):
    await TwoEvents().run()
    assert capsys.readouterr() == ("", "")


# ---------------------------------------------------------------- 127: traces


@in_virtual_time
async def test_row_127_a_readable_trace():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A:
            await anyio.sleep(1)
            ctx.send_event(B(n=1))
            await anyio.sleep(0.5)
            return A(n=1)

        @step
        async def t(self, ev: A | B) -> StopEvent | None:
            await anyio.sleep(1)
            return StopEvent() if isinstance(ev, A) else None

    await anyio.sleep(100)  # a trace's times begin with the run
    run = Flow(disable_validation=True).run()
    trace = run.trace()
    await run
    lines = str(trace).splitlines()
    times = [float(line.split(" s ")[0]) for line in lines]
    assert times == sorted(times)
    assert {*times} == {0.0, 1.0, 1.5, 2.0, 2.5}

    def at(time, *words):
        found = [
            line
            for line, when in zip(lines, times, strict=True)
            if when == time and all(word in line for word in words)
        ]
        assert len(found) == 1, (words, str(trace))

    at(0.0, "s#1", "starts")
    at(1.0, "s#1", "sends B", "to t")
    at(1.0, "t#2", "starts")
    at(1.5, "s#1", "ends", "returns A")
    at(1.5, "t#3", "starts")
    at(2.0, "t#2", "ends")
    at(2.5, "t#3", "ends", "returns StopEvent")
    assert len(trace.records) >= 8


@pytest.mark.anyio
async def test_row_127_a_trace_of_failures_waits_and_lists():
    class Flow(Workflow):
        @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=2, delay=0))
        async def s(self, ctx: Context, ev: StartEvent) -> list[A]:
            if ctx.retry_info().retry_number == 0:
                raise ValueError("x")
            return [A(), A()]

        @step
        async def t(self, ctx: Context, ev: A) -> B:
            await ctx.wait_for_event(HumanResponseEvent)
            return B()

        @step
        async def join(self, evs: list[B]) -> StopEvent:
            return StopEvent()

    run = Flow().run()
    trace = run.trace()
    async with run:
        await run.wait_idle()
        run.send_event(HumanResponseEvent())
        run.send_event(HumanResponseEvent())
    story = str(trace)
    for words in ("fails: ValueError('x')", "waits for HumanResponseEvent", "goes on", "join#"):
        assert words in story, story
    assert repr(trace) == f"<Trace of {len(trace.records)} records>"


@pytest.mark.anyio
async def test_row_127_a_trace_of_a_run_that_failed():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            raise ValueError("x")

    run = Flow().run()
    trace = run.trace()
    with pytest.raises(ValueError, match="x"):
        await run
    assert "fails: ValueError('x')" in str(trace)


def test_row_127_an_empty_trace():
    run = TwoEvents().run()
    trace = run.trace()
    assert str(trace) == ""
    with pytest.warns(ResourceWarning):
        del run
