"""Record -> state. The only mutator: recovery is a loop over this function, and so is the live run.

It never judges. What was decided is legal; a record that is not is our own bug. What it touched it
notes in `touched` and `loose`, for `advance` to look at.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import assert_never, cast

from plait._errors import PlaitInternalError
from plait._ids import DeliveryId

from . import delivery_calls, records
from .calls import records as of_calls
from .collecting import Buffer, BufferKey
from .life import RUN, WINDING_UP
from .memory import UNANSWERED, Memory, Reply
from .records import AnyRecord, Completed, Emitted, Record, Started
from .reopen import reopen
from .state import Delivery, Failure, RunState, Slotted, StepState, Trouble, in_mailbox
from .streams import Branch, Gathered, Stream, StreamId, merged
from .waits import TIMED_OUT, Wait, WaitKey


def apply(state: RunState, record: AnyRecord) -> None:
    """Change the state by one record, in place."""
    match record:  # the commonest first: each `case` that does not match costs 40 ns
        case Completed():
            complete(state, record)
        case Started():
            start(state, record)
        case Emitted():
            send(state, record)
        case records.Collected():
            collect(state, record)
        case records.Decided():
            _advance(state, record)
            state.outcome = record.outcome
        case records.RunStarted():
            _advance(state, record)
            state.epoch = record.epoch
            state.permits = 0 if record.stepwise else None
        case records.Reopened():
            _advance(state, record)
            reopen(state, record)
        case records.Idled() | records.Closed() | records.FunctionHeld():
            _advance(state, record)
        case records.Streamed():  # the stream itself is an observer's
            writer = state.running.get(record.cause) or state.suspended.get(record.cause)
            if writer is not None:
                if state.remembers:
                    _remember_write(state, writer, record)
                if not record.source:
                    writer.written += 1
        case records.StreamedBefore():
            writer = _executing(state, record.cause)
            if record.source:
                _remember(writer).shows_again(record.source, record.place)
            else:
                writer.written += 1
        case records.Stored():
            _store(state, record)
        case records.Repeated():
            _executing(state, record.delivery).sent += 1
        case records.Failed():
            delivery = leave(state, record.delivery)
            trouble = delivery.trouble
            elapsed = record.at - (delivery.began if trouble is None else trouble.began)
            state.failures.append(
                Failure(
                    delivery.number,
                    delivery.step,
                    delivery.event,
                    record.error,
                    delivery.attempt,
                    elapsed,
                )
            )
            _end(state, delivery)
        case records.Interrupted():
            _end(state, leave(state, record.delivery))
        case records.Retrying():
            _retry(state, record)
        case records.Requeued():
            delivery = state.due.pop(record.delivery)
            step = state.steps[delivery.step]
            step.queue.append(delivery)
            state.touched.append(step)
        case records.Recovered():
            delivery = leave(state, record.delivery)
            branch, line = delivery.branch, delivery.line
            if state.steps[record.to].plan.gather is None:
                line = (*line, record.to)
            _deliver(state, (record.to,), record.event, record.first, delivery.number, branch, line)
            _end(state, delivery)
        case records.Dropped():
            _drop(state, {*record.deliveries}, record.streams)
        case records.Fired():
            _fire(state, record)
        case records.StreamClosed():
            stream = state.streams.pop(record.stream)
            if stream.parent is not None:
                del state.streams[stream.parent.stream].inner[stream.id]
                _end_branch(state, stream.parent)
        case records.Waited():
            _wait(state, record)
        case records.Answered():
            _answer_at_once(state, record)
        case records.HandedOver():
            del state.mailbox[record.letter]
        case records.Recalled():
            _recall(state, record)
        case records.WaitEnded():
            _end_wait(state, record.wait, TIMED_OUT, forgotten=record.called_away)
        case records.Resumed():
            _resume(state, record)
        case records.Met():  # a note: who meets follows from the events
            state.met.clear()
        case records.Permitted():
            state.permits = (state.permits or 0) + record.number
        case (
            of_calls.CallCompleted()
            | of_calls.CallStarted()
            | of_calls.CallFailed()
            | of_calls.CallScheduled()
            | of_calls.CallRetrying()
            | of_calls.CallCancelled()
            | of_calls.DeadlineSet()
            | of_calls.DeadlineFired()
            | records.DeliveryPatched()
        ):
            delivery_calls.fold(state, record)
        case _:
            assert_never(record)


def start(state: RunState, record: Started) -> None:
    """Apply this one: every second record is of its kind."""
    step = state.steps[record.step]
    delivery = step.queue.popleft()
    delivery.began = record.at
    delivery.worker = record.worker
    if step.free:
        heappop(step.free)
    else:
        step.workers += 1
    step.running += 1
    if state.permits is not None:
        state.permits -= 1
    state.running[record.delivery] = delivery
    if delivery.calls is not None:
        delivery_calls.begin(delivery, delivery.calls, state.epoch + record.at)


def _advance(state: RunState, record: Record) -> None:
    try:
        state.phase = RUN[state.phase][type(record)]
    except KeyError:
        raise PlaitInternalError(f"{record} in phase {state.phase.value!r}") from None


# ---------------------------------------------------------------- slots and queues


def _take_slot(step: StepState, delivery: Delivery, worker: int) -> None:
    delivery.worker = worker
    if step.free:
        heappop(step.free)
    else:
        step.workers += 1
    step.running += 1


def _give_slot_back(state: RunState, delivery: Delivery) -> None:
    step = state.steps[delivery.step]
    step.running -= 1
    heappush(step.free, delivery.worker)
    delivery.worker = -1
    state.touched.append(step)


def leave(state: RunState, number: DeliveryId) -> Delivery:
    """Take a delivery whose body has ended away, with its slot and its waits."""
    delivery = state.running.pop(number, None)
    if delivery is None:
        if number not in state.suspended:
            delivery = state.aside.pop(number)
            state.busy -= 1
            return delivery
        delivery = state.suspended.pop(number)
    else:
        state.busy -= 1
        step = state.steps[delivery.step]
        step.running -= 1
        heappush(step.free, delivery.worker)
        delivery.worker = -1
        state.touched.append(step)
    if delivery.waits:
        for ordinal in range(delivery.waits):
            _forget(state, delivery, (number, ordinal))
    return delivery


def _forget(state: RunState, delivery: Delivery, key: WaitKey) -> None:
    """Drop a wait of a body that has ended."""
    resuming = state.steps[delivery.step].resuming
    if key in state.waits:
        state.waits.end(key)
    elif key in resuming:
        del resuming[key]
        state.busy -= 1


def _queue(state: RunState, delivery: Delivery) -> None:
    step = state.steps[delivery.step]
    step.queue.append(delivery)
    state.touched.append(step)
    state.busy += 1
    state.next_delivery = DeliveryId(delivery.number + 1)
    if delivery.branch is not None:
        stream = state.streams[delivery.branch.stream]
        stream.live += 1
        stream.members[delivery.number] = delivery.step


def _drop(state: RunState, numbers: set[DeliveryId], streams: tuple[StreamId, ...]) -> None:
    inside = [state.streams[number] for number in streams]
    thinned: dict[str, None] = {}
    for stream in inside:
        for number in stream.members.keys() & numbers:
            thinned[stream.members.pop(number)] = None
            state.due.pop(number, None)
            state.busy -= 1
            _end_branch(state, Branch(stream.id, 0))
    for name in thinned:
        step = state.steps[name]
        step.queue = deque(d for d in step.queue if d.number not in numbers)
    for inner in inside[1:]:  # they belong to branches that are no more: no fan-in of theirs fires
        inner.open.clear()
        inner.gathered.clear()
    for step in state.steps.values():
        for level in streams if step.joins else ():
            for slot in step.joins.pop(level, ()):
                for kept in slot:
                    _end_branch(state, kept.branch)


# ---------------------------------------------------------------- events


def complete(state: RunState, record: Completed) -> None:
    """Apply this one: every other second record is of its kind."""
    number, event = record.delivery, record.event
    delivery = leave(state, number)
    branch = delivery.branch
    state.steps[delivery.step].returned_none = event is None
    if event is None:
        pass
    elif record.to:
        if record.resolves:
            _answer(state, record.resolves, event)
        _deliver(state, record.to, event, record.first, number, branch, delivery.line)
    elif type(event) is records.Listed:
        _open_stream(state, delivery, event)
    else:
        if record.resolves:
            _answer(state, record.resolves, event)
        _keep(state, delivery.step, record)
    if branch is not None:
        _end(state, delivery)


def send(state: RunState, record: Emitted) -> None:
    event = record.event
    sender = state.running.get(record.cause) or state.suspended.get(record.cause)
    line: tuple[str, ...] = ()
    if sender is not None:
        line = sender.line
        if state.remembers:
            _remember(sender).sent(sender.sent, record, keep=state.folding)
        sender.sent += 1
    if record.branch is not None:  # a member of a list: whoever returned it has left
        line = state.streams[record.branch.stream].line
    if record.resolves:
        _answer(state, record.resolves, event)
    if record.to:
        _deliver(state, record.to, event, record.first, record.cause, record.branch, line)
    else:
        step = sender.step if sender is not None else None
        if record.branch is not None:
            step = state.streams[record.branch.stream].step
        _keep(state, step, record)


def _deliver(
    state: RunState,
    to: tuple[str, ...],
    event: object,
    first: DeliveryId,
    cause: DeliveryId,
    branch: Branch | None,
    line: tuple[str, ...],
) -> None:
    """Hand an event to these steps; each uses up a number, from `first` on."""
    number: DeliveryId = first
    for name in to:
        step = state.steps[name]
        if step.plan.plain:
            step.queue.append(Delivery(number, name, event, cause, branch, line))
            state.touched.append(step)
            state.busy += 1
            if branch is not None:
                stream = state.streams[branch.stream]
                stream.live += 1
                stream.members[number] = name
        elif step.plan.slots:
            _slot(state, step, Slotted(number, event, branch, line), cause)
        else:
            assert branch is not None, "a fan-in takes what is in a stream"
            stream = state.streams[branch.stream]
            if name in stream.open:  # else it has fired: what comes later has no effect
                kept = Gathered(number, branch.index, event, line)
                stream.gathered.setdefault(name, []).append(kept)
                state.loose.append(stream)
        # An id is an int; to say so to the type checkers by a call would cost 80 ns.
        number += 1  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    state.next_delivery = number


def _slot(state: RunState, step: StepState, kept: Slotted, cause: DeliveryId) -> None:
    """Put an event into a slot of a join; whole, the join is queued under its last event's number."""
    branch = kept.branch
    level = None if branch is None else branch.stream
    slots = step.joins.setdefault(level, tuple(deque[Slotted]() for _ in step.plan.slots))
    place = step.plan.slot_of(type(kept.event), [len(slot) for slot in slots])
    slots[place].append(kept)
    if branch is not None:
        state.streams[branch.stream].live += 1
    if not all(slots):
        return
    parts = [slot.popleft() for slot in slots]
    if not any(slots):
        del step.joins[level]
    state.met.append((kept.number, tuple(part.number for part in parts)))
    events = tuple(part.event for part in parts)
    line = merged(part.line for part in parts)
    _queue(state, Delivery(kept.number, step.plan.name, events, cause, parts[0].branch, line))
    for part in parts:
        _end_branch(state, part.branch)


