"""The book of an app: what is one append, who is told when, and what is read again."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from plait._abc import Entry, Journal
from plait._errors import JournalError, UnknownRunError, UnreadableEntryError
from plait._journal.failures import Failure
from plait._journal.memory import MemoryJournal
from plait._journal.sqlite import SqliteJournal
from plait._kernel.admission import stimuli as of_app
from plait._kernel.admission.advance import advance
from plait._kernel.admission.keeping import kept
from plait._kernel.admission.plan import AppPlan, FunctionPlan, Trigger
from plait._kernel.admission.records import AppSnapshot
from plait._kernel.admission.snapshot import picture_of
from plait._kernel.admission.state import AppState
from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallCompleted, CallStarted
from plait._kernel.functions import reasons, records
from plait._kernel.functions.explain import status
from plait._strands._durable import book as book_module
from plait._strands._durable.book import Book, Done
from tests.journal.backends import here

PLAN = AppPlan([FunctionPlan("shop-f", (Trigger("e"),))], lambda fn_id, event: f"r{event.number}")
EVENT = {"id": "e1", "name": "e", "data": {}, "ts": 5}
QUEUED = records.RunQueued(1.0, "shop-f", "e", (EVENT,), None, 0.0, 0.0, 7, "s1")
STARTED = records.FunctionStarted(2.0, 0, 0, "s1")
KEY = Key((), "a", 0)


class Passes:
    """Notes what is asked for, and when; calls nobody."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.handles: list[Callable[[], object]] = []

    def _ask(self, when: str, fn: Callable[[], object]) -> None:
        self.asked.append(when)
        self.handles.append(fn)

    def at_end(self, fn: Callable[[], object]) -> None:
        self._ask("at the end", fn)

    def when_quiet(self, fn: Callable[[], object]) -> None:
        self._ask("when it is quiet", fn)

    def soon(self, fn: Callable[[], object]) -> None:
        self._ask("soon", fn)

    def close(self) -> None:
        raise AssertionError("whoever has made them closes them")


