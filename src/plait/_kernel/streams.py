"""Streams: what a returned list opens, and a fan-in closes.

Rule 1: a branch is the chain of deliveries that follow a member of the list by return. A stream is
    open while one of its deliveries is pending, or an event of it waits in a join, or a stream that
    was opened inside it is open. `live` counts all these.
Rule 2: when nothing is live, every fan-in of the stream fires once, be it with nothing; one that
    takes n fires at the n-th arrival. It runs one level up, where the list was returned.
Rule 3: what is sent leaves the stream: nobody waits for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NewType

import attrs

from plait._ids import DeliveryId

from .plan import Gather
from .value import a_dict, mutable, value

StreamId = NewType("StreamId", int)


@value
class Branch:
    """Where a delivery is: in which stream, under which member of the returned list."""

    stream: StreamId
    index: int


@attrs.frozen
class Gathered:
    """An event that a fan-in waits to be given with others."""

    number: DeliveryId
    index: int
    event: object
    line: tuple[str, ...]


@mutable
class Stream:
    """One returned list."""

    id: StreamId
    step: str
    #: The delivery that returned the list, and the handlers of failures that it descends from.
    cause: DeliveryId
    line: tuple[str, ...]
    parent: Branch | None
    #: The fan-ins that have not fired.
    open: list[str]
    live: int = 0
    #: What is inside: the steps of the deliveries that have not ended, and the streams they opened.
    members: dict[DeliveryId, str] = attrs.field(factory=a_dict)
    inner: dict[StreamId, None] = attrs.field(factory=a_dict)
    gathered: dict[str, list[Gathered]] = attrs.field(factory=a_dict)

    def batch(self, step: str, gather: Gather) -> list[Gathered] | None:
        """Look at what a fan-in fires with, if it is its time."""
        arrived = self.gathered.get(step, [])
        if self.live and (gather.take is None or len(arrived) < gather.take):
            return None
        taken = arrived if gather.take is None else arrived[: gather.take]
        return sorted(taken, key=lambda kept: kept.index) if gather.by_input else taken


def merged(lines: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Make one line of descent of several that meet: each handler as often as in any of them."""
    most: Counter[str] = Counter()
    for line in lines:
        if line:
            most |= Counter(line)
    return tuple(sorted(most.elements()))
