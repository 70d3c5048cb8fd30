"""Which records a run cannot be taken up without, and when each must be on disk. A table, as in `life`.

ACKNOWLEDGED: on disk before what follows from it is performed: before another body sees what was
    returned or sent, a reader what was streamed, a body an answer. `Reopened` is among them, so that
    a body which kills its process is counted each time.
ORDERED: appended in its place and not waited for. If it is lost, so is all that came after it, and
    the run is taken up a little earlier.
NOTE: for people. A run is taken up just the same without it.
"""

from __future__ import annotations

import enum
from typing import Final

from . import records


class Keep(enum.Enum):
    """How a record is kept."""

    ACKNOWLEDGED = "A"
    ORDERED = "O"
    NOTE = "N"


KEEPING: Final[dict[type[records.Record], Keep]] = {
    records.RunStarted: Keep.ACKNOWLEDGED,
    records.Reopened: Keep.ACKNOWLEDGED,
    records.FunctionHeld: Keep.ACKNOWLEDGED,
    records.Decided: Keep.ACKNOWLEDGED,
    records.Closed: Keep.ACKNOWLEDGED,
    records.Idled: Keep.NOTE,
    records.Permitted: Keep.NOTE,
    # events and deliveries
    records.Emitted: Keep.ACKNOWLEDGED,
    records.Repeated: Keep.ORDERED,
    records.Started: Keep.ORDERED,
    records.Completed: Keep.ACKNOWLEDGED,
    records.Retrying: Keep.ACKNOWLEDGED,
    records.Requeued: Keep.ORDERED,
    records.Recovered: Keep.ACKNOWLEDGED,
    records.Failed: Keep.ACKNOWLEDGED,
    records.Interrupted: Keep.ORDERED,
    records.Collected: Keep.ORDERED,
    records.Streamed: Keep.ACKNOWLEDGED,
    records.StreamedBefore: Keep.ORDERED,
    records.Stored: Keep.ORDERED,
    # streams
    records.Fired: Keep.ACKNOWLEDGED,
    records.Met: Keep.NOTE,
    records.Dropped: Keep.ORDERED,
    records.StreamClosed: Keep.ORDERED,
    # waits
    records.Waited: Keep.ACKNOWLEDGED,
    records.Answered: Keep.ACKNOWLEDGED,
    records.HandedOver: Keep.ACKNOWLEDGED,
    records.Recalled: Keep.ORDERED,
    records.WaitEnded: Keep.ACKNOWLEDGED,
    records.Resumed: Keep.ORDERED,
}
