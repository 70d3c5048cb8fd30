"""What it costs to hear a stimulus, counted and not timed: calls, and queued items looked at.

A time depends on who else uses the machine; a count is the same everywhere. Two states that differ
only in how much is waiting must cost the same.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Iterator
from typing import ClassVar, SupportsIndex, TypeVar

from plait._kernel.advance import advance
from plait._kernel.state import RunState
from plait._kernel.stimuli import Stimulus

T = TypeVar("T")


class Metered(deque[T]):
    """A deque that counts the items that are looked at, in all of its kind together."""

    looked_at: ClassVar[int] = 0

    def __iter__(self) -> Iterator[T]:
        for item in super().__iter__():
            Metered.looked_at += 1
            yield item

    def __getitem__(self, where: SupportsIndex) -> T:  # type: ignore[override]
        Metered.looked_at += 1
        return super().__getitem__(where)

    def popleft(self) -> T:
        Metered.looked_at += 1
        return super().popleft()


def price(state: RunState, stimulus: Stimulus) -> tuple[int, int]:
    """Hear a stimulus; how many functions that called, and how many items it looked at."""
    called = 0

    def count(_frame: object, happening: str, _arg: object) -> None:
        nonlocal called
        called += happening in {"call", "c_call"}

    Metered.looked_at = 0
    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()  # it may call back at any time, and that would be counted
    sys.setprofile(count)
    try:
        advance(state, stimulus)
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return called, Metered.looked_at
