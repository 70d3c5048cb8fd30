"""Stimulus -> records and effects. The whole behaviour of a run, as one pure function.

`decide` looks at the state and never touches it; `apply` changes the state and never judges. So a
live run and a recovery cannot disagree, and an illegal stimulus raises before anything has changed.
What follows from the new state, whoever brought it about, is for `advance`.

Rule 1: *What a body returns is in the record of its completion.* Both are kept or neither is.
Rule 2: *An event goes where its class goes:* to every step that accepts it, and to the waits that
    it answers. One that nobody takes is refused to who sent it; returned, it is a failure.
Rule 3: *The first decision stands.* After it nothing starts, but what a drain begins again. What
    bodies do while they are being cleaned up is recorded and no longer routed; what they raise is
    added to the failures.
Rule 4: *A failure goes to the nearest who wants it:* the step's policy, which may give it another
    attempt; then a handler; then a fan-in that lists failures; then it ends the run.
Rule 5: *A run outlives its process.* A **journal** takes the records of a stimulus in one append, and
    the shell holds effects and observers back until they are on disk, see `keeping`. A **snapshot**
    is the state written out. Either makes a state, and `TakenUp` goes on from there: see `reopen`
    for who runs again, `memory` for what a body that runs again does not do twice.

What lies elsewhere: the **durable calls** of a delivery are decided by a kernel of their own, see
`delivery_calls`; so is which step of a **flow** is next, by what it depends on: see `graph`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TypeAlias, assert_never, cast

from plait._errors import PlaitError, PlaitInternalError
from plait._ids import OUTSIDE, DeliveryId

from . import effects, records, refusals, stimuli
from .calls.finality import is_final
from .collecting import Buffer, BufferKey
from .effects import Effect
from .life import GOING, WINDING_UP, Phase
from .plan import Route
from .records import Completed, Outcome, Record
from .retry.ask import ask
from .state import Delivery, RunState, in_mailbox, is_kept
from .stimuli import News, Stimulus
from .streams import Branch
from .waits import Wait, WaitKey

Decision: TypeAlias = tuple[list[Record], list[Effect]]


class ImpossibleStimulus(PlaitInternalError):  # noqa: N818 - says what it is
    """The shell reported what cannot have happened."""

    def __init__(self, state: RunState, stimulus: Stimulus) -> None:
        super().__init__(f"{stimulus} in phase {state.phase.value!r}")


def decide(state: RunState, stimulus: News) -> Decision:
    """Say what this stimulus means in this state.

    Raises:
        ImpossibleStimulus: The shell is wrong; nothing has changed.
    """
    match stimulus:  # the commonest first, as in `apply`
        case stimuli.Returned():
            return _returned(state, stimulus)
        case stimuli.Sent():
            return _sent(state, stimulus)
        case stimuli.Contributed():
            return contributed(state, stimulus)
        case stimuli.Opened():
            return _opened(state, stimulus)
        case stimuli.TakenUp():
            return _reopened(state, stimulus)
        case stimuli.StoreChanged():
            return _store_changed(state, stimulus)
        case stimuli.Settled():
            if state.phase is not WINDING_UP or state.running or state.suspended:
                raise ImpossibleStimulus(state, stimulus)
            return [records.Closed(stimulus.now)], []
        case stimuli.Wrote():
            return _wrote(state, stimulus)
        case stimuli.WaitBegan():
            return _wait_began(state, stimulus)
        case stimuli.HandedOn():
            if state.phase is not GOING or not 0 <= stimulus.letter < len(state.mailbox):
                raise ImpossibleStimulus(state, stimulus)
            _, event = state.mailbox[stimulus.letter]
            return [records.HandedOver(stimulus.now, stimulus.letter, event, stimulus.run_id)], []
        case stimuli.WaitExpired():
            if stimulus.wait not in state.waits or state.phase is not GOING:
                return [], []  # it has been answered, or nothing is resumed any more
            ended = records.WaitEnded(stimulus.now, stimulus.wait, stimulus.called_away)
            return [ended], []
        case stimuli.Raised():
            delivery = _living(state, stimulus)
            return _raised(state, delivery, stimulus)
        case stimuli.Due():
            if stimulus.delivery not in state.due or state.phase is not GOING:
                return [], []
            return [records.Requeued(stimulus.now, stimulus.delivery)], []
        case stimuli.Unwound():
            _living(state, stimulus)
            return [records.Interrupted(stimulus.now, stimulus.delivery)], []
        case stimuli.StepAsked():
            if state.permits is None or state.phase is not GOING:
                return [], []
            if state.permits + stimulus.number < 0:
                return [], []  # it has been used
            return [records.Permitted(stimulus.now, stimulus.number)], []
        case stimuli.Expired():
            return _end(state, stimulus, records.TimedOut(state.active, stimulus.seconds))
        case stimuli.CancelAsked():
            return _end(state, stimulus, records.Cancelled(by_owner=False))
        case stimuli.Abandoned():
            return _end(state, stimulus, records.Cancelled(by_owner=True))
        case stimuli.CannotGoOn():
            if state.executing(stimulus.delivery) is None:
                raise ImpossibleStimulus(state, stimulus)
            return [records.FunctionHeld(stimulus.now, stimulus.why, stimulus.delivery)], []
        case _:
            assert_never(stimulus)


# ---------------------------------------------------------------- deliveries


def _returned(state: RunState, stimulus: stimuli.Returned) -> Decision:
    value, now, number = stimulus.value, stimulus.now, stimulus.delivery
    delivery = state.running.get(number) or state.aside.get(number) or _living(state, stimulus)
    first, plan = state.next_delivery, state.plan
    if value is None or state.phase is WINDING_UP:
        return [Completed(now, number, _late(state, value), first, ())], []
    if plan.lists and (step := plan.step[delivery.step]).returns_list:
        if isinstance(value, list):
            return _listed(state, delivery, now, cast("list[object]", value))
        if type(value) in step.only_listed:
            return _failed(state, delivery, now, refusals.only_in_list(delivery.step, value))
    route = plan.routes[type(value)]
    resolves = state.waits.answered_by(value, leaving=number) if state.waits else ()
    to = route.to
    if delivery.branch is not None and route.gathered_by:
        opener = state.streams[delivery.branch.stream].step
        to += _gathering(state, route, opener)
    if not (to or route.stops or route.observable or resolves or is_kept(state, route)):
        return _failed(state, delivery, now, _undeliverable(state, delivery, value))
    completed = Completed(now, number, value, first, to, resolves)
    if route.stops:
        return _ending(state, completed, records.Stopped(value))
    return [completed], ([effects.Publish(value)] if route.observable else [])


def _late(state: RunState, value: object) -> object:
    """What is returned after the decision is reported, if it is an event or a list of some."""
    kind = state.plan.kinds.event
    if isinstance(value, list):
        return [one for one in cast("list[object]", value) if isinstance(one, kind)]
    return value if isinstance(value, kind) else None


def _listed(state: RunState, delivery: Delivery, now: float, members: Sequence[object]) -> Decision:
    """A returned list opens a stream; its members follow, each on a branch of its own."""
    stream = state.next_stream
    number = state.next_delivery
    emitted: list[Record] = [
        Completed(now, delivery.number, records.Listed(stream, len(members)), number, ())
    ]
    follow: list[Effect] = []
    answered: set[WaitKey] = set()
    for index, member in enumerate(members):
        route = state.plan.routes[type(member)]
        resolves: tuple[WaitKey, ...] = ()
        if state.waits:
            resolves = state.waits.answered_by(member, leaving=delivery.number, but=answered)
            answered.update(resolves)
        to = route.to + _gathering(state, route, delivery.step)
        if route.stops:
            emitted.append(records.Emitted(now, delivery.number, member, number, ()))
            rest = members[index + 1 :]
            wrong = [late for late in rest if not isinstance(late, state.plan.kinds.event)]
            if wrong:
                refused = _undeliverable(state, delivery, wrong[0], in_list=True)
                return _failed(state, delivery, now, refused)
            more, wind = _ending(state, emitted[-1], records.Stopped(member))
            late = [records.Emitted(now, delivery.number, event, number, ()) for event in rest]
            return [*emitted[:-1], *more, *late], [*follow, *wind]
        if not (to or route.observable or resolves or is_kept(state, route)):
            refused = _undeliverable(state, delivery, member, in_list=True)
            return _failed(state, delivery, now, refused)
        if route.observable:
            follow.append(effects.Publish(member))
        record = records.Emitted(
            now, delivery.number, member, number, to, resolves, Branch(stream, index)
        )
        emitted.append(record)
        number = DeliveryId(number + max(len(to), in_mailbox(state, route, record)))
    return emitted, follow


def _gathering(state: RunState, route: Route, opener: str) -> tuple[str, ...]:
    """The fan-ins that take an event from the streams of this step."""
    return tuple(name for name in route.gathered_by if name in state.plan.step[opener].opens)


def _undeliverable(
    state: RunState, delivery: Delivery, value: object, *, in_list: bool = False
) -> PlaitError:
    if not isinstance(value, state.plan.kinds.event):
        return refusals.not_an_event(delivery.step, value, in_list=in_list)
    kind = type(value)
    return refusals.no_receiver(state, f"Step {delivery.step!r} returned {kind.__name__}", kind)


def _living(
    state: RunState,
    stimulus: stimuli.Returned
    | stimuli.Raised
    | stimuli.Unwound
    | stimuli.Contributed
    | stimuli.WaitBegan,
) -> Delivery:
    """The delivery of a body that is executing, with a slot or suspended."""
    delivery = state.running.get(stimulus.delivery) or state.suspended.get(stimulus.delivery)
    if delivery is None:
        raise ImpossibleStimulus(state, stimulus)
    return delivery


# ---------------------------------------------------------------- failures


def _raised(state: RunState, delivery: Delivery, stimulus: stimuli.Raised) -> Decision:
    """Rule 4."""
    now, error = stimulus.now, stimulus.error
    if state.phase is not GOING:
        left = refusals.beside_over(error)
        if left is None:
            return [records.Interrupted(now, delivery.number)], []
        return [records.Failed(now, delivery.number, left)], []
    if stimulus.final or not isinstance(error, Exception) or isinstance(error, PlaitInternalError):
        return _failed(state, delivery, now, error)
    step = state.plan.step[delivery.step]
    trouble = delivery.trouble
    began = delivery.began if trouble is None else trouble.began
    elapsed = now - began
    refused = refusals.is_own(state, error)
    #: What its calls have come to they come to in each attempt.
    final = delivery.calls is not None and is_final(error)
    if step.retry is not None and not (refused or final):
        seed = _seed(state, delivery)
        try:
            delay = ask(step.retry, elapsed, delivery.attempt, error, seed)
        except Exception as failure:  # noqa: BLE001 - it fails the run; its cause is the error
            return _failed(state, delivery, now, failure)
        if delay is not None:
            due = now + delay
            retrying = records.Retrying(now, delivery.number, error, due)
            return [retrying], [effects.Alarm(delivery.number, due)]
    if refused or (taker := _taker(state, delivery)) is None:
        return _failed(state, delivery, now, error)
    event = state.plan.kinds.make_failed(
        delivery.step, delivery.event, error, delivery.attempt, elapsed, state.epoch + now
    )
    recovered = records.Recovered(now, delivery.number, error, event, state.next_delivery, taker)
    return [recovered], []


def _seed(state: RunState, delivery: Delivery) -> int:
    """What a policy's jitter comes from: the same after a recovery."""
    text = f"{state.run_id}:{delivery.step}:{delivery.number}:{delivery.attempt}"
    return zlib.crc32(text.encode())


