"""Row 74: the algebra of retry policies, beside tenacity's own objects.

A strategy is drawn as a text, such as `@wait_fixed(3) + @wait_none()`, and made of plait's names, of
tenacity's, or of both mixed. One question is put to all of them; tenacity's `Retrying` answers for
its own. Its waits draw from the one generator of a module, which therefore is given the generator
that plait makes of the question's seed.
"""

import datetime
import math
import random
import re
from datetime import timedelta
from itertools import pairwise
from unittest.mock import patch

import hypothesis.strategies as st
import pytest
import tenacity
import trio
from hypothesis import example, given

from plait import Context, StartEvent, StopEvent, Workflow, retry, step
from plait.retry import (
    ConstantDelayRetryPolicy,
    ExponentialBackoffRetryPolicy,
    retry_if_exception_message,
    retry_if_exception_type,
    retry_if_not_exception_message,
    retry_policy,
    stop_after_attempt,
    stop_never,
    wait_chain,
    wait_exponential,
    wait_exponential_jitter,
    wait_fixed,
    wait_full_jitter,
    wait_incrementing,
    wait_random,
    wait_random_exponential,
)

# ---------------------------------------------------------------- strategies, as texts


def call(name, *args, **options):
    """Draw a call; `@` stands for the library."""
    names = [""] * len(args) + [f"{option}=" for option in options]
    return st.tuples(*args, *options.values()).map(
        lambda values: f"@{name}({', '.join(map('{}{!r}'.format, names, values))})"
    )


def combined(parts, *templates):
    """Draw a part, or a combination of parts, each of which may be one as well."""
    return st.recursive(
        parts,
        lambda parts: st.one_of(
            *[st.builds(text.format, *[parts] * text.count("{}")) for text in templates]
        ),
        max_leaves=5,
    )


amounts = st.floats(0, 1e6) | st.integers(0, 10**6)
durations = amounts | st.timedeltas(timedelta(0), timedelta(days=9))
changes = st.floats(-1e3, 1e3) | st.timedeltas(timedelta(hours=-1), timedelta(hours=1))
growths = st.floats(0.1, 10) | st.integers(1, 10)
factors = st.floats(1e-9, 1e6) | st.integers(1, 10)  # not 0, see "nothing does not grow"
bounds = st.tuples(amounts, amounts).map(sorted)

exponential = st.builds(
    "multiplier={!r}, exp_base={!r}, min={b[0]!r}, max={b[1]!r}".format, factors, growths, b=bounds
)
steady_waits = (
    call("wait_none")
    | call("wait_fixed", durations)
    | call("wait_incrementing", changes, changes, durations)
    | call("wait_incrementing", start=changes, increment=changes, max=durations)
    | exponential.map("@wait_exponential({})".format)
)
random_waits = (
    bounds.map(lambda b: f"@wait_random({b[0]!r}, {b[1]!r})")
    | exponential.map("@wait_random_exponential({})".format)
    | call(
        "wait_exponential_jitter",
        initial=factors, exp_base=growths, max=durations, jitter=durations,
    )
)  # fmt: skip
sums = ("({} + {})", "sum([{}, {}, {}])", "@wait_combine({}, {})", "@wait_chain({}, {})")
waits = combined(steady_waits | random_waits, *sums)

TYPES = ["", "OSError", "ValueError", "(FlakyError, KeyError)", "(OSError, TypeError)", "()"]
MESSAGES = ["'abc'", "message='no'", "''"]
PATTERNS = [
    "match='bu'",
    "match='a|b'",
    "match='^[an]'",
    "match=''",
    "match=re.compile('A|B', re.I)",
]
CONDITIONS = [
    *("@retry_always", "@retry_never", "@retry_any()", "@retry_all()"),
    "@retry_if_exception(lambda error: 'b' in str(error))",
    *(f"@{name}({types})" for name in vars(retry) if name.endswith("_type") for types in TYPES),
    *(f"@{name}({text})" for name in vars(retry) if name.endswith("_message")
      for text in MESSAGES + PATTERNS),
]  # fmt: skip
conditions = combined(
    st.sampled_from(CONDITIONS),
    "({} & {})", "({} | {})", "@retry_any({}, {})", "@retry_all({}, {})",
)  # fmt: skip
stops = combined(
    st.sampled_from(["@stop_never", "@stop_any()", "@stop_all()"])
    | call("stop_after_attempt", st.integers(1, 20))
    | call("stop_after_delay", durations)
    | call("stop_before_delay", durations),
    "({} & {})", "({} | {})", "@stop_any({}, {})", "@stop_all({}, {})",
)  # fmt: skip

