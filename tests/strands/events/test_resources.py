"""Resources: which one a step is given, how long it lasts, and what becomes of its failures."""

import contextvars
import gc
import json
import sys
import types
import weakref
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    closing,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import attrs
import pytest
import trio

import plait.testing
from plait import (
    Context,
    Event,
    Resource,
    ResourceConfig,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from plait._strands._events.resources import check, find
from plait.errors import StepTimeoutError, WorkflowRuntimeError, WorkflowValidationError
from plait.events import ResourceManager, WorkflowFailedEvent
from plait.retry import retry_policy, wait_none


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


# ---------------------------------------------------------------- the markers


def test_a_marker_is_found_in_a_resolved_annotation():
    marker, config = Resource(dict), ResourceConfig("x.json")
    assert find(Annotated[int, "a word", marker]) is marker
    assert find(Annotated[int, config]) is config
    assert find(Annotated[int, "a word"]) is None
    assert find(int) is None
    assert find(None) is None


def test_a_marker_shows_its_factory():
    assert repr(Resource(counter)) == "Resource(factory=counter, cache=True, scope=None)"
    assert repr(Resource(partial(counter), scope="run")).startswith("Resource(factory=counter,")


def test_a_factory_must_be_callable_and_no_bare_generator_function():
    def plain():
        yield

    async def asynchronous():
        yield

    with pytest.raises(TypeError, match=r"^Resource\(\) takes a function that makes it, not 3$"):
        Resource(3)
    with pytest.raises(TypeError, match=r"decorate plain with @contextlib\.contextmanager"):
        Resource(plain)
    with pytest.raises(TypeError, match=r"asynchronous with @contextlib\.asynccontextmanager"):
        Resource(asynchronous)
    with pytest.raises(ValueError, match="scope"):
        Resource(dict, scope="nursery")


# ---------------------------------------------------------------- one for each scope


@pytest.mark.parametrize(
    ("options", "steps_of_two_runs"),
    [
        ({}, [[1, 1], [1, 1]]),
        ({"cache": False}, [[1, 2], [3, 4]]),
        ({"scope": "workflow"}, [[1, 1], [1, 1]]),
        ({"cache": False, "scope": "workflow"}, [[1, 1], [1, 1]]),
        ({"scope": "run"}, [[1, 1], [2, 2]]),
        ({"scope": "step"}, [[1, 2], [3, 4]]),
    ],
)
def test_a_value_is_shared_within_its_scope(options, steps_of_two_runs):
    make, _ = counter()
    results, _ = run(two_steps(Resource(make, **options)), times=2)
    assert results == [[f"made {n}" for n in numbers] for numbers in steps_of_two_runs]


def test_a_workflow_object_has_its_own_and_keeps_it_for_a_second_loop():
    make, calls = counter()
    flow = two_steps(Resource(make))()
    assert run(flow)[0] == run(flow)[0] == [["made 1", "made 1"]]
    run(two_steps(Resource(make)))
    assert len(calls) == 2


def test_two_markers_of_one_factory_and_scope_are_one_resource():
    make, calls = counter()
    flow = one_step(Resource(make), Resource(make), Resource(make, cache=False))
    assert run(flow, times=2)[0] == [["made 1", "made 1", "made 2"], ["made 1", "made 1", "made 3"]]
    calls.clear()
    assert run(one_step(Resource(make, cache=False), Resource(make, cache=False)))[0] == [
        ["made 1", "made 1"]
    ]


def test_none_is_a_value_like_any_other():
    calls = []
    assert run(two_steps(Resource(lambda: calls.append(1))), times=2)[0] == [[None, None]] * 2
    assert calls == [1]


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


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("factory", [Manager, annotated, partial(annotated)])
def test_a_known_context_manager_is_shared_in_its_run(factory, cache):
    [[one, two], [three, four]], _ = run(two_steps(Resource(factory, cache)), times=2)
    assert one is two
    assert three is four
    assert one is not three
    assert one.log == three.log == ["open", "close"]


@pytest.mark.parametrize("factory", [not_annotated, wrongly_annotated, asynchronous])
def test_an_unknown_context_manager_is_shared_in_its_run_or_not_at_all(factory):
    [[one, two], [three, _]], _ = run(two_steps(Resource(factory)), times=2)
    assert one is two
    assert one is not three
    [[one, two]], _ = run(two_steps(Resource(factory, cache=False)))
    assert one is not two
    assert one.log == two.log == ["open", "close"]


def test_plain_context_managers_are_entered_as_well():
    class Thing:
        open = True

        def close(self):
            self.open = False

    @contextmanager
    def decorated():
        with closing(Thing()) as thing:
            yield thing

    def plain() -> AbstractContextManager[Thing]:
        return closing(Thing())

    [[a, b, c]], _ = run(
        one_step(Resource(decorated), Resource(plain), Resource(lambda: nullcontext(3)))
    )
    assert (type(a), a.open, type(b), b.open, c) == (Thing, False, Thing, False, 3)


def test_a_lock_and_a_path_are_not_entered():
    lock, path = trio.Lock(), Path("x")
    [[a, b]], _ = run(one_step(Resource(lambda: lock), Resource(lambda: path)))
    assert (a, b, lock.locked()) == (lock, path, False)


def test_factories_of_every_kind():
    class Maker:
        def __call__(self, *args, **kwargs):
            return "instance"

        async def method(self, n=2):
            return f"method {n}"

    assert run(one_step(Resource(Maker()), Resource(Maker().method), Resource(dict)))[0] == [
        ["instance", "method 2", {}]
    ]


# ---------------------------------------------------------------- several ask at once


@pytest.mark.parametrize(
    ("options", "expected", "at"),
    [({}, 1, 1), ({"scope": "run"}, 1, 1), ({"scope": "step"}, 4, 1), ({"cache": False}, 4, 1)],
)
def test_it_is_made_once_for_those_who_share_it(options, expected, at):
    calls = []

    async def make():
        calls.append(1)
        await trio.sleep(1)

    assert run(at_once(Resource(make, **options)))[1] == at
    assert len(calls) == expected


def test_two_runs_at_once_share_what_is_the_workflows_and_nothing_else():
    log = []

    async def model():
        log.append("model")
        await trio.sleep(1)
        return "m"

    flow = one_step(Resource(model), Resource(noted("conn", log)))()

    async def main():
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                flow.run().start_soon(nursery)
        return trio.current_time()

    assert plait.testing.run(main) == 1
    assert sorted(log) == ["close conn", "close conn", "model", "open conn", "open conn"]


def test_if_who_makes_it_is_cancelled_the_next_one_makes_it():
    log = []

    async def make():
        log.append(f"begin {trio.current_time():g}")
        try:
            await trio.sleep(3)
        except trio.Cancelled:
            log.append("cancelled")
            raise
        return "made"

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Ask | Next | None:
            ctx.send_event(Ask())
            await trio.sleep(1)
            ctx.send_event(Next())
            await trio.sleep(1)
            assert ctx.cancel_step("first") == 1

        @step
        async def first(self, ev: Ask, it: Annotated[str, Resource(make)]) -> None:
            raise AssertionError("it was cancelled")

        @step
        async def second(self, ev: Next, it: Annotated[str, Resource(make)]) -> StopEvent:
            return StopEvent(result=it)

    assert run(Flow, skip_graph_checks=["dead_end"]) == (["made"], 5)
    assert log == ["begin 0", "cancelled", "begin 2"]


def test_a_context_manager_is_left_alone_if_who_waits_for_it_is_cancelled():
    log = []

    @asynccontextmanager
    async def slow():
        try:
            await trio.sleep(2)
            log.append("open")
            yield "it"
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            log.append(f"close {trio.current_time():g}")

    class Flow(Workflow):
        @step(timeout=1, retry_policy=retry_policy(wait=wait_none()))
        async def start(self, ev: StartEvent, it: Annotated[str, Resource(slow)]) -> StopEvent:
            raise AssertionError("never given it")

    with pytest.raises(StepTimeoutError):
        run(Flow)
    assert log == ["close 2", "close 4", "close 6"]


def test_a_context_manager_that_opens_just_when_its_asker_is_cancelled_is_closed():
    log = []

    @asynccontextmanager
    async def make(ctx: Context):
        await trio.sleep(1)
        assert ctx.cancel_step("ask") == 1
        log.append("open")
        yield
        log.append("close")

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent | Ask:
            ctx.send_event(Ask())
            await trio.sleep(2)
            log.append("later")
            return StopEvent()

        @step
        async def ask(self, ev: Ask, it: Annotated[None, Resource(make)]) -> StopEvent:
            raise AssertionError("it was cancelled")

    run(Flow)
    assert log == ["open", "close", "later"]


def test_a_failure_in_the_clean_up_of_a_cancelled_entry_is_not_lost():
    @asynccontextmanager
    async def make():
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("clean-up")
        yield

    class Flow(Workflow):
        @step(timeout=1)
        async def start(self, ev: StartEvent, it: Annotated[None, Resource(make)]) -> StopEvent:
            raise AssertionError("never given it")

    with pytest.raises(OSError, match="clean-up"):
        run(Flow)


@pytest.mark.parametrize("scope", ["step", "run", "workflow"])
def test_a_factorys_error_is_the_askers_and_is_not_kept(scope):
    calls = []

    async def make():
        calls.append(trio.current_time())
        if len(calls) < 3:
            raise OSError(len(calls))
        return "made"

    class Flow(Workflow):
        @step(retry_policy=retry_policy())
        async def start(
            self, ev: StartEvent, it: Annotated[str, Resource(make, scope=scope)]
        ) -> StopEvent:
            return StopEvent(result=it)

    assert run(Flow) == (["made"], 10)
    assert calls == [0, 5, 10]


@pytest.mark.parametrize("managed", [True, False])
def test_if_who_makes_it_fails_the_next_one_makes_it(managed):
    calls = []

    @asynccontextmanager
    async def manager():
        calls.append(1)
        await trio.sleep(1)
        if len(calls) == 1:
            raise OSError("busy")
        yield "made"

    async def value():
        async with manager() as it:
            return it

    class Flow(at_once(Resource(manager if managed else value))):
        @step(num_workers=4, retry_policy=retry_policy(wait=wait_none()))
        async def ask(
            self,
            ctx: Context,
            ev: Ask,
            it: Annotated[Any, Resource(manager if managed else value)],
        ) -> StopEvent | None:
            if ctx.collect_events(ev, {Ask: 4}) is not None:
                return StopEvent(result=it)
            return None

    assert run(Flow) == (["made"], 2)
    assert len(calls) == 2


def test_the_error_of_a_context_managers_entry_is_the_askers():
    @contextmanager
    def broken():
        raise OSError("no route")
        yield

    for scope in ("run", "step"):
        with pytest.raises(OSError, match="no route") as caught:
            run(one_step(Resource(broken, scope=scope)))
        assert "in step 'start'" in caught.value.__notes__[0]


# ---------------------------------------------------------------- resources of resources


def test_resources_are_given_to_factories():
    log = []

    def name(*args, **kwargs):
        log.append("name")
        return "x"

    async def greeting(name: Annotated[str, Resource(name)], mark="!"):
        log.append("greeting")
        return f"hello {name}{mark}"

    @contextmanager
    def page(
        text: Annotated[str, Resource(greeting)],
        title: Annotated[str, Resource(name)],
        ctx: Context,
    ):
        yield f"<{title}> {text} {ctx.is_running}"

    flow = one_step(Resource(page), Resource(greeting))
    assert run(flow, times=2)[0] == [["<x> hello x! True", "hello x!"]] * 2
    assert log == ["name", "greeting"]


def test_what_is_made_from_a_context_manager_lasts_no_longer():
    log = []

    def client(conn: Annotated[str, Resource(noted("conn", log))]):
        log.append("client")
        return f"client of {conn}"

    def api(client: Annotated[str, Resource(client)], other: Annotated[dict, Resource(dict)]):
        log.append("api")
        return f"api of {client}"

    assert run(two_steps(Resource(api)), times=2)[0] == [["api of client of conn"] * 2] * 2
    assert log == ["open conn", "client", "api", "close conn"] * 2


def test_what_is_made_from_a_plain_value_of_an_attempt_lasts_longer():
    make, calls = counter()

    def keeper(it: Annotated[str, Resource(make, cache=False)]):
        return it

    assert run(two_steps(Resource(keeper)), times=2)[0] == [["made 1"] * 2] * 2
    assert len(calls) == 1


def test_a_declared_scope_that_is_too_long_is_an_error():
    log = []

    def client(conn: Annotated[str, Resource(noted("conn", log))]):
        raise AssertionError("it would outlive its connection")

    def api(client: Annotated[str, Resource(lambda c: c)]):
        return client

    text = (
        r"^Resource 'client' cannot have scope 'workflow': it would outlive resource 'conn'\. "
        r"Use scope='run'\."
    )
    with pytest.raises(WorkflowValidationError, match=text):
        run(one_step(Resource(client, scope="workflow")))
    assert log == ["open conn", "close conn"]


TEXT_OF_SCOPE = r"^A context manager resource cannot have scope 'workflow'\. Use scope='run'\."


def test_a_context_manager_cannot_have_scope_workflow():
    for known in (noted("it", []), Manager):
        with pytest.raises(WorkflowValidationError, match=TEXT_OF_SCOPE):
            one_step(Resource(known, scope="workflow"))().run()
    with pytest.raises(WorkflowValidationError, match=TEXT_OF_SCOPE):
        run(one_step(Resource(not_annotated, scope="workflow")))


def test_the_workflows_resources_have_no_context():
    def make(ctx: Context):
        raise AssertionError

    text = r"^Resource 'make' of scope 'workflow' cannot be given a Context\. Use scope='run'\."
    with pytest.raises(WorkflowValidationError, match=text):
        one_step(Resource(make, scope="workflow"))().run()


def a(b: "Annotated[int, Resource(b)]"):
    raise AssertionError


def b(a: "Annotated[int, Resource(a)]"):
    raise AssertionError


def c(b: Annotated[int, Resource(b)]):
    raise AssertionError


CYCLE = "Circular resource dependency detected: "


@pytest.mark.parametrize("scope", [None, "step", "run", "workflow"])
def test_a_cycle_is_the_error_of_the_step_that_asks(scope):
    with pytest.raises(ValueError, match=f"(?m)^{CYCLE}a -> b -> a$"):
        run(one_step(Resource(a, scope=scope)))
    with pytest.raises(ValueError, match=f"(?m)^{CYCLE}b -> a -> b$"):
        run(one_step(Resource(c, scope=scope)))
    with pytest.raises(ValueError, match=f"(?m)^{CYCLE}a -> b -> a$"):
        run(at_once(Resource(a)))


def test_two_ways_to_one_resource_are_no_cycle():
    calls = []

    async def root():
        calls.append("root")
        await trio.sleep(1)

    async def left(root: Annotated[None, Resource(root)]):
        calls.append("left")
        await trio.sleep(1)

    async def right(root: Annotated[None, Resource(root)], left: Annotated[None, Resource(left)]):
        calls.append("right")

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Ask | Next | None:
            ctx.send_event(Ask())
            ctx.send_event(Next())

        @step
        async def one(self, ev: Ask, it: Annotated[None, Resource(right)]) -> Last:
            return Last()

        @step
        async def two(
            self,
            ev: Next,
            it: Annotated[None, Resource(left)],
            other: Annotated[None, Resource(right)],
        ) -> Last:
            return Last()

        @step
        async def end(self, ctx: Context, ev: Last) -> StopEvent | None:
            return StopEvent() if ctx.collect_events(ev, [Last] * 2) else None

    assert run(Flow) == ([None], 2)
    assert calls == ["root", "left", "right"]


def test_local_names_are_found_in_postponed_annotations():
    class Local:
        pass

    def outer(inner: "Annotated[Local, Resource(inner)]", ctx: "Context | None" = None):
        return [inner]

    def inner(text: "Annotated[str, Resource(innermost)]"):
        return [text]

    def innermost() -> "Local":
        return "it"

    marker = Resource(outer)

    def elsewhere():
        return run(one_step(marker))[0]

    assert elsewhere() == [[[["it"]]]]


# ---------------------------------------------------------------- contexts


def test_a_factory_is_given_the_context_of_its_scope():
    def make(ctx: Context):
        return ctx

    class Flow(Workflow):
        @step
        async def start(
            self,
            of_run: Annotated[Context, Resource(make)],
            of_step: Annotated[Context, Resource(make, cache=False)],
            ctx: Context,
            ev: StartEvent,
        ) -> StopEvent:
            assert of_step is ctx
            assert of_step.step_name == "start"
            return StopEvent(result=of_run)

    async def main():
        async with Flow().run() as run:
            assert await run is run.ctx

    plait.testing.run(main)


def test_a_resource_of_a_run_lives_in_the_variables_of_the_runs_start():
    variable = contextvars.ContextVar("variable")
    seen = []

    @asynccontextmanager
    async def make():
        seen.append(variable.get())
        variable.set("the resource's")
        yield
        seen.append(variable.get())

    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent) -> Next:
            variable.set("the step's")
            return Next()

        @step
        async def end(self, ev: Next, it: Annotated[None, Resource(make)]) -> StopEvent:
            return StopEvent(result=variable.get())

    variable.set("the caller's")
    assert run(Flow)[0] == ["the caller's"]
    assert seen == ["the caller's", "the resource's"]


