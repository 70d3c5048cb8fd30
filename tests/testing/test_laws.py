"""The second account of a run agrees with what is right, and says what is wrong.

Here the faults are put into what was recorded and seen, one by one.
"""

import copy
import math
import random
from collections import Counter
from typing import Annotated
from unittest.mock import Mock

import anyio
import attrs
import pytest
import trio

import plait.testing
from plait import Collect, Context, Event, StartEvent, StopEvent, Workflow, step
from plait._engine.lane import Work
from plait.lowlevel import Completed, Started
from plait.testing import Story
from plait.testing._laws import broken
from plait.testing._watch import Watch
from tests.engine.test_random_workflows import is_fair, leaves, make, outside
from tests.testing.prices import Price, Shop


class Total(Event):
    value: int


class Part(Event):
    price: Price


class Adds(Workflow):
    """Two ways to bring events together: a list, and a collection in an order of its own."""

    @step
    async def start(self, ev: StartEvent) -> list[Shop]:
        return [Shop(name=name) for name in "abc"]

    @step
    async def ask(self, ev: Shop) -> Part:
        await trio.sleep("cab".index(ev.name))
        return Part(price=Price(name=ev.name, value=1))

    @step
    async def total(
        self, ctx: Context, evs: Annotated[list[Part], Collect(order="input")]
    ) -> Price | Total | None:
        ctx.send_event(Total(value=len(evs)))
        for part in evs:
            ctx.send_event(part.price)

    @step(num_workers=1)
    async def add(self, ctx: Context, ev: Price | Total) -> StopEvent | None:
        batch = ctx.collect_events(ev, [Price, Total, Price, Price])
        return batch and StopEvent(result=[type(one).__name__ for one in batch])


class Seen:
    """All that the laws are asked about."""

    def __init__(self, story, watch, run):
        self.records = [*story.records]
        self.watch = watch
        self.plan = run._shell.plan
        self.undelivered = run.undelivered

    def faults(self):
        return [*broken(self.records, self.plan, self.watch, self.undelivered)]

    def of(self, cls, **fields):
        """Find the one record of a class with these fields."""
        (found,) = [
            record
            for record in self.records
            if isinstance(record, cls)
            and all(getattr(record, name) == value for name, value in fields.items())
        ]
        return found

    def number(self, step, which=0):
        return [r.delivery for r in self.records if isinstance(r, Started) and r.step == step][
            which
        ]


@pytest.fixture
def seen():
    async def main():
        run = Adds().run()
        story, watch = Story(run), Watch()
        with watch.over(run):
            assert await run == ["Price", "Total", "Price", "Price"]
        return Seen(story, watch, run)

    return plait.testing.run(main)


def test_what_is_right_is_found_right(seen):
    assert seen.faults() == []
    assert sum(call.batch is not None for call in seen.watch.calls) == 1


def test_a_body_that_runs_twice(seen):
    number = seen.number("ask", 1)
    seen.watch.begun[number] += 1
    assert seen.faults() == [
        f"ask#{number}: its body has run 2 times for one event, with 0 retries"
    ]


def test_each_time_that_a_body_begins_is_counted():
    async def body(attempt):
        return attempt.delivery.event

    async def main():
        watch, attempt = Watch(), Mock()
        attempt.delivery.number = 7
        watched = watch._watched(Work(body)).body
        assert await watched(attempt) is await watched(attempt) is watch.inputs[7]
        assert watch.begun == {7: 2}
        assert watch.running == []

    plait.testing.run(main)


def test_a_batch_in_another_order(seen):
    at = next(at for at, call in enumerate(seen.watch.calls) if call.batch)
    call = seen.watch.calls[at]
    seen.watch.calls[at] = attrs.evolve(call, batch=call.batch[::-1])
    (fault,) = seen.faults()
    assert fault.startswith(f"add#{call.delivery}: collect_events() gave [Price(name='c'")
    assert ", not [Price(name='a', value=1), Total(value=3), Price(name='b'" in fault


def test_a_batch_that_comes_too_early(seen):
    call = seen.watch.calls[1]
    seen.watch.calls[1] = attrs.evolve(call, batch=(call.event,))
    assert seen.faults() == [
        f"add#{call.delivery}: collect_events() gave [Price(name='a', value=1)], not None"
    ]


