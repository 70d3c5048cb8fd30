"""Waits: how long until the next attempt?"""

# ruff: noqa: N801 - strategies are called as functions are, and compared and shown as values are.
# ruff: noqa: ARG002 - an answer need not use all that is known.

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import attrs

from .arguments import finite, in_order, limit, not_negative, number, positive, seconds
from .strategy import Flat, RetryState, Several, Strategy

AnyWait: TypeAlias = Callable[[Any], float]

#: The longest delay: what grows beyond any float is cut here.
LONGEST: Final = math.nextafter(math.inf, 0)


def _between(low: float, delay: float, high: float) -> float:
    return max(low, min(delay, high, LONGEST))


def _grown(first: float, base: float, retry_state: RetryState) -> float:
    try:
        return first * base ** (retry_state.attempt_number - 1)
    except OverflowError:
        return math.inf if first else 0.0


def _drawn(low: float, high: float, retry_state: RetryState) -> float:
    return min(low + (high - low) * retry_state.draw(), high)  # the sum may be rounded up


class Wait(Strategy):
    """The base of plait's waits."""

    __slots__ = ()
    wanted = "a wait, such as wait_fixed(5)"

    def __add__(self, other: AnyWait) -> wait_combine:
        return wait_combine(self, other)

    # `sum` begins with 0.
    def __radd__(self, other: AnyWait | int) -> wait_combine:
        return wait_combine(self) if other == 0 else wait_combine(cast("AnyWait", other), self)


class wait_combine(Flat[AnyWait], Wait):
    """Wait as long as all the waits together: `a + b`, or `sum([a, b])`.

    Example:
        >>> retry_policy(wait=wait_fixed(5) + wait_exponential()).next(0, 2, OSError())
        7.0
    """

    def __call__(self, retry_state: RetryState) -> float:
        return sum((part(retry_state) for part in self.parts), 0.0)


class wait_chain(Several[AnyWait], Wait):
    """Take the first wait after the first failure, the second after the second, and so on.

    The last one serves all further failures.

    Raises:
        ValueError: There is no wait.

    Example:
        >>> patient = retry_policy(
        ...     wait=wait_chain(wait_none(), wait_fixed(10)), stop=stop_after_attempt(4)
        ... )
        >>> [patient.next(0, failures, OSError()) for failures in (1, 2, 3, 4)]
        [0.0, 10.0, 10.0, None]
    """

    def __init__(self, *strategies: AnyWait) -> None:
        if not strategies:
            raise ValueError("wait_chain requires at least one strategy")
        super().__init__(*strategies)

    def __call__(self, retry_state: RetryState) -> float:
        place = min(max(retry_state.attempt_number, 1), len(self.parts))
        return self.parts[place - 1](retry_state)


@attrs.frozen
class wait_fixed(Wait):
    """Wait equally long each time.

    Example:
        >>> retry_policy(wait=wait_fixed(timedelta(minutes=1))).next(0, 1, OSError())
        60.0
    """

    wait: float = attrs.field(converter=seconds, validator=not_negative)

    def __call__(self, retry_state: RetryState) -> float:
        return self.wait


@attrs.frozen
class wait_none(Wait):
    """Try again at once.

    Example:
        >>> retry_policy(wait=wait_none()).next(0, 1, OSError())
        0.0
    """

    def __call__(self, retry_state: RetryState) -> float:
        return 0.0


@attrs.frozen
class wait_incrementing(Wait):
    """Wait `start` seconds the first time, and `increment` more each further time, up to `max`.

    A negative `increment` makes the waits shorter, down to 0.

    Example:
        >>> retry_policy(wait=wait_incrementing(1, 10)).next(0, 2, OSError())
        11.0
    """

    start: float = attrs.field(default=0.0, converter=seconds, validator=finite)
    increment: float = attrs.field(default=100.0, converter=seconds, validator=finite)
    max: float = attrs.field(default=math.inf, converter=seconds, validator=limit)

    def __call__(self, retry_state: RetryState) -> float:
        grown = self.start + self.increment * (retry_state.attempt_number - 1)
        return _between(0.0, grown, self.max)


@attrs.frozen
class wait_exponential(Wait):
    """Wait `multiplier` seconds the first time, and `exp_base` times as long each further time.

    It is never less than `min` and never more than `max`.

    Example:
        >>> retry_policy(wait=wait_exponential(multiplier=0.5)).next(0, 2, OSError())
        1.0
    """

    multiplier: float = attrs.field(default=1.0, converter=number, validator=not_negative)
    exp_base: float = attrs.field(default=2.0, converter=number, validator=positive)
    max: float = attrs.field(default=60.0, converter=seconds, validator=limit)
    min: float = attrs.field(default=0.0, converter=seconds, validator=[not_negative, in_order])

    def __call__(self, retry_state: RetryState) -> float:
        grown = _grown(self.multiplier, self.exp_base, retry_state)
        return _between(self.min, grown, self.max)


class wait_random_exponential(wait_exponential):
    """Wait at random between `min` and what `wait_exponential` would wait.

    Of many that fail together, few then come back together. `wait_full_jitter` is the same.

    Example:
        >>> 0 <= retry_policy(wait=wait_random_exponential()).next(0, 2, OSError(), seed=7) <= 2
        True
    """

    def __call__(self, retry_state: RetryState) -> float:
        return _drawn(self.min, super().__call__(retry_state), retry_state)


wait_full_jitter = wait_random_exponential


@attrs.frozen
class wait_random(Wait):
    """Wait at random between `min` and `max` seconds.

    Example:
        >>> 5 <= retry_policy(wait=wait_random(5, 6)).next(0, 1, OSError(), seed=7) <= 6
        True
    """

    min: float = attrs.field(default=0.0, converter=seconds, validator=not_negative)
    max: float = attrs.field(default=1.0, converter=seconds, validator=[not_negative, in_order])

    def __call__(self, retry_state: RetryState) -> float:
        return _drawn(self.min, self.max, retry_state)


@attrs.frozen
class wait_exponential_jitter(Wait):
    """Wait as `wait_exponential` does from `initial` on, and at random up to `jitter` seconds more.

    It is never more than `max`.

    Example:
        >>> policy = retry_policy(wait=wait_exponential_jitter())
        >>> 2 <= policy.next(0, 2, OSError(), seed=7) <= 3
        True
    """

    initial: float = attrs.field(default=1.0, converter=seconds, validator=not_negative)
    exp_base: float = attrs.field(default=2.0, converter=number, validator=positive)
    max: float = attrs.field(default=60.0, converter=seconds, validator=limit)
    jitter: float = attrs.field(default=1.0, converter=seconds, validator=not_negative)

    def __call__(self, retry_state: RetryState) -> float:
        grown = _grown(self.initial, self.exp_base, retry_state)
        return _between(0.0, grown + _drawn(0.0, self.jitter, retry_state), self.max)
