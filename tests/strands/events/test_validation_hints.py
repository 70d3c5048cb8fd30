"""What plait says beside the contract's texts: what to write instead, and to whom it may happen."""

import functools
import traceback
from collections.abc import AsyncIterable, Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Any, Generic, List, Optional, TypeVar, Union  # noqa: UP035

import attrs
import pytest
from typing_extensions import TypeAliasType

import plait  # noqa: F401 - for an annotation
from plait import (
    All,
    Collect,
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    Resource,
    ResourceConfig,
    StartEvent,
    StopEvent,
    Take,
    Timeout,
    Workflow,
    catch_error,
    step,
)
from plait.errors import WorkflowConfigurationError, WorkflowRuntimeError, WorkflowValidationError
from plait.events import StepFailedEvent
from plait.retry import ConstantDelayRetryPolicy
from tests.strands.events.test_validation import here

T = TypeVar("T")


class A(Event):
    n: int = 0


class Boxed(Event, Generic[T]):
    value: T


class Fine(Workflow):
    @step
    async def s(self, ev: StartEvent) -> StopEvent:
        return StopEvent()


def fault_of(make, *args):
    """The one fault that this has, with its place in the message and in this file."""
    with pytest.raises(WorkflowValidationError) as caught:
        make(*args)
    (fault,) = caught.value.faults
    assert fault.file == __file__
    text = fault.text if fault.hint is None else f"{fault.text}\n  {fault.hint}"
    assert str(caught.value).startswith(f"{text}\n    at {fault.file}:{fault.line}")
    return fault


# ---------------------------------------------------------------- annotations that are fine

Either = TypeAliasType("Either", Union[A, StartEvent])  # noqa: UP007