# ---------------------------------------------------------------- the end of a run


def test_a_run_closes_what_it_opened_the_newest_first():
    log = []

    def second(first: Annotated[str, Resource(noted("first", log))]):
        return noted("second", log, seconds=1)()

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent | Ask:
            ctx.send_event(Ask())
            await trio.sleep(1)
            return StopEvent(result="done")

        @step
        async def use(
            self,
            ev: Ask,
            it: Annotated[str, Resource(second)],
            other: Annotated[str, Resource(noted("third", log))],
        ) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)
                log.append("clean-up of the step")

    async def main():
        run = Flow(skip_graph_checks=["dead_end"]).run()
        async with run:
            async for _ in run.stream_events():
                log.append("terminal event")
        assert trio.current_time() == 3

    plait.testing.run(main)
    assert log == [
        "open first",
        "open second",
        "open third",
        "clean-up of the step",
        "close third",
        "close second",
        "close first",
        "terminal event",
    ]


def test_nothing_is_left_of_a_run():
    class Thing:
        pass

    died = []

    @asynccontextmanager
    async def make():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            thing = Thing()
            weakref.finalize(thing, died.append, "thing")
            yield thing
            nursery.cancel_scope.cancel()

    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent, it: Annotated[Thing, Resource(make)]) -> StopEvent:
            assert "resource make" in plait.testing.task_tree()
            return StopEvent()

    async def main():
        before = plait.testing.task_tree()
        run = Flow().run()
        await run
        assert plait.testing.task_tree() == before
        gc.collect()
        assert died == ["thing"]

    plait.testing.run(main)


