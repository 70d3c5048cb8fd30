"""What a handler is annotated to return: through partials, methods, `__call__` and awaitables."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, get_args, get_origin

from plait._annotations import NOT_GIVEN, UnresolvedAnnotation, resolve
from plait._errors import ConfigError

from .checks import class_of


def innermost(handler: Callable[..., Any]) -> Any:
    """Find what a call of this runs in the end: a function, a class, or what only C knows."""
    inner: Any = handler
    while True:
        if isinstance(inner, functools.partial):
            inner = inner.func
        elif isinstance(inner, types.MethodType):
            inner = inner.__func__
        elif hasattr(inner, "__wrapped__"):
            inner = inner.__wrapped__
        elif isinstance(inner, types.FunctionType | types.BuiltinFunctionType | type):
            return inner
        elif isinstance(call := getattr(class_of(inner), "__call__", None), types.FunctionType):  # noqa: B004
            inner = call
        else:
            return inner


def name_of_handler(handler: Callable[..., Any]) -> str:
    """Say what a handler is called, in the journal and in texts."""
    inner = innermost(handler)
    return str(getattr(inner, "__qualname__", class_of(inner).__qualname__))


def returned(
    handler: Callable[..., Any], names: Mapping[str, Any] = MappingProxyType({})
) -> object:
    """Find the type of what a handler returns.

    Args:
        handler: A function, or what calls one in the end.
        names: Local names that its annotation may use, beside those that it closes over.

    Returns:
        The annotation, resolved; `NOT_GIVEN` if there is none, or one that says nothing.

    Raises:
        ConfigError: It names what does not exist.
    """
    inner = innermost(handler)
    if isinstance(inner, type):  # calling it makes one
        return inner
    annotation: object = getattr(inner, "__annotations__", {}).get("return", NOT_GIVEN)
    if not isinstance(annotation, type) or get_args(annotation):
        annotation = _resolved(inner, annotation, names)
    return _said(annotation, is_async=inspect.iscoroutinefunction(inner))


def _resolved(inner: Any, annotation: object, names: Mapping[str, Any]) -> object:
    try:
        return resolve(inner, "return", annotation, {**names, **enclosed(inner)})
    except UnresolvedAnnotation as unresolved:
        raise ConfigError(
            f"What {inner.__qualname__} returns cannot be known: -> {annotation}: "
            f"{unresolved.reason}\n"
            "  import the name where the program runs, not under TYPE_CHECKING; or pass output_type="
        ) from None


def enclosed(function: Any) -> Mapping[str, Any]:
    """Collect the local names of enclosing functions that a function uses."""
    names: dict[str, Any] = {}
    code = getattr(function, "__code__", None)
    for name, cell in zip(
        getattr(code, "co_freevars", ()), getattr(function, "__closure__", None) or (), strict=True
    ):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # it has no value yet
            continue
    return names


def _said(hint: Any, *, is_async: bool) -> object:
    """Take off what is awaited, and what says nothing."""
    origin = get_origin(hint)
    if not is_async and isinstance(origin, type) and issubclass(origin, Awaitable):
        hint = get_args(hint)[-1]
    if hint is None:
        return type(None)
    return NOT_GIVEN if hint in (Any, object) or isinstance(hint, TypeVar) else hint
