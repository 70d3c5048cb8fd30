"""Slips of those who write their first workflow, and what they are told."""

import asyncio
import gc
import re
import warnings
from functools import partial

import pytest
import trio

import plait
from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.durable import App, TriggerEvent
from plait.durable import Context as DurableContext
from plait.errors import StepError, WorkflowRuntimeError


class Query(Event):
    text: str
    limit: int = 10


class Echo(Workflow):
    @step
    async def echo(self, ev: StartEvent) -> StopEvent:
        return StopEvent(result=ev.text)


def test_an_event_by_position_says_how_it_is_written():
    with pytest.raises(TypeError) as caught:
        Query("a" * 80, 3)
    [note] = caught.value.__notes__
    assert note.startswith("Write Query(text='aaaa")
    assert note.endswith("…, limit=3)")
    with pytest.raises(TypeError) as caught:
        Event("a")
    assert not hasattr(caught.value, "__notes__")  # no field is known
    with pytest.raises(TypeError) as caught:
        StopEvent("a", "b")
    assert not hasattr(caught.value, "__notes__")  # the text says it


def test_a_run_in_the_place_of_a_function_says_what_to_write(recwarn):
    with pytest.raises(TypeError) as caught:
        trio.run(Echo().run(text="a"))
    assert re.findall("right:  (.*)", str(caught.value)) == [
        "plait.run(Echo())",
        "Echo().run().start_soon(nursery)",
    ]
    with (
        pytest.raises(TypeError, match=r"async with Echo\(\)\.run\(\) as run:"),
        Echo().run(text="a"),
    ):
        pass
    gc.collect()
    assert not recwarn.list  # who has been told is not told again


def test_a_nursery_says_it_too():
    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Echo().run(text="a"))

    with pytest.raises(ExceptionGroup) as caught:
        trio.run(main)
    assert "take a function" in str(caught.value.exceptions[0])


def test_a_result_that_is_no_event_says_how_it_is_returned():
    class Bare(Workflow):
        @step
        async def bare(self, ev: StartEvent) -> StopEvent:
            return "x"

    with pytest.raises(WorkflowRuntimeError) as caught:
        plait.run(Bare())
    assert "StopEvent(result=...)" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("path", "note"),
    [
        ("nme", "Did you mean 'name'? Write get('nme', default=...) for what may be missing"),
        ("deep.colour.x", "Did you mean 'deep.color.x'? Write get('deep.colour.x', default=...)"),
        ("zzz", "Write get('zzz', default=...) for what may be missing"),
        ("list.7", "Write get('list.7', default=...) for what may be missing"),
        ("query.txt", "Did you mean 'query.text'?"),
    ],
)
async def test_a_path_that_leads_nowhere_says_which_was_meant(path, note):
    ctx = Context(Echo())
    await ctx.store.set("name", 1)
    await ctx.store.set("deep.color", 1)
    await ctx.store.set("list", [1])
    await ctx.store.set("query", Query(text="a"))
    with pytest.raises(ValueError, match="not found in state") as caught:
        await ctx.store.get(path)
    assert caught.value.__notes__[0].startswith(note)


class Waits(Workflow):
    @step
    async def wait(self, ev: StartEvent) -> StopEvent:
        await ev.wait()
        return StopEvent()


class MineError(RuntimeError):
    """Says what asyncio says, and is somebody's own."""


async def asks_for_the_loop():
    asyncio.get_running_loop()


async def raises(error):
    raise error


TRIOS = "This code waits by Trio's means, and asyncio is running. Use what asyncio or AnyIO has, or run it on Trio"
ASYNCIOS = "This code waits by asyncio's means, and Trio is running. Use what Trio or AnyIO has, or run it on asyncio"


@pytest.mark.parametrize(
    ("backend", "wait", "note"),
    [
        pytest.param("trio", lambda: asyncio.sleep(0.01), ASYNCIOS, id="asyncio.sleep"),
        pytest.param("trio", asks_for_the_loop, ASYNCIOS, id="the loop"),
        pytest.param("asyncio", partial(trio.sleep, 0.01), TRIOS, id="trio.sleep"),
        pytest.param("asyncio", trio.lowlevel.checkpoint, TRIOS, id="checkpoint"),
        pytest.param("trio", lambda: raises(MineError("no running event loop")), None, id="mine"),
        pytest.param("trio", lambda: raises(RuntimeError("no")), None, id="another text"),
        pytest.param(
            "asyncio", lambda: raises(RuntimeError("no running event loop")), None, id="here"
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine 'sleep' was never awaited")
def test_who_waits_by_the_means_of_the_other_loop_is_told(backend, wait, note):
    with pytest.raises(RuntimeError) as caught:
        plait.run(Waits(), backend=backend, wait=wait)
    first, *_ = caught.value.__notes__
    assert first == note if note else first.startswith("in step 'wait'")
    gc.collect()


@pytest.mark.parametrize("inside", ["step", "body"])
def test_in_a_durable_function_too(inside):
    app = App("shop")

    @app.create_function(fn_id="nap", trigger=TriggerEvent("nap"), retries=0)
    async def nap(ctx: DurableContext) -> None:
        if inside == "body":
            await trio.lowlevel.checkpoint()
        await ctx.step.run("nap", trio.lowlevel.checkpoint)

    async def main():
        await app.invoke(nap)

    with pytest.raises((RuntimeError, StepError)) as caught:
        asyncio.run(main())
    raised = caught.value.__cause__ if inside == "step" else caught.value
    assert TRIOS in raised.__notes__


def test_a_wait_that_nobody_awaits_is_called_by_its_name():
    class Forgets(Workflow):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.wait_for_event(Query)
            return StopEvent()

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        plait.run(Forgets())
        gc.collect()
    assert any("'Context.wait_for_event' was never awaited" in str(one.message) for one in said)
