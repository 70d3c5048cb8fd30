"""What plait says of mistakes: the texts of the contract's section 4, each as a user comes to it.

D: when the class or the step is defined. C: in the constructor. V: in `run()` and `validate()`.
R: while running.
"""

import inspect
import math
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import anyio
import pytest

from plait import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from plait.errors import (
    ContextStateError,
    PlaitError,
    WorkflowCancelledByUser,
    WorkflowConfigurationError,
    WorkflowRuntimeError,
    WorkflowStalledError,
    WorkflowStepDoesNotExistError,
    WorkflowTimeoutError,
    WorkflowValidationError,
)


class A(Event):
    n: int = 0


class A2(A):
    pass


class B(Event):
    n: int = 0


class C(Event):
    pass


class Typed(StartEvent):
    text: str


class Fine(Workflow):
    @step
    async def s(self, ev: StartEvent) -> StopEvent:
        return StopEvent()


def here():
    """The line of the caller."""
    return inspect.currentframe().f_back.f_lineno


def refused(caught, text, *, step_name=None, lines=None):
    """Assert that the one fault has this text, and a place in this file, between these lines."""
    (fault,) = caught.value.faults
    assert fault.text == text
    assert str(caught.value).startswith(text)
    assert fault.file == __file__
    assert f"{fault.file}:{fault.line}" in str(caught.value)
    assert fault.step == step_name
    if lines:
        assert lines[0] <= fault.line <= lines[1], f"the fault is said to be in {fault.line}"


def lines_of(thing):
    source, first = inspect.getsourcelines(thing)
    return first, first + len(source) - 1


# ---------------------------------------------------------------- D: events


def test_an_unknown_field_and_a_positional_one():
    class Query(Event):
        text: str

    with pytest.raises(TypeError) as caught:
        Query(txt="a")
    assert str(caught.value) == "Query() got an unexpected field 'txt'. Did you mean 'text'?"
    with pytest.raises(TypeError) as caught:
        Query("a")
    assert str(caught.value) == "Query() takes keyword arguments only"


# ---------------------------------------------------------------- D: steps


def test_a_step_without_return_annotation():
    first = here()
    with pytest.raises(WorkflowValidationError) as caught:

        class Flow(Workflow):
            @step
            async def s(self, ev: StartEvent):
                return StopEvent()

    refused(
        caught,
        "Return types of workflows step functions must be annotated with their type.",
        step_name="s",
        lines=(first, here()),
    )


NO_EVENT = "Step signature must have at least one parameter annotated as type Event"


def test_a_step_without_event_parameter():
    with pytest.raises(WorkflowValidationError) as caught:

        class Without(Workflow):
            @step
            async def s(self) -> StopEvent:
                return StopEvent()

    refused(caught, NO_EVENT, step_name="s")

    with pytest.raises(WorkflowValidationError) as caught:

        class OnlyContext(Workflow):
            @step
            async def s(self, ctx: Context) -> StopEvent:
                return StopEvent()

    refused(caught, NO_EVENT, step_name="s")

    with pytest.raises(WorkflowValidationError) as caught:

        class NotAnnotated(Workflow):
            @step
            async def s(self, ev) -> StopEvent:
                return StopEvent()

    refused(caught, NO_EVENT, step_name="s")


def test_a_stray_parameter():
    with pytest.raises(WorkflowValidationError) as caught:

        class Flow(Workflow):
            @step
            async def s(self, ev: StartEvent, x: int) -> StopEvent:
                return StopEvent()

    text = (
        "Step 's' has a parameter 'x' that is neither a Context, an Event nor a resource, "
        "and has no default."
    )
    refused(caught, text, step_name="s")

    with pytest.raises(WorkflowValidationError) as caught:

        class KeywordOnly(Workflow):
            @step
            async def s(self, ev: StartEvent, *, x) -> StopEvent:
                return StopEvent()

    refused(caught, text, step_name="s")


