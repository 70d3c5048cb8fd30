"""The wall clock, as the alarms of durable runs need it: also where a test has the time jump.

Due times are Unix seconds and outlive the process. On a virtual clock the machine's time says nothing
about how long a run has slept; there the wall clock is the loop's own, from a moment of this process
on, so that it goes on in a second life on the same loop.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from .bodies.timers import Timers

if TYPE_CHECKING:
    from .native import Backend

#: What a virtual clock's zero stands for.
ZERO: Final = time.time()

#: Seconds by which asyncio's clock may differ from the system's, between two readings.
NEAR: Final = 5.0


def timers_of(native: Backend, zero: float | None = None) -> Timers:
    """Make alarms for this event loop.

    Args:
        native: The loop.
        zero: What the zero of its clock stands for, if that is a virtual one; by default `ZERO`.
    """
    clock = native.clock()
    if not _is_virtual(native, clock):
        return Timers(time.time)
    begins = ZERO if zero is None else zero
    return Timers(lambda: begins + clock(), recheck=math.inf)


def _is_virtual(native: Backend, clock: Callable[[], float]) -> bool:
    if native.name == "trio":
        testing: Any = sys.modules.get("trio.testing")  # else nobody can have made such a clock
        bound: Any = getattr(clock, "__self__", None)
        return testing is not None and isinstance(bound, testing.MockClock)
    # uvloop's starts where the system's does as well.
    return abs(clock() - time.monotonic()) > NEAR
