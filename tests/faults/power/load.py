"""A journal at work, drawn from a seed, and all that it did to its disk.

The same seed does the same: what is appended together is put together, and nothing more comes until
that is answered. An answer that came later would only be owed less.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Final, Literal, TypeAlias
from unittest import mock

import attrs
import trio

from plait._abc import Entry, Opening, Status
from plait._journal import writer
from plait._journal.sqlite import SqliteJournal
from plait.errors import JournalError

from .disk import Disk, File, Happening, Pruning, Told, put
from .recorder import Recorder, Way, world

Mode: TypeAlias = Literal["full", "fast", "late", "off"]
MODES: Final[tuple[Mode, ...]] = ("full", "fast", "late", "off")
NAME: Final = "journal.db"
#: Files on which nothing is waited for: what survives is drawn, not tried.
QUICK: Final = next((place for place in ("/dev/shm",) if Path(place).is_dir()), None)


@attrs.define
class Work:
    """What was appended, and what happened."""

    appends: list[tuple[Entry, ...]] = attrs.field(factory=list[tuple[Entry, ...]])
    trace: list[Happening] = attrs.field(factory=list[Happening])


async def record(seed: int, mode: Mode) -> Work:
    """Have a journal work, in several lives."""
    random = Random(seed)
    work = Work()
    recorder = Recorder(work.trace)
    try:
        with tempfile.TemporaryDirectory(dir=QUICK) as folder:
            path = Path(folder, NAME)
            hand = _Hand(random, work)
            for _ in range(random.randint(2, 3)):
                journal = SqliteJournal(path, sync="fast" if mode == "fast" else "full")
                way: Way = mode if mode in {"late", "off"} else "right"
                journal._world = world(recorder, way, random.choice((3, 30, 1000)))
                with mock.patch.object(writer, "IDLE", 3600.0):  # by the clock nothing comes again
                    await hand.live(journal)
    finally:
        recorder.unregister()
    return work


async def reopen(image: dict[str, bytes], mode: Mode, random: Random) -> dict[str, bytes]:
    """Open what is left, which mends it, and have the power fail again meanwhile."""
    trace: list[Happening] = []
    recorder = Recorder(trace)
    try:
        with tempfile.TemporaryDirectory(dir=QUICK) as folder:
            put(image, Path(folder), random)
            journal = SqliteJournal(Path(folder, NAME))
            journal._world = world(recorder, "off" if mode == "off" else "right", 1000)
            await journal.open(TrioBackend())
            await journal.aclose()
    finally:
        recorder.unregister()
    disk = Disk()
    for name, content in image.items():
        disk.files[name] = File(content)
    for happening in trace[: random.randrange(len(trace) + 1)]:
        disk.meet(happening)
    return disk.after_a_failure(random)


class TrioBackend:
    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()

    def run_sync_soon(self, fn: Callable[..., object], /, *args: object) -> None:
        self._token.run_sync_soon(fn, *args)

    async def to_thread(self, fn: Callable[..., object], /, *args: object) -> object:
        with trio.CancelScope(shield=True):
            return await trio.to_thread.run_sync(fn, *args)


class _Hand:
    """Appends, waits, prunes, goes away and comes back."""

    def __init__(self, random: Random, work: Work) -> None:
        self._random = random
        self._work = work
        self._last: dict[str, int] = {}
        self._ended = set[str]()
        self._begun = 0

    async def live(self, journal: SqliteJournal) -> None:
        self._untold = 0
        self._news = trio.Event()
        await journal.open(TrioBackend())
        for _ in range(self._random.randint(5, 25)):
            match self._random.choice(
                ("burst", "burst", "one", "one", "one", "big", "prune", "rest")
            ):
                case "burst":
                    with _held(journal):
                        for _ in range(self._random.randint(2, 12)):
                            self._append(journal, self._random.randint(1, 6), 300)
                case "one":
                    self._append(journal, 1, 2_000)
                case "big":
                    self._append(journal, self._random.randint(1, 3), 40_000)
                case "prune":
                    self._work.trace.append(Pruning(tuple(self._ended)))
                    await journal.prune(ended_before=float("inf"))
                case _:
                    await trio.to_thread.run_sync(_rest, journal)
            while self._untold:
                self._news = trio.Event()
                await self._news.wait()
        await journal.aclose()

    def _append(self, journal: SqliteJournal, count: int, size: int) -> None:
        entries = tuple(self._entry(size) for _ in range(count))
        number = len(self._work.appends)
        self._work.appends.append(entries)
        self._untold += 1

        def done(error: JournalError | None) -> None:
            assert error is None, error
            self._work.trace.append(Told(number))
            self._untold -= 1
            self._news.set()

        journal.append(entries, done)

    def _entry(self, size: int) -> Entry:
        going = [name for name in self._last if name not in self._ended]
        if not going or self._random.random() < 0.1:
            self._begun += 1
            name = f"run-{self._begun}"
        else:
            name = self._random.choice(going)
        n = self._last[name] = self._last.get(name, 0) + 1
        status: Status | None = "running" if n == 1 else None
        if n > 1 and self._random.random() < 0.03:
            status = "completed"
            self._ended.add(name)
        body = b'"%s"' % self._random.randbytes(self._random.randrange(size) // 2).hex().encode()
        opening = Opening("", "Flow") if n == 1 else None
        ends = self._random.random() < 0.5
        kind, key = ("step.completed", f"k{n}") if ends else ("note", None)
        return Entry(name, n, kind, 1, float(n), key, body, status, opening)


def _held(journal: SqliteJournal) -> AbstractContextManager[object]:
    """Keep the writer from taking the first of what belongs together."""
    return _writer(journal).inbox._changed


def _rest(journal: SqliteJournal) -> None:
    """Have the writer do what it does when there is nothing to do."""
    _writer(journal).ask(lambda _: _writer(journal)._settle() or 0)


def _writer(journal: SqliteJournal) -> writer.Writer:
    assert journal._opened is not None
    assert journal._opened.writer is not None
    return journal._opened.writer
