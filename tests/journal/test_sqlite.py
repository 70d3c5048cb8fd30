"""`SqliteJournal` beyond the laws: what it answers, when it commits, how it ends."""

import gc
import threading

import anyio
import anyio.lowlevel
import pytest

from plait._journal.sqlite import SqliteJournal
from plait.errors import JournalError, JournalLockedError, StreamConflictError
from tests.journal.backends import as_read, desk, entry, here
from tests.journal.ground import Ground

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shop.db"


@pytest.fixture
def journal(path):
    return SqliteJournal(path)


def outcome(stream, n, key):
    return entry(stream, n, "step.completed", key=key)


async def test_what_is_appended_is_read(journal):
    first = [entry("r1", 1), entry("r1", 2, "step.completed", key="a", body=b'{"x":1}')]
    async with desk(journal) as it:
        await it.keep(*first)
        await it.keep(entry("r1", 3, "run.completed", status="completed"))
        assert (await it.all_of("r1"))[:2] == as_read(first)
        assert [e.n for e in await journal.read("r1", after=1, limit=1)] == [2]
        (info,) = await journal.streams()
        assert (info.status, info.created, info.updated, info.last_n) == ("completed", 1, 3, 3)
    async with desk(journal, write=False) as it:
        assert len(await it.all_of("r1")) == 3


async def test_a_refused_append_leaves_the_others_of_its_commit(path):
    ground = Ground()
    journal = SqliteJournal(path)
    journal._world = ground.world
    async with desk(journal) as it:
        await it.keep(entry("r1", 1), outcome("r1", 2, "a"))
        journal.collect()
        it.put(entry("r1", 3))
        it.put(entry("r1", 3))  # its place is taken
        it.put(entry("r1", 4))
        it.put(entry("r2", 1), outcome("r1", 5, "a"))  # a second outcome: r2 does not begin either
        it.put(outcome("r1", 5, "b"))
        it.put(outcome("r1", 6, "b"))
        it.put(entry("r1", 7))  # was not due, since the one before it is not there
        last = it.put(entry("r1", 6))
        journal.flush()
        await it.until(last)
        refused = [n for n, error in enumerate(it.errors) if error is not None]
        assert refused == [2, 4, 6, 7]
        assert all(type(it.errors[n]) is StreamConflictError for n in refused)
        assert "a step ends twice: 'b' of 'r1'" in str(it.errors[6])
        assert "entry 7 of stream 'r1' came, 6 is due" in str(it.errors[7])
        assert [e.n for e in await it.all_of("r1")] == [1, 2, 3, 4, 5, 6]
        assert await it.all_of("r2") == []
        assert await journal.verify() == []
        await it.keep(entry("r2", 1), entry("r1", 7))


async def test_a_refused_append_is_as_if_it_had_not_been_made(journal):
    """Not even those of its entries that were in their place count, in its own commit."""
    async with desk(journal) as it:
        await it.keep(entry("r1", 1))
        journal.collect()
        it.put(entry("r2", 1), entry("r1", 2), entry("r1", 9))
        it.put(entry("r2", 1))
        it.put(entry("r1", 2))
        journal.flush()
        await it.until(3)
        assert [type(error) for error in it.errors[1:]] == [
            StreamConflictError,
            type(None),
            type(None),
        ]
        assert await journal.verify() == []


@pytest.mark.parametrize(
    "bad",
    [
        entry("\ud800", 1),
        entry("x", 1, body="text"),
        entry("x", 1, at=float("nan")),
        entry("x", 1, kind=None),
        entry("x", 1, key=object()),
        entry("x", 1, opening=None),
        entry("x", 2**70),
    ],
    ids=["name", "text", "time", "kind", "key", "opening", "place"],
)
async def test_what_the_file_cannot_hold_is_refused_alone(journal, bad):
    async with desk(journal) as it:
        journal.collect()
        it.put(entry("r1", 1))
        it.put(bad)
        it.put(entry("r1", 2))
        journal.flush()
        await it.until(2)
        assert [type(error) for error in it.errors] == [type(None), StreamConflictError, type(None)]
        await it.keep(entry("r1", 3))


async def test_two_appends_race_and_one_of_them_wins(journal):
    async with desk(journal) as it:
        await it.keep(entry("r1", 1))
        it.put(entry("r1", 2, body=b"1"))
        it.put(entry("r1", 2, body=b"2"))
        await it.until(2)
        assert [type(error) for error in it.errors[1:]] == [type(None), StreamConflictError]
        assert [e.body for e in await it.all_of("r1")] == [b"{}", b"1"]


# ---------------------------------------------------------------- group commit


class Held(Ground):
    """Holds the writer before its next COMMIT."""

    def __init__(self):
        super().__init__()
        self.hold = threading.Event()
        self.held = threading.Event()

    def meet(self, sql, act):
        if sql == "COMMIT" and self.hold.is_set():
            self.hold.clear()
            self.held.set()
            self.resume.wait()
        return super().meet(sql, act)

    resume = threading.Event()


