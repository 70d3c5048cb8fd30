"""Observe: what a chain costs while a live page shows it, beside the same chain without a page.

There are three of them: **no page**; **a page**, which hears every record while nobody looks; **a window**, which reads
the page's stream of events meanwhile, in the same event loop, as a browser would. What is timed is the run, from its
start to its result. Opening the window before that, and what the window is told after it, is not.
"""

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs

from benchmarks.clock import Stretch
from benchmarks.scenario import Part, Program, Ratio, Scenario, Sleep, Target

observe = Scenario(
    name="observe",
    title="A run that a page shows",
    unit="µs per hop",
    about="The chain again: without a page, with one that nobody looks at, and with one that a window looks at. "
    "In six times as many rounds, since a few percent are asked for.",
    sizes=(1_000, 10_000),
    rounds=6,
    quick_sizes=(1_000, 10_000),
    reference=10_000,
    growth_from=1_000,
    expected=lambda hops: hops,
    targets=(
        Target(Ratio("plait_page", "plait"), first=1.05),
        Target(Ratio("plait_asyncio_page", "plait_asyncio"), first=1.05),
    ),
)

TOKEN = "benchmark"
HOST = b"127.0.0.1"

#: Shows a run, for the length of a block.
Shown = Callable[[Any], AbstractAsyncContextManager[None]]


def chain(shown: Shown) -> Program:
    from plait import Event, StartEvent, StopEvent, Workflow, step

    hops = 0

    class A(Event):
        number: int

    class B(Event):
        number: int

    class Chain(Workflow):
        @step
        async def start(self, ev: StartEvent) -> A:
            return A(number=1)

        @step
        async def a(self, ev: A) -> B | StopEvent:
            return StopEvent(ev.number) if ev.number == hops else B(number=ev.number + 1)

        @step
        async def b(self, ev: B) -> A | StopEvent:
            return StopEvent(ev.number) if ev.number == hops else A(number=ev.number + 1)

    flow = Chain()

    async def program(size: int) -> object:
        nonlocal hops
        hops = size
        run = flow.run()
        async with shown(run):
            with Stretch() as stretch:
                answer = await run
        return Part(stretch, answer)

    return program


@observe.contender("plait", "plait_asyncio")
def no_page(sleep: Sleep) -> Program:
    @asynccontextmanager
    async def shown(run: Any) -> AsyncIterator[None]:
        yield

    return chain(shown)


@observe.contender("plait_page", "plait_asyncio_page")
def page(sleep: Sleep) -> Program:
    from plait import web

    @asynccontextmanager
    async def shown(run: Any) -> AsyncIterator[None]:
        web.app(token=TOKEN).watch(run)
        yield

    return chain(shown)


@observe.contender("plait_window", "plait_asyncio_window")
def window(sleep: Sleep) -> Program:
    import anyio

    from plait import web

    @asynccontextmanager
    async def shown(run: Any) -> AsyncIterator[None]:
        page = web.app(token=TOKEN)
        page.watch(run)
        window = Window(anyio.Event(), anyio.Event())
        async with anyio.create_task_group() as group:
            group.start_soon(functools.partial(page, scope(), anyio.sleep_forever, window.hear))
            await window.opened.wait()
            yield
            await window.over.wait()
            group.cancel_scope.cancel()
        # A window that was told nothing would cost nothing.
        assert window.told > 0, "the window has seen no record"

    return chain(shown)


@attrs.define(eq=False)
class Window:
    """What a browser would get, and what of it says how far it is."""

    opened: Any
    over: Any
    told: int = 0

    async def hear(self, message: Any) -> None:
        """Take a part of the answer to the one request."""
        if message["type"] == "http.response.start":
            assert message["status"] == 200, message
            return
        body: bytes = message["body"]
        if b"event: whole" in body:
            self.opened.set()
        self.told += body.count(b"event: change")
        if b'"status":"completed"' in body:
            self.over.set()


def scope() -> dict[str, Any]:
    """What an ASGI server hands on of a window's request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/events",
        "raw_path": b"/api/events",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", HOST), (b"authorization", b"Bearer " + TOKEN.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
