"""Stimulus -> records and effects. The whole behaviour of a run, as one pure function.

`decide` looks at the state and never touches it; `apply` changes the state and never judges. So a
live run and a recovery cannot disagree, and an illegal stimulus raises before anything has changed.

Rule 1: *Every startable delivery has been offered to a worker.* A step's `startable` count is
    min(queued, free slots). Whenever a stimulus raises it by one, one `Offer` goes out. A worker
    takes the oldest delivery at the moment in which it really runs: when it comes, or when it has
    returned and stays. So bodies begin in the order of the queue whatever the scheduler does, no
    wake-up can be lost, and a worker that comes in vain is told so and goes back to wait.
Rule 2: *What a body returns is in the record of its completion.* Both are kept or neither is.
Rule 3: *The first decision stands.* After it nothing starts. What bodies do while they are being
    cleaned up is recorded and no longer routed; what they raise is added to the failures.
Rule 4: *A quiet run is never silent.* When nothing is queued and nothing is running, the same
    stimulus that made it so says whether the run is idle (the outside can move it on) or stalled.

Where the rest will go, with no new mechanism:

- **Joins** are buffers in front of a queue: an event for a joining step goes into its slot, and the
  event that fills the last slot makes a delivery of all. **`list[E]` streams**: a returned list
  opens a stream record; deliveries carry their branch; `Completed` of the last branch fires the
  fan-in as an ordinary delivery.
- **Waits**: a stimulus "waits for E" moves a delivery from `running` to the step's waiters, which
  frees its slot (rule 1 sends the offer); the event that resolves it, or the mailbox, moves it to a
  queue of its own that has precedence, and the effect is "resume" instead of `Begin`.
- **Retries and step timeouts**: `Raised` asks the step's policy, a pure function of the failures, the
  elapsed time and a seed. A delay is a record, and an effect that sets a timer; the timer is a
  stimulus that puts the delivery at the back of its queue. **`catch_error`** makes a delivery for the
  handler instead of the decision.
- **Snapshots** write the state out. A **journal** takes the records of a stimulus in one append,
  before the effects are performed; the shell holds effects and observers back until it is on disk.
- **Durable steps** are records of a delivery (its calls and their outcomes), asked for by
  stimuli like `Contributed` and answered like it. **Flow dependencies** are joins over the completion
  events of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, assert_never

from plait._errors import PlaitInternalError
from plait._ids import OUTSIDE, DeliveryId

from . import effects, records, refusals, stimuli
from .collecting import Buffer, BufferKey
from .effects import Effect
from .life import Phase
from .records import Outcome, Record
from .state import Delivery, RunState, StepState
from .stimuli import Stimulus

Decision: TypeAlias = tuple[Sequence[Record], Sequence[Effect]]

NOTHING: Decision = ((), ())


class ImpossibleStimulus(PlaitInternalError):  # noqa: N818 - says what it is
    """The shell reported what cannot have happened."""

    def __init__(self, state: RunState, stimulus: Stimulus) -> None:
        super().__init__(f"{stimulus} in phase {state.phase.value!r}")


def decide(state: RunState, stimulus: Stimulus) -> Decision:
    """Say what this stimulus means in this state.

    Raises:
        ImpossibleStimulus: The shell is wrong; nothing has changed.
    """
    match stimulus:
        case stimuli.Ready():
            return _ready(state, stimulus)
        case stimuli.Returned():
            return _returned(state, stimulus)
        case stimuli.Sent():
            return _sent(state, stimulus)
        case stimuli.Contributed():
            return _contributed(state, stimulus)
        case stimuli.Wrote():
            return _wrote(state, stimulus)
        case stimuli.Raised():
            return _raised(state, stimulus)
        case stimuli.Unwound():
            return _ended_badly(
                state, stimulus, records.Interrupted(stimulus.now, stimulus.delivery)
            )
        case stimuli.Opened():
            return _opened(state, stimulus)
        case stimuli.Expired():
            return _end(state, stimulus, records.TimedOut(state.active))
        case stimuli.CancelAsked():
            return _end(state, stimulus, records.Cancelled(by_owner=False))
        case stimuli.Abandoned():
            return _end(state, stimulus, records.Cancelled(by_owner=True))
        case stimuli.Settled():
            if state.phase is not Phase.WINDING_UP or state.running:
                raise ImpossibleStimulus(state, stimulus)
            return (records.Closed(stimulus.now),), ()
        case _:
            assert_never(stimulus)


# ---------------------------------------------------------------- deliveries


def _ready(state: RunState, stimulus: stimuli.Ready) -> Decision:
    step = state.steps[stimulus.step]
    if state.phase is not Phase.GOING or not step.startable:
        return NOTHING  # it came in vain: the run is winding up, or the delivery is taken
    number = step.queue[0].number
    worker = step.free[0] if step.free else step.workers
    started = records.Started(stimulus.now, number, stimulus.step, worker)
    return (started,), (effects.Begin(number),)


def _returned(state: RunState, stimulus: stimuli.Returned) -> Decision:
    delivery = _running(state, stimulus)
    value = stimulus.value
    now, number, first = stimulus.now, stimulus.delivery, state.next_delivery
    if value is None:
        completed = records.Completed(now, number, None, first, ())
        return _leaving(state, delivery, completed, stays=stimulus.stays)
    route = state.plan.routes[type(value)]
    if state.phase is Phase.WINDING_UP:
        return _leaving(state, delivery, records.Completed(now, number, value, first, ()))
    if not route.deliverable:
        return _ended_badly(
            state, stimulus, records.Failed(now, number, _undeliverable(state, delivery, value))
        )
    completed = records.Completed(now, number, value, first, route.to)
    if route.stops:
        return _with_end(state, now, completed, records.Stopped(value), leaving=1)
    return _leaving(state, delivery, completed, publish=route.observable, stays=stimulus.stays)


def _raised(state: RunState, stimulus: stimuli.Raised) -> Decision:
    error: BaseException | None = stimulus.error
    if state.phase is Phase.WINDING_UP:
        error = refusals.beside_over(stimulus.error)
    if error is None:
        return _ended_badly(state, stimulus, records.Interrupted(stimulus.now, stimulus.delivery))
    return _ended_badly(state, stimulus, records.Failed(stimulus.now, stimulus.delivery, error))


def _undeliverable(state: RunState, delivery: Delivery, value: object) -> Exception:
    if not isinstance(value, state.plan.kinds.event):
        return refusals.not_an_event(delivery.step, value)
    kind = type(value)
    return refusals.no_receiver(state, f"Step {delivery.step!r} returned {kind.__name__}", kind)


def _ended_badly(
    state: RunState,
    stimulus: stimuli.Returned | stimuli.Raised | stimuli.Unwound,
    record: records.Failed | records.Interrupted,
) -> Decision:
    delivery = _running(state, stimulus)
    if isinstance(record, records.Failed) and state.phase is Phase.GOING:
        return _with_end(state, stimulus.now, record, records.Crashed(), leaving=1)
    return _leaving(state, delivery, record)


def _leaving(
    state: RunState,
    delivery: Delivery,
    record: records.Completed | records.Failed | records.Interrupted,
    *,
    publish: bool = False,
    stays: bool = False,
) -> Decision:
    """A body has ended and the run goes on: who can start now, or is it quiet?"""
    if state.phase is Phase.WINDING_UP:
        drained = state.plan.on_stop == "drain" and len(state.running) == 1
        return (record,), ((effects.Wind(),) if drained else ())
    to = record.to if isinstance(record, records.Completed) else ()
    follow: list[Effect] = []
    if publish and isinstance(record, records.Completed):
        follow.append(effects.Publish(record.event))
    if not to and state.busy == 1:
        return _quiet(state, record, follow)
    step = state.steps[delivery.step]
    for name in to:
        if name != delivery.step:
            _offer(state.steps[name], follow)
    if not (step.queue or delivery.step in to):
        return (record,), follow
    if not stays:
        follow.append(step.offer)
        return (record,), follow
    heir = step.queue[0].number if step.queue else _numbered(record, delivery.step)
    worker = min(step.free[0], delivery.worker) if step.free else delivery.worker
    follow.append(effects.Begin(heir))
    return (record, records.Started(record.at, heir, delivery.step, worker)), follow


def _numbered(
    record: records.Completed | records.Failed | records.Interrupted, step: str
) -> DeliveryId:
    """The number that this step's delivery of a returned event will have."""
    assert isinstance(record, records.Completed)
    return DeliveryId(record.first + record.to.index(step))


