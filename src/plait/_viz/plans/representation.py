"""`WorkflowGraph`: a workflow as plain data, with its events as nodes."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import attrs

from plait._event import Event, HumanResponseEvent, InputRequiredEvent, StepFailedEvent, StopEvent
from plait._naming import publish
from plait._show import show
from plait._strands._events.compile import handler_of
from plait._strands._events.graph import Graph, Streams
from plait._viz.drawing import Arrow, Drawing, Node, Shape

from .events import OUTSIDE, AnyWorkflow, graph_of, returned
from .lent import lent_in

NodeType: TypeAlias = Literal["step", "event", "external", "resource", "resource_config"]

TYPES: Final[tuple[str, ...]] = get_args(NodeType)
_SHAPES: Final[Mapping[str, Shape]] = {
    "step": "step",
    "event": "event",
    "external": "outside",
    "resource": "resource",
    "resource_config": "resource",
}


@attrs.frozen
class WorkflowGraphNode:
    """A step, an event class, the world outside, or what steps are lent.

    Attributes:
        id: What edges call it.
        label: What people call it.
        type: `"step"`, `"event"`, `"external"`, `"resource"` or `"resource_config"`.
        description: What its docstring says first, if it has one.

    Example:
        >>> WorkflowGraphNode("work", "work", "step").type
        'step'
    """

    id: str
    label: str
    type: NodeType
    description: str | None = None


@attrs.frozen
class WorkflowGraphEdge:
    """From one node to another.

    Attributes:
        source: The id of a node.
        target: The id of a node.
        label: What is to be said of it: of a resource, the name of the parameter; of a returned list
            its class; of edges around a node that was left out, what that node was called.

    Example:
        >>> WorkflowGraphEdge("start", "Part").label is None
        True
    """

    source: str
    target: str
    label: str | None = None


@attrs.frozen
class WorkflowGraph:
    """A workflow as data: what `get_workflow_representation` returns.

    Attributes:
        name: The workflow's.
        nodes: Steps in the order of the class, then events, and what is around them.
        edges: From events to the steps that take them, from steps to the events that they return and
            to what they are lent.
        description: What the class's docstring says first.

    Example:
        >>> graph = WorkflowGraph("Empty", (), ())
        >>> WorkflowGraph.from_dict(graph.to_dict()) == graph
        True
    """

    name: str
    nodes: tuple[WorkflowGraphNode, ...]
    edges: tuple[WorkflowGraphEdge, ...]
    description: str | None = None

    def filter_by_node_type(self, *types: str) -> WorkflowGraph:
        """Leave out all nodes of some types; what they connected is connected.

        Args:
            types: `"event"` leaves edges from step to step, with the events as their labels.

        Raises:
            ValueError: There is no such type.

        Example:
            ```python
            steps_only = graph.filter_by_node_type("event", "resource", "resource_config")
            ```
        """
        for name in types:
            if name not in TYPES:
                known = ", ".join(map(repr, TYPES))
                raise ValueError(f"There is no node type {show(name, 40)}. The types are {known}")
        edges = self.edges
        for node in self.nodes:
            if node.type in types:
                edges = tuple(dict.fromkeys(_without(node, edges)))
        nodes = tuple(node for node in self.nodes if node.type not in types)
        return attrs.evolve(self, nodes=nodes, edges=edges)

    def to_dict(self) -> dict[str, Any]:
        """Make dicts and lists of it, which JSON has as well."""
        return {
            "name": self.name,
            "nodes": [attrs.asdict(node) for node in self.nodes],
            "edges": [attrs.asdict(edge) for edge in self.edges],
            "description": self.description,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WorkflowGraph:
        """Read what `to_dict` has made.

        Raises:
            ValueError: It is something else: the text says where.
        """
        name = _text(data, "name", "graph")
        nodes = tuple(_node(one) for one in _listed(data, "nodes"))
        edges = tuple(_edge(one) for one in _listed(data, "edges"))
        known = {node.id for node in nodes}
        if len(known) < len(nodes):
            raise ValueError("graph: two nodes have one id")
        for edge in edges:
            for end in (edge.source, edge.target):
                if end not in known:
                    raise ValueError(f"graph: an edge leads to or from {end!r}, which is no node")
        return cls(name, nodes, edges, _maybe(data, "description", "graph"))

    def _drawing(self) -> Drawing:
        """Make a drawing of it, with the events as nodes."""
        nodes = tuple(Node(one.id, one.label, _SHAPES[one.type]) for one in self.nodes)
        lent = {one.id for one in self.nodes if one.type in ("resource", "resource_config")}
        arrows = tuple(
            Arrow(edge.source, edge.target, edge.label or "", dashed=edge.target in lent)
            for edge in self.edges
        )
        return Drawing(self.name, nodes, arrows)


def get_workflow_representation(workflow: AnyWorkflow) -> WorkflowGraph:
    """Describe a workflow, or its class, as data. Nothing runs; not a checkpoint.

    Args:
        workflow: An object or a class.

    Raises:
        WorkflowValidationError: Its steps cannot be read.

    Example:
        ```python
        graph = get_workflow_representation(Flow)
        print([node.id for node in graph.nodes if node.type == "step"])
        ```
    """
    graph = graph_of(workflow)
    ids = _Ids(graph)
    lent = lent_in(graph)
    asks = any(issubclass(e, InputRequiredEvent | HumanResponseEvent) for e in graph.events)
    nodes = [
        *(
            WorkflowGraphNode(spec.name, spec.name, "step", _first_line(spec.func))
            for spec, _ in graph.steps
        ),
        *(
            WorkflowGraphNode(ids[event], event.__name__, "event", _first_line(event))
            for event in graph.events
        ),
        *([WorkflowGraphNode(OUTSIDE, "outside", "external")] if asks else []),
        *(WorkflowGraphNode(one.name, one.label, one.kind, one.description) for one in lent),
    ]
    edges = [
        *_edges(graph, ids),
        *(
            WorkflowGraphEdge(user, one.name, label)
            for one in lent
            for user, label in (*one.users, *one.parts)
        ),
    ]
    cls = workflow if isinstance(workflow, type) else type(workflow)
    return WorkflowGraph(graph.name, tuple(nodes), tuple(dict.fromkeys(edges)), _first_line(cls))


class _Ids(dict[type[Event], str]):
    """The ids of event classes: their names, or, where that is taken, the longer ones."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        taken = {spec.name for spec, _ in graph.steps}
        for event in graph.events:
            name = event.__name__ if event.__name__ not in taken else event.__plait_name__
            while name in taken:  # a step may be called anything
                name += "'"
            taken.add(name)
            self[event] = name


