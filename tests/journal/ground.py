"""Worlds for a SQLite journal: connections that note their statements, and that fail on demand."""

import sqlite3

import attrs

from plait._journal.world import World, connect

ERRORS = {
    "busy": sqlite3.SQLITE_BUSY,
    "full": sqlite3.SQLITE_FULL,
    "write": sqlite3.SQLITE_IOERR_WRITE,
    "sync": sqlite3.SQLITE_IOERR_FSYNC,
    "corrupt": sqlite3.SQLITE_CORRUPT,
    "readonly": sqlite3.SQLITE_READONLY,
}


def sqlite_error(name):
    """An error as the library raises it."""
    number = ERRORS[name]
    error = (sqlite3.DatabaseError if name == "corrupt" else sqlite3.OperationalError)(
        f"planted: {name}"
    )
    error.sqlite_errorcode = number
    error.sqlite_errorname = f"SQLITE_{name.upper()}"
    return error


class Ground:
    """Notes each statement of each connection, and fails at chosen ones.

    `fails` gets the number of the statement, from 1, and the statement; it gives the name of an error
    or `None`. With `late`, the statement is executed first.
    """

    def __init__(self, fails=None, *, late=False):
        self.statements = []
        self.fails = fails or (lambda number, sql: None)
        self.late = late
        self.open = 0
        self.clock = 0.0
        self.slept = []

    @property
    def world(self):
        return World(
            connect=self.connect, monotonic=lambda: self.clock, sleep=self.sleep, wall=lambda: 1e9
        )

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.clock += seconds

    def connect(self, path, /, *, write, timeout):
        # What SQLite waits for itself would be waited for in earnest.
        wrapped = self.meet("connect", lambda: connect(path, write=write, timeout=0.0))
        self.open += 1
        return Noted(self, wrapped)

    def meet(self, sql, act):
        """Execute one statement, or fail."""
        self.statements.append(sql)
        name = self.fails(len(self.statements), sql)
        if name is None:
            return act()
        if self.late:
            act()
        raise sqlite_error(name)

    def count(self, word):
        return sum(sql.startswith(word) for sql in self.statements)


@attrs.define(eq=False)
class Noted:
    ground: Ground
    wrapped: sqlite3.Connection
    closed: bool = False

    @property
    def in_transaction(self):
        return self.wrapped.in_transaction

    def execute(self, sql, parameters=(), /):
        return self.ground.meet(sql, lambda: self.wrapped.execute(sql, parameters))

    def executemany(self, sql, parameters, /):
        return self.ground.meet(sql, lambda: self.wrapped.executemany(sql, parameters))

    def close(self):
        if not self.closed:
            self.closed = True
            self.ground.open -= 1
        self.wrapped.close()