async def test_a_parameter_with_a_default_is_no_fault():
    class Flow(Workflow):
        @step()
        async def s(self, *, x: int = 3, ev: StartEvent, ctx: Context, **more: Any) -> StopEvent:
            return StopEvent(result=(x, ctx.step_name))

    assert await Flow().run() == (3, "s")


@pytest.mark.parametrize("where", ["parameter", "return"])
def test_an_annotation_that_cannot_be_resolved(where):
    first = here()
    with pytest.raises(WorkflowValidationError) as caught:
        if where == "parameter":

            class Flow(Workflow):
                @step
                async def s(self, ev: "Foo") -> StopEvent:  # noqa: F821
                    return StopEvent()

        else:

            class Flow(Workflow):
                @step
                async def s(self, ev: StartEvent) -> "Foo":  # noqa: F821
                    return StopEvent()

        Flow().run()
    whose = "parameter 'ev'" if where == "parameter" else "the return value"
    refused(
        caught,
        f"Step 's': cannot resolve the annotation 'Foo' of {whose}.",
        step_name="s",
        lines=(first, here()),
    )


@pytest.mark.parametrize("kind", [AsyncIterator[A], AsyncGenerator[A, None]])
def test_an_async_generator(kind):
    with pytest.raises(WorkflowValidationError) as caught:

        class Flow(Workflow):
            @step
            async def s(self, ev: StartEvent) -> kind:
                yield A()

    refused(
        caught,
        "Async-iterator fan-out (AsyncIterator[E] / AsyncGenerator[E, None] / "
        "async generator steps) is not supported.",
        step_name="s",
    )


@pytest.mark.parametrize("bad", [0, -1, 1.5, "2", True, None, math.inf])
def test_num_workers(bad):
    with pytest.raises(WorkflowValidationError) as caught:

        class Flow(Workflow):
            @step(num_workers=bad)
            async def s(self, ev: StartEvent) -> StopEvent:
                return StopEvent()

    refused(caught, "num_workers must be an integer greater than 0", step_name="s")


UNKNOWN_CHECK = (
    "Unknown graph check names: foo. Valid names are: dead_end, reachability, terminal_event"
)


@pytest.mark.parametrize("names", [["foo"], ["dead_end", "foo"], "foo"])
def test_unknown_graph_checks_of_a_step(names):
    with pytest.raises(WorkflowValidationError) as caught:

        class Flow(Workflow):
            @step(skip_graph_checks=names)
            async def s(self, ev: StartEvent) -> StopEvent:
                return StopEvent()

    refused(caught, UNKNOWN_CHECK, step_name="s")


def test_a_free_function_without_workflow():
    with pytest.raises(WorkflowValidationError) as caught:

        @step
        async def f(ev: StartEvent) -> StopEvent:
            return StopEvent()

    refused(
        caught, "To decorate f please pass a workflow class to the @step decorator.", step_name="f"
    )


