"""What durable calls have come to goes with snapshots, checkpoints and runs inside, and is checked there."""

import json

import anyio
import pytest

from plait import Context, StartEvent, StopEvent, step
from plait.errors import ContextSerdeError, StepError, WorkflowRuntimeError
from plait.events import WorkflowCheckpointer
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B
from tests.strands.events.journal.durable_programs import (
    Durable,
    Inner,
    broken,
    double,
    ran,
)
from tests.strands.events.journal.lives import Kept, live_for


@pytest.fixture(autouse=True)
def nothing_ran():
    ran.clear()


class Stops(Durable):
    """Something of each kind is recorded when it has come to its sleep."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        a = await ctx.step.run("a", double, 1)
        try:
            await ctx.step.run("bad", broken)
        except StepError as error:
            name = type(error.__cause__).__name__
        won = await ctx.group.parallel(
            (
                lambda: ctx.step.run("slow", double, 1, 50.0),
                lambda: ctx.step.run("fast", double, 2, 1.0),
            ),
            mode="race",
        )
        with ctx.move_on_after(1) as scope:
            await ctx.step.sleep("too-long", 10)
        with ctx.move_on_after(1000):
            await ctx.step.sleep("nap", 100)
        b = await ctx.step.run("b", double, a)
        return StopEvent(result=[a, name, won.value, scope.cancelled_caught, b])


WHOLE = [2, "OSError", 4, True, 4]


async def asleep(journal):
    """A run that was written down in the middle of its sleep."""
    document = None
    async with anyio.create_task_group() as tasks:
        run = Stops(journal=journal).run(run_id="r")

        async def live():
            await run

        tasks.start_soon(live)
        await anyio.sleep(50)
        document = json.loads(json.dumps(run.ctx.to_dict()))
        tasks.cancel_scope.cancel()
    return document


@in_virtual_time
async def test_a_snapshot_has_the_calls_of_its_bodies():
    document = await asleep(Kept())
    (delivery,) = document["steps"]["start"]["running"]
    assert [key for key, past in delivery["calls"]["past"] if past["ending"]] == [
        f'[[["start",1]{place}],"{name}",0]'
        for place, name in (("", "a"), ("", "bad"), (',["g",0,1]', "fast"))
    ]
    ran.clear()
    flow = Stops(journal=Kept())
    result = await flow.run(ctx=Context.from_dict(flow, document))
    assert result == WHOLE
    assert ran == ['[[["start",1]],"b",0]']


@in_virtual_time
async def test_who_goes_on_from_a_snapshot_may_die_as_well():
    document = await asleep(Kept())
    journal = Kept()
    flow = Stops(journal=journal)
    assert await flow.run(run_id="s", ctx=Context.from_dict(flow, document)) == WHOLE
    for number in range(1, len(journal.appends) + 1):
        left = journal.killed_after(number)
        ran.clear()
        assert await Stops(journal=left).resume("s") == WHOLE, number
        assert set(ran) <= {'[[["start",1]],"b",0]'}, number


@in_virtual_time
async def test_without_a_journal_a_snapshot_with_calls_cannot_go_on():
    document = await asleep(Kept())
    flow = Stops()
    with pytest.raises(WorkflowRuntimeError, match="journal"):
        await flow.run(ctx=Context.from_dict(flow, document))


@in_virtual_time
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda calls: calls.update(attempt="0"), "calls.attempt"),
        (lambda calls: calls["past"].append(calls["past"][0]), "there twice"),
        (lambda calls: calls["past"][0].__setitem__(0, "[[],0]"), "calls.past"),
        (lambda calls: calls.update(outcomes=7), "lost count of the outcomes"),
        (
            lambda calls: calls["past"][0].__setitem__(0, '[[["start",2]],"a",0]'),
            "another delivery's",
        ),
        (
            lambda calls: calls["past"][0].__setitem__(0, '[[["start",1]],"z",0]'),
            "another call's record",
        ),
        (lambda calls: calls["past"][1][1]["ending"]["failed"].update(error={}), "error"),
    ],
)
async def test_a_snapshot_is_looked_at_closely(change, fault):
    document = await asleep(Kept())
    change(document["steps"]["start"]["running"][0]["calls"])
    with pytest.raises(ContextSerdeError, match=fault):
        Context.from_dict(Stops(journal=Kept()), document)


class Two(Durable):
    """One delivery makes calls while the other returns."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> A | None:
        ctx.send_event(A(n=1))
        ctx.send_event(A(n=2))

    @step
    async def each(self, ctx: Context, ev: A) -> B:
        first = await ctx.step.run("first", double, ev.n)
        await ctx.step.sleep("nap", 10 * ev.n)
        return B(n=await ctx.step.run("second", double, first))

    @step
    async def last(self, ctx: Context, ev: B) -> StopEvent | None:
        both = ctx.collect_events(ev, [B] * 2)
        return None if both is None else StopEvent(result=sorted(one.n for one in both))


@in_virtual_time
async def test_a_checkpoint_has_the_calls_of_the_others():
    journal = Kept()
    checkpointer = WorkflowCheckpointer(Two(journal=journal))
    assert await checkpointer.run(run_id="r") == [4, 8]
    of_each = [one for one in checkpointer.checkpoints["r"] if one.last_completed_step == "each"]
    first = of_each[0]
    assert first.output_event == B(n=4)
    ran.clear()
    fresh = WorkflowCheckpointer(Two(journal=Kept()))
    assert await fresh.run_from(first) == [4, 8]
    assert ran == ['[[["each",3]],"second",0]']


@in_virtual_time
async def test_a_run_inside_that_is_written_as_its_records_has_its_calls():
    class Around(Durable):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> A | StopEvent:
            ctx.send_event(A(n=1))
            inside = await ctx.run_child(Sleeper())
            return StopEvent(result=inside)

        @step
        async def other(self, ctx: Context, ev: A) -> B:
            await ctx.step.sleep("nap", 5)
            return B(n=1)

        @step
        async def ignore(self, ev: B) -> StopEvent | None:
            return None

    class Sleeper(Inner):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            a = await ctx.step.run("a", double, 1)
            await ctx.step.sleep("nap", 10)
            return StopEvent(result=await ctx.step.run("b", double, a))

    journal = Kept()
    await live_for(100, Around(journal=journal).run(run_id="r"))
    stored = WorkflowCheckpointer(Around(journal=journal))
    await stored.load()
    (at,) = [one for one in stored.checkpoints["r"] if one.last_completed_step == "other"]
    ran.clear()
    assert await WorkflowCheckpointer(Around(journal=Kept())).run_from(at) == 4
    assert [json.loads(key)[1] for key in ran] == ["b"]
