"""Rows 27 to 31, 83 to 86 and 120: how a run ends, and that nothing outlives its scope."""

import gc

import anyio
import pytest

from plait import Context, StartEvent, StopEvent, Workflow, step
from plait.errors import (
    WorkflowCancelledByUser,
    WorkflowRuntimeError,
    WorkflowStalledError,
    WorkflowTimeoutError,
)
from plait.events import WorkflowCancelledEvent
from tests.parity.clocks import in_virtual_time, live_tasks
from tests.parity.letters import A, B


class Race(Workflow):
    """Workers that sleep 1, 2, 3 ... seconds; three run at once."""

    def __init__(self, count=3, **options):
        super().__init__(**options)
        self.count = count
        self.log = []

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | None:
        for n in range(1, self.count + 1):
            ctx.send_event(A(n=n))

    @step(num_workers=3)
    async def work(self, ev: A) -> StopEvent:
        self.log.append(f"begin {ev.n}")
        try:
            await anyio.sleep(ev.n)
        except anyio.get_cancelled_exc_class():
            self.log.append(f"cancelled {ev.n}")
            raise
        self.log.append(f"end {ev.n}")
        return StopEvent(result=ev.n)


@in_virtual_time
async def test_row_027_the_first_stop_event_wins():
    flow = Race(5)
    run = flow.run()
    assert await run == 1
    assert anyio.current_time() == 1
    assert flow.log[:4] == ["begin 1", "begin 2", "begin 3", "end 1"]
    assert sorted(flow.log[4:]) == ["cancelled 2", "cancelled 3"]
    assert run.undelivered == (A(n=4), A(n=5))


@in_virtual_time
async def test_row_028_clean_up_is_awaited_however_long():
    cleaned = []

    class Flow(Race):
        @step(num_workers=3)
        async def work(self, ev: A) -> StopEvent:
            try:
                return await super().work(ev)
            finally:
                if ev.n == 3:
                    with anyio.CancelScope(shield=True):
                        await anyio.sleep(1)
                    cleaned.append(anyio.current_time())

    assert await Flow().run() == 1
    assert cleaned == [2]
    assert anyio.current_time() == 2


@in_virtual_time
async def test_row_029_drain_lets_running_steps_finish():
    flow = Race(5, on_stop="drain")
    run = flow.run()
    assert await run == 1
    assert anyio.current_time() == 3
    assert flow.log == ["begin 1", "begin 2", "begin 3", "end 1", "end 2", "end 3"]
    assert run.undelivered == (A(n=4), A(n=5))


@in_virtual_time
async def test_row_029_what_a_draining_step_emits_is_kept_and_not_routed():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            ctx.send_event(A(n=1))
            ctx.send_event(A(n=2))

        @step
        async def t(self, ctx: Context, ev: A) -> StopEvent | B:
            await anyio.sleep(ev.n)
            if ev.n == 1:
                return StopEvent(result="first")
            ctx.send_event(B(n=1))
            ctx.send_event(StopEvent(result="late"))
            return B(n=2)

        @step
        async def u(self, ev: B) -> StopEvent:
            pytest.fail("a draining run routes nothing")

    run = Flow(on_stop="drain").run()
    assert await run == "first"
    assert run.undelivered == (B(n=1), B(n=2))


@pytest.mark.anyio
async def test_row_030_a_sent_stop_event_ends_the_run():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | StopEvent:
            ctx.send_event(StopEvent(result="sent"))
            return A()

        @step
        async def t(self, ev: A) -> StopEvent:
            return StopEvent(result="never")

    assert await Flow().run() == "sent"


@pytest.mark.anyio
async def test_row_030_a_stop_event_sent_from_outside_ends_the_run():
    began = anyio.Event()

    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            began.set()
            await anyio.sleep_forever()
            return StopEvent()

    async with Flow().run() as run:
        await began.wait()
        run.send_event(StopEvent(result="sent"))
        assert await run == "sent"


@pytest.mark.anyio
async def test_row_031_sending_after_the_end_raises_from_outside():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> A:
            return A()

        @step
        async def t(self, ev: A) -> StopEvent:
            return StopEvent()

    run = Flow().run(run_id="R")
    await run
    for send in (run.send_event, run.ctx.send_event):
        with pytest.raises(
            WorkflowRuntimeError, match=r"Run R of workflow 'Flow' has ended; A was not sent\."
        ):
            send(A())


@pytest.mark.anyio
async def test_row_031_sending_after_the_end_raises_in_a_cancelled_siblings_clean_up():
    refused, waits = [], anyio.Event()

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
            ctx.send_event(A())
            ctx.send_event(B())

        @step
        async def t(self, ctx: Context, ev: A) -> StopEvent:
            try:
                waits.set()
                await anyio.sleep_forever()
            finally:
                try:
                    ctx.send_event(A())
                except WorkflowRuntimeError as error:
                    refused.append(str(error))
            return StopEvent()

        @step
        async def u(self, ev: B) -> StopEvent:
            await waits.wait()
            return StopEvent()

    await Flow().run(run_id="R")
    assert refused == ["Run R of workflow 'Flow' has ended; A was not sent."]


