"""The file's layout, and how a file of an older layout becomes one of this.

Rule 1: `record` is the truth and is only appended to; `stream` repeats what can be summed up from it.
Therefore a record also keeps the status and the opening that its entry gave: without them nobody
could say from `record` alone where a stream stands, or whose it is.
Rule 2: `application_id` and `user_version` are looked at before anything is written, with a
connection that cannot write.
Rule 3: a layout, once released, never changes. Another one is another version, and a migration.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from plait._errors import JournalCorruptError, JournalTooNewError

from .world import Connection, Place, transaction

#: 'plai'
APPLICATION_ID: Final = 1886151017
VERSION: Final = 1

LAYOUT: Final = {
    "record": """CREATE TABLE record (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, n INTEGER NOT NULL, kind TEXT NOT NULL,
  version INTEGER NOT NULL, at REAL NOT NULL, key TEXT, body BLOB NOT NULL,
  status TEXT, opening TEXT, UNIQUE (stream, n)) STRICT""",
    "one_outcome": """CREATE UNIQUE INDEX one_outcome ON record (stream, key)
  WHERE kind IN ('step.completed', 'step.failed')""",
    "stream": """CREATE TABLE stream (
  stream TEXT PRIMARY KEY, app_id TEXT NOT NULL, target TEXT NOT NULL, parent TEXT, status TEXT NOT NULL,
  source TEXT, created REAL NOT NULL, updated REAL NOT NULL, last_n INTEGER NOT NULL)
  STRICT, WITHOUT ROWID""",
    "stream_by_status": "CREATE INDEX stream_by_status ON stream (app_id, status, created)",
    "owner": """CREATE TABLE owner (
  one INTEGER PRIMARY KEY CHECK (one = 1), process TEXT NOT NULL, pid INTEGER NOT NULL,
  boot TEXT NOT NULL, host TEXT NOT NULL, since REAL NOT NULL) STRICT""",
}

Migrations = Mapping[int, Callable[[Connection], object]]
#: From each version to the next one. Each is called in the one transaction of all of them.
MIGRATIONS: Final[Migrations] = {}


def version_of(connection: Connection, place: Place, known: int = VERSION) -> int:
    """Find the version of a file's layout; 0 for a file that nobody has written to.

    Raises:
        JournalCorruptError: It belongs to another application, or its tables are not all there.
        JournalTooNewError: A newer plait has written it.
    """
    ((application,),) = connection.execute("PRAGMA application_id").fetchall()
    ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    if application == 0 and version == 0 and not names:
        return 0
    if application != APPLICATION_ID or version < 1:
        raise JournalCorruptError(
            f"{place} is no journal: it belongs to another application"
            f" (application_id {application}, not {APPLICATION_ID}).\n"
            "Nothing was written to it. Name another file."
        )
    if version > known:
        raise JournalTooNewError(
            f"{place} was written by a newer plait: its version is {version}, this plait knows"
            f" {known}.\nNothing was written to it. Update plait, or name another file.",
            found=version,
            known=known,
        )
    if version == VERSION and (missing := sorted(LAYOUT.keys() - names)):
        raise JournalCorruptError(
            f"{place} is damaged: it has no {', '.join(missing)}.\n"
            "Nothing was written to it. Put a copy in its place."
        )
    return int(version)


def create(connection: Connection) -> None:
    """Lay out an empty file, or leave it as it is."""
    with transaction(connection):
        for statement in LAYOUT.values():
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")


def migrate(
    connection: Connection,
    place: Place,
    found: int,
    known: int = VERSION,
    steps: Migrations = MIGRATIONS,
) -> None:
    """Bring a file to the layout that this plait knows, with a copy of it as it was beside it."""
    if found == known:
        return
    back_up(connection, place, f"{place.real}.v{found}.bak")
    with transaction(connection):
        for version in range(found, known):
            steps[version](connection)
        connection.execute(f"PRAGMA user_version = {known}")


def back_up(connection: Connection, place: Place, target: str) -> None:
    """Write a whole copy, and give it its name when it is on disk."""
    unfinished = Path(f"{target}.part")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(0o600, exist_ok=False)  # SQLite itself would let everybody read it
    connection.execute("VACUUM INTO ?", (str(unfinished),))
    descriptor = os.open(unfinished, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    unfinished.replace(target)
    place.sync_folder()
