"""`plait show`: one run of a journal, step by step and in time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from plait._abc import ENDED, Entry, StreamInfo
from plait._journal.standing import standing

from .exits import WELL, UsageError
from .journals import chosen, entries_of, needed, opened, runs_in
from .kept import KeptStep, counted, steps_of
from .news import took
from .output_file import OutputFile
from .printable import printable
from .results import columns, json_text, one_line, terminal_width
from .runs import about, local, utc

if TYPE_CHECKING:
    from plait._viz.executions.execution import Execution

Format: TypeAlias = Literal["text", "svg", "html", "chrome", "mermaid"]
#: The width of a timeline where there is no terminal.
WIDE = 100


async def show(
    run: str,
    *,
    journal: str | None = None,
    format_: Annotated[Format | None, Parameter(name="--format")] = None,
    output_file: Annotated[str | None, Parameter(name=["--output-file", "-o"])] = None,
    json: Annotated[bool, Parameter(name=["--json", "-j"])] = False,
) -> int:
    """Show one run of a journal: step by step and in time, or as a picture.

    Args:
        run: Its id, the beginning of it, or last.
        journal: The file; by default $PLAIT_JOURNAL.
        format_: svg shows what took how long, mermaid what led to what, html both; chrome is a trace for Perfetto.
        output_file: Write it to this file, and nothing to stdout.
        json: Print it as JSON.
    """
    if json and format_ is not None:
        raise UsageError("--json and --format cannot be used together")
    source = needed(journal)
    async with opened(source) as kept:
        found = chosen(await runs_in(kept), run)
        state = (await standing(source, [found]))[found.stream]
        entries = await entries_of(kept, found)
    if json:
        steps = steps_of(entries)
        document = {
            **about(found, state, counted(steps)),
            "steps": [_document(step) for step in steps],
        }
        written = json_text(document)
    else:
        written = _written(
            found, state, entries, format_ or "text", to_file=output_file is not None
        )
    if output_file is None:
        sys.stdout.write(written)
    else:
        with OutputFile(output_file) as file:
            file.write(written)
    return WELL


def _written(
    run: StreamInfo, state: str, entries: list[Entry], form: Format, *, to_file: bool
) -> str:
    from plait._viz.executions.kept import execution_of

    execution = execution_of(run, entries)
    match form:
        case "text":
            width = None if to_file else terminal_width(sys.stdout)
            return _text(run, state, steps_of(entries), width) + _in_time(execution, width)
        case "svg":
            from plait._viz.timelines.svg import timeline_svg
            from plait._viz.timelines.timeline import timeline

            return timeline_svg(timeline(execution))
        case "html":
            from plait._viz.pictures.page import execution_page

            return execution_page(execution)
        case "mermaid":
            from plait._viz.formats.mermaid import mermaid
            from plait._viz.pictures.causes import draw_execution

            return mermaid(draw_execution(execution))
        case "chrome":
            from plait._viz.timelines.chrome import chrome

            return chrome(execution)


def _in_time(execution: Execution, width: int | None) -> str:
    """Draw the timeline, below an empty line; nothing, if nothing took place in it."""
    from plait._viz.timelines.text import text
    from plait._viz.timelines.timeline import timeline

    drawn = text(
        timeline(execution), width or WIDE, ascii_only=not _has_blocks(sys.stdout.encoding)
    )
    notes = [str(n) for n in execution.unreadable[:10]]
    lost = f"records that could not be read: {', '.join(notes)}\n" if notes else ""
    return (f"\n{drawn}" if drawn else "") + lost


def _has_blocks(encoding: str | None) -> bool:
    """Can what is printed have more signs than ASCII?"""
    try:
        "█▒·…µ".encode(encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True


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


def _text(run: StreamInfo, state: str, steps: list[KeptStep], width: int | None) -> str:
    ended = f", took {took(run.updated - run.created)}" if run.status in ENDED else ""
    head = f"run {run.stream} of {printable(run.target)}: {state}, {local(run.created)}{ended}\n"
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
