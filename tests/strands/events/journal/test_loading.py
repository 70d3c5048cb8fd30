"""`WorkflowCheckpointer.load()` only reads: beside a process that writes, and beside runs of this one."""

import hashlib
import os
import sqlite3
import subprocess
import sys
from contextlib import contextmanager

import anyio
import pytest

from plait import StartEvent, StopEvent, Workflow, WorkflowCheckpointer, step
from plait.errors import JournalCorruptError, JournalError
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A
from tests.strands.events.journal.lives import Kept, Moment, in_real_time

PROGRAM = """
import sys
import anyio
from plait import *


class Line(Event):
    n: int


class Flow(Workflow):
    @step
    async def first(self, ev: StartEvent) -> Line:
        return Line(n=ev.n)

    @step
    async def second(self, ev: Line) -> StopEvent:
        print("second", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        return StopEvent(result=ev.n)


async def run():
    print(await Flow(journal=sys.argv[2]).run(run_id="r", n=7))


async def load():
    checkpointer = WorkflowCheckpointer(Flow(journal=sys.argv[2]))
    await checkpointer.load()
    for name, kept in checkpointer.checkpoints.items():
        print(name, [(one.last_completed_step, one.output_event) for one in kept])


if __name__ == "__main__":
    anyio.run({"run": run, "load": load}[sys.argv[1]], backend=sys.argv[3])
"""


