"""What the kernel of a run says to each stimulus, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from plait._errors import (
    NonRetriableError,
    NonRetriableStepError,
    PlaitInternalError,
    RetryAfterError,
    StepError,
)
from plait._kernel.calls import effects as calls
from plait._kernel.calls import records as of_calls
from plait._kernel.calls import stimuli as told
from plait._kernel.calls.keys import Key
from plait._kernel.functions import effects, reasons, records, stimuli
from plait._kernel.functions.apply import fold
from plait._kernel.functions.decide import ImpossibleStimulus, decide
from plait._kernel.functions.state import FunctionState
from tests.kernel.functions.desk import Desk

STEP = StepError("a", "k", 1, "OSError", "no", "")


# ---------------------------------------------------------------- from the queue to an end


def test_a_run_is_queued_starts_and_completes() -> None:
    desk = Desk()
    assert desk.status == "queued"
    desk.queue()
    assert desk.sync() == []
    assert (desk.status, desk.waits) == ("queued", [])
    assert desk.take() == []
    assert not desk.state.may_move
    assert desk.last == records.FunctionStarted(desk.now, 0, 0, "s1", cause=1)
    assert desk.sync() == [effects.StartBody(0)]
    key = desk.step()
    assert key == Key((), "a", 0)
    assert not desk.state.may_move
    end = records.FunctionCompleted(desk.now, "done", cause=4)
    assert desk.returned() == [effects.SendEvent("plait/function.finished", end)]
    assert desk.last == end
    assert (desk.status, desk.waits) == ("completed", [])
    assert desk.sync() == [effects.Finish(end, ())]
    assert desk.sync() == []
    again = desk.again()
    assert again.take() == [effects.Finish(end, ())]
    assert again.sync() == []


def test_seed_and_source_are_those_of_the_queue() -> None:
    desk = Desk()
    desk.queue()
    assert desk.state.calls.seed == 7
    assert desk.state.source == "s1"


def test_a_body_starts_when_its_record_is_on_disk() -> None:
    desk = Desk()
    desk.queue()
    desk.take()
    assert desk.tell(told.Acknowledged(desk.now, 1)) == []
    with pytest.raises(ImpossibleStimulus):
        desk.call()
    assert desk.sync() == [effects.StartBody(0)]


def test_a_run_fails_and_its_on_failure_is_queued_with_the_end() -> None:
    desk = Desk().start(on_failure=True)
    todo = desk.raised(STEP)
    end = records.FunctionFailed(desk.now, STEP, cause=2)
    assert todo == [
        effects.SendEvent("plait/function.failed", end),
        effects.SendEvent("plait/function.finished", end),
        effects.RunOnFailure(end),
    ]
    assert desk.status == "failed"
    assert desk.sync() == [effects.Finish(end, ())]


def test_memos_that_nobody_asked_for_are_warned_of_when_it_completes() -> None:
    desk = Desk().start()
    key = desk.step("gone")
    again = desk.again().start()
    again.step("new")
    assert again.returned()[0] == effects.WarnUnasked((key,))


# ---------------------------------------------------------------- errors of the body: 5.7


@pytest.mark.parametrize(
    "error",
    [
        STEP,
        NonRetriableError("no"),
        NonRetriableStepError("a", "k", 1, "E", "no", ""),
        ExceptionGroup("two", [STEP, ExceptionGroup("in", [STEP])]),
    ],
)
def test_a_failed_step_fails_the_run_at_once(error: Exception) -> None:
    desk = Desk().start()
    desk.raised(error)
    assert desk.last.error is error
    assert desk.status == "failed"


def test_another_error_is_retried_with_the_memos_kept() -> None:
    desk = Desk().start()
    key = desk.step()
    error = ExceptionGroup("mixed", [STEP, ValueError("no")])
    assert desk.raised(error) == []
    assert desk.last == records.FunctionRetrying(desk.now, 0, error, desk.now + 5, cause=4)
    assert (desk.status, desk.waits) == ("running", [("attempt 1", 105.0)])
    with pytest.raises(ImpossibleStimulus):
        desk.tell(stimuli.RetryDue(desk.now))  # nobody was told to wake it
    assert desk.sync() == [effects.Wake(105.0)]
    desk.now = 105.0
    assert desk.tell(stimuli.RetryDue(desk.now)) == []
    assert desk.last == records.FunctionStarted(desk.now, 1, 0, "s1", cause=5)
    assert desk.sync() == [effects.StartBody(1)]
    assert desk.call() == (key, [])
    assert [out.key for out in desk.rest()] == [key]
    desk.raised(ValueError("again"))
    assert desk.status == "failed"


def test_what_an_earlier_attempt_cancelled_runs_in_the_next() -> None:
    desk = Desk().start()
    key, _ = desk.call()
    desk.let_go(key)
    desk.raised(ValueError("no"))
    desk.sync()
    same = desk.again()
    desk.tell(stimuli.RetryDue(desk.now))
    desk.sync()
    desk.call()
    assert desk.rest() == [calls.RunHandler(key, 0)]
    same.now = desk.state.due_at
    same.start()
    same.call()
    assert same.rest() == [calls.RunHandler(key, 0)]


def test_what_was_cancelled_in_this_attempt_stays_so_over_a_crash() -> None:
    desk = Desk().start()
    key, _ = desk.call(bounded=True)
    desk.let_go(key)
    again = desk.again().start()
    again.call(bounded=True)
    assert again.rest() == [calls.Warn(key)]


def test_retry_after_replaces_the_delay_and_not_the_count() -> None:
    desk = Desk().start()
    desk.raised(RetryAfterError("later", 60))
    assert desk.last.due_at == 160.0
    desk.sync()
    desk.tell(stimuli.RetryDue(160.0))
    desk.sync()
    desk.raised(RetryAfterError("later", 60))
    assert desk.status == "failed"


def test_without_a_policy_there_is_one_attempt() -> None:
    desk = Desk().start(retry=None)
    desk.raised(ValueError("no"))
    assert desk.status == "failed"


def test_a_policy_that_raises_fails_the_run() -> None:
    class Bad:
        def next(self, elapsed: float, attempts: int, error: Exception) -> float | None:
            raise LookupError("bad policy")

    desk = Desk().start(retry=Bad())
    error = ValueError("no")
    desk.raised(error)
    assert isinstance(desk.last.error, LookupError)
    assert desk.last.error.__cause__ is error


def test_a_policy_is_asked_with_the_time_since_the_first_start_and_the_runs_chance() -> None:
    asked: list[Any] = []

    class Curious:
        def next(self, elapsed: float, attempts: int, error: Exception, *, seed: int) -> float:
            asked.append((elapsed, attempts, seed))
            return 1.0

    desk = Desk().start(retry=Curious())
    for attempt in range(2):
        desk.now += 10
        desk.raised(ValueError("no"))
        desk.sync()
        desk.tell(stimuli.RetryDue(desk.now))
        desk.sync()
        assert desk.state.attempt == attempt + 1
    assert [one[:2] for one in asked] == [(10.0, 1), (20.0, 2)]
    assert asked[0][2] != asked[1][2]


def test_the_rest_of_a_delay_is_waited_for_after_a_crash() -> None:
    desk = Desk().start()
    desk.raised(ValueError("no"))
    again = desk.again()
    again.now = 103.0
    assert again.take() == [effects.Wake(105.0)]
    assert again.kinds() == desk.kinds()
    again.tell(stimuli.RetryDue(105.0))
    assert again.last.attempt == 1
    late = desk.again()
    late.now = 200.0
    assert late.take() == []
    assert late.last == records.FunctionStarted(200.0, 1, 0, "s1", cause=3)


def test_a_wake_that_rings_when_nobody_waits_says_nothing() -> None:
    desk = Desk().start()
    assert desk.tell(stimuli.RetryDue(desk.now)) == []


# ---------------------------------------------------------------- resumes: 3


def test_a_start_that_was_not_survived_is_no_attempt() -> None:
    desk = Desk().start()
    for resumes in (1, 2):
        desk = desk.again().start()
        assert desk.last == records.FunctionStarted(desk.now, 0, resumes, "s1", cause=resumes + 1)


def test_too_many_resumes_without_a_new_outcome_hold_the_run() -> None:
    desk = Desk().start()
    for _ in range(2):
        desk = desk.again().start(max_resumes=2)
    held = desk.again()
    why = reasons.TooManyResumes(2)
    assert held.take(max_resumes=2) == []
    assert held.sync() == [effects.Hold(why)]
    assert held.kinds() == [*desk.kinds(), "FunctionHeld"]
    assert (held.status, held.waits) == ("held", [("app.resume()", None)])
    assert "resumed 2 times" in why.text("r1")
    asked = desk.again().start(max_resumes=2, resumed=True)
    assert asked.state.resumes == 0


@pytest.mark.parametrize("how", ["completed", "failed", "deadline"])
def test_a_new_outcome_begins_the_count_anew(how: str) -> None:
    desk = Desk().start().again().start().again().start()
    assert desk.state.resumes == 2
    if how == "deadline":
        key = desk.state.calls.next_key((), None)
        desk.tell(told.DeadlineEntered(desk.now, key, desk.now))
        desk.tell(told.Due(desk.now, key))
    elif how == "failed":
        key, _ = desk.call()
        desk.tell(told.HandlerRaised(desk.now, key, OSError("no")))
    else:
        desk.step()
    assert desk.again().start().state.resumes == 1


def test_a_retry_of_a_step_is_no_outcome() -> None:
    desk = Desk().start().again().start()
    key, _ = desk.call(retry=Desk().terms["retry"])
    desk.tell(told.HandlerRaised(desk.now, key, OSError("no")))
    assert desk.waits == [("attempt 1 of step 'a' in the first task", 105.0)]
    desk.sync()
    desk.tell(told.Due(105.0, key))
    assert desk.waits == [], "it runs"
    assert desk.again().start().state.resumes == 2


def test_another_attempt_is_no_resume() -> None:
    desk = Desk().start(max_resumes=0)
    desk.raised(ValueError("no"))
    again = desk.again()
    again.now = 200.0
    again.start(max_resumes=0)
    assert (again.state.attempt, again.state.resumes) == (1, 0)


# ---------------------------------------------------------------- sources: 5.9


def test_another_source_is_logged_or_holds_the_run() -> None:
    desk = Desk().start()
    again = desk.again()
    assert again.take(source="s2") == [effects.LogSource("s1", "s2")]
    assert again.last.source == "s2"
    held = desk.again()
    why = reasons.SourceChanged("s1", "s2")
    assert held.take(source="s2", on_code_change="hold") == []
    assert held.sync() == [effects.Hold(why)]
    assert "s1, and the function is now s2" in why.text("r1")
    asked = desk.again()
    assert asked.take(source="s2", on_code_change="hold", resumed=True) == [
        effects.LogSource("s1", "s2")
    ]
    same = asked.again()
    assert same.take(source="s2", on_code_change="hold") == []


def test_a_run_that_has_not_started_takes_any_source() -> None:
    desk = Desk()
    desk.queue()
    assert desk.take(source="s2", on_code_change="hold") == []
    assert desk.last.source == "s2"


def test_a_function_that_nobody_knows_holds_the_run_also_if_it_is_asked_for() -> None:
    desk = Desk().start()
    why = reasons.UnknownFunction("shop-f")
    for resumed in (False, True):
        held = desk.again()
        assert held.take(source=None, resumed=resumed) == []
        assert held.sync() == [effects.Hold(why)]
    assert "'shop-f'" in why.text("r1")


def test_events_still_end_the_waits_of_a_run_that_is_held() -> None:
    desk = Desk().start()
    key, _ = desk.call(op="wait", due_at=200.0, event="news")
    assert desk.waits == [("event 'news' for step 'a'", 200.0)]
    held = desk.again()
    held.take(source=None)
    held.tell(told.EventArrived(held.now, key, "event"))
    assert isinstance(held.last, of_calls.CallCompleted)


def test_code_that_does_not_fit_holds_the_run_and_it_has_not_failed() -> None:
    desk = Desk().start()
    key = desk.step()
    again = desk.again().start()
    _, (refuse, stop) = again.call(handler="another")
    assert isinstance(refuse, calls.Refuse)
    assert stop == effects.StopBody(refuse.why)
    assert again.last == records.FunctionHeld(again.now, refuse.why, cause=5)
    assert again.raised(ValueError("DeterminismError, or whatever it made of it")) == []
    assert again.sync() == [effects.Hold(refuse.why)]
    assert again.status == "held"
    accepted = again.again().start(resumed=True, accept_changes=True)
    assert accepted.call(handler="another") == (key, [])


def test_a_cancellation_that_does_not_come_again_holds_the_run() -> None:
    desk = Desk().start()
    key, _ = desk.call()
    desk.let_go(key)
    again = desk.again().start()
    again.call()
    refuse, stop = again.rest()
    assert stop == effects.StopBody(refuse.why)
    assert again.sync() == [], "its body is not over"
    assert again.gone() == [effects.Hold(refuse.why)]


def test_why_a_run_is_held_is_kept_once_whatever_restarts_there_are() -> None:
    held = Desk().start().again()
    held.take(source=None)
    held.sync()
    why = reasons.UnknownFunction("shop-f")
    assert (held.status, held.last) == ("held", records.FunctionHeld(held.now, why, cause=2))
    for _ in range(2):
        again = held.again()
        assert again.status == "held"
        assert again.take(source=None) == [effects.Hold(why)]
        assert again.sync() == []
        assert again.kinds() == held.kinds()


def test_it_is_kept_again_for_another_reason() -> None:
    held = Desk().start().again()
    held.take(source=None)
    other = held.again()
    assert other.take(source="s2", on_code_change="hold") == []
    assert other.sync() == [effects.Hold(reasons.SourceChanged("s1", "s2"))]
    assert other.kinds()[-2:] == ["FunctionHeld", "FunctionHeld"]


def test_code_that_was_mended_goes_on_by_itself() -> None:
    held = Desk().start().again()
    held.take(source=None)
    again = held.again().start()
    assert (again.status, again.last.cause) == ("running", 3)
    assert again.state.held is None
    assert again.again().status == "running"


def test_a_run_that_is_no_longer_held_waits_for_its_next_attempt_again() -> None:
    desk = Desk().start()
    desk.raised(ValueError("no"))
    held = desk.again()
    held.take(source=None)
    held.sync()
    again = held.again()
    assert again.take() == []
    assert (again.status, again.last) == ("running", records.FunctionFreed(again.now, cause=4))
    assert again.sync() == [effects.Wake(105.0)]
    assert again.again().take() == [effects.Wake(105.0)], "that is said once"


def test_a_run_is_held_although_it_is_suspended_before_that_is_on_disk() -> None:
    desk = Desk().start()
    desk.step()
    again = desk.again().start()
    _, (refuse, _) = again.call(handler="another")
    again.suspend()
    assert again.gone() == []
    assert again.sync() == [effects.Hold(refuse.why)]


# ---------------------------------------------------------------- suspension: 5.4


@pytest.mark.parametrize("how", ["returned", "raised", "gone"])
def test_what_a_body_does_while_it_is_suspended_is_no_outcome(how: str) -> None:
    desk = Desk().start()
    key, _ = desk.call()
    before = desk.kinds()
    assert desk.suspend() == []
    assert desk.let_go(key) == [calls.LetGo(key)]
    _, (refused,) = desk.call("clean-up")
    assert refused.why.key.step_id == "clean-up"
    assert desk.cancel() == []
    {"returned": desk.returned, "gone": desk.gone, "raised": lambda: desk.raised(STEP)}[how]()
    assert desk.kinds() == before
    assert desk.status == "running"
    assert desk.again().start().call() == (key, [calls.RunHandler(key, 0)])


def test_a_suspended_run_starts_no_body() -> None:
    desk = Desk()
    desk.queue()
    desk.take()
    desk.suspend()
    assert desk.sync() == []
    assert desk.cancel() == []
    assert desk.status == "running"


def test_a_suspended_run_does_not_wake() -> None:
    desk = Desk().start()
    desk.raised(ValueError("no"))
    assert desk.suspend() == [effects.ClearWake()]
    assert desk.sync() == []
    assert desk.tell(stimuli.RetryDue(desk.now)) == []


def test_an_end_is_told_also_while_it_is_suspended() -> None:
    desk = Desk().start()
    desk.returned()
    desk.suspend()
    assert desk.sync() == [effects.Finish(desk.last, ())]


# ---------------------------------------------------------------- cancellation for good: 5.4


def test_a_queued_run_is_cancelled_at_once() -> None:
    desk = Desk()
    desk.queue()
    todo = desk.cancel()
    end = records.FunctionCancelled(desk.now, "enough", cause=1)
    assert todo == [effects.SendEvent("plait/function.cancelled", end)]
    assert desk.sync() == [effects.Finish(end, ())]
    assert desk.cancel() == []
    assert (desk.status, desk.last) == ("cancelled", end)


@pytest.mark.parametrize("how", ["returned", "raised", "gone"])
def test_a_cancelled_body_is_cancelled_however_it_ends(how: str) -> None:
    desk = Desk().start(on_failure=True)
    key, _ = desk.call()
    assert desk.cancel() == [effects.CancelBody("enough")]
    assert desk.cancel("later") == []
    assert desk.let_go(key) == [calls.LetGo(key)]
    desk.step("in a shielded clean-up")
    end = {"returned": desk.returned, "gone": desk.gone, "raised": lambda: desk.raised(STEP)}[how]
    assert end() == [effects.SendEvent("plait/function.cancelled", desk.last)]
    assert desk.last.reason == "enough"


def test_a_cancellation_is_derived_again_when_there_is_nothing_left_to_replay() -> None:
    desk = Desk().start()
    a = desk.step("a")
    b, _ = desk.call("b")
    desk.cancel()
    again = desk.again().start()
    assert again.cancel() == []
    assert again.call("a") == (a, [])
    assert [out.key for out in again.rest()] == [a]
    again.call("b")
    assert again.state.may_move
    assert again.rest() == [effects.CancelBody("enough")]
    assert again.let_go(b) == [calls.LetGo(b)]
    again.gone()
    assert again.status == "cancelled"
    assert "CallStarted" not in again.kinds(), "b did not run again"


def test_a_step_in_a_shielded_clean_up_runs_after_a_replay_as_well() -> None:
    desk = Desk().start()
    desk.step("a")
    again = desk.again().start()
    again.cancel()
    again.step("a")
    assert again.rest() == [effects.CancelBody("enough")]
    key, todo = again.call("clean-up")
    assert todo == []
    assert again.rest() == [calls.RunHandler(key, 0)]


def test_a_body_that_ends_in_a_replay_is_cancelled_all_the_same() -> None:
    desk = Desk().start()
    desk.step()
    again = desk.again().start()
    again.cancel()
    again.step()
    again.returned()
    assert again.status == "cancelled"


def test_a_start_on_its_way_to_disk_is_cancelled_without_a_body() -> None:
    desk = Desk()
    desk.queue()
    desk.take()
    desk.cancel()
    assert desk.status == "cancelled"
    assert desk.sync() == [effects.Finish(desk.last, ())]


@pytest.mark.parametrize("what", ["step", "child"])
def test_but_not_if_there_is_something_to_lose(what: str) -> None:
    desk = Desk().start()
    if what == "step":
        desk.step(undoable=True)
    else:
        desk.call(op="invoke", child="c1")
        assert desk.waits == [("run 'c1' of step 'a'", None)]
    again = desk.again()
    again.take()
    assert again.cancel() == []
    assert again.sync() == [effects.StartBody(0)]


def test_a_sleep_is_nothing_to_lose() -> None:
    desk = Desk().start()
    desk.call(op="sleep", due_at=200.0)
    assert desk.waits == [("sleep 'a'", 200.0)]
    again = desk.again()
    again.take()
    again.cancel()
    assert again.status == "cancelled"


def test_between_two_attempts_the_last_body_is_rolled_back() -> None:
    desk = Desk().start()
    key = desk.step(undoable=True)
    desk.raised(ValueError("no"))
    desk.sync()
    assert desk.cancel() == [effects.ClearWake()]
    assert desk.last == records.RollbackBegun(desk.now, (key,), None, "enough", cause=5)
    assert desk.tell(stimuli.RetryDue(desk.now)) == []
    assert desk.sync() == [effects.Undo(key)]
    desk.undo(key)
    assert desk.status == "cancelled"


def test_between_two_attempts_in_another_process_the_body_starts_for_its_rollbacks() -> None:
    desk = Desk().start()
    key = desk.step(undoable=True)
    desk.raised(ValueError("no"))
    again = desk.again()
    assert again.take() == [effects.Wake(105.0)]
    assert again.cancel() == [effects.ClearWake()]
    assert again.sync() == [effects.StartBody(1)]
    again.step(undoable=True)
    assert again.rest() == [effects.CancelBody("enough")]
    assert again.gone() == []
    assert again.sync() == [effects.Undo(key)]


def test_between_two_attempts_with_nothing_to_lose_it_is_over() -> None:
    desk = Desk().start()
    desk.raised(ValueError("no"))
    again = desk.again()
    again.take()
    clear, sent = again.cancel()
    assert clear == effects.ClearWake()
    assert sent.end == again.last
    assert again.status == "cancelled"


def test_a_held_run_is_cancelled_if_it_has_nothing_to_lose() -> None:
    desk = Desk()
    desk.queue()
    desk.take(source=None)
    desk.cancel()
    assert desk.status == "cancelled"
    desk = Desk().start()
    again = desk.again()
    again.take(max_resumes=0)
    again.cancel()
    assert again.status == "cancelled"


def test_else_it_is_cancelled_when_it_goes_on() -> None:
    desk = Desk().start()
    desk.step()
    again = desk.again()
    again.take(source=None)
    assert again.cancel() == []
    assert again.status == "held"


@pytest.mark.parametrize("lose", [False, True])
def test_a_run_that_is_being_held_is_cancelled_when_its_body_is_over(lose: bool) -> None:  # noqa: FBT001
    desk = Desk().start()
    if lose:
        desk.step("before")
    key, _ = desk.call()
    desk.let_go(key)
    again = desk.again().start()
    if lose:
        again.step("before")
    again.call()
    refuse, _ = again.rest()
    assert again.cancel() == []
    todo = again.gone()
    if lose:
        assert todo == []
        todo = again.sync()
    assert again.status == ("held" if lose else "cancelled")
    assert todo[0] == (
        effects.Hold(refuse.why)
        if lose
        else effects.SendEvent("plait/function.cancelled", again.last)
    )


# ---------------------------------------------------------------- rollback: 5.8


def test_rollbacks_run_one_after_another_in_reverse_order_of_completion() -> None:
    desk = Desk().start()
    a, _ = desk.call("a", undoable=True)
    b = desk.step("b", undoable=True)
    desk.step("plain")
    desk.tell(told.HandlerReturned(desk.now, a, "value"))
    desk.sync()
    desk.rest()
    assert desk.raised(STEP) == []
    begun = records.RollbackBegun(desk.now, (a, b), STEP, None, cause=8)
    assert desk.last == begun
    assert desk.status == "running"
    assert desk.rest() == []
    assert desk.sync() == [effects.Undo(a)]
    assert desk.undo(a, fails=True) == [effects.Undo(b)]
    failed, finished = desk.undo(b)
    assert failed.end == finished.end == records.FunctionFailed(desk.now, STEP, desk.last.cause)
    (finish,) = desk.sync()
    assert finish.end is desk.last
    (note,) = finish.notes
    assert note.key == a.rollback
    assert desk.again().take() == [finish]


def test_after_a_crash_the_body_is_replayed_and_the_remaining_ones_run() -> None:
    desk = Desk().start()
    a, b = desk.step("a", undoable=True), desk.step("b", undoable=True)
    held, _ = desk.call("held")
    desk.let_go(held)
    desk.raised(STEP)
    desk.sync()
    desk.undo(b)
    again = desk.again().start()
    assert again.last == records.FunctionStarted(again.now, 0, 1, "s1", again.last.cause)
    assert again.cancel("too late") == []
    again.step("a", undoable=True)
    again.step("b", undoable=True)
    again.call("held")
    again.call("new", key=Key((0,), "new", 0))
    (cancel,) = again.rest()
    assert isinstance(cancel, calls.Cancel)
    assert {key.step_id for key in cancel.keys} == {"held", "new"}
    for key in cancel.keys:
        again.let_go(key)
    assert again.cancel("later still") == []
    assert again.returned("another end") == [effects.Undo(a)]
    again.undo(a)
    assert again.last.error is STEP


def test_after_a_crash_at_the_very_end_only_the_end_is_written() -> None:
    desk = Desk().start()
    key = desk.step(undoable=True)
    desk.raised(STEP)
    desk.sync()
    desk.undo(key)
    del desk.kept[-1]
    again = desk.again().start()
    again.step(undoable=True)
    again.raised(STEP)
    assert again.status == "failed"


def test_a_suspended_rollback_goes_on_later() -> None:
    desk = Desk().start()
    key = desk.step(undoable=True)
    desk.raised(STEP)
    desk.sync()
    with pytest.raises(ImpossibleStimulus):
        desk.call(op="rollback", key=key.rollback, cancelled=True)
    desk.call(op="rollback", key=key.rollback)
    with pytest.raises(ImpossibleStimulus):
        desk.let_go(key.rollback)
    desk.suspend()
    assert desk.let_go(key.rollback) == [calls.LetGo(key.rollback)]
    again = desk.again().start()
    again.step(undoable=True)
    assert again.gone() == [effects.Undo(key)]


def test_a_rollback_without_its_callable_holds_the_run_or_is_left_out() -> None:
    desk = Desk().start()
    a, b = desk.step("a", undoable=True), desk.step("b", undoable=True)
    desk.raised(STEP)
    held = desk.again().start()
    held.step("a")
    held.step("b", undoable=True)
    why = reasons.CannotUndo((a,))
    assert held.raised(STEP) == []
    assert held.sync() == [effects.Hold(why)]
    assert "roll back step 'a' in the first task" in why.text("r1")
    assert held.status == "held"
    assert held.cancel() == []
    accepted = desk.again().start(accept_changes=True, resumed=True)
    accepted.step("a")
    accepted.step("b", undoable=True)
    assert accepted.raised(STEP) == [effects.WarnNotUndone((a,)), effects.Undo(b)]
    accepted.undo(b)
    assert accepted.status == "failed"


# ---------------------------------------------------------------- what cannot be


def test_what_cannot_have_happened_is_refused() -> None:
    desk = Desk()
    impossible: list[Any] = [stimuli.TakenUp(1.0, "s1"), stimuli.RetryDue(1.0)]
    for stimulus in [*impossible, stimuli.CancelAsked(1.0, "enough")]:
        with pytest.raises(ImpossibleStimulus):
            desk.tell(stimulus)
    desk.start()
    for stimulus in (
        stimuli.Queued(1.0, "f", "e", (), None, 0.0, 0.0, 1, "s"),
        stimuli.TakenUp(1.0, "s1"),
        stimuli.BodyCancelled(1.0),
        told.Began(1.0, 0),
        told.RollbackBegan(1.0),
        told.Called(1.0, Key((), "a", 0, "rollback"), "rollback", "h"),
    ):
        with pytest.raises(ImpossibleStimulus, match="cannot have happened"):
            desk.tell(stimulus)
    desk.call()
    with pytest.raises(ImpossibleStimulus):
        desk.returned()  # a call is under way


def test_a_run_is_taken_up_before_its_body_is_cancelled() -> None:
    desk = Desk().start()
    with pytest.raises(ImpossibleStimulus):
        desk.again().cancel()


def test_a_held_run_has_no_wake() -> None:
    desk = Desk().start()
    desk.raised(ValueError("no"))
    again = desk.again()
    again.take(source=None)
    with pytest.raises(ImpossibleStimulus):
        again.tell(stimuli.RetryDue(200.0))


def test_an_event_that_was_on_its_way_when_the_run_ended_is_not_taken() -> None:
    desk = Desk().start()
    key, _ = desk.call(op="wait", due_at=200.0, event="news")
    again = desk.again()
    again.take()
    again.cancel()
    assert again.tell(told.EventArrived(again.now, key, "event")) == []


def test_an_event_that_comes_before_the_body_is_handed_out_when_it_is_on_disk() -> None:
    desk = Desk().start()
    key, _ = desk.call(op="wait", due_at=200.0, event="news")
    again = desk.again()
    again.take()
    n = again.state.calls.last_n
    again.tell(told.EventArrived(again.now, key, "event"))
    assert again.tell(told.Acknowledged(again.now, n)) == [effects.StartBody(0)]
    again.call(op="wait", due_at=200.0, event="news")
    assert again.rest() == []
    again.sync()
    assert [out.key for out in again.rest()] == [key]


def test_an_event_that_comes_before_the_run_is_taken_up_starts_nothing() -> None:
    desk = Desk().start()
    key, _ = desk.call(op="wait", due_at=200.0, event="news")
    desk = desk.again().start()
    desk.raised(ValueError("before it waits again"))
    again = desk.again()
    again.tell(told.EventArrived(again.now, key, "event"))
    assert again.sync() == []
    assert again.take() == [effects.Wake(105.0)]


def test_a_stream_that_is_not_sound_is_refused() -> None:
    desk = Desk()
    desk.queue()
    with pytest.raises(PlaitInternalError, match="in phase"):
        fold(desk.state, records.RollbackBegun(1.0, (), None, None), 2)
    with pytest.raises(PlaitInternalError, match="in phase"):
        fold(desk.state, of_calls.CallCancelled(1.0, Key((), "a", 0)), 2)
    with pytest.raises(PlaitInternalError, match="record 1 after record 1"):
        fold(desk.state, records.FunctionStarted(1.0, 0, 0, "s"), 1)


def test_a_run_without_a_body_enters_no_deadline_and_asks_for_no_patch() -> None:
    for stimulus in (
        told.DeadlineEntered(1.0, Key((), None, 0), 2.0),
        told.PatchAsked(1.0, "p"),
        told.Began(1.0, 0),
    ):
        with pytest.raises(ImpossibleStimulus):
            decide(FunctionState(), stimulus)
