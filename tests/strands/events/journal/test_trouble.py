"""What may go wrong with a journal's file, row by row, as whoever awaits a run on it sees it.

The run is suspended: each body that began has left through its `finally`, nothing is marked as failed, the
error is that of the file and names it, and the next start goes on with what is on record.
"""

import json
import os
import sqlite3
import subprocess
import sys

import anyio
import pytest

from plait import Context, Event, StartEvent, StopEvent, Workflow, WorkflowCheckpointer, step
from plait._journal.sqlite import SqliteJournal
from plait.errors import (
    JournalBusyError,
    JournalCorruptError,
    JournalFullError,
    JournalIOError,
    JournalLockedError,
    JournalTooNewError,
    JournalUnsupportedError,
    RunLockedError,
    UnreadableEntryError,
)
from tests.journal.backends import desk
from tests.journal.ground import Ground
from tests.strands.events.journal.lives import Moment, in_real_time, live_until, outcome_of


class Half(Event):
    n: int


class Two(Workflow):
    """Two steps; one of them may say that it is there, and wait until it may go on."""

    def __init__(self, journal, reached=None, may=None, waits="first"):
        super().__init__(journal=journal)
        self.log = []
        self.reached, self.may, self.waits = reached, may, waits

    @step
    async def first(self, ctx: Context, ev: StartEvent) -> Half:
        await self.body("first")
        return Half(n=1)

    @step
    async def second(self, ctx: Context, ev: Half) -> StopEvent:
        await self.body("second")
        return StopEvent(result=ev.n)

    async def body(self, name):
        self.log.append(name)
        try:
            if self.may is not None and self.waits == name:
                self.reached.set()
                await self.may.wait()
        finally:
            self.log.append(f"{name} left")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shop.db"


def on(ground, path, **options):
    journal = SqliteJournal(path, **options)
    journal._world = ground.world
    return journal


async def statuses(path):
    async with desk(SqliteJournal(path), write=False) as it:
        return {one.stream: one.status for one in await it.journal.streams()}


async def outcomes_of(flow):
    """What comes of each way to begin a run, or to go on with one."""
    ways = flow.run, lambda: flow.run(run_id="r"), lambda: flow.resume("r")
    return [await outcome_of(way()) for way in ways]


async def suspended_by(path, journal, spoil):
    """Have the file go wrong while a body executes; the error, once all is seen to be as it must be.

    One body goes on and has something to keep. The other one waits for ever, and so has nothing.
    """
    reached, may = Moment(), Moment()
    flow, other = Two(journal, reached, may), Two(journal, Moment(), Moment())
    errors = []

    async def live(run):
        errors.append(await outcome_of(run))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(live, flow.run(run_id="r"))
        await reached.wait()
        tasks.start_soon(live, other.run(run_id="other"))
        await other.reached.wait()
        spoil()
        may.set()
    assert errors[0] is errors[1]  # its runs, all of them
    assert flow.log == other.log == ["first", "first left"]
    return errors[0]


async def goes_on(path):
    """The next start has what was acknowledged, and does the rest."""
    assert await statuses(path) == {"r": "running", "other": "running"}
    assert await Two(SqliteJournal(path)).resume("r") == 1
    assert await Two(SqliteJournal(path)).resume("other") == 1


# ---------------------------------------------------------------- the file fails


@in_real_time
async def test_a_file_that_is_busy_for_a_while_is_waited_for(path):
    ground = Ground()
    tried = []

    def busy(_, sql):
        if sql == "BEGIN IMMEDIATE" and len(tried) < 3:
            tried.append(sql)
            return "busy"
        return None

    ground.fails = busy
    assert await Two(on(ground, path)).run(run_id="r") == 1
    assert len(tried) == 3
    assert ground.slept


FAILURES = {
    "busy": JournalBusyError,
    "full": JournalFullError,
    "write": JournalIOError,
    "sync": JournalIOError,
    "corrupt": JournalCorruptError,
}


@in_real_time
@pytest.mark.parametrize("name", FAILURES)
async def test_a_file_that_fails_while_runs_are_under_way(path, name):
    ground = Ground()

    def spoil():
        where = "INSERT INTO record" if name == "corrupt" else "COMMIT"
        ground.fails = lambda _, sql: name if sql.startswith(where) else None

    error = await suspended_by(path, on(ground, path), spoil)
    assert type(error) is FAILURES[name]
    assert str(path) in str(error)
    assert (30 <= ground.clock < 31) == (name == "busy")
    await goes_on(path)