async def test_what_comes_during_a_commit_is_one_commit(path):
    ground = Held()
    ground.resume = threading.Event()
    journal = SqliteJournal(path)
    journal._world = ground.world
    async with desk(journal) as it:
        before = ground.count("COMMIT")
        ground.hold.set()
        it.put(entry("r", 1))
        await here().to_thread(ground.held.wait)
        for n in range(2, 102):
            it.put(entry("r", n))
        assert it.answers == []
        ground.resume.set()
        await it.until(100)
        assert it.errors == [None] * 101
        assert ground.count("COMMIT") - before == 2


@pytest.mark.parametrize(("entries", "body", "commits"), [(1, 1, 3), (2, 1, 5), (1, 100_000, 4)])
async def test_a_commit_has_its_limits(path, entries, body, commits):
    """At most 1000 entries or 4 MiB."""
    ground = Held()
    ground.resume = threading.Event()
    journal = SqliteJournal(path)
    journal._world = ground.world
    async with desk(journal) as it:
        before = ground.count("COMMIT")
        ground.hold.set()
        it.put(entry("r", 1))
        await here().to_thread(ground.held.wait)
        rows = iter(range(2, 1_000_000))
        for _ in range(2000 if body == 1 else 41 * 3):
            it.put(*[entry("r", next(rows), body=b"x" * body) for _ in range(entries)])
        ground.resume.set()
        await it.until(len(it.appended) - 1)
        assert set(it.errors) == {None}
        assert ground.count("COMMIT") - before == commits


async def test_one_large_append_is_one_commit(path):
    ground = Ground()
    journal = SqliteJournal(path)
    journal._world = ground.world
    async with desk(journal) as it:
        before = ground.count("COMMIT")
        await it.keep(*[entry("r", n, body=b"x" * 3000) for n in range(1, 3001)])
        assert ground.count("COMMIT") - before == 1


async def test_what_is_collected_is_one_commit(path):
    ground = Ground()
    journal = SqliteJournal(path)
    journal._world = ground.world
    async with desk(journal) as it:
        before = ground.count("COMMIT")
        journal.collect()
        for n in range(1, 64):
            it.put(entry("r", n))
        journal.flush()
        await it.until(62)
        assert ground.count("COMMIT") - before <= 2  # two if a millisecond was over
        await it.keep(entry("r", 64))  # not collected any more


async def test_what_is_collected_does_not_wait_for_ever(journal):
    async with desk(journal) as it:
        journal.collect()
        await it.keep(entry("r", 1))
        await it.keep(entry("r", 2))


async def test_an_empty_append_commits_nothing(path):
    ground = Ground()
    journal = SqliteJournal(path)
    journal._world = ground.world
    async with desk(journal) as it:
        before = ground.count("BEGIN")
        await it.keep()
        assert ground.count("BEGIN") == before


async def test_the_writer_tidies_up_while_there_is_nothing_to_do(path, monkeypatch):
    monkeypatch.setattr("plait._journal.writer.IDLE", 0.0)
    tidy = threading.Event()

    class Tidy(Ground):
        def meet(self, sql, act):
            if "wal_checkpoint" in sql:
                assert sql == "PRAGMA wal_checkpoint(PASSIVE)"
                tidy.set()
            return super().meet(sql, act)

    ground = Tidy()
    journal = SqliteJournal(path)
    journal._world = ground.world
    async with desk(journal) as it:
        await it.keep(entry("r", 1))
        await here().to_thread(tidy.wait)
        await it.keep(entry("r", 2))
    assert ground.count("PRAGMA wal_checkpoint") <= 2  # once for each append


# ---------------------------------------------------------------- who calls when


async def test_a_done_that_raises_does_not_take_the_answer_of_another():
    from plait._journal.writer import tell

    told = []

    def bad(error):
        told.append(error)
        raise ValueError(len(told))

    with pytest.raises(ValueError, match=r"^1$"):
        tell([(bad, None), (told.append, None)])
    with pytest.raises(ExceptionGroup, match="several answers"):
        tell([(bad, None), (told.append, None), (bad, None)])
    assert len(told) == 5


async def test_closing_writes_what_was_appended_and_tells_all(journal):
    async with desk(journal) as it:
        for n in range(1, 1001):
            it.put(entry("r", n))
    assert it.errors == [None] * 1000
    async with desk(journal, write=False) as again:
        assert len(await again.all_of("r")) == 1000


async def test_closing_under_cancellation_writes_and_tells_all(journal, path):
    await journal.open(here())
    told = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        for n in range(1, 101):
            journal.append([entry("r", n)], told.append)
        await journal.aclose()
        assert told == [None] * 100
    assert repr(journal) == f"<SqliteJournal {str(path)!r}, closed>"
    await anyio.lowlevel.checkpoint()
    assert not scope.cancelled_caught


async def test_two_close_at_once(journal):
    async with desk(journal) as it:
        it.put(entry("r", 1))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.aclose)
            tasks.start_soon(journal.aclose)
        assert it.errors == [None]
        await journal.aclose()


