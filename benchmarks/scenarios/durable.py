"""Durable functions: what a step costs that is on disk before its function sees what it did."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from benchmarks.clock import Stretch
from benchmarks.scenario import Growth, Measured, Part, Program, Ratio, Scenario, Sleep, Target
from benchmarks.scenarios.journal import dbos, file_on_disk, floor, remove

durable_chain = Scenario(
    name="durable_chain",
    title="Steps of a durable function, one after another",
    unit="µs per step",
    about="N calls of `ctx.step.run` on SQLite, `synchronous=FULL`: each is on disk before the next. The file is open.",
    sizes=(100, 1_000, 3_000),
    quick_sizes=(100, 300),
    reference=1_000,
    growth_from=100,
    expected=lambda size: size,
    equivalent=False,
    targets=(
        Target(Ratio("dbos", "plait"), first=5, at_least=True),
        Target(Ratio("plait", "floor_commit"), first=2, goal=1.2),
        Target(Growth("plait"), first=1.3),
    ),
)

durable_parallel = Scenario(
    name="durable_parallel",
    title="Branches of a durable function",
    unit="µs per branch",
    about="`ctx.group.parallel` of N branches, a step each: on disk before the branch goes on. The file is open.",
    sizes=(100, 1_000, 10_000),
    quick_sizes=(100, 1_000),
    reference=1_000,
    growth_from=100,
    expected=lambda size: size,
    equivalent=False,
    targets=(
        Target(Ratio("dbos", "plait"), first=50, at_least=True),
        Target(Ratio("plait", "floor_group"), first=2.5, goal=2),
        Target(Growth("plait"), first=1.3),
    ),
)

durable_cpu = Scenario(
    name="durable_cpu",
    title="Processor time of a durable step",
    unit="µs of processor time per step",
    about="N steps one after another, on a journal in memory: nothing is waited for.",
    sizes=(100, 1_000, 10_000),
    quick_sizes=(100, 1_000),
    reference=1_000,
    growth_from=100,
    expected=lambda size: size,
    scale=None,
    equivalent=False,
    ratios=False,
    targets=(Target(Growth("plait"), first=1.3),),
)

durable_runs = Scenario(
    name="durable_runs",
    title="32 durable runs at a time",
    unit="ms per step, the median",
    about="32 runs of N steps each, on one file: from the call to its return, as the function sees it.",
    sizes=(10, 30, 100),
    quick_sizes=(10, 30),
    reference=30,
    growth_from=10,
    expected=lambda size: 32 * size,
    scale=None,
    equivalent=False,
    ratios=False,
    targets=(Target(Growth("plait"), first=1.3),),
)

durable_recovery = Scenario(
    name="durable_recovery",
    title="Recovering a durable run",
    unit="µs per outcome",
    about="A run is taken up that has the outcomes of N branches: its body gets them all, and runs none.",
    sizes=(100, 1_000, 10_000),
    quick_sizes=(100, 1_000),
    reference=1_000,
    growth_from=100,
    expected=lambda size: size,
    scale=None,
    equivalent=False,
    ratios=False,
    targets=(Target(Growth("plait"), first=1.3),),
)

#: How many runs there are at a time.
TOGETHER = 32


def one_after_another(sleep: Sleep) -> Program:
    async def program(size: int) -> object:
        path = file_on_disk()
        try:
            app, chain, _ = _app(sleep, path)
            async with app.serve():
                with Stretch() as stretch:
                    answer = await app.invoke(chain, {"steps": size})
            return Part(stretch, answer)
        finally:
            remove(path)

    return program


def in_parallel(sleep: Sleep) -> Program:
    async def program(size: int) -> object:
        path = file_on_disk()
        try:
            app, _, fan = _app(sleep, path)
            async with app.serve():
                with Stretch() as stretch:
                    answer = await app.invoke(fan, {"steps": size})
            return Part(stretch, answer)
        finally:
            remove(path)

    return program


def in_memory(sleep: Sleep) -> Program:
    async def program(size: int) -> object:
        app, chain, _ = _app(sleep, None)
        began = time.process_time()
        answer = await app.invoke(chain, {"steps": size})
        return Measured((time.process_time() - began) / size * 1e6, answer)

    return program


def several_runs(sleep: Sleep) -> Program:
    from plait.durable import Event

    async def program(size: int) -> object:
        path = file_on_disk()
        took: list[float] = []
        try:
            app, _, _ = _app(sleep, path, took)
            async with app.serve() as worker:
                await app.send([Event(name="chain", data={"steps": size})] * TOGETHER)
                await worker.drain()
        finally:
            remove(path)
        took.sort()
        return Measured(took[len(took) // 2] * 1e3, len(took))

    return program


def recovery(sleep: Sleep) -> Program:
    """Take up a run that was left in its last step."""
    from plait.durable import MemoryJournal

    async def program(size: int) -> object:
        journal = MemoryJournal()
        app, _, fan = _app(sleep, journal, last=_leave)
        with suppress(_Left):
            await app.invoke(fan, {"steps": size}, run_id="bench")
        again, _, fan = _app(sleep, journal, last=_note)
        began = time.perf_counter()
        reached, answer = await again.invoke(fan, {"steps": size}, run_id="bench")
        return Measured((reached - began) / size * 1e6, answer)

    return program


class _Left(BaseException):
    """The process is asked to end."""


async def _leave() -> float:
    raise _Left


async def _note() -> float:
    return time.perf_counter()


def _app(
    sleep: Sleep,
    journal: Any,
    took: list[float] | None = None,
    last: Callable[[], Awaitable[float]] | None = None,
) -> tuple[Any, Any, Any]:
    """Make an app with a function whose steps come one after another, and one that has branches."""
    from plait.durable import App, Context, TriggerEvent

    app = App("bench", journal=journal)

    async def work(number: int) -> int:
        await sleep(0)
        return number

    @app.create_function(fn_id="chain", trigger=TriggerEvent(event="chain"))
    async def chain(ctx: Context) -> int:
        size = ctx.event.data["steps"]
        for number in range(size):
            began = time.perf_counter()
            await ctx.step.run("work", work, number)
            if took is not None:
                took.append(time.perf_counter() - began)
        return size

    @app.create_function(fn_id="fan", trigger=TriggerEvent(event="fan"))
    async def fan(ctx: Context) -> Any:
        size = ctx.event.data["steps"]
        branches = tuple(partial(ctx.step.run, "work", work, k) for k in range(size))
        found = await ctx.group.parallel(branches)
        assert found == tuple(range(size))
        if last is None:
            return len(found)
        return await ctx.step.run("last", last), len(found)

    return app, chain, fan


durable_chain.contender("plait", "plait_asyncio")(one_after_another)
durable_parallel.contender("plait", "plait_asyncio")(in_parallel)
durable_cpu.contender("plait", "plait_asyncio")(in_memory)
durable_runs.contender("plait", "plait_asyncio")(several_runs)
durable_recovery.contender("plait", "plait_asyncio")(recovery)
durable_chain.contender("floor_commit")(partial(floor, together=1))
durable_parallel.contender("floor_group")(partial(floor, together=32))
durable_chain.contender("dbos", limit=1_000)(partial(dbos, parallel=False))
durable_parallel.contender("dbos", limit=1_000)(partial(dbos, parallel=True))
