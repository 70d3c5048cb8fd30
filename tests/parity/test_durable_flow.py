"""Rows 50 to 57: events, the runs that they lead to, and flow control."""

import anyio
import pytest

from plait.durable import (
    Batch,
    Cancel,
    Context,
    Debounce,
    Event,
    FunctionFailed,
    Singleton,
    TriggerCron,
    TriggerEvent,
)
from plait.errors import RunCancelledError
from tests.parity.worlds import BEGIN, at_every_append, everywhere


class MyError(Exception):
    pass


def begin(n, **data):
    return Event(name="begin", data={"n": n, **data}, id=f"e{n}")


@at_every_append
async def test_row_050_on_failure(world):
    app = world.app()

    async def on_failure(ctx: Context[FunctionFailed]) -> list[object]:
        failed = ctx.event.data
        assert isinstance(failed.error, MyError)
        await ctx.step.run("told", world.step("told"))
        return [
            ctx.attempt,
            ctx.run_id != failed.run_id,
            [failed.function_id, str(failed.error), failed.event.name, failed.event.data["n"]],
            [event.id for event in failed.events],
        ]

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=1, on_failure=on_failure)
    async def fn(ctx: Context) -> None:
        await ctx.step.run("a", world.step("a"))
        raise MyError("no disk")

    async with app.serve() as worker:
        await app.send(begin(3))
        await worker.drain()
    failed, told = sorted(await app.runs(), key=lambda run: run.created)
    assert (failed.fn_id, failed.status, failed.attempt) == ("shop-fn", "failed", 1)
    assert (told.status, told.attempt) == ("completed", 0)
    assert await app.resume(told.run_id) == [0, True, ["shop-fn", "no disk", "begin", 3], ["e3"]]
    world.check(a=1, told=1)


@at_every_append
async def test_row_050_on_failure_is_not_retried(world):
    app = world.app()

    async def on_failure(ctx: Context[FunctionFailed]) -> None:
        await ctx.step.run("told", world.step("told"))
        raise MyError("this, too")

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=0, on_failure=on_failure)
    async def fn(ctx: Context) -> None:
        raise MyError("no disk")

    async with app.serve() as worker:
        await app.send(begin(3))
        await worker.drain()
    runs = await app.runs()
    assert [(run.status, run.attempt) for run in runs] == [("failed", 0)] * 2
    world.check(told=1)


CANCELLED = TriggerEvent(event="plait/function.cancelled")


@at_every_append
async def test_row_051_a_cancellation_is_no_failure(world):
    app = world.app()

    async def on_failure(ctx: Context[FunctionFailed]) -> None:
        await ctx.step.run("told", world.step("never"))

    @app.create_function(fn_id="fn", trigger=BEGIN, cancel=Cancel("stop"), on_failure=on_failure)
    async def fn(ctx: Context) -> None:
        await ctx.step.run("slow", world.step("slow", seconds=1000))

    @app.create_function(fn_id="hears", trigger=CANCELLED)
    async def hears(ctx: Context) -> str:
        await ctx.step.run("heard", world.step("heard"))
        return ctx.event.data["function_id"]

    async with app.serve() as worker:
        await app.send(begin(1))
        await anyio.sleep(5)
        await app.send(Event(name="stop", id="stop"))
        await worker.drain()
    (run,) = await app.runs(fn=fn)
    (heard,) = await app.runs(fn=hears)
    assert (run.status, heard.status) == ("cancelled", "completed")
    assert len(await app.runs()) == 2
    assert await app.resume(heard.run_id) == "shop-fn"
    world.check(slow=1, heard=1, never=0)


@at_every_append
async def test_row_052_an_event_that_cancels(world):
    app = world.app()

    @app.create_function(
        fn_id="fn",
        trigger=BEGIN,
        cancel=Cancel("stop", if_exp=lambda begun, stop: begun.data["n"] == stop.data["n"]),
    )
    async def fn(ctx: Context) -> int:
        n = ctx.event.data["n"]
        await ctx.step.run("slow", world.step(f"slow {n}", seconds=10))
        return await ctx.step.run("s", world.step(f"later {n}", n))

    async with app.serve() as worker:
        await app.send([begin(1), begin(2)])
        await anyio.sleep(5)
        await app.send(Event(name="stop", data={"n": 1}, id="stop"))
        await worker.drain()
    first, second = sorted(await app.runs(), key=lambda run: run.status)
    assert (first.status, second.status) == ("cancelled", "completed")
    assert await app.resume(second.run_id) == 2
    with pytest.raises(RunCancelledError):
        await app.resume(first.run_id)
    assert "slow 1 ends" not in world.log
    world.check(**{"slow 1": 1, "slow 2": 1, "later 1": 0, "later 2": 1})


