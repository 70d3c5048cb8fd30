"""What is alive: objects by type, and blocks of memory. A census of a load says how it grows."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import attrs

#: From Python 3.13 on there is one for all such caches.
clear_caches: Callable[[], None] = getattr(sys, "_clear_internal_caches", sys._clear_type_cache)


@attrs.frozen
class Census:
    """The objects that the collector knows, by type, and all blocks that are allocated."""

    objects: Counter[str]
    blocks: int

    @classmethod
    def take(cls) -> Census:
        """Count what is alive once the garbage has gone."""
        gc.collect()
        gc.collect()  # what was finalized in the first may have held something
        # A `case Class(field)` looks "__match_args__" up by a new string each time, and the cache of
        # attributes keeps the last 4 096 of them.
        clear_caches()
        blocks = sys.getallocatedblocks()
        return cls(Counter(type(each).__name__ for each in gc.get_objects()), blocks)

    def grown(self, since: Census, units: int) -> dict[str, float]:
        """Say what has come since another census, for each unit of work.

        What is kept for each unit is one object or one block at least. What is less is that of the
        allocator, which keeps some for the next.
        """
        more = {name: n - since.objects[name] for name, n in self.objects.items()}
        more["blocks of memory"] = self.blocks - since.blocks
        return {name: n / units for name, n in more.items() if n >= 0.9 * units}


async def growth(load: Callable[[int], Awaitable[Census]], few: int, many: int) -> dict[str, float]:
    """Say what a load keeps for each of its units: nothing, if it is flat."""
    await load(many)  # what is made once has been made, and what only gets longer is long enough
    less = await load(few)
    more = await load(many)
    return more.grown(less, many - few)


@contextmanager
def counting_references() -> Iterator[None]:
    """Let only the counting of references free anything."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
