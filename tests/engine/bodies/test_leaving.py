"""Cancelled calls leave in their turn: alive, and after a crash at any moment.

Each function returns what it has seen, one thing after the other. `lives` compares that with what the same
function sees when it is replayed, where no handler runs and none has anything to clean up.
"""

import asyncio
from functools import partial

import pytest

from plait._engine.bodies.body import Returned, Suspended
from plait._kernel.calls.records import CallCancelled
from plait.errors import PlaitInternalError
from tests.engine.bodies.hosting import Life, lives
from tests.parity.clocks import JumpingLoop, in_virtual_time


def lingers(t, seconds):
    """Make a handler that never ends, and takes so long when it is cancelled."""

    async def handler():
        try:
            await t.nap(10_000)
        finally:
            with t.backend.cancel_scope(shield=True):
                await t.nap(seconds)

    return handler


async def others(t, seen):
    """Be another branch: five steps in a row."""
    for k in range(5):
        seen.append(await t.run("other", t.takes(1, k)))


@in_virtual_time
async def test_what_comes_while_losers_clean_up_is_seen_again_before_the_race_ends():
    async def function(t):
        seen = []

        async def racing():
            branches = (
                partial(t.run, "quick", t.takes(1.5)),
                partial(t.run, "slow", lingers(t, 2)),
                partial(t.calls.sleep, "nap", 1000),
            )
            won = await t.groups.parallel(branches, mode="race")
            seen.append(("winner", won.branch))

        await t.groups.parallel((racing, partial(others, t, seen)))
        return seen

    life = await lives(function, same=False)
    assert life.result == [0, 1, 2, ("winner", 0), 3, 4]


@in_virtual_time
async def test_deadlines_that_pass_at_once_end_in_the_order_of_the_clean_up():
    async def function(t):
        seen = []

        async def limited(k):
            with t.calls.move_on_after(1.5):
                await t.run("slow", lingers(t, 3 - k))
            seen.append(("late", k))

        branches = tuple(partial(limited, k) for k in range(3))
        await t.groups.parallel((*branches, partial(others, t, seen)))
        return seen

    life = await lives(function, same=False)
    assert life.result == [0, 1, ("late", 2), 2, ("late", 1), 3, ("late", 0), 4]


@in_virtual_time
async def test_a_process_that_dies_while_a_loser_cleans_up_lets_it_go_behind_what_is_recorded():
    async def function(t):
        seen = []

        async def limited():
            with t.calls.move_on_after(0.5):
                await t.run("slow", lingers(t, 100))
            seen.append("late")

        await t.groups.parallel((limited, partial(others, t, seen)))
        return seen

    life = await Life().live(function)
    assert life.result == [0, 1, 2, 3, 4, "late"]
    (left,) = [n for n, record in life.records if isinstance(record, CallCancelled)]
    again = await Life(records=life.records[: left - 1]).live(function)
    assert again.started == []
    assert again.result == life.result


@in_virtual_time
async def test_who_sleeps_leaves_though_no_task_of_the_body_cancels_it():
    """A deadline of the event loop is no step of one; nor does a record follow in the replay."""

    async def function(t):
        with t.backend.cancel_scope(deadline=t.backend.clock()() + 5):
            await t.calls.sleep("nap", 1000)
        return await t.run("next")

    life = await Life().live(function)
    again = await Life(records=life.records).live(function)
    assert life.result == again.result == "next"
    assert life.spins == again.spins == []
    assert again.started == []


@in_virtual_time
async def test_who_sleeps_leaves_when_a_handler_cancels_it():
    async def function(t):
        seen = []
        scope = t.backend.cancel_scope()

        async def cancels():
            scope.cancel()

        async def naps():
            with scope:
                await t.calls.sleep("nap", 1000)
            seen.append("handler")

        async with t.backend.open_nursery() as nursery:
            nursery.start_soon(naps)
            await t.run("before")
            await t.run("cancels", cancels)
        return seen

    life = await Life().live(function)
    assert life.spins == []
    assert life.result == ["handler"]


@in_virtual_time
async def test_who_waits_for_its_turn_leaves_at_once_when_the_body_is_suspended():
    left = []

    async def function(t):
        try:
            with t.calls.move_on_after(1):
                await t.run("slow", lingers(t, 1))
        finally:
            left.append(t.backend.clock()())

    async def spins(t):
        # While one of its threads is at work, the body is not at rest.
        place = t.places[0]
        with t.body.rest.user_code_in_thread(place):
            while not any(isinstance(record, CallCancelled) for _, record in t.records):
                await t.nap(0.5)
            assert t.state.leaving
            t.body.suspend()
            await t.nap(1)

    async def noting(t):
        t.places = [t.body.place()]
        return await function(t)

    async def later(t):
        await t.nap(1.5)
        await spins(t)

    life = await Life().live(noting, later)
    assert life.ending == Suspended()
    assert not life.state.leaving
    assert len(left) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": JumpingLoop})])
async def test_timeouts_and_cancelled_tasks_of_asyncio_act_once_the_call_leaves():
    async def function(t):
        seen = []

        async def waits(what, call):
            try:
                async with asyncio.timeout(1.5):
                    await call()
            except TimeoutError:
                seen.append(what)
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
            await asyncio.sleep(0)  # no cancellation is left over

        async def cancelled():
            task = asyncio.create_task(t.calls.sleep("nap", 1000))
            await asyncio.sleep(2.5)
            task.cancel()
            await asyncio.wait([task])
            seen.append(("cancelled", task.cancelled()))

        await asyncio.gather(
            waits("sleep", lambda: t.calls.sleep("nap", 1000)),
            waits("slow", lambda: t.run("slow", lingers(t, 2))),
            cancelled(),
            others(t, seen),
        )
        return seen

    life = await Life().live(function)
    assert life.result == [0, "sleep", 1, ("cancelled", True), 2, "slow", 3, 4]
    assert isinstance(life.ending, Returned)
    assert PlaitInternalError.__name__ not in repr(life.ending)
