"""Factories, seen from outside: their names, signatures and annotations; and what they return."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from pathlib import PurePath
from typing import Any, TypeAlias, TypeGuard, cast

Factory: TypeAlias = Callable[..., Any]


def _bare(factory: Factory) -> Any:
    while isinstance(factory, functools.partial):
        factory = factory.func
    return factory


def name_of(factory: Factory) -> str:
    """Return the name of a factory, for messages and pictures."""
    bare = _bare(factory)
    return str(getattr(bare, "__name__", type(bare).__name__))


def full_names(factory: Factory) -> tuple[str, str]:
    """Return its qualified name, without its module and with it."""
    bare = _bare(factory)
    name = getattr(bare, "__qualname__", type(bare).__qualname__)
    return name, f"{bare.__module__}.{name}"


# ---------------------------------------------------------------- before it is called


def signature_of(factory: Factory) -> inspect.Signature:
    """Return its signature; that of a builtin may be unknown, and then takes nothing."""
    try:
        return inspect.signature(factory)
    except ValueError:
        return inspect.Signature()


def _globals(factory: Factory) -> dict[str, Any]:
    bare = inspect.unwrap(_bare(factory))
    found: dict[str, Any] | None = getattr(bare, "__globals__", None)
    return found if found is not None else vars(sys.modules.get(bare.__module__, types))


def local_names(factory: Factory) -> dict[str, Any]:
    """Keep the local names that the postponed annotations of a local function may use."""
    signature = signature_of(factory)
    hints = [signature.return_annotation, *(p.annotation for p in signature.parameters.values())]
    names: dict[str, Any] = {}
    if "<locals>" in full_names(factory)[0] and any(isinstance(hint, str) for hint in hints):
        module, frame = _globals(factory), inspect.currentframe()
        while frame is not None:
            if frame.f_globals is module and frame.f_locals is not module:
                names = {**frame.f_locals, **names}
            frame = frame.f_back
    return names


def resolve(annotation: object, factory: Factory, names: Mapping[str, Any]) -> Any:
    """Resolve an annotation of a factory; `NameError` itself stands for one that cannot be."""
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        hints = typing.get_type_hints(holder, _globals(factory), {**names}, include_extras=True)
    except NameError:
        return NameError
    return hints["it"]


def is_managed(factory: Factory, names: Mapping[str, Any]) -> bool:
    """Say whether it is known to return a context manager."""
    inner = inspect.unwrap(_bare(factory))
    # Such a function is decorated here: a bare one is refused.
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        return True
    returned = inner if inspect.isclass(inner) else signature_of(factory).return_annotation
    returned = resolve(returned, factory, names)
    kind = typing.get_origin(returned) or returned
    return isinstance(kind, type) and _opens(cast("type[object]", kind))


# ---------------------------------------------------------------- after it was called


def _opens(kind: type[object]) -> bool:
    """Say whether the objects of a class are context managers that one enters and leaves.

    A lock is not: its block is for whoever holds it. Nor is a path: its block is a relic.
    """
    if hasattr(kind, "acquire") or issubclass(kind, PurePath):
        return False
    return _is_async(kind) or (hasattr(kind, "__enter__") and hasattr(kind, "__exit__"))


def _is_async(kind: type[object]) -> bool:
    return hasattr(kind, "__aenter__") and hasattr(kind, "__aexit__")


def is_manager(value: object) -> bool:
    """Say whether a value is a context manager that one enters and leaves."""
    return _opens(type(value))


async def call(factory: Factory, given: Mapping[str, Any]) -> object:
    """Call a factory, and await what an async function returns."""
    value: object = factory(**given)
    return await value if _is_coroutine(value) else value  # noqa: ASYNC910 - as the factory does


def _is_coroutine(value: object) -> TypeGuard[Coroutine[Any, Any, object]]:
    return isinstance(value, Coroutine) and not is_manager(cast("object", value))


async def enter(stack: AsyncExitStack, manager: object) -> object:
    """Enter a context manager of either kind."""
    if _is_async(type(manager)):
        return await stack.enter_async_context(cast("AbstractAsyncContextManager[object]", manager))
    return stack.enter_context(cast("AbstractContextManager[object]", manager))  # noqa: ASYNC910
