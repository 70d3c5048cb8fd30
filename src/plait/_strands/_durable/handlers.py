"""What the signature of a function says: which context it takes, of which data, and what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard, get_args, get_origin

from plait._annotations import NOT_GIVEN, UnresolvedAnnotation, resolve
from plait._show import show
from plait._steps.checks import SHOWN, Faults

from .context import Context, SyncContext


def is_async_function(handler: object) -> bool:
    """Say whether this is an `async def`."""
    return inspect.iscoroutinefunction(handler)


def is_function(handler: object) -> TypeGuard[Callable[..., Any]]:
    """Say whether this is an `async def` or a `def`."""
    return inspect.isfunction(handler)


def check_handler(handler: object, names: Mapping[str, Any]) -> Faults:
    """Tell what is wrong with a decorated function.

    Args:
        handler: What was decorated.
        names: Local names that its annotations may use.
    """
    if not is_function(handler):
        yield (
            f"{show(handler, SHOWN)} is no function: write async def f(ctx: Context), "
            "or def f(ctx: SyncContext)"
        )
        return
    if inspect.isasyncgenfunction(handler) or inspect.isgeneratorfunction(handler):
        yield f"{handler.__name__}() is a generator, and must return once"
        return
    right: Any = Context if is_async_function(handler) else SyncContext
    parameters = [*inspect.signature(handler).parameters.values()]
    needed = [
        p
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if not parameters or len(needed) > 1 or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        yield (
            f"{handler.__name__}() is called with the context alone: write "
            f"{handler.__name__}(ctx: {right.__name__})"
        )
        return
    try:
        hint = context_of(handler, names)
    except UnresolvedAnnotation:  # a name that comes later: it is asked for again when it is needed
        return
    if hint is NOT_GIVEN or (get_origin(hint) or hint) is right:
        return
    which = "an async def" if right is Context else "a def"
    yield (
        f"{handler.__name__}() takes {said(hint)}, and {which} takes a {right.__name__}: write "
        f"{handler.__name__}(ctx: {right.__name__})"
    )


def said(hint: object) -> str:
    """Write a type as an annotation has it."""
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else show(hint, SHOWN)


def context_of(handler: Callable[..., Any], names: Mapping[str, Any]) -> Any:
    """Find the annotation of the context.

    Raises:
        UnresolvedAnnotation: A name in it does not exist (yet).
    """
    parameter = next(iter(inspect.signature(handler).parameters.values()))
    return resolve(handler, parameter.name, parameter.annotation, names)


def data_of(handler: Callable[..., Any], names: Mapping[str, Any]) -> object:
    """Find the type of the event's data: the `D` of `Context[D]`; `NOT_GIVEN` without one.

    Raises:
        UnresolvedAnnotation: A name in it does not exist.
    """
    given = get_args(context_of(handler, names))
    return given[0] if given else NOT_GIVEN
