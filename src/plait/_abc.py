"""The ports: what plait asks of code that others may write. Each is a protocol and a promise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeAlias, TypeVar, TypeVarTuple

import attrs

from plait._errors import JournalError
from plait._kernel.records import AnyRecord
from plait._naming import publish

#: What an observer is told: `plait.lowlevel` has the classes.
Record: TypeAlias = AnyRecord

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Observer(Protocol):
    """Watches a run: it is called with each record, synchronously, after it is applied.

    It must not block. One that raises is logged and removed: watching never disturbs a run. What it
    sends to the run from inside a call takes effect after the records that are being reported.

    Example:
        ```python
        def watch(record: object) -> None:
            print(record)


        run = Flow().run().observe(watch)
        ```
    """

    def __call__(self, record: Record, /) -> object:
        """Look at one record."""
        ...


# ---------------------------------------------------------------- the journal

Status: TypeAlias = Literal["queued", "running", "completed", "failed", "cancelled", "held"]
"""Where a stream stands. `held`: it waits for somebody to mend it."""


@attrs.frozen
class Opening:
    """What is known of a stream from its first entry on.

    Attributes:
        app_id: The app that it belongs to; `""` for event workflows and flows.
        target: The function's id, the workflow's or the file's name.
        parent: The stream that started it, if one did.
        source: A digest of the code that wrote it, if it is known.
    """

    app_id: str
    target: str
    parent: str | None = None
    source: str | None = None


@attrs.frozen
class Entry:
    """One record, as a journal keeps it.

    Attributes:
        stream: The run's id, or `"app/<app_id>"`.
        n: Its place in the stream, from 1, without gaps.
        kind: The tag of the record's class, as `"step.completed"`.
        version: Of this kind's fields, from 1.
        at: When it was written, in Unix seconds.
        key: The step's key, if it belongs to a step that may end only once.
        body: The record's fields, JSON in UTF-8.
        status: The stream's new status, if this entry changes it.
        opening: What the stream is, if this is its first entry.
    """

    stream: str
    n: int
    kind: str
    version: int
    at: float
    key: str | None
    body: bytes
    status: Status | None = None
    opening: Opening | None = None


@attrs.frozen
class StreamInfo:
    """A stream, without its entries.

    Attributes:
        stream: The run's id, or `"app/<app_id>"`.
        app_id: The app that it belongs to; `""` for event workflows and flows.
        target: The function's id, the workflow's or the file's name.
        parent: The stream that started it, if one did.
        status: Where it stands.
        source: A digest of the code that wrote it, if it is known.
        created: When its first entry was written, in Unix seconds.
        updated: When its last entry was written.
        last_n: The place of its last entry.
    """

    stream: str
    app_id: str
    target: str
    parent: str | None
    status: Status
    source: str | None
    created: float
    updated: float
    last_n: int


class Backend(Protocol):
    """What a journal gets instead of an event loop library."""

    def run_sync_soon(self, fn: Callable[[*Ts], object], /, *args: *Ts) -> None:
        """Call `fn` in the event loop, soon and in the order asked for. From any thread."""
        ...

    async def to_thread(self, fn: Callable[[*Ts], T], /, *args: *Ts) -> T:
        """Call `fn` in a worker thread and wait for it, also if the caller is cancelled."""
        ...


class Journal(Protocol):
    """Keeps what runs did. It knows bytes, streams and order, and no class of plait's or the user's.

    1. One `append` is atomic, over several streams too. Commits keep the order of the calls.
    2. `append` never blocks. `done` is called in the event loop, once for each call, in the order of
       the calls, after the commit.
    3. A wrong `n`, a first entry without `opening` and `status`, or a second outcome
       (`step.completed`, `step.failed`) for one key of a stream refuses the whole append with
       `StreamConflictError`, and that append alone.
    4. After any other `JournalError` the journal is broken: every later append gets that error.

    `plait.testing.check_journal` has these rules as tests.
    """

    async def open(self, backend: Backend, *, write: bool = True) -> None:
        """Make it ready for this event loop; `write=False` to read only. A checkpoint.

        Raises:
            JournalError: It cannot be opened; the message says why.
        """
        ...

    async def aclose(self) -> None:
        """Write all that has been appended, then stop. Twice is fine. A checkpoint.

        All `done`s have been called when it returns, also if its caller is cancelled.
        """
        ...

    def append(
        self, entries: Sequence[Entry], done: Callable[[JournalError | None], object]
    ) -> None:
        """Keep these entries, all or none, and call `done` when they are on disk. Not a checkpoint."""
        ...

    def flush(self) -> None:
        """Write what has been appended and waits for more. Not a checkpoint."""
        ...

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """Read entries of a stream with `n > after`, in order. A checkpoint.

        They come without `status` and `opening`: `streams` has these.
        """
        ...

    async def streams(
        self,
        *,
        app_id: str | None = None,
        status: Sequence[str] = (),
        after: str = "",
        limit: int = 100,
    ) -> Sequence[StreamInfo]:
        """List streams by name, in the order of code points, from the first after `after` on.

        Those of every app and status unless told. A checkpoint.
        """
        ...

    async def prune(self, *, ended_before: float) -> int:
        """Drop whole streams that ended before this Unix time, and say how many. A checkpoint.

        A stream has ended if its status is `completed`, `failed` or `cancelled`, with its last entry.
        It is kept as long as the one that started it has not ended, which may ask for its result.
        """
        ...


publish("plait.abc", Entry, Opening, StreamInfo, Backend, Journal)
