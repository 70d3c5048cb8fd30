"""The kill -9 loop: a process runs a workflow on a file, is killed, and another one takes the run up.

    python -m tests.faults.journal.kill --kills 100000 --seed 7 --jobs 2

Each process is a fork of an interpreter that has everything imported and has never run an event loop.
It writes what its bodies do, and what it is told is on disk, to a log outside of the journal: opened
to append, written before anything else happens, and not lost with the process. When the run has
ended, log and file are read beside each other.

Rule 1: a failure prints the line that tries it again, with the same delays. Where they hit is the
    machine's choice: `--times 50` tries it as often.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import anyio
import attrs

from plait.abc import Entry
from plait.durable import SqliteJournal
from plait.errors import JournalError, UnknownRunError, WorkflowRuntimeError

from .judge import Line, _line, faults_of_bodies
from .programs.company import Answer, Question
from .programs.shop import ORDERS, Shop, is_right
from .witness import Note, Witness

RUN = "shop"
#: One run of four is on the second.
BACKENDS = ("trio", "asyncio")
#: A process is killed when it has written so many bytes to its log, at most, and a moment later; one of
#: so many is killed in the first moments, before it has read the journal or while it does.
FURTHEST = 5_000
EARLY = 8
#: Seconds: the longest moment, and how often one looks.
MOMENT = 0.004
GLANCE = 0.0005
#: After so many kills a run is let finish.
MOST = 40
#: Seconds that no run needs, on a machine however busy.
PATIENCE = 60.0
#: Of a process that has seen the end of the run.
DONE = 0


@attrs.frozen
class Load:
    """What is killed, and what must be true of what is left."""

    #: The module whose `main` it is.
    command: str
    #: What a process does, the life that has this number.
    live: Callable[[Path, int, Log], Awaitable[None]]
    #: Compares the log with the file, counts what the kills have hit, and says what is wrong.
    judge: Callable[[Path, Counter[str]], Iterator[str]]
    #: How much a process has written to its log when it is killed, at most.
    furthest: int = FURTHEST


# ---------------------------------------------------------------- the process that is killed


class Log:
    """A file to which lines are appended, each with one write."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, kind: str, *values: object) -> None:
        """Write a line."""
        os.write(self._file, (json.dumps([kind, *values]) + "\n").encode())