def test_a_run_without_resources_has_nothing_around_its_steps():
    class Flow(Workflow):
        @step
        async def start(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result=plait.testing.task_tree())

    [tree], _ = run(Flow)
    assert tree.count("\n") == 2


def test_what_closing_raises_fails_the_run():
    a, b = (Resource(noted(name, [], error=OSError(name))) for name in "ab")

    async def main():
        run = one_step(a, b)().run()
        with pytest.raises(ExceptionGroup) as caught:
            await run
        assert [str(error) for error in caught.value.exceptions] == ["b", "a"]
        notes = caught.value.exceptions[0].__notes__
        assert notes[0] == "while closing resource 'b'"
        assert "the run had stopped with StopEvent(result=['a', 'b'])" in notes[1]
        assert isinstance([event async for event in run.stream_events()][-1], WorkflowFailedEvent)

    plait.testing.run(main)


def test_what_closing_raises_comes_beside_the_steps_failure():
    class Flow(Workflow):
        @step
        async def start(
            self, ev: StartEvent, it: Annotated[str, Resource(noted("a", [], error=OSError("a")))]
        ) -> StopEvent:
            raise ValueError("step")

    with pytest.raises(ExceptionGroup) as caught:
        run(Flow)
    assert [str(error) for error in caught.value.exceptions] == ["step", "a"]


