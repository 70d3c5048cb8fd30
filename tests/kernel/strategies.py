"""What the kernel is tested with: classes of events, plans, and every value that goes in or out.

One module for all tests of the kernel. The tables at the end have one strategy for each stimulus,
record, effect and outcome, and `test_values` compares them with the unions: a new one must join.

Events of one class are equal here, whatever their number: nothing may know an event by equality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from plait._ids import DeliveryId, RunId
from plait._kernel import effects, records, stimuli
from plait._kernel.calls.keys import Key
from plait._kernel.calls.refusals import Differs
from plait._kernel.collecting import Shape
from plait._kernel.functions.reasons import Unreadable, Why
from plait._kernel.plan import Gather, Kinds, Plan, StepPlan
from plait._kernel.streams import Branch, StreamId
from plait._kernel.waits import Wait, WaitKey

T = TypeVar("T")

# ---------------------------------------------------------------- chance

#: So many bytes are enough for what one party does in a row, and for a plan.
HANDFUL, ARMFUL = 40, 128
#: What fails shrinks to zeros, byte by byte.
chance = st.binary(min_size=HANDFUL, max_size=HANDFUL)
much_chance = st.binary(min_size=ARMFUL, max_size=ARMFUL)


class Dice:
    """Choices out of `chance`. When it is used up, everything is the first choice.

    One draw instead of dozens: drawing is what costs time here, not the kernel.
    """

    def __init__(self, chance: bytes) -> None:
        self._left = iter(chance)

    def below(self, n: int) -> int:
        """A number; 0 is the plainest."""
        return next(self._left, 0) % n

    def one_of(self, choices: Sequence[T]) -> T:
        """One of them; the first is the plainest."""
        return choices[self.below(len(choices))]

    def rarely(self) -> bool:
        """One time in eight."""
        return self.below(8) == 7


# ---------------------------------------------------------------- classes of events


@attrs.frozen
class Event:
    """What may travel. The number is for whoever reads a failure."""

    number: int = attrs.field(default=0, eq=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.number})"


class Start(Event):
    """Begins a run."""


class Stop(Event):
    """Ends a run."""


class FineStop(Stop):
    """A class of a user's own, which ends a run as well."""


class Answer(Event):
    """Comes from outside."""


class FineAnswer(Answer):
    """An answer of a user's own class."""


class Watched(Event):
    """Is for whoever watches the stream."""


class A(Event):
    """Something that steps hand on."""


class FineA(A):
    """Goes where `A` goes only if a step accepts subclasses."""


class FinestA(FineA):
    """One level further down."""


class B(Event):
    """Something else."""


class C(Event):
    """Yet something else."""


class Stray(Event):
    """What hardly anybody accepts."""


@attrs.frozen
class Broken(Event):
    """Stands for a failure."""

    step: str = ""
    event: object = None
    error: Exception | None = attrs.field(default=None, eq=False)
    attempts: int = 0
    elapsed: float = 0.0
    at: float = 0.0


def _make_failed(
    step: str, event: object, error: Exception, attempts: int, elapsed: float, at: float
) -> Broken:
    return Broken(0, step, event, error, attempts, elapsed, at)


KINDS = Kinds(
    event=Event,
    stop=Stop,
    answer=Answer,
    observable=lambda kind: issubclass(kind, Watched),
    failed=Broken,
    make_failed=_make_failed,
)

#: What a step may be written to accept.
ACCEPTABLE = (A, B, C, FineA, FinestA, Watched, Answer, FineAnswer, Stray, Event)
#: What goes round where steps are braided: few classes, so that they meet.
BRAIDED = (A, B, C, FineA, A, B, C, Answer)
GATHERS = (
    Gather(),
    Gather(by_input=True),
    Gather(2),
    Gather(1, cancel_rest=True),
    Gather(2, cancel_rest=True, by_input=True),
)


def number_of(event: object) -> int:
    """The number of what is known to be an event."""
    assert isinstance(event, Event)
    return event.number


# ---------------------------------------------------------------- plans


def step(
    name: str, *accepts: type, num_workers: int = 4, subclasses: bool = False, **more: Any
) -> StepPlan:
    """Write a step in one line."""
    return StepPlan(name, accepts, num_workers, subclasses, **more)


def join(name: str, *slots: type, num_workers: int = 4, **more: Any) -> StepPlan:
    """Write a step with several event parameters."""
    return step(name, *dict.fromkeys(slots), num_workers=num_workers, slots=slots, **more)


