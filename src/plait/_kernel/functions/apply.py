"""Record or mark -> state. The only mutator: recovery is a loop over `fold`. It never judges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast, get_args

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
_NEWS: Final = frozenset(get_args(calls_records.Outcome))


def fold(state: FunctionState, record: AnyRecord, n: int) -> None:
    """Change the state by the record that has this number, in place."""
    if type(record) in OF_CALLS:
        if state.phase not in WITH_CALLS:
            raise PlaitInternalError(f"record {n}: {record} in phase {state.phase}")
        calls.fold(state.calls, cast("calls_records.Record", record), n)
        if type(record) in _NEWS:
            state.moved = True
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
    own = _APPLIES.get(type(mark))
    if own is None:  # as a rule
        calls.apply(state.calls, cast("of_calls.Mark", mark))
    else:
        own(state, mark)


def _take(state: FunctionState, mark: marks.Taken) -> None:
    state.terms = mark.terms
    state.pending = False  # all that was folded is on disk


def _perform(state: FunctionState, _: marks.Performed) -> None:
    state.pending = False


def _begin_body(state: FunctionState, _: marks.BodyBegan) -> None:
    state.body = Body.ALIVE


def _end_body(state: FunctionState, _: marks.BodyEnded) -> None:
    state.body = Body.ENDED


def _to_be_cancelled(state: FunctionState, mark: marks.ToBeCancelled) -> None:
    state.cancel = mark.reason


def _tell(state: FunctionState, _: marks.CancelTold) -> None:
    state.told = True


def _undo(state: FunctionState, mark: marks.Undoing) -> None:
    state.undoing = mark.key


#: Who takes in a mark of a run's own. What is not here is for the calls.
_APPLIES: Final[dict[type, Callable[[FunctionState, Any], None]]] = {
    marks.Taken: _take,
    marks.Performed: _perform,
    marks.BodyBegan: _begin_body,
    marks.BodyEnded: _end_body,
    marks.ToBeCancelled: _to_be_cancelled,
    marks.CancelTold: _tell,
    marks.Undoing: _undo,
}
