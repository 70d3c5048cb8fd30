"""A heap out of which anything can be taken, not the first alone: O(log n) for each change.

`heapq` would leave behind what was cancelled before its time; an app that cancels, replaces and
times out all day would carry that along.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeAlias, TypeVar, cast

import attrs

from plait._kernel.value import a_dict, a_list

K = TypeVar("K", bound=Hashable)

#: What is compared. No two keys of a heap may have the same one.
Rank: TypeAlias = tuple[float | str, ...]


@attrs.define(eq=False, repr=False)
class Heap(Generic[K]):  # noqa: PLW1641 - it changes: no hash
    """Keys, each with a rank; the lowest is first. Equal to another with the same keys and ranks."""

    _entries: list[tuple[Rank, K]] = attrs.field(factory=a_list)
    #: Where each key is in `_entries`.
    _places: dict[K, int] = attrs.field(factory=a_dict)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        return iter(self._places)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Heap):
            return NotImplemented
        return {*self._entries} == {*cast("Heap[K]", other)._entries}

    def __repr__(self) -> str:
        return f"Heap({sorted(self._entries)})"

    @property
    def first(self) -> K:
        """The key with the lowest rank."""
        return self._entries[0][1]

    @property
    def lowest(self) -> Rank:
        """Its rank."""
        return self._entries[0][0]

    def rank_of(self, key: K) -> Rank:
        """Look up the rank of one that is in it."""
        return self._entries[self._places[key]][0]

    def put(self, key: K, rank: Rank) -> None:
        """Add a key, or give it another rank."""
        place = self._places.get(key)
        if place is None:
            place = len(self._entries)
            self._entries.append((rank, key))
        self._settle(place, (rank, key))

    def remove(self, key: K) -> None:
        """Take a key out; nothing happens if it is not there."""
        place = self._places.pop(key, None)
        if place is None:
            return
        last = self._entries.pop()
        if place < len(self._entries):
            self._settle(place, last)

    def _settle(self, place: int, entry: tuple[Rank, K]) -> None:
        """Put an entry where it belongs, beginning at this place."""
        entries, places, rank = self._entries, self._places, entry[0]
        while place and rank < entries[above := (place - 1) // 2][0]:
            entries[place] = moved = entries[above]
            places[moved[1]] = place
            place = above
        size = len(entries)
        while (below := 2 * place + 1) < size:
            if below + 1 < size and entries[below + 1][0] < entries[below][0]:
                below += 1
            if rank < entries[below][0]:
                break
            entries[place] = moved = entries[below]
            places[moved[1]] = place
            place = below
        entries[place] = entry
        places[entry[1]] = place