class Noted(MemoryJournal):
    """A journal that knows what was appended in one piece, and what was read."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[list[tuple[str, int]]] = []
        self.read_from: list[tuple[str, int]] = []

    def append(self, entries: Any, done: Any) -> None:
        self.pieces.append([(entry.stream, entry.n) for entry in entries])
        super().append(entries, done)

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> Any:
        self.read_from.append((stream, after))
        return await super().read(stream, after=after, limit=limit)


@asynccontextmanager
async def opened(journal: Any) -> Any:
    await journal.open(here())
    try:
        yield Book("shop", journal)
    finally:
        await journal.aclose()


async def keep(book: Book, *entries: Entry) -> None:
    """Append, and wait until that is on disk."""
    told = anyio.Event()
    errors: list[object] = []

    def done(error: object) -> None:
        errors.append(error)
        told.set()

    book.append(entries, done)
    book.journal.flush()
    await told.wait()
    assert errors == [None]


def run_of(book: Book, run_id: str, *more: Any) -> list[Entry]:
    scribe = book.scribe(run_id, target="shop-f", parent=None, source="s1")
    return scribe.entries([*enumerate((QUEUED, *more), 1)])


Main = Callable[[Book], Awaitable[None]]


@pytest.fixture(
    params=[(b, k) for b in ("trio", "asyncio") for k in ("memory", "sqlite")], ids="-".join
)
def everywhere(request: Any, tmp_path: Path) -> Callable[[Main], None]:
    """Run something with a book: on both backends, in memory and on a file."""
    backend, kind = request.param

    def run(main: Main) -> None:
        async def with_book() -> None:
            journal = Noted() if kind == "memory" else SqliteJournal(tmp_path / "shop.db")
            async with opened(journal) as book:
                await main(book)

        anyio.run(with_book, backend=backend)

    return run


# ---------------------------------------------------------------- appends


async def test_an_append_is_one_and_is_told_of_once() -> None:
    journal, told = Noted(), []
    async with opened(journal) as book:
        book.append(run_of(book, "r1"), told.append)
        assert (journal.pieces, told) == ([[("r1", 1)]], [])
    assert told == [None]


async def test_what_belongs_together_is_one_append_over_several_streams() -> None:
    journal, told = Noted(), []
    async with opened(journal) as book:
        with book.together():
            book.append(run_of(book, "r1"), lambda _: told.append("first"))
            with book.together():
                book.append(run_of(book, "r2", STARTED), lambda _: told.append("second"))
            assert journal.pieces == [], "an inner block appends nothing"
            book.append([], lambda _: told.append("third"))
        assert journal.pieces == [[("r1", 1), ("r2", 1), ("r2", 2)]]
        book.append(run_of(book, "r3"), lambda _: told.append("fourth"))
        assert len(journal.pieces) == 2, "and after it each is on its own again"
    assert told == ["first", "second", "third", "fourth"]


async def test_a_block_in_which_nothing_is_appended_appends_nothing() -> None:
    journal = Noted()
    async with opened(journal) as book:
        with book.together(), book.together():
            pass
    assert journal.pieces == []


async def test_all_are_told_what_went_wrong() -> None:
    journal, told = Noted(), []
    async with opened(journal) as book:
        with book.together():
            book.append(run_of(book, "r1"), told.append)
            book.append(run_of(book, "r1"), told.append)  # the same entry again
    assert len(told) == 2
    assert all(isinstance(error, JournalError) for error in told)


async def test_a_block_that_raises_keeps_nothing_and_all_are_told_so() -> None:
    journal, told = Noted(), []
    async with opened(journal) as book:
        with pytest.raises(KeyError), book.together():
            with book.together():
                book.append(run_of(book, "r1"), told.append)
            raise KeyError("oops")
        (error,) = told
        assert isinstance(error, JournalError)
        assert "KeyError('oops')" in str(error)
        assert isinstance(error.__cause__, KeyError)
        book.append(run_of(book, "r2"), told.append)
    assert journal.pieces == [[("r2", 1)]]
    assert told[1:] == [None]


async def test_all_are_told_if_the_journal_takes_nothing() -> None:
    journal, told = Noted(), []
    async with opened(journal) as book:
        entries = run_of(book, "r1")
    with pytest.raises(JournalError, match="not open") as caught, book.together():
        book.append(entries, told.append)
        book.append([], told.append)
    assert told == [caught.value] * 2
    with pytest.raises(JournalError, match="not open"):
        book.append(entries, told.append)


async def test_an_error_that_is_caught_inside_loses_nothing() -> None:
    journal, told = Noted(), []
    async with opened(journal) as book:
        with book.together(), pytest.raises(KeyError), book.together():
            book.append(run_of(book, "r1"), told.append)
            raise KeyError("caught")
    assert (journal.pieces, told) == ([[("r1", 1)]], [None])


async def test_what_is_gathered_in_one_pass_is_one_append() -> None:
    journal, passes, told = Noted(), Passes(), []

    def first(n: int, error: object) -> None:
        told.append(("first", n, error))

    def second(n: int, error: object) -> None:
        told.append(("second", n, error))

    async with opened(journal):
        book = Book("shop", journal, passes=passes)
        one, two = run_of(book, "r1", STARTED)
        book.gather([one], 1, first)
        book.gather([two], 2, first)
        book.gather(run_of(book, "r2"), 1, second)
        assert (journal.pieces, passes.asked) == ([], ["soon"]), "once, and not appended yet"
        passes.handles.pop()()
        assert journal.pieces == [[("r1", 1), ("r1", 2), ("r2", 1)]]
        book.flush()
        assert len(journal.pieces) == 1, "there is nothing left"
        assert told == []
    assert told == [("first", 2, None), ("second", 1, None)]


async def test_what_was_gathered_goes_before_what_is_appended_later() -> None:
    journal, passes, told = Noted(), Passes(), []
    async with opened(journal):
        book = Book("shop", journal, passes=passes)
        book.gather(run_of(book, "r1"), 1, lambda n, _: told.append(n))
        book.append(run_of(book, "r2"), told.append)
        book.gather(run_of(book, "r3"), 1, lambda n, _: told.append(n))
        with book.together():
            book.append(run_of(book, "r4"), told.append)
            book.gather(run_of(book, "r5"), 1, lambda n, _: told.append(n))
        assert journal.pieces == [[("r1", 1)], [("r2", 1)], [("r3", 1)], [("r4", 1), ("r5", 1)]]
    assert told == [1, None, 1, None, 1]


class Patient(Noted):
    """Can wait, and notes what for."""

    def __init__(self) -> None:
        super().__init__()
        self.patient: list[int] = []

    def append(self, entries: Sequence[Entry], done: Done) -> None:
        super().append(entries, done)

    def append_patiently(self, entries: Sequence[Entry], done: Done) -> None:
        self.patient.append(len(entries))
        super().append(entries, done)


def gather_notes(journal: Journal) -> list[str]:
    """Have a journal append: something with a note, two notes, a note and something; when was asked for?"""
    passes = Passes()
    book = Book("shop", journal, passes=passes)
    for waited_for in (True, False), (False, False), (False, True):
        for n, one in enumerate(waited_for, 1):
            entry = attrs.evolve(run_of(book, "r1")[0], stream=f"{waited_for}{n}")
            book.gather([entry], 1, lambda n, _: None, notes=not one)
        book.flush()
    return passes.asked


async def test_notes_alone_wait_in_a_journal_that_can() -> None:
    journal = Patient()
    async with opened(journal):
        asked = gather_notes(journal)
    assert (journal.patient, [*map(len, journal.pieces)]) == ([2], [2, 2, 2])
    assert asked == ["at the end", "when it is quiet", "when it is quiet", "at the end"]


class Around:
    """Sees what another journal is given."""

    def __init__(self, journal: Patient) -> None:
        self.journal = journal
        self.seen: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)

    def append(self, entries: Sequence[Entry], done: Done) -> None:
        self.seen.append(len(entries))
        self.journal.append(entries, done)


class MadeOfOne(Patient):
    """Is another journal, and sees what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def append(self, entries: Sequence[Entry], done: Done) -> None:
        self.seen.append(len(entries))
        super().append(entries, done)


