"""A step with several deliveries is one step; and what is taken over from an earlier run."""

from __future__ import annotations

import pytest

from plait._kernel import effects, records
from plait._kernel.graph.admission import ONCE, Admit, Go
from plait._kernel.graph.records import Readied, Reused
from tests.kernel.graph.board import BAD, Board, step
from tests.kernel.strategies import Patience


def items(count: int, reused: dict[int, object] | None = None) -> Admit:
    """Let step `A` have so many items, of which some are known."""
    return lambda name: Go(count, reused or {}) if name == "A" else ONCE


def test_those_behind_wait_for_all_items():
    run = Board(step("A", workers=9), step("b", "A"), admit=items(3))
    assert run.running == ["A[0]", "A[1]", "A[2]"]
    run.returns(("A", 2), ("A", 0))
    assert run.pending == ["b"]
    run.returns(("A", 1))
    assert run.running == ["b"]


def test_no_items_are_a_success():
    run = Board(step("A"), step("b", "A"), admit=items(0))
    assert run.told(Readied) == [
        Readied(0.0, "A", run.number("b"), 0, ()),
        Readied(0.0, "b", run.number("b"), 1, ("A",)),
    ]
    assert run.running == ["b"]


def test_a_plan_of_nothing_but_no_items_is_finished():
    run = Board(step("A"), admit=items(0))
    assert run.outcome == records.Finished()


def test_an_item_that_fails_ends_the_others():
    run = Board(step("A", workers=2), step("b", "A"), step("z"), admit=items(4))
    run.raises("A", 1)
    assert run.interrupted == [("A", 0)]
    dropped = (run.number("A", 2), run.number("A", 3))
    assert run.told(records.Dropped) == [records.Dropped(0.0, dropped, ())]
    assert run.going, "it waits for the clean-up of the others"
    assert run.pending == ["b"]
    run.unwinds("A", 0)
    assert run.skipped == {"b": "abort"}
    assert run.outcome == records.Crashed()
    assert [failure.event for failure in run.state.failures] == [1]


def test_an_item_that_returns_all_the_same_has_returned():
    run = Board(step("A", workers=2), admit=items(2))
    run.raises("A", 1)
    run.returns(("A", 0))
    assert run.outcome == records.Finished()
    assert len(run.told(records.Completed)) == 1


def test_a_second_item_that_fails_is_recorded_and_ends_nobody_twice():
    run = Board(step("A", workers=3), admit=items(4))
    run.raises("A", 1)
    run.raises("A", 0)
    assert run.interrupted == [("A", 0), ("A", 2)]
    assert len(run.told(records.Dropped)) == 1
    run.unwinds("A", 2)
    assert [failure.event for failure in run.state.failures] == [1, 0]


def test_the_last_item_that_fails_has_nobody_to_end():
    run = Board(step("A", workers=1), admit=items(2))
    run.returns(("A", 0))
    run.raises("A", 1)
    assert run.interrupted == []
    assert run.told(records.Dropped) == []
    assert run.outcome == records.Finished()


def test_an_item_that_waits_for_another_attempt_is_dropped():
    run = Board(step("A", workers=2, retry=Patience(2)), admit=items(2))
    run.raises("A", 0)
    assert [*run.state.due] == [run.number("A", 0)]
    run.raises("A", 1, final=True)
    assert run.told(records.Dropped) == [records.Dropped(0.0, (run.number("A", 0),), ())]
    assert run.outcome == records.Finished()
    run.rings("A", 0)
    assert run.latest == []


def test_an_item_that_is_being_ended_is_not_tried_again():
    """The shell may hear of the failure before it has cancelled the body."""
    run = Board(step("A", workers=2, retry=Patience(2)), admit=items(2))
    run.raises("A", 0, final=True)
    run.raises("A", 1)
    assert run.told(records.Retrying) == []
    assert run.outcome == records.Finished()


def test_if_it_is_so_wished_all_items_run():
    run = Board(step("A", workers=1, fail_fast=False), step("b", "A"), step("z"), admit=items(3))
    run.raises("A", 0)
    assert run.running == ["z", "A[1]"]
    run.returns(("A", 1))
    assert run.skipped == {}
    run.returns(("A", 2))
    assert run.skipped == {"b": "abort"}
    assert run.interrupted == []


def test_if_it_is_so_wished_items_are_tried_again_after_a_failure():
    run = Board(step("A", workers=2, fail_fast=False, retry=Patience(2)), admit=items(2))
    run.raises("A", 0, final=True)
    run.raises("A", 1)
    assert len(run.told(records.Retrying)) == 1


def test_an_item_that_was_cancelled_has_failed_the_step():
    run = Board(step("A", workers=2), step("b", on={"A": "skip"}), admit=items(2))
    run.unwinds("A", 0)
    assert run.interrupted == [("A", 1)]
    run.unwinds("A", 1)
    assert run.skipped == {"b": "on_error"}
    assert run.state.failures == []


def test_what_is_known_needs_no_body():
    run = Board(step("A"), step("b", "A"), admit=items(1, {0: "known"}))
    assert run.told(Reused) == [Reused(0.0, run.number("A"), "known")]
    assert run.launched == [("b", 0)]


def test_some_items_are_known():
    run = Board(step("A", workers=9), step("b", "A"), admit=items(4, {2: "c", 0: "a"}))
    assert run.reused == [("A", 0), ("A", 2)]
    assert run.running == ["A[1]", "A[3]"]
    run.returns(("A", 1), ("A", 3))
    assert run.running == ["b"]


def test_known_items_leave_the_limit_of_their_step_to_others():
    run = Board(step("A", workers=1), admit=items(4, {0: 0, 1: 1, 3: 3}))
    assert run.running == ["A[2]"]


def test_all_items_are_known():
    run = Board(step("A"), step("b", "A"), admit=items(3, {0: 0, 1: 1, 2: 2}))
    assert run.running == ["b"]


def test_a_known_item_stays_known_when_another_fails():
    run = Board(step("A", workers=2), admit=items(3, {0: "known"}))
    run.raises("A", 1)
    assert run.interrupted == [("A", 2)]
    run.unwinds("A", 2)
    assert run.told(records.Dropped) == []


@pytest.mark.parametrize("fail_fast", [True, False])
def test_items_of_an_aborted_run_are_left(*, fail_fast: bool):
    run = Board(
        step("A", workers=1, fail_fast=fail_fast),
        step("x"),
        step("y", "x"),
        admit=items(3),
    )
    run.raises("x")
    assert run.outcome == records.Crashed()
    assert run.effects == [effects.Wind()]
    run.raises("A", 0, BAD)
    assert run.running == []
    assert run.told(records.Dropped) == []
    run.settles()
