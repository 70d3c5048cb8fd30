"""What was seen lately: ids and keys that count for a while and are then forgotten.

Nothing is ever swept at one go: each addition takes out at most two that are over, so none costs
more than another, and what is over never outnumbers what is not for long.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import Final, TypeAlias

import attrs

from plait._kernel.value import an_ordered_dict

#: Seconds for which ids of events and keys of `idempotency` count.
DAY: Final = 86_400.0

Mark: TypeAlias = tuple[str, str]


@attrs.define
class Recent:
    """Pairs of words, each with the time of its addition; the oldest first."""

    marks: OrderedDict[Mark, float] = attrs.field(factory=an_ordered_dict)

    def has(self, mark: Mark, now: float) -> bool:
        """Was it added less than a day ago?"""
        added = self.marks.get(mark)
        return added is not None and now - added < DAY

    def add(self, mark: Mark, now: float) -> None:
        """Add it, or make it younger."""
        self.marks[mark] = now
        self.marks.move_to_end(mark)
        for oldest in [*islice(self.marks, 2)]:
            if now - self.marks[oldest] < DAY:
                return
            del self.marks[oldest]
