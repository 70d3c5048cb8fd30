"""Journals: what it costs that a step is on disk before anybody sees what it did."""

import atexit
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.clock import Stretch
from benchmarks.scenario import Growth, Part, Program, Ratio, Scenario, Sleep, Target

journal_chain = Scenario(
    name="journal_chain",
    title="Durable steps, one after another",
    unit="µs per step",
    about="A chain of N steps on SQLite, `synchronous=FULL`: each is on disk before the next. The file is open.",
    sizes=(100, 300, 1_000),
    quick_sizes=(100, 300),
    reference=1_000,
    growth_from=300,
    expected=lambda size: size,
    equivalent=False,
    targets=(
        Target(Ratio("dbos", "plait"), first=5, at_least=True),
        Target(Ratio("plait", "floor_commit"), first=2, goal=1.2),
        Target(Growth("plait"), first=1.3),
    ),
)

journal_parallel = Scenario(
    name="journal_parallel",
    title="Durable steps in parallel",
    unit="µs per step",
    about="N events to a step with 32 workers, collected: each is on disk before its result is seen. The file is open.",
    sizes=(100, 1_000, 10_000),
    quick_sizes=(100, 1_000),
    reference=1_000,
    growth_from=1_000,
    expected=lambda size: size,
    equivalent=False,
    targets=(
        Target(Ratio("dbos", "plait"), first=50, at_least=True),
        Target(Growth("plait"), first=1.3),
    ),
)

journal_resume = Scenario(
    name="journal_resume",
    title="Taking up a run",
    unit="µs per record",
    about="A run that has ended is read from its journal: N steps, three records each, and no body runs.",
    sizes=(100, 1_000, 10_000),
    quick_sizes=(100, 1_000),
    reference=1_000,
    growth_from=1_000,
    expected=lambda size: size,
    scale=lambda seconds, size: seconds / (3 * size) * 1e6,
    equivalent=False,
    ratios=False,
    targets=(Target(Growth("plait"), first=1.3),),
)


def file_on_disk() -> Path:
    """A place on the disk that the machine has, not in memory."""
    folder = Path(tempfile.mkdtemp(prefix="plait-bench-", dir="."))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # some are open to the end
    return folder / "bench.db"


def remove(path: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()


@asynccontextmanager
async def _open_journal() -> AsyncIterator[Any]:
    """A journal that is open as long as a run needs it: here one that waits for nothing."""
    from plait import Context, HumanResponseEvent, StartEvent, StopEvent, Workflow, step
    from plait.durable import SqliteJournal

    class Waits(Workflow):
        @step
        async def wait(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await ctx.wait_for_event(HumanResponseEvent)
            return StopEvent()

    path = file_on_disk()
    try:
        journal = SqliteJournal(path)
        async with Waits(journal=journal, timeout=None).run() as waits:
            yield journal
            waits.send_event(HumanResponseEvent())
    finally:
        remove(path)


@journal_chain.contender("plait", "plait_asyncio")
def chain(sleep: Sleep) -> Program:
    from plait import Event, StartEvent, StopEvent, Workflow, step

    class Hop(Event):
        number: int

    class Chain(Workflow):
        hops = 0

        @step
        async def start(self, ev: StartEvent) -> Hop:
            return Hop(number=1)

        @step
        async def hop(self, ev: Hop) -> Hop | StopEvent:
            done = ev.number == self.hops
            return StopEvent(result=ev.number) if done else Hop(number=ev.number + 1)

    async def program(size: int) -> object:
        async with _open_journal() as journal:
            flow = Chain(journal=journal)
            flow.hops = size
            with Stretch() as stretch:
                answer = await flow.run()
        return Part(stretch, answer)

    return program


def fan_out(sleep: Sleep, *, again: bool) -> Program:
    from plait import Context, Event, StartEvent, StopEvent, Workflow, step

    class Begin(StartEvent):
        size: int

    class Task(Event):
        number: int

    class Result(Event):
        number: int

    class FanOut(Workflow):
        @step
        async def start(self, ctx: Context, ev: Begin) -> Task | None:
            for number in range(ev.size):
                ctx.send_event(Task(number=number))

        @step(num_workers=32)
        async def work(self, ev: Task) -> Result:
            await sleep(0)
            return Result(number=ev.number)

        @step(num_workers=1)
        async def combine(self, ctx: Context, ev: Result) -> StopEvent | None:
            got = ctx.collect_events(ev, {Result: self.size})
            return None if got is None else StopEvent(result=len(got))

        size = 0

    paths: dict[int, Path] = {}

    async def once(size: int) -> object:
        async with _open_journal() as journal:
            flow = FanOut(journal=journal)
            flow.size = size
            with Stretch() as stretch:
                answer = await flow.run(size=size)
        return Part(stretch, answer)

    async def take_up(size: int) -> object:
        if size not in paths:
            paths[size] = file_on_disk()
            flow = FanOut(journal=paths[size])
            flow.size = size
            await flow.run(size=size, run_id="bench")
        return await FanOut(journal=paths[size]).resume("bench")

    return take_up if again else once


journal_parallel.contender("plait", "plait_asyncio")(partial(fan_out, again=False))
journal_resume.contender("plait", "plait_asyncio")(partial(fan_out, again=True))


@asynccontextmanager
async def _rows() -> AsyncIterator[sqlite3.Connection]:
    path = file_on_disk()
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE record (n INTEGER PRIMARY KEY, body BLOB NOT NULL)")
        yield connection
    finally:
        connection.close()
        remove(path)


def floor(sleep: Sleep, *, together: int) -> Program:
    """Rows in a table, so many at a commit."""

    async def program(size: int) -> object:
        body = b'{"at":1795297429.92,"delivery":12,"event":{"number":12},"first":13,"to":["hop"]}'
        async with _rows() as connection:
            with Stretch() as stretch:
                for first in range(0, size, together):
                    connection.execute("BEGIN IMMEDIATE")
                    rows = [(n, body) for n in range(first, min(first + together, size))]
                    connection.executemany("INSERT INTO record VALUES (?, ?)", rows)
                    connection.execute("COMMIT")
            count = connection.execute("SELECT count(*) FROM record").fetchone()[0]
            return Part(stretch, count)

    return program


journal_chain.contender("floor_commit")(partial(floor, together=1))
journal_parallel.contender("floor_group")(partial(floor, together=32))


def dbos(sleep: Sleep, *, parallel: bool) -> Program:
    import asyncio
    import logging

    from dbos import DBOS

    logging.disable(logging.WARNING)
    path = file_on_disk()
    DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{path}"})

    @DBOS.step()
    async def one(number: int) -> int:
        await sleep(0)
        return number

    @DBOS.workflow()
    async def flow(size: int) -> int:
        if parallel:
            return len(await asyncio.gather(*(one(number) for number in range(size))))
        for number in range(size):
            await one(number)
        return size

    launched = False

    async def program(size: int) -> Any:
        nonlocal launched
        if not launched:
            DBOS.launch()
            launched = True
        return await flow(size)

    return program


journal_chain.contender("dbos", limit=300)(partial(dbos, parallel=False))
journal_parallel.contender("dbos", limit=1_000)(partial(dbos, parallel=True))
