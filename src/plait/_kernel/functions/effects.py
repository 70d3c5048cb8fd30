"""Effects: what the shell must now do, beside what the calls ask for.

`SendEvent` and `RunOnFailure` belong to the app's stream, in one append with the records that they come
with: so each is done once. What all others follow from is on disk already.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallFailed
from plait._kernel.value import value

from .reasons import Why
from .records import End, FunctionFailed


@value
class StartBody:
    """Run the body from its top. `attempt`: `ctx.attempt`."""

    attempt: int


@value
class CancelBody:
    """Cancel the body's scope, for good."""

    reason: str


@value
class StopBody:
    """Cancel the body's scope; the run is held, and what the body does now counts for nothing."""

    why: Why


@value
class Undo:
    """Make the call that undoes this step."""

    key: Key


@value
class Wake:
    """Report `RetryDue` at this time."""

    at: float


@value
class ClearWake:
    """Nobody needs the `Wake` any more, if it is still set."""


@value
class Hold:
    """The run waits for `app.resume()`: nothing of it runs here."""

    why: Why


@value
class Finish:
    """Tell whoever waits how the run has ended. `notes`: the rollbacks that failed."""

    end: End
    notes: tuple[CallFailed, ...]


FINISHED: Final = "plait/function.finished"
FAILED: Final = "plait/function.failed"
CANCELLED: Final = "plait/function.cancelled"


@value
class SendEvent:
    """Send this event about the run, in one append with its end. Its id is made of run and name."""

    name: Literal["plait/function.finished", "plait/function.failed", "plait/function.cancelled"]
    end: End


@value
class RunOnFailure:
    """Queue the run of the function's `on_failure`, in one append with the end. Its id is made of the run's."""

    end: FunctionFailed


@value
class LogSource:
    """Log: the function has changed since the run was last started."""

    before: str
    now: str


@value
class WarnUnasked:
    """Warn: nobody asked for these memos."""

    keys: tuple[Key, ...]


@value
class WarnNotUndone:
    """Warn: these steps are not rolled back, since the code has no rollback there any more."""

    keys: tuple[Key, ...]


Effect: TypeAlias = (
    StartBody
    | CancelBody
    | StopBody
    | Undo
    | Wake
    | ClearWake
    | Hold
    | Finish
    | SendEvent
    | RunOnFailure
    | LogSource
    | WarnUnasked
    | WarnNotUndone
)
