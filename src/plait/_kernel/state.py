"""The state of one run: the sum of its records, and nothing that they do not say.

Only `apply` changes it. It holds what is pending, never what is over, so a run's memory does not
grow with the number of steps it has run.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from typing import cast

import attrs

from plait._ids import OUTSIDE, DeliveryId, RunId

from .calls.state import BodyState
from .collecting import Buffer, BufferKey, Kept
from .effects import Offer
from .life import Phase
from .memory import Memory, Unanswered, answers_of
from .plan import Plan, Route, StepPlan
from .records import Emission, Outcome, Stopped
from .streams import Branch, Stream, StreamId
from .value import a_deque, a_dict, a_list, an_ordered_dict
from .waits import TimedOutWait, WaitKey, Waits


def parts(held: object) -> Sequence[object]:
    """The events of a join or a fan-in; none if it is a single event."""
    return cast("Sequence[object]", held) if _is_several(held) else ()


def each(held: object) -> Sequence[object]:
    """What a step was given, one by one."""
    return parts(held) if _is_several(held) else (held,)


def _is_several(held: object) -> bool:
    return isinstance(held, tuple)


@attrs.frozen
class Trouble:
    """The attempts of a delivery that have failed."""

    failures: int
    #: When its first attempt began, and its last one failed.
    began: float
    failed: float
    error: Exception
    #: When the next one is due.
    due: float = 0.0
    #: How many waits they have begun.
    waits: int = 0


def _remembered(calls: BodyState | None) -> BodyState | None:
    """What two states that are equal have of calls alike: nothing, as long as nothing is recorded."""
    return calls if calls is not None and calls.last_n else None


@attrs.define
class Delivery:
    """One event handed to one step. Known by its number, never by its event.

    A join's event is the tuple of its slots, a fan-in's the tuple of its list.
    """

    number: DeliveryId
    step: str
    event: object
    cause: DeliveryId
    branch: Branch | None = None
    #: The handlers of failures that it descends from.
    line: tuple[str, ...] = ()
    trouble: Trouble | None = None
    #: The worker that runs it; -1 while none does.
    worker: int = -1
    #: When its body began, on the run's clock.
    began: float = 0.0
    #: How many waits it has begun.
    waits: int = 0
    #: How many events its body has sent, in this attempt and in this process.
    sent: int = 0
    #: And how many it has written to the stream.
    written: int = 0
    #: What a body that runs again must not do again.
    memory: Memory | None = attrs.field(default=None, eq=answers_of)
    #: What its calls of `collect_events` were told. A call that is repeated is told the same.
    answers: dict[tuple[BufferKey, int], tuple[object, ...] | None] | None = None
    #: The durable calls of its body, in all attempts; `None`: there are none yet.
    calls: BodyState | None = attrs.field(default=None, eq=_remembered)

    def place_of(self, event: object) -> int:
        """Find an input of this delivery: its place among several, or -1."""
        if event is self.event:
            return 0
        for place, one in enumerate(parts(self.event)):
            if one is event:
                return place
        return -1

    def part(self, place: int) -> object:
        """Look at the input that has this place."""
        event = self.event
        return cast("Sequence[object]", event)[place] if isinstance(event, tuple) else event

    @property
    def sends_on_record(self) -> int:
        """How many events this attempt has sent, in all processes."""
        return max(self.sent, len(self.memory.sends)) if self.memory else self.sent

    @property
    def writes_on_record(self) -> int:
        """How many events this attempt has written to the stream, in all processes."""
        return max(self.written, len(self.memory.writes)) if self.memory else self.written

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return 1 if self.trouble is None else self.trouble.failures + 1


@attrs.frozen
class Failure:
    """A body that failed for good."""

    delivery: DeliveryId
    step: str
    event: object
    error: BaseException
    attempt: int
    elapsed: float


@attrs.frozen
class Slotted:
    """An event that waits in a slot of a join."""

    number: DeliveryId
    event: object
    branch: Branch | None
    line: tuple[str, ...]


#: The slots of a join, one set for each stream: events of two streams never meet.
Joins = dict[StreamId | None, tuple[deque[Slotted], ...]]


@attrs.define
class StepState:
    """One step of one run."""

    plan: StepPlan
    #: FIFO. A deque, because taking the head of a list costs O(backlog).
    queue: deque[Delivery] = attrs.field(factory=a_deque)
    #: Waits that are over, and whose deliveries need a slot; they come before the queue.
    resuming: OrderedDict[WaitKey, object] = attrs.field(factory=an_ordered_dict)
    #: Invariant: at most `plan.num_workers`.
    running: int = 0
    #: Worker ids below `workers` that are free, as a heap: the lowest free one is taken first.
    free: list[int] = attrs.field(factory=a_list)
    workers: int = 0
    buffers: dict[BufferKey, Buffer] = attrs.field(factory=a_dict)
    joins: Joins = attrs.field(factory=a_dict)
    returned_none: bool = False
    #: Classes of events that this step emitted and that only the stream took.
    streamed_only: dict[type, None] = attrs.field(factory=a_dict)
    #: How many offers are out. Of this process, not of the run: no record speaks of it.
    offered: int = attrs.field(default=0, eq=False)
    #: Made once: an offer is the commonest effect.
    offer: Offer = attrs.field(
        default=attrs.Factory(lambda self: Offer(self.plan.name), takes_self=True), repr=False
    )

    @property
    def next_worker(self) -> int:
        """The lowest free worker id."""
        return self.free[0] if self.free else self.workers

    @property
    def startable(self) -> int:
        """How many of its deliveries have a slot to start in."""
        slots, waiting = self.plan.num_workers - self.running, len(self.queue)
        return slots if slots < waiting else waiting  # noqa: FURB136 - a call takes five times as long


def _steps(state: RunState) -> dict[str, StepState]:
    return {step.name: StepState(step) for step in state.plan.steps}


def is_kept(state: RunState, route: Route) -> bool:
    """Say whether an event that nobody takes now may be asked for later."""
    if route.answers:
        return True
    return any(
        route.kind is kind or (subclasses and issubclass(route.kind, kind))
        for kind, subclasses in state.awaited
    )


def in_mailbox(state: RunState, route: Route, record: Emission) -> bool:
    """Say whether an event goes to the mailbox: nobody got it, and somebody may ask for it."""
    return not (record.to or record.resolves or route.stops) and is_kept(state, route)


@attrs.define
class RunState:
    """One run."""

    plan: Plan
    run_id: RunId
    phase: Phase = Phase.NEW
    #: The Unix time of the clock's 0.
    epoch: float = 0.0
    steps: dict[str, StepState] = attrs.field(default=attrs.Factory(_steps, takes_self=True))
    next_delivery: DeliveryId = DeliveryId(1)
    running: dict[DeliveryId, Delivery] = attrs.field(factory=a_dict)
    #: Deliveries whose body waits for an event, without a slot.
    suspended: dict[DeliveryId, Delivery] = attrs.field(factory=a_dict)
    #: Deliveries whose next attempt is due later.
    due: dict[DeliveryId, Delivery] = attrs.field(factory=a_dict)
    #: Deliveries whose body has returned, and what it returned is still to come: see `take_out`.
    aside: dict[DeliveryId, Delivery] = attrs.field(factory=a_dict)
    #: Invariant: how many are queued, running, resuming, due or aside. At 0 the run is quiet.
    busy: int = 0
    waits: Waits = attrs.field(factory=Waits)
    #: Classes that somebody has waited for, and whether with their subclasses: their events may
    #: come early, and are kept.
    awaited: dict[tuple[type, bool], None] = attrs.field(factory=a_dict)
    #: Answers from outside that nobody has taken yet.
    mailbox: list[tuple[DeliveryId, object]] = attrs.field(factory=a_list)
    #: Emitted after the decision, while draining: kept to be reported, never routed.
    unrouted: list[tuple[DeliveryId, object]] = attrs.field(factory=a_list)
    streams: dict[StreamId, Stream] = attrs.field(factory=a_dict)
    next_stream: StreamId = StreamId(1)
    #: How many bodies may run, one after the other, in a run that goes step by step; `None`: it
    #: does not. A body that waits gives its permit back, and needs one to go on.
    permits: int | None = None
    outcome: Outcome | None = None
    failures: list[Failure] = attrs.field(factory=a_list)
    #: What was written to the store, if somebody records that.
    store: dict[str, object] = attrs.field(factory=a_dict)
    #: How often another process has taken it up, and the seconds of earlier ones that count.
    reopened: int = 0
    elapsed: float = 0.0
    #: Has another process taken up a drain? Then what is queued was running, and runs again.
    drains_again: bool = False
    #: Are sends compared with those on record? From the first fold or `Reopened` on. Are they kept
    #: with their events? While records are folded, and at no other time.
    remembers: bool = attrs.field(default=False, eq=False, repr=False)
    folding: bool = attrs.field(default=False, eq=False, repr=False)
    #: What the last records have touched, and `advance` must look at. Empty between two stimuli.
    touched: list[StepState] = attrs.field(factory=a_list, eq=False, repr=False)
    loose: list[Stream] = attrs.field(factory=a_list, eq=False, repr=False)
    answered: list[WaitKey] = attrs.field(factory=a_list, eq=False, repr=False)
    #: Which events have made a join whole: its delivery, and their numbers. As above.
    met: list[tuple[DeliveryId, tuple[DeliveryId, ...]]] = attrs.field(
        factory=a_list, eq=False, repr=False
    )

    def executing(self, number: DeliveryId) -> Delivery | None:
        """The delivery whose body is executing, with a slot or suspended."""
        return self.running.get(number) or self.suspended.get(number)

    def is_on_stream(self, number: DeliveryId, event: object) -> bool:
        """Does a body that runs again write what it has written before? Then it takes no room."""
        writer = self.executing(number)
        if writer is None or writer.memory is None:
            return False
        return writer.memory.rewrites(writer.written, event)

    def will_ask_for(self, event: object) -> bool:
        """Does a wait that a dead process had open want an event, and has nothing in the mailbox yet?

        Its body runs again, and has not come to it.
        """
        letters = [letter for _, letter in self.mailbox]
        for delivery in self.live() if self.reopened else ():
            begun = [wait for wait in self.waits.values() if wait.delivery == delivery.number]
            for wait in delivery.memory.to_begin(begun) if delivery.memory else ():
                place = next((n for n, letter in enumerate(letters) if wait.wants(letter)), None)
                if place is not None:
                    del letters[place]
                elif wait.wants(event):
                    return True
        return False

    def startable(self, step: StepState) -> int:
        """How many queued deliveries of a step may start now. Each is offered to a worker."""
        if self.permits is None:
            return step.startable
        return int(bool(step.queue) and self.may_start(step))

    def may_start(self, step: StepState) -> bool:
        """Say whether it is the turn of a step that has a delivery, in a run that goes step by step."""
        if not self.permits or self.running:
            return False
        heads = (other.queue[0].number for other in self.steps.values() if other.queue)
        return step.queue[0].number == min(heads)

    @property
    def active(self) -> tuple[str, ...]:
        """The names of the steps with a running body, in the order of the plan."""
        return tuple(name for name, step in self.steps.items() if step.running)

    @property
    def open_ended(self) -> bool:
        """Can an event from outside move the run on?"""
        return bool(self.waits) or self.plan.asks

    @property
    def idle(self) -> bool:
        """Is there nothing to do until something comes from outside?"""
        return self.phase is Phase.GOING and self.busy == 0 and self.open_ended

    @property
    def draining(self) -> bool:
        """Has a stop been decided, and may the bodies that run finish?"""
        stopped = self.phase is Phase.WINDING_UP and isinstance(self.outcome, Stopped)
        return stopped and self.plan.on_stop == "drain"

    @property
    def begins_again(self) -> bool:
        """Is there anything left to begin of a drain that was taken up?"""
        return self.drains_again and any(step.queue for step in self.steps.values())

    @property
    def undelivered(self) -> tuple[object, ...]:
        """Events that were accepted and reached no body, or no batch; the oldest first."""
        left = [*self.mailbox, *self.unrouted, *self._waiting()]
        return tuple(
            event for _, held in sorted(left, key=lambda kept: kept[0]) for event in each(held)
        )

    def _waiting(self) -> Iterator[Kept]:
        for delivery in self.due.values():
            yield delivery.number, delivery.event
        for step in self.steps.values():
            yield from ((delivery.number, delivery.event) for delivery in step.queue)
            for buffer in step.buffers.values():
                for queue in buffer.have.values():
                    yield from queue
            for slots in step.joins.values():
                yield from ((kept.number, kept.event) for slot in slots for kept in slot)
            for (number, _), answer in step.resuming.items():
                if not isinstance(answer, TimedOutWait):
                    yield number, answer
        for delivery in self.live():
            for reply in delivery.memory.owed if delivery.memory else ():
                if not (reply.taken or isinstance(reply.answer, TimedOutWait | Unanswered)):
                    yield delivery.number, reply.answer
        for stream in self.streams.values():
            for arrived in stream.gathered.values():
                yield from ((kept.number, kept.event) for kept in arrived)

    def live(self) -> Iterator[Delivery]:
        """All deliveries that have not ended."""
        for step in self.steps.values():
            yield from step.queue
        for place in (self.running, self.suspended, self.due, self.aside):
            yield from place.values()

    def check(self) -> None:
        """Assert what always holds. Every test of the kernel calls it after every stimulus."""
        assert not self.touched, "something was left undone"
        assert not self.loose, "a stream was left undone"
        assert not self.met, "nobody was told which events have met"
        assert not self.answered, "a wait was left undone"
        for step in self.steps.values():
            self._check_step(step)
        queued = sum(len(step.queue) for step in self.steps.values())
        resuming = sum(len(step.resuming) for step in self.steps.values())
        pending = queued + resuming + len(self.running) + len(self.due) + len(self.aside)
        assert self.busy == pending, "the count of pending deliveries is wrong"
        live = [delivery.number for delivery in self.live()]
        assert len(live) == len({*live}), "a delivery in two places"
        assert all(OUTSIDE < n < self.next_delivery for n in live), "a number of its own"
        for one in self.live():
            if one.calls is not None:
                _check_calls(one, one.calls)
        for delivery, _ in self.waits:
            assert delivery in self.suspended or delivery in self.running, "nobody waits"
        decided = self.phase in {Phase.WINDING_UP, Phase.OVER}
        assert decided == (self.outcome is not None), "decided without outcome"
        if self.phase is Phase.GOING:
            assert self.busy or self.open_ended, "quiet, and nobody has said so"
            self._check_streams()
        if self.phase is Phase.OVER:
            assert not self.running, "over, and a body is running"

    def _check_step(self, step: StepState) -> None:
        mine = [d for d in self.running.values() if d.step == step.plan.name]
        assert step.running == len(mine) <= step.plan.num_workers, "more running than allowed"
        workers = {delivery.worker for delivery in mine}
        assert len(workers) == len(mine), "two bodies, one worker"
        assert workers | set(step.free) == set(range(step.workers)), "a worker id was lost"
        assert not workers & set(step.free), "a busy worker is free"
        numbers = [delivery.number for delivery in step.queue]
        assert len(numbers) == len({*numbers}), "queued twice"
        assert all(d.worker == -1 for d in step.queue), "queued, with a worker"
        if self.phase is Phase.GOING:
            assert step.offered >= self.startable(step), "a delivery nobody was offered"
            full = step.running == step.plan.num_workers
            turn = self.permits is not None and (bool(self.running) or not self.permits)
            left = any(one.step == step.plan.name for one in self.aside.values())
            assert not step.resuming or full or turn or left, "a slot unused"
        for buffer in step.buffers.values():
            buffer.check()
        for slots in step.joins.values():
            assert not all(slots), "a whole join was left lying"

    def _check_streams(self) -> None:
        held: dict[StreamId, int] = {}
        deliveries = [*self.live()]
        inside = {(d.branch.stream, d.number, d.step) for d in deliveries if d.branch is not None}
        members = {(s.id, *m) for s in self.streams.values() for m in s.members.items()}
        assert members == inside, "a stream does not know who is inside"
        parents = {(s.parent.stream, s.id) for s in self.streams.values() if s.parent is not None}
        inner = {(s.id, number) for s in self.streams.values() for number in s.inner}
        assert inner == parents, "a stream does not know the streams inside"
        branches = [delivery.branch for delivery in deliveries]
        for step in self.steps.values():
            for slots in step.joins.values():
                branches += [kept.branch for slot in slots for kept in slot]
        branches += [stream.parent for stream in self.streams.values()]
        for branch in branches:
            if branch is not None:
                held[branch.stream] = held.get(branch.stream, 0) + 1
        live = {stream.id: stream.live for stream in self.streams.values()}
        assert held == {k: n for k, n in live.items() if n}, "a stream has lost count"


def _check_calls(delivery: Delivery, calls: BodyState) -> None:
    calls.check()
    mine = (delivery.step, delivery.number)
    keys = [*calls.past, *calls.deadlines]
    assert all(key.path[:1] == (mine,) for key in keys), "a call of another delivery"
