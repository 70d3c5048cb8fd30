"""What to write instead: the last words of an error. Words alone: nothing here is refused."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Annotated, Any, Final, Union, get_args, get_origin

from plait._annotations import NOT_GIVEN, members_of
from plait._event import Event

from .annotations import event_classes, events_of, is_event_class
from .places import is_method
from .resources.marker import Resource, ResourceConfig

#: What may be written where `list[E]` is meant.
_CONTAINERS: Final = (list, tuple, set, frozenset, Sequence, Iterable, Collection)


# ---------------------------------------------------------------- values


def was(value: object) -> str:
    """Say what was given instead of what is needed."""
    seconds: object = getattr(value, "total_seconds", None)
    if callable(seconds):  # a `timedelta`
        return f"It was {value!r}. Write {seconds()}, in seconds"
    return f"It was {value!r}"


def made(kind: object) -> str:
    """Say how an event is made, to who has passed its class."""
    if is_event_class(kind):
        return f". Write {kind.__name__}(...)"
    return ""


def its_class(ev: object) -> str:
    """Name the class, to who has passed an event."""
    return f". Write {type(ev).__name__}" if isinstance(ev, Event) else ""


# ---------------------------------------------------------------- annotations


def for_parameter(name: str, hint: object) -> str:
    """Say what to write instead of an annotation that says nothing to plait."""
    bare, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    for extra in extras:
        if extra is Resource or extra is ResourceConfig:
            return f"Write Annotated[..., {extra.__name__}(...)]: the marker is made by a call"
    if bare is NOT_GIVEN:
        return f"Write {name}: E, with E the class of the event that it takes"
    if isinstance(bare, Event):
        return f"Write the class: {name}: {type(bare).__name__}"
    if isinstance(bare, typing.TypeVar):
        return f"Write {name}: E, with E an event class: a type variable says too little"
    origin = get_origin(bare)
    inner = [member for arg in get_args(bare) for member in members_of(arg)]
    if origin in (Union, types.UnionType):
        wrong = [said(member) for member in inner if not events_of(member)]
        if len(wrong) < len(inner):
            return f"All of a union must be event classes, and {', '.join(wrong)} is none"
    elif origin is type and event_classes(tuple(inner)):
        return f"Write {name}: {said(inner[0])}"
    elif (bare if origin is None else origin) in _CONTAINERS and (
        not inner or event_classes(tuple(inner))
    ):
        return f"A fan-in is {name}: list[E], with E an event class or a union of them"
    return f"Give it a default, or write {name}: Annotated[..., Resource(factory)]"


def for_no_event(func: Callable[..., Any], signature: inspect.Signature) -> str:
    """Say what to write in a function that takes no event."""
    if func.__name__ == "<lambda>":
        return "A lambda has no annotations: write a function with def"
    first = next(iter(signature.parameters.values()), None)
    if is_method(func) and (first is None or first.annotation is not NOT_GIVEN):
        return "The first parameter of a method is self"
    before = "self, " if is_method(func) else ""
    return f"Write {func.__name__}({before}ev: E), with E the class of the event that it takes"


def said(hint: object) -> str:
    """Write a type as an annotation has it."""
    return "None" if hint is type(None) else getattr(hint, "__name__", str(hint))


# ---------------------------------------------------------------- graphs


def for_unmarked(method: str, does: str, kind: type[Event]) -> str:
    """Point at a method that would be a step, had it the decorator."""
    return f"Method {method!r} {does} {kind.__name__}: write @step above it"


def for_no_stop(returned: Iterable[tuple[str, object]]) -> str | None:
    """Find a step whose return annotation means something else than its author thought."""
    for step, hint in returned:
        if not is_event_class(hint):
            return f"Step {step!r} is annotated to return {hint}, which is no event class"
    return None


def for_orphan(returned: object, accepted: Iterable[tuple[str, type[Event]]]) -> str:
    """Say what to write for an event that no step takes, or for what is no event at all."""
    if not is_event_class(returned):
        return "That is no event class. A step that returns several events returns list[E]"
    for step, base in accepted:
        if issubclass(returned, base):
            return (
                f"Step {step!r} accepts its base {base.__name__}: "
                "use @step(accept_event_subclasses=True)"
            )
    name = returned.__name__
    return f"Add a step with ev: {name}; or, for the stream, class {name}(Event, observable=True)"


# ---------------------------------------------------------------- older frameworks

#: Options of `run()` in older frameworks, and what to write instead.
FORMER_OPTIONS: Final = {
    "checkpoint_callback": "Write run = wf.run(...); run.on_checkpoint(callback)",
    "stepwise": "Write run = wf.run(...); run.stepwise()",
}


class Former:
    """A name that older frameworks have here. It is absent, and says what to write."""

    def __init__(self, instead: str) -> None:
        self._instead = instead
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, context: object, owner: type) -> object:
        raise AttributeError(
            f"{owner.__name__!r} object has no attribute {self._name!r}. Write {self._instead}"
        )
