"""Arguments of calls: what is wrong is raised at once, before anything is recorded.

A mistake in a body's text would fail each attempt of it alike; its error says what to write.
"""

from __future__ import annotations

import inspect
import math
from datetime import date, datetime, timedelta
from typing import Any, Final

from plait._kernel.retry.policy import ExponentialBackoffRetryPolicy, RetryPolicy
from plait._show import show

from .checks import SHOWN, Faults, class_of, seconds

#: Values that somebody could take for a type.
NO_TYPES: Final = (str, bytes, int, float, list, tuple, dict, set)


def check_id(step_id: object, call: str) -> None:
    """Refuse an id that is no text.

    Raises:
        TypeError: As it says.
    """
    if not isinstance(step_id, str):
        raise TypeError(
            f"step_id must be a str, not {show(step_id, SHOWN)}\n"
            f'  write {call}("what-it-does", ...)'
        )


def check_handler(name: str, given: object, call: str) -> None:
    """Refuse what cannot be called, or was called already.

    Args:
        name: The argument's name.
        given: What was given.
        call: How the call begins, for the text.

    Raises:
        TypeError: As it says.
    """
    if inspect.iscoroutine(given):
        given.close()  # spares the user Python's warning that it was never awaited
        made = given.__qualname__
        raise TypeError(
            f"{name} must be a function, and {made}(...) has been called already\n"
            f"  write {call}, {made}, ...), without the call"
        )
    if not callable(given):
        raise TypeError(
            f"{name} must be a function, not {show(given, SHOWN)}\n  write {call}, function, ...)"
        )
    if inspect.isgeneratorfunction(given) or inspect.isasyncgenfunction(given):
        raise TypeError(
            f"{name} must return once, and {show(given, SHOWN)} is a generator\n"
            "  return a list of what it yields"
        )


def check_type(output_type: object) -> None:
    """Refuse what is no type, as far as one can see.

    Raises:
        TypeError: As it says.
    """
    if class_of(output_type) in NO_TYPES:
        raise TypeError(
            f"output_type must be a type, not {show(output_type, SHOWN)}\n"
            "  write it as an annotation has it: output_type=list[int]"
        )


def duration(name: str, given: Any, *, least: float = -math.inf) -> float:
    """Convert seconds or a `timedelta`.

    Raises:
        TypeError: It is neither.
        ValueError: It is not finite, or less than `least`.
    """
    value: Any = seconds(given)
    if not isinstance(value, int | float) or isinstance(value, bool):
        hint = "\n  write sleep_until() for a moment" if isinstance(given, date) else ""
        raise TypeError(f"{name} must be seconds or a timedelta, not {show(given, SHOWN)}{hint}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number of seconds, not {given!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least:g}, not {given!r}")
    return float(value)


def moment(name: str, given: object) -> datetime:
    """Refuse what is no moment.

    Raises:
        TypeError: It is no `datetime`.
        ValueError: It has no time zone.
    """
    if not isinstance(given, datetime):
        hint = ""
        if isinstance(given, int | float | timedelta):
            hint = "\n  write sleep() for a span of time"
        raise TypeError(f"{name} must be a datetime, not {show(given, SHOWN)}{hint}")
    if given.tzinfo is None:
        raise ValueError(
            f"{name} must have a time zone, and {given!r} has none\n"
            "  write datetime(..., tzinfo=UTC), or ctx.now() + timedelta(...)"
        )
    return given


def limit(given: Any) -> Any:
    """Refuse a limit that nobody could keep to.

    Raises:
        TypeError: It is neither a number nor a limiter.
        ValueError: The number is less than 1.
    """
    if given is None or callable(getattr(class_of(given), "acquire_on_behalf_of", None)):
        return given
    if not isinstance(given, int) or isinstance(given, bool):
        raise TypeError(
            f"limit must be a whole number or a capacity limiter, not {show(given, SHOWN)}"
        )
    if given < 1:
        raise ValueError(f"limit must be at least 1, not {given}: nobody would ever begin")
    return given


def policy(retry: Any) -> RetryPolicy:
    """Make the policy of what `retry=` was given.

    Raises:
        TypeError: It is neither a number nor a policy.
        ValueError: It is a number less than 0.
    """
    for fault in check_retries("retry", retry):
        is_number = isinstance(retry, int) and not isinstance(retry, bool)
        raise ValueError(fault) if is_number else TypeError(fault)
    return policy_of(retry)


def policy_of(retries: int | RetryPolicy) -> RetryPolicy:
    """Make the policy of a number of retries; a policy is one already."""
    if isinstance(retries, int):
        return ExponentialBackoffRetryPolicy(
            maximum_attempts=retries + 1, initial_delay=1, multiplier=2, max_delay=300
        )
    return retries


def check_retries(name: str, given: object) -> Faults:
    """Tell what is wrong with a number of retries, or with a policy."""
    if isinstance(given, int):
        if isinstance(given, bool) or given < 0:
            yield f"{name} must be at least 0, or a retry policy, not {given!r}"
    elif isinstance(given, type) or not callable(getattr(given, "next", None)):
        hint = f": write {given.__name__}()" if isinstance(given, type) else ""
        yield f"{name} must be a whole number or a retry policy, not {show(given, SHOWN)}{hint}"


def text(name: str, given: object, example: str) -> str:
    """Refuse what is no text, or an empty one.

    Raises:
        TypeError: It is no text.
        ValueError: It is empty.
    """
    if not isinstance(given, str):
        raise TypeError(f"{name} must be a str, not {show(given, SHOWN)}\n  write {example}")
    if not given:
        raise ValueError(f"{name} must not be empty\n  write {example}")
    return given
