"""Plain `def` steps: each runs in a worker thread, and nothing leaves it behind."""

import threading

import anyio
import anyio.lowlevel
import pytest

from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowCancelledByUser, WorkflowRuntimeError

pytestmark = pytest.mark.anyio

#: A thread that waits this long has been forgotten.
LONG = 10


class Began(Event):
    pass


class Item(Event):
    n: int = 0


async def began(run):
    """Wait until the thread has said that it runs."""
    async for event in run.stream_events():
        if isinstance(event, Began):
            return


async def turns(count=20):
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


class Held(Workflow):
    """A step that holds its thread until `release` is set, then does what is tested."""

    def __init__(self, then=None):
        super().__init__()
        self.release = threading.Event()
        self.then = then
        self.log = []

    @step
    def hold(self, ctx: Context, ev: StartEvent) -> Item | StopEvent:
        ctx.write_event_to_stream(Began())
        assert self.release.wait(LONG)
        try:
            if self.then:
                self.then(ctx, ev)
        except BaseException as error:
            self.log.append(type(error))
            raise
        self.log.append("held")
        return StopEvent(result="held")

    @step
    async def take(self, ev: Item) -> StopEvent:
        self.log.append("took")
        return StopEvent(result="took")


async def test_cancellation_waits_for_the_thread():
    flow = Held()
    async with flow.run() as run:
        await began(run)
        run.cancel()
        await turns()
        assert not run.is_done()
        assert flow.log == []
        flow.release.set()
        with pytest.raises(WorkflowCancelledByUser):
            await run
    assert flow.log == ["held"]


async def test_cancelling_the_callers_scope_waits_for_the_thread():
    flow = Held()
    with anyio.CancelScope() as scope:
        async with flow.run() as run:
            await began(run)
            scope.cancel()
            flow.release.set()
    assert scope.cancelled_caught
    assert run.is_done()
    assert flow.log == ["held"]


CALLS = {
    "send_event": lambda ctx, ev: ctx.send_event(Item()),
    "write_event_to_stream": lambda ctx, ev: ctx.write_event_to_stream(Item()),
    "collect_events": lambda ctx, ev: ctx.collect_events(ev, [StartEvent] * 2),
}


@pytest.mark.parametrize("call", CALLS)
async def test_calls_from_the_thread_raise_cancelled_once_the_run_is_cancelled(call):
    flow = Held(then=CALLS[call])
    async with flow.run() as run:
        await began(run)
        run.cancel()
        await turns()
        flow.release.set()
    assert flow.log == [anyio.get_cancelled_exc_class()]
    assert run.state == "cancelled"


@pytest.mark.parametrize("call", CALLS)
async def test_calls_from_the_thread_raise_cancelled_once_a_sibling_has_stopped(call):
    class Siblings(Held):
        @step
        async def stop(self, ev: StartEvent) -> StopEvent:
            await stopping.wait()
            return StopEvent(result="stopped")

    flow, stopping = Siblings(then=CALLS[call]), anyio.Event()
    async with flow.run() as run:
        await began(run)
        stopping.set()
        await turns()
        assert not run.is_done()
        flow.release.set()
        assert await run == "stopped"
    assert flow.log == [anyio.get_cancelled_exc_class()]


async def test_a_thread_that_swallows_cancelled_is_awaited_and_its_event_goes_nowhere():
    # The class of the running backend is looked up here: a thread has none.
    cancelled = anyio.get_cancelled_exc_class()

    def swallowing(ctx, ev):
        try:
            ctx.send_event(Item())
        except cancelled:
            flow.log.append("swallowed")

    flow = Held(then=swallowing)
    async with flow.run() as run:
        await began(run)
        run.cancel()
        await turns()
        flow.release.set()
    assert flow.log == ["swallowed", "held"]
    assert run.state == "cancelled"
    assert run.undelivered == ()


async def test_sends_writes_and_collects_from_threads():
    class Flow(Workflow):
        @step
        def start(self, ctx: Context, ev: StartEvent) -> Item | None:
            ctx.write_event_to_stream(Item(n=99))
            for n in range(10):
                ctx.send_event(Item(n=n))

        @step(num_workers=3)
        def work(self, ctx: Context, ev: Item) -> StopEvent | None:
            with lock:
                names.add(threading.current_thread())
            batch = ctx.collect_events(ev, [Item] * 10)
            return batch and StopEvent(result=sorted(item.n for item in batch))

    lock, names = threading.Lock(), set()
    async with Flow().run() as run:
        assert [event async for event in run.stream_events()] == [
            Item(n=99),
            StopEvent([*range(10)]),
        ]
    assert threading.main_thread() not in names


async def test_no_more_threads_than_workers():
    now = most = 0
    lock, meet = threading.Lock(), threading.Barrier(3, timeout=LONG)

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
            for n in range(6):
                ctx.send_event(Item(n=n))

        @step(num_workers=3)
        def work(self, ctx: Context, ev: Item) -> StopEvent | None:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            meet.wait()  # three must be there at once
            with lock:
                now -= 1
            return ctx.collect_events(ev, [Item] * 6) and StopEvent()

    await Flow().run()
    assert most == 3


async def test_num_workers_is_the_only_bound_of_threads():
    """Neither Trio's nor AnyIO's default limit of 40 threads."""
    count = 60
    meet = threading.Barrier(count, timeout=LONG)

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
            for n in range(count):
                ctx.send_event(Item(n=n))

        @step(num_workers=count)
        def work(self, ctx: Context, ev: Item) -> StopEvent | None:
            meet.wait()
            return ctx.collect_events(ev, {Item: count}) and StopEvent()

    await Flow().run()


async def test_a_failure_in_a_thread_comes_out_with_its_frame():
    class Flow(Workflow):
        @step
        def s(self, ev: StartEvent) -> StopEvent:
            raise ValueError("x")

    with pytest.raises(ValueError, match="x") as caught:
        await Flow().run()
    assert caught.traceback[-1].name == "s"
    assert len(caught.value.__notes__) == 2


async def test_a_refusal_is_raised_in_the_thread():
    class Nobody(Event):
        pass

    class Flow(Workflow):
        @step
        def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            with pytest.raises(WorkflowRuntimeError, match="sent Nobody, but no step"):
                ctx.send_event(Nobody())
            with pytest.raises(WorkflowRuntimeError, match="event that is not its input"):
                ctx.collect_events(Item(), [Item])
            return StopEvent(result=ctx.step_name)

    assert await Flow().run() == "s"


async def test_a_thread_may_stop_the_run_itself():
    class Flow(Workflow):
        @step
        def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.send_event(StopEvent(result="sent"))
            return StopEvent(result="returned")

    assert await Flow().run() == "sent"


async def test_two_runs_of_plain_steps_do_not_wait_for_each_other():
    flow, other = Held(), Held()
    async with flow.run() as run, other.run() as second:
        await began(run)
        await began(second)
        other.release.set()
        assert await second == "held"
        assert not run.is_done()
        flow.release.set()
        assert await run == "held"
