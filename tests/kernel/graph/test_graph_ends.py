"""How a run of steps that follow one another begins and ends, and what cannot happen to it."""

from __future__ import annotations

import pytest

from plait._errors import PlaitInternalError
from plait._ids import DeliveryId, RunId
from plait._kernel import effects, records, stimuli
from plait._kernel.collecting import Shape
from plait._kernel.graph.apply import apply
from plait._kernel.life import Phase
from plait._kernel.plan import After, Plan, StepPlan
from plait._kernel.stimuli import Stimulus
from tests.kernel.graph.board import Board, step
from tests.kernel.strategies import KINDS, Patience, Start

ENDS: list[tuple[Stimulus, records.Outcome]] = [
    (stimuli.Expired(0.0, 9.0), records.TimedOut(("a", "b"), 9.0)),
    (stimuli.CancelAsked(0.0), records.Cancelled(by_owner=False)),
    (stimuli.Abandoned(0.0), records.Cancelled(by_owner=True)),
]


def names(value: object) -> str:
    """Name a test after a stimulus."""
    return type(value).__name__ if isinstance(value, Stimulus) else ""


def test_an_empty_plan_is_finished_at_once():
    run = Board()
    assert run.outcome == records.Finished()
    assert run.effects == [effects.Wind()]
    run.settles()
    assert run.state.phase is Phase.OVER


def test_a_step_of_another_kernel_is_a_root():
    bare = Plan("flow", (StepPlan("a", ()), StepPlan("b", (), after=After())), KINDS)
    run = Board(*bare.steps)
    assert run.running == ["a", "b"]
    run.raises("a")
    run.returns("b")
    assert run.outcome == records.Finished()


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([step("a", "b"), step("b", "a")], id="two"),
        pytest.param([step("a", "a")], id="itself"),
        pytest.param([step("a", "nobody")], id="nobody"),
    ],
)
def test_steps_whose_turn_never_comes_are_a_stall(steps: list[StepPlan]):
    run = Board(*steps)
    assert run.outcome == records.Stalled()
    assert run.pending == [one.name for one in steps]


def test_a_cycle_stalls_when_all_else_is_done():
    run = Board(step("z"), step("a", "z", "b"), step("b", "a"))
    assert run.going
    run.returns("z")
    assert run.outcome == records.Stalled()


@pytest.mark.parametrize(("stimulus", "outcome"), ENDS, ids=names)
def test_an_end_from_outside_is_final_and_nothing_more_starts(
    stimulus: Stimulus, outcome: records.Outcome
):
    run = Board(
        step("b"), step("a"), step("q"), step("c", "a"), step("d", on={"b": "continue"}), workers=2
    )
    run.hear(stimulus)
    expected = records.TimedOut(("b", "a"), 9.0) if outcome == ENDS[0][1] else outcome
    assert run.outcome == expected
    assert run.effects == [effects.Wind()]
    for later, _ in ENDS:
        run.hear(later)
        assert (run.latest, run.effects) == ([], [])
    run.returns("a")
    run.raises("b")
    assert run.latest == [records.Failed(0.0, run.number("b"), run.state.failures[0].error)]
    assert run.pending == ["c", "d"]
    assert run.launched == [("b", 0), ("a", 0)]
    run.settles()
    assert run.state.phase is Phase.OVER
    run.hear(stimulus)
    assert (run.latest, run.effects) == ([], [])


@pytest.mark.parametrize(("stimulus", "outcome"), ENDS, ids=names)
def test_an_end_while_somebody_waits_to_try_again(stimulus: Stimulus, outcome: records.Outcome):
    run = Board(step("a", retry=Patience(2)))
    run.raises("a")
    run.hear(stimulus)
    if isinstance(outcome, records.TimedOut):
        outcome = records.TimedOut((), 9.0)
    assert run.outcome == outcome
    run.settles()


