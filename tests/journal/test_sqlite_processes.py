"""One process at a time writes: two processes, a dead one, a forked one, and where there are no locks."""

import errno
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import attrs
import pytest

from plait._journal import lease
from plait._journal.lease import Lease, Owner
from plait._journal.sqlite import SqliteJournal
from plait._journal.world import Place, World, connect
from plait.errors import JournalForkedError, JournalLockedError
from tests.journal.backends import desk, entry, here

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="fork, signals")

OPENED = """
import os, sys, trio
sys.path.insert(0, {root!r})
from plait._journal.sqlite import SqliteJournal
from tests.journal.backends import here, entry

async def main():
    journal = SqliteJournal({path!r})
    await journal.open(here())
    told = trio.Event()
    journal.append([entry("r", 1)], lambda error: told.set())
    await told.wait()
{then}

trio.run(main)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shop.db"


@pytest.fixture
def child(path, request):
    """Start a process that opens the journal, writes an entry, and then does what it is told."""
    processes = []

    def start(then):
        program = OPENED.format(
            path=str(path), root=str(request.config.rootpath), then=textwrap.indent(then, "    ")
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


HOLDS = "print('open', flush=True); await trio.to_thread.run_sync(sys.stdin.readline)"
CLOSES = f"{HOLDS}; await journal.aclose()"


async def until_open(process):
    assert await here().to_thread(process.stdout.readline) == "open\n"


async def test_a_second_process_is_told_who_has_it(path, child):
    process = child(CLOSES)
    await until_open(process)
    with pytest.raises(JournalLockedError) as caught:
        await SqliteJournal(path).open(here())
    now = time.strftime("%H:")
    first, second = str(caught.value).splitlines()
    assert first.startswith(
        f"{path} is used by process {process.pid} on host {socket.gethostname()} since {now}"
    ) or not first.endswith(now)
    assert "write=False" in second
    async with desk(SqliteJournal(path), write=False) as it:  # readers need no lock
        assert len(await it.all_of("r")) == 1
    await here().to_thread(process.communicate, "\n")
    assert process.returncode == 0
    async with desk(SqliteJournal(path)) as it:
        await it.keep(entry("r", 2))


async def test_a_killed_process_leaves_no_lock(path, child):
    process = child(HOLDS)
    await until_open(process)
    process.send_signal(signal.SIGKILL)
    await here().to_thread(process.wait)
    async with desk(SqliteJournal(path)) as it:
        assert len(await it.all_of("r")) == 1
        await it.keep(entry("r", 2))


async def test_a_stopped_process_keeps_its_lock(path, child):
    process = child(HOLDS)
    await until_open(process)
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(JournalLockedError, match=f"process {process.pid} "):
        await SqliteJournal(path).open(here())


FORKS = """
pid = os.fork()
if pid == 0:
    sys.stdin.readline()
    os._exit(0)
print('open', flush=True)
print(pid, flush=True)
await trio.sleep_forever()
"""


async def test_a_forked_child_does_not_keep_the_lock_of_its_dead_parent(path, child):
    process = child(FORKS)
    await until_open(process)
    grandchild = int(await here().to_thread(process.stdout.readline))
    with pytest.raises(JournalLockedError):
        await SqliteJournal(path).open(here())
    process.send_signal(signal.SIGKILL)
    await here().to_thread(process.wait)
    os.kill(grandchild, 0)  # it lives
    async with desk(SqliteJournal(path)) as it:
        await it.keep(entry("r", 2))
    process.stdin.close()
    await here().to_thread(process.stdout.read)  # until that one is gone


IN_THE_CHILD = """
from plait.errors import JournalForkedError, JournalLockedError
pid = os.fork()
if pid == 0:
    code = 1
    try:
        for call in (
            lambda: journal.append([], print), journal.flush, journal.collect,
        ):
            try:
                call()
            except JournalForkedError as error:
                assert f"was opened by process {os.getppid()}" in str(error), error
            else:
                raise AssertionError(call)
        for call in (
            journal.aclose(), journal.open(here()), journal.read("r"), journal.streams(),
            journal.prune(ended_before=0.0), journal.verify(),
        ):
            try:
                call.send(None)
            except JournalForkedError:
                pass
            else:
                raise AssertionError(call)
        from plait._journal.lease import Lease
        from plait._journal.world import Place, World
        try:
            Lease.take(Place.of(journal._place.shown), World())
        except JournalLockedError as error:
            assert "another process" not in str(error), error
        else:
            raise AssertionError("it has the lock of its parent")
        writer = journal._opened.writer
        del journal
        import gc; gc.collect()
        assert writer.inbox._closed is False
        code = 0
    finally:
        os._exit(code)
