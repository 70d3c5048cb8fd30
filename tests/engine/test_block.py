"""`async with flow.run() as run`: section 3.3's "Block", sentence by sentence."""

import anyio
import anyio.lowlevel
import pytest

from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowCancelledByUser
from plait.events import WorkflowCancelledEvent, WorkflowFailedEvent

pytestmark = pytest.mark.anyio


class Item(Event):
    n: int = 0


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
        return StopEvent(result="done")


async def test_no_step_runs_before_the_bodys_first_checkpoint():
    flow = Flow()
    flow.go.set()
    async with flow.run() as run:
        assert flow.log == []
        assert run.state == "running"
        await flow.began.wait()
        assert flow.log[0] == "began"


async def test_entering_is_no_checkpoint():
    flow = Flow()
    flow.go.set()
    turns = []

    async def neighbour():
        turns.append(1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(neighbour)
        async with flow.run():
            assert turns == []


async def test_leaving_waits_for_the_end():
    flow = Flow()
    async with flow.run() as run:
        flow.go.set()
    assert flow.log == ["began", "ended"]
    assert run.is_done()
    assert await run == "done"


async def test_an_exception_of_the_body_cancels_the_run_and_goes_on_unwrapped():
    flow, error = Flow(), KeyError("body")
    with pytest.raises(KeyError) as caught:
        async with flow.run() as run:
            await flow.began.wait()
            raise error
    assert caught.value is error
    assert error.__cause__ is None
    assert flow.log == ["began", "cleaned up"]
    assert run.state == "cancelled"
    with pytest.raises(WorkflowCancelledByUser):
        await run
    assert [event async for event in run.stream_events()] == [WorkflowCancelledEvent()]


async def test_an_exception_of_the_body_before_its_first_checkpoint():
    flow = Flow()
    with pytest.raises(KeyError):
        async with flow.run() as run:
            raise KeyError
    assert flow.log == []
    assert run.state == "cancelled"


async def test_a_group_raised_by_the_body_goes_on_as_it_is():
    flow = Flow()
    group = ExceptionGroup("mine", [KeyError(), ValueError()])
    with pytest.raises(ExceptionGroup) as caught:
        async with flow.run():
            await flow.began.wait()
            raise group
    assert caught.value is group


async def test_a_failing_run_does_not_cancel_the_body():
    flow = Flow(error=ValueError("x"))
    seen = []
    with pytest.raises(ValueError, match="x"):
        async with flow.run() as run:
            flow.go.set()
            seen.extend([event async for event in run.stream_events()])
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            seen.append("body goes on")
    last, word = seen
    assert type(last) is WorkflowFailedEvent
    assert last.exception is flow.error
    assert word == "body goes on"


@pytest.mark.parametrize("how", ["await", "result"])
async def test_a_failure_that_the_body_was_given_is_not_raised_again(how):
    flow = Flow(error=ValueError("x"))
    async with flow.run() as run:
        flow.go.set()
        with pytest.raises(ValueError):
            await (run if how == "await" else run.result())
    assert run.state == "failed"


async def test_a_failure_that_another_task_was_given_is_raised_on_leaving():
    """Only who awaits in the body has taken notice of it."""
    flow = Flow(error=ValueError("x"))

    async def other(run):
        with pytest.raises(ValueError):
            await run

    async with anyio.create_task_group() as tasks:
        with pytest.raises(ValueError, match="x"):
            async with flow.run() as run:
                tasks.start_soon(other, run)
                await flow.began.wait()
                flow.go.set()
                while not run.is_done():
                    await anyio.lowlevel.checkpoint()
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()


async def test_a_failure_that_the_body_lets_through_is_raised_once():
    flow = Flow(error=ValueError("x"))
    with pytest.raises(ValueError) as caught:
        async with flow.run() as run:
            flow.go.set()
            await run
    assert caught.value is flow.error
    assert len(flow.error.__notes__) == 2


async def test_after_cancel_in_the_body_the_block_is_left_quietly():
    flow = Flow()
    async with flow.run() as run:
        await flow.began.wait()
        run.cancel()
        assert not run.is_done()
    assert run.state == "cancelled"
    assert flow.log == ["began", "cleaned up"]


async def test_after_cancel_before_the_first_checkpoint_nothing_has_run():
    flow = Flow()
    async with flow.run() as run:
        run.cancel()
    assert run.state == "cancelled"
    assert flow.log == []


async def test_a_cancelled_body_waits_for_the_clean_up_of_the_run():
    flow = Flow()
    with anyio.CancelScope() as scope:
        async with flow.run() as run:
            await flow.began.wait()
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert flow.log == ["began", "cleaned up"]
    assert run.is_done()


async def test_leaving_can_be_cancelled():
    flow = Flow()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def stop():
                await flow.began.wait()
                scope.cancel()

            tasks.start_soon(stop)
            async with flow.run() as run:
                pass
    assert scope.cancelled_caught
    assert flow.log == ["began", "cleaned up"]
    assert run.state == "cancelled"


async def test_a_cancellation_passes_through_as_the_single_exception_that_it_is():
    flow, seen = Flow(), []

    async def stop():
        await flow.began.wait()
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop)
        with anyio.CancelScope() as scope:
            try:
                async with flow.run():
                    pass
            except BaseException as error:
                seen.append(type(error))
                raise
    assert seen == [anyio.get_cancelled_exc_class()]


