"""Rows 24 and 66: a limiter that several share, and a stream that waits for its readers."""

import gc
import math
from functools import partial

import anyio
import anyio.lowlevel
import pytest
import trio

from plait import Context, HumanResponseEvent, StartEvent, StopEvent, Workflow, step
from plait.errors import StreamFullError, WorkflowRuntimeError, WorkflowValidationError
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B


class Meter:
    """Counts the bodies that run."""

    def __init__(self):
        self.now = self.most = self.total = 0

    async def body(self, pause):
        self.now += 1
        self.total += 1
        self.most = max(self.most, self.now)
        try:
            await pause()
        finally:
            self.now -= 1


def limited(limiter, meter, pause):
    class Flow(Workflow):
        @step(limiter=limiter)
        async def s(self, ev: StartEvent) -> A:
            await meter.body(pause)
            return A()

        @step(limiter=limiter)
        async def t(self, ev: A) -> StopEvent:
            await meter.body(pause)
            return StopEvent()

    return Flow


@pytest.mark.anyio
async def test_row_024_a_shared_limiter_bounds_steps_runs_and_instances_together():
    limiter, meter = anyio.CapacityLimiter(1), Meter()
    flow = limited(limiter, meter, anyio.lowlevel.checkpoint)
    one, other = flow(), flow()
    async with one.run(), one.run(), one.run(), other.run(), other.run():
        pass
    assert (meter.most, meter.total) == (1, 10)
    assert limiter.borrowed_tokens == 0


async def test_row_024_a_limiter_of_trio(autojump_clock):
    limiter, meter = trio.CapacityLimiter(1), Meter()
    flow = limited(limiter, meter, partial(anyio.sleep, 1))
    one, other = flow(), flow()
    async with one.run(), one.run(), one.run(), other.run(), other.run():
        pass
    assert (meter.most, meter.total) == (1, 10)
    assert anyio.current_time() == 10
    assert limiter.borrowed_tokens == 0


@in_virtual_time
async def test_row_024_a_waiting_delivery_holds_no_token():
    limiter = anyio.CapacityLimiter(1)

    class Flow(Workflow):
        @step(limiter=limiter)
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.send_event(A())
            return StopEvent(result=await ctx.wait_for_event(B))

        @step(limiter=limiter)
        async def t(self, ev: A) -> B:
            await anyio.sleep(1)
            return B(n=3)

    assert await Flow(disable_validation=True).run() == B(n=3)
    assert anyio.current_time() == 1
    assert limiter.borrowed_tokens == 0


@in_virtual_time
async def test_row_024_a_run_that_stands_in_line_can_be_cancelled():
    limiter = anyio.CapacityLimiter(1)

    class Waiting(Workflow):
        @step(limiter=limiter)
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await ctx.wait_for_event(HumanResponseEvent))

    class Working(Workflow):
        @step(limiter=limiter)
        async def s(self, ev: StartEvent) -> StopEvent:
            await anyio.sleep(100)
            return StopEvent()

    async with anyio.create_task_group() as nursery:
        async with Waiting().run() as waiting:
            await anyio.sleep(1)
            working = Working().run().start_soon(nursery)
            await anyio.sleep(1)
            waiting.send_event(HumanResponseEvent())
            await anyio.sleep(1)
            waiting.cancel()
        assert anyio.current_time() == 3
        await working
    assert anyio.current_time() == 101
    assert limiter.borrowed_tokens == 0


@in_virtual_time
async def test_row_024_a_cancelled_run_gives_its_tokens_back():
    limiter, meter = anyio.CapacityLimiter(2), Meter()
    flow = limited(limiter, meter, anyio.sleep_forever)
    with anyio.move_on_after(1):
        async with flow().run(), flow().run(), flow().run():
            pass
    assert (meter.most, meter.total) == (2, 2)
    assert limiter.borrowed_tokens == 0
    assert limiter.statistics().tasks_waiting == 0


# ---------------------------------------------------------------- 66


class Emitter(Workflow):
    """Emits five events, and notes when each call returned."""

    def __init__(self, **options):
        super().__init__(**options)
        self.times = []

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
        for n in range(5):
            await ctx.emit(A(n=n))
            self.times.append(anyio.current_time())
        return StopEvent()


@in_virtual_time
async def test_row_066_emit_waits_for_the_reader():
    flow, seen = Emitter(stream_buffer=2), []
    async with flow.run() as run:
        async for event in run.stream_events():
            seen.append((event, anyio.current_time()))
            await anyio.sleep(1)
    assert flow.times == [0, 0, 0, 1, 2]
    assert seen == [*((A(n=n), n) for n in range(5)), (StopEvent(), 5)]


@in_virtual_time
async def test_row_066_without_bound_emit_does_not_wait():
    flow = Emitter(stream_buffer=math.inf)
    await flow.run()
    assert flow.times == [0] * 5


@in_virtual_time
async def test_row_066_the_slowest_reader_counts():
    flow = Emitter(stream_buffer=2)

    async def read(run, pause):
        async for _ in run.stream_events():
            await anyio.sleep(pause)

    async with flow.run() as run, anyio.create_task_group() as nursery:
        nursery.start_soon(read, run, 1)
        nursery.start_soon(read, run, 3)
    assert flow.times == [0, 0, 0, 3, 6]


@in_virtual_time
async def test_row_066_a_reader_that_leaves_does_not_count():
    flow = Emitter(stream_buffer=2)

    async with flow.run() as run:
        slow = run.stream_events()
        fast = run.stream_events()
        async with fast:
            assert [await anext(fast) for _ in range(2)] == [A(n=0), A(n=1)]
            await anyio.sleep(1)
            assert flow.times == [0, 0]
            await slow.aclose()
            assert [event async for event in fast] == [A(n=2), A(n=3), A(n=4), StopEvent()]
    assert flow.times[:2] == [0, 0]
    assert set(flow.times[2:]) == {1}


