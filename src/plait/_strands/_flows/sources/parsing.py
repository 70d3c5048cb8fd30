"""What came from outside as JSON; what is large is read in a thread, so that other steps go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from plait._abc import JSON
from plait._engine.native import Backend

#: From this size on, it is read in a thread.
LARGE: Final = 1 << 20


async def parse(backend: Backend, length: int, load: Callable[[], JSON]) -> tuple[JSON] | None:
    """Read JSON; `None` if it is none.

    Args:
        backend: The running event loop's objects.
        length: How large it is.
        load: Reads it.
    """
    if length > LARGE:
        return await backend.run_in_thread(_load, load)
    return _load(load)  # noqa: ASYNC910 - what is read has come by a call that has waited


def _load(load: Callable[[], JSON]) -> tuple[JSON] | None:
    try:
        return (load(),)
    except (ValueError, RecursionError):  # no JSON; or nested deeper than Python can read
        return None


def spell_size(octets: int) -> str:
    """Write a size as people do: `64 MiB`, `1500 bytes`."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if octets and octets % scale == 0:
            return f"{octets // scale} {unit}"
    return f"{octets} bytes"