@at_every_append
async def test_row_052_a_run_in_a_sleep(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, cancel=Cancel("stop"))
    async def fn(ctx: Context) -> None:
        await ctx.step.sleep("nap", 1000)
        await ctx.step.run("s", world.step("never"))

    async with app.serve() as worker:
        await app.send(begin(1))
        await anyio.sleep(5)
        await app.send(Event(name="stop", id="stop"))
        await worker.drain()
    (run,) = await app.runs()
    assert run.status == "cancelled"
    assert world.elapsed < 20
    world.check(never=0)


@at_every_append
async def test_row_053_debounce(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, debounce=Debounce(2))
    async def fn(ctx: Context) -> int:
        return await ctx.step.run("s", world.step("s", ctx.event.data["n"]))

    async with app.serve() as worker:
        await app.send(begin(1))
        await app.send(begin(2))
        await worker.drain()
    (run,) = await app.runs()
    assert await app.resume(run.run_id) == 2
    assert world.elapsed == pytest.approx(2, abs=0.1)
    world.check(s=1)


@at_every_append
async def test_row_054_a_singleton_that_skips(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, singleton=Singleton("skip"))
    async def fn(ctx: Context) -> int:
        return await ctx.step.run("s", world.step("s", ctx.event.data["n"], seconds=10))

    async with app.serve() as worker:
        await app.send([begin(1), begin(2)])
        await worker.drain()
    (run,) = await app.runs()
    assert await app.resume(run.run_id) == 1
    world.check(s=1)


@at_every_append
async def test_row_054_a_singleton_that_cancels(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, singleton=Singleton("cancel"))
    async def fn(ctx: Context) -> int:
        n = ctx.event.data["n"]
        return await ctx.step.run("s", world.step(f"s{n}", n, seconds=10))

    async with app.serve() as worker:
        await app.send(begin(1))
        await anyio.sleep(5)
        await app.send(begin(2))
        await worker.drain()
    first, second = sorted(await app.runs(), key=lambda run: run.status)
    assert (first.status, second.status) == ("cancelled", "completed")
    assert await app.resume(second.run_id) == 2
    assert "s1 ends" not in world.log
    world.check(s1=1, s2=1)


@at_every_append
async def test_row_055_a_batch(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, batch_events=Batch(8, timeout=60))
    async def fn(ctx: Context) -> list[int]:
        assert ctx.event == ctx.events[0]
        await ctx.step.run("s", world.step("s"))
        return [event.data["n"] for event in ctx.events]

    async with app.serve() as worker:
        await app.send([begin(n) for n in range(3)])
        await app.send([begin(n) for n in range(3, 8)])
        await worker.drain()
    (run,) = await app.runs()
    assert await app.resume(run.run_id) == [*range(8)]
    world.check(s=1)


@at_every_append
async def test_row_055_a_batch_that_does_not_fill(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, batch_events=Batch(8, timeout=60))
    async def fn(ctx: Context) -> list[int]:
        return [event.data["n"] for event in ctx.events]

    async with app.serve() as worker:
        await app.send([begin(n) for n in range(3)])
        await worker.drain()
    (run,) = await app.runs()
    assert await app.resume(run.run_id) == [*range(3)]
    assert world.elapsed == pytest.approx(60, abs=0.1)


@at_every_append
async def test_row_056_several_triggers(world):
    app = world.app()
    triggers = [TriggerEvent(event="a"), TriggerEvent(event="b")]

    @app.create_function(fn_id="fn", trigger=triggers)
    async def fn(ctx: Context) -> str:
        await ctx.step.run("s", world.step(ctx.event.name))
        return ctx.event.name

    async with app.serve() as worker:
        await app.send([Event(name=name, id=name) for name in "ab"])
        await worker.drain()
    runs = await app.runs()
    assert len({run.run_id for run in runs}) == 2
    assert sorted([await app.resume(run.run_id) for run in runs]) == ["a", "b"]
    world.check(a=1, b=1)


@everywhere
async def test_row_056_a_tick_fires_once(world):
    pytest.importorskip("cronsim")

    def make():
        app = world.app()

        @app.create_function(fn_id="fn", trigger=TriggerCron("0 * * * *"))
        async def fn(ctx: Context) -> None:
            await ctx.step.run("s", world.step("s"))

        return app, fn

    for _ in range(2):
        app, _ = make()
        async with app.serve() as worker:
            await anyio.sleep(3600 * 1.5)
            await worker.drain()
    runs = await app.runs()
    assert len(runs) == len({run.run_id for run in runs}) == 3
    world.check(s=3)


@at_every_append
async def test_row_057_an_id_of_an_event_twice(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> None:
        await ctx.step.run("s", world.step("s"))

    async with app.serve() as worker:
        assert await app.send(begin(1)) == ["e1"]
        assert await app.send(begin(1)) == ["e1"]
        assert await app.send([begin(1), begin(1)]) == ["e1", "e1"]
        await worker.drain()
        assert await app.send(begin(1)) == ["e1"]
        await worker.drain()
    assert len(await app.runs()) == 1
    world.check(s=1)
