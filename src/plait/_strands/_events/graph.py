"""The graph of a workflow: its steps, and the events between them, as the annotations draw it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

import attrs

from plait._annotations import UnresolvedAnnotation
from plait._errors import Fault, WorkflowValidationError
from plait._event import Event, HumanResponseEvent, InputRequiredEvent, StartEvent, StopEvent
from plait._journal.known_classes import known_classes

from .signature import Signature
from .state.state_class import choose_state_class
from .step import StepSpec

Steps: TypeAlias = Sequence[tuple[StepSpec, Signature]]


def read_steps(specs: Iterable[StepSpec], workflow: str) -> Steps:
    """Read the signatures of all steps.

    Raises:
        WorkflowValidationError: With every fault of them.
    """
    faults: list[Fault] = []
    read: list[tuple[StepSpec, Signature]] = []
    for spec in specs:
        try:
            read.append((spec, spec.signature()))
        except UnresolvedAnnotation as missing:
            faults += spec.fault(
                f"Step {spec.name!r}: cannot resolve the annotation "
                f"{str(missing.annotation)!r} of {missing.whose}.",
                missing.reason,
            ).faults
        except WorkflowValidationError as error:
            faults += error.faults
    if faults:
        raise WorkflowValidationError(*faults, workflow=workflow)
    return read


@attrs.frozen
class Graph:
    """The steps of one workflow, with their signatures read."""

    name: str
    steps: Steps
    skip: frozenset[str]

    @cached_property
    def accepted(self) -> tuple[type[Event], ...]:
        """The event classes that steps accept."""
        return _unique(e for _, s in self.steps for e in s.accepts)

    @cached_property
    def returned(self) -> tuple[type[Event], ...]:
        """The event classes that steps return."""
        return _unique(e for _, s in self.steps for e in s.returned_events)

    @cached_property
    def events(self) -> tuple[type[Event], ...]:
        """The event classes that steps accept or return, step by step."""
        return _unique(e for _, s in self.steps for e in (*s.accepts, *s.returned_events))

    @cached_property
    def start(self) -> type[StartEvent]:
        """The class of event with which a run begins."""
        return next(event for event in self.accepted if issubclass(event, StartEvent))

    @cached_property
    def state(self) -> type:
        """The class of the state."""
        return choose_state_class(signature.state for _, signature in self.steps)

    @cached_property
    def known(self) -> tuple[type, ...]:
        """The classes of which a stored run may consist."""
        return known_classes([*self.events, self.state])

    @cached_property
    def lends(self) -> bool:
        """Do any steps ask for resources?"""
        return any(signature.resources for _, signature in self.steps)

    @cached_property
    def asks_a_human(self) -> bool:
        """Does the workflow ask for, or take, an answer from outside?"""
        return any(issubclass(e, InputRequiredEvent | HumanResponseEvent) for e in self.events)

    def accepts(self, spec: StepSpec, signature: Signature, event: type[Event]) -> bool:
        """Say whether a step takes events of this class."""
        if event in signature.accepts:
            return True
        return spec.accept_event_subclasses and issubclass(event, signature.accepts)


class Streams:
    """Where the streams of returned lists lead, as far as the annotations tell."""

    def __init__(self, steps: Steps) -> None:
        self._steps = {spec.name: (spec, signature) for spec, signature in steps}
        self._known: dict[str, tuple[str, ...]] = {}

    def takers(self, event: type[Event]) -> Iterator[str]:
        """The steps that take events of this class."""
        for name, (spec, signature) in self._steps.items():
            if event in signature.accepts or (
                spec.accept_event_subclasses
                and not issubclass(event, StopEvent)
                and issubclass(event, signature.accepts)
            ):
                yield name

    def fan_ins(self, opener: str) -> tuple[str, ...]:
        """The fan-ins in which the streams of a step end, in the order of the steps."""
        if opener not in self._known:
            self._known[opener] = ()  # a stream inside itself adds nothing
            found = self._search(opener)
            self._known[opener] = tuple(name for name in self._steps if name in found)
        return self._known[opener]

    def _search(self, opener: str) -> set[str]:
        found: set[str] = set()
        seen: set[str] = set()
        todo = [*self._steps[opener][1].listed_events]
        while todo:
            for name in self.takers(todo.pop()):
                _, signature = self._steps[name]
                if signature.gathers is not None:
                    found.add(name)
                elif name not in seen:
                    seen.add(name)
                    todo += signature.bare_events
                    for inner in self.fan_ins(name):
                        todo += self._steps[inner][1].bare_events
        return found

    def levels(self) -> Mapping[type[Event], set[str | None]]:
        """At which stream levels each class is produced: `None`, or the step that opens it."""
        of_step: dict[str, set[str | None]] = {name: set() for name in self._steps}
        of_event: dict[type[Event], set[str | None]] = {}
        for name, (_, signature) in self._steps.items():
            if any(issubclass(e, StartEvent | HumanResponseEvent) for e in signature.accepts):
                of_step[name].add(None)
        before = -1
        while (now := sum(len(v) for v in (*of_step.values(), *of_event.values()))) != before:
            before = now
            for name, (_, signature) in self._steps.items():
                for event in signature.bare_events:
                    of_event.setdefault(event, set()).update(of_step[name])
                for event in signature.listed_events:
                    of_event.setdefault(event, set()).add(name)
                for fan_in in self.fan_ins(name):
                    of_step[fan_in] |= of_step[name]
            for event, levels in of_event.items():
                for name in self.takers(event):
                    if self._steps[name][1].gathers is None:
                        of_step[name] |= levels
        return of_event


def _unique(events: Iterable[type[Event]]) -> tuple[type[Event], ...]:
    return tuple(dict.fromkeys(events))
