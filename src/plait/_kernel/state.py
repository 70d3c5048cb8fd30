"""The state of one run: the sum of its records, and nothing that they do not say.

Only `apply` changes it. It holds what is pending, never what is over, so a run's memory does not
grow with the number of steps it has run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import attrs

from plait._ids import OUTSIDE, DeliveryId, RunId

from .collecting import Buffer, BufferKey
from .effects import Offer
from .life import Phase
from .plan import Plan, StepPlan
from .records import Outcome


@attrs.define
class Delivery:
    """One event handed to one step. Known by its number, never by its event."""

    number: DeliveryId
    step: str
    event: object
    cause: DeliveryId
    #: The worker that runs it; -1 while it is queued.
    worker: int = -1
    #: When its body began, on the run's clock.
    began: float = 0.0
    #: What its calls of `collect_events` were told. A call that is repeated is told the same.
    answers: dict[BufferKey, tuple[object, ...] | None] | None = None


@attrs.frozen
class Failure:
    """A body that failed for good."""

    delivery: DeliveryId
    step: str
    event: object
    error: BaseException
    elapsed: float


@attrs.define
class StepState:
    """One step of one run."""

    plan: StepPlan
    #: FIFO. A deque, because taking the head of a list costs O(backlog).
    queue: deque[Delivery] = attrs.field(factory=deque[Delivery])
    #: Invariant: at most `plan.num_workers`.
    running: int = 0
    #: Worker ids below `workers` that are free, as a heap: the lowest free one is taken first.
    free: list[int] = attrs.field(factory=list[int])
    workers: int = 0
    buffers: dict[BufferKey, Buffer] = attrs.field(factory=dict[BufferKey, Buffer])
    returned_none: bool = False
    #: Made once: an offer is the commonest effect.
    offer: Offer = attrs.field(
        default=attrs.Factory(lambda self: Offer(self.plan.name), takes_self=True), repr=False
    )
    #: Classes of events that this step emitted and that only the stream took.
    streamed_only: dict[type, None] = attrs.field(factory=dict[type, None])

    @property
    def startable(self) -> int:
        """How many deliveries may start now: each is offered to one worker, by one `Offer`."""
        return min(len(self.queue), self.plan.num_workers - self.running)


def _steps(state: RunState) -> dict[str, StepState]:
    return {step.name: StepState(step) for step in state.plan.steps}


@attrs.define
class RunState:
    """One run."""

    plan: Plan
    run_id: RunId
    phase: Phase = Phase.NEW
    steps: dict[str, StepState] = attrs.field(default=attrs.Factory(_steps, takes_self=True))
    next_delivery: DeliveryId = DeliveryId(1)
    running: dict[DeliveryId, Delivery] = attrs.field(factory=dict[DeliveryId, Delivery])
    #: Invariant: how many deliveries are queued or running. At 0 the run is quiet.
    busy: int = 0
    #: Answers from outside that nobody has taken yet.
    mailbox: deque[tuple[DeliveryId, object]] = attrs.field(
        factory=deque[tuple[DeliveryId, object]]
    )
    #: Emitted after the decision, while draining: kept to be reported, never routed.
    unrouted: list[tuple[DeliveryId, object]] = attrs.field(factory=list[tuple[DeliveryId, object]])
    outcome: Outcome | None = None
    failures: list[Failure] = attrs.field(factory=list[Failure])

    @property
    def active(self) -> tuple[str, ...]:
        """The names of the steps with a running body, in the order of the plan."""
        return tuple(name for name, step in self.steps.items() if step.running)

    @property
    def idle(self) -> bool:
        """Is there nothing to do until something comes from outside?"""
        return self.phase is Phase.GOING and self.busy == 0

    @property
    def undelivered(self) -> tuple[object, ...]:
        """Events that were accepted and reached no body, or no batch; the oldest first."""
        left = [*self.mailbox, *self.unrouted, *self._waiting()]
        return tuple(event for _, event in sorted(left, key=lambda kept: kept[0]))

    def _waiting(self) -> Iterator[tuple[DeliveryId, object]]:
        for step in self.steps.values():
            yield from ((delivery.number, delivery.event) for delivery in step.queue)
            for buffer in step.buffers.values():
                for queue in buffer.have.values():
                    yield from queue

    def check(self) -> None:
        """Assert what always holds. Every test of the kernel calls it after every stimulus."""
        for step in self.steps.values():
            mine = [d for d in self.running.values() if d.step == step.plan.name]
            assert step.running == len(mine) <= step.plan.num_workers, "more running than allowed"
            workers = {delivery.worker for delivery in mine}
            assert len(workers) == len(mine), "two bodies, one worker"
            assert workers | set(step.free) == set(range(step.workers)), "a worker id was lost"
            assert not workers & set(step.free), "a busy worker is free"
            numbers = [delivery.number for delivery in step.queue]
            assert numbers == sorted(set(numbers)), "the queue is out of order"
            assert all(d.worker == -1 for d in step.queue), "queued, with a worker"
            for buffer in step.buffers.values():
                buffer.check()
        queued = sum(len(step.queue) for step in self.steps.values())
        assert self.busy == queued + len(self.running), "the count of pending deliveries is wrong"
        assert all(OUTSIDE < n < self.next_delivery for n in self.running), "a number of its own"
        decided = self.phase in {Phase.WINDING_UP, Phase.OVER}
        assert decided == (self.outcome is not None), "decided without outcome"
        if self.phase is Phase.OVER:
            assert not self.running, "over, and a body is running"
