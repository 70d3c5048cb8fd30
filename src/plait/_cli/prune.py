"""`plait prune`: runs that ended long ago are dropped from a journal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from cyclopts import Parameter

from plait._abc import ENDED, StreamInfo
from plait._engine import native
from plait._engine.desk import using
from plait._journal.retention import ended_families

from .exits import WELL, UsageError
from .journals import needed, opened, shortened
from .messages import tell
from .news import several
from .printable import printable
from .results import columns, terminal_width
from .runs import local

Status = Literal["completed", "failed", "cancelled"]

HEAD: Final = ("id", "target", "state", "started", "ended")


async def prune(
    *,
    older_than: str,
    journal: str | None = None,
    status: Annotated[tuple[Status, ...], Parameter(negative="")] = (),
    app: str | None = None,
    dry_run: bool = False,
) -> int:
    """Drop runs from a journal that ended long ago. What may still go on is never dropped.

    A run goes together with the runs that it started, once all of them have ended.

    Args:
        older_than: How long ago they ended: 30d, 12h, 1h30m, or seconds.
        journal: The file; by default $PLAIT_JOURNAL.
        status: Only those that ended so: completed, failed or cancelled; as often as needed.
        app: Only those of this app of durable functions; "" for event workflows and flows.
        dry_run: List them, and drop nothing.
    """
    kept = needed(journal)
    before = time.time() - age(older_than)
    async with opened(kept):  # to read: a file that is not there must not be made
        over = await ended_families(kept, ended_before=before, app_id=app, status=status or ENDED)
    if dry_run:
        _list(over)
        tell(f"{several(len(over), 'run')} would be dropped")
        return WELL
    async with using(kept, native.current()):
        dropped = await kept.prune(ended_before=before, only=[run.stream for run in over])
    tell(f"{several(dropped, 'run')} dropped")
    return WELL


def _list(over: Sequence[StreamInfo]) -> None:
    """List runs on stdout, parents before their children."""
    short = shortened([*over])
    rows = [
        (
            short[run.stream],
            printable(run.target),
            run.status,
            local(run.created),
            local(run.updated),
        )
        for run in reversed(over)
    ]
    if rows:
        sys.stdout.write(columns([HEAD, *rows], terminal_width(sys.stdout)))


def age(text: str) -> float:
    """Read `--older-than`, in seconds.

    Raises:
        UsageError: It is no duration.
    """
    from plait._strands._flows.durations import DURATION, duration

    found = duration(text)
    if found is None:
        raise UsageError(f"--older-than takes {DURATION}; not {text!r}")
    return found