@pytest.mark.parametrize(("stimulus", "outcome"), ENDS, ids=names)
def test_no_end_comes_before_the_beginning(stimulus: Stimulus, outcome: records.Outcome):
    del outcome
    run = Board(step("a"), begin=False)
    run.cannot_hear(stimulus)


def test_those_who_run_are_waited_for():
    run = Board(step("a"), step("b"))
    run.hear(stimuli.CancelAsked(0.0))
    run.cannot_hear(stimuli.Settled(0.0))
    run.unwinds("a")
    run.cannot_hear(stimuli.Settled(0.0))
    run.unwinds("b")
    run.settles()
    run.cannot_hear(stimuli.Settled(0.0))


def test_a_run_begins_once():
    run = Board(step("a"))
    run.cannot_hear(stimuli.Opened(0.0, Start()))
    run.hear(stimuli.CancelAsked(0.0))
    run.cannot_hear(stimuli.Opened(0.0, Start()))


def test_a_run_that_goes_on_cannot_settle():
    run = Board(step("a"))
    run.cannot_hear(stimuli.Settled(0.0))


IMPOSSIBLE: list[Stimulus] = [
    stimuli.TakenUp(0.0, 0.0),
    stimuli.Ready(0.0, "a"),
    stimuli.Sent(0.0, DeliveryId(1), Start()),
    stimuli.Contributed(0.0, DeliveryId(1), Start(), Shape.of([Start]), "default", None),
    stimuli.WaitBegan(
        0.0, DeliveryId(1), Start, {}, broadcast=False, waiter_id=None, question=None
    ),
    stimuli.WaitExpired(0.0, (DeliveryId(1), 0)),
    stimuli.StepAsked(0.0),
    stimuli.Wrote(0.0, DeliveryId(1), Start()),
    stimuli.HandedOn(0.0, 0, RunId("child")),
    stimuli.StoreChanged(0.0, DeliveryId(1), {}),
    stimuli.Returned(0.0, DeliveryId(9), None),
    stimuli.Raised(0.0, DeliveryId(9), ValueError()),
    stimuli.Unwound(0.0, DeliveryId(9)),
]


@pytest.mark.parametrize("stimulus", IMPOSSIBLE, ids=names)
@pytest.mark.parametrize("decided", [False, True])
def test_what_cannot_happen_is_refused_and_changes_nothing(stimulus: Stimulus, *, decided: bool):
    run = Board(step("a"), step("b"), workers=1)
    if decided:
        run.hear(stimuli.CancelAsked(0.0))
    run.cannot_hear(stimulus)


def test_who_has_not_begun_cannot_end():
    run = Board(step("a"), step("b"), workers=1)
    run.cannot_hear(stimuli.Returned(0.0, run.number("b"), None))


def test_a_body_ends_once():
    run = Board(step("a"), step("b"))
    number = run.number("a")
    run.returns("a")
    run.cannot_hear(stimuli.Returned(0.0, number, None))
    run.cannot_hear(stimuli.Unwound(0.0, number))


def test_records_of_other_runs_do_not_apply():
    run = Board(step("a"))
    with pytest.raises(PlaitInternalError, match="follow one another"):
        apply(run.state, records.Idled(0.0))


@pytest.mark.parametrize("record", [records.Closed(0.0), records.RunStarted(0.0, RunId("r"), 0.0)])
def test_records_of_another_phase_do_not_apply(record: records.Closed | records.RunStarted):
    run = Board(step("a"))
    with pytest.raises(PlaitInternalError, match="in phase 'going'"):
        apply(run.state, record)


def test_nobody_is_ever_sent_anything():
    run = Board(step("a"))
    assert run.state.undelivered == ()
    assert run.state.open_ended is False


def test_what_is_returned_is_in_the_record():
    run = Board(step("a"))
    run.returns("a", value="given")
    (completed,) = run.told(records.Completed)
    assert isinstance(completed, records.Completed)
    assert (completed.event, completed.to) == ("given", ())