@pytest.mark.parametrize(
    "takes",
    [
        Annotated[StartEvent, "a comment"],
        Annotated[StartEvent, "a comment"] | A,
        Union[StartEvent, A],  # noqa: UP007
        Annotated[Either, "a comment"],
        Either,
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "returns",
    [
        Optional[StopEvent | A],  # noqa: UP045
        Annotated[StopEvent | A, "a comment"],
        Annotated[StopEvent, "a comment"] | A | None,
        StopEvent | List[A],  # noqa: UP006
        StopEvent | Annotated[list[Annotated[A, 1]], 2],
    ],
    ids=str,
)
def test_unions_and_comments(takes, returns):
    class W(Workflow):
        @step
        async def s(self, ev: takes) -> returns:
            return StopEvent()

        @step
        async def t(self, ev: A) -> StopEvent:
            return StopEvent()

    assert W().validate() is False
    assert set(W().events) == {StartEvent, A, StopEvent}


@pytest.mark.anyio
async def test_a_generic_event_goes_by_its_class():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> Boxed[int] | Boxed[str]:
            return Boxed(value=1)

        @step
        async def t(self, ev: Boxed[int]) -> StopEvent:
            return StopEvent(result=ev.value)

    assert await W().run() == 1


# ---------------------------------------------------------------- parameters

STRAY = (
    "Step 's' has a parameter 'ev' that is neither a Context, an Event nor a resource, "
    "and has no default."
)


@pytest.mark.parametrize(
    ("annotation", "hint"),
    [
        (int, "Give it a default, or write ev: Annotated[..., Resource(factory)]"),
        (StartEvent(), "Write the class: ev: StartEvent"),
        (type[StartEvent], "Write ev: StartEvent"),
        (StartEvent | None, "All of a union must be event classes, and None is none"),
        (StartEvent | int, "All of a union must be event classes, and int is none"),
        (int | str, "Give it a default, or write ev: Annotated[..., Resource(factory)]"),
        (list, "A fan-in is ev: list[E], with E an event class or a union of them"),
        (List, "A fan-in is ev: list[E], with E an event class or a union of them"),  # noqa: UP006
        (Sequence[A], "A fan-in is ev: list[E], with E an event class or a union of them"),
        (tuple[A, ...], "A fan-in is ev: list[E], with E an event class or a union of them"),
        (list[A | int], "A fan-in is ev: list[E], with E an event class or a union of them"),
        (list[int], "Give it a default, or write ev: Annotated[..., Resource(factory)]"),
        (T, "Write ev: E, with E an event class: a type variable says too little"),
        (
            Annotated[int, Resource],
            "Write Annotated[..., Resource(...)]: the marker is made by a call",
        ),
        (
            Annotated[int, 1, ResourceConfig],
            "Write Annotated[..., ResourceConfig(...)]: the marker is made by a call",
        ),
        (Annotated[int, 1], "Give it a default, or write ev: Annotated[..., Resource(factory)]"),
    ],
    ids=str,
)
def test_a_parameter_that_says_nothing(annotation, hint):
    def make():
        class W(Workflow):
            @step
            async def s(self, ev: annotation) -> StopEvent:
                return StopEvent()

    fault = fault_of(make)
    assert (fault.text, fault.hint) == (STRAY, hint)


def test_a_parameter_without_annotation_beside_others():
    def make():
        class W(Workflow):
            @step
            async def s(self, ctx: Context, ev) -> StopEvent:
                return StopEvent()

    fault = fault_of(make)
    assert fault.text == STRAY
    assert fault.hint == "Write ev: E, with E the class of the event that it takes"


def test_a_step_without_event_parameter():
    def a_method():
        class W(Workflow):
            @step
            async def s(self, ev) -> StopEvent:
                return StopEvent()

    def a_function():
        @step(workflow=Fine)
        async def f() -> StopEvent:
            return StopEvent()

    def no_self():
        class W(Workflow):
            @step
            async def s(ev: StartEvent) -> StopEvent:  # noqa: N805
                return StopEvent()

    def nothing():
        class W(Workflow):
            @step
            async def s() -> StopEvent:
                return StopEvent()

    def a_lambda():
        class W(Workflow):
            s = step(lambda self, ev: StopEvent())

    for make, hint in (
        (a_method, "Write s(self, ev: E), with E the class of the event that it takes"),
        (a_function, "Write f(ev: E), with E the class of the event that it takes"),
        (no_self, "The first parameter of a method is self"),
        (nothing, "The first parameter of a method is self"),
        (a_lambda, "A lambda has no annotations: write a function with def"),
    ):
        fault = fault_of(make)
        assert fault.text == (
            "Step signature must have at least one parameter annotated as type Event"
        )
        assert fault.hint == hint


@pytest.mark.parametrize(
    ("marker", "said", "inner"),
    [
        (Collect, "Collect", ""),
        (Take, "Take", "..."),
        (All, "All", "..."),
        (All(), "All()", "All()"),
        (Take(2), "Take(n=2, cancel_rest=False)", "Take(n=2, cancel_rest=False)"),
    ],
    ids=str,
)
def test_a_marker_that_would_do_nothing(marker, said, inner):
    def make():
        class W(Workflow):
            @step
            async def s(self, evs: Annotated[list[A], marker]) -> StopEvent:
                return StopEvent()

    fault = fault_of(make)
    assert fault.text == f"Parameter 'evs' is annotated with {said}, which is no Collect marker."
    assert fault.hint == f"Write Annotated[list[E], Collect({inner})]"


def test_an_order_that_does_not_exist():
    with pytest.raises(ValueError, match=r"^Collect order must be 'arrival' or 'input', not 'x'$"):
        Collect(order="x")


# ---------------------------------------------------------------- what a step returns


def test_a_return_annotation_that_is_an_event():
    def make():
        class W(Workflow):
            @step
            async def s(self, ev: StartEvent) -> StopEvent() | None:
                return StopEvent()

    with pytest.raises(TypeError):  # Python's own
        make()

    def bare():
        class W(Workflow):
            @step
            async def s(self, ev: StartEvent) -> StopEvent():
                return StopEvent()

    fault = fault_of(bare)
    assert fault.text == "Step 's' names an event as its return type, not a class."
    assert fault.hint == "Write -> StopEvent"


@pytest.mark.parametrize("returns", [Iterator[A], A])
def test_a_generator(returns):
    def make():
        class W(Workflow):
            @step
            def s(self, ev: StartEvent) -> returns:
                yield A()

    fault = fault_of(make)
    assert (fault.text, fault.hint) == (
        "Step 's' is a generator.",
        "Return a list: -> list[E]",
    )


def test_an_async_iterable_that_a_function_hands_out():
    def make():
        class W(Workflow):
            @step
            async def s(self, ev: StartEvent) -> AsyncIterable[A]:
                raise AssertionError

    assert fault_of(make).hint == "Return a list: -> list[E]"


@pytest.mark.parametrize(
    ("returns", "hint"),
    [
        (list, "That is no event class. A step that returns several events returns list[E]"),
        (tuple[A, A], "That is no event class. A step that returns several events returns list[E]"),
        (A, "Add a step with ev: A; or, for the stream, class A(Event, observable=True)"),
    ],
    ids=str,
)
def test_what_nobody_consumes(returns, hint):
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> returns | StopEvent:
            return StopEvent()

    assert fault_of(W().validate).hint == hint


def test_what_is_consumed_as_its_base_only():
    class A2(A):
        pass

    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> A2 | A | StopEvent:
            return StopEvent()

        @step
        async def t(self, ev: A) -> StopEvent:
            return StopEvent()

    fault = fault_of(W().validate)
    assert fault.hint == "Step 't' accepts its base A: use @step(accept_event_subclasses=True)"


def test_what_nobody_produces():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent | A) -> StopEvent:
            return StopEvent()

    fault = fault_of(W().validate)
    assert fault.hint == "Who sends A names it as a return type as well: -> A | None"


