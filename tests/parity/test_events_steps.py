"""Rows 1 to 7, 116 and 128: what becomes a step, and what a step may be."""

import threading
from contextvars import ContextVar

import anyio
import anyio.lowlevel
import pytest

from plait import Context, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowValidationError
from tests.parity.letters import A, B


@pytest.mark.anyio
async def test_row_001_a_class_with_step_methods_is_a_workflow():
    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent) -> A:
            return A()

        @step
        async def end(self, ev: A) -> StopEvent:
            return StopEvent(result=1)

    assert await Flow().run() == 1


@pytest.mark.anyio
async def test_row_002_free_functions_become_steps():
    class Flow(Workflow):
        pass

    @step(workflow=Flow)
    async def start(ev: StartEvent) -> A:
        return A(n=3)

    class Other(Workflow):
        pass

    @step(workflow=Other)
    async def end(ev: A) -> StopEvent:
        return StopEvent(result=ev.n + 1)

    Flow.add_step(end)
    assert await Flow().run() == 4


@pytest.mark.anyio
async def test_row_003_free_steps_are_inherited():
    class Flow(Workflow):
        pass

    class Early(Flow):
        pass

    @step(workflow=Flow)
    async def start(ev: StartEvent) -> A:
        return A(n=3)

    @step(workflow=Flow)
    async def end(ctx: Context, ev: A) -> StopEvent:
        return StopEvent(result=ev.n + 1)

    class Late(Flow):
        pass

    assert await Early().run() == 4
    assert await Late().run() == 4


@pytest.mark.anyio
async def test_row_004_a_redefined_step_replaces_the_inherited_one():
    class Base(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result="base")

    class Sub(Base):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            above = await super().s(ev)
            assert above.result == "base"
            return StopEvent(result="sub")

    assert await Sub().run() == "sub"
    assert await Base().run() == "base"


def test_row_005_redefinition_without_step_is_refused_at_the_class():
    class Base(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

        @step
        async def t(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

    with pytest.raises(
        WorkflowValidationError,
        match=r"Method 't' of 'Sub' overrides step 't' of 'Base' but has no @step decorator\.",
    ):

        class Sub(Base):
            async def t(self, ev: StartEvent) -> StopEvent:
                return StopEvent()


@pytest.mark.anyio
async def test_row_005_none_drops_an_inherited_step():
    ran = []

    class Base(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            ran.append("s")
            return StopEvent()

        @step
        async def t(self, ev: StartEvent) -> StopEvent:
            ran.append("t")
            return StopEvent()

    class Without(Base):
        t = None

    await Without().run()
    assert ran == ["s"]


@pytest.mark.anyio
async def test_row_006_plain_steps_do_not_block_the_loop():
    ticked = threading.Event()

    class Flow(Workflow):
        @step
        def s(self, ev: StartEvent) -> StopEvent:
            # Blocks its thread until the loop has gone round: no loop, no tick.
            return StopEvent(result=ticked.wait(timeout=10))

    async def tick():
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        ticked.set()

    async with anyio.create_task_group() as tasks, Flow().run() as run:
        tasks.start_soon(tick)
        assert await run is True


@pytest.mark.anyio
async def test_row_007_plain_steps_can_send_and_stream():
    main = threading.get_ident()
    threads = set()

    class Flow(Workflow):
        @step
        def s(self, ctx: Context, ev: StartEvent) -> A | None:
            threads.add(threading.get_ident())
            ctx.write_event_to_stream(B(n=7))
            ctx.send_event(A(n=1))
            ctx.send_event(A(n=2))
            return A(n=3)

        @step(num_workers=1)
        def t(self, ctx: Context, ev: A) -> StopEvent | None:
            threads.add(threading.get_ident())
            batch = ctx.collect_events(ev, [A] * 3)
            return batch and StopEvent(result=[a.n for a in batch])

    async with Flow().run() as run:
        seen = [event async for event in run.stream_events()]
        assert await run == [1, 2, 3]
    assert seen == [B(n=7), StopEvent([1, 2, 3])]
    assert main not in threads


VAR = ContextVar("VAR", default="nobody's")


@pytest.mark.anyio
async def test_row_116_steps_see_the_callers_context_variables():
    seen = []

    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> A:
            seen.append(VAR.get())
            VAR.set("s's")
            return A()

        @step
        def t(self, ev: A) -> B:
            seen.append(VAR.get())
            VAR.set("t's")
            return B()

        @step
        async def u(self, ev: B) -> StopEvent:
            seen.append(VAR.get())
            return StopEvent()

    VAR.set("caller")
    await Flow().run()
    assert seen == ["caller"] * 3
    assert VAR.get() == "caller"


@pytest.mark.anyio
async def test_row_128_postponed_annotations_of_local_classes(tmp_path):
    source = """
from __future__ import annotations
from plait import Context, Event, StartEvent, StopEvent, Workflow, step

def make():
    class Local(Event):
        n: int

    class Flow(Workflow):
        class Inner(Event):
            n: int

        @step
        async def s(self, ctx: Context, ev: StartEvent) -> Local | None:
            ctx.send_event(Local(n=1))

        @step
        async def t(self, ev: Local) -> Inner:
            return Flow.Inner(n=ev.n + 1)

        @step
        def u(self, ev: Inner) -> Later | StopEvent:
            return Later(n=ev.n + 1)

        @step
        async def v(self, ev: "Later") -> "StopEvent":
            return StopEvent(result=ev.n + 1)

    return Flow

class Later(Event):
    n: int
"""
    path = tmp_path / "postponed.py"
    path.write_text(source)
    names = {"__name__": "postponed"}
    exec(compile(source, str(path), "exec"), names)
    assert await names["make"]()().run() == 4
