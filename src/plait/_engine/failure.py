"""How the end of a run is raised: one failure as it is, several as a group, none lost."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, cast

import attrs

from plait._errors import (
    JournalError,
    PlaitInternalError,
    WorkflowCancelledByUser,
    WorkflowStalledError,
    WorkflowTimeoutError,
)
from plait._event import (
    StepFailedEvent,
    StopEvent,
    WorkflowCancelledEvent,
    WorkflowFailedEvent,
    WorkflowTimedOutEvent,
)
from plait._kernel import records
from plait._kernel.explain import waiting
from plait._kernel.state import Failure, RunState
from plait._show import show

from . import native

#: Characters of an input event in a note.
MOST_OF_AN_EVENT: Final = 200


@attrs.frozen
class Conclusion:
    """What a run came to: its result, or what is raised instead; and its last event."""

    result: object
    error: BaseException | None
    last_event: StopEvent
    #: Was it ended by a cancellation and nothing else?
    cancelled: bool = False


def split(
    error: BaseException, cancelled: type[BaseException]
) -> tuple[BaseException | None, BaseException | None]:
    """Part what the backend's cancellation raised from what failed beside it.

    The cancellation comes back as a single exception, never a group of them: AnyIO takes only that
    for a cancellation.
    """
    if isinstance(error, cancelled):
        return error, None
    if not isinstance(error, BaseExceptionGroup):
        return None, error
    group = cast("BaseExceptionGroup[BaseException]", error)
    ours: BaseException | None
    ours, rest = group.split(cancelled)
    if ours is None:
        return None, group  # the very one that was raised
    while inner := _parts(ours):
        ours = inner[0]
    return ours, rest


def unwrap(error: BaseException | None) -> BaseException | None:
    """Take a lone exception out of the groups that nurseries have put around it."""
    while len(inner := _parts(error)) == 1:
        error = inner[0]
    return error


def contains(error: BaseException, wanted: BaseException) -> bool:
    """Say whether an exception is another one, or a group that has it inside."""
    return error is wanted or any(contains(part, wanted) for part in _parts(error))


def _parts(error: BaseException | None) -> Sequence[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return ()
    return cast("BaseExceptionGroup[BaseException]", error).exceptions


def annotate(state: RunState, failure: Failure) -> BaseException:
    """Say in the notes of a failure where it happened, and on what input."""
    handled = failure.event
    if isinstance(handled, StepFailedEvent) and handled.exception is not failure.error:
        failure.error.__cause__ = failure.error.__cause__ or handled.exception
    if (cure := native.foreign_wait(failure.error)) is not None:
        _note(failure.error, cure)
    _note(
        failure.error,
        f"in step {failure.step!r} of workflow {state.plan.name!r} "
        f"(run {state.run_id}, delivery {failure.delivery}, attempt {failure.attempt})",
    )
    _note(failure.error, f"input event: {show(failure.event, MOST_OF_AN_EVENT)}")
    return failure.error


def _note(error: BaseException, text: str) -> None:
    """Add a note, whatever a user's class has made of `add_note` and of `__notes__`."""
    with suppress(Exception):
        BaseException.add_note(error, text)


def conclude(
    state: RunState,
    *,
    story: str,
    others: Sequence[BaseException],
    disowned: bool,
) -> Conclusion:
    """Say what a run that is over came to.

    `story` is how it stood when it was decided; `others` what failed beside the bodies; `disowned`
    whether the scope that owns the run was cancelled.
    """
    failures = [annotate(state, failure) for failure in state.failures]
    failures += others
    match state.outcome:
        case records.Stopped(event) if not failures:
            assert isinstance(event, StopEvent)
            result = event.result if type(event) is StopEvent else event
            return Conclusion(result, None, event)
        case records.Stopped(event):
            for failure in failures:
                text = f"raised while cleaning up; the run had stopped with {show(event)}"
                _note(failure, text)
            error = _together(state, failures)
            return Conclusion(None, error, _failed(state, error))
        case records.Finished():
            if not failures:
                return Conclusion(None, None, StopEvent())
            error = _together(state, failures)
            return Conclusion(None, error, _failed(state, error))
        case records.Crashed():
            error = _together(state, failures)
            return Conclusion(None, error, _failed(state, error))
        case records.Stalled():
            error = _together(state, [WorkflowStalledError(story, waiting(state)), *failures])
            return Conclusion(None, error, _failed(state, error))
        case records.TimedOut(active, seconds):
            names = ", ".join(active)
            where = f"Currently active steps: {names}" if active else "No steps active"
            after = "" if seconds is None else f" after {seconds} seconds"
            late = WorkflowTimeoutError(f"Operation timed out{after}. {where}\n{story}")
            last = WorkflowTimedOutEvent(timeout=seconds or 0.0, active_steps=list(active))
            return Conclusion(None, _together(state, [late, *failures]), last)
        case records.Cancelled(by_owner):
            if by_owner and failures:
                error = _together(state, failures)
                # If nobody disowned it, what lies around its steps broke down and cancelled them.
                end = WorkflowCancelledEvent() if disowned else _failed(state, error)
                return Conclusion(None, error, end)
            error = _together(state, [_ended(state), *failures])
            return Conclusion(None, error, WorkflowCancelledEvent(), cancelled=not failures)
        case None:
            bug = PlaitInternalError(f"run {state.run_id} ended without a decision")
            error = _together(state, [*failures] or [bug])
            return Conclusion(None, error, _failed(state, error))


def broken(state: RunState, bug: Exception) -> Conclusion:
    """End a run of which nothing can be said, since plait itself has failed."""
    error = PlaitInternalError(f"run {state.run_id} could not be concluded")
    error.__cause__ = bug
    return Conclusion(None, error, _failed(state, error))


def unkept(state: RunState, error: Exception, crash: BaseException | None) -> Conclusion:
    """End a run whose journal is broken, or does not have it. Nothing has been decided about it."""
    failures = [annotate(state, failure) for failure in state.failures]
    others = [*failures, *([] if crash is None else [crash])]
    # Runs inside this one have come upon it as well.
    others = [other for other in others if not isinstance(other, JournalError)]
    together = _together(state, [error, *others])
    return Conclusion(None, together, _failed(state, together))


def cancelled_early(state: RunState) -> Conclusion:
    """End a run that was cancelled before anything was known of it."""
    return Conclusion(None, _ended(state), WorkflowCancelledEvent(), cancelled=True)


def _ended(state: RunState) -> WorkflowCancelledByUser:
    return WorkflowCancelledByUser(
        f"Run {state.run_id} of workflow {state.plan.name!r} was cancelled."
    )


def _together(state: RunState, errors: Sequence[BaseException]) -> BaseException:
    if len(errors) == 1:
        return errors[0]
    name = state.plan.name
    if len(errors) == len(state.failures):
        return BaseExceptionGroup(f"{len(errors)} steps of workflow {name!r} failed", errors)
    return BaseExceptionGroup(f"{len(errors)} failures in workflow {name!r}", errors)


def _failed(state: RunState, error: BaseException) -> WorkflowFailedEvent:
    first = state.failures[0] if state.failures else None
    return WorkflowFailedEvent(
        step_name=first.step if first else None,
        exception=error,
        attempts=first.attempt if first else 0,
        elapsed_seconds=first.elapsed if first else 0.0,
    )
