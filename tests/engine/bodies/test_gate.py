"""Outcomes come one at a time, in the order of their records: live and in recovery alike."""

import asyncio
import math
import random
from contextlib import suppress

import anyio
import pytest
import trio
from trio.testing import MockClock

import plait.testing
from plait._engine import native
from plait._engine.bodies.body import PASSES, Returned, Suspended
from plait._engine.bodies.gate import LET_GO, HandOut
from plait.errors import PlaitInternalError
from tests.engine.bodies.toy import live, make, never_blocks, turns
from tests.parity.clocks import JumpingLoop

TRIALS = 200


async def first_two_of(toy, count=5):
    """Call several at once; the first two win, and the others are cancelled."""
    won = []

    async def branch(k, nursery):
        key = await toy.call(f"step {k}")
        await turns(k % 3)
        won.append((k, key))
        if len(won) == 2:
            nursery.cancel_scope.cancel()
        await toy.call("after")

    async with native.current().open_nursery() as nursery:
        for k in range(count):
            nursery.start_soon(branch, k, nursery)
    return won[:2]


async def in_gathers(toy):
    """On asyncio: the end of a task is heard of through several callbacks of the loop."""
    log = []

    async def three(k):
        inner = asyncio.gather(toy.call(f"step {k}"), toy.call(f"step {k + 1}"))
        await asyncio.wait_for(asyncio.gather(inner, toy.call(f"step {k + 2}")), 1000)
        log.append((k, len(toy.handed)))

    async with asyncio.TaskGroup() as group:
        for k in range(0, 9, 3):
            group.create_task(three(k))
    return log


async def live_and_recovered(function, seed, *besides):
    """Run it live, and again from what was recorded: all of it, and up to some record."""
    draw = random.Random(seed)
    toy = await live(function, draw, *besides)
    assert isinstance(toy.ending, Returned)
    assert toy.reports == []
    again = await live(function, draw, *besides, recorded=toy.handed)
    assert again.ending == toy.ending
    assert again.handed == toy.handed
    assert not set(again.started) & set(toy.handed), "nothing recorded runs again"
    assert again.started == [], "no cancelled loser runs again"
    cut = draw.randint(0, len(toy.handed))
    part = await live(function, draw, *besides, recorded=toy.handed[:cut])
    assert part.handed[:cut] == toy.handed[:cut]
    assert not set(part.started) & set(toy.handed[:cut])
    return toy


@pytest.mark.parametrize("besides", [(), (never_blocks,)], ids=["alone", "busy neighbour"])
def test_the_same_two_win_in_recovery_on_trio(besides):
    seeds = iter(range(10 * TRIALS))

    @plait.testing.explore_schedules(examples=TRIALS)
    async def explored():
        await live_and_recovered(first_two_of, next(seeds), *besides)

    explored()
    assert next(seeds) >= TRIALS / 2


@pytest.mark.parametrize("besides", [(), (never_blocks,)], ids=["alone", "busy neighbour"])
def test_the_same_two_win_in_recovery_on_trio_by_chance(besides):
    """With Trio's own dice, not Hypothesis'."""

    async def main():
        winners = set()
        for seed in range(TRIALS):
            toy = await live_and_recovered(first_two_of, seed, *besides)
            winners.add(tuple(k for k, _ in toy.ending.value))
        assert len(winners) > 10, "the order was drawn"

    plait.testing.run(main)


@pytest.mark.parametrize("besides", [(), (never_blocks,)], ids=["alone", "busy neighbour"])
@pytest.mark.parametrize("function", [first_two_of, in_gathers])
def test_the_same_two_win_in_recovery_on_asyncio(function, besides):
    async def main():
        for seed in range(TRIALS):
            await live_and_recovered(function, seed, *besides)

    asyncio.run(main())


