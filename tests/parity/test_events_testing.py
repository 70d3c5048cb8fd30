"""Row 125: `WorkflowTestRunner` runs a workflow and keeps all that it has shown."""

from collections.abc import Sequence

import anyio.lowlevel
import attrs
import pytest
from attrs.exceptions import FrozenInstanceError

import plait
from plait import (
    Context,
    Event,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from plait.errors import (
    WorkflowCancelledByUser,
    WorkflowRuntimeError,
    WorkflowTimeoutError,
    WorkflowValidationError,
)
from plait.events import StepState, StepStateChanged, WorkflowIdleEvent
from plait.testing import WorkflowTestResult, WorkflowTestRunner
from tests.parity.letters import A2, A, B

pytestmark = pytest.mark.anyio


class Shows(Workflow[str]):
    """Shows two `A`s, one `A2`, a `B` and its topic."""

    @step
    async def start(self, ctx: Context, ev: StartEvent) -> B:
        ctx.write_event_to_stream(A(n=1))
        ctx.write_event_to_stream(A2(n=2))
        await ctx.store.set("topic", ev.get("topic", "none"))
        return B(n=3)

    @step
    async def end(self, ctx: Context, ev: B) -> StopEvent:
        ctx.write_event_to_stream(A(n=4))
        return StopEvent(result=await ctx.store.get("topic"))


async def test_row_125_it_collects_events_counts_and_result():
    test = await WorkflowTestRunner(Shows()).run(expose_internal=False)
    assert isinstance(test, WorkflowTestResult)
    assert test.collected == [A(n=1), A2(n=2), A(n=4), StopEvent(result="none")]
    assert test.event_types == {A: 2, A2: 1, StopEvent: 1}
    assert test.result == "none"
    assert await test.ctx.store.get("topic") == "none"


async def test_row_125_internal_events_are_collected_by_default():
    test = await WorkflowTestRunner(Shows()).run()
    changes = [event for event in test.collected if isinstance(event, StepStateChanged)]
    assert [(change.name, change.step_state) for change in changes] == [
        ("start", StepState.RUNNING),
        ("start", StepState.NOT_RUNNING),
        ("end", StepState.RUNNING),
        ("end", StepState.NOT_RUNNING),
    ]
    assert test.event_types == {StepStateChanged: 4, A: 2, A2: 1, StopEvent: 1}
    assert test.collected[0] == changes[0], "not one is missed"
    assert sum(test.event_types.values()) == len(test.collected)


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
async def test_row_125_excluded_classes_are_left_out(kind):
    excluded = kind([StepStateChanged, A])
    test = await WorkflowTestRunner(Shows()).run(exclude_events=excluded)
    assert test.collected == [A2(n=2), StopEvent(result="none")], "a subclass is not excluded"
    assert test.event_types == {A2: 1, StopEvent: 1}


async def test_row_125_everything_may_be_excluded():
    test = await WorkflowTestRunner(Shows()).run(
        expose_internal=False, exclude_events=[A, A2, StopEvent]
    )
    assert test.collected == []
    assert test.event_types == {}
    assert test.result == "none"


async def test_row_125_the_start_event_is_the_callers():
    test = await WorkflowTestRunner(Shows()).run(StartEvent(topic="trees"))
    assert test.result == "trees"


async def test_row_125_a_context_goes_on_from_run_to_run():
    class Counts(Workflow):
        @step
        async def count(self, ctx: Context, ev: StartEvent) -> StopEvent:
            n = await ctx.store.get("n", 0) + 1
            await ctx.store.set("n", n)
            return StopEvent(result=n)

    flow = Counts()
    runner, ctx = WorkflowTestRunner(flow), Context(flow)
    assert (await runner.run(ctx=ctx)).result == 1
    test = await runner.run(None, ctx)
    assert test.result == 2
    assert test.ctx is ctx
    assert (await runner.run()).result == 1


async def test_row_125_a_result_of_a_class_of_its_own():
    class Report(StopEvent):
        total: int

    class Flow(Workflow):
        @step
        async def work(self, ev: StartEvent) -> Report:
            return Report(total=1)

    test = await WorkflowTestRunner(Flow()).run(expose_internal=False)
    assert test.result == Report(total=1)
    assert test.event_types == {Report: 1}


@pytest.mark.parametrize("internal", [True, False])
async def test_row_125_a_failing_run_raises_its_own_exception(internal):
    class Fails(Workflow):
        @step
        async def work(self, ev: StartEvent) -> StopEvent:
            raise KeyError("gone")

    with pytest.raises(KeyError, match="gone") as caught:
        await WorkflowTestRunner(Fails()).run(expose_internal=internal)
    assert any("in step 'work'" in note for note in caught.value.__notes__)


async def test_row_125_a_timeout_is_raised():
    class Slow(Workflow):
        @step
        async def work(self, ev: StartEvent) -> StopEvent:
            await anyio.sleep_forever()
            return StopEvent()

    with pytest.raises(WorkflowTimeoutError):
        await WorkflowTestRunner(Slow(timeout=0.01)).run()


async def test_row_125_a_cancelled_run_says_so():
    runs = []

    class Flow(Workflow):
        def run(self, *args, **kwargs):
            runs.append(super().run(*args, **kwargs))
            return runs[-1]

        @step
        async def work(self, ev: StartEvent) -> StopEvent:
            runs[0].cancel()
            await anyio.sleep_forever()
            return StopEvent()

    with pytest.raises(WorkflowCancelledByUser):
        await WorkflowTestRunner(Flow()).run()


async def test_row_125_cancelling_the_caller_cancels_the_run():
    seen = []

    class Flow(Workflow):
        @step
        async def work(self, ev: StartEvent) -> StopEvent:
            scope.cancel()
            try:
                await anyio.sleep_forever()
            finally:
                seen.append("cancelled")
            return StopEvent()

    with anyio.CancelScope() as scope:
        await WorkflowTestRunner(Flow()).run()
    assert scope.cancelled_caught
    assert seen == ["cancelled"]


async def test_row_125_an_idle_run_shows_that_it_is_idle():
    class Asks(Workflow):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
            try:
                await ctx.wait_for_event(A, InputRequiredEvent(), timeout=0.01)
            except TimeoutError:
                return StopEvent(result="nobody")

    test = await WorkflowTestRunner(Asks()).run()
    assert test.result == "nobody"
    assert test.event_types[WorkflowIdleEvent] == 1
    assert test.event_types[InputRequiredEvent] == 1


async def test_row_125_in_an_open_runtime_it_is_the_same():
    async with plait.open_runtime():
        test = await WorkflowTestRunner(Shows()).run(StartEvent(topic="x"))
    assert test.event_types == {StepStateChanged: 4, A: 2, A2: 1, StopEvent: 1}
    assert test.result == "x"


async def test_row_125_a_small_buffer_is_no_obstacle():
    class Emits(Workflow):
        @step
        async def work(self, ctx: Context, ev: StartEvent) -> StopEvent:
            for n in range(10):
                await ctx.emit(A(n=n))
            return StopEvent()

    test = await WorkflowTestRunner(Emits(stream_buffer=1)).run(expose_internal=False)
    assert test.collected[:-1] == [A(n=n) for n in range(10)]


async def test_row_125_many_events_are_all_there_in_order():
    class Many(Workflow):
        @step
        async def work(self, ctx: Context, ev: StartEvent) -> StopEvent:
            for n in range(500):
                ctx.write_event_to_stream(A(n=n))
                if n % 100 == 0:
                    await anyio.lowlevel.checkpoint()
            return StopEvent()

    test = await WorkflowTestRunner(Many()).run()
    assert [event.n for event in test.collected if isinstance(event, A)] == [*range(500)]


async def test_row_125_the_result_is_frozen():
    test = await WorkflowTestRunner(Shows()).run(expose_internal=False)
    with pytest.raises(FrozenInstanceError):
        test.result = "other"
    assert [field.name for field in attrs.fields(WorkflowTestResult)] == [
        "collected",
        "event_types",
        "result",
        "ctx",
    ]


@pytest.mark.parametrize(
    ("workflow", "text"),
    [
        (Shows, r"takes an instance. Write Shows\(...\), not Shows"),
        (5, "takes a Workflow, not 5"),
        (None, "takes a Workflow, not None"),
        (StartEvent, "takes a Workflow, not <class"),
    ],
)
async def test_row_125_only_a_workflow_will_do(workflow, text):
    with pytest.raises(TypeError, match=text):
        WorkflowTestRunner(workflow)


@pytest.mark.parametrize(
    ("excluded", "text"),
    [
        (A, r"must be a list of event classes, not <class .*A'>"),
        ("A", "must be a list of event classes, not 'A'"),
        (5, "must be a list of event classes, not 5"),
        ([A(n=1)], r"must hold event classes, not A\(n=1\)"),
        ([A, int], "must hold event classes, not <class 'int'>"),
        (["A"], "must hold event classes, not 'A'"),
        ([Sequence[Event]], "must hold event classes, not "),
    ],
)
async def test_row_125_only_event_classes_can_be_excluded(excluded, text):
    with pytest.raises(TypeError, match=f"exclude_events {text}"):
        await WorkflowTestRunner(Shows()).run(exclude_events=excluded)


async def test_row_125_what_run_refuses_is_refused():
    runner = WorkflowTestRunner(Shows())
    with pytest.raises(ValueError, match="must be an instance of 'StartEvent'"):
        await runner.run(A())
    with pytest.raises(TypeError):
        await runner.run(topic="x")

    class Begin(StartEvent):
        topic: str

    with pytest.raises(WorkflowRuntimeError, match="starts with StartEvent, not Begin"):
        await runner.run(Begin(topic="x"))

    class Needs(Workflow):
        @step
        async def work(self, ev: Begin) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowRuntimeError, match="Failed creating a start event"):
        await WorkflowTestRunner(Needs()).run()

    class Lost(Workflow):
        @step
        async def work(self, ev: StartEvent) -> A | StopEvent:
            return A()

    with pytest.raises(WorkflowValidationError):
        await WorkflowTestRunner(Lost()).run()


async def test_row_125_its_names_are_those_of_the_facade():
    assert WorkflowTestRunner.__module__ == WorkflowTestResult.__module__ == "plait.testing"
