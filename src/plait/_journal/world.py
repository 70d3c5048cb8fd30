"""What the SQLite journal asks of the world: connections, clocks, the file's folder.

The seam for tests is `SqliteJournal._world`: another `World` brings connections of another library,
or such as count and fail, and clocks that nobody waits for. All that reaches the file goes through
`World.connect`, since two SQLite libraries on one file in one process undo each other's locks.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import attrs


class Rows(Protocol):
    """The answer to a statement: the part of `sqlite3.Cursor` that the journal uses."""

    def __iter__(self) -> Iterator[Any]: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """The part of `sqlite3.Connection` that the journal uses. Its errors are `sqlite3.Error`s.

    They carry `sqlite_errorcode`. It is used by one thread at a time, not always the same one.
    """

    @property
    def in_transaction(self) -> bool: ...
    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> Rows: ...
    def executemany(self, sql: str, parameters: Iterable[Sequence[object]], /) -> object: ...
    def close(self) -> object: ...


class Connect(Protocol):
    """Opens a file that is there. Each statement is on its own until `BEGIN`."""

    def __call__(self, path: str, /, *, write: bool, timeout: float) -> Connection: ...


def connect(path: str, /, *, write: bool, timeout: float) -> Connection:
    """Open a file with the standard library's SQLite; `mode=ro` leaves a hot file as it is."""
    return sqlite3.connect(
        f"{Path(path).as_uri()}?mode={'rw' if write else 'ro'}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,  # opened by one thread, used by the writer's
    )


@attrs.frozen
class World:
    """Connections and clocks."""

    connect: Connect = connect
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    wall: Callable[[], float] = time.time


@attrs.frozen
class Place:
    """Where a journal is: as its user named it, and without links, as everybody must name it."""

    shown: str
    real: str

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Place:
        """Resolve a path."""
        return cls(os.fspath(path), os.path.realpath(path))

    def __str__(self) -> str:
        return self.shown

    @property
    def identity(self) -> tuple[int, int] | None:
        """Which file it is, whatever its name; `None` if there is none."""
        try:
            stat = os.stat(self.real)  # noqa: PTH116 - asked before each commit, and this is faster
        except OSError:
            return None
        return stat.st_dev, stat.st_ino

    def create(self) -> bool:
        """Make the file, empty, for this user alone; say whether it was not there."""
        try:
            # Never open a file that SQLite may have open: closing it would undo SQLite's locks.
            os.close(os.open(self.real, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            return False
        self.sync_folder()
        return True

    def sync_folder(self) -> None:
        """Bring the names of its folder to the disk."""
        if os.name == "nt":  # no folder can be opened there
            return
        folder = os.open(Path(self.real).parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def transaction(connection: Connection) -> Generator[None]:
    """All or none of the statements in it. What fails in it, its end included, rolls it back."""
    if connection.in_transaction:  # one that could not be rolled back
        connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite rolls back by itself after some errors
            connection.execute("ROLLBACK")
        raise


@contextmanager
def closing(connection: Connection) -> Generator[Connection]:
    """Close it at the end."""
    try:
        yield connection
    finally:
        connection.close()
