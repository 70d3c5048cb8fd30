"""Stimulus -> records, marks and effects. What the calls of a body mean, as one pure function.

`decide` looks at the state and never touches it; `apply` changes the state and never judges.

Rule 1: *Outcomes are handed out one at a time*, when the body is at rest: of those whose call waits
    the one with the lowest number, once it is on disk. While a lower one is on its way, none.
    That a call was cancelled has its place among them: it is let go in its turn, however long its
    handler had taken to clean up, and once that is on disk: who is cancelled together would come back
    from a crash in whatever order they hear of it. One that is alone waits for no disk: what comes of
    it is behind it there, and nobody can be before it.
Rule 2: *In replay a call without a memo is held.* It is released when the body is at rest and nothing
    is to be handed out, with all others: by then whoever had cancelled it has done so again. What
    is overdue by then ends first, in the order of its due times, and the rest goes on being held.
Rule 3: *No effect without its record on disk.* An alarm, an event or a child is asked for when the
    record that says so is confirmed; the shell may do at once whatever it is told.
Rule 4: *What is recorded stands.* A call whose outcome is recorded can no longer be cancelled, nor
    raise at once because its scope is: which of the two came first may have been chance. One that
    was cancelled waits, in the same attempt of the body, for the same cancellation.
Rule 5: *A stopped body writes nothing.* Being suspended is no outcome of anything.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from plait._errors import PlaitInternalError
from plait._kernel.retry.ask import ask

from . import effects, marks, records, refusals, stimuli
from .apply import setting
from .effects import Effect
from .keys import ROLLBACK, Key, key_text
from .life import CLOSING, DOOMED, ENDED, HELD, LEAVING, PENDING, RUNNING
from .marks import Made, Mark
from .records import CallCompleted, CallFailed, Record
from .state import BodyState, Call, Past
from .stimuli import Called, Stimulus

Change: TypeAlias = Record | Mark
Decision: TypeAlias = tuple[list[Change], list[Effect]]


class ImpossibleStimulus(PlaitInternalError):  # noqa: N818 - says what it is
    """The shell reported what cannot have happened."""

    def __init__(self, stimulus: Stimulus) -> None:
        super().__init__(f"{stimulus} cannot have happened")


def decide(state: BodyState, stimulus: Stimulus) -> Decision:
    """Say what this stimulus means in this state.

    Raises:
        ImpossibleStimulus: The shell is wrong; nothing has changed.
    """
    return _DECIDES[type(stimulus)](state, stimulus)


# ---------------------------------------------------------------- a call is made


def _called(state: BodyState, stimulus: stimuli.Called) -> Decision:
    key, now = stimulus.key, stimulus.now
    if state.attempt < 0 or key in state.waiting or not _fits(state, stimulus):
        raise ImpossibleStimulus(stimulus)
    if state.stopped:
        if stimulus.cancelled:
            return [], [effects.LetGo(key)]
        return [], [effects.Refuse(key, refusals.Suspending(key))]
    past = state.past.get(key)
    if past is not None and not state.accept_changes:
        differs = refusals.differs(past, stimulus)
        if differs is not None:
            return [marks.Stopped(now)], [effects.Refuse(key, differs)]
    made = Made(now, stimulus)
    if past is not None and past.ending is not None:
        return [made], []  # in a cancelled scope as well: in the life before it came to its end
    if past is not None and past.cancelled_in == state.attempt:
        if not stimulus.cancelled:
            return [made], []
        return [made, marks.CancelledAgain(now, key)], [*_close(key, past.child)]
    if stimulus.cancelled:
        return _skip(made, past, state.last_handed)
    if state.replay and key.role != ROLLBACK:
        return [made], []
    changes, todo = _start(stimulus, past, now, state.last_handed)
    return [made, *changes], todo


def _skip(made: Made, past: Past | None, cause: int) -> Decision:
    """Rule 4: what an earlier process began, and would now be cancelled, is cancelled."""
    now, key = made.at, made.call.key
    if past is None or not (past.scheduled or past.failures):
        return [marks.Skipped(now, key)], [effects.LetGo(key)]
    child = None if past.scheduled is None else past.scheduled.child
    return [made, records.CallCancelled(now, key, cause)], [*_close(key, child)]


def _close(key: Key, child: str | None) -> Iterator[Effect]:
    """Have a child end with its call that nobody has entered in this process, and hear of its end."""
    if child is not None:
        yield effects.CancelChild(key, child)
        yield effects.StartChild(key, child)


def _fits(state: BodyState, stimulus: stimuli.Called) -> bool:
    """Is this the next key of its task, with what its op needs?"""
    key, op = stimulus.key, stimulus.op
    if op == "rollback" or key.role:
        if not (op == "rollback" and key.role == ROLLBACK and state.rolling_back):
            return False
        return isinstance(state.outcome(key.undone), CallCompleted)
    if key.step_id is None or key != state.next_key(key.path, key.step_id):
        return False
    match op:
        case "run" | "send":
            return True
        case "sleep":
            return stimulus.due_at is not None
        case "wait":
            return stimulus.due_at is not None and stimulus.event is not None
        case _:
            return stimulus.child is not None


def _start(made: Called, past: Past | None, now: float, cause: int) -> Decision:
    """Let a call begin, or go on where an earlier process left it."""
    key, op = made.key, made.op
    if op in _WITH_HANDLER:
        failures = 0 if past is None else past.failures
        if past is not None and failures and past.due_at > now:
            return [marks.Resumed(now, key)], [effects.SetAlarm(key, past.due_at)]
        started = records.CallStarted(now, key, op, made.handler, made.where, failures, cause)
        return [started], [effects.RunHandler(key, failures)]
    scheduled = None if past is None else past.scheduled
    if scheduled is not None and scheduled.op == op:  # else the code has changed, and may
        return [marks.Resumed(now, key)], [*_wait(scheduled)]
    if op == "sleep" and made.due_at is not None and made.due_at <= now:
        return [CallCompleted(now, key, op, made.handler, made.where, 1, None, cause)], []
    plan = records.CallScheduled(
        now, key, op, made.due_at, made.event, made.child, cause, made.since
    )
    return [plan], []


_WITH_HANDLER: Final = frozenset({"run", "send", "rollback"})


def _scheduled(state: BodyState, call: Call) -> records.CallScheduled | None:
    """What was recorded of a call that waits; of one that had another op before, nothing."""
    past = state.past.get(call.made.key)
    scheduled = None if past is None else past.scheduled
    return scheduled if scheduled is not None and scheduled.op == call.made.op else None


def _wait(scheduled: records.CallScheduled) -> Iterator[Effect]:
    """Ask for what a call waits for, now that this is on disk."""
    key = scheduled.key
    if scheduled.event is not None:
        yield effects.Await(key, scheduled.event)
    if scheduled.child is not None:
        yield effects.StartChild(key, scheduled.child)
    if scheduled.due_at is not None:
        yield effects.SetAlarm(key, scheduled.due_at)


def _acknowledged(state: BodyState, stimulus: stimuli.Acknowledged) -> Decision:
    """Rule 3."""
    now, n = stimulus.now, stimulus.n
    if not state.confirmed <= n <= state.last_n:
        raise ImpossibleStimulus(stimulus)
    todo: list[Effect] = []
    if not state.stopped:
        for number, key in state.unconfirmed:
            if number > n:
                break
            call = setting(state, number, key)
            if call is None:
                continue  # it was cancelled, or has ended
            scheduled = _scheduled(state, call)
            if scheduled is not None:
                todo += _wait(scheduled)
            else:
                todo.append(effects.SetAlarm(key, state.past[key].due_at))
    return [marks.Confirmed(now, n)], todo


# ---------------------------------------------------------------- a call ends


def _running(state: BodyState, stimulus: stimuli.HandlerReturned | stimuli.HandlerRaised) -> Call:
    call = state.waiting.get(stimulus.key)
    if call is None or call.stage is not RUNNING:
        raise ImpossibleStimulus(stimulus)
    return call


def _returned(state: BodyState, stimulus: stimuli.HandlerReturned) -> Decision:
    call = _running(state, stimulus)
    if state.stopped:
        return [], []
    return [_completed(state, call, stimulus.now, stimulus.value)], []


def _completed(state: BodyState, call: Call, now: float, value: object) -> CallCompleted:
    made = call.made
    past = state.past.get(made.key)
    attempts = 1 if past is None else past.failures + 1
    return CallCompleted(
        now, made.key, made.op, made.handler, made.where, attempts, value, call.cause
    )


def _failed(state: BodyState, call: Call, now: float, error: object) -> CallFailed:
    made = call.made
    past = state.past.get(made.key)
    attempts = 1 if past is None else past.failures + 1
    return CallFailed(now, made.key, made.op, made.handler, made.where, attempts, error, call.cause)


def _raised(state: BodyState, stimulus: stimuli.HandlerRaised) -> Decision:
    call = _running(state, stimulus)
    if state.stopped:
        return [], []
    now, key, error = stimulus.now, stimulus.key, stimulus.error
    policy = call.made.retry
    if stimulus.final or policy is None:
        return [_failed(state, call, now, error)], []
    began = now if call.began is None else call.began
    past = state.past.get(key)
    attempt = 0 if past is None else past.failures
    seed = zlib.crc32(f"{state.seed}:{key_text(key)}:{attempt}".encode())
    try:
        delay = ask(policy, now - began, attempt + 1, error, seed)
    except Exception as trouble:  # noqa: BLE001 - it fails the call; its cause is the error
        return [_failed(state, call, now, trouble)], []
    if delay is None:
        return [_failed(state, call, now, error)], []
    due = now + delay if stimulus.retry_at is None else max(now, stimulus.retry_at)
    return [records.CallRetrying(now, key, attempt, error, due, began, call.cause)], []


def _cancelled(state: BodyState, stimulus: stimuli.CallCancelled) -> Decision:
    """Rule 4."""
    now, key = stimulus.now, stimulus.key
    call = state.waiting.get(key)
    if call is None:
        raise ImpossibleStimulus(stimulus)
    if state.stopped:
        return [marks.LetGo(now, key)], [effects.LetGo(key)]
    if call.stage in {ENDED, CLOSING, LEAVING}:
        return [], []
    if call.stage is DOOMED:
        return [marks.CancelledAgain(now, key)], [*_close(key, state.past[key].child)]
    todo = [*_give_up(state, call)]
    if call.stage is HELD and state.rolling_back:  # nothing is left that could come before it
        return [marks.LetGo(now, key)], [*todo, effects.LetGo(key)]
    return [records.CallCancelled(now, key, state.last_handed)], todo


def _give_up(state: BodyState, call: Call) -> Iterator[Effect]:
    """Take back what was asked for a call that waits, all of it."""
    key, scheduled = call.made.key, _scheduled(state, call)
    if call.stage is PENDING:
        if scheduled is None or scheduled.due_at is not None:
            yield effects.ClearAlarm(key)
        if scheduled is not None and scheduled.event is not None:
            yield effects.Forget(key)
    child = None if scheduled is None else scheduled.child
    if call.stage is PENDING or state.rolling_back:  # else somebody has to hear of the child's end
        yield from () if child is None else (effects.CancelChild(key, child),)
    else:
        yield from _close(key, child)


def _due(state: BodyState, stimulus: stimuli.Due) -> Decision:
    now, key = stimulus.now, stimulus.key
    if key.step_id is None:
        return _deadline_due(state, stimulus)
    call = state.waiting.get(key)
    if call is None and key.occurrence >= state.counts.get(key[:2], 0):
        raise ImpossibleStimulus(stimulus)
    if call is None or call.stage is not PENDING or state.stopped:
        return [], []  # the alarm rang while it was being cleared
    made, scheduled = call.made, _scheduled(state, call)
    if scheduled is None:
        failures = state.past[key].failures
        started = records.CallStarted(
            now, key, made.op, made.handler, made.where, failures, call.cause
        )
        return [started], [effects.RunHandler(key, failures)]
    if scheduled.child is not None:  # the call ends when its child has
        return [], [effects.CancelChild(key, scheduled.child)]
    forget: list[Effect] = [] if scheduled.event is None else [effects.Forget(key)]
    return [_completed(state, call, now, None)], forget


def _arrived(state: BodyState, stimulus: stimuli.EventArrived) -> Decision:
    now, key, value = stimulus.now, stimulus.key, stimulus.value
    past = state.past.get(key)
    if past is None:
        raise ImpossibleStimulus(stimulus)
    scheduled = past.scheduled
    if scheduled is None or state.stopped:
        return [], []  # it has ended or was cancelled while the event was on its way
    if scheduled.op != "wait":
        raise ImpossibleStimulus(stimulus)
    call = state.waiting.get(key)
    if call is None:  # an earlier process began to wait, and this one has not come to it yet
        if stimulus.error is not None:
            raise ImpossibleStimulus(stimulus)  # who asks has the code of the call
        return [CallCompleted(now, key, "wait", "", None, 1, value, past.n)], []
    if call.made.op != "wait":
        raise ImpossibleStimulus(stimulus)
    clear: list[Effect] = [effects.ClearAlarm(key)] if call.stage is PENDING else []
    if stimulus.error is not None:
        return [_failed(state, call, now, stimulus.error)], clear
    return [_completed(state, call, now, value)], clear


def _child_ended(state: BodyState, stimulus: stimuli.ChildEnded) -> Decision:
    now, key = stimulus.now, stimulus.key
    call = state.waiting.get(key)
    if call is not None and call.stage is CLOSING:
        return ([], []) if state.stopped else ([records.CallCancelled(now, key, call.cause)], [])
    if call is None or call.stage is not PENDING:
        past = state.past.get(key)
        if past is None or not (past.cancellations or state.stopped):
            raise ImpossibleStimulus(stimulus)
        return [], []  # it was cancelled with its call
    scheduled = _scheduled(state, call)
    if scheduled is None or scheduled.child is None:
        raise ImpossibleStimulus(stimulus)
    if state.stopped:
        return [], []
    clear: list[Effect] = [] if scheduled.due_at is None else [effects.ClearAlarm(key)]
    if stimulus.error is not None:
        return [_failed(state, call, now, stimulus.error)], clear
    return [_completed(state, call, now, stimulus.value)], clear


# ---------------------------------------------------------------- the body is at rest


def _at_rest(state: BodyState, stimulus: stimuli.AtRest) -> Decision:
    """Rules 1 and 2."""
    now = stimulus.now
    if state.stopped:
        return [], []
    if state.ready:
        n, key = state.ready[0]
        if n > state.confirmed and not state.leaves_alone(key):
            return [], []
        if key in state.leaving:
            return [marks.LetGo(now, key)], [effects.LetGo(key)]
        outcome = state.outcome(key)
        assert outcome is not None
        return [marks.HandedOut(now, key, n)], [effects.HandOut(key, n, outcome)]
    if state.rolling_back and state.replay and not state.going:
        return [], [effects.Cancel((*state.held, *state.doomed))]
    if state.held or state.unarmed:
        return _overdue(state, now) or _release(state, now)
    if state.doomed and not state.going and not state.ticking:
        return _nobody_cancels(state, now)
    return [], []


def _overdue(state: BodyState, now: float) -> Decision | None:
    """End what is overdue, in the order of the due times.

    A wait is not among it: its event may lie in the buffer.
    """
    found: list[tuple[float, int, Key]] = []
    at, dues = [0] if state.dues else [], state.dues
    for place in at:  # it grows on the way: a heap is looked into only where it is due
        if dues[place][0] > now:
            continue
        found.append(dues[place])
        at += [below for below in (2 * place + 1, 2 * place + 2) if below < len(dues)]
    ended: list[Change] = []
    for due, n, key in sorted(found):
        if key in state.unarmed:
            ended.append(records.DeadlineFired(now, key, due, n))
        elif key in state.held:
            call = state.waiting[key]
            if call.made.op == "sleep" and _scheduled(state, call) is not None:
                ended.append(_completed(state, call, now, None))
    return (ended, []) if ended else None


def _release(state: BodyState, now: float) -> Decision:
    changes: list[Change] = []
    todo: list[Effect] = [
        effects.SetAlarm(key, state.deadlines[key].due_at) for key in state.unarmed
    ]
    for key in state.held:
        call = state.waiting[key]
        more, follow = _start(call.made, state.past.get(key), now, call.cause)
        changes += more
        todo += follow
    changes.append(marks.Released(now))
    return changes, todo


def _nobody_cancels(state: BodyState, now: float) -> Decision:
    """Rule 4: the cancellation must come from somewhere."""
    for key in state.doomed:
        if not state.waiting[key].made.bounded:
            refuse = effects.Refuse(key, refusals.NotCancelled(key))
            return [marks.Stopped(now), marks.LetGo(now, key)], [refuse]
    unwarned = [key for key, warned in state.doomed.items() if not warned]
    return [marks.Warned(now, key) for key in unwarned], [effects.Warn(key) for key in unwarned]


# ---------------------------------------------------------------- deadlines, patches, the body


def _entered(state: BodyState, stimulus: stimuli.DeadlineEntered) -> Decision:
    now, key = stimulus.now, stimulus.key
    if key.step_id is not None or key != state.next_key(key.path, None):
        raise ImpossibleStimulus(stimulus)
    if state.stopped:
        return [], []
    if key in state.deadlines:
        if state.replay or state.deadlines[key].fired is not None:
            return [marks.Entered(now, key)], []
        return [marks.Entered(now, key)], [effects.SetAlarm(key, state.deadlines[key].due_at)]
    known = records.DeadlineSet(now, key, stimulus.due_at, state.last_handed)
    alarm: list[Effect] = [] if state.replay else [effects.SetAlarm(key, stimulus.due_at)]
    return [known, marks.Entered(now, key)], alarm


def _left(state: BodyState, stimulus: stimuli.DeadlineLeft) -> Decision:
    key = stimulus.key
    if key not in state.entered:
        if state.stopped:
            return [], []  # it was entered later than that
        raise ImpossibleStimulus(stimulus)
    armed = not (state.entered[key] or key in state.unarmed)
    return [marks.Left(stimulus.now, key)], [effects.ClearAlarm(key)] if armed else []


def _deadline_due(state: BodyState, stimulus: stimuli.Due) -> Decision:
    key = stimulus.key
    deadline = state.deadlines.get(key)
    if deadline is None:
        raise ImpossibleStimulus(stimulus)
    if state.stopped or state.entered.get(key, True):
        return [], []  # it was left, or has fired
    return [records.DeadlineFired(stimulus.now, key, deadline.due_at, deadline.n)], []


def _patch(state: BodyState, stimulus: stimuli.PatchAsked) -> Decision:
    patch = stimulus.patch
    on = state.patches.get(patch)
    if on is not None:
        return [], [effects.Answer(on)]
    on = not state.replaying
    if state.stopped:
        return [], [effects.Answer(on)]
    return [records.Patched(stimulus.now, patch, on, state.last_handed)], [effects.Answer(on)]


def _began(state: BodyState, stimulus: stimuli.Began) -> Decision:
    if stimulus.attempt < state.attempt:
        raise ImpossibleStimulus(stimulus)
    return [marks.Began(stimulus.now, stimulus.attempt, stimulus.accept_changes)], []


def _suspended(_: BodyState, stimulus: stimuli.Suspended) -> Decision:
    return [marks.Stopped(stimulus.now)], []


def _rolls_back(_: BodyState, stimulus: stimuli.RollbackBegan) -> Decision:
    return [marks.RollingBack(stimulus.now)], []


#: Who decides what a stimulus means. A table: to ask for one class after the other was a third of the
#: price of deciding.
_DECIDES: Final[dict[type[Stimulus], Callable[[BodyState, Any], Decision]]] = {
    stimuli.AtRest: _at_rest,
    stimuli.Called: _called,
    stimuli.HandlerReturned: _returned,
    stimuli.Acknowledged: _acknowledged,
    stimuli.HandlerRaised: _raised,
    stimuli.CallCancelled: _cancelled,
    stimuli.Due: _due,
    stimuli.EventArrived: _arrived,
    stimuli.ChildEnded: _child_ended,
    stimuli.DeadlineEntered: _entered,
    stimuli.DeadlineLeft: _left,
    stimuli.PatchAsked: _patch,
    stimuli.Began: _began,
    stimuli.Suspended: _suspended,
    stimuli.RollbackBegan: _rolls_back,
}
