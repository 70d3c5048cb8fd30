"""The writer: one thread that owns one connection and commits whatever is there.

While it syncs, more comes: so the number of commits follows the disk, and not the number of appends.

Rule 1: an append is answered after its commit, with one hop to the event loop for each commit.
Rule 2: after an error of the file nothing more is written, and all that comes gets that error.
Rule 3: the thread is a daemon. A process that dies without `aclose` does not wait for it: what was
not acknowledged may be lost. `aclose` waits for it, and a journal that is forgotten ends it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias, TypeVar

from plait._abc import Backend
from plait._errors import JournalError, JournalIOError

from .faults import BUSY, code, journal_error, patiently
from .inbox import Append, Done, Inbox, Job
from .lease import Lease
from .ledger import Ledger
from .opening import close_untouched
from .world import Connection, Place, World, transaction

T = TypeVar("T")
Answers: TypeAlias = Sequence[tuple[Done, JournalError | None]]

#: Seconds without an append after which the `-wal` is moved into the file.
IDLE: Final = 0.5


class Writer:
    """A thread that writes, from `start` until its inbox is closed and empty."""

    def __init__(
        self,
        connection: Connection,
        lease: Lease,
        place: Place,
        backend: Backend,
        world: World,
        patience: float,
    ) -> None:
        self.inbox = Inbox()
        #: What has gone wrong: nothing is written any more.
        self.error: JournalError | None = None
        self._connection = connection
        self._lease = lease
        self.place = place
        self._backend = backend
        self._world = world
        self._patience = patience
        self._ledger = Ledger(connection, place)
        #: A file that is moved away, or replaced, would take what is written with it.
        self._identity = place.identity
        self._thread = threading.Thread(
            target=self._work, name=f"plait journal {place}", daemon=True
        )

    def start(self) -> None:
        """Begin to write, or leave nothing open."""
        try:
            self._thread.start()
        except RuntimeError:  # there can be no more threads
            self._close()
            raise

    def fail(self, error: JournalError) -> None:
        """Write nothing more: somebody else has seen what is wrong with the file."""
        if self.error is None:
            self.error = error

    def join(self) -> None:
        """Wait until all is written and closed. Blocks."""
        self._thread.join()

    def ask(self, fn: Callable[[Ledger], int]) -> int:
        """Have something done in its turn, and wait for it. Blocks; not for the event loop.

        Raises:
            JournalError: It could not be done.
        """
        job = Job(lambda: fn(self._ledger))
        if not self.inbox.put(job):
            raise JournalError(f"{self.place} is being closed.")
        answer: int = job.answer.result()
        return answer

    # ------------------------------------------------------------ the thread

    def _work(self) -> None:
        unsettled = False
        while (batch := self.inbox.take(IDLE if unsettled else None)) is not None:
            if isinstance(batch, Job):
                self._do(batch)
            elif batch:
                self._report(self._write(batch))
            else:
                self._settle()
            unsettled = bool(batch) and self.error is None
        self._close()

    def _write(self, batch: Sequence[Append]) -> Answers:
        verdicts = self._attempt(lambda: self._ledger.write(batch))
        if isinstance(verdicts, JournalError):
            return [(append.done, verdicts) for append in batch]
        return [(append.done, verdict) for append, verdict in zip(batch, verdicts, strict=True)]

    def _do(self, job: Job) -> None:
        result = self._attempt(job.fn)
        if isinstance(result, JournalError):
            job.answer.set_exception(result)
        else:
            job.answer.set_result(result)

    def _settle(self) -> None:
        """Move what is in the `-wal` into the file while there is nothing else to do."""

        def checkpoint() -> None:
            try:
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            except sqlite3.Error as error:
                if code(error) not in BUSY:  # it can be done another time
                    raise

        self._attempt(checkpoint)

    def _attempt(self, fn: Callable[[], T]) -> T | JournalError:
        """Do something with the file, unless it has failed. What goes wrong is remembered."""
        if self.error is None:
            try:
                self._check_place()
                return patiently(fn, self.place, self._world, self._patience)
            except JournalError as error:
                self.error = error
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                self.error = journal_error(error, self.place)
                self.error.__cause__ = error
        return self.error

    def _check_place(self) -> None:
        if self._identity is not None and self.place.identity != self._identity:
            raise JournalIOError(
                f"{self.place} was moved, replaced or removed while it was in use.\n"
                f"Put it back under this name, with {self.place}-wal, and start again."
            )

    def _report(self, answers: Answers) -> None:
        with suppress(RuntimeError):  # the event loop is over: nobody waits
            self._backend.run_sync_soon(tell, answers)

    def _close(self) -> None:
        try:
            if self.error is None:
                # The row is a note: without it the next start says less, and no more is lost.
                with suppress(sqlite3.Error), transaction(self._connection):
                    self._lease.leave(self._connection)
                self._connection.close()
            else:
                close_untouched(self._connection, self.place, self._world)
        finally:
            self._lease.release()


def tell(answers: Answers) -> None:
    """Call each `done`, in the order of the appends. One that raises does not stop the others."""
    raised: list[Exception] = []
    for done, error in answers:
        try:
            done(error)
        except Exception as bug:  # noqa: BLE001 - raised below
            raised.append(bug)
    if len(raised) > 1:
        raise ExceptionGroup("several answers of the journal failed", raised)
    if raised:
        raise raised[0]
