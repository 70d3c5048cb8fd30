"""A second, slow account of a file: what is wrong with it, in words.

It trusts `record` and nothing else: what that sums up to must be what `stream` says.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NoReturn, TypeAlias

from .faults import DAMAGED, code
from .reading import STREAMS
from .schema import LAYOUT
from .world import Connection

RECORDS: Final = (
    "SELECT stream, n, kind, at, key, body, status, opening FROM record ORDER BY stream, n"
)
COLUMNS: Final = (
    "app_id", "target", "parent", "status", "source", "created", "updated", "last_n"
)  # fmt: skip
OUTCOMES: Final = frozenset({"step.completed", "step.failed"})

#: A row of `record`, in the order of `RECORDS`.
Row: TypeAlias = tuple[str, int, str, float, str | None, bytes, str | None, str | None]
#: What `stream` says of a stream, in the order of `COLUMNS`.
Sum: TypeAlias = tuple[Any, ...]


def faults_in(connection: Connection) -> list[str]:
    """List what is wrong with a file whose application and version are ours; it may be long.

    Raises:
        sqlite3.Error: The file could not be read, which says nothing about what is in it.
    """
    found: list[str] = []
    looks = {"quick_check": _pages, "layout": _layout, "records": _records, "streams": _lists}
    connection.execute("BEGIN")  # one state of it, whoever writes meanwhile
    try:
        for name, look in looks.items():
            try:
                found.extend(look(connection))
            except sqlite3.Error as error:
                if code(error) not in DAMAGED:
                    raise
                found.append(f"{name}: {error}, and no more can be read")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return found


def _pages(connection: Connection) -> Iterator[str]:
    for (said,) in connection.execute("PRAGMA quick_check"):
        if said != "ok":
            yield f"quick_check: {said}"


def _layout(connection: Connection) -> Iterator[str]:
    there = dict(connection.execute("SELECT name, sql FROM sqlite_schema").fetchall())
    for name, sql in LAYOUT.items():
        if name not in there:
            yield f"{name} is missing"
        elif there[name].split() != sql.split():
            yield f"{name} is not as plait makes it: {' '.join(there[name].split())}"


def _records(connection: Connection) -> Iterator[str]:
    for stream, rows in groupby(connection.execute(RECORDS), itemgetter(0)):
        told: list[str] = []
        summed = sum_up(stream, rows, told)
        yield from told
        listed = connection.execute(f"{STREAMS} WHERE stream = ?", (stream,)).fetchone()
        if listed is None:
            yield f"stream {stream!r} has records and is not listed"
        elif summed is not None:
            for column, stored, rebuilt in zip(COLUMNS, listed[1:], summed, strict=True):
                if stored != rebuilt:
                    yield f"stream {stream!r}: {column} is {stored!r}, its records say {rebuilt!r}"


def _lists(connection: Connection) -> Iterator[str]:
    alone = "SELECT stream FROM stream WHERE stream NOT IN (SELECT stream FROM record)"
    for (stream,) in connection.execute(alone).fetchall():
        yield f"stream {stream!r} is listed and has no records"


def sum_up(stream: str, rows: Iterable[Row], told: list[str]) -> Sum | None:
    """Sum the records of a stream up and tell what is wrong with them.

    Returns:
        What `stream` should say, or `None` if its opening cannot be read.
    """
    last = 0
    opening: tuple[str, str, str | None, str | None] | None = None
    status: str | None = None
    created = updated = 0.0
    ended = set[str]()
    for _, n, kind, at, key, body, new_status, new_opening in rows:
        here = f"stream {stream!r}, entry {n}"
        if n != last + 1:
            missing = f"{last + 1}" if n == last + 2 else f"{last + 1} to {n - 1}"
            told.append(f"stream {stream!r}: entry {missing} is missing")
        if last == 0:
            created = at
            try:
                app_id, target, parent, source = json.loads(new_opening or "null")
                opening = app_id, target, parent, source
            except (ValueError, TypeError):
                told.append(f"{here}: {new_opening!r} is not an opening")
        try:
            json.loads(body.decode(), parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            told.append(f"{here} ({kind}): its body is no JSON in UTF-8: {error}")
        if kind in OUTCOMES and key is not None:
            if key in ended:
                told.append(f"{here}: step {key!r} ends twice")
            ended.add(key)
        last, updated, status = n, at, new_status or status
    if opening is None:
        return None
    app_id, target, parent, source = opening
    return app_id, target, parent, status, source, created, updated, last


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
