"""The gate in front of the runs of one workflow object: so many at a time, first come, first served.

A place in the line is taken when a run is started, not when its task first runs: Trio takes tasks in
any order.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .native import Happening


class Gate:
    """Bounds the runs that are live."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        #: Places that are free. Invariant: 0 while anybody waits.
        self._free = limit
        self._waiting: deque[Happening] = deque()

    def enter(self, admission: Happening) -> None:
        """Take a place in the line; `admission` is set when its turn has come."""
        if self._free:
            self._free -= 1
            admission.set()
        else:
            self._waiting.append(admission)

    def leave(self, admission: Happening) -> None:
        """Give the place back, or leave the line."""
        if admission in self._waiting:
            self._waiting.remove(admission)
        elif self._waiting:
            self._waiting.popleft().set()
        else:
            self._free += 1
