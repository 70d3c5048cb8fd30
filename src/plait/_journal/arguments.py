"""What follows a tag, checked: nothing is coerced."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from plait._show import show

from .refused import Refused

V = TypeVar("V")


def is_str(data: object) -> str:
    """Check what must be a text."""
    if type(data) is not str:
        raise Refused(f"not a text: {show(data, 80)}")
    return data


def is_int(data: object) -> int:
    """Check what must be a whole number."""
    if type(data) is not int:
        raise Refused(f"not a whole number: {show(data, 80)}")
    return data


def is_list(data: object) -> list[Any]:
    """Check what must be a list."""
    if type(data) is not list:
        raise Refused(f"not a list: {show(data, 80)}")
    return cast("list[Any]", data)  # type: ignore[redundant-cast]


def is_dict(data: object) -> dict[str, Any]:
    """Check what must be a mapping of names."""
    if type(data) is not dict:
        raise Refused(f"not a mapping of names: {show(data, 80)}")
    found = cast("dict[Any, Any]", data)  # type: ignore[redundant-cast]
    if not all(type(key) is str for key in found):
        raise Refused(f"not a mapping of names: {show(found, 80)}")
    return found


def same(value: V, again: object, data: object) -> V:
    """Return what was read, if it would be written as it was."""
    if again != data:
        raise Refused(f"not as plait writes it: {show(data, 80)}")
    return value
