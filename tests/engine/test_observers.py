"""`run.observe(observer)`: called with each record, in order, and never in the way of the run."""

import logging

import anyio
import anyio.lowlevel
import pytest

from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowRuntimeError
from plait.lowlevel import Closed, Completed, Decided, Emitted, RunStarted, Started

pytestmark = pytest.mark.anyio


class Item(Event):
    n: int = 0


class Flow(Workflow):
    def __init__(self, count=3):
        super().__init__()
        self.count = count
        self.taken = []

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> Item | None:
        for n in range(self.count):
            ctx.send_event(Item(n=n))

    @step(num_workers=1)
    async def take(self, ctx: Context, ev: Item) -> StopEvent | None:
        self.taken.append(ev.n)
        await anyio.lowlevel.checkpoint()
        return StopEvent() if len(self.taken) == self.count else None


async def test_an_observer_sees_every_record_in_order():
    records = []
    await Flow().run().observe(records.append)
    assert isinstance(records[0], RunStarted)
    assert isinstance(records[-1], Closed)
    assert isinstance(records[-2], Decided)
    assert [r.event.n for r in records if isinstance(r, Emitted) and isinstance(r.event, Item)] == [
        0,
        1,
        2,
    ]
    begun = [r.delivery for r in records if isinstance(r, Started)]
    ended = [r.delivery for r in records if isinstance(r, Completed)]
    assert sorted(begun) == sorted(ended) == [1, 2, 3, 4]
    assert [r.at for r in records] == sorted(r.at for r in records)


async def test_several_observers_are_called_in_the_order_of_observe():
    calls = []
    run = Flow().run()
    assert run.observe(lambda record: calls.append("one")) is run
    run.observe(lambda record: calls.append("two"))
    await run
    assert calls[::2] == ["one"] * (len(calls) // 2)
    assert calls[1::2] == ["two"] * (len(calls) // 2)


async def test_a_record_is_applied_before_the_observers_are_told():
    run = Flow().run()
    states = []

    def observer(record):
        if isinstance(record, Started) and record.step == "take":
            states.append(run.running_steps())

    await run.observe(observer)
    assert len(states) == 3
    assert all("take" in state for state in states)


async def test_an_observer_that_raises_is_logged_and_removed(caplog):
    seen, calls = [], []

    def bad(record):
        calls.append(record)
        raise ZeroDivisionError("bad observer")

    with caplog.at_level(logging.ERROR, "plait"):
        run = Flow().run(run_id="R").observe(bad).observe(seen.append)
        await run
    assert len(calls) == 1
    assert isinstance(seen[0], RunStarted)
    assert isinstance(seen[-1], Closed)
    (logged,) = caplog.records
    assert logged.getMessage() == "An observer of run R raised; it is removed."
    assert logged.exc_info[0] is ZeroDivisionError


async def test_an_observer_that_sends_is_told_of_that_later():
    """What it sends takes effect after the records that are being reported, in one order for all."""
    orders = [[], []]
    flow = Flow(count=4)

    def sender(record):
        orders[0].append(record)
        if isinstance(record, Emitted) and record.event == Item(n=0):
            run.send_event(Item(n=10))
            assert orders[0][-1] is record, "told of a record while it is told of another"

    run = flow.run().observe(sender).observe(orders[1].append)
    await run
    assert orders[0] == orders[1]
    emitted = [r.event.n for r in orders[0] if isinstance(r, Emitted) and type(r.event) is Item]
    assert emitted == [0, 10, 1, 2, 3]
    assert flow.taken == [0, 10, 1, 2]


async def test_an_observer_may_cancel_the_run():
    run = Flow().run()

    def observer(record):
        if isinstance(record, Started) and record.step == "take":
            run.cancel()

    run.observe(observer)
    async with run:
        pass
    assert run.state == "cancelled"


async def test_observing_begins_before_the_start():
    flow = Flow()
    async with flow.run() as run:
        with pytest.raises(WorkflowRuntimeError, match="has already been started"):
            run.observe(print)


async def test_a_base_exception_of_an_observer_is_not_swallowed():
    class Abrupt(BaseException):
        pass

    def observer(record):
        if isinstance(record, Started) and record.step == "take":
            raise Abrupt

    with pytest.raises(Abrupt):
        await Flow().run().observe(observer)
