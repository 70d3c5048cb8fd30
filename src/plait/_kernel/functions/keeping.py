"""How each record of a run's stream is kept. A table, as `plait._kernel.calls.keeping` is for calls.

A run's own records are all ACKNOWLEDGED. The kernel waits for it by itself: no body starts, no delay
begins, no rollback, no hold and no end is told before the record that says so is on disk.
"""

from __future__ import annotations

from typing import Final

from plait._kernel.calls.keeping import KEEPING as OF_CALLS
from plait._kernel.keeping import Keep

from . import records

OF_RUNS: Final[dict[type[records.Record], Keep]] = {
    records.RunQueued: Keep.ACKNOWLEDGED,
    records.FunctionStarted: Keep.ACKNOWLEDGED,
    records.FunctionRetrying: Keep.ACKNOWLEDGED,
    records.RollbackBegun: Keep.ACKNOWLEDGED,
    records.FunctionHeld: Keep.ACKNOWLEDGED,
    records.FunctionFreed: Keep.ACKNOWLEDGED,
    records.FunctionCompleted: Keep.ACKNOWLEDGED,
    records.FunctionFailed: Keep.ACKNOWLEDGED,
    records.FunctionCancelled: Keep.ACKNOWLEDGED,
}

#: Of all that is in the stream of a run.
KEEPING: Final[dict[type, Keep]] = {**OF_CALLS, **OF_RUNS}
