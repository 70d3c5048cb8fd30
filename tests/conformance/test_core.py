"""The core behaviours on Trio, on Trio with a clock that jumps, and on asyncio: the same everywhere.

tests/conftest.py asserts that each test runs on the backend it says.
"""

import asyncio

import anyio
import anyio.lowlevel
import attrs
import pytest
import trio
import trio.testing

import plait
from plait import Context, Event, HumanResponseEvent, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowStalledError, WorkflowTimeoutError
from plait.lowlevel import RunStarted
from tests.conformance.seeds import (
    ConcurrentFlow,
    ParallelFlow,
    ParallelWorkflow,
    SequentialWorkflow,
    ThreeKindsFlow,
)

HALVES = (1, 0.5, 1.5)
SEEDS = [ParallelFlow, ConcurrentFlow, ThreeKindsFlow, SequentialWorkflow, ParallelWorkflow]


class Item(Event):
    n: int = 0


async def turns(count=20):
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


# ---------------------------------------------------------------- the same records


class Gates:
    """Lets the bodies of a seed end one by one, in a given order."""

    def __init__(self, seed, order):
        self.flow = seed()
        self.order = order
        self.gates = {}
        self.flow.work = self.work

    async def work(self, data):
        await self.gates.setdefault(data, anyio.Event()).wait()

    async def records(self):
        """Run, and give what was recorded: in portions, one after each body that ends.

        What one portion holds is sorted, since Trio takes tasks that are due at once in any order.
        """
        portions = [[]]

        def observer(record):
            times = {"at": 0, "epoch": 0} if isinstance(record, RunStarted) else {"at": 0}
            portions[-1].append(repr(attrs.evolve(record, **times)))

        async with self.flow.run(run_id="R").observe(observer) as run:
            for data in self.order:
                await turns(40)
                portions.append([])
                self.gates.setdefault(data, anyio.Event()).set()
        return await run, [sorted(portion) for portion in portions]


QUERIES = ["Query 1", "Query 2", "Query 3"]
ORDERS = [(0, 1, 2), (2, 0, 1), (1, 2, 0)]


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize(
    ("seed", "data"),
    [(ConcurrentFlow, QUERIES), (ThreeKindsFlow, QUERIES), (ParallelWorkflow, "ABC")],
)
def test_the_same_order_of_completion_gives_the_same_records(seed, data, order):
    ran_on = []

    async def main():
        ran_on.append("trio" if trio.lowlevel.in_trio_task() else type(asyncio.current_task()))
        return await Gates(seed, [data[n] for n in order]).records()

    on_trio = trio.run(main)
    on_a_mock_clock = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    on_asyncio = asyncio.run(main())
    assert ran_on == ["trio", "trio", asyncio.Task]
    assert on_trio == on_a_mock_clock == on_asyncio


# ---------------------------------------------------------------- cancel, early and late


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["scope", "run"])
@pytest.mark.parametrize("seed", SEEDS)
async def test_cancel_after_any_number_of_turns(seed, how):
    """Like tests/faults/test_cancel_at_every_checkpoint.py, coarser, and on every backend."""
    flow = seed(
        {**dict(zip(QUERIES, HALVES, strict=True)), **dict(zip("ABC", HALVES, strict=True))}
    )
    expected = await flow.run()
    states = []
    for count in range(0, 30, 2):
        run = flow.run()

        async def cut(count=count, run=run):
            await turns(count)
            if how == "scope":
                tasks.cancel_scope.cancel()
            else:
                run.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cut)
            try:
                await run
            except plait.errors.WorkflowCancelledByUser:
                assert how == "run"
        assert run.is_done()
        assert flow.began == flow.ended
        states.append(run.state)
    assert {*states} <= {"cancelled", "completed"}
    assert states[0] == "cancelled"
    assert await flow.run() == expected
    if not trio.lowlevel.in_trio_task():
        # The runner of the tests has a task of its own, and so has the test.
        assert len(asyncio.all_tasks()) <= 2


# ---------------------------------------------------------------- time


@pytest.mark.anyio
async def test_a_timeout_on_the_backends_own_clock():
    """A millisecond is waited for: on a real clock a timeout is the one thing that takes time."""

    class Slow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            try:
                await anyio.sleep_forever()
            finally:
                log.append("cleaned up")
            return StopEvent()

    log = []
    with pytest.raises(WorkflowTimeoutError, match=r"^Operation timed out after 0\.001 seconds\."):
        await Slow(timeout=0.001).run()
    assert log == ["cleaned up"]


@pytest.mark.anyio
async def test_a_timeout_that_is_not_reached_disturbs_nothing():
    assert await ParallelWorkflow(timeout=3600).run() is not None


# ---------------------------------------------------------------- ends


@pytest.mark.anyio
async def test_a_stall_is_seen_at_once():
    class Stalls(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent | None:
            return ctx.collect_events(ev, [StartEvent] * 2) and StopEvent()

    with pytest.raises(WorkflowStalledError, match="StartEvent 1/2"):
        await Stalls().run()


@pytest.mark.anyio
async def test_an_idle_run_waits_for_an_answer_from_outside():
    class Asks(Workflow):
        @step
        async def ask(self, ev: StartEvent) -> plait.InputRequiredEvent:
            return plait.InputRequiredEvent(prefix="?")

        @step
        async def answer(self, ev: HumanResponseEvent) -> StopEvent:
            return StopEvent(result=ev.response)

    async with Asks().run() as run:
        await run.wait_idle()
        assert run.state == "idle"
        assert run.explain().startswith("Workflow 'Asks' is idle: it waits for an event from out")
        async for event in run.stream_events():
            assert event == plait.InputRequiredEvent(prefix="?")
            break
        run.send_event(HumanResponseEvent(response="yes"))
        assert run.state == "running"
        assert await run == "yes"
        await run.wait_idle()


@pytest.mark.anyio
async def test_wait_idle_returns_at_the_end_of_a_run_that_is_never_idle():
    async with ParallelWorkflow().run() as run:
        await run.wait_idle()
        assert run.is_done()


@pytest.mark.anyio
async def test_a_thousand_events_through_one_step():
    class Wide(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
            for n in range(1000):
                ctx.send_event(Item(n=n))

        @step(num_workers=8)
        async def work(self, ctx: Context, ev: Item) -> StopEvent | None:
            if ev.n % 3 == 0:
                await anyio.lowlevel.checkpoint()
            batch = ctx.collect_events(ev, {Item: 1000})
            return batch and StopEvent(result=sum(item.n for item in batch))

    assert await Wide().run() == sum(range(1000))


@pytest.mark.anyio
async def test_children_in_parallel():
    class Parent(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
            for n in range(3):
                ctx.send_event(Item(n=n))

        @step(num_workers=3)
        async def nest(self, ctx: Context, ev: Item) -> StopEvent | None:
            results.append(await SequentialWorkflow().run())
            return ctx.collect_events(ev, [Item] * 3) and StopEvent()

    results = []
    await Parent().run()
    assert len(results) == 3
    assert {*results} == {"Processed: A, Processed: B, Processed: C"}