# ---------------------------------------------------------------- made, and asked


class FlakyError(OSError):
    pass


def caused_by(*errors):
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    return errors[0]


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
ERROR = ERRORS["os"]


class Tenacity:
    """tenacity, with the one parameter by plait's name that has another there."""

    def __getattr__(self, name):
        return getattr(tenacity, name)

    @staticmethod
    def wait_exponential_jitter(initial, exp_base, max, jitter):  # noqa: A002
        return tenacity.wait_exponential_jitter(
            multiplier=initial, exp_base=exp_base, max=max, jitter=jitter
        )


def made(text, *libraries):
    """Make the strategy, each `@` being the next of the libraries."""
    names = {"datetime": datetime, "re": re, "FlakyError": FlakyError}
    first, *parts = text.split("@")
    for n, part in enumerate(parts):
        names[f"lib{n}"] = libraries[n % len(libraries)]
        first += f"lib{n}.{part}"
    return eval(first, names)


def ours(text):
    return made(text, retry)


def theirs(text):
    return made(text, Tenacity())


def answer_of_tenacity(retry, wait, stop, elapsed, attempts, error, seed):
    retrying = tenacity.Retrying(retry=retry, wait=wait, stop=stop)
    retrying.begin()
    state = tenacity.RetryCallState(retrying, None, (), {})
    state.set_exception((type(error), error, None))
    state.attempt_number = attempts
    state.start_time, state.outcome_timestamp = 0.0, elapsed
    with patch("tenacity.wait.random", random.Random(seed)):
        try:
            return retrying.iter(state)
        except (tenacity.RetryError, type(error)):  # the stop said yes, or the condition said no
            return None


questions = st.tuples(
    amounts.map(float), st.integers(1, 2000), st.sampled_from([*ERRORS.values()]), st.integers()
)


def same(ours, theirs):
    return ours == (None if theirs is None else pytest.approx(theirs, rel=1e-9))


# ---------------------------------------------------------------- the same answers


@given(waits, questions)
def test_row_074_waits(wait, question):
    *asked, seed = question
    delay = retry_policy(wait=ours(wait), stop=stop_never).next(*asked, seed=seed)
    always, never = tenacity.retry_always, tenacity.stop_never
    assert same(delay, answer_of_tenacity(always, theirs(wait), never, *question))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_row_074_conditions(condition):
    wait, stop = tenacity.wait_fixed(5), tenacity.stop_never
    for error in ERRORS.values():
        delay = retry_policy(ours(condition)).next(0, 1, error)
        assert delay == answer_of_tenacity(theirs(condition), wait, stop, 0.0, 1, error, 0)


@given(conditions)
def test_row_074_conditions_of_conditions(condition):
    test_row_074_conditions(condition)


@given(stops, steady_waits, questions, st.integers(1, 25))
@example("@stop_before_delay(10)", "@wait_fixed(5)", (5.0, 1, ERROR, 0), 1)
@example("@stop_before_delay(10)", "@wait_fixed(5)", (4.9, 1, ERROR, 0), 1)
@example("@stop_after_delay(10)", "@wait_fixed(5)", (10.0, 1, ERROR, 0), 1)
@example("@stop_after_attempt(3)", "@wait_none()", (0.0, 3, ERROR, 0), 3)
def test_row_074_stops(stop, wait, question, attempts):
    elapsed, _, error, seed = question
    delay = retry_policy(None, ours(wait), ours(stop)).next(elapsed, attempts, error, seed=seed)
    always = tenacity.retry_always
    assert same(
        delay,
        answer_of_tenacity(always, theirs(wait), theirs(stop), elapsed, attempts, error, seed),
    )


# ---------------------------------------------------------------- its objects are accepted


mixtures = st.lists(st.sampled_from([retry, Tenacity()]), min_size=2, max_size=5)


