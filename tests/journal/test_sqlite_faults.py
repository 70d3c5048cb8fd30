"""Errors of the disk at every statement: one clear error, nothing acknowledged lost, nothing half done."""

import functools
import sqlite3
import threading

import anyio
import pytest
import trio

from plait._journal.sqlite import SqliteJournal
from plait.errors import (
    JournalBusyError,
    JournalCorruptError,
    JournalError,
    JournalFullError,
    JournalIOError,
    StreamConflictError,
)
from tests.journal.backends import Desk, as_read, desk, entry, here
from tests.journal.ground import ERRORS, Ground

CLASSES = {
    "busy": JournalBusyError,
    "full": JournalFullError,
    "write": JournalIOError,
    "sync": JournalIOError,
    "corrupt": JournalCorruptError,
    "readonly": JournalIOError,
}

#: Each is one append. The third is refused, and the fifth in a commit that is written twice.
APPENDS = [
    [entry("a", 1), entry("b", 1), entry("a", 2, "step.completed", key="k")],
    [entry("a", 3), entry("b", 2, status="completed")],
    [entry("a", 9), entry("c", 1)],
    [entry("a", 4), entry("b", 3)],
    [entry("a", 5), entry("d", 1), entry("a", 6, "step.failed", key="k")],
    [entry("a", 5, status="held"), entry("e", 1, status="completed")],
]
REFUSED = {2, 4}


class Story:
    """What came of one life of a journal."""

    def __init__(self):
        self.desk = None
        self.error = None
        self.pruned = 0
        self.read = 0

    async def live(self, journal):
        """Open, append, read, prune, close; until something goes wrong."""
        try:
            await journal.open(here())
        except JournalError as error:
            self.error = error
            return
        self.desk = Desk(journal)
        try:
            for entries in APPENDS[:3]:
                await self.keep(entries)
            journal.collect()
            for entries in APPENDS[3:]:
                self.desk.put(*entries)
            journal.flush()
            await self.desk.until(len(APPENDS) - 1)
            self.read = len(await self.desk.all_of("a"))
            await journal.streams()
            self.pruned = await journal.prune(ended_before=1.5)
        except JournalError as error:
            self.error = error
        finally:
            await journal.aclose()

    async def keep(self, entries):
        try:
            await self.desk.keep(*entries)
        except StreamConflictError:
            assert len(self.desk.appended) - 1 in REFUSED

    @property
    def answers(self):
        return [] if self.desk is None else self.desk.errors


async def life(path, ground, *, patience=0.0):
    """A life on bad ground, and what a sound one finds after it."""
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    journal = SqliteJournal(path, sync="fast", patience=patience)  # the same statements
    journal._world = ground.world
    story = Story()
    await story.live(journal)
    assert ground.open == 0, "a connection is left open"
    await check(path, story)
    return story


async def check(path, story):
    """Acknowledged is there, refused is not, and the rest is there whole or not at all."""
    async with desk(SqliteJournal(path, sync="fast")) as it:
        assert await it.journal.verify() == []
        kept = {info.stream: await it.all_of(info.stream) for info in await it.journal.streams()}
        there = [e for entries in kept.values() for e in entries]
        pruned = {"e"} if story.pruned or (story.error and "e" not in kept) else set()
        for number, entries in enumerate(APPENDS):
            found = [e in there for e in as_read(entries) if e.stream not in pruned]
            answer = story.answers[number] if number < len(story.answers) else "never appended"
            if answer is None:
                assert all(found), f"append {number} was acknowledged and is lost"
            elif number in REFUSED or answer == "never appended":
                assert not all(found)
            elif isinstance(answer, JournalIOError):
                assert all(found) or not any(found), f"append {number} is there in part"
            else:
                assert not any(found), f"append {number} was not acknowledged and is there"
        last = len(kept.get("a", ()))
        await it.keep(entry("a", last + 1))


def failing(number, name, *, on=False):
    """Fail at this statement, or from there on."""
    return lambda n, sql: name if n == number or (on and n > number) else None


def broken(answers):
    """The errors that ended the journal: one, from its first append on."""
    errors = [e for e in answers if e is not None and type(e) is not StreamConflictError]
    assert all(e is errors[0] for e in errors)
    if errors:
        first = answers.index(errors[0])
        assert all(e is errors[0] for e in answers[first:])
    return errors


def run(library, fn, *args):
    if library == "trio":
        return trio.run(fn, *args)
    return anyio.run(fn, *args, backend="asyncio")


