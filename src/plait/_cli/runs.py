"""`plait runs`: which runs a journal has."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from plait._abc import ENDED, StreamInfo
from plait._journal.standing import standing

from .exits import WELL
from .journals import entries_of, needed, opened, runs_in, shortened
from .kept import counted, steps_of
from .news import took
from .printable import printable
from .results import columns, json_text, terminal_width


async def runs(
    *,
    journal: str | None = None,
    json: Annotated[bool, Parameter(name=["--json", "-j"])] = False,
) -> int:
    """List the runs of a journal, the newest first.

    Args:
        journal: The file; by default $PLAIT_JOURNAL.
        json: Print them as JSON.
    """
    file = needed(journal)
    async with opened(file) as kept:
        found = await runs_in(kept)
        stands = await standing(file, found)
        listed = [(run, counted(steps_of(await entries_of(kept, run)))) for run in found]
    if json:
        print(json_text([about(run, stands[run.stream], steps) for run, steps in listed]), end="")
        return WELL
    short = shortened(found)
    rows = [
        (
            short[run.stream],
            printable(run.target),
            stands[run.stream],
            local(run.created),
            "" if run.status not in ENDED else took(run.updated - run.created),
            ", ".join(f"{number} {state}" for state, number in steps.items()),
        )
        for run, steps in listed
    ]
    head = ("id", "target", "state", "started", "took", "steps")
    sys.stdout.write(columns([head, *rows], terminal_width(sys.stdout)))
    return WELL


def about(run: StreamInfo, state: str, steps: dict[str, int]) -> dict[str, Any]:
    """Say about a run what can be said in JSON."""
    return {
        "id": run.stream,
        "target": run.target,
        "state": state,
        "started": utc(run.created),
        "took": run.updated - run.created if run.status in ENDED else None,
        "parent": run.parent,
        "steps": steps,
    }


def utc(at: float | None) -> str | None:
    """Write a time for machines: of the day in Greenwich, to the millisecond."""
    if at is None:
        return None
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def local(at: float) -> str:
    """Write a time for people: of the day where they are."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
