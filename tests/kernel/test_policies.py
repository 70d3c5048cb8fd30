"""Retry policies: the laws of the algebra, what is refused, and how the kernel asks."""

import copy
import doctest
import functools
import math
import operator
import pickle
import re
from datetime import UTC, datetime, timedelta

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import given

from plait import retry
from plait._kernel.retry.ask import ask
from plait._kernel.retry.strategy import Outcome, RetryState
from plait.errors import WorkflowRuntimeError
from plait.retry import (
    ConstantDelayRetryPolicy,
    ExponentialBackoffRetryPolicy,
    RetryInfo,
    RetryPolicy,
    retry_all,
    retry_always,
    retry_any,
    retry_if_exception_cause_type,
    retry_if_exception_message,
    retry_if_exception_type,
    retry_if_not_exception_message,
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
    wait_incrementing,
    wait_none,
    wait_random,
    wait_random_exponential,
)

ERROR = OSError("busy")

# -- what there is ---------------------------------------------------------------------------------

seconds = st.floats(0, 1e6) | st.integers(0, 10**6)
counts = st.integers(1, 2000)
errors = st.sampled_from([OSError("busy"), TimeoutError("late"), ValueError("busy"), KeyError()])
types = st.sampled_from([OSError, TimeoutError, ValueError, (OSError, KeyError), Exception])
messages = st.sampled_from(["busy", "late", ""])


@st.composite
def bounds(draw):
    low, high = sorted(draw(st.tuples(seconds, seconds)))
    return {"min": low, "max": high}


steady_waits = (
    st.builds(wait_fixed, seconds)
    | st.builds(wait_none)
    | st.builds(wait_incrementing, st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), seconds)
    | st.builds(
        lambda multiplier, base, between: wait_exponential(multiplier, base, **between),
        seconds, st.floats(0.1, 10), bounds(),
    )
)  # fmt: skip
random_waits = (
    bounds().map(lambda between: wait_random(**between))
    | st.builds(
        lambda multiplier, base, between: wait_random_exponential(multiplier, base, **between),
        seconds, st.floats(0.1, 10), bounds(),
    )
    | st.builds(wait_exponential_jitter, seconds, st.floats(0.1, 10), seconds, seconds)
)  # fmt: skip
waits = st.recursive(
    steady_waits | random_waits,
    lambda parts: (
        st.builds(operator.add, parts, parts)
        | st.lists(parts, min_size=1, max_size=3).map(lambda several: wait_chain(*several))
    ),
    max_leaves=5,
)
conditions = st.recursive(
    st.sampled_from([retry_always, retry_never])
    | st.builds(retry_if_exception_type, types)
    | st.builds(retry_if_not_exception_type, types)
    | st.builds(retry_if_exception_cause_type, types)
    | st.builds(retry_if_exception_message, messages)
    | st.builds(retry_if_not_exception_message, match=messages),
    lambda parts: st.builds(operator.and_, parts, parts) | st.builds(operator.or_, parts, parts),
    max_leaves=5,
)
stops = st.recursive(
    st.just(stop_never)
    | st.builds(stop_after_attempt, counts)
    | st.builds(stop_after_delay, seconds)
    | st.builds(stop_before_delay, seconds),
    lambda parts: st.builds(operator.and_, parts, parts) | st.builds(operator.or_, parts, parts),
    max_leaves=5,
)
ready_made = st.builds(ConstantDelayRetryPolicy, counts, seconds) | st.builds(
    ExponentialBackoffRetryPolicy, counts, seconds, st.floats(0.1, 10), seconds, st.booleans()
)
all_policies = st.builds(retry_policy, st.none() | conditions, waits, stops) | ready_made
questions = st.tuples(seconds, counts, errors)
seeds = st.integers(-(2**70), 2**70)


def state(question, seed=0):
    elapsed, failures, error = question
    return RetryState(failures, elapsed, Outcome(error), seed=seed)


# -- the laws --------------------------------------------------------------------------------------


@given(conditions, conditions, questions)
def test_conditions_and_is_all_or_is_any(a, b, question):
    asked = state(question)
    assert (a & b)(asked) is retry_all(a, b)(asked) is (a(asked) and b(asked))
    assert (a | b)(asked) is retry_any(a, b)(asked) is (a(asked) or b(asked))


