"""Rows 23 to 30 and 42: sleeps, waits for events, and functions that invoke functions."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from plait.durable import Context, Event, TriggerEvent
from plait.errors import InvokeTimeoutError, StepError
from tests.parity.worlds import BEGIN, at_every_append, everywhere, left_after

CHILD = TriggerEvent(event="child")


class MyError(Exception):
    pass


# ---------------------------------------------------------------- sleeps


@at_every_append
async def test_row_023_a_sleep(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> str:
        await ctx.step.run("a", world.step("a"))
        await ctx.step.sleep("nap", timedelta(seconds=2))
        return await ctx.step.run("b", world.step("b", "awake"))

    assert await app.invoke(fn, run_id="r1") == "awake"
    assert world.elapsed == pytest.approx(2, abs=0.1)
    world.check(a=1, b=1)


@everywhere
async def test_row_023_a_sleep_with_a_restart_in_between(world):
    def make():
        app = world.app()

        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> str:
            await ctx.step.sleep("nap", 2)
            return await ctx.step.run("s", world.step("s", "awake"))

        return app, fn

    app, fn = make()
    await left_after(0.5, app, fn)
    await anyio.sleep(1)  # nobody has the run
    app, fn = make()
    assert await app.invoke(fn, run_id="r1") == "awake"
    assert world.elapsed == pytest.approx(2, abs=0.1)
    world.check(s=1)


@everywhere
async def test_row_023_a_sleep_that_is_over_when_the_next_process_comes(world):
    def make():
        app = world.app()

        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> str:
            await ctx.step.sleep("nap", 2)
            return "awake"

        return app, fn

    app, fn = make()
    await left_after(0.5, app, fn)
    await anyio.sleep(100)
    app, fn = make()
    assert await app.invoke(fn, run_id="r1") == "awake"
    assert world.elapsed == pytest.approx(100.5, abs=0.1)


@at_every_append
async def test_row_024_sleeps_that_are_over_at_once(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> str:
        await ctx.step.sleep("zero", 0)
        await ctx.step.sleep("negative", -5)
        await ctx.step.sleep("negative, too", timedelta(days=-1))
        await ctx.step.sleep_until("past", datetime(2001, 1, 1, tzinfo=UTC))
        return await ctx.step.run("s", world.step("s", "awake"))

    assert await app.invoke(fn, run_id="r1") == "awake"
    assert world.elapsed == pytest.approx(0, abs=0.1)
    world.check(s=1)


# ---------------------------------------------------------------- waits


async def sent_while_it_runs(app, *events, first=None):
    """Send an event that begins a run, then each of these a second later; wait for the end. Its result."""
    async with app.serve() as worker:
        await app.send(first or Event(name="begin", id="begin"))
        for event in events:
            await anyio.sleep(1)
            await app.send(event)
        await worker.drain()
    for run in await app.runs(fn="fn"):
        return await app.resume(run.run_id)
    raise AssertionError("there is no run")


@at_every_append
async def test_row_025_an_event_that_is_waited_for(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[object]:
        event = await ctx.step.wait_for_event(
            "wait", event="answer", timeout=60, if_exp=lambda e: e.data["to"] == "me"
        )
        await ctx.step.run("s", world.step("s"))
        return [event.name, event.id, event.data["n"], event.ts > 0]

    sent = [
        Event(name="answer", data={"to": "you", "n": 1}, id="a1"),
        Event(name="answer", data={"to": "me", "n": 2}, id="a2"),
    ]
    assert await sent_while_it_runs(app, *sent) == ["answer", "a2", 2, True]
    world.check(s=1)


@at_every_append
async def test_row_026_an_event_that_does_not_come(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[object]:
        event = await ctx.step.wait_for_event(
            "wait", event="answer", timeout=60, if_exp=lambda e: e.data["to"] == "me"
        )
        await ctx.step.run("s", world.step("s"))
        return [event]

    sent = [
        Event(name="answer", data={"to": "you"}, id="a1"),
        Event(name="other", data={"to": "me"}, id="a2"),
    ]
    assert await sent_while_it_runs(app, *sent) == [None]
    assert world.elapsed == pytest.approx(60, abs=3)
    world.check(s=1)


@at_every_append
async def test_row_027_an_event_that_came_before(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[object]:
        await ctx.step.sleep("late", 5)
        plain = await ctx.step.wait_for_event("plain", event="answer", timeout=10)
        first = await ctx.step.wait_for_event("first", event="answer", timeout=10, buffer=True)
        second = await ctx.step.wait_for_event("second", event="answer", timeout=10, buffer=True)
        third = await ctx.step.wait_for_event("third", event="answer", timeout=10, buffer=True)
        return [plain, first.id, second.id, third]

    sent = [Event(name="answer", id="a1"), Event(name="answer", id="a2")]
    assert await sent_while_it_runs(app, *sent) == [None, "a1", "a2", None]


@everywhere
async def test_row_025_a_wait_over_a_restart(world):
    def make():
        app = world.app()

        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> object:
            event = await ctx.step.wait_for_event("wait", event="answer", timeout=60)
            return event and event.id

        return app, fn

    app, _ = make()
    async with app.serve():
        await app.send(Event(name="begin", id="begin"))
        await anyio.sleep(10)
    app, _ = make()
    await app.send(Event(name="answer", id="a1"))  # while nobody serves
    app, fn = make()
    async with app.serve() as worker:
        await worker.drain()
    (run,) = await app.runs(fn=fn)
    assert await app.resume(run.run_id) == "a1"


# ---------------------------------------------------------------- functions that invoke functions


@at_every_append
async def test_row_028_a_child_that_returns_a_dict(world):
    app = world.app()

    @app.create_function(fn_id="child", trigger=CHILD)
    async def child(ctx: Context) -> dict[str, int]:
        n = await ctx.step.run("in the child", world.step("in the child", 3))
        return {"n": ctx.event.data["n"] * n}

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[object]:
        got = await ctx.step.invoke("child", function=child, data={"n": 2})
        same = await ctx.step.invoke_by_id("by id", function_id="child", data={"n": got["n"]})
        return [got, same, await ctx.step.run("s", world.step("s", "fine"))]

    assert await app.invoke(fn, run_id="r1") == [{"n": 6}, {"n": 18}, "fine"]
    runs = await app.runs()
    assert sorted(run.parent or "" for run in runs) == ["", "r1", "r1"]
    assert {run.status for run in runs} == {"completed"}
    world.check(**{"in the child": 2, "s": 1})


@at_every_append
async def test_row_029_a_child_that_raises(world):
    app = world.app()

    @app.create_function(fn_id="child", trigger=CHILD, retries=0)
    async def child(ctx: Context) -> None:
        await ctx.step.run("in the child", world.step("in the child"))
        raise MyError("no disk")

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> str:
        with pytest.raises(StepError) as caught:
            await ctx.step.invoke("child", function=child)
        assert caught.value.step_id == "child"
        assert (caught.value.name, caught.value.message) == ("MyError", "no disk")
        return await ctx.step.run("s", world.step("s", "caught"))

    assert await app.invoke(fn, run_id="r1") == "caught"
    assert {run.run_id == "r1" or run.status for run in await app.runs()} == {True, "failed"}
    world.check(**{"in the child": 1, "s": 1})


@at_every_append
async def test_row_030_a_child_that_takes_too_long(world):
    app = world.app()

    @app.create_function(fn_id="child", trigger=CHILD)
    async def child(ctx: Context) -> None:
        try:
            await ctx.step.run("slow", world.step("slow", seconds=1000))
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)
                world.notes.append("the child's clean-up")

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> str:
        with pytest.raises(InvokeTimeoutError) as caught:
            await ctx.step.invoke("child", function=child, timeout=5)
        assert isinstance(caught.value, StepError)
        assert world.crashed or world.notes == ["the child's clean-up"]
        return await ctx.step.run("s", world.step("s", "caught"))

    assert await app.invoke(fn, run_id="r1") == "caught"
    assert {run.run_id == "r1" or run.status for run in await app.runs()} == {True, "cancelled"}
    assert "slow ends" not in world.log
    assert world.elapsed < 20
    world.check(slow=1, s=1)


@at_every_append
async def test_row_042_a_group_of_all_kinds(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[object]:
        slept, nothing, event, one = await ctx.group.parallel(
            (
                lambda: ctx.step.sleep("nap", 5),
                lambda: ctx.step.wait_for_event("never", event="never", timeout=5),
                lambda: ctx.step.wait_for_event("answer", event="answer", timeout=5),
                lambda: ctx.step.run("s", world.step("s", 1)),
            )
        )
        return [slept, nothing, event.id, one]

    assert await sent_while_it_runs(app, Event(name="answer", id="a1")) == [None, None, "a1", 1]
    world.check(s=1)