def test_a_forgotten_decorator():
    class W(Workflow):
        async def s(self, ev: StartEvent) -> A:
            return A()

        def helper(self, x):
            return x

        @step
        async def t(self, ev: A) -> None:
            return None

    class V(W):
        async def end(self, ev: A) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowConfigurationError) as caught:
        V()
    assert [fault.hint for fault in caught.value.faults] == [
        "Method 's' takes StartEvent: write @step above it",
        "Method 'end' returns StopEvent: write @step above it",
    ]


def test_a_return_annotation_that_hides_the_stop_event():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> tuple[StopEvent, A]:
            return StopEvent()

    with pytest.raises(WorkflowConfigurationError) as caught:
        W()
    (fault,) = caught.value.faults
    assert fault.hint == (
        "Step 's' is annotated to return tuple[plait.StopEvent, "
        f"{__name__}.A], which is no event class"
    )


NO_ATTRIBUTE = (
    "AttributeError: module 'plait' has no attribute 'StratEvent'. Did you mean 'StartEvent'?"
)


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ("StratEvent", "NameError: name 'StratEvent' is not defined. Did you mean 'StartEvent'?"),
        ("Zzz", "NameError: name 'Zzz' is not defined"),
        ("plait.StratEvent", NO_ATTRIBUTE),
        ("1/0", "ZeroDivisionError: division by zero"),
    ],
)
def test_an_annotation_that_cannot_be_read(annotation, reason):
    class W(Workflow):
        @step
        async def s(self, ev: annotation) -> StopEvent:
            return StopEvent()

    fault = fault_of(W)
    assert (
        fault.text == f"Step 's': cannot resolve the annotation {annotation!r} of parameter 'ev'."
    )
    assert fault.hint == reason


# ---------------------------------------------------------------- decorators


@pytest.mark.parametrize("other", [staticmethod, classmethod, property])
@pytest.mark.parametrize("mine", [step, catch_error])
def test_other_decorators_below(other, mine):
    first = here()

    def make():
        class W(Workflow):
            @mine
            @other
            async def s(self, ev: StepFailedEvent) -> StopEvent:
                return StopEvent()

    fault = fault_of(make)
    assert fault.text == f"@{mine.__name__} does not go with @{other.__name__}."
    assert fault.hint == "A step is a method with self, or a free function with @step(workflow=W)"
    assert first < fault.line < here()


