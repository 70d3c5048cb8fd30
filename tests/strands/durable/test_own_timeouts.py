"""asyncio's own timeouts around steps: a step that one has cancelled is cancelled again after a crash."""

from __future__ import annotations

import asyncio
import logging

import anyio
import pytest

from plait._strands._durable.context import Context
from plait._strands._durable.triggers import TriggerEvent
from plait.errors import DeterminismError
from tests.parity.clocks import BACKENDS
from tests.strands.durable.crashing import app_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", BACKENDS[1:], ids=["asyncio"]),
]


class World:
    def __init__(self):
        self.log = []
        #: Each ends a process, the last one first.
        self.plugs = [anyio.CancelScope(), anyio.CancelScope()]

    async def work(self, what, seconds=100):
        self.log.append(what)
        await asyncio.sleep(seconds)
        return what

    async def crash(self):
        if not self.plugs:
            return
        self.plugs.pop().cancel()
        await asyncio.sleep(1)


async def in_a_timeout(step, world):
    try:
        async with asyncio.timeout(5):
            await step.run("a", world.work, "a")
    except TimeoutError:
        return "late"


async def in_a_task_group_in_a_timeout(step, world):
    try:
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            tasks = [group.create_task(step.run("a", world.work, k)) for k in "ab"]
    except TimeoutError:
        return [task.cancelled() for task in tasks]


async def waited_for(step, world):
    try:
        await asyncio.wait_for(step.run("a", world.work, "a"), 5)
    except TimeoutError:
        return "late"


async def gathered_and_waited_for(step, world):
    both = asyncio.gather(step.run("a", world.work, "a"), step.run("b", world.work, "b", 1))
    try:
        await asyncio.wait_for(both, 5)
    except TimeoutError:
        return "late"


async def waited_for_in_vain(step, world):
    task = asyncio.create_task(step.run("a", world.work, "a"))
    done, _ = await asyncio.wait([task], timeout=5)
    task.cancel()
    await asyncio.wait([task])
    return len(done)


RESULTS = {
    in_a_timeout: "late",
    in_a_task_group_in_a_timeout: [True, True],
    waited_for: "late",
    gathered_and_waited_for: "late",
    waited_for_in_vain: 0,
}


def declare(function, world, journal=None):
    app = app_of(journal)

    @app.create_function(fn_id="fn", trigger=TriggerEvent("begin"))
    async def fn(ctx: Context) -> object:
        result = await function(ctx.step, world)
        await ctx.step.run("crash", world.crash)
        return result

    return app, fn


@pytest.mark.parametrize(
    ("function", "expected"), RESULTS.items(), ids=[function.__name__ for function in RESULTS]
)
async def test_a_step_that_was_late_is_late_again_and_does_not_run(
    anyio_backend, function, expected, caplog
):
    world = World()
    app, fn = declare(function, world)
    with world.plugs[-1]:
        await app.invoke(fn, run_id="r")
    before = [*world.log]
    with caplog.at_level(logging.WARNING):
        with world.plugs[-1]:
            await app.resume("r")
        result = await app.resume("r")
    assert world.log == before
    assert result == expected
    assert "use ctx.move_on_after" in caplog.text


async def test_timers_of_others_do_not_count(anyio_backend):
    """Nothing cancels it now: the run is held, and does not wait for ever."""
    world = World()

    async def changed(step, world):
        loop = asyncio.get_running_loop()
        loop.call_later(500, list)
        loop.call_later(500, list).cancel()
        async with asyncio.timeout(1):
            await asyncio.sleep(0)
        beside = asyncio.create_task(asyncio.wait_for(asyncio.Event().wait(), 500))
        try:
            await step.run("a", world.work, "a")
        finally:
            beside.cancel()

    app, fn = declare(in_a_timeout, world)
    with world.plugs[-1]:
        await app.invoke(fn, run_id="r")
    again, _ = declare(changed, world, app.journal)
    with pytest.raises(DeterminismError, match="now nothing cancels it"):
        await again.resume("r")
