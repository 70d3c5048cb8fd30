"""What is wrong with an argument, in words: nothing is raised here."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any, Final, TypeAlias

from plait._show import show

#: How much of a value is shown in a message, in characters.
SHOWN: Final = 80

#: A span of time, in seconds.
Duration: TypeAlias = float | timedelta

#: Words about arguments that are missing something.
Faults: TypeAlias = Iterator[str]


def seconds(given: Duration) -> float:
    """Convert a duration; what is none stays, until `check_duration` tells of it."""
    return given.total_seconds() if isinstance(given, timedelta) else given


def check_word(name: str, given: object, words: Collection[str]) -> Faults:
    """Tell what is wrong with one of a few words."""
    if not isinstance(given, str) or given not in words:
        known = " or ".join(map(repr, words))
        yield f"{name} must be {known}, not {show(given, SHOWN)}"


def class_of(value: object) -> type:
    """Return the class of a value; type checkers make too much of `type(value)`."""
    return type(value)


def is_async(given: Any) -> bool:
    """Say whether calling this gives a coroutine."""
    inner = given
    while hasattr(inner, "func") and hasattr(inner, "args"):  # a partial
        inner = inner.func
    called: Any = getattr(class_of(inner), "__call__", None)  # noqa: B004 - of the class, not the object
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(called)
