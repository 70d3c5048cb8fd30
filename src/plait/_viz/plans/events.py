"""An event workflow as a drawing: its steps, and the events that go from one to another."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from typing_extensions import TypeIs

from plait._errors import WorkflowConfigurationError
from plait._event import Event, HumanResponseEvent, InputRequiredEvent, StartEvent, StopEvent
from plait._strands._events.collect import Collect, Take
from plait._strands._events.compile import handler_of
from plait._strands._events.graph import Graph, Streams, read_steps
from plait._strands._events.inheritance import steps_of
from plait._strands._events.signature import Signature
from plait._strands._events.step import StepSpec
from plait._strands._events.validate import start_and_stop
from plait._strands._events.workflow import Workflow
from plait._viz.drawing import Arrow, Drawing, Node

from .lent import Lent, lent_in
from .marks import count, retries, seconds
from .source_code import names_in, values_named

#: The names of what is no step. A step's name is an identifier.
START: Final = "(start)"
STOP: Final = "(stop)"
OUTSIDE: Final = "(outside)"

#: A resource, or a handler of failures, that more steps have is written on each: so many arrows say
#: less than a word.
MOST_USERS: Final = 4

AnyWorkflow: TypeAlias = "Workflow[Any] | type[Workflow[Any]]"

#: What the code of a step names, and what that means for the picture.
DOES: Final = {
    "send_event": "sends events",
    "collect_events": "collects events",
    "wait_for_event": "waits for events",
}


def draw_workflow(workflow: AnyWorkflow) -> Drawing:
    """Draw a workflow, or its class: its steps, and an arrow for each way that an event can take.

    Events come from a start, and from outside if a step accepts an answer; they end in a stop, and
    outside if a step returns a question. A dashed arrow is a failure on its way to its handler, or
    leads from a step to a resource that it is lent, or to a workflow that it runs.

    Raises:
        WorkflowValidationError: Its steps cannot be read.
    """
    graph = graph_of(workflow)
    lent = lent_in(graph)
    often = {one.name for one in lent if len(one.users) > MOST_USERS}
    children = {spec.name: [*_children(spec, workflow)] for spec, _ in graph.steps}
    arrows = [*dict.fromkeys(_arrows(graph))]
    handlers = {spec.name: handler_of(spec, graph.steps) for spec, _ in graph.steps}
    handled = Counter(handlers.values())
    common = {name for name, number in handled.items() if number > MOST_USERS}
    arrows += [
        Arrow(name, handler, "StepFailedEvent", dashed=True)
        for name, handler in handlers.items()
        if handler is not None and handler not in common
    ]
    arrows += [
        Arrow(user, one.name, label, dashed=True)
        for one in lent
        for user, label in (*one.users, *one.parts)
        if one.name not in often or (user, label) in one.parts
    ]
    arrows += [
        Arrow(name, _child(other), "runs", dashed=True)
        for name, others in children.items()
        for other in others
    ]
    steps = {spec.name for spec, _ in graph.steps}
    words = {
        name: [f"failures go to {handler}"]
        for name, handler in handlers.items()
        if handler in common
    }
    for one in lent:
        for user, _ in one.users if one.name in often else ():
            words.setdefault(user, []).append(f"uses {one.label}")
    nodes = [
        Node(START, graph.start.__name__, "start"),
        *(
            Node(spec.name, spec.name, "step", (*_marks(spec, s), *words.get(spec.name, ())))
            for spec, s in graph.steps
        ),
        *(Node(one.name, one.label, "resource", _users(one, often)) for one in lent),
        *(Node(name, name[1:-1], "workflow") for name in _all_children(children)),
        Node(OUTSIDE, "outside", "outside", ("a human, another program",)),
        Node(STOP, _stop(graph), "stop"),
    ]
    used = {name for arrow in arrows for name in (arrow.source, arrow.target)}
    kept = tuple(node for node in nodes if node.name in steps | used | often)
    return Drawing(graph.name, kept, tuple(arrows))


def draw_all(workflow: AnyWorkflow) -> list[Drawing]:
    """Draw a workflow, then the workflows that it runs, and those that these run, each once.

    Raises:
        WorkflowValidationError: The steps of one cannot be read.
    """
    me = workflow if isinstance(workflow, type) else type(workflow)
    found: dict[type[Workflow[Any]], None] = {}
    todo: list[AnyWorkflow] = [workflow]
    while todo:
        one = todo.pop(0)
        for spec, _ in graph_of(one).steps:
            for other in _children(spec, one):
                if other not in found and other is not me:
                    found[other] = None
                    todo.append(other)
    return [*map(draw_workflow, (workflow, *found))]


def is_workflow(what: object) -> TypeIs[Workflow[Any]]:
    """Say whether this is a workflow."""
    return isinstance(what, Workflow)


def is_workflow_class(what: object) -> TypeIs[type[Workflow[Any]]]:
    """Say whether this is the class of one."""
    return isinstance(what, type) and issubclass(what, Workflow)


def drawings_of(what: object) -> list[Drawing]:
    """Draw a workflow, or a class of workflows, and those inside it; anything else is nothing."""
    return draw_all(what) if is_workflow(what) or is_workflow_class(what) else []


def _stop(graph: Graph) -> str:
    return next((e.__name__ for e in graph.returned if issubclass(e, StopEvent)), "StopEvent")


def graph_of(workflow: AnyWorkflow) -> Graph:
    """Read the graph of a workflow, or of a class: nothing is made of that.

    Raises:
        WorkflowValidationError: Its steps cannot be read, or it has no start.
    """
    if not is_workflow_class(workflow):
        graph, _ = workflow._compile()
        return graph
    name = workflow.__name__
    graph = Graph(name, read_steps(steps_of(workflow).values(), name), frozenset())
    if faults := [*start_and_stop(graph, workflow)]:
        raise WorkflowConfigurationError(*faults, workflow=name)
    return graph


# ---------------------------------------------------------------- arrows


def _arrows(graph: Graph) -> Iterator[Arrow]:
    streams = Streams(graph.steps)
    for event in graph.accepted:
        if issubclass(event, StartEvent):
            yield from (Arrow(START, name) for name in streams.takers(event))
        elif issubclass(event, HumanResponseEvent):
            label = event.__name__
            yield from (Arrow(OUTSIDE, name, label) for name in streams.takers(event))
    for spec, signature in graph.steps:
        yield from _from_step(streams, spec, signature)


def _from_step(streams: Streams, spec: StepSpec, signature: Signature) -> Iterator[Arrow]:
    for event, label in returned(signature):
        if issubclass(event, StopEvent):
            yield Arrow(spec.name, STOP, label)
            continue
        yield from (Arrow(spec.name, name, label) for name in streams.takers(event))
        if issubclass(event, InputRequiredEvent):
            yield Arrow(spec.name, OUTSIDE, label)


def returned(signature: Signature) -> Iterator[tuple[type[Event], str]]:
    """List the events that a step returns, each with what is written on its arrows."""
    for event in signature.bare_events:
        yield event, event.__name__
    for event in signature.listed_events:
        yield event, f"list[{event.__name__}]"


# ---------------------------------------------------------------- other workflows


def _children(spec: StepSpec, workflow: AnyWorkflow) -> Iterator[type[Workflow[Any]]]:
    """Find the workflows that a step runs, as far as its code names them."""
    if not names_in(spec.func) & {"run_child", "run"}:
        return
    found: dict[type[Workflow[Any]], None] = {}
    for _, value in values_named(spec.func, workflow):
        if is_workflow(value):
            found[type(value)] = None
        elif is_workflow_class(value) and steps_of(value):
            found[value] = None
    yield from found


def _child(other: type[Workflow[Any]]) -> str:
    return f"[{other.__name__}]"


def _all_children(children: dict[str, list[type[Workflow[Any]]]]) -> list[str]:
    return [*dict.fromkeys(_child(other) for others in children.values() for other in others)]


# ---------------------------------------------------------------- marks


def _marks(spec: StepSpec, signature: Signature) -> Iterator[str]:
    yield count(spec.num_workers, "worker")
    yield from _how_it_takes(spec, signature)
    yield from _how_it_gives(spec, signature)
    yield from _limits(spec)


def _how_it_takes(spec: StepSpec, signature: Signature) -> Iterator[str]:
    if spec.catches is not None:
        yield "handles failures"
        if spec.catches.max_recoveries > 1:
            yield f"up to {spec.catches.max_recoveries} times"
    if signature.gathers is not None:
        yield _gathers(signature.gathers)
    if signature.is_join:
        yield "joins " + " + ".join(p.events[0].__name__ for p in signature.inputs)
    if spec.accept_event_subclasses:
        yield "and subclasses"


def _gathers(collect: Collect) -> str:
    match collect.cardinality:
        case Take(n=n, cancel_rest=True):
            return f"collects the first {n}, cancels the rest"
        case Take(n=n):
            return f"collects the first {n}"
        case _:
            return "collects all"


def _how_it_gives(spec: StepSpec, signature: Signature) -> Iterator[str]:
    if signature.returns_list:
        yield "fans out"
    named = names_in(spec.func)
    yield from (words for name, words in DOES.items() if name in named)


def _limits(spec: StepSpec) -> Iterator[str]:
    if spec.retry_policy is not None:
        yield retries(spec.retry_policy)
    if spec.timeout is not None:
        yield f"timeout {seconds(spec.timeout)}"
    if spec.limiter is not None:
        yield "shares a limiter"
    if not inspect.iscoroutinefunction(inspect.unwrap(spec.func)):
        yield "in a thread"


def _users(one: Lent, often: set[str]) -> tuple[str, ...]:
    steps = Counter(user for user, _ in one.users)
    return (*one.marks, *([f"used by {count(len(steps), 'step')}"] if one.name in often else []))