def test_a_free_function_whose_name_is_taken():
    class Flow(Workflow):
        @step
        async def f(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

    text = "A step f is already part of this workflow, please choose another name."
    with pytest.raises(WorkflowValidationError) as caught:

        @step(workflow=Flow)
        async def f(ev: StartEvent) -> StopEvent:
            return StopEvent()

    refused(caught, text, step_name="f")

    class Sub(Flow):
        pass

    with pytest.raises(WorkflowValidationError) as caught:

        @step(workflow=Sub)
        async def f(ev: StartEvent) -> StopEvent:
            return StopEvent()

    refused(caught, text, step_name="f")


def test_add_step_without_the_decorator():
    class Flow(Workflow):
        pass

    async def f(ev: StartEvent) -> StopEvent:
        return StopEvent()

    with pytest.raises(WorkflowValidationError) as caught:
        Flow.add_step(f)
    refused(
        caught,
        "Step function f is missing the `@step` decorator.",
        step_name="f",
        lines=lines_of(f),
    )


def test_an_override_without_the_decorator():
    class Base(Workflow):
        @step
        async def t(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

    class Between(Base):
        pass

    with pytest.raises(WorkflowValidationError) as caught:

        class Sub(Between):
            async def t(self, ev: StartEvent) -> StopEvent:
                return StopEvent()

    refused(
        caught,
        "Method 't' of 'Sub' overrides step 't' of 'Base' but has no @step decorator.",
        step_name="t",
    )


# ---------------------------------------------------------------- C: the constructor


OPTIONS = {
    "num_concurrent_runs": (
        [0, -1, 1.5, "2", True, math.inf],
        "num_concurrent_runs must be an integer greater than 0 or None",
    ),
    "timeout": (
        [0, -1, 0.0, "2", True, math.nan],
        "timeout must be a number greater than 0 or None",
    ),
    "on_stop": (["stop", None, True], "on_stop must be 'cancel' or 'drain'"),
    "skip_graph_checks": ([["foo"], "foo"], UNKNOWN_CHECK),
}


@pytest.mark.parametrize(
    ("option", "bad", "text"),
    [(option, bad, text) for option, (values, text) in OPTIONS.items() for bad in values],
)
def test_options(option, bad, text):
    first = here()
    with pytest.raises(WorkflowValidationError) as caught:
        Fine(**{option: bad})
    refused(caught, text, lines=(first, here()))


@pytest.mark.parametrize("timeout", [1, 0.5, math.inf, None])
def test_timeouts_that_are_fine(timeout):
    assert Fine(timeout=timeout).validate() is False


def test_several_wrong_options_at_once():
    with pytest.raises(WorkflowValidationError) as caught:
        Fine(timeout=0, num_concurrent_runs=0, on_stop="stop", skip_graph_checks=["foo"])
    assert {fault.text for fault in caught.value.faults} == {text for _, text in OPTIONS.values()}
    assert str(caught.value).startswith("4 faults in workflow 'Fine':\n")


def test_no_start_event():
    class W(Workflow):
        @step
        async def s(self, ev: HumanResponseEvent) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowConfigurationError) as caught:
        W()
    refused(
        caught,
        "At least one Event of type StartEvent must be received by any step. "
        "(Workflow 'W' has no @step that accepts StartEvent.)",
        lines=lines_of(W),
    )


def test_no_stop_event():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> None:
            return None

    with pytest.raises(WorkflowConfigurationError) as caught:
        W()
    refused(
        caught,
        "At least one Event of type StopEvent must be returned by any step. "
        "(Workflow 'W' has no @step that returns StopEvent.)",
        lines=lines_of(W),
    )
    assert W(skip_graph_checks=["terminal_event", "dead_end"]).validate() is False


def test_two_start_events():
    class S1(StartEvent):
        pass

    class W(Workflow):
        @step
        async def s(self, ev: S1) -> StopEvent:
            return StopEvent()

        @step
        async def t(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowConfigurationError) as caught:
        W()
    refused(
        caught,
        "Only one type of StartEvent is allowed per workflow, found 2: S1, StartEvent "
        "in workflow 'W'.",
        lines=lines_of(W),
    )


def test_two_stop_events():
    class E1(StopEvent):
        pass

    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent | E1:
            return StopEvent()

    with pytest.raises(WorkflowConfigurationError) as caught:
        W()
    refused(
        caught,
        "Only one type of StopEvent is allowed per workflow, found 2: StopEvent, E1 "
        "in workflow 'W'.",
        lines=lines_of(W),
    )


def test_a_workflow_without_steps():
    class Empty(Workflow):
        pass

    with pytest.raises(WorkflowConfigurationError) as caught:
        Empty()
    assert len(caught.value.faults) == 2


# ---------------------------------------------------------------- V: the graph


def both(make):
    """`run()` and `validate()` say the same."""
    flow = make()
    with pytest.raises(WorkflowValidationError) as one:
        flow.validate()
    with pytest.raises(WorkflowValidationError) as other:
        flow.run()
    assert str(one.value) == str(other.value)
    return one


@pytest.mark.parametrize(
    ("annotation", "name"), [(A, "A"), (str, "str"), (Any, "Any"), (A | B, "A, B")], ids=str
)
def test_an_event_that_nobody_consumes(annotation, name):
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> annotation | StopEvent:
            return StopEvent()

    refused(
        both(W),
        f"The following events are produced but never consumed: {name}",
        step_name="s",
        lines=lines_of(W.s),
    )


def test_an_event_that_nobody_produces():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent | A) -> StopEvent:
            return StopEvent()

    refused(
        both(W),
        "The following events are consumed but never produced: A",
        step_name="s",
        lines=lines_of(W.s),
    )


