"""Retries: a step's policy is asked, and the delivery comes back to the end of its queue."""

from __future__ import annotations

import zlib

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._errors import PlaitInternalError, WorkflowRuntimeError
from plait._ids import DeliveryId, RunId
from plait._kernel import effects, records, stimuli
from plait._kernel.explain import explain
from plait._kernel.refusals import Refusal
from plait._kernel.state import Failure, Trouble
from tests.kernel.shell import RUN, Shell
from tests.kernel.strategies import (
    A,
    B,
    Patience,
    Start,
    Stop,
    Stray,
    number_of,
    plan,
    step,
)

ERROR = ValueError("not now")


def trying(policy: object, count: int = 1, num_workers: int = 4) -> Shell:
    """A run in which so many bodies run, from delivery 2 on."""
    shell = Shell(plan(step("start", Start), step("try", A, retry=policy, num_workers=num_workers)))
    shell.open(Start())
    shell.comes("start")
    for n in range(count):
        shell.sends(A(n), by=1)
    shell.returns(1, None)
    shell.now = 10.0
    for _ in range(count):
        shell.comes("try")
    return shell


def test_a_failed_attempt_is_repeated_after_the_delay():
    shell = trying(Patience(2, 5.0))
    shell.now = 12.0
    shell.raises(2, ERROR)
    assert shell.latest == [records.Retrying(12.0, DeliveryId(2), ERROR, 17.0)]
    assert shell.effects == [effects.Alarm(DeliveryId(2), 17.0)]
    assert not shell.state.running
    shell.rings(2)
    assert shell.now == 17.0
    assert shell.latest == [records.Requeued(17.0, DeliveryId(2))]
    assert shell.effects == [effects.Offer("try")]
    assert shell.comes("try") == 2
    assert shell.body(2).attempt == 2
    shell.returns(2, None)
    assert shell.state.failures == []


def test_the_delivery_keeps_its_number_its_event_and_its_troubles():
    shell = trying(Patience(3))
    event = shell.body(2).event
    for attempt, now in ((1, 11.0), (2, 20.0)):
        shell.now = now
        shell.raises(2, ERROR)
        trouble = shell.state.due[DeliveryId(2)].trouble
        due = now + 5.0
        assert trouble == Trouble(attempt, began=10.0, failed=now, error=ERROR, due=due)
        shell.rings(2)
        shell.comes("try")
    assert shell.body(2).event is event
    assert shell.body(2).attempt == 3


def test_when_the_policy_gives_up_the_run_fails():
    shell = trying(Patience(2))
    shell.raises(2, ValueError("first"))
    shell.rings(2)
    shell.comes("try")
    shell.now = 21.5
    shell.raises(2, ERROR)
    assert shell.state.outcome == records.Crashed()
    assert shell.state.failures == [Failure(DeliveryId(2), "try", A(), ERROR, 2, 11.5)]


def test_the_policy_is_asked_with_elapsed_time_failures_error_and_seed():
    policy = Patience(3, 1.0)
    shell = trying(policy)
    for attempt, now in ((1, 11.0), (2, 13.5)):
        shell.now = now
        shell.raises(2, ERROR)
        seed = zlib.crc32(f"{RUN}:try:2:{attempt}".encode())
        assert policy.asked[-1] == (now - 10.0, attempt, ERROR, seed)
        shell.rings(2)
        shell.comes("try")


def test_a_retry_goes_to_the_back_of_the_queue():
    shell = trying(Patience(2), num_workers=1)
    for n in (1, 2):
        shell.sends(A(n))
    shell.raises(2, ERROR)
    assert shell.effects[-1] == effects.Offer("try"), "a delivery that is due holds no slot"
    shell.rings(2)
    assert shell.queue("try") == [3, 4, 2]


@given(st.permutations(range(2, 6)))
def test_retries_are_due_in_any_order(order: list[int]):
    shell = trying(Patience(2), 4)
    for number in range(2, 6):
        shell.raises(number, ERROR)
    for number in order:
        shell.rings(number)
    assert shell.queue("try") == order
    assert [shell.comes("try") for _ in order] == order


def test_an_alarm_that_rings_twice_rings_once():
    shell = trying(Patience(2))
    shell.raises(2, ERROR)
    shell.rings(2)
    shell.rings(2)
    assert (shell.latest, shell.effects) == ([], [])


