"""In an asyncio program: plait's runs among tasks, timeouts and cancellations of asyncio's own."""

import asyncio

import pytest

from plait import Context, Event, StartEvent, StopEvent, Workflow, open_runtime, step
from plait.errors import WorkflowCancelledByUser, WorkflowRuntimeError


class Item(Event):
    n: int = 0


class Flow(Workflow):
    def __init__(self, **options):
        super().__init__(**options)
        self.log = []
        self.began, self.go = asyncio.Event(), asyncio.Event()

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
        ctx.send_event(Item(n=1))
        ctx.send_event(Item(n=2))

    @step
    async def work(self, ev: Item) -> StopEvent:
        self.log.append(f"began {ev.n}")
        if len(self.log) == 2:
            self.began.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.log.append(f"cleaned up {ev.n}")
            raise
        return StopEvent(result="done")

    def check(self):
        assert self.log[:2] == ["began 1", "began 2"]
        assert sorted(self.log[2:]) == ["cleaned up 1", "cleaned up 2"]


def on_asyncio(async_fn):
    """Run an async test with `asyncio.run`, and look that no task is left."""

    def test():
        async def main():
            await async_fn()
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(main(), debug=False)

    test.__name__ = async_fn.__name__
    return test


@on_asyncio
async def test_a_run_in_a_task():
    flow = Flow()
    flow.go.set()
    assert await asyncio.create_task(wait_for(flow.run())) == "done"


async def wait_for(run):
    return await run


@on_asyncio
async def test_the_task_that_awaits_a_run_is_cancelled():
    flow = Flow()
    run = flow.run()
    task = asyncio.create_task(wait_for(run))
    await flow.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert run.state == "cancelled"
    flow.check()


@on_asyncio
async def test_cancelled_by_asyncio_while_in_a_block():
    flow = Flow()

    async def block():
        async with flow.run() as run:
            runs.append(run)
            await asyncio.Event().wait()

    runs = []
    task = asyncio.create_task(block())
    await flow.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert runs[0].state == "cancelled"
    flow.check()


@on_asyncio
async def test_cancelled_by_asyncio_while_a_block_is_left():
    flow = Flow()

    async def block():
        async with flow.run() as run:
            runs.append(run)

    runs = []
    task = asyncio.create_task(block())
    await flow.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert runs[0].state == "cancelled"
    flow.check()


@on_asyncio
async def test_a_timeout_of_asyncio_around_a_run():
    flow = Flow()

    async def expire():
        await flow.began.wait()
        scope.reschedule(0)

    waker = asyncio.create_task(expire())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as scope:
            await flow.run()
    await waker
    assert scope.expired()
    flow.check()


@on_asyncio
async def test_a_run_in_a_task_group_of_asyncio_whose_sibling_fails():
    flow = Flow()

    async def fail():
        await flow.began.wait()
        raise ValueError("sibling")

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wait_for(flow.run()))
            tasks.create_task(fail())
    assert [str(error) for error in caught.value.exceptions] == ["sibling"]
    flow.check()


@on_asyncio
async def test_runs_are_gathered():
    flow = Flow()
    flow.go.set()
    assert await asyncio.gather(flow.run(), flow.run(), flow.run()) == ["done"] * 3


@on_asyncio
async def test_a_runtime_around_tasks_of_asyncio():
    flow = Flow()
    async with open_runtime():
        handler = flow.run()
        waiter = asyncio.create_task(wait_for(handler))
        await flow.began.wait()
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert handler.state == "running"
        handler.cancel()
        with pytest.raises(WorkflowCancelledByUser):
            await handler
    flow.check()


@on_asyncio
async def test_a_run_that_is_cancelled_by_plait_does_not_cancel_its_task():
    flow = Flow()
    run = flow.run()

    async def cancel():
        await flow.began.wait()
        run.cancel()

    waker = asyncio.create_task(cancel())
    with pytest.raises(WorkflowCancelledByUser):
        await run
    await waker
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)
    flow.check()


@on_asyncio
async def test_a_future_that_somebody_cancelled_is_no_cancellation_of_the_run():
    class Waits(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
            return StopEvent()

    with pytest.raises(WorkflowRuntimeError, match="raised Cancelled, but nobody cancelled it"):
        await Waits().run()


@on_asyncio
async def test_a_step_with_tasks_and_timeouts_of_asyncio():
    class Steps(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(asyncio.sleep(0, 7))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()
            return StopEvent(result=await task)

    assert await Steps().run() == 7


@on_asyncio
async def test_a_plain_step_in_a_thread():
    class Plain(Workflow):
        @step
        def s(self, ctx: Context, ev: StartEvent) -> Item:
            ctx.write_event_to_stream(Item(n=3))
            return Item(n=4)

        @step
        async def t(self, ev: Item) -> StopEvent:
            return StopEvent(result=ev.n)

    async with Plain().run() as run:
        events = [event async for event in run.stream_events()]
        assert await run == 4
    assert events == [Item(n=3), StopEvent(4)]
