"""Groups: values in order, one winner, nobody runs twice; alive, and after a crash at any moment."""

import math

import anyio
import pytest
import trio

import plait.testing
from plait._engine.bodies.body import Raised, Returned, Suspended
from plait._engine.bodies.groups import Won
from plait._kernel.calls.records import CallCancelled, CallCompleted, CallFailed
from plait.errors import StepError
from tests.engine.bodies.hosting import Life, lives
from tests.parity.clocks import in_virtual_time


def of(life, kind):
    return [record for _, record in life.records if isinstance(record, kind)]


def step(t, step_id, seconds=0.0, value=None, error=None):
    """Make a branch of one step."""
    return lambda: t.run(step_id, t.takes(seconds, value, error))


def sequence(t, *ids, seconds=1.0):
    """Make a branch of several."""

    async def branch():
        return [await t.run(step_id, t.takes(seconds, step_id)) for step_id in ids]

    return branch


@in_virtual_time
async def test_values_come_in_the_order_of_the_branches():
    async def function(t):
        assert await t.groups.parallel(()) == ()
        both = await t.groups.parallel((step(t, "a", 3, 1), step(t, "b", 1, 2)))
        return both, await t.run("c", t.takes(1, 3))

    life = await lives(function)
    assert life.result == ((1, 2), 3)
    assert [record.key.path for record in of(life, CallCompleted)] == [
        (("g", 1, 1),),
        (("g", 1, 0),),
        (),
    ]


@in_virtual_time
async def test_branches_of_several_steps_do_not_wait_for_each_other():
    async def function(t):
        return await t.groups.parallel(
            (
                sequence(t, "1a", "1b"),
                sequence(t, "2a", "2b", "2c", seconds=5),
                step(t, "3", 0, "3"),
            )
        )

    life = await lives(function)
    assert life.result == (["1a", "1b"], ["2a", "2b", "2c"], "3")
    ids = [record.key.step_id for record in of(life, CallCompleted)]
    assert ids.index("1b") < ids.index("2a")


@in_virtual_time
async def test_groups_in_groups_and_plain_tasks_beside_them():
    async def function(t):
        got = []

        async def plain(k):
            got.append(await t.run("x", t.takes(2, k)))

        async def inner():
            pair = await t.groups.parallel((step(t, "x", 2, "i1"), step(t, "x", 1, "i2")))
            async with t.backend.open_nursery() as nursery:
                nursery.start_soon(plain, 0)
                await t.groups.parallel((step(t, "x", 1),))
                nursery.start_soon(plain, 1)
            return pair

        return await t.groups.parallel((inner, step(t, "x", 4, "o"))), sorted(got)

    life = await lives(function)
    assert life.result == ((("i1", "i2"), "o"), [0, 1])
    paths = {record.key.path for record in of(life, CallCompleted)}
    inner = ("g", 0, 0)
    assert paths == {
        (inner, ("g", 0, 0)),
        (inner, ("g", 0, 1)),
        (inner, 0),
        (inner, ("g", 1, 0)),
        (inner, 1),
        (("g", 0, 1),),
    }


# ------------------------------------------------------------------ race, any, settled


@in_virtual_time
async def test_a_race_is_won_by_the_first_and_the_clean_up_of_the_others_is_awaited():
    cleaned = []

    async def function(t):
        async def slow():
            try:
                await t.run("slow", t.takes(1000))
                await t.run("never")
            finally:
                with t.backend.cancel_scope(shield=True):
                    await t.nap(2)
                cleaned.append("slow")

        cleaned.clear()
        won = await t.groups.parallel((slow, step(t, "fast", 1, "f")), mode="race")
        return won, [*cleaned], await t.run("after")

    life = await lives(function)
    assert life.result == (Won(1, "f"), ["slow"], "after")
    assert "never" not in {key.step_id for key in life.started}


@in_virtual_time
async def test_a_race_that_ends_badly_raises():
    async def function(t):
        with pytest.raises(StepError, match="broken"):
            await t.groups.parallel(
                (step(t, "slow", 9), step(t, "bad", 1, error=OSError("broken"))), mode="race"
            )
        return "goes on"

    assert (await lives(function)).result == "goes on"


@in_virtual_time
async def test_of_those_that_end_at_once_the_lowest_wins():
    async def function(t):
        async def turns(k):
            for _ in range(5 - k):
                await t.backend.checkpoint()
            return k

        one = await t.groups.parallel(tuple(lambda k=k: turns(k) for k in range(5)), mode="race")

        async def after(event, k):
            await event.wait()
            return k

        async def wakes(event):
            await t.run("a", t.takes(1))
            event.set()
            await t.run("b")

        event = t.backend.event()
        branches = (lambda: wakes(event), *(lambda k=k: after(event, k) for k in range(1, 5)))
        other = await t.groups.parallel(branches, mode="any")
        return one, other

    for _ in range(5):
        life = await lives(function)
        assert life.result == (Won(0, 0), Won(1, 1))


