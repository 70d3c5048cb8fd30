"""What a step's annotations say: which events it takes, which it returns, what else it is given.

Parameters are known by their annotation, in any order. Annotations may be strings, and may name
classes of an enclosing function: those names are kept when the step is defined, and what cannot be
resolved then is tried again when the workflow is used.
"""

from __future__ import annotations

import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterator,
    Mapping,
)
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args, get_origin

import attrs

from plait._annotations import NOT_GIVEN, members_of, resolve
from plait._event import Event

from .advice import for_no_event, for_parameter, said
from .annotations import event_classes, events_of, without_arguments
from .collect import All, Cardinality, Collect, Take
from .context import Context
from .places import FaultMaker, is_method
from .resources.marker import Marker, find

Role: TypeAlias = Literal["context", "event", "list", "resource"]


@attrs.frozen
class Parameter:
    """A parameter that plait fills."""

    name: str
    role: Role
    #: The event classes that it takes.
    events: tuple[type[Event], ...] = ()
    collect: Collect | None = None
    #: What is asked for, and the type that it is asked for as.
    resource: Marker | None = None
    hint: object = None


@attrs.frozen
class Signature:
    """One step's signature, read."""

    parameters: tuple[Parameter, ...]
    #: What it returns, `None` and lists left out. What is no event class is kept: it is a fault.
    returns: tuple[object, ...]
    #: What the lists that it returns may hold.
    lists: tuple[object, ...]
    returns_list: bool
    #: May every parameter be passed by position?
    positional: bool
    #: The class of `Context[State]`.
    state: type | None

    @property
    def inputs(self) -> tuple[Parameter, ...]:
        """The parameters that take events."""
        return tuple(p for p in self.parameters if p.role in ("event", "list"))

    @property
    def accepts(self) -> tuple[type[Event], ...]:
        """Every event class that the step takes."""
        return tuple(dict.fromkeys(event for p in self.inputs for event in p.events))

    @property
    def is_join(self) -> bool:
        """Does it take one event of each of several parameters?"""
        return len(self.inputs) > 1

    @property
    def gathers(self) -> Collect | None:
        """How its `list[E]` is filled, if it has one."""
        first = self.inputs[0]
        return (first.collect or Collect()) if first.role == "list" else None

    @property
    def resources(self) -> tuple[Parameter, ...]:
        """The parameters that take resources."""
        return tuple(p for p in self.parameters if p.role == "resource")

    @property
    def returned_events(self) -> tuple[type[Event], ...]:
        """The event classes that it returns, bare or in a list."""
        return (*self.bare_events, *self.listed_events)

    @property
    def bare_events(self) -> tuple[type[Event], ...]:
        """The event classes that it returns by themselves."""
        return event_classes(self.returns)

    @property
    def listed_events(self) -> tuple[type[Event], ...]:
        """The event classes that it returns in a list."""
        return event_classes(self.lists)


_BY_POSITION: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)
_NAMED: Final = (*_BY_POSITION, inspect.Parameter.KEYWORD_ONLY)
_ASYNC_ITERATORS: Final = (AsyncIterator, AsyncIterable, AsyncGenerator)


def read(func: Callable[..., Any], names: Mapping[str, Any], fault: FaultMaker) -> Signature:
    """Read a step's signature.

    Raises:
        WorkflowValidationError: It cannot be a step.
        UnresolvedAnnotation: A name in an annotation does not exist (yet).
    """
    signature = inspect.signature(func)
    given = [*signature.parameters.values()]
    if is_method(func):
        given = given[1:]
    _refuse_generators(func, signature, names, fault)
    filled: list[Parameter] = []
    state: type | None = None
    for parameter in given:
        hint = resolve(func, parameter.name, parameter.annotation, names)
        read_as = _parameter(parameter.name, hint, fault)
        if read_as is not None:
            filled.append(read_as)
            if read_as.role == "context" and get_args(hint):
                state = get_args(hint)[0]
        elif parameter.default is NOT_GIVEN and parameter.kind in _NAMED:
            if hint is NOT_GIVEN and len(given) == 1:
                break
            raise fault(
                f"Step {func.__name__!r} has a parameter {parameter.name!r} that is neither "
                "a Context, an Event nor a resource, and has no default.",
                for_parameter(parameter.name, hint),
            )
    if not any(parameter.role in ("event", "list") for parameter in filled):
        raise fault(
            "Step signature must have at least one parameter annotated as type Event",
            for_no_event(func, signature),
        )
    _check_parameters(func.__name__, filled, fault)
    if signature.return_annotation is NOT_GIVEN:
        raise fault(
            "Return types of workflows step functions must be annotated with their type.",
            "Write -> E, with E the class of the event that it returns; -> None if it returns none",
        )
    members = members_of(resolve(func, "return", signature.return_annotation, names))
    for member in members:
        if isinstance(member, Event):
            raise fault(
                f"Step {func.__name__!r} names an event as its return type, not a class.",
                f"Write -> {type(member).__name__}",
            )
    listed = [member for member in members if get_origin(member) is list]
    positional = [p.name for p in given if p.kind in _BY_POSITION][: len(filled)]
    return Signature(
        parameters=tuple(filled),
        returns=tuple(
            without_arguments(m)
            for m in members
            if m not in (None, type(None)) and get_origin(m) is not list
        ),
        lists=tuple(
            without_arguments(part)
            for hint in listed
            for arg in get_args(hint)
            for part in members_of(arg)
        ),
        returns_list=bool(listed),
        positional=positional == [parameter.name for parameter in filled],
        state=state,
    )