@given(combined(steady_waits, *sums), mixtures, questions)
@example("@wait_chain(@wait_none(), @wait_fixed(3))", [Tenacity(), retry], (0.0, 2, ERROR, 0))
@example("sum([@wait_fixed(1), @wait_fixed(2)])", [retry, Tenacity()], (0.0, 1, ERROR, 0))
@example("sum([@wait_fixed(1), @wait_fixed(2)])", [Tenacity(), retry], (0.0, 1, ERROR, 0))
def test_row_074_waits_of_both_mix(wait, libraries, question):
    *asked, seed = question
    mixed, pure = (
        retry_policy(wait=each, stop=tenacity.stop_never).next(*asked, seed=seed)
        for each in (made(wait, *libraries), ours(wait))
    )
    assert mixed == pytest.approx(pure, rel=1e-9)


@given(conditions, stops, mixtures, questions)
def test_row_074_conditions_and_stops_of_both_mix(condition, stop, libraries, question):
    *asked, seed = question
    mixed, pure = (
        retry_policy(made(condition, *each), tenacity.wait_fixed(5), made(stop, *each))
        for each in (libraries, [retry])
    )
    assert mixed.next(*asked, seed=seed) == pure.next(*asked, seed=seed)


@pytest.mark.parametrize(
    ("mixed", "delays"),
    [
        (wait_fixed(1) + (lambda state: 2 ** (state.attempt_number - 1)), [2, 3, 5, 9]),
        ((lambda state: 2 ** (state.attempt_number - 1)) + wait_fixed(1), [2, 3, 5, 9]),
        (tenacity.wait_fixed(1) + (lambda state: state.attempt_number), [2, 3, 4, 5]),
        (tenacity.wait_exception(lambda error: len(error.args)) + wait_fixed(1), [2, 2, 2, 2]),
    ],
)
def test_row_074_functions_are_accepted_and_what_has_no_namesake(mixed, delays):
    policy = retry_policy(tenacity.retry_if_exception_cause_type(KeyError), mixed, stop_never)
    error = caused_by(ValueError("no"), KeyError())
    assert [policy.next(0, n, error) for n in (1, 2, 3, 4)] == delays
    for condition in (tenacity.retry_if_result(bool), tenacity.retry_if_not_result(bool)):
        assert retry_policy(condition).next(0, 1, error) is None  # a failure has no result
    assert retry_policy(lambda _: True, wait_fixed(2), lambda _: False).next(0, 9, error) == 2


@pytest.mark.parametrize("strategy", ["@retry_never", "@stop_never"])
@pytest.mark.parametrize("answer", [True, False])
def test_row_074_functions_combine_with_strategies_on_either_side(strategy, answer):
    never, state = ours(strategy), tenacity.RetryCallState(None, None, (), {})
    for both in (never & (lambda _: answer), (lambda _: answer) & never):
        assert both(state) is False
    for one in (never | (lambda _: answer), (lambda _: answer) | never):
        assert one(state) is answer


async def test_row_074_a_step_is_retried_as_tenacitys_objects_say(autojump_clock):
    class Flow(Workflow):
        @step(
            retry_policy=retry_policy(
                tenacity.retry_if_exception_type(OSError),
                tenacity.wait_exponential() + wait_fixed(1),
                tenacity.stop_after_attempt(3) | tenacity.stop_after_delay(60),
            )
        )
        async def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            times.append(trio.current_time())
            raise OSError("busy")

    times = []
    with pytest.raises(OSError, match="busy"):
        await Flow().run()
    assert times == [0, 2, 5]


# ---------------------------------------------------------------- plait's own


def test_row_074_nothing_does_not_grow():
    """tenacity waits `max` seconds, once `exp_base ** n` is larger than any float."""
    policy = retry_policy(wait=wait_exponential(multiplier=0), stop=stop_never)
    assert [policy.next(0, n, ERROR) for n in (1, 2, 1024, 1025, 2000)] == [0] * 5


def test_row_074_without_a_seed_chance_is_fresh():
    policy = retry_policy(wait=wait_random())
    assert len({policy.next(0, 1, ERROR) for _ in range(5)}) == 5


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
