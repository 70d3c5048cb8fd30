"""The checks of a whole workflow: every fault at once, each with its place.

Nothing here runs a step. What can be known before a run is said before it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import attrs

from plait._errors import Fault, WorkflowValidationError
from plait._event import (
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StepFailedEvent,
    StopEvent,
)

from .compile import Steps, Streams
from .signature import Signature, UnresolvedAnnotation, class_place, fault_maker, read
from .step import StepSpec, spec_of


@attrs.frozen
class Graph:
    """The steps of one workflow, with their signatures read."""

    name: str
    steps: Steps
    skip: frozenset[str]

    def accepts(self, spec: StepSpec, signature: Signature, event: type[Event]) -> bool:
        """Say whether a step takes events of this class."""
        if event in signature.accepts:
            return True
        return spec.accept_event_subclasses and issubclass(event, signature.accepts)


def start_and_stop(graph: Graph, cls: type) -> Iterator[Fault]:
    """Check that there is one start class and one stop class. The place is the workflow's class."""
    for text, hint in _start_and_stop(graph, cls):
        yield Fault(text, *class_place(cls), hint=hint)  # parses the file: for a fault only


def _start_and_stop(graph: Graph, cls: type) -> Iterator[tuple[str, str | None]]:
    name = graph.name
    starts = unique(e for _, s in graph.steps for e in s.accepts if issubclass(e, StartEvent))
    stops = unique(e for _, s in graph.steps for e in s.returned_events if issubclass(e, StopEvent))
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
        yield text, method or _no_event(graph)
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
                    return f"Method {name!r} {does} {kind.__name__}: write @step above it"
    return None


def _no_event(graph: Graph) -> str | None:
    """Find a step whose return annotation means something else than its author thought."""
    for spec, signature in graph.steps:
        for hint in (*signature.returns, *signature.lists):
            if not _is_event_class(hint):
                return f"Step {spec.name!r} is annotated to return {hint}, which is no event class"
    return None


def _is_event_class(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, Event)


def graph_faults(graph: Graph) -> Iterator[Fault]:
    """Check that events meet steps, and that steps are reached and lead somewhere."""
    yield from _stop_is_not_accepted(graph)
    yield from _produced_and_consumed(graph)
    yield from _reachability(graph)
    yield from _fan_ins(graph)
    yield from _handlers(graph)
    yield from _wire_names(graph)


def asks_a_human(graph: Graph) -> bool:
    """Say whether the workflow asks for, or takes, an answer from outside."""
    return any(
        issubclass(event, InputRequiredEvent | HumanResponseEvent)
        for _, signature in graph.steps
        for event in (*signature.accepts, *signature.returned_events)
    )


def unique(events: Iterable[type[Event]]) -> list[type[Event]]:
    """Drop what is there already, keeping the order."""
    return [*dict.fromkeys(events)]


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
    produced = unique(event for _, signature in graph.steps for event in signature.returned_events)
    for spec, signature in graph.steps:
        orphans = [
            returned
            for returned in (*signature.returns, *signature.lists)
            if not _is_consumed(graph, returned)
        ]
        if orphans:
            names = dict.fromkeys(getattr(orphan, "__name__", str(orphan)) for orphan in orphans)
            text = "The following events are produced but never consumed: " + ", ".join(names)
            yield _at(spec, text, _cure(graph, orphans[0]))
    for spec, signature in graph.steps:
        wanting = [
            event.__name__
            for event in signature.accepts
            if not issubclass(event, StartEvent | HumanResponseEvent | StopEvent | StepFailedEvent)
            and not any(
                p is event or (spec.accept_event_subclasses and issubclass(p, event))
                for p in produced
            )
        ]
        if wanting:
            text = "The following events are consumed but never produced: " + ", ".join(wanting)
            yield _at(
                spec,
                text,
                f"Who sends {wanting[0]} names it as a return type as well: -> {wanting[0]} | None",
            )


def _cure(graph: Graph, returned: object) -> str:
    """Say what to write for an event that no step takes, or for what is no event at all."""
    if not _is_event_class(returned):
        return "That is no event class. A step that returns several events returns list[E]"
    assert isinstance(returned, type)
    for spec, signature in graph.steps:
        for base in signature.accepts:
            if issubclass(returned, base):
                return (
                    f"Step {spec.name!r} accepts its base {base.__name__}: "
                    "use @step(accept_event_subclasses=True)"
                )
    name = returned.__name__
    return f"Add a step with ev: {name}; or, for the stream, class {name}(Event, observable=True)"


def _is_consumed(graph: Graph, returned: object) -> bool:
    if not (isinstance(returned, type) and issubclass(returned, Event)):
        return False  # `_is_event_class` would not tell type checkers
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
    events = (e for _, s in graph.steps for e in (*s.accepts, *s.returned_events))
    for event in unique(events):
        other = owner.setdefault(event.__plait_name__, event)
        if other is not event:
            a, b = (f"{e.__module__}.{e.__qualname__}" for e in (other, event))
            text = f"Two event classes claim the name {event.__plait_name__!r}: {a} and {b}."
            yield Fault(text, *class_place(event))