def fan_in(name: str, *accepts: type, gather: Gather = Gather(), **more: Any) -> StepPlan:
    """Write a step with a `list[...]` parameter."""
    return step(name, *accepts, gather=gather, **more)


@attrs.frozen
class Patience:
    """A policy: so many attempts, so far apart, and further each time. It keeps what it was asked."""

    attempts: int = 3
    delay: float = 5.0
    growth: float = 0.0
    asked: list[tuple[float, int, Exception, int | None]] = attrs.field(factory=list, eq=False)

    def next(
        self, elapsed_time: float, attempts: int, error: Exception, *, seed: int | None = None
    ) -> float | None:
        """Say after how long to try again, or that it was enough."""
        self.asked.append((elapsed_time, attempts, error, seed))
        return self.after(attempts)

    def after(self, failures: int) -> float | None:
        """Say it without being asked."""
        return self.delay + self.growth * failures if failures < self.attempts else None


def plan(
    *steps: StepPlan, name: str = "Flow", on_stop: Literal["cancel", "drain"] = "cancel"
) -> Plan:
    """Write a plan in one line."""
    return Plan(name, steps, KINDS, on_stop)


def plans() -> SearchStrategy[Plan]:
    """One to four plain steps, of which the first accepts `Start`, and so may others."""
    return chance.map(plain_plan)


def plain_plan(chance: bytes) -> Plan:
    """Write a plan of plain steps by chance."""
    dice = Dice(chance)
    steps = []
    for n in range(1 + dice.below(4)):
        kinds = [dice.one_of(ACCEPTABLE) for _ in range(1 + dice.below(4))]
        first = [Start] if n == 0 or dice.rarely() else []
        accepts = dict.fromkeys([*first, *kinds])
        subclasses = bool(dice.below(2))
        steps.append(step(f"s{n}", *accepts, num_workers=1 + dice.below(3), subclasses=subclasses))
    return plan(*steps, on_stop=dice.one_of(["cancel", "drain"]))


def braids() -> SearchStrategy[Plan]:
    """A step that begins, one to three others, a join, one to three fan-ins, a handler."""
    return much_chance.map(braided_plan)


def braided_plan(chance: bytes) -> Plan:
    """Write a plan with all that there is, by chance."""
    dice = Dice(chance)
    fan_ins = [f"f{n}" for n in range(1 + dice.below(3))]
    steps = [
        step(
            f"s{n}",
            *dict.fromkeys([*([] if n else [Start]), *_some_of(dice, BRAIDED, 2)]),
            num_workers=1 + dice.below(3),
            subclasses=dice.rarely(),
            opens=tuple(name for name in fan_ins if dice.below(4)),
            returns_list=not dice.rarely(),
            only_listed=(C,) if dice.rarely() else (),
            **_after_failures(dice),
        )
        for n in range(2 + dice.below(3))
    ]
    slots = [dice.one_of(BRAIDED[:-1]) for _ in range(2 + dice.below(2))]
    workers, subclasses = 1 + dice.below(2), dice.rarely()
    more = _after_failures(dice)
    steps.append(join("j", *slots, num_workers=workers, subclasses=subclasses, **more))
    for name in fan_ins:
        accepts = [dice.one_of(BRAIDED[:-1]), *([Broken] if dice.below(2) else [])]
        steps.append(fan_in(name, *accepts, gather=dice.one_of(GATHERS), **_after_failures(dice)))
    opens = tuple(fan_ins[: dice.below(2)])
    recoveries = 1 + dice.below(2)
    steps.append(step("h", Broken, opens=opens, returns_list=True, max_recoveries=recoveries))
    return plan(*steps, on_stop=dice.one_of(["cancel", "drain"]))


def _some_of(dice: Dice, kinds: Sequence[T], most: int) -> list[T]:
    return [dice.one_of(kinds) for _ in range(1 + dice.below(most))]


def _after_failures(dice: Dice) -> dict[str, Any]:
    """What follows a failure of a step."""
    return {
        "retry": dice.one_of([None, None, Patience(2, 0.5), Patience(4, 0.5, 0.25)]),
        "handler": dice.one_of([None, "h", "h"]),
    }


# ---------------------------------------------------------------- traffic

#: Whatever a body may return or send.
KINDS_OF_TRAFFIC = (Start, Stop, FineStop, *ACCEPTABLE)
COLLECTABLE = (A, B, C, FineA)
LETTERS = dict(zip("ABCF", COLLECTABLE, strict=True))

events: SearchStrategy[Event] = st.builds(
    lambda kind, number: kind(number), st.sampled_from(KINDS_OF_TRAFFIC), st.integers(0, 99)
)
#: What a body returns: mostly an event.
returned: SearchStrategy[object] = st.one_of(events, st.none(), st.just("no event"))