def test_a_run_ends_if_its_resource_breaks_down():
    cleaned = []

    @asynccontextmanager
    async def make():
        async def fail():
            await trio.sleep(1)
            raise OSError("connection lost")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            yield

    class Flow(Workflow):
        @step
        async def start(
            self,
            ev: StartEvent,
            other: Annotated[str, Resource(noted("other", cleaned, seconds=1))],
            it: Annotated[None, Resource(make)],
        ) -> StopEvent:
            try:
                await trio.sleep_forever()
            finally:
                cleaned.append("step")

    async def main():
        with pytest.raises(ExceptionGroup) as caught:
            await Flow().run()
        assert caught.group_contains(OSError, match="connection lost")
        assert caught.value.__notes__ == ["while using resource 'make'"]
        assert trio.current_time() == 2

    plait.testing.run(main)
    assert cleaned == ["open other", "step", "close other"]


# ---------------------------------------------------------------- the end of an attempt


def in_a_step(factory, body):
    class Flow(Workflow):
        @step(retry_policy=retry_policy(wait=wait_none()))
        async def start(
            self, ctx: Context, ev: StartEvent, it: Annotated[Any, Resource(factory, scope="step")]
        ) -> StopEvent | None:
            return StopEvent(result=await body(ctx, it))

    return Flow


