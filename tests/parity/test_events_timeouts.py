"""Rows 81 and 82: the timeout of one step, and a clock that stands still while nobody works."""

from functools import partial

import anyio
import pytest

from plait import Context, HumanResponseEvent, StartEvent, StopEvent, Timeout, Workflow, step
from plait.errors import StepTimeoutError, WorkflowTimeoutError, WorkflowValidationError
from plait.events import StepFailedEvent, WorkflowFailedEvent, catch_error
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A

AT_ONCE = ConstantDelayRetryPolicy(maximum_attempts=3, delay=0)


@in_virtual_time
async def test_row_081_a_step_that_times_out_is_retried():
    began = []

    class Flow(Workflow):
        @step(timeout=0.1, retry_policy=AT_ONCE)
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            began.append(anyio.current_time())
            if len(began) == 1:
                await anyio.sleep(1)
            return StopEvent(result=ctx.retry_info().last_exception)

    error = await Flow().run()
    assert anyio.current_time() == 0.1
    assert began == [0, 0.1]
    assert isinstance(error, StepTimeoutError)


@in_virtual_time
async def test_row_081_without_policy_a_step_that_times_out_fails_the_run():
    log = []

    class Flow(Workflow):
        @step(timeout=0.1)
        async def s(self, ev: StartEvent) -> StopEvent:
            try:
                await anyio.sleep(1)
            except anyio.get_cancelled_exc_class():
                log.append("cancelled")
                raise
            return StopEvent()

    run = Flow().run()
    with pytest.raises(StepTimeoutError) as caught:
        await run
    assert str(caught.value) == "Step 's' timed out after 0.1 seconds."
    assert isinstance(caught.value, WorkflowTimeoutError)
    assert isinstance(caught.value, TimeoutError)
    assert anyio.current_time() == 0.1
    assert log == ["cancelled"]
    assert run.state == "failed"
    (last,) = [event async for event in run.stream_events()]
    assert isinstance(last, WorkflowFailedEvent)
    assert (last.step_name, last.exception) == ("s", caught.value)


