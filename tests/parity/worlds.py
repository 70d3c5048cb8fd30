"""A world with processes that die: the instruments of the durable functions' tests.

A test gets a `world`, makes apps in it, and asks what handlers did outside of all journals. It runs on
Trio and on asyncio, with a journal in memory and one on a disk, in virtual time.

Rule 1: A test of `at_every_append` can be run a second time in the same world: runs and events have names
    of their own, so that the second process finds what the first has left.
Rule 2: What was in flight when a process died may run once more, with the same key. `check` knows what
    that was from what is on disk, and allows nothing else.
Rule 3: Time stands still while a thread is at work, that of a journal too.
"""

import json
from collections import defaultdict
from contextlib import contextmanager

import anyio
import attrs
import pytest

from plait.durable import App, MemoryJournal, SqliteJournal, TriggerEvent, current_step
from plait.errors import JournalIOError
from tests.conftest import MOCK_CLOCK
from tests.journal.backends import here
from tests.strands.durable import patience

BEGIN = TriggerEvent(event="begin")

OUTCOMES = {"step.completed", "step.failed"}
#: What nobody waits for.
NOTES = {"step.started"}


@attrs.define
class Exec:
    """One time that a handler ran."""

    name: str
    run_id: str
    key: str
    attempt: int
    idempotency_key: str
    #: What was on its way to disk when it began, notes apart.
    underway: tuple[str, ...] = ()
    #: Its process died before an outcome of this attempt was on disk.
    lost: bool = False


class ItDiedError(JournalIOError):
    """What is told of an append to a process that is dead."""


@contextmanager
def at_work():
    patience._count(1)
    try:
        yield
    finally:
        patience._count(-1)


class MortalJournal:
    """The journal of a process that dies at some append, and of which time waits for its answers."""

    def __init__(self, world, inner):
        self._world = world
        self._inner = inner
        self._backend = None

    async def open(self, backend, *, write=True):
        self._backend = backend
        with at_work():
            await self._inner.open(backend, write=write)

    async def aclose(self):
        with at_work():
            await self._inner.aclose()

    def append(self, entries, done):
        patience._count(1)
        world = self._world
        dies = world.room is not None and world.appends >= world.room
        keeps = not dies or (world.appends == world.room and world.room_for_one)
        world.appends += 1
        world.dead |= dies

        world.underway += [entry.kind for entry in entries]

        def told(error, passes=world.passes):
            if passes:
                self._backend.run_sync_soon(told, error, passes - 1)
                return
            patience._count(-1)
            del world.underway[: len(entries)]
            done(ItDiedError("the process is dead") if dies else error)

        self._inner.append(entries if keeps else [], told)

    def flush(self):
        self._inner.flush()

    async def read(self, stream, *, after=0, limit=1000):
        with at_work():
            return await self._inner.read(stream, after=after, limit=limit)

    async def streams(self, **asked):
        with at_work():
            return await self._inner.streams(**asked)

    async def prune(self, *, ended_before):
        with at_work():
            return await self._inner.prune(ended_before=ended_before)