def test_an_attempts_context_manager_is_told_how_the_body_ended():
    log = []

    @asynccontextmanager
    async def transaction():
        try:
            yield
        except OSError as error:
            await trio.sleep(1)
            log.append(f"roll back: {error}")
            raise
        else:
            log.append("commit")

    attempts = iter([OSError("busy"), None])

    async def body(ctx, it):
        if error := next(attempts):
            raise error
        return "done"

    assert run(in_a_step(transaction, body)) == (["done"], 1)
    assert log == ["roll back: busy", "commit"]


def test_an_attempts_context_managers_are_awaited_when_it_is_cancelled():
    log = []

    def second(first: Annotated[str, Resource(noted("first", log, seconds=1), scope="step")]):
        return noted("second", log, seconds=1)()

    async def body(ctx, it):
        ctx.send_event(StopEvent(result="sent"))
        await trio.sleep_forever()

    assert run(in_a_step(second, body)) == (["sent"], 2)
    assert log == ["open first", "open second", "close second", "close first"]


def test_a_nursery_can_be_lent_to_an_attempt():
    log = []

    async def background():
        try:
            await trio.sleep_forever()
        finally:
            log.append("background ended")

    async def body(ctx, nursery):
        nursery.start_soon(background)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
        return "done"

    assert run(in_a_step(trio.open_nursery, body)) == (["done"], 1)
    assert log == ["background ended"]


