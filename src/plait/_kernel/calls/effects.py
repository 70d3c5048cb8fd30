"""Effects: what the shell must now do, at once. What they follow from is on disk already.

Each carries the key of its call, so that doing it again after a crash does it to the same thing.
"""

from __future__ import annotations

from typing import TypeAlias

from plait._kernel.value import value

from .keys import Key
from .records import Outcome
from .refusals import Refusal


@value
class RunHandler:
    """Run the handler of this call, in its task; in an event's or a rollback's case, what stands for it."""

    key: Key
    attempt: int


@value
class SetAlarm:
    """Report `Due` for this key at this time, or soon if it has passed."""

    key: Key
    at: float


@value
class ClearAlarm:
    """Nobody needs the alarm of this key any more, if it is still set."""

    key: Key


@value
class Await:
    """Look out for the event that this wait accepts, and report the first."""

    key: Key
    event: str


@value
class Forget:
    """Look out for it no longer."""

    key: Key


@value
class StartChild:
    """Run this child, or enter it again, or look up how it ended; then report `ChildEnded`."""

    key: Key
    child: str


@value
class CancelChild:
    """Cancel this child for good. While its call waits, `ChildEnded` is still to be reported.

    It may not be running in this process: then its run, if there is one, is to be ended as cancelled
    all the same, and is not to be started later. That it is cancelled belongs in one append with the
    records of this stimulus.
    """

    key: Key
    child: str


@value
class HandOut:
    """Let this call return or raise, or cancel the scope of this deadline: its turn has come."""

    key: Key
    n: int
    outcome: Outcome


@value
class LetGo:
    """Have this call raise `Cancelled`. Without it one that was to be cancelled must go on to wait."""

    key: Key


@value
class Cancel:
    """Cancel these calls, and the body: the run has ended, and is only replayed to be rolled back."""

    keys: tuple[Key, ...]


@value
class Refuse:
    """Raise this in the call, which is not waiting any more."""

    key: Key
    why: Refusal


@value
class Answer:
    """Tell the body whether the patch is on."""

    on: bool


@value
class Warn:
    """Warn: the scope that cancelled this call has a deadline that starts anew in each process."""

    key: Key


Effect: TypeAlias = (
    HandOut
    | RunHandler
    | SetAlarm
    | ClearAlarm
    | Await
    | Forget
    | StartChild
    | CancelChild
    | LetGo
    | Cancel
    | Refuse
    | Answer
    | Warn
)