@pytest.fixture
def process(tmp_path):
    """Start the program: it runs the workflow on the journal `runs.db`, or loads its checkpoints."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    folders = os.pathsep.join(path for path in sys.path if path)

    @contextmanager
    def start(what, backend):
        with subprocess.Popen(
            [sys.executable, program, what, tmp_path / "runs.db", backend],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": folders},
        ) as started:
            try:
                yield started
            finally:
                started.kill()

    return start


def look_of(path):
    """The file, byte by byte, with what waits beside it to be moved there."""
    beside = path.with_name(path.name + "-wal")
    return [hashlib.sha256(one.read_bytes()).hexdigest() for one in (path, beside)]


def owner_of(path):
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT process, pid FROM owner").fetchall()
    finally:
        connection.close()


BOTH = pytest.mark.parametrize("backend", ["trio", "asyncio"])


@BOTH
def test_beside_a_process_that_runs_it(tmp_path, process, backend):
    path = tmp_path / "runs.db"
    with process("run", backend) as running:
        assert running.stdout.readline() == "second\n"
        owner = owner_of(path)
        assert owner[0][1] == running.pid
        with process("load", backend) as loading:
            said, wrong = loading.communicate()
        assert (said, wrong) == ("r [('first', Line(n=7))]\n", "")
        assert owner_of(path) == owner
        assert running.communicate("\n") == ("7\n", "")
    with process("load", backend) as loading:
        assert loading.communicate()[0] == (
            "r [('first', Line(n=7)), ('second', StopEvent(result=7))]\n"
        )


@BOTH
def test_after_a_process_that_was_killed(tmp_path, process, backend):
    """Nobody has put its file in order, and nobody does."""
    path = tmp_path / "runs.db"
    with process("run", backend) as running:
        running.stdout.readline()
    before, owner = look_of(path), owner_of(path)
    for _ in range(2):
        with process("load", backend) as loading:
            assert loading.communicate() == ("r [('first', Line(n=7))]\n", "")
        assert (look_of(path), owner_of(path)) == (before, owner)


class Flow(Workflow):
    """Two steps; the second waits until it may go on."""

    def __init__(self, journal, reached=None, may=None):
        super().__init__(journal=journal)
        self.reached, self.may = reached, may

    @step
    async def first(self, ev: StartEvent) -> A:
        return A(n=1)

    @step
    async def second(self, ev: A) -> StopEvent:
        if self.may is not None:
            self.reached.set()
            await self.may.wait()
        return StopEvent(result=1)


async def loaded(journal):
    checkpointer = WorkflowCheckpointer(Flow(journal))
    await checkpointer.load()
    return {
        name: [one.last_completed_step for one in kept]
        for name, kept in checkpointer.checkpoints.items()
    }


@in_real_time
async def test_a_file_that_is_not_there_is_not_made(tmp_path):
    path = tmp_path / "rums.db"
    with pytest.raises(JournalError, match=r"There is no journal .*rums\.db"):
        await loaded(path)
    assert [*tmp_path.iterdir()] == []
    path.touch()
    with pytest.raises(JournalError, match=r"rums\.db cannot be read yet: it is empty"):
        await loaded(path)
    path.write_text("Dear diary, " * 1000)
    with pytest.raises(JournalCorruptError):
        await loaded(path)
    assert path.read_text() == "Dear diary, " * 1000
    assert [*tmp_path.iterdir()] == [path]


@in_real_time
async def test_beside_another_journal_object_of_this_process(tmp_path):
    path, reached, may = tmp_path / "runs.db", Moment(), Moment()
    async with Flow(path, reached, may).run(run_id="r"):
        await reached.wait()
        assert await loaded(path) == {"r": ["first"]}
        may.set()
    assert await loaded(path) == {"r": ["first", "second"]}


class Slow(Kept):
    """A journal that says how it is opened and closed, and takes a second for each reading."""

    def __init__(self):
        super().__init__()
        self.log = []
        self.breaks = False

    async def open(self, backend, *, write=True):
        self.log.append("open to write" if write else "open to read")
        await super().open(backend, write=write)

    async def aclose(self):
        await super().aclose()
        self.log.append("closed")

    async def read(self, stream, **options):
        await anyio.sleep(1)
        if self.breaks:
            raise JournalError("The disk is gone.")
        return await super().read(stream, **options)


WRITTEN, READ = ["open to write", "closed"], ["open to read", "closed"]
WHOLE = {"r": ["first", "second"]}


async def at_once(*questions):
    """Ask all of them, each a moment after the one before; the answers, with their times."""
    answers = {}

    async def ask(number, question):
        await anyio.sleep(number / 10)
        answers[number] = await question(), round(anyio.current_time() - began, 1)

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for number, question in enumerate(questions):
            tasks.start_soon(ask, number, question)
    return [answers[number] for number in range(len(questions))]


@in_virtual_time
async def test_a_run_that_begins_while_its_journal_is_read():
    """It waits until that is read, and its journal is open once at a time."""
    journal = Slow()
    await Flow(journal).run(run_id="r")

    async def load():
        return await loaded(journal)

    async def run():
        return await Flow(journal).run()

    assert await at_once(load, run) == [(WHOLE, 1), (1, 1)]
    assert journal.log == [*WRITTEN, *READ, *WRITTEN]


@in_virtual_time
async def test_two_readings_at_once():
    journal = Slow()
    await Flow(journal).run(run_id="r")

    async def load():
        return await loaded(journal)

    assert await at_once(load, load) == [(WHOLE, 1), (WHOLE, 2)]
    assert journal.log == [*WRITTEN, *READ, *READ]


@in_virtual_time
async def test_beside_a_run_of_this_process():
    """What is open to write is read as it is; and stays open for whoever still reads."""
    journal, reached, may = Slow(), Moment(), Moment()

    async def run():
        return await Flow(journal, reached, may).run()

    async def load():
        return await loaded(journal)

    async def let_it_go_on():
        may.set()
        await anyio.lowlevel.checkpoint()

    (result, ended), (found, until), _ = await at_once(run, load, let_it_go_on)
    assert (result, [*found.values()]) == (1, [["first"]])
    assert (ended, until) == (0.2, 1.1)  # and the last one closes it
    assert journal.log == WRITTEN


@in_virtual_time
async def test_a_reading_that_is_cancelled_or_fails_leaves_it_closed():
    journal = Slow()
    await Flow(journal).run(run_id="r")
    with anyio.move_on_after(0.5) as scope:
        await loaded(journal)
    assert scope.cancelled_caught
    assert journal.log == [*WRITTEN, *READ]
    journal.breaks = True
    with pytest.raises(JournalError):
        await loaded(journal)
    journal.breaks = False
    assert journal.log == [*WRITTEN, *READ, *READ]
    assert await loaded(journal) == WHOLE
    assert await Flow(journal).run() == 1


@in_virtual_time
async def test_a_run_that_goes_on_and_on_is_read_up_to_where_it_was():
    """However fast it writes."""
    journal = Slow()
    going = [True]

    class Endless(Workflow):
        @step
        async def again(self, ev: StartEvent | A) -> A | StopEvent:
            await anyio.sleep(0.1)
            return A(n=1) if going else StopEvent(result="at last")

    checkpointer = WorkflowCheckpointer(Endless(journal=journal))
    async with Endless(journal=journal).run(run_id="r") as run:
        await anyio.sleep(1.05)
        with anyio.fail_after(60):
            await checkpointer.load()
        assert len(checkpointer.checkpoints["r"]) == 10
        going.clear()
    assert await run == "at last"