def test_a_cancel_scope_can_be_lent_to_an_attempt():
    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Next | Ask | None:
            ctx.send_event(Next())
            ctx.send_event(Ask())

        @step
        async def slow(
            self,
            ev: Next,
            scope: Annotated[
                trio.CancelScope, Resource(partial(trio.move_on_after, 1), scope="step")
            ],
        ) -> None:
            await trio.sleep_forever()

        @step
        async def end(self, ev: Ask) -> StopEvent:
            await trio.sleep(2)
            return StopEvent(result="on")

    assert run(Flow, skip_graph_checks=["dead_end"]) == (["on"], 2)


def test_no_failure_of_an_attempt_hides_another():
    async def fails(ctx, it):
        raise ValueError("body")

    with pytest.raises(ExceptionGroup) as caught:
        run(in_a_step(noted("it", [], error=OSError("close")), fails))
    assert [str(error) for error in caught.value.exceptions] == ["body", "close"]
    assert "while closing resource 'it'" in caught.value.exceptions[1].__notes__

    @contextmanager
    def translated():
        try:
            yield
        except ValueError as error:
            raise LookupError("translated") from error

    with pytest.raises(LookupError, match="translated"):
        run(in_a_step(translated, fails))

    with pytest.raises(ExceptionGroup) as caught:
        run(in_a_step(trio.open_nursery, fails))
    assert [str(error) for error in caught.value.exceptions] == ["body"]


def test_a_failure_in_the_clean_up_of_a_cancelled_attempt_is_not_lost():
    async def body(ctx, it):
        ctx.send_event(StopEvent(result="sent"))
        await trio.sleep_forever()

    with pytest.raises(OSError, match="close") as caught:
        run(in_a_step(noted("it", [], error=OSError("close")), body))
    assert any("had stopped with StopEvent(result='sent')" in n for n in caught.value.__notes__)


def test_plain_steps_are_lent_resources_too():
    log = []

    class Flow(Workflow):
        @step
        def start(
            self,
            ev: StartEvent,
            it: Annotated[str, Resource(noted("it", log), scope="step")],
            ctx: Context,
        ) -> StopEvent:
            log.append(ctx.step_name)
            return StopEvent(result=it)

    async def main():
        return await Flow().run()

    assert trio.run(main) == "it"
    assert log == ["open it", "start", "close it"]


# ---------------------------------------------------------------- the manager


def module_factory():
    raise AssertionError("it was replaced")


