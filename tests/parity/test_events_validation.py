"""Rows 110 and 111: faults come all at once, each with its place, and checks can be left out."""

import inspect

import pytest

from plait import Context, StartEvent, StopEvent, Workflow, step
from plait.errors import WorkflowConfigurationError, WorkflowValidationError
from tests.parity.letters import A, B


def line_of(func):
    lines, first = inspect.getsourcelines(func)
    return first, first + len(lines) - 1


def test_row_110_two_faults_are_told_at_once_with_file_and_line():
    class Flow(Workflow):
        @step
        async def s(self, ev: StartEvent) -> A | StopEvent:
            return A()

        @step
        async def t(self, ev: B) -> StopEvent:
            return StopEvent()

    with pytest.raises(WorkflowValidationError) as caught:
        Flow(skip_graph_checks=["reachability"]).run()
    unconsumed, unproduced = caught.value.faults
    assert unconsumed.text == "The following events are produced but never consumed: A"
    assert unproduced.text == "The following events are consumed but never produced: B"
    assert str(caught.value).startswith("2 faults in workflow 'Flow':\n")
    for fault, func in ((unconsumed, Flow.s), (unproduced, Flow.t)):
        assert fault.step == func.__name__
        assert fault.file == __file__
        first, last = line_of(func)
        assert first <= fault.line <= last
        assert fault.text in str(caught.value)
        assert f"{fault.file}:{fault.line}" in str(caught.value)


def test_row_110_two_faults_of_the_configuration():
    class Flow(Workflow):
        @step
        async def s(self, ev: A) -> B:
            return B()

    with pytest.raises(WorkflowConfigurationError) as caught:
        Flow()
    start, stop = caught.value.faults
    assert start.text == (
        "At least one Event of type StartEvent must be received by any step. "
        "(Workflow 'Flow' has no @step that accepts StartEvent.)"
    )
    assert stop.text == (
        "At least one Event of type StopEvent must be returned by any step. "
        "(Workflow 'Flow' has no @step that returns StopEvent.)"
    )
    for fault in (start, stop):
        assert fault.text in str(caught.value)
        assert fault.file == __file__
        first, last = line_of(Flow)
        assert first <= fault.line <= last
        assert f"{fault.file}:{fault.line}" in str(caught.value)


@pytest.mark.anyio
async def test_row_111_without_validation_an_unproduced_event_is_no_fault():
    class Flow(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent | None:
            ctx.send_event(A())

        @step
        async def t(self, ev: A) -> StopEvent:
            return StopEvent(result="t")

    with pytest.raises(WorkflowValidationError, match="consumed but never produced: A"):
        Flow().run()
    assert await Flow(disable_validation=True).run() == "t"
