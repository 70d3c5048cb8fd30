"""The records of a run that a journal has, with users' values as they are on the wire.

None of the user's classes is needed, and none is imported: an event is an object whose class has its
name, and which knows its fields as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from plait._abc import Entry
from plait._errors import UnreadableEntryError
from plait._journal import life_kinds
from plait._journal.codec import Codec
from plait._journal.scribes import AS_THEY_COME
from plait._kernel import records
from plait._kernel.records import AnyRecord
from plait._viz.executions.kept import FORKED, OF_A_FUNCTION, KeptValues


class WireValues(KeptValues):
    """Reads events and objects as what is on the wire, under the names of their classes."""

    def _read_event(self, parts: list[Any], depth: int) -> Any:
        found = super()._read_event(parts, depth)
        found.wire = _fields(parts[2:])
        return found

    def _read_object(self, parts: list[Any], depth: int) -> Any:
        found = super()._read_object(parts, depth)
        found.wire = _fields(parts[1:])
        return found


def _fields(parts: Sequence[Any]) -> Any:
    return parts[0] if len(parts) == 1 else list(parts)


class KeptRecords:
    """Reads the entries of one stream, page by page.

    Args:
        stream: The run.

    Attributes:
        place: The place of the last entry that was read.
        unreadable: How many could not be.
        ended: Has the run come to its end?
    """

    def __init__(self, stream: str) -> None:
        self.place = 0
        self.unreadable = 0
        self.ended = False
        self._stream = stream
        self._codec: Codec[Any] = Codec(stream, WireValues())

    def records(self, entries: Iterable[Entry]) -> Iterator[AnyRecord]:
        """Read the next entries."""
        for entry in entries:
            self.place = entry.n
            if entry.kind == OF_A_FUNCTION:
                self._codec = Codec(self._stream, AS_THEY_COME, registry=life_kinds.REGISTRY)
            if entry.kind == FORKED:
                continue
            try:
                record = self._codec.decode(entry)
            except UnreadableEntryError:
                self.unreadable += 1
                continue
            self.ended |= isinstance(record, records.Closed)
            yield record
