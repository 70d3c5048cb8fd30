"""The life of a run of a durable function, as a table.

A record that is not in a phase's row cannot happen there: `apply` raises. Records of calls change no
phase; they are legal once the run has started, and until it is over: also between two attempts, where
an event may end a wait that the last attempt did not come to again. To be held is no phase: who goes
on, goes on from the phase in which he was held.
"""

from __future__ import annotations

import enum
from typing import Final

from . import records


class Phase(enum.Enum):
    """Where a run is."""

    #: Its stream is empty.
    NEW = "new"
    #: It waits for its start.
    QUEUED = "queued"
    #: Its body has started, in this process or an earlier one, and has not ended for good.
    RUNNING = "running"
    #: Its body has raised, and will run again.
    RETRYING = "retrying"
    #: How it ends is settled, and its steps are rolled back.
    UNDOING = "undoing"
    #: It has ended.
    OVER = "over"


# There is one of each: `Enum` hashes its name, by code of Python's, at each look into a table.
Phase.__hash__ = object.__hash__  # type: ignore[method-assign]

RUN: Final[dict[Phase, dict[type, Phase]]] = {
    Phase.NEW: {records.RunQueued: Phase.QUEUED},
    Phase.QUEUED: {
        records.FunctionStarted: Phase.RUNNING,
        records.FunctionHeld: Phase.QUEUED,
        records.FunctionCancelled: Phase.OVER,
    },
    Phase.RUNNING: {
        records.FunctionStarted: Phase.RUNNING,
        records.FunctionRetrying: Phase.RETRYING,
        records.RollbackBegun: Phase.UNDOING,
        records.FunctionHeld: Phase.RUNNING,
        records.FunctionCompleted: Phase.OVER,
        records.FunctionFailed: Phase.OVER,
        records.FunctionCancelled: Phase.OVER,
    },
    Phase.RETRYING: {
        records.FunctionStarted: Phase.RUNNING,
        records.RollbackBegun: Phase.UNDOING,
        records.FunctionHeld: Phase.RETRYING,
        records.FunctionFreed: Phase.RETRYING,
        records.FunctionCancelled: Phase.OVER,
    },
    Phase.UNDOING: {
        records.FunctionStarted: Phase.UNDOING,
        records.FunctionHeld: Phase.UNDOING,
        records.FunctionFailed: Phase.OVER,
        records.FunctionCancelled: Phase.OVER,
    },
    Phase.OVER: {},
}

#: Where records of calls are legal.
WITH_CALLS: Final = frozenset({Phase.RUNNING, Phase.RETRYING, Phase.UNDOING})


class Body(enum.Enum):
    """What this process has of the body."""

    #: It has not started here yet, or another attempt is about to.
    AHEAD = "ahead"
    #: It runs.
    ALIVE = "alive"
    #: It is over, and the callables of its rollbacks are at hand.
    ENDED = "ended"