def _taker(state: RunState, delivery: Delivery) -> str | None:
    """Who takes a final failure of this delivery: its handler, or a fan-in of its stream."""
    handler = state.plan.step[delivery.step].handler
    if handler is not None:
        used = delivery.line.count(handler)
        if used < state.plan.step[handler].max_recoveries:
            return handler
    if delivery.branch is None:
        return None
    stream = state.streams[delivery.branch.stream]
    failed = state.plan.kinds.failed
    fan_ins = state.plan.step[stream.step].opens  # also one that has fired: it takes no more
    return next((name for name in fan_ins if failed in state.plan.step[name].accepts), None)


def _failed(state: RunState, delivery: Delivery, now: float, error: BaseException) -> Decision:
    failed = records.Failed(now, delivery.number, error)
    return _ending(state, failed, records.Crashed())


# ---------------------------------------------------------------- sending, collecting, writing


def _sent(state: RunState, stimulus: stimuli.Sent) -> Decision:
    event, target = stimulus.event, stimulus.step
    sender = state.running.get(stimulus.sender) or state.suspended.get(stimulus.sender)
    draining = state.draining
    if state.phase is not GOING and not (draining and sender):
        return [], [effects.Refuse(refusals.over(state, event))]
    route = state.plan.routes[type(event)]
    to = route.to
    if sender is not None and (memory := sender.memory) is not None:
        wanted = to if target is None or route.stops else (target,)
        if memory.repeats(sender.sent, event, wanted):
            return [records.Repeated(stimulus.now, sender.number)], []
    resolves: tuple[WaitKey, ...] = ()
    if state.waits and target is None:
        resolves = state.waits.answered_by(event, leaving=OUTSIDE)
    if target is not None and not route.stops:
        if target not in state.steps:
            return [], [effects.Refuse(refusals.no_such_step(state, target))]
        if target not in to:
            return [], [effects.Refuse(refusals.not_accepted(target, event))]
        to = (target,)
    if not (to or route.stops or route.observable or resolves or is_kept(state, route)):
        name = route.kind.__name__
        who = f"Step {sender.step!r} sent {name}" if sender else f"{name} was sent"
        return [], [effects.Refuse(refusals.no_receiver(state, who, route.kind))]
    now, cause, first = stimulus.now, stimulus.sender, state.next_delivery
    if draining:
        return [records.Emitted(now, cause, event, first, ())], []
    emitted = records.Emitted(now, cause, event, first, to, resolves)
    if route.stops:
        return _ending(state, emitted, records.Stopped(event))
    return [emitted], ([effects.Publish(event)] if route.observable else [])


