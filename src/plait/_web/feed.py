"""What a window reads of one run: messages, each with the place of the last record that is in it.

Rule 1: records cost the run one `extend` of a deque that does not grow for ever, whoever watches. All
    work is done in the task of a window, and if there is no window, nobody does it. Then few records
    are kept: the garbage collector goes through them, and a deque that is full makes it no work.
Rule 2: no window holds anybody up. All of them read the same messages, each at its own place; the oldest
    are let go, and who has fallen that far behind is given the whole view afresh.
Rule 3: who comes back says which place it has seen, and is given what follows.
Rule 4: where records are missing, the view catches up with the state of the run as soon as it has taken
    in the last that there is, and every window is given it whole.
"""

from __future__ import annotations

import json
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final, Protocol, TypeAlias, cast

import attrs

#: Messages that are kept for windows that come back or are slow.
MOST_MESSAGES: Final = 2_000
MOST_SIGNS: Final = 32_000_000
#: Records that wait for a window while there is none.
MOST_RECORDS: Final = 500
#: And while there is one, which looks ten times a second.
MOST_WATCHED: Final = 40_000
#: Records in one message, at most: while it is made, nothing else happens.
AT_ONCE: Final = 250
#: Stands before the records that wait. Where it has been pushed out, so have records.
HEAD: Final = object()

Fields: TypeAlias = Mapping[str, Any]


class View(Protocol):
    """Makes of records what a page shows."""

    def take(self, first: int, records: Sequence[Any], /) -> Fields:
        """Take records in, the first of which is the `first`-th of the run; what changes by them."""
        ...

    def miss(self) -> None:
        """Take in that records are not there any more: the next one comes after them."""
        ...

    def catch_up(self) -> None:
        """Take in how things stand after the last record: some have been missing."""
        ...

    def news(self) -> Fields:
        """What else has changed of the run as a whole; empty: nothing."""
        ...

    def whole(self) -> Fields:
        """All that is to be shown."""
        ...


@attrs.frozen
class Message:
    """What a window is told.

    Attributes:
        place: How many records of the run are in what it has been told by now.
        event: `whole`: forget all before; `change`: what is different.
        text: It, as JSON in one line.
        serial: Its number among those of this feed.
    """

    place: int
    event: str
    text: str
    serial: int = 0


@attrs.frozen
class Cursor:
    """Where a window stands: the number of the last message that it has, and the feed's name."""

    feed: str
    serial: int
    place: int

    def __str__(self) -> str:
        return f"{self.place}-{self.serial}-{self.feed}"

    @classmethod
    def read(cls, text: str | None) -> Cursor | None:
        """Read what a window sends when it comes back; `None`: it is of no use."""
        place, _, rest = (text or "").partition("-")
        serial, _, feed = rest.partition("-")
        if not (place.isascii() and place.isdigit() and serial.isascii() and serial.isdigit()):
            return None
        if max(len(place), len(serial)) > 15:  # longer than any run
            return None
        return cls(feed, int(serial), int(place))


