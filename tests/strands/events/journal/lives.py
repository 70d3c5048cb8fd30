"""Instruments for runs that have several lives: where they are kept, how they are left, and killed.

A test of `everywhere` gets a `home`. It runs four times: in virtual time on a journal in memory, and in
real time on a file, on Trio and on asyncio. What is decided there waits for events, never for a time.
"""

import itertools
from types import SimpleNamespace

import anyio
import attrs
import pytest

from plait._engine import journaled, shell
from plait._journal.memory import MemoryJournal
from plait._journal.sqlite import SqliteJournal
from tests.conftest import MOCK_CLOCK
from tests.journal.backends import here
from tests.parity.clocks import JumpingLoop

#: Unix seconds at the 0 of virtual clocks.
NEW_YEAR = 1_700_000_000.0


class Kept(MemoryJournal):
    """A journal in memory that knows its appends, so that a process can be killed after any of them."""

    def __init__(self, appends=()):
        super().__init__()
        self.appends = [*appends]
        for entries in self.appends:
            for entry in entries:
                self._keep(entry)

    def append(self, entries, done):
        super().append(entries, done)
        if entries:
            self.appends.append([*entries])

    def killed_after(self, number):
        """What is left of it if the process was killed when so many appends were on disk."""
        return Kept(self.appends[:number])

    def tags(self, run_id):
        return [entry.kind for entry in entries_of(self, run_id)]


def entries_of(journal, run_id):
    """All entries of a run of a journal in memory."""
    kept = journal._streams.get(run_id)
    return [] if kept is None else [*kept.entries]


@attrs.define
class Home:
    """Where runs are kept. Each process has a journal object of its own."""

    path: object = None
    _kept: Kept = attrs.field(factory=Kept)

    def journal(self):
        """The journal, as the next process would make it."""
        return self._kept if self.path is None else SqliteJournal(self.path)

    async def entries(self, run_id):
        """What there is of a run, once nobody uses the journal any more."""
        return await self._ask(lambda journal: journal.read(run_id)) or []

    async def tags(self, run_id):
        return [entry.kind for entry in await self.entries(run_id)]

    async def statuses(self):
        streams = await self._ask(lambda journal: journal.streams()) or []
        return {stream.stream: stream.status for stream in streams}

    async def _ask(self, question):
        if self.path is not None and not self.path.exists():
            return None
        journal = self.journal()
        await journal.open(here(), write=False)
        try:
            return [*await question(journal)]
        finally:
            await journal.aclose()


PLACES = {
    "memory-trio": (("trio", MOCK_CLOCK), False),
    "memory-asyncio": (("asyncio", {"loop_factory": JumpingLoop}), False),
    "file-trio": (("trio", {}), True),
    "file-asyncio": (("asyncio", {}), True),
}


def everywhere(test):
    """Run a test on both journals and both backends."""
    values = [(backend, on_file) for backend, on_file in PLACES.values()]
    both = pytest.mark.parametrize(("anyio_backend", "on_file"), values, ids=[*PLACES])
    return pytest.mark.anyio(both(test))


REAL = [("trio", {}), ("asyncio", {})]


def in_real_time(test):
    """Run a test on both backends with the clock on the wall: it waits for files, and for no time."""
    both = pytest.mark.parametrize("anyio_backend", REAL, ids=["trio", "asyncio"])
    return pytest.mark.anyio(both(test))


@pytest.fixture
def home(on_file, tmp_path):
    return Home(tmp_path / "runs.db" if on_file else None)


@pytest.fixture
def wall_clock(monkeypatch):
    """Have the clock on the wall go as the virtual clock of the loop does, and on while nothing runs."""
    wall = SimpleNamespace(ahead=0.0)

    def now():
        return NEW_YEAR + wall.ahead + anyio.current_time()

    for module in (shell, journaled):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=now))
    return wall


class Moment:
    """Something that happens in a body, for which a test waits; made where no loop runs yet."""

    def __init__(self):
        self._event = None
        self.happened = False

    def set(self):
        self.happened = True
        if self._event is not None:
            self._event.set()

    async def wait(self):
        if not self.happened:
            self._event = self._event or anyio.Event()
            await self._event.wait()


async def live_until(moment, run):
    """Own a run until something has happened, and then leave it. The exception is the run's, if any."""
    async with anyio.create_task_group() as tasks:

        async def live():
            await run

        tasks.start_soon(live)
        await (moment() if callable(moment) else moment.wait())
        tasks.cancel_scope.cancel()


async def live_for(seconds, run):
    """Own a run for a time, and then leave it; its result if that came before."""
    with anyio.move_on_after(seconds):
        return await run
    return None


async def until_idle(run):
    """Own a run until it is idle, and then leave it; the events that were on its stream."""
    seen = []
    with anyio.CancelScope() as scope:
        async with run:
            await run.wait_idle()
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    seen += await stream_of(run)
    return seen


async def stream_of(run):
    """All events of the stream of a run that is over."""
    return [event async for event in run.stream_events()]


async def outcome_of(run):
    """What a run comes to: its result, or what it raises."""
    try:
        return await run
    except Exception as error:  # noqa: BLE001 - whatever it is: it is what is asked for
        return error


def fresh(counter=itertools.count()):
    """A name for a run, used nowhere else."""
    return f"run-{next(counter)}"


class Held(Kept):
    """A journal whose answers come when the test wants them."""

    def __init__(self):
        super().__init__()
        self.held = False

    def _tell(self):
        if not self.held:
            super()._tell()

    def hold(self):
        """From now on nothing is acknowledged."""
        self.held = True

    def release(self):
        """Acknowledge all there is."""
        self.held = False
        self._ask(self._backend)