@functools.cache
def statements(folder):
    ground = Ground()
    story = trio.run(life, folder / "sound.db", ground)
    assert story.error is None
    assert [n for n, error in enumerate(story.answers) if error is not None] == [*sorted(REFUSED)]
    assert (story.read, story.pruned) == (5, 1)
    return tuple(ground.statements)


@pytest.fixture
def every(tmp_path):
    """The number of each statement of a life."""
    found = statements(tmp_path)
    statements.cache_clear()
    assert {"connect", "BEGIN IMMEDIATE", "COMMIT", "SAVEPOINT one", "ROLLBACK TO one"} <= set(
        found
    )
    return range(1, len(found) + 1)


@pytest.mark.parametrize(
    ("name", "late"),
    # What SQLite says of a statement that did nothing, and what may be said of one that did.
    [*((name, False) for name in ERRORS), ("write", True), ("sync", True)],
)
def test_an_error_at_every_statement(name, late, every, tmp_path):
    """Once, before the statement is executed or after it."""
    ended = 0
    for number in every:
        ground = Ground(failing(number, name), late=late)
        library = ("trio", "asyncio")[number % 2]
        story = run(library, life, tmp_path / "shop.db", ground)
        errors = [*broken(story.answers), *([story.error] if story.error else [])]
        ended += bool(errors)
        for error in errors:
            assert isinstance(error, CLASSES[name]), (number, ground.statements[number - 1])
            assert str(tmp_path / "shop.db") in str(error)
    assert ended > len(every) // 2


@pytest.mark.parametrize("name", ["busy", "full", "write"])
def test_a_disk_that_fails_from_some_statement_on(name, every, tmp_path):
    for number in every:
        story = run("trio", life, tmp_path / "shop.db", Ground(failing(number, name, on=True)))
        errors = [*broken(story.answers), *([story.error] if story.error else [])]
        assert all(isinstance(error, JournalError) for error in errors)
        assert errors or number > len(every) - 4  # while it is closed nobody is told


def test_a_locked_file_is_tried_again(every, tmp_path):
    """Busy once, at every statement: nobody notices but the clock."""
    slept = 0
    for number in every:
        ground = Ground(failing(number, "busy"))
        story = run("trio", functools.partial(life, patience=30.0), tmp_path / "shop.db", ground)
        assert story.error is None
        assert broken(story.answers) == []
        assert story.pruned == 1
        slept += bool(ground.slept)
    assert slept > len(every) - 8  # not while it is closed


@pytest.mark.anyio
async def test_patience_ends(tmp_path):
    path = tmp_path / "shop.db"
    ground = Ground()
    journal = SqliteJournal(path, patience=30.0)
    journal._world = ground.world
    async with desk(journal) as it:
        await it.keep(entry("a", 1))
        ground.fails = lambda number, sql: "busy" if sql == "COMMIT" else None
        with pytest.raises(JournalBusyError, match=r"locked by another program for 30 s") as caught:
            await it.keep(entry("a", 2))
        assert 30 <= ground.clock < 31
        ground.fails = lambda number, sql: None
        with pytest.raises(JournalBusyError) as again:
            await it.keep(entry("a", 3))
        assert again.value is caught.value
        assert repr(journal).endswith("failed: JournalBusyError>")
        assert len(await it.all_of("a")) == 1  # it can still be read
    async with desk(SqliteJournal(path)) as it:
        assert len(await it.all_of("a")) == 1


@pytest.mark.anyio
async def test_an_io_error_is_never_tried_again(tmp_path):
    """The second sync of a file may succeed without having written what the first one lost."""
    ground = Ground()
    journal = SqliteJournal(tmp_path / "shop.db", patience=30.0)
    journal._world = ground.world
    async with desk(journal) as it:
        ground.fails = lambda number, sql: "sync" if sql == "COMMIT" else None
        before = ground.count("COMMIT")
        for n in (1, 2):
            with pytest.raises(JournalIOError):
                await it.keep(entry("a", n))
    assert ground.count("COMMIT") == before + 1
    assert ground.slept == []


@pytest.mark.anyio
async def test_after_an_error_nothing_is_written_when_it_closes(tmp_path):
    """No checkpoint either: the next start finds the file and its -wal as they were."""
    path = tmp_path / "shop.db"
    ground = Ground()
    journal = SqliteJournal(path)
    journal._world = ground.world
    async with desk(journal) as it:
        await it.keep(entry("a", 1))
        ground.fails = lambda number, sql: (
            "corrupt" if sql.startswith("INSERT INTO record") else None
        )
        with pytest.raises(JournalCorruptError, match="Nothing more is written to it"):
            await it.keep(entry("a", 2))
        ground.fails = lambda number, sql: None
        before = path.read_bytes(), (tmp_path / "shop.db-wal").read_bytes()
    assert (path.read_bytes(), (tmp_path / "shop.db-wal").read_bytes()) == before
    async with desk(SqliteJournal(path)) as it:
        assert len(await it.all_of("a")) == 1