def contributed(state: RunState, stimulus: stimuli.Contributed) -> Decision:
    """Say what comes of it when a body gives its input to a collection."""
    delivery = state.running.get(stimulus.delivery) or _living(state, stimulus)
    step = state.steps[delivery.step]
    shape, event = stimulus.shape, stimulus.event
    place = delivery.place_of(event)
    if place < 0:
        return [], [effects.Refuse(refusals.not_an_input(delivery.step))]
    if not shape.runs:
        return [], [effects.Give(())]
    key = BufferKey(stimulus.buffer_id, shape.wants, stimulus.key)
    if delivery.answers and (key, place) in delivery.answers:
        answer = delivery.answers[key, place]
        return [], ([] if answer is None else [effects.Give(answer)])
    kind = step.plan.counts_as(type(event), shape.need)
    if kind is None:
        return [], []
    record = records.Collected(
        stimulus.now,
        stimulus.delivery,
        kind,
        event,
        shape,
        stimulus.buffer_id,
        stimulus.key,
        place,
    )
    buffer = step.buffers.get(key) or Buffer(shape.need, stimulus.now)
    if not buffer.completes(kind):
        return [record], []
    return [record], [effects.Give(buffer.batch(shape.runs, kind, event))]


def _wrote(state: RunState, stimulus: stimuli.Wrote) -> Decision:
    if state.phase is Phase.NEW:
        raise ImpossibleStimulus(state, stimulus)
    if state.phase is Phase.OVER:
        return [], [effects.Refuse(refusals.over(state, stimulus.event, "written"))]
    now, number, event, source = stimulus.now, stimulus.sender, stimulus.event, stimulus.source
    if state.remembers and (before := _written_before(state, stimulus)) is not None:
        return [before], []
    return [records.Streamed(now, number, event, source)], [effects.Publish(event)]


