"""Who waits for which slots, and who is next.

Those who need the same stand in one lane, in the order of their ranks: if the first cannot go, none
can. A lane whose first cannot go is parked at *one* place that has no room for it, and looked at
again when that place has some. So a free slot costs the same however many wait for it.

Rule 1: *All or nothing.* Slots are looked for in the order of the function's list, and taken
    together: nobody holds one while it waits for another. So two functions that list their limits
    in opposite orders cannot lock each other up, and a noisy key does not fill the common limit.
    The price: one that needs two slots may be passed by others that need one of them.
Rule 2: *The lowest rank first*, among all that a free place has room for.

A lane that needs several slots moves from one full place to another; it is the only thing here that
can cost more than O(log n), and it does so only if places that lanes share fill up and empty in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeAlias, TypeVar

import attrs

from plait._kernel.value import a_dict

from .heap import Heap, Rank
from .records import Bucket, Need

W = TypeVar("W", bound=Hashable)

#: A bucket, and how many may be in it: functions that share it may differ about that.
Place: TypeAlias = tuple[Bucket, int]


@attrs.frozen(cache_hash=True)
class Lane:
    """What all in it need: slots, and the throttle's leave."""

    fn_id: str
    throttle: str | None
    needs: tuple[Need, ...]

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """Each once: a list may name a shared limit twice."""
        return tuple(dict.fromkeys(need.bucket for need in self.needs))


@attrs.define
class Lanes(Generic[W]):
    """Lanes of those who wait, and the slots that are taken."""

    waiting: dict[Lane, Heap[W]] = attrs.field(factory=a_dict)
    #: Invariant: how many of those who went on have not given their slot back; never 0.
    taken: dict[Bucket, int] = attrs.field(factory=a_dict)
    #: Where each lane is parked, and the lanes at each place. An index, of which no record speaks,
    #: like the rest below. A lane is parked or loose, never both.
    parked: dict[Lane, Place] = attrs.field(factory=a_dict, eq=False, repr=False)
    places: dict[Bucket, dict[int, Heap[Lane]]] = attrs.field(factory=a_dict, eq=False, repr=False)
    #: Lanes to look at, and places where there may be room again. Empty between two stimuli.
    loose: Heap[Lane] = attrs.field(factory=Heap[Lane], eq=False, repr=False)
    opened: dict[Place, None] = attrs.field(factory=a_dict, eq=False, repr=False)

    def join(self, lane: Lane, waiter: W, rank: Rank) -> None:
        """Stand in a lane."""
        self.waiting.setdefault(lane, Heap()).put(waiter, rank)
        self._rank(lane)

    def leave(self, lane: Lane, waiter: W) -> None:
        """Go on, or away."""
        queue = self.waiting[lane]
        queue.remove(waiter)
        if queue:
            self._rank(lane)
            return
        del self.waiting[lane]
        self.loose.remove(lane)
        self.unpark(lane)

    def _rank(self, lane: Lane) -> None:
        """A lane counts as much as the first in it."""
        place = self.parked.get(lane)
        heap = self.loose if place is None else self.places[place[0]][place[1]]
        heap.put(lane, self.waiting[lane].lowest)

    def take(self, lane: Lane) -> None:
        """Take what the lane needs."""
        for bucket in lane.buckets:
            self.taken[bucket] = self.taken.get(bucket, 0) + 1

    def give_back(self, lane: Lane) -> None:
        """Give it back."""
        for bucket in lane.buckets:
            self.taken[bucket] -= 1
            if not self.taken[bucket]:
                del self.taken[bucket]
            self.open(bucket)

    def open(self, bucket: Bucket) -> None:
        """There may be room for those who are parked here."""
        for limit in self.places.get(bucket, ()):
            self.opened[bucket, limit] = None

    def has_room(self, place: Place) -> bool:
        """Is a slot free for those who may be so many?"""
        return self.taken.get(place[0], 0) < place[1]

    def park(self, lane: Lane, place: Place) -> None:
        """There is no room here for the first of this lane."""
        self.loose.remove(lane)
        self.unpark(lane)
        self.parked[lane] = place
        heap = self.places.setdefault(place[0], {}).setdefault(place[1], Heap())
        heap.put(lane, self.waiting[lane].lowest)

    def unpark(self, lane: Lane) -> None:
        """Take it away from where it is parked, if it is."""
        if (place := self.parked.pop(lane, None)) is None:
            return
        bucket, limit = place
        limits = self.places[bucket]
        limits[limit].remove(lane)
        if not limits[limit]:
            del limits[limit]
            self.opened.pop(place, None)
            if not limits:
                del self.places[bucket]

    def next(self, has_room: Callable[[Place], bool]) -> Lane | None:
        """Rule 2: the lane to look at, or `None` if all are parked where there is no room."""
        lane, lowest = None, None
        if self.loose:
            lane, lowest = self.loose.first, self.loose.lowest
        for place in [*self.opened]:
            if not has_room(place):
                del self.opened[place]
                continue
            heap = self.places[place[0]][place[1]]
            if lowest is None or heap.lowest < lowest:
                lane, lowest = heap.first, heap.lowest
        return lane

    def check(self, room: Callable[[Place], bool]) -> None:
        """Assert what always holds between two stimuli."""
        assert not self.loose, "a lane nobody has looked at"
        assert not self.opened, "a free place nobody has looked at"
        assert self.parked.keys() == self.waiting.keys(), "a lane is nowhere"
        assert all(self.waiting.values()), "an empty lane"
        assert all(count > 0 for count in self.taken.values()), "a slot given back twice"
        at = {
            lane: (bucket, limit)
            for bucket, limits in self.places.items()
            for limit, heap in limits.items()
            for lane in heap
        }
        assert at == self.parked, "a lane is parked elsewhere"
        for lane, place in self.parked.items():
            heap = self.places[place[0]][place[1]]
            assert heap.rank_of(lane) == self.waiting[lane].lowest, "a lane counts for too little"
            assert not room(place), "somebody waits although there is room"
