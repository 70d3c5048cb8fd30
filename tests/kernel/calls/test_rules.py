"""What the kernel of the calls says to each stimulus, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from plait._errors import PlaitInternalError
from plait._kernel.calls import effects, records, refusals, stimuli
from plait._kernel.calls.apply import fold
from plait._kernel.calls.decide import ImpossibleStimulus, decide
from plait._kernel.calls.keys import Key
from plait._kernel.calls.state import BodyState
from plait._kernel.retry.policy import ConstantDelayRetryPolicy
from tests.kernel.calls.desk import Desk

TWICE = ConstantDelayRetryPolicy(maximum_attempts=2, delay=5)


# ---------------------------------------------------------------- order


def test_an_outcome_is_handed_out_when_it_is_on_disk_and_the_body_is_at_rest() -> None:
    desk = Desk()
    key, todo = desk.call()
    assert todo == [effects.RunHandler(key, 0)]
    assert not desk.state.may_move
    assert desk.returned(key) == []
    assert desk.rest() == []
    assert not desk.state.may_move
    assert desk.sync() == []
    assert desk.state.may_move
    (out,) = desk.rest()
    assert out == effects.HandOut(key, 2, desk.last)
    assert desk.state.moment == desk.now
    assert desk.rest() == []
    assert desk.kinds() == [records.CallStarted, records.CallCompleted]


def test_the_lowest_number_comes_first_and_one_on_its_way_holds_up_the_rest() -> None:
    desk = Desk()
    a, _ = desk.call("a", path=(0,))
    b, _ = desk.call("b", path=(1,))
    desk.returned(b)
    first = desk.state.last_n
    desk.returned(a)
    assert desk.rest() == []
    desk.tell(stimuli.Acknowledged(desk.now, first))
    assert [out.key for out in desk.rest()] == [b]
    assert desk.rest() == []
    desk.sync()
    assert [out.key for out in desk.rest()] == [a]


def test_memos_come_back_in_their_order_and_then_what_is_held_is_released() -> None:
    desk = Desk()
    keys = [desk.call(path=(k,))[0] for k in range(3)]
    desk.returned(keys[2])
    desk.returned(keys[0])
    again = desk.again()
    assert again.state.replaying
    assert again.state.unasked == (keys[2], keys[0])
    assert [again.call(path=(k,))[1] for k in range(3)] == [[], [], []]
    assert again.state.unasked == ()
    assert [again.rest()[0].key for _ in range(2)] == [keys[2], keys[0]]
    assert not again.state.replaying
    assert again.rest() == [effects.RunHandler(keys[1], 0)]
    assert not again.state.replay
    assert again.call("b")[1] == [effects.RunHandler(Key((), "b", 0), 0)]


def test_a_memo_that_nobody_asks_for_does_not_hold_up_the_others() -> None:
    desk = Desk()
    key, _ = desk.call("gone")
    desk.returned(key)
    again = desk.again()
    new, todo = again.call("new")
    assert todo == []
    assert again.state.replaying
    assert again.rest() == [effects.RunHandler(new, 0)]
    assert not again.state.replaying
    assert again.state.unasked == (key,)


def test_the_same_id_again_is_another_key() -> None:
    desk = Desk()
    assert [desk.call("foo")[0], desk.call("foo")[0], desk.call("foo:1")[0]] == [
        ((), "foo", 0, ""),
        ((), "foo", 1, ""),
        ((), "foo:1", 0, ""),
    ]


# ---------------------------------------------------------------- time


def test_a_sleep_is_on_disk_before_its_alarm_is_set_and_its_clock_does_not_start_again() -> None:
    desk = Desk()
    key, todo = desk.call(op="sleep", due_at=110.0)
    assert todo == []
    assert desk.sync() == [effects.SetAlarm(key, 110.0)]
    desk.now = 105.0
    again = desk.again()
    again.call(op="sleep", due_at=115.0)
    assert again.rest() == [effects.SetAlarm(key, 110.0)]
    again.now = 110.0
    assert again.due(key) == []
    assert again.last == records.CallCompleted(110.0, key, "sleep", "h", (), 1, None, 0)
    assert again.due(key) == []  # it rang twice


@pytest.mark.parametrize("due_at", [100.0, -5.0])
def test_a_sleep_that_is_over_ends_at_once(due_at: float) -> None:
    desk = Desk()
    desk.call(op="sleep", due_at=due_at)
    assert desk.kinds() == [records.CallCompleted]


def test_what_is_overdue_ends_in_the_order_of_its_due_times_before_anything_is_released() -> None:
    desk = Desk()
    late, _ = desk.call("late", "sleep", (0,), due_at=120.0)
    soon, _ = desk.call("soon", "sleep", (1,), due_at=110.0)
    limit = desk.state.next_key((2,), None)
    assert desk.tell(stimuli.DeadlineEntered(desk.now, limit, 115.0)) == [
        effects.SetAlarm(limit, 115.0)
    ]
    later, _ = desk.call("later", "sleep", (3,), due_at=999.0)
    wait, _ = desk.call("wait", "wait", (4,), due_at=101.0)
    desk.now = 500.0
    again = desk.again()
    again.call("late", "sleep", (0,))
    again.call("soon", "sleep", (1,))
    assert again.tell(stimuli.DeadlineEntered(again.now, limit, 615.0)) == []
    again.call("later", "sleep", (3,))
    again.call("wait", "wait", (4,))
    other, _ = again.call("other", path=(5,))
    assert again.rest() == []
    assert [record.key for _, record in again.kept[-3:]] == [soon, limit, late]
    assert again.rest() == []
    again.sync()
    outs = [again.rest()[0] for _ in range(3)]
    assert [out.key for out in outs] == [soon, limit, late]
    assert isinstance(outs[1].outcome, records.DeadlineFired)
    assert again.rest() == [
        effects.SetAlarm(later, 999.0),
        effects.Await(wait, "news"),
        effects.SetAlarm(wait, 101.0),
        effects.RunHandler(other, 0),
    ]


# ---------------------------------------------------------------- events, children


def test_a_wait_takes_the_first_event_or_gives_up() -> None:
    desk = Desk()
    key, _ = desk.call(op="wait")
    assert desk.sync() == [effects.Await(key, "news"), effects.SetAlarm(key, 110.0)]
    assert desk.tell(stimuli.EventArrived(desk.now, key, "e1")) == [effects.ClearAlarm(key)]
    assert desk.tell(stimuli.EventArrived(desk.now, key, "e2")) == []
    assert desk.last.value == "e1"
    late, _ = desk.call(op="wait")
    desk.sync()
    assert desk.due(late) == [effects.Forget(late)]
    assert desk.last.value is None


def test_an_event_may_come_before_its_wait_is_confirmed_or_made_again() -> None:
    desk = Desk()
    early, _ = desk.call(op="wait")
    assert desk.tell(stimuli.EventArrived(desk.now, early, "e1")) == []
    other, _ = desk.call("b", op="wait")
    assert desk.sync() == [effects.Await(other, "news"), effects.SetAlarm(other, 110.0)]
    again = desk.again()
    assert again.tell(stimuli.EventArrived(desk.now, other, "e2")) == []
    assert again.last.where is None
    again.sync()
    again.call(op="wait")
    again.call("b", op="wait", where=("elsewhere",))
    assert [again.rest()[0].outcome.value for _ in range(2)] == ["e1", "e2"]


def test_a_wait_fails_if_nobody_can_say_whether_it_accepts_an_event() -> None:
    desk = Desk()
    key, _ = desk.call(op="wait")
    desk.sync()
    broken = stimuli.EventArrived(desk.now, key, None, ValueError("no such field"))
    desk.tell(broken)
    assert isinstance(desk.last, records.CallFailed)
    assert str(desk.last.error) == "no such field"
    late, _ = desk.call("b", op="wait")
    desk.sync()
    again = desk.again()
    with pytest.raises(ImpossibleStimulus):  # its code is asked, and it has not been called yet
        again.tell(stimuli.EventArrived(again.now, late, None, ValueError()))


def test_an_invoke_runs_a_child_and_ends_with_it() -> None:
    desk = Desk()
    key, todo = desk.call(op="invoke")
    assert todo == []
    assert desk.sync() == [effects.StartChild(key, "c1")]
    assert desk.tell(stimuli.ChildEnded(desk.now, key, value=3)) == []
    assert desk.last.value == 3
    bad, _ = desk.call(op="invoke", due_at=110.0)
    desk.sync()
    assert desk.tell(stimuli.ChildEnded(desk.now, bad, error="e")) == [effects.ClearAlarm(bad)]
    assert desk.last.error == "e"


def test_an_invoke_that_takes_too_long_ends_when_its_child_is_gone() -> None:
    desk = Desk()
    key, _ = desk.call(op="invoke", due_at=110.0)
    assert desk.sync() == [effects.StartChild(key, "c1"), effects.SetAlarm(key, 110.0)]
    assert desk.due(key) == [effects.CancelChild(key, "c1")]
    assert desk.kinds() == [records.CallScheduled]
    desk.tell(stimuli.ChildEnded(desk.now, key, error="timed out"))
    assert isinstance(desk.last, records.CallFailed)


def test_a_cancelled_invoke_cancels_its_child_wherever_it_is() -> None:
    desk = Desk()
    key, _ = desk.call(op="invoke")
    desk.sync()
    again = desk.again()  # it is held here: the child does not run
    again.call(op="invoke")
    close = [effects.CancelChild(key, "c1"), effects.StartChild(key, "c1")]
    assert again.cancelled(key) == close
    assert again.rest() == again.cancelled(key) == []
    assert again.tell(stimuli.ChildEnded(desk.now, key, error="cancelled")) == []
    assert again.rest() == [effects.LetGo(key)]
    assert again.tell(stimuli.ChildEnded(desk.now, key, error="cancelled")) == []
    other = desk.again()  # its scope was cancelled before it is made
    assert other.call(op="invoke", cancelled=True) == (key, close)
    assert isinstance(other.last, records.CallCancelled)
    assert other.rest() == []
    other.tell(stimuli.ChildEnded(desk.now, key, value="it was faster"))
    assert other.rest() == [effects.LetGo(key)]
    assert desk.cancelled(key) == [effects.CancelChild(key, "c1")]  # it is entered here
    assert desk.state.cancellations(key) == 1
    assert desk.state.cancellations(Key((), "b", 0)) == 0


def test_who_has_invoked_leaves_when_its_child_is_over_in_its_place_among_outcomes() -> None:
    desk = Desk()
    key, _ = desk.call("child", "invoke", path=(0,), due_at=500.0)
    a, _ = desk.call("a", path=(1,))
    b, _ = desk.call("b", path=(2,))
    desk.sync()
    assert desk.cancelled(key) == [effects.ClearAlarm(key), effects.CancelChild(key, "c1")]
    desk.returned(a)
    desk.sync()
    assert [out.key for out in desk.rest()] == [a]
    assert desk.rest() == []
    crashed = desk.again()
    desk.tell(stimuli.ChildEnded(desk.now, key, error="cancelled"))
    assert isinstance(desk.last, records.CallCancelled)
    desk.returned(b)
    desk.sync()
    order = [desk.rest()[0] for _ in range(2)]
    assert order[0] == effects.LetGo(key)
    assert order[1].key == b
    assert desk.state.cancellations(key) == 1

    # Once it is on disk that the child is over, nobody asks for it again, and the place is the same.
    again = desk.again()
    for op, step_id, k in (("invoke", "child", 0), ("run", "a", 1), ("run", "b", 2)):
        again.call(step_id, op, path=(k,), due_at=500.0 if op == "invoke" else None)
    assert [out.key for out in again.rest()] == [a]
    assert again.cancelled(key) == []
    assert again.rest() == [effects.LetGo(key)]
    assert [out.key for out in again.rest()] == [b]

    # Before that the child is ended here.
    crashed.call("child", "invoke", path=(0,), due_at=500.0)
    crashed.call("a", path=(1,))
    assert [out.key for out in crashed.rest()] == [a]
    close = [effects.CancelChild(key, "c1"), effects.StartChild(key, "c1")]
    assert crashed.cancelled(key) == close
    assert crashed.rest() == []
    crashed.tell(stimuli.ChildEnded(desk.now, key, error="cancelled"))
    assert crashed.rest() == [effects.LetGo(key)]
    late = crashed.again()
    assert late.call("child", "invoke", path=(0,), cancelled=True)[1] == []
    assert late.rest() == [effects.LetGo(key)]


def test_who_has_invoked_and_is_suspended_meanwhile_leaves_at_once() -> None:
    desk = Desk()
    key, _ = desk.call(op="invoke")
    desk.sync()
    desk.cancelled(key)
    desk.tell(stimuli.Suspended(desk.now))
    assert desk.tell(stimuli.ChildEnded(desk.now, key, error="cancelled")) == []
    assert desk.cancelled(key) == [effects.LetGo(key)]
    again = desk.again()
    _, todo = again.call(op="invoke", cancelled=True)
    assert todo == [effects.CancelChild(key, "c1"), effects.StartChild(key, "c1")]


# ---------------------------------------------------------------- retries


def test_the_delay_before_the_next_attempt_survives_and_a_crash_is_no_attempt() -> None:
    desk = Desk()
    key, _ = desk.call(retry=TWICE)
    desk.now = 101.0
    assert desk.raised(key) == []
    assert desk.last == records.CallRetrying(101.0, key, 0, desk.last.error, 106.0, 100.0, 1)
    assert desk.sync() == [effects.SetAlarm(key, 106.0)]
    desk.now = 103.0
    again = desk.again()
    again.call(retry=TWICE)
    assert again.rest() == [effects.SetAlarm(key, 106.0)]
    again.now = 107.0
    assert again.due(key) == [effects.RunHandler(key, 1)]
    third = again.again()
    third.call(retry=TWICE)
    assert third.rest() == [effects.RunHandler(key, 1)]
    third.raised(key)
    assert isinstance(third.last, records.CallFailed)
    assert third.last.attempts == 2


@pytest.mark.parametrize(("asked", "due"), [(130.0, 130.0), (90.0, 100.0)])
def test_a_handler_may_say_when_it_wants_to_be_tried_again(asked: float, due: float) -> None:
    desk = Desk()
    key, _ = desk.call(retry=TWICE)
    desk.raised(key, retry_at=asked)
    assert desk.last.due_at == due


def test_what_no_attempt_mends_fails_at_once() -> None:
    desk = Desk()
    key, _ = desk.call(retry=TWICE)
    desk.raised(key, final=True)
    assert isinstance(desk.last, records.CallFailed)
    key, _ = desk.call()
    desk.raised(key)
    assert isinstance(desk.last, records.CallFailed)


def test_a_policy_knows_since_when_and_what_it_raises_fails_the_call() -> None:
    class Odd:
        asked: list[tuple[float, int]]

        def next(self, elapsed: float, attempts: int, error: Exception) -> float | None:
            self.asked.append((elapsed, attempts))
            if attempts == 2:
                raise KeyError("odd")
            return 0.0

    odd = Odd()
    odd.asked = []
    desk = Desk()
    key, _ = desk.call(retry=odd)
    desk.now = 104.0
    desk.raised(key)
    again = desk.again()
    again.call(retry=odd)
    again.rest()
    again.now = 109.0
    again.raised(key)
    assert odd.asked == [(4.0, 1), (9.0, 2)]
    assert isinstance(again.last.error, KeyError)


def test_chance_in_a_delay_follows_from_seed_key_and_attempt() -> None:
    class Seeded:
        def next(self, elapsed: float, attempts: int, error: Exception, *, seed: int) -> float:
            return float(seed)

    dues = set()
    for seed in (1, 1, 2):
        desk = Desk(state=BodyState(seed=seed))
        key, _ = desk.call(retry=Seeded())
        desk.raised(key)
        dues.add(desk.last.due_at)
    assert len(dues) == 2


# ---------------------------------------------------------------- cancellation


def test_an_outcome_on_its_way_to_disk_can_no_longer_be_cancelled() -> None:
    desk = Desk()
    key, _ = desk.call()
    desk.returned(key)
    assert desk.cancelled(key) == []
    desk.sync()
    assert [out.key for out in desk.rest()] == [key]


def test_a_memo_is_handed_out_also_in_a_scope_that_is_cancelled() -> None:
    desk = Desk()
    key, _ = desk.call()
    desk.returned(key)
    again = desk.again()
    assert again.call(cancelled=True) == (key, [])
    assert [out.key for out in again.rest()] == [key]


def test_a_call_in_a_cancelled_scope_starts_nothing_and_uses_up_its_key() -> None:
    desk = Desk()
    key, todo = desk.call(cancelled=True)
    assert todo == [effects.LetGo(key)]
    assert desk.kept == []
    assert desk.state.next_key((), "a").occurrence == 1


def test_what_an_earlier_process_began_is_cancelled_by_a_scope_that_now_is_sooner() -> None:
    desk = Desk()
    nap, _ = desk.call("nap", "sleep")
    slow, _ = desk.call("slow", retry=TWICE)
    desk.raised(slow)
    again = desk.again()
    assert again.call("nap", "sleep", cancelled=True) == (nap, [])
    assert again.last == records.CallCancelled(100.0, nap, 0)
    assert again.call("slow", cancelled=True) == (slow, [])
    assert again.last == records.CallCancelled(100.0, slow, 0)
    assert again.rest() == []
    again.sync()
    assert again.rest() == [effects.LetGo(nap)]
    assert again.rest() == [effects.LetGo(slow)]


def test_who_is_cancelled_together_leaves_when_that_is_on_disk_and_who_is_alone_at_once() -> None:
    desk = Desk()
    keys = [desk.call("nap", "sleep", path=(k,))[0] for k in range(3)]
    desk.sync()
    for key in reversed(keys):
        desk.cancelled(key)
    first = desk.state.last_n - 2
    assert not desk.state.may_move
    assert desk.rest() == []
    desk.tell(stimuli.Acknowledged(desk.now, first))
    assert desk.state.may_move
    assert desk.rest() == [effects.LetGo(keys[2])]
    assert not desk.state.may_move
    assert desk.rest() == []
    desk.tell(stimuli.Acknowledged(desk.now, first + 1))
    assert desk.rest() == [effects.LetGo(keys[1])]
    assert desk.state.may_move  # nobody is left with whom it could change places
    assert desk.rest() == [effects.LetGo(keys[0])]


def test_a_cancelled_call_waits_for_the_same_cancellation() -> None:
    desk = Desk()
    first, _ = desk.call("first", path=(0,))
    loser, _ = desk.call("loser", path=(1,))
    desk.returned(first)
    assert desk.cancelled(loser) == []
    assert desk.last == records.CallCancelled(100.0, loser, 0)
    again = desk.again()
    again.call("first", path=(0,))
    again.call("loser", path=(1,))
    assert [out.key for out in again.rest()] == [first]
    assert again.cancelled(loser) == []
    assert again.rest() == [effects.LetGo(loser)]
    assert again.kinds().count(records.CallCancelled) == 1
    early = desk.again()
    assert early.call("loser", path=(1,), cancelled=True) == (loser, [])
    assert early.rest() == [effects.LetGo(loser)]
    assert early.kinds().count(records.CallCancelled) == 1
    later = desk.again(attempt=1)  # it binds no more
    later.call("loser", path=(1,))
    assert later.rest() == [effects.RunHandler(loser, 0)]
    assert later.cancelled(loser) == []
    assert later.state.cancellations(loser) == 2


def test_a_cancelled_call_is_let_go_in_its_turn_in_each_life() -> None:
    """Its handler took its time to clean up; two outcomes came meanwhile, and one after it."""
    desk = Desk()
    loser, _ = desk.call("loser", path=(1,))
    keys = [desk.call(name, path=(2,))[0] for name in "abc"]
    desk.returned(keys[0])
    desk.returned(keys[1])
    assert desk.cancelled(loser) == []
    desk.returned(keys[2])
    assert desk.cancelled(loser) == []  # again, by another scope: it waits already
    desk.tell(stimuli.Acknowledged(desk.now, desk.kept[-4][0]))
    told = [desk.rest()]  # the second outcome is not on disk, and none overtakes it
    assert not desk.state.may_move
    assert desk.rest() == []
    desk.sync()
    while more := desk.rest():
        told.append(more)
    assert [effect.key for (effect,) in told] == [keys[0], keys[1], loser, keys[2]]
    again = desk.again()
    again.call("loser", path=(1,))
    for name in "abc":
        again.call(name, path=(2,))
    assert again.cancelled(loser) == []  # at once: it does not run
    assert [again.rest() for _ in told] == told
    assert again.rest() == []


def test_a_cancellation_whose_record_was_lost_comes_behind_all_that_is_on_disk() -> None:
    desk = Desk()
    loser, _ = desk.call("loser", path=(1,))
    others = [desk.call(name, path=(2,))[0] for name in "ab"]
    for key in others:
        desk.returned(key)
    again = desk.again()  # it died while the loser cleaned up
    again.call("loser", path=(1,))
    again.call("a", path=(2,))
    again.call("b", path=(2,))
    assert again.cancelled(loser) == []
    told = [effect for _ in range(4) for effect in again.rest()]
    assert [effect.key for effect in told] == [*others, loser]
    assert told[-1] == effects.LetGo(loser)


def test_a_cancelled_call_waits_for_no_disk() -> None:
    desk = Desk()
    key, _ = desk.call()
    assert desk.cancelled(key) == []
    assert desk.state.may_move
    assert desk.rest() == [effects.LetGo(key)]
    assert desk.state.confirmed < desk.state.last_n
    assert desk.state.handed == 0
    assert not desk.state.may_move


def test_a_call_that_waits_to_leave_is_let_go_at_once_when_the_body_is_stopped() -> None:
    desk = Desk()
    key, _ = desk.call()
    desk.cancelled(key)
    desk.tell(stimuli.Suspended(desk.now))
    assert desk.rest() == []
    assert desk.cancelled(key) == [effects.LetGo(key)]


def test_a_cancelled_call_that_nothing_cancels_any_more_is_refused() -> None:
    desk = Desk()
    key, _ = desk.call("loser")
    desk.cancelled(key)
    again = desk.again()
    again.call("loser")
    other, _ = again.call("other", path=(0,))
    assert again.rest() == [effects.RunHandler(other, 0)]
    assert again.rest() == []  # it may yet cancel the call
    again.returned(other)
    again.sync()
    again.rest()
    (refuse,) = again.rest()
    assert refuse == effects.Refuse(key, refusals.NotCancelled(key))
    assert refuse.why.text("r1") == (
        "step 'loser' in the first task was cancelled before, and now nothing cancels it. "
        "Restore it, use another id, or app.resume('r1', accept_changes=True)"
    )
    assert again.state.stopped


def test_a_raw_deadline_may_end_the_wait_and_is_warned_of_once() -> None:
    desk = Desk()
    key, _ = desk.call("loser", bounded=True)
    desk.cancelled(key)
    again = desk.again()
    again.call("loser", bounded=True)
    assert again.rest() == [effects.Warn(key)]
    assert again.rest() == []
    assert again.cancelled(key) == []
    assert again.rest() == [effects.LetGo(key)]


def test_a_deadline_that_ticks_may_end_the_wait() -> None:
    desk = Desk()
    limit = desk.state.next_key((), None)
    desk.tell(stimuli.DeadlineEntered(desk.now, limit, 110.0))
    key, _ = desk.call("loser")
    desk.cancelled(key)
    again = desk.again()
    again.tell(stimuli.DeadlineEntered(again.now, limit, 210.0))
    again.call("loser")
    assert again.rest() == [effects.SetAlarm(limit, 110.0)]
    assert again.rest() == []


def test_what_waits_is_taken_back_with_its_call() -> None:
    desk = Desk()
    nap, _ = desk.call("nap", "sleep")
    wait, _ = desk.call("wait", "wait")
    child, _ = desk.call("child", "invoke", due_at=110.0)
    slow, _ = desk.call("slow", retry=TWICE)
    desk.raised(slow)
    unconfirmed, _ = desk.call("unconfirmed", "sleep")
    assert desk.cancelled(unconfirmed) == []
    todo = desk.sync()
    assert {effect.key for effect in todo} == {nap, wait, child, slow}
    assert desk.cancelled(nap) == [effects.ClearAlarm(nap)]
    assert desk.cancelled(wait) == [effects.ClearAlarm(wait), effects.Forget(wait)]
    assert desk.cancelled(child) == [
        effects.ClearAlarm(child),
        effects.CancelChild(child, "c1"),
    ]
    assert desk.cancelled(slow) == [effects.ClearAlarm(slow)]
    assert desk.due(nap) == []
    assert desk.tell(stimuli.EventArrived(desk.now, wait, "late")) == []


# ---------------------------------------------------------------- deadlines


def test_a_deadline_fires_in_its_turn_and_once() -> None:
    desk = Desk()
    limit = desk.state.next_key((), None)
    assert limit == ((), None, 0, "")
    desk.tell(stimuli.DeadlineEntered(desk.now, limit, 110.0))
    desk.now = 110.0
    assert desk.due(limit) == []
    assert desk.due(limit) == []
    assert desk.kinds() == [records.DeadlineSet, records.DeadlineFired]
    desk.sync()
    (out,) = desk.rest()
    assert out == effects.HandOut(limit, 2, desk.last)
    assert desk.tell(stimuli.DeadlineLeft(desk.now, limit)) == []
    again = desk.again()
    assert again.tell(stimuli.DeadlineEntered(again.now, limit, 999.0)) == []
    assert [out.n for out in again.rest()] == [2]
    fresh = desk.again(attempt=1)  # an attempt of the body has deadlines of its own
    fresh.tell(stimuli.DeadlineEntered(fresh.now, limit, 999.0))
    assert fresh.state.deadlines[limit].due_at == 999.0
    assert fresh.state.outcomes == 0


def test_a_scope_that_is_left_takes_its_deadline_along() -> None:
    desk = Desk()
    limit = desk.state.next_key((), None)
    desk.tell(stimuli.DeadlineEntered(desk.now, limit, 110.0))
    assert desk.tell(stimuli.DeadlineLeft(desk.now, limit)) == [effects.ClearAlarm(limit)]
    assert desk.due(limit) == []
    late = desk.state.next_key((), None)
    desk.tell(stimuli.DeadlineEntered(desk.now, late, 110.0))
    desk.due(late)
    desk.sync()
    assert desk.tell(stimuli.DeadlineLeft(desk.now, late)) == []
    assert desk.rest() == []  # nobody is left to be told
    again = desk.again()
    again.tell(stimuli.DeadlineEntered(again.now, limit, 1.0))
    assert again.tell(stimuli.DeadlineLeft(again.now, limit)) == []
    again.call("b")
    again.rest()
    again.tell(stimuli.DeadlineEntered(again.now, late, 1.0))
    assert [out.key for out in again.rest()] == [late]


def test_a_recorded_deadline_met_after_replay_keeps_its_time() -> None:
    desk = Desk()
    limit = desk.state.next_key((), None)
    desk.tell(stimuli.DeadlineEntered(desk.now, limit, 110.0))
    again = desk.again()
    again.call("new")
    again.rest()
    assert again.tell(stimuli.DeadlineEntered(again.now, limit, 999.0)) == [
        effects.SetAlarm(limit, 110.0)
    ]


# ---------------------------------------------------------------- patches


def test_a_patch_is_on_if_its_first_call_was_live_and_stays_so() -> None:
    desk = Desk()
    assert desk.tell(stimuli.PatchAsked(desk.now, "new")) == [effects.Answer(on=True)]
    key, _ = desk.call()
    desk.returned(key)
    again = desk.again()
    assert again.tell(stimuli.PatchAsked(desk.now, "new")) == [effects.Answer(on=True)]
    assert again.tell(stimuli.PatchAsked(desk.now, "newer")) == [effects.Answer(on=False)]
    again.call()
    again.rest()
    assert again.tell(stimuli.PatchAsked(desk.now, "newer")) == [effects.Answer(on=False)]
    assert again.tell(stimuli.PatchAsked(desk.now, "newest")) == [effects.Answer(on=True)]


# ---------------------------------------------------------------- suspension


def test_a_stopped_body_writes_nothing() -> None:
    desk = Desk()
    runs, _ = desk.call("runs")
    fails, _ = desk.call("fails")
    done, _ = desk.call("done")
    wait, _ = desk.call("wait", "wait")
    child, _ = desk.call("child", "invoke")
    nap, _ = desk.call("nap", "sleep")
    limit = desk.state.next_key((), None)
    desk.tell(stimuli.DeadlineEntered(desk.now, limit, 110.0))
    desk.returned(done)
    desk.tell(stimuli.Acknowledged(desk.now, 5))
    before = list(desk.kept)
    assert desk.tell(stimuli.Suspended(desk.now)) == []
    assert not desk.state.may_move
    assert desk.returned(runs) == []
    assert desk.raised(fails) == []
    assert desk.tell(stimuli.EventArrived(desk.now, wait, 1)) == []
    assert desk.tell(stimuli.ChildEnded(desk.now, child, value=1)) == []
    assert desk.sync() == []
    assert desk.tell(stimuli.ChildEnded(desk.now, child, value=1)) == []
    assert desk.due(nap) == desk.due(limit) == desk.rest() == []
    key = desk.state.next_key((), "new")
    assert desk.call("new")[1] == [effects.Refuse(key, refusals.Suspending(key))]
    assert refusals.Suspending(key).text("r1") == (
        "run 'r1' is being suspended: step 'new' in the first task runs when it goes on"
    )
    assert desk.call("new", cancelled=True)[1] == [effects.LetGo(key)]
    other = desk.state.next_key((), None)
    assert desk.tell(stimuli.DeadlineEntered(desk.now, other, 120.0)) == []
    assert desk.tell(stimuli.DeadlineLeft(desk.now, other)) == []
    assert desk.tell(stimuli.DeadlineLeft(desk.now, limit)) == [effects.ClearAlarm(limit)]
    assert desk.tell(stimuli.PatchAsked(desk.now, "p")) == [effects.Answer(on=True)]
    for key in (runs, fails, done, wait, child, nap):
        assert desk.cancelled(key) == [effects.LetGo(key)]
    assert desk.kept == before


# ---------------------------------------------------------------- code that has changed


def differing(desk: Desk, **now: Any) -> Any:
    again = desk.again()
    _, (refuse,) = again.call(**now)
    assert again.state.stopped
    return refuse.why


def test_another_op_handler_or_task_under_the_same_key_is_refused() -> None:
    desk = Desk()
    key, _ = desk.call("charge", path=(0, ("g", 1, 2)), handler="charge_card", where=("t",))
    desk.returned(key)
    call: dict[str, Any] = {"step_id": "charge", "path": (0, ("g", 1, 2))}
    assert differing(desk, **call, handler="refund").text("r1") == (
        "step 'charge' in task 0/g1.2 ran charge_card before, now refund. "
        "Restore it, use another id, or app.resume('r1', accept_changes=True)"
    )
    why = differing(desk, **call, op="sleep")
    assert "in task 0/g1.2 was a run before, now a sleep. " in why.text("r1")
    why = differing(desk, **call, handler="charge_card", where=("u",))
    assert "was in ('t',) before, now in ('u',)." in why.text("r1")
    accepting = desk.again(accept_changes=True)
    assert accepting.call(**call, handler="refund")[1] == []
    assert [out.key for out in accepting.rest()] == [key]


def test_a_call_that_was_only_scheduled_may_become_another_if_that_is_accepted() -> None:
    desk = Desk()
    key, _ = desk.call(op="wait")
    assert differing(desk) == refusals.Differs(key, "op", "wait", "run")
    again = desk.again(accept_changes=True)
    again.call(retry=TWICE)
    assert again.rest() == [effects.RunHandler(key, 0)]
    with pytest.raises(ImpossibleStimulus):
        again.tell(stimuli.EventArrived(again.now, key, "late"))
    again.raised(key)
    assert again.sync() == [effects.SetAlarm(key, 105.0)]
    assert again.due(key) == [effects.RunHandler(key, 1)]
    nap = desk.again(accept_changes=True)
    nap.call(op="sleep", due_at=1.0)
    assert nap.rest() == []
    assert nap.last.value is None


def test_the_second_of_an_id_and_a_rollback_are_named_in_messages() -> None:
    key = Key((), "a", 1)
    assert refusals.call_text(key) == "step 'a' (number 2 of this id) in the first task"
    assert refusals.call_text(key.rollback).startswith("the rollback of step 'a'")


# ---------------------------------------------------------------- rollback


def test_what_completed_is_undone_the_last_first_and_each_once() -> None:
    desk = Desk()
    keys = [desk.call(name, undoable=True)[0] for name in "abcd"]
    plain, _ = desk.call("plain")
    for key in (keys[1], plain, keys[0]):
        desk.returned(key)
    desk.raised(keys[2])
    desk.cancelled(keys[3])
    assert desk.state.to_undo == (keys[0], keys[1])
    assert desk.tell(stimuli.RollbackBegan(desk.now)) == []
    undo = keys[0].rollback
    assert desk.call(key=undo, op="rollback")[1] == [effects.RunHandler(undo, 0)]
    desk.returned(undo)
    assert desk.state.unasked == ()
    assert undo.undone == keys[0]

    again = desk.again()
    again.tell(stimuli.RollbackBegan(desk.now))
    for name in "abcd":
        again.call(name, undoable=True)
    again.call("plain")
    for _ in range(4):
        again.rest()
    assert again.state.may_move
    assert again.rest() == [effects.Cancel((keys[3],))]
    assert again.cancelled(keys[3]) == []
    assert again.rest() == [effects.LetGo(keys[3])]
    assert again.state.to_undo == (keys[0], keys[1])
    assert again.call(key=undo, op="rollback") == (undo, [])
    assert [out.key for out in again.rest()] == [undo]
    second = keys[1].rollback
    assert again.call(key=second, op="rollback")[1] == [effects.RunHandler(second, 0)]
    assert again.rest() == []


def test_held_calls_are_cancelled_and_leave_no_record_when_the_run_is_over() -> None:
    desk = Desk()
    key, _ = desk.call(op="invoke")
    again = desk.again()
    again.tell(stimuli.RollbackBegan(desk.now))
    again.call(op="invoke")
    assert again.rest() == [effects.Cancel((key,))]
    before = list(again.kept)
    assert again.cancelled(key) == [effects.CancelChild(key, "c1"), effects.LetGo(key)]
    assert again.kept == before


# ---------------------------------------------------------------- what cannot be


def impossible(desk: Desk, stimulus: Any) -> None:
    before = list(desk.kept)
    with pytest.raises(ImpossibleStimulus):
        desk.tell(stimulus)
    assert desk.kept == before
    desk.state.check()


def test_what_a_right_shell_never_says() -> None:
    desk = Desk()
    key, _ = desk.call()
    nap, _ = desk.call("nap", "sleep")
    slow, _ = desk.call("slow", retry=TWICE)
    desk.raised(slow)
    desk.sync()
    unknown = Key((), "unknown", 0)
    limit = Key((), None, 0)
    now = desk.now
    called = stimuli.Called
    for stimulus in (
        called(now, key, "run", "h"),  # it is waiting
        called(now, Key((), "a", 5), "run", "h"),
        called(now, limit, "run", "h"),
        called(now, unknown, "sleep", "h"),
        called(now, unknown, "wait", "h"),
        called(now, unknown, "wait", "h", due_at=1.0),
        called(now, unknown, "invoke", "h"),
        called(now, unknown, "rollback", "h"),
        called(now, unknown.rollback, "run", "h"),
        called(now, unknown.rollback, "rollback", "h"),
        stimuli.HandlerReturned(now, unknown, 1),
        stimuli.HandlerReturned(now, nap, 1),
        stimuli.HandlerRaised(now, nap, ValueError()),
        stimuli.CallCancelled(now, unknown),
        stimuli.Due(now, unknown),
        stimuli.Due(now, limit),
        stimuli.EventArrived(now, unknown, 1),
        stimuli.EventArrived(now, nap, 1),
        stimuli.ChildEnded(now, unknown),
        stimuli.ChildEnded(now, key),
        stimuli.ChildEnded(now, nap),
        stimuli.ChildEnded(now, slow),
        stimuli.DeadlineEntered(now, unknown, 1.0),
        stimuli.DeadlineEntered(now, Key((), None, 3), 1.0),
        stimuli.DeadlineLeft(now, limit),
        stimuli.Acknowledged(now, desk.state.last_n + 1),
        stimuli.Acknowledged(now, desk.state.confirmed - 1),
        stimuli.Began(now, -1),
    ):
        impossible(desk, stimulus)
    desk.tell(stimuli.RollbackBegan(now))
    impossible(desk, called(now, unknown.rollback, "rollback", "h"))
    with pytest.raises(ImpossibleStimulus, match=r"Called.* cannot have happened"):
        desk.tell(called(now, key, "run", "h"))


def test_no_call_before_the_body_has_begun() -> None:
    with pytest.raises(ImpossibleStimulus):
        decide(BodyState(), stimuli.Called(0.0, Key((), "a", 0), "run", "h"))


def test_a_stream_that_is_not_sound_is_refused() -> None:
    key = Key((), "a", 0)
    done = records.CallCompleted(1.0, key, "run", "h", (), 1, None)
    state = BodyState()
    fold(state, done, 3)
    with pytest.raises(PlaitInternalError, match=r"record 4 ends .* which record 3 has ended"):
        fold(state, done, 4)
    with pytest.raises(PlaitInternalError, match="record 2 after record 4"):
        fold(state, done, 2)


def test_a_record_that_cannot_come_now_is_refused() -> None:
    desk = Desk()
    key, _ = desk.call()
    with pytest.raises(PlaitInternalError, match="CallScheduled for "):
        fold(desk.state, records.CallScheduled(1.0, key, "sleep", 2.0), 9)


def test_outcomes_are_looked_up_by_key() -> None:
    desk = Desk()
    key, _ = desk.call()
    assert desk.state.outcome(key) is None
    desk.returned(key)
    assert desk.state.outcome(key) is desk.last
    assert desk.state.outcome(Key((), "b", 0)) is None