@given(stops, stops, questions, seconds)
def test_stops_and_is_all_or_is_any(a, b, question, sleep):
    asked = attrs.evolve(state(question), upcoming_sleep=sleep)
    assert (a & b)(asked) is stop_all(a, b)(asked) is (a(asked) and b(asked))
    assert (a | b)(asked) is stop_any(a, b)(asked) is (a(asked) or b(asked))


@given(st.lists(waits, max_size=4), questions, seeds)
def test_waits_add_up(several, question, seed):
    asked = state(question, seed)
    expected = sum(wait(asked) for wait in several)  # one state: each draws the next number
    whole = wait_combine(*several)
    assert whole(state(question, seed)) == pytest.approx(expected)
    if several:
        assert sum(several)(state(question, seed)) == pytest.approx(expected)
        assert functools.reduce(operator.add, several)(state(question, seed)) == (
            pytest.approx(expected)
        )


@given(st.data())
@pytest.mark.parametrize(
    ("strategies", "combine"),
    [
        (conditions, operator.and_),
        (conditions, operator.or_),
        (stops, operator.and_),
        (stops, operator.or_),
        (waits, operator.add),
    ],
    ids=["retry &", "retry |", "stop &", "stop |", "wait +"],
)
def test_grouping_makes_no_difference(strategies, combine, data):
    a, b, c = (data.draw(strategies) for _ in range(3))
    assert combine(combine(a, b), c) == combine(a, combine(b, c))


def test_a_sum_of_thousands_is_no_recursion():
    wait = sum([wait_fixed(1)] * 1500)
    assert retry_policy(wait=wait).next(0, 1, ERROR) == 1500
    never = functools.reduce(operator.or_, [stop_never] * 1500)
    assert retry_policy(stop=never).next(0, 1, ERROR) == 5


@given(all_policies, questions, seeds)
def test_the_same_question_has_the_same_answer(policy, question, seed):
    answer = policy.next(*question, seed=seed)
    assert policy.next(*question, seed=seed) == answer
    assert pickle.loads(pickle.dumps(policy)).next(*question, seed=seed) == answer
    assert answer is None or 0 <= answer < math.inf
    assert ask(policy, *question, seed) == answer


@given(waits, questions)
def test_a_delay_is_finite_and_not_negative(wait, question):
    delay = retry_policy(wait=wait, stop=stop_never).next(*question)
    assert isinstance(delay, float)
    assert 0 <= delay < math.inf


@given(bounds(), seconds, st.floats(0.1, 10), counts, seeds)
def test_random_waits_stay_in_their_bounds(between, multiplier, base, n, seed):
    asked = (0, n, ERROR)
    assert between["min"] <= wait_random(**between)(state(asked, seed)) <= between["max"]
    most = wait_exponential(multiplier, base, **between)(state(asked))
    drawn = wait_random_exponential(multiplier, base, **between)(state(asked, seed))
    assert between["min"] <= drawn <= most <= between["max"]
    steady = wait_exponential(multiplier, base, between["max"])(state(asked))
    jittered = wait_exponential_jitter(multiplier, base, between["max"], jitter=2)
    assert steady <= jittered(state(asked, seed)) <= min(steady + 2, between["max"])


@given(seconds, st.floats(1, 10), bounds(), counts, counts)
def test_growing_waits_grow(start, step, between, n, m):
    n, m = sorted([n, m])
    for wait in (
        wait_exponential(start, step, **between),
        wait_incrementing(start, step, between["max"]),
    ):
        assert wait(state((0, n, ERROR))) <= wait(state((0, m, ERROR)))


@given(stops, questions, seconds, seconds, counts)
def test_who_has_given_up_does_not_begin_again(stop, question, sleep, later, more):
    elapsed, failures, error = question
    before = attrs.evolve(state(question), upcoming_sleep=sleep)
    after = attrs.evolve(
        state((elapsed + later, failures + more, error)), upcoming_sleep=sleep + later
    )
    assert not stop(before) or stop(after)


@given(conditions, st.integers(1, 20), errors)
def test_attempts_are_counted(condition, n, error):
    policy = retry_policy(condition, wait_none(), stop_after_attempt(n))
    delays = [policy.next(0, failures, error) for failures in range(1, n + 1)]
    worth_it = condition(state((0, 1, error)))
    assert delays == ([0.0] * (n - 1) + [None] if worth_it else [None] * n)