#: What is collected is drawn as a word: one draw instead of dozens, and "AAB" reads well.
words = st.text("ABCF", max_size=12)
expected_lists: SearchStrategy[list[type]] = st.text("ABCF", max_size=5).map(
    lambda word: [LETTERS[letter] for letter in word]
)
expected_mappings: SearchStrategy[Mapping[type, int]] = st.text("ABCF", max_size=5).map(
    lambda word: {kind: word.count(letter) for letter, kind in LETTERS.items()}
)
expected = st.one_of(expected_lists, expected_mappings)
shapes: SearchStrategy[Shape] = expected.map(Shape.of)
keys = st.sampled_from([None, 0, 1, "k", (1, 2)])
buffer_ids = st.sampled_from(["default", "other"])

# ---------------------------------------------------------------- every value, by its class

times = st.integers(0, 9).map(float)
numbers = st.integers(0, 5).map(DeliveryId)
names = st.sampled_from(["s0", "s1"])
receivers = st.lists(names, unique=True).map(tuple)
#: Who writes to the stream: the body itself, or a run inside.
sources = st.sampled_from(["", "child"])
errors: SearchStrategy[Exception] = st.sampled_from([ValueError("one"), KeyError("another")])

wait_keys: SearchStrategy[WaitKey] = st.tuples(numbers, st.integers(0, 2))
wait_values: SearchStrategy[Wait] = st.builds(
    Wait,
    numbers,
    st.integers(0, 2),
    names,
    st.sampled_from([A, Answer]),
    st.booleans(),
    st.just({}),
    st.booleans(),
    st.sampled_from(["w1", "w2"]),
    times,
)
resolved = st.lists(wait_keys, max_size=2).map(tuple)
stream_ids = st.integers(1, 3).map(StreamId)
branches = st.none() | st.builds(Branch, stream_ids, st.integers(0, 3))
some_events = st.lists(events, max_size=3).map(tuple)
contents = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=2)
removed = st.lists(st.sampled_from("abc"), max_size=2).map(tuple)

reasons_to_hold: SearchStrategy[Why] = st.builds(
    Differs,
    st.builds(
        Key, st.builds(lambda number: (("s0", number),), numbers), names, st.just(0), st.just("")
    ),
    st.just("handler"),
    names,
    names,
) | st.builds(Unreadable, names)

STIMULI: dict[type, SearchStrategy[stimuli.Stimulus]] = {
    stimuli.Opened: st.builds(stimuli.Opened, times, events, times, st.booleans()),
    stimuli.TakenUp: st.builds(stimuli.TakenUp, times, times, st.booleans(), times),
    stimuli.Ready: st.builds(stimuli.Ready, times, names),
    stimuli.Returned: st.builds(stimuli.Returned, times, numbers, returned, st.booleans()),
    stimuli.Raised: st.builds(stimuli.Raised, times, numbers, errors, st.booleans()),
    stimuli.Unwound: st.builds(stimuli.Unwound, times, numbers),
    stimuli.Sent: st.builds(stimuli.Sent, times, numbers, events, st.none() | names),
    stimuli.Contributed: st.builds(
        stimuli.Contributed, times, numbers, events, shapes, buffer_ids, keys
    ),
    stimuli.Wrote: st.builds(stimuli.Wrote, times, numbers, events, sources),
    stimuli.HandedOn: st.builds(
        stimuli.HandedOn, times, st.integers(-1, 3), st.just(RunId("child"))
    ),
    stimuli.WaitBegan: st.builds(
        stimuli.WaitBegan,
        times,
        numbers,
        st.sampled_from([A, B, Answer]),
        st.just({}),
        st.booleans(),
        st.none() | st.just("waiter"),
        st.none() | events,
    ),
    stimuli.WaitExpired: st.builds(stimuli.WaitExpired, times, wait_keys, st.booleans()),
    stimuli.Due: st.builds(stimuli.Due, times, numbers),
    stimuli.StepAsked: st.builds(stimuli.StepAsked, times, st.integers(-1, 2)),
    stimuli.StoreChanged: st.builds(
        stimuli.StoreChanged, times, numbers, contents, removed, st.booleans()
    ),
    stimuli.Expired: st.builds(stimuli.Expired, times, st.none() | times),
    stimuli.CancelAsked: st.builds(stimuli.CancelAsked, times),
    stimuli.Abandoned: st.builds(stimuli.Abandoned, times),
    stimuli.CannotGoOn: st.builds(stimuli.CannotGoOn, times, numbers, reasons_to_hold),
    stimuli.Settled: st.builds(stimuli.Settled, times),
}

