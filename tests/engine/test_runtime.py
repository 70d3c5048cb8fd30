"""`open_runtime()`: section 3.3's "Runtime", sentence by sentence."""

import anyio
import anyio.lowlevel
import pytest

import plait
from plait import Context, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowCancelledByUser

pytestmark = pytest.mark.anyio


class Flow(Workflow):
    def __init__(self, error=None, cleaning=None):
        super().__init__()
        self.error, self.cleaning = error, cleaning
        self.log = []
        self.began, self.go = anyio.Event(), anyio.Event()

    @step
    async def work(self, ctx: Context, ev: StartEvent) -> StopEvent:
        self.log.append("began")
        self.began.set()
        try:
            await self.go.wait()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            self.log.append("cleaned up")
            if self.cleaning:
                raise self.cleaning from None
            raise
        self.log.append("ended")
        if self.error:
            raise self.error
        return StopEvent(result=ev.get("n", "done"))


async def ended(run):
    while not run.is_done():
        await anyio.lowlevel.checkpoint()


async def test_a_run_has_started_when_run_returns():
    flow = Flow()
    async with plait.open_runtime() as runtime:
        handler = flow.run()
        assert handler.state == "running"
        assert runtime.runs == (handler,)
        await flow.began.wait()
        flow.go.set()
        assert await handler == "done"
        assert runtime.runs == ()


async def test_it_is_in_force_in_the_tasks_that_are_started_there():
    flow = Flow()
    flow.go.set()
    results = []

    async def task():
        handler = flow.run()
        assert handler.state == "running"
        results.append(await handler)

    async with plait.open_runtime(), anyio.create_task_group() as tasks:
        tasks.start_soon(task)
        tasks.start_soon(task)
    assert results == ["done"] * 2


async def test_it_is_not_in_force_outside_of_its_block():
    async with plait.open_runtime():
        pass
    flow = Flow()
    flow.go.set()
    run = flow.run()
    assert run.state == "created"
    await run


async def test_it_is_not_in_force_after_its_block_in_a_task_that_lives_longer():
    async def late():
        await left.wait()
        run = flow.run()
        assert run.state == "created"
        assert await run == "done"

    flow, left = Flow(), anyio.Event()
    flow.go.set()
    async with anyio.create_task_group() as tasks:
        async with plait.open_runtime():
            tasks.start_soon(late)
            await anyio.lowlevel.checkpoint()
        left.set()


async def test_it_is_not_in_force_inside_steps():
    class Parent(Workflow):
        @step
        async def nest(self, ev: StartEvent) -> StopEvent:
            child = flow.run(n=3)
            assert child.state == "created"
            return StopEvent(result=await child)

    flow = Flow()
    flow.go.set()
    async with plait.open_runtime() as runtime:
        handler = Parent().run()
        assert await handler == 3
        assert runtime.runs == ()


async def test_runtimes_nest():
    outer_flow, inner_flow = Flow(), Flow()
    outer_flow.go.set()
    inner_flow.go.set()
    async with plait.open_runtime() as outer:
        async with plait.open_runtime() as inner:
            inner_run = inner_flow.run()
            assert (outer.runs, inner.runs) == ((), (inner_run,))
        assert inner_run.is_done()
        outer_run = outer_flow.run()
        assert outer.runs == (outer_run,)


async def test_leaving_waits_for_all_runs():
    one, other = Flow(), Flow()
    async with plait.open_runtime():
        one.run()
        other.run()
        one.go.set()
        other.go.set()
    assert one.log == other.log == ["began", "ended"]


async def test_cancelling_an_awaiter_leaves_the_run_alone():
    flow = Flow()
    async with plait.open_runtime():
        handler = flow.run()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await handler
        assert scope.cancelled_caught
        assert handler.state == "running"
        flow.go.set()
        assert await handler == "done"


async def test_the_block_raises_and_its_runs_are_cancelled():
    flow, error = Flow(), KeyError("body")
    with pytest.raises(KeyError) as caught:
        async with plait.open_runtime():
            handler = flow.run()
            await flow.began.wait()
            raise error
    assert caught.value is error
    assert handler.state == "cancelled"
    assert flow.log == ["began", "cleaned up"]


async def test_the_blocks_scope_is_cancelled_and_with_it_the_runs():
    flow = Flow()
    with anyio.CancelScope() as scope:
        async with plait.open_runtime():
            handler = flow.run()
            await flow.began.wait()
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert handler.state == "cancelled"
    assert flow.log == ["began", "cleaned up"]


async def test_leaving_can_be_cancelled():
    flow = Flow()
    async with anyio.create_task_group() as tasks:

        async def stop():
            await flow.began.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(stop)
        async with plait.open_runtime():
            handler = flow.run()
    assert handler.state == "cancelled"


