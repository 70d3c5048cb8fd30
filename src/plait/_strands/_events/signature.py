"""What a step's annotations say: which events it takes, which it returns, where its context goes.

Parameters are known by their annotation, in any order. Annotations may be strings, and may name
classes of an enclosing function: those names are kept when the step is defined, and what cannot be
resolved then is tried again when the workflow is used.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, Union, get_args, get_origin

import attrs

from plait._errors import Fault, WorkflowValidationError
from plait._event import Event

from .context import Context


@attrs.frozen
class Signature:
    """One step's signature, read."""

    #: The parameters to fill, by name, in their order: `"context"` or `"event"`.
    parameters: tuple[tuple[str, str], ...]
    accepts: tuple[type[Event], ...]
    #: What it returns, `None` left out. What is no event class is kept too: a fault is made of it.
    returns: tuple[object, ...]
    #: May every parameter be passed by position?
    positional: bool

    @property
    def returned_events(self) -> tuple[type[Event], ...]:
        """The event classes among what it returns."""
        return tuple(r for r in self.returns if isinstance(r, type) and issubclass(r, Event))


class UnresolvedAnnotation(Exception):  # noqa: N818 - a signal between two modules
    """An annotation names what does not exist, or not yet."""

    def __init__(self, name: str, annotation: object) -> None:
        super().__init__(name, annotation)
        self.parameter = name
        self.annotation = annotation


_NOT_GIVEN: Final = inspect.Parameter.empty
_BY_POSITION: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


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


def read(func: Callable[..., Any], names: Mapping[str, Any], fault: FaultMaker) -> Signature:
    """Read a step's signature.

    Raises:
        WorkflowValidationError: It cannot be a step.
        UnresolvedAnnotation: A name in an annotation does not exist (yet).
    """
    signature = inspect.signature(func)
    parameters = [*signature.parameters.values()]
    if is_method(func):
        parameters = parameters[1:]
    if inspect.isasyncgenfunction(func):
        raise fault(
            "Async-iterator fan-out (AsyncIterator[E] / AsyncGenerator[E, None] / "
            "async generator steps) is not supported."
        )
    filled: list[tuple[str, str]] = []
    accepts: tuple[type[Event], ...] = ()
    for parameter in parameters:
        hint = _resolve(func, parameter.name, parameter.annotation, names)
        if _is_context(hint):
            filled.append((parameter.name, "context"))
        elif events := _events(hint):
            filled.append((parameter.name, "event"))
            accepts = events
        elif parameter.default is _NOT_GIVEN and parameter.kind in (
            *_BY_POSITION,
            inspect.Parameter.KEYWORD_ONLY,
        ):
            if hint is _NOT_GIVEN and len(parameters) == 1:
                break
            raise fault(
                f"Step {func.__name__!r} has a parameter {parameter.name!r} that is neither "
                "a Context, an Event nor a resource, and has no default."
            )
    if [kind for _, kind in filled].count("context") > 1:
        raise fault(f"Step {func.__name__!r} has more than one Context parameter.")
    if not accepts:
        raise fault("Step signature must have at least one parameter annotated as type Event")
    if [kind for _, kind in filled].count("event") > 1:
        raise fault(f"Step {func.__name__!r} has more than one event parameter.")
    if signature.return_annotation is _NOT_GIVEN:
        raise fault("Return types of workflows step functions must be annotated with their type.")
    returned = _resolve(func, "return", signature.return_annotation, names)
    positional = [p.name for p in parameters if p.kind in _BY_POSITION][: len(filled)]
    return Signature(
        parameters=tuple(filled),
        accepts=accepts,
        returns=tuple(r for r in _members(returned) if r not in (None, type(None))),
        positional=positional == [name for name, _ in filled],
    )


FaultMaker = Callable[[str], WorkflowValidationError]


def fault_maker(func: Callable[..., Any], *, step: str | None = None) -> FaultMaker:
    """Make faults that carry the place of a function."""
    file, line = place(func)

    def make(text: str) -> WorkflowValidationError:
        return WorkflowValidationError(Fault(text, file, line, step or func.__name__))

    return make


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


def _resolve(
    func: Callable[..., Any], name: str, annotation: object, names: Mapping[str, Any]
) -> Any:
    if annotation is _NOT_GIVEN:
        return annotation
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    try:
        hints = typing.get_type_hints(
            holder, getattr(inspect.unwrap(func), "__globals__", {}), {**names}, include_extras=True
        )
    except NameError:
        raise UnresolvedAnnotation(name, annotation) from None
    return hints[name]


def _members(hint: object) -> tuple[object, ...]:
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(member for arg in get_args(hint) for member in _members(arg))
    return (hint,)


def _is_context(hint: object) -> bool:
    return (get_origin(hint) or hint) is Context


def _events(hint: object) -> tuple[type[Event], ...]:
    """The event classes of `E` or `A | B`; none if anything else is among them."""
    members = [get_origin(member) or member for member in _members(hint)]
    events = tuple(m for m in members if isinstance(m, type) and issubclass(m, Event))
    return events if len(events) == len(members) else ()