def _written_before(state: RunState, stimulus: stimuli.Wrote) -> records.StreamedBefore | None:
    writer, source = state.executing(stimulus.sender), stimulus.source
    if writer is None or (memory := writer.memory) is None:
        return None
    place = 0
    if not source:
        known = memory.rewrites(writer.written, stimulus.event)
    else:
        place = memory.place_on_stream(source, stimulus.event)
        known = place >= 0
    if not known:
        return None
    return records.StreamedBefore(stimulus.now, writer.number, source, place)


def _store_changed(state: RunState, stimulus: stimuli.StoreChanged) -> Decision:
    if state.phase is Phase.NEW:
        raise ImpossibleStimulus(state, stimulus)
    if state.phase is Phase.OVER:
        return [], []  # it is no longer the run's
    now, sender, values = stimulus.now, stimulus.sender, stimulus.values
    return [records.Stored(now, sender, values, stimulus.removed, stimulus.cleared)], []


def _wait_began(state: RunState, stimulus: stimuli.WaitBegan) -> Decision:
    delivery = _living(state, stimulus)
    wait = Wait(
        delivery=delivery.number,
        ordinal=delivery.waits,
        step=delivery.step,
        kind=stimulus.kind,
        subclasses=state.plan.step[delivery.step].accept_subclasses,
        requirements=stimulus.requirements,
        broadcast=stimulus.broadcast,
        waiter_id=stimulus.waiter_id or f"{delivery.step}:{delivery.number}:{delivery.waits}",
        since=stimulus.now,
    )
    memory = delivery.memory
    if memory is not None:
        wait = memory.begun_before(wait)
    if memory is not None and (place := memory.place_of(wait)) >= 0:
        recalled = records.Recalled(stimulus.now, wait, place)
        if delivery.number in state.suspended:
            return [recalled], []
        return [recalled], [effects.Resume(wait.key, memory.owed[place].answer)]
    for letter, (_, event) in enumerate(state.mailbox):
        if wait.wants(event):
            answered = records.Answered(stimulus.now, wait, letter, event)
            if delivery.number in state.suspended:
                return [answered], []  # it needs a slot first
            return [answered], [effects.Resume(wait.key, event)]
    asked: list[Effect] = []
    if stimulus.question is not None:
        asked.append(effects.Publish(stimulus.question))
    return [records.Waited(stimulus.now, wait, stimulus.question)], asked


