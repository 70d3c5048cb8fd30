"""Record or mark -> state. The only mutator: recovery is a loop over `fold`. It never judges."""

from __future__ import annotations

from typing import cast

from plait._errors import PlaitInternalError
from plait._kernel.calls import apply as calls
from plait._kernel.calls import marks as of_calls
from plait._kernel.calls import records as calls_records
from plait._kernel.calls.keeping import KEEPING as OF_CALLS

from . import marks, records
from .life import RUN, WITH_CALLS, Body
from .marks import Mark
from .records import AnyRecord, Record
from .state import FunctionState

#: What shows that a run gets on.
_NEWS = (calls_records.CallCompleted, calls_records.CallFailed, calls_records.DeadlineFired)


def fold(state: FunctionState, record: AnyRecord, n: int) -> None:
    """Change the state by the record that has this number, in place."""
    if type(record) in OF_CALLS:
        if state.phase not in WITH_CALLS:
            raise PlaitInternalError(f"record {n}: {record} in phase {state.phase}")
        calls.fold(state.calls, cast("calls_records.Record", record), n)
        state.moved = state.moved or isinstance(record, _NEWS)
        return
    try:
        after = RUN[state.phase][type(record)]
    except KeyError:
        raise PlaitInternalError(f"record {n}: {record} in phase {state.phase}") from None
    calls.count(state.calls, n)
    state.n = n
    state.pending = True
    _take_in(state, cast("Record", record))
    state.phase = after


def _take_in(state: FunctionState, record: Record) -> None:
    match record:
        case records.RunQueued():
            state.queued = record
            state.source = record.source
            state.calls.seed = record.seed
        case records.FunctionStarted():
            if state.attempt < 0:
                state.began = record.at
            _begin(state, record)
        case records.FunctionRetrying():
            state.error = record.error
            state.due_at = record.due_at
        case records.FunctionHeld():
            state.held = record.why
        case records.FunctionFreed():
            state.held = None
        case records.RollbackBegun():
            state.verdict = record
            calls.apply(state.calls, of_calls.RollingBack(record.at))
            state.moved = True
        case _:
            state.end = record


def _begin(state: FunctionState, record: records.FunctionStarted) -> None:
    state.attempt = record.attempt
    state.resumes = record.resumes
    state.moved = False
    state.held = None
    state.source = record.source
    state.body = Body.AHEAD
    # What earlier attempts had cancelled binds no more. That this record is on disk is not said yet.
    confirmed = state.calls.confirmed
    calls.apply(state.calls, of_calls.Began(record.at, record.attempt))
    state.calls.confirmed = confirmed


def apply(state: FunctionState, mark: Mark | of_calls.Mark) -> None:
    """Change the state by a mark, in place."""
    match mark:
        case marks.Taken():
            state.terms = mark.terms
            state.pending = False  # all that was folded is on disk
        case marks.Performed():
            state.pending = False
        case marks.BodyBegan():
            state.body = Body.ALIVE
        case marks.BodyEnded():
            state.body = Body.ENDED
        case marks.ToBeCancelled():
            state.cancel = mark.reason
        case marks.CancelTold():
            state.told = True
        case marks.Undoing():
            state.undoing = mark.key
        case _:
            calls.apply(state.calls, mark)
