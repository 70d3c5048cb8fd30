"""An event workflow as a drawing: its steps, and the events that go from one to another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from plait._event import Event, HumanResponseEvent, InputRequiredEvent, StartEvent, StopEvent
from plait._strands._events.graph import Graph, Streams
from plait._strands._events.signature import Signature
from plait._strands._events.step import StepSpec
from plait._strands._events.workflow import Workflow

from .drawing import Arrow, Drawing, Node

#: The names of what is no step. A step's name is an identifier.
START: Final = "(start)"
STOP: Final = "(stop)"
OUTSIDE: Final = "(outside)"


def draw_workflow(workflow: Workflow[Any]) -> Drawing:
    """Draw a workflow: its steps, and an arrow for each way that an event can take.

    Events come from a start, and from outside if a step accepts an answer; they end in a stop, and
    outside if a step returns a question. A dashed arrow is a failure on its way to its handler.
    """
    graph, plan = workflow._compile()
    arrows = [*dict.fromkeys(_arrows(graph))]
    arrows += [
        Arrow(step.name, step.handler, "StepFailedEvent", dashed=True)
        for step in plan.steps
        if step.handler is not None
    ]
    used = {name for arrow in arrows for name in (arrow.source, arrow.target)}
    nodes = [
        Node(START, graph.start.__name__, "start"),
        *(Node(spec.name, spec.name) for spec, _ in graph.steps),
        Node(OUTSIDE, "outside", "outside"),
        Node(STOP, "stop", "stop"),
    ]
    steps = {spec.name for spec, _ in graph.steps}
    kept = tuple(node for node in nodes if node.name in steps | used)
    return Drawing(graph.name, kept, tuple(arrows))


def _arrows(graph: Graph) -> Iterator[Arrow]:
    for event in graph.accepted:
        if issubclass(event, StartEvent):
            yield from (Arrow(START, name) for name in _takers(graph, event))
        elif issubclass(event, HumanResponseEvent):
            label = event.__name__
            yield from (Arrow(OUTSIDE, name, label) for name in _takers(graph, event))
    for spec, signature in graph.steps:
        yield from _from_step(graph, spec, signature)


def _from_step(graph: Graph, spec: StepSpec, signature: Signature) -> Iterator[Arrow]:
    for event in signature.returned_events:
        label = event.__name__
        if issubclass(event, StopEvent):
            yield Arrow(spec.name, STOP, label)
            continue
        yield from (Arrow(spec.name, name, label) for name in _takers(graph, event))
        if issubclass(event, InputRequiredEvent):
            yield Arrow(spec.name, OUTSIDE, label)


def _takers(graph: Graph, event: type[Event]) -> Iterator[str]:
    return Streams(graph.steps).takers(event)
