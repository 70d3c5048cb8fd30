"""Every error that plait raises, and whose fault each one is. A leaf.

Three kinds of fault, three kinds of class. What the user wrote cannot work: `WorkflowValidationError`,
raised before anything runs and with every fault at once. What happened while running:
`WorkflowRuntimeError`, `WorkflowTimeoutError`, `WorkflowCancelledByUser`. Our own bug:
`PlaitInternalError`, which says so and asks for a report. A step's own exception is none of these:
it comes out as it was raised, with notes. A durable function is told of a step's failure by a `StepError`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, final

import attrs

from ._naming import publish


class PlaitError(Exception):
    """The base of every exception class of plait."""


@final
@attrs.frozen
class Fault:
    """One thing wrong with a workflow, and the place to mend it.

    Attributes:
        text: What is wrong.
        file: The source file, if it is known.
        line: The line in it, counted from 1.
        step: The step concerned, if it is one step.
        hint: What to write instead, if that can be told.
    """

    text: str
    file: str | None = None
    line: int | None = None
    step: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        text = self.text if self.hint is None else f"{self.text}\n  {self.hint}"
        if self.file is None:
            return text
        where = f"{self.file}:{self.line}" if self.line is not None else self.file
        return f"{text}\n    at {where}" + (f", step {self.step!r}" if self.step else "")


class WorkflowValidationError(PlaitError):
    """The workflow as it is written cannot work.

    Attributes:
        faults: Every fault found, each with text, file, line and step.
    """

    def __init__(self, *faults: Fault | str, workflow: str | None = None) -> None:
        self.faults: tuple[Fault, ...] = tuple(
            Fault(f) if isinstance(f, str) else f for f in faults
        )
        if len(self.faults) == 1:
            text = str(self.faults[0])
        else:
            head = f"{len(self.faults)} faults" + (f" in workflow {workflow!r}" if workflow else "")
            text = "\n".join([f"{head}:", *map(str, self.faults)])
        super().__init__(text)


class WorkflowConfigurationError(WorkflowValidationError):
    """The workflow has no usable start or stop event."""


class WorkflowRuntimeError(PlaitError):
    """A run or a call on it could not do what was asked."""


class WorkflowStepDoesNotExistError(WorkflowRuntimeError):
    """A step was named that the workflow does not have."""


class StreamFullError(WorkflowRuntimeError):
    """An event was written to a stream whose backlog is full."""


@final
@attrs.frozen
class Waiting:
    """Somebody in a run who waits for events, and how far that has come.

    Attributes:
        step: The step that waits.
        kind: `"collect"`, `"join"` or `"wait"`.
        have: How many events of each class are there, by the name of the class.
        need: How many are needed.
        buffer_id: The buffer of a `collect_events`.
        key: Its key, if it has one.
        waiter_id: The name of a `wait_for_event`.
        since: When the wait began, in seconds on the run's clock.
    """

    step: str
    kind: Literal["collect", "join", "wait"]
    have: dict[str, int]
    need: dict[str, int]
    buffer_id: str | None = None
    key: Any = None
    waiter_id: str | None = None
    since: float = 0.0


class WorkflowStalledError(WorkflowRuntimeError):
    """A run that can go no further: nothing is queued, running or due, and nothing can come.

    Attributes:
        waiting: Who waits for what, step by step.
    """

    def __init__(self, text: str, waiting: Iterable[Waiting] = ()) -> None:
        super().__init__(text)
        self.waiting: tuple[Waiting, ...] = tuple(waiting)


class WorkflowTimeoutError(PlaitError, TimeoutError):
    """A run did not end within its timeout."""


class StepTimeoutError(WorkflowTimeoutError):
    """An attempt of a step did not end within the step's timeout."""


class WorkflowCancelledByUser(PlaitError):  # noqa: N818 - the field's name for it
    """The run was cancelled: by `run.cancel()`, or by the end of the scope that owned it."""


class ContextStateError(PlaitError):
    """A method of a context was called at a time, or from a place, where it has no meaning."""


class ContextSerdeError(PlaitError, ValueError):
    """A context, checkpoint or stored event could not be written or read."""


class WorkflowDone(PlaitError):  # noqa: N818 - a name that older programs import
    """Never raised. It exists for programs that catch it."""


class UnreconstructedException(PlaitError):  # noqa: N818 - the field's name for it
    """Stands in for an exception that was stored and could not be built again."""


class MissingExtra(PlaitError, ImportError):  # noqa: N818 - reads as what it says
    """A part of plait was used whose libraries are not installed."""


class PlaitInternalError(PlaitError):
    """A bug in plait itself, never the user's fault. Please report it with its traceback."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text}\nThis is a bug in plait. Please report it with this traceback.")


# ---------------------------------------------------------------- the journal


class JournalError(PlaitError):
    """A journal could not be opened, read or written. What it acknowledged before is safe."""


class JournalBusyError(JournalError):
    """Another program kept the journal's file locked for longer than the journal's patience."""


class JournalFullError(JournalError):
    """The disk or the quota is full; what was being written is not in the journal."""


class JournalIOError(JournalError):
    """Reading, writing or syncing failed; what was being written may be in the journal or not."""


class JournalCorruptError(JournalError):
    """The file is no journal of plait's, or is damaged."""


