"""Runs inside of runs: a child is in its parent's journal, under a name that it has in every life."""

import contextlib
import uuid

import anyio
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
from plait.errors import WorkflowRuntimeError
from plait.events import ChildEvent
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.letters import A, B
from tests.strands.events.journal.lives import (
    Kept,
    Moment,
    everywhere,
    live_until,
    outcome_of,
)
from tests.strands.events.journal.lives import home as home


class Question(InputRequiredEvent):
    pass


class Answer(HumanResponseEvent):
    n: int


class Child(Workflow):
    """Two steps; the second stops at a gate."""

    def __init__(self, parent, **options):
        super().__init__(**options)
        self.parent = parent

    @step
    async def first(self, ctx: Context, ev: StartEvent) -> A:
        self.parent.log.append(("first", ev.n))
        return A(n=ev.n)

    @step
    async def second(self, ctx: Context, ev: A) -> StopEvent:
        self.parent.log.append(("second", ev.n))
        self.parent.ids.add(ctx.run_id)
        if ev.n == self.parent.stop_at:
            self.parent.reached.set()
            await anyio.sleep_forever()
        if ev.n < 0:
            raise ValueError(ev.n)
        return StopEvent(result=10 * ev.n)


class Parent(Workflow):
    def __init__(self, journal, numbers=(1, 2, 3), how="run_child", stop_at=None, **options):
        super().__init__(journal=journal, **options)
        self.numbers, self.how, self.stop_at = numbers, how, stop_at
        self.log, self.ids, self.reached = [], set(), Moment()

    @step
    async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
        self.log.append("parent")
        return StopEvent(result=[await self.one(ctx, n) for n in self.numbers])

    async def one(self, ctx, n):
        if self.how == "run_child":
            return await ctx.run_child(Child(self), n=n)
        if self.how == "await":
            return await Child(self).run(n=n)
        async with Child(self).run(n=n) as run:
            return await run.result()


@everywhere
@pytest.mark.parametrize("how", ["run_child", "await", "block"])
async def test_a_finished_child_gives_its_result_and_an_unfinished_one_goes_on(home, how):
    """The parent's body runs again; its children do only what they had not done."""
    parent = Parent(home.journal(), how=how, stop_at=2)
    await live_until(parent.reached, parent.run(run_id="r"))
    statuses = await home.statuses()
    assert len(statuses) == 3
    assert sorted(statuses.values()) == ["completed", "running", "running"]
    assert {name for name in statuses if name != "r"} == parent.ids
    again = Parent(home.journal(), how=how)
    assert await again.resume("r") == [10, 20, 30]
    assert again.log == ["parent", ("second", 2), ("first", 3), ("second", 3)]
    statuses = await home.statuses()
    assert [*statuses.values()] == ["completed"] * 4
    assert parent.ids <= {*statuses}


@everywhere
async def test_the_names_of_children(home):
    """UUIDs, made of the parent's name and the place of the call: the same in every journal."""
    first, second = Parent(home.journal()), Parent(Kept())
    await first.run(run_id="r")
    await second.run(run_id="r")
    assert first.ids == second.ids
    other = Parent(Kept())
    await other.run(run_id="other")
    assert not first.ids & other.ids
    for name in first.ids:
        assert str(uuid.UUID(name)) == name


@everywhere
async def test_a_retry_of_the_parent_has_children_of_its_own(home):
    """Each attempt runs its children anew, as it does without a journal."""

    class W(Parent):
        @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=3, delay=0))
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            self.log.append("parent")
            result = await self.one(ctx, 1)
            if ctx.retry_info().retry_number < 2:
                raise ValueError
            return StopEvent(result=result)

    flow = W(home.journal())
    assert await flow.run(run_id="r") == 10
    assert flow.log == ["parent", ("first", 1), ("second", 1)] * 3
    assert len(flow.ids) == 3


@everywhere
async def test_a_child_that_failed_fails_again(home):
    """Its error is on record: it is raised in the parent's body again, and nothing runs for it."""

    class W(Parent):
        @step
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            try:
                await self.one(ctx, -1)
            except ValueError as error:
                self.log.append(error.args)
            return StopEvent(result=await self.one(ctx, 2))

    flow = W(home.journal(), stop_at=2)
    await live_until(flow.reached, flow.run(run_id="r"))
    again = W(home.journal())
    assert await again.resume("r") == 20
    assert again.log == [(-1,), ("second", 2)]


