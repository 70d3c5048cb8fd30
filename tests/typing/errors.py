"""The errors: what they are, and what they carry. Checked, never run."""

from typing import assert_type

import plait
from plait import Workflow
from plait.errors import (
    ContextSerdeError,
    ContextStateError,
    Fault,
    MissingExtra,
    PlaitError,
    PlaitInternalError,
    StepTimeoutError,
    StreamFullError,
    UnreconstructedException,
    WorkflowCancelledByUser,
    WorkflowConfigurationError,
    WorkflowDone,
    WorkflowRuntimeError,
    WorkflowStalledError,
    WorkflowStepDoesNotExistError,
    WorkflowTimeoutError,
    WorkflowValidationError,
)
from plait.events import Waiting

# Each is what section 2.6 of its contract says: an instance may stand for its base.

every: list[PlaitError] = [
    ContextStateError(),
    WorkflowCancelledByUser(),
    WorkflowDone(),
    UnreconstructedException(),
    PlaitInternalError("x"),
]
for_values: list[ValueError] = [ContextSerdeError()]
for_imports: list[ImportError] = [MissingExtra()]
for_timeouts: list[TimeoutError] = [WorkflowTimeoutError(), StepTimeoutError()]
of_steps: list[WorkflowTimeoutError] = [StepTimeoutError()]
of_runs: list[WorkflowRuntimeError] = [
    WorkflowStalledError("x"),
    WorkflowStepDoesNotExistError(),
    StreamFullError(),
]
of_classes: list[WorkflowValidationError] = [WorkflowConfigurationError("x")]


def handles(workflow: Workflow[int]) -> None:
    try:
        assert_type(plait.run(workflow), int)
    except WorkflowValidationError as error:
        assert_type(error.faults, tuple[Fault, ...])
        for fault in error.faults:
            assert_type(fault.text, str)
            assert_type(fault.file, str | None)
            assert_type(fault.line, int | None)
            assert_type(fault.step, str | None)
            fault.line = 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
        error.waiting  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    except WorkflowStalledError as error:
        assert_type(error.waiting, tuple[Waiting, ...])
        assert_type(error.waiting[0].need, dict[str, int])


def handles_several(workflow: Workflow[int]) -> None:
    try:
        plait.run(workflow)
    except* (OSError, WorkflowTimeoutError) as group:
        assert_type(group, ExceptionGroup[OSError | WorkflowTimeoutError])