async def test_an_exception_of_the_body_is_not_lost_in_a_cancellation_of_the_same_moment():
    flow, raised = Flow(), False
    with anyio.CancelScope() as scope:
        with pytest.raises(KeyError):
            async with flow.run():
                await flow.began.wait()
                scope.cancel()
                raise KeyError
        raised = True
    assert raised
    assert flow.log == ["began", "cleaned up"]


# Failures in the clean-up: none is lost.


async def test_a_failure_in_clean_up_after_an_exception_of_the_body():
    flow, error = Flow(cleaning=ValueError("cleaning")), KeyError("body")
    with pytest.raises(ExceptionGroup) as caught:
        async with flow.run():
            await flow.began.wait()
            raise error
    assert caught.value.exceptions == (error, flow.cleaning)
    assert len(flow.cleaning.__notes__) == 2


async def test_a_failure_in_clean_up_after_cancel_in_the_body():
    flow = Flow(cleaning=ValueError("cleaning"))
    with pytest.raises(ExceptionGroup) as caught:
        async with flow.run() as run:
            await flow.began.wait()
            run.cancel()
    cancelled, failure = caught.value.exceptions
    assert type(cancelled) is WorkflowCancelledByUser
    assert failure is flow.cleaning


async def test_a_failure_in_clean_up_goes_out_instead_of_a_cancellation():
    """As from any nursery: cancelled, and something failed, so the failure is raised."""
    flow = Flow(cleaning=ValueError("cleaning"))
    raised = []
    with anyio.CancelScope() as scope:
        try:
            async with flow.run():
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
                async with flow.run():
                    pass
            except ValueError as error:
                raised.append(error)
    assert raised == [flow.cleaning]


async def test_a_run_that_failed_before_the_body_did():
    flow, error = Flow(error=ValueError("run")), KeyError("body")
    with pytest.raises(ExceptionGroup) as caught:
        async with flow.run() as run:
            flow.go.set()
            while not run.is_done():
                await anyio.lowlevel.checkpoint()
            raise error
    assert caught.value.exceptions == (error, flow.error)


async def test_a_base_exception_of_the_body_and_a_failure_in_clean_up():
    class Abrupt(BaseException):
        pass

    flow, error = Flow(cleaning=ValueError("cleaning")), Abrupt()
    with pytest.raises(BaseExceptionGroup) as caught:
        async with flow.run():
            await flow.began.wait()
            raise error
    assert caught.value.exceptions == (error, flow.cleaning)


async def test_blocks_can_be_nested_and_left_together():
    one, other = Flow(), Flow()
    with pytest.raises(KeyError):
        async with one.run(), other.run():
            await one.began.wait()
            await other.began.wait()
            raise KeyError
    assert one.log == other.log == ["began", "cleaned up"]
