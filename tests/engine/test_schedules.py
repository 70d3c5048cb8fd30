"""What holds whatever Trio's scheduler does: Hypothesis draws the schedule, replays and shrinks it."""

from collections import Counter

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

import plait
import plait.testing
from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowTimeoutError
from plait.events import WorkflowCancelledEvent, WorkflowTimedOutEvent
from plait.lowlevel import Completed, Started

#: The schedule; the value is of no use.
schedules = plait.testing.schedules()
delays = st.lists(st.integers(0, 3), min_size=1, max_size=9)
workers = st.integers(1, 4)


class Item(Event):
    n: int


class Other(Event):
    n: int


class Done(Event):
    n: int


class Watch:
    """An observer: bodies per step never exceed the limit, and begin in the order of the queue."""

    def __init__(self, limits):
        self.limits = limits
        self.running = Counter()
        self.began = {}
        self.step_of = {}

    def __call__(self, record):
        if isinstance(record, Started):
            self.running[record.step] += 1
            self.step_of[record.delivery] = record.step
            assert self.running[record.step] <= self.limits.get(record.step, 4)
            assert 0 <= record.worker < self.limits.get(record.step, 4)
            began = self.began.setdefault(record.step, [])
            assert not began or began[-1] < record.delivery
            began.append(record.delivery)
        elif isinstance(record, Completed):
            self.running[self.step_of[record.delivery]] -= 1


def watched(run, **limits):
    """Watch a run, and fail with what the watch has to say."""
    watch, faults = Watch(limits), []

    def observer(record):
        try:
            watch(record)
        except AssertionError as error:
            faults.append(error)

    run.observe(observer)
    return run, faults


def flow_of(num_workers, pauses):
    class FanOutFanIn(Workflow):
        def __init__(self):
            super().__init__()
            self.bodies = Counter()
            self.order, self.now, self.most, self.fired = [], 0, 0, 0

        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
            for n in range(len(pauses)):
                ctx.send_event(Item(n=n))

        @step(num_workers=num_workers)
        async def work(self, ev: Item) -> Done:
            self.bodies[ev.n] += 1
            self.order.append(ev.n)
            self.now += 1
            self.most = max(self.most, self.now)
            await trio.sleep(pauses[ev.n])
            self.now -= 1
            return Done(n=ev.n)

        @step
        async def join(self, ctx: Context, ev: Done) -> StopEvent | None:
            await trio.lowlevel.checkpoint()
            batch = ctx.collect_events(ev, {Done: len(pauses)})
            if batch is None:
                return None
            self.fired += 1
            return StopEvent(result=[done.n for done in batch])

    return FanOutFanIn()


@given(schedules, workers, delays)
def test_fan_out_and_fan_in(schedule, num_workers, pauses):
    flow = flow_of(num_workers, pauses)
    run, faults = watched(flow.run(), work=num_workers)

    async def main():
        return await run

    result = plait.testing.run(main)
    assert not faults
    assert sorted(result) == [*range(len(pauses))]
    assert flow.bodies == dict.fromkeys(range(len(pauses)), 1)
    assert flow.order == [*range(len(pauses))]
    assert flow.most <= num_workers
    assert flow.fired == 1
    assert run.undelivered == ()


@given(schedules, st.permutations(range(5)))
def test_the_batch_has_the_order_of_completion(schedule, order):
    """Bodies end one after the other, in a drawn order: the schedule decides nothing."""

    class Gated(Workflow):
        def __init__(self):
            super().__init__()
            self.gates = [trio.Event() for _ in order]

        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
            for n in range(len(order)):
                ctx.send_event(Item(n=n))

        @step(num_workers=5)
        async def work(self, ev: Item) -> Done:
            await self.gates[ev.n].wait()
            return Done(n=ev.n)

        @step(num_workers=1)
        async def join(self, ctx: Context, ev: Done) -> StopEvent | None:
            await trio.lowlevel.checkpoint()
            batch = ctx.collect_events(ev, [Done] * 5)
            return batch and StopEvent(result=[done.n for done in batch])

    async def main():
        flow = Gated()
        async with flow.run() as run:
            for n in order:
                await trio.testing.wait_all_tasks_blocked()
                flow.gates[n].set()
            return await run

    assert plait.testing.run(main) == [*order]


@given(schedules, delays)
def test_a_chain(schedule, pauses):
    log = []

    class Chain(Workflow):
        @step
        async def start(self, ev: StartEvent) -> Item:
            return Item(n=0)

        @step
        async def link(self, ev: Item) -> Item | StopEvent:
            log.append(ev.n)
            await trio.sleep(pauses[ev.n])
            if ev.n + 1 == len(pauses):
                return StopEvent(result=trio.current_time())
            return Item(n=ev.n + 1)

    run, faults = watched(Chain().run())

    async def main():
        return await run

    assert plait.testing.run(main) == sum(pauses)
    assert not faults
    assert log == [*range(len(pauses))]


