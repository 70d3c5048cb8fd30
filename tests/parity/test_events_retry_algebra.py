"""Row 74: the algebra of retry policies. What is expected here was checked against tenacity 9.2.1.

The checks compared, beside these, some 170 000 answers of `plait.retry` and of tenacity's namesakes:
each wait, stop and condition, and all pairs, over attempts 1 to 2000. tenacity itself is not needed
here: `Theirs` has the shape of its strategies.
"""

import math
import re
from datetime import timedelta
from itertools import pairwise

import pytest

from plait import retry
from plait.retry import (
    ConstantDelayRetryPolicy,
    ExponentialBackoffRetryPolicy,
    retry_all,
    retry_always,
    retry_any,
    retry_if_exception,
    retry_if_exception_cause_type,
    retry_if_exception_message,
    retry_if_exception_type,
    retry_if_not_exception_message,
    retry_if_not_exception_type,
    retry_never,
    retry_policy,
    retry_unless_exception_type,
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

ATTEMPTS = [1, 2, 3, 4, 5, 7, 10, 64, 1024, 1025, 2000]
ERROR = OSError("busy")


def capped(n, multiplier=1.0, base=2.0, most=60.0, least=0.0):
    """`multiplier * base ** (n - 1)` between the bounds, by logarithms where it is too large."""
    exponent = math.log(multiplier) + (n - 1) * math.log(base)
    return max(least, most if exponent > 700 else min(most, multiplier * base ** (n - 1)))


@pytest.mark.parametrize(
    ("wait", "delay"),
    [
        (wait_fixed(2.5), lambda _: 2.5),
        (wait_fixed(timedelta(minutes=1)), lambda _: 60),
        (wait_none(), lambda _: 0),
        (wait_exponential(), capped),
        (wait_exponential(0.5, 3, 1e9, 2), lambda n: capped(n, 0.5, 3, 1e9, 2)),
        (wait_exponential(exp_base=0.5, min=0.1), lambda n: capped(n, 1, 0.5, 60, 0.1)),
        (wait_exponential(max=timedelta(minutes=5), min=timedelta(seconds=3)),
         lambda n: capped(n, 1, 2, 300, 3)),
        (wait_incrementing(), lambda n: 100 * (n - 1)),
        (wait_incrementing(5, 2.5, 20), lambda n: min(5 + 2.5 * (n - 1), 20)),
        (wait_incrementing(10, -4), lambda n: max(10 - 4 * (n - 1), 0)),
        (wait_incrementing(timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=6)),
         lambda n: min(1 + 2 * (n - 1), 6)),
        (wait_random(3, 3), lambda _: 3),
        (wait_exponential_jitter(2, 3, 50, 0), lambda n: capped(n, 2, 3, 50)),
        (wait_chain(wait_fixed(1), wait_fixed(5), wait_exponential()),
         lambda n: {1: 1, 2: 5}.get(n) or capped(n)),
        (wait_combine(), lambda _: 0),
        (wait_combine(wait_fixed(1), wait_exponential()), lambda n: 1 + capped(n)),
        (wait_fixed(1) + wait_exponential() + wait_fixed(2), lambda n: 3 + capped(n)),
        (sum([wait_fixed(1), wait_exponential()]), lambda n: 1 + capped(n)),
        (sum([]), lambda _: 0),
    ],
)  # fmt: skip
def test_row_074_waits(wait, delay):
    policy = retry_policy(wait=wait, stop=stop_never)
    for n in ATTEMPTS:
        assert policy.next(0, n, ERROR) == pytest.approx(delay(n), rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("wait", "low", "high"),
    [
        (wait_random(), lambda _: 0, lambda _: 1),
        (wait_random(timedelta(seconds=2), 5), lambda _: 2, lambda _: 5),
        (wait_random_exponential(), lambda _: 0, capped),
        (wait_random_exponential(0.5, 3, 20, 0.25),
         lambda _: 0.25, lambda n: capped(n, 0.5, 3, 20, 0.25)),
        (wait_full_jitter(min=3), lambda _: 3, lambda n: capped(n, least=3)),
        (wait_exponential_jitter(), capped, lambda n: min(capped(n) + 1, 60)),
        (wait_exponential_jitter(2, 3, 20, 0.5),
         lambda n: capped(n, 2, 3, 20), lambda n: min(capped(n, 2, 3, 1e9) + 0.5, 20)),
    ],
)  # fmt: skip
def test_row_074_random_waits_fill_the_range_and_follow_from_the_seed(wait, low, high):
    policy = retry_policy(wait=wait, stop=stop_never)
    for n in ATTEMPTS:
        delays = [policy.next(0, n, ERROR, seed=seed) for seed in range(300)]
        assert delays == [policy.next(0, n, ERROR, seed=seed) for seed in range(300)]
        slack = 0.05 * (high(n) - low(n)) + 1e-9
        assert low(n) <= min(delays) <= low(n) + slack
        assert high(n) - slack <= max(delays) <= high(n)