@pytest.mark.parametrize("other", [staticmethod, classmethod, property])
def test_other_decorators_above(other):
    def make():
        class W(Workflow):
            @other
            @step
            async def s(self, ev: StartEvent) -> StopEvent:
                return StopEvent()

    fault = fault_of(make)
    assert fault.text == f"@step does not go with @{other.__name__}."
    assert fault.step == "s"


async def curried(x, ev: StartEvent) -> StopEvent:
    raise AssertionError


class Called:
    async def __call__(self, ev: StartEvent) -> StopEvent:
        raise AssertionError

    def __repr__(self):
        return "<called>"


@pytest.mark.parametrize(
    "thing",
    [4, "fetch", Called, Called(), pytest.param(functools.partial(curried, 1), id="partial")],
    ids=str,
)
def test_what_is_no_function(thing):
    fault = fault_of(lambda: step(thing))
    assert fault.text == f"@step makes a step of a function, not of {thing!r}."
    assert fault.hint == "Write @step above def; options have names, as in @step(num_workers=4)"


def test_a_name_twice_in_one_class():
    def make():
        class W(Workflow):
            @step
            async def s(self, ev: StartEvent) -> A:
                return A()

            @step
            async def s(self, ev: A) -> StopEvent:  # noqa: F811
                return StopEvent()

    fault = fault_of(make)
    assert fault.text == "Step 's' is defined twice in one class."
    first = make.__code__.co_firstlineno + 2
    assert fault.line == first + 4
    assert fault.hint == f"The other one is in line {first}: give one of them another name"


def test_a_step_that_is_decorated_again_is_one_step():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

        s = step(num_workers=2)(s)

    assert W().validate() is False


@pytest.mark.parametrize("decorators", [(step, catch_error), (catch_error, step)])
def test_a_handler_that_is_a_step_as_well(decorators):
    above, below = decorators

    def make():
        class W(Workflow):
            @above
            @below
            async def h(self, ev: StepFailedEvent) -> StopEvent:
                return StopEvent()

    fault = fault_of(make)
    assert fault.text == "'h' has both @step and @catch_error."
    assert fault.hint == "Keep @catch_error: it makes a step too"


@pytest.mark.parametrize("name", ["run", "validate", "events", "_compile"])
def test_a_step_with_the_name_of_a_method(name):
    async def func(self, ev: StartEvent) -> StopEvent:
        raise AssertionError

    func.__name__ = name
    func.__qualname__ = f"W.{name}"
    fault = fault_of(lambda: type("W", (Workflow,), {name: step(func)}))
    assert fault.text == f"Step {name!r} has the name of a method of Workflow."


@pytest.mark.parametrize("value", [3, property(lambda self: 3)], ids=["value", "property"])
def test_an_override_by_something_else(value):
    def make():
        class Sub(Fine):
            s = value

    fault = fault_of(make)
    assert fault.text == "'s' of 'Sub' overrides step 's' of 'Fine' and is no step."
    assert fault.hint == "Give it another name; s = None drops the step"


@pytest.mark.parametrize("workflow", ["W", int, Fine()], ids=["name", "int", "object"])
def test_what_is_no_workflow_class(workflow):
    def make():
        @step(workflow=workflow)
        async def f(ev: StartEvent) -> StopEvent:
            return StopEvent()

    fault = fault_of(make)
    assert fault.text == "workflow must be a Workflow class"
    assert fault.hint == f"It was {workflow!r}"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"retry_policy": 3},
            "retry_policy must be made by plait.retry, or have a method next(), or be None",
        ),
        (
            {"retry_policy": ConstantDelayRetryPolicy},
            "retry_policy must be made by plait.retry, or have a method next(), or be None",
        ),
        ({"limiter": 3}, "limiter must be a trio.CapacityLimiter or an anyio.CapacityLimiter"),
        ({"num_workers": "4"}, "num_workers must be an integer greater than 0"),
        ({"timeout": 0}, "timeout must be a number greater than 0 or None"),
    ],
)
def test_options_of_a_step(options, text):
    def make():
        class W(Workflow):
            @step(**options)
            async def s(self, ev: StartEvent) -> StopEvent:
                return StopEvent()

    fault = fault_of(make)
    (value,) = options.values()
    assert (fault.text, fault.hint) == (text, f"It was {value!r}")