def test_events_that_need_no_producer_or_consumer():
    class Seen(Event, observable=True):
        pass

    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> InputRequiredEvent | Seen:
            return InputRequiredEvent()

        @step
        async def t(self, ev: HumanResponseEvent) -> StopEvent:
            return StopEvent()

    assert W().validate() is True


def test_a_step_that_accepts_the_stop_event():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            return StopEvent()

        @step
        async def s2(self, ev: StopEvent) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowValidationError) as caught:
        W().run()
    fault = caught.value.faults[0]
    assert fault.text == (
        "Step 's2' cannot accept StopEvent. StopEvent signals the end of the workflow. "
        "Use a different Event type instead."
    )
    assert (fault.file, fault.step) == (__file__, "s2")


class Unreachable(Workflow):
    @step
    async def s(self, ev: StartEvent) -> StopEvent:
        return StopEvent()

    @step
    async def l1(self, ev: A) -> B | StopEvent:
        return B()

    @step
    async def l2(self, ev: B) -> A:
        return A()


def test_unreachable_steps():
    refused(
        both(Unreachable),
        "Graph validation failed:\n"
        "  - [reachability] Unreachable steps: l1, l2\n"
        "    Steps must be reachable from StartEvent or HumanResponseEvent.",
        step_name="l1",
        lines=lines_of(Unreachable.l1),
    )
    assert Unreachable(skip_graph_checks=["reachability"]).validate() is False


class DeadEnd(Workflow):
    @step
    async def s(self, ev: StartEvent) -> A | StopEvent:
        return StopEvent()

    @step
    async def l1(self, ev: A) -> B:
        return B()

    @step
    async def l2(self, ev: B) -> A | None:
        return None


def test_dead_ends():
    refused(
        both(DeadEnd),
        "Graph validation failed:\n"
        "  - [dead_end] Dead-end steps: l1, l2\n"
        "    Steps must have a path to StopEvent or InputRequiredEvent.",
        step_name="l1",
        lines=lines_of(DeadEnd.l1),
    )
    assert DeadEnd(skip_graph_checks=["dead_end"]).validate() is False


def test_a_graph_check_skipped_by_a_step():
    class W(DeadEnd):
        @step(skip_graph_checks=["dead_end"])
        async def l2(self, ev: B) -> A | None:
            return None

    refused(
        both(W),
        "Graph validation failed:\n"
        "  - [dead_end] Dead-end steps: l1\n"
        "    Steps must have a path to StopEvent or InputRequiredEvent.",
        step_name="l1",
    )


async def test_the_graph_is_checked_once(monkeypatch):
    from plait._strands._events import workflow

    def counting(graph):
        checks.append(graph)
        return graph_faults(graph)

    checks, graph_faults = [], workflow.graph_faults
    monkeypatch.setattr(workflow, "graph_faults", counting)
    flow = Fine()
    for _ in range(3):
        await flow.run()
        flow.validate()
    assert len(checks) == 1

    class Late(Fine):
        pass

    late = Late()
    await late.run()

    @step(workflow=Late)
    async def t(ev: A) -> StopEvent:
        return StopEvent()

    with pytest.raises(WorkflowValidationError, match="consumed but never produced: A"):
        late.run()