class JournalTooNewError(JournalError):
    """A newer plait has written the journal.

    Attributes:
        found: The version of the file's layout.
        known: The newest that this plait knows.
    """

    def __init__(self, text: str, found: int, known: int) -> None:
        super().__init__(text)
        self.found: int = found
        self.known: int = known


class JournalUnsupportedError(JournalError):
    """The place or the library cannot keep a journal safely."""


class JournalLockedError(JournalError):
    """Another process has the journal open for writing."""


class JournalForkedError(JournalError):
    """A journal was used in a child process that was forked after it had been opened."""


class _Entry(Protocol):
    """An entry of a journal, as far as an error tells of it."""

    @property
    def stream(self) -> str: ...
    @property
    def n(self) -> int: ...
    @property
    def kind(self) -> str: ...


class UnreadableEntryError(PlaitError):
    """One run's stream holds what cannot be read, or what does not follow from what is before it.

    The run is held as it is until somebody mends that; the journal's other runs go on. An app whose
    own stream it is cannot be served.

    Attributes:
        stream: The run's id, or `"app/<app_id>"`.
        n: The place of the entry.
        kind: Its tag.
        faults: What is wrong, each with its path in the entry's body.
    """

    def __init__(self, entry: _Entry, *faults: str) -> None:
        self.stream: str = entry.stream
        self.n: int = entry.n
        self.kind: str = entry.kind
        self.faults: tuple[str, ...] = faults
        owner = whose(entry.stream)
        stands = "cannot be served" if owner.startswith("app ") else "is held"
        record = f"its record {entry.n} ({entry.kind})"
        head = f"{owner[0].upper()}{owner[1:]} {stands}: {record} cannot be read."
        super().__init__("\n".join([head, *(f"  {fault}" for fault in faults)]))


def fault_of(error: UnreadableEntryError) -> str:
    """Say in one line what cannot be read."""
    what = "; ".join(error.faults) or "it cannot be read"
    return f"record {error.n} ({error.kind}): {what}"


def whose(stream: str) -> str:
    """Say whose stream it is, for a message."""
    app = stream.removeprefix("app/")
    return f"run {stream}" if app == stream else f"app {app}"


class RunConflictError(PlaitError):
    """A run of this id is in the journal, and it is another one."""


class RunLockedError(PlaitError):
    """The run is under way in this process."""


class UnknownRunError(PlaitError, LookupError):
    """The journal has no run of this id."""


class UntrackedTaskError(PlaitError):
    """A step was called from a task that is not of the run, or whose place in it is not known."""


class RunSuspended(BaseException):
    """A step was called, under a shield, in a run that is being suspended.

    No error, and no subclass of `Exception`: the run goes on later, from the journal, and a step
    made now would be remembered as done although the function comes to that place again.
    """


class StreamConflictError(PlaitInternalError, JournalError):
    """An entry has a place in its stream that is taken or not yet due, or a step ends twice."""


publish(
    "plait.errors",
    StreamConflictError,
    JournalError,
    JournalBusyError,
    JournalFullError,
    JournalIOError,
    JournalCorruptError,
    JournalTooNewError,
    JournalUnsupportedError,
    JournalLockedError,
    JournalForkedError,
    UnreadableEntryError,
    RunConflictError,
    RunLockedError,
    UnknownRunError,
    UntrackedTaskError,
    RunSuspended,
    PlaitError,
    WorkflowValidationError,
    WorkflowConfigurationError,
    WorkflowRuntimeError,
    WorkflowStepDoesNotExistError,
    StreamFullError,
    WorkflowStalledError,
    WorkflowTimeoutError,
    StepTimeoutError,
    WorkflowCancelledByUser,
    ContextStateError,
    ContextSerdeError,
    WorkflowDone,
    UnreconstructedException,
    MissingExtra,
    PlaitInternalError,
)


# ---------------------------------------------------------------- durable functions


class ConfigError(PlaitError):
    """A durable function, or an option of one, cannot work as it is written.

    Attributes:
        faults: Every mistake of one decoration, each with text, file and line.
    """

    def __init__(self, *faults: Fault | str, function: str | None = None) -> None:
        self.faults: tuple[Fault, ...] = tuple(
            Fault(f) if isinstance(f, str) else f for f in faults
        )
        texts = [f.text if f.hint is None else f"{f.text}\n  {f.hint}" for f in self.faults]
        whose = f" in function {function!r}" if function else ""
        if len(texts) == 1:
            text = f"A mistake{whose}: {texts[0]}" if whose else texts[0]
        else:
            text = "\n  - ".join([f"{len(texts)} mistakes{whose}:", *texts])
        place = next((f"{f.file}:{f.line}" for f in self.faults if f.file is not None), None)
        super().__init__(text if place is None else f"{text}\n    at {place}")


