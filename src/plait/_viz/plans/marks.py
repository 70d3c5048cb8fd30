"""What is written below a name: limits, retries, times, in a few words each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plait._kernel.retry.stops import stop_after_attempt, stop_any


def count(number: int, what: str) -> str:
    """Say how many: `"1 worker"`, `"2 workers"`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def seconds(given: float) -> str:
    """Say how long: `"1.5 s"`, `"3 min"`, `"2 h"`, `"7 d"`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if given >= size and given % size == 0:
            return f"{given / size:g} {unit}"
    return f"{given:g} s"


def retries(policy: Any) -> str:
    """Say how often a policy has a body tried, as far as it tells."""
    most = _attempts(policy)
    return "retries" if most is None else attempts(most)


def attempts(most: int) -> str:
    """Say how often something is tried: `"up to 3 attempts"`."""
    return "no retries" if most == 1 else f"up to {most} attempts"


def _attempts(policy: Any) -> int | None:
    stop = getattr(policy, "stop", None)
    found = [*_counts(stop), *([policy.maximum_attempts] if _has_maximum(policy) else [])]
    return min(found, default=None)


def _has_maximum(policy: Any) -> bool:
    return type(getattr(policy, "maximum_attempts", None)) is int


def _counts(stop: object) -> Iterator[int]:
    if isinstance(stop, stop_after_attempt):
        yield stop.n
    elif isinstance(stop, stop_any):
        for part in stop.parts:
            yield from _counts(part)
