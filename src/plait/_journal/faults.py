"""What SQLite's errors mean, and what to say of each: whose fault, what was seen, what to do.

Rule 1: a locked file is worth another try, and nothing else is. After a failed write or sync nobody
knows what is on the disk, and a second sync may succeed without having written anything.
Rule 2: an error that a row causes by itself refuses that row's append; the journal goes on.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, TypeVar

from plait._errors import (
    JournalBusyError,
    JournalCorruptError,
    JournalError,
    JournalFullError,
    JournalIOError,
    JournalUnsupportedError,
)

from .world import Place, World

T = TypeVar("T")

#: The primary codes: the low byte of `sqlite_errorcode`.
BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
#: `SQLITE_ERROR` is a table that is missing or looks different: all our statements are tested.
DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR})
#: What a row causes: it breaks a rule of the tables, or holds what SQLite cannot keep.
ROW: Final = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    UnicodeError,
    OverflowError,
)
#: Seconds between two tries: the first pause, and the longest.
PAUSES: Final = (0.001, 0.1)

SAFE: Final = "What was acknowledged is in it."


def code(error: BaseException) -> int:
    """Find the primary code of an error; 0 if it does not come from SQLite itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def journal_error(error: Exception, place: Place, *, patience: float = 0.0) -> JournalError:
    """Say in plait's words what became of the file."""
    if isinstance(error, JournalError):
        return error
    said = f"{error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"
    match code(error):
        case number if number in BUSY:
            return JournalBusyError(
                f"{place} has been locked by another program for {patience:g} s: {said}.\n"
                f"{SAFE} End that program (a backup, a database shell) and start again."
            )
        case sqlite3.SQLITE_FULL:
            return JournalFullError(
                f"{place} cannot grow, the disk or the quota is full: {said}.\n"
                f"{SAFE} Make room and start again."
            )
        case sqlite3.SQLITE_NOTADB:
            return JournalCorruptError(
                f"{place} is no SQLite file: {said}.\n"
                "Nothing was written to it. Name another file, or put a copy in its place."
            )
        case number if number in DAMAGED:
            return JournalCorruptError(
                f"{place} is damaged: {said}.\n"
                f"Nothing more is written to it. Keep it, and what is named {place}-wal; put a copy"
                " in its place. What is wrong with it:  await SqliteJournal(path).verify()"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return JournalIOError(
                f"{place} cannot be opened, or not be written: {said}.\n"
                "See that its folder is there and that this user may write both, or open it with"
                " write=False to read it."
            )
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_NOLFS:
            return JournalIOError(
                f"{place} could not be read, written or synced: {said}.\n"
                f"{SAFE} What was on its way may be in it or not: the next start reads what is"
                " there. Look after the disk (or a quota) first."
            )
        case _:
            return JournalError(f"{place} cannot be used any more: {said}.\n{SAFE} Start again.")


@contextmanager
def told(place: Place) -> Generator[None]:
    """Raise plait's errors for those of SQLite and of the operating system."""
    try:
        yield
    except JournalError:
        raise
    except sqlite3.Error as error:
        raise journal_error(error, place) from error
    except OSError as error:
        raise os_error(error, place) from error


def os_error(error: OSError, place: Place) -> JournalError:
    """Say in plait's words what the operating system refused."""
    said = f"{os.strerror(error.errno)}, {error.filename or place.real}" if error.errno else error
    return JournalIOError(
        f"{place} cannot be opened: {said}.\n"
        "See that its folder is there and that this user may write in it."
    )


def unsupported(place: Place, why: str) -> JournalUnsupportedError:
    """Say that a journal cannot be kept here."""
    return JournalUnsupportedError(
        f"{place} cannot be a journal: {why}.\n"
        "A journal needs a disk of this machine (no network file system) and SQLite 3.37 or newer."
    )


def patiently(fn: Callable[[], T], place: Place, world: World, patience: float) -> T:
    """Call `fn` until the file is not locked, for `patience` seconds.

    Raises:
        JournalError: The file stayed locked, or something else is wrong.
    """
    limit = world.monotonic() + patience
    pause, longest = PAUSES
    while True:
        try:
            return fn()
        except sqlite3.Error as error:
            if code(error) not in BUSY or world.monotonic() >= limit:
                raise journal_error(error, place, patience=patience) from error
        world.sleep(pause)
        pause = min(2 * pause, longest)
