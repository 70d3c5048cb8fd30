"""Between the event loop and the writer: what is to be written, in the order of the calls.

Rule 1: an item is taken once, and items are taken in the order in which they were put.
Rule 2: while appends are collected, they wait until there are 64 rows, until a millisecond is over,
or until `flush`, so that a burst is one commit. So does a patient one by itself, until the next that is
not. Otherwise they can be taken at once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeAlias

import attrs

from plait._abc import Entry
from plait._errors import JournalError

Done: TypeAlias = Callable[[JournalError | None], object]

#: Of one commit, unless a single append has more.
MOST_ENTRIES: Final = 1000
MOST_BYTES: Final = 4 * 1024 * 1024
#: Of what is collected.
MOST_COLLECTED: Final = 64
LONGEST: Final = 0.001


@attrs.frozen(eq=False)
class Append:
    """One call of `append`."""

    entries: tuple[Entry, ...]
    done: Done


@attrs.frozen(eq=False)
class Job:
    """Something else for the writer to do, in its turn."""

    fn: Callable[[], Any]
    answer: Future[Any] = attrs.field(factory=Future[Any])


Batch: TypeAlias = Sequence[Append] | Job


class Inbox:
    """A queue from the event loop to one thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[Append | Job] = deque()
        #: How many of them can be taken; the others are collected.
        self._ready = 0
        self._collecting = False
        self._rows = 0
        #: When the first one that is collected has waited long enough.
        self._due: float | None = None
        self._closed = False

    def put(self, item: Append | Job, *, patient: bool = False) -> bool:
        """Add an item; false if the inbox is closed. `patient`: it waits for more, as in rule 2."""
        with self._changed:
            if self._closed:
                return False
            self._items.append(item)
            if (patient or self._collecting) and isinstance(item, Append):
                self._rows += len(item.entries)
                if self._rows < MOST_COLLECTED:
                    if self._due is None:
                        self._due = time.monotonic() + LONGEST
                        self._changed.notify()
                    return True
            self._release()
            return True

    def collect(self) -> None:
        """Collect what is put from now on, until `flush`."""
        self._collecting = True

    def flush(self) -> None:
        """Let all be taken, and collect no more."""
        with self._changed:
            self._collecting = False
            self._release()

    def close(self) -> None:
        """Let all be taken; `take` says when there is no more."""
        with self._changed:
            self._closed = True
            self._release()

    def take(self, patience: float | None = None) -> Batch | None:
        """Wait for what makes the next commit.

        Returns:
            Appends or a job; nothing, `()`, if nothing came for `patience` seconds; `None` if
            nothing will come.
        """
        limit = None if patience is None else time.monotonic() + patience
        with self._changed:
            while not self._ready:
                if self._closed:
                    return None
                now = time.monotonic()
                if self._due is not None and now >= self._due:
                    self._release()
                    continue
                if limit is not None and now >= limit:
                    return ()
                ends = [end for end in (limit, self._due) if end is not None]
                self._changed.wait(min(ends) - now if ends else None)
            return self._cut()

    def _release(self) -> None:
        self._ready = len(self._items)
        self._rows = 0
        self._due = None
        self._changed.notify()

    def _cut(self) -> Batch:
        first = self._next()
        if isinstance(first, Job):
            return first
        batch, entries, size = [first], len(first.entries), _size(first)
        while self._ready:
            item = self._items[0]
            if isinstance(item, Job):
                break
            entries += len(item.entries)
            size += _size(item)
            if entries > MOST_ENTRIES or size > MOST_BYTES:
                break
            batch.append(item)
            self._next()
        return batch

    def _next(self) -> Append | Job:
        self._ready -= 1
        return self._items.popleft()


def _size(append: Append) -> int:
    return sum([len(entry.body) for entry in append.entries])
