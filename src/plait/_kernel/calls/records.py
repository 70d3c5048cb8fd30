"""Records of the calls of one body: what is kept of them. `keeping` says how.

`at` is the wall clock, in Unix seconds, as is every `due_at`. `cause` is the number of the record
that led to this one: to a call, the outcome that was handed out last; to an outcome, the beginning.
Values and errors are opaque here.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from plait._kernel.value import value

from .keys import Key

Op: TypeAlias = Literal["run", "sleep", "wait", "invoke", "send", "rollback"]
"""What a call does. `run`, `send` and `rollback` have a handler; the others have a due time."""

Where: TypeAlias = tuple[str, ...]
"""The names of the tasks on a path."""


@value
class CallStarted:
    """An attempt of a handler begins: `step.started`."""

    at: float
    key: Key
    op: Op
    handler: str
    where: Where
    attempt: int
    cause: int = 0


@value
class CallScheduled:
    """A sleep, a wait or an invoke begins: `step.scheduled`.

    `due_at`: its end, or the end of its patience. `event`: what is waited for. `child`: who runs.
    `since`: of a wait, where the stream of events was: it is for those that come after.
    """

    at: float
    key: Key
    op: Op
    due_at: float | None
    event: str | None = None
    child: str | None = None
    cause: int = 0
    since: int | None = None


@value
class CallRetrying:
    """An attempt failed, and another will follow, at `due_at`: `step.retrying`.

    `began` is when the first attempt began: a policy may ask how long ago that is.
    """

    at: float
    key: Key
    attempt: int
    error: object
    due_at: float
    began: float
    cause: int = 0


@value
class CallCompleted:
    """A call ended well: `step.completed`. `where` is `None` if its task had not yet made it again."""

    at: float
    key: Key
    op: Op
    handler: str
    where: Where | None
    attempts: int
    value: object
    cause: int = 0


@value
class CallFailed:
    """A call failed for good: `step.failed`."""

    at: float
    key: Key
    op: Op
    handler: str
    where: Where | None
    attempts: int
    error: object
    cause: int = 0


@value
class CallCancelled:
    """A scope inside the body cancelled the call: `step.cancelled`.

    Of a call that has invoked a child there are two: the second when the child is over.
    """

    at: float
    key: Key
    cause: int = 0


@value
class DeadlineSet:
    """A durable deadline was entered: `deadline.set`."""

    at: float
    key: Key
    due_at: float
    cause: int = 0


@value
class DeadlineFired:
    """A durable deadline passed, with its scope still open: `deadline.fired`."""

    at: float
    key: Key
    due_at: float
    cause: int = 0


@value
class Patched:
    """A patch was asked for, for the first time in the run: `patch.decided`."""

    at: float
    patch: str
    on: bool
    cause: int = 0


Ending: TypeAlias = CallCompleted | CallFailed
#: What is handed out, one at a time, in the order of the records.
Outcome: TypeAlias = CallCompleted | CallFailed | DeadlineFired

Record: TypeAlias = (
    CallCompleted
    | CallStarted
    | CallFailed
    | CallScheduled
    | CallRetrying
    | CallCancelled
    | DeadlineSet
    | DeadlineFired
    | Patched
)
