"""Marks: what changes the state of this start of a body, and is never kept.

A body that starts again makes its calls again, so that nobody need remember that they were made. A
mark goes through `apply` as a record does: only `apply` changes state.
"""

from __future__ import annotations

from typing import TypeAlias

from plait._kernel.value import value

from .keys import Key
from .stimuli import Called


@value
class Began:
    """The body starts from its top. All that was recorded is on disk.

    Who folds a stream applies it for each `run.started`, with that record's attempt.
    """

    at: float
    attempt: int
    #: Are memos taken as they are, whatever the code says now?
    accept_changes: bool = False


@value
class Made:
    """A call was made."""

    at: float
    call: Called


@value
class Skipped:
    """A call was made in a cancelled scope: its key is used up, and nothing begins.

    Whether a cancellation comes just before a call or just after it must not change later keys.
    """

    at: float
    key: Key


@value
class Released:
    """Replay is over: what is made from now on starts at once."""

    at: float


@value
class Resumed:
    """A call that was begun in an earlier process goes on to wait."""

    at: float
    key: Key


@value
class HandedOut:
    """A body was given an outcome, the record `n`."""

    at: float
    key: Key
    n: int


@value
class CancelledAgain:
    """A call that was cancelled in an earlier process has been cancelled in this one."""

    at: float
    key: Key


@value
class LetGo:
    """A call is over without an outcome: it was cancelled."""

    at: float
    key: Key


@value
class Entered:
    """The scope of a durable deadline was entered."""

    at: float
    key: Key


@value
class Left:
    """The scope of a durable deadline was left."""

    at: float
    key: Key


@value
class Confirmed:
    """Records up to `n` are on disk."""

    at: float
    n: int


@value
class Warned:
    """Somebody was told that a cancellation may not come again."""

    at: float
    key: Key


@value
class RollingBack:
    """The run has failed or was cancelled for good: no held call is released any more.

    Who folds a stream, and who goes on live, applies it for `rollback.begun`.
    """

    at: float


@value
class Stopped:
    """From now on nothing that happens in this start of the body is recorded."""

    at: float


Mark: TypeAlias = (
    Made
    | HandedOut
    | Confirmed
    | CancelledAgain
    | LetGo
    | Skipped
    | Entered
    | Left
    | Resumed
    | Released
    | Began
    | Warned
    | RollingBack
    | Stopped
)