@in_real_time
async def test_a_failed_sync_whose_commit_is_on_the_disk(path):
    """Nobody knows; the next start reads what is there, and does nothing twice that is on record."""
    ground = Ground(late=True)

    def spoil():
        ground.fails = lambda _, sql: "sync" if sql == "COMMIT" else None

    error = await suspended_by(path, on(ground, path), spoil)
    assert type(error) is JournalIOError
    assert await statuses(path) == {"r": "running", "other": "running"}
    again = Two(SqliteJournal(path))
    assert await again.resume("r") == 1
    assert again.log == ["second", "second left"]


# ---------------------------------------------------------------- the file is not for us


def no_sqlite(path):
    path.write_text("Dear diary, " * 1000)


def somebody_elses(path):
    _execute(path, "PRAGMA application_id = 7", "CREATE TABLE diary (day)")


def newer(path):
    _execute(path, "PRAGMA application_id = 1886151017", "PRAGMA user_version = 9")


def _execute(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


@in_real_time
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (no_sqlite, JournalCorruptError),
        (somebody_elses, JournalCorruptError),
        (newer, JournalTooNewError),
    ],
)
async def test_a_file_that_is_not_for_us_is_left_as_it_is(path, make, kind):
    make(path)
    before = path.read_bytes()
    flow = Two(path)
    for error in await outcomes_of(flow):
        assert type(error) is kind
        assert str(path) in str(error)
    with pytest.raises(kind):
        await WorkflowCheckpointer(flow).load()
    if kind is JournalTooNewError:
        assert (error.found, error.known) == (9, 1)
    assert flow.log == []
    assert path.read_bytes() == before


@in_real_time
async def test_a_disk_that_is_no_local_one(path):
    class NoSharedMemory(Ground):
        def meet(self, sql, act):
            if "journal_mode" in sql:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMMAP
                raise error
            return super().meet(sql, act)

    flow = Two(on(NoSharedMemory(), path))
    error = await outcome_of(flow.run(run_id="r"))
    assert type(error) is JournalUnsupportedError
    assert "a disk of this machine" in str(error)
    assert flow.log == []


# ---------------------------------------------------------------- somebody else has it


