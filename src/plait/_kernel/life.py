"""The life of a run and the life of a delivery, as tables. The diagrams in the docs are drawn here.

A record that is not in a table's row cannot happen in that phase: `apply` raises. What does not
fit the tables:

- `Emitted`, `Repeated`, `Collected`, `Streamed`, `StreamedBefore` and `Stored` change no phase, and
  are legal while a run is going or winding up: a body's clean-up may still write, and a draining body
  may still send. Nor does `HandedOver`, while it is going.
- What a run was doing when its process died is QUEUED again by `Reopened`. If it was winding up, the
  bodies are `Interrupted`; only those that were left to finish run again.
- The records of a delivery's durable calls change no phase of it: they are legal while its body executes.
- A delivery that is queued, due or waiting when the run is decided never goes on; what it was given
  is found in `RunState.undelivered`.
- A wait that is over leads to RUNNING by way of `resuming`: the slot must be free first.
"""

from __future__ import annotations

import enum
from typing import Final

from . import records


class Phase(enum.Enum):
    """Where a run is."""

    NEW = "new"
    GOING = "going"
    WINDING_UP = "winding up"
    OVER = "over"


#: Asked for at every stimulus: before Python 3.12, a look into an enum takes 100 ns.
GOING: Final = Phase.GOING
WINDING_UP: Final = Phase.WINDING_UP

RUN: Final[dict[Phase, dict[type, Phase]]] = {
    Phase.NEW: {records.RunStarted: Phase.GOING},
    Phase.GOING: {
        records.Idled: Phase.GOING,
        records.FunctionHeld: Phase.GOING,
        records.Reopened: Phase.GOING,
        records.Decided: Phase.WINDING_UP,
    },
    Phase.WINDING_UP: {
        records.FunctionHeld: Phase.WINDING_UP,
        records.Reopened: Phase.WINDING_UP,
        records.Closed: Phase.OVER,
    },
    Phase.OVER: {},
}


class Stage(enum.Enum):
    """Where a delivery is."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    DUE = "due"
    DONE = "done"


DELIVERY: Final[dict[Stage, dict[type, Stage]]] = {
    Stage.QUEUED: {
        records.Started: Stage.RUNNING,
        records.Dropped: Stage.DONE,
        records.Reopened: Stage.DONE,  # of a drain: it never starts, what was running does
    },
    Stage.RUNNING: {
        records.Completed: Stage.DONE,
        records.Failed: Stage.DONE,
        records.Interrupted: Stage.DONE,
        records.Recovered: Stage.DONE,
        records.Retrying: Stage.DUE,
        records.Waited: Stage.WAITING,
        records.Reopened: Stage.QUEUED,
    },
    Stage.WAITING: {  # a body may end while another task of it waits
        records.Resumed: Stage.RUNNING,
        records.Reopened: Stage.QUEUED,
        records.Completed: Stage.DONE,
        records.Failed: Stage.DONE,
        records.Interrupted: Stage.DONE,
        records.Recovered: Stage.DONE,
        records.Retrying: Stage.DUE,
    },
    Stage.DUE: {records.Requeued: Stage.QUEUED, records.Dropped: Stage.DONE},
    Stage.DONE: {},
}