@pytest.mark.anyio
async def test_a_bug_of_ours_ends_the_journal_and_leaves_nobody_waiting(tmp_path):
    class Odd(Ground):
        def meet(self, sql, act):
            if sql.startswith("INSERT INTO stream"):
                raise KeyError("odd")
            return super().meet(sql, act)

    journal = SqliteJournal(tmp_path / "shop.db")
    journal._world = Odd().world
    async with desk(journal) as it:
        with pytest.raises(JournalError, match=r"cannot be used any more: 'odd' \(KeyError\)"):
            await it.keep(entry("a", 1))
        with pytest.raises(JournalError, match="odd"):
            await it.keep(entry("a", 1))
    async with desk(SqliteJournal(tmp_path / "shop.db")) as it:
        assert await it.all_of("a") == []


@pytest.mark.anyio
async def test_no_thread_can_be_had(tmp_path, monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    journal = SqliteJournal(tmp_path / "shop.db")
    with monkeypatch.context() as patch:
        patch.setattr("plait._journal.writer.threading.Thread.start", start)
        backend = here()

        class Inline:
            run_sync_soon = backend.run_sync_soon

            async def to_thread(self, fn, *args):
                return fn(*args)

        with pytest.raises(RuntimeError, match="can't start new thread"):
            await journal.open(Inline())
    async with desk(journal) as it:
        await it.keep(entry("a", 1))


# ---------------------------------------------------------------- a file that somebody else has locked


@pytest.fixture
def shell(tmp_path):
    """Somebody who begins to write to the file, and does not come to an end."""
    connections = []

    def begin():
        connection = sqlite3.connect(
            tmp_path / "shop.db", isolation_level=None, check_same_thread=False
        )
        connections.append(connection)
        connection.execute("BEGIN IMMEDIATE")
        return connection

    yield begin
    for connection in connections:
        connection.close()


class Patient(Ground):
    """Its clock does not go; whoever sleeps gives the lock back."""

    shell = None

    def sleep(self, seconds):
        self.slept.append(seconds)
        if self.shell is not None:
            self.shell.execute("COMMIT")
            self.shell = None


@pytest.mark.anyio
async def test_whoever_has_locked_it_is_waited_for(tmp_path, shell):
    ground = Patient()
    journal = SqliteJournal(tmp_path / "shop.db", patience=30.0)
    journal._world = ground.world
    async with desk(journal) as it:
        ground.shell = shell()
        await it.keep(entry("a", 1))
        assert ground.slept
        ground.shell = shell()
        ground.slept.clear()
    assert not ground.slept  # the row stays: it is a note
    async with desk(journal) as it:  # it could be opened
        assert ground.slept
        assert len(await it.all_of("a")) == 1


@pytest.mark.anyio
async def test_whoever_does_not_give_it_back_ends_the_journal(tmp_path, shell):
    journal = SqliteJournal(tmp_path / "shop.db", patience=0.0)
    async with desk(journal) as it:
        locked = shell()
        with pytest.raises(JournalBusyError, match="database is locked"):
            await it.keep(entry("a", 1))
        assert await it.all_of("a") == []
    with pytest.raises(JournalBusyError, match="End that program"):
        await journal.open(here())
    locked.execute("COMMIT")
    async with desk(journal) as it:
        await it.keep(entry("a", 1))


@pytest.mark.anyio
async def test_tidying_up_can_wait(tmp_path, monkeypatch):
    monkeypatch.setattr("plait._journal.writer.IDLE", 0.0)
    tried = threading.Event()

    def fails(number, sql):
        if "wal_checkpoint" not in sql:
            return None
        tried.set()
        return error

    error = "busy"
    ground = Ground(fails)
    journal = SqliteJournal(tmp_path / "shop.db")
    journal._world = ground.world
    async with desk(journal) as it:
        await it.keep(entry("a", 1))
        await here().to_thread(tried.wait)
        await it.keep(entry("a", 2))
        await here().to_thread(tried.wait)
        assert ground.slept == []
    error = "write"
    tried.clear()
    async with desk(journal) as it:
        await it.keep(entry("a", 3))
        await here().to_thread(tried.wait)
        with pytest.raises(JournalIOError):  # a disk that fails is not to be trusted
            for n in range(4, 1000):
                await it.keep(entry("a", n))
