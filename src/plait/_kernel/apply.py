"""Record -> state. The only mutator: recovery is a loop over this function, and so is the live run.

It never judges. What `decide` wrote is legal; a record that is not is our own bug.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import assert_never

from plait._errors import PlaitInternalError
from plait._ids import DeliveryId

from . import records
from .collecting import Buffer, BufferKey
from .life import RUN, Phase
from .records import Record
from .state import Delivery, Failure, RunState


def apply(state: RunState, record: Record) -> None:
    """Change the state by one record, in place."""
    match record:  # the commonest first: each `case` that does not match costs 40 ns
        case records.Completed():
            delivery = _leave(state, record.delivery)
            step = state.steps[delivery.step]
            step.returned_none = record.event is None
            if record.event is not None:
                _emit(state, delivery.step, record)
        case records.Started():
            step = state.steps[record.step]
            delivery = step.queue.popleft()
            delivery.worker = record.worker
            delivery.began = record.at
            if step.free:
                heappop(step.free)
            else:
                step.workers += 1
            step.running += 1
            state.running[record.delivery] = delivery
        case records.Emitted():
            sender = state.running.get(record.cause)
            _emit(state, sender.step if sender else None, record)
        case records.Collected():
            _collect(state, record)
        case records.Streamed():
            pass  # the stream is an observer's; the run's state does not know its history
        case records.Failed():
            delivery = _leave(state, record.delivery)
            elapsed = record.at - delivery.began
            state.failures.append(
                Failure(delivery.number, delivery.step, delivery.event, record.error, elapsed)
            )
        case records.Interrupted():
            _leave(state, record.delivery)
        case records.Decided():
            _advance(state, record)
            state.outcome = record.outcome
        case records.RunStarted() | records.Idled() | records.Closed():
            _advance(state, record)
        case _:
            assert_never(record)


def _advance(state: RunState, record: Record) -> None:
    try:
        state.phase = RUN[state.phase][type(record)]
    except KeyError:
        raise PlaitInternalError(f"{record} in phase {state.phase.value!r}") from None


def _leave(state: RunState, number: DeliveryId) -> Delivery:
    delivery = state.running.pop(number)
    step = state.steps[delivery.step]
    step.running -= 1
    heappush(step.free, delivery.worker)
    state.busy -= 1
    return delivery


def _emit(state: RunState, step: str | None, record: records.Emitted | records.Completed) -> None:
    if not record.to:
        _keep(state, step, record)
        return
    cause = record.delivery if isinstance(record, records.Completed) else record.cause
    number = record.first
    for name in record.to:
        state.steps[name].queue.append(Delivery(number, name, record.event, cause))
        number = DeliveryId(number + 1)
    state.next_delivery = number
    state.busy += len(record.to)


def _keep(state: RunState, step: str | None, record: records.Emitted | records.Completed) -> None:
    """Do with an event what is done when no step gets it."""
    route = state.plan.routes[type(record.event)]
    if route.stops:
        return  # the decision that follows holds it
    if state.phase is Phase.WINDING_UP:
        state.unrouted.append((record.first, record.event))
    elif route.answers:
        state.mailbox.append((record.first, record.event))
    elif step is not None:
        state.steps[step].streamed_only[route.kind] = None


def _collect(state: RunState, record: records.Collected) -> None:
    delivery = state.running[record.delivery]
    step = state.steps[delivery.step]
    shape = record.shape
    key = BufferKey(record.buffer_id, shape.wants, record.key)
    if (buffer := step.buffers.get(key)) is None:
        buffer = step.buffers[key] = Buffer(shape.need, record.at)
    if delivery.answers is None:
        delivery.answers = {}
    if not buffer.completes(record.kind):
        delivery.answers[key] = None
        buffer.add(record.kind, (delivery.number, delivery.event))
        return
    delivery.answers[key] = buffer.batch(shape.runs, record.kind, delivery.event)
    buffer.add(record.kind, (delivery.number, delivery.event))
    buffer.take()
    if buffer.empty:
        del step.buffers[key]