OUTCOMES: dict[type, SearchStrategy[records.Outcome]] = {
    records.Stopped: st.builds(records.Stopped, events),
    records.Crashed: st.builds(records.Crashed),
    records.TimedOut: st.builds(records.TimedOut, receivers),
    records.Cancelled: st.builds(records.Cancelled, by_owner=st.booleans()),
    records.Stalled: st.builds(records.Stalled),
    records.Finished: st.builds(records.Finished),
}

RECORDS: dict[type, SearchStrategy[records.Record]] = {
    records.RunStarted: st.builds(
        records.RunStarted, times, st.just(RunId("run")), times, st.booleans()
    ),
    records.Reopened: st.builds(records.Reopened, times, times, st.booleans(), times),
    records.Idled: st.builds(records.Idled, times),
    records.FunctionHeld: st.builds(records.FunctionHeld, times, reasons_to_hold, numbers),
    records.Decided: st.builds(records.Decided, times, st.one_of(*OUTCOMES.values())),
    records.Closed: st.builds(records.Closed, times),
    records.Emitted: st.builds(
        records.Emitted, times, numbers, events, numbers, receivers, resolved, branches
    ),
    records.Started: st.builds(records.Started, times, numbers, names, st.integers(0, 3)),
    records.Completed: st.builds(
        records.Completed,
        times,
        numbers,
        st.none() | events | st.builds(records.Listed, stream_ids, st.integers(0, 3)),
        numbers,
        receivers,
        resolved,
    ),
    records.Failed: st.builds(records.Failed, times, numbers, errors),
    records.Interrupted: st.builds(records.Interrupted, times, numbers),
    records.Collected: st.builds(
        records.Collected,
        times,
        numbers,
        st.sampled_from(COLLECTABLE),
        events,
        shapes,
        buffer_ids,
        keys,
        st.integers(0, 2),
    ),
    records.Repeated: st.builds(records.Repeated, times, numbers),
    records.Retrying: st.builds(records.Retrying, times, numbers, errors, times),
    records.Requeued: st.builds(records.Requeued, times, numbers),
    records.Recovered: st.builds(records.Recovered, times, numbers, errors, events, numbers, names),
    records.Dropped: st.builds(
        records.Dropped,
        times,
        st.lists(numbers, max_size=3).map(tuple),
        st.lists(stream_ids, max_size=2).map(tuple),
    ),
    records.Fired: st.builds(records.Fired, times, stream_ids, names, some_events, numbers),
    records.Met: st.builds(records.Met, times, numbers, st.lists(numbers, max_size=4).map(tuple)),
    records.StreamClosed: st.builds(records.StreamClosed, times, stream_ids),
    records.Waited: st.builds(records.Waited, times, wait_values, st.none() | events),
    records.Answered: st.builds(records.Answered, times, wait_values, st.integers(0, 3), events),
    records.HandedOver: st.builds(
        records.HandedOver, times, st.integers(0, 3), events, st.just(RunId("child"))
    ),
    records.Recalled: st.builds(records.Recalled, times, wait_values, st.integers(0, 3)),
    records.WaitEnded: st.builds(records.WaitEnded, times, wait_keys, st.booleans()),
    records.Resumed: st.builds(records.Resumed, times, wait_keys, st.integers(-1, 3)),
    records.Permitted: st.builds(records.Permitted, times, st.integers(-1, 2)),
    records.Streamed: st.builds(records.Streamed, times, numbers, events, sources),
    records.StreamedBefore: st.builds(
        records.StreamedBefore, times, numbers, sources, st.integers(0, 3)
    ),
    records.Stored: st.builds(records.Stored, times, numbers, contents, removed, st.booleans()),
}

EFFECTS: dict[type, SearchStrategy[effects.Effect]] = {
    effects.Offer: st.builds(effects.Offer, names),
    effects.Begin: st.builds(effects.Begin, numbers),
    effects.Give: st.builds(effects.Give, some_events),
    effects.Alarm: st.builds(effects.Alarm, numbers, times),
    effects.Resume: st.builds(effects.Resume, wait_keys, events),
    effects.Interrupt: st.builds(effects.Interrupt, st.lists(numbers, max_size=3).map(tuple)),
    effects.Refuse: st.builds(effects.Refuse, errors),
    effects.Publish: st.builds(effects.Publish, events),
    effects.Rest: st.builds(effects.Rest),
    effects.Wind: st.builds(effects.Wind),
}
