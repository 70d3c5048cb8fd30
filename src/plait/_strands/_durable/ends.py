"""How a run has ended: what is sent about it, what its `on_failure` is told, and what is returned or raised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, cast

import attrs

from plait._engine import native
from plait._errors import DeterminismError, RunCancelledError, RunHeldError, StepError
from plait._journal.failures import Failure, recorded_error
from plait._journal.recorded import error_of, write_error
from plait._kernel.calls.records import CallFailed
from plait._kernel.functions.effects import FAILED
from plait._kernel.functions.reasons import TooManyResumes, UnknownFunction, Unreadable, Why
from plait._kernel.functions.records import (
    FunctionCancelled,
    FunctionFailed,
    RunQueued,
)
from plait._kernel.functions.state import FunctionState

from .event import Event, is_event
from .event import FunctionFailed as FunctionFailedData

#: The name of the event with which a function is invoked.
INVOKED: Final = "plait/function.invoked"


def failure_of(error: object) -> Failure:
    """Take down what a run has failed with; of the failure of a step, what its handler raised."""
    return Failure.read(write_error(error))


def failed_event(
    run_id: str, queued: RunQueued, end: FunctionFailed, *, brief: bool = False
) -> Event[Any]:
    """Make the event of an `on_failure`, as it is recorded. `brief`: without the data of events."""
    rows: list[Any] = [*queued.events]
    failure = failure_of(end.error)
    if brief:
        rows = [{**row, "data": None} for row in rows]
        failure = attrs.evolve(failure, exception=None)
    data = {
        "error": failure.write(),
        "events": rows,
        "function_id": queued.fn_id,
        "run_id": run_id,
    }
    return Event(name=FAILED, data=data, id=f"{run_id}:on_failure")


def event_of_failure(recorded: Event[Any], read: Callable[[object], Event[Any]]) -> Event[Any]:
    """Make what an `on_failure` finds in its context, of what is recorded."""
    data = recorded.data
    failure = Failure.read(data["error"])
    events = tuple(map(read, data["events"]))
    failed = FunctionFailedData(
        error=failure.rebuilt() or recorded_error(failure.name, failure.message),
        event=events[0],
        events=events,
        function_id=data["function_id"],
        run_id=data["run_id"],
    )
    return Event(name=recorded.name, data=failed, id=recorded.id, ts=recorded.ts)


def invoked_event(data: object) -> Event[Any]:
    """Put what a function is invoked with into an event; an event is one already."""
    if is_event(data):
        return data
    return Event(name=INVOKED, data={} if data is None else data)


def held_error(why: Why, run_id: str) -> RunHeldError:
    """Make the error of a run that is held."""
    text = why.text(run_id)
    if isinstance(why, TooManyResumes | UnknownFunction | Unreadable):
        return RunHeldError(text)
    return DeterminismError(text)


def error_of_run(state: FunctionState, end: FunctionFailed) -> Exception:
    """Give the error of a run that has failed: the very exception, while the process lives."""
    error = end.error
    if isinstance(error, Exception):
        return error
    failure = Failure.read(error)
    built = failure.rebuilt()
    if built is None:
        return StepError("", "", 0, failure.name, failure.message, failure.stack)
    if isinstance(built, StepError):
        return _step_error(state, built)
    return built


def _step_error(state: FunctionState, built: StepError) -> Exception:
    """Find the failure of a step again, with all that is known of it: it may be the run's own error."""
    for past in state.calls.past.values():
        if isinstance(past.ending, CallFailed):
            known = error_of(past.ending)
            if type(known) is type(built) and str(known) == str(built):
                return known
    return built


def annotate(
    error: Exception, run_id: str, fn_id: str, state: FunctionState, notes: Sequence[CallFailed]
) -> Exception:
    """Say in the notes of an error which run it was, and which rollbacks failed."""
    raised = error.__cause__ if isinstance(error, StepError) and error.__cause__ else error
    if (cure := native.foreign_wait(raised)) is not None:
        _note(raised, cure)
    step = f", step {error.step_id!r}" if isinstance(error, StepError) and error.step_id else ""
    _note(error, f"in run {run_id!r} of function {fn_id!r}, attempt {state.attempt}{step}")
    for failed in notes:
        name = failed.key.undone.step_id
        failure = failure_of(failed.error)
        _note(
            error,
            f"the rollback of step {name!r} failed as well: {failure.name}: {failure.message}",
        )
    return error


def _note(error: BaseException, text: str) -> None:
    """Add a note once, whatever a user's class has made of `add_note` and of `__notes__`."""
    with suppress(Exception):
        if text not in cast("list[str]", getattr(error, "__notes__", [])):
            BaseException.add_note(error, text)


def cancelled_error(
    run_id: str, end: FunctionCancelled, notes: Sequence[CallFailed]
) -> RunCancelledError:
    """Make the error of a run that was cancelled for good."""
    error = RunCancelledError(run_id, end.reason)
    for failed in notes:
        failure = failure_of(failed.error)
        _note(
            error,
            f"the rollback of step {failed.key.undone.step_id!r} failed: "
            f"{failure.name}: {failure.message}",
        )
    return error
