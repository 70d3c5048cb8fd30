"""Alarms on the wall clock: one heap, and one task that sleeps until the first of them is due.

Due times outlive a process, so they are Unix seconds. The task sleeps on the event loop's clock, which
may stop while a laptop sleeps: so it looks at the wall clock again once in a while.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Final, NoReturn

import attrs

from plait._engine import native

if TYPE_CHECKING:
    from plait._engine.native import Backend, CancelScope, Lock

#: Seconds after which the wall clock is looked at, whatever is due.
RECHECK: Final = 60.0

#: So many cleared alarms may lie in the heap, if they are fewer than the others.
FEW: Final = 64


@attrs.define(eq=False)
class Alarm:
    """Rings once, unless it is cleared."""

    _ring: Callable[[], object] | None
    _cleared: Callable[[], None]

    def clear(self) -> None:
        """Do not ring any more. Not a checkpoint."""
        if self._ring is not None:
            self._ring = None
            self._cleared()

    @property
    def is_cleared(self) -> bool:
        """Was it cleared, or has it rung?"""
        return self._ring is None

    def ring(self) -> None:
        """Ring, unless it was cleared."""
        ring, self._ring = self._ring, None
        if ring is not None:
            ring()


class Timers:
    """The alarms of one app, or of one body. They ring while somebody serves, in the order of their times.

    Args:
        now: The wall clock, in Unix seconds.
        recheck: Seconds after which the wall clock is looked at again; infinite where it cannot run
            away from the event loop's clock.
    """

    def __init__(self, now: Callable[[], float], *, recheck: float = RECHECK) -> None:
        self.now: Final = now
        self._recheck = recheck
        #: Those that were cleared lie in it until their time comes.
        self._heap: list[tuple[float, int, Alarm]] = []
        self._cleared = 0
        self._numbers = itertools.count()
        #: Ends the sleep of `serve`.
        self._sleep: CancelScope | None = None
        #: Of those who serve.
        self._turn: Lock | None = None

    def set(self, at: float, ring: Callable[[], object]) -> Alarm:
        """Have `ring` called at this time, or soon if it has passed. It may not raise. Not a checkpoint."""
        alarm = Alarm(ring, self._count)
        heappush(self._heap, (at, next(self._numbers), alarm))
        if self._sleep is not None and self._heap[0][2] is alarm:
            self._sleep.deadline = self._deadline()
        return alarm

    async def serve(self) -> NoReturn:
        """Ring what is due, until it is cancelled. A checkpoint.

        Of several who serve one does; when it is cancelled, the next takes over.
        """
        backend = native.current()
        if self._turn is None:
            self._turn = backend.lock()
        async with self._turn:
            await self._serve(backend)

    async def _serve(self, backend: Backend) -> NoReturn:
        while True:
            with backend.cancel_scope(deadline=self._deadline()) as scope:
                self._sleep = scope
                try:
                    await backend.event().wait()
                finally:
                    self._sleep = None
            self._ring_what_is_due()

    def _deadline(self) -> float:
        """Say when to look again, on the event loop's clock."""
        if not self._heap:
            return inf
        return native.current().clock()() + min(self._heap[0][0] - self.now(), self._recheck)

    def _ring_what_is_due(self) -> None:
        now = self.now()
        while self._heap and self._heap[0][0] <= now:
            alarm = heappop(self._heap)[2]
            self._cleared -= alarm.is_cleared
            alarm.ring()

    def _count(self) -> None:
        self._cleared += 1
        if self._cleared > max(FEW, len(self._heap) // 2):
            self._heap = [entry for entry in self._heap if not entry[2].is_cleared]
            heapify(self._heap)
            self._cleared = 0
