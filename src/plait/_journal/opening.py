"""How a file is opened: the lock, a look at what it is, the layout, the row that says whose it is."""

from __future__ import annotations

import os
import sqlite3
import sys
from typing import Final, Literal, TypeAlias

from plait._errors import JournalError, JournalIOError

from . import schema
from .faults import code, patiently, told, unsupported
from .lease import Lease
from .world import Connection, Place, World, closing

Sync: TypeAlias = Literal["full", "fast"]

#: Tables that are STRICT.
OLDEST: Final = (3, 37)
#: Seconds that SQLite itself waits for a lock before the journal hears of it.
TIMEOUT: Final = 5.0
#: What a file system answers that has no memory to share between processes.
NO_SHARED_MEMORY: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMLOCK,
        sqlite3.SQLITE_IOERR_SHMMAP,
    }
)
#: What a connection that cannot write says of a file whose last writer did not close it.
UNFINISHED: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})


def open_to_write(
    place: Place, world: World, sync: Sync, patience: float
) -> tuple[Connection, Lease]:
    """Open a file to write to it, and make it if there is none. Blocks.

    Raises:
        JournalError: It cannot be had; nothing is left open.
    """
    _refuse_folder(place)
    with told(place):
        lease = Lease.take(place, world)
    try:
        with told(place):
            place.create()
            patiently(lambda: _look(place, world, patience), place, world, patience)
            connection = _connect(place, world, patience)
            try:
                patiently(lambda: _prepare(connection, place, lease, sync), place, world, patience)
            except BaseException:
                close_untouched(connection, place, world)
                raise
    except BaseException:
        lease.release()
        raise
    return connection, lease


def open_to_read(place: Place, world: World, patience: float) -> Connection:
    """Open a file to read it, beside who writes to it. Blocks.

    Raises:
        JournalError: There is none, or it cannot be read.
    """
    _refuse_folder(place)
    if place.identity is None:
        raise JournalError(f"There is no journal {place}. A run that is kept there makes it.")

    def open_it() -> Connection:
        connection = world.connect(place.real, write=False, timeout=min(patience, TIMEOUT))
        try:
            found = schema.version_of(connection, place)
        except BaseException:
            connection.close()
            raise
        if found == schema.VERSION:
            return connection
        connection.close()
        wrote = "an older plait has written it" if found else "it is empty"
        raise JournalError(f"{place} cannot be read yet: {wrote}. Open it for writing once.")

    with told(place):
        return patiently(open_it, place, world, patience)


def _refuse_folder(place: Place) -> None:
    if os.path.isdir(place.real):  # noqa: PTH112 - as the world names it
        inside = os.path.join(place.shown, "runs.db")  # noqa: PTH118
        raise JournalIOError(f"{place} is a folder. Name a file in it: {inside}")


def close_untouched(connection: Connection, place: Place, world: World) -> None:
    """Close a connection and leave the file as it is.

    The last connection that closes moves what is in the `-wal` into the file and removes it: no good
    idea on a disk that has failed, nor in a file that is damaged. So it is not the last one; the last
    one is one that cannot write.
    """
    try:
        with closing(world.connect(place.real, write=False, timeout=0.0)) as last:
            last.execute("PRAGMA user_version").fetchall()
            connection.close()
    except sqlite3.Error:
        connection.close()


def _connect(place: Place, world: World, patience: float) -> Connection:
    timeout = min(patience, TIMEOUT)
    return patiently(
        lambda: world.connect(place.real, write=True, timeout=timeout), place, world, patience
    )


def _look(place: Place, world: World, patience: float) -> None:
    """Refuse a file that is no journal of ours, with nothing written to it."""
    timeout = min(patience, TIMEOUT)
    try:
        with closing(world.connect(place.real, write=False, timeout=timeout)) as connection:
            schema.version_of(connection, place)
    except sqlite3.Error as error:
        if code(error) not in UNFINISHED:
            raise
        with closing(world.connect(place.real, write=True, timeout=timeout)) as connection:
            schema.version_of(connection, place)


def _prepare(connection: Connection, place: Place, lease: Lease, sync: Sync) -> None:
    """Settle how the connection writes, lay the file out, and sign it. Again does no harm."""
    ((library,),) = connection.execute("SELECT sqlite_version()").fetchall()
    if tuple(map(int, library.split("."))) < OLDEST:
        raise unsupported(place, f"the SQLite library here is {library}")
    try:
        ((mode,),) = connection.execute("PRAGMA journal_mode = WAL").fetchall()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) in NO_SHARED_MEMORY:
            raise unsupported(place, f"its file system cannot share memory ({error})") from error
        raise
    if mode.lower() != "wal":
        raise unsupported(place, f"its file system refuses WAL and offers {mode!r}")
    connection.execute(f"PRAGMA synchronous = {'FULL' if sync == 'full' else 'NORMAL'}")
    connection.execute("PRAGMA foreign_keys = ON")
    if sys.platform == "darwin":  # fsync there does not reach the disk
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
    found = schema.version_of(connection, place)
    if found:
        schema.migrate(connection, place, found)
    else:
        schema.create(connection)
    lease.claim(connection)