class NonRetriableError(PlaitError):
    """For you to raise: another attempt would fail as this one did, so there shall be none."""


class RetryAfterError(PlaitError):
    """For you to raise: the next attempt shall begin then, and not when the policy has it.

    Attributes:
        after: Seconds from the failure on, or a moment that has a time zone.
    """

    def __init__(self, message: str, after: float | timedelta | datetime) -> None:
        super().__init__(message)
        self.after: float | datetime = _seconds_or_moment(after)

    def delay(self, now: float) -> float:
        """Say how long the next attempt waits, in seconds, from `now` in Unix seconds on."""
        if isinstance(self.after, datetime):
            return max(0.0, self.after.timestamp() - now)
        return max(0.0, self.after)


def _seconds_or_moment(given: Any) -> float | datetime:
    if isinstance(given, timedelta):
        return given.total_seconds()
    if isinstance(given, datetime):
        if given.tzinfo is None:
            raise ValueError(
                f"RetryAfterError() takes a moment that has a time zone, not {given!r}\n"
                "  write datetime.now(UTC) + ..., or the seconds"
            )
        return given
    if not isinstance(given, int | float) or isinstance(given, bool):
        raise TypeError(
            f"RetryAfterError() takes seconds, a timedelta or a datetime, not {given!r}"
        )
    if not math.isfinite(given):
        raise ValueError(f"RetryAfterError() takes a finite number of seconds, not {given!r}")
    return float(given)


class StepError(PlaitError):
    """A call on `ctx.step` failed for good. Its `__cause__` is what its handler raised.

    Attributes:
        step_id: The id of the call.
        key: Its key in the journal, as text.
        attempts: How many attempts failed.
        name: The name of the class of the last attempt's exception.
        message: Its text.
        stack: Its traceback, as text.
    """

    def __init__(
        self, step_id: str, key: str, attempts: int, name: str, message: str, stack: str
    ) -> None:
        self.step_id: str = step_id
        self.key: str = key
        self.attempts: int = attempts
        self.name: str = name
        self.message: str = message
        self.stack: str = stack
        often = f" after {attempts} attempts" if attempts > 1 else ""
        said = f"{name}: {message}" if message else name
        super().__init__(f"Step {step_id!r} failed{often}: {said}")


class InvokeTimeoutError(StepError):
    """An invoked function did not end in time. It has been cancelled, and its clean-up is over."""


class NonRetriableStepError(StepError, NonRetriableError):
    """A call failed at once: its handler raised a `NonRetriableError`, or it could never succeed."""


class NestedStepError(NonRetriableStepError):
    """A handler made a call on `ctx.step`. Nothing of the inner call was recorded or started."""


class StepOutputError(NonRetriableStepError):
    """What a handler returned cannot be recorded. The handler has run, and will not run again."""


class RecordedError(PlaitError):
    """Stands in for a recorded exception whose class is not loaded, or makes another text of it.

    Attributes:
        name: The name of the exception's class.
        message: Its text.
    """

    def __init__(self, name: str, message: str) -> None:
        self.name: str = name
        self.message: str = message
        super().__init__(f"{name}: {message}" if message else name)


class RunHeldError(PlaitError):
    """A run does not go on by itself: it has not failed, and waits for `app.resume()`."""


class DeterminismError(RunHeldError):
    """A function's code and its run's journal do not fit: the run is held, and has not failed."""


class RunCancelledError(PlaitError):
    """A run was cancelled for good.

    Attributes:
        run_id: The run.
        reason: Why, if that was told.
    """

    def __init__(self, run_id: str, reason: str = "") -> None:
        self.run_id: str = run_id
        self.reason: str = reason
        super().__init__(f"Run {run_id} was cancelled" + (f": {reason}" if reason else ""))


class RunSkippedError(PlaitError):
    """Flow control dropped a run that was invoked.

    Attributes:
        knob: The option that dropped it, as `"rate_limit"`.
        key: What that option's key function made of the event; `None` if it has none.
    """

    def __init__(self, knob: str, key: str | None = None) -> None:
        self.knob: str = knob
        self.key: str | None = key
        super().__init__(f"The run was dropped by {knob}" + (f" for key {key!r}" if key else ""))


class NobodyAccepts(PlaitError):  # noqa: N818 - reads as what it says
    """An event was sent that no function has as a trigger, and no run can be waiting for."""


publish(
    "plait.errors",
    ConfigError,
    NonRetriableError,
    RetryAfterError,
    StepError,
    InvokeTimeoutError,
    NonRetriableStepError,
    NestedStepError,
    StepOutputError,
    RecordedError,
    DeterminismError,
    RunHeldError,
    RunCancelledError,
    RunSkippedError,
    NobodyAccepts,
)