def start(program, path, backend):
    """Start a process."""
    return subprocess.Popen(
        [sys.executable, "-c", program, path, backend[0]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


HOLDS = """
import sys
import anyio
from plait import *

class Holds(Workflow):
    @step
    async def only(self, ev: StartEvent) -> StopEvent:
        print("running", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        return StopEvent(result=1)

async def main():
    print(await Holds(journal=sys.argv[1]).run(run_id="r"))

anyio.run(main, backend=sys.argv[2])
"""


@in_real_time
async def test_a_second_process(path, anyio_backend):
    """It is told who has the file, its runs are nobody's, and the first goes on unharmed."""
    with start(HOLDS, path, anyio_backend) as process:
        try:
            assert process.stdout.readline() == "running\n"
            flow = Two(path)
            for error in await outcomes_of(flow):
                assert type(error) is JournalLockedError
                assert f"{path} is used by process {process.pid} on host " in str(error)
            assert flow.log == []
            assert process.communicate("\n")[0] == "1\n"
        finally:
            process.kill()
    assert await statuses(path) == {"r": "completed"}
    assert await flow.run(run_id="r2") == 1


FORKS = """
import os, sys, threading
import anyio
from plait import *
from plait.durable import SqliteJournal
from plait.errors import JournalForkedError

class Flow(Workflow):
    @step
    async def only(self, ev: StartEvent) -> StopEvent:
        if ev.get("forks"):
            child = os.fork()
            if child == 0:
                forked(self)
            await anyio.to_thread.run_sync(os.waitpid, child, 0)
        return StopEvent(result=1)

def forked(flow):
    try:
        thread = threading.Thread(target=anyio.run, args=[in_child, flow], kwargs=KIND)
        thread.start()
        thread.join()
    finally:
        os._exit(0)

async def in_child(flow):
    flow = Flow(journal=flow.journal)
    checkpointer = WorkflowCheckpointer(flow)
    for run in (flow.run, lambda: flow.run(run_id="s"), lambda: flow.resume("r"), checkpointer.load):
        try:
            await run()
        except JournalForkedError as error:
            said = f"was opened by process {os.getppid()}, and this is its forked child {os.getpid()}"
            print("told" if said in str(error) else error, flush=True)

KIND = {"backend": sys.argv[2]}

async def main():
    print(await Flow(journal=SqliteJournal(sys.argv[1])).run(run_id="r", forks=True))

anyio.run(main, **KIND)
"""


@in_real_time
async def test_a_forked_child_is_told_at_its_first_run(path, anyio_backend):
    """And its parent goes on."""
    with start(FORKS, path, anyio_backend) as process:
        said, wrong = process.communicate()
    assert said.splitlines() == ["told"] * 4 + ["1"], wrong
    assert await statuses(path) == {"r": "completed"}


@in_real_time
async def test_a_run_that_is_under_way_here(path):
    journal, reached, may = SqliteJournal(path), Moment(), Moment()
    flow = Two(journal, reached, may)
    async with flow.run(run_id="r") as run:
        await reached.wait()
        for other in (Two(journal).run(run_id="r"), Two(journal).resume("r")):
            assert type(await outcome_of(other)) is RunLockedError
        may.set()
    assert await run == 1
    assert flow.log == ["first", "first left", "second", "second left"]


# ---------------------------------------------------------------- one run of it


def where(n):
    return f"WHERE stream = 'bad' AND n = {n}"


SPOILT = {
    "gap": f"DELETE FROM record {where(3)}",
    "kind": f"UPDATE record SET kind = 'step.danced' {where(3)}",
    "version": f"UPDATE record SET version = 99 {where(3)}",
    "body": f"UPDATE record SET body = CAST('{{}}' AS BLOB) {where(3)}",
    "first": f"UPDATE record SET body = CAST('[' AS BLOB) {where(1)}",
    "class": "UPDATE record SET body = CAST(replace(body, 'Half', 'Whole') AS BLOB) WHERE stream = 'bad'",
}


@in_real_time
@pytest.mark.parametrize("how", SPOILT)
async def test_one_run_that_cannot_be_read(path, how):
    """It is held as it is, with the reason, until somebody mends it; the journal's other runs go on."""
    for name in ("bad", "good"):
        flow = Two(path, Moment(), Moment(), waits="second")
        await live_until(flow.reached, flow.run(run_id=name))
    sound = path.read_bytes()
    _execute(path, SPOILT[how])
    spoilt = await records(path)
    journal = SqliteJournal(path)
    flows = {name: Two(journal) for name in ("bad", "good")}
    outcomes = {}

    async def take_up(name):
        outcomes[name] = await outcome_of(flows[name].resume(name))

    async with anyio.create_task_group() as tasks:
        for name in flows:
            tasks.start_soon(take_up, name)
    error = outcomes["bad"]
    assert type(error) is UnreadableEntryError
    assert str(error).startswith(f"Run bad is held: its record {error.n} ")
    assert error.stream == "bad"
    assert error.faults
    assert outcomes["good"] == 1
    assert flows["bad"].log == []
    *others, held = await records(path)
    assert (others, held.kind, held.n) == (spoilt, "run.held", 6)
    assert error.faults[0] in json.loads(held.body)["why"]["unreadable"]["fault"]
    assert await statuses(path) == {"bad": "held", "good": "completed"}
    assert str(await outcome_of(flows["bad"].resume("bad"))) == str(error)
    assert await records(path) == [*spoilt, held]  # that is what it says already
    checkpointer = WorkflowCheckpointer(flows["bad"])
    await checkpointer.load()
    assert [*checkpointer.checkpoints] == ["good"]

    path.write_bytes(sound)
    mended = Two(path)
    assert await mended.resume("bad") == 1
    assert mended.log == ["second", "second left"]


@in_real_time
async def test_a_run_that_was_held_goes_on_once_it_can_be_read(path):
    """The version of plait that knows the record reads what stands before and after it."""
    flow = Two(path, Moment(), Moment(), waits="second")
    await live_until(flow.reached, flow.run(run_id="bad"))
    _execute(path, SPOILT["version"])
    for _ in range(2):
        assert type(await outcome_of(Two(path).resume("bad"))) is UnreadableEntryError
    assert await statuses(path) == {"bad": "held"}
    _execute(path, f"UPDATE record SET version = 1 {where(3)}")
    mended = Two(path)
    assert await mended.resume("bad") == 1
    assert mended.log == ["second", "second left"]
    assert [one.kind for one in await records(path)].count("run.held") == 1
    assert await statuses(path) == {"bad": "completed"}
    assert await SqliteJournal(path).verify() == []


async def records(path):
    """All there is of the run that was spoilt."""
    async with desk(SqliteJournal(path), write=False) as it:
        return await it.all_of("bad")
