"""What comes from elsewhere: another thread, the garbage collector, Ctrl-C."""

import gc
import signal
import threading

import anyio
import pytest
import trio

from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowRuntimeError


class Go(Event):
    """Starts what is cancelled."""


class Slow(Workflow):
    """Sleeps as long as it is told to."""

    @step
    async def sleep(self, ev: StartEvent) -> StopEvent:
        await trio.sleep(ev.seconds)
        return StopEvent(result="slept")


def test_ctrl_c_in_a_queued_run_gives_its_place_back():
    flow = Slow(num_concurrent_runs=1)
    queued = []

    async def interrupt():
        await trio.testing.wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGINT)

    async def main():
        async with trio.open_nursery() as nursery:
            flow.run(seconds=100).start_soon(nursery)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(interrupt)
            queued.append(flow.run(seconds=100))
            await queued[0]

    with pytest.raises(BaseExceptionGroup) as caught:
        trio.run(main)
    assert caught.value.subgroup(KeyboardInterrupt) is not None
    assert queued[0].is_done()

    async def again():
        return await flow.run(seconds=0)

    assert trio.run(again) == "slept"


@pytest.mark.anyio
async def test_a_reader_that_is_collected_in_a_thread_lets_the_writer_go_on():
    class Writes(Workflow):
        @step
        async def write(self, ctx: Context, ev: StartEvent) -> StopEvent:
            for n in range(5):
                await ctx.emit(Event(n=n))
            return StopEvent(result="written")

    gc.disable()
    try:
        async with Writes(stream_buffer=2).run() as run:
            cycle = [run.stream_events()]
            cycle.append(cycle)
            await anyio.wait_all_tasks_blocked()
            assert run.running_steps() == ["write"]
            other = run.stream_events()  # it has taken all there is, and waits
            for n in range(2):
                assert (await anext(other)).n == n
            del cycle
            await anyio.to_thread.run_sync(gc.collect)
            assert [ev.n async for ev in other if type(ev) is Event] == [2, 3, 4]
            assert await run.result() == "written"
    finally:
        gc.enable()


class Cancels(Workflow):
    """A plain step cancels an asynchronous one."""

    @step
    async def start(self, ev: StartEvent) -> Go:
        return Go()

    @step
    async def slow(self, ctx: Context, ev: Go) -> StopEvent | None:
        self.began.set()
        try:
            await anyio.sleep_forever()
        finally:
            ctx.send_event(StopEvent(result="cancelled"))

    @step(skip_graph_checks=["dead_end"])
    def killer(self, ctx: Context, ev: Go) -> None:
        assert self.began.wait(10)
        assert ctx.cancel_step("slow") == 1


@pytest.mark.anyio
async def test_a_plain_step_cancels_another_step():
    flow = Cancels()
    flow.began = threading.Event()
    assert await flow.run() == "cancelled"


@pytest.mark.anyio
async def test_a_run_is_not_cancelled_from_a_thread():
    class Waits(Workflow):
        @step
        async def wait(self, ctx: Context, ev: StartEvent) -> StopEvent:
            with pytest.raises(WorkflowRuntimeError, match=r"from_thread\.run_sync\(cancel"):
                await anyio.to_thread.run_sync(self.current.cancel)
            return StopEvent(result="goes on")

    flow = Waits()
    flow.current = flow.run()
    assert await flow.current == "goes on"
