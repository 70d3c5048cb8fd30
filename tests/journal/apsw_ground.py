"""Ground for a SQLite journal whose files are the test's: apsw, and a file system that fails.

Here SQLite itself meets the error, and decides what becomes of its statement.
"""

import contextlib
import sqlite3
from itertools import count

import apsw
import attrs

numbers = count()


@contextlib.contextmanager
def as_sqlite3():
    """Raise apsw's errors as those that the journal knows."""
    try:
        yield
    except apsw.ConstraintError as error:
        raise translated(sqlite3.IntegrityError, error) from error
    except apsw.Error as error:
        raise translated(sqlite3.OperationalError, error) from error
    except TypeError as error:
        raise sqlite3.ProgrammingError(str(error)) from error


def translated(cls, error):
    new = cls(str(error))
    new.sqlite_errorcode = getattr(error, "extendedresult", 0) or getattr(error, "result", 0)
    new.sqlite_errorname = type(error).__name__
    return new


class Rows:
    def __init__(self, cursor):
        self.cursor = cursor

    def __iter__(self):
        with as_sqlite3():
            yield from self.cursor

    def fetchall(self):
        with as_sqlite3():
            return self.cursor.fetchall()

    def fetchone(self):
        with as_sqlite3():
            return self.cursor.fetchone()


@attrs.define(eq=False)
class Through:
    """A connection of apsw's that looks like one of `sqlite3`'s."""

    ground: "Disk"
    wrapped: apsw.Connection

    @property
    def in_transaction(self):
        return self.wrapped.in_transaction

    def execute(self, sql, parameters=(), /):
        with as_sqlite3():
            return Rows(self.wrapped.execute(sql, tuple(parameters)))

    def executemany(self, sql, parameters, /):
        with as_sqlite3():
            return Rows(self.wrapped.executemany(sql, [tuple(row) for row in parameters]))

    def close(self):
        if self.wrapped is not None:
            self.ground.open -= 1
            with contextlib.suppress(apsw.Error):
                self.wrapped.close()


def planted(cls, result):
    """An error for a call to answer with."""
    error = cls("planted")
    error.result = result & 0xFF
    error.extendedresult = result
    return error


class Disk(apsw.VFS):
    """A file system whose n-th call fails; `fails(n, what)` gives the error or `None`.

    What: `"write"`, `"sync"`, `"truncate"` or `"read"`, of any file of the database.
    """

    def __init__(self, fails=None):
        self.name = f"disk {next(numbers)}"
        self.fails = fails or (lambda number, what: None)
        self.calls = []
        self.open = 0
        super().__init__(self.name, base="")

    def xOpen(self, name, flags):  # noqa: N802 - apsw's name
        return DiskFile(self, name, flags)

    def meet(self, what):
        self.calls.append(what)
        if error := self.fails(len(self.calls), what):
            raise error

    def connect(self, path, /, *, write, timeout):
        flags = apsw.SQLITE_OPEN_READWRITE if write else apsw.SQLITE_OPEN_READONLY
        with as_sqlite3():
            connection = apsw.Connection(path, flags=flags, vfs=self.name)
        connection.set_busy_timeout(0)
        self.open += 1
        return Through(self, connection)


class DiskFile(apsw.VFSFile):
    def __init__(self, disk, name, flags):
        self.disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data, offset):  # noqa: N802
        self.disk.meet("write")
        super().xWrite(data, offset)

    def xSync(self, flags):  # noqa: N802
        self.disk.meet("sync")
        super().xSync(flags)

    def xTruncate(self, size):  # noqa: N802
        self.disk.meet("truncate")
        super().xTruncate(size)

    def xRead(self, amount, offset):  # noqa: N802
        self.disk.meet("read")
        return super().xRead(amount, offset)