class Watched:
    """A journal that logs what it acknowledges, before anybody else hears of it."""

    def __init__(self, journal: SqliteJournal, log: Log) -> None:
        self._journal = journal
        self._log = log
        #: What the process knows to be on disk, by stream.
        self.known: Counter[str] = Counter()
        #: The questions that have an answer on record.
        self.answered: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def append(
        self, entries: Sequence[Entry], done: Callable[[JournalError | None], object]
    ) -> None:
        def told(error: JournalError | None) -> None:
            if error is None:
                marks = [(entry.stream, entry.n, zlib.crc32(entry.body)) for entry in entries]
                self._log.write("kept", marks)
                self._know(entries)
            done(error)

        self._journal.append(entries, told)

    async def read(self, stream: str, **options: Any) -> Sequence[Entry]:
        entries = await self._journal.read(stream, **options)
        self._know(entries)
        return entries

    def _know(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.known[entry.stream] = entry.n
            if entry.kind == "event.emitted" and b'"yes to ' in entry.body:
                self.answered.add(json.loads(entry.body)["event"]["$"][3]["about"])


async def _live(folder: Path, life: int, log: Log) -> None:
    journal = Watched(SqliteJournal(folder / "runs.db"), log)
    witness = Witness(
        journal.known.__getitem__, lambda note: log.write("note", *attrs.astuple(note))
    )
    witness.life = life
    flow = Shop(witness, 0.001, journal=journal)
    result: Any = UnknownRunError()
    if life % 2:
        result = await _ended(flow.resume(RUN), journal)
    if isinstance(result, UnknownRunError):
        result = await _ended(flow.run(run_id=RUN, count=ORDERS), journal)
    log.write("result", repr(result), is_right(result))


async def _ended(run: Any, journal: Watched) -> Any:
    result = None
    with suppress(UnknownRunError):  # the block raises it again
        async with run, anyio.create_task_group() as humans:
            humans.start_soon(_answer, run, journal)
            try:
                result = await run.result()
            except UnknownRunError as error:
                result = error
    return result


async def _answer(run: Any, journal: Watched) -> None:
    async for event in run.stream_events():
        if isinstance(event, Question) and event.about not in journal.answered:
            await anyio.sleep(0.002)
            with suppress(WorkflowRuntimeError):  # it ends: another time
                run.send_event(Answer(about=event.about, text=f"yes to {event.about}"))


def fork(load: Load, folder: Path, life: int, backend: str) -> int:
    """Start a process that takes the run up. It never returns here."""
    if pid := os.fork():
        return pid
    status = 3
    try:
        log = Log(folder / "log")
        known = {*sys.modules}
        try:
            anyio.run(load.live, folder, life, log, backend=backend)
            log.write("modules", [name for name in [*sys.modules] if name not in known])
            status = DONE
        except BaseException:  # noqa: BLE001 - told to the judge
            log.write("raised", life, traceback.format_exc())
    finally:
        os._exit(status)


def warm_up(load: Load) -> None:
    """Import all that a process will need: one of them says what that is."""
    for backend in BACKENDS:
        folder = Path(tempfile.mkdtemp(prefix="kill-"))
        try:
            os.waitpid(fork(load, folder, 0, backend), 0)
            lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
            for kind, *values in lines:
                if kind == "raised":
                    raise AssertionError(f"it does not work at all:\n{values[1]}")
                for name in values[0] if kind == "modules" else ():
                    with suppress(ImportError):
                        importlib.import_module(name)
        finally:
            shutil.rmtree(folder)
    gc.collect()
    gc.freeze()


# ---------------------------------------------------------------- who kills it


@attrs.define
class Report:
    """What came of one run."""

    number: int
    kills: int = 0
    wrong: list[str] = attrs.field(factory=list)
    seen: Counter[str] = attrs.field(factory=Counter)


def one_run(load: Load, seed: int, number: int) -> Report:
    """Have a run killed again and again until it has ended, and look at what is left."""
    random = Random(f"kill {seed} {number}")
    report = Report(number)
    backend = BACKENDS[number % 4 == 3]
    folder = Path(tempfile.mkdtemp(prefix="kill-", dir=_memory()))
    try:
        for life in range(MOST + 2):
            pid = fork(load, folder, life, backend)
            written = random.randrange(load.furthest) if random.randrange(EARLY) else 0
            moment = random.uniform(0, MOMENT if written else 10 * MOMENT)
            if life == MOST:
                written = sys.maxsize
            status = _waited_for(pid, folder / "log", written, moment)
            if status is None:
                os.kill(pid, signal.SIGKILL)
                _, code = os.waitpid(pid, 0)
                if os.WIFSIGNALED(code):
                    report.kills += 1
                    if life >= MOST:
                        report.wrong.append("it came to no end")
                        break
                    continue
                status = os.waitstatus_to_exitcode(code)
            if status != DONE:
                report.wrong.append(f"a process ended with {status}")
            if life > 0 or status != DONE:
                break  # and once more if it was never killed: then a run that has ended is taken up
        report.wrong += load.judge(folder, report.seen)
    finally:
        shutil.rmtree(folder)
    return report


def _memory() -> str | None:
    """A folder in memory: what survives a process need not survive the machine, and a sync is slow."""
    shared = "/dev/shm"
    return shared if os.access(shared, os.W_OK) else None


def _waited_for(pid: int, log: Path, written: int, moment: float) -> int | None:
    """Wait for a process, but not longer than until it has written so much; its exit code."""
    limit = time.monotonic() + PATIENCE
    first = _size(log)
    while True:
        found, code = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(code)
        if time.monotonic() > limit:
            return None
        if _size(log) - first >= written:
            if moment == 0:
                return None
            time.sleep(moment)
            moment = 0
        else:
            time.sleep(GLANCE)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


# ---------------------------------------------------------------- the verdict


def judge(folder: Path, seen: Counter[str]) -> Iterator[str]:
    """Compare the log with the file, and say what is wrong."""
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    rows: list[tuple[str, int, str, bytes]] = []
    try:
        rows = rows_of(folder / "runs.db")
    except sqlite3.Error as error:
        yield f"the file cannot be read: {error}"
    book: dict[str, list[Line]] = {}
    bodies: dict[tuple[str, int], int] = {}
    for stream, n, kind, body in rows:
        book.setdefault(stream, []).append(_line(n, kind, body))
        bodies[stream, n] = zlib.crc32(body)
    yield from verified(folder / "runs.db")
    for stream, written in book.items():
        if [line.n for line in written] != [*range(1, len(written) + 1)]:
            yield f"{stream} has gaps"
        if written[-1].kind != "run.closed":
            yield f"{stream} has not ended"
    notes: list[Note] = []
    results = []
    for kind, *values in lines:
        if kind == "note":
            notes.append(Note(*values))
        elif kind == "kept":
            for stream, n, crc in values[0]:
                if bodies.get((stream, n)) != crc:
                    yield f"{stream}, entry {n}: acknowledged, and lost"
        elif kind == "result":
            results.append(values)
        elif kind == "raised":
            yield f"life {values[0]} raised {values[1][-700:]}"
    if not results:
        yield "it has no result"
    for text, right in results:
        if not right:
            yield f"it came to {text}"
    yield from faults_of_bodies(notes, book, late={"count"})
    _count(seen, notes, book)


def rows_of(path: Path) -> list[tuple[str, int, str, bytes]]:
    """Read all entries, if the file is sound."""
    connection = sqlite3.connect(path)
    try:
        (said,) = connection.execute("PRAGMA integrity_check").fetchone()
        assert said == "ok", said
        return connection.execute(
            "SELECT stream, n, kind, body FROM record ORDER BY seq"
        ).fetchall()
    finally:
        connection.close()


def verified(path: Path) -> list[str]:
    """Have the journal look at its file itself."""
    asked = SqliteJournal(path).verify()
    try:
        asked.send(None)  # of a closed journal: it waits for nothing
    except StopIteration as said:
        return said.value
    except JournalError as error:
        return [str(error)]
    raise AssertionError("verify() has waited")


def _count(seen: Counter[str], notes: Sequence[Note], book: dict[str, list[Line]]) -> None:
    """Count what shows that the kills have hit something."""
    begun = Counter((note.key, note.attempt) for note in notes if note.what == "begin")
    seen["bodies"] += len(begun)
    seen["bodies that ran again"] += sum(count > 1 for count in begun.values())
    seen["sends not repeated"] += sum(
        line.kind == "event.repeated" for all_ in book.values() for line in all_
    )
    seen["lives"] += 1 + sum(line.kind == "run.reopened" for line in book.get(RUN, ()))
    seen["retries"] += sum(line.kind == "delivery.retrying" for line in book.get(RUN, ()))


# ---------------------------------------------------------------- the command


def _job(
    load: Load, seed: int, job: int, jobs: int, kills: int, out: Callable[[str], object]
) -> int:
    """Do one process' part; how many runs went wrong."""
    number, killed, failed = job, 0, 0
    seen: Counter[str] = Counter()
    while killed < kills:
        report = one_run(load, seed, number)
        killed += report.kills
        seen += report.seen
        seen["runs"] += 1
        seen["kills"] += report.kills
        if report.wrong:
            failed += 1
            out(_line_of(load, seed, report))
            if failed >= 5:
                break
        number += jobs
    out("seen " + json.dumps(seen))
    return failed


def _line_of(load: Load, seed: int, report: Report) -> str:
    said = " ".join(" and ".join(report.wrong[:3]).split())[:600]
    more = f" (and {len(report.wrong) - 1} more)" if len(report.wrong) > 1 else ""
    return (
        f"python -m {load.command} --seed {seed} --only {report.number} --times 50  # {said}{more}"
    )


def main(arguments: Sequence[str], load: Load) -> int:
    """Do what the command line says; 1 if something was lost."""
    parser = argparse.ArgumentParser(f"python -m {load.command}")
    parser.add_argument("--kills", type=int, default=1000, help="how many, at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--only", type=int, help="this run alone")
    parser.add_argument("--times", type=int, default=1, help="how often, with --only")
    told = parser.parse_args(arguments)
    warm_up(load)
    if told.only is not None:
        reports = [one_run(load, told.seed, told.only) for _ in range(told.times)]
        for report in reports:
            print(f"{report.kills} kills", *report.wrong, sep="\n  ")
        return int(any(report.wrong for report in reports))
    began = time.monotonic()
    readers = [
        _start_job(load, told.seed, job, told.jobs, -(-told.kills // told.jobs))
        for job in range(told.jobs)
    ]
    seen: Counter[str] = Counter()
    failed = 0
    for pid, reader in readers:
        with os.fdopen(reader) as lines:
            for line in lines:
                if line.startswith("seen "):
                    seen += Counter(json.loads(line[5:]))
                else:
                    failed += 1
                    print(line, end="", flush=True)
        _, code = os.waitpid(pid, 0)
        failed += code != 0
    print(json.dumps(dict(seen)))
    print(
        f"{seen['kills']} kills in {seen['runs']} runs and {time.monotonic() - began:.0f} s: {failed} failed"
    )
    return int(bool(failed))


def _start_job(load: Load, seed: int, job: int, jobs: int, kills: int) -> tuple[int, int]:
    reader, writer = os.pipe()
    sys.stdout.flush()
    if pid := os.fork():
        os.close(writer)
        return pid, reader
    code = 1
    try:
        os.close(reader)

        def out(text: str) -> None:
            os.write(writer, (text + "\n").encode())

        _job(load, seed, job, jobs, kills, out)
        code = 0
    except BaseException:  # noqa: BLE001 - told
        traceback.print_exc()
    finally:
        os._exit(code)


WORKFLOW = Load("tests.faults.journal.kill", _live, judge)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], WORKFLOW))
