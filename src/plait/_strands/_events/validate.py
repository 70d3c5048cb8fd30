"""The checks of a whole workflow: every fault at once, each with its place.

Nothing here runs a step. What can be known before a run is said before it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from plait._annotations import UnresolvedAnnotation
from plait._errors import Fault, WorkflowValidationError
from plait._event import (
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StepFailedEvent,
    StopEvent,
)

from .advice import for_no_stop, for_orphan, for_unmarked
from .annotations import is_event_class
from .graph import Graph, Streams
from .places import class_place, fault_maker
from .signature import Signature, read
from .step import StepSpec, spec_of


def start_and_stop(graph: Graph, cls: type) -> Iterator[Fault]:
    """Check that there is one start class and one stop class. The place is the workflow's class."""
    for text, hint in _start_and_stop(graph, cls):
        yield Fault(text, *class_place(cls), hint=hint)  # parses the file: for a fault only


def _start_and_stop(graph: Graph, cls: type) -> Iterator[tuple[str, str | None]]:
    name = graph.name
    starts = [e for e in graph.accepted if issubclass(e, StartEvent)]
    stops = [e for e in graph.returned if issubclass(e, StopEvent)]
    if not starts:
        text = (
            "At least one Event of type StartEvent must be received by any step. "
            f"(Workflow {name!r} has no @step that accepts StartEvent.)"
        )
        yield text, _forgotten(cls, StartEvent, "takes", lambda signature: signature.accepts)
    if not stops and "terminal_event" not in graph.skip:
        text = (
            "At least one Event of type StopEvent must be returned by any step. "
            f"(Workflow {name!r} has no @step that returns StopEvent.)"
        )
        method = _forgotten(cls, StopEvent, "returns", lambda signature: signature.returned_events)
        returned = ((spec.name, h) for spec, s in graph.steps for h in (*s.returns, *s.lists))
        yield text, method or for_no_stop(returned)
    for kind, found in (("StartEvent", starts), ("StopEvent", stops)):
        if len(found) > 1:
            names = ", ".join(e.__name__ for e in found)
            text = (
                f"Only one type of {kind} is allowed per workflow, found {len(found)}: {names} "
                f"in workflow {name!r}."
            )
            yield text, None


def _forgotten(
    cls: type, kind: type[Event], does: str, events: Callable[[Signature], Iterable[type[Event]]]
) -> str | None:
    """Find the method that would be the step in question, had it the decorator."""
    for name, func in (item for base in cls.__mro__ for item in vars(base).items()):
        if inspect.isfunction(func) and spec_of(func) is None:
            with suppress(WorkflowValidationError, UnresolvedAnnotation):
                if any(issubclass(e, kind) for e in events(read(func, {}, fault_maker(func)))):
                    return for_unmarked(name, does, kind)
    return None


def graph_faults(graph: Graph) -> Iterator[Fault]:
    """Check that events meet steps, and that steps are reached and lead somewhere."""
    yield from _stop_is_not_accepted(graph)
    yield from _produced_and_consumed(graph)
    yield from _reachability(graph)
    yield from _fan_ins(graph)
    yield from _handlers(graph)
    yield from _wire_names(graph)


def _at(spec: StepSpec, text: str, hint: str | None = None) -> Fault:
    return spec.fault(text, hint).faults[0]


def _stop_is_not_accepted(graph: Graph) -> Iterator[Fault]:
    for spec, signature in graph.steps:
        if any(issubclass(event, StopEvent) for event in signature.accepts):
            yield _at(
                spec,
                f"Step {spec.name!r} cannot accept StopEvent. StopEvent signals the end of the "
                "workflow. Use a different Event type instead.",
            )


def _produced_and_consumed(graph: Graph) -> Iterator[Fault]:
    for spec, signature in graph.steps:
        orphans = [
            returned
            for returned in (*signature.returns, *signature.lists)
            if not _is_consumed(graph, returned)
        ]
        if orphans:
            names = dict.fromkeys(getattr(orphan, "__name__", str(orphan)) for orphan in orphans)
            text = "The following events are produced but never consumed: " + ", ".join(names)
            accepted = ((other.name, e) for other, s in graph.steps for e in s.accepts)
            yield _at(spec, text, for_orphan(orphans[0], accepted))
    for spec, signature in graph.steps:
        wanting = [
            event.__name__
            for event in signature.accepts
            if not issubclass(event, StartEvent | HumanResponseEvent | StopEvent | StepFailedEvent)
            and not any(
                p is event or (spec.accept_event_subclasses and issubclass(p, event))
                for p in graph.returned
            )
        ]
        if wanting:
            text = "The following events are consumed but never produced: " + ", ".join(wanting)
            yield _at(
                spec,
                text,
                f"Who sends {wanting[0]} names it as a return type as well: -> {wanting[0]} | None",
            )