@pytest.mark.parametrize("make", [lambda: Around(Patient()), MadeOfOne])
async def test_a_journal_around_another_one_sees_notes_as_well(make: Callable[[], Any]) -> None:
    journal = make()
    async with opened(journal):
        asked = gather_notes(journal)
    assert journal.seen == [2, 2, 2]
    assert {*asked} == {"soon"}, "whom it wakes, nobody knows"


async def test_who_gathers_is_told_if_the_journal_takes_nothing() -> None:
    journal, told, passes = MemoryJournal(), [], Passes()
    book = Book("shop", journal, passes=passes)
    book.gather(run_of(book, "r1"), 1, lambda n, error: told.append((n, type(error))))
    (at_end,) = passes.handles
    at_end()
    assert (told, passes.asked) == ([], ["at the end", "soon"]), "there nobody can be woken"
    passes.handles[-1]()
    assert told == [(1, JournalError)]


async def test_one_who_raises_when_told_keeps_nobody_from_being_told() -> None:
    told: list[object] = []

    def raises(_: object) -> None:
        raise ValueError("whatever")

    async with opened(Noted()) as book:
        with pytest.raises(ValueError, match="whatever"), book.together():
            book.append(run_of(book, "r1"), told.append)
            book.append([], raises)
            book.append([], told.append)
            raise KeyError
    assert len(told) == 2


# ---------------------------------------------------------------- runs


def test_a_run_is_read_as_it_was_written(everywhere: Any) -> None:
    async def main(book: Book) -> None:
        assert await book.read_run("r1") is None
        error = Failure.of(ValueError("no"))
        retrying = records.FunctionRetrying(3.0, 0, ValueError("no"), 8.0, 2)
        await keep(book, *run_of(book, "r1", STARTED, retrying))
        state = await book.read_run("r1")
        assert state is not None
        assert (status(state), state.due_at, state.calls.last_n) == ("running", 8.0, 3)
        assert Failure.read(state.error) == attrs.evolve(
            error, stack=Failure.read(state.error).stack
        )
        assert await book.queued("r1") == QUEUED
        info = await book.info("r1")
        assert info is not None
        assert (info.target, info.source, info.status) == ("shop-f", "s1", "running")

    everywhere(main)


def test_a_note_at_the_end_has_its_number(everywhere: Any) -> None:
    """Who goes on counts from there, though nobody reads what it says."""

    async def main(book: Book) -> None:
        note = CallStarted(3.0, KEY, "run", "h", (), 0, 2)
        *before, last = run_of(book, "r1", STARTED, note)
        await keep(book, *before, attrs.evolve(last, body=b'{"torn": 1}'))
        state = await book.read_run("r1")
        assert state is not None
        assert state.calls.last_n == 3

    everywhere(main)


