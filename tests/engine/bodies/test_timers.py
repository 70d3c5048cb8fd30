"""Alarms ring in the order of their times, on a wall clock that may run away from the loop's."""

import math
import random

from plait._engine import native
from plait._engine.bodies.timers import Timers
from tests.parity.clocks import in_virtual_time


async def served(timers, seconds):
    """Serve for so long."""
    backend = native.current()
    with backend.cancel_scope(deadline=backend.clock()() + seconds):
        await timers.serve()


@in_virtual_time
async def test_alarms_ring_in_their_order_also_if_they_are_overdue():
    clock = native.current().clock()
    timers = Timers(lambda: 1e9 + clock(), recheck=math.inf)
    rang = []
    draw = random.Random(1)
    times = [1e9 + draw.randint(-50, 50) for _ in range(100)]
    for at in times:
        timers.set(at, lambda at=at: rang.append((at, timers.now())))
    await served(timers, 60)
    assert [at for at, _ in rang] == sorted(times)
    assert all(abs(max(at, 1e9) - when) < 0.1 for at, when in rang)


@in_virtual_time
async def test_an_earlier_alarm_is_heard_of_in_the_midst_of_the_sleep():
    clock = native.current().clock()
    timers = Timers(clock, recheck=math.inf)
    rang = []
    began = clock()

    def first():
        rang.append(clock() - began)

    async def sets():
        timers.set(began + 1000, first)
        await native.current().sleep_until(began + 5)
        timers.set(began + 7, first)

    async with native.current().open_nursery() as nursery:
        nursery.start_soon(sets)
        nursery.start_soon(served, timers, 100)
    assert [round(each, 3) for each in rang] == [7]


@in_virtual_time
async def test_cleared_alarms_do_not_ring_and_do_not_stay():
    clock = native.current().clock()
    timers = Timers(clock)
    rang = []
    for _ in range(10_000):
        timers.set(clock() + 1000, lambda: rang.append("cleared")).clear()
    assert len(timers._heap) < 200
    timers.set(clock() + 1, lambda: rang.append("kept"))
    await served(timers, 2000)
    assert rang == ["kept"]


@in_virtual_time
async def test_a_wall_clock_that_was_put_forward_is_seen_within_a_minute():
    clock = native.current().clock()
    slept = [0.0]
    timers = Timers(lambda: clock() + slept[0], recheck=60)
    rang = []
    began = clock()
    timers.set(timers.now() + 3600, lambda: rang.append(clock() - began))
    slept[0] = 3600.0  # a laptop's lid was closed
    await served(timers, 100)
    assert len(rang) == 1
    assert rang[0] <= 61


@in_virtual_time
async def test_of_several_who_serve_the_next_takes_over():
    clock = native.current().clock()
    timers = Timers(clock, recheck=math.inf)
    rang = []
    began = clock()
    for seconds in (1, 5, 9):
        timers.set(began + seconds, lambda seconds=seconds: rang.append((seconds, clock() - began)))
    async with native.current().open_nursery() as nursery:
        nursery.start_soon(served, timers, 3)
        nursery.start_soon(served, timers, 7)
        nursery.start_soon(served, timers, 8)
    assert [(seconds, round(when, 3)) for seconds, when in rang] == [(1, 1), (5, 5)]
    await served(timers, 2)
    assert [seconds for seconds, _ in rang] == [1, 5, 9]