@in_virtual_time
async def test_row_081_a_handler_takes_it_like_any_failure():
    class Flow(Workflow):
        @step(timeout=2)
        async def s(self, ev: StartEvent) -> StopEvent:
            await anyio.sleep_forever()
            return StopEvent()

        @catch_error
        async def recover(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent(result=str(ev.exception))

    assert await Flow().run() == "Step 's' timed out after 2 seconds."
    assert anyio.current_time() == 2


@in_virtual_time
async def test_row_081_waits_are_left_out():
    class Flow(Workflow):
        @step(timeout=3)
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await anyio.sleep(ev.before)
            await ctx.wait_for_event(HumanResponseEvent)
            await anyio.sleep(ev.after)
            return StopEvent(result="ok")

    async with Flow().run(before=1, after=1) as run:
        await anyio.sleep(10)
        run.send_event(HumanResponseEvent())
        assert await run == "ok"
    assert anyio.current_time() == 11
    with pytest.raises(StepTimeoutError):
        async with Flow().run(before=2, after=2) as run:
            await anyio.sleep(10)
            run.send_event(HumanResponseEvent())
    assert anyio.current_time() == 11 + 10 + 1


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
@in_virtual_time
async def test_row_081_of_two_waits_at_once_the_later_answer_counts(order):
    """One finds its answer in the mailbox, and the body still waits: its time stands still."""

    class Flow(Workflow):
        @step(timeout=1.5)
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            async with anyio.create_task_group() as tasks:
                for n in order:
                    wait = partial(ctx.wait_for_event, HumanResponseEvent, requirements={"n": n})
                    tasks.start_soon(wait)
                    await anyio.sleep(0.5)
                await anyio.sleep(0.5)
            return StopEvent()

    async with Flow(disable_validation=True).run() as run:
        run.send_event(HumanResponseEvent(n=1))
        await anyio.sleep(10)
        run.send_event(HumanResponseEvent(n=2))
        await run
    assert anyio.current_time() == 10


@in_virtual_time
async def test_row_081_of_two_waits_at_once_the_time_goes_on_after_both():
    class Flow(Workflow):
        @step(timeout=1.5)
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            async with anyio.create_task_group() as tasks:
                for n in (1, 2):
                    wait = partial(ctx.wait_for_event, HumanResponseEvent, requirements={"n": n})
                    tasks.start_soon(wait)
            await anyio.sleep_forever()
            return StopEvent()

    with pytest.raises(StepTimeoutError):
        async with Flow(disable_validation=True).run() as run:
            for n in (2, 1):
                await anyio.sleep(10)
                run.send_event(HumanResponseEvent(n=n))
    assert anyio.current_time() == 20 + 1.5


@in_virtual_time
async def test_row_081_a_wait_that_timed_out_leaves_the_rest_of_the_timeout():
    class Flow(Workflow):
        @step(timeout=3)
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await anyio.sleep(1)
            with pytest.raises(TimeoutError, match="Timed out waiting"):
                await ctx.wait_for_event(HumanResponseEvent, timeout=10)
            await anyio.sleep(50)
            return StopEvent()

    with pytest.raises(StepTimeoutError):
        await Flow().run()
    assert anyio.current_time() == 1 + 10 + 2


@in_virtual_time
async def test_row_081_a_wait_that_its_own_scope_ends_leaves_the_rest():
    class Flow(Workflow):
        @step(timeout=3)
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            with anyio.move_on_after(10):
                await ctx.wait_for_event(HumanResponseEvent)
            await anyio.sleep(50)
            return StopEvent()

    with pytest.raises(StepTimeoutError):
        await Flow().run()
    assert anyio.current_time() == 10 + 3


@in_virtual_time
async def test_row_081_the_time_in_the_queue_is_left_out():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(3):
                ctx.send_event(A(n=n))

        @step(num_workers=1, timeout=1.5)
        async def t(self, ctx: Context, ev: A) -> StopEvent | None:
            await anyio.sleep(1)
            return ctx.collect_events(ev, [A] * 3) and StopEvent()

    await Flow().run()
    assert anyio.current_time() == 3


@pytest.mark.parametrize("bad", [0, -1, "2", True])
def test_row_081_the_timeout_of_a_step_is_checked(bad):
    with pytest.raises(WorkflowValidationError, match="timeout must be a number greater than 0"):

        class Flow(Workflow):
            @step(timeout=bad)
            async def s(self, ev: StartEvent) -> StopEvent:
                return StopEvent()


class Asker(Workflow):
    @step
    async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
        await anyio.sleep(ev.get("work", 0))
        answer = await ctx.wait_for_event(HumanResponseEvent)
        await anyio.sleep(ev.get("work", 0))
        return StopEvent(result=answer.response)


async def answer_after(seconds, run):
    await anyio.sleep(seconds)
    run.send_event(HumanResponseEvent(response="yes"))


@in_virtual_time
async def test_row_082_idleness_may_stop_the_clock():
    async with Asker(timeout=Timeout(1, while_idle=False)).run() as run:
        await answer_after(10, run)
        assert await run == "yes"
    assert anyio.current_time() == 10


@in_virtual_time
@pytest.mark.parametrize("given", [1, Timeout(1)])
async def test_row_082_idleness_counts_by_default(given):
    run = Asker(timeout=given).run()
    with pytest.raises(WorkflowTimeoutError, match=r"^Operation timed out after 1 seconds\. "):
        await run
    assert anyio.current_time() == 1
    assert run.state == "failed"


@in_virtual_time
async def test_row_082_work_counts_before_and_after_idleness():
    async with Asker(timeout=Timeout(1, while_idle=False)).run(work=0.4) as run:
        await answer_after(10, run)
        assert await run == "yes"
    assert anyio.current_time() == 10.4
    began = anyio.current_time()
    with pytest.raises(WorkflowTimeoutError):
        async with Asker(timeout=Timeout(1, while_idle=False)).run(work=0.7) as run:
            await answer_after(10, run)
    assert anyio.current_time() - began == pytest.approx(10 + 0.3, rel=1e-12)


@pytest.mark.parametrize("bad", [0, -1, "2", True, None])
def test_row_082_a_timeout_is_checked(bad):
    with pytest.raises(WorkflowValidationError, match="timeout must be a number greater than 0"):
        Timeout(bad)


@pytest.mark.anyio
async def test_row_082_a_run_that_is_answered_ends_in_time():
    async with Asker(timeout=Timeout(60, while_idle=False)).run() as run:
        await run.wait_idle()
        run.send_event(HumanResponseEvent(response="yes"))
        assert await run == "yes"