async def test_what_is_appended_while_it_closes_is_refused_after_all_others(path):
    ground = Held()
    ground.resume = threading.Event()
    journal = SqliteJournal(path)
    journal._world = ground.world
    async with desk(journal) as it:
        ground.hold.set()
        it.put(entry("r", 1))
        await here().to_thread(ground.held.wait)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.aclose)
            await anyio.wait_all_tasks_blocked()
            it.put(entry("r", 2))
            ground.resume.set()
        assert it.errors[0] is None
        assert type(it.errors[1]) is JournalError
        number = it.put(entry("r", 2))
        assert len(it.answers) == 2
        await it.until(number)
        assert "is not open" in str(it.errors[2])


async def test_closed_it_refuses_everything(journal, path):
    with pytest.raises(JournalError, match="is not open"):
        journal.append([], print)
    await journal.aclose()
    journal.flush()
    for call in (journal.read("r"), journal.streams(), journal.prune(ended_before=0.0)):
        with pytest.raises(
            JournalError, match=r"shop\.db is not open\. First:  await journal\.open"
        ):
            await call
    with pytest.raises(JournalError, match="is not open"):
        journal.collect()


async def test_opened_to_read_it_takes_nothing(journal, path):
    async with desk(journal) as it:
        await it.keep(entry("r", 1))
    async with desk(journal, write=False) as it:
        assert repr(journal) == f"<SqliteJournal {str(path)!r}, open to read>"
        with pytest.raises(JournalError, match="open to be read"):
            await it.keep(entry("r", 2))
        with pytest.raises(JournalError, match="open to be read"):
            await journal.prune(ended_before=1e12)
        journal.flush()


async def test_a_reader_works_beside_the_writer(path):
    async with desk(SqliteJournal(path)) as writer:
        await writer.keep(entry("r", 1))
        async with desk(SqliteJournal(path), write=False) as reader:
            for n in range(2, 30):
                await writer.keep(entry("r", n))
                assert len(await reader.all_of("r")) == n
        await writer.keep(entry("r", 30))


async def test_it_is_open_once(journal, path):
    async with desk(journal):
        assert repr(journal) == f"<SqliteJournal {str(path)!r}, open to write>"
        with pytest.raises(JournalLockedError, match="Share this object, or close it first"):
            await journal.open(here())


async def test_it_can_be_opened_again(journal):
    for n in range(1, 4):
        async with desk(journal) as it:
            await it.keep(entry("r", n))
            assert len(await it.all_of("r")) == n


async def test_prune_keeps_what_an_unfinished_parent_may_ask_for(journal):
    from plait._abc import Opening

    child, grandchild = Opening("", "child", parent="top"), Opening("", "child", parent="child")
    async with desk(journal) as it:
        await it.keep(
            entry("top", 1),
            entry("child", 1, status="completed", opening=child),
            entry("grandchild", 1, status="failed", opening=grandchild),
            entry("loop", 1, status="completed", opening=Opening("", "x", parent="loop")),
            entry("orphan", 1, status="cancelled", opening=Opening("", "x", parent="gone")),
            entry("held", 1, status="held"),
        )
        assert await journal.prune(ended_before=1.0) == 0
        assert await journal.prune(ended_before=2.0) == 2
        assert [s.stream for s in await journal.streams()] == ["child", "grandchild", "held", "top"]
        await it.keep(entry("top", 2, status="completed"))
        assert await journal.prune(ended_before=1000.0) == 3
        assert [s.stream for s in await journal.streams()] == ["held"]
        assert await it.all_of("child") == []
        assert await journal.verify() == []
        await it.keep(entry("child", 1))


async def test_prune_deletes_in_several_commits(journal):
    async with desk(journal) as it:
        for n in range(500):
            it.put(entry(f"r{n}", 1, status="completed"))
        it.put(entry("r", 1))
        assert await journal.prune(ended_before=2.0) <= 500  # of those that were there
        await it.until(500)
        await journal.prune(ended_before=2.0)
        assert [s.stream for s in await journal.streams()] == ["r"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_journal_that_is_forgotten_ends_its_writer(path):
    """It writes what it has, gives the lock back, and a warning says that nobody closed it."""
    journal = SqliteJournal(path)
    await journal.open(here())
    journal.append([entry("r", 1)], lambda error: None)
    writer = journal._opened.writer
    del journal
    gc.collect()
    await here().to_thread(writer.join)
    async with desk(SqliteJournal(path)) as it:
        assert len(await it.all_of("r")) == 1


async def test_the_loop_ends_before_the_answer(path):
    """Nobody is there to be told; the writer goes on, and what it was given is in the file."""
    journal = SqliteJournal(path)

    class Gone:
        def run_sync_soon(self, fn, *args):
            raise RuntimeError("the loop is closed")

        async def to_thread(self, fn, *args):
            return await here_.to_thread(fn, *args)

    here_ = here()
    await journal.open(Gone())
    journal.append([entry("r", 1)], print)
    await journal.aclose()
    async with desk(journal, write=False) as it:
        assert len(await it.all_of("r")) == 1
