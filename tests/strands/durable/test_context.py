"""`ctx`: what it says is the same after a recovery, whichever task asks."""

import logging
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from plait._engine import native
from plait._engine.bodies.body import Raised, Returned
from plait._kernel.calls.records import DeadlineFired, Patched
from plait._strands._durable.chance import Chance
from plait._strands._durable.event import Event
from plait.errors import NestedStepError, StepError, UntrackedTaskError
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.holding import Hosted, World, as_read, function, lives


async def host(handler, *besides, records=(), **options):
    return await Hosted(World(), records, **options).host(function(handler), *besides)


async def nap(seconds, value=None):
    backend = native.current()
    await backend.sleep_until(backend.clock()() + seconds)
    return value


@in_virtual_time
async def test_what_started_the_run():
    async def fn(ctx):
        return ctx.event, ctx.events, ctx.run_id, ctx.attempt, repr(ctx)

    event = Event(name="begin", data={"a": 1}, id="e1", ts=5)
    life = await host(fn, event=event)
    assert life.result == (event, (event,), "r1", 0, "<Context of run 'r1'>")


@in_virtual_time
async def test_now_is_the_time_of_the_last_outcome():
    async def fn(ctx):
        times = [ctx.now()]
        await nap(1)
        times.append(ctx.now())
        await ctx.step.sleep("a", 10)
        times.append(ctx.now())
        await nap(1)
        times.append(ctx.now())
        await ctx.step.sleep_until("b", ctx.now() + timedelta(seconds=5))
        times.append(ctx.now())
        return times

    life = await host(fn)
    began = datetime.fromtimestamp(1e9, UTC)
    first, second, slept, later, last = life.result
    assert first == second == began
    assert slept == later > began + timedelta(seconds=10)
    assert last - later == timedelta(seconds=5)
    again = await host(fn, records=as_read(life.records))
    assert again.result == life.result


@in_virtual_time
async def test_chance_is_of_each_task_and_the_same_after_recovery():
    async def fn(ctx):
        async def draw(k):
            first = ctx.random.random()
            await ctx.step.run("a", nap, k)
            return first, ctx.random.randrange(10**9), str(ctx.uuid())

        mine = await draw(1)
        return mine, await ctx.group.parallel((lambda: draw(3), lambda: draw(2)))

    life = await lives(lambda world: fn)
    mine, branches = life.result
    assert len({*mine, *branches[0], *branches[1]}) == 9
    assert uuid.UUID(mine[2]).version == 4


@in_virtual_time
async def test_chance_in_a_handler_leaves_that_of_its_task_alone():
    async def fn(ctx):
        drawn = []

        async def draws():
            drawn.append((ctx.random.random(), ctx.random.random()))
            if len(drawn) == 1:
                raise OSError

        await ctx.step.run("a", draws, retry=1)
        return ctx.random.random(), drawn

    life = await host(fn)
    after, drawn = life.result
    assert len({after, *drawn[0], *drawn[1]}) == 5
    assert drawn[0][0] != drawn[0][1]
    again = await host(fn, records=as_read(life.records))
    assert again.result == (after, [])


def test_chance_follows_from_the_seed():
    draws = [Chance(seed).of_task(path).random() for seed in (1, 2) for path in ((), (0,), (1,))]
    assert len({*draws}) == 6
    assert draws[0] == Chance(1).of_task(()).random()


@in_virtual_time
async def test_the_attempt_is_that_of_the_call_in_its_handler():
    async def fn(ctx):
        attempts = []

        async def fails_once():
            attempts.append(ctx.attempt)
            if len(attempts) == 1:
                raise OSError

        await ctx.step.run("a", fails_once, retry=1)
        return attempts, ctx.attempt

    assert (await host(fn, attempt=3)).result == ([0, 1], 3)


