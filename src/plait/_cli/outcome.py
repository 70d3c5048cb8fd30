"""What a run has come to: its result, or what it failed with."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import trio

T = TypeVar("T")


async def outcome(run: Awaitable[T]) -> tuple[T | None, Exception | None]:
    """Wait for the end of a run. A checkpoint, as the run is.

    The failure is given back: raised through the nursery of a view, it would come out in a group.
    """
    try:
        return await run, None
    except trio.Cancelled:
        raise
    except Exception as error:  # noqa: BLE001 - whoever asked decides what is to be said
        return None, error  # noqa: ASYNC910 - it has waited
