"""A run that never suspends lets its neighbours run all the same."""

import anyio
import anyio.lowlevel
import pytest

from plait import Context, Event, StartEvent, StopEvent, Workflow, step

pytestmark = pytest.mark.anyio

COUNT = 10_000


class Item(Event):
    n: int = 0


class Other(Event):
    n: int


class Counting(Workflow):
    def __init__(self, count):
        super().__init__()
        self.count = count


class Queue(Counting):
    """One worker has so many instant deliveries in front of it."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
        for _ in range(self.count):
            ctx.send_event(Item())

    @step(num_workers=1)
    async def work(self, ctx: Context, ev: Item) -> StopEvent | None:
        return ctx.collect_events(ev, {Item: self.count}) and StopEvent()


class Wide(Queue):
    """Many workers have them."""

    @step(num_workers=50)
    async def work(self, ctx: Context, ev: Item) -> StopEvent | None:
        return await super().work(ctx, ev)


class Loop(Counting):
    """A step that returns to itself."""

    @step
    async def start(self, ev: StartEvent) -> Item:
        return Item()

    @step
    async def work(self, ev: Item) -> Item | StopEvent:
        return StopEvent() if ev.n == self.count else Item(n=ev.n + 1)


class PingPong(Counting):
    """Two steps that hand an event to and fro."""

    @step
    async def start(self, ev: StartEvent) -> Item:
        return Item()

    @step
    async def ping(self, ev: Item) -> Other:
        return Other(n=ev.n + 1)

    @step
    async def pong(self, ev: Other) -> Item | StopEvent:
        return StopEvent() if ev.n == self.count else Item(n=ev.n)


flows = pytest.mark.parametrize(
    ("flow", "count"), [(Queue, COUNT), (Wide, 2000), (Loop, 2000), (PingPong, 1000)]
)


@flows
async def test_a_neighbour_has_its_turns(flow, count):
    turns = 0

    async def neighbour():
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(neighbour)
        await flow(count).run()
        tasks.cancel_scope.cancel()
    assert turns > count / 100


@flows
async def test_a_run_that_never_suspends_can_be_cancelled(flow, count):
    run = flow(count).run()
    async with anyio.create_task_group() as tasks:

        async def stop():
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

        tasks.start_soon(stop)
        await run
    assert run.state == "cancelled"


async def test_a_reader_of_a_long_stream_lets_others_run():
    class Writer(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            for n in range(COUNT):
                ctx.write_event_to_stream(Item(n=n))
            return StopEvent()

    turns = 0

    async def neighbour():
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    run = Writer().run()
    await run
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(neighbour)
        events = [event async for event in run.stream_events()]
        tasks.cancel_scope.cancel()
    assert [event.n for event in events[:-1]] == [*range(COUNT)]
    assert turns > 100
