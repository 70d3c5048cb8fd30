"""When retries are due: a task sleeps for each, and they are reported in their order.

The scheduler wakes the tasks of one instant in any order, so whoever wakes first reports all that is
due, the lowest number first.
"""

from __future__ import annotations

from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from plait._ids import DeliveryId
from plait._kernel.stimuli import Due

if TYPE_CHECKING:
    from .native import Nursery
    from .shell import Shell


class Alarms:
    """The alarms of one run that have not rung."""

    def __init__(self) -> None:
        #: A heap.
        self._pending: list[tuple[float, DeliveryId]] = []

    def __bool__(self) -> bool:
        return bool(self._pending)

    def set(self, shell: Shell, nursery: Nursery | None, delivery: DeliveryId, at: float) -> None:
        """Report this delivery as due at this time. Without a nursery, `begin` is to come."""
        heappush(self._pending, (at, delivery))
        if nursery is not None:
            self._watch(shell, nursery, delivery, at)

    def begin(self, shell: Shell, nursery: Nursery) -> None:
        """Have a nursery: what was set before, of a run that goes on, is reported from here on."""
        for at, delivery in sorted(self._pending):
            self._watch(shell, nursery, delivery, at)

    def _watch(self, shell: Shell, nursery: Nursery, delivery: DeliveryId, at: float) -> None:
        ring = partial(self._ring, shell, at)
        shell.spawn_in(nursery, ring, name=f"retry of delivery {delivery}")

    async def _ring(self, shell: Shell, at: float) -> None:
        await shell.native.sleep_until(at)
        while self._pending and self._pending[0][0] <= at:
            _, delivery = heappop(self._pending)
            shell.hear(Due(shell.clock(), delivery))
