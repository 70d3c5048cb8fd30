"""What is wrong with an argument, in words: nothing is raised here.

All mistakes of one decoration are told at once, so an option keeps whatever it was given, and says
what is wrong with it when it is asked.
"""

from __future__ import annotations

import inspect
import math
from typing import Any, Final

from plait._show import show
from plait._steps.checks import SHOWN, Duration, Faults, is_async, seconds

from .event import name_of

WRITE_A_FUNCTION: Final = "write a function, for example `lambda e: …`"


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
