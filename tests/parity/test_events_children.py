"""Rows 86 to 88: children of a step, their streams, and deliveries that another step cancels."""

import anyio
import anyio.lowlevel
import pytest

from plait import (
    Context,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from plait.errors import WorkflowRuntimeError, WorkflowStepDoesNotExistError
from plait.events import ChildEvent, StepFailedEvent, WorkflowFailedEvent, catch_error
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.clocks import in_virtual_time, live_tasks
from tests.parity.letters import A, B


@in_virtual_time
async def test_row_086_run_child_has_ended_before_its_step():
    log = []

    class Inner(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A:
            ctx.send_event(A(n=1))
            return A(n=2)

        @step
        async def t(self, ev: A) -> StopEvent:
            try:
                await anyio.sleep(ev.n)
            finally:
                log.append(f"child {ev.n}")
            return StopEvent(result=ev.n)

    class Outer(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            before = live_tasks()
            result = await ctx.run_child(Inner(), x=1)
            assert live_tasks() == before
            log.append("step end")
            return StopEvent(result=result)

    assert await Outer().run() == 1
    assert log == ["child 1", "child 2", "step end"]
    assert anyio.current_time() == 1


@pytest.mark.anyio
async def test_row_086_a_childs_error_is_the_steps():
    class Inner(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            raise ValueError("inner")

    class Outer(Workflow):
        @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=2, delay=0))
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            attempts.append(1)
            return StopEvent(result=await ctx.run_child(Inner()))

        @catch_error
        async def recover(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent(result=(ev.step_name, str(ev.exception)))

    attempts = []
    assert await Outer().run() == ("s", "inner")
    assert len(attempts) == 2


class Child(Workflow):
    @step
    async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
        ctx.write_event_to_stream(A(n=1))
        return StopEvent(result="child")


class Parent(Workflow):
    def __init__(self, child, **options):
        super().__init__()
        self.child = child
        self.options = options

    @step
    async def p(self, ctx: Context, ev: StartEvent) -> StopEvent:
        result = await ctx.run_child(self.child, **self.options)
        return StopEvent(result=f"parent of {result}")


@pytest.mark.anyio
async def test_row_086_also_what_the_child_was_refused():
    """In the run that made the mistake no other attempt would do better; in the one around it may."""

    class Inner(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result="fine") if ev.fine else A(n=1)

    class Outer(Workflow):
        @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=2, delay=0))
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            attempts.append(1)
            return StopEvent(result=await ctx.run_child(Inner(), fine=len(attempts) == ev.fine_at))

        @catch_error
        async def recover(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent(result=type(ev.exception).__name__)

    attempts = []
    assert await Outer().run(fine_at=2) == "fine"
    attempts.clear()
    assert await Outer().run(fine_at=3) == "WorkflowRuntimeError"
    assert len(attempts) == 2


@pytest.mark.anyio
async def test_row_087_child_streams_can_be_forwarded():
    run = Parent(Child(), forward_events=True).run()
    assert await run == "parent of child"
    one, two, last = [event async for event in run.stream_events()]
    assert isinstance(one, ChildEvent)
    assert isinstance(two, ChildEvent)
    assert (one.event, two.event) == (A(n=1), StopEvent(result="child"))
    assert one.path == two.path == ("Parent", "p", "Child")
    assert one.run_id == two.run_id != run.run_id
    assert one.workflow.rpartition(".")[2] == "Child"
    assert last == StopEvent(result="parent of child")


@pytest.mark.anyio
async def test_row_087_child_streams_are_not_forwarded_by_default():
    run = Parent(Child()).run()
    await run
    assert [event async for event in run.stream_events()] == [StopEvent(result="parent of child")]


@pytest.mark.anyio
async def test_row_087_grandchildren():
    class Grandparent(Workflow):
        @step
        async def g(self, ctx: Context, ev: StartEvent) -> StopEvent:
            parent = Parent(Child(), forward_events=True)
            return StopEvent(result=await ctx.run_child(parent, forward_events=True))

    run = Grandparent().run()
    await run
    *forwarded, last = [event async for event in run.stream_events()]
    assert [event.path for event in forwarded] == [
        ("Grandparent", "g", "Parent", "p", "Child"),
        ("Grandparent", "g", "Parent", "p", "Child"),
        ("Grandparent", "g", "Parent"),
    ]
    assert [event.event for event in forwarded] == [
        A(n=1),
        StopEvent(result="child"),
        StopEvent(result="parent of child"),
    ]
    assert last == StopEvent(result="parent of child")


@pytest.mark.anyio
async def test_row_087_the_terminal_event_of_a_failed_child_is_forwarded():
    class Failing(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            raise ValueError("child")

    run = Parent(Failing(), forward_events=True).run()
    with pytest.raises(ValueError, match="child"):
        await run
    child, own = [event async for event in run.stream_events()]
    assert isinstance(child, ChildEvent)
    assert isinstance(child.event, WorkflowFailedEvent)
    assert isinstance(own, WorkflowFailedEvent)
    assert (child.event.step_name, own.step_name) == ("s", "p")


@pytest.mark.anyio
async def test_row_087_a_bound_does_not_break_a_child():
    class Bounded(Parent):
        def __init__(self):
            Workflow.__init__(self, stream_buffer=1)
            self.child = Child()
            self.options = {"forward_events": True}

    run = Bounded().run()
    assert await run == "parent of child"
    events = [event async for event in run.stream_events()]
    assert [event.event for event in events[:-1]] == [A(n=1), StopEvent(result="child")]


class Asking(Workflow):
    @step
    async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
        answer = await ctx.wait_for_event(
            HumanResponseEvent, waiter_event=InputRequiredEvent(prefix="?")
        )
        return StopEvent(result=answer.response)


async def answer_a_child():
    async with Parent(Asking(), forward_events=True).run() as run:
        async for event in run.stream_events():
            if isinstance(event, ChildEvent) and isinstance(event.event, InputRequiredEvent):
                run.send_event(HumanResponseEvent(response="yes"))
    assert await run == "parent of yes"


@pytest.mark.anyio
async def test_row_087_answers_from_outside_reach_a_forwarding_child():
    with anyio.fail_after(10):
        await answer_a_child()


@pytest.mark.anyio
async def test_row_087_the_oldest_forwarding_child_comes_first():
    class Twins(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            ctx.send_event(A(n=0))
            ctx.send_event(A(n=1))

        @step
        async def p(self, ctx: Context, ev: A) -> B:
            result = await ctx.run_child(Asking(), forward_events=True)
            return B(n=10 * ev.n + result)

        @step
        async def end(self, ctx: Context, ev: B) -> StopEvent | None:
            batch = ctx.collect_events(ev, [B, B])
            return batch and StopEvent(result=[b.n for b in batch])

    with anyio.fail_after(10):
        async with Twins().run() as run:
            asked = 0
            async for event in run.stream_events():
                if isinstance(event, ChildEvent) and isinstance(event.event, InputRequiredEvent):
                    asked += 1
                    if asked == 2:
                        run.send_event(HumanResponseEvent(response=1))
                        run.send_event(HumanResponseEvent(response=2))
        assert sorted(await run) == [1, 12]


@pytest.mark.anyio
async def test_row_087_a_child_that_does_not_forward_gets_nothing_from_outside():
    async with Parent(Asking()).run() as run:
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        with pytest.raises(WorkflowRuntimeError, match="A was sent, but no step"):
            run.send_event(A())
        run.send_event(HumanResponseEvent(response="mailbox"))
        assert run.undelivered == (HumanResponseEvent(response="mailbox"),)
        run.cancel()


class Half(A):
    pass


class Cancelling(Workflow):
    """Two deliveries of `a1` sleep for ever, `chief` cancels some of them."""

    def __init__(self, where=None):
        super().__init__(disable_validation=True)
        self.where = where
        self.log = []
        self.began = 0
        self.all_began = anyio.Event()

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
        ctx.send_event(A(n=1))
        ctx.send_event(A(n=2))
        ctx.send_event(B())

    @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=3, delay=0))
    async def a1(self, ev: A) -> StopEvent:
        self.began += 1
        if self.began == 2:
            self.all_began.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.log.append(f"cancelled {ev.n}")
            raise
        return StopEvent()

    @step
    async def chief(self, ctx: Context, ev: B) -> StopEvent:
        await self.all_began.wait()
        count = ctx.cancel_step("a1", self.where)
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        self.log.append("chief goes on")
        return StopEvent(result=count)

    @catch_error
    async def handler(self, ev: StepFailedEvent) -> None:
        pytest.fail("a cancellation is no failure")


@pytest.mark.anyio
async def test_row_088_a_step_can_cancel_anothers_deliveries():
    flow = Cancelling()
    assert await flow.run() == 2
    assert sorted(flow.log[:2]) == ["cancelled 1", "cancelled 2"]
    assert flow.log[2:] == ["chief goes on"]
    assert flow.began == 2


@pytest.mark.anyio
async def test_row_088_some_deliveries():
    flow = Cancelling(where=lambda event: event.n == 2)
    assert await flow.run() == 1
    assert flow.log == ["cancelled 2", "chief goes on", "cancelled 1"]


@pytest.mark.anyio
async def test_row_088_a_step_that_does_not_exist():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            assert ctx.cancel_step("s", lambda event: False) == 0
            ctx.cancel_step("zzz")
            return StopEvent()

    with pytest.raises(WorkflowStepDoesNotExistError, match=r"\bzzz\b"):
        await Flow().run()


@pytest.mark.anyio
async def test_row_088_a_cancelled_branch_ends():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> list[A]:
            ctx.send_event(B())
            return [A(n=n) for n in range(3)]

        @step(num_workers=3)
        async def work(self, ev: A) -> Half:
            if ev.n == 1:
                began.set()
                await anyio.sleep_forever()
            return Half(n=ev.n)

        @step
        async def chief(self, ctx: Context, ev: B) -> None:
            await began.wait()
            ctx.cancel_step("work", lambda event: event.n == 1)

        @step
        async def join(self, evs: list[Half]) -> StopEvent:
            return StopEvent(result=sorted(ev.n for ev in evs))

    began = anyio.Event()
    assert await Flow(disable_validation=True).run() == [0, 2]