# ---------------------------------------------------------------- the run


def _opened(state: RunState, stimulus: stimuli.Opened) -> Decision:
    if state.phase is not Phase.NEW:
        raise ImpossibleStimulus(state, stimulus)
    started = records.RunStarted(
        stimulus.now, state.run_id, stimulus.epoch, stepwise=stimulus.stepwise
    )
    to = state.plan.routes[type(stimulus.event)].to
    return [
        started,
        records.Emitted(stimulus.now, OUTSIDE, stimulus.event, DeliveryId(1), to),
    ], []


def _reopened(state: RunState, stimulus: stimuli.TakenUp) -> Decision:
    now, epoch = stimulus.now, stimulus.epoch
    reopened = records.Reopened(now, epoch, stimulus.stepwise, stimulus.elapsed)
    if state.phase is GOING:
        shift = state.epoch - epoch
        due = [
            (trouble.due + shift, number)
            for number, delivery in state.due.items()
            if (trouble := delivery.trouble) is not None
        ]
        return [reopened], [effects.Alarm(number, at) for at, number in sorted(due)]
    if state.phase is not WINDING_UP:
        raise ImpossibleStimulus(state, stimulus)
    left = {**state.suspended, **state.aside, **({} if state.draining else state.running)}
    again = state.draining and (state.running or state.begins_again)
    gone: list[Record] = [records.Interrupted(now, number) for number in sorted(left)]
    return [reopened, *gone], ([] if again else [effects.Wind()])


def _end(
    state: RunState,
    stimulus: stimuli.Expired | stimuli.CancelAsked | stimuli.Abandoned,
    outcome: Outcome,
) -> Decision:
    if state.phase is Phase.NEW:
        raise ImpossibleStimulus(state, stimulus)
    if state.phase is Phase.OVER:
        return [], []
    if state.phase is WINDING_UP:
        return [], [effects.Wind()]  # a drain that is going on is cut short
    return [records.Decided(stimulus.now, outcome)], [effects.Wind()]


def _ending(state: RunState, record: Record, outcome: Outcome) -> Decision:
    """Record what happened and, with it, how the run ends."""
    drains = isinstance(outcome, records.Stopped) and state.plan.on_stop == "drain"
    decided = records.Decided(record.at, outcome)
    return [record, decided], ([] if drains else [effects.Wind()])
