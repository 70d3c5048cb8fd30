"""Rows 63 to 65, 67 and 69: what a run shows while it runs."""

import anyio
import pytest

from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowStalledError, WorkflowTimeoutError
from plait.events import WorkflowCancelledEvent, WorkflowFailedEvent, WorkflowTimedOutEvent
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B


class Writer(Workflow):
    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A:
        ctx.write_event_to_stream(B(n=1))
        ctx.write_event_to_stream(None)
        return A()

    @step
    async def t(self, ctx: Context, ev: A) -> StopEvent:
        ctx.write_event_to_stream(B(n=2))
        return StopEvent(result="r")


WRITTEN = [B(n=1), B(n=2), StopEvent("r")]


@pytest.mark.anyio
async def test_row_063_stream_order_is_write_order_and_the_stop_event_is_last():
    async with Writer().run() as run:
        assert [event async for event in run.stream_events()] == WRITTEN


@pytest.mark.anyio
async def test_row_064_late_streaming_sees_everything():
    run = Writer().run()
    await run
    assert [event async for event in run.stream_events()] == WRITTEN
    assert [event async for event in run.stream_events()] == WRITTEN


@pytest.mark.anyio
async def test_row_065_several_consumers():
    seen = []

    async def consume(run):
        seen.append([event async for event in run.stream_events()])

    async with Writer().run() as run, anyio.create_task_group() as tasks:
        tasks.start_soon(consume, run)
        tasks.start_soon(consume, run)
    await consume(run)
    assert seen == [WRITTEN] * 3


@pytest.mark.anyio
async def test_row_065_a_consumer_that_stops_early_does_not_disturb_the_others():
    async with Writer().run() as run:
        async with run.stream_events() as stream:
            async for event in stream:
                assert event == B(n=1)
                break
        assert [event async for event in stream] == []
        await stream.aclose()
        await stream.aclose()
        assert [event async for event in run.stream_events()] == WRITTEN


@pytest.mark.anyio
async def test_row_067_a_failed_run_ends_its_stream_with_the_details():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.write_event_to_stream(A())
            raise error

    error = ValueError("x")
    run = Flow().run()
    with pytest.raises(ValueError, match="x"):
        await run
    first, last = [event async for event in run.stream_events()]
    assert first == A()
    assert type(last) is WorkflowFailedEvent
    assert (last.step_name, last.attempts) == ("s", 1)
    assert last.exception is error
    assert last.elapsed_seconds >= 0


@in_virtual_time
async def test_row_067_the_details_have_the_seconds_of_the_runs_clock():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> A:
            await anyio.sleep(1)
            return A()

        @step
        async def t(self, ev: A) -> StopEvent:
            await anyio.sleep(2)
            raise ValueError

    run = Flow().run()
    with pytest.raises(ValueError):
        await run
    (last,) = [event async for event in run.stream_events()]
    assert (last.step_name, last.elapsed_seconds) == ("t", 2)


@pytest.mark.anyio
async def test_row_067_a_stall_ends_the_stream_without_a_step():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent | None:
            return None

    run = Flow().run()
    with pytest.raises(WorkflowStalledError) as caught:
        await run
    (last,) = [event async for event in run.stream_events()]
    assert type(last) is WorkflowFailedEvent
    assert last.step_name is None
    assert last.exception is caught.value
    assert run.state == "failed"


@in_virtual_time
async def test_row_067_a_run_that_timed_out_ends_its_stream_with_the_details():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A:
            ctx.write_event_to_stream(B())
            return A()

        @step
        async def p(self, ev: A) -> StopEvent:
            await anyio.sleep_forever()
            return StopEvent()

    run = Flow(timeout=0.1).run()
    with pytest.raises(WorkflowTimeoutError):
        await run
    assert [event async for event in run.stream_events()] == [
        B(),
        WorkflowTimedOutEvent(timeout=0.1, active_steps=["p"]),
    ]
    assert run.state == "failed"


@pytest.mark.anyio
async def test_row_067_a_cancelled_run_ends_its_stream_with_that():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.write_event_to_stream(A())
            try:
                await anyio.sleep_forever()
            finally:
                ctx.write_event_to_stream(B())
            return StopEvent()

    async with Flow().run() as run:
        seen = []
        async for event in run.stream_events():
            seen.append(event)
            run.cancel()
    assert seen == [A(), B(), WorkflowCancelledEvent()]


@pytest.mark.anyio
async def test_row_069_a_written_stop_event_does_not_end_the_stream():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.write_event_to_stream(StopEvent("written"))
            ctx.write_event_to_stream(A())
            return StopEvent("real")

    async with Flow().run() as run:
        seen = [event async for event in run.stream_events()]
        assert await run == "real"
    assert seen == [StopEvent("written"), A(), StopEvent("real")]


@pytest.mark.anyio
async def test_an_observable_event_is_streamed_and_needs_no_step():
    class Progress(Event, observable=True):
        percent: int

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | Progress:
            ctx.send_event(A())
            ctx.send_event(Progress(percent=50))
            return Progress(percent=100)

        @step
        async def t(self, ev: A) -> StopEvent:
            return StopEvent()

    async with Flow().run() as run:
        seen = [event async for event in run.stream_events()]
    assert seen == [Progress(percent=50), Progress(percent=100), StopEvent()]
