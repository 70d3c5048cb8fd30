"""A run out of its records: what a process that takes it up begins with.

Recovery is `apply` over the records and nothing else. What they lead to is a run that stands still,
its bodies in the middle of what they were doing; `TakenUp` goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from plait._errors import PlaitInternalError
from plait._ids import OUTSIDE, DeliveryId

from . import records
from .apply import apply, leave
from .life import GOING
from .records import AnyRecord
from .state import RunState


def fold(
    state: RunState, kept: Iterable[AnyRecord], publish: Callable[[object], object] | None = None
) -> RunState:
    """Add these records to a state, which is also what it returns.

    Args:
        state: A new one, or one that a snapshot was made of.
        kept: The records, from the first after that.
        publish: Told of each event that was put on the run's stream, in order.
    """
    state.remembers = state.folding = True
    try:
        for record in kept:
            if publish is not None and (event := shown(state, record)) is not None:
                publish(event)
            apply(state, record)
            state.touched.clear()
    finally:
        state.folding = False
    state.loose.clear()
    state.answered.clear()
    state.met.clear()
    return state


def shown(state: RunState, record: AnyRecord) -> object:
    """The event that a record puts on the stream, or `None`. To be asked before it is applied."""
    match record:
        case records.Streamed():
            return record.event
        case records.Waited(_, _, question):
            return question
        case records.Emitted() | records.Completed() if state.phase is GOING:
            event = record.event
            if event is None or (type(record) is records.Emitted and _begins(record)):
                return None
            route = state.plan.routes[type(event)]
            return event if route.observable and not route.stops else None
        case _:
            return None


def _begins(record: records.Emitted) -> bool:
    """Is it the start event?"""
    return record.cause == OUTSIDE and record.first == 1


def take_out(state: RunState, number: DeliveryId) -> None:
    """Make it the run without one delivery, and without what that delivery returned.

    That is what a checkpoint holds, taken when a body has returned and its event has not been routed.
    The delivery's branch stays open, and the run is not quiet: whoever goes on from here says what
    was returned, by `Returned` with the same number, after `TakenUp`.

    Raises:
        PlaitInternalError: Its body is not executing.
    """
    delivery = state.running.get(number) or state.suspended.get(number)
    if delivery is None:
        raise PlaitInternalError(f"delivery {number} is not executing")
    leave(state, number)
    state.touched.clear()
    delivery.memory, delivery.sent, delivery.written, delivery.waits = None, 0, 0, 0
    delivery.calls = None
    state.aside[number] = delivery
    state.busy += 1
