"""The kernel under any legal order of stimuli, and under illegal ones.

Chance plays the shell and the users. Workers come, late or in vain. Bodies send, write, collect,
wait, return events and lists, raise and unwind. Time passes; the outside speaks, cancels and goes
away. The process dies, and another takes the run up from its records. A third of the plans have
plain steps only, of many classes; the others have joins, streams, retries and handlers. `Laws`
watches after each stimulus, beside a ledger of its own.

A rule stands for what one party does in a row, one to six stimuli: most of the time goes into
drawing, not into the kernel. Its `chance` is a handful of bytes, of which zero is the plainest. A
failure shows the plan and the stimuli, which any `Shell` can hear again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random
from typing import ClassVar, get_args

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from plait._ids import OUTSIDE, DeliveryId, RunId
from plait._kernel import effects, records, stimuli
from plait._kernel.collecting import Shape
from plait._kernel.life import Phase
from plait._kernel.plan import Plan
from plait._kernel.refusals import Over
from plait._kernel.state import RunState
from tests.kernel.laws import ENDS
from tests.kernel.ledger import parts
from tests.kernel.shell import Shell
from tests.kernel.strategies import (
    ACCEPTABLE,
    ARMFUL,
    HANDFUL,
    Answer,
    Broken,
    Dice,
    Event,
    FineStop,
    Start,
    Stop,
    Stray,
    Watched,
    braided_plan,
    braids,
    chance,
    plain_plan,
    plans,
)

#: What a body raises that sends when its run has just been decided: that is no failure.
OVER = Over("it has ended")
ERRORS = (
    ValueError("failed"),
    OVER,
    ExceptionGroup("only that", [OVER, OVER]),
    ExceptionGroup("and more", [OVER, KeyError("failed")]),
    KeyboardInterrupt("failed"),
)
#: Rules in one run.
STEPS = 20


class Machine(RuleBasedStateMachine):
    """Whoever reports to a kernel, in any order that can happen."""

    #: The classes of all that was heard, recorded and done, in all runs.
    met: ClassVar[set[type]] = set()

    @initialize(
        plan=st.one_of(plans(), braids(), braids()),
        calm=st.integers(0, 60),
        stepwise=st.sampled_from([False, False, False, True]),
    )
    def plan_a_run(self, plan: Plan, calm: int, stepwise: bool) -> None:  # noqa: FBT001
        """`calm`: so many stimuli long nothing ends the run that need not."""
        self.plan, self.calm, self.stepwise = plan, calm, stepwise
        accepted = [kind for step in plan.steps for kind in step.accepts]
        self.traffic = [kind for kind in accepted if kind not in {Start, Broken}]
        self.age = self.numbers = 0
        self._new_run()

    def _new_run(self) -> None:
        self.shell = Shell(self.plan, stepwise=self.stepwise, epoch=1000.0)
        self.ledger = self.shell.laws.ledger

    @property
    def state(self) -> RunState:
        """Another one after each death."""
        return self.shell.state

    # ------------------------------------------------------------ the parties

    @rule(chance=chance)
    def workers_come(self, chance: bytes) -> None:
        """Workers come in answer to offers, in any order; now and then one comes in vain."""
        dice = Dice(chance)
        self._go_on()
        for _ in range(1 + dice.below(5)):
            self._somebody_comes(dice)

    @rule(chance=chance)
    def bodies_work(self, chance: bytes) -> None:
        """Bodies send, collect and write, while they run, wait, or are cleaned up."""
        dice = Dice(chance)
        self._go_on()
        for _ in range(1 + dice.below(6)):
            if number := self._a_body(dice):
                match dice.below(6):
                    case 0 | 1:
                        step = dice.one_of(["s0", "s1", "nowhere"]) if dice.rarely() else None
                        self._hear(stimuli.Sent(self._now(), number, self._event(dice), step))
                    case 2:
                        source = dice.one_of(["", "", "child", "other child"])
                        self._hear(stimuli.Wrote(self._now(), number, self._event(dice), source))
                    case 3:
                        self._stores(dice, number)
                    case _:
                        self._collect(dice, number)

    @rule(chance=chance)
    def bodies_wait(self, chance: bytes) -> None:
        """Bodies wait, now and then for several events at once."""
        dice = Dice(chance)
        self._go_on()
        for _ in range(1 + dice.below(3)):
            if number := self._a_body(dice):
                letters = [type(event) for _, event in self.state.mailbox[:1]]
                kind = dice.one_of([Answer, *letters, *self.traffic])
                requirements = {"number": self.numbers + 2} if dice.rarely() else {}
                waiter = "somebody" if dice.rarely() else None
                question = dice.one_of([None, self._made(Watched)])
                broadcast = bool(dice.below(2))
                self._hear(
                    stimuli.WaitBegan(
                        self._now(), number, kind, requirements, broadcast, waiter, question
                    )
                )

    @rule(chance=chance)
    def bodies_return(self, chance: bytes) -> None:
        """Bodies end well, and their workers take the next delivery, or leave."""
        dice = Dice(chance)
        self._go_on()
        for _ in range(1 + dice.below(5)):
            if number := self._a_body(dice):
                if dice.rarely():
                    self._fails(dice, number)
                else:
                    value = None if dice.rarely() else self._event(dice, number)
                    self._return(dice, number, value)

    @rule(chance=chance)
    def bodies_return_lists(self, chance: bytes) -> None:
        """Bodies open streams; whoever gets a member may come at once."""
        dice = Dice(chance)
        self._go_on()
        for _ in range(1 + dice.below(3)):
            if number := self._a_body(dice):
                self._return(dice, number, self._list(dice, number))
                for _ in range(dice.below(4)):
                    self._somebody_comes(dice)

    @rule(chance=chance)
    def bodies_end_badly(self, chance: bytes) -> None:
        """Bodies fail, mostly again, or are interrupted, whether somebody asked for it or not."""
        dice = Dice(chance)
        self._go_on()
        for _ in range(1 + dice.below(3)):
            again = [n for n in self.state.running if self.ledger.items[n].failures]
            if number := dice.one_of(again) if again else self._a_body(dice):
                if number in self.shell.unwanted or dice.rarely():
                    self._hear(stimuli.Unwound(self._now(), number))
                else:
                    self._fails(dice, number)

    @rule(chance=chance)
    def time_passes(self, chance: bytes) -> None:
        """Retries are due, in any order; waits have taken too long, and some are over already."""
        dice = Dice(chance)
        self._go_on()
        for _ in range(1 + dice.below(4)):
            alarms, waits = [*self.shell.alarms], [*self.ledger.waits]
            if alarms and dice.below(3):
                number = dice.one_of(alarms)
                del self.shell.alarms[number]
                self._hear(stimuli.Due(self._now(), number))
            elif waits and dice.below(2):
                wait, called_away = dice.one_of(waits), dice.rarely()
                self._hear(stimuli.WaitExpired(self._now(), wait, called_away))
            elif dice.rarely():
                number = DeliveryId(dice.below(self.state.next_delivery))
                self._hear(stimuli.Due(self._now(), number))
                self._hear(stimuli.WaitExpired(self._now(), (number, 0)))

    @rule(chance=chance)
    def the_outside_speaks(self, chance: bytes) -> None:
        """Whoever has the run sends and writes; so may a body that has ended long ago."""
        dice = Dice(chance)
        self._go_on()
        for _ in range(1 + dice.below(4)):
            sender = DeliveryId(dice.below(self.state.next_delivery)) if dice.rarely() else OUTSIDE
            step = dice.one_of(["s0", "s1", "j"]) if dice.rarely() else None
            event = self._event(dice) if dice.below(3) else self._made(Answer)
            self._hear(stimuli.Sent(self._now(), sender, event, step))
            if dice.rarely():
                self._hear(stimuli.Wrote(self._now(), sender, event))
            if self.state.phase is Phase.GOING and self.state.mailbox and dice.rarely():
                letter = dice.below(len(self.state.mailbox))
                self._hear(stimuli.HandedOn(self._now(), letter, RunId("child")))

    @rule(chance=chance)
    def the_end_comes(self, chance: bytes) -> None:
        """What decides a run, and what is left to do then."""
        dice = Dice(chance)
        if self._may_end():
            match self.state.phase:
                case Phase.GOING:
                    self._decide(dice)
                case Phase.WINDING_UP:
                    self._unwind(dice)
                case Phase.NEW | Phase.OVER:
                    self._go_on()

    @rule(chance=chance)
    def the_process_dies(self, chance: bytes) -> None:
        """Without a word, now and then again at once; bodies that run again repeat themselves."""
        dice = Dice(chance)
        if self.state.phase is not Phase.WINDING_UP:
            self._go_on()
        for _ in range(1 + dice.rarely()):
            stimulus = self.shell.dies(self._now(), self.shell.epoch + dice.below(3) - 1.0)
            self._meets(stimulus)
            for _ in range(1 + dice.below(4)):
                self._somebody_comes(dice)
                self._repeats(dice)

    @rule(chance=chance)
    def what_cannot_happen_is_reported(self, chance: bytes) -> None:
        """News of bodies that do not run, and of a run that is not there yet, or no more."""
        dice, now, number = Dice(chance), self._now(), self.state.next_delivery
        while number > OUTSIDE and (dice.below(3) or self.ledger.executing(number)):
            number = DeliveryId(number - 1)
        news: list[stimuli.Stimulus] = [
            stimuli.Returned(now, number, self._made(Stray), stays=bool(dice.below(2))),
            stimuli.Raised(now, number, ValueError("who?")),
            stimuli.Unwound(now, number),
            stimuli.Contributed(now, number, Stray(), Shape.of([Stray]), "default", None),
            stimuli.WaitBegan(now, number, Answer, {}, False, None, None),  # noqa: FBT003
        ]
        if self.state.phase is not Phase.NEW:
            news.append(stimuli.Opened(now, self._made(Start)))
            news.append(stimuli.HandedOn(now, len(self.state.mailbox), RunId("child")))
        if self.state.phase is not Phase.WINDING_UP:
            news.append(stimuli.Settled(now))
        if self.state.phase in {Phase.NEW, Phase.OVER}:
            news.append(stimuli.TakenUp(now, 0.0))
        if self.state.phase is Phase.NEW:
            news += [stimuli.Wrote(now, OUTSIDE, Stray()), *self._demands()]
            news.append(stimuli.StoreChanged(now, OUTSIDE, {}))
        self.shell.cannot_hear(dice.one_of(news))

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
            epoch, stepwise = self.shell.epoch, self.shell.stepwise
            self._hear(stimuli.Opened(self._now(), self._made(Start), epoch, stepwise))

    def _may_end(self) -> bool:
        """A run shall live for a while; once it is decided, nothing holds it."""
        return self.age >= self.calm or self.state.outcome is not None

    def _somebody_comes(self, dice: Dice) -> None:
        """Whoever drives the run step by step asks when the last step is done."""
        state = self.state
        idle = not (state.permits or state.running)
        if self.stepwise and state.phase is Phase.GOING and (idle or dice.rarely()):
            self._hear(stimuli.StepAsked(self._now(), -1 if dice.rarely() else 1))
        if offered := [name for name, count in self.shell.offers.items() if count]:
            self._hear(stimuli.Ready(self._now(), dice.one_of(offered)))

    def _a_body(self, dice: Dice) -> DeliveryId:
        """One that runs, or is fetched; now and then one that waits."""
        if not self.state.running:
            self._somebody_comes(dice)
        running, waiting = [*self.state.running], [*self.state.suspended]
        if waiting and (dice.rarely() or (self.state.outcome and not running)):
            return dice.one_of(waiting)
        return dice.one_of(running) if running else OUTSIDE

    def _made(self, kind: type[Event]) -> Event:
        self.numbers += 1
        return kind(self.numbers)

    def _event(self, dice: Dice, number: DeliveryId = OUTSIDE, opener: str | None = None) -> Event:
        """Mostly what somebody takes, in a stream what its fan-ins take; in calm nothing else.

        `opener`: the step that is about to open a stream with it.
        """
        kinds = self.traffic
        if number and opener is None and (opener := self.ledger.opener(self.ledger.items[number])):
            opens = self.plan.step[opener].opens
            kinds = [self.plan.step[name].accepts[0] for name in opens] or kinds
        event = self._made(dice.one_of(ACCEPTABLE if dice.rarely() else kinds))
        taken = self.shell.laws.wanted(event, opener, waits=False)
        if taken or (self._may_end() and dice.rarely()):
            return event
        return self._made(Watched)

    def _list(self, dice: Dice, number: DeliveryId) -> object:
        step = self.ledger.items[number].step
        if not self.plan.step[step].returns_list:
            return self._event(dice, number)
        members = [self._event(dice, number, step) for _ in range(dice.below(5))]
        if self._may_end() and dice.rarely():
            members.insert(dice.below(len(members) + 1), self._made(Stop))
        return members

    def _return(self, dice: Dice, number: DeliveryId, value: object) -> None:
        self._hear(stimuli.Returned(self._now(), number, value, bool(dice.below(2))))

    def _fails(self, dice: Dice, number: DeliveryId) -> None:
        """In the time of calm only where it has another attempt, or somebody recovers it."""
        ends, item = self._may_end(), self.ledger.items[number]
        error, final = dice.one_of(ERRORS) if ends else ERRORS[0], ends and dice.rarely()
        if ends or self.shell.laws.after_failure(item, error) != ENDS:
            self._hear(stimuli.Raised(self._now(), number, error, final))

    def _collect(self, dice: Dice, number: DeliveryId) -> None:
        item = self.ledger.items[number]
        given = dice.one_of(parts(item.event) or [Stray()])
        # Few buffers and small batches, so that they get whole and have a surplus.
        kinds = [kind for kind in self.plan.step[item.step].accepts if kind is not Start]
        a, b = [type(given), *kinds][0], [type(given), *kinds][-1]
        expected = dice.one_of([[a, b], [b, a], [a, b, b], [b, a, b], [a], []])
        shape = Shape.of({a: 1, b: 2} if dice.rarely() else expected)
        if dice.rarely():
            given = Stray()
        key = dice.below(2) if dice.rarely() else None
        buffer_id = "other" if dice.rarely() else "default"
        call = stimuli.Contributed(self._now(), number, given, shape, buffer_id, key)
        self._hear(call)
        if dice.rarely():
            self._hear(call)

    def _demands(self) -> list[stimuli.Stimulus]:
        now = self._now()
        return [stimuli.CancelAsked(now), stimuli.Abandoned(now), stimuli.Expired(now)]

    def _decide(self, dice: Dice) -> None:
        now, stop = self._now(), self._made(dice.one_of([Stop, FineStop]))
        moves = self._demands()
        moves.append(stimuli.Sent(now, OUTSIDE, stop, dice.one_of([None, "s0", "nowhere"])))
        if number := self._a_body(dice):
            moves += [
                stimuli.Raised(now, number, dice.one_of(ERRORS)),
                stimuli.Returned(now, number, stop, stays=bool(dice.below(2))),
                stimuli.Sent(now, number, stop),
                stimuli.Returned(now, number, "no event", stays=True),
            ]
        self._hear(dice.one_of(moves))

    def _unwind(self, dice: Dice) -> None:
        """Bodies are cleaned up, and whoever wants the run to end does not look whether it does."""
        for number in [*self.state.running, *self.state.suspended][: 1 + dice.below(3)]:
            now, late = self._now(), self._made(dice.one_of([*self.traffic, Stop]))
            if dice.rarely():
                self._hear(dice.one_of(self._demands()))
            if dice.below(2):
                self._hear(stimuli.Sent(now, number, late))
            ends: list[stimuli.Stimulus] = [
                stimuli.Unwound(now, number),
                stimuli.Raised(now, number, dice.one_of(ERRORS)),
                stimuli.Returned(now, number, None, stays=True),
                stimuli.Returned(now, number, dice.one_of([late, [late, late]])),
            ]
            self._hear(dice.one_of(ends))
        if self.state.running or self.state.suspended:
            self.shell.cannot_hear(stimuli.Settled(self._now()))
        else:
            self._hear(stimuli.Settled(self._now()))
            self._hear(dice.one_of(self._demands()))
            self._stores(dice, OUTSIDE)

    def _stores(self, dice: Dice, number: DeliveryId) -> None:
        values = {dice.one_of("ab"): dice.below(3)}
        removed = tuple("abc"[: dice.below(2)])
        self._hear(stimuli.StoreChanged(self._now(), number, values, removed, dice.rarely()))

    def _repeats(self, dice: Dice) -> None:
        """A body does what it has done in an earlier life, or mostly."""
        for number in [*self.state.running, *self.state.suspended]:
            item = self.ledger.items[number]
            if item.sent < len(item.sends) and dice.below(4):
                known = item.sends[item.sent]
                assert known is not None
                again = copy.copy(known[0])
                self._hear(stimuli.Sent(self._now(), number, again))
            elif item.written < len(item.writes) and dice.below(4):
                again = copy.copy(item.writes[item.written])
                self._hear(stimuli.Wrote(self._now(), number, again))
            elif (shown := [*filter(item.shown.get, item.shown)]) and dice.below(4):
                source = dice.one_of(shown)
                again = copy.copy(dice.one_of(item.shown[source]))
                self._hear(stimuli.Wrote(self._now(), number, again, source))
            elif item.owed and dice.below(4):
                wait = dice.one_of(item.owed)[0]
                name = None if dice.rarely() else wait.waiter_id
                asks, shares = dict(wait.requirements), wait.broadcast
                again = stimuli.WaitBegan(
                    self._now(), number, wait.kind, asks, shares, name, self._made(Watched)
                )
                self._hear(again)

    # ------------------------------------------------------------ one stimulus

    def _now(self) -> float:
        self.age += 1
        return self.age / 4

    def _hear(self, stimulus: stimuli.Stimulus) -> None:
        self.shell.hear(stimulus)
        self._meets(stimulus)

    def _meets(self, stimulus: stimuli.Stimulus) -> None:
        self.met |= {type(stimulus), type(self.state.outcome)}
        self.met.update(map(type, self.shell.latest), map(type, self.shell.effects))


PARTIES: tuple[Callable[..., None], ...] = (
    Machine.workers_come,
    Machine.bodies_work,
    Machine.bodies_wait,
    Machine.bodies_return,
    Machine.bodies_return_lists,
    Machine.bodies_end_badly,
    Machine.time_passes,
    Machine.the_outside_speaks,
    Machine.the_end_comes,
    Machine.the_process_dies,
    Machine.what_cannot_happen_is_reported,
)
UNIONS = (stimuli.Stimulus, records.Record, records.Outcome, effects.Effect)


def test_in_any_order_of_stimuli_every_law_holds():
    """Five times as many runs as other properties have examples: 1000 in CI."""
    run_state_machine_as_test(
        Machine,
        settings=hypothesis.settings(
            max_examples=5 * hypothesis.settings().max_examples,
            stateful_step_count=STEPS,
            report_multiple_bugs=False,
        ),
    )


def test_the_parties_meet_every_class_of_stimulus_record_outcome_and_effect():
    """The same parties, on walks that are always the same, until nothing is left to meet."""
    everything = {kind for union in UNIONS for kind in get_args(union)}
    everything -= {records.Finished}  # of steps that follow one another, and of no events
    Machine.met.clear()
    for seed in range(400):
        random = Random(seed)
        machine = Machine()
        write = braided_plan if seed % 3 else plain_plan
        machine.plan_a_run(write(random.randbytes(ARMFUL)), random.randrange(60), seed % 4 == 3)
        for _ in range(STEPS):
            random.choice(PARTIES)(machine, chance=random.randbytes(HANDFUL))
        machine.teardown()
        if everything <= Machine.met:
            break
    assert everything <= Machine.met, "a rule is too narrow, or nothing leads there any more"