@pytest.mark.anyio
async def test_one_at_a_time_and_only_at_rest(anyio_backend):
    """Many outcomes of one breath; between any two of them the body comes to rest."""
    toy = make()
    log = []

    async def branch(k):
        await toy.call(f"step {k}")
        for _ in range(5):
            log.append(k)
            await turns(1)

    async def function():
        async with native.current().open_nursery() as nursery:
            for k in range(4):
                nursery.start_soon(branch, k)

    async with native.current().open_nursery() as nursery:
        nursery.start_soon(toy.body.run, function)
        while len(toy.waiting) < 4:
            await turns(1)
        order = [((k,), f"step {k}", 0) for k in (2, 0, 3, 1)]
        for key in order:
            toy.finish(key)
    assert toy.handed == order
    assert log == [k for k in (2, 0, 3, 1) for _ in range(5)]
    assert toy.asked <= 2 * len(order) + 2, "the brain is asked once for each rest"


@pytest.mark.anyio
async def test_held_calls_are_released_when_the_memos_are_used_up(anyio_backend):
    memos = [((0,), "a", 0), ((1,), "b", 0)]
    toy = make(memos)
    log = []

    async def one(step_id, *more):
        for each in (step_id, *more):
            await toy.call(each)
            log.append(each)

    async def function():
        async with native.current().open_nursery() as nursery:
            nursery.start_soon(one, "a", "c")
            nursery.start_soon(one, "b", "d")

    async with native.current().open_nursery() as nursery:
        nursery.start_soon(toy.body.run, function)
        while len(toy.started) < 2:
            assert not toy.started or log == ["a", "b"], "not before the memos are used up"
            await turns(1)
        for key in toy.open_calls():
            toy.finish(key)
    assert sorted(toy.started) == [((0,), "c", 0), ((1,), "d", 0)]
    assert sorted(log) == ["a", "b", "c", "d"]


@pytest.mark.anyio
async def test_a_task_inside_a_handler_does_not_keep_outcomes_back(anyio_backend):
    """Nor do the tasks that it has spawned, however busy they are."""
    toy = make()
    over = native.current().event()

    async def handler():
        async with native.current().open_nursery() as nursery:
            nursery.start_soon(never_blocks, toy)
            while not over.is_set():
                await turns(1)
            nursery.cancel_scope.cancel()

    async def in_handler():
        with toy.body.rest.handler(toy.body.place()):
            await handler()
        await toy.call("after the handler")

    async def calls():
        await toy.call("a")
        await toy.call("b")
        over.set()

    async def function():
        async with native.current().open_nursery() as nursery:
            nursery.start_soon(in_handler)
            nursery.start_soon(calls)

    async def ends_calls():
        while True:
            for key in toy.open_calls():
                toy.finish(key)
            await turns(1)

    async with native.current().open_nursery() as nursery:
        nursery.start_soon(ends_calls)
        assert await toy.body.run(function) == Returned(None)
        nursery.cancel_scope.cancel()
    assert [step_id for _, step_id, _ in toy.handed] == ["a", "b", "after the handler"]


@pytest.mark.anyio
async def test_a_thread_in_user_code_keeps_outcomes_back(anyio_backend):
    """Until a call of its own waits, and again after it."""
    toy = make()
    log = []
    backend = native.current()
    computed, called, returned = backend.event(), backend.event(), backend.event()

    async def threaded():
        place = toy.body.place()
        with toy.body.rest.user_code_in_thread(place):
            await computed.wait()
            with toy.body.rest.thread_waits(place):
                called.set()
                await toy.call("by the thread")
            await returned.wait()
            log.append("thread ends")

    async def beside():
        await toy.call("beside")
        log.append("beside")

    async def function():
        async with backend.open_nursery() as nursery:
            nursery.start_soon(threaded)
            nursery.start_soon(beside)

    async with backend.open_nursery() as nursery:
        nursery.start_soon(toy.body.run, function)
        await turns(9)
        toy.finish(((1,), "beside", 0))
        await turns(9)
        assert toy.body.rest.spinning() != []
        assert log == []
        computed.set()
        await called.wait()
        await turns(9)
        assert log == ["beside"], "the thread waits"
        toy.finish(((0,), "by the thread", 0))
        await turns(9)
        assert toy.handed[-1] == ((0,), "by the thread", 0)
        assert [place.path for place in toy.body.rest.spinning()] == [(0,)]
        returned.set()
    assert log == ["beside", "thread ends"]


# -------------------------------------------------------------------------- calls and cancellation


