"""A shell without an event loop: it tells a kernel what happens, and has the laws watched.

Whatever a test tells it, each stimulus is decided, its records make a second state, and `Laws` looks at
both. A failure shows the plan and all stimuli, as what one can paste into a test.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping

import attrs
import pytest

from plait._ids import OUTSIDE, DeliveryId
from plait._kernel import effects, records, stimuli
from plait._kernel.advance import advance, at_length
from plait._kernel.apply import apply
from plait._kernel.collecting import Shape
from plait._kernel.decide import ImpossibleStimulus
from plait._kernel.effects import Effect
from plait._kernel.fold import fold
from plait._kernel.keeping import KEEPING, Keep
from plait._kernel.life import Phase
from plait._kernel.plan import Plan, StepPlan
from plait._kernel.records import Record
from plait._kernel.state import Delivery, RunState
from plait._kernel.stimuli import Stimulus
from plait._kernel.waits import WaitKey
from tests.kernel.laws import DEMANDS, RUN, Impossible, Laws

#: What `advance` may have a short cut for.
SHORTENED = (stimuli.Returned, stimuli.Sent, stimuli.Contributed, stimuli.Wrote)


#: A run is cut after each of so many stimuli, then after one in twelve, and no more when it is long.
EARLY, LONG = 16, 400


def replay(plan: Plan, journal: Iterable[Record]) -> RunState:
    """Recover a run: a loop over its records."""
    return fold(RunState(plan, RUN), journal)


def _briefly(step: StepPlan) -> str:
    """A step without what is left at its default."""
    told = {field.name: (field, getattr(step, field.name)) for field in attrs.fields(StepPlan)}
    given = [f"{n}={v!r}" for n, (f, v) in told.items() if f.init and v != f.default]
    return f"StepPlan({', '.join(given)})"


@attrs.define(eq=False)
class Shell:
    """One run of a plan, and all that happened in it."""

    plan: Plan
    now: float = 0.0
    stepwise: bool = False
    epoch: float = 0.0
    state: RunState = attrs.field(init=False)
    #: Made from the records alone.
    twin: RunState = attrs.field(init=False)
    #: It goes the long way where there is a short cut.
    plodder: RunState = attrs.field(init=False)
    laws: Laws = attrs.field(init=False)
    heard: list[Stimulus] = attrs.field(init=False, factory=list)
    records: list[Record] = attrs.field(init=False, factory=list)
    #: What the last stimulus led to.
    latest: list[Record] = attrs.field(init=False, factory=list)
    effects: list[Effect] = attrs.field(init=False, factory=list)
    #: What was streamed, in order.
    stream: list[object] = attrs.field(init=False, factory=list)
    #: Alarms that have not rung, and bodies that the kernel wants gone.
    alarms: dict[DeliveryId, float] = attrs.field(init=False, factory=dict)
    unwanted: set[DeliveryId] = attrs.field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        self.state = RunState(self.plan, RUN)
        self.twin = RunState(self.plan, RUN)
        self.twin.remembers = self.twin.folding = True
        self.plodder = RunState(self.plan, RUN)
        self.laws = Laws(self.plan)

    # ------------------------------------------------------------ one stimulus

    def hear(self, stimulus: Stimulus) -> list[Effect]:
        """Tell the kernel, do what it says, and watch the laws.

        Raises:
            ImpossibleStimulus: As the laws expect it; nothing has changed.
        """
        self.heard.append(stimulus)
        try:
            self._hear(stimulus)
        except ImpossibleStimulus:
            self.heard.pop()
            raise
        except Exception as error:
            error.add_note(self.story())
            raise
        return self.effects

    def _hear(self, stimulus: Stimulus) -> None:
        state, laws = self.state, self.laws
        laws.ledger.has_sends = state.remembers
        impossible = laws.expect(stimulus) is Impossible
        try:
            self.latest, todo = advance(state, stimulus)
        except ImpossibleStimulus:
            assert impossible, "it can happen"
            assert state == self.twin, "law 1: what cannot happen has changed something"
            raise
        assert not impossible, "it cannot happen"
        self._plod(stimulus, todo)
        self.effects = self._without_echo(stimulus, todo)
        for record in self.latest:
            apply(self.twin, record)
        self.twin.touched.clear()
        self.twin.loose.clear()
        self.records += self.latest
        state.check()
        assert state == self.twin, "law 1: the state is not the sum of its records"
        laws.watch(stimulus, self.latest, self.effects, state)
        self._obey()
        age = len(self.heard)
        if age < EARLY or (age % 12 == 0 and len(self.records) < LONG):
            self._can_be_taken_up()

    def _plod(self, stimulus: Stimulus, todo: list[Effect]) -> None:
        """Law 13: a short cut leads where the long way leads."""
        if isinstance(stimulus, SHORTENED):
            plodded, short = at_length(self.plodder, stimulus), (self.latest, todo)
            # Or as texts: each way makes exceptions of its own.
            assert plodded == short or repr(plodded) == repr(short), "law 13: no short cut"
        else:
            for record in self.latest:
                apply(self.plodder, record)
            for changed in (self.plodder.touched, self.plodder.loose, self.plodder.answered):
                changed.clear()
            for name, step in self.state.steps.items():
                self.plodder.steps[name].offered = step.offered

    def _can_be_taken_up(self) -> None:
        """Law 14: the process dies here."""
        if self.state.phase in {Phase.NEW, Phase.OVER}:
            return
        again = replay(self.plan, self.records)
        assert again == self.state, "law 14: the records make another state"
        before = again.undelivered
        executing = sorted([*again.running, *again.suspended])
        due = {number: d.trouble.due for number, d in again.due.items() if d.trouble}
        reopened = stimuli.TakenUp(self.now, again.epoch - 8.0, self.stepwise)
        written, todo = advance(again, reopened)
        again.check()
        left = [*again.running, *again.suspended, *again.waits]
        assert not left, "law 14: a body is left"
        let_go = any(isinstance(record, records.Dropped) for record in written)
        if again.phase is Phase.GOING and not let_go:
            still = {*map(id, again.undelivered)}
            assert {*map(id, before)} <= still, "law 14: an event was lost"
        self._goes_on(again, executing, due, written, todo)
        needed = [r for r in self.records if KEEPING[type(r)] is not Keep.NOTE]
        without = replay(self.plan, needed)
        assert advance(without, reopened) == (written, todo), "law 14: a note was missed"
        assert without == again, "law 14: a note was missed"
        whole = replay(self.plan, [*self.records, *written])
        assert whole == again, "law 14: the records make another state"

    def _goes_on(
        self,
        again: RunState,
        executing: list[DeliveryId],
        due: dict[DeliveryId, float],
        written: list[Record],
        todo: list[Effect],
    ) -> None:
        """Law 14: who runs again, and what the shell is told."""
        assert isinstance(written[0], records.Reopened)
        queued = {d.number for step in again.steps.values() for d in step.queue}
        dropped = {n for r in written if isinstance(r, records.Dropped) for n in r.deliveries}
        ended = {r.delivery for r in written if isinstance(r, records.Interrupted)}
        assert {*executing} <= queued | dropped | ended, "law 14: a body is forgotten"
        asked = Counter(e.step for e in todo if isinstance(e, effects.Offer))
        if again.phase is Phase.GOING:
            rung = {e.delivery: e.at for e in todo if isinstance(e, effects.Alarm)}
            assert rung == {n: at + 8.0 for n, at in due.items()}, "law 14: a retry is forgotten"
            assert not ended, "law 14: a body does not run again"
        elif again.draining and again.drains_again:
            if not self.state.drains_again:
                assert queued | ended == {*executing}, "law 14: what was queued starts in a drain"
            assert asked or (effects.Wind() in todo), "law 14: nobody ends the drain"
        else:
            assert effects.Wind() in todo, "law 14: nobody winds the run up"
            assert not asked, "law 14: a decided run goes on"
        for name, step in again.steps.items():
            if again.phase is Phase.GOING:
                numbers = [d.number for d in step.queue]
                mine = [number for number in numbers if number in executing]
                assert numbers[: len(mine)] == sorted(mine), "law 14: not before the others"
                startable = again.startable(step)
                assert asked[name] == startable, "law 14: nobody is offered a delivery"

    def dies(self, now: float | None = None, epoch: float | None = None) -> stimuli.TakenUp:
        """The process ends without a word; another one takes the run up from its records."""
        self.state = replay(self.plan, self.records)
        self.plodder = replay(self.plan, self.records)
        self.alarms.clear()
        self.unwanted.clear()
        self.now = self.now if now is None else now
        self.epoch = self.epoch if epoch is None else epoch
        taken_up = stimuli.TakenUp(self.now, self.epoch, self.stepwise)
        self.hear(taken_up)
        return taken_up

    def _without_echo(self, stimulus: Stimulus, todo: Iterable[Effect]) -> list[Effect]:
        """To wind up a run again is to wind it up: only one is kept, unless somebody insists."""
        insists = isinstance(stimulus, (*DEMANDS, stimuli.TakenUp))
        kept: list[Effect] = []
        for effect in todo:
            again = self.laws.wound and not insists
            if effect != effects.Wind() or not (again or effect in kept):
                kept.append(effect)
        return kept

    def story(self) -> str:
        """The plan and what was heard, to be read, and to be pasted into a test."""
        steps = ",\n    ".join(map(_briefly, self.plan.steps))
        heard = "".join(f"\n    {stimulus}," for stimulus in self.heard)
        text = f"plan(\n    {steps},\n    on_stop={self.plan.on_stop!r},\n)\nheard = [{heard}\n]"
        return re.sub(r"<class '[\w.]*?(\w+)'>", r"\1", text)

    def _obey(self) -> None:
        for effect in self.effects:
            match effect:
                case effects.Publish(event):
                    self.stream.append(event)
                case effects.Alarm(delivery, at):
                    self.alarms[delivery] = at
                case effects.Interrupt(deliveries):
                    self.unwanted |= {*deliveries}
                case _:
                    pass

    def cannot_hear(self, stimulus: Stimulus) -> None:
        """Tell the kernel what cannot have happened: it raises, and changes nothing."""
        with pytest.raises(ImpossibleStimulus):
            self.hear(stimulus)

    def replays(self) -> None:
        """Make the state and the stream anew from the records."""
        stream: list[object] = []
        again = fold(RunState(self.plan, RUN), self.records, stream.append)
        assert again == self.state
        assert [*map(id, stream)] == [*map(id, self.stream)], "law 14: another stream"
        # Equality does not tell events apart.
        assert [*map(id, again.undelivered)] == [*map(id, self.state.undelivered)]

    @property
    def offers(self) -> Counter[str]:
        """Workers that are on their way, by step."""
        return self.laws.offers

    # ------------------------------------------------------------ for tests that tell a story

    def open(self, event: object) -> None:
        """Begin the run."""
        self.hear(stimuli.Opened(self.now, event, self.epoch, self.stepwise))

    def comes(self, step: str) -> DeliveryId | None:
        """Let a worker come, if one was asked for; the delivery that it begins on."""
        self.latest, self.effects = [], []
        if self.offers[step] < 1:
            return None
        self.hear(stimuli.Ready(self.now, step))
        return self.begun

    def returns(self, delivery: int, value: object, *, stays: bool = False) -> DeliveryId | None:
        """Let a body return; the delivery that its worker begins on next."""
        self.hear(stimuli.Returned(self.now, DeliveryId(delivery), value, stays))
        return self.begun

    def raises(self, delivery: int, error: BaseException) -> None:
        """Let a body raise."""
        self.hear(stimuli.Raised(self.now, DeliveryId(delivery), error))

    def unwinds(self, delivery: int) -> None:
        """Let a cancelled body end."""
        self.hear(stimuli.Unwound(self.now, DeliveryId(delivery)))

    def sends(self, event: object, step: str | None = None, *, by: int = OUTSIDE) -> None:
        """Send an event; what is refused is raised, as in a real shell."""
        self.hear(stimuli.Sent(self.now, DeliveryId(by), event, step))
        self._raise_refusal()

    def collects(
        self,
        delivery: int,
        expected: Iterable[type] | Mapping[type, int],
        buffer_id: str = "default",
        key: Hashable = None,
        event: object = None,
    ) -> tuple[object, ...] | None:
        """Give a delivery's input to a collection; the batch, if that completes it."""
        if event is None:
            event = self.body(delivery).event
        self.hear(
            stimuli.Contributed(
                self.now, DeliveryId(delivery), event, Shape.of(expected), buffer_id, key
            )
        )
        self._raise_refusal()
        return next((e.batch for e in self.effects if isinstance(e, effects.Give)), None)

    def writes(self, event: object, *, by: int = OUTSIDE, source: str = "") -> None:
        """Write an event to the stream; or a run inside shows it."""
        self.hear(stimuli.Wrote(self.now, DeliveryId(by), event, source))
        self._raise_refusal()

    def waits(
        self,
        delivery: int,
        kind: type,
        question: object = None,
        waiter_id: str | None = None,
        *,
        broadcast: bool = False,
        **requirements: object,
    ) -> WaitKey:
        """Let a body wait for an event; the wait."""
        number = DeliveryId(delivery)
        key = (number, self.body(number).waits)
        self.hear(
            stimuli.WaitBegan(self.now, number, kind, requirements, broadcast, waiter_id, question)
        )
        return key

    def expires(self, wait: WaitKey) -> None:
        """Let a wait have taken too long."""
        self.hear(stimuli.WaitExpired(self.now, wait))

    def rings(self, delivery: int) -> None:
        """Let the time of a retry come."""
        self.now = max(self.now, self.alarms.pop(DeliveryId(delivery), 0.0))
        self.hear(stimuli.Due(self.now, DeliveryId(delivery)))

    def works(self, step: str, *values: object) -> list[DeliveryId]:
        """Let workers come to a step, one after the other, and each body return its value."""
        numbers = []
        for value in values:
            number = self.comes(step)
            assert number, f"nothing to do for {step!r}"
            numbers.append(number)
            self.returns(number, value)
        return numbers

    def body(self, delivery: int) -> Delivery:
        """A delivery whose body is executing."""
        number = DeliveryId(delivery)
        return self.state.running.get(number) or self.state.suspended[number]

    def resumed(self) -> list[tuple[WaitKey, object]]:
        """The waits that the last stimulus resumed, and their answers."""
        return [(e.wait, e.event) for e in self.effects if isinstance(e, effects.Resume)]

    def settles(self) -> None:
        """Report that nothing is left."""
        self.hear(stimuli.Settled(self.now))

    @property
    def begun(self) -> DeliveryId | None:
        """The delivery that the last stimulus began."""
        return next((e.delivery for e in self.effects if isinstance(e, effects.Begin)), None)

    def queue(self, step: str) -> list[DeliveryId]:
        """The numbers that wait, the oldest first."""
        return [delivery.number for delivery in self.state.steps[step].queue]

    def _raise_refusal(self) -> None:
        for effect in self.effects:
            if isinstance(effect, effects.Refuse):
                raise effect.error