def test_the_winner_is_the_same_in_any_schedule():
    async def function(t):
        won = await t.groups.parallel(
            tuple(step(t, f"step {k}", 1, k) for k in range(4)), mode="race"
        )
        return won.value, await t.run("after")

    @plait.testing.explore_schedules(examples=20)
    async def explored():
        await lives(function, same=False)

    explored()


@in_virtual_time
async def test_any_is_won_by_the_first_that_returns():
    async def function(t):
        won = await t.groups.parallel(
            (
                step(t, "bad", 1, error=OSError("broken")),
                step(t, "slow", 9),
                step(t, "good", 2, "g"),
            ),
            mode="any",
        )
        try:
            await t.groups.parallel(
                (
                    step(t, "x", 3, error=OSError("late")),
                    step(t, "x", 1, error=OSError("early")),
                ),
                mode="any",
            )
        except ExceptionGroup as group:
            return won, [str(error.__cause__) for error in group.exceptions]

    life = await lives(function)
    assert life.result == (Won(2, "g"), ["late", "early"])


@in_virtual_time
async def test_settled_lets_all_end_and_raises_nothing():
    async def function(t):
        good, bad = await t.groups.parallel(
            (step(t, "slow", 5, 1), step(t, "bad", 1, error=OSError("broken"))), mode="settled"
        )
        return good, type(bad), str(bad.error.__cause__)

    life = await lives(function)
    assert life.result == (Returned(1), Raised, "broken")


# ------------------------------------------------------------------ errors


@in_virtual_time
async def test_a_failure_cancels_the_others_and_is_raised_as_itself():
    async def function(t):
        try:
            await t.groups.parallel((step(t, "slow", 50), step(t, "bad", 1, error=OSError("b"))))
        except StepError as error:
            return await t.run("fallback"), str(error.__cause__)

    life = await lives(function)
    assert life.result == ("fallback", "b")
    assert [record.key.step_id for record in of(life, CallCancelled)] == ["slow"]


@in_virtual_time
async def test_a_failure_that_lets_the_others_end():
    async def function(t):
        try:
            await t.groups.parallel(
                (
                    step(t, "slow", 5),
                    step(t, "bad", 1, error=OSError("b")),
                    step(t, "bad", 7, error=OSError("c")),
                ),
                on_error="wait",
            )
        except ExceptionGroup as group:
            return [str(error.__cause__) for error in group.exceptions]

    life = await lives(function)
    assert life.result == ["b", "c"]
    assert [*life.world.ran.values()] == [1, 1, 1]


@in_virtual_time
async def test_two_failures_that_are_recorded_before_the_cancellation():
    async def function(t):
        try:
            await t.groups.parallel(
                (step(t, "a", 1, error=OSError("a")), step(t, "b", 1, error=OSError("b")))
            )
        except ExceptionGroup as group:
            return [str(error.__cause__) for error in group.exceptions]

    life = await lives(function, same=False)
    assert life.result == ["a", "b"]
    assert len(of(life, CallFailed)) == 2


@in_virtual_time
async def test_a_failure_caught_in_its_branch():
    async def function(t):
        async def mends():
            try:
                await t.run("bad", t.takes(1, error=OSError("b")))
            except StepError:
                return await t.run("mend", t.takes(3, "comp"))

        return await t.groups.parallel((mends, step(t, "other", 2, 1)))

    assert (await lives(function)).result == ("comp", 1)


@in_virtual_time
async def test_a_failed_clean_up_is_not_lost_when_the_group_is_cancelled_from_outside():
    async def function(t):
        async def branch():
            try:
                await t.run("slow", t.takes(100))
            finally:
                raise OSError("clean-up")

        with pytest.raises(OSError, match="clean-up"), t.backend.cancel_scope() as scope:
            async with t.backend.open_nursery() as nursery:
                nursery.start_soon(cancels, scope)
                try:
                    await t.groups.parallel((branch, step(t, "other", 100)))
                except OSError as error:
                    failure = error
            raise failure
        return "goes on"

    async def cancels(scope):
        await anyio.sleep(1)
        scope.cancel()

    assert (await Life().live(function)).result == "goes on"


@in_virtual_time
async def test_a_stray_cancellation_fails_its_branch():
    async def function(t):
        with t.backend.cancel_scope() as scope:
            scope.cancel()
            try:
                await t.backend.checkpoint()
            except t.backend.cancelled as error:
                saved = error

        async def strays():
            raise saved

        with pytest.raises(RuntimeError, match="nobody had cancelled it"):
            await t.groups.parallel((strays, step(t, "a", 1)))

    assert (await Life().live(function)).result is None


