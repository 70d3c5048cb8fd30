"""A state by its parts, as it is kept: top-level keys and their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from .copies import values_of, with_values
from .dict_state import DictState
from .state_class import class_of, declared_fields, new_state

S = TypeVar("S")


def parts_of(state: object) -> Mapping[str, Any]:
    """List the parts of a state: the values of its fields, or all that it has."""
    return state if isinstance(state, DictState) else values_of(state)


def put_parts(state: S, parts: Mapping[str, Any]) -> S:
    """Make a state like this one, of these parts and of nothing else that may be missing.

    Raises:
        ValueError: The class has no such field.
    """
    kind = type(state)
    if isinstance(state, DictState):
        return cast("S", type(state)(parts))
    names = declared_fields(class_of(state))
    unknown = [name for name in parts if names is not None and name not in names]
    if unknown:
        raise ValueError(f"{kind.__name__} has no field {unknown[0]!r}")
    return with_values(new_state(kind), parts)