def test_added_random_waits_vary_independently():
    twice = retry_policy(wait=wait_random() + wait_random())
    once = retry_policy(wait=wait_random())
    pairs = [(twice.next(0, 1, ERROR, seed=n), once.next(0, 1, ERROR, seed=n)) for n in range(200)]
    assert all(a != 2 * b for a, b in pairs)
    assert max(a - b for a, b in pairs) > 0.9
    assert min(a - b for a, b in pairs) < 0.1


def test_the_stop_is_asked_last_and_only_if_need_be():
    asked = []

    def saying(name, answer):
        def strategy(state):
            asked.append((name, state.upcoming_sleep))
            return answer

        return strategy

    policy = retry_policy(saying("retry", True), saying("wait", 3), saying("stop", False))  # noqa: FBT003
    assert policy.next(0, 1, ERROR) == 3
    assert asked == [("retry", 0), ("wait", 0), ("stop", 3)]
    asked.clear()
    assert attrs.evolve(policy, retry=saying("retry", False)).next(0, 1, ERROR) is None  # noqa: FBT003
    assert asked == [("retry", 0)]


def test_the_state_has_what_strategies_of_others_read():
    asked = state((7, 3, ERROR))
    assert (asked.attempt_number, asked.seconds_since_start) == (3, 7)
    assert (asked.idle_for, asked.upcoming_sleep) == (0, 0)
    assert asked.outcome.failed
    assert asked.outcome.exception() is ERROR
    with pytest.raises(OSError, match="busy"):
        asked.outcome.result()


def test_delays_are_the_same_in_every_release():
    policy = ExponentialBackoffRetryPolicy()
    assert [policy.next(0, n, ERROR, seed=7) for n in (1, 2, 3, 4, 5)] == (
        [0.32383276483316237, 0.6476655296663247, 1.2953310593326495, 2.590662118665299, None]
    )


# -- values ----------------------------------------------------------------------------------------


@given(all_policies)
def test_policies_are_values(policy):
    for twin in (pickle.loads(pickle.dumps(policy)), copy.deepcopy(policy)):
        assert twin == policy
        assert hash(twin) == hash(policy)
        assert repr(twin) == repr(policy)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        policy.next = None


@given(conditions | waits | stops)
def test_a_repr_can_be_pasted(strategy):
    assert eval(repr(strategy), {**vars(retry), "inf": math.inf}) == strategy


@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        (
            retry_policy(),
            """retry_policy(
                retry=retry_if_exception_type(types=Exception),
                wait=wait_fixed(wait=5.0), stop=stop_after_attempt(n=3))""",
        ),
        (
            retry_policy(
                retry_always & retry_if_not_exception_type((ValueError,)),
                wait_none() + wait_random(),
                stop_never | stop_after_delay(60),
            ),
            """retry_policy(
                retry=retry_all(retry_always, retry_if_not_exception_type(types=(ValueError,))),
                wait=wait_combine(wait_none(), wait_random(min=0.0, max=1.0)),
                stop=stop_any(stop_never, stop_after_delay(s=60.0)))""",
        ),
        (ConstantDelayRetryPolicy(), "ConstantDelayRetryPolicy(maximum_attempts=3, delay=5.0)"),
    ],
    ids=["default", "combined", "constant"],
)
def test_a_repr_says_it_all(policy, shown):
    assert repr(policy) == " ".join(shown.split()).replace("( ", "(")


def test_different_kinds_are_different():
    assert wait_fixed(1) != wait_combine(wait_fixed(1))
    assert wait_fixed(timedelta(seconds=1)) == wait_fixed(1)
    assert retry_if_exception_type() != retry_if_not_exception_type()
    assert retry_all() != retry_any()
    assert retry_all() != stop_all()
    assert wait_exponential() != wait_random_exponential()


def test_the_three_constants_are_one_object_each():
    for constant in (retry_always, retry_never, stop_never):
        assert constant() is constant
        assert pickle.loads(pickle.dumps(constant)) is constant
        assert copy.deepcopy(constant) is constant


def test_retry_info_is_a_value():
    info = RetryInfo(1, 0.5, ERROR, datetime(2026, 1, 1, tzinfo=UTC))
    assert info == attrs.evolve(info)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        info.retry_number = 2