@pytest.mark.parametrize("names", [True, 3])
def test_graph_checks_that_are_no_names(names):
    assert fault_of(lambda: Fine(skip_graph_checks=names)).text == (
        f"Unknown graph check names: {names}. "
        "Valid names are: dead_end, reachability, terminal_event"
    )


def test_a_timedelta():
    fault = fault_of(lambda: Fine(timeout=timedelta(seconds=3)))
    assert fault.hint == "It was datetime.timedelta(seconds=3). Write 3.0, in seconds"
    with pytest.raises(WorkflowValidationError):
        Timeout(timedelta(seconds=3))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"resource_manager": {}}, "resource_manager must be a ResourceManager or None"),
        ({"workflow_name": 3}, "workflow_name must be a text or None"),
    ],
)
def test_options_of_a_workflow(options, text):
    first = here()
    fault = fault_of(lambda: Fine(**options))
    assert fault.text == text
    assert first < fault.line < here()


def test_the_place_of_an_option_is_the_call():
    class W(Fine):
        def __init__(self):
            super().__init__(timeout=0)

    first = W.__init__.__code__.co_firstlineno
    assert fault_of(W).line == first + 1


def test_the_traceback_of_a_fault_is_short():
    def make():
        class W(Workflow):
            @step
            async def s(self, ev: StartEvent):
                return StopEvent()

    with pytest.raises(WorkflowValidationError) as caught:
        make()
    frames = traceback.extract_tb(caught.value.__traceback__)
    mine = [frame.filename == __file__ for frame in frames]
    assert mine == [True, True, True, False, False, False]
    assert frames[2].line == "@step"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


# ---------------------------------------------------------------- calls


@pytest.mark.parametrize(
    ("ctx", "field"), [("x", "topic=..."), (StartEvent(), "start_event=...")], ids=str
)
def test_a_start_field_by_position(ctx, field):
    with pytest.raises(TypeError) as caught:
        Fine().run(ctx)
    assert str(caught.value) == (
        f"run() takes a Context by position, not {ctx!r}. Write run({field})"
    )


def test_a_run_id_that_is_no_text():
    with pytest.raises(WorkflowRuntimeError, match=r"^run_id must match .*, not 7$"):
        Fine().run(run_id=7)


def test_a_context_for_a_class():
    with pytest.raises(TypeError, match=r"^Context.. takes a workflow object, not the class Fine$"):
        Context(Fine)


def test_an_assignment_to_an_event():
    with pytest.raises(attrs.exceptions.FrozenInstanceError) as caught:
        A().n = 3
    assert caught.value.__notes__ == ["Events are frozen. Write attrs.evolve(event, n=3)"]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        StartEvent().topic = "x"
    assert attrs.evolve(A(), n=3) == A(n=3)


async def error_in_a_step(call, kind=TypeError):
    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await call(ctx, ev)
            return StopEvent()

    with pytest.raises(kind) as caught:
        await W().run()
    return str(caught.value)