def test_many_faults_at_once():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent | C:
            return StopEvent()

        @step
        async def l1(self, ev: A) -> B:
            return B()

        @step
        async def l2(self, ev: B) -> str:
            return ""

    (*faults,) = both(W).value.faults
    text = str(both(W).value)
    assert [fault.text.splitlines()[-1] for fault in faults] == [
        "The following events are produced but never consumed: C",
        "The following events are produced but never consumed: str",
        "The following events are consumed but never produced: A",
        "    Steps must be reachable from StartEvent or HumanResponseEvent.",
        "    Steps must have a path to StopEvent or InputRequiredEvent.",
    ]
    assert text.startswith("5 faults in workflow 'W':\n")
    for fault in faults:
        assert fault.text in text
        assert fault.file == __file__
        assert f"{fault.file}:{fault.line}" in text
        assert fault.step is not None


def test_several_annotations_that_cannot_be_resolved_are_told_at_once():
    class W(Workflow):
        @step
        async def s(self, ev: "Foo") -> StopEvent:  # noqa: F821
            return StopEvent()

        @step
        async def t(self, ev: StartEvent) -> "Bar":  # noqa: F821
            return StopEvent()

    with pytest.raises(WorkflowValidationError) as caught:
        W().run()
    assert [fault.step for fault in caught.value.faults] == ["s", "t"]


# ---------------------------------------------------------------- V: the call of run()


class Greeter(Workflow):
    @step
    async def s(self, ev: Typed) -> StopEvent:
        return StopEvent(result=ev.text)


def raises(kind, text):
    return pytest.raises(kind, match=f"^{re.escape(text)}")


def test_the_start_event():
    flow = Greeter()
    with raises(
        WorkflowRuntimeError,
        "Failed creating a start event of type 'Typed' with the keyword arguments: {'x': 1}",
    ):
        flow.run(x=1)
    with raises(WorkflowRuntimeError, "Workflow 'Greeter' starts with Typed, not StartEvent."):
        flow.run(start_event=StartEvent())
    with raises(ValueError, "The 'start_event' argument must be an instance of 'StartEvent'."):
        flow.run(start_event=A())
    with raises(TypeError, "run() got a start_event and also fields for one: text"):
        flow.run(start_event=Typed(text="a"), text="b")


def test_the_run_id():
    with raises(WorkflowRuntimeError, "run_id must match [A-Za-z0-9_-]{1,64}, not 'a/b'"):
        Fine().run(run_id="a/b")


async def test_a_live_run_id():
    flow = Fine()
    async with flow.run(run_id="dup"):
        with raises(WorkflowRuntimeError, "Workflow run with run_id 'dup' already exists."):
            flow.run(run_id="dup")


async def test_options_of_older_frameworks():
    with raises(
        TypeError, "run() has no option 'stepwise'. Write run = wf.run(...); run.stepwise()"
    ):
        Fine().run(stepwise=True)
    with raises(
        TypeError, "run() has no option 'checkpoint_callback'. Write run = wf.run(...); run"
    ):
        Fine().run(checkpoint_callback=True)

    class Begin(StartEvent):
        stepwise: bool
        checkpoint_callback: object = None

    class Declares(Workflow):
        @step
        async def s(self, ev: Begin) -> StopEvent:
            return StopEvent(result=(ev.stepwise, ev.checkpoint_callback))

    assert await Declares().run(stepwise=True, checkpoint_callback=1) == (True, 1)


# ---------------------------------------------------------------- R: while running


@pytest.mark.anyio
@pytest.mark.parametrize("value", ["text", 1, [A()], A, False])
async def test_a_wrong_return(value):
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent:
            return value

    if isinstance(value, list):
        text = "Step function s returned"  # lists are a feature of their own
    else:
        kind = type(value).__name__
        text = f"Step function s returned {kind} instead of an Event instance."
    with raises(WorkflowRuntimeError, text):
        await W().run()


