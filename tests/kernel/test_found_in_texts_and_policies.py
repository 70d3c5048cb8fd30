"""As `test_found_by_mutants`, of what the kernel says, and of retry policies."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest

from plait._kernel import records, refusals
from plait._kernel.retry.ask import ask
from plait._kernel.retry.conditions import (
    retry_if_exception_cause_type,
    retry_if_exception_type,
)
from plait._kernel.retry.policy import retry_policy
from plait._kernel.retry.stops import stop_after_attempt
from plait._kernel.retry.strategy import Outcome, RetryState
from plait._kernel.retry.waits import (
    LONGEST,
    wait_exponential,
    wait_exponential_jitter,
    wait_fixed,
    wait_none,
)
from plait._kernel.state import RunState
from tests.kernel.shell import RUN, Shell
from tests.kernel.strategies import A, B, C, Start, Stray, fan_in, join, plan, step

# ---------------------------------------------------------------- what it says


def test_half_a_join_is_no_reason_to_go_on():
    shell = Shell(plan(step("start", Start), join("j", A, B)))
    shell.open(Start())
    shell.works("start", A())
    assert isinstance(shell.state.outcome, records.Stalled)


def test_what_is_taken_out_of_a_list_only_is_refused_with_advice():
    of = plan(step("start", Start), fan_in("other", B), fan_in("f", A))
    refused = refusals.no_receiver(RunState(of, RUN), "A was sent", A)
    lines = str(refused).splitlines()
    assert lines[-2:] == [
        "  accepted: Start (start), list[B] (other), list[A] (f)",
        "  Step 'f' takes it out of a list: return [A(...), ...]",
    ]


def test_what_nobody_takes_is_no_matter_of_lists():
    of = plan(step("start", Start), fan_in("f", A))
    refused = refusals.no_receiver(RunState(of, RUN), "Stray was sent", Stray)
    assert "takes it out of a list" not in str(refused)


@pytest.mark.parametrize(
    ("in_list", "cures"),
    [
        (False, ["Its return annotation has no list. Write -> list[E] to return several events"]),
        (True, ["Several events are returned as a list, under the annotation -> list[E]"]),
    ],
)
def test_a_list_is_no_event_nor_is_one_in_a_list(in_list: bool, cures: list[str]):  # noqa: FBT001
    refused = refusals.not_an_event("s", [A()], in_list=in_list)
    assert refused.__notes__ == cures


def test_a_list_is_by_default_what_was_returned():
    assert str(refusals.not_an_event("s", [A()])) == (
        "Step function s returned list instead of an Event instance."
    )


def test_a_class_that_is_waited_for_after_the_end_is_named():
    refused = refusals.over(RunState(plan(step("start", Start)), RUN), C, "waited for")
    assert str(refused).endswith("has ended; C was not waited for.")


def test_who_collects_something_else_is_told_what_to_give():
    refused = refusals.not_an_input("s")
    assert refused.__notes__ == ["Its first argument is the event that the step was given"]


# ---------------------------------------------------------------- policies


def asked(failures: int = 1, error: Exception | None = None, seed: int | None = None) -> RetryState:
    return RetryState(failures, 0.0, Outcome(error or ValueError()), seed=seed)


def yes(_: Any) -> bool:
    return True


def no(_: Any) -> bool:
    return False


@pytest.mark.parametrize(
    ("strategy", "holds"),
    [
        (retry_if_exception_type(ValueError), True),
        (retry_if_exception_type(OSError), False),
        (stop_after_attempt(1), True),
        (stop_after_attempt(2), False),
    ],
)
def test_a_function_may_stand_on_either_side(strategy: Any, holds: bool):  # noqa: FBT001
    state = asked()
    assert (strategy & yes)(state) is (yes & strategy)(state) is holds
    assert (strategy & no)(state) is (no & strategy)(state) is False
    assert (strategy | no)(state) is (no | strategy)(state) is holds
    assert (strategy | yes)(state) is (yes | strategy)(state) is True


def test_a_function_is_a_wait_on_either_side():
    def three(_: Any) -> float:
        return 3.0

    assert (wait_fixed(2) + three)(asked()) == (three + wait_fixed(2))(asked()) == 5


def test_causes_that_go_round_in_a_circle_end():
    one, two = ValueError(), KeyError()
    one.__cause__, two.__cause__ = two, one
    assert not retry_if_exception_cause_type(OSError)(asked(error=one))
    assert retry_if_exception_cause_type(KeyError)(asked(error=one))


def test_several_classes_are_shown_as_they_are_written():
    assert repr(retry_if_exception_type((ValueError, OSError))) == (
        "retry_if_exception_type(types=(ValueError, OSError))"
    )


@pytest.mark.parametrize("zero", [0, 0.0])
def test_no_time_is_a_wait(zero: Any):
    assert retry_policy(wait=zero) == retry_policy(wait=wait_none())
    with pytest.raises(TypeError, match="not 1"):
        retry_policy(wait=1)  # type: ignore[arg-type]


def test_jitter_begins_at_nothing():
    wait = wait_exponential_jitter(initial=2, jitter=8)
    assert wait(asked(2, seed=5)) == 4 + 8 * Random(5).random()


def test_no_wait_is_longer_than_the_longest():
    assert wait_exponential(max=math.inf)(asked(5000)) == LONGEST


def test_the_longest_delay_is_a_good_answer():
    class Longest:
        def next(self, elapsed_time: float, attempts: int, error: Exception) -> float:
            return LONGEST

    assert ask(Longest(), 0.0, 1, ValueError(), 0) == LONGEST  # type: ignore[arg-type]
