"""Section 3.3, sentence by sentence: what `run()` gives, and how a run is started."""

import gc
import re
import warnings

import anyio
import anyio.lowlevel
import pytest
import trio

import plait
from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import (
    ContextStateError,
    WorkflowCancelledByUser,
    WorkflowRuntimeError,
    WorkflowStalledError,
)

#: Seconds after which a test that would hang has failed. No test that passes waits for it.
PATIENCE = 5


class Item(Event):
    n: int = 0


class Flow(Workflow):
    """Runs until `go` is set; notes what happens."""

    def __init__(self, **options):
        super().__init__(**options)
        self.log = []
        self.began, self.go = anyio.Event(), anyio.Event()

    @step
    async def wait(self, ctx: Context, ev: StartEvent) -> Item | StopEvent:
        self.log.append("began")
        self.began.set()
        try:
            await self.go.wait()
        finally:
            self.log.append("ended")
        return await self.finish(ev)

    async def finish(self, ev):
        return StopEvent(result=ev.get("n", "done"))

    @step
    async def take(self, ev: Item) -> StopEvent:
        return StopEvent(result=ev.n)


async def turns(count=20):
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


def native(tasks):
    """The task group as plait wants it: Trio's own nursery under Trio."""
    return getattr(tasks, "_nursery", tasks)


@pytest.mark.anyio
async def test_run_gives_a_run_that_nothing_has_started():
    flow = Flow()
    run = flow.run()
    await turns()
    assert run.state == "created"
    assert (run.is_done(), run.running_steps(), run.get_stop_event()) == (False, [], None)
    assert flow.log == []
    flow.go.set()
    assert await run == "done"
    assert (run.state, run.is_done()) == ("completed", True)


@pytest.mark.anyio
async def test_an_awaited_run_is_in_the_cancel_scope_of_its_awaiter():
    flow = Flow()
    run = flow.run()
    with anyio.CancelScope() as scope:

        async def stop():
            await flow.began.wait()
            scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop)
            await run
    assert scope.cancelled_caught
    assert flow.log == ["began", "ended"]
    assert run.state == "cancelled"


@pytest.mark.anyio
async def test_every_await_gives_the_same_result():
    flow = Flow()
    flow.go.set()
    run, result = flow.run(n=[1]), []
    result.append(await run)
    result.append(await run)
    result.append(await run.result())
    result.append(await run.stop_event_result())
    assert all(each is result[0] for each in result)


@pytest.mark.anyio
async def test_every_await_gives_the_same_exception():
    class Failing(Flow):
        async def finish(self, ev):
            raise ValueError("x")

    flow = Failing()
    flow.go.set()
    run, errors, depths = flow.run(), [], []
    for _ in range(4):
        with pytest.raises(ValueError) as caught:
            await run
        errors.append(caught.value)
        depths.append(len(caught.traceback))
    assert all(error is errors[0] for error in errors)
    assert len(errors[0].__notes__) == 2
    assert len({*depths[1:]}) == 1, "the traceback grows with each await"


@pytest.mark.anyio
async def test_several_tasks_await_one_run():
    flow, results = Flow(), []

    async def awaiter(run):
        results.append(await run)

    async with anyio.create_task_group() as tasks, flow.run() as run:
        for _ in range(3):
            tasks.start_soon(awaiter, run)
        await flow.began.wait()
        flow.go.set()
    assert results == ["done"] * 3


@pytest.mark.anyio
async def test_a_second_start_is_an_error():
    flow = Flow()
    flow.go.set()
    run = flow.run(run_id="R")
    text = re.escape("Run R of workflow 'Flow' has already been started.")
    async with anyio.create_task_group() as tasks:
        async with run:
            with pytest.raises(WorkflowRuntimeError, match=text):
                run.start_soon(native(tasks))
            with pytest.raises(WorkflowRuntimeError, match=text):
                await run.__aenter__()
            assert await run == "done"
        with pytest.raises(WorkflowRuntimeError, match=text):
            run.start_soon(native(tasks))


@pytest.mark.anyio
async def test_a_run_can_be_given_to_a_nursery():
    flow = Flow()
    async with anyio.create_task_group() as tasks:
        run = flow.run().start_soon(native(tasks))
        assert flow.log == []
        await flow.began.wait()
        assert run.state == "running"
        assert run.running_steps() == ["wait"]
        flow.go.set()
        assert await run == "done"


