"""How each record of steps that follow one another is kept: a table, as `plait._kernel.keeping` is.

Records that mean the same as in any run are kept as there, but for one: a body is in a task of its own
and begins when its start is on disk. So a run that was killed says truly who was running.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plait._kernel import keeping, records
from plait._kernel.keeping import Keep

from .records import Readied, Reused, Skipped

KEEPING: Final[Mapping[type[Any], Keep]] = {
    **keeping.KEEPING,
    records.Started: Keep.ACKNOWLEDGED,
    Readied: Keep.ORDERED,
    Reused: Keep.ACKNOWLEDGED,
    Skipped: Keep.ACKNOWLEDGED,
}