def test_row_074_without_a_seed_chance_is_fresh():
    policy = retry_policy(wait=wait_random())
    assert len({policy.next(0, 1, ERROR) for _ in range(5)}) == 5


def caused_by(*errors):
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    return errors[0]


class FlakyError(OSError):
    pass


ERRORS = {
    "value": ValueError("abc"),
    "os": OSError("abc"),
    "flaky": FlakyError("busy now"),
    "key": KeyError("abc"),
    "empty": ValueError(),
    "by os": caused_by(ValueError("no"), OSError()),
    "by key by flaky": caused_by(ValueError("no"), KeyError(), FlakyError()),
    "in a ring": caused_by(*[ValueError("no")] * 2),
}
ALL = set(ERRORS)


@pytest.mark.parametrize(
    ("condition", "retried"),
    [
        (None, ALL),
        (retry_always, ALL),
        (retry_always(), ALL),
        (retry_never, set()),
        (retry_never(), set()),
        (retry_if_exception(lambda error: "b" in str(error)), {"value", "os", "flaky", "key"}),
        (retry_if_exception_type(), ALL),
        (retry_if_exception_type(OSError), {"os", "flaky"}),
        (retry_if_exception_type((FlakyError, KeyError)), {"flaky", "key"}),
        (retry_if_not_exception_type(), set()),
        (retry_if_not_exception_type(OSError), ALL - {"os", "flaky"}),
        (retry_unless_exception_type((OSError, ValueError)), {"key"}),
        (retry_if_exception_cause_type(), {"by os", "by key by flaky", "in a ring"}),
        (retry_if_exception_cause_type(OSError), {"by os", "by key by flaky"}),
        (retry_if_exception_cause_type((FlakyError, TypeError)), {"by key by flaky"}),
        (retry_if_exception_message("abc"), {"value", "os"}),
        (retry_if_exception_message(message=""), {"empty"}),
        (retry_if_exception_message(match="bu"), {"flaky"}),
        (retry_if_exception_message(match=re.compile("A|B", re.IGNORECASE)),
         {"value", "os", "flaky"}),
        (retry_if_exception_message(match=""), ALL),
        (retry_if_not_exception_message("no"), {"value", "os", "flaky", "key", "empty"}),
        (retry_if_not_exception_message(match="[an]"), {"flaky", "key", "empty"}),
        (retry_any(), set()),
        (retry_all(), ALL),
        (retry_any(retry_if_exception_type(KeyError), retry_if_exception_message("abc")),
         {"value", "os", "key"}),
        (retry_all(retry_if_exception_type(OSError), retry_if_exception_message("abc")), {"os"}),
        (retry_if_exception_type(KeyError) | retry_if_exception_message("abc"),
         {"value", "os", "key"}),
        (retry_if_exception_type(OSError) & retry_if_exception_message("abc"), {"os"}),
    ],
)  # fmt: skip
def test_row_074_conditions(condition, retried):
    policy = retry_policy(retry=condition)
    assert {name for name, error in ERRORS.items() if policy.next(0, 1, error) is not None} == (
        retried
    )