def _offer(step: StepState, follow: list[Effect]) -> None:
    """Rule 1: the step is about to have one delivery more. Can it start at once?"""
    if len(step.queue) < step.plan.num_workers - step.running:
        follow.append(step.offer)


def _running(
    state: RunState,
    stimulus: stimuli.Returned | stimuli.Raised | stimuli.Unwound | stimuli.Contributed,
) -> Delivery:
    try:
        return state.running[stimulus.delivery]
    except KeyError:
        raise ImpossibleStimulus(state, stimulus) from None


# ---------------------------------------------------------------- sending, collecting, writing


def _sent(state: RunState, stimulus: stimuli.Sent) -> Decision:
    event, sender = stimulus.event, state.running.get(stimulus.sender)
    draining = state.phase is Phase.WINDING_UP and state.plan.on_stop == "drain"
    if state.phase is not Phase.GOING and not (draining and sender):
        return (), (effects.Refuse(refusals.over(state, event)),)
    route = state.plan.routes[type(event)]
    to = route.to
    if stimulus.step is not None and not route.stops:
        if stimulus.step not in state.steps:
            return (), (effects.Refuse(refusals.no_such_step(state, stimulus.step)),)
        if stimulus.step not in to:
            return (), (effects.Refuse(refusals.not_accepted(stimulus.step, event)),)
        to = (stimulus.step,)
    if not route.deliverable:
        name = route.kind.__name__
        who = f"Step {sender.step!r} sent {name}" if sender else f"{name} was sent"
        return (), (effects.Refuse(refusals.no_receiver(state, who, route.kind)),)
    now, cause, first = stimulus.now, stimulus.sender, state.next_delivery
    if draining:
        return (records.Emitted(now, cause, event, first, ()),), ()
    emitted = records.Emitted(now, cause, event, first, to)
    if route.stops:
        return _with_end(state, now, emitted, records.Stopped(event))
    follow: list[Effect] = [effects.Publish(event)] if route.observable else []
    for name in to:
        _offer(state.steps[name], follow)
    return (emitted,), follow


