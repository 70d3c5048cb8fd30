"""Rows 117, 118 and 132: what a run costs, what it leaves, and where it runs."""

import gc
import subprocess
import sys
import tracemalloc
import weakref

import anyio
import pytest
import trio

import plait
from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from tests.parity.letters import A


class Small(Workflow):
    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A:
        await ctx.store.set("flow", self)
        await ctx.store.set("ctx", ctx)
        return A()

    @step
    async def t(self, ctx: Context, ev: A) -> StopEvent:
        ctx.write_event_to_stream(A())
        return StopEvent(result=1)


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["await", "block", "nursery", "runtime"])
async def test_row_117_ended_runs_are_garbage(how):
    async def one():
        flow = Small()
        run = None
        match how:
            case "await":
                run = flow.run()
                await run
            case "block":
                async with flow.run() as run:
                    assert [event async for event in run.stream_events()][-1] == StopEvent(1)
            case "nursery":
                async with anyio.create_task_group() as tasks:
                    # AnyIO's task group under Trio wraps a nursery of Trio's.
                    run = flow.run().start_soon(getattr(tasks, "_nursery", tasks))
            case "runtime":
                async with plait.open_runtime():
                    run = flow.run()
                    await run
        return weakref.ref(flow), weakref.ref(run), weakref.ref(run.ctx.store)

    refs = await one()
    await anyio.lowlevel.checkpoint()
    gc.collect()
    assert [ref() for ref in refs] == [None] * 3


@pytest.mark.anyio
async def test_row_117_ended_runs_of_a_workflow_that_is_kept_are_garbage():
    flow = Small()
    refs = []
    for _ in range(3):
        run = flow.run()
        await run
        refs.append(weakref.ref(run))
    del run
    gc.collect()
    assert [ref() for ref in refs] == [None] * 3


@pytest.mark.anyio
async def test_row_118_memory_does_not_grow_with_steps():
    class Link(Event):
        n: int
        payload: bytes

    class Chain(Workflow):
        @step
        async def start(self, ev: StartEvent) -> Link:
            return Link(n=0, payload=bytes(10_000))

        @step
        async def link(self, ev: Link) -> Link | StopEvent:
            if ev.n == 2000:
                return StopEvent(result=ev.n)
            return Link(n=ev.n + 1, payload=bytes(10_000))

    await Chain().run()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        assert await Chain().run() == 2000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 3_000_000


class Here(Workflow):
    @step
    async def s(self, ev: StartEvent) -> A:
        await anyio.lowlevel.checkpoint()
        return A(n=ev.n)

    @step
    def t(self, ev: A) -> StopEvent:
        return StopEvent(result=ev.n + 1)


def test_row_132_run_outside_a_loop_starts_nothing():
    run = Here().run(n=1)
    assert run.state == "created"
    with pytest.raises(RuntimeError, match=r"trio\.run\(.*\) or anyio\.run\(.*plait\.run\("):
        run.__await__().send(None)
    assert run.state == "created"
    assert trio.run(lambda: run_it(run)) == 2
    assert run.state == "completed"


async def run_it(run):
    return await run


def test_row_132_a_workflow_runs_under_both_loops_one_after_the_other():
    flow = Here(num_concurrent_runs=1)

    async def main():
        return await flow.run(n=1)

    for _ in range(2):
        assert trio.run(main) == 2
        assert anyio.run(main, backend="asyncio") == 2
        assert anyio.run(main, backend="trio") == 2
        assert plait.run(flow, n=3) == 4
        assert plait.run(flow, backend="asyncio", n=3) == 4


def test_row_132_plait_run_names_the_backends():
    with pytest.raises(ValueError, match="backend must be 'trio' or 'asyncio', not 'curio'"):
        plait.run(Here(), backend="curio", n=3)


def test_row_132_an_asyncio_program_does_not_import_trio():
    program = """
import asyncio, sys
from plait import StartEvent, StopEvent, Workflow, step
class Flow(Workflow):
    @step
    async def s(self, ev: StartEvent) -> StopEvent:
        return StopEvent(result=ev.n + 1)
async def main():
    return await Flow().run(n=1)
assert asyncio.run(main()) == 2
assert "trio" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
