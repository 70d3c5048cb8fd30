"""Events that an app has received before: looked up in its stream, when somebody asks.

A `buffer=True` wait takes events that came since its run was queued, and a wait that goes on after a
restart those that came meanwhile. Both are rare beside events. So nothing is kept for them, neither in
memory nor in records of its own: the stream is read again, on demand.

Rule 1: what was read is remembered as places, by the name of the event, never as events: one pass over
    the stream serves all waits that go on after a restart. When that is too much, it is forgotten.
Rule 2: where a run was queued is found by halving: events have numbers that grow with their places.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from plait._abc import Entry
from plait._engine import native
from plait._errors import JournalError, PlaitInternalError
from plait._journal.scribes import AppScribe
from plait._kernel.admission.records import EventReceived, Record, RunAdmitted

#: The tags of what is looked for: of all others nothing is read.
RECEIVED: Final = "event.received"
ADMITTED: Final = "run.admitted"

#: How many entries are read at a time.
PAGE: Final = 1000
#: And how many where the first of them will do, most of the time; or one of the first.
FEW: Final = 16
SOME: Final = 64
#: How many places are remembered.
KEPT: Final = 500_000


class Reads(Protocol):
    """What is needed of a journal."""

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """As `Journal.read`."""
        ...


class Appends(Protocol):
    """What is needed of who appends to it."""

    def __call__(
        self, entries: Sequence[Entry], done: Callable[[JournalError | None], object], /
    ) -> object:
        """As `Journal.append`: `done` is called when all that was appended before is on disk."""
        ...


class History:
    """The events in the stream of one app. Made where an event loop runs.

    Args:
        journal: It is open.
        append: Appends to it.
        app_id: The app.
        kept: How many places are remembered.
    """

    def __init__(self, journal: Reads, append: Appends, app_id: str, *, kept: int = KEPT) -> None:
        self._journal = journal
        self._append = append
        self._stream = f"app/{app_id}"
        self._scribe = AppScribe(app_id)
        self._kept = kept
        self._turn = native.current().lock()
        #: Of the events after place `_low`, up to `_high`: their places by their names, in order.
        self._low = self._high = 0
        self._places: dict[str, list[int]] = {}

    async def places(self, name: str, after: int, upto: int) -> list[int]:
        """Find the places of events of this name, after one place and up to another. A checkpoint.

        Raises:
            UnreadableEntryError: The stream is damaged there.
            JournalError: The journal cannot be read.
        """
        async with self._turn:
            await self._cover(after, upto)
            found = self._places.get(name, [])
            found = found[bisect_right(found, after) : bisect_right(found, upto)]
            if sum(map(len, self._places.values())) > self._kept:
                self._places = {}
                self._low = self._high = 0
        return found

    async def events(self, places: Sequence[int], limit: int = FEW) -> list[EventReceived]:
        """Read the first of the events at these places. A checkpoint; raises as `places` does.

        Args:
            places: What `places` has found; not empty.
            limit: How many records are looked at.

        Returns:
            At least one, in their order.
        """
        wanted = {*places}
        entries = await self._entries(places[0] - 1, places[-1], limit)
        return [self._event(entry) for entry in entries if entry.n in wanted]

    async def queued(self, run_id: str, number: int, upto: int) -> int:
        """Find where a run was queued, rule 2. A checkpoint; raises as `places` does.

        Args:
            run_id: The run.
            number: Of its first event, which was received before.
            upto: A place after it.
        """
        low, high = 0, upto
        while high - low > SOME:
            middle = (low + high) // 2
            found = await self._number_after(middle, high)
            if found is None or found > number:
                high = middle
            else:
                low = middle
        limit, name = SOME, run_id.encode()
        while low < upto:
            entries = await self._entries(low, upto, limit)
            for entry in entries:
                if entry.kind == ADMITTED and name in entry.body:
                    record = self._record(entry)
                    if isinstance(record, RunAdmitted) and record.run_id == run_id:
                        return entry.n
            low, limit = entries[-1].n, PAGE
        raise PlaitInternalError(f"{self._stream}: run {run_id!r} was never queued")

    async def _number_after(self, after: int, upto: int) -> int | None:
        """Find the number of the first event after a place."""
        limit = FEW
        while after < upto:
            entries = await self._entries(after, upto, limit)
            for entry in entries:
                if entry.kind == RECEIVED:
                    return self._event(entry).number
            after, limit = entries[-1].n, PAGE
        return None  # noqa: ASYNC910 - there is always something to read, or nothing to do

    async def _cover(self, after: int, upto: int) -> None:  # noqa: ASYNC910 - see `places`
        """Know the places from here to there."""
        if self._low == self._high:
            self._low = self._high = after
        if after < self._low:
            older = await self._find(after, self._low)
            for name, places in self._places.items():
                older.setdefault(name, []).extend(places)
            self._places, self._low = older, after
        if upto > self._high:
            for name, places in (await self._find(self._high, upto)).items():
                self._places.setdefault(name, []).extend(places)
            self._high = upto

    async def _find(self, after: int, upto: int) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        while after < upto:
            entries = await self._entries(after, upto, PAGE)
            for entry in entries:
                if entry.kind == RECEIVED:
                    event = self._event(entry)
                    if not event.to:
                        found.setdefault(event.name, []).append(entry.n)
            after = entries[-1].n
        return found  # noqa: ASYNC910 - see `places`

    async def _entries(self, after: int, upto: int, limit: int) -> Sequence[Entry]:
        """Read entries; what is on the way to disk is waited for."""
        limit = min(limit, upto - after)
        entries = await self._journal.read(self._stream, after=after, limit=limit)
        if not entries:
            await self._wait_for_disk()
            entries = await self._journal.read(self._stream, after=after, limit=limit)
        if not entries:
            raise PlaitInternalError(f"{self._stream} ends at {after}, before {upto}")
        return entries

    def _record(self, entry: Entry) -> Record:
        [(_, record)] = self._scribe.records([entry], after=entry.n - 1)
        return record

    def _event(self, entry: Entry) -> EventReceived:
        record = self._record(entry)
        if not isinstance(record, EventReceived):
            raise PlaitInternalError(f"{self._stream}: no event at {entry.n}")
        return record

    async def _wait_for_disk(self) -> None:
        """Wait until all that was appended so far is on disk. A checkpoint."""
        happened = native.current().event()
        failed: list[JournalError] = []

        def done(error: JournalError | None) -> None:
            if error is not None:
                failed.append(error)
            happened.set()

        self._append((), done)
        await happened.wait()
        if failed:
            raise failed[0]