@pytest.mark.anyio
async def test_a_failure_is_raised_into_the_nursery():
    class Failing(Flow):
        async def finish(self, ev):
            raise ValueError("x")

    flow = Failing()
    with pytest.raises(ExceptionGroup) as caught:
        async with anyio.create_task_group() as tasks:
            flow.run().start_soon(native(tasks))
            await flow.began.wait()
            flow.go.set()
            await anyio.sleep_forever()
    (error,) = caught.value.exceptions
    assert error.args == ("x",)


@pytest.mark.anyio
async def test_a_failure_is_raised_into_the_nursery_though_somebody_awaits_the_run():
    class Failing(Flow):
        async def finish(self, ev):
            raise ValueError("x")

    flow, seen = Failing(), []

    async def awaiter(run):
        with pytest.raises(ValueError):
            await run
        seen.append("awaiter")

    with pytest.raises(ExceptionGroup) as caught:
        async with anyio.create_task_group() as tasks:
            run = flow.run().start_soon(native(tasks))
            async with anyio.create_task_group() as others:
                # Shielded: the failure cancels the nursery, and with it who waits in it.
                with anyio.CancelScope(shield=True):
                    others.start_soon(awaiter, run)
                    await flow.began.wait()
                    flow.go.set()
                    await turns()
    assert caught.group_contains(ValueError)


@pytest.mark.anyio
async def test_a_cancelled_run_does_not_disturb_its_nursery():
    flow = Flow()
    async with anyio.create_task_group() as tasks:
        run = flow.run().start_soon(native(tasks))
        await flow.began.wait()
        run.cancel()
        with pytest.raises(WorkflowCancelledByUser):
            await run
        await turns()
    assert flow.log == ["began", "ended"]


@pytest.mark.anyio
async def test_other_awaiters_are_told_when_the_owner_is_cancelled():
    flow, told = Flow(), []

    async def awaiter(run):
        try:
            await run
        except WorkflowCancelledByUser as error:
            told.append(str(error))

    async with anyio.create_task_group() as outer, anyio.create_task_group() as owner:
        run = flow.run(run_id="R").start_soon(native(owner))
        outer.start_soon(awaiter, run)
        await flow.began.wait()
        owner.cancel_scope.cancel()
    assert told == ["Run R of workflow 'Flow' was cancelled."]
    assert (run.state, run.is_done()) == ("cancelled", True)
    assert flow.log == ["began", "ended"]


@pytest.mark.anyio
async def test_cancelling_an_awaiter_that_is_no_owner_leaves_the_run_alone():
    flow = Flow()
    async with flow.run() as run:
        await flow.began.wait()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await run
        assert scope.cancelled_caught
        assert run.state == "running"
        flow.go.set()
        assert await run == "done"


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["await", "result", "cancel_run", "wait_idle", "child", "nursery"])
async def test_a_step_that_waits_for_its_own_run_gets_an_error(how):
    class Selfish(Workflow):
        run_of_it = None

        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            run = self.run_of_it
            match how:
                case "await":
                    await run
                case "result":
                    await run.result()
                case "cancel_run":
                    await run.cancel_run()
                case "wait_idle":
                    await run.wait_idle()
                case "child":
                    await Waiter().run(other=run)
                case "nursery":
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(run.result)
            return StopEvent()

    class Waiter(Workflow):
        @step
        async def w(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await ev.other)

    flow = Selfish()
    flow.run_of_it = flow.run()
    text = "Step 's' cannot wait for its own run."
    with pytest.raises((WorkflowRuntimeError, ExceptionGroup)) as caught:
        with anyio.fail_after(PATIENCE):
            await flow.run_of_it
    errors = [caught.value]
    while isinstance(errors[-1], ExceptionGroup):
        errors.extend(errors[-1].exceptions)
    assert any(text in str(error) for error in errors)


@pytest.mark.anyio
async def test_a_task_that_a_step_has_left_outside_may_wait_for_the_run():
    class Leaving(Workflow):
        @step
        async def s(self, ev: StartEvent) -> Item:
            outside.start_soon(waiter)
            return Item()

        @step
        async def t(self, ev: Item) -> StopEvent:
            await turns()
            waits.set()
            await turns()
            return StopEvent(result="done")

    async def waiter():
        await waits.wait()
        results.append(await run)

    results, waits = [], anyio.Event()
    async with anyio.create_task_group() as outside, Leaving().run() as run:
        pass
    assert results == ["done"]


@pytest.mark.anyio
async def test_a_dropped_run_gives_a_resource_warning():
    with pytest.warns(ResourceWarning) as caught:  # noqa: PT031 - gone at gc.collect()
        Flow().run()
        gc.collect()
    assert str(caught[0].message) == (
        "workflow 'Flow': run() was called but the run was never started. "
        'Write "result = await Flow().run()" or "async with Flow().run() as run:".'
    )