@pytest.mark.parametrize(
    ("stop", "stops"),
    [
        (stop_after_attempt(1), lambda *_: True),
        (stop_after_attempt(3), lambda n, *_: n >= 3),
        (stop_after_delay(10), lambda _, elapsed, __: elapsed >= 10),
        (stop_after_delay(timedelta(seconds=10)), lambda _, elapsed, __: elapsed >= 10),
        (stop_before_delay(10), lambda _, elapsed, wait: elapsed + wait >= 10),
        (stop_before_delay(timedelta(seconds=5)), lambda _, elapsed, wait: elapsed + wait >= 5),
        (stop_never, lambda *_: False),
        (stop_never(), lambda *_: False),
        (stop_any(), lambda *_: False),
        (stop_all(), lambda *_: True),
        (stop_any(stop_after_attempt(3), stop_after_delay(10)), lambda n, e, _: n >= 3 or e >= 10),
        (stop_all(stop_after_attempt(3), stop_after_delay(10)), lambda n, e, _: n >= 3 and e >= 10),
        (stop_after_attempt(3) | stop_before_delay(10), lambda n, e, w: n >= 3 or e + w >= 10),
        (stop_after_attempt(3) & stop_before_delay(10), lambda n, e, w: n >= 3 and e + w >= 10),
    ],
)
@pytest.mark.parametrize("wait", [0, 0.1, 5])
def test_row_074_stops(stop, stops, wait):
    policy = retry_policy(wait=wait_fixed(wait), stop=stop)
    for n in (1, 2, 3, 4):
        for elapsed in (0, 4.9, 5, 5.1, 9.99, 10, 1e6):
            expected = None if stops(n, elapsed, wait) else wait
            assert policy.next(elapsed, n, ERROR) == expected


class Theirs:
    """A strategy of the shape that tenacity's have."""

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, retry_state):
        return self.answer(retry_state)

    def __add__(self, other):
        return Theirs(lambda state: self(state) + other(state))

    def __radd__(self, other):
        return self if other == 0 else self + other

    def __or__(self, other):
        return Theirs(lambda state: self(state) or other(state))

    def __and__(self, other):
        return Theirs(lambda state: self(state) and other(state))


THEIR_WAIT = Theirs(lambda state: 2.0 ** (state.attempt_number - 1) + state.idle_for)
THEIR_STOP = Theirs(lambda state: state.seconds_since_start + state.upcoming_sleep >= 10)
THEIR_CONDITION = Theirs(lambda state: state.outcome.failed and bool(state.outcome.exception()))


def test_row_074_objects_of_tenacity_are_accepted():
    policy = retry_policy(THEIR_CONDITION, THEIR_WAIT, THEIR_STOP)
    assert [policy.next(0, n, ERROR) for n in (1, 2, 3, 4, 5)] == [1, 2, 4, 8, None]
    assert [policy.next(5, n, ERROR) for n in (1, 2, 3, 4)] == [1, 2, 4, None]


@pytest.mark.parametrize(
    "wait",
    [
        wait_fixed(1) + THEIR_WAIT,
        THEIR_WAIT + wait_fixed(1),
        sum([wait_fixed(1), THEIR_WAIT]),
        sum([THEIR_WAIT, wait_fixed(1)]),
        wait_combine(THEIR_WAIT, wait_fixed(1)),
        wait_chain(wait_fixed(2), THEIR_WAIT + wait_fixed(1)),
        wait_fixed(1) + (lambda state: 2 ** (state.attempt_number - 1)),
        (lambda state: 2 ** (state.attempt_number - 1)) + wait_fixed(1),
    ],
)
def test_row_074_waits_of_both_kinds_and_functions_mix(wait):
    policy = retry_policy(wait=wait, stop=stop_never)
    assert [policy.next(0, n, ERROR) for n in (1, 2, 3, 4)] == [2, 3, 5, 9]


@pytest.mark.parametrize(
    ("mixed", "expected"),
    [
        (stop_never | THEIR_STOP, None),
        (THEIR_STOP | stop_never, None),
        (stop_never & THEIR_STOP, 5),
        (THEIR_STOP & stop_never, 5),
        (stop_after_attempt(1) & THEIR_STOP, None),
        ((lambda _: True) & stop_after_attempt(1), None),
        ((lambda _: False) | stop_never, 5),
    ],
)
def test_row_074_stops_of_both_kinds_and_functions_mix(mixed, expected):
    assert retry_policy(stop=mixed).next(10, 1, ERROR) == expected