async def test_the_failure_of_a_run_that_nobody_awaited_is_raised_on_leaving():
    flow = Flow(error=ValueError("x"))
    with pytest.raises(ValueError, match="x") as caught:
        async with plait.open_runtime() as runtime:
            handler = flow.run()
            flow.go.set()
            await ended(handler)
            assert runtime.runs == (handler,)
    assert caught.value is flow.error


async def test_a_failure_does_not_cancel_the_other_runs_nor_the_block():
    bad, good = Flow(error=ValueError("x")), Flow()
    log = []
    with pytest.raises(ValueError):
        async with plait.open_runtime():
            failing, handler = bad.run(), good.run()
            bad.go.set()
            await ended(failing)
            assert handler.state == "running"
            good.go.set()
            log.append(await handler)
    assert log == ["done"]


async def test_several_failures_are_raised_as_a_group():
    flows = [Flow(error=ValueError(n)) for n in range(3)]
    with pytest.raises(ExceptionGroup) as caught:
        async with plait.open_runtime():
            for flow in flows:
                flow.go.set()
                flow.run()
    assert [error.args[0] for error in caught.value.exceptions] == [0, 1, 2]


async def test_a_failure_that_was_awaited_is_not_raised_again():
    flow = Flow(error=ValueError("x"))
    flow.go.set()
    async with plait.open_runtime():
        handler = flow.run()
        with pytest.raises(ValueError):
            await handler


async def test_a_handler_works_as_a_block():
    flow = Flow()
    async with plait.open_runtime():
        async with flow.run() as handler:
            assert flow.log == []
            await flow.began.wait()
            flow.go.set()
        assert handler.is_done()
        assert await handler == "done"


async def test_a_handler_as_a_block_whose_body_raises():
    flow = Flow()
    async with plait.open_runtime():
        with pytest.raises(KeyError):
            async with flow.run() as handler:
                await flow.began.wait()
                raise KeyError
        assert handler.state == "cancelled"
        assert flow.log == ["began", "cleaned up"]


async def test_a_handler_as_a_block_raises_the_failure_once():
    flow = Flow(error=ValueError("x"))
    flow.go.set()
    async with plait.open_runtime():
        with pytest.raises(ValueError):
            async with flow.run():
                pass


async def test_a_handler_can_be_cancelled_quietly():
    flow = Flow()
    async with plait.open_runtime():
        handler = flow.run()
        await flow.began.wait()
        handler.cancel()
        with pytest.raises(WorkflowCancelledByUser):
            await handler
    other = Flow()
    async with plait.open_runtime() as runtime:
        other.run()
        other.run()
        await other.began.wait()
        runtime.cancel()
        runtime.cancel()
    assert sorted(other.log) == ["began"] * 2 + ["cleaned up"] * 2


async def test_a_failure_in_clean_up_is_not_lost_when_the_block_raises():
    flow, error = Flow(cleaning=ValueError("cleaning")), KeyError("body")
    with pytest.raises(BaseExceptionGroup) as caught:
        async with plait.open_runtime():
            flow.run()
            await flow.began.wait()
            raise error
    assert caught.group_contains(KeyError, match="body")
    assert caught.group_contains(ValueError, match="cleaning")


async def test_an_earlier_failure_is_not_lost_when_the_block_raises():
    flow, error = Flow(error=ValueError("run")), KeyError("body")
    with pytest.raises(BaseExceptionGroup) as caught:
        async with plait.open_runtime():
            flow.go.set()
            await ended(flow.run())
            raise error
    assert caught.group_contains(KeyError, match="body")
    assert caught.group_contains(ValueError, match="run")


async def test_a_failure_in_clean_up_goes_out_instead_of_a_cancellation():
    flow = Flow(cleaning=ValueError("cleaning"))
    raised = []
    with anyio.CancelScope() as scope:
        try:
            async with plait.open_runtime():
                flow.run()
                await flow.began.wait()
                scope.cancel()
                await anyio.sleep_forever()
        except ValueError as error:
            raised.append(error)
    assert raised == [flow.cleaning]


async def test_a_failure_in_clean_up_goes_out_when_leaving_is_cancelled():
    flow, scope = Flow(cleaning=ValueError("cleaning")), anyio.CancelScope()
    raised = []

    async def stop():
        await flow.began.wait()
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        with scope:
            try:
                async with plait.open_runtime():
                    flow.run()
            except ValueError as error:
                raised.append(error)
    assert raised == [flow.cleaning]


async def test_a_run_that_was_awaited_by_nobody_and_cancelled_is_no_failure():
    flow = Flow()
    async with plait.open_runtime():
        flow.run().cancel()
    assert flow.log == []
