"""`SqliteJournal`: a journal in one file, by the standard library's SQLite.

Rule 1: acknowledged is what is committed. `done` is called after COMMIT, and with `sync="full"`
COMMIT returns when the disk has it.
Rule 2: one process writes, one thread of it, over one connection (`writer`); each read has a
connection of its own (`reading`).
Rule 3: what goes wrong with the file ends the journal object and nothing else: the file is left as
it is, and the next `open` reads what is there.
Rule 4: a forked child has no thread, no lock and no event loop of its own here. It gets an error at
its first call, and nothing of its parent's is closed.
"""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeVar, TypeVarTuple, final

import attrs

from plait._abc import Backend, Entry, StreamInfo
from plait._errors import (
    JournalCorruptError,
    JournalError,
    JournalForkedError,
    JournalLockedError,
)
from plait._naming import publish

from . import reading
from .faults import patiently, told
from .inbox import Append, Done
from .lease import Owner
from .ledger import Ledger
from .opening import Sync, open_to_read, open_to_write
from .verify import faults_in
from .world import Connection, Place, World, closing
from .writer import Writer, tell

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: Streams that are deleted in one commit.
PRUNED_AT_ONCE: Final = 200


@attrs.define(eq=False)
class _Opened:
    """What there is between `open` and `aclose`."""

    backend: Backend
    #: `None` if it is open to be read.
    writer: Writer | None
    pid: int = attrs.field(factory=os.getpid)
    closing: bool = False
    #: Ends the writer if the journal is forgotten.
    forgotten: weakref.finalize[..., SqliteJournal] | None = None
    #: Those that came while it was being closed: they are answered after all others.
    late: list[Done] = attrs.field(factory=list[Done])