@pytest.mark.anyio
async def test_a_run_that_was_started_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow = Flow()
        flow.go.set()
        await flow.run()
        async with flow.run():
            pass
        with pytest.raises(plait.errors.WorkflowValidationError):
            flow.__class__(timeout=-1)
        gc.collect()


METHODS = {
    "await run.result()": lambda run: run.result(),
    "await run.cancel_run()": lambda run: run.cancel_run(),
    "await run.wait_idle()": lambda run: run.wait_idle(),
    "async for event in run.stream_events(): ...": lambda run: run.stream_events(),
    "run.send_event(...)": lambda run: run.send_event(Item()),
}


@pytest.mark.anyio
@pytest.mark.parametrize("call", METHODS)
async def test_methods_that_need_a_started_run_say_what_to_write(call):
    flow = Flow()
    flow.go.set()
    run = flow.run()
    with pytest.raises(WorkflowRuntimeError) as caught:
        outcome = METHODS[call](run)
        await outcome
    assert str(caught.value) == (
        "This run has not been started, so it has no events yet.\n"
        "  wrong:  run = Flow().run()\n"
        f"          {call}\n"
        "  right:  async with Flow().run() as run:\n"
        f"              {call}"
    )
    await run


@pytest.mark.anyio
async def test_the_context_of_a_run_that_has_not_been_started_sends_nothing():
    flow = Flow()
    flow.go.set()
    run = flow.run()
    for name, call in (
        ("send_event()", lambda: run.ctx.send_event(Item())),
        ("write_event_to_stream()", lambda: run.ctx.write_event_to_stream(Item())),
        ("run_id", lambda: run.ctx.run_id),
    ):
        with pytest.raises(
            ContextStateError,
            match=re.escape(f"{name} called before workflow started. Call workflow.run() first."),
        ):
            call()
    await run
    assert run.ctx.run_id == run.run_id


@pytest.mark.anyio
@pytest.mark.parametrize("start", ["await", "block", "nursery"])
async def test_cancel_before_the_start_is_remembered(start):
    flow = Flow()
    run = flow.run()
    run.cancel()
    run.cancel()
    assert run.state == "created"
    if start == "await":
        with pytest.raises(WorkflowCancelledByUser):
            await run
    elif start == "block":
        async with run:
            with pytest.raises(WorkflowCancelledByUser):
                await run
    else:
        async with anyio.create_task_group() as tasks:
            run.start_soon(native(tasks))
    assert run.state == "cancelled"
    assert flow.log == []


@pytest.mark.anyio
async def test_a_context_can_be_reused_after_a_run_and_not_during_one():
    flow = Flow()
    ctx = Context(flow)
    async with flow.run(ctx=ctx) as run:
        await flow.began.wait()
        with pytest.raises(
            ContextStateError,
            match=r"Cannot start a new run while context is already running\. "
            r"Wait for completion or use a new Context\.",
        ):
            flow.run(ctx=ctx)
        flow.go.set()
        await run
    assert await flow.run(ctx=ctx) == "done"


@pytest.mark.anyio
async def test_two_live_runs_of_one_context_are_an_error_whenever_they_were_made():
    flow = Flow()
    ctx = Context(flow)
    one, other = flow.run(ctx=ctx, n=1), flow.run(ctx=ctx, n=2)
    async with one:
        await flow.began.wait()
        with pytest.raises(ContextStateError, match="Cannot start a new run"):
            await other
        assert (one.ctx.run_id, one.state) == (one.run_id, "running")
        flow.go.set()
        assert await one == 1
    assert await other == 2


@pytest.mark.anyio
async def test_a_steps_own_context_starts_no_run():
    class Bad(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await Flow().run(ctx=ctx))

    with pytest.raises(
        ContextStateError, match="Cannot start workflow from a step function context"
    ):
        await Bad().run()


# num_concurrent_runs


@pytest.mark.anyio
async def test_a_queued_run_waits_for_its_turn():
    flow = Flow(num_concurrent_runs=1)
    async with flow.run(n=1) as one, flow.run(n=2) as other:
        await flow.began.wait()
        await turns()
        assert (one.state, other.state) == ("running", "queued")
        assert flow.log == ["began"]
        flow.go.set()
        assert await one == 1
        assert await other == 2
    assert flow.log == ["began", "ended", "began", "ended"]


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["run", "scope"])
async def test_a_queued_run_can_be_cancelled(how):
    flow = Flow(num_concurrent_runs=1)
    async with flow.run(n=1) as one:
        await flow.began.wait()
        async with anyio.create_task_group() as tasks:
            queued = flow.run(n=2).start_soon(native(tasks))
            await turns()
            assert queued.state == "queued"
            if how == "run":
                queued.cancel()
                with pytest.raises(WorkflowCancelledByUser):
                    await queued
            else:
                tasks.cancel_scope.cancel()
        assert queued.state == "cancelled"
        flow.go.set()
        assert await one == 1
    assert await flow.run(n=3) == 3
    gc.collect()


