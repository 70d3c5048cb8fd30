"""How each record of a call is kept. A table, as `plait._kernel.keeping` is for event workflows.

ACKNOWLEDGED: on disk before what follows from it is done, or seen by the body. The kernel waits for
    it by itself: it makes no effect of a record that is not yet on disk.
ORDERED: appended in its place and not waited for.
NOTE: for people; the state is the same without it.

Marks are not kept at all.
"""

from __future__ import annotations

from typing import Final

from plait._kernel.keeping import Keep

from . import records

KEEPING: Final[dict[type[records.Record], Keep]] = {
    records.CallStarted: Keep.NOTE,
    records.CallScheduled: Keep.ACKNOWLEDGED,
    records.CallRetrying: Keep.ACKNOWLEDGED,
    records.CallCompleted: Keep.ACKNOWLEDGED,
    records.CallFailed: Keep.ACKNOWLEDGED,
    records.CallCancelled: Keep.ORDERED,
    records.DeadlineSet: Keep.ORDERED,
    records.DeadlineFired: Keep.ACKNOWLEDGED,
    records.Patched: Keep.ORDERED,
}
