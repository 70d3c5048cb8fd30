"""The class of a workflow's state: which one it is, and what its fields are.

A state class is an attrs class, a dataclass, a pydantic model or a msgspec struct. The last two are
looked up in `sys.modules`: whoever has such a class has imported its library. Without a class of its
own a workflow has a `DictState`, which takes anything.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast, get_origin

import attrs

from plait._journal.loaded import is_pydantic, is_struct

from .dict_state import DictState

S = TypeVar("S")


def choose_state_class(classes: Iterable[object]) -> type:
    """Choose the class of a workflow's state: the most derived of those that its steps name.

    Args:
        classes: What the steps' annotations have in `Context[...]`, in any order and number. `Any`
            and `DictState` ask for nothing.

    Returns:
        `DictState`, if nothing is asked for.

    Raises:
        ValueError: None of the classes is a subclass of all others.

    Example:
        >>> class Base: ...
        >>> class Derived(Base): ...
        >>> choose_state_class([Base, Derived, Base]).__name__
        'Derived'
    """
    named = (get_origin(c) or c for c in classes)
    found = dict.fromkeys(c for c in named if isinstance(c, type) and c not in (Any, DictState))
    if not found:
        return DictState
    for candidate in found:
        if all(issubclass(candidate, other) for other in found):
            return candidate
    names = ", ".join(c.__name__ for c in found)
    raise ValueError(
        "Multiple state types are not in a compatible inheritance hierarchy. "
        f"All state types must share a common inheritance chain. Found: {names}"
    )


def new_state(kind: type[S]) -> S:
    """Make a state of a class, with all its defaults.

    Raises:
        ValueError: A field has no default.
    """
    if missing := _without_default(cast("type", kind)):
        raise ValueError(
            "State must have defaults for all fields. "
            f"{kind.__name__} has none for {', '.join(missing)}."
        )
    return kind()


@functools.lru_cache(256)
def _without_default(kind: type) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(kind).parameters.values()
    except ValueError:  # a builtin
        return ()
    return tuple(
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    )


# ---------------------------------------------------------------- its fields


def class_of(value: object) -> type:
    """Return the class of a value; type checkers make too much of `type(value)`."""
    return type(value)


@functools.lru_cache(256)
def declared_fields(kind: type) -> Mapping[str, Any] | None:
    """Find the fields of a class and what each of them takes; `None` if it declares none.

    An attrs class, a dataclass, a pydantic model and a msgspec struct do.
    """
    some: Any = kind
    names: list[str]
    if is_pydantic(kind):
        return {name: field.annotation for name, field in some.model_fields.items()}
    if attrs.has(some):
        names = [a.name for a in attrs.fields(some)]
    elif dataclasses.is_dataclass(some):
        names = [f.name for f in dataclasses.fields(some)]
    elif is_struct(kind):
        names = [*some.__struct_fields__]
    else:
        return None
    hints = hints_of(kind)
    return {name: hints.get(name, Any) for name in names}


@functools.lru_cache(256)
def hints_of(kind: type) -> Mapping[str, Any]:
    """Resolve the annotations of a class; `Any` for one that cannot be resolved."""
    try:
        return typing.get_type_hints(kind)
    except Exception:  # noqa: BLE001 - whatever evaluating somebody's annotation raises
        found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        names = {**vars(base), base.__name__: base}
        module = vars(sys.modules.get(base.__module__, typing))
        for name, hint in inspect.get_annotations(base).items():
            holder = types.SimpleNamespace(__annotations__={name: hint})
            try:
                found |= typing.get_type_hints(holder, module, names)
            except Exception:  # noqa: BLE001 - as above
                found[name] = Any
    return found


def changes_what_it_is_given(kind: type, name: str) -> bool:
    """Say whether an assignment to a field may put something else there than what is assigned."""
    if is_pydantic(kind):
        config: Mapping[str, Any] = cast("Any", kind).model_config
        return bool(config.get("validate_assignment"))
    if not attrs.has(kind) or kind.__setattr__ is object.__setattr__:
        return False
    return any(a.name == name and a.converter is not None for a in attrs.fields(kind))
