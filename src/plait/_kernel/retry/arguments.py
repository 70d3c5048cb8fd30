"""Arguments of strategies and policies: what is wrong with one is said before anything fails."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any


def _float(given: object, wanted: str) -> float:
    if isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    raise TypeError(f"expected {wanted}, not {given!r}")


def number(given: float) -> float:
    """Convert a number."""
    return _float(given, "a number")


def seconds(given: float | timedelta) -> float:
    """Convert a duration."""
    if isinstance(given, timedelta):
        return given.total_seconds()
    return _float(given, "seconds or a timedelta")


def must_be(wanted: str, holds: Callable[[Any], bool]) -> Callable[[Any, Any, Any], None]:
    """Make a validator of a field."""

    def check(owner: Any, field: Any, value: Any) -> None:
        if not holds(value):
            name = f"{type(owner).__name__}: {field.name}"
            raise ValueError(f"{name} must be {wanted}, not {value!r}")

    return check


# NaN is in no interval, and so refused by all of these.
finite = must_be("finite", math.isfinite)
positive = must_be("finite and greater than 0", lambda given: 0 < given < math.inf)
not_negative = must_be("finite and at least 0", lambda given: 0 <= given < math.inf)
limit = must_be("at least 0", lambda given: given >= 0)
count = must_be(
    "an integer greater than 0",
    lambda given: isinstance(given, int) and not isinstance(given, bool) and given > 0,
)


def in_order(wait: Any, _field: Any, _value: Any) -> None:
    """Validate the second of two fields, `min` and `max`."""
    if wait.min > wait.max:
        name = type(wait).__name__
        raise ValueError(f"{name}: min must be at most max, but {wait.min} > {wait.max}")