class Nobody(Workflow):
    def __init__(self, event, *, send):
        super().__init__(workflow_name="W")
        self.event, self.send = event, send

    @step
    async def s(self, ctx: Context, ev: StartEvent) -> A | StopEvent:
        if self.send:
            ctx.send_event(self.event)
        return self.event

    @step
    async def t(self, ev: A) -> StopEvent:
        return StopEvent()


@pytest.mark.anyio
async def test_no_receiver():
    with raises(
        WorkflowRuntimeError, "Step 's' returned B, but no step of workflow 'W' accepts it.\n"
    ):
        await Nobody(B(), send=False).run()
    with raises(WorkflowRuntimeError, "Step 's' sent B, but no step of workflow 'W' accepts it.\n"):
        await Nobody(B(), send=True).run()
    async with Nobody(A(), send=False).run() as run:
        with raises(
            WorkflowRuntimeError, "B was sent, but no step of workflow 'W' accepts it.\n"
        ) as caught:
            run.send_event(B())
    assert "subclasses" not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("send", [False, True])
async def test_no_receiver_for_a_subclass(send):
    with pytest.raises(WorkflowRuntimeError) as caught:
        await Nobody(A2(), send=send).run()
    assert "Step 't' accepts its base A: use @step(accept_event_subclasses=True)." in str(
        caught.value
    )


@pytest.mark.anyio
async def test_a_misspelt_class_is_corrected():
    class StepTwoEvent(Event):
        pass

    class StepTwoEvnt(Event):
        pass

    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StepTwoEvent:
            return StepTwoEvnt()

        @step
        async def t(self, ev: StepTwoEvent) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowRuntimeError) as caught:
        await W().run()
    text = str(caught.value)
    assert text.startswith("Step 's' returned StepTwoEvnt, but no step of workflow 'W' accepts it.")
    assert "accepted: StartEvent (s), StepTwoEvent (t)" in text
    assert "Did you mean StepTwoEvent?" in text


@pytest.mark.anyio
async def test_targets():
    async with Nobody(A(), send=False).run() as run:
        with raises(WorkflowStepDoesNotExistError, "Step x does not exist"):
            run.send_event(A(), step="x")
        with raises(
            WorkflowRuntimeError, f"Step t does not accept event of type <class '{__name__}.B'>"
        ):
            run.send_event(B(), step="t")


@pytest.mark.anyio
async def test_after_the_end():
    run = Fine().run(run_id="ID")
    await run
    with raises(WorkflowRuntimeError, "Run ID of workflow 'Fine' has ended; B was not sent."):
        run.send_event(B())
    with raises(WorkflowRuntimeError, "Run ID of workflow 'Fine' has ended"):
        run.ctx.write_event_to_stream(B())


@pytest.mark.anyio
async def test_a_second_start():
    run = Fine().run(run_id="ID")
    async with run:
        with raises(WorkflowRuntimeError, "Run ID of workflow 'Fine' has already been started."):
            await run.__aenter__()


async def test_a_timeout(autojump_clock):
    class W(Workflow):
        @step
        async def p(self, ev: StartEvent) -> StopEvent:
            await anyio.sleep_forever()
            return StopEvent()

    with raises(
        WorkflowTimeoutError,
        "Operation timed out after 0.1 seconds. Currently active steps: p\n"
        "Workflow 'W' is running.\n",
    ):
        await W(timeout=0.1).run()


@pytest.mark.anyio
async def test_a_cancelled_run():
    run = Fine().run(run_id="ID")
    run.cancel()
    with raises(WorkflowCancelledByUser, "Run ID of workflow 'Fine' was cancelled."):
        await run


@pytest.mark.anyio
async def test_a_stall():
    class W(Workflow):
        @step
        async def s(self, ev: StartEvent) -> StopEvent | None:
            return None

    with raises(
        WorkflowStalledError,
        "Workflow 'W' is stalled: nothing is queued, running or due, "
        "and no step returned StopEvent.\n  last returned None: step 's'",
    ):
        await W().run()


