"""What a step's annotations say: which events it takes, which it returns, what else it is given.

Parameters are known by their annotation, in any order. Annotations may be strings, and may name
classes of an enclosing function: those names are kept when the step is defined, and what cannot be
resolved then is tried again when the workflow is used.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from difflib import get_close_matches
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    Protocol,
    TypeAlias,
    Union,
    get_args,
    get_origin,
)

import attrs

from plait._errors import Fault, WorkflowValidationError
from plait._event import Event

from .collect import All, Cardinality, Collect, Take
from .context import Context
from .resources.marker import Marker, Resource, ResourceConfig, find

Role: TypeAlias = Literal["context", "event", "list", "resource"]


class FaultMaker(Protocol):
    """Makes a fault of a step: it has the step's place already."""

    def __call__(self, text: str, hint: str | None = None) -> WorkflowValidationError:
        """Say what is wrong, and what to write instead."""
        ...


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
        return _event_classes(self.returns)

    @property
    def listed_events(self) -> tuple[type[Event], ...]:
        """The event classes that it returns in a list."""
        return _event_classes(self.lists)


class UnresolvedAnnotation(Exception):  # noqa: N818 - a signal between two modules
    """An annotation names what does not exist, or not yet."""

    def __init__(self, name: str, annotation: object, reason: str) -> None:
        super().__init__(name, annotation, reason)
        self.whose = "the return value" if name == "return" else f"parameter {name!r}"
        self.annotation = annotation
        self.reason = reason


_NOT_GIVEN: Final = inspect.Parameter.empty
_BY_POSITION: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)
_NAMED: Final = (*_BY_POSITION, inspect.Parameter.KEYWORD_ONLY)
_ASYNC_ITERATORS: Final = (AsyncIterator, AsyncIterable, AsyncGenerator)
#: What may be written where `list[E]` is meant.
_CONTAINERS: Final = (list, tuple, set, frozenset, Sequence, Iterable, Collection)


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
        hint = _resolve(func, parameter.name, parameter.annotation, names)
        read_as = _parameter(parameter.name, hint, fault)
        if read_as is not None:
            filled.append(read_as)
            if read_as.role == "context" and get_args(hint):
                state = get_args(hint)[0]
        elif parameter.default is _NOT_GIVEN and parameter.kind in _NAMED:
            if hint is _NOT_GIVEN and len(given) == 1:
                break
            raise fault(
                f"Step {func.__name__!r} has a parameter {parameter.name!r} that is neither "
                "a Context, an Event nor a resource, and has no default.",
                _advice(parameter.name, hint),
            )
    if not any(parameter.role in ("event", "list") for parameter in filled):
        raise fault(
            "Step signature must have at least one parameter annotated as type Event",
            _advice_without_event(func, signature),
        )
    _check_parameters(func.__name__, filled, fault)
    if signature.return_annotation is _NOT_GIVEN:
        raise fault(
            "Return types of workflows step functions must be annotated with their type.",
            "Write -> E, with E the class of the event that it returns; -> None if it returns none",
        )
    members = _members(_resolve(func, "return", signature.return_annotation, names))
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
            _without_arguments(m)
            for m in members
            if m not in (None, type(None)) and get_origin(m) is not list
        ),
        lists=tuple(
            _without_arguments(part)
            for hint in listed
            for arg in get_args(hint)
            for part in _members(arg)
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
                f"Parameter {name!r} is annotated with {_said(extra)}, which is no Collect marker.",
                f"Write Annotated[list[E], Collect({inner})]",
            )
    if collect is not None and not isinstance(collect.cardinality, All | Take):
        raise fault(f"Collect cardinality on {name!r} must be All() or Take(n).")
    if get_origin(bare) is list and get_args(bare) and (events := _events(get_args(bare)[0])):
        return Parameter(name, "list", events, collect)
    if collect is not None:
        raise fault(
            f"Parameter {name!r} carries a Collect marker but is not annotated as list[E] "
            "of an Event subclass."
        )
    if events := _events(bare):
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
    if signature.return_annotation is not _NOT_GIVEN:
        returned = get_origin(_resolve(func, "return", signature.return_annotation, names))
    hint = "Return a list: -> list[E]"
    if inspect.isasyncgenfunction(func) or returned in _ASYNC_ITERATORS:
        raise fault(
            "Async-iterator fan-out (AsyncIterator[E] / AsyncGenerator[E, None] / "
            "async generator steps) is not supported.",
            hint,
        )
    if inspect.isgeneratorfunction(func) or returned in (Iterator, Generator):
        raise fault(f"Step {func.__name__!r} is a generator.", hint)


# ---------------------------------------------------------------- what to write instead


def _advice(name: str, hint: object) -> str:
    """Say what to write instead of an annotation that says nothing to plait."""
    bare, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    for extra in extras:
        if extra is Resource or extra is ResourceConfig:
            return f"Write Annotated[..., {extra.__name__}(...)]: the marker is made by a call"
    if bare is _NOT_GIVEN:
        return f"Write {name}: E, with E the class of the event that it takes"
    if isinstance(bare, Event):
        return f"Write the class: {name}: {type(bare).__name__}"
    if isinstance(bare, typing.TypeVar):
        return f"Write {name}: E, with E an event class: a type variable says too little"
    origin, inner = get_origin(bare), [member for arg in get_args(bare) for member in _members(arg)]
    if origin in (Union, types.UnionType):
        wrong = [_said(member) for member in inner if not _events(member)]
        if len(wrong) < len(inner):
            return f"All of a union must be event classes, and {', '.join(wrong)} is none"
    elif origin is type and _event_classes(tuple(inner)):
        return f"Write {name}: {_said(inner[0])}"
    elif (bare if origin is None else origin) in _CONTAINERS and (
        not inner or _event_classes(tuple(inner))
    ):
        return f"A fan-in is {name}: list[E], with E an event class or a union of them"
    return f"Give it a default, or write {name}: Annotated[..., Resource(factory)]"