@pytest.mark.anyio
async def test_a_call_that_is_cancelled_gives_up(anyio_backend):
    toy = make()

    async def function():
        with native.current().cancel_scope() as scope:
            async with native.current().open_nursery() as nursery:
                nursery.start_soon(toy.call, "a")
                await turns(5)
                scope.cancel()
        with native.current().cancel_scope() as scope:
            scope.cancel()
            await toy.call("never made")
        return "goes on"

    assert await toy.body.run(function) == Returned("goes on")
    assert toy.cancelled == [((0,), "a", 0)], "of a call that raises at once nobody has heard"


@pytest.mark.anyio
async def test_a_call_whose_outcome_is_recorded_returns_and_the_cancellation_acts_later(
    anyio_backend,
):
    toy = make()
    log = []
    busy = native.current().event()

    async def spins():  # keeps the outcome back, until the cancellation is there
        while not busy.is_set():
            await turns(1)

    async def function():
        with native.current().cancel_scope() as scope:
            async with native.current().open_nursery() as nursery:
                nursery.start_soon(cancel, scope)
                log.append(await toy.call("a"))
                await native.current().checkpoint()
                log.append("too far")
        return "goes on"

    async def cancel(scope):
        await turns(3)
        toy.finish(((), "a", 0))
        assert toy.body.gate.seal(((), "a", 0))
        scope.cancel()
        with native.current().cancel_scope(shield=True):
            await turns(5)
            assert log == []
            busy.set()

    assert await toy.body.run(function) == Returned("goes on")
    assert log == [((), "a", 0)]
    assert toy.cancelled == []


def test_a_sealed_call_survives_asyncios_own_cancellation_which_acts_later():
    log = []

    async def called(toy):
        try:
            log.append(await toy.call("a"))
            log.append(asyncio.current_task().cancelling())
            await asyncio.sleep(0)
            log.append("too far")
        finally:
            log.append("clean-up")

    async def function(toy):
        task = asyncio.create_task(called(toy))
        await turns(3)
        key = ((0,), "a", 0)
        assert toy.body.gate.seal(key)
        task.cancel("native")
        await turns(5)
        assert not task.done()
        task.cancel("native, again")
        toy.finish(key)
        with pytest.raises(asyncio.CancelledError):
            await task
        return "goes on"

    async def main():
        toy = make()
        assert await toy.body.run(lambda: function(toy)) == Returned("goes on")

    asyncio.run(main())
    assert log == [((0,), "a", 0), 2, "clean-up"]


def suspended_in_passing(called):
    """Suspend a body of asyncio that is not at rest, once a call of it was cancelled; is that over soon?"""
    log = []

    async def function(toy):
        task = asyncio.create_task(called(toy))
        await turns(3)
        task.cancel()
        await turns(3)
        assert not task.done()
        toy.body.suspend()
        with anyio.CancelScope(shield=True):
            for _ in range(20):  # never blocked, as a task that waits for another, and is cancelled
                await turns(1)
        log.append("over" if task.done() else "still there")

    async def main():
        toy = make()
        ending = await toy.body.run(lambda: function(toy))
        assert isinstance(ending, Suspended)

    asyncio.run(main())
    return log


def test_a_cancellation_that_was_put_off_acts_when_the_body_is_suspended():
    """On asyncio a task is cancelled once: nobody brings it again."""

    async def called(toy):
        asyncio.get_running_loop().call_soon(toy.body.gate.seal, ((0,), "a", 0))
        await toy.call("a")

    assert suspended_in_passing(called) == ["over"]


def test_who_was_cancelled_before_and_waits_for_its_turn_goes_when_the_body_is_suspended():
    given = []

    async def called(toy):
        place = await toy.body.begin_call()
        with suppress(asyncio.CancelledError):  # it comes out of the handler
            await asyncio.sleep(math.inf)
        given.append(await toy.body.gate.wait("a", place, lambda: True, called_off=True))

    assert suspended_in_passing(called) == ["over"]
    assert given == [LET_GO]