@final
class SqliteJournal:
    """A journal in a SQLite file on a local disk. What it acknowledged survives the process.

    One process at a time may have it open for writing; any number may read it (`write=False`).
    Several apps and workflows of a process share one file by sharing the object. It can be closed
    and opened again, in another event loop too.

    Args:
        path: The file. It is made, for this user alone, if it is not there; its folder is not.
            Beside it lie `-wal` and `-shm`, which belong to it, and `.lock`, which stays.
        sync: `"full"`: what was acknowledged survives a loss of power. `"fast"`: it survives the
            process, not the machine, and costs half as much or less.
        patience: Seconds for which a locked file is tried again.

    Raises:
        ValueError: The path is one of no file, or `sync` is another word.

    Example:
        ```python
        journal = SqliteJournal("shop.db")
        ```
    """

    def __init__(
        self, path: str | os.PathLike[str], *, sync: Sync = "full", patience: float = 30.0
    ) -> None:
        if os.fspath(path) in {"", ":memory:"}:
            raise ValueError(f"{path!r} is no file. A journal in memory is MemoryJournal()")
        if sync not in {"full", "fast"}:
            raise ValueError(f"sync must be 'full' or 'fast', not {sync!r}")
        self._place = Place.of(path)
        self._sync: Sync = sync
        self._patience = patience
        #: See `world`.
        self._world = World()
        self._opened: _Opened | None = None
        self._opening = False
        #: Of the last opening: whoever appends afterwards is told there.
        self._backend: Backend | None = None

    def __repr__(self) -> str:
        opened = self._opened
        if opened is None:
            state = "closed"
        elif opened.writer is None:
            state = "open to read"
        elif opened.writer.error is None:
            state = "open to write"
        else:
            state = f"failed: {type(opened.writer.error).__name__}"
        return f"<SqliteJournal {self._place.shown!r}, {state}>"

    # ------------------------------------------------------------ from open to close

    async def open(self, backend: Backend, *, write: bool = True) -> None:
        """Open the file, and make it if there is none. A checkpoint.

        Cancelled beforehand it has opened nothing; once it has begun, a cancellation waits for it.

        Args:
            backend: Of this event loop.
            write: Whether it takes entries. To read, there must be a file; it is not changed, and
                another process may write to it.

        Raises:
            JournalLockedError: It is in use, by another process or in this one.
            JournalCorruptError: It is no journal, or damaged.
            JournalTooNewError: A newer plait has written it.
            JournalUnsupportedError: It cannot be kept safely there.
            JournalError: It cannot be opened; the message says why.
        """
        if self._opened is not None or self._opening:
            self._check_process()
            raise JournalLockedError(
                f"{self._place} is open here already. Share this object, or close it first:"
                "  await journal.aclose()"
            )
        self._opening = True
        try:
            await backend.to_thread(self._open_now, backend, write)
        finally:
            self._opening = False
        self._backend = backend

    def _open_now(self, backend: Backend, write: bool) -> None:  # noqa: FBT001 - see `open`
        """Open it, in a thread where no Ctrl-C comes between two statements. Blocks."""
        if not write:
            self._read_now(_nothing)
            self._opened = _Opened(backend, None)
            return
        connection, lease = open_to_write(self._place, self._world, self._sync, self._patience)
        writer = Writer(connection, lease, self._place, backend, self._world, self._patience)
        writer.start()
        self._opened = opened = _Opened(backend, writer)
        opened.forgotten = weakref.finalize(self, _forgotten, opened.pid, writer)
        # Not at the end of the process: that goes on without a thread that is a daemon.
        opened.forgotten.atexit = False

    async def aclose(self) -> None:  # noqa: ASYNC910 - open to read, it has nothing to wait for
        """Write all that was appended and call each `done`, then close the file. A checkpoint.

        Twice is fine, and so is a journal that has failed. Call it under a shield: cancelled beforehand it
        leaves the file open; once it has begun, a cancellation waits for it.

        Raises:
            JournalForkedError: This is a forked child of the process that opened it.
        """
        opened = self._opened
        if opened is None:
            return  # noqa: ASYNC910 - there is nothing to wait for, nor to wait with
        self._check_process()
        if opened.writer is not None:
            opened.closing = True
            if opened.forgotten is not None:
                opened.forgotten.detach()
            opened.writer.inbox.close()
            await opened.backend.to_thread(opened.writer.join)
        if self._opened is opened:  # the first of several to come here
            self._opened = None
            tell([(done, self._closed()) for done in opened.late])

    # ------------------------------------------------------------ writing

    def append(self, entries: Sequence[Entry], done: Done) -> None:
        """Keep these entries, all or none, and call `done` when they are on disk. Not a checkpoint.

        Args:
            entries: Of any streams, each stream's in its order.
            done: Called in the event loop: with `None` when they are committed, with the
                `StreamConflictError` that refuses them alone, or with the `JournalError` that has
                ended the journal. Then nothing of it is in the file, but after a `JournalIOError`
                nobody knows.

        Raises:
            JournalError: It has never been opened.
            JournalForkedError: This is a forked child of the process that opened it.
        """
        self._append(entries, done, patient=False)

    def append_patiently(self, entries: Sequence[Entry], done: Done) -> None:
        """As `append`, of what nobody waits for. Not a checkpoint.

        It is written with the next append that somebody waits for, at 64 rows, or after a millisecond:
        so that what says that a step has begun is no commit of its own if the step is short.

        Args:
            entries: As for `append`.
            done: As for `append`.

        Raises:
            JournalError: It has never been opened.
            JournalForkedError: This is a forked child of the process that opened it.
        """
        self._append(entries, done, patient=True)

    def _append(self, entries: Sequence[Entry], done: Done, *, patient: bool) -> None:
        opened = self._opened
        if opened is None:
            if self._backend is None:
                raise self._closed()
            self._backend.run_sync_soon(done, self._closed())
            return
        if opened.pid != os.getpid():
            self._check_process()
        if opened.writer is None:
            error = JournalError(f"{self._place} is open to be read, and takes no entries.")
            opened.backend.run_sync_soon(done, error)
        elif opened.closing:
            opened.late.append(done)
        else:
            opened.writer.inbox.put(Append(tuple(entries), done), patient=patient)

    def collect(self) -> None:
        """Let what is appended from now on wait for more, until `flush`. Not a checkpoint.

        It is written at 64 rows, or after a millisecond, in any case.

        Raises:
            JournalError: It is not open to be written to.
            JournalForkedError: This is a forked child of the process that opened it.
        """
        self._writer().inbox.collect()

    def flush(self) -> None:
        """Write what was collected, and collect no more. Not a checkpoint.

        Raises:
            JournalForkedError: This is a forked child of the process that opened it.
        """
        opened = self._opened
        if opened is not None and opened.writer is not None:
            self._check_process()
            opened.writer.inbox.flush()

    async def prune(self, *, ended_before: float, only: Collection[str] | None = None) -> int:
        """Drop whole streams that ended before this Unix time, and say how many. A checkpoint.

        A stream stays while one that it came from (its parent, that one's parent, and so on) has not
        ended: that one may ask for its result. It is done in several commits, each of whole streams.

        Args:
            ended_before: In Unix seconds; a stream ended when its last entry was written.
            only: No other streams than these, and in this order; by default any.

        Raises:
            JournalError: It is not open to be written to, or it fails.
            JournalForkedError: This is a forked child of the process that opened it.
        """
        writer = self._writer()
        if writer.error is not None:
            raise writer.error
        wanted = None if only is None else [*only]
        return await self._in_thread(self._prune_now, writer, ended_before, wanted)

    def _prune_now(self, writer: Writer, ended_before: float, only: list[str] | None) -> int:
        names = self._read_now(lambda connection: reading.over(connection, ended_before))
        if only is not None:
            over = frozenset(names)
            names = [name for name in only if name in over]
        dropped = 0
        for start in range(0, len(names), PRUNED_AT_ONCE):
            some = names[start : start + PRUNED_AT_ONCE]

            def drop(ledger: Ledger, some: Sequence[str] = some) -> int:
                return ledger.drop(some, ended_before=ended_before)

            dropped += writer.ask(drop)
        return dropped

    # ------------------------------------------------------------ reading

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """Read entries of a stream with `n > after`, in order; their status and opening are `None`.

        A checkpoint. What was acknowledged before is among them.

        Args:
            stream: Its name. One that is not there has no entries.
            after: The place of the last entry that is known already.
            limit: How many at most.

        Raises:
            JournalError: It is closed, or the file cannot be read.
            JournalForkedError: This is a forked child of the process that opened it.
        """

        def query(connection: Connection) -> list[Entry]:
            return reading.entries(connection, stream, after, limit)

        return await self._ask(query)

    async def streams(
        self,
        *,
        app_id: str | None = None,
        status: Sequence[str] = (),
        after: str = "",
        limit: int = 100,
    ) -> Sequence[StreamInfo]:
        """List streams by name. A checkpoint.

        Args:
            app_id: Only those of this app; `""` for event workflows and flows.
            status: Only those that stand so; empty for all.
            after: Only those whose names come after this one.
            limit: How many at most.

        Raises:
            JournalError: It is closed, or the file cannot be read.
            JournalForkedError: This is a forked child of the process that opened it.
        """

        def query(connection: Connection) -> list[StreamInfo]:
            return reading.streams(connection, app_id, status, after, limit)

        return await self._ask(query)

    async def written_since(self) -> float | None:
        """Say since when somebody has the file open to write, in Unix seconds. A checkpoint.

        A process of another machine counts, since it is not known whether that is still there.

        Returns:
            `None`: nobody has. What is not over there goes on nowhere.

        Raises:
            JournalError: It is closed, or the file cannot be read.
            JournalForkedError: This is a forked child of the process that opened it.
        """
        owner = await self._ask(Owner.read)
        return None if owner is None or owner.is_gone else owner.since

    async def verify(self) -> list[str]:
        """List what is wrong with the file, in words; nothing, if it is sound. It reads all of it.

        It looks for damaged pages, tables that look different, missing entries, bodies that are no
        JSON, steps that end twice, and a list of streams that is not what their records sum up to.
        It takes no lock, and does not mind whoever writes. On a journal that is open it is a
        checkpoint; otherwise there is no event loop to wait with, and it blocks.

        Raises:
            JournalError: There is no file, or it cannot be read.
            JournalForkedError: This is a forked child of the process that opened it.

        Example:
            ```python
            faults = await SqliteJournal("shop.db").verify()
            ```
        """
        if self._opened is not None:
            return await self._in_thread(self._verify_now)
        return self._verify_now()  # noqa: ASYNC910 - see above

    def _verify_now(self) -> list[str]:
        try:
            return self._read_now(faults_in)
        except JournalCorruptError as error:
            return [str(error)]

    async def _ask(self, query: Callable[[Connection], T]) -> T:
        """Read, and write no more if the file turns out to be damaged."""
        opened = self._opened

        def ask() -> T:
            try:
                return self._read_now(query)
            except JournalCorruptError as error:
                if opened is not None and opened.writer is not None:
                    opened.writer.fail(error)
                raise

        return await self._in_thread(ask)

    def _read_now(self, query: Callable[[Connection], T]) -> T:
        """Ask a connection of its own. Blocks."""

        def attempt() -> T:
            with closing(open_to_read(self._place, self._world, self._patience)) as connection:
                return query(connection)

        with told(self._place):
            return patiently(attempt, self._place, self._world, self._patience)

    # ------------------------------------------------------------ who may call

    async def _in_thread(self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        opened = self._opened
        if opened is None:
            raise self._closed()
        self._check_process()
        return await opened.backend.to_thread(fn, *args)

    def _writer(self) -> Writer:
        opened = self._opened
        if opened is None:
            raise self._closed()
        self._check_process()
        if opened.writer is None:
            raise JournalError(f"{self._place} is open to be read, and is not changed.")
        return opened.writer

    def _closed(self) -> JournalError:
        return JournalError(f"{self._place} is not open. First:  await journal.open(backend)")

    def _check_process(self) -> None:
        opened = self._opened
        if opened is not None and opened.pid != (here := os.getpid()):
            raise JournalForkedError(
                f"{self._place} was opened by process {opened.pid}, and this is its forked child"
                f" {here}.\nA journal cannot be shared over a fork. Make one in the process that"
                " uses it, after the fork."
            )


def _nothing(connection: Connection) -> None:
    """Ask nothing: the file could be opened."""


def _forgotten(pid: int, writer: Writer) -> None:
    """End the writer of a journal that nobody has closed. May run anywhere, in any thread."""
    if pid != os.getpid():
        return
    writer.inbox.close()
    said = f"{writer.place} was not closed: await journal.aclose()"
    warnings.warn(said, ResourceWarning, stacklevel=2)


publish("plait.durable", SqliteJournal)