def test_a_run_is_read_page_by_page(everywhere: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "PAGE", 3)

    async def main(book: Book) -> None:
        for more in range(8):
            calls = [
                CallCompleted(3.0, KEY._replace(occurrence=n), "run", "h", (), 1, n, 2)
                for n in range(more)
            ]
            run_id = f"r{more}"
            entries = run_of(book, run_id, STARTED, *calls)
            await keep(book, *entries)
            state = await book.read_run(run_id)
            assert state is not None
            assert [past.ending for past in state.calls.past.values()] == calls
            assert [entry.n for entry in await book.entries(run_id)] == [*range(1, more + 3)]

    everywhere(main)


def test_no_page_is_read_twice_nor_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "PAGE", 3)
    journal = Noted()

    async def main() -> None:
        async with opened(journal) as book:
            calls = [
                CallCompleted(3.0, KEY._replace(occurrence=n), "run", "h", (), 1, n, 2)
                for n in range(5)
            ]
            await keep(book, *run_of(book, "r1", STARTED, *calls))
            await book.read_run("r1")
            assert journal.read_from == [("r1", 0), ("r1", 3), ("r1", 6)]

    anyio.run(main, backend="trio")


NAMES = ["r", "r0", "r1", "r10", "r1-", "r1_", "r2", "a", "~", "r" * 64]


def test_one_stream_is_looked_up_whatever_lies_beside_it(everywhere: Any) -> None:
    async def main(book: Book) -> None:
        other = Book("other", book.journal)
        for name in NAMES:
            await keep(book, *run_of(book, name))
        await keep(other, *run_of(other, "r1x"))
        for name in NAMES:
            info = await book.info(name)
            assert info is not None
            assert info.stream == name
        for name in ("", "r3", "r1x", "b", "\0", "é", "app/shop", "app/other"):
            assert await book.info(name) is None

    everywhere(main)


# ---------------------------------------------------------------- what cannot be read


def unreadable(book: Book) -> dict[str, list[Entry]]:
    """Streams that nobody can read, and what is wrong with each."""
    queued, started = run_of(book, "x", STARTED)
    end = run_of(book, "x", STARTED, records.FunctionCompleted(3.0, None), STARTED)
    named = {
        "kind": [queued, attrs.evolve(started, kind="run.danced")],
        "version": [queued, attrs.evolve(started, version=9)],
        "body": [queued, attrs.evolve(started, body=b"{")],
        "order": end,
        "first": [attrs.evolve(started, n=1, opening=queued.opening)],
    }
    return {
        name: [attrs.evolve(entry, stream=name) for entry in entries]
        for name, entries in named.items()
    }


def test_what_cannot_be_read_is_told(everywhere: Any) -> None:
    async def main(book: Book) -> None:
        for name, entries in unreadable(book).items():
            await keep(book, *entries)
            with pytest.raises(UnreadableEntryError, match=f"Run {name} is held"):
                await book.read_run(name)
        with pytest.raises(UnreadableEntryError, match=r"begins with run\.queued"):
            await book.queued("first")
        with pytest.raises(UnknownRunError):
            await book.queued("nobody")

    everywhere(main)


async def hold(book: Book, run_id: str, error: UnreadableEntryError, now: float) -> list[object]:
    told = anyio.Event()
    found: list[object] = []

    def done(answer: object) -> None:
        found.append(answer)
        told.set()

    await book.hold(run_id, error, now, done)
    book.journal.flush()
    await told.wait()
    return found


@pytest.mark.parametrize("name", ["kind", "version", "body", "order", "first"])
def test_a_run_that_cannot_be_read_is_listed_as_held_and_that_is_said_once(
    everywhere: Any, name: str
) -> None:
    async def main(book: Book) -> None:
        entries = unreadable(book)[name]
        await keep(book, *entries)
        for now in (10.0, 20.0, 30.0):  # process after process
            with pytest.raises(UnreadableEntryError) as caught:
                await book.read_run(name)
            assert await hold(book, name, caught.value, now) == [None]
            (info,) = await book.journal.streams(status=["held"])
            assert (info.stream, info.last_n, info.updated) == (name, len(entries) + 1, 10.0)

    everywhere(main)


def test_it_is_said_again_for_another_reason(everywhere: Any) -> None:
    async def main(book: Book) -> None:
        entries = run_of(book, "r1", STARTED)
        await keep(book, *entries)
        for n, fault in enumerate(("a gap", "a gap", "another"), 1):
            error = UnreadableEntryError(entries[1], fault)
            await hold(book, "r1", error, 10.0)
            state = await book.read_run("r1")  # it was mended meanwhile
            assert state is not None
            assert state.held == reasons.Unreadable(f"record 2 (run.started): {fault}")
            assert state.n == max(3, n + 1)
        with pytest.raises(UnknownRunError):
            await book.hold("nobody", error, 10.0, lambda _: None)

    everywhere(main)