@pytest.mark.anyio
async def test_a_cancelled_queued_run_does_not_take_the_turn_of_the_next():
    flow = Flow(num_concurrent_runs=1)
    async with flow.run(n=1) as one:
        await flow.began.wait()
        async with flow.run(n=2) as two, flow.run(n=3) as three:
            await turns()
            two.cancel()
            flow.go.set()
            assert await three == 3
            assert await one == 1
    assert flow.log.count("began") == 2


@pytest.mark.anyio
async def test_what_is_sent_to_a_queued_run_is_delivered_when_it_is_admitted():
    flow = Flow(num_concurrent_runs=1)
    async with flow.run(n=1), flow.run(n=2) as queued:
        await flow.began.wait()
        await turns()
        assert queued.state == "queued"
        queued.send_event(Item(n=7))
        with pytest.raises(WorkflowRuntimeError, match="StartEvent2 was sent, but no step"):
            queued.send_event(type("StartEvent2", (Event,), {})())
        flow.go.set()
        assert await queued in (2, 7)


async def test_the_timeout_of_a_queued_run_has_not_begun(autojump_clock):
    flow = Flow(num_concurrent_runs=1, timeout=3)
    async with flow.run(n=1), flow.run(n=2) as queued:
        await trio.sleep(2)
        flow.go.set()
        await queued
        flow.go = anyio.Event()
        async with flow.run() as late:
            await trio.sleep(2)
            assert late.state == "running"
            flow.go.set()


# Started, and the host has not run yet.


@pytest.mark.anyio
@pytest.mark.parametrize("start", ["block", "nursery", "runtime"])
async def test_a_run_hears_from_the_moment_of_its_start(start):
    flow = Flow()

    async def check(run):
        assert run.state == "running"
        run.send_event(Item(n=5))
        with pytest.raises(WorkflowRuntimeError, match="B was sent, but no step"):
            run.ctx.send_event(type("B", (Event,), {})())
        stream = run.stream_events()
        run.ctx.write_event_to_stream(Item(n=6))
        assert await run == 5
        assert [event async for event in stream] == [Item(n=6), StopEvent(5)]

    match start:
        case "block":
            async with flow.run() as run:
                await check(run)
        case "nursery":
            async with anyio.create_task_group() as tasks:
                await check(flow.run().start_soon(native(tasks)))
        case "runtime":
            async with plait.open_runtime():
                await check(flow.run())


@pytest.mark.anyio
async def test_a_run_that_was_started_in_a_cancelled_scope_ends_at_once():
    flow = Flow()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await flow.run()
    assert scope.cancelled_caught
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with flow.run() as run:
            await turns()
    assert run.state == "cancelled"
    async with anyio.create_task_group() as tasks:
        tasks.cancel_scope.cancel()
        run = flow.run().start_soon(native(tasks))
    assert run.state == "cancelled"
    gc.collect()


@pytest.mark.anyio
async def test_states_of_a_run_that_fails():
    class Stalls(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent | None:
            return None

    run = Stalls().run()
    with pytest.raises(WorkflowStalledError):
        await run
    assert (run.state, run.is_done()) == ("failed", True)
    assert run.get_stop_event() is None


@pytest.mark.anyio
async def test_a_nursery_that_is_closed_takes_no_run():
    flow = Flow(num_concurrent_runs=1)
    flow.go.set()
    async with anyio.create_task_group() as tasks:
        pass
    run = flow.run()
    with pytest.raises(RuntimeError):
        run.start_soon(native(tasks))
    with anyio.fail_after(PATIENCE):
        assert await flow.run(n=2) == 2, "a place at the gate was lost"
    if run.state == "created":
        assert await run == "done"
    else:
        assert run.is_done()


@pytest.mark.parametrize("backends", [("asyncio", "trio"), ("trio", "asyncio")], ids=str)
def test_an_ended_run_can_be_awaited_in_another_loop(backends):
    class Quick(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.write_event_to_stream(Item())
            return StopEvent(result="done")

    async def main():
        assert await run == "done"
        assert await run.result() == "done"
        return [event async for event in run.stream_events()]

    run = Quick().run()
    first, other = (anyio.run(main, backend=backend) for backend in backends)
    assert first == other == [Item(), StopEvent("done")]
