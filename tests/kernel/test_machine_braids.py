"""The kernel under any legal order of stimuli: joins, streams, waits, retries, handlers, stepwise.

There is no model of the run here: a second kernel would be as long as the first. What must hold is
said by the laws of `Shell`, which count: what came to a step is somewhere, each fan-in fires once and
with what its cardinality says, each wait is resumed once with its answer, no wake-up is lost.

A rule stands for what one party does in a row; its `chance` says what.
"""

from __future__ import annotations

from random import Random
from typing import ClassVar, get_args

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from plait._ids import OUTSIDE, DeliveryId
from plait._kernel import effects, records, stimuli
from plait._kernel.collecting import Shape
from plait._kernel.life import Phase
from plait._kernel.plan import Gather, Plan, StepPlan
from tests.kernel.shell import Shell
from tests.kernel.strategies import (
    A,
    Answer,
    B,
    Broken,
    C,
    Dice,
    Event,
    FineA,
    Patience,
    Start,
    Stop,
    Watched,
    plan,
)

KINDS = (A, B, C, FineA)
GATHERS = (
    Gather(),
    Gather(by_input=True),
    Gather(2),
    Gather(1, cancel_rest=True),
    Gather(2, cancel_rest=True, by_input=True),
)
#: Bytes that are really mixed: what Hypothesis likes best is zero, and then hardly anything meets.
chance = st.integers(0, 2**32).map(lambda seed: Random(seed).randbytes(64))


def braids() -> st.SearchStrategy[Plan]:
    """A step that begins, one to three plain ones, a join, up to three fan-ins, a handler."""
    return chance.map(_braided)


def _braided(chance: bytes) -> Plan:
    dice = Dice(chance)
    fan_ins = tuple(f"f{n}" for n in range(dice.below(4)))
    steps = [_plain(dice, "s0", (Start,), fan_ins)]
    steps += [_plain(dice, f"s{n}", (), fan_ins) for n in range(1, 2 + dice.below(3))]
    slots = tuple(dice.one_of(KINDS) for _ in range(2 + dice.below(2)))
    steps.append(
        StepPlan(
            "j",
            tuple(dict.fromkeys(slots)),
            num_workers=1 + dice.below(2),
            accept_subclasses=dice.rarely(),
            slots=slots,
            **_after(dice),
        )
    )
    for name in fan_ins:
        accepts = [dice.one_of(KINDS), *([Broken] if dice.below(2) else [])]
        gather = dice.one_of(GATHERS)
        steps.append(StepPlan(name, tuple(accepts), gather=gather, **_after(dice)))
    opens = fan_ins[: dice.below(3)]
    recoveries = 1 + dice.below(2)
    steps.append(
        StepPlan("h", (Broken,), opens=opens, returns_list=True, max_recoveries=recoveries)
    )
    return plan(*steps, on_stop=dice.one_of(["cancel", "drain"]))


def _plain(dice: Dice, name: str, first: tuple[type, ...], fan_ins: tuple[str, ...]) -> StepPlan:
    kinds = [*KINDS, Answer] if dice.rarely() else [*KINDS]
    accepts = (*first, *(dice.one_of(kinds) for _ in range(1 + dice.below(2))))
    return StepPlan(
        name,
        tuple(dict.fromkeys(accepts)),
        num_workers=1 + dice.below(3),
        accept_subclasses=dice.rarely(),
        opens=tuple(name for name in fan_ins if dice.below(2)),
        returns_list=not dice.rarely(),
        **_after(dice),
    )


def _after(dice: Dice) -> dict[str, object]:
    """What follows a failure of this step."""
    return {
        "retry": dice.one_of([None, Patience(2, 1.0)]),
        "handler": dice.one_of([None, "h"]),
    }