def _is_consumed(graph: Graph, returned: object) -> bool:
    if not is_event_class(returned):
        return False
    if issubclass(returned, StopEvent | InputRequiredEvent) or returned.__plait_observable__:
        return True
    return any(graph.accepts(spec, signature, returned) for spec, signature in graph.steps)


def _reachability(graph: Graph) -> Iterator[Fault]:
    after: dict[str, list[str]] = {spec.name: [] for spec, _ in graph.steps}
    before: dict[str, list[str]] = {spec.name: [] for spec, _ in graph.steps}
    entries, exits = list[str](), list[str]()
    for spec, signature in graph.steps:
        if spec.catches is not None or any(
            issubclass(e, StartEvent | HumanResponseEvent) for e in signature.accepts
        ):
            entries.append(spec.name)
        if any(issubclass(e, StopEvent | InputRequiredEvent) for e in signature.returned_events):
            exits.append(spec.name)
        for other, taken in graph.steps:
            if any(graph.accepts(other, taken, event) for event in signature.returned_events):
                after[spec.name].append(other.name)
                before[other.name].append(spec.name)
    reached, leading = _closure(entries, after), _closure(exits, before)
    yield from _unmet(
        graph,
        "reachability",
        lambda spec: spec.name not in reached,
        "Unreachable steps: {}",
        "Steps must be reachable from StartEvent or HumanResponseEvent.",
    )
    yield from _unmet(
        graph,
        "dead_end",
        lambda spec: spec.name not in leading,
        "Dead-end steps: {}",
        "Steps must have a path to StopEvent or InputRequiredEvent.",
    )


def _unmet(
    graph: Graph, check: str, bad: Callable[[StepSpec], bool], text: str, rule: str
) -> Iterator[Fault]:
    if check in graph.skip:
        return
    found = [s for s, _ in graph.steps if bad(s) and check not in s.skip_graph_checks]
    if found:
        names = text.format(", ".join(spec.name for spec in found))
        yield _at(found[0], f"Graph validation failed:\n  - [{check}] {names}\n    {rule}")


def _closure(roots: Iterable[str], edges: Mapping[str, Sequence[str]]) -> set[str]:
    found, todo = set[str](), [*roots]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(edges[name])
    return found


def _fan_ins(graph: Graph) -> Iterator[Fault]:
    streams = Streams(graph.steps)
    fed = {name for spec, _ in graph.steps for name in streams.fan_ins(spec.name)}
    for spec, signature in graph.steps:
        if signature.gathers is not None and spec.name not in fed:
            parameter = signature.inputs[0]
            kinds = " | ".join(event.__name__ for event in parameter.events)
            yield _at(
                spec,
                f"Step {spec.name!r} parameter {parameter.name!r} collects list[{kinds}], but no "
                "returned-list producer creates a stream for those event types.",
            )
    levels = streams.levels()
    for spec, signature in graph.steps:
        if not signature.is_join:
            continue
        found = [levels.get(p.events[0], set()) for p in signature.inputs]
        if all(found) and not found[0].intersection(*found[1:]):
            where = "; ".join(
                f"{p.name!r} ({p.events[0].__name__}) is produced at {_level(at)}"
                for p, at in zip(signature.inputs, found, strict=True)
            )
            yield _at(
                spec,
                f"Step {spec.name!r} joins event parameters that are never produced at a common "
                f"stream level: {where}.",
            )


def _level(levels: set[str | None]) -> str:
    names = sorted(name for name in levels if name is not None)
    return f"the stream of step {names[0]!r}" if names else "the top level"


def _handlers(graph: Graph) -> Iterator[Fault]:
    handlers = {spec.name: spec for spec, _ in graph.steps if spec.catches is not None}
    names = {spec.name for spec, _ in graph.steps}
    for_all = [n for n, s in handlers.items() if s.catches and s.catches.for_steps is None]
    if len(for_all) > 1:
        yield _at(
            handlers[for_all[1]],
            "Only one wildcard @catch_error handler is allowed per workflow, found "
            f"{len(for_all)}: {', '.join(for_all)}",
        )
    claimed: dict[str, str] = {}
    for name, spec in handlers.items():
        for step in (spec.catches and spec.catches.for_steps) or ():
            if step not in names:
                text = f"@catch_error handler {name!r} lists unknown step {step!r} in for_steps."
            elif step in handlers:
                text = f"@catch_error handler {name!r} cannot cover another handler step {step!r}."
            elif claimed.setdefault(step, name) != name:
                text = (
                    f"Step {step!r} is claimed by two @catch_error handlers: "
                    f"{claimed[step]!r} and {name!r}."
                )
            else:
                continue
            yield _at(spec, text)


def _wire_names(graph: Graph) -> Iterator[Fault]:
    owner: dict[str, type[Event]] = {}
    for event in graph.events:
        other = owner.setdefault(event.__plait_name__, event)
        if other is not event:
            a, b = (f"{e.__module__}.{e.__qualname__}" for e in (other, event))
            text = f"Two event classes claim the name {event.__plait_name__!r}: {a} and {b}."
            yield Fault(text, *class_place(event))
