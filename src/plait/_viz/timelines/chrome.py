"""A timeline in the trace format of Chrome: what `chrome://tracing` and Perfetto open.

Each group is a process, each row a thread. A bar is a pair of begin and end; how many wait is a counter;
what led to what is a flow, an arrow from the end of the one to the beginning of the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from plait._viz.executions.execution import Execution

from .timeline import Bar, Row, Timeline, timeline

#: A bar, and the process and thread that it is in.
Place: TypeAlias = tuple[Bar, int, int]

#: Microseconds, which is what times are in there.
MICRO: Final = 1e6
#: The colours that it has names for.
COLOURS: Final = {
    "succeeded": "good",
    "failed": "terrible",
    "cancelled": "grey",
    "interrupted": "bad",
    "open": "vsync_highlight_color",
}


def chrome(execution: Execution) -> str:
    """Write an execution as a trace: JSON, in a text.

    Times are microseconds since the run began. Nothing of the payload of events is in it.
    """
    laid_out = timeline(execution)
    document = {
        "traceEvents": [*_events(execution, laid_out)],
        "displayTimeUnit": "ms",
        "otherData": {
            "run": execution.run_id,
            "name": execution.name,
            "status": execution.status,
            "began": round(execution.epoch, 6),
        },
    }
    return json.dumps(document, ensure_ascii=True, separators=(",", ":"), sort_keys=True) + "\n"


def _events(execution: Execution, laid_out: Timeline) -> Iterator[dict[str, Any]]:
    groups: dict[str, int] = {}
    ran: dict[str, list[Place]] = {}
    for thread, row in enumerate(laid_out.rows, 1):
        if row.group not in groups:
            groups[row.group] = len(groups) + 1
            name = row.group or execution.name or "run"
            yield _named("process_name", groups[row.group], 0, name)
        process = groups[row.group]
        yield _named("thread_name", process, thread, row.name or row.group)
        yield from _counts(row, process, thread)
        for bar in row.bars:
            yield from _pair(bar, process, thread)
            if bar.what == "run":
                ran.setdefault(bar.activity, []).append((bar, process, thread))
    for number, link in enumerate(execution.links(), 1):
        if link.source in ran and link.target in ran:
            yield from _flow(number, ran[link.source], ran[link.target], link.event or link.how)


def _named(what: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": process, "tid": thread, "ts": 0, "args": {"name": name}}


def _time(seconds: float) -> float:
    return round(seconds * MICRO, 3)


def _pair(bar: Bar, process: int, thread: int) -> Iterator[dict[str, Any]]:
    where = {"pid": process, "tid": thread, "name": bar.label, "cat": bar.what}
    more: dict[str, Any] = {"activity": bar.activity, "ending": bar.ending}
    if bar.attempt:
        more["attempt"] = bar.attempt
    if bar.note:
        more["note"] = bar.note
    yield {
        **where,
        "ph": "B",
        "ts": _time(bar.began),
        "cname": COLOURS[bar.ending] if bar.what == "run" else "grey",
        "args": more,
    }
    yield {**where, "ph": "E", "ts": _time(bar.ended)}


def _counts(row: Row, process: int, thread: int) -> Iterator[dict[str, Any]]:
    for at, count in row.depth:
        name = f"{row.group} {row.name}".strip()
        yield {
            "ph": "C",
            "name": name,
            "pid": process,
            "tid": thread,
            "ts": _time(at),
            "args": {row.name: count},
        }


def _flow(
    number: int, sources: list[Place], targets: list[Place], name: str
) -> Iterator[dict[str, Any]]:
    """Lead from the body that was executed last before the other began, to that."""
    target = min(targets, key=_begins)
    before = [place for place in sources if place[0].began <= target[0].began]
    if not before:  # it led to the end of a wait, later on
        return
    source = max(before, key=_begins)
    shared = {"id": number, "name": name, "cat": "cause"}
    # What a body sends while it goes on leads to something before its own end.
    left = min(source[0].ended, target[0].began)
    yield {**shared, "ph": "s", "ts": _time(left), "pid": source[1], "tid": source[2]}
    yield {
        **shared,
        "ph": "f",
        "bp": "e",
        "ts": _time(target[0].began),
        "pid": target[1],
        "tid": target[2],
    }


def _begins(place: Place) -> float:
    return place[0].began
