"""The buffers behind `collect_events`. An event waits in its buffer until a batch is whole.

Rule 1: a batch comes in the order of what is expected, events of one class in the order of the
    calls; who is too early for this batch is in the next one. Nothing is dropped.
Rule 2: a call costs the same whatever is buffered. So a buffer counts what is missing instead of
    comparing multisets: those make a fan-in quadratic.
Rule 3: what is expected is held as runs, `((A, 1000),)` and not a thousand times `A`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from itertools import groupby, islice
from typing import NamedTuple, TypeAlias, cast

import attrs

from plait._ids import DeliveryId

from .value import a_dict, mutable

Runs: TypeAlias = tuple[tuple[type, int], ...]
Kept: TypeAlias = tuple[DeliveryId, object]


@attrs.frozen
class Shape:
    """What a collection expects.

    Two shapes with the same `wants` share a buffer; each batch comes in the order of the `runs` of
    the call that completed it.
    """

    runs: Runs
    wants: frozenset[tuple[type, int]]
    need: dict[type, int] = attrs.field(eq=False, repr=False)

    @classmethod
    def of(cls, expected: Iterable[type] | Mapping[type, int]) -> Shape:
        """Take `[A, B, A]`, or `{A: 1000}` for a thousand times `A`."""
        runs: Runs
        if isinstance(expected, Mapping):
            counts = cast("Mapping[type, int]", expected)
            runs = tuple((kind, count) for kind, count in counts.items() if count)
        else:
            runs = tuple((kind, sum(1 for _ in same)) for kind, same in groupby(expected))
        need: dict[type, int] = {}
        for kind, count in runs:
            need[kind] = need.get(kind, 0) + count
        return cls(runs, frozenset(need.items()), need)


class BufferKey(NamedTuple):
    """Which buffer of a step: its id, the multiset it waits for, and the caller's key.

    A tuple, since every call of `collect_events` makes and hashes some.
    """

    buffer_id: str
    wants: frozenset[tuple[type, int]]
    key: Hashable = None


@mutable
class Buffer:
    """Events on their way to a batch, by the class they count as."""

    need: dict[type, int]
    since: float
    have: dict[type, deque[Kept]] = attrs.field(factory=a_dict)
    #: Invariant: how many more must come until a batch is whole; never 0 between two calls.
    missing: int = attrs.field(
        default=attrs.Factory(lambda self: sum(self.need.values()), takes_self=True)
    )

    def completes(self, kind: type) -> bool:
        """Say whether one more event of this class makes a batch whole."""
        return self.missing == 1 and len(self.have.get(kind, ())) < self.need[kind]

    def batch(self, runs: Runs, kind: type, event: object) -> tuple[object, ...]:
        """Look at the batch that this event completes, without taking it."""
        queues = {
            k: iter([held for _, held in islice(self.have.get(k, ()), n)])
            for k, n in self.need.items()
        }
        queues[kind] = iter([*queues[kind], event])
        return tuple(held for k, count in runs for held in islice(queues[k], count))

    def add(self, kind: type, kept: Kept) -> None:
        """Put an event in."""
        queue = self.have.setdefault(kind, deque())
        if len(queue) < self.need[kind]:
            self.missing -= 1
        queue.append(kept)

    def take(self) -> None:
        """Take a whole batch out; the surplus moves up."""
        for kind, count in self.need.items():
            queue = self.have[kind]
            for _ in range(count):
                queue.popleft()
        self.missing = sum(
            max(0, count - len(self.have[kind])) for kind, count in self.need.items()
        )

    @property
    def empty(self) -> bool:
        """Is nothing in it?"""
        return not any(self.have.values())

    def check(self) -> None:
        """Assert what always holds."""
        counted = sum(max(0, n - len(self.have.get(k, ()))) for k, n in self.need.items())
        assert self.missing == counted > 0, "a whole batch lies in a buffer"
        assert set(self.have) <= set(self.need), "a class that nobody wants"
        assert not self.empty, "an empty buffer is kept"
