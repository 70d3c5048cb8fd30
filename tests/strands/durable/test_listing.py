"""Which runs are listed, page by page, and what is said of each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

import anyio
import attrs
import pytest

from plait._errors import StepError, UnknownRunError, UnreadableEntryError
from plait._journal.memory import MemoryJournal
from plait._kernel.admission import plan as plans
from plait._kernel.admission import stimuli as of_app
from plait._kernel.admission.advance import advance
from plait._kernel.admission.records import AppSnapshot
from plait._kernel.admission.snapshot import picture_of
from plait._kernel.admission.state import AppState
from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallCompleted, CallFailed, CallRetrying, CallScheduled
from plait._kernel.functions import reasons, records
from plait._strands._durable import listing
from plait._strands._durable.book import Book
from plait._strands._durable.inspect import ErrorInfo, RunInfo
from plait._strands._durable.listing import list_runs, read_history
from tests.journal.backends import here
from tests.strands.durable.test_book import hold, keep, opened

PLAN = plans.AppPlan(
    [
        plans.FunctionPlan(
            "shop-f",
            (plans.Trigger("e"),),
            throttle=plans.Throttle(1, 60.0),
            concurrency=(plans.Concurrency(1, lambda event: str(event.data), of="runs"),),
        ),
        plans.FunctionPlan("shop-late", (plans.Trigger("key"),), debounce=plans.Debounce(90.0)),
    ],
    lambda fn_id, event: f"{fn_id.removeprefix('shop-')}{event.number}",
)
#: 2023-11-14 22:13:20 UTC.
NOW = 1_700_000_000.0
KEY = Key((), "a", 0)
STARTED = records.FunctionStarted(NOW + 1, 0, 0, "s1")


def queued(fn_id: str = "shop-f", parent: str | None = None) -> Any:
    return records.RunQueued(NOW, fn_id, "e", (), parent, 0.0, 0.0, 7, "s1")


async def write(
    book: Book, run_id: str, *more: Any, fn_id: str = "shop-f", parent: str | None = None
) -> Sequence[Any]:
    scribe = book.scribe(run_id, target=fn_id, parent=parent, source="s1")
    entries = scribe.entries([*enumerate((queued(fn_id, parent), *more), 1)])
    await keep(book, *entries)
    return entries


async def runs(book: Book, state: AppState | None = None, **more: Any) -> list[RunInfo]:
    return await list_runs(book, state or AppState(PLAN), now=NOW, tz=UTC, **more)


async def one(book: Book, run_id: str, *more: Any, state: AppState | None = None) -> RunInfo:
    await write(book, run_id, *more)
    (run,) = [run for run in await runs(book, state) if run.run_id == run_id]
    return run


# ---------------------------------------------------------------- what is said of one


async def test_a_run_that_is_queued() -> None:
    async with opened(MemoryJournal()) as book:
        assert await one(book, "r1") == RunInfo(
            "r1", "shop-f", "queued", None, None, 0, None, "s1", NOW, None, None
        )


async def test_a_run_that_has_completed() -> None:
    async with opened(MemoryJournal()) as book:
        end = records.FunctionCompleted(NOW + 9, "done")
        await write(book, "r1", STARTED, end, parent="p1")
        (run,) = await runs(book)
        assert run == RunInfo(
            "r1", "shop-f", "completed", None, "p1", 0, None, "s1", NOW, NOW + 1, NOW + 9
        )


@pytest.mark.parametrize(
    ("scheduled", "text"),
    [
        (CallScheduled(NOW, KEY, "sleep", NOW + 40), "sleep 'a' until 22:14"),
        (CallScheduled(NOW, KEY, "sleep", NOW + 41.5), "sleep 'a' until 22:14:01"),
        (CallScheduled(NOW, KEY, "sleep", NOW + 86_440), "sleep 'a' until 2023-11-15 22:14"),
        (
            CallScheduled(NOW, KEY, "wait", NOW + 40, "paid"),
            "event 'paid' for step 'a' until 22:14",
        ),
        (CallScheduled(NOW, KEY, "sleep", 1e15), "sleep 'a' until 1000000000000000 s after 1970"),
        (CallScheduled(NOW, KEY, "invoke", None, None, "r2"), "run 'r2' of step 'a'"),
        (
            CallRetrying(NOW, KEY, 0, ValueError("no"), NOW + 40, NOW),
            "attempt 1 of step 'a' in the first task at 22:14",
        ),
        (records.FunctionRetrying(NOW, 0, ValueError("no"), NOW + 40), "attempt 1 at 22:14"),
    ],
)
async def test_what_a_run_waits_for(scheduled: Any, text: str) -> None:
    async with opened(MemoryJournal()) as book:
        run = await one(book, "r1", STARTED, scheduled)
        assert (run.status, run.waiting_for) == ("running", text)


async def test_several_things_that_a_run_waits_for() -> None:
    async with opened(MemoryJournal()) as book:
        waits = [
            CallScheduled(NOW, Key((("g", 0, n),), name, 0), "sleep", NOW + 40)
            for n, name in enumerate("ab")
        ]
        run = await one(book, "r1", STARTED, *waits)
        assert run.waiting_for == "sleep 'a' until 22:14, sleep 'b' until 22:14"


async def test_what_has_failed_says_it_in_the_words_of_the_error() -> None:
    async with opened(MemoryJournal()) as book:
        error = ValueError("sold out")
        run = await one(book, "r1", STARTED, records.FunctionFailed(NOW, error))
        assert (run.status, run.error) == ("failed", ErrorInfo("ValueError", "sold out"))
        assert str(run.error) == "ValueError: sold out"
        retrying = records.FunctionRetrying(NOW, 0, error, NOW + 40)
        again = records.FunctionStarted(NOW + 40, 1, 0, "s1")
        run = await one(book, "r2", STARTED, retrying, again)
        assert (run.status, run.attempt) == ("running", 1)
        assert run.error == ErrorInfo("ValueError", "sold out"), "that of the attempt before"
        end = records.FunctionCompleted(NOW, None)
        assert (await one(book, "r3", STARTED, retrying, again, end)).error is None


async def test_the_failure_of_a_step_is_told_as_its_handler_raised_it() -> None:
    async with opened(MemoryJournal()) as book:
        other = CallFailed(NOW, KEY._replace(step_id="b"), "run", "h", (), 1, OSError("other"))
        failed = CallFailed(NOW, KEY, "run", "h", (), 3, ValueError("no"))
        raised = StepError("a", "k", 3, "ValueError", "no", "")
        run = await one(book, "r1", STARTED, other, failed, records.FunctionFailed(NOW, raised))
        assert run.error == ErrorInfo("ValueError", "no")


async def test_a_run_that_is_held_says_why() -> None:
    async with opened(MemoryJournal()) as book:
        why = reasons.UnknownFunction("shop-f")
        run = await one(book, "r1", STARTED, records.FunctionHeld(NOW, why))
        assert (run.status, run.waiting_for) == ("held", "app.resume()")
        assert run.error == ErrorInfo("RunHeldError", why.text("r1"))
        differs = reasons.Differs(KEY, "handler", "pay", "refund")
        run = await one(book, "r2", STARTED, records.FunctionHeld(NOW, differs))
        assert run.error is not None
        assert run.error.name == "DeterminismError"
        assert [run.run_id for run in await runs(book, status="held")] == ["r1", "r2"]


async def test_a_run_that_cannot_be_read_is_listed_with_what_is_wrong() -> None:
    async with opened(MemoryJournal()) as book:
        first, second = await write(book, "x", STARTED)
        for run_id, n in (("r1", 2), ("r2", 2)):
            torn = attrs.evolve(second, stream=run_id, body=b"{")
            await keep(book, attrs.evolve(first, stream=run_id), torn)
            assert torn.n == n
        with pytest.raises(UnreadableEntryError) as caught:
            await book.read_run("r2")
        await hold(book, "r2", caught.value, NOW + 5)
        running, held, _ = await runs(book)
        assert running.error is not None
        assert running.error.name == "UnreadableEntryError"
        assert running.error.message.startswith("record 2 (run.started): Expecting")
        assert (running.status, running.waiting_for) == ("running", None)
        assert (held.status, held.waiting_for) == ("held", "app.resume()")
        assert held.error == running.error


async def test_what_keeps_a_run_in_the_queue_is_told() -> None:
    state = AppState(PLAN)
    for id_, name, data in (("1", "e", "x"), ("2", "e", "x"), ("3", "e", "y"), ("4", "key", 0)):
        arrival = of_app.Arrival(id_, name, data, int(NOW * 1000))
        advance(state, of_app.EventsReceived(NOW, (arrival,)))
    async with opened(MemoryJournal()) as book:
        for run_id in ("f1", "f2", "f3"):
            await write(book, run_id)
        told = {run.run_id: run.waiting_for for run in await runs(book, state)}
        assert told == {
            "f1": None,
            "f2": "throttle until 22:14:20",
            "f3": "throttle until 22:14:20",
            "late4": "debounce until 22:14:50",
        }
        (late,) = await runs(book, state, fn_id="shop-late")
        assert (late.status, late.created, late.started) == ("queued", NOW, None)
        assert await runs(book, state, status="running") == []
        assert len(await runs(book, state, status="queued")) == 4
        advance(state, of_app.TimePassed(NOW + 60))
        told = {run.run_id: run.waiting_for for run in await runs(book, state)}
        assert told["f2"] == "concurrency 'x'"


# ---------------------------------------------------------------- which are listed


async def test_runs_are_listed_page_by_page_and_none_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "AT_ONCE", 3)
    async with opened(MemoryJournal()) as book:
        other = Book("other", book.journal)
        await keep(book, *book.app.entries([(1, AppSnapshot(NOW, picture_of(AppState(PLAN))))]))
        names = [f"r{n:02}" for n in range(11)]
        for n, name in enumerate(names):
            more = [STARTED] if n % 2 else []
            await write(book, name, *more, fn_id="shop-f" if n % 3 else "shop-late")
            await write(other, f"{name}x")
        for status in (None, "queued", "running", "held"):
            for fn_id in (None, "shop-f", "shop-late", "shop-none"):
                wanted = [
                    name
                    for n, name in enumerate(names)
                    if status in {None, "running" if n % 2 else "queued"}
                    and fn_id in {None, "shop-f" if n % 3 else "shop-late"}
                ]
                for limit in (1, 2, 5, 100):
                    found: list[str] = []
                    while True:
                        page = await runs(
                            book,
                            status=status,
                            fn_id=fn_id,
                            limit=limit,
                            after=found[-1] if found else "",
                        )
                        found += [run.run_id for run in page]
                        if len(page) < limit:
                            break
                    assert found == wanted


async def test_no_more_runs_are_read_than_are_asked_for() -> None:
    class Counted(MemoryJournal):
        reads = 0

        async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> Any:
            self.reads += 1
            return await super().read(stream, after=after, limit=limit)

    journal = Counted()
    async with opened(journal) as book:
        for n in range(20):
            await write(book, f"r{n:02}")
        assert len(await runs(book, limit=3)) == 3
        assert journal.reads == 3


async def test_a_run_that_moves_on_while_it_is_listed_leaves_no_gap() -> None:
    class Moving(MemoryJournal):
        """Each stream that is listed completes before it is read."""

        moves = False

        async def streams(self, **more: Any) -> Any:
            listed = await super().streams(**more)
            if self.moves:
                self.moves = False
                for info in listed[:2]:
                    scribe = book.scribe(info.stream, target="", parent=None, source=None)
                    end = records.FunctionCompleted(NOW, None)
                    self.append(scribe.entries([(info.last_n + 1, end)]), lambda _: None)
            return listed

    journal = Moving()
    async with opened(journal) as book:
        for n in range(5):
            await write(book, f"r{n}", STARTED)
        journal.moves = True
        found = await runs(book, status="running", limit=2)
        assert [(run.run_id, run.status) for run in found] == [("r2", "running"), ("r3", "running")]


# ---------------------------------------------------------------- what has happened


async def test_the_history_of_a_run_has_all_its_records() -> None:
    async with opened(MemoryJournal()) as book:
        done = CallCompleted(NOW + 2, KEY, "run", "h", (), 1, "v", 2)
        await write(book, "r1", STARTED, done)
        first, second, third = await read_history(book, "r1")
        assert (first.kind, first.at, first.n, first.key) == ("run.queued", NOW, 1, None)
        assert second.fields == {"attempt": 0, "resumes": 0, "source": "s1"}
        assert (third.key, third.step_id, third.cause) == ('[[],"a",0]', "a", 2)
        for nobody in ("r2", "app/shop", ""):
            with pytest.raises(UnknownRunError, match="App 'shop' has no run"):
                await read_history(book, nobody)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_it_is_read_on_each_backend(backend: str) -> None:
    async def main() -> None:
        journal = MemoryJournal()
        await journal.open(here())
        book = Book("shop", journal)
        await write(book, "r1", STARTED)
        assert [run.status for run in await runs(book)] == ["running"]
        assert len(await read_history(book, "r1")) == 2
        await journal.aclose()

    anyio.run(main, backend=backend)
