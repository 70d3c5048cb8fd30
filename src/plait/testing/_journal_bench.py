"""Where a journal is tried: an event loop for each of its lives, and a hand that looks at all it says.

What a law asks for, it asks the `Hand` for. So each answer is looked at in every law: in which
thread it came, whether in its turn, whether once, and whether at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from threading import get_ident
from typing import Final, Literal, TypeAlias, TypeVar, TypeVarTuple, cast

import anyio
import anyio.to_thread
import attrs
import trio

from plait._abc import Entry, Journal, Opening, Status, StreamInfo
from plait._errors import JournalError, StreamConflictError
from plait._show import show

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Library: TypeAlias = Literal["trio", "asyncio"]
Act: TypeAlias = Callable[["Hand"], Awaitable[object]]

#: What `read` gives back of an entry. Its status and opening come back as the stream's.
FIELDS: Final = ("stream", "n", "kind", "version", "at", "key", "body")


class Broken(Exception):  # noqa: N818 - of a law; it never leaves `check_journal`
    """A law was broken; the text says how it was seen."""


class Late(Broken):
    """Something did not come in time."""


def entry(
    stream: str,
    n: int,
    kind: str = "step.started",
    *,
    key: str | None = None,
    body: bytes = b"{}",
    at: float | None = None,
    status: Status | None = None,
    app_id: str = "",
) -> Entry:
    """Make an entry as plait does: the first of a stream says what the stream is."""
    opening = Opening(app_id, "Flow") if n == 1 else None
    if n == 1 and status is None:
        status = "running"
    at = 1_000.0 + n if at is None else at
    return Entry(stream, n, kind, 1, at, key, body, status, opening)


def chain(stream: str, count: int, *, first: int = 1) -> list[Entry]:
    """Make entries that follow each other."""
    return [entry(stream, n) for n in range(first, first + count)]


class _Wall(trio.abc.Clock):
    """The time that passes for threads and disks, whatever clock Trio is given elsewhere."""

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return time.perf_counter()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return deadline - time.perf_counter()


class _Backend:
    """What the journal gets of the event loop that runs here."""

    def __init__(self, library: Library) -> None:
        if library == "trio":
            token = trio.lowlevel.current_trio_token()
            self._soon: Callable[..., object] = token.run_sync_soon
        else:
            self._soon = asyncio.get_running_loop().call_soon_threadsafe

    def run_sync_soon(self, fn: Callable[[*Ts], object], /, *args: *Ts) -> None:
        self._soon(fn, *args)

    async def to_thread(self, fn: Callable[[*Ts], T], /, *args: *Ts) -> T:
        result = list[T]()
        with anyio.CancelScope(shield=True):
            result.append(await anyio.to_thread.run_sync(fn, *args))
        return result[0]


@attrs.define(eq=False)
class Receipt:
    """One call of `append`, and what came of it."""

    number: int
    entries: tuple[Entry, ...]
    #: Called with each answer that came as it should.
    then: Callable[[], object] | None = None
    told: bool = False
    error: JournalError | None = None

    def __str__(self) -> str:
        several = ", ".join(f"{e.stream[:40]!r} {e.n}" for e in self.entries[:3])
        more = len(self.entries) - 3
        return f"append {self.number} ({several}{f' and {more} more' if more > 0 else ''})"


class Hand:
    """An open journal, and somebody who hears what it says."""

    def __init__(self, journal: Journal, library: Library, timeout: float) -> None:
        self.journal = journal
        self.receipts: list[Receipt] = []
        self._timeout = timeout
        self._backend = _Backend(library)
        self._loop = get_ident()
        self._answers = 0
        self._faults: list[str] = []
        self._appending: Receipt | None = None
        self._news = anyio.Event()

    async def open(self, *, write: bool) -> None:
        with self._within("open()"):
            await self.journal.open(self._backend, write=write)

    async def aclose(self) -> None:  # noqa: ASYNC910 - the journal decides
        """Close it. Then there is no answer left to come."""
        with self._within("aclose()"):
            await self.journal.aclose()
        self.all_told("when aclose() returned")

    def append(self, *entries: Entry, then: Callable[[], object] | None = None) -> Receipt:
        """Append, and go on. `then` is called inside of `done`."""
        receipt = Receipt(len(self.receipts) + 1, entries, then)
        self.receipts.append(receipt)
        outer, self._appending = self._appending, receipt
        try:
            self.journal.append(entries, lambda error: self._hear(receipt, error))
        except BaseException:
            self.receipts.remove(receipt)
            raise
        finally:
            self._appending = outer
        return receipt

    async def settled(self, *, flush: bool = True) -> None:  # noqa: ASYNC910 - all may be answered
        """Wait until each append has its answer."""
        if flush:
            self.journal.flush()
        with anyio.move_on_after(self._timeout):  # noqa: ASYNC912 - as above
            while self._answers < len(self.receipts) and not self._faults:
                await self._next_news()
        self.all_told(f"within {self._timeout:g} s")

    async def answer(self, receipt: Receipt) -> None:  # noqa: ASYNC910 - it may be there
        """Wait for the answer to one append."""
        with self._within(f"the answer to {receipt}"):
            while not receipt.told:
                await self._next_news()

    async def keep(self, *entries: Entry) -> None:
        """Append what the journal must take, and wait for its answer."""
        receipt = self.append(*entries)
        await self.settled()
        if receipt.error is not None:
            raise Broken(f"{receipt} was refused: {receipt.error!r}") from receipt.error

    async def refuse(self, why: str, *entries: Entry) -> None:
        """Append what the journal must not take."""
        receipt = self.append(*entries)
        await self.settled()
        if not isinstance(receipt.error, StreamConflictError):
            raise Broken(
                f"{receipt}: {why}. `done` must get a StreamConflictError, not {receipt.error!r}"
            )

    async def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[Entry]:
        """Read; without `limit` as many as `read` gives by itself."""
        call = f"read({stream[:40]!r}, after={after}, limit={limit})"
        with self._within(call):
            if limit is None:
                given = await self.journal.read(stream, after=after)
            else:
                given = await self.journal.read(stream, after=after, limit=limit)
        return _all(Entry, given, call)

    async def streams(
        self,
        *,
        app_id: str | None = None,
        status: Sequence[str] = (),
        after: str = "",
        limit: int = 100,
    ) -> list[StreamInfo]:
        call = f"streams(app_id={app_id!r}, status={status!r}, after={after!r}, limit={limit})"
        with self._within(call):
            given = await self.journal.streams(
                app_id=app_id, status=status, after=after, limit=limit
            )
        return _all(StreamInfo, given, call)

    async def prune(self, ended_before: float, *, only: Collection[str] | None = None) -> int:
        with self._within("prune()"):
            if only is None:
                return await self.journal.prune(ended_before=ended_before)
            return await self.journal.prune(ended_before=ended_before, only=only)

    async def holds(self, *entries: Entry) -> None:  # noqa: ASYNC910 - there may be none
        """See that these entries are all there is of their streams."""
        for name in dict.fromkeys(one.stream for one in entries):
            due = [one for one in entries if one.stream == name]
            same(await self.read(name, limit=len(due) + 10), due, f"stream {name[:40]!r}")

    async def holds_nothing_of(self, stream: str) -> None:
        same(await self.read(stream), [], f"stream {stream!r}")
        if any(info.stream == stream for info in await self.streams(limit=1_000)):
            raise Broken(f"streams() has {stream!r}, of which nothing was kept")

    def all_told(self, when: str) -> None:
        """See that each append has its answer, and that none was wrong."""
        if self._faults:  # they were seen where nothing can be raised
            raise Broken(self._faults[0])
        if silent := [receipt for receipt in self.receipts if not receipt.told]:
            raise Late(
                f"`done` was not called {when} for {len(silent)} of {len(self.receipts)} appends; "
                f"the first is {silent[0]}"
            )

    def _hear(self, receipt: Receipt, error: object) -> None:
        fault = self._fault(receipt, error)
        if fault is not None:
            self._faults.append(fault)
        elif receipt.then is not None:
            try:
                receipt.then()
            except Exception as raised:  # noqa: BLE001 - nothing can be raised here
                self._faults.append(f"within `done`: {type(raised).__qualname__}: {raised}")
        if get_ident() == self._loop:
            self._news.set()
        else:
            self._backend.run_sync_soon(self._wake)

    def _wake(self) -> None:
        self._news.set()

    async def _next_news(self) -> None:
        if self._news.is_set():  # replaced here: no task runs where `done` is called
            self._news = anyio.Event()
        await self._news.wait()

    def _fault(self, receipt: Receipt, error: object) -> str | None:
        if get_ident() != self._loop:
            return f"{receipt}: `done` was called in a thread, not in the event loop"
        if self._appending is not None:
            return f"{receipt}: `done` was called before {self._appending} had returned"
        if receipt.told:
            return f"{receipt}: `done` was called twice"
        if error is not None and not isinstance(error, JournalError):
            return f"{receipt}: `done` was called with {show(error, 80)}, which is no JournalError"
        due = self.receipts[self._answers]
        if due is not receipt:
            return f"`done` of {receipt} was called before that of {due}"
        self._answers += 1
        receipt.told, receipt.error = True, error
        return None

    @contextmanager
    def _within(self, what: str) -> Generator[None]:
        try:
            with anyio.fail_after(self._timeout):
                yield
        except TimeoutError as late:
            raise Late(f"{what} did not return within {self._timeout:g} s") from late


@attrs.define(eq=False)
class Bench:
    """One journal, as long as a law needs it."""

    library: Library
    timeout: float
    journal: Journal
    reopen: Callable[[Journal], Journal] | None
    fail: Callable[[Journal], object] | None
    _lives: int = 0

    def live(self, act: Act, *, write: bool = True) -> None:
        """Open the journal in an event loop of its own, act, and close it."""
        if self._lives and self.reopen is not None:
            self.journal = self.reopen(self.journal)
        self._lives += 1
        options = {"clock": _Wall()} if self.library == "trio" else {}
        anyio.run(self._live, act, write, backend=self.library, backend_options=options)

    async def _live(self, act: Act, write: bool) -> None:  # noqa: FBT001 - anyio.run has no keywords
        hand = Hand(self.journal, self.library, self.timeout)
        await hand.open(write=write)
        try:
            await act(hand)
        except BaseException:
            with anyio.move_on_after(self.timeout, shield=True):
                await self.journal.aclose()
            raise
        await hand.aclose()


def same(given: Sequence[Entry], due: Sequence[Entry], what: str) -> None:
    """See that these are the entries that were appended, in what `read` gives of them."""
    if [_fields(one) for one in given] == [_fields(one) for one in due]:
        return
    if [one.n for one in given] != [one.n for one in due]:
        raise Broken(f"{what}: found {_ns(given)}, not {_ns(due)}")
    for one, other in zip(given, due, strict=True):
        for name in FIELDS:
            found, wanted = getattr(one, name), getattr(other, name)
            if (type(found), found) != (type(wanted), wanted):
                raise Broken(
                    f"{what}, entry {other.n}: {name} is {show(found, 80)}, not {show(wanted, 80)}"
                )


def same_infos(given: Sequence[StreamInfo], due: Sequence[StreamInfo], what: str) -> None:
    """See that these are the streams."""
    found, wanted = [one.stream for one in given], [one.stream for one in due]
    if found != wanted:
        raise Broken(f"{what} gives {show(found, 400)}, not {show(wanted, 400)}")
    for one, other in zip(given, due, strict=True):
        for field in attrs.fields(StreamInfo):
            name = field.name
            if getattr(one, name) != getattr(other, name):
                raise Broken(
                    f"{what}, stream {other.stream!r}: "
                    f"{name} is {getattr(one, name)!r}, not {getattr(other, name)!r}"
                )


def broken_by(error: BaseException) -> Broken:
    """Find what was broken: a task group wraps what its tasks raise."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        broken = group.subgroup(Broken)
        error = (broken or group).exceptions[0]
    if isinstance(error, Broken):
        return error
    told = Broken(f"{type(error).__qualname__} came out of the journal: {error}")
    told.__cause__ = error
    return told


def _all(cls: type[T], given: object, call: str) -> list[T]:
    if not isinstance(given, Sequence):
        raise Broken(f"{call} gives {show(given, 80)}, which is no sequence")
    for one in cast("Sequence[object]", given):
        if not isinstance(one, cls):
            raise Broken(f"{call} gives {show(one, 80)}, which is no {cls.__name__}")
    return [*cast("Sequence[T]", given)]


def _fields(one: Entry) -> list[tuple[object, object]]:
    return [(type(value), value) for value in (getattr(one, name) for name in FIELDS)]


def _ns(entries: Sequence[Entry]) -> str:
    ns = [one.n for one in entries]
    if not ns:
        return "no entry"
    if len(ns) == 1:
        return f"entry {ns[0]}"
    if ns == [*range(ns[0], ns[-1] + 1)]:
        return f"entries {ns[0]} to {ns[-1]}"
    return f"entries {show(ns, 200)}"
