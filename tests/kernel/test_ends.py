"""How a run ends: who decides, what is still heard afterwards, and what is reported as left.

The first decision stands. What bodies do while they are cleaned up, or while they drain, is
recorded and no longer routed. What cannot have happened is refused before anything has changed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._errors import PlaitInternalError, WorkflowRuntimeError
from plait._ids import OUTSIDE, DeliveryId
from plait._kernel import effects, records, stimuli
from plait._kernel.collecting import Shape
from plait._kernel.decide import ImpossibleStimulus, decide
from plait._kernel.life import Phase
from plait._kernel.plan import Plan
from plait._kernel.refusals import Over
from plait._kernel.state import Failure
from tests.kernel.shell import Shell
from tests.kernel.strategies import (
    STIMULI,
    A,
    Answer,
    B,
    FineStop,
    Start,
    Stop,
    Stray,
    Watched,
    number_of,
    plan,
    plans,
    step,
)

STEPS = (step("start", Start), step("work", A, num_workers=2), step("also", B))
FLOW = plan(*STEPS)
DRAINS = plan(*STEPS, on_stop="drain")
ASKS = plan(*STEPS, step("hear", Answer))


def at_work(of: Plan = FLOW) -> Shell:
    """Delivery 1 has returned; 2 and 3 run, 4 is queued behind them, 5 at another step."""
    shell = Shell(of)
    shell.open(Start())
    start = shell.comes("start") or 0
    for event in (A(2), A(3), A(4)):
        shell.sends(event, by=start)
    shell.returns(start, B(5))
    assert (shell.comes("work"), shell.comes("work")) == (2, 3)
    return shell


# ---------------------------------------------------------------- what decides


@pytest.mark.parametrize("kind", [Stop, FineStop])
def test_a_returned_stop_event_decides(kind: type[Stop]):
    shell = at_work()
    event = kind()
    shell.returns(2, event, stays=True)
    assert shell.latest == [
        records.Completed(0.0, DeliveryId(2), event, DeliveryId(6), ()),
        records.Decided(0.0, records.Stopped(event)),
    ]
    assert shell.effects == [effects.Wind()]
    assert isinstance(shell.state.outcome, records.Stopped)
    assert shell.state.outcome.event is event


@pytest.mark.parametrize("by", [0, 2])
def test_a_sent_stop_event_decides(by: int):
    shell = at_work()
    shell.sends(Stop(), by=by)
    assert shell.latest == [
        records.Emitted(0.0, DeliveryId(by), Stop(), DeliveryId(6), ()),
        records.Decided(0.0, records.Stopped(Stop())),
    ]
    assert shell.effects == [effects.Wind()]


def test_a_failure_decides_and_says_where_and_how_late():
    shell = at_work()
    shell.now = 5.0
    assert shell.comes("also") == 5
    shell.now = 7.5
    error = ValueError("broken")
    shell.raises(5, error)
    assert shell.latest == [
        records.Failed(7.5, DeliveryId(5), error),
        records.Decided(7.5, records.Crashed()),
    ]
    assert shell.effects == [effects.Wind()]
    assert shell.state.failures == [Failure(DeliveryId(5), "also", B(5), error, 1, 2.5)]


def test_a_deadline_decides_and_names_the_steps_that_have_a_running_body():
    shell = at_work()
    shell.comes("also")
    shell.hear(stimuli.Expired(1.0))
    outcome = records.TimedOut(("work", "also"))
    assert shell.latest == [records.Decided(1.0, outcome)]
    assert shell.effects == [effects.Wind()]


def test_a_cancellation_decides_and_says_who_asked():
    for stimulus, by_owner in ((stimuli.CancelAsked(1.0), False), (stimuli.Abandoned(1.0), True)):
        shell = at_work()
        shell.hear(stimulus)
        assert shell.latest == [records.Decided(1.0, records.Cancelled(by_owner))]
        assert shell.effects == [effects.Wind()]


def test_a_run_that_can_go_no_further_is_stalled_at_once():
    shell = Shell(FLOW)
    shell.open(Start())
    shell.returns(shell.comes("start") or 0, None)
    assert shell.latest == [
        records.Completed(0.0, DeliveryId(1), None, DeliveryId(2), ()),
        records.Decided(0.0, records.Stalled()),
    ]
    assert shell.effects == [effects.Wind()]


@pytest.mark.parametrize("last", ["returns", "unwinds", "streams", "answers"])
def test_whatever_ends_last_notices_the_stall(last: str):
    shell = Shell(FLOW)
    shell.open(Start())
    number = shell.comes("start") or 0
    match last:
        case "returns":
            shell.returns(number, None, stays=True)
        case "unwinds":
            shell.unwinds(number)
        case "streams":
            shell.returns(number, Watched(), stays=True)
            assert shell.stream == [Watched()]
        case _:
            shell.returns(number, Answer(), stays=True)
            assert shell.state.undelivered == (Answer(),)
    assert shell.state.outcome == records.Stalled()
    assert shell.effects[-1] == effects.Wind()


def test_a_queued_delivery_keeps_a_run_from_being_quiet():
    shell = at_work()
    shell.unwinds(2)
    shell.unwinds(3)
    assert not shell.state.running
    assert shell.state.outcome is None
    shell.returns(shell.comes("work") or 0, None)
    shell.returns(shell.comes("also") or 0, None)
    assert shell.state.outcome == records.Stalled()


def test_a_run_that_asks_is_idle_until_an_answer_comes():
    shell = Shell(ASKS)
    shell.open(Start())
    assert not shell.state.idle
    shell.returns(shell.comes("start") or 0, None)
    assert shell.latest[1:] == [records.Idled(0.0)]
    assert shell.effects == [effects.Rest()]
    assert shell.state.idle
    shell.sends(Answer())
    assert not shell.state.idle
    shell.returns(shell.comes("hear") or 0, Watched())
    assert shell.effects == [effects.Publish(Watched()), effects.Rest()]
    assert shell.state.idle
    shell.sends(Stop())
    assert not shell.state.idle


# ---------------------------------------------------------------- the first decision stands

LATER: dict[str, Callable[[Shell], object]] = {
    "a stop event": lambda shell: shell.returns(2, Stop()),
    "a failure": lambda shell: shell.raises(2, ValueError()),
    "an undeliverable event": lambda shell: shell.returns(2, Stray()),
    "a deadline": lambda shell: shell.hear(stimuli.Expired(1.0)),
    "a cancellation": lambda shell: shell.hear(stimuli.CancelAsked(1.0)),
    "the owner": lambda shell: shell.hear(stimuli.Abandoned(1.0)),
}


@pytest.mark.parametrize("of", [FLOW, DRAINS], ids=["cancel", "drain"])
@pytest.mark.parametrize("second", LATER)
@pytest.mark.parametrize("first", LATER)
def test_the_first_decision_stands(of: Plan, first: str, second: str):
    shell = at_work(of)
    if first in {"a stop event", "a failure", "an undeliverable event"}:
        shell.comes("also")
    LATER[first](shell)
    outcome = shell.state.outcome
    assert outcome is not None
    if 2 not in shell.state.running:
        shell.returns(3, None) if "stop" in second else shell.raises(3, KeyError())
    else:
        LATER[second](shell)
    assert shell.state.outcome is outcome
    assert sum(isinstance(record, records.Decided) for record in shell.records) == 1


def test_every_failure_is_kept_in_order():
    shell = at_work()
    shell.comes("also")
    errors = [ValueError("first"), KeyError("second"), BaseException("third")]
    for number, error in zip((3, 2, 5), errors, strict=True):
        shell.raises(number, error)
    assert [failure.error for failure in shell.state.failures] == errors
    assert [failure.step for failure in shell.state.failures] == ["work", "work", "also"]
    shell.settles()


def test_a_body_that_was_told_that_its_run_is_over_was_interrupted():
    """It could not know; what it raises beside that is a failure."""
    over, own = Over("has ended"), ValueError("its own")
    shell = at_work()
    shell.comes("also")
    shell.hear(stimuli.CancelAsked(0.0))
    shell.raises(2, over)
    assert shell.latest == [records.Interrupted(0.0, DeliveryId(2))]
    shell.raises(3, BaseExceptionGroup("", [ExceptionGroup("", [over]), own]))
    shell.raises(5, ExceptionGroup("", [over, ExceptionGroup("", [over])]))
    (failure,) = shell.state.failures
    assert failure.delivery == 3
    assert isinstance(failure.error, BaseExceptionGroup)
    assert failure.error.exceptions == (own,)


def test_while_a_run_goes_on_it_is_a_failure_to_be_told_that_another_is_over():
    shell = at_work()
    shell.raises(2, Over("has ended"))
    assert shell.state.outcome == records.Crashed()
    assert len(shell.state.failures) == 1


# ---------------------------------------------------------------- winding up


def test_after_the_decision_nothing_starts_and_nothing_is_offered():
    shell = at_work()
    shell.sends(Stop())
    assert shell.returns(2, A(6), stays=True) is None
    assert shell.effects == []
    shell.unwinds(3)
    assert shell.effects == []
    assert shell.comes("work") is None
    assert shell.comes("also") is None


def test_what_is_returned_too_late_is_recorded_and_reported():
    shell = at_work()
    shell.sends(Stop())
    shell.returns(2, A(6))
    shell.returns(3, Answer(7))
    assert [number_of(event) for _, event in shell.state.unrouted] == [6, 7]
    assert [*map(number_of, shell.state.undelivered)] == [4, 5, 6, 7]


def test_clean_up_may_still_write_and_collect():
    shell = at_work()
    shell.hear(stimuli.CancelAsked(0.0))
    shell.writes(B(), by=2)
    assert shell.stream == [B()]
    assert shell.collects(2, [A, A]) is None
    assert shell.collects(3, [A, A]) == (A(2), A(3))


def test_clean_up_may_not_send():
    shell = at_work()
    shell.hear(stimuli.CancelAsked(0.0))
    with pytest.raises(WorkflowRuntimeError, match="has ended; A was not sent"):
        shell.sends(A(), by=2)
    assert shell.state.undelivered == (A(4), B(5))


def test_each_further_demand_winds_again():
    """A drain that is going on is cut short; a scope that is cancelled already does not mind."""
    shell = at_work()
    shell.sends(Stop())
    for stimulus in (stimuli.Expired(1.0), stimuli.CancelAsked(1.0), stimuli.Abandoned(1.0)):
        shell.hear(stimulus)
        assert (shell.latest, shell.effects) == ([], [effects.Wind()])


def test_a_run_is_closed_when_nothing_of_it_is_left():
    shell = at_work()
    shell.sends(Stop())
    shell.unwinds(2)
    shell.unwinds(3)
    shell.now = 9.0
    shell.settles()
    assert shell.latest == [records.Closed(9.0)]
    assert shell.state.phase is Phase.OVER


@pytest.mark.parametrize("kind", [stimuli.Expired, stimuli.CancelAsked, stimuli.Abandoned])
def test_what_would_end_a_run_that_is_over_means_nothing(kind: type[stimuli.Expired]):
    shell = at_work()
    shell.sends(Stop())
    shell.unwinds(2)
    shell.unwinds(3)
    shell.settles()
    shell.hear(kind(9.0))
    assert (shell.latest, shell.effects) == ([], [])
    assert shell.state.outcome == records.Stopped(Stop())


# ---------------------------------------------------------------- draining


def test_a_drain_lets_running_bodies_finish_and_starts_no_other():
    shell = at_work(DRAINS)
    shell.returns(2, Stop(), stays=True)
    assert shell.effects == []
    assert shell.comes("work") is None
    assert shell.comes("also") is None
    assert shell.returns(3, None, stays=True) is None
    assert shell.effects == [effects.Wind()]
    assert shell.state.undelivered == (A(4), B(5))


@pytest.mark.parametrize("end", ["returns", "raises", "unwinds"])
def test_the_last_body_of_a_drain_winds_the_run_up_however_it_ends(end: str):
    shell = at_work(DRAINS)
    shell.comes("also")
    shell.sends(Stop())
    assert shell.effects == []
    shell.returns(3, None)
    shell.returns(5, None)
    assert shell.effects == []
    match end:
        case "returns":
            shell.returns(2, A())
        case "raises":
            shell.raises(2, ValueError())
        case _:
            shell.unwinds(2)
    assert shell.effects == [effects.Wind()]


def test_a_stop_event_with_nobody_to_wait_for_winds_the_run_up():
    shell = Shell(plan(*STEPS, step("hear", Answer), on_stop="drain"))
    shell.open(Start())
    number = shell.comes("start") or 0
    shell.returns(number, Stop())
    assert shell.effects == [effects.Wind()]
    shell = Shell(shell.plan)
    shell.open(Start())
    shell.returns(shell.comes("start") or 0, None)
    shell.sends(Stop())
    assert shell.effects == [effects.Wind()]


def test_what_a_draining_body_sends_is_kept_and_not_routed():
    shell = at_work(DRAINS)
    shell.returns(2, Stop())
    for event in (A(6), Answer(7), B(8)):
        shell.sends(event, by=3)
        assert shell.effects == []
    shell.sends(B(9), "also", by=3)
    shell.returns(3, B(10))
    left = [*map(number_of, shell.state.undelivered)]
    assert left == [4, 5, 6, 7, 8, 9, 10]
    assert not shell.state.mailbox


def test_what_a_draining_body_cannot_send_is_refused_as_ever():
    shell = at_work(DRAINS)
    shell.returns(2, Stop())
    for event, to in ((Stray(), None), (A(), "also"), (A(), "nowhere")):
        with pytest.raises(WorkflowRuntimeError):
            shell.sends(event, to, by=3)
    assert shell.state.unrouted == []


def test_a_later_stop_event_does_not_count():
    shell = at_work(DRAINS)
    shell.returns(2, Stop())
    outcome = shell.state.outcome
    shell.sends(FineStop(), by=3)
    shell.returns(3, FineStop())
    assert shell.state.outcome is outcome
    assert shell.state.undelivered == (A(4), B(5))


def test_the_outside_cannot_send_into_a_drain():
    shell = at_work(DRAINS)
    shell.returns(2, Stop())
    for by in (0, 1, 2):  # the outside, and bodies that have ended
        with pytest.raises(WorkflowRuntimeError, match="has ended; A was not sent"):
            shell.sends(A(), by=by)


@pytest.mark.parametrize("kind", [stimuli.CancelAsked, stimuli.Abandoned, stimuli.Expired])
def test_only_after_a_stop_may_bodies_still_send(kind: type[stimuli.CancelAsked]):
    shell = at_work(DRAINS)
    shell.hear(kind(0.0))
    with pytest.raises(WorkflowRuntimeError, match="has ended; A was not sent"):
        shell.sends(A(), by=2)
    assert shell.state.unrouted == []


def test_a_failure_in_a_drain_is_added_and_the_drain_goes_on():
    shell = at_work(DRAINS)
    shell.comes("also")
    shell.returns(2, Stop())
    shell.raises(3, ValueError())
    assert shell.effects == []
    assert shell.state.outcome == records.Stopped(Stop())
    assert len(shell.state.failures) == 1


@pytest.mark.parametrize("kind", [stimuli.Expired, stimuli.CancelAsked, stimuli.Abandoned])
def test_a_drain_is_cut_short_on_demand(kind: type[stimuli.Expired]):
    shell = at_work(DRAINS)
    shell.returns(2, Stop())
    shell.hear(kind(1.0))
    assert shell.effects == [effects.Wind()]
    shell.unwinds(3)
    shell.settles()


@pytest.mark.parametrize(
    "first", ["a failure", "an undeliverable event", "a deadline", "a cancellation", "the owner"]
)
def test_only_a_stop_event_drains(first: str):
    shell = at_work(DRAINS)
    LATER[first](shell)
    assert effects.Wind() in shell.effects


# ---------------------------------------------------------------- what is left


def test_undelivered_is_what_reached_no_body_and_no_batch_the_oldest_first():
    shell = Shell(plan(*STEPS, on_stop="drain"))
    shell.open(Start(1))
    start = shell.comes("start") or 0
    shell.sends(Answer(2), by=start)
    shell.sends(A(3), by=start)
    shell.sends(Answer(4))
    shell.sends(A(5), by=start)
    shell.sends(Watched(6), by=start)
    shell.sends(B(7), by=start)
    number = shell.comes("work") or 0
    shell.collects(number, [A, A])
    shell.returns(number, None)
    shell.sends(Stop(8))
    shell.sends(B(9), by=start)
    shell.returns(start, A(10))
    left = [*map(number_of, shell.state.undelivered)]
    assert left == [2, 3, 4, 5, 7, 9, 10]


def test_nothing_is_left_of_a_batch_or_of_a_body_that_ran():
    shell = at_work()
    shell.collects(2, [A, A])
    shell.collects(3, [A, A])
    shell.sends(Stop())
    shell.unwinds(2)
    shell.unwinds(3)
    shell.settles()
    assert shell.state.undelivered == (A(4), B(5))


# ---------------------------------------------------------------- what cannot have happened


def runs_in_each_phase() -> dict[str, Shell]:
    going, winding, over = at_work(), at_work(), at_work()
    for shell in (winding, over):
        shell.sends(Stop())
    over.unwinds(2)
    over.unwinds(3)
    over.settles()
    return {"new": Shell(FLOW), "going": going, "winding up": winding, "over": over}


OPENED = stimuli.Opened(0.0, Start())
SETTLED = stimuli.Settled(0.0)
WROTE = stimuli.Wrote(0.0, OUTSIDE, B())
ENDINGS = (stimuli.Expired(0.0), stimuli.CancelAsked(0.0), stimuli.Abandoned(0.0))
IMPOSSIBLE: dict[str, tuple[stimuli.Stimulus, ...]] = {
    "new": (SETTLED, WROTE, *ENDINGS),
    "going": (OPENED, SETTLED),
    "winding up": (OPENED, SETTLED),  # two bodies are still running
    "over": (OPENED, SETTLED),
}
#: Nobody's number, one that has ended, one that is queued, one that does not exist yet.
NOT_RUNNING = [DeliveryId(n) for n in (0, 1, 4, 6)]


def unchanged(shell: Shell, stimulus: stimuli.Stimulus) -> None:
    """It raises, and the state is equal to a copy that was made before."""
    # The plan is itself and no other; of all else there is a copy.
    before = copy.deepcopy(shell.state, {id(shell.plan): shell.plan})
    assert before == shell.state
    shell.cannot_hear(stimulus)
    assert before == shell.state


@pytest.mark.parametrize("phase", IMPOSSIBLE)
def test_what_cannot_happen_in_a_phase_raises_and_changes_nothing(phase: str):
    shell = runs_in_each_phase()[phase]
    assert shell.state.phase.value == phase
    for stimulus in IMPOSSIBLE[phase]:
        unchanged(shell, stimulus)


def test_writing_after_the_end_is_refused_with_a_text():
    shell = runs_in_each_phase()["over"]
    with pytest.raises(WorkflowRuntimeError) as caught:
        shell.writes(B(), by=2)
    assert str(caught.value) == "Run run-1 of workflow 'Flow' has ended; B was not written."


@pytest.mark.parametrize("number", NOT_RUNNING)
@pytest.mark.parametrize("phase", IMPOSSIBLE)
def test_news_of_a_body_that_does_not_run_raise_and_change_nothing(phase: str, number: DeliveryId):
    shell = runs_in_each_phase()[phase]
    shape = Shape.of([A])
    for value in (None, A(), Stop(), Stray(), "no event"):
        unchanged(shell, stimuli.Returned(0.0, number, value, stays=True))
    unchanged(shell, stimuli.Raised(0.0, number, ValueError()))
    unchanged(shell, stimuli.Unwound(0.0, number))
    unchanged(shell, stimuli.Contributed(0.0, number, A(), shape, "default", None))


def test_a_body_cannot_end_twice():
    for second in (
        stimuli.Returned(0.0, DeliveryId(2), None),
        stimuli.Raised(0.0, DeliveryId(2), ValueError()),
        stimuli.Unwound(0.0, DeliveryId(2)),
    ):
        shell = at_work()
        shell.returns(2, None)
        unchanged(shell, second)


def test_an_impossible_stimulus_says_what_and_when_and_whose_fault_it_is():
    shell = at_work()
    with pytest.raises(ImpossibleStimulus) as caught:
        decide(shell.state, stimuli.Unwound(2.5, DeliveryId(77)))
    assert isinstance(caught.value, PlaitInternalError)
    assert str(caught.value) == (
        "Unwound(now=2.5, delivery=77) in phase 'going'\n"
        "This is a bug in plait. Please report it with this traceback."
    )


@given(plans(), st.booleans(), st.lists(st.one_of(*STIMULI.values()), max_size=12))
def test_any_news_are_heard_or_raise_and_change_nothing(
    of: Plan,
    stepwise: bool,  # noqa: FBT001
    news: list[stimuli.Stimulus],
):
    """News at random, mostly absurd: the laws hold all the same."""
    shell = Shell(of, stepwise=stepwise)
    shell.open(Start())
    for stimulus in news:
        if isinstance(stimulus, stimuli.Ready) and stimulus.step not in shell.state.steps:
            continue
        with suppress(ImpossibleStimulus):  # and the shell has seen that it is
            shell.hear(stimulus)
        shell.comes("s0")
    shell.replays()
