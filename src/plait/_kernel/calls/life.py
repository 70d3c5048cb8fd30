"""The life of a call in one start of its body, as a table.

A record or mark that is not in a stage's row cannot happen there: `apply` raises. A call begins HELD;
live it is released in the same breath. With a memo it begins ENDED, and if it was cancelled in this
attempt of the body, DOOMED. It is gone with `HandedOut` (which only ENDED has) or `LetGo` (which a body
that goes on has only for LEAVING).
"""

from __future__ import annotations

import enum
from typing import Final

from . import marks, records


class Stage(enum.Enum):
    """Where a call is."""

    #: It was made in replay, and has no memo.
    HELD = "held"
    #: It was cancelled before, and waits for the same cancellation.
    DOOMED = "doomed"
    #: Its handler runs.
    RUNNING = "running"
    #: When it is due is on the way to disk.
    SETTING = "setting"
    #: It waits for its due time, an event or a child.
    PENDING = "pending"
    #: It was cancelled, and what it has invoked with it, which cleans up. It leaves after that.
    CLOSING = "closing"
    #: It was cancelled, now and before if it was DOOMED, and will be let go in its turn.
    LEAVING = "leaving"
    #: Its outcome is recorded, and will be handed out in its turn.
    ENDED = "ended"


# There is one of each: `Enum` hashes its name, by code of Python's, at each look into the table.
Stage.__hash__ = object.__hash__  # type: ignore[method-assign]

HELD: Final = Stage.HELD
DOOMED: Final = Stage.DOOMED
RUNNING: Final = Stage.RUNNING
SETTING: Final = Stage.SETTING
PENDING: Final = Stage.PENDING
CLOSING: Final = Stage.CLOSING
LEAVING: Final = Stage.LEAVING
ENDED: Final = Stage.ENDED

#: Who may go from where to where, and by what. Who has invoked something is CLOSING where others are
#: LEAVING, until a second `CallCancelled` says that this is over.
CALL: Final[dict[Stage, dict[type, Stage]]] = {
    HELD: {
        records.CallStarted: RUNNING,
        records.CallScheduled: SETTING,
        marks.Resumed: PENDING,
        records.CallCompleted: ENDED,
        records.CallCancelled: LEAVING,
    },
    DOOMED: {marks.CancelledAgain: LEAVING},
    RUNNING: {
        records.CallCompleted: ENDED,
        records.CallFailed: ENDED,
        records.CallRetrying: SETTING,
        records.CallCancelled: LEAVING,
    },
    SETTING: {
        marks.Confirmed: PENDING,
        records.CallCompleted: ENDED,
        records.CallCancelled: LEAVING,
    },
    PENDING: {
        records.CallStarted: RUNNING,
        records.CallCompleted: ENDED,
        records.CallFailed: ENDED,
        records.CallCancelled: LEAVING,
    },
    CLOSING: {records.CallCancelled: LEAVING},
    LEAVING: {},
    ENDED: {},
}
