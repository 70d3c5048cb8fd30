"""A run's status, and what it waits for, as data. The app puts times into words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from plait._kernel.calls.life import RUNNING
from plait._kernel.calls.refusals import call_text
from plait._kernel.value import value

from .life import Phase
from .records import FunctionCompleted, FunctionFailed
from .state import FunctionState

Status: TypeAlias = Literal["queued", "running", "completed", "failed", "cancelled", "held"]


def status(state: FunctionState) -> Status:
    """Say where a run is: `RunInfo.status`. What sleeps, waits or is rolled back is running."""
    match state.end:
        case FunctionCompleted():
            return "completed"
        case FunctionFailed():
            return "failed"
        case None:
            if state.held is not None:
                return "held"
            return "queued" if state.phase in _QUEUED else "running"
        case _:
            return "cancelled"


_QUEUED: Final = frozenset({Phase.NEW, Phase.QUEUED})


@value
class WaitsFor:
    """What a run waits for, and the time when that ends at the latest. `at`: it ends just then."""

    what: str
    until: float | None = None
    at: bool = False


def waits_for(state: FunctionState) -> Iterator[WaitsFor]:
    """List what a run waits for: `RunInfo.waiting_for`. What it waits for in the queue, admission knows."""
    if state.end is not None:
        return
    if state.held is not None:
        yield WaitsFor("app.resume()")
        return
    if state.phase is Phase.RETRYING:
        yield WaitsFor(f"attempt {state.attempt + 1}", state.due_at, at=True)
    for key, past in state.calls.past.items():
        scheduled = past.scheduled
        if scheduled is not None:
            match scheduled.op:
                case "sleep":
                    yield WaitsFor(f"sleep {key.step_id!r}", scheduled.due_at)
                case "wait":
                    event = f"event {scheduled.event!r} for step {key.step_id!r}"
                    yield WaitsFor(event, scheduled.due_at)
                case _:
                    child = f"run {scheduled.child!r} of step {key.step_id!r}"
                    yield WaitsFor(child, scheduled.due_at)
        elif past.failures and past.ending is None:
            call = state.calls.waiting.get(key)
            if call is None or call.stage is not RUNNING:
                again = f"attempt {past.failures} of {call_text(key)}"
                yield WaitsFor(again, past.due_at, at=True)
