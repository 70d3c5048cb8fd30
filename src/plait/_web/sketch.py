"""The graph of a run that nobody has a plan of: drawn from what its records say.

A box for each step, call or function that there is a record of; an arrow for what led from one to another,
with how often. So a run of another workflow, of another version, or of a durable function has a graph too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from plait._engine import native
from plait._viz.drawing import Arrow, Drawing, Node, Shape
from plait._viz.executions.execution import Execution
from plait._viz.executions.parts import END, OUTSIDE, Activity, Cause, How

#: Activities that are looked at before other tasks have their turn.
AT_ONCE: Final = 500
#: Labels of one line; what is more is counted.
MOST_LABELS: Final = 4
#: These say less than that an event was handed on.
DASHED: Final[frozenset[How]] = frozenset({"collected", "answer", "failure", "end"})
#: What stands on an arrow of which no event is known.
SILENT: Final[frozenset[How]] = frozenset({"ready", "call", "end"})


async def sketch(execution: Execution) -> Drawing:
    """Draw what led to what in a run, all deliveries of a step as one box. A checkpoint."""
    boxes: dict[str, Node] = {}
    lines: Counter[tuple[str, str, bool, str]] = Counter()
    activities = [*execution.activities.values()]
    ends = [*execution.ends]
    for start in range(0, len(activities), AT_ONCE):
        await native.current().checkpoint()
        _take(execution, activities[start : start + AT_ONCE], boxes, lines)
    for cause in ends:
        lines[_name(execution, cause), END, True, ""] += 1
    await native.current().checkpoint()
    ended_by = {source for source, target, _, _ in lines if target == END}
    around = [Node(OUTSIDE, "outside", "outside")] if _is_used(lines) else []
    last = [Node(END, execution.outcome or execution.status, "stop")] if ended_by else []
    return Drawing(
        execution.name or "run", (*around, *boxes.values(), *last), tuple(_arrows(lines))
    )


def _take(
    execution: Execution,
    activities: Sequence[Activity],
    boxes: dict[str, Node],
    lines: Counter[tuple[str, str, bool, str]],
) -> None:
    for one in activities:
        if one.state == "joined":  # it is a part of what another body was given
            continue
        shape: Shape = "function" if one.kind == "function" else "step"
        boxes.setdefault(one.name, Node(one.name, one.name, shape))
        for cause in one.causes:
            label = "" if cause.how in SILENT else cause.event
            source = _name(execution, cause)
            lines[source, one.name, cause.how in DASHED, label] += 1


def _name(execution: Execution, cause: Cause) -> str:
    """Whose box an arrow comes from."""
    known = execution.activities.get(cause.source)
    return OUTSIDE if known is None else known.name


def _is_used(lines: Counter[tuple[str, str, bool, str]]) -> bool:
    return any(source == OUTSIDE for source, _, _, _ in lines)


def _arrows(lines: Counter[tuple[str, str, bool, str]]) -> Sequence[Arrow]:
    """Make arrows of what was counted: of one line the commonest labels, and how many more there are."""
    together: dict[tuple[str, str, bool], list[tuple[str, int]]] = {}
    for (source, target, dashed, label), count in lines.most_common():
        together.setdefault((source, target, dashed), []).append((label, count))
    found: list[Arrow] = []
    for (source, target, dashed), labels in together.items():
        for label, count in labels[:MOST_LABELS]:
            text = f"{label} ×{count}".strip() if count > 1 else label
            found.append(Arrow(source, target, text, dashed=dashed))
        more = len(labels) - MOST_LABELS
        if more > 0:
            found.append(Arrow(source, target, f"and {more} more", dashed=dashed))
    return found
