"""The clock of all figures: time on the wall, and how much of it somebody else had the core.

Linux counts for each process how long it was ready to run and had to wait. On a machine that others use, to leave that
out halves the noise or better. Processor time would not do: a contender that sleeps where it could work must pay for
it.
"""

import os
import time
from typing import Final, Self


def _open_schedstat() -> int | None:
    try:
        return os.open("/proc/self/schedstat", os.O_RDONLY)
    except OSError:
        return None


#: Where Linux counts how long this process has waited for a core.
SCHEDSTAT: Final = _open_schedstat()


def stolen() -> float:
    """Seconds so far in which this process was ready to run and had to wait; 0 where nobody counts them."""
    if SCHEDSTAT is None:
        return 0.0
    _, waited, _ = os.pread(SCHEDSTAT, 100, 0).split()
    return int(waited) / 1e9


class Stretch:
    """How long what stands inside takes: `wall` seconds, `stolen` ones of which somebody else had the core."""

    wall = stolen = 0.0

    def __enter__(self) -> Self:
        self.stolen, self.wall = stolen(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self.wall
        self.stolen = stolen() - self.stolen

    @property
    def own(self) -> float:
        """Seconds, had it had the core for itself."""
        return self.wall - self.stolen