@pytest.mark.parametrize(
    ("mixed", "expected"),
    [
        (retry_never | THEIR_CONDITION, 5),
        (THEIR_CONDITION | retry_never, 5),
        (retry_never & THEIR_CONDITION, None),
        (THEIR_CONDITION & retry_never, None),
        (retry_always & THEIR_CONDITION, 5),
        ((lambda _: True) & retry_always, 5),
        ((lambda _: False) | retry_never, None),
    ],
)
def test_row_074_conditions_of_both_kinds_and_functions_mix(mixed, expected):
    assert retry_policy(mixed).next(0, 1, ERROR) == expected


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (retry_policy(), [5, 5, None]),
        (ConstantDelayRetryPolicy(), [5, 5, None]),
        (ConstantDelayRetryPolicy(2, 0.5), [0.5, None]),
        (ExponentialBackoffRetryPolicy(jitter=False), [1, 2, 4, 8, None]),
        (ExponentialBackoffRetryPolicy(4, 10, 3, 50, jitter=False), [10, 30, 50, None]),
        (ExponentialBackoffRetryPolicy(maximum_attempts=1), [None]),
    ],
)
def test_row_074_ready_made_policies(policy, delays):
    assert [policy.next(0, n + 1, ERROR) for n in range(len(delays))] == delays


def test_row_074_jitter_is_full_and_follows_from_the_seed():
    policy = ExponentialBackoffRetryPolicy(maximum_attempts=9)
    for n, most in [(1, 1), (2, 2), (3, 4), (8, 60)]:
        delays = [policy.next(0, n, ERROR, seed=seed) for seed in range(300)]
        assert delays == [policy.next(0, n, ERROR, seed=seed) for seed in range(300)]
        assert 0 <= min(delays) < 0.05 * most < 0.95 * most < max(delays) <= most


def test_row_074_defaults():
    assert retry_policy() == retry_policy(None, wait_fixed(5), stop_after_attempt(3))
    assert wait_exponential() == wait_exponential(multiplier=1, exp_base=2, max=60, min=0)
    assert wait_incrementing() == wait_incrementing(start=0, increment=100, max=math.inf)
    assert wait_random() == wait_random(min=0, max=1)
    assert wait_exponential_jitter() == (
        wait_exponential_jitter(initial=1, exp_base=2, max=60, jitter=1)
    )
    assert wait_random_exponential() == wait_full_jitter(multiplier=1, exp_base=2, max=60, min=0)
    assert retry_if_exception_type() == retry_if_exception_type(types=Exception)
    assert ConstantDelayRetryPolicy() == ConstantDelayRetryPolicy(maximum_attempts=3, delay=5)
    assert ExponentialBackoffRetryPolicy() == ExponentialBackoffRetryPolicy(
        maximum_attempts=5, initial_delay=1, multiplier=2, max_delay=60, jitter=True
    )


def test_row_074_names():
    assert {name for name in vars(retry) if not name.startswith("_")} == {
        "ConstantDelayRetryPolicy", "ExponentialBackoffRetryPolicy", "RetryInfo", "RetryPolicy",
        "retry_all", "retry_always", "retry_any", "retry_if_exception",
        "retry_if_exception_cause_type", "retry_if_exception_message", "retry_if_exception_type",
        "retry_if_not_exception_message", "retry_if_not_exception_type", "retry_never",
        "retry_policy", "retry_unless_exception_type", "stop_after_attempt", "stop_after_delay",
        "stop_all", "stop_any", "stop_before_delay", "stop_never", "wait_chain", "wait_combine",
        "wait_exponential", "wait_exponential_jitter", "wait_fixed", "wait_full_jitter",
        "wait_incrementing", "wait_none", "wait_random", "wait_random_exponential",
    }  # fmt: skip


def test_row_074_texts():
    with pytest.raises(ValueError, match=r"^wait_chain requires at least one strategy$"):
        wait_chain()
    missing = r"missing 1 required argument 'message' or 'match'$"
    both = r"takes either 'message' or 'match', not both$"
    for condition in (retry_if_exception_message, retry_if_not_exception_message):
        with pytest.raises(TypeError, match=rf"^{condition.__name__}\(\) {missing}"):
            condition()
        with pytest.raises(TypeError, match=rf"^{condition.__name__}\(\) {both}"):
            condition("a", "b")
