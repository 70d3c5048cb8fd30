"""What is read from a file: entries, streams, and which of them nobody needs any more.

Each call has a connection of its own: none is there to be inherited by a forked child, and a read
sees all that was committed before it began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from plait._abc import ENDED, Entry, StreamInfo

from .world import Connection

ENTRIES: Final = (
    "SELECT stream, n, kind, version, at, key, body FROM record"
    " WHERE stream = ? AND n > ? ORDER BY n LIMIT ?"
)
STREAMS: Final = (
    "SELECT stream, app_id, target, parent, status, source, created, updated, last_n FROM stream"
)


def entries(connection: Connection, stream: str, after: int, limit: int) -> list[Entry]:
    """Read entries of a stream, without their status and opening."""
    rows = connection.execute(ENTRIES, (stream, after, limit))
    return [Entry(*row) for row in rows.fetchall()]


def streams(
    connection: Connection, app_id: str | None, status: Sequence[str], after: str, limit: int
) -> list[StreamInfo]:
    """List streams by name."""
    wanted = ["stream > ?"]
    values: list[object] = [after]
    if app_id is not None:
        wanted.append("app_id = ?")
        values.append(app_id)
    if status:
        wanted.append(f"status IN ({', '.join('?' * len(status))})")
        values += status
    sql = f"{STREAMS} WHERE {' AND '.join(wanted)} ORDER BY stream LIMIT ?"
    rows = connection.execute(sql, (*values, limit))
    return [StreamInfo(*row) for row in rows.fetchall()]


def over(connection: Connection, ended_before: float) -> list[str]:
    """Find the streams that ended before this time and that no other may ask for again.

    A parent that goes on after a crash asks for what its children gave.
    """
    found = connection.execute("SELECT stream, parent, status, updated FROM stream").fetchall()
    parents: dict[str, str | None] = {stream: parent for stream, parent, _, _ in found}
    unfinished = {stream for stream, _, status, _ in found if status not in ENDED}
    return [
        stream
        for stream, _, status, updated in found
        if status in ENDED
        and updated < ended_before
        and not (unfinished and _has_ancestor(stream, parents, unfinished))
    ]


def _has_ancestor(stream: str, parents: Mapping[str, str | None], among: set[str]) -> bool:
    seen = {stream}
    parent = parents.get(stream)
    while parent is not None and parent not in seen:
        if parent in among:
            return True
        seen.add(parent)
        parent = parents.get(parent)
    return False
