"""Annotations: the names that they may use, what they are then, and the members of unions. A leaf."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final, Union, get_args, get_origin

NOT_GIVEN: Final = inspect.Parameter.empty


class UnresolvedAnnotation(Exception):  # noqa: N818 - a signal between two modules
    """An annotation names what does not exist, or not yet."""

    def __init__(self, name: str, annotation: object, reason: str) -> None:
        super().__init__(name, annotation, reason)
        self.whose = "the return value" if name == "return" else f"parameter {name!r}"
        self.annotation = annotation
        self.reason = reason


def resolve(
    func: Callable[..., Any], name: str, annotation: object, names: Mapping[str, Any]
) -> Any:
    """Resolve the annotation of a parameter, or of what is returned, by the names it may use.

    Raises:
        UnresolvedAnnotation: A name in it does not exist (yet).
    """
    if annotation is NOT_GIVEN:
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


def members_of(hint: Any) -> tuple[object, ...]:
    """List the members of a union, and of the unions in it; a type that is none by itself."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(member for arg in get_args(hint) for member in members_of(arg))
    if get_origin(hint) is Annotated:
        return members_of(get_args(hint)[0])
    if type(hint).__name__ == "TypeAliasType":  # `type E = A | B`; two classes have this name
        return members_of(hint.__value__)
    return (hint,)


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