@in_virtual_time
async def test_suspended_in_a_group_it_goes_on():
    async def crash(t):
        await t.nap(2.5)
        t.body.suspend()

    async def function(t):
        return await t.groups.parallel(
            (sequence(t, "a", "a", "a"), sequence(t, "b", "b", seconds=2)), mode="all"
        )

    life = await Life().live(function, crash)
    assert life.ending == Suspended()
    assert len(of(life, CallCompleted)) == 3
    assert of(life, CallCancelled) == []
    again = await Life(records=life.records).live(function)
    assert again.result == (["a", "a", "a"], ["b", "b"])
    assert len(again.started) == 2


@in_virtual_time
async def test_a_race_under_a_shield_ends_while_the_run_is_suspended():
    async def function(t):
        try:
            await t.run("slow", t.takes(100))
        finally:
            with t.backend.cancel_scope(shield=True):
                await t.groups.parallel((lambda: t.nap(1), t.backend.event().wait), mode="race")

    async def crash(t):
        await t.nap(2)
        t.body.suspend()

    life = await Life().live(function, crash)
    assert life.ending == Suspended()


# ------------------------------------------------------------------ map and open


@in_virtual_time
@pytest.mark.parametrize("limit", [None, 1, 3])
async def test_a_map_has_its_values_in_order_and_few_tasks(limit):
    most = []

    async def function(t):
        running = [0]

        async def one(item):
            running[0] += 1
            most.append(running[0])
            try:
                return await t.run("get", t.takes(8 - item, item * 10))
            finally:
                running[0] -= 1

        first = await t.groups.map("get", one, iter(range(8)), limit=limit)
        return first, await t.groups.map("get", one, (1,))

    life = await lives(function)
    assert life.result == (tuple(range(0, 80, 10)), (10,))
    assert max(most) == (limit or 8)
    assert {record.key.path for record in of(life, CallCompleted)} == {
        *((("m", "get", 0, k),) for k in range(8)),
        (("m", "get", 1, 0),),
    }


@in_virtual_time
async def test_a_map_takes_a_limiter_and_gives_it_back():
    async def function(t):
        limiter = t.backend.limiter(2)

        async def one(item):
            await t.run("get", t.takes(1))
            return limiter.borrowed_tokens

        got = await t.groups.map("get", one, range(5), limit=limiter)
        return max(got), limiter.borrowed_tokens

    assert (await lives(function, same=False)).result == (2, 0)


@in_virtual_time
async def test_a_failed_map_begins_no_more():
    async def function(t):
        async def one(item):
            error = OSError("broken") if item == 1 else None
            await t.run("get", t.takes(1, error=error))

        with pytest.raises(StepError, match="broken"):
            await t.groups.map("get", one, range(100), limit=2)
        return "goes on"

    life = await lives(function)
    assert life.result == "goes on"
    assert len(life.started) <= 3


@in_virtual_time
async def test_a_set_is_no_order():
    async def function(t):
        with pytest.raises(TypeError, match="a set has none"):
            await t.groups.map("get", t.gives, {1, 2})

    assert (await Life().live(function)).result is None


@in_virtual_time
async def test_an_open_nursery_names_its_tasks():
    async def function(t):
        got = []

        async def one(k):
            got.append(await t.run("get", t.takes(3 - k, k)))

        async def begins(*, task_status):
            task_status.started(await t.run("begin", t.takes(1, "begun")))
            await t.run("end")

        async with t.groups.open() as tasks:
            for k in range(3):
                tasks.start_soon(one, k)
            begun = await tasks.start(begins)
        async with t.groups.open() as tasks:
            tasks.start_soon(one, -math.inf)
            await t.calls.sleep("nap", 1)
            tasks.cancel()
        return begun, sorted(got)

    life = await Life().live(function)
    assert life.result == ("begun", [0, 1, 2])
    paths = {record.key.path for record in of(life, CallCompleted)}
    assert paths == {(), *((("o", 0, i),) for i in range(4))}
    assert [record.key.path for record in of(life, CallCancelled)] == [(("o", 1, 0),)]
    again = await Life(records=life.records).live(function)
    assert again.result == life.result
    assert again.started == []


@pytest.mark.parametrize("count", [200])
def test_many_branches(count):
    """On Trio's own clock."""

    async def function(t):
        return await t.groups.parallel(tuple(step(t, "get", 0, k) for k in range(count)))

    async def main():
        life = await Life().live(function)
        assert life.result == tuple(range(count))
        again = await Life(records=life.records[: count + 50]).live(function)
        assert again.result == tuple(range(count))

    trio.run(main)