def _advice_without_event(func: Callable[..., Any], signature: inspect.Signature) -> str:
    if func.__name__ == "<lambda>":
        return "A lambda has no annotations: write a function with def"
    first = next(iter(signature.parameters.values()), None)
    if is_method(func) and (first is None or first.annotation is not _NOT_GIVEN):
        return "The first parameter of a method is self"
    before = "self, " if is_method(func) else ""
    return f"Write {func.__name__}({before}ev: E), with E the class of the event that it takes"


def _said(hint: object) -> str:
    return "None" if hint is type(None) else getattr(hint, "__name__", str(hint))


# ---------------------------------------------------------------- places and names


def is_method(func: Callable[..., Any]) -> bool:
    """Say whether a function is defined in the body of a class."""
    parent = func.__qualname__.rpartition(".")[0]
    return bool(parent) and not parent.endswith("<locals>")


def visible_names(depth: int) -> dict[str, Any]:
    """Collect the local names that an annotation may use: of the class, and of what encloses it."""
    names: dict[str, Any] = {}
    frames: list[types.FrameType] = []
    frame = inspect.currentframe()
    for _ in range(depth + 1):
        frame = frame and frame.f_back
    while frame and frame.f_code.co_name != "<module>" and len(frames) < 3:
        frames.append(frame)
        frame = frame.f_back
    for each in reversed(frames):
        names.update(each.f_locals)
    return names


def fault_maker(func: Callable[..., Any], *, step: str | None = None) -> FaultMaker:
    """Make faults that carry the place of a function."""
    file, line = place(func)
    name = step or func.__name__

    def make(text: str, hint: str | None = None) -> WorkflowValidationError:
        return WorkflowValidationError(Fault(text, file, line, name, hint))

    return make


def caller() -> types.FrameType | None:
    """Find the code that called plait."""
    frame = inspect.currentframe()
    while frame and str(frame.f_globals.get("__name__")).partition(".")[0] == "plait":
        frame = frame.f_back
    return frame


def caller_place() -> tuple[str | None, int | None]:
    """Find the file and line from which plait was called."""
    frame = caller()
    return (None, None) if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def place(func: Callable[..., Any]) -> tuple[str | None, int | None]:
    """Find the file and line where a function is defined."""
    code = getattr(inspect.unwrap(func), "__code__", None)
    return (None, None) if code is None else (code.co_filename, code.co_firstlineno)


def is_async(func: Callable[..., Any]) -> bool:
    """Say whether calling it gives a coroutine. A plain wrapper of an async function does, too."""
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(inspect.unwrap(func))


def class_place(cls: type) -> tuple[str | None, int | None]:
    """Find the file and line where a class is defined."""
    try:
        return inspect.getsourcefile(cls), inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):  # typed at a prompt, or made by a call
        return None, None


# ---------------------------------------------------------------- hints


def _resolve(
    func: Callable[..., Any], name: str, annotation: object, names: Mapping[str, Any]
) -> Any:
    if annotation is _NOT_GIVEN:
        return annotation
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    known = getattr(inspect.unwrap(func), "__globals__", {})
    try:
        hints = typing.get_type_hints(holder, known, {**names}, include_extras=True)
    except Exception as error:  # noqa: BLE001 - whatever evaluating somebody's annotation raises
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, NameError | AttributeError):
            around: dict[str, object] = {**known, **names}
            if isinstance(error, AttributeError):
                around = {**getattr(error.obj, "__dict__", {})}
            classes = [n for n, value in around.items() if isinstance(value, type)]
            near = get_close_matches(str(error.name), classes, n=1)
            reason += f". Did you mean {near[0]!r}?" if near else ""
        raise UnresolvedAnnotation(name, annotation, reason) from None
    return hints[name]


def _members(hint: Any) -> tuple[object, ...]:
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(member for arg in get_args(hint) for member in _members(arg))
    if get_origin(hint) is Annotated:
        return _members(get_args(hint)[0])
    if type(hint).__name__ == "TypeAliasType":  # `type E = A | B`; two classes have this name
        return _members(hint.__value__)
    return (hint,)


def _without_arguments(hint: object) -> object:
    """Make `E` of `E[int]`: events go by their class."""
    return next(iter(_event_classes((hint,))), hint)


def _events(hint: object) -> tuple[type[Event], ...]:
    """The event classes of `E` or `A | B`; none if anything else is among them."""
    members = [get_origin(member) or member for member in _members(hint)]
    events = tuple(m for m in members if isinstance(m, type) and issubclass(m, Event))
    return events if len(events) == len(members) else ()


def _event_classes(hints: tuple[object, ...]) -> tuple[type[Event], ...]:
    bare = [get_origin(hint) or hint for hint in hints]
    return tuple(h for h in bare if isinstance(h, type) and issubclass(h, Event))
