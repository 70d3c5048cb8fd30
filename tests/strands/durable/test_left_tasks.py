"""Tasks of asyncio that a function leaves behind: they end with its body, as with asyncio's own runner."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from plait._strands._durable.context import Context
from plait._strands._durable.event import Event
from plait._strands._durable.triggers import TriggerEvent
from plait.errors import StepError
from tests.parity.clocks import BACKENDS
from tests.strands.durable.crashing import app_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", BACKENDS[1:], ids=["asyncio"]),
]


class World:
    def __init__(self):
        self.log = []

    async def work(self, what, seconds=0.0):
        self.log.append(what)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            self.log.append(f"clean {what}")
            raise
        if what == "bad":
            raise ValueError(what)
        return what


def declare(world, function, **options):
    app = app_of()

    @app.create_function(fn_id="fn", trigger=TriggerEvent("begin"), **options)
    async def fn(ctx: Context) -> object:
        return await function(ctx, world)

    return app, fn


async def gathers(ctx, world):
    run = ctx.step.run
    await asyncio.gather(
        run("a", world.work, "first", 10),
        run("a", world.work, "bad"),
        run("a", world.work, "last", 10),
    )


async def test_a_gather_that_fails_ends_the_others_and_fails_the_run(anyio_backend):
    world = World()
    app, fn = declare(world, gathers, retries=0)
    with pytest.raises(StepError, match="ValueError: bad"):
        await app.invoke(fn, run_id="r")
    assert world.log[:3] == ["first", "bad", "last"]
    assert sorted(world.log[3:]) == ["clean first", "clean last"]
    kinds = [record.kind for record in await app.history("r")]
    assert kinds.count("step.cancelled") == 2
    assert kinds[-1] == "run.failed"  # after all clean-up
    with pytest.raises(StepError, match="ValueError: bad"):
        await app.resume("r")


async def test_other_runs_of_the_app_go_on(anyio_backend):
    world = World()
    app, _ = declare(world, gathers, retries=0)

    @app.create_function(fn_id="other", trigger=TriggerEvent("begin"))
    async def other(ctx: Context) -> None:
        await ctx.step.sleep("nap", 100)

    async with app.serve() as worker:
        await app.send(Event(name="begin"))
        await worker.drain()
    assert sorted(run.status for run in await app.runs()) == ["completed", "failed"]


async def test_what_a_retry_of_the_body_comes_to_again_runs_again(anyio_backend):
    world = World()

    async def function(ctx, world):
        task = asyncio.create_task(ctx.step.run("a", world.work, "long", 10))
        await ctx.step.run("b", world.work, "short")
        if ctx.attempt == 0:
            raise ValueError("once")
        return await task

    app, fn = declare(world, function)
    assert await app.invoke(fn) == "long"
    assert world.log == ["short", "long", "clean long", "long"]


@pytest.mark.parametrize("op", ["run", "sleep", "wait", "begun"])
async def test_a_task_that_nobody_awaits_ends_with_the_function(anyio_backend, op):
    world = World()

    async def function(ctx, world):
        calls = {
            "run": lambda: ctx.step.run("a", world.work, "long", 10),
            "sleep": lambda: ctx.step.sleep("a", 10),
            "wait": lambda: ctx.step.wait_for_event("a", event="e", timeout=10),
            "begun": lambda: ctx.step.run("a", world.work, "never"),
        }
        left.append(asyncio.create_task(calls[op]()))
        if op != "begun":
            await ctx.step.run("b", world.work, "short")
        return "returned"

    left = []
    app, fn = declare(world, function, retries=0)
    assert await app.invoke(fn) == "returned"
    assert left[0].cancelled()
    assert world.log == {
        "run": ["short", "long", "clean long"],
        "begun": [],
    }.get(op, ["short"])


async def test_tasks_that_are_spawned_in_the_clean_up_end_as_well(anyio_backend):
    world = World()

    async def function(ctx, world):
        async def again():
            try:
                await ctx.step.sleep("a", 10)
            finally:
                left.append(asyncio.create_task(ctx.step.run("b", world.work, "late", 10)))

        left.append(asyncio.create_task(again()))
        await ctx.step.run("c", world.work, "short")

    left = []
    app, fn = declare(world, function, retries=0)
    assert await app.invoke(fn) is None
    assert [task.cancelled() for task in left] == [True, True]


async def test_a_suspended_run_leaves_nothing_behind_and_goes_on(anyio_backend):
    """`asyncio.wait` does not cancel what it waits for."""
    world = World()

    async def function(ctx, world):
        tasks = [asyncio.create_task(ctx.step.run("a", world.work, k, k)) for k in (1, 20)]
        left.extend(tasks)
        await asyncio.wait(tasks)
        return [task.result() for task in tasks]

    left = []
    app, fn = declare(world, function)
    with anyio.move_on_after(10) as scope:
        await app.invoke(fn, run_id="r")
    assert scope.cancelled_caught
    assert [task.done() for task in left] == [True, True]
    assert world.log == [1, 20, "clean 20"]
    assert await app.resume("r") == [1, 20]
    assert world.log == [1, 20, "clean 20", 20]
