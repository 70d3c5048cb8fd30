"""The journal that a command line means, and the runs in it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from plait._abc import Entry, Journal, StreamInfo
from plait._engine import native
from plait._engine.desk import reading

from .exits import UsageError
from .printable import printable

if TYPE_CHECKING:
    from plait._journal.sqlite import SqliteJournal

#: Streams, and entries, that are read at once.
PAGE = 1000
#: How much of a run's id is shown, at least.
SHORT = 6
#: What stands for the newest run.
LAST = "last"


def journal_path(given: str | None) -> str | None:
    """The path of the journal: as it is given, else `$PLAIT_JOURNAL`, else none."""
    return given or os.environ.get("PLAIT_JOURNAL") or None


def journal_at(path: str) -> SqliteJournal:
    """Make the journal in a file."""
    from plait._journal.sqlite import SqliteJournal

    return SqliteJournal(path)


def needed(given: str | None) -> SqliteJournal:
    """The journal that is to be read.

    Raises:
        UsageError: None is named.
    """
    path = journal_path(given)
    if path is None:
        raise UsageError("no journal: use --journal FILE or set PLAIT_JOURNAL")
    return journal_at(path)


@asynccontextmanager
async def opened(journal: Journal) -> AsyncGenerator[Journal]:
    """Have a journal open to read it. A checkpoint; raises `JournalError`."""
    async with reading(journal, native.current()):
        yield journal


async def runs_in(journal: Journal) -> list[StreamInfo]:
    """List the runs of a journal that is open, the newest first. A checkpoint."""
    found: list[StreamInfo] = []
    after = ""
    while page := await journal.streams(after=after, limit=PAGE):
        found += [one for one in page if not one.stream.startswith("app/")]
        after = page[-1].stream
    found.sort(key=lambda one: (one.created, one.stream), reverse=True)
    return found  # noqa: ASYNC910 - it has read


async def entries_of(journal: Journal, info: StreamInfo) -> list[Entry]:
    """Read the entries of a run, up to where it stood when it was listed. A checkpoint."""
    found: list[Entry] = []
    while page := await journal.read(info.stream, after=len(found), limit=PAGE):
        found += page
        if len(found) >= info.last_n:
            break
    return found  # noqa: ASYNC910 - it has read


def chosen(runs: list[StreamInfo], wanted: str) -> StreamInfo:
    """Find the run that is meant: by its id, the beginning of it, or as the last one.

    Args:
        runs: Those to choose from, the newest first.
        wanted: As it was typed.

    Raises:
        UsageError: There is none, or several begin so.
    """
    if wanted == LAST:
        if not runs:
            raise UsageError("no run is there yet")
        return next((run for run in runs if run.parent is None), runs[0])
    exact = [run for run in runs if run.stream == wanted]
    found = exact or [run for run in runs if run.stream.startswith(wanted)]
    if not found:
        raise UsageError(f"no run {printable(wanted)!r} is there; type: plait runs")
    if len(found) > 1:
        names = ", ".join(run.stream for run in found[:5])
        raise UsageError(f"{len(found)} runs begin with {printable(wanted)!r}: {names}")
    return found[0]


def shortened(runs: list[StreamInfo]) -> dict[str, str]:
    """Cut the ids of runs as short as they can be told apart, and to six characters at least."""
    names = sorted(run.stream for run in runs)
    short: dict[str, str] = {}
    for before, name, after in zip(["", *names], names, [*names[1:], ""], strict=False):
        common = max(_common(name, before), _common(name, after))
        short[name] = name[: max(SHORT, common + 1)]
    return short


def _common(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