class World:
    """What is outside of all processes: a disk, and what handlers did."""

    def __init__(self, path=None):
        self._path = path
        self._disk = MemoryJournal()
        self.execs = []
        #: What the test wrote down in this process.
        self.notes = []
        #: What it wrote down in all of them.
        self.log = []
        #: How many appends the process has made, and at which it dies; that one may be kept as the last.
        self.appends = 0
        self.room = None
        self.room_for_one = False
        self.dead = False
        self.crashed = False
        #: How many passes of the loop later than it could an append is answered; the kinds that are not.
        self.passes = 0
        self.underway = []
        self._began = None

    def journal(self):
        """A journal object as a process makes it, of what is on disk."""
        inner = self._disk if self._path is None else SqliteJournal(self._path)
        return MortalJournal(self, inner)

    def app(self, **options):
        """The app, as a process makes it."""
        if self._began is None:
            self._began = anyio.current_time()
        options.setdefault("journal", self.journal())
        return App("shop", **options)

    @property
    def elapsed(self):
        """Seconds since the first process made its app."""
        return anyio.current_time() - self._began

    # ------------------------------------------------------------ what handlers did

    def ran(self, name):
        """Be told by a handler that it runs."""
        step = current_step()
        underway = tuple(kind for kind in self.underway if kind not in NOTES)
        self.execs.append(
            Exec(name, step.run_id, step.key, step.attempt, step.idempotency_key, underway)
        )

    def step(self, name, value=None, *, seconds=0, error=None):
        """Make a handler that says that it runs, takes so long, and returns or raises this."""

        async def handler():
            self.ran(name)
            self.log.append(f"{name} begins")
            try:
                await anyio.sleep(seconds)
                if error is not None:
                    raise error
                self.log.append(f"{name} ends")
            finally:
                self.log.append(f"{name} is over")
            return value

        handler.__qualname__ = f"handler of {name}"
        return handler

    def check(self, **expected):
        """Each handler ran so often (`...`: or not), but for what was in flight when a process died."""
        execs = defaultdict(list)
        for one in self.execs:
            execs[one.name].append(one)
        assert {*execs} <= {name for name, count in expected.items() if count}, dict(execs)
        for name, count in expected.items():
            if count is ...:
                continue
            lost = sum(one.lost for one in execs[name])
            assert count <= len(execs[name]) <= count + lost, (name, execs[name])
            keys = {one.idempotency_key for one in execs[name]}
            assert len(keys) <= count, (name, execs[name])

    def attempts(self, name):
        """The attempts of a handler, each once."""
        return [*dict.fromkeys(one.attempt for one in self.execs if one.name == name)]

    # ------------------------------------------------------------ what is on disk

    async def entries(self):
        """All entries there are, once no process has the journal any more."""
        if self._path is not None and not self._path.exists():
            return []
        journal = self.journal()
        await journal.open(here(), write=False)
        try:
            streams = await journal.streams(limit=10_000)
            return [e for s in streams for e in await journal.read(s.stream, limit=10_000)]
        finally:
            await journal.aclose()

    async def revive(self):
        """Have a new process, which does not die, go on with what is on disk."""
        settled = defaultdict(lambda: -1)
        for entry in await self.entries():
            if entry.kind in OUTCOMES:
                settled[entry.stream, entry.key] = float("inf")
            elif entry.kind == "step.retrying":
                body = json.loads(entry.body)
                key = entry.key or json.dumps(body["key"])
                settled[entry.stream, key] = max(settled[entry.stream, key], body["attempt"])
        for one in self.execs:
            one.lost = one.attempt > settled[one.run_id, one.key]
        self.notes.clear()
        self.underway.clear()
        self.room, self.dead, self.crashed = None, False, True


# ------------------------------------------------------------ where tests run

PLACES = {
    "memory-trio": (("trio", MOCK_CLOCK), False),
    "memory-asyncio": (("asyncio", {"loop_factory": patience.PatientLoop}), False),
    "file-trio": (("trio", MOCK_CLOCK), True),
    "file-asyncio": (("asyncio", {"loop_factory": patience.PatientLoop}), True),
}

#: The tests that are run again with a death at each of their appends.
PROGRAMS = {}


def everywhere(test):
    """Run a test on both journals and both backends, in virtual time."""
    values = [(backend, on_file) for backend, on_file in PLACES.values()]
    both = pytest.mark.parametrize(("anyio_backend", "on_file"), values, ids=[*PLACES])
    return pytest.mark.anyio(pytest.mark.usefixtures("time_waits_for_threads")(both(test)))


def at_every_append(test):
    """Run a test everywhere, and with a death at each append."""
    PROGRAMS[f"{test.__module__.rpartition('.')[2]}:{test.__name__}"] = test
    return everywhere(test)


@pytest.fixture
def time_waits_for_threads():
    with patience.counting():
        yield


@pytest.fixture
def world(on_file, tmp_path):
    return World(tmp_path / "shop.db" if on_file else None)


# ------------------------------------------------------------ lives


async def left_after(seconds, app, fn, data=None, run_id="r1"):
    """Invoke a function, and leave it after so many seconds, unless it has ended."""
    with anyio.move_on_after(seconds):
        await app.invoke(fn, data, run_id=run_id)


async def restarted(world, make, data=None, *, after=5):
    """Invoke what `make(app)` declares, leave it after a time, and have another process go on."""
    app = world.app()
    await left_after(after, app, make(app), data)
    app = world.app()
    return await app.invoke(make(app), data, run_id="r1")


async def dying_at(world, program, append, *, kept):
    """Run a program in a process that dies at this append, which is on disk or not. Did it die?"""
    world.room, world.room_for_one = append, kept
    try:
        await program(world)
    except* ItDiedError:
        assert world.dead
    return world.dead