def test_a_factory_is_replaced_by_its_qualified_name():
    @asynccontextmanager
    async def conn(url: Annotated[str, Resource(module_factory)]):
        yield f"connection to {url}"

    async def main():
        manager = ResourceManager()
        flow = one_step(Resource(conn), Resource(module_factory))(resource_manager=manager)
        await manager.set("module_factory", "fake")
        assert await flow.run() == ["connection to fake", "fake"]
        await manager.set(f"{__name__}.module_factory", "other")
        assert await flow.run() == ["connection to other", "other"]
        lock = trio.Lock()
        await manager.set(conn.__qualname__, lock)
        assert await flow.run() == [lock, "other"]
        assert manager.get_all() == {
            "module_factory": "fake",
            f"{__name__}.module_factory": "other",
            conn.__qualname__: lock,
        }

    plait.testing.run(main)


def test_a_replaced_factory_closes_no_cycle():
    async def main():
        manager = ResourceManager()
        await manager.set("b", 1)
        flow = one_step(Resource(b), Resource(c, scope="step"))(resource_manager=manager)
        flow.validate(validate_resources=True)
        with pytest.raises(AssertionError):
            await flow.run()

    plait.testing.run(main)


def test_a_manager_gives_outside_a_run_what_needs_no_run():
    make, _ = counter()

    async def main():
        manager = ResourceManager()
        assert await manager.get(Resource(make)) == "made 1"
        flow = one_step(Resource(make))(resource_manager=manager)
        assert await flow.run() == ["made 1"]
        assert await manager.get(Annotated[str, Resource(make)]) == "made 1"
        assert await manager.get(Resource(make, cache=False)) == "made 2"
        assert await manager.get(Resource(make, scope="run")) == "made 3"
        assert manager.get_all() == {make.__qualname__: "made 1"}
        text = r"^Resource 'it' lives in a run\. Ask for it in a step: Annotated\[..., Resource\(it"
        with pytest.raises(WorkflowRuntimeError, match=text):
            await manager.get(Resource(noted("it", [])))
        with pytest.raises(WorkflowRuntimeError, match="lives in a run"):
            await manager.get(Resource(not_annotated))
        with pytest.raises(
            TypeError, match=r"^get\(\) takes a Resource or a ResourceConfig, not 3"
        ):
            await manager.get(3)

    plait.testing.run(main)


def test_workflows_share_what_a_common_manager_made():
    make, calls = counter()

    async def main():
        manager = ResourceManager()
        for _ in range(2):
            assert await one_step(Resource(make))(resource_manager=manager).run() == ["made 1"]

    plait.testing.run(main)
    assert len(calls) == 1


# ---------------------------------------------------------------- configs


@attrs.frozen
class Server:
    host: str
    port: int = 80
    rate: float = 1.0


@dataclass
class Farm:
    servers: list[Server]
    main: Server | None = None


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(data, name="x.json"):
        text = data if isinstance(data, str) else json.dumps(data)
        (tmp_path / name).write_text(text, encoding="utf-8")

    return write


def built(kind, selector=None):
    class Flow(Workflow):
        @step
        async def start(
            self, ev: StartEvent, c: Annotated[kind, ResourceConfig("x.json", selector)]
        ) -> StopEvent:
            return StopEvent(result=c)

    return run(Flow)[0][0]


def test_a_part_of_a_file_is_built(config):
    config({"farm": {"servers": [{"host": "ä", "port": 1}]}, "n": 3, "x": None, "s": "t"})
    assert built(int, "n") == 3
    assert built(float, "n") == 3
    assert built(str, "s") == "t"
    assert built(Any, "x") is None
    assert built(str | None, "x") is None
    assert built(list, "farm.servers") == [{"host": "ä", "port": 1}]
    assert built(list[Server], "farm.servers") == [Server("ä", 1)]
    assert built(Server, "farm.servers.0") == Server("ä", 1)
    assert built(Farm, "farm") == Farm([Server("ä", 1)])
    assert set(built(dict)) == {"farm", "n", "x", "s"}


def test_a_pydantic_model_validates_itself(config, monkeypatch):
    class BaseModel:
        @classmethod
        def model_validate(cls, data):
            if "n" not in data:
                raise ValueError("no n")
            it = cls()
            vars(it).update(data)
            return it

    class Settings(BaseModel):
        pass

    monkeypatch.setitem(sys.modules, "pydantic", types.SimpleNamespace(BaseModel=BaseModel))
    config({"n": 1})
    assert built(Settings).n == 1
    config({})
    with pytest.raises(WorkflowValidationError, match=r"x\.json is no Settings: no n"):
        built(Settings)


