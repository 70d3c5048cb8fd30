"""What is no `Exception`, and comes out of a function: an exit of the program, a stray cancellation."""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import pytest

from plait._strands._durable.context import Context, SyncContext
from plait._strands._durable.event import Event
from plait._strands._durable.triggers import TriggerEvent
from plait.errors import RunSuspended
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.crashing import app_of

#: Not in virtual time, which jumps while a thread is at work.
on_both = pytest.mark.parametrize(
    "anyio_backend", [("trio", {}), ("asyncio", {})], ids=["trio", "asyncio"]
)


class Odd(BaseException):
    pass


def rescue(app, log, leave):
    """Declare functions of which some call `leave` once, and one that is under way beside them."""

    async def leave_once() -> str:
        log.append("leave")
        if log.count("leave") == 1:
            leave()
        return "stays"

    def leave_once_in_thread() -> str:
        log.append("leave")
        if log.count("leave") == 1:
            leave()
        return "stays"

    @app.create_function(fn_id="handler", trigger=TriggerEvent("handler"))
    async def handler(ctx: Context) -> str:
        return await ctx.step.run("leave", leave_once)

    @app.create_function(fn_id="body", trigger=TriggerEvent("body"))
    async def body(ctx: Context) -> str:
        return await leave_once()

    @app.create_function(fn_id="plain", trigger=TriggerEvent("plain"))
    def plain(ctx: SyncContext) -> str:
        return leave_once_in_thread()

    @app.create_function(fn_id="plain-handler", trigger=TriggerEvent("plain-handler"))
    def plain_handler(ctx: SyncContext) -> str:
        return ctx.step.run("leave", leave_once_in_thread)

    @app.create_function(fn_id="child", trigger=TriggerEvent("child"))
    async def child(ctx: Context) -> str:
        return await ctx.step.invoke("child", function=handler)

    @app.create_function(fn_id="beside", trigger=TriggerEvent("beside"))
    async def beside(ctx: Context) -> None:
        try:
            await ctx.step.wait_for_event("end", event="end", timeout=3600)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            log.append("clean")

    return child


@on_both
@pytest.mark.anyio
@pytest.mark.parametrize("error", [SystemExit(4), KeyboardInterrupt(), Odd()], ids=repr)
@pytest.mark.parametrize("where", ["handler", "body", "plain", "plain-handler", "child"])
async def test_what_ends_the_program_comes_out_of_serve_after_the_clean_up(
    anyio_backend_name, where, error
):
    app, log = app_of(), []

    def leave():
        raise error

    rescue(app, log, leave)
    with pytest.raises(type(error)) as caught:
        async with app.serve() as worker:
            await app.send([Event(name="beside"), Event(name=where)])
            await worker.drain()
    assert caught.value is error
    assert log in (["leave", "clean"], ["leave"])  # it may be that the other one had not begun
    assert {run.status for run in await app.runs()} <= {"running", "queued"}
    async with app.serve() as worker:
        while not any(run.waiting_for for run in await app.runs()):
            await anyio.lowlevel.checkpoint()
        await app.send(Event(name="end"))
        await worker.drain()
    assert {run.status for run in await app.runs()} == {"completed"}


@on_both
@pytest.mark.anyio
async def test_an_exit_comes_out_of_invoke(anyio_backend_name):
    app, log = app_of(), []

    def leave():
        raise SystemExit(4)

    child = rescue(app, log, leave)
    with pytest.raises(SystemExit):
        await app.invoke(child, run_id="r")
    assert await app.resume("r") == "stays"


def cancelled_task():
    async def wait():
        task = asyncio.ensure_future(asyncio.sleep(1))
        task.cancel()
        await task

    return wait()


async def suspended():
    raise RunSuspended


STRAYS = {"asyncio": cancelled_task, "trio": suspended}


@on_both
@pytest.mark.anyio
@pytest.mark.parametrize("serving", [True, False], ids=["serve", "invoke"])
async def test_a_cancellation_that_nobody_made_is_a_failure_of_the_function(
    anyio_backend_name, serving
):
    app, attempts = app_of(), []
    stray = STRAYS[anyio_backend_name]

    @app.create_function(fn_id="stray", trigger=TriggerEvent("begin"), retries=0)
    async def fn(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        await stray()

    if serving:
        async with app.serve() as worker:
            await app.send(Event(name="begin"))
            await worker.drain()
    else:
        with pytest.raises(RuntimeError, match="nobody had cancelled it"):
            await app.invoke(fn)
    (run,) = await app.runs()
    assert (run.status, run.error.name) == ("failed", "RuntimeError")
    assert run.error.message == "The function raised a cancellation, and nobody had cancelled it"
    assert attempts == [0]


@in_virtual_time
async def test_a_stray_cancellation_is_tried_again_as_other_failures():
    app, attempts = app_of(), []

    @app.create_function(fn_id="stray", trigger=TriggerEvent("begin"), retries=2)
    async def fn(ctx: Context) -> int:
        attempts.append(ctx.attempt)
        if ctx.attempt < 2:
            raise RunSuspended
        return ctx.attempt

    assert await app.invoke(fn) == 2
    assert attempts == [0, 1, 2]


def test_who_cancels_a_task_of_asyncio_by_itself_suspends_the_run():
    app, tasks = app_of(), []

    @app.create_function(fn_id="fn", trigger=TriggerEvent("begin"))
    async def fn(ctx: Context) -> str:
        if not tasks:
            tasks.append(asyncio.current_task())
            tasks[0].cancel()
            await asyncio.sleep(1)
        return "goes on"

    async def main():
        with pytest.raises(asyncio.CancelledError):
            await app.invoke(fn, run_id="r")
        (run,) = await app.runs()
        assert run.status == "running"
        assert await app.resume("r") == "goes on"

    asyncio.run(main())
