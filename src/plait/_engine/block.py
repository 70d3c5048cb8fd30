"""A nursery for runs. They keep their failures, so what the block's own body raises stays unwrapped.

A nursery puts a group around whatever passes through it. Here nothing needs that: a run's host never
raises, its failure is asked for. So `close` waits for the children and lets only a cancellation of
the surrounding scope out, as the single exception that it is.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from . import native
from .failure import split, unwrap

if TYPE_CHECKING:
    from .native import Nursery


class Block:
    """Opened and closed by hand, in one task and properly nested, like the `async with` it serves."""

    def __init__(self) -> None:
        self._backend = native.current()
        self._manager: AbstractAsyncContextManager[Nursery, bool | None] = (
            self._backend.open_nursery()
        )

    async def open(self) -> Nursery:
        """Open the nursery. Not a checkpoint, like the nursery's own entry."""
        return await self._manager.__aenter__()

    async def close(self) -> None:
        """Wait for every child. A checkpoint."""
        try:
            await self._manager.__aexit__(None, None, None)
        except BaseException as error:  # noqa: BLE001 - parted, and raised again
            cancelled, rest = split(error, self._backend.cancelled)
            raise unwrap(rest) or cancelled or error from None  # noqa: ASYNC104 - out of its group