@pytest.mark.parametrize(
    ("data", "kind", "selector", "text"),
    [
        (None, dict, None, "No such file: x.json"),
        ("{", dict, None, "Not a JSON file: x.json: Expecting property name"),
        ({"a": 1}, int, "a.b", "No 'a.b' in x.json"),
        ({"a": [1]}, int, "a.1", "No 'a.1' in x.json"),
        ({"a": [1]}, int, "a.x", "No 'a.x' in x.json"),
        ({"a": "1"}, int, "a", "'a' of x.json is no int: expected int, not '1'"),
        (True, int, None, "x.json is no int: expected int, not True"),
        (
            {"host": 1},
            Server,
            None,
            "x.json is no Server: invalid value for type, expected str @ $.host",
        ),
        ({}, Server, None, "x.json is no Server: required field missing @ $.host"),
        (1, Farm, None, "x.json is no Farm: "),
        (1, contextvars.Context, None, "x.json is no Context: "),
    ],
)
def test_a_config_that_does_not_fit_is_a_fault(config, data, kind, selector, text):
    if data is not None:
        config(data)

    class Flow(Workflow):
        @step
        async def s(
            self, ev: StartEvent, c: Annotated[kind, ResourceConfig("x.json", selector)]
        ) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowValidationError) as caught:
        Flow().run()
    first, second, *_ = str(caught.value).splitlines()
    assert first == "Resource config validation failed:"
    assert second.startswith(f"  - In step 's', parameter 'c': {text}")
    Flow().validate(validate_resource_configs=False)

    async def main():
        await Flow(disable_validation=True).run()

    with pytest.raises(WorkflowValidationError) as caught:
        plait.testing.run(main)
    assert str(caught.value).splitlines()[1].startswith(f"  - {text}")


def test_what_cannot_be_read_is_no_config(tmp_path):
    with pytest.raises(WorkflowValidationError, match=r"Cannot read .*: "):
        run(one_step(ResourceConfig(str(tmp_path))))


def test_a_config_is_read_once(config):
    config({"n": 1})
    marker = ResourceConfig("x.json")

    def make(whole: Annotated[Any, marker]):
        config({"n": 2})
        return whole["n"]

    flow = one_step(Resource(make), marker)
    assert run(flow, times=2)[0] == [[1, {"n": 1}]] * 2
    assert run(flow)[0] == [[2, {"n": 2}]]


# ---------------------------------------------------------------- before a run


def test_all_faults_are_found_without_calling_a_factory(config):
    config({})

    def inner(conf: Annotated[dict, ResourceConfig("y.json")]):
        raise AssertionError

    def outer(it: Annotated[Any, Resource(inner)], stray, foo: "Foo", bar: "Foo" = 1):  # noqa: F821
        raise AssertionError

    asked = [
        ("p", Resource(outer), Any),
        ("q", ResourceConfig("z.json"), dict),
        ("r", ResourceConfig("x.json"), dict),
        ("s", Resource(a), int),
    ]
    stray, foo, configs = check("s", asked, ResourceManager())
    assert stray == (
        "Resource 'outer' has a parameter 'stray' that is neither a Context nor a resource, "
        "and has no default."
    )
    assert foo == "Resource 'outer': cannot resolve the annotation 'Foo' of parameter 'foo'."
    assert configs.splitlines() == [
        "Resource config validation failed:",
        "  - In step 's', parameter 'p' (outer -> inner): No such file: y.json",
        "  - In step 's', parameter 'q': No such file: z.json",
    ]
    assert check("s", asked, ResourceManager(), configs=False, resources=True)[2:] == [
        "In step 's', parameter 's': Circular resource dependency detected: a -> b -> a"
    ]


def test_a_factory_that_cannot_be_called_is_an_error_without_validation_too():
    def make(stray):
        raise AssertionError

    with pytest.raises(WorkflowValidationError, match="parameter 'stray' that is neither"):
        run(one_step(Resource(make)), disable_validation=True)


def test_a_name_may_be_defined_after_its_marker():
    def make(it: "Annotated[int, Later]"):  # noqa: F821
        return it

    flow = one_step(Resource(make))
    with pytest.raises(WorkflowValidationError, match="cannot resolve the annotation"):
        flow().run()
    globals()["Later"] = Resource(lambda: 3)
    try:
        assert run(flow)[0] == [[3]]
    finally:
        del globals()["Later"]