assert os.waitpid(pid, 0)[1] == 0
told = trio.Event()
journal.append([entry("r", 2)], lambda error: told.set() if error is None else print(error))
await told.wait()
await journal.aclose()
"""


async def test_a_forked_child_is_told_at_its_first_call_and_its_parent_goes_on(path, child):
    process = child(IN_THE_CHILD)
    await here().to_thread(process.communicate)
    assert process.returncode == 0
    async with desk(SqliteJournal(path)) as it:
        assert len(await it.all_of("r")) == 2
        assert await it.journal.verify() == []


DIES = """
for n in range(2, 1000):
    journal.append([entry("r", n)], lambda error: None)
"""


async def test_a_process_does_not_wait_for_a_writer_that_nobody_closed(path, child):
    process = child(f"global kept; kept = journal\n{DIES}")
    await here().to_thread(process.communicate)
    assert process.returncode == 0
    async with desk(SqliteJournal(path)) as it:
        found = await it.all_of("r")
        assert [e.n for e in found] == [*range(1, len(found) + 1)]
        assert found
        assert await it.journal.verify() == []


# ---------------------------------------------------------------- in one process


async def test_a_second_journal_of_this_process_is_refused_and_does_no_harm(path, child):
    """Were its lock file opened and closed, the first one's lock would be gone."""
    async with desk(SqliteJournal(path)) as it:
        for name in (path, path.parent / "." / path.name, path.with_name("link.db")):
            if not name.exists():
                name.symlink_to(path)
            with pytest.raises(JournalLockedError, match="used by this process"):
                await SqliteJournal(name).open(here())
        hard = path.with_name("hard.db")
        os.link(path, hard)  # it would have a lock file and a -wal of its own
        with pytest.raises(JournalLockedError, match="used by this process"):
            await SqliteJournal(hard).open(here())
        process = child(HOLDS)
        assert await here().to_thread(process.wait) == 1  # locked out still
        await it.keep(entry("r", 1))


async def test_two_threads_open_it_at_once(path):
    taken, refused = [], []
    barrier = threading.Barrier(8)

    def take():
        barrier.wait()
        try:
            taken.append(Lease.take(Place.of(path), World()))
        except JournalLockedError as error:
            refused.append(error)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), len(refused)) == (1, 7)
    taken[0].release()
    taken[0].release()
    Lease.take(Place.of(path), World()).release()


async def test_the_row_is_there_while_it_is_open(path):
    async with desk(SqliteJournal(path)):
        with connect(str(path), write=False, timeout=1.0) as connection:
            owner = Owner.read(connection)
            assert (owner.pid, owner.boot) == (os.getpid(), lease.boot())
            assert not owner.lives  # a process that has our number
        connection.close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM owner").fetchall() == [(0,)]
    connection.close()


async def test_the_lock_file_stays_and_is_for_this_user_alone(path):
    async with desk(SqliteJournal(path)) as it:
        await it.keep(entry("r", 1))
        for name in ("", "-wal", "-shm", ".lock"):
            assert (path.parent / f"{path.name}{name}").stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in path.parent.iterdir()) == ["shop.db", "shop.db.lock"]


# ---------------------------------------------------------------- where there are no locks


