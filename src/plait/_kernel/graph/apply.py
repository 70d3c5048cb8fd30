"""Record -> state, for steps that follow one another. The only mutator; it never judges."""

from __future__ import annotations

from heapq import heappop, heappush

from plait._errors import PlaitInternalError
from plait._ids import OUTSIDE, DeliveryId
from plait._kernel import records
from plait._kernel.life import RUN
from plait._kernel.state import Delivery, Failure, Trouble

from .records import Readied, Record, Reused, Skipped
from .state import GraphState, Open, group_of


def apply(state: GraphState, record: Record) -> None:
    """Change the state by one record, in place."""
    match record:
        case records.Started():
            _start(state, record)
        case records.Completed():
            _end(state, _leave(state, record.delivery))
        case Readied():
            _ready(state, record)
        case Reused():
            _end(state, _leave(state, record.delivery))
        case Skipped():
            _skip(state, record)
        case records.Retrying():
            _retry(state, record)
        case records.Requeued():
            state.enqueue(state.due.pop(record.delivery))
        case records.Failed():
            _fail(state, record)
        case records.Interrupted():
            _end(state, _leave(state, record.delivery), failed=True)
        case records.Dropped():
            for number in record.deliveries:
                _end(state, _leave(state, number), failed=True)
        case records.RunStarted():
            _advance(state, record)
            state.epoch = record.epoch
        case records.Emitted():  # what the run begins with
            state.called += [name for name, one in state.pending.items() if not one.left]
        case records.Decided():
            _advance(state, record)
            state.outcome = record.outcome
        case records.Closed():
            _advance(state, record)
        case _:
            raise PlaitInternalError(f"{record} in a run whose steps follow one another")


def _advance(state: GraphState, record: Record) -> None:
    try:
        state.phase = RUN[state.phase][type(record)]
    except KeyError:
        raise PlaitInternalError(f"{record} in phase {state.phase.value!r}") from None


# ---------------------------------------------------------------- steps


def _ready(state: GraphState, record: Readied) -> None:
    name, first = record.step, record.first
    del state.pending[name]
    state.next_delivery = DeliveryId(first + record.count)
    state.busy += record.count
    if not record.count:
        _over(state, name, failed=False)
        return
    state.open[name] = Open(first, record.count, record.count)
    for item in range(record.count):
        number = DeliveryId(first + item)
        state.enqueue(Delivery(number, name, item, OUTSIDE, began=record.at))


def _end(state: GraphState, delivery: Delivery, *, failed: bool = False) -> None:
    """One delivery less; perhaps the step's last."""
    name = delivery.step
    step = state.open[name]
    step.left -= 1
    first = failed and not step.failed
    step.failed = step.failed or failed
    if not step.left:
        del state.open[name]
        _over(state, name, failed=step.failed)
    elif first:
        state.hurt.append(name)


def _over(state: GraphState, name: str, *, failed: bool) -> None:
    """Tell those that wait for a step. What a failure means for the others is in further records."""
    if failed:
        state.failed.append(name)
    for dependent, word in state.plan.dependents.get(name, ()):
        if not failed or word == "continue":
            _arrive(state, dependent, live=True)


def _skip(state: GraphState, record: Skipped) -> None:
    for name in record.steps:
        del state.pending[name]
    for name in record.steps:  # after a failure all that descend from them are among them
        for dependent, _ in state.plan.dependents.get(name, ()):
            _arrive(state, dependent, live=False)


def _arrive(state: GraphState, name: str, *, live: bool) -> None:
    if (step := state.pending.get(name)) is None:
        return
    step.left -= 1
    step.live = step.live or live
    if not step.left:
        state.called.append(name)


# ---------------------------------------------------------------- deliveries


def _start(state: GraphState, record: records.Started) -> None:
    delivery = state.dequeue(record.delivery)
    delivery.began = record.at
    delivery.worker = record.worker
    if state.free:
        heappop(state.free)
    else:
        state.workers += 1
    name = delivery.step
    state.open[name].running += 1
    if (group := group_of(state.plan.step[name])) is not None:
        state.grouped[group] = state.grouped.get(group, 0) + 1
    state.running[record.delivery] = delivery
    state.call_up(name)


def _leave(state: GraphState, number: DeliveryId) -> Delivery:
    """Take a delivery out of wherever it is, with its slots."""
    state.busy -= 1
    if number in state.due:
        return state.due.pop(number)
    delivery = state.running.pop(number, None)
    if delivery is None:
        delivery = state.dequeue(number)
    else:
        heappush(state.free, delivery.worker)
        delivery.worker = -1
        state.open[delivery.step].running -= 1
        if (group := group_of(state.plan.step[delivery.step])) is not None:
            state.grouped[group] -= 1
            state.call_back(group)
    state.call_up(delivery.step)
    return delivery


def _retry(state: GraphState, record: records.Retrying) -> None:
    delivery = _leave(state, record.delivery)
    state.busy += 1
    past = delivery.trouble
    delivery.trouble = Trouble(
        failures=delivery.attempt,
        began=delivery.began if past is None else past.began,
        failed=record.at,
        error=record.error,
        due=record.due,
    )
    state.due[delivery.number] = delivery


def _fail(state: GraphState, record: records.Failed) -> None:
    delivery = _leave(state, record.delivery)
    trouble = delivery.trouble
    began = delivery.began if trouble is None else trouble.began
    state.failures.append(
        Failure(
            delivery.number,
            delivery.step,
            delivery.event,
            record.error,
            delivery.attempt,
            record.at - began,
        )
    )
    _end(state, delivery, failed=True)
