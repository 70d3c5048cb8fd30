"""`plait show`: one run of a journal, step by step."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from cyclopts import Parameter

from plait._abc import StreamInfo

from .exits import WELL
from .journals import chosen, entries_of, needed, opened, runs_in
from .kept import KeptStep, counted, steps_of
from .news import took
from .printable import printable
from .results import columns, json_text, one_line, terminal_width
from .runs import ENDED, about, local, utc


async def show(
    run: str,
    *,
    journal: str | None = None,
    json: Annotated[bool, Parameter(name=["--json", "-j"])] = False,
) -> int:
    """Show one run of a journal, step by step.

    Args:
        run: Its id, the beginning of it, or last.
        journal: The file; by default $PLAIT_JOURNAL.
        json: Print it as JSON.
    """
    async with opened(needed(journal)) as kept:
        found = chosen(await runs_in(kept), run)
        steps = steps_of(await entries_of(kept, found))
    if json:
        document = {**about(found, counted(steps)), "steps": [_document(step) for step in steps]}
        print(json_text(document), end="")
    else:
        sys.stdout.write(_text(found, steps, terminal_width(sys.stdout)))
    return WELL


def _document(step: KeptStep) -> dict[str, Any]:
    return {
        "name": step.name,
        "index": step.index,
        "state": step.state,
        "started": utc(step.started),
        "took": step.took,
        "attempts": step.attempts,
        "reused": step.reused,
        "reason": step.reason,
        "error": step.error if step.known is None else step.known,
        "outputs": step.outputs,
    }


def _text(run: StreamInfo, steps: list[KeptStep], width: int | None) -> str:
    ended = f", took {took(run.updated - run.created)}" if run.status in ENDED else ""
    head = (
        f"run {run.stream} of {printable(run.target)}: {run.status}, {local(run.created)}{ended}\n"
    )
    rows = [_row(run, step) for step in steps]
    if not rows:
        return f"{head}no step has begun\n"
    titles = ("step", "state", "start", "took", "attempts", "outputs")
    return head + columns([titles, *rows], width)


def _row(run: StreamInfo, step: KeptStep) -> tuple[str, ...]:
    index = "" if step.index is None else f"[{step.index}]"
    said = "" if step.outputs is None else one_line(step.outputs)
    if step.error is not None and step.state != "succeeded":
        said = printable(step.error)
    return (
        f"{printable(step.name)}{index}",
        "reused" if step.reused else step.state,
        "" if step.started is None else took(max(step.started - run.created, 0.0)),
        "" if step.took is None else took(step.took),
        str(step.attempts),
        said or step.reason or "",
    )
