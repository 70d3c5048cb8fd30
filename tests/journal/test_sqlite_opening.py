"""What an open finds: nothing, a journal, another version, another application, damage, no way in."""

import os
import random
import sqlite3
import sys

import pytest

from plait._journal import schema
from plait._journal.sqlite import SqliteJournal
from plait._journal.world import Place, World, connect
from plait.errors import (
    JournalCorruptError,
    JournalError,
    JournalFullError,
    JournalIOError,
    JournalTooNewError,
    JournalUnsupportedError,
)
from tests.journal.backends import desk, entry, here
from tests.journal.ground import Ground, Noted


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shop.db"


def execute(path, *statements):
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return [connection.execute(sql).fetchall() for sql in statements]
    finally:
        connection.close()


async def refused(path, error, text, *, world=None):
    """Opening fails, either way, with one clear error; what is there stays as it is."""
    before = {p.name: p.read_bytes() for p in path.parent.iterdir() if p.is_file()}
    for write in (True, False):
        journal = SqliteJournal(path)
        journal._world = world or World()
        with pytest.raises(error, match=text) as caught:
            await journal.open(here(), write=write)
        assert str(path) in str(caught.value)
        assert type(caught.value) is error
        assert repr(journal).endswith("closed>")
    after = {p.name: p.read_bytes() for p in path.parent.iterdir() if p.is_file()}
    for name in (".lock", "-wal", "-shm"):
        before.pop(path.name + name, None)
        assert not after.pop(path.name + name, b"") or name == "-shm"
    assert before == after
    return caught.value


async def test_a_folder_is_refused_and_nothing_is_left_beside_it(path):
    path.mkdir()
    error = await refused(path, JournalIOError, "is a folder")
    assert str(error) == f"{path} is a folder. Name a file in it: {path / 'runs.db'}"
    assert [*path.parent.iterdir()] == [path]


async def test_it_makes_the_file_for_this_user_alone(path):
    before = os.umask(0)
    try:
        async with desk(SqliteJournal(path)):
            assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
    pragmas = execute(path, "PRAGMA application_id", "PRAGMA user_version", "PRAGMA journal_mode")
    assert pragmas == [[(1886151017,)], [(1,)], [("wal",)]]