def _contributed(state: RunState, stimulus: stimuli.Contributed) -> Decision:
    delivery = _running(state, stimulus)
    step = state.steps[delivery.step]
    shape = stimulus.shape
    if stimulus.event is not delivery.event:
        return (), (effects.Refuse(refusals.not_an_input(delivery.step)),)
    if not shape.runs:
        return (), (effects.Give(()),)
    key = BufferKey(stimulus.buffer_id, shape.wants, stimulus.key)
    if delivery.answers and key in delivery.answers:
        answer = delivery.answers[key]
        return (), (() if answer is None else (effects.Give(answer),))
    kind = step.plan.counts_as(type(delivery.event), shape.need)
    if kind is None:
        return NOTHING
    record = records.Collected(
        stimulus.now, stimulus.delivery, kind, shape, stimulus.buffer_id, stimulus.key
    )
    buffer = step.buffers.get(key) or Buffer(shape.need, stimulus.now)
    if not buffer.completes(kind):
        return (record,), ()
    return (record,), (effects.Give(buffer.batch(shape.runs, kind, delivery.event)),)


def _wrote(state: RunState, stimulus: stimuli.Wrote) -> Decision:
    if state.phase is Phase.NEW:
        raise ImpossibleStimulus(state, stimulus)
    if state.phase is Phase.OVER:
        return (), (effects.Refuse(refusals.over(state, stimulus.event, "written")),)
    return (
        (records.Streamed(stimulus.now, stimulus.sender, stimulus.event),),
        (effects.Publish(stimulus.event),),
    )


# ---------------------------------------------------------------- the run


def _opened(state: RunState, stimulus: stimuli.Opened) -> Decision:
    if state.phase is not Phase.NEW:
        raise ImpossibleStimulus(state, stimulus)
    started = records.RunStarted(stimulus.now, state.run_id)
    to = state.plan.routes[type(stimulus.event)].to
    emitted = records.Emitted(stimulus.now, OUTSIDE, stimulus.event, DeliveryId(1), to)
    follow: list[Effect] = []
    for name in to:
        _offer(state.steps[name], follow)
    return (started, emitted), follow


def _quiet(state: RunState, record: Record, follow: list[Effect]) -> Decision:
    """Rule 4. With `record` the last pending delivery has gone."""
    if state.plan.asks:
        return (record, records.Idled(record.at)), [*follow, effects.Rest()]
    return (
        (record, records.Decided(record.at, records.Stalled())),
        [*follow, effects.Wind()],
    )


def _end(
    state: RunState,
    stimulus: stimuli.Expired | stimuli.CancelAsked | stimuli.Abandoned,
    outcome: Outcome,
) -> Decision:
    if state.phase is Phase.NEW:
        raise ImpossibleStimulus(state, stimulus)
    if state.phase is Phase.OVER:
        return NOTHING
    if state.phase is Phase.WINDING_UP:
        return (), (effects.Wind(),)  # a drain that is going on is cut short
    return (records.Decided(stimulus.now, outcome),), (effects.Wind(),)


def _with_end(
    state: RunState, now: float, record: Record, outcome: Outcome, *, leaving: int = 0
) -> Decision:
    """Record what happened and, with it, how the run ends."""
    draining = isinstance(outcome, records.Stopped) and state.plan.on_stop == "drain"
    waits = draining and len(state.running) > leaving
    return (record, records.Decided(now, outcome)), (() if waits else (effects.Wind(),))
