"""The state of a run whose steps follow one another: who is pending, and who is open.

A step is *pending* until its turn comes, *open* while deliveries of it are left, and then over:
nothing is kept of it. What it returned is in the records.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TypeAlias

import attrs

from plait._ids import DeliveryId
from plait._kernel.life import GOING, Phase
from plait._kernel.plan import StepPlan
from plait._kernel.state import Delivery, RunState, StepState
from plait._kernel.value import a_dict, a_list

from .admission import Admit, everyone

Limit: TypeAlias = tuple[str, str]
"""A limit beside that of the whole run: `("step", name)` or `("group", name)`."""


@attrs.define
class Pending:
    """A step whose turn has not come."""

    #: For how many of those that it waits for it still waits.
    left: int
    #: Has one of the others something for it: did it succeed, or fail in a way that does not matter?
    live: bool = False


@attrs.define
class Open:
    """A step with deliveries that have not come to their end."""

    left: int
    running: int = 0
    failed: bool = False


def _no_steps(_: RunState) -> dict[str, StepState]:
    return {}


def _pending(state: GraphState) -> dict[str, Pending]:
    return {step.name: Pending(len(needs_of(step))) for step in state.plan.steps}


def needs_of(step: StepPlan) -> tuple[tuple[str, str], ...]:
    """Say whom a step waits for."""
    return () if step.after is None else step.after.needs


@attrs.define
class GraphState(RunState):
    """One run. Deliveries are numbered by item; a delivery's event is the number of its item."""

    steps: dict[str, StepState] = attrs.field(
        default=attrs.Factory(_no_steps, takes_self=True), init=False, repr=False
    )
    #: Asked when a step's turn comes.
    admit: Admit = attrs.field(default=everyone, eq=False, repr=False)
    pending: dict[str, Pending] = attrs.field(
        default=attrs.Factory(_pending, takes_self=True), repr=False
    )
    open: dict[str, Open] = attrs.field(factory=a_dict)
    #: Who has been readied and does not run, in the order in which they were; each with its turn.
    queued: dict[DeliveryId, tuple[int, Delivery]] = attrs.field(factory=a_dict)
    turns: int = 0
    #: How many bodies run under the limit of a group.
    grouped: dict[str, int] = attrs.field(factory=a_dict)
    #: Workers of the whole run: those that are free, below `workers`, as a heap.
    free: list[int] = attrs.field(factory=a_list)
    workers: int = 0
    #: Steps whose turn may have come. Empty between two stimuli.
    called: list[str] = attrs.field(factory=a_list, eq=False, repr=False)
    #: Steps that have failed; and those of whose deliveries one has, while others are left. As above.
    failed: list[str] = attrs.field(factory=a_list, eq=False, repr=False)
    hurt: list[str] = attrs.field(factory=a_list, eq=False, repr=False)
    #: An index of `queued`, of which `turns` is the key: who could start as far as their own limits
    #: go, as a heap; and who waits for a limit. What is in it no longer counts once it has started.
    ready: list[tuple[int, DeliveryId]] = attrs.field(factory=a_list, eq=False, repr=False)
    parked: dict[Limit, list[tuple[int, DeliveryId]]] = attrs.field(
        factory=a_dict, eq=False, repr=False
    )

    @property
    def active(self) -> tuple[str, ...]:
        """The names of the steps with a running body, in the order of the plan."""
        return tuple(
            name for name in self.plan.step if name in self.open and self.open[name].running
        )

    @property
    def undelivered(self) -> tuple[object, ...]:
        """No events are sent."""
        return ()

    @property
    def next_worker(self) -> int:
        """The lowest free worker id."""
        return self.free[0] if self.free else self.workers

    def enqueue(self, delivery: Delivery) -> None:
        """Put a delivery at the back."""
        self.turns += 1
        self.queued[delivery.number] = (self.turns, delivery)
        heappush(self.ready, (self.turns, delivery.number))

    def limits(self, delivery: Delivery) -> tuple[Limit, ...]:
        """The limits that a delivery is under, beside the run's."""
        group = group_of(self.plan.step[delivery.step])
        own: Limit = ("step", delivery.step)
        return (own,) if group is None else (own, ("group", group))

    def has_room(self, limit: Limit) -> bool:
        """May one body more run under a limit?"""
        kind, name = limit
        if kind == "step":
            return self.open[name].running < self.plan.step[name].num_workers
        return self.grouped.get(name, 0) < self.plan.groups[name]

    def unpark(self, limit: Limit) -> None:
        """Let the first of those that wait for a limit try again."""
        waiting = self.parked.get(limit)
        while waiting:
            turn, number = heappop(waiting)
            if self.is_queued(turn, number):
                heappush(self.ready, (turn, number))
                return

    def is_queued(self, turn: int, number: DeliveryId) -> bool:
        """Does an entry of the index still mean a delivery that waits?"""
        found = self.queued.get(number)
        return found is not None and found[0] == turn

    def check(self) -> None:
        """Assert what always holds. Every test of this kernel calls it after every stimulus."""
        assert not [*self.called, *self.failed, *self.hurt], "something was left undone"
        assert self.busy == len(self.queued) + len(self.running) + len(self.due)
        places = [*self.queued, *self.running, *self.due]
        assert len(places) == len({*places}), "a delivery in two places"
        assert all(0 < number < self.next_delivery for number in places)
        assert not (self.pending.keys() & self.open.keys()), "pending and open"
        workers = [delivery.worker for delivery in self.running.values()]
        assert len(workers) == len({*workers}) <= self.plan.max_workers, "more than allowed"
        assert {*workers} | {*self.free} == {*range(self.workers)}, "a worker id was lost"
        for name, step in self.open.items():
            mine = [d for d in self.running.values() if d.step == name]
            assert step.running == len(mine) <= self.plan.step[name].num_workers
            waiting = [d for _, d in self.queued.values() if d.step == name]
            later = [d for d in self.due.values() if d.step == name]
            assert step.left == len(mine) + len(waiting) + len(later) > 0, "open, with nothing left"
        for group, count in self.grouped.items():
            mine = [d for d in self.running.values() if group_of(self.plan.step[d.step]) == group]
            assert count == len(mine) <= self.plan.groups[group]
        if self.phase is GOING:
            self._check_going()
        if self.phase is Phase.OVER:
            assert not self.running, "over, and a body is running"
        decided = self.phase not in {Phase.NEW, GOING}
        assert decided == (self.outcome is not None), "decided without outcome"

    def _check_going(self) -> None:
        assert self.busy, "nothing is left to do, and nobody has said so"
        assert all(one.left > 0 for one in self.pending.values()), "a turn was missed"
        if len(self.running) < self.plan.max_workers:
            for _, delivery in self.queued.values():
                full = [one for one in self.limits(delivery) if not self.has_room(one)]
                assert full, "a slot unused"
        listed = [entry for heap in (self.ready, *self.parked.values()) for entry in heap]
        for number, (turn, _) in self.queued.items():
            assert listed.count((turn, number)) == 1, "not in the index"


def group_of(step: StepPlan) -> str | None:
    """The limit that a step shares with others."""
    return None if step.after is None else step.after.group
