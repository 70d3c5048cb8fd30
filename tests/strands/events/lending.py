"""What the tests of resources lend: markers, factories, and workflows that ask for them."""

from contextlib import asynccontextmanager
from typing import Annotated, Any

import trio

import plait.testing
from plait import Context, Event, Resource, StartEvent, StopEvent, Workflow, step


class Next(Event):
    pass


class Last(Event):
    pass


class Ask(Event):
    n: int = 0


def run(flow, times=1, **options):
    """Run a workflow on the mock clock, some times in a row; return the results and the time."""

    async def main():
        workflow = flow(**options) if isinstance(flow, type) else flow
        return [await workflow.run() for _ in range(times)], trio.current_time()

    return plait.testing.run(main)


def one_step(*markers):
    """Make a workflow of one step that is given a resource for each marker, and returns them."""
    kinds = [Annotated[Any, marker] for marker in markers] + [None] * 3
    first, second, third, *_ = kinds

    class Flow(Workflow):
        @step
        async def start(
            self, ev: StartEvent, a: first, b: second = None, c: third = None
        ) -> StopEvent:
            return StopEvent(result=[a, b, c][: len(markers)])

    return Flow


def two_steps(marker):
    class Flow(Workflow):
        @step
        async def one(self, ev: StartEvent, it: Annotated[Any, marker]) -> Next:
            self.seen = it
            return Next()

        @step
        async def two(self, ev: Next, it: Annotated[Any, marker]) -> StopEvent:
            return StopEvent(result=[self.seen, it])

    return Flow


def at_once(marker, n=4):
    """Make a workflow in which `n` deliveries ask for a resource in the same instant."""

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Ask | None:
            for i in range(n):
                ctx.send_event(Ask(n=i))

        @step(num_workers=n)
        async def ask(self, ctx: Context, ev: Ask, it: Annotated[Any, marker]) -> StopEvent | None:
            if ctx.collect_events(ev, {Ask: n}) is not None:
                return StopEvent(result=it)
            return None

    return Flow


def counter():
    calls = []

    def make():
        calls.append(len(calls))
        return f"made {len(calls)}"

    return make, calls


def noted(name, log, *, error=None, seconds=0):
    """Make a factory whose context manager notes when it is entered and left."""

    @asynccontextmanager
    async def make():
        log.append(f"open {name}")
        try:
            yield name
        finally:
            if seconds:
                await trio.sleep(seconds)
            log.append(f"close {name}")
            if error is not None:
                raise error

    make.__name__ = make.__qualname__ = name
    return make


class Manager:
    """A context manager of both kinds, the factory of itself."""

    def __init__(self):
        self.log = []

    def __enter__(self):
        raise AssertionError("the async one is meant")

    def __exit__(self, *_):
        raise AssertionError("the async one is meant")

    async def __aenter__(self):
        self.log.append("open")
        return self

    async def __aexit__(self, *_):
        self.log.append("close")


def annotated() -> Manager:
    return Manager()


def not_annotated():
    return Manager()


def wrongly_annotated() -> list:
    return Manager()


async def asynchronous():
    return Manager()


def a(b: "Annotated[int, Resource(b)]"):
    raise AssertionError


def b(a: "Annotated[int, Resource(a)]"):
    raise AssertionError


def c(b: Annotated[int, Resource(b)]):
    raise AssertionError
