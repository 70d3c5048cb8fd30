"""Policies: what `@step(retry_policy=...)` takes.

Rule 1: the condition is asked first, then the wait, and the stop last: `stop_before_delay` must know
    the wait that would follow.
Rule 2: a policy has no clock and no memory, as little as its strategies have.
"""

# ruff: noqa: N801 - policies are called as functions are, and compared and shown as values are.
# ruff: noqa: ARG002 - an answer need not use all that is known.

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol, final, runtime_checkable

import attrs

from plait._naming import publish

from .arguments import count, limit, not_negative, number, positive, seconds
from .conditions import AnyCondition, Condition, retry_if_exception_type
from .stops import AnyStop, Stop, stop_after_attempt
from .strategy import Outcome, RetryState
from .waits import (
    AnyWait,
    Wait,
    wait_exponential,
    wait_fixed,
    wait_none,
    wait_random_exponential,
)


@runtime_checkable
class RetryPolicy(Protocol):
    """Whatever decides about retries. Its `next` may leave out `seed`.

    Example:
        >>> class Thrice:
        ...     def next(self, elapsed_time, attempts, error, *, seed=None):
        ...         return 0.5 if attempts < 3 else None
        >>> isinstance(Thrice(), RetryPolicy)
        True
    """

    def next(
        self, elapsed_time: float, attempts: int, error: Exception, *, seed: int | None = None
    ) -> float | None:
        """Say how many seconds the next attempt shall wait, or `None` to give up.

        Args:
            elapsed_time: The seconds since the first attempt began.
            attempts: How many attempts have failed.
            error: The error of the last one.
            seed: Where chance comes from: the same seed must give the same answer.
        """
        ...


def _condition(condition: AnyCondition | None) -> AnyCondition:
    return Condition.check(retry_if_exception_type() if condition is None else condition)


def _wait(wait: AnyWait | Literal[0]) -> AnyWait:
    return Wait.check(wait_none() if wait == 0 else wait)


def _stop(stop: AnyStop) -> AnyStop:
    return Stop.check(stop)


@attrs.frozen
class retry_policy:
    """A policy of three strategies: retry on which errors, how long to wait, when to give up.

    Each may be one of this module's, one of tenacity's, or a function of your own. That is called
    with a state that has `attempt_number` (the failures so far), `seconds_since_start`,
    `outcome.exception()` and, for a stop, `upcoming_sleep`. This module's random waits follow from
    the seed; what other code draws is its own affair, and differs from one recovery to the next.

    Args:
        retry: The condition; by default every exception is worth another attempt.
        wait: The wait, in seconds; by default `wait_fixed(5)`. 0, which is the `sum` of no waits, is no wait.
        stop: The stop; by default `stop_after_attempt(3)`.

    Raises:
        TypeError: An argument is no such strategy.

    Example:
        >>> policy = retry_policy(
        ...     retry=retry_if_exception_type(OSError),
        ...     wait=wait_exponential(multiplier=0.1) + wait_random(0, 0.1),
        ...     stop=stop_after_attempt(5) | stop_before_delay(30),
        ... )
        >>> policy.next(0, 1, ValueError())
        >>> policy.next(0, 1, OSError(), seed=7) == policy.next(0, 1, OSError(), seed=7)
        True
    """

    retry: AnyCondition = attrs.field(default=None, converter=_condition)
    wait: AnyWait = attrs.field(default=wait_fixed(5), converter=_wait)
    stop: AnyStop = attrs.field(default=stop_after_attempt(3), converter=_stop)

    def next(
        self, elapsed_time: float, attempts: int, error: Exception, *, seed: int | None = None
    ) -> float | None:
        """As `RetryPolicy.next`: seconds until the next attempt, or `None` to give up.

        Args:
            elapsed_time: Seconds since the first attempt began.
            attempts: How many attempts have failed.
            error: What the last one raised.
            seed: What random waits follow from; without one, chance is fresh.
        """
        state = RetryState(attempts, elapsed_time, Outcome(error), seed=seed)
        if not self.retry(state):
            return None
        state.upcoming_sleep = self.wait(state)
        return None if self.stop(state) else state.upcoming_sleep


@final
@attrs.frozen
class ConstantDelayRetryPolicy:
    """Wait equally long each time, until `maximum_attempts` have failed.

    Example:
        >>> policy = ConstantDelayRetryPolicy(maximum_attempts=3, delay=0.5)
        >>> [policy.next(0, failures, OSError()) for failures in (1, 2, 3)]
        [0.5, 0.5, None]
    """

    maximum_attempts: int = attrs.field(default=3, validator=count)
    delay: float = attrs.field(default=5.0, converter=seconds, validator=not_negative)

    def next(
        self, elapsed_time: float, attempts: int, error: Exception, *, seed: int | None = None
    ) -> float | None:
        """As `RetryPolicy.next`."""
        return self.delay if attempts < self.maximum_attempts else None


@final
@attrs.frozen
class ExponentialBackoffRetryPolicy:
    """Wait longer each time, up to `max_delay`, until `maximum_attempts` have failed.

    With `jitter` a wait is drawn at random between 0 and what it would be without.

    Example:
        >>> policy = ExponentialBackoffRetryPolicy(jitter=False)
        >>> [policy.next(0, failures, OSError()) for failures in (1, 2, 3, 4, 5)]
        [1.0, 2.0, 4.0, 8.0, None]
    """

    maximum_attempts: int = attrs.field(default=5, validator=count)
    initial_delay: float = attrs.field(default=1.0, converter=seconds, validator=not_negative)
    multiplier: float = attrs.field(default=2.0, converter=number, validator=positive)
    max_delay: float = attrs.field(default=60.0, converter=seconds, validator=limit)
    jitter: bool = True

    def next(
        self, elapsed_time: float, attempts: int, error: Exception, *, seed: int | None = None
    ) -> float | None:
        """As `RetryPolicy.next`: seconds until the next attempt, or `None` to give up.

        Args:
            elapsed_time: Seconds since the first attempt began.
            attempts: How many attempts have failed.
            error: What the last one raised.
            seed: What random waits follow from; without one, chance is fresh.
        """
        if attempts >= self.maximum_attempts:
            return None
        kind = wait_random_exponential if self.jitter else wait_exponential
        wait = kind(self.initial_delay, self.multiplier, self.max_delay)
        return wait(RetryState(attempts, elapsed_time, Outcome(error), seed=seed))


@final
@attrs.frozen
class RetryInfo:
    """What `ctx.retry_info()` knows: how often this delivery has failed, and how.

    Attributes:
        retry_number: How many attempts have failed; 0 in the first.
        elapsed_seconds: Counted from the start of the first attempt.
        last_exception: The last attempt's error, if there was one.
        last_failed_at: Its time, in UTC.

    Example:
        >>> RetryInfo(0, 0.0, None, None).retry_number
        0
    """

    retry_number: int
    elapsed_seconds: float
    last_exception: Exception | None
    last_failed_at: datetime | None


publish(
    "plait.retry",
    RetryPolicy,
    retry_policy,
    ConstantDelayRetryPolicy,
    ExponentialBackoffRetryPolicy,
    RetryInfo,
)
