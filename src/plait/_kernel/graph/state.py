"""The state of a run whose steps follow one another: who is pending, and who is open.

A step is *pending* until its turn comes, *open* while deliveries of it are left, and then over:
nothing is kept of it. What it returned is in the records.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TypeAlias

import attrs

from plait._ids import DeliveryId
from plait._kernel.life import GOING, Phase
from plait._kernel.plan import StepPlan
from plait._kernel.state import Delivery, RunState, StepState
from plait._kernel.value import a_deque, a_dict, a_list

from .admission import Admit, everyone

Entry: TypeAlias = tuple[int, DeliveryId, str]
"""Who stands in line: its turn, its number, its step."""


@attrs.define
class Pending:
    """A step whose turn has not come."""

    #: For how many of those that it waits for it still waits.
    left: int
    #: Has one of the others something for it: did it succeed, or fail in a way that does not matter?
    live: bool = False


@attrs.define
class Open:
    """A step with deliveries that have not come to their end: `count` of them, from `first` on."""

    first: DeliveryId
    count: int
    left: int
    running: int = 0
    failed: bool = False
    #: Who of those that are queued stands in line for the step, and who comes after that.
    front: DeliveryId | None = attrs.field(default=None, eq=False)
    behind: deque[DeliveryId] | None = attrs.field(default=None, eq=False)


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
    failed: deque[str] = attrs.field(factory=a_deque, eq=False, repr=False)
    hurt: deque[str] = attrs.field(factory=a_deque, eq=False, repr=False)
    #: The line, a heap: of each step that may have one body more, the first of its deliveries. Those
    #: whose group had no room are held back. An entry no longer counts once its delivery is not queued.
    ready: list[Entry] = attrs.field(factory=a_list, eq=False, repr=False)
    held: dict[str, list[Entry]] = attrs.field(factory=a_dict, eq=False, repr=False)

    @property
    def active(self) -> tuple[str, ...]:
        """The names of the steps with a running body, in the order of the plan."""
        names = [name for name, one in self.open.items() if one.running]
        return tuple(sorted(names, key=self.plan.place.__getitem__))

    @property
    def undelivered(self) -> tuple[object, ...]:
        """No events are sent."""
        return ()

    @property
    def next_worker(self) -> int:
        """The lowest free worker id."""
        return self.free[0] if self.free else self.workers

    # ------------------------------------------------------------ the line

    def enqueue(self, delivery: Delivery) -> None:
        """Put a delivery at the back."""
        self.turns += 1
        number, step = delivery.number, self.open[delivery.step]
        self.queued[number] = (self.turns, delivery)
        if step.front is None and step.running < self.plan.step[delivery.step].num_workers:
            step.front = number
            heappush(self.ready, (self.turns, number, delivery.step))
        elif step.behind is None:
            step.behind = deque((number,))
        else:
            step.behind.append(number)

    def dequeue(self, number: DeliveryId) -> Delivery:
        """Take a delivery out of the queue."""
        _, delivery = self.queued.pop(number)
        step = self.open[delivery.step]
        if step.front == number:
            step.front = None
        return delivery

    def call_up(self, name: str) -> None:
        """Let the next delivery of a step stand in line, if one waits and may."""
        step = self.open[name]
        if not step.behind or step.front is not None:
            return
        if step.running >= self.plan.step[name].num_workers:
            return
        while step.behind:
            number = step.behind.popleft()
            if number in self.queued:
                step.front = number
                heappush(self.ready, (self.queued[number][0], number, name))
                return

    def has_room(self, group: str) -> bool:
        """May one body more run under the limit of a group?"""
        return self.grouped.get(group, 0) < self.plan.groups[group]

    def call_back(self, group: str) -> None:
        """Put the first of those that a group has held back in line again, if there is room."""
        held = self.held.get(group)
        while held and self.has_room(group):
            entry = heappop(held)
            if self.counts(entry):
                heappush(self.ready, entry)
                return

    def counts(self, entry: Entry) -> bool:
        """Does an entry still mean a delivery that waits?"""
        found = self.queued.get(entry[1])
        return found is not None and found[0] == entry[0]

    # ------------------------------------------------------------ what always holds

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
        waiting = [delivery for _, delivery in self.queued.values()]
        running, due = [*self.running.values()], [*self.due.values()]
        for name, step in self.open.items():
            mine = [delivery for delivery in running if delivery.step == name]
            assert step.running == len(mine) <= self.plan.step[name].num_workers
            left = [delivery for delivery in (*running, *waiting, *due) if delivery.step == name]
            assert step.left == len(left) > 0, "open, with nothing left"
            assert all(step.first <= d.number < step.first + step.count for d in left)
        groups = [group_of(self.plan.step[delivery.step]) for delivery in running]
        for group, limit in self.plan.groups.items():
            assert self.grouped.get(group, 0) == groups.count(group) <= limit
        if self.phase is GOING:
            self._check_going()
        if self.phase is Phase.OVER:
            assert not self.running, "over, and a body is running"
        decided = self.phase not in {Phase.NEW, GOING}
        assert decided == (self.outcome is not None), "decided without outcome"

    def _check_going(self) -> None:
        assert self.busy, "nothing is left to do, and nobody has said so"
        assert all(one.left > 0 for one in self.pending.values()), "a turn was missed"
        may = [d for _, d in self.queued.values() if self._may_run(d)]
        assert not may or len(self.running) == self.plan.max_workers, "a slot unused"
        entries = [entry for heap in (self.ready, *self.held.values()) for entry in heap]
        in_line = sorted(entry[1] for entry in entries if self.counts(entry))
        fronts = sorted(step.front for step in self.open.values() if step.front is not None)
        assert in_line == fronts, "not in line, or twice"
        for name, step in self.open.items():
            mine = [number for number, (_, d) in self.queued.items() if d.step == name]
            if mine and step.running < self.plan.step[name].num_workers:
                assert step.front == mine[0], "somebody else is first"
            assert step.running < self.plan.step[name].num_workers or step.front is None
            assert {*mine} - {step.front} <= {*(step.behind or ())}, "forgotten"

    def _may_run(self, delivery: Delivery) -> bool:
        step = self.plan.step[delivery.step]
        group = group_of(step)
        room = group is None or self.has_room(group)
        return room and self.open[delivery.step].running < step.num_workers


def group_of(step: StepPlan) -> str | None:
    """The limit that a step shares with others."""
    return None if step.after is None else step.after.group
