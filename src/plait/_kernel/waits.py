"""Waits: a body that asks for one event, and goes on when it has come.

Rule: an event finds who waits for it at the same price however many wait. So the waits are kept by
what they want, and only those of one kind that want the same are in one line.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Hashable, Iterable, Mapping
from typing import Final, TypeAlias

import attrs

from plait._ids import DeliveryId

WaitKey: TypeAlias = tuple[DeliveryId, int]


@attrs.frozen
class Wait:
    """One open question of one delivery: its `ordinal`-th."""

    delivery: DeliveryId
    ordinal: int
    step: str
    kind: type
    subclasses: bool
    requirements: Mapping[str, object] = attrs.field(hash=False)
    broadcast: bool
    waiter_id: str
    since: float

    @property
    def key(self) -> WaitKey:
        """How it is known."""
        return self.delivery, self.ordinal

    @property
    def named(self) -> bool:
        """Did the body give it a name?"""
        return self.waiter_id != f"{self.step}:{self.delivery}:{self.ordinal}"

    def wants(self, event: object) -> bool:
        """Say whether this event answers it."""
        kind = type(event)
        if kind is not self.kind and not (self.subclasses and issubclass(kind, self.kind)):
            return False
        missing = object()
        return all(
            getattr(event, name, missing) == wanted for name, wanted in self.requirements.items()
        )


#: A class, whether with its subclasses, whether others may be answered too, and which fields count.
Want: TypeAlias = tuple[type, bool, bool, tuple[str, ...]]
#: The waits in one line, each with its number: the lower one came first. An ordinary dict would take
#: ever longer to find its first entry.
Line: TypeAlias = OrderedDict[WaitKey, int]

UNHASHABLE: Final = object()


class Waits(dict[WaitKey, Wait]):
    """The open waits, the oldest first. Changed by `begin` and `end` only."""

    _lines: dict[Want, dict[Hashable, Line]]
    #: Where each wait stands: what it wants was read once, when it began.
    _places: dict[WaitKey, tuple[Want, Hashable, Line]]
    _begun = 0

    def begin(self, wait: Wait) -> None:
        """Add a wait."""
        if not self._begun:  # made with the first wait: most runs have none
            self._lines, self._places = {}, {}
        self[wait.key] = wait
        self._begun += 1
        want, values = _wanted(wait)
        line = self._lines.setdefault(want, {}).setdefault(values, Line())
        line[wait.key] = self._begun
        self._places[wait.key] = want, values, line

    def end(self, key: WaitKey) -> Wait:
        """Take a wait away."""
        want, values, line = self._places.pop(key)
        del line[key]
        if not line:
            lines = self._lines[want]
            lines.pop(values, None)  # not there if a value has another hash by now
            if not lines:
                del self._lines[want]
        return self.pop(key)

    def answered_by(
        self, event: object, *, leaving: DeliveryId, but: Container[WaitKey] = ()
    ) -> tuple[WaitKey, ...]:
        """Find whom an event answers: the oldest that wants it alone, and all that share it.

        Left out are the waits of a body that is `leaving`, and those in `but`.
        """
        if not self:
            return ()
        kind = type(event)
        alone: list[tuple[int, WaitKey]] = []
        shared: list[tuple[int, WaitKey]] = []
        for (wanted, subclasses, broadcast, fields), lines in self._lines.items():
            if kind is not wanted and not (subclasses and issubclass(kind, wanted)):
                continue
            for key, number in _in_line(lines, fields, event):
                if key[0] == leaving or key in but or not self[key].wants(event):
                    continue
                if not broadcast:
                    alone.append((number, key))
                    break
                shared.append((number, key))
        return tuple(key for _, key in (*sorted(alone)[:1], *sorted(shared)))


def _wanted(wait: Wait) -> tuple[Want, Hashable]:
    fields = tuple(sorted(wait.requirements))
    values: Hashable = tuple(wait.requirements[name] for name in fields)
    try:
        hash(values)
    except TypeError:
        values = UNHASHABLE
    return (wait.kind, wait.subclasses, wait.broadcast, fields), values


def _in_line(
    lines: Mapping[Hashable, Line], fields: tuple[str, ...], event: object
) -> Iterable[tuple[WaitKey, int]]:
    """List the waits that an event may answer, the oldest first."""
    try:
        found = lines.get(tuple(getattr(event, name, None) for name in fields))
    except TypeError:  # a value that cannot be looked up: it may equal any
        return sorted(((k, n) for line in lines.values() for k, n in line.items()), key=_number)
    others = lines.get(UNHASHABLE)
    if others is None:
        return () if found is None else found.items()
    return sorted((*(found or {}).items(), *others.items()), key=_number)


def _number(entry: tuple[WaitKey, int]) -> int:
    return entry[1]


class TimedOutWait:
    """The answer to a wait that has taken too long."""


TIMED_OUT = TimedOutWait()
