"""The kernel under any legal order of stimuli, and under illegal ones: plain steps.

Hypothesis plays the shell and the users: it lets workers come, late or in vain, lets bodies send,
collect, write, return, raise and unwind, and lets the outside speak, cancel and go away. `Shell`
watches the laws after each stimulus. `Model` keeps the same run by the simplest means, lists and
counting, and must agree about every queue, worker, buffer, letter and failure.

A rule stands for what one party does in a row, one to six stimuli: most of the time goes into
drawing, not into the kernel. Its `chance` is a handful of bytes, of which zero is the plainest.

Joins, streams, waits, retries and handlers have a machine of their own, without a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import ClassVar, TypeAlias, TypeVar, get_args

import attrs
import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from plait._ids import OUTSIDE, DeliveryId
from plait._kernel import effects, records, stimuli
from plait._kernel.collecting import BufferKey, Shape
from plait._kernel.life import Phase
from plait._kernel.plan import Plan
from plait._kernel.refusals import Over
from plait._kernel.state import RunState
from tests.kernel.shell import Shell
from tests.kernel.strategies import (
    ACCEPTABLE,
    Answer,
    B,
    Dice,
    Event,
    FineStop,
    Start,
    Stop,
    Stray,
    Watched,
    plans,
)

T = TypeVar("T")

#: A delivery's number, or the next one where an event has none, and the event.
Letter: TypeAlias = tuple[int, object]
#: Step, buffer id, multiset, key.
Place: TypeAlias = tuple[str, str, frozenset[tuple[type, int]], Hashable]

#: What a body raises that sends when its run has just been decided: that is no failure.
OVER = Over("it has ended")
NO_FAILURES = [OVER, ExceptionGroup("only that", [OVER, OVER])]
FAILURES = [
    ValueError("in its clean-up"),
    *NO_FAILURES,
    ExceptionGroup("and more", [OVER, KeyError("in its clean-up")]),
]


class Refused:
    """What a caller is told who asked for something impossible."""


@attrs.define
class Model:
    """What a run should look like. No deque, no route, no count: what is asked is looked up."""

    plan: Plan
    number: int = 0
    queues: dict[str, list[Letter]] = attrs.field(init=False)
    running: dict[int, tuple[str, object, int]] = attrs.field(factory=dict)
    mailbox: list[Letter] = attrs.field(factory=list)
    late: list[Letter] = attrs.field(factory=list)
    collected: dict[Place, list[tuple[int, type, object]]] = attrs.field(factory=dict)
    told: dict[tuple[int, Place], tuple[object, ...] | None] = attrs.field(factory=dict)
    failed: list[tuple[int, str, object]] = attrs.field(factory=list)
    returned_none: dict[str, bool] = attrs.field(init=False)
    streamed_only: set[tuple[str, type]] = attrs.field(factory=set)
    outcome: records.Outcome | None = None
    over: bool = False

    def __attrs_post_init__(self) -> None:
        self.queues = {step.name: [] for step in self.plan.steps}
        self.returned_none = {step.name: False for step in self.plan.steps}

    # ------------------------------------------------------------ what the plan means

    def receivers(self, kind: type) -> list[str]:
        return [
            step.name
            for step in self.plan.steps
            if not issubclass(kind, Stop)
            and (
                any(kind is accepted for accepted in step.accepts)
                or (step.accept_subclasses and any(issubclass(kind, k) for k in step.accepts))
            )
        ]

    def wanted(self, event: object) -> bool:
        return isinstance(event, Stop | Answer | Watched) or bool(self.receivers(type(event)))

    @property
    def asks(self) -> bool:
        return any(issubclass(kind, Answer) for step in self.plan.steps for kind in step.accepts)

    @property
    def drains(self) -> bool:
        return self.plan.on_stop == "drain" and isinstance(self.outcome, records.Stopped)

    # ------------------------------------------------------------ what happens

    def hear(self, stimulus: stimuli.Stimulus) -> object:
        """Do the same as the kernel; what the caller is told."""
        match stimulus:
            case stimuli.Opened(_, event):
                self.post(event)
            case stimuli.Ready(_, step):
                return self.start(step)
            case stimuli.Returned(_, delivery, value, stays):
                return self.end(delivery, value, stays=stays)
            case stimuli.Raised(_, delivery, error) if error not in NO_FAILURES or not self.outcome:
                step, event, _ = self.running.pop(delivery)
                self.failed.append((delivery, step, event))
                self.decide(records.Crashed())
            case stimuli.Unwound(_, delivery) | stimuli.Raised(_, delivery, _):
                del self.running[delivery]
                self.quiet()
            case stimuli.Sent(_, sender, event, step):
                return self.send(sender, event, step)
            case stimuli.Contributed():
                return self.collect(stimulus)
            case stimuli.Expired():
                busy = {step for step, _, _ in self.running.values()}
                self.decide(records.TimedOut(tuple(n for n in self.queues if n in busy)))
            case stimuli.CancelAsked():
                self.decide(records.Cancelled(by_owner=False))
            case stimuli.Abandoned():
                self.decide(records.Cancelled(by_owner=True))
            case stimuli.Wrote() if self.over:
                return Refused
            case stimuli.Wrote():
                pass
            case stimuli.Settled():
                self.over = True
        return None

    def post(
        self, event: object, to: Sequence[str] | None = None, sender: str | None = None
    ) -> None:
        to = self.receivers(type(event)) if to is None else to
        for name in to:
            self.number += 1
            self.queues[name].append((self.number, event))
        if not to and isinstance(event, Answer):
            self.number += 1
            self.mailbox.append((self.number, event))
        elif not to and sender is not None:
            self.streamed_only.add((sender, type(event)))

    def start(self, name: str) -> int | None:
        busy = {worker for step, _, worker in self.running.values() if step == name}
        free = [n for n in range(self.plan.step[name].num_workers) if n not in busy]
        if self.outcome or not free or not self.queues[name]:
            return None
        number, event = self.queues[name].pop(0)
        self.running[number] = (name, event, free[0])
        return number

    def end(self, delivery: int, value: object, *, stays: bool) -> int | None:
        step, event, _ = self.running.pop(delivery)
        if not (self.wanted(value) or value is None or self.outcome):
            self.failed.append((delivery, step, event))
            self.decide(records.Crashed())
            return None
        self.returned_none[step] = value is None
        if isinstance(value, Stop):
            self.decide(records.Stopped(value))
        elif isinstance(value, Event) and self.outcome:
            self.late.append((self.number + 1, value))
        elif isinstance(value, Event):
            self.post(value, sender=step)
        self.quiet()
        return self.start(step) if stays else None

    def send(self, sender: int, event: object, step: str | None) -> object:
        name = self.running[sender][0] if sender in self.running else None
        if self.outcome and not (self.plan.on_stop == "drain" and name):
            return Refused
        if isinstance(event, Stop):
            self.decide(records.Stopped(event))
            return None
        if not self.wanted(event) or (step and step not in self.receivers(type(event))):
            return Refused
        if self.outcome:
            self.late.append((self.number + 1, event))
        else:
            self.post(event, step and [step], name)
        return None

    def collect(self, call: stimuli.Contributed) -> object:
        step, event, _ = self.running[call.delivery]
        if call.event is not event:
            return Refused
        wanted = [kind for kind, count in call.shape.runs for _ in range(count)]
        if not wanted:
            return ()
        place = (step, call.buffer_id, frozenset(Counter(wanted).items()), call.key)
        if (call.delivery, place) in self.told:
            return self.told[call.delivery, place]
        mro = type(event).__mro__ if self.plan.step[step].accept_subclasses else [type(event)]
        kind = next((base for base in mro if base in wanted), None)
        if kind is None:
            return None
        here = self.collected.setdefault(place, [])
        here.append((call.delivery, kind, event))
        have = Counter(kind for _, kind, _ in here)
        batch = None
        if all(have[kind] >= count for kind, count in Counter(wanted).items()):
            taken = []
            for kind in wanted:
                oldest = next(kept for kept in here if kept[1] is kind)
                here.remove(oldest)
                taken.append(oldest[2])
            batch = tuple(taken)
        self.told[call.delivery, place] = batch
        return batch

    def decide(self, outcome: records.Outcome) -> None:
        self.outcome = self.outcome or outcome

    def quiet(self) -> None:
        if not (self.running or any(self.queues.values()) or self.outcome or self.asks):
            self.decide(records.Stalled())

    # ------------------------------------------------------------ and how it should look

    def agrees_with(self, state: RunState) -> None:
        def same(ours: list[Letter], theirs: Sequence[tuple[DeliveryId, object]]) -> bool:
            # By identity: equality does not tell two events of one class apart.
            return [(n, id(e)) for n, e in ours] == [(n, id(e)) for n, e in theirs]

        assert state.outcome == self.outcome, "the run ends in another way"
        assert state.next_delivery == self.number + 1
        for name, step in state.steps.items():
            queued = [(delivery.number, delivery.event) for delivery in step.queue]
            assert same(self.queues[name], queued), "the queue is another one"
            assert step.returned_none == self.returned_none[name]
        running = {n: (d.step, d.event, d.worker) for n, d in state.running.items()}
        assert self.running == running, "others are running, or on other workers"
        assert same(self.mailbox, [*state.mailbox])
        assert same(self.late, state.unrouted)
        assert [(f.delivery, f.step, f.event) for f in state.failures] == self.failed
        streamed = {(name, k) for name, step in state.steps.items() for k in step.streamed_only}
        assert streamed == self.streamed_only
        held = {place: [e for _, _, e in kept] for place, kept in self.collected.items() if kept}
        assert {
            (name, key.buffer_id, key.wants, key.key)
            for name, step in state.steps.items()
            for key in step.buffers
        } == {*held}, "buffers of other kinds"
        for place, kept in self.collected.items():
            buffer = state.steps[place[0]].buffers.get(BufferKey(*place[1:]))
            for kind in {kind for _, kind, _ in kept}:
                assert buffer is not None
                mine = [(number, event) for number, k, event in kept if k is kind]
                assert same(mine, [*buffer.have[kind]]), "the buffer holds something else"
        left = [*self.mailbox, *self.late]
        left += [letter for queue in self.queues.values() for letter in queue]
        left += [(n, event) for kept in self.collected.values() for n, _, event in kept]
        left.sort(key=lambda letter: letter[0])
        assert _ids([event for _, event in left]) == _ids(state.undelivered), (
            "undelivered is not the oldest first"
        )


def _ids(told: object) -> object:
    """Equality does not tell two events of one class apart."""
    return [*map(id, told)] if isinstance(told, list | tuple) else told


chance = st.binary(min_size=24, max_size=24)
#: Of one to six stimuli each.
STEPS = 14


def may_end(machine: Machine) -> bool:
    """A run shall live for a while; once it is decided, nothing holds it."""
    return machine.age >= machine.calm or machine.model.outcome is not None


class Machine(RuleBasedStateMachine):
    """Whoever reports to a kernel, in any order that can happen."""

    #: The classes of all that was heard, recorded and done, in all runs.
    seen: ClassVar[set[type]] = set()

    @initialize(plan=plans(), calm=st.integers(0, 30))
    def plan_a_run(self, plan: Plan, calm: int) -> None:
        self.plan, self.calm, self.age = plan, calm, 0
        self.traffic = [kind for step in plan.steps for kind in step.accepts if kind is not Start]
        self._new_run()

    def _new_run(self) -> None:
        self.shell, self.model = Shell(self.plan), Model(self.plan)
        self.numbers = 0

    # ------------------------------------------------------------ the parties

    @rule(chance=chance)
    def workers_come(self, chance: bytes) -> None:
        """Workers come in answer to offers, in any order; now and then one comes in vain."""
        dice = Dice(chance)
        self._go_on()
        for _ in range(1 + dice.below(5)):
            offered = [name for name, count in self.shell.offers.items() if count]
            steps = [step.name for step in self.plan.steps]
            self._comes(dice.one_of(steps if dice.rarely() or not offered else offered))

    @rule(chance=chance)
    def a_body_works(self, chance: bytes) -> None:
        """A body sends, collects and writes, while it runs or while it is cleaned up."""
        dice = Dice(chance)
        if not (number := self._a_body(dice)):
            return
        for _ in range(1 + dice.below(6)):
            match dice.below(8):
                case 0 | 1 | 2 | 3:
                    step = dice.one_of(["s0", "s1", "nowhere"]) if dice.rarely() else None
                    self._hear(stimuli.Sent(self._now(), number, self._event(dice), step))
                case 4:
                    self._hear(stimuli.Wrote(self._now(), number, self._event(dice)))
                case _:
                    self._collect(dice, number)

    @rule(chance=chance)
    def a_body_returns(self, chance: bytes) -> None:
        """A body ends well, like a join's, and its worker takes the next delivery, or leaves."""
        dice = Dice(chance)
        number: DeliveryId | None = self._a_body(dice)
        for _ in range(1 + dice.below(5)):
            if number:
                if dice.below(2):
                    self._collect(dice, number)
                value = None if dice.rarely() else self._event(dice)
                stays = bool(dice.below(2))
                self._hear(stimuli.Returned(self._now(), number, value, stays))
                number = self.shell.begun

    @rule(chance=chance)
    def the_outside_speaks(self, chance: bytes) -> None:
        """Whoever has the run sends and writes; so may a body that has ended long ago."""
        dice = Dice(chance)
        for _ in range(1 + dice.below(4)):
            gone = [n for n in range(1, self.model.number) if n not in self.shell.state.running]
            sender = DeliveryId(dice.one_of([OUTSIDE, OUTSIDE, *gone]))
            step = dice.one_of(["s0", "s1"]) if dice.rarely() else None
            if self.shell.state.phase is not Phase.NEW:
                self._hear(stimuli.Sent(self._now(), sender, self._event(dice), step))
                if dice.rarely():
                    self._hear(stimuli.Wrote(self._now(), sender, self._event(dice)))

    @precondition(may_end)
    @rule(chance=chance)
    def the_end_comes(self, chance: bytes) -> None:
        """What decides a run, and what is left to do then."""
        dice = Dice(chance)
        match self.shell.state.phase:
            case Phase.GOING:
                self._decide(dice)
            case Phase.WINDING_UP:
                self._unwind(dice)
            case Phase.OVER:
                self._end_again(dice)
            case Phase.NEW:
                self._go_on()

    @rule(chance=chance)
    def what_cannot_happen_is_reported(self, chance: bytes) -> None:
        dice = Dice(chance)
        for _ in range(2):
            self.shell.cannot_hear(dice.one_of(self._impossible()))
            self.shell.cannot_hear(self._unheard_of(dice))

    def teardown(self) -> None:
        if hasattr(self, "shell"):
            self.shell.replays()

    # ------------------------------------------------------------ their moves

    def _go_on(self) -> None:
        """See to it that there is a run in which something can happen."""
        state = self.shell.state
        if state.phase is Phase.WINDING_UP and not state.running:
            self._hear(stimuli.Settled(self._now()))
        elif state.phase is Phase.OVER:
            self.shell.replays()
            self._new_run()
        if self.shell.state.phase is Phase.NEW:
            self._hear(stimuli.Opened(self._now(), Start(0)))

    def _comes(self, step: str) -> None:
        if self.shell.offers[step]:  # who was not asked does not come
            self._hear(stimuli.Ready(self._now(), step))

    def _a_body(self, dice: Dice) -> DeliveryId:
        """One that runs; if none does, a worker is fetched."""
        self._go_on()
        if not self.shell.state.running:
            for name, step in self.shell.state.steps.items():
                if step.queue and not self.shell.state.running:
                    self._comes(name)
        running = [*self.shell.state.running]
        return dice.one_of(running) if running else OUTSIDE

    def _event(self, dice: Dice) -> Event:
        """Mostly something that a step accepts."""
        kind: type[Event] = dice.one_of(ACCEPTABLE if dice.rarely() else self.traffic)
        if not self.model.wanted(kind(0)) and not may_end(self):
            kind = B if self.model.wanted(B(0)) else Watched
        self.numbers += 1
        return kind(self.numbers)

    def _collect(self, dice: Dice, number: DeliveryId) -> None:
        delivery = self.shell.state.running[number]
        if isinstance(delivery.event, Start) and not dice.rarely():  # the only one of its class
            self._hear(stimuli.Sent(self._now(), number, self._event(dice)))
            return
        given = Stray(0) if dice.rarely() else delivery.event
        # Few buffers and small batches, so that they get whole and have a surplus.
        kinds = [kind for kind in self.plan.step[delivery.step].accepts if kind is not Start]
        a, b = kinds[0], kinds[-1]
        expected = dice.one_of([[a, b], [b, a], [a, b, b], [b, a, b], [a, b], [type(given), a], []])
        shape = Shape.of(Counter(expected) if dice.rarely() else expected)
        key = dice.below(2) if dice.rarely() else None
        buffer_id = "other" if dice.rarely() else "default"
        call = stimuli.Contributed(self._now(), number, given, shape, buffer_id, key)
        self._hear(call)
        if dice.rarely():
            self._hear(call)

    def _decide(self, dice: Dice) -> None:
        now, running = self._now(), [*self.shell.state.running]
        moves: list[stimuli.Stimulus] = [
            stimuli.CancelAsked(now),
            stimuli.Abandoned(now),
            stimuli.Expired(now),
            stimuli.Sent(now, OUTSIDE, Stop(1), dice.one_of([None, "s0", "nowhere"])),
        ]
        if running:
            number = dice.one_of(running)
            stop = dice.one_of([Stop(2), FineStop(3)])
            moves += [
                stimuli.Raised(now, number, dice.one_of([ValueError("failed"), OVER])),
                stimuli.Unwound(now, number),
                stimuli.Raised(now, number, ValueError("failed")),
                stimuli.Returned(now, number, stop, stays=True),
                stimuli.Returned(now, number, stop),
                stimuli.Sent(now, number, stop),
                stimuli.Returned(now, number, dice.one_of([Stray(4), "no event"]), stays=True),
                stimuli.Returned(now, number, None, stays=True),
            ]
        self._hear(dice.one_of(moves))

    def _unwind(self, dice: Dice) -> None:
        for number in [*self.shell.state.running]:
            if dice.rarely():
                self._end_again(dice)
            stop = dice.one_of([Stop(5), FineStop(6)])
            ends: list[stimuli.Stimulus] = [
                stimuli.Unwound(self._now(), number),
                stimuli.Raised(self._now(), number, ValueError("in its clean-up")),
                stimuli.Raised(self._now(), number, dice.one_of(FAILURES)),
                stimuli.Returned(self._now(), number, None, stays=True),
                stimuli.Returned(self._now(), number, self._event(dice)),
                stimuli.Returned(self._now(), number, stop),
            ]
            if self.model.drains:
                self._hear(stimuli.Sent(self._now(), number, dice.one_of([stop, Watched(7)])))
            self._hear(dice.one_of(ends))
        if not self.shell.state.running:
            self._hear(stimuli.Settled(self._now()))

    def _end_again(self, dice: Dice) -> None:
        """A deadline and a cancellation do not look whether they are still needed."""
        now = self._now()
        endings: list[stimuli.Stimulus] = [
            stimuli.Expired(now),
            stimuli.CancelAsked(now),
            stimuli.Abandoned(now),
        ]
        self._hear(dice.one_of(endings))

    def _impossible(self) -> list[stimuli.Stimulus]:
        """What cannot happen in this phase."""
        now, state = self._now(), self.shell.state
        found: list[stimuli.Stimulus] = []
        if state.phase is not Phase.NEW:
            found.append(stimuli.Opened(now, Start(8)))
        if state.phase is not Phase.WINDING_UP or state.running:
            found.append(stimuli.Settled(now))
        if state.phase is Phase.NEW:
            found.append(stimuli.Wrote(now, OUTSIDE, B(9)))
            found += [stimuli.Expired(now), stimuli.CancelAsked(now), stimuli.Abandoned(now)]
        return found

    def _unheard_of(self, dice: Dice) -> stimuli.Stimulus:
        """News of a delivery that does not run: it has ended, is queued, or does not exist."""
        state = self.shell.state
        number = DeliveryId(dice.below(state.next_delivery + 1))
        while number in state.running:
            number = DeliveryId(number + 1)
        now = self._now()
        news: list[stimuli.Stimulus] = [
            stimuli.Returned(now, number, B(10)),
            stimuli.Raised(now, number, ValueError("who?")),
            stimuli.Unwound(now, number),
            stimuli.Contributed(now, number, B(11), Shape.of([B]), "default", None),
        ]
        return dice.one_of(news)

    # ------------------------------------------------------------ one stimulus

    def _now(self) -> float:
        self.age += 1
        return self.age / 4

    def _hear(self, stimulus: stimuli.Stimulus) -> None:
        expected = self.model.hear(stimulus)
        todo = self.shell.hear(stimulus)
        assert _ids(expected) == _ids(_told(todo)), "the caller is told something else"
        self.model.agrees_with(self.shell.state)
        self.seen.update([type(stimulus), type(self.shell.state.outcome)])
        self.seen.update(map(type, self.shell.latest), map(type, todo))


