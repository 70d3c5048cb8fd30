"""Steps from unusual places, and under decorators: none is ignored in silence."""

import functools

import pytest

from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowValidationError


class A(Event):
    n: int = 0


def counted(func):
    """Count calls, as a decorator of the user's."""

    @functools.wraps(func)
    async def wrapper(*args, **kwargs):
        wrapper.calls += 1
        return await func(*args, **kwargs)

    wrapper.calls = 0
    return wrapper


@pytest.mark.anyio
async def test_steps_of_a_mixin():
    class Mixin:
        @step
        async def extra(self, ev: A) -> StopEvent:
            return StopEvent(result="mixin")

    class Flow(Mixin, Workflow):
        @step
        async def start(self, ev: StartEvent) -> A:
            return A()

    assert await Flow().run() == "mixin"

    with pytest.raises(WorkflowValidationError, match="overrides step 'extra' of 'Mixin'"):

        class Sub(Flow):
            async def extra(self, ev: A) -> StopEvent:
                return StopEvent()


@pytest.mark.anyio
async def test_steps_of_several_bases_in_the_order_of_the_bases():
    class One(Workflow):
        @step
        async def one(self, ev: StartEvent) -> A:
            return A(n=1)

    class Two(Workflow):
        @step
        async def two(self, ev: A) -> StopEvent:
            return StopEvent(result=ev.n + 1)

    class Both(One, Two):
        pass

    assert await Both().run() == 2


@pytest.mark.anyio
async def test_a_decorator_below_step_counts():
    class Flow(Workflow):
        @step
        @counted
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result="done")

    assert await Flow().run() == "done"
    assert Flow.s.calls == 1


@pytest.mark.anyio
async def test_a_decorator_above_step_counts():
    class Flow(Workflow):
        @counted
        @step(num_workers=2)
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result="done")

    assert await Flow().run() == "done"
    assert Flow.s.calls == 1


@pytest.mark.anyio
async def test_an_async_wrapper_of_a_plain_function():
    def as_async(func):
        @functools.wraps(func)
        async def wrapper(*args):
            return func(*args)

        return wrapper

    class Flow(Workflow):
        @step
        @as_async
        def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result="done")

    assert await Flow().run() == "done"


@pytest.mark.anyio
async def test_a_plain_wrapper_of_an_async_function():
    def hands_on(func):
        @functools.wraps(func)
        def wrapper(*args):
            return func(*args)

        return wrapper

    class Flow(Workflow):
        @step
        @hands_on
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result="done")

    assert await Flow().run() == "done"


@pytest.mark.anyio
async def test_postponed_annotations_under_a_decorator_of_another_module(tmp_path):
    source = """
from __future__ import annotations
from plait import Event, StartEvent as Begin, StopEvent as End, Workflow, step

class Mine(Event):
    n: int

class Flow(Workflow):
    @step
    @counted
    async def s(self, ev: Begin) -> Mine:
        return Mine(n=1)

    @step
    @counted
    async def t(self, ev: Mine) -> End:
        return End(result=ev.n)
"""
    names = {"__name__": "another", "counted": counted}
    exec(compile(source, str(tmp_path / "another.py"), "exec"), names)
    assert await names["Flow"]().run() == 1


@pytest.mark.anyio
async def test_an_instance_with_an_init_of_its_own():
    class Flow(Workflow):
        def __init__(self, greeting, **options):
            super().__init__(**options)
            self.greeting = greeting

        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            return StopEvent(result=f"{self.greeting} {ev.name}")

    assert await Flow("Hello", timeout=60).run(name="world") == "Hello world"


def test_a_step_stays_the_function_that_it_is():
    class Flow(Workflow):
        @step(num_workers=3)
        async def s(self, ev: StartEvent) -> StopEvent:
            """What it does."""
            return StopEvent()

    assert Flow.s.__name__ == "s"
    assert Flow.s.__doc__ == "What it does."
    assert Flow.s.__qualname__.endswith("Flow.s")
    coroutine = Flow().s(StartEvent())
    with pytest.raises(StopIteration) as caught:
        coroutine.send(None)
    assert caught.value.value == StopEvent()
