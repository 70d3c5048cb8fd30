"""Scribes of functions and apps: they write numbered records as entries, and read them again.

Rule 1: the kernel numbers, the journal checks. A scribe remembers nothing, so that nobody need tell
    it what became of an append.
Rule 2: recovery does not read notes: their bodies may say anything. A note has its place all the
    same, and one of a kind or version that is not known holds the stream, as any record does.
Rule 3: where a stream stands is said by the records that change it, so that what is listed of a stream
    and what its records say are one thing.
Rule 4: what users' values and errors look like is the strand's business. By default they come as
    JSON values, and go as such.

The clock of both streams is the wall's: an entry's time is its record's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Generic

from typing_extensions import TypeVar

from plait._abc import Entry, Opening, Status
from plait._kernel.admission import records as app_records
from plait._kernel.functions.records import AnyRecord

from . import app_kinds, life_kinds
from .codec import Codec, Dated
from .forms import Values
from .registry import Registry

R = TypeVar("R", bound=Dated)


class AsTheyCome:
    """Leaves users' values alone: they are JSON values. Whose are not is derived from it."""

    def encode(self, value: object, /) -> object:
        """Give it back."""
        return value

    def decode(self, data: object, /) -> object:
        """Give it back."""
        return data


AS_THEY_COME: Final = AsTheyCome()


class Scribe(Generic[R]):
    """Writes and reads one stream.

    Args:
        stream: Its name.
        opening: What it is, for its first entry.
        begins: The status that it has from its first entry on, unless that says another.
        status: What each kind of record makes of that.
        registry: The kinds of its records.
        notes: The tags of those that are notes.
        values: Writes and reads users' values and errors.
    """

    def __init__(
        self,
        stream: str,
        opening: Opening,
        begins: Status,
        status: Mapping[type, Status],
        registry: Registry,
        notes: frozenset[str],
        values: Values,
    ) -> None:
        self._codec: Codec[R] = Codec(stream, values, registry=registry)
        self._opening = opening
        self._begins: Status = begins
        self._status = status
        self._notes = notes

    def entries(self, records: Sequence[tuple[int, R]]) -> list[Entry]:
        """Write records.

        Args:
            records: Each with its place in the stream.

        Raises:
            ContextSerdeError: A value in one of them cannot be written.
        """
        written: list[Entry] = []
        for n, record in records:
            status = self._status.get(type(record))
            if n == 1:
                opening, status = self._opening, status or self._begins
                written.append(self._codec.encode(record, n, status=status, opening=opening))
            else:
                written.append(self._codec.encode(record, n, status=status))
        return written

    def records(
        self, entries: Iterable[Entry], *, after: int = 0, notes: bool = False
    ) -> Iterator[tuple[int, R]]:
        """Read entries that follow one another, from the one after `after` on.

        Args:
            entries: As the journal gave them, notes too.
            after: The place before the first of them.
            notes: Are notes wanted? To recover nobody needs them.

        Returns:
            The records, each with its place.

        Raises:
            UnreadableEntryError: One is missing, or cannot be read.
        """
        for entry, record in self.each(entries, after=after, notes=notes):
            if record is not None:
                yield entry.n, record

    def each(
        self, entries: Iterable[Entry], *, after: int = 0, notes: bool = False
    ) -> Iterator[tuple[Entry, R | None]]:
        """Read entries as `records` does, and give each of them; `None` for a note that nobody wants."""
        codec, left_out = self._codec, frozenset[str]() if notes else self._notes
        for entry in codec.in_order(entries, after=after):
            if entry.kind in left_out:
                codec.check(entry)
                yield entry, None
            else:
                yield entry, codec.decode(entry)


class FunctionScribe(Scribe[AnyRecord]):
    """Writes and reads the stream of one run of a function: its life, and its calls.

    Args:
        run_id: The run's id.
        opening: Of its stream.
        values: Writes what the run and its calls have returned or raised, and its events, if they do
            not come as JSON values.

    Example:
        ```python
        kept, todo = advance(state, stimulus)
        journal.append(scribe.entries(kept), done)
        ```
    """

    def __init__(self, run_id: str, opening: Opening, values: Values = AS_THEY_COME) -> None:
        kinds = life_kinds
        super().__init__(
            run_id, opening, "queued", kinds.STATUS, kinds.REGISTRY, kinds.NOTES, values
        )


class AppScribe(Scribe[app_records.Record]):
    """Writes and reads the stream of one app, which runs for ever. It has no notes.

    Args:
        app_id: The app's id.
        values: Writes the data of events, if they do not come as JSON values.
    """

    def __init__(self, app_id: str, values: Values = AS_THEY_COME) -> None:
        stream, opening = f"app/{app_id}", Opening(app_id, app_id)
        kinds = app_kinds
        super().__init__(stream, opening, "running", {}, kinds.REGISTRY, kinds.NOTES, values)
