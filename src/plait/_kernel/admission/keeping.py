"""How each record is kept. A table; the words are those of the runs' own table, `plait._kernel.keeping`.

`None`: not at all. No handler outlives the process, so who had a slot is nothing to remember.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from plait._kernel.keeping import Keep

from . import records
from .records import Record

KEEPING: Final[dict[type[Record], Keep | None]] = {
    records.EventReceived: Keep.ACKNOWLEDGED,
    records.EventHeld: Keep.ACKNOWLEDGED,
    records.EventSkipped: Keep.ACKNOWLEDGED,
    records.CronFired: Keep.ACKNOWLEDGED,
    records.CronWatched: Keep.ACKNOWLEDGED,
    records.CancelRequested: Keep.ACKNOWLEDGED,
    records.RunAdmitted: Keep.ACKNOWLEDGED,
    records.RunReleased: Keep.ACKNOWLEDGED,
    records.RunLeft: Keep.ACKNOWLEDGED,
    records.AppSnapshot: Keep.ORDERED,
    records.HandlerQueued: None,
    records.HandlerAdmitted: None,
    records.HandlerGone: None,
}


def kept(written: Iterable[Record]) -> list[Record]:
    """Those of these records that go to the journal, in their order."""
    return [record for record in written if KEEPING[type(record)] is not None]
