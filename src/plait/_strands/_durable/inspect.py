"""What is known of a run, for people: `RunInfo`. Pure functions of what is listed and read of it.

Times are Unix seconds, as in the journal; in texts they are the clock's on the wall, of the time zone
that is asked for.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

import attrs

from plait._abc import ENDED, Status, StreamInfo
from plait._errors import ContextSerdeError
from plait._journal.failures import Failure
from plait._journal.recorded import error_of, write_error
from plait._kernel.admission.explain import Expected, Waiting
from plait._kernel.calls.records import CallFailed
from plait._kernel.functions.explain import WaitsFor, status, waits_for
from plait._kernel.functions.records import FunctionFailed
from plait._kernel.functions.state import FunctionState
from plait._naming import publish

from .ends import held_error


@attrs.frozen
class ErrorInfo:
    """An error, as it was recorded.

    Attributes:
        name: The name of its class.
        message: Its text.

    Example:
        >>> str(ErrorInfo("OSError", "no disk"))
        'OSError: no disk'
    """

    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name


@attrs.frozen
class RunInfo:
    """Where a run stands.

    Attributes:
        run_id: The run.
        fn_id: The function's id, that of the app before it.
        status: `"queued"`, `"running"`, `"completed"`, `"failed"`, `"cancelled"` or `"held"`. What
            sleeps, waits or is rolled back is running.
        waiting_for: What it waits for, as `"sleep 'nap' until 10:02"`; several with a comma between.
            `None`: for nothing but its own code.
        parent: The run that invoked it, if one did.
        attempt: Of its body, from 0.
        error: What it failed with; of the failure of a step, what its handler raised. Of a run that is
            held: why. Of one whose body is tried again: what the attempt before raised.
        source: The digest of the function that it was queued for.
        created: When it was queued, in Unix seconds.
        started: When its body first started; `None`: it has not.
        ended: When it ended; `None`: it has not.

    Example:
        ```python
        for run in await app.runs(status="failed"):
            print(run.run_id, run.error)
        ```
    """

    run_id: str
    fn_id: str
    status: Status
    waiting_for: str | None
    parent: str | None
    attempt: int
    error: ErrorInfo | None
    source: str | None
    created: float
    started: float | None
    ended: float | None


def run_info(
    info: StreamInfo,
    state: FunctionState | None,
    *,
    now: float,
    queue: Waiting | None = None,
    fault: str | None = None,
    tz: tzinfo | None = None,
) -> RunInfo:
    """Say where a run stands.

    Args:
        info: What is listed of its stream. Its records have the last word.
        state: The sum of its records; `None`: it cannot be read.
        now: The wall clock, in Unix seconds.
        queue: What keeps it in the queue, if anything does.
        fault: Why it cannot be read.
        tz: The time zone of times in texts; by default that of the machine.
    """
    if state is None:
        error = ErrorInfo("UnreadableEntryError", fault or "its stream cannot be read")
        return _of_stream(info, "app.resume()" if info.status == "held" else None, error)
    clock = _Clock(now, tz)
    waits = [*map(clock.wait, waits_for(state))]
    stands = status(state)
    if stands == "queued" and queue is not None:
        waits.append(clock.queue(queue.knob, queue.key, queue.due))
    return attrs.evolve(
        _of_stream(info, ", ".join(waits) or None, _error_in(info, state)),
        status=stands,
        attempt=max(state.attempt, 0),
        started=state.began if state.attempt >= 0 else None,
        ended=None if state.end is None else state.end.at,
    )


def expected_info(expected: Expected, *, now: float, tz: tzinfo | None = None) -> RunInfo:
    """Say where a run stands that may come of events that wait: it is queued, and has no stream yet.

    Args:
        expected: The run.
        now: The wall clock, in Unix seconds.
        tz: As for `run_info`.
    """
    return RunInfo(
        run_id=expected.run_id,
        fn_id=expected.fn_id,
        status="queued",
        waiting_for=_Clock(now, tz).queue(expected.knob, expected.key, expected.due),
        parent=None,
        attempt=0,
        error=None,
        source=None,
        created=expected.events[0].at,
        started=None,
        ended=None,
    )


def _of_stream(info: StreamInfo, waiting: str | None, error: ErrorInfo | None) -> RunInfo:
    return RunInfo(
        run_id=info.stream,
        fn_id=info.target,
        status=info.status,
        waiting_for=waiting,
        parent=info.parent,
        attempt=0,
        error=error,
        source=info.source,
        created=info.created,
        started=None,
        ended=info.updated if info.status in ENDED else None,
    )


# ---------------------------------------------------------------- errors


def _error_in(info: StreamInfo, state: FunctionState) -> ErrorInfo | None:
    if state.held is not None and state.end is None:
        error = held_error(state.held, info.stream)
        return ErrorInfo(type(error).__name__, str(error))
    if isinstance(state.end, FunctionFailed):
        return original(state, state.end.error)
    if state.end is None and state.error is not None:
        return original(state, state.error)
    return None


def original(state: FunctionState, error: object) -> ErrorInfo:
    """Say what a body has failed with: of the failure of a step, what its handler raised.

    Args:
        state: The run's, with the failures of its steps.
        error: As it is recorded.
    """
    failure = _failure(error)
    if failure is None:
        return ErrorInfo("an error", "that cannot be read")
    for past in state.calls.past.values():
        failed = past.ending
        if isinstance(failed, CallFailed) and (inner := _failure(failed.error)) is not None:
            raised = error_of(failed)
            if (type(raised).__name__, str(raised)) == (failure.name, failure.message):
                return ErrorInfo(inner.name, inner.message)
    return ErrorInfo(failure.name, failure.message)


def _failure(error: object) -> Failure | None:
    try:
        return Failure.read(write_error(error))
    except ContextSerdeError:
        return None


# ---------------------------------------------------------------- times in texts


@attrs.frozen
class _Clock:
    now: float
    tz: tzinfo | None

    def time(self, at: float) -> str:
        """Say a time: today's without the date, and no seconds where there are none."""
        try:
            when = datetime.fromtimestamp(at, self.tz)
        except (ValueError, OverflowError, OSError):  # in a year that no calendar here has
            return f"{at:.0f} s after 1970"
        today = datetime.fromtimestamp(self.now, self.tz)
        text = when.strftime("%H:%M" if int(at) % 60 == 0 else "%H:%M:%S")
        return text if when.date() == today.date() else f"{when:%Y-%m-%d} {text}"

    def wait(self, wait: WaitsFor) -> str:
        if wait.until is None:
            return wait.what
        return f"{wait.what} {'at' if wait.at else 'until'} {self.time(wait.until)}"

    def queue(self, knob: str, key: str, due: float | None) -> str:
        """Say what keeps a run in the queue, or from it."""
        if knob == "function":
            return f"function {key!r}, which this app does not have"
        what = "its time" if knob == "ts" else knob
        return self.wait(WaitsFor(f"{what} {key!r}" if key else what, due))


publish("plait.durable", RunInfo, ErrorInfo)