def test_a_batch_that_never_comes(seen):
    at = next(at for at, call in enumerate(seen.watch.calls) if call.batch)
    seen.watch.calls[at] = attrs.evolve(seen.watch.calls[at], batch=None)
    (fault,) = seen.faults()
    assert "collect_events() gave None, not [" in fault


def test_a_batch_of_equal_events_that_are_not_the_same(seen):
    at = next(at for at, call in enumerate(seen.watch.calls) if call.batch)
    call = seen.watch.calls[at]
    seen.watch.calls[at] = attrs.evolve(call, batch=tuple(map(copy.copy, call.batch)))
    assert len(seen.faults()) == 1


def test_a_list_in_another_order(seen):
    number = seen.number("total")
    given = seen.watch.inputs[number]
    seen.watch.inputs[number] = (given[1], given[0], given[2])
    (fault,) = seen.faults()
    assert fault.startswith(f"total#{number}: it was given the list [Part(price=Price(name='b'")


def test_a_list_that_misses_one(seen):
    number = seen.number("total")
    seen.watch.inputs[number] = seen.watch.inputs[number][:-1]
    (fault,) = seen.faults()
    assert fault.startswith(f"total#{number}: it was given the list [")


def test_a_list_that_is_given_too_early(seen):
    """One of its events comes after it."""
    at, late = max(
        (at, record)
        for at, record in enumerate(seen.records)
        if isinstance(record, Completed) and record.to == ("total",)
    )
    fired = next(at for at, record in enumerate(seen.records) if type(record).__name__ == "Fired")
    seen.records[at], seen.records[fired] = seen.records[fired], seen.records[at]
    assert f"total: its list was short of {late.event!r}, which came later" in seen.faults()


def test_another_event_than_was_sent(seen):
    number = seen.number("ask")
    seen.watch.inputs[number] = Shop(name="z")
    assert seen.faults() == [f"ask#{number}: it was given Shop(name='z'), not Shop(name='a')"]


def test_an_event_that_vanishes(seen):
    number = seen.number("ask", 2)
    del seen.watch.inputs[number], seen.watch.begun[number]
    assert seen.faults() == [f"ask#{number}: Shop(name='c') was accepted, and has vanished"]


def test_one_that_is_reported_has_not_vanished(seen):
    number = seen.number("ask", 2)
    seen.undelivered = (seen.watch.inputs.pop(number),)
    assert seen.faults() == []


def test_who_comes_later_and_begins_first(seen):
    one, other = (
        seen.records.index(seen.of(Started, delivery=seen.number("add", n))) for n in (0, 1)
    )
    seen.records[one], seen.records[other] = seen.records[other], seen.records[one]
    faults = seen.faults()
    assert f"add#{seen.number('add', 1)} began after add#{seen.number('add', 0)}" in faults


# ------------------------------------------------------------ whatever a workflow does


async def one(dice, kinds):
    """Let a random workflow live, and add up what has happened."""
    run = make(dice, anyio.CapacityLimiter(2)).run()
    story, watch = Story(run), Watch()
    if dice.random() < 0.3:
        run.stepwise()
    error = None
    with watch.over(run), anyio.move_on_after(dice.choice([0, 2, math.inf, math.inf])):
        try:
            async with run:
                await outside(run, dice, Counter())
        except Exception as raised:  # noqa: BLE001 - it is looked at
            error = raised
    assert all(map(is_fair, leaves(error)))
    kinds.update(type(record).__name__ for record in story.records)
    kinds["batches"] += sum(call.batch is not None for call in watch.calls)
    collected = sum(len(delivery.collected) for delivery in story.deliveries)
    # A retry that asks again is told the same events again.
    told = {(call.delivery, *map(id, call.batch)) for call in watch.calls if call.batch is not None}
    assert collected == len(told)
    return [*broken(story.records, run._shell.plan, watch, run.undelivered)]


def test_random_workflows_keep_the_laws():
    kinds = Counter()
    for seed in range(120):
        dice = random.Random(seed)
        assert plait.testing.run(one, dice, kinds) == [], f"seed {seed}"
    met = {"Fired", "Recovered", "Dropped", "Retrying", "Resumed", "Interrupted", "batches"}
    assert met <= kinds.keys()
