"""Stimulus -> records, marks and effects. What the life of a run means, as one pure function.

Rule 1: *A run goes on, whatever became of its processes.* A start that was not survived uses up no
    attempt; it is counted, and too many without a new outcome hold the run.
Rule 2: *Only an end is an end.* What a body does while it is being suspended, or when its code and the
    journal do not fit, counts for nothing.
Rule 3: *A final cancellation stands as soon as the app's stream has it.* However the body ends then,
    the run is cancelled. In a replay the body is told when there is nothing left to replay, so that
    it has come as far as in the life before; it is told again in each process.
Rule 4: *How a run ends is settled before it is rolled back.* Neither a cancellation that comes later
    nor what the body does in a replay changes it.
Rule 5: *Nothing follows from a record that is not on disk*; of what goes to the app's stream, all is in
    the same append.
Rule 6: *Why a run is held is kept*, so that whoever looks at the journal sees it. It binds nobody: it is
    judged anew when the run is taken up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

from plait._errors import PlaitInternalError
from plait._kernel.calls import decide as calls
from plait._kernel.calls import effects as calls_effects
from plait._kernel.calls import marks as calls_marks
from plait._kernel.calls import stimuli as of_calls
from plait._kernel.calls.keys import ROLLBACK
from plait._kernel.calls.refusals import Suspending

from . import effects, marks, records, stimuli
from .life import Body, Phase
from .marks import Mark
from .reasons import CannotUndo, Why
from .records import AnyRecord, End
from .rules import has_nothing_to_lose, next_resumes, retry_at, why_held
from .state import FunctionState
from .stimuli import Stimulus

Change: TypeAlias = AnyRecord | Mark | calls_marks.Mark
Effect: TypeAlias = effects.Effect | calls_effects.Effect
Decision: TypeAlias = tuple[list[Change], list[Effect]]


class ImpossibleStimulus(PlaitInternalError):  # noqa: N818 - says what it is
    """The shell reported what cannot have happened."""

    def __init__(self, stimulus: Stimulus) -> None:
        super().__init__(f"{stimulus} cannot have happened")


def decide(state: FunctionState, stimulus: Stimulus) -> Decision:
    """Say what this stimulus means in this state.

    Raises:
        ImpossibleStimulus: The shell is wrong; nothing has changed. The calls have one of their own.
    """
    return _DECIDES[type(stimulus)](state, stimulus)


# ---------------------------------------------------------------- a run starts


def _queued(state: FunctionState, stimulus: stimuli.Queued) -> Decision:
    if state.phase is not Phase.NEW:
        raise ImpossibleStimulus(stimulus)
    queued = records.RunQueued(
        stimulus.now,
        stimulus.fn_id,
        stimulus.name,
        stimulus.events,
        stimulus.parent,
        stimulus.not_before,
        stimulus.priority,
        stimulus.seed,
        stimulus.source,
    )
    return [queued], []


def _taken_up(state: FunctionState, terms: stimuli.TakenUp) -> Decision:
    """Rule 1."""
    now = terms.now
    if state.phase is Phase.NEW or state.terms is not None:
        raise ImpossibleStimulus(terms)
    taken = marks.Taken(now, terms)
    if state.end is not None:
        return [taken], [effects.Finish(state.end, state.not_undone)]
    why = why_held(state, terms)
    if why is not None:
        if why == state.held:  # an earlier process has said so
            return [taken], [effects.Hold(why)]
        return [taken, *_hold(state, now, why)], []
    if state.phase is Phase.RETRYING and state.due_at > now:
        if state.held is not None:
            return [taken, records.FunctionFreed(now, state.cause)], []
        return [taken], [effects.Wake(state.due_at)]
    start = _start(state, now, terms)
    changed = start.source != state.source and state.attempt >= 0
    log: list[Effect] = [effects.LogSource(state.source, start.source)] if changed else []
    return [taken, start], log


def _start(state: FunctionState, now: float, terms: stimuli.TakenUp) -> records.FunctionStarted:
    another = state.phase in {Phase.QUEUED, Phase.RETRYING}
    attempt = state.attempt + 1 if another else state.attempt
    source = terms.source
    assert source is not None
    return records.FunctionStarted(now, attempt, next_resumes(state, terms), source, state.cause)


def _hold(state: FunctionState, now: float, why: Why) -> list[Change]:
    """Rule 6."""
    return [records.FunctionHeld(now, why, state.cause)]


def _retry_due(state: FunctionState, stimulus: stimuli.RetryDue) -> Decision:
    if state.terms is None:
        raise ImpossibleStimulus(stimulus)
    if state.phase is not Phase.RETRYING or state.calls.stopped:
        return [], []  # the alarm rang while it was being cleared
    if state.pending or state.held is not None:
        raise ImpossibleStimulus(stimulus)
    return [_start(state, stimulus.now, state.terms)], []


def _acknowledged(state: FunctionState, stimulus: of_calls.Acknowledged) -> Decision:
    """Rule 5."""
    now = stimulus.now
    changes, todo = _of_calls(state, stimulus)
    if not state.pending or stimulus.n < state.n:
        return changes, todo
    changes.append(marks.Performed(now))
    terms = state.terms
    if state.end is not None:
        todo.append(effects.Finish(state.end, state.not_undone))
    elif state.held is not None:
        if state.body is not Body.ALIVE:  # else when it is over
            todo.append(effects.Hold(state.held))
    elif state.calls.stopped or terms is None:
        pass  # it goes on in another process, or when it is taken up
    elif state.phase is Phase.RETRYING:
        todo.append(effects.Wake(state.due_at))
    elif state.body is Body.ENDED:
        more, follow = _undo_next(state, now)
        changes += more
        todo += follow
    else:
        changes += [
            calls_marks.Began(now, state.attempt, terms.accept_changes),
            calls_marks.Confirmed(now, stimulus.n),  # an event may be on its way
            marks.BodyBegan(now),
        ]
        todo.append(effects.StartBody(state.attempt))
    return changes, todo


# ---------------------------------------------------------------- calls


def _of_calls(state: FunctionState, stimulus: of_calls.Stimulus) -> Decision:
    # The lists are fresh, and may hold what is of runs as well.
    return cast("Decision", calls.decide(state.calls, stimulus))


def _at_rest(state: FunctionState, stimulus: of_calls.AtRest) -> Decision:
    body = state.body
    if body is Body.ALIVE:
        if state.cancel is not None and state.cancel_waits:  # rule 3
            return [marks.CancelTold(stimulus.now)], [effects.CancelBody(state.cancel)]
    elif body is not Body.ENDED or not state.calls.ready:
        return [], []
    decided = _of_calls(state, stimulus)
    return _with_refusals(state, stimulus.now, decided) if decided[1] else decided


def _called(state: FunctionState, stimulus: of_calls.Called) -> Decision:
    """Each call has a body, and each rollback its turn."""
    key = stimulus.key
    if key.role == ROLLBACK:
        out_of_reach = state.calls.stopped or not stimulus.cancelled
        possible = state.undoing == key.undone and out_of_reach
    else:
        possible = state.body is Body.ALIVE
    if not possible:
        raise ImpossibleStimulus(stimulus)
    return _with_refusals(state, stimulus.now, _of_calls(state, stimulus))


def _in_a_body(
    state: FunctionState, stimulus: of_calls.DeadlineEntered | of_calls.PatchAsked
) -> Decision:
    if state.body is not Body.ALIVE:
        raise ImpossibleStimulus(stimulus)
    return _of_calls(state, stimulus)


def _call_cancelled(state: FunctionState, stimulus: of_calls.CallCancelled) -> Decision:
    if stimulus.key.role == ROLLBACK and not state.calls.stopped:
        raise ImpossibleStimulus(stimulus)
    return _of_calls(state, stimulus)


def _arrived(state: FunctionState, stimulus: of_calls.EventArrived) -> Decision:
    if state.end is not None:
        return [], []  # it was on its way when the run ended
    return _of_calls(state, stimulus)


def _with_refusals(state: FunctionState, now: float, decided: Decision) -> Decision:
    """Add what follows for the run from what the calls are told."""
    changes, todo = decided
    for effect in [*todo]:
        if type(effect) is calls_effects.Refuse:
            if not isinstance(effect.why, Suspending):  # rule 2
                changes += _hold(state, now, effect.why)
                todo.append(effects.StopBody(effect.why))
        elif type(effect) is calls_effects.HandOut and effect.key.role == ROLLBACK:
            more, follow = _undo_next(state, now)
            changes += more
            todo += follow
    return decided


def _suspended(state: FunctionState, stimulus: of_calls.Suspended) -> Decision:
    clear = [effects.ClearWake()] if state.phase is Phase.RETRYING else []
    return [calls_marks.Stopped(stimulus.now)], [*clear]


def _impossible(_: FunctionState, stimulus: of_calls.Began | of_calls.RollbackBegan) -> Decision:
    raise ImpossibleStimulus(stimulus)  # that is for this kernel to know


# ---------------------------------------------------------------- a body ends


def _body_over(state: FunctionState, stimulus: stimuli.BodyOver) -> Decision:
    now = stimulus.now
    if state.body is not Body.ALIVE or state.calls.waiting:
        raise ImpossibleStimulus(stimulus)
    over: list[Change] = [marks.BodyEnded(now)]
    if state.calls.stopped:  # rule 2
        changes, todo = _put_away(state, now)
    elif state.phase is Phase.UNDOING:  # rule 4
        changes, todo = _undo_rest(state, now)
    elif state.cancel is not None:  # rule 3
        changes, todo = _conclude(state, now, None, state.cancel)
    else:
        changes, todo = _judge(state, stimulus)
    return [*over, *changes], todo


def _put_away(state: FunctionState, now: float) -> Decision:
    if state.held is None:
        return [], []
    if state.cancel is not None and has_nothing_to_lose(state):
        return _end(state, now, None, state.cancel)
    return [], [] if state.pending else [effects.Hold(state.held)]


def _judge(state: FunctionState, stimulus: stimuli.BodyOver) -> Decision:
    match stimulus:
        case stimuli.BodyReturned():
            return _completed(state, stimulus)
        case stimuli.BodyRaised():
            return _raised(state, stimulus)
        case _:
            raise ImpossibleStimulus(stimulus)  # cancelled, and nobody has told it to be


def _completed(state: FunctionState, stimulus: stimuli.BodyReturned) -> Decision:
    end = records.FunctionCompleted(stimulus.now, stimulus.value, state.cause)
    unasked = state.calls.unasked
    warn: list[Effect] = [effects.WarnUnasked(unasked)] if unasked else []
    return [end], [*warn, effects.SendEvent(effects.FINISHED, end)]


def _raised(state: FunctionState, stimulus: stimuli.BodyRaised) -> Decision:
    now = stimulus.now
    due, error = retry_at(state, now, stimulus.error)
    if due is None:
        return _conclude(state, now, error, None)
    return [records.FunctionRetrying(now, state.attempt, error, due, state.cause)], []


def _conclude(state: FunctionState, now: float, error: object, reason: str | None) -> Decision:
    """Rule 4: it fails, or with a reason is cancelled, for good; what was done is undone first."""
    keys = state.calls.to_undo
    if keys:
        return [records.RollbackBegun(now, keys, error, reason, state.cause)], []
    return _end(state, now, error, reason)


def _end(state: FunctionState, now: float, error: object, reason: str | None) -> Decision:
    end: End
    if reason is not None:
        end = records.FunctionCancelled(now, reason, state.cause)
        return [end], [effects.SendEvent(effects.CANCELLED, end)]
    end = records.FunctionFailed(now, error, state.cause)
    todo: list[Effect] = [
        effects.SendEvent(effects.FAILED, end),
        effects.SendEvent(effects.FINISHED, end),
    ]
    if state.terms is not None and state.terms.on_failure:
        todo.append(effects.RunOnFailure(end))
    return [end], todo


# ---------------------------------------------------------------- rollback


def _undo_rest(state: FunctionState, now: float) -> Decision:
    """The body was replayed for the callables of its rollbacks: has it brought them?"""
    missing = tuple(key for key in state.to_undo if key not in state.calls.undoable)
    if missing and not (state.terms is not None and state.terms.accept_changes):
        why = CannotUndo(missing)
        return [calls_marks.Stopped(now), *_hold(state, now, why)], []
    changes, todo = _undo_next(state, now)
    if missing:
        todo.insert(0, effects.WarnNotUndone(missing))
    return changes, todo


def _undo_next(state: FunctionState, now: float) -> Decision:
    """Undo the next step; after the last one the run ends as it was settled."""
    for key in state.to_undo:
        if key in state.calls.undoable:
            return [marks.Undoing(now, key)], [effects.Undo(key)]
    assert state.verdict is not None
    changes, todo = _end(state, now, state.verdict.error, state.verdict.reason)
    return [marks.Undoing(now, None), *changes], todo


# ---------------------------------------------------------------- cancellation for good


_SETTLED: Final = frozenset({Phase.UNDOING, Phase.OVER})


def _cancel_asked(state: FunctionState, stimulus: stimuli.CancelAsked) -> Decision:
    """Rules 3 and 4."""
    now, reason = stimulus.now, stimulus.reason
    if state.phase is Phase.QUEUED:
        return _end(state, now, None, reason)
    if state.phase in _SETTLED or state.cancel is not None:
        return [], []
    if state.terms is None:
        raise ImpossibleStimulus(stimulus)
    if state.calls.stopped and state.held is None:
        return [], []  # it is being suspended: the next process is told again
    asked = marks.ToBeCancelled(now, reason)
    if state.body is Body.ALIVE:
        if state.calls.replay or state.calls.stopped:
            return [asked], []
        return [asked, marks.CancelTold(now)], [effects.CancelBody(reason)]
    clear: list[Effect] = [effects.ClearWake()] if state.phase is Phase.RETRYING else []
    if has_nothing_to_lose(state):
        changes, todo = _end(state, now, None, reason)
    elif state.held is not None:
        return [asked], []  # without its code nothing can be undone
    elif state.phase is not Phase.RETRYING:
        return [asked], []  # its start is on its way to disk
    elif state.body is Body.ENDED:
        changes, todo = _conclude(state, now, None, reason)
    else:  # an earlier process had the body
        changes, todo = [_start(state, now, state.terms)], []
    return [asked, *changes], [*clear, *todo]


#: Who decides what a stimulus means.
_DECIDES: Final[dict[type[Stimulus], Callable[[FunctionState, Any], Decision]]] = {
    of_calls.AtRest: _at_rest,
    of_calls.Called: _called,
    of_calls.HandlerReturned: _of_calls,
    of_calls.Acknowledged: _acknowledged,
    of_calls.HandlerRaised: _of_calls,
    of_calls.CallCancelled: _call_cancelled,
    of_calls.Due: _of_calls,
    of_calls.EventArrived: _arrived,
    of_calls.ChildEnded: _of_calls,
    of_calls.DeadlineEntered: _in_a_body,
    of_calls.DeadlineLeft: _of_calls,
    of_calls.PatchAsked: _in_a_body,
    of_calls.Began: _impossible,
    of_calls.Suspended: _suspended,
    of_calls.RollbackBegan: _impossible,
    stimuli.Queued: _queued,
    stimuli.TakenUp: _taken_up,
    stimuli.BodyReturned: _body_over,
    stimuli.BodyRaised: _body_over,
    stimuli.BodyCancelled: _body_over,
    stimuli.CancelAsked: _cancel_asked,
    stimuli.RetryDue: _retry_due,
}
