"""Rows 20 to 23, 25 and 26: how many bodies run at once, and in which order they begin."""

import anyio
import pytest

from plait import Context, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowValidationError
from plait.lowlevel import Started
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B, C


class Meter:
    """Counts the bodies that run."""

    def __init__(self):
        self.now = self.most = 0
        self.began = []

    async def body(self, event, seconds):
        self.began.append(event)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await anyio.sleep(seconds)
        finally:
            self.now -= 1


@in_virtual_time
async def test_row_020_num_workers_is_4_by_default():
    meter = Meter()

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(12):
                ctx.send_event(A(n=n))

        @step
        async def t(self, ev: A) -> B:
            await meter.body(ev, 0.05)
            return B()

        @step
        async def end(self, ctx: Context, ev: B) -> StopEvent | None:
            return ctx.collect_events(ev, [B] * 12) and StopEvent()

    await Flow().run()
    assert anyio.current_time() == pytest.approx(3 * 0.05, rel=1e-12)
    assert meter.most == 4


@in_virtual_time
async def test_row_021_the_bound_is_strict_and_start_is_first_in_first_out():
    meter, workers = Meter(), []

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(10):
                ctx.send_event(A(n=n))

        @step(num_workers=3)
        async def t(self, ev: A) -> B:
            await meter.body(ev.n, (7 * ev.n) % 5)
            return B()

        @step
        async def end(self, ctx: Context, ev: B) -> StopEvent | None:
            return ctx.collect_events(ev, [B] * 10) and StopEvent()

    def observer(record):
        if isinstance(record, Started) and record.step == "t":
            workers.append(record.worker)

    await Flow().run().observe(observer)
    assert meter.most == 3
    assert meter.began == [*range(10)]
    assert {*map(str, workers)} == {"0", "1", "2"}


@in_virtual_time
async def test_row_022_one_worker_is_sequential():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(5):
                ctx.send_event(A(n=n))

        @step(num_workers=1)
        async def t(self, ev: A) -> B:
            await anyio.sleep(5 - ev.n)
            return B(n=ev.n)

        @step
        async def end(self, ctx: Context, ev: B) -> StopEvent | None:
            batch = ctx.collect_events(ev, [B] * 5)
            return batch and StopEvent(result=[b.n for b in batch])

    assert await Flow().run() == [0, 1, 2, 3, 4]
    assert anyio.current_time() == 5 + 4 + 3 + 2 + 1


@in_virtual_time
async def test_row_023_a_union_step_has_one_budget():
    meter = Meter()

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | B | None:
            for n in range(4):
                ctx.send_event(A(n=n))
                ctx.send_event(B(n=n))

        @step(num_workers=3)
        async def t(self, ev: A | B) -> C:
            await meter.body(ev, 1)
            return C()

        @step
        async def end(self, ctx: Context, ev: C) -> StopEvent | None:
            return ctx.collect_events(ev, [C] * 8) and StopEvent()

    await Flow().run()
    assert meter.most == 3
    assert meter.began == [kind(n=n) for n in range(4) for kind in (A, B)]
    assert anyio.current_time() == 3


@pytest.mark.parametrize("bad", [0, -1, 1.5, "2", True])
def test_row_025_num_workers_is_checked(bad):
    with pytest.raises(
        WorkflowValidationError, match="num_workers must be an integer greater than 0"
    ):

        class Flow(Workflow):
            @step(num_workers=bad)
            async def s(self, ev: StartEvent) -> StopEvent:
                return StopEvent()


class Sleeper(Workflow):
    @step
    async def s(self, ev: StartEvent) -> StopEvent:
        await anyio.sleep(0.02)
        return StopEvent(result=ev.n)


@in_virtual_time
async def test_row_026_the_number_of_live_runs_is_bounded():
    flow = Sleeper(num_concurrent_runs=2)
    async with anyio.create_task_group() as nursery:
        runs = [flow.run(n=n).start_soon(nursery) for n in range(6)]
        await anyio.sleep(0.001)
        assert [run.state for run in runs].count("running") == 2
        assert [run.state for run in runs].count("queued") == 4
    assert anyio.current_time() == pytest.approx(0.06, rel=1e-12)


@in_virtual_time
async def test_row_026_who_comes_first_is_served_first():
    flow, order = Sleeper(num_concurrent_runs=2), []

    async def one(n):
        order.append(await flow.run(n=n))

    async with anyio.create_task_group() as nursery:
        for n in range(6):
            nursery.start_soon(one, n)
            await anyio.sleep(0.001)
    assert [{*order[:2]}, {*order[2:4]}, {*order[4:]}] == [{0, 1}, {2, 3}, {4, 5}]


@in_virtual_time
async def test_row_026_queueing_is_not_timed():
    flow = Sleeper(num_concurrent_runs=1, timeout=0.03)
    async with anyio.create_task_group() as nursery:
        runs = [flow.run(n=n).start_soon(nursery) for n in range(4)]
    assert [run.state for run in runs] == ["completed"] * 4
    assert anyio.current_time() == pytest.approx(0.08, rel=1e-12)