class Forever(Workflow):
    """Two steps that wait for ever, one of them twice."""

    def __init__(self, **options):
        super().__init__(**options)
        self.log = []
        self.began = anyio.Event()

    async def sleep(self, name):
        self.log.append(f"{name} began")
        if len(self.log) == 3:
            self.began.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.log.append(f"{name} cancelled")
            raise

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
        ctx.send_event(A())
        ctx.send_event(A())
        ctx.send_event(B())

    @step
    async def t(self, ev: A) -> StopEvent:
        await self.sleep("t")
        return StopEvent()

    @step
    async def u(self, ev: B) -> StopEvent:
        await self.sleep("u")
        return StopEvent()

    def check(self):
        assert sorted(self.log[:3]) == ["t began", "t began", "u began"]
        assert sorted(self.log[3:]) == ["t cancelled", "t cancelled", "u cancelled"]


@pytest.mark.anyio
async def test_row_083_cancel_run():
    flow = Forever()
    async with flow.run(run_id="R") as run:
        await flow.began.wait()
        await run.cancel_run()
        flow.check()
        assert run.is_done()
        assert run.state == "cancelled"
        await run.cancel_run()
        run.cancel()
        for _ in range(2):
            with pytest.raises(
                WorkflowCancelledByUser, match=r"Run R of workflow 'Forever' was cancelled\."
            ):
                await run
        events = [event async for event in run.stream_events()]
        assert events == [WorkflowCancelledEvent()]
    assert run.state == "cancelled"


@in_virtual_time
async def test_row_084_cancelling_the_callers_scope_reaches_every_step():
    flow = Forever()
    before = live_tasks()
    with anyio.move_on_after(0.05) as scope:
        await flow.run()
    assert scope.cancelled_caught
    assert anyio.current_time() == 0.05
    flow.check()
    assert live_tasks() == before


class Child(Workflow):
    def __init__(self, log):
        super().__init__()
        self.log = log

    @step
    async def s(self, ev: StartEvent) -> A:
        return A()

    @step
    async def wait(self, ev: A) -> StopEvent:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.log.append("child cancelled")
            raise
        return StopEvent()


class Parent(Workflow):
    def __init__(self, how, **options):
        super().__init__(**options)
        self.how = how
        self.log = []

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
        ctx.send_event(A())
        ctx.send_event(B())

    @step
    async def nest(self, ev: A) -> StopEvent:
        return StopEvent(result=await Child(self.log).run())

    @step
    async def sibling(self, ev: B) -> StopEvent:
        await anyio.sleep(0.05)
        if self.how == "error":
            raise ValueError
        if self.how == "stop":
            return StopEvent(result="sibling")
        await anyio.sleep_forever()
        return StopEvent()


@in_virtual_time
async def test_row_085_a_child_is_cancelled_with_the_scope_of_its_parent():
    parent, before = Parent("scope"), live_tasks()
    with anyio.move_on_after(0.1) as scope:
        await parent.run()
    assert scope.cancelled_caught
    assert parent.log == ["child cancelled"]
    assert (anyio.current_time(), live_tasks()) == (0.1, before)


@in_virtual_time
async def test_row_085_a_child_is_cancelled_by_the_timeout_of_its_parent():
    parent, before = Parent("timeout", timeout=0.1), live_tasks()
    with pytest.raises(WorkflowTimeoutError):
        await parent.run()
    assert parent.log == ["child cancelled"]
    assert (anyio.current_time(), live_tasks()) == (0.1, before)


@in_virtual_time
async def test_row_085_a_child_is_cancelled_by_a_siblings_stop_event():
    parent, before = Parent("stop"), live_tasks()
    assert await parent.run() == "sibling"
    assert parent.log == ["child cancelled"]
    assert (anyio.current_time(), live_tasks()) == (0.05, before)


@in_virtual_time
async def test_row_085_a_child_is_cancelled_by_a_siblings_error():
    parent, before = Parent("error"), live_tasks()
    with pytest.raises(ValueError):
        await parent.run()
    assert parent.log == ["child cancelled"]
    assert (anyio.current_time(), live_tasks()) == (0.05, before)


@pytest.mark.anyio
async def test_row_086_a_child_that_is_not_awaited_never_runs():
    ran = []

    class Lonely(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            ran.append("body")
            return StopEvent()

    class Outer(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            with pytest.warns(ResourceWarning) as caught:  # noqa: PT031 - gone at gc.collect()
                Lonely().run()
                gc.collect()
            return StopEvent(result=str(caught[0].message))

    text = await Outer().run()
    assert ran == []
    assert text == (
        "workflow 'Lonely': run() was called but the run was never started. "
        'Write "result = await Lonely().run()" or "async with Lonely().run() as run:".'
    )


@in_virtual_time
async def test_row_086_a_child_in_a_block_has_ended_before_its_step():
    log = []

    class Inner(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            await anyio.sleep(1)
            log.append("child end")
            return StopEvent()

    class Outer(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            before = live_tasks()
            async with Inner().run():
                log.append("block")
            assert live_tasks() == before
            log.append("step end")
            return StopEvent()

    await Outer().run()
    assert log == ["block", "child end", "step end"]


@in_virtual_time
async def test_row_120_a_stall_is_seen_at_once():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | StopEvent | None:
            return A()

        @step
        async def t(self, ev: A) -> StopEvent | None:
            return None

    with pytest.raises(WorkflowStalledError) as caught:
        await Flow().run()
    assert anyio.current_time() == 0
    assert str(caught.value) == (
        "Workflow 'Flow' is stalled: nothing is queued, running or due, "
        "and no step returned StopEvent.\n"
        "  last returned None: step 't'"
    )
    assert caught.value.waiting == ()
