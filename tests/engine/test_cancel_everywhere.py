"""Cancel the seed programs at each step of the scheduler: nothing is left, and the next run is right.

Under one fixed schedule an instrument counts the steps that a scenario's tasks make. Then the scenario
runs once per step and is cancelled there: by its caller's scope, by `run.cancel()`, or by a deadline;
and by a second cancel while the first is being cleaned up.
"""

import pytest
import trio

from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowCancelledByUser, WorkflowTimeoutError
from plait.testing import task_tree
from tests.conformance.seeds import (
    ConcurrentFlow,
    ParallelFlow,
    ParallelWorkflow,
    SequentialWorkflow,
    ThreeKindsFlow,
)
from tests.engine.harness import Cutter, collect_garbage, one_schedule, recorded, run_fixed

DELAYS = {"Query 1": 3, "Query 2": 1, "Query 3": 2, "A": 1, "B": 3, "C": 2}


class CleaningUp(ParallelWorkflow):
    """A seed whose bodies take their time, shielded and not, when they are cancelled."""

    async def work(self, data):
        try:
            await super().work(data)
        finally:
            self.began += 1
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
                await trio.lowlevel.checkpoint()
            self.ended += 1


class Item(Event):
    n: int


class Nested(ParallelWorkflow):
    """A seed of which one body runs another seed."""

    async def work(self, data):
        if data != "A":
            await super().work(data)
            return
        self.began += 1
        child = ThreeKindsFlow(DELAYS)
        try:
            assert await child.run() == ["Query 3", "Query 1", "Query 2"]
        finally:
            assert child.began == child.ended
            self.ended += 1


class Dirty(Workflow):
    """Bodies that use scopes, nurseries and the store, more of them than workers."""

    def __init__(self, delays):
        super().__init__()
        self.began = self.ended = 0

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
        for n in range(5):
            ctx.send_event(Item(n=n))
            await ctx.store.set("sent", n + 1)

    @step(num_workers=2)
    async def work(self, ctx: Context, ev: Item) -> StopEvent | None:
        self.began += 1
        try:
            with trio.move_on_after(ev.n):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep, 2)
            ctx.write_event_to_stream(ev)
            batch = ctx.collect_events(ev, [Item] * 5)
            return batch and StopEvent(result=await ctx.store.get("sent"))
        finally:
            self.ended += 1


SCENARIOS = {
    "parallel flow": (ParallelFlow, "Query 2"),
    "concurrent flow": (ConcurrentFlow, "Done"),
    "three kinds": (ThreeKindsFlow, ["Query 3", "Query 1", "Query 2"]),
    "sequential workflow": (SequentialWorkflow, "Processed: A, Processed: B, Processed: C"),
    "parallel workflow": (ParallelWorkflow, "Processed: A, Processed: C, Processed: B"),
    "cleaning up": (CleaningUp, "Processed: A, Processed: C, Processed: B"),
    "nested": (Nested, None),
    "dirty": (Dirty, 5),
}


@pytest.fixture(params=SCENARIOS)
def scenario(request):
    return SCENARIOS[request.param]


@pytest.fixture(autouse=True)
def fixed(monkeypatch):
    with one_schedule(monkeypatch):
        yield


@pytest.fixture
def made(monkeypatch):
    with recorded(monkeypatch) as made:
        yield made


def steps_of(seed, expected):
    """Count the steps of an undisturbed run."""

    async def main():
        with Cutter() as cutter:
            result = await seed(DELAYS).run()
        assert expected is None or result == expected
        return cutter.steps

    return run_fixed(main)


async def check_after(flow, before, made, expected):
    assert task_tree() == before
    assert flow.began == flow.ended, "a body has not ended"
    made.check()
    made.limiters.clear()
    made.channels.clear()
    result = await flow.run()
    assert expected is None or result == expected
    assert flow.began == flow.ended
    assert task_tree() == before
    made.check()


def test_the_schedule_is_fixed(scenario):
    async def main():
        with Cutter() as cutter:
            await scenario[0](DELAYS).run()
        return cutter.trace

    first = run_fixed(main)
    assert run_fixed(main) == run_fixed(main) == first


