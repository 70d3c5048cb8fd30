"""The gate in front of the runs of one workflow object: so many at a time, first come, first served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import native

if TYPE_CHECKING:
    from .native import Limiter


class Gate:
    """Bounds the runs that are live; a backend's limiter, made when it is first needed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._limiters: dict[str, Limiter] = {}

    def _limiter(self) -> Limiter:
        backend = native.current()
        limiter = self._limiters.get(backend.name)
        if limiter is None:
            limiter = self._limiters[backend.name] = backend.limiter(self._limit)
        return limiter

    async def acquire(self, borrower: object) -> None:
        """Wait for a place. A checkpoint; cancelled, no place is taken."""
        await self._limiter().acquire_on_behalf_of(borrower)

    def leave(self, borrower: object) -> None:
        """Give the place back, if there is one."""
        limiter = self._limiter()
        if borrower in limiter.statistics().borrowers:
            limiter.release_on_behalf_of(borrower)