@pytest.mark.anyio
async def test_a_cancelled_call_cannot_be_sealed(anyio_backend):
    toy = make()
    sealed = []

    async def function():
        with native.current().cancel_scope() as scope:
            async with native.current().open_nursery() as nursery:
                nursery.start_soon(toy.call, "a")
                await turns(3)
                scope.cancel()
                sealed.append(toy.body.gate.seal(((0,), "a", 0)))
                sealed.append(toy.body.gate.seal("nobody"))

    assert await toy.body.run(function) == Returned(None)
    assert sealed == [False, False]


@pytest.mark.anyio
async def test_a_target_takes_its_outcome_in_turn(anyio_backend):
    """As a deadline does, whose scope is cancelled when it is handed out."""
    toy = make()
    log = []

    class Deadline:
        def __init__(self, scope):
            self.scope = scope

        def hand(self, outcome):
            log.append("deadline")
            self.scope.cancel()

    async def other():
        await toy.call("a")
        log.append("a")

    async def function():
        with native.current().cancel_scope() as scope:
            toy.body.gate.expect("deadline", Deadline(scope))
            toy.waiting.add("deadline")
            async with native.current().open_nursery() as nursery:
                nursery.start_soon(other)
                nursery.start_soon(toy.call, "b")
                await turns(2)
                toy.finish(((0,), "a", 0))
                toy.finish("deadline")
                toy.finish(((1,), "b", 0))
        toy.body.gate.forget("deadline")

    assert await toy.body.run(function) == Returned(None)
    assert toy.handed[:2] == [((0,), "a", 0), "deadline"]
    assert log == ["a", "deadline"]


@pytest.mark.anyio
async def test_a_brain_that_hands_out_to_nobody_is_a_bug(anyio_backend):
    toy = make()
    toy.at_rest, toy.has_outcomes = lambda: HandOut("nobody", 1), lambda: True

    async def function():
        await toy.call("a")

    with pytest.raises(PlaitInternalError, match="nobody waits for the outcome of 'nobody'"):
        await toy.body.run(function)


@pytest.mark.anyio
async def test_two_cannot_wait_for_one_outcome(anyio_backend):
    toy = make()

    async def function():
        place = toy.body.place()
        toy.body.gate.expect("a", None)
        with pytest.raises(PlaitInternalError, match="two wait for the outcome of 'a'"):
            await toy.body.gate.wait("a", place, print)

    assert await toy.body.run(function) == Returned(None)


# ------------------------------------------------------------------------------- bodies that spin


async def test_a_body_that_spins_is_reported_once_on_trio(mock_clock):
    await spin(mock_clock.jump)
    assert trio.current_time() >= 3


def test_a_body_that_spins_is_reported_once_on_asyncio():
    async def main():
        loop = asyncio.get_running_loop()

        def jump(seconds):
            loop.now += seconds

        await spin(jump)

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(main())