A_QUESTION = (
    "an Event as waiter_event, not <class 'plait.InputRequiredEvent'>. "
    "Write InputRequiredEvent(...)"
)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("args", "options", "text"),
    [
        ((A(),), {}, "an Event class, not A(n=0). Write A"),
        ((int,), {}, "an Event class, not <class 'int'>"),
        (
            (HumanResponseEvent, InputRequiredEvent),
            {},
            A_QUESTION,
        ),
        (
            (HumanResponseEvent,),
            {"requirements": ["user"]},
            "requirements as a mapping of fields to values, not ['user']",
        ),
        (
            (HumanResponseEvent,),
            {"timeout": timedelta(seconds=1)},
            "a timeout in seconds or None, not datetime.timedelta(seconds=1)",
        ),
    ],
    ids=["event", "int", "question", "requirements", "timeout"],
)
async def test_a_wait_that_nothing_would_answer(args, options, text):
    async def call(ctx, ev):
        await ctx.wait_for_event(*args, **options)

    assert await error_in_a_step(call) == f"wait_for_event() takes {text}"


@pytest.mark.anyio
@pytest.mark.parametrize("child", [Fine, "x", int], ids=str)
async def test_a_child_that_is_no_workflow(child):
    async def call(ctx, ev):
        await ctx.run_child(child)

    assert await error_in_a_step(call) == (
        f"run_child() takes a workflow object, not {child!r}. "
        "Write await ctx.run_child(Child(), topic=...)"
    )


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["get", "set", "data"])
async def test_names_that_older_frameworks_have(name):
    async def call(ctx, ev):
        assert not hasattr(ctx, name)
        await getattr(ctx, name)("x")

    text = await error_in_a_step(call, AttributeError)
    assert text.startswith(f"'Context' object has no attribute {name!r}. Write await ctx.store.")


@pytest.mark.anyio
async def test_a_class_where_an_event_belongs():
    async def send(ctx, ev):
        ctx.send_event(A)

    async def collect(ctx, ev):
        ctx.collect_events(ev, [A()])

    assert await error_in_a_step(send) == (f"send_event() takes an Event, not {A!r}. Write A(...)")
    assert await error_in_a_step(collect) == (
        "collect_events expects Event classes, not A(n=0). Write A"
    )


async def later():
    raise AssertionError


RESULT = "A step returns events. The result of a run is returned in one: StopEvent(result=...)"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("make", "returns", "note"),
    [
        (lambda: StopEvent, StopEvent, "StopEvent is a class. Write StopEvent(...)"),
        (lambda: [A], list[A] | StopEvent, "A is a class. Write A(...)"),
        (later, StopEvent, "An await is missing before the call that makes it"),
        (
            lambda: [A()],
            A | StopEvent,
            "Its return annotation has no list. Write -> list[E] to return several events",
        ),
        (
            lambda: (A(), A()),
            list[A] | StopEvent,
            "Several events are returned as a list, under the annotation -> list[E]",
        ),
        (lambda: "text", StopEvent, RESULT),
        (lambda: {"a": 1}, StopEvent, RESULT),
    ],
    ids=["class", "class in a list", "coroutine", "list", "tuple", "text", "mapping"],
)
async def test_what_a_step_should_have_returned(make, returns, note):
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> returns:
            return value

        @step
        async def t(self, ev: A) -> StopEvent:
            return StopEvent()

    value = make()
    with pytest.raises(WorkflowRuntimeError) as caught:
        await W(disable_validation=True).run()
    notes = caught.value.__notes__
    assert notes[:-2] == [note]
    if make is later:
        value.close()


@pytest.mark.anyio
async def test_a_bare_event_is_no_misspelt_start_event():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            return Event()

    with pytest.raises(WorkflowRuntimeError) as caught:
        await W().run()
    assert "Did you mean" not in str(caught.value)
    assert "Add a step" in str(caught.value)


@pytest.mark.anyio
async def test_a_step_that_is_named_by_itself():
    async def call(ctx, ev):
        ctx.send_event(A(), step=Fine.s)

    text = await error_in_a_step(call, WorkflowRuntimeError)
    assert text.endswith("does not exist. Did you mean s?")


def test_any_is_nothing_to_go_by():
    def make():
        class W(Workflow):
            @step
            async def s(self, ev: Any) -> StopEvent:
                return StopEvent()

    assert fault_of(make).text == STRAY