class Machine(RuleBasedStateMachine):
    """Whoever reports to a kernel, in any order that can happen."""

    #: The classes of all that was heard, recorded and done, in all runs.
    seen: ClassVar[set[type]] = set()

    @initialize(plan=braids(), calm=st.integers(10, 60), stepwise=st.booleans())
    def plan_a_run(self, plan: Plan, calm: int, stepwise: bool) -> None:  # noqa: FBT001
        self.plan, self.calm, self.age = plan, calm, 0
        self.stepwise = stepwise and calm % 3 == 0
        self._new_run()

    def _new_run(self) -> None:
        self.shell = Shell(self.plan, stepwise=self.stepwise)
        self.state = self.shell.state
        self.numbers = 0

    # ------------------------------------------------------------ the parties

    @rule(chance=chance)
    def workers_come(self, chance: bytes) -> None:
        dice = Dice(chance)
        self._go_on()
        self._begin(dice, 1 + dice.below(5))

    def _begin(self, dice: Dice, count: int) -> None:
        for _ in range(count):
            self._ask()
            if offered := [name for name, count in self.shell.offers.items() if count > 0]:
                self._hear(stimuli.Ready(self._now(), dice.one_of(offered)))

    @rule(chance=chance)
    def bodies_end(self, chance: bytes) -> None:
        dice = Dice(chance)
        self._go_on()
        for _ in range(1 + dice.below(5)):
            if number := self._a_body(dice):
                self._end(dice, number)

    @rule(chance=chance)
    def bodies_return_lists(self, chance: bytes) -> None:
        dice = Dice(chance)
        self._go_on()
        for _ in range(1 + dice.below(3)):
            if number := self._a_body(dice):
                self._return(number, self._list(dice, number), stays=bool(dice.below(2)))
                self._begin(dice, dice.below(4))

    @rule(chance=chance)
    def bodies_work(self, chance: bytes) -> None:
        """Bodies send and collect and wait, now and then for two events at once."""
        dice = Dice(chance)
        self._go_on()
        for _ in range(1 + dice.below(4)):
            number = self._a_body(dice)
            match dice.below(4):
                case 0 if number:
                    self._hear(stimuli.Sent(self._now(), number, self._event(dice, OUTSIDE)))
                case 1 if number:
                    self._collect(dice, number)
                case _ if not self.stepwise:
                    self._wait(dice, number)
                case _:
                    pass

    @rule(chance=chance)
    def time_passes(self, chance: bytes) -> None:
        """Retries are due, in any order; waits have taken too long, and some are over already."""
        dice = Dice(chance)
        self._go_on()
        for _ in range(1 + dice.below(4)):
            alarms, waits = [*self.shell.alarms], sorted(self.shell.waiting)
            if alarms and dice.below(3):
                number = dice.one_of(alarms)
                del self.shell.alarms[number]
                self._hear(stimuli.Due(self._now(), number))
            elif waits and dice.below(2):
                self._hear(stimuli.WaitExpired(self._now(), dice.one_of(waits)))
            elif dice.rarely():
                self._hear(stimuli.Due(self._now(), DeliveryId(1)))
                self._hear(stimuli.WaitExpired(self._now(), (DeliveryId(1), 0)))

    @rule(chance=chance)
    def the_outside_speaks(self, chance: bytes) -> None:
        dice = Dice(chance)
        self._go_on()
        for _ in range(1 + dice.below(4)):
            kind = dice.one_of([Answer, Answer, *KINDS])
            step = dice.one_of([None, None, None, "s1", "j"])
            self._hear(stimuli.Sent(self._now(), OUTSIDE, self._made(kind), step))

    @rule(chance=chance)
    def the_end_comes(self, chance: bytes) -> None:
        dice = Dice(chance)
        if self.age < self.calm and self.state.outcome is None:
            return
        match self.state.phase:
            case Phase.GOING:
                kind = dice.one_of([stimuli.Expired, stimuli.CancelAsked, stimuli.Abandoned])
                stop = stimuli.Sent(self._now(), OUTSIDE, self._made(Stop))
                self._hear(dice.one_of([kind(self._now()), stop]))
            case Phase.WINDING_UP:
                self._unwind(dice)
            case _:
                self._go_on()

    def teardown(self) -> None:
        if hasattr(self, "shell"):
            self.shell.replays()

    # ------------------------------------------------------------ their moves

    def _go_on(self) -> None:
        """See to it that there is a run in which something can happen."""
        state = self.state
        if state.phase is Phase.WINDING_UP and not (state.running or state.suspended):
            self._hear(stimuli.Settled(self._now()))
        elif state.phase is Phase.OVER:
            self.shell.replays()
            self._new_run()
        if self.state.phase is Phase.NEW:
            self._hear(stimuli.Opened(self._now(), Start(0), 1000.0, self.stepwise))
            self._ask()

    def _ask(self) -> None:
        """Whoever drives the run step by step asks when the last step is done."""
        state = self.state
        if self.stepwise and state.phase is Phase.GOING and not (state.permits or state.running):
            self._hear(stimuli.StepAsked(self._now()))

    def _waits(self, number: DeliveryId) -> bool:
        return any(key[0] == number for key in (*self.shell.waiting, *self.shell.answered))

    def _a_body(self, dice: Dice) -> DeliveryId:
        """One that runs and waits for nothing."""
        free = [number for number in self.state.running if not self._waits(number)]
        if not free and self.state.phase is Phase.GOING:
            for name in [name for name, count in self.shell.offers.items() if count > 0]:
                self._hear(stimuli.Ready(self._now(), name))
                free += [self.shell.begun] if self.shell.begun else []
        free = [number for number in free if number in self.state.running]
        return dice.one_of(free) if free else OUTSIDE

    def _made(self, kind: type[Event]) -> Event:
        self.numbers += 1
        return kind(self.numbers)

    def _event(self, dice: Dice, number: DeliveryId) -> Event:
        """Something that is taken where it is emitted."""
        branch = self.shell.body(number).branch if number else None
        opener = self.state.streams[branch.stream].step if branch else None
        return self._made(dice.one_of([*self._taken(opener), Watched]))

    def _taken(self, opener: str | None) -> list[type[Event]]:
        """What somebody takes: any step, and of the fan-ins those of the stream of this step."""
        opens = self.plan.step[opener].opens if opener else ()
        return [
            kind
            for step in self.plan.steps
            if step.gather is None or step.name in opens
            for kind in step.accepts
            if kind not in {Start, Broken}
        ]

    def _list(self, dice: Dice, number: DeliveryId) -> object:
        delivery = self.shell.body(number)
        if not self.plan.step[delivery.step].returns_list:
            return self._event(dice, number)
        kinds = self._taken(delivery.step)
        members = [self._made(dice.one_of([*kinds, Watched])) for _ in range(dice.below(5))]
        if dice.rarely() and dice.rarely() and self.plan.on_stop == "cancel":
            members.insert(dice.below(len(members) + 1), self._made(Stop))
        return members

    def _end(self, dice: Dice, number: DeliveryId) -> None:
        if number in self.shell.unwanted:
            self.shell.unwanted.remove(number)
            self._hear(stimuli.Unwound(self._now(), number))
            return
        match dice.below(6):
            case 0:
                self._return(number, None, stays=bool(dice.below(2)))
            case 1:
                self._hear(stimuli.Unwound(self._now(), number))
            case 2 if self.age >= self.calm or self._recovers(number):
                self._hear(stimuli.Raised(self._now(), number, ValueError("failed")))
            case _:
                value = self._event(dice, number)
                self._return(number, value, stays=bool(dice.below(2)))

    def _recovers(self, number: DeliveryId) -> bool:
        delivery = self.shell.body(number)
        step = self.plan.step[delivery.step]
        again = step.retry is not None and delivery.attempt < 2
        return again or (step.handler is not None and "h" not in delivery.line)

    def _return(self, number: DeliveryId, value: object, *, stays: bool) -> None:
        self._hear(stimuli.Returned(self._now(), number, value, stays))

    def _collect(self, dice: Dice, number: DeliveryId) -> None:
        event = self.shell.body(number).event
        if isinstance(event, tuple):
            event = event[dice.below(len(event))] if event else Watched()
        kinds = [dice.one_of([type(event), *KINDS]) for _ in range(1 + dice.below(2))]
        shape = Shape.of(kinds)
        self._hear(stimuli.Contributed(self._now(), number, event, shape, "default", None))

    def _wait(self, dice: Dice, number: DeliveryId) -> None:
        state = self.state
        letters = [type(event) for _, event in state.mailbox[:1] if isinstance(event, Event)]
        kind = dice.one_of([Answer, *letters, *KINDS])
        if dice.rarely() and state.suspended and state.phase is Phase.GOING:
            number = dice.one_of([*state.suspended])
            if any(issubclass(type(event), kind) for _, event in state.mailbox):
                return
        if not number:
            return
        question = dice.one_of([None, self._made(Watched)])
        broadcast = bool(dice.below(2))
        self._hear(stimuli.WaitBegan(self._now(), number, kind, {}, broadcast, None, question))

    def _unwind(self, dice: Dice) -> None:
        for number in [*self.state.running, *self.state.suspended][: 1 + dice.below(3)]:
            now, late = self._now(), self._made(dice.one_of([*KINDS, Stop]))
            if dice.rarely():
                self._hear(stimuli.Due(now, number))
                self._hear(stimuli.WaitExpired(now, (number, 0)))
            ends: list[stimuli.Stimulus] = [
                stimuli.Unwound(now, number),
                stimuli.Raised(now, number, ValueError("in its clean-up")),
                stimuli.Returned(now, number, None, stays=True),
                stimuli.Returned(now, number, late),
            ]
            self._hear(dice.one_of(ends))
        if not (self.state.running or self.state.suspended):
            self._hear(stimuli.Settled(self._now()))

    # ------------------------------------------------------------ one stimulus

    def _now(self) -> float:
        self.age += 1
        return self.age / 4

    def _hear(self, stimulus: stimuli.Stimulus) -> None:
        self.shell.hear(stimulus)
        todo = self.shell.effects
        self.seen |= {type(stimulus), type(self.state.outcome)}
        self.seen.update(map(type, self.shell.latest), map(type, todo))


def test_in_any_order_of_stimuli_nothing_is_lost_and_every_law_holds():
    """Four times as many runs as other properties have examples: 800 in CI.

    Never fewer than it takes to meet every class there is.
    """
    Machine.seen.clear()
    run_state_machine_as_test(
        Machine,
        settings=hypothesis.settings(
            max_examples=max(400, 4 * hypothesis.settings().max_examples),
            stateful_step_count=25,
            report_multiple_bugs=False,
        ),
    )
    unions = (stimuli.Stimulus, records.Record, effects.Effect)
    everything = {kind for union in unions for kind in get_args(union)}
    rare = {stimuli.Abandoned, effects.Interrupt, stimuli.Wrote, records.Streamed}
    assert everything - Machine.seen <= rare
