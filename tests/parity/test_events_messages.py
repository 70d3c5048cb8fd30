"""The contract's section 4, text by text: each mistake as a user makes it, with class and moment.

D: when the class or the step is defined. C: in the constructor. V: in `run()` and `validate()`.
R: while running. A mistake of kind C has to pass D, one of kind V has to pass C.
"""

import gc
import inspect
import re
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import attrs
import pytest

import plait.retry
from plait import (
    All,
    Collect,
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    JsonSerializer,
    Resource,
    ResourceConfig,
    Run,
    StartEvent,
    StopEvent,
    Take,
    Timeout,
    Workflow,
    catch_error,
    step,
)
from plait.durable import MemoryJournal
from plait.errors import (
    ContextSerdeError,
    ContextStateError,
    StepTimeoutError,
    StreamFullError,
    WorkflowCancelledByUser,
    WorkflowConfigurationError,
    WorkflowRuntimeError,
    WorkflowStepDoesNotExistError,
    WorkflowTimeoutError,
    WorkflowValidationError,
)
from plait.events import StepFailedEvent
from tests.parity.letters import A2, A, B

VE, CE, RE = WorkflowValidationError, WorkflowConfigurationError, WorkflowRuntimeError


class Query(Event):
    text: str


class Begin(StartEvent):
    text: str


class Answer(HumanResponseEvent):
    pass


class W(Workflow):
    """Nothing is wrong with it."""

    @step
    async def s(self, ev: StartEvent) -> StopEvent:
        return StopEvent()


class Greeter(Workflow):
    """It starts with an event of its own."""

    def __init__(self) -> None:
        super().__init__(workflow_name="W")

    @step
    async def s(self, ev: Begin) -> StopEvent:
        return StopEvent(result=ev.text)


def says(error, text):
    """The message begins with the text, as whole words."""
    return re.match(rf"{re.escape(text)}(?!\w)", str(error)) is not None


def in_lines_of(func, line):
    source, first = inspect.getsourcelines(func)
    return first <= line < first + len(source)


class Mistakes(dict):
    """Mistakes by the text that they are answered with."""

    def __call__(self, kind, text, *args):
        def keep(make):
            self[" ".join([text, *map(str, args)])] = (kind, text, make, args)
            return make

        return keep

    def each(self):
        names = ("kind", "text", "make", "args")
        return pytest.mark.parametrize(names, [*self.values()], ids=[*self])


def check(error, kind, text, make):
    """The error is of the class; if it is a fault it is the only one, and names the place."""
    assert type(error) is kind
    assert says(error, text)
    if isinstance(error, VE):
        (fault,) = error.faults
        assert fault.text == text
        assert f"{fault.file}:{fault.line}" in str(error)
        assert fault.file == __file__
        assert in_lines_of(make, fault.line)


# ---------------------------------------------------------------- D

at_definition = Mistakes()

at_definition(TypeError, "Query() got an unexpected field 'txt'. Did you mean 'text'?")(
    lambda: Query(txt="a")
)
at_definition(TypeError, "Query() takes keyword arguments only")(lambda: Query("a"))


@at_definition(VE, "Return types of workflows step functions must be annotated with their type.")
def no_return_annotation():
    class V(Workflow):
        @step
        async def s(self, ev: StartEvent):
            return StopEvent()


@at_definition(VE, "Step signature must have at least one parameter annotated as type Event")
def no_event_parameter():
    class V(Workflow):
        @step
        async def s(self, ev) -> StopEvent:
            return StopEvent()


@at_definition(
    VE,
    "Step 's' has a parameter 'x' that is neither a Context, an Event nor a resource, "
    "and has no default.",
)
def a_stray_parameter():
    class V(Workflow):
        @step
        async def s(self, ev: StartEvent, x: int) -> StopEvent:
            return StopEvent()


for wrong in (0, -1, 1.5, "2", True):

    @at_definition(VE, "num_workers must be an integer greater than 0", wrong)
    def workers(number):
        class V(Workflow):
            @step(num_workers=number)
            async def s(self, ev: StartEvent) -> StopEvent:
                return StopEvent()


