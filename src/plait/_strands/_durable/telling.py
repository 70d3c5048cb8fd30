"""What the app sends about the end of a run: `plait/function.finished`, `.failed` and `.cancelled`.

Of a run that such an event has started nothing is sent: a function that is triggered by ends would be
triggered by its own, for ever. That of an `on_failure` is one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from plait._errors import ContextSerdeError
from plait._journal.outputs import OutputRefused
from plait._kernel.functions.effects import CANCELLED, FAILED, FINISHED
from plait._kernel.functions.records import (
    End,
    FunctionCancelled,
    FunctionCompleted,
    FunctionFailed,
)
from plait._kernel.functions.state import FunctionState

from .arrivals import received
from .ends import failure_of
from .event import Event
from .inspect import original
from .middleware import unseal
from .recorded import Sealed

if TYPE_CHECKING:
    from .arrivals import Events
    from .roster import Roster

TOLD: Final = frozenset({FINISHED, FAILED, CANCELLED})


def about(
    name: str,
    run_id: str,
    state: FunctionState,
    end: End,
    *,
    events: Events,
    roster: Roster,
    brief: bool = False,
) -> Event[Any]:
    """Make the event that tells of an end. Sent twice it is accepted once.

    Values and events are in it as users know them. What cannot be read any more, or is of a class that
    no event carries, is in it as it was recorded: an end is told of whatever it is. When it is `brief`,
    events and the result are left out.
    """
    queued = state.queued
    assert queued is not None
    data: dict[str, Any] = {"function_id": queued.fn_id, "run_id": run_id}
    if not brief:
        shown = [_shown(row, events) for row in queued.events]
        data["event"] = shown[0] if shown else None
        data["events"] = shown
    match end:
        case FunctionCompleted(value=value) if not brief:
            data["result"] = _result(value, queued.fn_id, events, roster)
        case FunctionFailed(error=error):
            said = original(state, error)
            stack = failure_of(error).stack
            data["error"] = {"name": said.name, "message": said.message, "stack": stack}
        case FunctionCancelled(reason=reason):
            data["reason"] = reason
        case _:
            pass
    return Event(name=name, data=data, id=f"{run_id}:{name}")


def is_told(state: FunctionState) -> bool:
    """Say whether a run was started by such an event."""
    queued = state.queued
    assert queued is not None
    return any(received(row, queued.at).name in TOLD for row in queued.events)


def _shown(row: object, events: Events) -> object:
    try:
        event = events.read(row)
        events.write(event.data)
    except (ContextSerdeError, OutputRefused):
        return row
    return {"id": event.id, "name": event.name, "data": event.data, "ts": event.ts}


def _result(recorded: object, fn_id: str, events: Events, roster: Roster) -> object:
    function = roster.functions.get(fn_id)
    if function is None:
        return recorded
    around = roster.around(function)
    try:
        value = Sealed(function.output, around).read(recorded)
        events.write(value)
    except ContextSerdeError:
        return recorded
    except OutputRefused:
        return unseal(around, recorded)
    return value
