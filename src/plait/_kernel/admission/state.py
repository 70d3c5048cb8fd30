"""The state of an app's stream: all queues and windows. The sum of its records, and no more.

Only `apply` changes it. What is over is forgotten: events with the last that waits for them, runs
when they have left, windows and throttles when they have nothing more to say.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import Final, TypeAlias, cast

import attrs

from plait._kernel.value import a_dict, a_list, an_ordered_dict

from .heap import Heap, Rank
from .lanes import Lane, Lanes, Place
from .plan import AppPlan, FunctionPlan
from .recent import Recent
from .records import Bucket, EventReceived, Keys, Need

#: What has a time: its kind, and its names.
Timer: TypeAlias = tuple[str, str, str]

#: The order in which timers of one moment fire: as events pass through the knobs.
KINDS: Final = ("ts", "debounce", "batch_events", "throttle", "start", "finish")


@attrs.frozen
class Held:
    """An event that waits, and the run that may come of it."""

    event: EventReceived
    run_id: str
    keys: Keys


@attrs.frozen
class Later:
    """An event whose time has not come."""

    held: Held
    due: float


@attrs.frozen
class Burst:
    """The last event of a burst, when its first came, and when it ends."""

    held: Held
    began: float
    due: float


@attrs.define
class Company:
    """Events that wait for others, as they came."""

    due: float
    held: list[Held] = attrs.field(factory=a_list)


@attrs.define
class Run:
    """A run that has not ended."""

    run_id: str
    fn_id: str
    #: 1, 2, 3 … in the order of admission.
    order: int
    events: tuple[EventReceived, ...]
    keys: Keys
    needs: tuple[Need, ...]
    parent: str | None
    queued_at: float
    started_at: float | None = None
    #: Why it is to be cancelled.
    cancelled: str | None = None
    #: Where it waits for its start; the needs are what it holds afterwards.
    lane: Lane = attrs.field(
        init=False,
        eq=False,
        repr=False,
        default=attrs.Factory(
            lambda self: Lane(self.fn_id, self.keys.throttle, self.needs), takes_self=True
        ),
    )

    @property
    def handlers(self) -> Lane:
        """Where its handlers wait."""
        return Lane(self.fn_id, None, self.keys.handlers)

    @property
    def rank(self) -> Rank:
        """Its place in the queue."""
        return (self.queued_at - self.keys.priority, self.order)


@attrs.define
class FunctionState:
    """One function."""

    #: Its unfinished runs, the oldest first.
    runs: dict[str, None] = attrs.field(factory=a_dict)
    singles: dict[str, dict[str, None]] = attrs.field(factory=a_dict)
    #: When the last events passed the rate limit, for each key; the key used last comes last.
    passed: OrderedDict[str, deque[float]] = attrs.field(factory=an_ordered_dict)
    #: GCRA's theoretical arrival time for each key, in the same order.
    tats: OrderedDict[str, float] = attrs.field(factory=an_ordered_dict)
    bursts: dict[str, Burst] = attrs.field(factory=a_dict)
    batches: dict[str, Company] = attrs.field(factory=a_dict)


#: What is known of a function that nothing is known of.
NOTHING: Final = FunctionState()


@attrs.frozen
class Call:
    """A handler that has its slots, or waits for them."""

    run_id: str
    lane: Lane
    #: Its rank; `None` once it has its slots.
    rank: Rank | None


@attrs.define
class Handlers:
    """The handlers of this process. Those of an earlier one are gone, and their slots are free."""

    calls: dict[Hashable, Call] = attrs.field(factory=a_dict)
    lanes: Lanes[Hashable] = attrs.field(factory=Lanes[Hashable])
    #: How many calls each run has.
    of_run: Counter[str] = attrs.field(factory=Counter[str])
    next_order: int = 1


@attrs.define
class AppState:
    """One app."""

    plan: AppPlan = attrs.field(eq=False, repr=False)
    next_event: int = 1
    next_order: int = 1
    runs: dict[str, Run] = attrs.field(factory=a_dict)
    functions: dict[str, FunctionState] = attrs.field(factory=a_dict)
    queue: Lanes[str] = attrs.field(factory=Lanes[str])
    later: dict[tuple[int, str], Later] = attrs.field(factory=a_dict)
    ids: Recent = attrs.field(factory=Recent)
    #: Keys of `idempotency`, with their functions.
    used: Recent = attrs.field(factory=Recent)
    #: The last planned time of each cron trigger of a function; before that, when it was first served.
    ticks: dict[tuple[str, str], float] = attrs.field(factory=a_dict)
    #: How many records have been kept since the last snapshot.
    since: int = 0
    #: Of this process.
    handlers: Handlers = attrs.field(factory=Handlers, eq=False)
    #: The last event that was received: what follows at once may name it.
    fresh: EventReceived | None = attrs.field(default=None, eq=False, repr=False)
    #: What is due when: an index of what is above.
    timers: Heap[Timer] = attrs.field(factory=Heap[Timer], eq=False, repr=False)
    #: The time that was last asked for.
    alarm: float | None = attrs.field(default=None, eq=False, repr=False)

    def look(self, fn_id: str) -> FunctionState:
        """The state of a function, to look at: empty if there is none."""
        return self.functions.get(fn_id, NOTHING)

    def function(self, fn_id: str) -> FunctionState:
        """The state of a function, to change: made when it is first asked for."""
        found = self.functions.get(fn_id)
        if found is None:
            found = self.functions[fn_id] = FunctionState()
        return found

    def set_timer(self, timer: Timer, due: float, order: int) -> None:
        """Let something be due; what is due at one time fires by kind, then in this order.

        A function that the plan does not know has no timers: what waits for it goes on waiting.
        """
        self.timers.put(timer, (due, KINDS.index(timer[0]), order, *timer))

    def disarm(self, lane: Lane) -> None:
        """Forget a throttle's timer if nobody is parked there any more."""
        if lane.throttle is not None:
            timer = ("throttle", lane.fn_id, lane.throttle)
            if timer not in self.queue.places:
                self.timers.remove(timer)

    def knows(self, fn_id: str) -> bool:
        """Is it in the plan? A run of one that is not is parked."""
        return fn_id in self.plan.functions

    def accepts(self, name: str) -> bool:
        """Can an event of this name ever be of use to anybody?"""
        plan = self.plan
        return bool(name in plan.triggered or name in plan.cancelling or self.runs)

    def held_above(self, run_id: str | None) -> set[Bucket]:
        """The slots that a run and those above it hold."""
        held: set[Bucket] = set()
        while run_id is not None and (run := self.runs.get(run_id)) is not None:
            held.update(need.bucket for need in run.needs)
            run_id = run.parent
        return held

    def full(self, lane: Lane, now: float, lanes: Lanes[str] | Lanes[Hashable]) -> Place | None:
        """The first place in its order that has no room for the first of this lane."""
        function = self.plan.functions.get(lane.fn_id)
        if function is None:
            return (("unknown", lane.fn_id), 0)
        if lane.throttle is not None and function.throttle is not None:
            place: Place = (("throttle", lane.fn_id, lane.throttle), 0)
            if not self.has_leave(place[0], now):
                return place
        for need in lane.needs:
            limit = limit_of(function, need, "runs" if lanes is self.queue else "steps")
            if limit is not None and not lanes.has_room(place := (need.bucket, limit)):
                return place
        return None

    def leave_at(self, bucket: Bucket) -> float:
        """When the throttle lets the next run start: the GCRA's `tat - (burst - 1) * T`."""
        _, fn_id, key = bucket
        throttle = self.plan.functions[fn_id].throttle
        assert throttle is not None
        tat = self.look(fn_id).tats.get(key, float("-inf"))
        return tat - (throttle.burst - 1) * throttle.interval

    def has_leave(self, bucket: Bucket, now: float) -> bool:
        """Does the throttle let one start now?"""
        return now >= self.leave_at(bucket)

    def has_room(self, place: Place, now: float) -> bool:
        """Is there room at this place of the queue?"""
        match place[0][0]:
            case "unknown":
                return False
            case "throttle":
                return self.has_leave(place[0], now)
            case _:
                return self.queue.has_room(place)

    @property
    def next_due(self) -> float | None:
        """When the next thing is due."""
        return cast("float", self.timers.lowest[0]) if self.timers else None

    @property
    def size(self) -> int:
        """About how many things a snapshot holds."""
        return len(self.runs) + len(self.later) + len(self.ids.marks) + len(self.used.marks)

    def check(self, now: float) -> None:
        """Assert what always holds. Every test calls it after every stimulus, with its time."""
        self.queue.check(lambda place: self.has_room(place, now))
        self.handlers.lanes.check(self.handlers.lanes.has_room)
        self._check_runs()
        self._check_functions()
        self._check_handlers()
        expected = {*self._expected()}
        assert {*self.timers} == {timer for timer, _ in expected}, "a timer too few or too many"
        for timer, due in expected:
            assert self.timers.rank_of(timer)[0] == due, "a timer is set for another time"
            assert due > now, "overdue, and nothing has happened"

    def _expected(self) -> Iterator[tuple[Timer, float]]:
        for (number, fn_id), later in self.later.items():
            if self.knows(fn_id):
                yield ("ts", str(number), fn_id), later.due
        for fn_id, own in self.functions.items():
            if not (function := self.plan.functions.get(fn_id)):
                continue
            for key, burst in own.bursts.items():
                yield ("debounce", fn_id, key), burst.due
            for key, company in own.batches.items():
                yield ("batch_events", fn_id, key), company.due
            for run in map(self.runs.__getitem__, own.runs):
                limits = function.timeouts
                if run.started_at is None and limits.start is not None:
                    yield ("start", run.run_id, ""), run.queued_at + limits.start
                if run.started_at is not None and limits.finish is not None and not run.cancelled:
                    yield ("finish", run.run_id, ""), run.started_at + limits.finish
        for bucket in self.queue.places:
            if bucket[0] == "throttle":
                yield (bucket[0], bucket[1], bucket[2]), self.leave_at(bucket)

    def _check_runs(self) -> None:
        queued = [name for heap in self.queue.waiting.values() for name in heap]
        assert len(queued) == len({*queued}), "queued twice"
        assert {*queued} == {r.run_id for r in self.runs.values() if r.started_at is None}
        slots: Counter[Bucket] = Counter()
        for name, run in self.runs.items():
            assert name == run.run_id, "a run under another name"
            assert 0 < run.order < self.next_order, "a number of its own"
            assert all(event.number < self.next_event for event in run.events)
            assert run.events, "a run of nothing"
            if run.started_at is None:
                assert run.cancelled is None, "cancelled, and still in the queue"
                assert run.run_id in self.queue.waiting[run.lane], "in another lane"
            else:
                slots.update(run.lane.buckets)
        assert slots == self.queue.taken, "the count of slots is wrong"

    def _check_functions(self) -> None:
        owned = [name for own in self.functions.values() for name in own.runs]
        assert sorted(owned) == sorted(self.runs), "a run without its function"
        for own in self.functions.values():
            single = [name for names in own.singles.values() for name in names]
            wanted = [name for name in own.runs if self.runs[name].keys.singleton is not None]
            assert sorted(single) == sorted(wanted), "a single run is missing"
            assert all(own.singles.values()), "a key without runs"
            assert all(company.held for company in own.batches.values()), "an empty batch"

    def _check_handlers(self) -> None:
        own = self.handlers
        waiting = {call for heap in own.lanes.waiting.values() for call in heap}
        assert waiting == {name for name, call in own.calls.items() if call.rank is not None}
        slots: Counter[Bucket] = Counter()
        for call in own.calls.values():
            if call.rank is None:
                slots.update(call.lane.buckets)
        assert slots == own.lanes.taken, "the count of handlers' slots is wrong"
        assert Counter(call.run_id for call in own.calls.values()) == own.of_run
        assert own.of_run.keys() <= self.runs.keys(), "a handler without a run"


def limit_of(function: FunctionPlan, need: Need, of: str) -> int | None:
    """How many may have this slot; `None`: the function no longer has such a limit."""
    if need.place < 0:
        return 1
    if need.place >= len(function.concurrency):
        return None
    limit = function.concurrency[need.place]
    return limit.limit if limit.of == of else None
