"""SQLite on a file system that notes what is written, synced and deleted.

The files are real ones; what is noted makes the images. The library is apsw's, which can be given a
file system, behind what the journal knows of a connection. It has no shared memory for the `-wal`'s
index, so a connection has its file for itself: all of a process share one, as they never meet here.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import apsw

from plait._journal.world import World

from .disk import Delete, Happening, Sync, Truncate, Write

#: `late` acknowledges before it commits; `off` does not sync at all. Both are wrong.
Way: TypeAlias = Literal["right", "late", "off"]


class Recorder(apsw.VFS):
    """A file system; it is there until `unregister`."""

    def __init__(self, trace: list[Happening]) -> None:
        self.trace = trace
        self.name = f"recorder-{id(self)}"
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> RecordedFile:  # noqa: N802 - SQLite's name
        return RecordedFile(self.trace, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802, FBT001 - as above
        super().xDelete(filename, syncdir)
        self.trace.append(Delete(Path(filename).name))


class RecordedFile(apsw.VFSFile):
    def __init__(self, trace: list[Happening], name: Any, flags: list[int]) -> None:
        self._trace = trace
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(path).name if path else ""
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        super().xWrite(data, offset)
        self._trace.append(Write(self._name, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - as above
        super().xTruncate(newsize)
        self._trace.append(Truncate(self._name, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802 - as above
        super().xSync(flags)
        self._trace.append(Sync(self._name))


class Fetched:
    """All rows of an answer."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows = iter([*rows])

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return [*self._rows]


class Shared:
    """The one connection that a process has to its file, as the journal knows connections."""

    def __init__(self, path: str, recorder: Recorder, way: Way, checkpoint: int) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        self._inner = apsw.Connection(path, flags=flags, vfs=recorder.name)
        self._inner.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._inner.execute(f"PRAGMA wal_autocheckpoint = {checkpoint}")
        self._way = way
        self._late = False
        #: Whoever reads is in another thread than the writer's.
        self._turn = threading.RLock()
        self.users = 0

    @property
    def in_transaction(self) -> bool:
        with self._turn:
            return self._inner.in_transaction and not self._late

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> Fetched:
        if self._way == "off":
            sql = sql.replace("synchronous = FULL", "synchronous = OFF")
        with self._turn, _as_sqlite3():
            if self._way == "late":
                if self._late and not sql.startswith("SELECT"):
                    self._late = False
                    self._inner.execute("COMMIT")
                if sql == "COMMIT":
                    self._late = True
                    return Fetched(())
            return Fetched(self._inner.execute(sql, tuple(parameters)))

    def executemany(self, sql: str, parameters: Iterable[Sequence[object]], /) -> None:
        with self._turn, _as_sqlite3():
            self._inner.executemany(sql, [tuple(row) for row in parameters])

    def close(self) -> None:
        with self._turn:
            self.users -= 1
            if not self.users:
                if self._late:
                    self._inner.execute("COMMIT")
                self._inner.close()


@contextmanager
def _as_sqlite3() -> Generator[None]:
    """Raise what the standard library raises."""
    try:
        yield
    except apsw.Error as error:
        code = getattr(error, "extendedresult", 1)
        broken = code & 0xFF == apsw.SQLITE_CONSTRAINT
        told = (sqlite3.IntegrityError if broken else sqlite3.DatabaseError)(str(error))
        told.sqlite_errorcode = code
        told.sqlite_errorname = type(error).__name__
        raise told from error


def world(recorder: Recorder, way: Way, checkpoint: int) -> World:
    """A world whose one file is on that file system."""
    there: list[Shared] = []

    def connect(path: str, /, *, write: bool, timeout: float) -> Shared:
        del write, timeout
        if not there or not there[0].users:
            there[:] = [Shared(path, recorder, way, checkpoint)]
        there[0].users += 1
        return there[0]

    return World(connect=connect)