async def spin(jump):
    toy = make()
    stop = native.current().event()

    async def spinner():
        while not stop.is_set():
            await turns(1)

    async def function():
        async with native.current().open_nursery() as nursery:
            nursery.start_soon(spinner)
            nursery.start_soon(toy.call, "a")
            nursery.start_soon(toy.call, "b")

    async with native.current().open_nursery() as nursery:
        nursery.start_soon(toy.body.run, function)
        await turns(5)
        jump(2)
        await turns(5)
        assert toy.reports == [], "no outcome waits"
        toy.finish(((1,), "a", 0))
        jump(0.75)
        await turns(5)
        assert toy.reports == []
        toy.body.look()  # news does not put the alarm off
        jump(0.5)
        await turns(PASSES // 2)
        assert toy.reports == [], "it may only be slow"
        await turns(PASSES // 2 + 5)
        assert len(toy.reports) == 1
        for _ in range(3):
            jump(0.75)
            await turns(PASSES + 5)
        assert len(toy.reports) == 1
        assert [text.replace("spin.<locals>.", "") for text in toy.reports[0]] == [
            "tests.engine.bodies.test_gate.spinner (0,)"
        ]
        assert toy.handed == []
        stop.set()
        await turns(9)
        toy.finish(((2,), "b", 0))
    assert len(toy.reports) == 1


def on_both_clocks(test):
    """Run a test that jumps in time, on Trio and on asyncio."""

    def on_trio():
        clock = MockClock()

        async def main():
            await test(clock.jump)

        trio.run(main, clock=clock)

    def on_asyncio():
        async def main():
            loop = asyncio.get_running_loop()

            def jump(seconds):
                loop.now += seconds

            await test(jump)

        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            runner.run(main())

    @pytest.mark.parametrize("run", [on_trio, on_asyncio], ids=["trio", "asyncio"])
    def both(run):
        run()

    both.__name__, both.__doc__ = test.__name__, test.__doc__
    return both


@on_both_clocks
async def test_many_branches_on_a_slow_machine_do_not_spin(jump):
    """Each pass of the loop takes a second. Nobody is at rest, and all get on: each makes its calls."""
    toy = make()

    async def branch(k):
        await turns(k % 300)
        await toy.call("a")
        await turns(k % 7)
        await toy.call("b")

    async def function():
        async with native.current().open_nursery() as nursery:
            for k in range(600):
                nursery.start_soon(branch, k)

    async def slow():
        while not toy.body.tree.over:
            jump(2)
            for key in toy.open_calls():
                toy.finish(key)
            await turns(1)

    async with native.current().open_nursery() as nursery:
        nursery.start_soon(toy.body.run, function)
        nursery.start_soon(slow)
    assert toy.reports == []
    assert len(toy.handed) == 1200


@on_both_clocks
async def test_two_that_wake_each_other_spin_both(jump):
    toy = make()
    backend = native.current()
    bell = [backend.event(), backend.event()]
    stop = []

    async def ping(mine):
        while not stop:
            await bell[mine].wait()
            bell[mine] = backend.event()
            bell[1 - mine].set()
        bell[1 - mine].set()

    async def function():
        async with backend.open_nursery() as nursery:
            nursery.start_soon(ping, 0)
            nursery.start_soon(ping, 1)
            nursery.start_soon(toy.call, "a")
            bell[0].set()

    async with backend.open_nursery() as nursery:
        nursery.start_soon(toy.body.run, function)
        await turns(9)
        toy.finish(((2,), "a", 0))
        jump(1.5)
        while not toy.reports:
            await turns(1)
        (names,) = toy.reports
        assert [name.split()[-1] for name in names] == ["(0,)", "(1,)"]
        stop.append(True)


@on_both_clocks
async def test_a_thread_that_goes_on_and_on_is_reported(jump):
    toy = make()
    backend = native.current()
    stop = backend.event()

    async def threaded():
        with toy.body.rest.user_code_in_thread(toy.body.place()):
            await stop.wait()

    async def function():
        async with backend.open_nursery() as nursery:
            nursery.start_soon(threaded)
            nursery.start_soon(toy.call, "a")

    async with backend.open_nursery() as nursery:
        nursery.start_soon(toy.body.run, function)
        await turns(9)
        toy.finish(((1,), "a", 0))
        jump(1.5)
        while not toy.reports:
            await turns(1)
        ((name,),) = toy.reports
        assert name.endswith("threaded (0,)")
        stop.set()


@pytest.mark.anyio
async def test_nobody_is_reported_if_nobody_runs(anyio_backend):
    """Who looks in the moment before rest finds no task that spins, and so no report without a name."""
    toy = make()

    async def function():
        place = toy.body.place()
        toy.body.rest.spinning = list
        async with native.current().open_nursery() as nursery:
            with toy.body.rest.user_code_in_thread(place):
                toy.body._rests_before_alarm = toy.body.rest.times
                nursery.start_soon(toy.call, "a")
                await turns(9)
                toy.finish(((0,), "a", 0))
                assert toy.body._keeps_moving()
                await toy.body._look_for_spinners()

    await toy.body.run(function)
    assert toy.reports == []


async def test_a_body_at_rest_does_not_wake_the_clock(autojump_clock):
    """A week of virtual time is one jump, not one for each second."""
    toy = make()
    jumps = []
    jump = autojump_clock._autojump
    autojump_clock._autojump = lambda: (jumps.append(1), jump())

    async def function():
        await toy.call("a")
        await toy.call("b")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(toy.body.run, function)
        await trio.sleep(7 * 24 * 3600)
        toy.finish(((), "a", 0))
        await trio.sleep(7 * 24 * 3600)
        toy.finish(((), "b", 0))
    assert len(jumps) <= 2 + 2
