"""What is wrong with an argument, in words: nothing is raised here.

All mistakes of one decoration are told at once, so an option keeps whatever it was given, and says
what is wrong with it when it is asked.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any, Final, TypeAlias

from plait._show import show

from .event import SHOWN, name_of

#: A span of time, in seconds.
Duration: TypeAlias = float | timedelta

#: Words about arguments that are missing something.
Faults: TypeAlias = Iterator[str]

WRITE_A_FUNCTION: Final = "write a function, for example `lambda e: …`"


def seconds(given: Duration) -> float:
    """Convert a duration; what is none stays, until `check_duration` tells of it."""
    return given.total_seconds() if isinstance(given, timedelta) else given


def optional_seconds(given: Duration | None) -> float | None:
    """Convert a duration that may be left out."""
    return None if given is None else seconds(given)


def check_duration(name: str, given: object, *, zero: bool = False) -> Faults:
    """Tell what is wrong with a number of seconds; may it be 0?"""
    if not isinstance(given, int | float) or isinstance(given, bool):
        yield f"{name} must be seconds or a timedelta, not {show(given, SHOWN)}"
    elif not math.isfinite(given) or given < 0 or (given == 0 and not zero):
        least = "at least 0" if zero else "greater than 0"
        yield f"{name} must be finite and {least}, not {given!r}"


def check_count(name: str, given: object, least: int = 1) -> Faults:
    """Tell what is wrong with a number of things."""
    if type(given) is not int or given < least:
        yield f"{name} must be a whole number, at least {least}, not {show(given, SHOWN)}"


def check_word(name: str, given: object, words: Collection[str]) -> Faults:
    """Tell what is wrong with one of a few words."""
    if not isinstance(given, str) or given not in words:
        known = " or ".join(map(repr, words))
        yield f"{name} must be {known}, not {show(given, SHOWN)}"


def check_function(name: str, given: object, *, takes: int = 1, optional: bool = True) -> Faults:
    """Tell what is wrong with a key or a predicate, which takes one event or two."""
    if given is None and optional:
        return
    if isinstance(given, str) or not callable(given):
        instead = WRITE_A_FUNCTION if takes == 1 else WRITE_A_FUNCTION.replace("e:", "trigger, e:")
        yield f"{name} is {show(given, SHOWN)}: {instead}"
    elif is_async(given):
        yield f"{name} is async: it is called while events are sorted, and must be a plain function"
    elif not _can_take(given, takes):
        events = "the trigger's event and this one" if takes == 2 else "the event"
        yield f"{name} is called with {events}, and {show(given, SHOWN)} does not take that"


def is_text(given: object) -> bool:
    """Say whether this is a text."""
    return isinstance(given, str)


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


def _can_take(given: Any, count: int) -> bool:
    try:
        signature = inspect.signature(given)
    except (ValueError, TypeError):  # a builtin tells nobody
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def check_event(name: str, given: object) -> Faults:
    """Tell what is wrong with the name or the class of an event."""
    try:
        name_of(given, name)
    except (TypeError, ValueError) as error:
        yield str(error)