@given(schedules, workers, delays)
def test_a_union_step_has_one_queue_and_one_budget(schedule, num_workers, pauses):
    began, now, most = [], 0, 0

    class Union(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Item | Other | None:
            for n in range(len(pauses)):
                ctx.send_event((Item, Other)[n % 2](n=n))

        @step(num_workers=num_workers)
        async def work(self, ev: Item | Other) -> Done:
            nonlocal now, most
            began.append(ev.n)
            now += 1
            most = max(most, now)
            await trio.sleep(pauses[ev.n])
            now -= 1
            return Done(n=ev.n)

        @step
        async def join(self, ctx: Context, ev: Done) -> StopEvent | None:
            return ctx.collect_events(ev, {Done: len(pauses)}) and StopEvent()

    run, faults = watched(Union().run(), work=num_workers)

    async def main():
        await run

    plait.testing.run(main)
    assert not faults
    assert began == [*range(len(pauses))]
    assert most <= num_workers


@given(schedules, st.lists(st.integers(1, 6), min_size=2, max_size=6))
def test_a_race_is_won_by_who_stops_first(schedule, pauses):
    log = Counter()

    class Race(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
            for n in range(len(pauses)):
                ctx.send_event(Item(n=n))

        @step(num_workers=len(pauses))
        async def work(self, ev: Item) -> StopEvent:
            log["began"] += 1
            try:
                await trio.sleep(pauses[ev.n])
            except trio.Cancelled:
                log["cancelled"] += 1
                raise
            return StopEvent(result=ev.n)

    async def main():
        run = Race().run()
        result = await run
        assert trio.current_time() == min(pauses)
        assert run.get_stop_event().result == result
        return result

    result = plait.testing.run(main)
    assert pauses[result] == min(pauses)
    assert log["began"] == len(pauses)
    # What was due in the same instant still ran.
    assert log["cancelled"] == len([pause for pause in pauses if pause > min(pauses)])


@given(schedules, st.integers(1, 4))
def test_who_is_due_in_the_instant_of_the_stop_does_not_turn_it_into_a_failure(schedule, others):
    class Race(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Item | Other | None:
            for n in range(others):
                ctx.send_event(Other(n=n))
            ctx.send_event(Item(n=0))

        @step
        async def stop(self, ev: Item) -> StopEvent:
            await trio.sleep(1)
            return StopEvent(result="stopped")

        @step(num_workers=4)
        async def send(self, ctx: Context, ev: Other) -> None:
            await trio.sleep(1)
            ctx.send_event(Done(n=ev.n))
            ctx.send_event(Done(n=ev.n))

        @step
        async def take(self, ev: Done) -> None:
            pass

    async def main():
        assert await Race(disable_validation=True).run() == "stopped"

    plait.testing.run(main)


@given(schedules, st.integers(2, 4))
def test_failures_of_one_instant_are_all_reported(schedule, count):
    class Failing(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
            for n in range(count):
                ctx.send_event(Item(n=n))

        @step(num_workers=4)
        async def work(self, ev: Item) -> StopEvent:
            await trio.sleep(1)
            raise ValueError(ev.n)

    async def main():
        with pytest.raises(ExceptionGroup) as caught:
            await Failing().run()
        assert {error.args[0] for error in caught.value.exceptions} == {*range(count)}

    plait.testing.run(main)


@given(schedules, st.integers(1, 3), st.integers(2, 7))
def test_queued_runs_are_admitted_first_come_first_served(schedule, limit, count):
    admitted = []

    class Flow(Workflow):
        @step
        async def work(self, ev: StartEvent) -> StopEvent:
            admitted.append(ev.n)
            await trio.sleep(1)
            return StopEvent()

    async def main():
        flow = Flow(num_concurrent_runs=limit)
        async with trio.open_nursery() as nursery:
            for n in range(count):
                flow.run(n=n).start_soon(nursery)
                await trio.testing.wait_all_tasks_blocked()

    plait.testing.run(main)
    rounds = [admitted[at : at + limit] for at in range(0, count, limit)]
    assert [sorted(each) for each in rounds] == [
        [*range(at, min(at + limit, count))] for at in range(0, count, limit)
    ]


@given(schedules, st.sampled_from(["timeout", "scope"]), st.integers(1, 3))
def test_a_cancellation_is_one_whoever_of_the_tasks_is_told_first(schedule, how, count):
    """Bodies that fail in their clean-up may be scheduled before the run's host."""

    class Failing(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
            for n in range(count):
                ctx.send_event(Item(n=n))

        @step
        async def work(self, ev: Item) -> StopEvent:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                raise ValueError(ev.n) from None
            return StopEvent()

    async def main():
        run = Failing(timeout=1 if how == "timeout" else None).run()
        with (
            trio.move_on_after(2 if how == "timeout" else 1),
            pytest.raises((ValueError, ExceptionGroup)) as caught,
        ):
            await run
        errors = getattr(caught.value, "exceptions", (caught.value,))
        kinds = [type(error) for error in errors]
        assert kinds.count(ValueError) == count
        assert kinds.count(WorkflowTimeoutError) == (how == "timeout")
        assert run.state == ("failed" if how == "timeout" else "cancelled")
        last = [event async for event in run.stream_events()][-1]
        assert type(last) is (WorkflowTimedOutEvent if how == "timeout" else WorkflowCancelledEvent)

    plait.testing.run(main)


@given(schedules, st.booleans())
def test_a_runtime_whose_block_ends_early_gives_one_result(schedule, cancelled):
    """The failure of a clean-up comes out, beside what the block raised, and nothing else."""

    class Failing(Workflow):
        @step
        async def work(self, ev: StartEvent) -> StopEvent:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError
            return StopEvent()

    async def main():
        raised = []
        with trio.CancelScope() as scope:
            try:
                async with plait.open_runtime():
                    Failing().run()
                    await trio.testing.wait_all_tasks_blocked()
                    if not cancelled:
                        raise KeyError
                    scope.cancel()
                    await trio.sleep_forever()
            except (ValueError, ExceptionGroup) as error:
                raised += [type(each) for each in getattr(error, "exceptions", [error])]
        assert raised == ([ValueError] if cancelled else [KeyError, ValueError])

    plait.testing.run(main)
