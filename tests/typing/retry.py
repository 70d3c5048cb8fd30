"""What pyright (strict) and mypy (strict) must say of retry policies. Checked, never run."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Protocol, assert_type

from plait._kernel.retry.ask import AnyRetryPolicy, ask
from plait.retry import (
    ConstantDelayRetryPolicy,
    ExponentialBackoffRetryPolicy,
    RetryInfo,
    RetryPolicy,
    retry_all,
    retry_always,
    retry_any,
    retry_if_exception,
    retry_if_exception_cause_type,
    retry_if_exception_message,
    retry_if_exception_type,
    retry_if_not_exception_type,
    retry_never,
    retry_policy,
    stop_after_attempt,
    stop_after_delay,
    stop_all,
    stop_any,
    stop_before_delay,
    stop_never,
    wait_chain,
    wait_combine,
    wait_exponential,
    wait_exponential_jitter,
    wait_fixed,
    wait_full_jitter,
    wait_incrementing,
    wait_none,
    wait_random,
    wait_random_exponential,
)

# Policies of every kind are policies.

composed: RetryPolicy = retry_policy()
constant: RetryPolicy = ConstantDelayRetryPolicy(maximum_attempts=3, delay=0.5)
backoff: RetryPolicy = ExponentialBackoffRetryPolicy(max_delay=timedelta(minutes=1), jitter=False)
assert_type(composed.next(0.5, 1, ValueError(), seed=1), float | None)
assert_type(retry_policy().next(0, attempts=1, error=ValueError()), float | None)
retry_policy().next("0", 1, ValueError())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Seeded:
    def next(
        self, elapsed_time: float, attempts: int, error: Exception, *, seed: int | None = None
    ) -> float | None:
        return None


class Seedless:
    def next(self, elapsed: float, failures: int, error: BaseException) -> float | None:
        return None


class NoPolicy:
    def next(self) -> float:
        return 0.0


seeded: RetryPolicy = Seeded()
also: AnyRetryPolicy = Seedless()
ask(Seeded(), 0.5, 1, ValueError(), 1)
ask(Seedless(), 0.5, 1, ValueError(), 1)
ask(composed, 0.5, 1, ValueError(), 1)
ask(NoPolicy(), 0.5, 1, ValueError(), 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(ask(seeded, 0.5, 1, ValueError(), 1), float | None)

# Conditions.

assert_type(retry_always & retry_never, retry_all)
assert_type(retry_if_exception_type(OSError) | retry_always, retry_any)
assert_type(retry_any(retry_always) & retry_all() & retry_never, retry_all)
retry_if_exception_type((OSError, ValueError))
retry_if_not_exception_type(types=KeyError)
retry_if_exception_cause_type()
retry_if_exception(lambda error: "busy" in str(error))
retry_if_exception_message(match="busy")
retry_if_exception_type(int)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
retry_any(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
retry_policy(retry=retry_always)
retry_policy(retry=retry_always())
retry_policy(retry=None)
retry_policy(retry=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def by_cause(error: BaseException) -> bool:
    return error.__cause__ is not None


retry_if_exception(by_cause)

# Waits.

assert_type(wait_fixed(1) + wait_none(), wait_combine)
assert_type(wait_fixed(1) + wait_random() + wait_chain(wait_none(), wait_fixed(2)), wait_combine)
wait_fixed(timedelta(seconds=1))
wait_random(min=0, max=timedelta(seconds=1))
wait_incrementing(start=1, increment=timedelta(seconds=1), max=60)
wait_exponential(multiplier=0.1, exp_base=2, max=timedelta(minutes=1), min=0)
wait_random_exponential(max=60)
wait_full_jitter(max=60)
wait_exponential_jitter(initial=1, exp_base=2, max=60, jitter=1)
wait_fixed("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
wait_fixed()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
retry_policy(wait=wait_fixed(1) + wait_random())
retry_policy(wait=sum([wait_fixed(1), wait_fixed(2)]))
retry_policy(wait=sum([wait_fixed(1), wait_random()]))
retry_policy(wait=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# Stops.

assert_type(stop_after_attempt(3) | stop_after_delay(60), stop_any)
assert_type(stop_after_attempt(3) & stop_before_delay(timedelta(minutes=1)), stop_all)
assert_type(stop_never | stop_any(stop_never()) | stop_all(), stop_any)
retry_policy(stop=stop_never)
retry_policy(stop=stop_never())
stop_after_attempt("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
retry_policy(stop=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# Functions, and strategies of the shape that tenacity's have.

retry_policy(lambda state: True, lambda state: 0.5, lambda state: False)


class State(Protocol):
    attempt_number: int


class TheirWait:
    def __call__(self, retry_state: State) -> float:
        return 0.0


class TheirStop:
    def __call__(self, retry_state: State) -> bool:
        return False


retry_policy(retry=TheirStop(), wait=TheirWait(), stop=TheirStop())
assert_type(wait_fixed(1) + TheirWait(), wait_combine)
assert_type(TheirStop() | stop_never, stop_any)
wait_chain(TheirWait(), wait_fixed(1))
strategy: Callable[[Any], float] = wait_fixed(1)

# Values.

info = RetryInfo(retry_number=0, elapsed_seconds=0.0, last_exception=None, last_failed_at=None)
assert_type(info.last_exception, Exception | None)
assert_type(info.last_failed_at, datetime | None)
info.retry_number = 1  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
wait_fixed(1).wait = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
