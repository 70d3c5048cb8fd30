"""What one run, or one call, does is no other's business."""

import trio

from plait import Context, Event, StartEvent, StopEvent, Workflow, step


class A(Event):
    n: int = 0


class B(Event):
    n: int = 0


class Counts(Workflow):
    @step
    async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
        async with ctx.store.edit_state() as state:
            state.count = state.get("count", 0) + 1
        await trio.lowlevel.checkpoint()
        return StopEvent(result=await ctx.store.get("count"))


async def test_runs_of_one_workflow_have_stores_of_their_own():
    flow = Counts()
    assert [await flow.run(), await flow.run()] == [1, 1]
    async with flow.run() as one, flow.run() as two:
        assert [await one, await two] == [1, 1]


async def test_a_call_of_collect_events_reads_the_list_that_it_is_given():
    """Also if it is the list of the call before, with something else in it."""
    expected = [A]

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> A | B | None:
            ctx.send_event(A(n=1))
            ctx.send_event(A(n=2))
            ctx.send_event(B(n=3))

        @step(num_workers=1)
        async def take(self, ctx: Context, ev: A | B) -> StopEvent | None:
            batch = ctx.collect_events(ev, expected)
            if batch == [A(n=1)]:
                expected.append(B)
                return None
            return batch and StopEvent(result=batch)

    assert await Flow().run() == [A(n=2), B(n=3)]