@in_virtual_time
async def test_the_log_is_silent_over_what_is_remembered(caplog):
    caplog.set_level(logging.INFO)

    async def fn(ctx):
        async def handler():
            ctx.logger.info("in %s", "a", extra={"mine": 1})

        ctx.logger.info("begun")
        await ctx.step.run("a", handler)
        ctx.logger.info("after a")
        await ctx.step.sleep("b", 1)
        ctx.logger.info("after b")
        return ctx.replaying

    life = await host(fn)
    assert life.result is False
    assert caplog.messages == ["begun", "in a", "after a", "after b"]
    assert [record.run_id for record in caplog.records] == ["r1"] * 4
    assert (caplog.records[1].step_id, caplog.records[1].mine) == ("a", 1)
    caplog.clear()
    (cut,) = [n for n, r in life.records if type(r).__name__ == "CallCompleted"][:1]
    await host(fn, records=as_read(life.records[:cut]))
    assert caplog.messages == ["after a", "after b"]


@in_virtual_time
async def test_replaying():
    async def fn(ctx):
        said = [ctx.replaying]
        for k in range(2):
            await ctx.step.run("a", nap, k)
            said.append(ctx.replaying)
        return said

    life = await host(fn)
    assert life.result == [False, False, False]
    again = await host(fn, records=as_read(life.records))
    assert again.result == [True, True, False]


@in_virtual_time
async def test_deadlines():
    async def fn(ctx):
        with ctx.move_on_after(timedelta(seconds=5)) as cut:
            await ctx.step.sleep("a", 100)
        with ctx.move_on_after(timedelta(hours=1)) as whole:
            await ctx.step.sleep("b", 1)
        try:
            with ctx.fail_after(5):
                await ctx.step.run("c", nap, 100)
        except TimeoutError:
            return cut.cancelled_caught, whole.cancelled_caught

    life = await lives(lambda world: fn)
    assert life.result == (True, False)
    assert len([r for _, r in life.records if isinstance(r, DeadlineFired)]) == 2


@in_virtual_time
async def test_a_patch_is_on_for_runs_that_come_to_it_alive():
    async def fn(ctx):
        await ctx.step.run("a", nap, 1)
        return ctx.patched("v2"), ctx.patched("v2")

    async def before(ctx):
        await ctx.step.run("a", nap, 1)
        await ctx.step.run("b", nap, 1)

    life = await host(fn)
    assert life.result == (True, True)
    assert len([r for _, r in life.records if isinstance(r, Patched)]) == 1
    older = await host(before)
    assert (await host(fn, records=as_read(older.records))).result == (False, False)


@in_virtual_time
async def test_bad_input():
    async def fn(ctx):
        with pytest.raises(TypeError, match="seconds must be seconds or a timedelta, not '5'"):
            ctx.move_on_after("5")
        with pytest.raises(ValueError, match="seconds must be a finite number"):
            ctx.fail_after(float("inf"))
        with pytest.raises(TypeError, match=r"patch must be a str, not 2\n  write ctx.patched"):
            ctx.patched(2)
        with pytest.raises(ValueError, match="patch must not be empty"):
            ctx.patched("")

    life = await host(fn)
    assert isinstance(life.ending, Returned), life.ending
    assert life.records == []


@in_virtual_time
async def test_no_deadline_inside_a_handler():
    async def fn(ctx):
        async def handler():
            with ctx.move_on_after(5):
                pass

        await ctx.step.run("a", handler)

    life = await host(fn)
    assert isinstance(life.ending, Raised)
    assert isinstance(life.ending.error, NestedStepError)
    assert isinstance(life.ending.error, StepError)


@in_virtual_time
async def test_chance_is_for_tasks_of_the_run():
    kept = []

    async def fn(ctx):
        kept.append(ctx)
        await ctx.step.sleep("a", 10)

    async def beside(life):
        await life.nap(1)
        with pytest.raises(UntrackedTaskError):
            kept[0].uuid()
        kept.append("refused")

    await host(fn, beside)
    assert kept[1:] == ["refused"]