def _told(todo: Sequence[effects.Effect]) -> object:
    """What the effects mean to whoever reported."""
    for effect in todo:
        match effect:
            case effects.Begin(number):
                return number
            case effects.Give(batch):
                return batch
            case effects.Refuse():
                return Refused
            case _:
                pass
    return None


PLAIN: set[type] = {
    *(stimuli.Opened, stimuli.Ready, stimuli.Returned, stimuli.Raised, stimuli.Unwound),
    *(stimuli.Sent, stimuli.Contributed, stimuli.Wrote, stimuli.Settled),
    *(stimuli.Expired, stimuli.CancelAsked, stimuli.Abandoned),
    *(records.RunStarted, records.Idled, records.Decided, records.Closed),
    *(records.Emitted, records.Started, records.Completed, records.Failed, records.Interrupted),
    *(records.Collected, records.Streamed),
    *(effects.Offer, effects.Begin, effects.Give, effects.Refuse, effects.Publish),
    *(effects.Rest, effects.Wind),
    *get_args(records.Outcome),
}


def test_in_any_order_of_stimuli_nothing_is_lost_and_every_law_holds():
    """Four times as many runs as other properties have examples: 800 in CI.

    Never fewer than it takes to meet every class there is.
    """
    Machine.seen.clear()
    run_state_machine_as_test(
        Machine,
        settings=hypothesis.settings(
            max_examples=max(400, 4 * hypothesis.settings().max_examples),
            stateful_step_count=STEPS,
        ),
    )
    assert Machine.seen >= PLAIN
