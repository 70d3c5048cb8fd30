"""Which events met in one delivery. No record says it: it follows from the order in which they came.

Rule 1: a delivery of an ordinary step begins in the order of the numbers. So if an older event for the
    same step has not begun, at the same level of streams, the step is a join, or a fan-in.
Rule 2: a join begins as soon as each of its slots has an event, first in, first out, and its delivery has
    the number of the last of them. So just before that every other slot had one, and the slot of the last
    one had none.
Rule 3: a join with several slots of one class fills the emptiest first. Of how many it has, the events
    that wait tell only where the last one is of that class; with a plan it is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import attrs

from .execution_names import event_name

if TYPE_CHECKING:
    from plait._kernel.plan import Plan

Place: TypeAlias = tuple[str, int | None]


@attrs.frozen
class Part:
    """An event on its way to a step."""

    number: int
    name: str
    kind: type = attrs.field(eq=False)


class Joins:
    """Follows the events that no body has begun with.

    Args:
        plan: The plan of the run, if it is known: see rule 3.
    """

    def __init__(self, plan: Plan | None) -> None:
        self._slots: dict[str, tuple[type, ...]] = (
            {} if plan is None else {step.name: step.slots for step in plan.steps if step.slots}
        )
        self._waiting: dict[Place, deque[Part]] = {}
        #: The fan-ins that have been given their list.
        self._fired: set[Place] = set()

    def arrive(self, step: str, level: int | None, part: Part) -> bool:
        """Take an event in; false if it comes too late to have any effect."""
        place = step, level
        if place in self._fired:
            return False
        self._waiting.setdefault(place, deque()).append(part)
        return True

    def forget(self, step: str, level: int | None, number: int) -> None:
        """Drop an event that nobody will begin with."""
        waiting = self._waiting.get((step, level), deque())
        for part in waiting:
            if part.number == number:
                waiting.remove(part)
                return

    def fire(self, step: str, level: int, size: int) -> tuple[list[Part], list[Part]]:
        """Give a fan-in its list: what is in it, in the order of arrival, and what came too late."""
        self._fired.add((step, level))
        # Of a run that began from a snapshot nobody knows which stream its first deliveries were in.
        arrived = [
            *self._waiting.pop((step, None), ()),
            *self._waiting.pop((step, level), ()),
        ]
        return arrived[:size], arrived[size:]

    def begin(self, step: str, level: int | None, number: int) -> list[int]:
        """Say with which events a body begins, the last of which has this number."""
        place = step, level
        waiting = self._waiting.get(place)
        if not waiting or not any(part.number == number for part in waiting):
            return [number]
        if waiting[0].number == number and step not in self._slots:
            waiting.popleft()
            parts = [number]
        else:
            met = [part for part in waiting if part.number <= number]
            parts = self._parts(step, met)
            self._waiting[place] = waiting = deque(p for p in waiting if p.number not in parts)
        if not waiting:
            del self._waiting[place]
        return parts

    def _parts(self, step: str, met: Sequence[Part]) -> list[int]:
        last = met[-1]
        slots = self._slots.get(step)
        if slots is not None:
            found = _by_slots(slots, met)
            if found is not None:
                return found
        of_last = [part.number for part in met if part.name == last.name]
        oldest: dict[str, int] = {}
        for part in met:
            oldest.setdefault(part.name, part.number)
        return sorted({*oldest.values(), *of_last})


def _by_slots(slots: tuple[type, ...], met: Sequence[Part]) -> list[int] | None:
    """Fill the slots as the kernel does; `None` if a class fits into none of them."""
    lines: list[deque[int]] = [deque() for _ in slots]
    for part in met:
        able = [
            place
            for place, wanted in enumerate(slots)
            if event_name(wanted) == part.name or issubclass(part.kind, wanted)
        ]
        if not able:
            return None
        lines[min(able, key=lambda place: len(lines[place]))].append(part.number)
    return [line[0] for line in lines] if all(lines) else None
