"""What must be true of a journal's file, whatever became of the disk."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import TypeAlias

import attrs
import trio

from plait._abc import Entry
from plait._journal.sqlite import SqliteJournal
from plait.errors import JournalError

from .disk import Disk, failures, put
from .load import NAME, QUICK, Mode, TrioBackend, Work, record, reopen

#: What is kept of an entry; and where it is.
Row: TypeAlias = tuple[str, int, str, str | None, bytes]
Found: TypeAlias = Mapping[tuple[str, int], Row]

#: Images of one journal's work.
EACH = 50
#: Of so many images one is opened, and the power fails again.
RELAPSE = 5
#: Happenings after which a file has been laid out.
BEGINNING = 40


@attrs.frozen
class Verdict:
    """What is wrong with an image. `seed` and `image` make it again."""

    seed: int
    image: int
    mode: Mode
    lost: list[str]
    unsound: list[str]

    def __str__(self) -> str:
        again = f"python -m tests.faults.power --seed {self.seed} --image {self.image}"
        again += "" if self.mode == "full" else f" --mode {self.mode}"
        return "\n".join([f"{again}:", *(f"  {text}" for text in (*self.lost, *self.unsound))])


@attrs.define
class Count:
    """What came of many images."""

    images: int = 0
    #: Of those, in how many not all was synced, and how many rows had been acknowledged.
    torn: int = 0
    rows: int = 0
    lost: list[Verdict] = attrs.field(factory=list[Verdict])
    unsound: list[Verdict] = attrs.field(factory=list[Verdict])


def count(images: int, seed: int, mode: Mode = "full", only: int | None = None) -> Count:
    """Make images, and judge each."""
    total = Count()

    async def main() -> None:
        for number in range(-(-images // EACH)):
            work = await record(seed + number, mode)
            await _judge(work, seed + number, mode, min(EACH, images - total.images), total, only)

    trio.run(main)
    return total


async def _judge(
    work: Work, seed: int, mode: Mode, images: int, total: Count, only: int | None
) -> None:
    random = Random(seed)
    ends = (len(work.trace), len(work.trace), len(work.trace), BEGINNING)
    moments = sorted(random.randrange(random.choice(ends) + 1) for _ in range(images))
    for number, disk in enumerate(failures(work.trace, moments)):
        draw = Random(f"{seed}:{number}")
        image = disk.after_a_failure(draw)
        total.images += 1
        if only not in {None, number}:
            continue
        total.torn += any(image[name] != bytes(file.seen) for name, file in disk.files.items())
        total.rows += sum(len(work.appends[told]) for told in disk.told)
        if number % RELAPSE == 0:
            with suppress(JournalError):  # it is reported below
                image = await reopen(image, mode, draw)
        with tempfile.TemporaryDirectory(dir=QUICK) as folder:
            put(image, Path(folder), draw)
            lost, unsound = await _look(Path(folder, NAME), work, disk)
        verdict = Verdict(seed, number, mode, lost, unsound)
        if lost:
            total.lost.append(verdict)
        if unsound:
            total.unsound.append(verdict)


async def _look(path: Path, work: Work, disk: Disk) -> tuple[list[str], list[str]]:
    """Open it as the next process would, and then with nothing but the library."""
    journal = SqliteJournal(path, sync="fast")
    unsound = list[str]()
    try:
        await journal.open(TrioBackend())
        try:
            infos = await journal.streams(limit=10_000)
            one = infos[len(infos) // 2].stream if infos else "none"
            read = [_short(entry) for entry in await journal.read(one, limit=10_000)]
            unsound += await journal.verify()
        finally:
            await journal.aclose()
    except JournalError as error:
        nothing: Found = {}
        return _lost(nothing, work, disk), [f"{type(error).__name__}: {error}"]
    found = dict[tuple[str, int], Row]()
    try:
        with closing(sqlite3.connect(path)) as connection:
            said = connection.execute("PRAGMA integrity_check").fetchall()
            rows = connection.execute("SELECT stream, n, kind, key, body FROM record ORDER BY n")
            found.update({(row[0], row[1]): row for row in rows})
    except sqlite3.Error as error:
        said = [(str(error),)]
    unsound += [f"integrity_check: {text}" for (text,) in said if text != "ok"]
    if read != [row for row in found.values() if row[0] == one]:
        unsound.append(f"the journal reads {one} as {len(read)} entries, and other rows are there")
    return _lost(found, work, disk), [*unsound, *_misplaced(found, work, disk)]


def _short(entry: Entry) -> Row:
    return entry.stream, entry.n, entry.kind, entry.key, entry.body


def _lost(found: Found, work: Work, disk: Disk) -> list[str]:
    """Each row that was acknowledged is there."""
    return [
        f"append {number} was acknowledged, and {one.stream} {one.n} is not there"
        for number in sorted(disk.told)
        for one in work.appends[number]
        if one.stream not in disk.pruned and (one.stream, one.n) not in found
    ]


def _misplaced(found: Found, work: Work, disk: Disk) -> Iterator[str]:
    """What is there was appended, whole appends are there, and those that came before."""
    wanted = {(one.stream, one.n): _short(one) for entries in work.appends for one in entries}
    for place, row in found.items():
        if row != wanted.get(place):
            yield f"{place[0]} {place[1]} is not what was appended"
    missing = None
    for number, entries in enumerate(work.appends):
        kept = [(e.stream, e.n) in found for e in entries if e.stream not in disk.pruned]
        if any(kept) and not all(kept):
            yield f"a part of append {number} is there"
        if any(kept) and missing is not None:
            yield f"append {number} is there, and append {missing} before it is not"
        if kept and not any(kept):
            missing = number
