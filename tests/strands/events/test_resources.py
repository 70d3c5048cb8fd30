"""Resources: which one a step is given, and how long it lasts."""

import contextvars
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    closing,
    contextmanager,
    nullcontext,
)
from functools import partial
from pathlib import Path
from typing import Annotated

import pytest
import trio

import plait.testing
from plait import Context, Resource, ResourceConfig, StartEvent, StopEvent, Workflow, step
from plait._strands._events.resources.marker import find
from plait.errors import WorkflowValidationError
from tests.strands.events.lending import (
    Ask,
    Last,
    Manager,
    Next,
    a,
    annotated,
    asynchronous,
    at_once,
    c,
    counter,
    not_annotated,
    noted,
    one_step,
    run,
    two_steps,
    wrongly_annotated,
)

# ---------------------------------------------------------------- the markers


def test_a_marker_is_found_in_a_resolved_annotation():
    marker, config = Resource(dict), ResourceConfig("x.json")
    assert find(Annotated[int, "a word", marker]) is marker
    assert find(Annotated[int, config]) == config
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
