"""The classes that may be read: a closed set, with the names they have in what is stored.

Rule 1: A name leads to a class that is in the set, or nowhere. Nothing is imported, and no module
    is searched (but for exceptions: see `exceptions`).
    A journal's set is open to events, see `open_to_events`: what a run shows and waits for need not
    be mentioned by an annotation.
Rule 2: An event class has its wire name, every other class `module.qualname`. If two classes claim
    one name, neither is written nor read under it.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import pathlib
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias, cast

from plait import _event
from plait._errors import Fault, Waiting
from plait._event import Event

from .refused import Refused


def full_name(kind: type) -> str:
    """Write a class as `module.qualname`."""
    return f"{kind.__module__}.{kind.__qualname__}"


def short_name(kind: type) -> str:
    """Write a class for readers, who know where builtins are."""
    return full_name(kind).removeprefix("builtins.")


#: plait's own: streams and records have them, whatever the user's annotations mention.
OWN: Final[tuple[type, ...]] = (
    *(
        kind
        for kind in vars(_event).values()
        if isinstance(kind, type) and issubclass(kind, Event | enum.Enum)
    ),
    Waiting,
    Fault,
)

#: The events that plait makes and users only see: no field of theirs is a user's value, but events
#: and exceptions.
MADE_BY_PLAIT: Final[frozenset[type]] = frozenset(
    {
        *(_event.WorkflowFailedEvent, _event.WorkflowTimedOutEvent, _event.WorkflowCancelledEvent),
        *(_event.StepFailedEvent, _event.ChildEvent, _event.StepStateChanged),
        *(_event.InternalDispatchEvent, _event.WorkflowIdleEvent),
    }
)

#: Classes as values, beside those of the set: `ctx.store.set("kind", int)`.
PLAIN: Final[dict[str, type]] = {
    full_name(kind): kind
    for kind in (
        *(object, type, bool, int, float, complex, str, bytes, bytearray, types.NoneType),
        *(list, tuple, dict, set, frozenset, range, deque, defaultdict, OrderedDict, Counter),
        *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone),
        *(decimal.Decimal, uuid.UUID, pathlib.Path, pathlib.PurePath),
    )
}


#: How a class gets into the set of a workflow whose annotations do not mention it.
BY_A_SERIALIZER: Final = "Pass JsonSerializer(allowed_types=[{}])."

#: Lists the classes that the fields of some classes mention.
Mentioned: TypeAlias = Callable[[Iterable[type]], Iterable[type]]


def _defined(base: type[Event]) -> Iterator[type[Event]]:
    """List the event classes that there are."""
    for kind in base.__subclasses__():
        yield kind
        yield from _defined(kind)


class ClosedSet:
    """Which classes are known, and to whom.

    Args:
        classes: The classes.
        owner: Who knows them, for the texts of errors: `"workflow 'W'"`.
        advice: What to write if a class is not among them, with `{}` for its name.
    """

    def __init__(
        self, classes: Iterable[type], owner: str | None, advice: str = BY_A_SERIALIZER
    ) -> None:
        self._to = f" to {owner}" if owner else ""
        self._advice = advice
        #: By name; with more than one class, if they claim it.
        self._events: dict[str, dict[type, None]] = {}
        self._others: dict[str, dict[type, None]] = {}
        #: What the fields of a class mention, if the set is open to events.
        self._mentioned: Mentioned | None = None
        #: Is every class taken in that is to be written?
        self._all = False
        for kind in (*OWN, *classes):
            self._add(kind)

    def _add(self, kind: type) -> None:
        self._table(kind).setdefault(self.name(kind), {})[kind] = None

    def open_to_events(self, mentioned: Mentioned) -> None:
        """Take in every event class that has been defined, when it is first met, and no other class.

        Args:
            mentioned: Lists what the fields of a class mention: that is taken in with it.
        """
        self._mentioned = mentioned

    def open_to_all(self) -> None:
        """Take in every class whose objects are to be written. What is read must be known, as ever."""
        self._all = True

    def _take_in(self, kind: type) -> bool:
        if self._all:
            self._add(kind)
            return True
        if self._mentioned is None or not issubclass(kind, Event):
            return False
        for one in (kind, *self._mentioned([kind])):
            self._add(one)
        return True

    def _table(self, kind: type) -> dict[str, dict[type, None]]:
        return self._events if issubclass(kind, Event) else self._others

    @staticmethod
    def name(kind: type) -> str:
        """Say what a class is called in what is stored."""
        some: Any = kind
        return some.__plait_name__ if issubclass(kind, Event) else full_name(some)

    def __contains__(self, kind: type) -> bool:
        return kind in self._table(kind).get(self.name(kind), ())

    def named(self, kind: type) -> str:
        """Say what a class is called, if it is known and its name is its own.

        Raises:
            Refused: It is not.
        """
        name = self.name(kind)
        claimants = self._table(kind).get(name, {})
        if kind not in claimants:
            if not self._take_in(kind):
                raise self.unknown(full_name(kind))
            claimants = self._table(kind)[name]
        self._one_of(claimants, name)
        return name

    def event(self, name: str) -> type[Event]:
        """Find an event class by its wire name.

        Raises:
            Refused: There is none, or more than one.
        """
        if name not in self._events and self._mentioned is not None:
            for kind in _defined(Event):
                if kind.__plait_name__ == name:
                    self._take_in(kind)
        return cast("type[Event]", self._one_of(self._events.get(name, {}), name))

    def other(self, name: str) -> type:
        """Find any other class by its name.

        Raises:
            Refused: There is none, or more than one.
        """
        return self._one_of(self._others.get(name, {}), name)

    def unknown(self, name: str) -> Refused:
        """Say that a class is not known, and what to do about it."""
        short = name.rpartition(".")[2]
        return Refused(f"Class {name} is not known{self._to}. {self._advice.format(short)}")

    def _one_of(self, claimants: dict[type, None], name: str) -> type:
        if not claimants:
            raise self.unknown(f"{name:.200}")
        if len(claimants) > 1:
            kinds = " and ".join(map(full_name, claimants))
            what = "event classes" if issubclass(next(iter(claimants)), Event) else "classes"
            raise Refused(f"Two {what} claim the name {name!r}: {kinds}.")
        return next(iter(claimants))