def test_examples_in_docstrings():
    result = doctest.testmod(retry, extraglobs={"timedelta": timedelta})
    assert result.attempted > 30
    assert result.failed == 0


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "text"),
    [
        ("wait_fixed(-1)", "wait_fixed: wait must be finite and at least 0, not -1.0"),
        ("wait_fixed(math.inf)", "wait_fixed: wait must be finite and at least 0, not inf"),
        ("wait_fixed(math.nan)", "wait_fixed: wait must be finite and at least 0, not nan"),
        ("wait_fixed(timedelta(-1))", "wait must be finite and at least 0, not -86400.0"),
        ("wait_random(-1)", "wait_random: min must be finite and at least 0, not -1.0"),
        ("wait_random(2, 1)", "wait_random: min must be at most max, but 2.0 > 1.0"),
        ("wait_random(2)", "wait_random: min must be at most max, but 2.0 > 1.0"),
        ("wait_random(0, math.inf)", "wait_random: max must be finite and at least 0"),
        ("wait_exponential(-1)", "wait_exponential: multiplier must be finite and at least"),
        ("wait_exponential(exp_base=0)", "exp_base must be finite and greater than 0"),
        ("wait_exponential(max=math.nan)", "wait_exponential: max must be at least 0"),
        ("wait_exponential(min=90)", "min must be at most max, but 90.0 > 60.0"),
        ("wait_random_exponential(min=90)", "wait_random_exponential: min must be at most"),
        ("wait_incrementing(math.nan)", "wait_incrementing: start must be finite, not nan"),
        ("wait_incrementing(increment=math.inf)", "increment must be finite, not inf"),
        ("wait_exponential_jitter(jitter=-1)", "jitter must be finite and at least 0"),
        ("stop_after_attempt(0)", "stop_after_attempt: n must be an integer greater than 0"),
        ("stop_after_attempt(1.5)", "n must be an integer greater than 0, not 1.5"),
        ("stop_after_attempt(True)", "n must be an integer greater than 0, not True"),
        ("stop_after_delay(-1)", "stop_after_delay: s must be at least 0, not -1.0"),
        ("stop_before_delay(math.nan)", "stop_before_delay: s must be at least 0, not nan"),
        ("ConstantDelayRetryPolicy(0)", "maximum_attempts must be an integer greater than 0"),
        ("ConstantDelayRetryPolicy(delay=-1)", "delay must be finite and at least 0"),
        ("ExponentialBackoffRetryPolicy(multiplier=0)", "multiplier must be finite and gr"),
        ("retry_if_exception(5)", "retry_if_exception: predicate must be callable, not 5"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_at_once(made, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        eval(made, {**vars(retry), **globals()})


@pytest.mark.parametrize(
    ("made", "text"),
    [
        ('wait_fixed("5")', "expected seconds or a timedelta, not '5'"),
        ("wait_fixed(True)", "expected seconds or a timedelta, not True"),
        ('wait_exponential(exp_base="2")', "expected a number, not '2'"),
        ("stop_after_delay(None)", "expected seconds or a timedelta, not None"),
        ("retry_if_exception_type(ERROR)", "expected an exception class or a tuple of them"),
        ("retry_if_exception_type([OSError])", "expected an exception class or a tuple"),
        ("retry_if_exception_cause_type((OSError, int))", "expected an exception class or"),
        ("retry_policy(wait=5)", "expected a wait, such as wait_fixed(5), not 5"),
        ("retry_policy(wait=None)", "expected a wait, such as wait_fixed(5), not None"),
        ("retry_policy(wait=wait_none)", "expected a wait, such as wait_fixed(5), not <cl"),
        ("retry_policy(wait=stop_never)", "expected a wait, such as wait_fixed(5), not st"),
        ("retry_policy(stop=wait_fixed(5))", "expected a stop, such as stop_after_attempt"),
        ("retry_policy(stop=3)", "expected a stop, such as stop_after_attempt(3), not 3"),
        ("retry_policy(retry=OSError)", "expected a condition, such as retry_if_exception_t"),
        ("retry_policy(stop_never)", "expected a condition, such as retry_if_exception_type"),
        ("wait_fixed(1) + 5", "expected a wait, such as wait_fixed(5), not 5"),
        ("sum([wait_fixed(1)], 5)", "expected a wait, such as wait_fixed(5), not 5"),
        ("retry_any(retry_always, 5)", "expected a condition, such as"),
        ("stop_never & retry_always", "expected a stop, such as"),
        ("wait_chain(5)", "expected a wait, such as"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_refused_at_once(made, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        eval(made, {**vars(retry), **globals()})


def test_a_wrong_pattern_is_refused_at_once():
    with pytest.raises(re.error):
        retry_if_exception_message(match="(")


# -- asking ----------------------------------------------------------------------------------------


class Seeded:
    def next(self, elapsed_time, attempts, error, *, seed=None):
        assert (elapsed_time, attempts, error) == (1.5, 2, ERROR)
        return 0 if seed is None else seed


class Seedless:
    def next(self, elapsed_time, attempts, error):
        assert (elapsed_time, attempts, error) == (1.5, 2, ERROR)
        return 0


class Greedy:
    def next(self, *args, **kwargs):
        return Seeded().next(*args, **kwargs)


class OtherNames:
    def next(self, elapsed, failures, failure, seed):
        return Seeded().next(elapsed, failures, failure, seed=seed)


class Static:
    @staticmethod
    def next(elapsed_time, attempts, error, seed=None):
        return Seeded().next(elapsed_time, attempts, error, seed=seed)


class PositionalSeed:
    def next(self, elapsed_time, attempts, error, seed=None, /):
        return Seeded().next(elapsed_time, attempts, error, seed=seed)


class LocalSeed(Seedless):
    def next(self, elapsed_time, attempts, error):
        seed = super().next(elapsed_time, attempts, error)
        return seed  # noqa: RET504


def wrapped(policy):
    @functools.wraps(policy.next)
    def call(*args, **kwargs):
        return policy.next(*args, **kwargs)

    return instance(call)


def instance(call):
    """A policy whose `next` belongs to the instance."""
    policy = Seedless()
    policy.next = call
    return policy


@pytest.mark.parametrize(
    ("policy", "answer"),
    [
        (Seeded(), 99),
        (Seedless(), 0),
        (Greedy(), 99),
        (OtherNames(), 99),
        (Static(), 99),
        (PositionalSeed(), 0),
        (LocalSeed(), 0),
        (wrapped(Seeded()), 99),
        (wrapped(Seedless()), 0),
        (instance(functools.partial(Seeded().next)), 0),
    ],
)
def test_a_seed_is_passed_to_whoever_takes_one(policy, answer):
    assert ask(policy, 1.5, 2, ERROR, 99) == answer
    assert isinstance(policy, RetryPolicy)


def answering(answer):
    return instance(lambda *_: answer)


@pytest.mark.parametrize("answer", [0, 0.0, 1, 2.5, 1e300, None])
def test_a_good_answer_is_taken(answer):
    assert ask(answering(answer), 0, 1, ERROR, 0) == answer


@pytest.mark.parametrize(
    "answer",
    [-1, -0.5, math.inf, math.nan, "5", True, False, timedelta(seconds=5), 10**400, [], 1j],
    ids=repr,
)
def test_a_bad_answer_is_an_error_that_names_the_policy(answer):
    policy = answering(answer)
    with pytest.raises(WorkflowRuntimeError) as caught:
        ask(policy, 0, 4, ERROR, 0)
    assert str(caught.value).splitlines() == [
        f"Retry policy {policy!r} answered {answer!r} to failure 4.",
        "  next() must return a finite number of seconds, at least 0, or None to give up.",
    ]
    assert caught.value.__cause__ is ERROR


def test_a_wait_that_is_no_number_is_found_out():
    policy = retry_policy(wait=lambda _: "5", stop=lambda _: False)
    with pytest.raises(WorkflowRuntimeError, match="answered '5' to failure 1"):
        ask(policy, 0, 1, ERROR, 0)


class Broken:
    tables = {}

    def next(self, elapsed_time, attempts, error):
        try:
            return self.tables["delays"]
        except KeyError as inner:
            raise LookupError("no such table") from inner


def test_an_error_of_the_policy_has_the_steps_error_as_cause():
    with pytest.raises(LookupError, match="no such table") as caught:
        ask(Broken(), 0, 1, ERROR, 0)
    assert caught.value.__cause__ is ERROR
    assert isinstance(caught.value.__context__, KeyError)


def test_a_policy_may_raise_the_very_error_it_is_given():
    def reraise(_elapsed, _attempts, error):
        raise error

    mine = OSError("busy")
    with pytest.raises(OSError, match="busy") as caught:
        ask(instance(reraise), 0, 1, mine, 0)
    assert caught.value is mine
    assert mine.__cause__ is None


def test_who_is_no_policy_does_not_look_like_one():
    assert not isinstance(wait_fixed(5), RetryPolicy)
    assert not isinstance(5, RetryPolicy)