async def test_the_folder_is_synced_after_the_file_is_made(path, monkeypatch):
    synced = []
    fsync = os.fsync

    def note(descriptor):
        synced.append(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", note)
    async with desk(SqliteJournal(path)):
        pass
    if sys.platform == "linux":
        assert synced == [str(path.parent)]


@pytest.mark.parametrize(("sync", "number"), [("full", 2), ("fast", 1)])
async def test_how_the_writer_syncs(path, sync, number):
    found = {}

    class Looks(Ground):
        def connect(self, path, /, *, write, timeout):
            connection = connect(path, write=write, timeout=timeout)
            if write:
                found["writer"] = connection
            return Noted(self, connection)

    journal = SqliteJournal(path, sync=sync)
    journal._world = Looks().world
    async with desk(journal) as it:
        await it.keep(entry("r", 1))
        writer = found["writer"]
        pragmas = {
            name: writer.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("synchronous", "journal_mode", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {
        "synchronous": number,
        "journal_mode": "wal",
        "foreign_keys": 1,
        "busy_timeout": 5000,
    }


def test_what_is_no_file_is_refused_at_once():
    for path in ("", ":memory:"):
        with pytest.raises(ValueError, match=r"MemoryJournal\(\)"):
            SqliteJournal(path)
    with pytest.raises(ValueError, match="sync must be 'full' or 'fast', not 'off'"):
        SqliteJournal("x", sync="off")


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?.db", "#1.db", "é😀.db", "file:x.db"])
async def test_any_name_will_do(tmp_path, name):
    async with desk(SqliteJournal(tmp_path / name)) as it:
        await it.keep(entry("r", 1))
        assert len(await it.all_of("r")) == 1
    assert (tmp_path / name).exists()


async def test_an_empty_file_becomes_a_journal(path):
    path.touch()
    async with desk(SqliteJournal(path)) as it:
        await it.keep(entry("r", 1))


async def test_a_file_that_was_being_made_becomes_a_journal(path):
    """WAL, and no tables yet."""
    execute(path, "PRAGMA journal_mode = WAL")
    with pytest.raises(JournalError, match=r"it is empty\. Open it for writing once"):
        await SqliteJournal(path).open(here(), write=False)
    async with desk(SqliteJournal(path)) as it:
        await it.keep(entry("r", 1))


async def test_a_file_whose_making_was_cut_off_becomes_a_journal(path):
    """A rollback journal lies beside it, which a connection that cannot write does not touch."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("CREATE TABLE x (y)")
    connection.execute("DROP TABLE x")
    connection.execute("BEGIN")
    connection.execute("CREATE TABLE filler (y)")
    for _ in range(50):
        connection.execute("INSERT INTO filler VALUES (randomblob(3000))")
    hot = {name: (path.parent / name).read_bytes() for name in ("shop.db", "shop.db-journal")}
    connection.execute("ROLLBACK")
    connection.close()
    for name, data in hot.items():
        (path.parent / name).write_bytes(data)
    async with desk(SqliteJournal(path)) as it:
        await it.keep(entry("r", 1))
        assert await it.journal.verify() == []


# ---------------------------------------------------------------- what it refuses


async def test_a_file_that_is_not_there_is_not_read(path):
    with pytest.raises(JournalError, match="There is no journal"):
        await SqliteJournal(path).open(here(), write=False)
    with pytest.raises(JournalError, match="There is no journal"):
        await SqliteJournal(path).verify()
    assert list(path.parent.iterdir()) == []


async def test_a_folder_that_is_not_there_is_not_made(path):
    with pytest.raises(JournalIOError, match="No such file or directory"):
        await SqliteJournal(path / "shop.db").open(here())


async def test_a_folder_is_no_file(path):
    path.mkdir()
    with pytest.raises(JournalIOError):
        await SqliteJournal(path).open(here())


async def test_what_is_not_sqlite(path):
    path.write_text("Dear diary, " * 1000)
    await refused(path, JournalCorruptError, "is no SQLite file")
    assert "is no SQLite file" in (await SqliteJournal(path).verify())[0]


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
async def test_a_file_of_another_application(path, mode):
    execute(path, f"PRAGMA journal_mode = {mode}", "CREATE TABLE mine (x)")
    await refused(path, JournalCorruptError, "it belongs to another application")
    execute(path, "PRAGMA application_id = 7")
    await refused(path, JournalCorruptError, r"\(application_id 7, not 1886151017\)")


async def make(path, entries=1):
    async with desk(SqliteJournal(path)) as it:
        for n in range(1, entries + 1):
            it.put(entry("r", n, body=b'{"text": "%s"}' % (b"x" * 300)))


async def test_a_newer_file(path):
    await make(path)
    execute(path, "PRAGMA user_version = 9")
    error = await refused(path, JournalTooNewError, "its version is 9, this plait knows 1")
    assert (error.found, error.known) == (9, 1)


async def test_a_newer_file_whose_writer_was_killed_keeps_its_wal(path):
    await make(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA user_version = 9")
    names = ("shop.db", "shop.db-wal")
    left = {name: (path.parent / name).read_bytes() for name in names}
    connection.close()
    for name, data in left.items():
        (path.parent / name).write_bytes(data)
    with pytest.raises(JournalTooNewError):
        await SqliteJournal(path).open(here())
    assert {name: (path.parent / name).read_bytes() for name in names} == left


async def test_no_version_at_all(path):
    await make(path)
    execute(path, "PRAGMA user_version = 0")
    await refused(path, JournalCorruptError, "is no journal")


@pytest.mark.parametrize("name", ["TABLE stream", "TABLE owner", "INDEX one_outcome"])
async def test_a_table_that_is_missing(path, name):
    await make(path)
    execute(path, f"DROP {name}")
    await refused(path, JournalCorruptError, f"it has no {name.split()[1]}")


async def test_a_file_system_without_wal(path):
    class NoWal(Ground):
        def meet(self, sql, act):
            rows = super().meet(sql, act)
            return NoRows() if "journal_mode" in sql else rows

    class NoRows:
        def fetchall(self):
            return [("delete",)]

    journal = SqliteJournal(path)
    journal._world = NoWal().world
    with pytest.raises(JournalUnsupportedError, match=r"refuses WAL(.|\n)*a disk of this machine"):
        await journal.open(here())


async def test_a_file_system_without_shared_memory(path):
    class NoMemory(Ground):
        def meet(self, sql, act):
            if "journal_mode" in sql:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMMAP
                raise error
            return super().meet(sql, act)

    journal = SqliteJournal(path)
    journal._world = NoMemory().world
    with pytest.raises(JournalUnsupportedError, match="cannot share memory"):
        await journal.open(here())


async def test_an_old_library(path):
    class Old(Ground):
        def meet(self, sql, act):
            return super().meet(sql, act) if "sqlite_version" not in sql else Version()

    class Version:
        def fetchall(self):
            return [("3.36.0",)]

    journal = SqliteJournal(path)
    journal._world = Old().world
    with pytest.raises(JournalUnsupportedError, match=r"the SQLite library here is 3\.36\.0"):
        await journal.open(here())


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
async def test_a_file_that_may_not_be_written(path):
    await make(path)
    path.chmod(0o400)
    with pytest.raises(JournalIOError, match="write=False"):
        await SqliteJournal(path).open(here())
    async with desk(SqliteJournal(path), write=False) as it:
        assert len(await it.all_of("r")) == 1


# ---------------------------------------------------------------- damage


async def test_damaged_pages_are_a_clear_error_and_nothing_else(path):
    """Whatever bytes are wrong: a journal error, or faults that `verify` lists, or no harm done."""
    await make(path, 200)
    sound = path.read_bytes()
    found = set()
    for seed in range(150):
        random.seed(seed)
        data = bytearray(sound)
        start = random.choice([0, 100, 4096, random.randrange(len(data))])
        for place in range(start, min(start + random.choice([1, 16, 400, 4096]), len(data))):
            data[place] = random.randrange(256)
        path.write_bytes(data)
        for name in ("-wal", "-shm"):
            path.with_name(path.name + name).unlink(missing_ok=True)
        try:
            listed = await SqliteJournal(path).verify()
            found.add("verify" if listed else "sound")
            async with desk(SqliteJournal(path)) as it:
                await it.keep(entry("s", 1))
                await it.all_of("r")
        except JournalError as error:
            found.add(type(error).__name__)
    assert {"verify", "JournalCorruptError"} <= found
    assert found <= {
        "verify", "sound", "JournalCorruptError", "JournalTooNewError", "JournalIOError",
        "JournalError", "StreamConflictError",
    }  # fmt: skip


async def test_a_read_that_finds_damage_ends_the_writing(path):
    await make(path, 2000)
    async with desk(SqliteJournal(path)) as it:
        await it.keep(entry("s", 1))
        data = bytearray(path.read_bytes())
        half = len(data) // 2 // 4096 * 4096
        data[half:] = b"\xff" * (len(data) - half)
        with path.open("r+b") as file:  # in a file that is open: only its content
            file.write(data)
        with pytest.raises(JournalCorruptError, match=r"verify\(\)"):
            await it.all_of("r")
        before = path.read_bytes(), path.with_name("shop.db-wal").read_bytes()
        with pytest.raises(JournalCorruptError):
            await it.keep(entry("s", 2))
        with pytest.raises(JournalCorruptError):
            await it.journal.prune(ended_before=1e12)
        assert repr(it.journal).endswith("failed: JournalCorruptError>")
    assert (path.read_bytes(), path.with_name("shop.db-wal").read_bytes()) == before


async def test_a_file_that_is_moved_away_takes_nothing_with_it(path):
    async with desk(SqliteJournal(path)) as it:
        await it.keep(entry("r", 1))
        path.rename(path.with_name("old.db"))
        with pytest.raises(JournalIOError, match="was moved, replaced or removed"):
            await it.keep(entry("r", 2))
        with pytest.raises(JournalIOError, match="was moved, replaced or removed"):
            await it.keep(entry("r", 2))
    path.with_name("old.db").rename(path)
    async with desk(SqliteJournal(path)) as it:
        assert len(await it.all_of("r")) == 1


async def test_a_full_disk(path):
    """SQLite's own error, from a file that may not grow."""

    class Small(Ground):
        def connect(self, path, /, *, write, timeout):
            connection = super().connect(path, write=write, timeout=timeout)
            connection.wrapped.execute("PRAGMA max_page_count = 30")
            return connection

    journal = SqliteJournal(path)
    journal._world = Small().world
    acknowledged = 0
    with pytest.raises(JournalFullError, match="Make room and start again"):
        async with desk(journal) as it:
            for n in range(1, 1000):
                await it.keep(entry("r", n, body=b'"%s"' % (b"x" * 2000)))
                acknowledged = n
    assert acknowledged
    async with desk(SqliteJournal(path)) as it:
        assert len(await it.all_of("r")) == acknowledged
        assert await it.journal.verify() == []
        await it.keep(entry("r", acknowledged + 1))


# ---------------------------------------------------------------- migrations


def next_version(connection):
    connection.execute("ALTER TABLE owner ADD COLUMN mood TEXT")


def third_version(connection):
    connection.execute("CREATE TABLE more (x)")


async def test_an_older_file_is_migrated_and_a_copy_kept(path):
    await make(path, 3)
    place = Place.of(path)
    connection = connect(str(path), write=True, timeout=1.0)
    steps = {1: next_version, 2: third_version}
    backup = path.with_name("shop.db.v1.bak")
    path.with_name("shop.db.v1.bak.part").write_text("cut off")
    schema.migrate(connection, place, 1, 3, steps)
    assert schema.version_of(connection, place, known=3) == 3
    connection.close()
    assert backup.stat().st_mode & 0o777 == 0o600
    assert execute(backup, "PRAGMA user_version", "SELECT count(*) FROM record") == [[(1,)], [(3,)]]
    assert execute(path, "SELECT mood FROM owner", "SELECT x FROM more") == [[], []]
    assert not path.with_name("shop.db.v1.bak.part").exists()
    backup.rename(path.with_name("copy.db"))
    async with desk(SqliteJournal(path.with_name("copy.db"))) as it:
        assert len(await it.all_of("r")) == 3


async def test_a_migration_that_fails_has_done_nothing(path):
    await make(path, 3)

    def fails(connection):
        raise KeyError

    connection = connect(str(path), write=True, timeout=1.0)
    with pytest.raises(KeyError):
        schema.migrate(connection, Place.of(path), 1, 3, {1: next_version, 2: fails})
    connection.close()
    async with desk(SqliteJournal(path)) as it:
        assert len(await it.all_of("r")) == 3
        assert await it.journal.verify() == []


async def test_a_file_of_this_version_is_not_copied(path):
    await make(path)
    await make(path.with_name("other.db"))
    async with desk(SqliteJournal(path)):
        assert not list(path.parent.glob("*.bak*"))