@in_virtual_time
async def test_row_066_a_reader_that_is_dropped_does_not_count():
    flow, seen = Emitter(stream_buffer=2), []

    async def read(run):
        async for event in run.stream_events():
            seen.append(event)

    async with flow.run() as run, anyio.create_task_group() as nursery:
        dropped = run.stream_events()
        nursery.start_soon(read, run)
        await anyio.sleep(1)
        assert seen == [A(n=0), A(n=1)]
        del dropped
        gc.collect()
        with anyio.move_on_after(60) as patience:
            await run
        run.cancel()
    assert not patience.cancelled_caught
    assert len(seen) == 6


@in_virtual_time
async def test_row_066_an_emit_that_is_cancelled_gives_its_turn_to_the_next():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> B | None:
            for n in range(4):
                ctx.send_event(B(n=n))

        @step
        async def t(self, ctx: Context, ev: B) -> StopEvent | None:
            await anyio.sleep(ev.n)
            with scopes[ev.n]:
                await ctx.emit(A(n=ev.n))
            return StopEvent() if ev.n == 3 else None

    scopes = [anyio.CancelScope() for _ in range(4)]
    async with Flow(stream_buffer=1).run() as run, run.stream_events() as stream:
        assert await anext(stream) == A(n=0)
        await anyio.sleep(10)  # A1 is in the backlog, A2 and A3 are blocked
        scopes[2].cancel()
        assert await anext(stream) == A(n=1)
        with anyio.move_on_after(60) as patience:
            assert [event async for event in stream] == [A(n=3), StopEvent()]
        run.cancel()
    assert not patience.cancelled_caught


@in_virtual_time
async def test_row_066_emits_come_out_in_the_order_of_the_calls():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(6):
                ctx.send_event(A(n=n))

        @step(num_workers=6)
        async def t(self, ctx: Context, ev: A) -> StopEvent | None:
            await anyio.sleep(ev.n)
            await ctx.emit(ev)
            return ctx.collect_events(ev, [A] * 6) and StopEvent()

    seen = []
    async with Flow(stream_buffer=1).run() as run:
        stream = run.stream_events()
        await anyio.sleep(10)
        async for event in stream:
            seen.append(event)
            await anyio.sleep(1)
    assert seen == [*(A(n=n) for n in range(6)), StopEvent()]


@in_virtual_time
async def test_row_066_a_write_does_not_take_the_room_of_an_emit():
    """A reader has let a blocked emit in; that has not written yet, but its place is taken."""

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await ctx.emit(A(n=1))
            await ctx.emit(A(n=2))
            return StopEvent()

    async with Flow(stream_buffer=1).run() as run:
        stream = run.stream_events()
        await anyio.sleep(10)
        assert await anext(stream) == A(n=1)
        with pytest.raises(StreamFullError):
            run.ctx.write_event_to_stream(A(n=3))
        assert [event async for event in stream] == [A(n=2), StopEvent()]


class Burst(Workflow):
    """Four deliveries emit in one instant."""

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | None:
        for n in range(4):
            ctx.send_event(A(n=n))

    @step
    async def t(self, ctx: Context, ev: A) -> B:
        await ctx.emit(ev)
        return B()

    @step
    async def end(self, ctx: Context, ev: B) -> StopEvent | None:
        return ctx.collect_events(ev, [B] * 4) and StopEvent()


@pytest.mark.anyio
async def test_row_066_emits_of_one_instant_do_not_pass_the_bound_together():
    async with Burst(stream_buffer=1).run() as run:
        seen = [event async for event in run.stream_events()]
    assert seen == [*(A(n=n) for n in range(4)), StopEvent()]


@pytest.mark.anyio
async def test_row_066_emits_of_one_instant_come_in_order():
    run = Burst().run()
    await run
    assert [event async for event in run.stream_events()] == [
        *(A(n=n) for n in range(4)),
        StopEvent(),
    ]


@pytest.mark.anyio
async def test_row_066_without_reader_the_third_write_raises():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            for n in range(3):
                ctx.write_event_to_stream(A(n=n))
            return StopEvent()

    run = Flow(stream_buffer=2).run()
    with pytest.raises(StreamFullError) as caught:
        await run
    assert str(caught.value) == (
        "The stream buffer is full (2 of 2). Use await ctx.emit(ev), which waits."
    )
    assert isinstance(caught.value, WorkflowRuntimeError)
    *written, _ = [event async for event in run.stream_events()]
    assert written == [A(n=0), A(n=1)]


@pytest.mark.anyio
async def test_row_066_a_late_reader_gets_everything():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            for n in range(20):
                await ctx.emit(A(n=n))
            return StopEvent()

    expected = [*(A(n=n) for n in range(20)), StopEvent()]
    async with Flow(stream_buffer=3).run() as run:
        assert [event async for event in run.stream_events()] == expected
    assert [event async for event in run.stream_events()] == expected


@in_virtual_time
async def test_row_066_a_blocked_emit_is_cancelled_with_the_run():
    flow = Emitter(stream_buffer=2)
    with anyio.move_on_after(1) as scope:
        await flow.run()
    assert scope.cancelled_caught
    assert flow.times == [0, 0]


@pytest.mark.parametrize("bad", [0, -1, 1.5, "2", True, None])
def test_row_066_the_bound_is_checked(bad):
    with pytest.raises(WorkflowValidationError) as caught:
        Emitter(stream_buffer=bad)
    assert "stream_buffer must be an integer greater than 0 or math.inf" in str(caught.value)
