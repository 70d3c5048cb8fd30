"""Records of a run's life: what is kept of it, beside its calls. `keeping` says how.

`at` is the wall clock, in Unix seconds, as is every `due_at`. `cause` is the number of the record that
led to this one. Values, events and errors are opaque here.
"""

from __future__ import annotations

from typing import TypeAlias

from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import Record as CallRecord
from plait._kernel.value import value

from .reasons import Why


@value
class RunQueued:
    """A run is asked for: `run.queued`. The first record of its stream.

    `priority` in seconds, `seed` for all chance in the run, `source` of the function as it is now.
    """

    at: float
    fn_id: str
    name: str
    events: tuple[object, ...]
    parent: str | None
    not_before: float
    priority: float
    seed: int
    source: str
    cause: int = 0


@value
class FunctionStarted:
    """The body starts, or starts again: `run.started`.

    `resumes`: how many processes have taken it up again without a new outcome, this one included.
    """

    at: float
    attempt: int
    resumes: int
    source: str
    cause: int = 0


@value
class FunctionRetrying:
    """The body raised, and will run again at `due_at`: `run.retrying`."""

    at: float
    attempt: int
    error: object
    due_at: float
    cause: int = 0


@value
class RollbackBegun:
    """The run has failed, or was cancelled for good, and is rolled back first: `rollback.begun`.

    `keys`: of the steps, in the order in which they are undone. How the run will end is settled with
    it: by this `error` if `reason` is `None`, else cancelled.
    """

    at: float
    keys: tuple[Key, ...]
    error: object
    reason: str | None
    cause: int = 0


@value
class FunctionHeld:
    """The run waits for somebody to mend it, or to ask for it by `app.resume()`: `run.held`.

    The next process that takes it up judges anew: code that was mended goes on by itself.
    """

    at: float
    why: Why
    cause: int = 0


@value
class FunctionFreed:
    """The run was held, and waits for the time of its next attempt again: `run.freed`.

    What starts at once when it is held no longer has `run.started` alone.
    """

    at: float
    cause: int = 0


@value
class FunctionCompleted:
    """The run ended well: `run.completed`."""

    at: float
    value: object
    cause: int = 0


@value
class FunctionFailed:
    """The run failed for good: `run.failed`."""

    at: float
    error: object
    cause: int = 0


@value
class FunctionCancelled:
    """The run was cancelled for good: `run.cancelled`."""

    at: float
    reason: str
    cause: int = 0


End: TypeAlias = FunctionCompleted | FunctionFailed | FunctionCancelled

Record: TypeAlias = (
    RunQueued
    | FunctionStarted
    | FunctionRetrying
    | RollbackBegun
    | FunctionHeld
    | FunctionFreed
    | End
)

#: What is in the stream of a run.
AnyRecord: TypeAlias = Record | CallRecord