def _keep(state: RunState, step: str | None, record: records.Emission) -> None:
    """Do with an event what is done when no step gets it."""
    if isinstance(record.event, list) or state.phase is WINDING_UP:
        _report_later(state, record)
        return
    route = state.plan.routes[type(record.event)]
    if in_mailbox(state, route, record):
        state.mailbox.append((record.first, record.event))
        state.next_delivery = DeliveryId(record.first + 1)
    elif route.observable and step is not None and not record.resolves:
        state.steps[step].streamed_only[route.kind] = None


def _report_later(state: RunState, record: records.Emission) -> None:
    """Keep what came after the decision; a stop event among it does not count."""
    several = isinstance(record.event, list)
    for event in cast("list[object]", record.event) if several else [record.event]:
        if not state.plan.routes[type(event)].stops:
            state.unrouted.append((record.first, event))


def collect(state: RunState, record: records.Collected) -> None:
    """Apply this one: a fan-in has one for each event."""
    delivery = state.running.get(record.delivery) or state.suspended[record.delivery]
    step = state.steps[delivery.step]
    shape = record.shape
    key = BufferKey(record.buffer_id, shape.wants, record.key)
    asked, event = (key, record.place), delivery.part(record.place)
    if (buffer := step.buffers.get(key)) is None:
        buffer = step.buffers[key] = Buffer(shape.need, record.at)
    if delivery.answers is None:
        delivery.answers = {}
    if not buffer.completes(record.kind):
        delivery.answers[asked] = None
        buffer.add(record.kind, (delivery.number, event))
        return
    delivery.answers[asked] = buffer.batch(shape.runs, record.kind, event)
    buffer.add(record.kind, (delivery.number, event))
    buffer.take()
    if buffer.empty:
        del step.buffers[key]


