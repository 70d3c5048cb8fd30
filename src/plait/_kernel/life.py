"""The life of a run and the life of a delivery, as tables. The diagrams in the docs are drawn here.

A record that is not in a table's row cannot happen in that phase: `apply` raises. What does not
fit the tables:

- `Emitted`, `Collected` and `Streamed` change no phase, and are legal while a run is going or
  winding up: a body's clean-up may still write, and a draining body may still send.
- A delivery that is queued when the run is decided never starts; it has no last record and is
  found in `RunState.undelivered`.
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


RUN: Final[dict[Phase, dict[type, Phase]]] = {
    Phase.NEW: {records.RunStarted: Phase.GOING},
    Phase.GOING: {records.Idled: Phase.GOING, records.Decided: Phase.WINDING_UP},
    Phase.WINDING_UP: {records.Closed: Phase.OVER},
    Phase.OVER: {},
}


class Stage(enum.Enum):
    """Where a delivery is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


DELIVERY: Final[dict[Stage, dict[type, Stage]]] = {
    Stage.QUEUED: {records.Started: Stage.RUNNING},
    Stage.RUNNING: {
        records.Completed: Stage.DONE,
        records.Failed: Stage.DONE,
        records.Interrupted: Stage.DONE,
    },
    Stage.DONE: {},
}