@pytest.fixture
def no_locks(monkeypatch):
    def lockf(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", lockf)


def sign(path, **fields):
    """Have somebody else own the file."""
    owner = attrs.evolve(
        Owner("other", os.getppid(), lease.boot(), socket.gethostname(), 1e9), **fields
    )
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT OR REPLACE INTO owner VALUES (1, ?, ?, ?, ?, ?)", attrs.astuple(owner)
    )
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("fields", "free"),
    [
        ({}, False),
        ({"boot": "another"}, True),
        ({"pid": os.getpid()}, True),
        ({"pid": 2**22 + 1}, True),
        ({"pid": 1}, False),
    ],
    ids=["alive", "another start of the machine", "my number", "dead", "another user's"],
)
async def test_the_row_decides_alone_where_there_are_no_locks(path, no_locks, fields, free):
    async with desk(SqliteJournal(path)):
        pass
    sign(path, **fields)
    if free:
        async with desk(SqliteJournal(path)) as it:
            await it.keep(entry("r", 1))
            with pytest.raises(JournalLockedError, match="used by this process"):
                await SqliteJournal(path).open(here())
    else:
        with pytest.raises(JournalLockedError, match=r"on host .* since 2001-09-09 \d\d:46"):
            await SqliteJournal(path).open(here())


async def test_the_lock_decides_where_there_are_locks(path):
    async with desk(SqliteJournal(path)):
        pass
    sign(path)
    async with desk(SqliteJournal(path)) as it:
        await it.keep(entry("r", 1))


@pytest.mark.parametrize(
    ("fields", "gone"),
    [
        ({}, False),
        ({"boot": "another"}, True),
        ({"pid": os.getpid()}, True),
        ({"pid": 2**22 + 1}, True),
        ({"pid": 2**22 + 1, "host": "elsewhere"}, False),
    ],
    ids=["alive", "another start of the machine", "my number", "dead", "another machine"],
)
async def test_a_reader_knows_since_when_somebody_writes(path, fields, gone):
    async with desk(SqliteJournal(path)) as it:
        since = await it.journal.written_since()
        assert since is not None, "this process does"
        async with desk(SqliteJournal(path), write=False) as other:
            assert await other.journal.written_since() == since
    async with desk(SqliteJournal(path), write=False) as it:
        assert await it.journal.written_since() is None
    sign(path, **fields)
    async with desk(SqliteJournal(path), write=False) as it:
        assert await it.journal.written_since() == (None if gone else 1_000_000_000.0)


def test_a_time_of_today_is_shown_by_its_minutes(monkeypatch):
    assert len(lease.clock(time.time())) in {5, 16}  # midnight may fall between
    assert lease.clock(0.0).startswith("19")


def test_sqlite_is_loaded_with_the_journal_only():
    program = (
        "import sys, plait, plait.events, plait.errors, plait.abc;"
        " assert not {'sqlite3', '_sqlite3', 'plait._journal.sqlite'} & set(sys.modules);"
        " import plait._journal.sqlite;"
        " assert not {'trio', 'anyio', 'asyncio'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_forked_error_names_both(path):
    journal = SqliteJournal(path)

    class Opened:
        pid = 4711

    journal._opened = Opened()
    with pytest.raises(JournalForkedError, match=rf"process 4711.*\n?.* {os.getpid()}"):
        journal._check_process()


# ---------------------------------------------------------------- kill -9

WRITES = """
last = {last}
def said(n):
    def done(error):
        assert error is None, error
        os.write(1, b"%d\\n" % n)
    return done
while True:
    for n in range(last + 1, last + {burst} + 1):
        journal.append([entry("w", n), entry(f"s{{n}}", 1)], said(n))
    last += {burst}
    await trio.sleep(0)
    while len(journal._opened.writer.inbox._items) > 50:
        await trio.sleep(0)
"""


async def test_whatever_was_acknowledged_survives_kill_9(path, child):
    """The witness is what the process said; at any moment, in the middle of commits and checkpoints."""
    random.seed(9)
    last = 0
    for _ in range(12):
        process = child(WRITES.format(last=last, burst=random.choice([1, 7, 60])))
        for _ in range(random.randrange(1, 400)):
            await here().to_thread(process.stdout.readline)
        process.send_signal(signal.SIGKILL)
        rest = await here().to_thread(process.stdout.read)
        said = int(rest.splitlines()[-1]) if rest.strip() else 0
        async with desk(SqliteJournal(path), write=False) as it:  # what nobody has tidied up
            found = [e.n for e in await it.all_of("w")]
            assert found == [*range(1, len(found) + 1)]
            assert len(found) >= said
            assert await it.journal.verify() == []
            names = {info.stream for info in await it.journal.streams(limit=1_000_000)}
            assert names >= {f"s{n}" for n in found}
        last = len(found)
