"""What a process owns beside memory, before a test and after it."""

from __future__ import annotations

import os
import re
import threading
import time
from itertools import chain
from pathlib import Path

import attrs

# Trio keeps threads for ten seconds in case there is more to do. While one works it is called after its job.
IDLE = re.compile(r"Trio thread \d+")
# What is on its way out may take this long: AnyIO tells its threads to stop, but does not wait for them.
PATIENCE = 2.0
FOLDERS = [folder for folder in (Path("/proc/self/fd"), Path("/dev/fd")) if folder.is_dir()][:1]


@attrs.frozen
class Belongings:
    threads: frozenset[threading.Thread]
    children: frozenset[str]
    #: Number, device and file: the same number may be another file.
    descriptors: frozenset[tuple[int, int, int]]

    @classmethod
    def now(cls) -> Belongings:
        threads = (t for t in threading.enumerate() if not IDLE.fullmatch(t.name))
        return cls(frozenset(threads), children(), descriptors())

    def left_behind(self, patience: float = PATIENCE) -> list[str]:
        """Say what is there now that was not there before, once it had time to go."""
        limit = time.monotonic() + patience
        while True:
            now = Belongings.now()
            threads = now.threads - self.threads
            processes = now.children - self.children
            files = now.descriptors - self.descriptors
            if not (threads or processes or files):
                return []
            if time.monotonic() > limit:
                return [
                    *(f"thread {thread.name!r}" for thread in threads),
                    *(f"child process {pid}" for pid in processes),
                    *(f"descriptor {number} ({target(number)})" for number, _, _ in sorted(files)),
                ]
            time.sleep(0.001)


def children() -> frozenset[str]:
    if not hasattr(os, "waitid"):  # macOS before Python 3.13, Windows
        return frozenset()
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return frozenset()  # the usual case, and the cheap one
    lists = (path.read_text().split() for path in Path("/proc/self/task").glob("*/children"))
    return frozenset(chain.from_iterable(lists)) or frozenset({"unknown"})


def descriptors() -> frozenset[tuple[int, int, int]]:
    found = set()
    for number in [int(entry.name) for folder in FOLDERS for entry in folder.iterdir()]:
        try:
            stat = os.fstat(number)
        except OSError:  # the folder's own, open while it was read
            continue
        found.add((number, stat.st_dev, stat.st_ino))
    return frozenset(found)


def target(number: int) -> str:
    try:
        return str((FOLDERS[0] / str(number)).readlink())
    except OSError:
        return "gone by now"
