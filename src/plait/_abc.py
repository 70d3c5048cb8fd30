"""The ports: what plait asks of code that others may write. Each is a protocol and a promise."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Literal, Protocol, TypeAlias, TypeVar, TypeVarTuple, Union

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

ENDED: Final[tuple[Status, ...]] = ("completed", "failed", "cancelled")
"""Where one stands that has come to its end."""


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
        """Call `fn(*args)` in a worker thread. A checkpoint; once it has begun, a cancellation waits for it."""
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

        `backend` is that of the loop. Cancelled, it is not open, or waits until it is.

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
        """Read entries of a stream with `n > after`, in order, `limit` at most. A checkpoint.

        Cancelled, it has changed nothing. They come without `status` and `opening`: `streams` has these.
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

    async def prune(self, *, ended_before: float, only: Collection[str] | None = None) -> int:
        """Drop whole streams that ended before this Unix time, and say how many. A checkpoint.

        Of all streams, or `only` of these.

        A stream has ended if its status is `completed`, `failed` or `cancelled`, with its last entry.
        It is kept as long as the one that started it has not ended, which may ask for its result.
        """
        ...


# ---------------------------------------------------------------- sources of flow files

# A real type also when the program runs: `-> SourceResult | JSON` must not need an import to work.
JSON: TypeAlias = Union[  # noqa: UP007 - `|` takes no forward reference
    dict[str, "JSON"], list["JSON"], str, int, float, bool, None
]
"""A value that JSON can say."""


@attrs.frozen
class SourceResult:
    """What a call of a source has come to. A bare JSON value means `SourceResult(data=value)`.

    Attributes:
        data: What the source gives. It must be JSON.
        ok: Whether the call succeeded.
        message: Why it did not.
        kind: What kind of failure it is: a word such as `"timeout"`, `"connect"`, `"http_status"`,
            `"exit"` or `"source"`. With `code` it is what `retry.on` of a step looks at.
        code: The HTTP status or the exit code.
        retry_after: Seconds that the next attempt shall wait at least.
        detail: More about a failure, for people: which timeout it was, or what was asked for.
        status: The HTTP status, for outputs that have `from: status`.
        headers: Those of an answer, the names in lower case, for outputs that have `from: headers`.
        response: Of a failed request: `status`, `headers` and `body`.
        process: Of a failed process: `returncode`, `stdout_tail` and `stderr_tail`.
    """

    data: JSON = None
    ok: bool = True
    message: str = ""
    kind: str = "source"
    code: int | None = None
    retry_after: float | None = None
    detail: str = attrs.field(default="", kw_only=True)
    status: int | None = attrs.field(default=None, kw_only=True)
    headers: Mapping[str, str] | None = attrs.field(default=None, kw_only=True)
    response: Mapping[str, JSON] | None = attrs.field(default=None, kw_only=True)
    process: Mapping[str, JSON] | None = attrs.field(default=None, kw_only=True)


def _say_nothing(_: str) -> None:
    """Take a line for nobody."""


@attrs.frozen
class SourceContext:
    """Who calls a source, and for what.

    Attributes:
        run_id: The run.
        step: The step's name.
        index: Which item of a `foreach` or `matrix` step it is, from 0; `None` for any other step.
        attempt: Which attempt, from 1.
        key: The same text in every attempt, and in every run that resumes this one: for whoever must
            not do the same thing twice.
        log: Takes a line of text for those who watch the run.
    """

    run_id: str
    step: str
    index: int | None = None
    attempt: int = 1
    key: str = ""
    log: Callable[[str], object] = attrs.field(default=_say_nothing, repr=False, eq=False)


class Source(Protocol):
    """Where steps of a flow get their data: opened once per distinct configuration of a run.

    An entry point of the group `plait.sources` is a callable that makes one:
    `open(configuration) -> Source`, with the configuration as the flow file has it and the templates
    of it rendered. It may have an attribute `Options`, an attrs class: then `configuration` is checked
    against that class before anything runs, and `open` gets an instance of it.

    1. `call` may be called again while calls are going on, and no call disturbs another.
    2. A cancelled `call` cleans up, and then raises the cancellation. The source stays usable.
    3. What `call` gives is JSON. A failure that is expected is a `SourceResult` with `ok=False`.
    4. `aclose` may be called twice, and without any call before it.

    `plait.testing.check_source` has these rules as tests.

    Example:
        ```python
        class Greeter:
            def __init__(self, configuration: dict[str, str]) -> None:
                self.word = configuration.get("word", "hello")

            async def call(self, payload: JSON, context: SourceContext) -> JSON:
                await anyio.lowlevel.checkpoint()
                return f"{self.word} {payload}"

            async def aclose(self) -> None:
                await anyio.lowlevel.checkpoint()
        ```
    """

    async def call(self, payload: JSON, context: SourceContext) -> SourceResult | JSON:
        """Get data for one attempt of a step. A checkpoint.

        It is cancelled when the step is cancelled or out of time: clean up, and let that pass.

        Args:
            payload: The step's `input`, rendered; `None` if it has none.
            context: Who calls.
        """
        ...

    async def aclose(self) -> None:
        """Let go of everything that it holds. Twice is fine. A checkpoint.

        It is called when the last `call` of the run has ended, under a shield: all sources of a run have ten
        seconds for it.
        """
        ...


publish("plait.abc", Entry, Opening, StreamInfo, Backend, Journal)
publish("plait.abc", SourceResult, SourceContext, Source)