def test_a_delay_of_nothing_is_due_at_once():
    shell = trying(Patience(2, 0.0))
    shell.raises(2, ERROR)
    assert shell.effects == [effects.Alarm(DeliveryId(2), 10.0)]


def test_a_run_with_a_retry_to_come_is_not_quiet():
    shell = trying(Patience(2))
    shell.raises(2, ERROR)
    assert shell.state.outcome is None
    assert not shell.state.idle
    assert explain(shell.state, 0.0).splitlines() == [
        "Workflow 'Flow' is running.",
        "  step 'try': attempt 2 is due, after ValueError('not now')",
        "  last returned None: step 'start'",
    ]
    shell.rings(2)
    shell.works("try", None)
    assert shell.state.outcome == records.Stalled()


def test_answers_of_collections_outlive_the_attempt():
    shell = trying(Patience(2), 2)
    assert shell.collects(2, [A, A]) is None
    batch = shell.collects(3, [A, A])
    assert batch
    shell.raises(3, ERROR)
    shell.rings(3)
    shell.comes("try")
    again = shell.collects(3, [A, A])
    assert again is not None
    assert [*map(id, again)] == [*map(id, batch)]
    assert shell.latest == []


def test_the_waits_of_an_attempt_are_counted_on():
    shell = trying(Patience(2))
    assert shell.waits(2, B) == (2, 0)
    shell.raises(2, ERROR)
    shell.rings(2)
    shell.comes("try")
    assert shell.waits(2, B) == (2, 1)


# ---------------------------------------------------------------- what is not repeated


@attrs.frozen
class Broke:
    """A policy that raises."""

    error: Exception

    def next(self, elapsed_time: float, attempts: int, error: Exception) -> float | None:
        raise self.error


def test_a_policy_that_raises_fails_the_run_with_the_error_as_cause():
    shell = trying(Broke(KeyError("mine")))
    shell.raises(2, ERROR)
    (failure,) = shell.state.failures
    assert shell.state.outcome == records.Crashed()
    assert ERROR in {failure.error.__cause__, failure.error.__context__}


def test_a_policy_that_answers_nonsense_fails_the_run():
    shell = trying(Patience(2, -1.0))
    shell.raises(2, ERROR)
    assert shell.state.outcome == records.Crashed()


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), PlaitInternalError("ours"), BaseExceptionGroup("", [SystemExit()])],
)
def test_what_is_no_exception_or_our_own_fault_is_not_repeated(error: BaseException):
    policy = Patience(2)
    shell = trying(policy)
    shell.raises(2, error)
    assert policy.asked == []
    assert shell.state.outcome == records.Crashed()


def test_what_cannot_be_done_is_not_tried_again():
    policy = Patience(2)
    shell = trying(policy)
    with pytest.raises(WorkflowRuntimeError) as caught:
        shell.sends(Stray(), by=2)
    assert isinstance(caught.value, Refusal)
    shell.raises(2, caught.value)
    assert policy.asked == []
    assert shell.state.outcome == records.Crashed()


def test_what_another_run_refused_is_tried_again_like_any_error():
    """A run inside of this one has failed, or has ended and takes no more."""
    policy = Patience(2)
    shell = trying(policy)
    refused = Refusal("no step accepts it")
    refused.run_id = RunId("child")
    shell.raises(2, refused)
    assert [error for _, _, error, _ in policy.asked] == [refused]
    assert shell.state.outcome is None


def test_an_undeliverable_event_is_not_tried_again():
    policy = Patience(2)
    shell = trying(policy)
    shell.returns(2, Stray())
    assert policy.asked == []
    assert shell.state.outcome == records.Crashed()


def test_an_interrupted_body_is_not_tried_again():
    policy = Patience(2)
    shell = trying(policy, 2)
    shell.unwinds(2)
    assert policy.asked == []
    assert shell.state.due == {}


def test_after_the_decision_nothing_is_repeated():
    policy = Patience(2)
    shell = trying(policy, 3)
    shell.raises(2, ERROR)
    asked = len(policy.asked)
    shell.sends(Stop())
    shell.raises(3, ERROR)
    assert len(policy.asked) == asked
    shell.hear(stimuli.Due(20.0, DeliveryId(2)))
    assert shell.latest == []
    assert [number_of(event) for event in shell.state.undelivered] == [0]
    shell.unwinds(4)
    shell.settles()
