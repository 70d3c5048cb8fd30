"""Copies of a state: whole, or with other values."""

from __future__ import annotations

import copy
import functools
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from plait._journal.loaded import is_pydantic, is_struct

from .dict_state import DictState
from .state_class import class_of, declared_fields

S = TypeVar("S")


def merged(current: S, state: object) -> S:
    """Put a state in the place of another, or its fields into it if it is of a base class.

    Raises:
        ValueError: It is neither of the current class nor of a base of it.
    """
    kind = type(current)
    if isinstance(state, kind):
        return copied(state)
    if not isinstance(current, type(state)):
        raise ValueError(  # noqa: TRY004 - as for every value that does not fit
            f"State must be of type {kind.__name__} or a parent type, got {type(state).__name__}"
        )
    return with_values(current, copied(values_of(state)))


def with_values(state: S, values: Mapping[str, Any]) -> S:
    """Copy a state, frozen or not, and give some of its fields other values."""
    kind = class_of(state)
    if is_pydantic(kind):
        return cast("S", cast("Any", state).model_copy(update=values))
    if is_struct(kind):
        return cast("S", sys.modules["msgspec"].structs.replace(state, **values))
    fresh = copy.copy(state)
    for name, value in values.items():
        object.__setattr__(fresh, name, value)
    return fresh


def values_of(state: object) -> Mapping[str, Any]:
    """List the values of a state's fields; the attributes of an object that declares none."""
    names = declared_fields(class_of(state))
    if names is None:
        return getattr(state, "__dict__", {})
    return {name: getattr(state, name) for name in names if hasattr(state, name)}


# ---------------------------------------------------------------- deep ones


def copied(value: S) -> S:
    """Make a deep copy. What cannot be copied, as a lock, is shared."""
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - whatever somebody's class raises when it is copied
        return cast("S", _copied_where_possible(value, {}, whole=True))


def _copied_where_possible(value: Any, memo: dict[int, Any], *, whole: bool = False) -> Any:
    """Copy what can be copied, part by part; the `whole`, whatever it is.

    `memo` is that of `copy.deepcopy`.
    """
    if id(value) in memo:
        return memo[id(value)]
    known = len(memo)
    try:
        return copy.deepcopy(value, memo)
    except Exception:  # noqa: BLE001 - as above
        for key in [*memo][known:]:  # copies of parts, that belong to no whole
            del memo[key]
    try:
        return _copied_by_parts(value, memo, whole=whole)
    except Exception:  # whatever its class raises: the part is shared, as `copied` says
        if whole:
            raise
        memo[id(value)] = value
        return value


def _copied_by_parts(value: Any, memo: dict[int, Any], *, whole: bool) -> Any:
    again = functools.partial(_copied_where_possible, memo=memo)
    kind, place = class_of(value), id(value)
    fresh: Any = value
    if isinstance(value, list | deque):
        fresh = memo[place] = copy.copy(cast("Any", value))
        fresh.clear()
        fresh.extend(map(again, cast("Any", value)))
    elif isinstance(value, dict | DictState):
        fresh = memo[place] = copy.copy(cast("Any", value))
        for key, item in cast("Any", value).items():
            fresh[key] = again(item)
    elif kind in (tuple, set, frozenset):
        fresh = cast("Callable[..., Any]", kind)(map(again, value))
    elif whole or declared_fields(kind):
        fresh = with_values(value, {name: again(part) for name, part in values_of(value).items()})
    memo[place] = fresh
    return fresh