@everywhere
async def test_children_of_a_fan_out(home):
    """Several deliveries with several children each: none is another's."""

    class W(Parent):
        @step
        async def only(self, ev: StartEvent) -> list[A]:
            return [A(n=n) for n in range(1, 4)]

        @step
        async def work(self, ctx: Context, ev: A) -> B:
            total = 0
            for k in range(2):
                total += await self.one(ctx, 10 * ev.n + k)
            return B(n=total)

        @step
        async def end(self, evs: list[B]) -> StopEvent:
            return StopEvent(result=sorted(b.n for b in evs))

    flow = W(home.journal(), stop_at=21)
    await live_until(flow.reached, flow.run(run_id="r"))
    again = W(home.journal())
    assert await again.resume("r") == [210, 410, 610]
    begun = [line for line in [*flow.log, *again.log] if line[0] == "first"]
    assert sorted(begun) == sorted({*begun})
    assert len(await home.statuses()) == 7


@everywhere
async def test_a_child_with_a_journal_of_its_own(home):
    """It is kept there, and under the same name in every life."""

    class W(Parent):
        @step
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await Child(self, journal=own).run(n=1))

    own = Kept()
    flow = W(home.journal(), stop_at=1)
    await live_until(flow.reached, flow.run(run_id="r"))
    assert [*own._streams] == [*flow.ids]
    assert [*await home.statuses()] == ["r"]
    again = W(home.journal())
    assert await again.resume("r") == 10
    assert again.log == [("second", 1)]


@everywhere
async def test_a_named_child(home):
    """A child that was given a name has that, and goes on under it."""

    class W(Parent):
        @step
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await Child(self).run(run_id="kid", n=1))

    flow = W(home.journal(), stop_at=1)
    await live_until(flow.reached, flow.run(run_id="r"))
    assert sorted(await home.statuses()) == ["kid", "r"]
    again = W(home.journal())
    assert await again.resume("r") == 10
    assert again.log == [("second", 1)]


@everywhere
async def test_a_child_that_asks(home):
    """A question of a child, forwarded; the answer comes in the next life, from outside."""

    class Asks(Workflow):
        @step
        async def ask(self, ev: StartEvent) -> Question:
            return Question()

        @step
        async def take(self, ev: Answer) -> StopEvent:
            return StopEvent(result=ev.n)

    class W(Workflow):
        @step
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            begun.append(1)
            return StopEvent(result=await ctx.run_child(Asks(), forward_events=True))

    begun = []

    async def ask(run):
        async for event in run.stream_events():
            if isinstance(event, ChildEvent) and isinstance(event.event, Question):
                return event
        raise AssertionError

    with anyio.CancelScope() as scope:
        async with W(journal=home.journal()).run(run_id="r") as run:
            assert (await ask(run)).path[-1] == "Asks"
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    with anyio.fail_after(5):
        async with W(journal=home.journal()).resume("r") as run:
            await ask(run)
            while not run.is_done():  # until the child is there again
                with contextlib.suppress(WorkflowRuntimeError):
                    run.send_event(Answer(n=5))
                await anyio.sleep(0.001)
            assert await run.result() == 5
    assert begun == [1, 1]


@everywhere
async def test_an_answer_for_a_child_that_is_not_there_yet(home):
    """A question is on the stream before the child is there again: its answer waits for the child."""

    class Asks(Workflow):
        @step
        async def ask(self, ev: StartEvent) -> Question:
            return Question()

        @step
        async def take(self, ev: Answer) -> StopEvent:
            return StopEvent(result=ev.n)

    class W(Workflow):
        @step
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await ctx.run_child(Asks(), forward_events=True))

    async def ask(run):
        async for event in run.stream_events():
            if isinstance(event, ChildEvent) and isinstance(event.event, Question):
                return

    with anyio.CancelScope() as scope:
        async with W(journal=home.journal()).run(run_id="r") as run:
            await ask(run)
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    with anyio.fail_after(5):
        async with W(journal=home.journal()).resume("r") as run:
            await ask(run)
            run.send_event(Answer(n=5))
            assert await run.result() == 5


@everywhere
async def test_cancelled_for_good_with_its_parent(home):
    """`cancel()` of the parent is the parent's end; nobody goes on with the child."""
    parent = Parent(home.journal(), stop_at=1)
    async with parent.run(run_id="r") as run:
        await parent.reached.wait()
        run.cancel()
    assert (await home.statuses())["r"] == "cancelled"
    again = Parent(home.journal())
    error = await outcome_of(again.resume("r"))
    assert "was cancelled" in str(error)
    assert again.log == []
