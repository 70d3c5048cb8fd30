"""An execution as a drawing: what led to what. Its arrows are the links of the execution, all and no other."""

from __future__ import annotations

from typing import Final

from plait._viz.drawing import Arrow, Drawing, Node, mark
from plait._viz.executions.execution import Execution
from plait._viz.executions.parts import END, OUTSIDE, Activity, How
from plait._viz.timelines.timeline import said

#: These say less than that an event was handed on: their arrows are dashed.
DASHED: Final[frozenset[How]] = frozenset({"collected", "answer", "failure", "end"})
#: What stands on an arrow, where no event does.
WORDS: Final[dict[How, str]] = {"ready": "", "call": "", "end": "", "collected": "collected"}


def draw_execution(execution: Execution) -> Drawing:
    """Draw what led to what in a run.

    There is a node for each activity, but for events that were given to a body together with others:
    there the senders lead to the one body. One node stands for code outside the run, one for its end.
    """
    links = execution.links()
    arrows = tuple(
        Arrow(link.source, link.target, _on(link.how, link.event), dashed=link.how in DASHED)
        for link in links
    )
    used = {name for link in links for name in (link.source, link.target)}
    nodes = [Node(OUTSIDE, "outside", "outside")] if OUTSIDE in used else []
    nodes += [
        Node(activity.id, activity.label, marks=marks(activity), tone=_tone(activity))
        for activity in execution.activities.values()
        if activity.state != "joined"
    ]
    if END in used:
        nodes.append(Node(END, execution.outcome or execution.status, "stop"))
    title = f"{execution.name or 'run'} {execution.run_id}".strip()
    about = (execution.status, said(execution.now))
    return Drawing(title, tuple(nodes), arrows, about)


def _on(how: How, event: str) -> str:
    word = WORDS.get(how)
    if word is None:
        return event
    return f"{word} {event}".strip() if how == "collected" else event


def _tone(activity: Activity) -> str:
    match activity.state:
        case "failed":
            return "failed"
        case "cancelled" | "dropped" | "skipped":
            return "cancelled"
        case "succeeded" | "reused" | "joined":
            return ""
        case _:
            return "open"


def marks(activity: Activity) -> tuple[str, ...]:
    """Say what there is to know of an activity, in a few words each: how it ended, when, and why."""
    found: list[str] = [activity.state]
    waited = next((pause.began for pause in activity.pauses if pause.kind != "queue"), None)
    began = waited if activity.began is None else activity.began
    if began is not None:
        until = "" if activity.ended is None else f" to {said(activity.ended)}"
        found.append(f"{said(began)}{until}")
    if len(activity.attempts) > 1:
        found.append(f"{len(activity.attempts)} attempts")
    if activity.error is not None:
        found.append(mark(activity.error))
    if activity.reason is not None:
        found.append(activity.reason)
    return tuple(found)
