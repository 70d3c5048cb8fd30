"""Another attempt: it holds no slot while it waits, and comes at the back."""

from __future__ import annotations

import attrs
import pytest

from plait._errors import PlaitInternalError, WorkflowRuntimeError
from plait._kernel import effects, records, stimuli
from plait._kernel.graph.admission import Go
from tests.kernel.graph.board import BAD, Board, step
from tests.kernel.strategies import Patience


def test_a_retry_frees_its_slot_and_comes_at_the_back():
    run = Board(step("a", retry=Patience(2, 5.0)), step("b"), step("c"), workers=1)
    run.now = 1.0
    run.raises("a")
    assert run.running == ["b"]
    (alarm,) = [e for e in run.effects if isinstance(e, effects.Alarm)]
    assert alarm == effects.Alarm(run.number("a"), 6.0)
    run.now = 6.0
    run.rings("a")
    assert run.running == ["b"]
    run.returns("b")
    assert run.running == ["c"], "it was ready before"
    run.returns("c")
    assert run.running == ["a"]
    assert run.state.running[run.number("a")].attempt == 2
    run.returns("a")
    assert run.outcome == records.Finished()


def test_a_retry_frees_the_slots_of_its_group_and_of_its_step():
    run = Board(
        step("A", workers=1, group="db", retry=Patience(2)),
        step("g", group="db"),
        workers=9,
        groups={"db": 1},
        admit=lambda name: Go(2 if name == "A" else 1),
    )
    assert run.running == ["A[0]"]
    run.raises("A", 0)
    assert run.running == ["A[1]"]
    run.rings("A", 0)
    run.returns(("A", 1))
    assert run.running == ["g"]
    run.returns("g")
    assert run.running == ["A[0]"]


def test_the_policy_is_asked_with_what_has_happened():
    policy = Patience(3, 5.0)
    run = Board(step("a", retry=policy))
    run.now = 2.0
    run.raises("a")
    run.now = 7.0
    run.rings("a")
    run.now = 8.0
    run.raises("a")
    run.now = 13.0
    run.rings("a")
    run.now = 14.0
    run.raises("a")
    assert [asked[:3] for asked in policy.asked] == [
        (2.0, 1, BAD),
        (8.0, 2, BAD),
        (14.0, 3, BAD),
    ]
    (failure,) = run.state.failures
    assert (failure.attempt, failure.elapsed) == (3, 14.0)


def test_the_seed_is_the_same_in_each_run_of_this_name_and_another_for_each_attempt():
    policies = [Patience(3, 5.0), Patience(3, 5.0)]
    for policy in policies:
        run = Board(step("a", retry=policy))
        run.raises("a")
        run.rings("a")
        run.raises("a")
    seeds = [[asked[3] for asked in policy.asked] for policy in policies]
    assert seeds[0] == seeds[1]
    assert len({*seeds[0]}) == 2


@pytest.mark.parametrize("final", [True, False])
def test_who_was_ended_on_demand_is_not_tried_again(*, final: bool):
    run = Board(step("a", retry=Patience(2)))
    run.raises("a", final=final)
    assert run.going != final


def test_a_policy_that_raises_has_failed_the_step():
    @attrs.frozen
    class Odd:
        def next(self, elapsed: float, attempts: int, error: Exception) -> float:
            raise KeyError("policy")

    run = Board(step("a", retry=Odd()), step("b", on={"a": "continue"}))
    run.raises("a")
    (failure,) = run.state.failures
    assert isinstance(failure.error, KeyError)
    assert failure.error.__cause__ is BAD
    assert run.running == ["b"]


def test_a_policy_with_an_odd_answer_has_failed_the_step():
    run = Board(step("a", retry=Patience(2, -1.0)))
    run.raises("a")
    (failure,) = run.state.failures
    assert isinstance(failure.error, WorkflowRuntimeError)


def test_a_fault_of_plaits_own_is_not_tried_again():
    run = Board(step("a", retry=Patience(2)), step("z"))
    run.raises("a", error=PlaitInternalError("bug"))
    assert run.outcome == records.Crashed()


def test_a_retry_that_is_due_after_the_decision_never_begins():
    run = Board(step("a", retry=Patience(2)), step("x"), step("y", "x"))
    run.raises("a")
    run.raises("x")
    assert run.outcome == records.Crashed()
    run.rings("a")
    assert (run.latest, run.effects) == ([], [])
    run.settles()


def test_what_is_not_due_is_not_called():
    run = Board(step("a"))
    run.hear(stimuli.Due(0.0, run.number("a")))
    assert (run.latest, run.effects) == ([], [])


def test_a_run_waits_for_what_is_due():
    run = Board(step("a", retry=Patience(2)))
    run.raises("a")
    assert run.going
    assert run.running == []