@pytest.mark.anyio
async def test_a_long_explanation_is_cut():
    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A | None:
            for n in range(50):
                ctx.send_event(A(n=n))

        @step
        async def t(self, ctx: Context, ev: A) -> StopEvent | None:
            return ctx.collect_events(ev, [A, A], key=lambda event: event.n) and StopEvent()

    with pytest.raises(WorkflowStalledError) as caught:
        await W().run()
    head, *lines, last = str(caught.value).splitlines()
    assert "is stalled" in head
    assert len(lines) == 20
    assert lines[7] == "  step 't': collect_events(buffer 'default', key 7) has A 1/2"
    assert last == "  ... and 31 more"
    assert len(caught.value.waiting) == 50


@pytest.mark.anyio
async def test_collecting_what_is_no_input():
    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.collect_events(A(), [A])
            return StopEvent()

    with raises(
        WorkflowRuntimeError,
        "Step 's' called collect_events with an event that is not its input.",
    ):
        await W().run()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "expected", [A, [int], [A()], {A: 1.5}, {A: -1}, {A: True}, "A", None], ids=str
)
async def test_collecting_what_is_no_event_class(expected):
    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.collect_events(ev, expected)
            return StopEvent()

    with pytest.raises(TypeError, match="collect_events expects"):
        await W().run()


@pytest.mark.anyio
@pytest.mark.parametrize("what", ["text", A, 1])
async def test_sending_and_writing_what_is_no_event(what):
    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            for call in (ctx.send_event, ctx.write_event_to_stream):
                with pytest.raises((TypeError, WorkflowRuntimeError)) as caught:
                    call(what)
                texts.append(str(caught.value))
            return StopEvent()

    texts = []
    await W().run()
    assert all(type(what).__name__ in text or repr(what) in text for text in texts)


@pytest.mark.anyio
async def test_a_context_that_no_run_has():
    ctx = Context(Fine())
    with raises(
        ContextStateError,
        "send_event() called before workflow started. Call workflow.run() first.",
    ):
        ctx.send_event(A())
    with raises(
        ContextStateError,
        "collect_events requires a running workflow. Call workflow.run() first.",
    ):
        ctx.collect_events(A(), [A])
    assert ctx.is_running is False


@pytest.mark.anyio
async def test_a_context_outside_of_steps():
    async with Fine().run() as run:
        with raises(
            ContextStateError, "collect_events is only available from within step functions."
        ):
            run.ctx.collect_events(A(), [A])
        with raises(ContextStateError, "step_name is only available from within step functions."):
            _ = run.ctx.step_name


@pytest.mark.anyio
async def test_a_context_that_is_kept_beyond_its_step():
    """Whatever it is asked, that is a mistake of the program and no bug of plait's."""

    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            kept.append((ctx, ev))
            return StopEvent()

    kept = []
    await W().run()
    ((ctx, ev),) = kept
    for call in (
        lambda: ctx.send_event(A()),
        lambda: ctx.write_event_to_stream(A()),
        lambda: ctx.collect_events(ev, [StartEvent] * 2),
    ):
        with pytest.raises(PlaitError) as caught:
            call()
        assert isinstance(caught.value, WorkflowRuntimeError | ContextStateError)
        assert "bug in plait" not in str(caught.value)


@pytest.mark.anyio
async def test_a_context_that_is_kept_beyond_its_delivery_while_the_run_goes_on():
    class W(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> A:
            kept.append((ctx, ev))
            return A()

        @step
        async def t(self, ev: A) -> StopEvent:
            ((ctx, old),) = kept
            ctx.write_event_to_stream(B())
            with pytest.raises(PlaitError) as caught:
                ctx.collect_events(old, [StartEvent] * 2)
            return StopEvent(result=caught.value)

    kept = []
    error = await W().run()
    assert isinstance(error, WorkflowRuntimeError | ContextStateError)