def _parameter(name: str, hint: Any, fault: FaultMaker) -> Parameter | None:
    """Say what a parameter is for; `None` if it is none of ours."""
    extras: tuple[object, ...] = ()
    bare = hint
    if get_origin(hint) is Annotated:
        bare, *rest = get_args(hint)
        extras = tuple(rest)
    marker = find(hint)
    if marker is not None:
        return Parameter(name, "resource", resource=marker, hint=bare)
    if (get_origin(bare) or bare) is Context:
        return Parameter(name, "context")
    collect = next((extra for extra in extras if isinstance(extra, Collect)), None)
    for extra in extras:
        if isinstance(extra, Cardinality) or any(extra is each for each in (Collect, All, Take)):
            inner = "" if extra is Collect else extra if isinstance(extra, Cardinality) else "..."
            raise fault(
                f"Parameter {name!r} is annotated with {said(extra)}, which is no Collect marker.",
                f"Write Annotated[list[E], Collect({inner})]",
            )
    if collect is not None and not isinstance(collect.cardinality, All | Take):
        raise fault(f"Collect cardinality on {name!r} must be All() or Take(n).")
    if get_origin(bare) is list and get_args(bare) and (events := events_of(get_args(bare)[0])):
        return Parameter(name, "list", events, collect)
    if collect is not None:
        raise fault(
            f"Parameter {name!r} carries a Collect marker but is not annotated as list[E] "
            "of an Event subclass."
        )
    if events := events_of(bare):
        return Parameter(name, "event", events)
    return None


def _check_parameters(step: str, filled: list[Parameter], fault: FaultMaker) -> None:
    contexts = [p for p in filled if p.role == "context"]
    events = [p for p in filled if p.role == "event"]
    lists = [p for p in filled if p.role == "list"]
    if len(contexts) > 1:
        raise fault(f"Step {step!r} has more than one Context parameter.")
    if len(lists) > 1:
        raise fault(
            "A step may declare at most one list[E] collection parameter, but found both "
            f"{lists[0].name!r} and {lists[1].name!r}."
        )
    if lists and events:
        raise fault(
            "A list[E] collection parameter cannot be combined with other event parameters."
        )
    if len(events) > 1:
        for parameter in events:
            if len(parameter.events) > 1:
                raise fault(
                    "Collect-mode steps (more than one event parameter) require each event "
                    f"parameter to declare a single event type, but parameter {parameter.name!r} "
                    f"declares {len(parameter.events)}."
                )


def _refuse_generators(
    func: Callable[..., Any],
    signature: inspect.Signature,
    names: Mapping[str, Any],
    fault: FaultMaker,
) -> None:
    returned: Any = None
    if signature.return_annotation is not NOT_GIVEN:
        returned = get_origin(resolve(func, "return", signature.return_annotation, names))
    hint = "Return a list: -> list[E]"
    if inspect.isasyncgenfunction(func) or returned in _ASYNC_ITERATORS:
        raise fault(
            "Async-iterator fan-out (AsyncIterator[E] / AsyncGenerator[E, None] / "
            "async generator steps) is not supported.",
            hint,
        )
    if inspect.isgeneratorfunction(func) or returned in (Iterator, Generator):
        raise fault(f"Step {func.__name__!r} is a generator.", hint)