def _remember_write(state: RunState, writer: Delivery, record: records.Streamed) -> None:
    if not record.source:
        _remember(writer).wrote(writer.written, record.event, keep=state.folding)
    elif state.folding:
        _remember(writer).shows(record.source, record.event)


def _store(state: RunState, record: records.Stored) -> None:
    if record.cleared:
        state.store.clear()
    for key in record.removed:
        state.store.pop(key, None)
    state.store.update(record.values)


# ---------------------------------------------------------------- streams


def _fire(state: RunState, record: records.Fired) -> None:
    stream = state.streams[record.stream]
    stream.open.remove(record.step)
    gathered = stream.gathered.pop(record.step, [])
    line = merged([stream.line, *(kept.line for kept in gathered)])
    _queue(
        state,
        Delivery(record.first, record.step, record.events, stream.cause, stream.parent, line),
    )


def _open_stream(state: RunState, delivery: Delivery, listed: records.Listed) -> None:
    fan_ins = [*state.steps[delivery.step].plan.opens]
    stream = Stream(
        listed.stream, delivery.step, delivery.number, delivery.line, delivery.branch, fan_ins
    )
    state.streams[listed.stream] = stream
    state.next_stream = StreamId(listed.stream + 1)
    state.loose.append(stream)
    if delivery.branch is not None:
        outer = state.streams[delivery.branch.stream]
        outer.live += 1
        outer.inner[stream.id] = None


