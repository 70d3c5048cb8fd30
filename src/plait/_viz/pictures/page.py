"""An execution as a page: when what happened, what led to what, and a table of it all.

One HTML file that opens without a network and asks nobody for anything: see `page`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from plait._viz.drawing import Drawing
from plait._viz.executions.execution import Execution
from plait._viz.executions.parts import Activity
from plait._viz.formats.mermaid import mermaid
from plait._viz.formats.page import document, picture
from plait._viz.formats.svg import text
from plait._viz.timelines.svg import STYLE as TIMELINE
from plait._viz.timelines.svg import timeline_svg
from plait._viz.timelines.timeline import Timeline, said, timeline

from .causes import draw_execution

#: Beside the style of all pages.
STYLE: Final = (
    TIMELINE
    + """
.stage { height: 56vh; } h1 { overflow-wrap: anywhere; } .when { overflow: auto; max-height: 80vh; border-radius: 8px;
  border: 1px solid color-mix(in srgb, CanvasText 25%, transparent); } .when svg { display: block; }
td.number { text-align: right; font-variant-numeric: tabular-nums; } td { overflow-wrap: anywhere; }
summary { cursor: pointer; margin: .4rem 0; } pre { max-height: 40vh; } .legend { font-size: .9rem; opacity: .8; }
"""
)
#: Up to so many nodes are drawn: a graph with more of them says nothing to anybody.
NODES: Final = 300
LEGEND: Final = (
    "A bar is an attempt: green if it succeeded, red with a cross if it failed, grey with a stroke if it "
    "was cancelled or its process ended, blue if it goes on. What is hatched waits; with a dashed edge, "
    "for the time of the next attempt. Point at a bar to read more."
)


def execution_page(execution: Execution, most: int | None = None) -> str:
    """Make a page of an execution; labels are cut at `most` characters."""
    laid_out = timeline(execution)
    return document(laid_out.title, _body(execution, laid_out, most), STYLE)


def _body(execution: Execution, laid_out: Timeline, most: int | None) -> Iterator[str]:
    yield f"<h1>{text(laid_out.title)}</h1>"
    yield f'<p class="said">{text(summary(execution))}</p>'
    yield '<section aria-labelledby="when"><h2 id="when">When what happened</h2>'
    drawn = timeline_svg(laid_out, most=most, styled=False)
    yield f'<div class="when" tabindex="0" role="group" aria-label="Timeline">{drawn}</div>'
    yield f'<p class="legend">{LEGEND}</p></section>'
    yield '<section aria-labelledby="why"><h2 id="why">What led to what</h2>'
    yield from _causes(draw_execution(execution).shortened(most))
    yield '</section><section aria-labelledby="all"><h2 id="all">All that happened</h2>'
    yield from _table(execution)
    yield "</section>"


def summary(execution: Execution) -> str:
    """Tell how a run stands, in one line."""
    known = execution.outcome in {"", execution.status}
    outcome = "" if known else f" ({execution.outcome})"
    counts = Counter(one.state for one in execution.activities.values() if one.state != "joined")
    told = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    waiting = "".join(f"; {one.step} has {one}" for one in execution.buffers.values())
    began = _day(execution.epoch)
    return f"{execution.status}{outcome}, began {began}, {said(execution.now)}: {told}{waiting}"


def _day(epoch: float) -> str:
    try:
        return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # of a year that no calendar here has
        return f"{epoch} s"


def _causes(drawing: Drawing) -> Iterator[str]:
    if len(drawing.nodes) <= NODES:
        yield from picture(drawing, 1)
    else:
        yield f"<p>{len(drawing.nodes)} nodes are too many for a picture; the table has them all.</p>"
    yield "<details><summary>The same as Mermaid, which many sites and editors draw</summary>"
    yield f"<pre>{text(mermaid(drawing))}</pre></details>"


def _table(execution: Execution) -> Iterator[str]:
    heads = (
        "Name",
        "State",
        "Was given",
        "Because of",
        "Queued",
        "Began",
        "Took",
        "Attempts",
        "Why",
    )
    yield '<div class="scroll"><table>'
    yield "<thead><tr>" + "".join(f'<th scope="col">{one}</th>' for one in heads) + "</tr></thead>"
    yield "<tbody>"
    for activity in execution.activities.values():
        if activity.state != "joined":
            yield _row(execution, activity)
    yield "</tbody></table></div>"


def _row(execution: Execution, activity: Activity) -> str:
    known = execution.activities
    sources = dict.fromkeys(
        known[cause.source].label if cause.source in known else cause.source.strip("()")
        for cause in activity.causes
    )
    began, ended = activity.began, activity.ended
    cells = [activity.state, activity.given, ", ".join(sources)]
    numbers = [
        "" if activity.queued is None else said(activity.queued),
        "" if began is None else said(began),
        "" if began is None or ended is None else said(ended - began),
        str(len(activity.attempts)),
    ]
    why = activity.error or activity.reason or ""
    return (
        f'<tr><th scope="row">{text(activity.label)}</th>'
        + "".join(f"<td>{text(cell)}</td>" for cell in cells)
        + "".join(f'<td class="number">{text(cell)}</td>' for cell in numbers)
        + f"<td>{text(why)}</td></tr>"
    )
