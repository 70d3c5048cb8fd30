"""The lease: one process at a time has a journal's file open for writing.

Rule 1: the lock on `FILE.lock` decides. The operating system takes it away with the process, however
that ends; a process that is merely stopped keeps it. It is a POSIX record lock, which a forked child
does not inherit, and the file stays for ever: whoever removed it could lock another one.
Rule 2: record locks do not conflict within a process, and closing any descriptor of the file drops
them all. So a process keeps a list of its leases, and opens no lock file that is on it.
Rule 3: the row `owner` is for the message, and decides only where no locks can be had.
"""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Final, TypeAlias

import attrs

from plait._errors import JournalLockedError

from .world import Connection, Place, World, closing, transaction

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

#: Device and number of a lock file.
Key: TypeAlias = tuple[int, int]

#: The leases of this process, and of those it was forked from: they count by their `pid` only.
_leases: Final[dict[Key, Lease]] = {}
#: One for each process: a child must not wait for one that a thread of its parent had.
_guards: Final[dict[int, threading.Lock]] = {}

#: What the system says where a lock is held, and where there are no locks.
HELD: Final = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})


@attrs.frozen
class Owner:
    """The row `owner`."""

    process: str
    pid: int
    boot: str
    host: str
    since: float

    @classmethod
    def read(cls, connection: Connection) -> Owner | None:
        """Find who has written to the file last, if that process has not left it in order."""
        row = connection.execute("SELECT process, pid, boot, host, since FROM owner").fetchone()
        return None if row is None else cls(*row)

    @property
    def is_gone(self) -> bool:
        """Whether that process is known to be gone: of another machine's nothing is known."""
        return self.host == socket.gethostname() and not self.lives and self._lease() is None

    def _lease(self) -> Lease | None:
        """Find the lease of this process that has written the row."""
        for lease in [*_leases.values()]:
            if lease.token == self.process and lease.pid == os.getpid():
                return lease
        return None

    @property
    def lives(self) -> bool:
        """Whether that process is still there, as far as its number can tell.

        A process that has our number is gone, since we have it now: a container starts as 1 again.
        """
        return self.boot == boot() and self.pid != os.getpid() and is_running(self.pid)


@attrs.define(eq=False)
class Lease:
    """The right to write, from `take` to `release`."""

    place: Place
    since: float
    key: Key
    descriptor: int
    #: Whether the lock could be had at all.
    locked: bool
    pid: int = attrs.field(factory=os.getpid)
    token: str = attrs.field(factory=lambda: uuid.uuid4().hex)

    @classmethod
    def take(cls, place: Place, world: World) -> Lease:
        """Take the lock.

        Raises:
            JournalLockedError: Another process has it, or this one.
            OSError: There can be no lock file.
        """
        name = f"{place.real}.lock"
        with _guards.setdefault(os.getpid(), threading.Lock()):
            if (mine := _mine(name, place)) is not None:
                raise in_use_here(place, mine)
            descriptor = os.open(name, os.O_CREAT | os.O_RDWR, 0o600)
            locked = _lock(descriptor)
            if locked is False:
                os.close(descriptor)
                raise _in_use(place, world)
            stat = os.fstat(descriptor)
            lease = cls(place, world.wall(), (stat.st_dev, stat.st_ino), descriptor, locked is True)
            _leases[lease.key] = lease
            return lease

    def claim(self, connection: Connection) -> None:
        """Write the row.

        Raises:
            JournalLockedError: The file is in use here under another name, or there are no locks and
                its last owner is alive.
        """
        with transaction(connection):
            owner = Owner.read(connection)
            if owner is not None:
                if (mine := owner._lease()) is not None:
                    raise in_use_here(self.place, mine)
                if not self.locked and owner.lives:
                    raise in_use(self.place, owner)
            connection.execute(
                "INSERT OR REPLACE INTO owner (one, process, pid, boot, host, since)"
                " VALUES (1, ?, ?, ?, ?, ?)",
                (self.token, self.pid, boot(), socket.gethostname(), self.since),
            )

    def leave(self, connection: Connection) -> None:
        """Take the row away: the file is left in order."""
        connection.execute("DELETE FROM owner WHERE process = ?", (self.token,))

    def release(self) -> None:
        """Give the lock back. Twice is fine; in a forked child it is not ours to give."""
        with _guards.setdefault(os.getpid(), threading.Lock()):
            if _leases.get(self.key) is self and self.pid == os.getpid():
                del _leases[self.key]
                os.close(self.descriptor)


def _mine(name: str, place: Place) -> Lease | None:
    """Find the lease that this process has, by its lock file or, under another name, its file."""
    lock, file = Place.of(name).identity, place.identity
    for lease in _leases.values():
        same = lease.key == lock or (file is not None and file == lease.place.identity)
        if same and lease.pid == os.getpid():
            return lease
    return None


def _lock(descriptor: int) -> bool | None:
    """Take the lock at once: whether it is ours now, or `None` where there are no locks."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in HELD else None
    return True


# ---------------------------------------------------------------- who it is


def boot() -> str:
    """Name this start of the machine, where that can be known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def is_running(pid: int) -> bool:
    """Whether there is a process of this number."""
    if sys.platform == "win32":  # to ask there is to end it; and locks can be had everywhere
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _in_use(place: Place, world: World) -> JournalLockedError:
    try:
        with closing(world.connect(place.real, write=False, timeout=0.1)) as connection:
            owner = Owner.read(connection)
    except sqlite3.Error:  # it has the lock and no tables yet
        owner = None
    return in_use(place, owner)


def in_use(place: Place, owner: Owner | None) -> JournalLockedError:
    """Say who uses a file."""
    who = "another process"
    if owner is not None:
        who = f"process {owner.pid} on host {owner.host} since {clock(owner.since)}"
    return JournalLockedError(
        f"{place} is used by {who}\n"
        "One process at a time may write to a journal. End that one, or open the journal with"
        " write=False to read it."
    )


def in_use_here(place: Place, lease: Lease) -> JournalLockedError:
    """Say that a file is in use in this process."""
    return JournalLockedError(
        f"{place} is used by this process ({lease.pid}) since {clock(lease.since)}\n"
        "Share that journal object, or close it first:  await journal.aclose()"
    )


def clock(since: float) -> str:
    """Show a time of today by its minutes, another with its day."""
    then = time.localtime(since)
    today = time.strftime("%Y-%m-%d", then) == time.strftime("%Y-%m-%d")
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)