def _end(state: RunState, delivery: Delivery) -> None:
    """A delivery is no more."""
    if delivery.branch is not None:
        del state.streams[delivery.branch.stream].members[delivery.number]
        _end_branch(state, delivery.branch)


def _end_branch(state: RunState, branch: Branch | None) -> None:
    if branch is None:
        return
    stream = state.streams[branch.stream]
    stream.live -= 1
    if not stream.live:
        state.loose.append(stream)


# ---------------------------------------------------------------- retries and waits


def _retry(state: RunState, record: records.Retrying) -> None:
    delivery = leave(state, record.delivery)
    state.busy += 1
    past = delivery.trouble
    delivery.trouble = Trouble(
        failures=delivery.attempt,
        began=delivery.began if past is None else past.began,
        failed=record.at,
        error=record.error,
        due=record.due,
        waits=delivery.waits,
    )
    delivery.sent, delivery.written, delivery.memory = 0, 0, None
    state.due[delivery.number] = delivery


def _wait(state: RunState, record: records.Waited) -> None:
    wait = record.wait
    state.waits.begin(wait)
    state.awaited[wait.kind, wait.subclasses] = None
    delivery = state.running.pop(wait.delivery, None)
    if delivery is None:
        state.suspended[wait.delivery].waits += 1
        return
    delivery.waits += 1
    state.busy -= 1
    if state.permits is not None:  # somebody else may have to run, for it to go on
        state.permits += 1
    _give_slot_back(state, delivery)
    state.suspended[delivery.number] = delivery


def _answer_at_once(state: RunState, record: records.Answered) -> None:
    del state.mailbox[record.letter]
    wait = record.wait
    state.awaited[wait.kind, wait.subclasses] = None
    _give(state, wait, record.event)


def _recall(state: RunState, record: records.Recalled) -> None:
    memory = _remember(_executing(state, record.wait.delivery))
    _give(state, record.wait, memory.owed.pop(record.place).answer)


def _give(state: RunState, wait: Wait, answer: object) -> None:
    """Answer a wait as it begins. A body that has no slot needs one first."""
    delivery = _executing(state, wait.delivery)
    if wait.delivery in state.suspended:
        _is_over(state, wait, answer)
    else:
        _remember(delivery).answers[wait.ordinal] = Reply(wait, answer, taken=True)
    delivery.waits += 1


def _executing(state: RunState, number: DeliveryId) -> Delivery:
    return state.running.get(number) or state.suspended[number]


def _remember(delivery: Delivery) -> Memory:
    if delivery.memory is None:
        delivery.memory = Memory()
    return delivery.memory


def _answer(state: RunState, resolves: tuple[WaitKey, ...], event: object) -> None:
    for key in resolves:
        _end_wait(state, key, event)


def _end_wait(state: RunState, key: WaitKey, answer: object, *, forgotten: bool = False) -> None:
    _is_over(state, state.waits.end(key), answer, forgotten=forgotten)


def _is_over(state: RunState, wait: Wait, answer: object, *, forgotten: bool = False) -> None:
    memory = _remember(_executing(state, wait.delivery))
    memory.answers[wait.ordinal] = Reply(wait, UNANSWERED if forgotten else answer)
    step = state.steps[wait.step]
    step.resuming[wait.key] = answer
    state.busy += 1
    state.touched.append(step)
    state.answered.append(wait.key)


def _resume(state: RunState, record: records.Resumed) -> None:
    number, ordinal = record.wait
    delivery = _executing(state, number)
    step = state.steps[delivery.step]
    del step.resuming[record.wait]
    _remember(delivery).answers[ordinal].taken = True
    state.busy -= 1
    if number in state.suspended:
        state.running[number] = state.suspended.pop(number)
        state.busy += 1
        if state.permits is not None:
            state.permits -= 1
        _take_slot(step, delivery, record.worker)