@at_definition(VE, "timeout must be a number greater than 0 or None")
def the_timeout_of_a_step():
    class V(Workflow):
        @step(timeout=0)
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent()


UNKNOWN_CHECK = (
    "Unknown graph check names: foo. Valid names are: dead_end, reachability, terminal_event"
)


@at_definition(VE, UNKNOWN_CHECK)
def an_unknown_check_of_a_step():
    class V(Workflow):
        @step(skip_graph_checks=["foo", "dead_end"])
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent()


@at_definition(VE, "To decorate f please pass a workflow class to the @step decorator.")
def a_free_function_alone():
    @step
    async def f(ev: StartEvent) -> StopEvent:
        return StopEvent()


@at_definition(VE, "A step f is already part of this workflow, please choose another name.")
def a_free_function_twice():
    class V(Workflow):
        @step
        async def f(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

    @step(workflow=V)
    async def f(ev: StartEvent) -> StopEvent:
        return StopEvent()


@at_definition(VE, "Step function f is missing the `@step` decorator.")
def a_free_function_without_decorator():
    class V(Workflow):
        pass

    async def f(ev: StartEvent) -> StopEvent:
        return StopEvent()

    V.add_step(f)


@at_definition(VE, "Method 't' of 'Sub' overrides step 't' of 'Base' but has no @step decorator.")
def an_override_without_decorator():
    class Base(Workflow):
        @step
        async def t(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

    class Sub(Base):
        async def t(self, ev: StartEvent) -> StopEvent:
            return StopEvent()


@at_definition(
    VE,
    "Async-iterator fan-out (AsyncIterator[E] / AsyncGenerator[E, None] / "
    "async generator steps) is not supported.",
)
def an_async_generator():
    class V(Workflow):
        @step
        async def s(self, ev: StartEvent) -> A:
            yield A()


@at_definition(
    VE, "A step may declare at most one list[E] collection parameter, but found both 'evs' and 'b'."
)
def two_lists():
    class V(Workflow):
        @step
        async def s(self, evs: list[A], b: list[B]) -> StopEvent:
            return StopEvent()


@at_definition(VE, "A list[E] collection parameter cannot be combined with other event parameters.")
def a_list_and_an_event():
    class V(Workflow):
        @step
        async def s(self, evs: list[A], b: B) -> StopEvent:
            return StopEvent()


@at_definition(
    VE,
    "Collect-mode steps (more than one event parameter) require each event parameter to declare "
    "a single event type, but parameter 'a' declares 2.",
)
def a_slot_of_two_types():
    class V(Workflow):
        @step
        async def s(self, a: A | A2, b: B) -> StopEvent:
            return StopEvent()


@at_definition(
    VE,
    "Parameter 'ev' carries a Collect marker but is not annotated as list[E] of an Event subclass.",
)
def a_marker_without_list():
    class V(Workflow):
        @step
        async def s(self, ev: Annotated[A, Collect()]) -> StopEvent:
            return StopEvent()


@at_definition(VE, "Collect cardinality on 'evs' must be All() or Take(n).")
def another_cardinality():
    class V(Workflow):
        @step
        async def s(self, evs: Annotated[list[A], Collect(2)]) -> StopEvent:
            return StopEvent()


at_definition(ValueError, "Take(n) requires an integer n >= 1")(lambda: Take(0))


@at_definition(VE, "@catch_error handler 'h' must accept StepFailedEvent as its event parameter.")
def a_handler_of_something_else():
    class V(Workflow):
        @catch_error
        async def h(self, ev: A) -> StopEvent:
            return StopEvent()


@at_definition(VE, "@catch_error max_recoveries must be an integer >= 1")
def no_recoveries():
    class V(Workflow):
        @catch_error(max_recoveries=0)
        async def h(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()


@at_definition(VE, "@catch_error for_steps must be None or a list of step name strings")
def one_name():
    class V(Workflow):
        @catch_error(for_steps="s")
        async def h(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()


@at_definition.each()
def test_row_109_when_it_is_defined(kind, text, make, args):
    with pytest.raises(kind) as caught:
        make(*args)
    check(caught.value, kind, text, make)


@pytest.mark.parametrize("whose", ["'ev'", "return"])
def test_row_109_a_name_that_does_not_exist_is_told_when_the_workflow_is_made(whose):
    """Not before: the name may be defined further below."""

    class V(Workflow):
        if whose == "return":

            @step
            async def s(self, ev: StartEvent) -> "Foo":  # noqa: F821
                return StopEvent()

        else:

            @step
            async def s(self, ev: "Foo") -> StopEvent:  # noqa: F821
                return StopEvent()

    text = "Step 's': cannot resolve the annotation 'Foo' of " + (
        "parameter 'ev'." if whose == "'ev'" else "the return value."
    )
    with pytest.raises(VE) as caught:
        V().validate()
    check(caught.value, VE, text, V)


# ---------------------------------------------------------------- C

in_constructor = Mistakes()

for options, text in (
    ({"num_concurrent_runs": 0}, "num_concurrent_runs must be an integer greater than 0 or None"),
    ({"timeout": 0}, "timeout must be a number greater than 0 or None"),
    ({"timeout": -1.5}, "timeout must be a number greater than 0 or None"),
    ({"stream_buffer": 0}, "stream_buffer must be an integer greater than 0 or math.inf"),
    ({"stream_buffer": 1.5}, "stream_buffer must be an integer greater than 0 or math.inf"),
    ({"on_stop": "wait"}, "on_stop must be 'cancel' or 'drain'"),
    ({"journal": 3}, "journal must be a path, a journal or None"),
    ({"journal": MemoryJournal}, "journal must be a path, a journal or None"),
    (
        {"serializer": JsonSerializer},
        "serializer must be an object with serialize() and deserialize(), or None",
    ),
    ({"skip_graph_checks": ["foo"]}, UNKNOWN_CHECK),
):

    @in_constructor(VE, text, options)
    def a_wrong_option(options):
        return lambda: W(**options)


@in_constructor(
    CE,
    "At least one Event of type StartEvent must be received by any step. "
    "(Workflow 'W' has no @step that accepts StartEvent.)",
)
def no_start():
    class W(Workflow):
        @step
        async def s(self, ev: Answer) -> StopEvent:
            return StopEvent()

    return W


@in_constructor(
    CE,
    "At least one Event of type StopEvent must be returned by any step. "
    "(Workflow 'W' has no @step that returns StopEvent.)",
)
def no_stop():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> None:
            return None

    return W


@in_constructor(
    CE,
    "Only one type of StartEvent is allowed per workflow, found 2: S1, StartEvent in workflow 'W'.",
)
def two_starts():
    class S1(StartEvent):
        pass

    class W(Workflow):
        @step
        async def s(self, ev: S1 | StartEvent) -> StopEvent:
            return StopEvent()

    return W


@in_constructor(
    CE,
    "Only one type of StopEvent is allowed per workflow, found 2: S1, StopEvent in workflow 'W'.",
)
def two_stops():
    class S1(StopEvent):
        pass

    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> S1 | StopEvent:
            return StopEvent()

    return W


@in_constructor.each()
def test_row_109_when_it_is_made(kind, text, make, args):
    construct = make(*args)
    with pytest.raises(kind) as caught:
        construct()
    check(caught.value, kind, text, make)


def test_row_109_a_timeout_object_is_checked_when_it_is_made():
    with pytest.raises(VE, match=r"^timeout must be a number greater than 0 or None"):
        Timeout(0)


# ---------------------------------------------------------------- V: the graph

in_validate = Mistakes()

for annotation, name in ((A, "A"), (str, "str"), (Any, "Any")):

    @in_validate(VE, f"The following events are produced but never consumed: {name}", annotation)
    def never_consumed(annotation):
        class W(Workflow):
            @step
            async def s(self, ev: StartEvent) -> annotation | StopEvent:
                return StopEvent()

        return W


@in_validate(VE, "The following events are consumed but never produced: A")
def never_produced():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent | A) -> StopEvent:
            return StopEvent()

    return W


@in_validate(
    VE,
    "Step 's2' cannot accept StopEvent. StopEvent signals the end of the workflow. "
    "Use a different Event type instead.",
)
def a_step_for_the_end():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

        @step
        async def s2(self, ev: StopEvent) -> StopEvent:
            return StopEvent()

    return lambda: W(skip_graph_checks=["reachability"])


@in_validate(
    VE,
    "Graph validation failed:\n"
    "  - [reachability] Unreachable steps: l1, l2\n"
    "    Steps must be reachable from StartEvent or HumanResponseEvent.",
)
def unreachable():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

        @step
        async def l1(self, ev: A) -> B | StopEvent:
            return B()

        @step
        async def l2(self, ev: B) -> A:
            return A()

    return W


@in_validate(
    VE,
    "Graph validation failed:\n"
    "  - [dead_end] Dead-end steps: l1, l2\n"
    "    Steps must have a path to StopEvent or InputRequiredEvent.",
)
def dead_ends():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> A | StopEvent:
            return StopEvent()

        @step
        async def l1(self, ev: A) -> B:
            return B()

        @step
        async def l2(self, ev: B) -> A | None:
            return None

    return W


@in_validate(
    VE,
    "Step 'j' parameter 'evs' collects list[A], but no returned-list producer creates a stream "
    "for those event types.",
)
def a_list_from_nowhere():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> A:
            return A()

        @step
        async def j(self, evs: Annotated[list[A], Collect(All())]) -> StopEvent:
            return StopEvent()

    return W


@in_validate(
    VE,
    "Step 'j' joins event parameters that are never produced at a common stream level: "
    "'a' (A) is produced at the stream of step 's'; 'b' (B) is produced at the top level.",
)
def slots_of_two_levels():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> list[A] | B:
            return B()

        @step
        async def j(self, a: A, b: B) -> StopEvent:
            return StopEvent()

    return W


@in_validate(VE, "Only one wildcard @catch_error handler is allowed per workflow, found 2: h1, h2")
def two_wildcards():
    class V(W):
        @catch_error
        async def h1(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

        @catch_error
        async def h2(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

    return V


@in_validate(VE, "@catch_error handler 'h' lists unknown step 'x' in for_steps.")
def a_handler_of_nothing():
    class V(W):
        @catch_error(for_steps=["x"])
        async def h(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

    return V


@in_validate(VE, "@catch_error handler 'h' cannot cover another handler step 'g'.")
def a_handler_of_a_handler():
    class V(W):
        @catch_error(for_steps=["g"])
        async def h(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

        @catch_error(for_steps=["s"])
        async def g(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

    return V


@in_validate(VE, "Step 's' is claimed by two @catch_error handlers: 'h1' and 'h2'.")
def two_handlers_of_one_step():
    class V(W):
        @catch_error(for_steps=["s"])
        async def h1(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

        @catch_error(for_steps=["s"])
        async def h2(self, ev: StepFailedEvent) -> StopEvent:
            return StopEvent()

    return V


@in_validate(
    VE, "Resource config validation failed:\n  - In step 's', parameter 'c': No such file: x.json"
)
def no_such_file():
    class W(Workflow):
        @step
        async def s(
            self, ev: StartEvent, c: Annotated[dict, ResourceConfig("x.json")]
        ) -> StopEvent:
            return StopEvent()

    return W


@in_validate(VE, "A context manager resource cannot have scope 'workflow'. Use scope='run'.")
def a_context_manager_of_the_workflow():
    @asynccontextmanager
    async def pool():
        yield 1

    class W(Workflow):
        @step
        async def s(
            self, ev: StartEvent, p: Annotated[int, Resource(pool, scope="workflow")]
        ) -> StopEvent:
            return StopEvent()

    return W


@in_validate.each()
def test_row_109_before_it_runs(kind, text, make, args):
    flow = make(*args)()
    for ask in (flow.validate, flow.run):
        with pytest.raises(kind) as caught:
            ask()
        check(caught.value, kind, text, make)


def test_row_109_two_classes_of_one_name():
    """Its place is the second class."""

    class Q1(Event, name="shop.query"):
        pass

    class Q2(Event, name="shop.query"):
        pass

    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> Q1 | Q2:
            return Q1()

        @step
        async def t(self, ev: Q1 | Q2) -> StopEvent:
            return StopEvent()

    names = [f"{cls.__module__}.{cls.__qualname__}" for cls in (Q1, Q2)]
    text = f"Two event classes claim the name 'shop.query': {' and '.join(names)}."
    for ask in (W().validate, W().run):
        with pytest.raises(VE) as caught:
            ask()
        check(caught.value, VE, text, Q2)


@pytest.mark.parametrize(("make", "name"), [(unreachable, "reachability"), (dead_ends, "dead_end")])
def test_row_109_a_check_that_is_skipped(make, name):
    assert make()(skip_graph_checks=[name]).validate() is False

    class OneLess(make()):
        @step(skip_graph_checks=[name])
        async def l1(self, ev: A) -> B:
            return B()

    class BothLess(OneLess):
        @step(skip_graph_checks=name)
        async def l2(self, ev: B) -> A:
            return A()

    with pytest.raises(VE, match=rf"\[{name}\] [\w-]+ steps: l2\n"):
        OneLess(skip_graph_checks={"dead_end", "reachability"} - {name}).validate()
    assert BothLess(skip_graph_checks={"dead_end", "reachability"} - {name}).validate() is False


def test_row_109_the_check_for_an_end_that_is_skipped():
    assert no_stop()(skip_graph_checks=["terminal_event", "dead_end"]).validate() is False


# ---------------------------------------------------------------- V: the call of run()


RUN = {
    "Failed creating a start event of type 'Begin' with the keyword arguments: {'x': 1}": (
        RE,
        lambda: Greeter().run(x=1),
    ),
    "Workflow 'W' starts with Begin, not StartEvent.": (
        RE,
        lambda: Greeter().run(start_event=StartEvent()),
    ),
    "run_id must match [A-Za-z0-9_-]{1,64}, not 'a/b'": (RE, lambda: W().run(run_id="a/b")),
    "The 'start_event' argument must be an instance of 'StartEvent'.": (
        ValueError,
        lambda: W().run(start_event=A()),
    ),
    "run() got a start_event and also fields for one: q": (
        TypeError,
        lambda: W().run(start_event=StartEvent(), q=1),
    ),
    "run() has no option 'stepwise'. Write run = wf.run(...); run.stepwise()": (
        TypeError,
        lambda: W().run(stepwise=True),
    ),
}


@pytest.mark.parametrize(("text", "kind", "call"), [(text, *rest) for text, rest in RUN.items()])
def test_row_109_the_call_of_run(text, kind, call):
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert says(caught.value, text)


def test_row_109_an_option_that_plait_has_not_yet_got():
    with pytest.raises(TypeError) as caught:
        W().run(checkpoint_callback=print)
    assert str(caught.value).startswith("run() has no option 'checkpoint_callback'. ")
    # What the contract's text advises exists together with checkpoints. Until then it is not named.
    assert ("run.on_checkpoint(callback)" in str(caught.value)) is hasattr(Run, "on_checkpoint")


@pytest.mark.anyio
async def test_row_109_a_live_run_id():
    flow = W()
    async with flow.run(run_id="dup"):
        with pytest.raises(RE) as caught:
            flow.run(run_id="dup")
    assert says(caught.value, "Workflow run with run_id 'dup' already exists.")


@pytest.mark.anyio
async def test_row_109_a_context_in_use():
    flow = W()
    async with flow.run() as run:
        with pytest.raises(ContextStateError) as caught:
            flow.run(ctx=run.ctx)
    assert says(
        caught.value,
        "Cannot start a new run while context is already running. "
        "Wait for completion or use a new Context.",
    )


@pytest.mark.anyio
async def test_row_109_the_context_of_a_step():
    class Outer(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            with pytest.raises(ContextStateError) as caught:
                W().run(ctx=ctx)
            return StopEvent(result=caught.value)

    assert says(await Outer().run(), "Cannot start workflow from a step function context")


# ---------------------------------------------------------------- R: returning and sending


async def error_of(body, returns=A | StopEvent | None, kind=Exception, **options):
    """Run `W`, whose step `s` does this and whose step `t` takes an `A`; catch its failure."""

    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> returns:
            return await body(ctx)

        @step
        async def t(self, ev: A) -> StopEvent:
            return StopEvent()

    with pytest.raises(kind) as caught:
        await W(disable_validation=True, **options).run(run_id="ID")
    return caught.value


ONLY_IN_A_LIST = (
    "Step function s returned a bare A but its return annotation only declares it inside a list."
)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("value", "returns", "text"),
    [
        ("x", A | StopEvent, "Step function s returned str instead of an Event instance."),
        (
            ["x"],
            list[A] | StopEvent,
            "Step function s returned a list containing str instead of an Event instance.",
        ),
        (A(), list[A] | StopEvent, ONLY_IN_A_LIST),
        (B(), A | StopEvent, "Step 's' returned B, but no step of workflow 'W' accepts it."),
    ],
    ids=["str", "list", "bare", "no receiver"],
)
async def test_a_wrong_return(value, returns, text):
    async def body(ctx):
        return value

    error = await error_of(body, returns)
    assert isinstance(error, RE)
    assert says(error, text)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("event", "target", "kind", "text"),
    [
        (B(), None, RE, "Step 's' sent B, but no step of workflow 'W' accepts it."),
        (A(), "x", WorkflowStepDoesNotExistError, "Step x does not exist"),
        (B(), "t", RE, f"Step t does not accept event of type {B}"),
    ],
)
async def test_a_wrong_send(event, target, kind, text):
    async def body(ctx):
        ctx.send_event(event, step=target)

    error = await error_of(body)
    assert isinstance(error, kind)
    assert says(error, text)


@pytest.mark.anyio
@pytest.mark.parametrize("send", [False, True])
async def test_a_base_that_is_accepted(send):
    async def body(ctx):
        return ctx.send_event(A2()) if send else A2()

    lines = str(await error_of(body, kind=RE)).splitlines()
    assert lines[1] == "Step 't' accepts its base A: use @step(accept_event_subclasses=True)."


@pytest.mark.anyio
async def test_a_send_from_outside():
    async with W().run() as run:
        with pytest.raises(RE) as caught:
            run.send_event(B())
    assert says(caught.value, "B was sent, but no step of workflow 'W' accepts it.")


@pytest.mark.anyio
async def test_a_send_after_the_end():
    run = W().run(run_id="ID")
    await run
    with pytest.raises(RE) as caught:
        run.send_event(B())
    assert says(caught.value, "Run ID of workflow 'W' has ended; B was not sent.")


@pytest.mark.anyio
async def test_a_send_after_the_decision():
    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            ctx.send_event(A(n=0))
            ctx.send_event(A(n=1))

        @step
        async def t(self, ctx: Context, ev: A) -> StopEvent | None:
            if ev.n:
                return StopEvent()
            try:
                await anyio.sleep_forever()
            finally:
                with pytest.raises(RE) as caught:
                    ctx.send_event(B())
                errors.append(caught.value)

    errors = []
    await W().run(run_id="ID")
    (error,) = errors
    assert says(error, "Run ID of workflow 'W' has ended; B was not sent.")


# ---------------------------------------------------------------- R: starting and ending


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("use", "call"),
    [
        (lambda run: run.stream_events(), "async for event in run.stream_events(): ..."),
        (lambda run: run.send_event(A()), "run.send_event(...)"),
        (lambda run: run.result(), "await run.result()"),
        (lambda run: run.cancel_run(), "await run.cancel_run()"),
        (lambda run: run.wait_idle(), "await run.wait_idle()"),
        (lambda run: run.run_step(), "await run.run_step()"),
    ],
)
async def test_a_run_that_has_not_been_started(use, call):
    run = W().run()
    with pytest.raises(RE) as caught:
        await use(run)
    await run
    assert str(caught.value) == (
        "This run has not been started, so it has no events yet.\n"
        "  wrong:  run = W().run()\n"
        f"          {call}\n"
        "  right:  async with W().run() as run:\n"
        f"              {call}"
    )


@pytest.mark.anyio
async def test_a_second_start():
    async with W().run(run_id="ID") as run:
        with pytest.raises(RE) as caught:
            await run.__aenter__()
    assert says(caught.value, "Run ID of workflow 'W' has already been started.")


@pytest.mark.anyio
async def test_a_step_that_waits_for_its_own_run():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await run)

    async with W().run() as run:
        with pytest.raises(RE) as caught:
            await run
    assert says(caught.value, "Step 's' cannot wait for its own run.")


def test_a_run_that_is_dropped():
    with pytest.warns(ResourceWarning) as caught:  # noqa: PT031 - gone at gc.collect()
        W().run()
        gc.collect()
    (warning,) = caught
    assert str(warning.message) == (
        "workflow 'W': run() was called but the run was never started. "
        'Write "result = await W().run()" or "async with W().run() as run:".'
    )


async def test_a_timeout_with_active_steps(autojump_clock):
    class W(Workflow):
        @step
        async def p(self, ev: StartEvent) -> StopEvent:
            await anyio.sleep_forever()

    run = W(timeout=0.1).run()
    with pytest.raises(WorkflowTimeoutError) as caught:
        await run
    assert str(caught.value) == (
        "Operation timed out after 0.1 seconds. Currently active steps: p\n"
        "Workflow 'W' is running.\n"
        "  step 'p': 1 running, 0 queued"
    )


async def test_a_timeout_without_active_steps(autojump_clock):
    class W(Workflow):
        @step
        async def ask(self, ev: StartEvent) -> InputRequiredEvent:
            return InputRequiredEvent(prefix="Name?")

        @step
        async def end(self, ev: HumanResponseEvent) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowTimeoutError) as caught:
        await W(timeout=0.1).run()
    assert str(caught.value) == (
        "Operation timed out after 0.1 seconds. No steps active\n"
        "Workflow 'W' is idle: it waits for an event from outside.\n"
        "  streamed only: InputRequiredEvent from step 'ask'; no step accepts it"
    )


async def test_a_timeout_of_a_step(autojump_clock):
    class W(Workflow):
        @step(timeout=0.1)
        async def s(self, ev: StartEvent) -> StopEvent:
            await anyio.sleep_forever()

    with pytest.raises(StepTimeoutError) as caught:
        await W().run()
    assert str(caught.value) == "Step 's' timed out after 0.1 seconds."


async def test_a_wait_that_times_out(autojump_clock):
    async def body(ctx):
        await ctx.wait_for_event(Answer, timeout=0.1)

    error = await error_of(body)
    assert type(error) is TimeoutError
    assert str(error) == "Timed out waiting for Answer"


@pytest.mark.anyio
async def test_a_run_that_is_cancelled():
    run = W().run(run_id="ID")
    run.cancel()
    with pytest.raises(WorkflowCancelledByUser) as caught:
        await run
    assert str(caught.value) == "Run ID of workflow 'W' was cancelled."


@pytest.mark.anyio
async def test_a_cancellation_that_nobody_asked_for():
    async def body(ctx):
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.lowlevel.checkpoint()
            except anyio.get_cancelled_exc_class() as error:
                saved = error
                raise
        raise saved

    error = await error_of(body)
    assert isinstance(error, RE)
    assert says(error, "Step 's' raised Cancelled, but nobody cancelled it.")


# ---------------------------------------------------------------- R: the context


@pytest.mark.anyio
async def test_a_stream_that_is_full():
    async def body(ctx):
        for _ in range(3):
            ctx.write_event_to_stream(B())

    error = await error_of(body, stream_buffer=2)
    assert type(error) is StreamFullError
    assert says(error, "The stream buffer is full (2 of 2). Use await ctx.emit(ev), which waits.")


@pytest.mark.anyio
async def test_collecting_another_event():
    async def body(ctx):
        ctx.collect_events(A(), [A])

    error = await error_of(body)
    assert isinstance(error, RE)
    assert says(error, "Step 's' called collect_events with an event that is not its input.")


@pytest.mark.anyio
async def test_waiting_in_a_plain_step():
    class W(Workflow):
        @step
        def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.wait_for_event(Answer)
            return StopEvent()

    with pytest.raises(RE) as caught:
        await W().run()
    assert says(caught.value, "Step 's' is a plain function; wait_for_event needs async def.")


@pytest.mark.anyio
async def test_the_blocking_store_in_an_async_step():
    async def body(ctx):
        ctx.store.sync.get("x")

    error = await error_of(body)
    assert isinstance(error, RE)
    assert says(error, "ctx.store.sync is for plain steps; here write await ctx.store.get(...)")


def test_a_context_without_a_run():
    ctx = Context(W())
    for call, text in (
        (
            lambda: ctx.send_event(A()),
            "send_event() called before workflow started. Call workflow.run() first.",
        ),
        (
            lambda: ctx.collect_events(A(), [A]),
            "collect_events requires a running workflow. Call workflow.run() first.",
        ),
    ):
        with pytest.raises(ContextStateError) as caught:
            call()
        assert str(caught.value) == text


@pytest.mark.anyio
async def test_collecting_outside_of_steps():
    async with W().run() as run:
        with pytest.raises(ContextStateError) as caught:
            run.ctx.collect_events(A(), [A])
    assert str(caught.value) == "collect_events is only available from within step functions."


def test_the_context_of_no_step():
    with pytest.raises(RE) as caught:
        Context.get_step_context()
    assert says(
        caught.value, "Context.get_step_context() may only be called from within a step function"
    )


# ---------------------------------------------------------------- R: store, resources, retries


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("x", "Path 'x' not found in state"),
        ("", "Path cannot be empty"),
        (".".join(["a"] * 1001), "Path length exceeds 1000 segments"),
    ],
    ids=["unknown", "empty", "long"],
)
async def test_a_path_of_the_store(path, text):
    async def body(ctx):
        await ctx.store.get(path)

    error = await error_of(body)
    assert type(error) is ValueError
    assert says(error, text)


@attrs.define
class Needy:
    count: int


@attrs.define
class P:
    p: int = 0


@attrs.define
class Other:
    q: int = 0


NO_HIERARCHY = (
    "Multiple state types are not in a compatible inheritance hierarchy. "
    "All state types must share a common inheritance chain. Found: P, Other"
)


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (Needy, Needy, "State must have defaults for all fields"),
        (P, Other, NO_HIERARCHY),
    ],
    ids=["default", "hierarchy"],
)
def test_a_state_class(first, second, text):
    class W(Workflow):
        @step
        async def s(self, ctx: Context[first], ev: StartEvent) -> A:
            return A()

        @step
        async def t(self, ctx: Context[second], ev: A) -> StopEvent:
            return StopEvent()

    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        W().run()


@pytest.mark.anyio
async def test_writing_beside_an_edit():
    async def body(ctx):
        async with ctx.store.edit_state():
            await ctx.store.set("x", 1)

    error = await error_of(body)
    assert type(error) is RuntimeError
    assert str(error) == "writer called inside edit_state: mutate the yielded state instead"


def a(b: "Annotated[int, Resource(b)]"):
    raise AssertionError


def b(a: "Annotated[int, Resource(a)]"):
    raise AssertionError


@pytest.mark.anyio
async def test_a_resource_that_needs_itself():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent, it: Annotated[int, Resource(a)]) -> StopEvent:
            return StopEvent()

    with pytest.raises(ValueError, match=r"^Circular resource dependency detected: a -> b -> a\n"):
        await W().run()


def test_an_event_of_another_version():
    class Priced(Event, name="shop.query", version=2):
        price: int

    with pytest.raises(ContextSerdeError) as caught:
        Priced.upgrade({"price": 1}, 1)
    assert str(caught.value) == (
        "shop.query: cannot load version 1, the class is version 2 and has no upgrade()."
    )


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (plait.retry.wait_chain, ValueError, "wait_chain requires at least one strategy"),
        (
            plait.retry.retry_if_exception_message,
            TypeError,
            "retry_if_exception_message() missing 1 required argument 'message' or 'match'",
        ),
        (
            lambda: plait.retry.retry_if_exception_message("a", "b"),
            TypeError,
            "retry_if_exception_message() takes either 'message' or 'match', not both",
        ),
    ],
    ids=["chain", "nothing", "both"],
)
def test_the_retry_algebra(call, kind, text):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text