class Feed:
    """The messages of one run.

    Args:
        view: Makes them.
        most_messages: So many are kept.
        most_signs: And so many characters of them.
        most_records: So many records wait for somebody to look; `None`: all.
    """

    def __init__(
        self,
        view: View,
        *,
        most_messages: int = MOST_MESSAGES,
        most_signs: int = MOST_SIGNS,
        most_records: int | None = MOST_RECORDS,
    ) -> None:
        self.name: str = secrets.token_hex(4)
        self._view = view
        self._most = most_messages
        self._most_signs = most_signs
        self._waiting: deque[Any] = _ring([HEAD], most_records)
        #: Those of the run in another process, which come before.
        self._past: deque[Any] = deque()
        self._most_records = most_records
        self._windows = 0
        #: Were some missing that the view has not caught up with?
        self._behind = False
        self._messages: deque[Message] = deque()
        self._signs = 0
        self._place = 0
        self._serial = 0
        #: Takes records: what the run calls, and all that it does for windows.
        self.tap: Callable[[Iterable[Any]], object] = self._waiting.extend

    @property
    def has_gap(self) -> bool:
        """Are records missing between those that were taken last and those that wait?"""
        return self._waiting[0] is not HEAD

    def widen(self, *, by: int) -> bool:
        """Count a window that comes, or goes: while there is one, more records are kept.

        Args:
            by: 1 or -1.

        Returns:
            Whether `tap` is another one now.
        """
        before, self._windows = self._windows, self._windows + by
        if self._most_records is None or bool(before) == bool(self._windows):
            return False
        most = max(self._most_records, MOST_WATCHED) if self._windows else self._most_records
        self._waiting = _ring(self._waiting, most)
        self.tap = self._waiting.extend
        return True

    @property
    def first(self) -> Any:
        """The record that has waited longest; `None`: none waits."""
        return next((one for one in chain(self._past, self._waiting) if one is not HEAD), None)

    def begin_with(self, records: Sequence[Any]) -> None:
        """Put records before those that wait: they are the run's in another process."""
        self._past.extend(records)

    def advance(self) -> bool:
        """Make a message of what has happened since the last call, or of as much as can wait no longer.

        Returns:
            Whether there is more.
        """
        if records := self._next():
            first = self._place + 1
            self._place += len(records)
            self._say(self._view.take(first, records))
        elif news := self._view.news():
            self._say(news)
        more = bool(self._past) or len(self._waiting) > 1
        if self._behind and not more:
            self._behind = False
            self._view.catch_up()
            self._say_all_again()
        return more

    def _next(self) -> Sequence[Any]:
        """Take out what comes next. Here is always room for the head: something was taken out."""
        if past := self._past:
            return [past.popleft() for _ in range(min(len(past), AT_ONCE))]
        waiting = self._waiting
        if self.has_gap:
            self._behind = True
            self._view.miss()
        else:
            waiting.popleft()
        records = [waiting.popleft() for _ in range(min(len(waiting), AT_ONCE))]
        waiting.appendleft(HEAD)
        return records

    def _say_all_again(self) -> None:
        """Have every window be given the whole view."""
        self._messages.clear()
        self._signs = 0
        self._serial += 1

    def _say(self, fields: Fields) -> None:
        self._serial += 1
        message = Message(self._place, "change", written(fields), self._serial)
        self._messages.append(message)
        self._signs += len(message.text)
        while len(self._messages) > self._most or self._signs > self._most_signs:
            self._signs -= len(self._messages.popleft().text)

    def whole(self) -> Message:
        """All that is to be shown, as one message."""
        return Message(self._place, "whole", written(self._view.whole()), self._serial)

    def after(self, cursor: Cursor | None) -> Sequence[Message]:
        """What a window has not been told: the messages after its place, or the whole view.

        Args:
            cursor: Where it stands; `None`: it has nothing yet.
        """
        if cursor is None or cursor.feed != self.name or cursor.serial > self._serial:
            return (self.whole(),)
        missing = self._serial - cursor.serial
        if missing > len(self._messages):
            return (self.whole(),)
        return [*islice(self._messages, len(self._messages) - missing, None)]

    def cursor(self, message: Message) -> Cursor:
        """Where a window stands that has been told this."""
        return Cursor(self.name, message.serial, message.place)


def _ring(held: Iterable[Any], most: int | None) -> deque[Any]:
    return deque(held, None if most is None else most + 1)  # and the head


def written(value: object) -> str:
    """Write JSON in one line. Numbers that it does not have are null."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(strict(value), separators=(",", ":"), allow_nan=False)


def strict(value: Any) -> Any:
    """Put null for the numbers that JSON does not have, at any depth."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        fields = cast("dict[object, Any]", value)
        return {str(key): strict(one) for key, one in fields.items()}
    if isinstance(value, list | tuple):
        return [strict(one) for one in cast("Sequence[Any]", value)]
    return value
