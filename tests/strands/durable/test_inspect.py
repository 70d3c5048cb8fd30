"""What `app.runs()` and `app.history()` say of real runs, while they are served and after that."""

from __future__ import annotations

import re

import anyio
import attrs
import pytest

from plait._strands._durable.context import Context
from plait._strands._durable.event import Event
from plait._strands._durable.history import story
from plait._strands._durable.inspect import ErrorInfo
from plait.errors import DeterminismError, RunHeldError
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.crashing import World, app_of, declare
from tests.strands.events.journal.lives import Kept


async def begin(app, seconds=10):
    """Serve an app for a while, with an event to begin with; say what its runs wait for then."""
    async with app.serve() as worker:
        await app.send(Event(name="begin"))
        with anyio.move_on_after(seconds):
            await worker.drain()
        return await app.runs()


async def serve(app, seconds=10):
    """Serve an app for a while; its runs then."""
    async with app.serve() as worker:
        with anyio.move_on_after(seconds):
            await worker.drain()
        return await app.runs()


@in_virtual_time
async def test_a_run_that_sleeps_is_running_and_says_until_when():
    app = app_of()

    async def body(ctx: Context) -> str:
        await ctx.step.sleep("nap", 100)
        return "slept"

    declare(app, body)
    (run,) = await begin(app)
    assert run.status == "running"
    assert re.fullmatch(
        r"sleep 'nap' until (\d{4}-\d\d-\d\d )?\d\d:\d\d(:\d\d)?", run.waiting_for or ""
    )
    assert run.started is not None
    assert run.ended is None
    assert await app.runs() == [run], "it is the same when nobody serves it"
    (run,) = await serve(app, 200)
    assert (run.status, run.waiting_for, run.error) == ("completed", None, None)
    assert run.ended is not None
    assert run.ended - run.started == pytest.approx(100, abs=1)


@in_virtual_time
async def test_the_error_of_a_run_is_the_one_that_its_handler_raised():
    app, world = app_of(), World()

    async def body(ctx: Context) -> None:
        await ctx.step.run("a", world.step("a", error=ValueError("sold out")), retry=0)

    declare(app, body)
    (run,) = await begin(app)
    assert (run.status, run.error) == ("failed", ErrorInfo("ValueError", "sold out"))
    assert await app.runs(status="failed") == [run]
    assert await app.runs(status="completed") == []


def changing(journal, name, world):
    """An app whose function's first step runs this handler, and then sleeps."""
    app = app_of(journal)

    async def body(ctx: Context) -> str:
        await ctx.step.run("a", world.step(name))
        await ctx.step.sleep("nap", 100)
        return "done"

    return app, declare(app, body)


@in_virtual_time
async def test_a_run_that_is_held_is_listed_as_held_in_every_process_and_goes_on_when_it_is_mended():
    journal, world = Kept(), World()
    app, _ = changing(journal, "charge", world)
    (run,) = await begin(app)
    for _ in range(2):
        changed, _ = changing(journal, "refund", world)
        (held,) = await serve(changed)
        assert (held.status, held.waiting_for) == ("held", "app.resume()")
        assert held.error.name == "DeterminismError"
        assert "ran handler of charge before, now handler of refund" in held.error.message
        assert await changed.runs(status="held") == [held]
        with pytest.raises(DeterminismError):
            await changed.resume(run.run_id)
    later, _ = changing(journal, "refund", world)
    (held,) = await later.runs(status="held")  # a process that serves nothing
    assert held.run_id == run.run_id
    mended, _ = changing(journal, "charge", world)
    (run,) = await serve(mended, 200)
    assert (run.status, run.error) == ("completed", None)
    assert world.ran == {"charge": 1}


@in_virtual_time
async def test_a_run_whose_function_is_gone_is_held_and_says_so_once():
    journal, world = Kept(), World()
    app, _ = changing(journal, "charge", world)
    (run,) = await begin(app)
    for _ in range(3):
        other = app_of(journal)
        (held,) = await serve(other)
        assert held.status == "held"
        assert "'shop-fn', which this app does not have" in held.error.message
        with pytest.raises(RunHeldError):
            await other.resume(run.run_id)
    assert journal.tags(run.run_id).count("run.held") == 1
    mended, _ = changing(journal, "charge", world)
    (run,) = await serve(mended, 200)
    assert run.status == "completed"


@in_virtual_time
async def test_a_run_that_cannot_be_read_is_held_and_the_others_go_on():
    journal, world = Kept(), World()
    app, _ = changing(journal, "charge", world)
    (run,) = await begin(app)
    torn = [
        [
            attrs.evolve(entry, version=9)
            if entry.kind == "step.completed" and entry.stream == run.run_id
            else entry
            for entry in entries
        ]
        for entries in journal.appends
    ]
    journal = Kept(torn)
    for number in range(2):
        again, _ = changing(journal, "charge", world)
        runs = await begin(again)
        held = next(one for one in runs if one.run_id == run.run_id)
        assert (held.status, held.waiting_for) == ("held", "app.resume()")
        assert "version 9 is not known" in held.error.message
        assert len(runs) == number + 2
        assert {one.status for one in runs if one is not held} == {"running"}
    assert journal.tags(run.run_id).count("run.held") == 1
    records = await again.history(run.run_id)
    assert "record 4 (step.completed) cannot be read: version 9 is not known" in story(
        run.run_id, records
    )


@in_virtual_time
async def test_the_story_of_a_race():
    app, world = app_of(), World()

    async def body(ctx: Context) -> str:
        await ctx.step.sleep("nap", 3)
        winner = await ctx.group.parallel(
            (
                lambda: ctx.step.run("fast", world.step("fast", "won", seconds=1)),
                lambda: ctx.step.run("slow", world.step("slow", "lost", seconds=60)),
            ),
            mode="race",
        )
        return winner.value

    declare(app, body)
    (run,) = await begin(app, 100)
    told = story(run.run_id, await app.history(run.run_id)).splitlines()
    lines = [line[13:] for line in told[1:]]
    lines[4:6] = sorted(lines[4:6])  # two tasks that start at once do so in any order
    assert lines == [
        "queued, by event 'begin'",
        "attempt 0 begins",
        "step 'nap' sleeps until 3.000 s",
        "step 'nap' is done",
        "step 'fast' in task g0.0 runs handler of fast, attempt 0",
        "step 'slow' in task g0.1 runs handler of slow, attempt 0",
        "step 'fast' in task g0.0 is done: 'won'",
        "step 'slow' in task g0.1 was cancelled, after step 'fast' in task g0.0 was done",
        "completed: 'won'",
    ]
