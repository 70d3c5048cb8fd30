"""What one commit writes: rows of `record`, and what they change in `stream`.

Rule 1: a batch is one transaction, and an append of it that is refused leaves the others as they are.
An append with a wrong place is seen before anything is written; one that breaks a rule of the file
itself undoes the batch, which is then written again append by append.
Rule 2: what is known of a stream by heart was committed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from plait._abc import ENDED, Entry, Opening
from plait._errors import StreamConflictError

from .faults import ROW
from .inbox import Append
from .world import Connection, Place, transaction

#: What became of each append: `None` where it was committed.
Verdicts: TypeAlias = list[StreamConflictError | None]

#: Streams whose last place is known by heart, at most.
BY_HEART: Final = 50_000

INSERT_RECORD: Final = (
    "INSERT INTO record (stream, n, kind, version, at, key, body, status, opening)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_STREAM: Final = (
    "INSERT INTO stream"
    " (stream, app_id, target, parent, status, source, created, updated, last_n)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
#: An index has the status: it is left alone while that does not change.
MOVE_STREAM: Final = "UPDATE stream SET updated = ?, last_n = ? WHERE stream = ?"
TURN_STREAM: Final = "UPDATE stream SET status = ?, updated = ?, last_n = ? WHERE stream = ?"


class Ledger:
    """Writes appends. Used by one thread."""

    def __init__(self, connection: Connection, place: Place) -> None:
        self._connection = connection
        self._place = place
        #: The last place in streams that were written to.
        self._last: dict[str, int] = {}

    def write(self, appends: Sequence[Append]) -> Verdicts:
        """Commit these appends but for those that are refused.

        Raises:
            sqlite3.Error: None of them is kept, unless the commit itself is what failed.
        """
        last: dict[str, int] = {}
        try:
            verdicts = self._write_together(appends, last)
        except ROW:
            last.clear()
            verdicts = self._write_one_by_one(appends, last)
        if len(self._last) + len(last) > BY_HEART:
            self._last.clear()
        self._last.update(last)
        return verdicts

    def drop(self, streams: Sequence[str], *, ended_before: float) -> int:
        """Delete those of these streams that have ended by then."""
        dropped: list[str] = []
        with transaction(self._connection):
            for stream in streams:
                over = self._connection.execute(
                    "DELETE FROM stream WHERE stream = ? AND updated < ?"
                    " AND status IN (?, ?, ?) RETURNING stream",
                    (stream, ended_before, *ENDED),
                ).fetchall()
                if over:
                    self._connection.execute("DELETE FROM record WHERE stream = ?", (stream,))
                    dropped.append(stream)
        for stream in dropped:
            self._last.pop(stream, None)
        return len(dropped)

    # ------------------------------------------------------------ one transaction

    def _write_together(self, appends: Sequence[Append], last: dict[str, int]) -> Verdicts:
        verdicts: Verdicts = []
        entries: list[Entry] = []
        if not any(append.entries for append in appends):
            return [None] * len(appends)
        with transaction(self._connection):
            for append in appends:
                conflict = self._judge(append, last)
                verdicts.append(conflict)
                if conflict is None:
                    entries += append.entries
            self._put(entries)
        return verdicts

    def _write_one_by_one(self, appends: Sequence[Append], last: dict[str, int]) -> Verdicts:
        verdicts: Verdicts = []
        with transaction(self._connection):
            for append in appends:
                then = dict(last)
                conflict = self._judge(append, then)
                if conflict is None:
                    self._connection.execute("SAVEPOINT one")
                    try:
                        self._put(append.entries)
                    except ROW as error:
                        self._connection.execute("ROLLBACK TO one")
                        conflict = self._refusal(append, error)
                    else:
                        last.update(then)
                    self._connection.execute("RELEASE one")
                verdicts.append(conflict)
        return verdicts

    def _put(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        self._connection.executemany(INSERT_RECORD, map(_row, entries))
        begun, moved, turned = _changes(entries)
        if begun:
            self._connection.executemany(INSERT_STREAM, begun)
        if moved:
            self._connection.executemany(MOVE_STREAM, moved)
        if turned:
            self._connection.executemany(TURN_STREAM, turned)

    # ------------------------------------------------------------ what is refused

    def _judge(self, append: Append, last: dict[str, int]) -> StreamConflictError | None:
        """Refuse an append with a wrong place; otherwise note in `last` how far its streams are."""
        now: dict[str, int] = {}
        for entry in append.entries:
            stream = entry.stream
            due = 1 + (now.get(stream) or last.get(stream) or self._last_n(stream))
            if entry.n != due:
                return self._conflict(f"entry {entry.n} of stream {stream!r} came, {due} is due")
            if due == 1 and (entry.opening is None or entry.status is None):
                return self._conflict(f"entry 1 of stream {stream!r} has no opening or no status")
            now[stream] = due
        last.update(now)
        return None

    def _last_n(self, stream: str) -> int:
        known = self._last.get(stream)
        if known is not None:
            return known
        try:
            rows = self._connection.execute("SELECT last_n FROM stream WHERE stream = ?", (stream,))
        except UnicodeError:  # no such name can be in the file, and none can be written
            return 0
        row = rows.fetchone()
        return 0 if row is None else int(row[0])

    def _refusal(self, append: Append, error: Exception) -> StreamConflictError:
        if isinstance(error, sqlite3.IntegrityError) and "record.key" in str(error):
            steps = ", ".join(f"{e.key!r} of {e.stream!r}" for e in append.entries if e.key)
            return self._conflict(f"a step ends twice: {steps}")
        what = ", ".join(f"{e.kind} {e.n} of {e.stream!r}" for e in append.entries)
        return self._conflict(f"it cannot keep {what}: {error}")

    def _conflict(self, text: str) -> StreamConflictError:
        return StreamConflictError(f"{self._place}: {text}")


def _row(entry: Entry) -> tuple[object, ...]:
    return (
        entry.stream,
        entry.n,
        entry.kind,
        entry.version,
        entry.at,
        entry.key,
        entry.body,
        entry.status,
        None if entry.opening is None or entry.n > 1 else opening_text(entry.opening),
    )


def opening_text(opening: Opening) -> str:
    """Write an opening as the column of that name has it."""
    return json.dumps(
        [opening.app_id, opening.target, opening.parent, opening.source],
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _changes(
    entries: Iterable[Entry],
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Sum entries up: streams that begin, those that go on, those whose status changes."""
    first: dict[str, Entry] = {}
    ends: dict[str, Entry] = {}
    status: dict[str, str] = {}
    for entry in entries:
        if entry.n == 1:
            first[entry.stream] = entry
        ends[entry.stream] = entry
        if entry.status is not None:
            status[entry.stream] = entry.status
    begun: list[tuple[object, ...]] = []
    moved: list[tuple[object, ...]] = []
    turned: list[tuple[object, ...]] = []
    for stream, end in ends.items():
        if stream in first:
            opening = first[stream].opening
            assert opening is not None
            begun.append(
                (
                    stream,
                    opening.app_id,
                    opening.target,
                    opening.parent,
                    status[stream],
                    opening.source,
                    first[stream].at,
                    end.at,
                    end.n,
                )
            )
        elif stream in status:
            turned.append((status[stream], end.at, end.n, stream))
        else:
            moved.append((end.at, end.n, stream))
    return begun, moved, turned
