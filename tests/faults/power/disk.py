"""What a disk has after the power failed: all that was synced, and some of what was not.

Rule 1: a sync tells the truth: what was written to that file before is on the disk. Of what was
    written since, each sector of 512 bytes is there or not, by itself and in no order; of several
    versions of a sector, any.
Rule 2: a file's length is any that it had since the last sync. What was never written reads as zeros.
Rule 3: that a file was made or deleted is on the disk at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final, TypeAlias

import attrs

SECTOR: Final = 512


@attrs.frozen
class Write:
    name: str
    offset: int
    data: bytes


@attrs.frozen
class Truncate:
    name: str
    size: int


@attrs.frozen
class Sync:
    name: str


@attrs.frozen
class Delete:
    name: str


@attrs.frozen
class Told:
    """An append of the journal was acknowledged."""

    number: int


@attrs.frozen
class Pruning:
    """From here on these streams may be gone."""

    streams: tuple[str, ...]


Happening: TypeAlias = Write | Truncate | Sync | Delete | Told | Pruning


class File:
    """A file as the program sees it, and as it is on the disk for sure."""

    def __init__(self, content: bytes = b"") -> None:
        self.seen = bytearray(content)
        self.safe = content
        #: Since the last sync: what each sector was, and how long the file was.
        self._sectors: dict[int, list[bytes]] = {}
        self._sizes: list[int] = []

    def write(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        if len(self.seen) < end:
            self.seen.extend(bytes(end - len(self.seen)))
        self.seen[offset:end] = data
        for sector in range(offset // SECTOR, -(-end // SECTOR)):
            at = sector * SECTOR
            now = bytes(self.seen[at : at + SECTOR]).ljust(SECTOR, b"\0")
            self._sectors.setdefault(sector, []).append(now)
        self._sizes.append(len(self.seen))

    def truncate(self, size: int) -> None:
        del self.seen[size:]
        self.seen.extend(bytes(size - len(self.seen)))
        self._sizes.append(size)

    def sync(self) -> None:
        self.safe = bytes(self.seen)
        self._sectors, self._sizes = {}, []

    def after_a_failure(self, random: Random) -> bytes:
        """Draw what is left of it."""
        share = random.choice((0.5, 0.5, 0.5, 0.1, 0.9, 1.0))
        size = random.choice([len(self.safe), *self._sizes])
        left = bytearray(self.safe[:size].ljust(size, b"\0"))
        for sector, versions in self._sectors.items():
            at = sector * SECTOR
            if at < size and random.random() < share:
                left[at : at + SECTOR] = random.choice((*versions, versions[-1]))[: size - at]
        return bytes(left)


class Disk:
    """Files, up to some moment."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        #: The appends that have been acknowledged, and the streams that may be gone.
        self.told = set[int]()
        self.pruned = set[str]()

    def meet(self, happening: Happening) -> None:
        match happening:
            case Write(name, offset, data):
                self.files.setdefault(name, File()).write(offset, data)
            case Truncate(name, size):
                self.files.setdefault(name, File()).truncate(size)
            case Sync(name):
                self.files.setdefault(name, File()).sync()
            case Delete(name):
                self.files.pop(name, None)
            case Told(number):
                self.told.add(number)
            case Pruning(streams):
                self.pruned.update(streams)

    def after_a_failure(self, random: Random) -> dict[str, bytes]:
        return {name: file.after_a_failure(random) for name, file in self.files.items()}


def failures(trace: Sequence[Happening], moments: Sequence[int]) -> Iterator[Disk]:
    """Give the disk as it is when the power fails after so many happenings; they must rise."""
    disk, done = Disk(), 0
    for moment in moments:
        for happening in trace[done:moment]:
            disk.meet(happening)
        done = moment
        yield disk


def put(image: dict[str, bytes], folder: Path, random: Random) -> None:
    """Write an image to real files."""
    for name, content in image.items():
        (folder / name).write_bytes(content)
    # Shared memory is not for the disk, so anything may be left of it.
    (folder / "journal.db-shm").write_bytes(random.randbytes(32768 * random.randrange(2)))
