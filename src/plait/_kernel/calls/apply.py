"""Record or mark -> state. The only mutator: recovery is a loop over this function.

It never judges. What was decided is legal; a record that is not is our own bug, or of a stream that
is not sound.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

from plait._errors import PlaitInternalError

from . import marks, records
from .keys import Key
from .life import (
    CALL,
    CLOSING,
    DOOMED,
    ENDED,
    HELD,
    LEAVING,
    PENDING,
    RUNNING,
    SETTING,
    Stage,
)
from .marks import Mark
from .records import Ending, Record
from .state import BodyState, Call, Deadline, Past


def count(state: BodyState, n: int) -> None:
    """Take in the number of a record, also of one that is not about calls.

    Raises:
        PlaitInternalError: It is not higher than the last one.
    """
    if n <= state.last_n:
        raise PlaitInternalError(f"record {n} after record {state.last_n}")
    state.last_n = n


def fold(state: BodyState, record: Record, n: int) -> None:
    """Change the state by the record that has this number, in place."""
    count(state, n)
    _FOLDS[type(record)](state, record, n)


def apply(state: BodyState, mark: Mark) -> None:
    """Change the state by a mark, in place."""
    _APPLIES[type(mark)](state, mark)


# ---------------------------------------------------------------- calls


def _past(state: BodyState, key: Key) -> Past:
    past = state.past.get(key)
    if past is None:
        past = state.past[key] = Past()
    return past


def _end(state: BodyState, record: Ending, n: int) -> None:
    key = record.key
    past = state.past.get(key)
    if past is None:
        past = state.past[key] = Past()
    elif past.ending is not None:
        raise PlaitInternalError(f"record {n} ends {key}, which record {past.n} has ended")
    past.ending = record
    past.n = n
    past.scheduled = None
    state.outcomes += 1
    call = state.waiting.get(key)
    if call is not None:
        _move(state, call, type(record))
        heappush(state.ready, (n, key))


def _begin_handler(state: BodyState, record: records.CallStarted, n: int) -> None:
    call = state.waiting.get(record.key)
    if call is None:
        return  # a note: recovery does not read it
    if call.began is None:
        call.began = record.at
    call.cause = n
    _move(state, call, records.CallStarted)


def _schedule(state: BodyState, record: records.CallScheduled, n: int) -> None:
    past = _past(state, record.key)
    past.scheduled = record
    past.n = n
    _set(state, record, n)


def _retry(state: BodyState, record: records.CallRetrying, n: int) -> None:
    past = _past(state, record.key)
    past.failures += 1
    past.began = record.began
    past.due_at = record.due_at
    _set(state, record, n)


def _cancel(state: BodyState, record: records.CallCancelled, n: int) -> None:
    key = record.key
    past = _past(state, key)
    if past.cancelled_in == state.attempt:  # the child is over
        past.cancelled_by, past.child = n, None
    else:  # What an attempt of the body cancels, the next one begins from the start.
        state.past[key] = Past(
            cancelled_in=state.attempt,
            cancelled_by=n,
            cancellations=past.cancellations + 1,
            child=None if past.scheduled is None else past.scheduled.child,
        )
    if (call := state.waiting.get(key)) is not None:
        _part(state, call, records.CallCancelled)


def _set(state: BodyState, record: records.CallScheduled | records.CallRetrying, n: int) -> None:
    """A due time is on the way to disk; nothing follows from it until it is there."""
    call = state.waiting.get(record.key)
    if call is None:
        return
    call.n = call.cause = n
    _move(state, call, type(record))
    state.unconfirmed.append((n, record.key))


def _move(state: BodyState, call: Call, by: type) -> None:
    try:
        after = CALL[call.stage][by]
    except KeyError:
        raise PlaitInternalError(f"{by.__name__} for {call}") from None
    _leave(state, call)
    _put(state, call, after)


def _part(state: BodyState, call: Call, by: type) -> None:
    """Give a call that was cancelled its turn to leave; not while its child cleans up."""
    key = call.made.key
    past = state.past[key]
    if past.child is None:
        _move(state, call, by)
        heappush(state.ready, (past.cancelled_by, key))
    else:
        _leave(state, call)
        _put(state, call, CLOSING)


def _leave(state: BodyState, call: Call) -> None:
    stage = call.stage
    if stage is RUNNING or stage is PENDING or stage is SETTING or stage is CLOSING:
        state.going -= 1
    elif stage is HELD:
        del state.held[call.made.key]
    elif stage is DOOMED:
        del state.doomed[call.made.key]
    elif stage is LEAVING:
        del state.leaving[call.made.key]


def _put(state: BodyState, call: Call, stage: Stage) -> None:
    call.stage = stage
    if stage is RUNNING or stage is PENDING or stage is SETTING or stage is CLOSING:
        state.going += 1
    elif stage is HELD:
        state.held[call.made.key] = None
    elif stage is DOOMED:
        state.doomed[call.made.key] = False
    elif stage is LEAVING:
        state.leaving[call.made.key] = None


def _make(state: BodyState, mark: marks.Made) -> None:
    made = mark.call
    key = made.key
    if not key.role:
        state.counts[key[:2]] = key.occurrence + 1
    if made.undoable:
        state.undoable[key] = None
    past = state.past.get(key)
    call = state.waiting[key] = Call(made, HELD, 0, state.last_handed)
    if past is None:
        _put(state, call, HELD)
    elif past.ending is not None:
        _put(state, call, ENDED)
        heappush(state.ready, (past.n, key))
    elif past.cancelled_in == state.attempt:
        _put(state, call, DOOMED)
    else:
        _put(state, call, HELD)
        if past.failures:
            call.began = past.began
        scheduled = past.scheduled
        if scheduled is not None and scheduled.due_at is not None:
            heappush(state.dues, (scheduled.due_at, past.n, key))


def _hand_out(state: BodyState, mark: marks.HandedOut) -> None:
    key = mark.key
    heappop(state.ready)
    state.waiting.pop(key, None)  # a deadline's scope stays open
    outcome = state.outcome(key)
    assert outcome is not None
    state.handed += 1
    state.last_handed = mark.n
    state.moment = outcome.at
    if state.ready:
        _drop_stale(state)


def _cancel_again(state: BodyState, mark: marks.CancelledAgain) -> None:
    _part(state, state.waiting[mark.key], marks.CancelledAgain)


def _let_go(state: BodyState, mark: marks.LetGo) -> None:
    _leave(state, state.waiting.pop(mark.key))
    _drop_stale(state)


def _resume(state: BodyState, mark: marks.Resumed) -> None:
    _move(state, state.waiting[mark.key], marks.Resumed)


def _skip(state: BodyState, mark: marks.Skipped) -> None:
    state.counts[mark.key[:2]] = mark.key.occurrence + 1


def _drop_stale(state: BodyState) -> None:
    ready = state.ready
    while ready and not (ready[0][1] in state.waiting or ready[0][1] in state.entered):
        heappop(ready)


def _confirm(state: BodyState, mark: marks.Confirmed) -> None:
    n = state.confirmed = mark.n
    unconfirmed = state.unconfirmed
    while unconfirmed and unconfirmed[0][0] <= n:
        number, key = unconfirmed.popleft()
        if (call := setting(state, number, key)) is not None:
            _move(state, call, marks.Confirmed)


def setting(state: BodyState, n: int, key: Key) -> Call | None:
    """Find the call that still waits for this record to be on disk."""
    call = state.waiting.get(key)
    return call if call is not None and call.stage is SETTING and call.n == n else None


# ---------------------------------------------------------------- deadlines, the body


def _set_deadline(state: BodyState, record: records.DeadlineSet, n: int) -> None:
    state.deadlines[record.key] = Deadline(record.due_at, n)


def _fire(state: BodyState, record: records.DeadlineFired, n: int) -> None:
    key = record.key
    deadline = state.deadlines[key]
    deadline.fired = record
    deadline.n = n
    state.outcomes += 1
    if key in state.entered:
        state.entered[key] = True
        state.ticking -= 1
        state.unarmed.pop(key, None)
        heappush(state.ready, (n, key))


def _patch(state: BodyState, record: records.Patched, _: int) -> None:
    state.patches[record.patch] = record.on


def _enter(state: BodyState, mark: marks.Entered) -> None:
    key = mark.key
    state.counts[key[:2]] = key.occurrence + 1
    deadline = state.deadlines[key]
    state.entered[key] = deadline.fired is not None
    if deadline.fired is not None:
        heappush(state.ready, (deadline.n, key))
        return
    state.ticking += 1
    if state.replay:
        state.unarmed[key] = None
        heappush(state.dues, (deadline.due_at, deadline.n, key))


def _leave_deadline(state: BodyState, mark: marks.Left) -> None:
    if not state.entered.pop(mark.key):
        state.ticking -= 1
    state.unarmed.pop(mark.key, None)
    _drop_stale(state)


def _release(state: BodyState, _: marks.Released) -> None:
    state.replay = False
    state.unarmed.clear()
    state.dues.clear()


def _warn(state: BodyState, mark: marks.Warned) -> None:
    state.doomed[mark.key] = True


def _roll_back(state: BodyState, _: marks.RollingBack) -> None:
    state.rolling_back = True


def _stop(state: BodyState, _: marks.Stopped) -> None:
    state.stopped = True


def _begin(state: BodyState, mark: marks.Began) -> None:
    if mark.attempt != state.attempt:  # what an earlier attempt had cancelled binds no more
        state.outcomes -= sum(one.fired is not None for one in state.deadlines.values())
        state.deadlines.clear()
        state.attempt = mark.attempt
    state.replay = bool(state.past or state.deadlines)
    state.accept_changes = mark.accept_changes
    state.stopped = False
    state.confirmed = state.last_n
    state.going = state.ticking = state.handed = state.last_handed = 0
    state.moment = None
    for place in (state.counts, state.waiting, state.held, state.doomed, state.leaving):
        place.clear()
    for more in (state.entered, state.unarmed, state.undoable):
        more.clear()
    for rest in (state.unconfirmed, state.ready, state.dues):
        rest.clear()


#: Who takes in what. Tables: to ask for one class after the other cost more than what is then done.
_FOLDS: Final[dict[type[Record], Callable[[BodyState, Any, int], None]]] = {
    records.CallCompleted: _end,
    records.CallFailed: _end,
    records.CallStarted: _begin_handler,
    records.CallScheduled: _schedule,
    records.CallRetrying: _retry,
    records.CallCancelled: _cancel,
    records.DeadlineSet: _set_deadline,
    records.DeadlineFired: _fire,
    records.Patched: _patch,
}
_APPLIES: Final[dict[type[Mark], Callable[[BodyState, Any], None]]] = {
    marks.Made: _make,
    marks.HandedOut: _hand_out,
    marks.Confirmed: _confirm,
    marks.CancelledAgain: _cancel_again,
    marks.LetGo: _let_go,
    marks.Resumed: _resume,
    marks.Skipped: _skip,
    marks.Entered: _enter,
    marks.Left: _leave_deadline,
    marks.Released: _release,
    marks.Began: _begin,
    marks.Warned: _warn,
    marks.RollingBack: _roll_back,
    marks.Stopped: _stop,
}