def _edges(graph: Graph, ids: _Ids) -> Iterator[WorkflowGraphEdge]:
    streams = Streams(graph.steps)
    for event in graph.events:
        if not issubclass(event, StopEvent):
            for taker in streams.takers(event):
                yield WorkflowGraphEdge(ids[event], taker)
        if issubclass(event, InputRequiredEvent):
            yield WorkflowGraphEdge(ids[event], OUTSIDE)
        if issubclass(event, HumanResponseEvent):
            yield WorkflowGraphEdge(OUTSIDE, ids[event])
    for spec, signature in graph.steps:
        for event, label in returned(signature):
            listed = None if label == event.__name__ else label
            yield WorkflowGraphEdge(spec.name, ids[event], listed)
        if handler_of(spec, graph.steps) is not None:
            yield WorkflowGraphEdge(spec.name, ids[StepFailedEvent])


def _first_line(thing: object) -> str | None:
    """The first line of a docstring of its own; one that is inherited describes something else."""
    own: object = getattr(thing, "__dict__", {}).get("__doc__", None)
    text = own if isinstance(thing, type) else getattr(thing, "__doc__", None)
    return inspect.cleandoc(text).partition("\n")[0] or None if isinstance(text, str) else None


def _without(
    node: WorkflowGraphNode, edges: Iterable[WorkflowGraphEdge]
) -> Iterator[WorkflowGraphEdge]:
    """Lead edges past a node."""
    every = [*edges]
    after = [edge for edge in every if edge.source == node.id and edge.target != node.id]
    for edge in every:
        if node.id not in (edge.source, edge.target):
            yield edge
        elif edge.source != node.id:
            first = edge.label or (node.label if node.type == "event" else None)
            yield from (
                WorkflowGraphEdge(edge.source, one.target, first or one.label) for one in after
            )


# ---------------------------------------------------------------- reading


def _listed(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    given: object = data.get(key)
    items = [*cast("list[object]", given)] if isinstance(given, list | tuple) else [None]
    if not all(isinstance(one, Mapping) for one in items):
        raise ValueError(
            f"graph: {key!r} must be a list of mappings, not {show(data.get(key), 60)}"
        )
    return [*cast("list[Mapping[str, Any]]", items)]


def _node(data: Mapping[str, Any]) -> WorkflowGraphNode:
    kind = _text(data, "type", "node")
    if kind not in TYPES:
        raise ValueError(f"node: there is no type {kind!r}. The types are {', '.join(TYPES)}")
    return WorkflowGraphNode(
        _text(data, "id", "node"),
        _text(data, "label", "node"),
        cast("NodeType", kind),
        _maybe(data, "description", "node"),
    )


def _edge(data: Mapping[str, Any]) -> WorkflowGraphEdge:
    source, target = _text(data, "source", "edge"), _text(data, "target", "edge")
    return WorkflowGraphEdge(source, target, _maybe(data, "label", "edge"))


def _text(data: Mapping[str, Any], key: str, where: str) -> str:
    given = data.get(key)
    if not isinstance(given, str):
        raise ValueError(  # noqa: TRY004 - it is a value of what was read
            f"{where}: {key!r} must be a text, not {show(given, 60)}"
        )
    return given


def _maybe(data: Mapping[str, Any], key: str, where: str) -> str | None:
    return None if data.get(key) is None else _text(data, key, where)


publish("plait.viz", WorkflowGraph, WorkflowGraphEdge, WorkflowGraphNode)