def test_cancel_the_callers_scope(scenario, made):
    seed, expected = scenario

    async def main(at):
        flow, before = seed(DELAYS), task_tree()
        run, scope = flow.run(), trio.CancelScope()
        with Cutter({at: scope.cancel}), scope:
            await run
        assert run.is_done()
        # The scope may be cancelled after the stop: then the run has completed, the wait for it not.
        assert run.state == "completed" or (run.state == "cancelled" and scope.cancelled_caught)
        await check_after(flow, before, made, expected)
        return run.state

    states = [run_fixed(main, at) for at in range(1, steps_of(*scenario) + 1)]
    collect_garbage()
    assert states.count("cancelled") > len(states) / 3


def test_cancel_the_run(scenario, made):
    seed, expected = scenario

    async def main(at):
        flow, before = seed(DELAYS), task_tree()
        run = flow.run()
        with Cutter({at: run.cancel}):
            try:
                await run
            except WorkflowCancelledByUser:
                assert run.state == "cancelled"
            else:
                assert run.state == "completed"
        await check_after(flow, before, made, expected)
        return run.state

    states = [run_fixed(main, at) for at in range(1, steps_of(*scenario) + 1)]
    collect_garbage()
    assert states.count("cancelled") > len(states) / 3


def test_cancel_the_owner_of_a_block(scenario, made):
    """The body awaits the run, so the scope around the block is cancelled while both are busy."""
    seed, expected = scenario

    async def main(at):
        flow, before = seed(DELAYS), task_tree()
        scope, log = trio.CancelScope(), []
        with Cutter({at: scope.cancel}), scope:
            async with flow.run() as run:
                try:
                    log.extend([event async for event in run.stream_events()])
                    await run
                finally:
                    log.append("body left")
        assert run.is_done()
        await check_after(flow, before, made, expected)

    for at in range(1, steps_of(*scenario) + 3):
        run_fixed(main, at)
    collect_garbage()


@pytest.mark.parametrize("later", [1, 3])
@pytest.mark.parametrize("first", ["scope", "run"])
def test_a_second_cancel_during_the_clean_up(scenario, made, first, later):
    seed, expected = scenario

    async def main(at):
        flow, before = seed(DELAYS), task_tree()
        run, scope = flow.run(), trio.CancelScope()
        one, other = (scope.cancel, run.cancel) if first == "scope" else (run.cancel, scope.cancel)
        with Cutter({at: one, at + later: other}), scope:
            try:
                await run
            except WorkflowCancelledByUser:
                assert first == "run"
        assert run.is_done()
        await check_after(flow, before, made, expected)

    for at in range(1, steps_of(*scenario) + 1, 4):
        run_fixed(main, at)
    collect_garbage()


def test_a_deadline_at_each_instant(scenario, made):
    """The run's own timeout, and its caller's deadline, at each instant and between any two."""
    seed, expected = scenario

    async def main(seconds, whose):
        flow, before = seed(DELAYS), task_tree()
        if whose == "run":
            flow._timeout = seconds
            try:
                await flow.run()
            except WorkflowTimeoutError:
                assert trio.current_time() >= seconds
            flow._timeout = None
        else:
            with trio.move_on_after(seconds):
                await flow.run()
        await check_after(flow, before, made, expected)

    for halves in range(1, 14):
        for whose in ("run", "caller"):
            run_fixed(main, halves / 2, whose)
    collect_garbage()


@pytest.mark.parametrize("how", ["run", "scope"])
@pytest.mark.parametrize("which", [0, 1])
def test_cancel_a_run_that_shares_a_gate(made, how, which):
    """Two runs of three are queued. Whichever is cancelled, and when: no place is lost or doubled."""

    async def main(at):
        flow, before = ParallelFlow(DELAYS, num_concurrent_runs=1), task_tree()
        scopes = [trio.CancelScope() for _ in range(3)]
        runs = [flow.run() for _ in range(3)]

        async def one(run, scope):
            with scope:
                try:
                    assert await run == "Query 2"
                except WorkflowCancelledByUser:
                    assert run is runs[which]

        cut = runs[which].cancel if how == "run" else scopes[which].cancel
        with Cutter({at: cut}) as cutter:
            async with trio.open_nursery() as nursery:
                for run, scope in zip(runs, scopes, strict=True):
                    nursery.start_soon(one, run, scope)
        states = [run.state for run in runs]
        assert states.pop(which) in {"cancelled", "completed"}
        assert states == ["completed"] * 2
        await check_after(flow, before, made, "Query 2")
        return cutter.steps

    for at in range(1, run_fixed(main, 10_000) + 1):
        run_fixed(main, at)
    collect_garbage()