def test_a_run_that_has_ended_is_not_held(everywhere: Any) -> None:
    async def main(book: Book) -> None:
        entries = run_of(book, "r1", STARTED, records.FunctionCompleted(3.0, None))
        await keep(book, entries[0], attrs.evolve(entries[1], version=9), entries[2])
        with pytest.raises(UnreadableEntryError) as caught:
            await book.read_run("r1")
        assert await hold(book, "r1", caught.value, 10.0) == [None]
        info = await book.info("r1")
        assert info is not None
        assert (info.status, info.last_n) == ("completed", 3)

    everywhere(main)


# ---------------------------------------------------------------- the app


@attrs.define
class Shop:
    """An app that receives events, and writes itself out now and then."""

    book: Book
    state: AppState = attrs.field(factory=lambda: AppState(PLAN))

    async def receives(self, name: str) -> None:
        arrival = of_app.Arrival(name, "e", {"name": name}, 5_000)
        written, _ = advance(self.state, of_app.EventsReceived(5.0, (arrival,)))
        await self.writes(kept(written))

    async def writes_itself_out(self) -> None:
        await self.writes([AppSnapshot(5.0, picture_of(self.state))])

    async def writes(self, found: list[Any]) -> None:
        numbered = [*enumerate(found, self.book.app_n + 1)]
        self.book.app_n = numbered[-1][0]
        await keep(self.book, *self.book.app.entries(numbered))


def test_an_app_is_read_as_it_was_written(everywhere: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "PAGE", 4)

    async def main(book: Book) -> None:
        again = Book("shop", book.journal)
        assert picture_of(await again.read_app(PLAN)) == picture_of(AppState(PLAN))
        assert again.app_n == 0
        shop = Shop(book)
        for number in range(12):
            await shop.receives(f"e{number}")
            if number in (2, 3, 7):
                await shop.writes_itself_out()
            again = Book("shop", book.journal)
            assert picture_of(await again.read_app(PLAN)) == picture_of(shop.state)
            assert again.app_n == book.app_n

    everywhere(main)


def test_an_app_is_read_from_its_last_snapshot_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "PAGE", 4)
    journal = Noted()

    async def main() -> None:
        async with opened(journal) as book:
            shop = Shop(book)
            for number in range(10):
                await shop.receives(f"e{number}")
            await shop.writes_itself_out()
            last = book.app_n
            await shop.receives("late")
            await book.read_app(PLAN)
            assert last - book_module.PAGE < min(after for _, after in journal.read_from)

    anyio.run(main, backend="trio")


@pytest.mark.parametrize("place", [0, 3, 6, 7, 8])
def test_an_app_that_cannot_be_read_is_told_if_that_is_still_needed(place: int) -> None:
    async def main() -> None:
        async with opened(Noted()) as book:
            shop = Shop(book)
            for number in range(3):
                await shop.receives(f"e{number}")
            await shop.writes_itself_out()
            snapshot = book.app_n - 1
            await shop.receives("late")
            entries: Any = book.journal._streams["app/shop"].entries  # type: ignore[attr-defined]
            entries[place] = attrs.evolve(entries[place], body=b"{")
            again = Book("shop", book.journal)
            if place < snapshot:
                assert picture_of(await again.read_app(PLAN)) == picture_of(shop.state)
            else:
                with pytest.raises(UnreadableEntryError, match="App shop cannot be served"):
                    await again.read_app(PLAN)

    anyio.run(main, backend="trio")


def test_a_snapshot_that_leads_nowhere_is_told() -> None:
    async def main() -> None:
        async with opened(Noted()) as book:
            shop = Shop(book)
            await shop.receives("e1")
            await shop.writes_itself_out()
            entries: Any = book.journal._streams["app/shop"].entries  # type: ignore[attr-defined]
            body = json.loads(entries[-1].body)
            body["state"]["events"] = []  # the run's event is gone
            entries[-1] = attrs.evolve(entries[-1], body=json.dumps(body).encode())
            with pytest.raises(UnreadableEntryError, match="does not follow"):
                await Book("shop", book.journal).read_app(PLAN)

    anyio.run(main, backend="trio")
