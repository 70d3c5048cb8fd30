"""A shell without an event loop: it tells a kernel what happens, obeys, and watches the laws.

After every stimulus, in every test that goes through it:

Law 1: the state's own invariants hold, and the records so far make an equal state: `decide` has
    touched nothing, `apply` is all there is.
Law 2: everything adds up. An event that was emitted is queued, running, ended, in the mailbox,
    unrouted, streamed, or it ended the run; what was collected is buffered or was given.
Law 3: as many workers are on their way as deliveries could start; no step is offered twice by one
    stimulus, nor where nothing could start.
Law 4: there is one decision, nothing starts after it, and the run is wound up: at once, or when a
    drain has run dry.
Law 5: a run that is quiet has said so: it rests, or it has been decided.
Law 6: effects come from records: a `Begin` from a start, a `Publish` from an event and before it
    is routed, a `Rest` from an idle run. What is refused leaves no record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping

import attrs
import pytest

from plait._ids import OUTSIDE, DeliveryId, RunId
from plait._kernel import effects, records, stimuli
from plait._kernel.apply import apply
from plait._kernel.collecting import Shape
from plait._kernel.decide import ImpossibleStimulus, decide
from plait._kernel.effects import Effect
from plait._kernel.life import Phase
from plait._kernel.plan import Plan
from plait._kernel.records import Record
from plait._kernel.state import RunState
from plait._kernel.stimuli import Stimulus

RUN = RunId("run-1")


def replay(plan: Plan, journal: Iterable[Record]) -> RunState:
    """Recover a run: a loop over its records."""
    state = RunState(plan, RUN)
    for record in journal:
        apply(state, record)
    return state


@attrs.define(eq=False)
class Shell:
    """One run of a plan, and all that happened in it."""

    plan: Plan
    now: float = 0.0
    state: RunState = attrs.field(init=False)
    #: Made from the records alone.
    twin: RunState = attrs.field(init=False)
    heard: list[Stimulus] = attrs.field(init=False, factory=list)
    records: list[Record] = attrs.field(init=False, factory=list)
    #: What the last stimulus led to.
    latest: list[Record] = attrs.field(init=False, factory=list)
    effects: list[Effect] = attrs.field(init=False, factory=list)
    #: What was streamed, in order.
    stream: list[object] = attrs.field(init=False, factory=list)
    #: Offers that no worker has answered yet, by step.
    offers: Counter[str] = attrs.field(init=False, factory=Counter)
    wound: bool = attrs.field(init=False, default=False)
    #: Where each event went, counted from the records.
    tally: Counter[str] = attrs.field(init=False, factory=Counter)

    def __attrs_post_init__(self) -> None:
        self.state = RunState(self.plan, RUN)
        self.twin = RunState(self.plan, RUN)

    # ------------------------------------------------------------ one stimulus

    def hear(self, stimulus: Stimulus) -> list[Effect]:
        """Tell the kernel, do what it says, and watch the laws."""
        self.heard.append(stimulus)
        try:
            self._hear(stimulus)
        except AssertionError as error:
            error.add_note("\n".join(["after", *(f"  {s}" for s in self.heard[-60:])]))
            raise
        return self.effects

    def _hear(self, stimulus: Stimulus) -> None:
        state = self.state
        was = state.phase, state.outcome, state.busy
        made, todo = decide(state, stimulus)
        assert state == self.twin, "law 1: `decide` has touched the state"
        self.latest, self.effects = [*made], [*todo]
        for record in self.latest:
            apply(state, record)
            apply(self.twin, record)
            self._count(record)
        self.records += self.latest
        state.check()
        assert state == self.twin, "law 1: the state is not the sum of its records"
        self._adds_up()
        self._obey(stimulus)
        self._decided_once(stimulus, *was)
        self._never_silent(*was)
        self._effects_have_a_cause(stimulus, was[0])

    def _count(self, record: Record) -> None:
        tally = self.tally
        match record:
            case records.Started():
                tally["started"] += 1
            case records.Completed() | records.Failed() | records.Interrupted():
                tally["ended"] += 1
            case records.Collected():
                tally["collected"] += 1
            case _:
                pass
        if isinstance(record, records.Emitted | records.Completed) and record.event is not None:
            assert record.first == self.tally["accepted"] + 1, "law 2: a number twice, or left out"
            tally["accepted"] += len(record.to)
            if not record.to:
                tally[self._fate(record.event)] += 1

    def _fate(self, event: object) -> str:
        route = self.plan.routes[type(event)]
        if route.stops:
            return "stopped"
        if self.state.phase is Phase.WINDING_UP:
            return "unrouted"
        if route.answers:
            return "mailbox"
        assert route.observable, "law 2: an event was dropped"
        return "streamed"

    def _adds_up(self) -> None:
        state, tally = self.state, self.tally
        queued = sum(len(step.queue) for step in state.steps.values())
        buffered = sum(
            len(queue)
            for step in state.steps.values()
            for buffer in step.buffers.values()
            for queue in buffer.have.values()
        )
        assert tally["accepted"] == state.next_delivery - 1
        assert tally["accepted"] == queued + tally["started"], "law 2: a delivery was lost"
        assert tally["started"] == len(state.running) + tally["ended"]
        assert tally["mailbox"] == len(state.mailbox), "law 2: an answer was lost"
        assert tally["unrouted"] == len(state.unrouted), "law 2: a late event was lost"
        for effect in self.effects:
            if isinstance(effect, effects.Give) and self.latest:
                tally["given"] += len(effect.batch)
        assert tally["collected"] == buffered + tally["given"], "law 2: a batch is not what came"
        left = queued + buffered + tally["mailbox"] + tally["unrouted"]
        assert len(state.undelivered) == left, "law 2: an event was dropped in silence"

    def _obey(self, stimulus: Stimulus) -> None:
        if isinstance(stimulus, stimuli.Ready) and self.offers[stimulus.step]:
            self.offers[stimulus.step] -= 1
        offered = [effect.step for effect in self.effects if isinstance(effect, effects.Offer)]
        assert len(offered) == len({*offered}), "law 3: one stimulus offered a step twice"
        for effect in self.effects:
            if isinstance(effect, effects.Publish):
                self.stream.append(effect.event)
            if isinstance(effect, effects.Wind):
                self.wound = True
        self.offers.update(offered)
        if self.state.phase is not Phase.GOING:
            assert not offered, "law 4: an offer after the decision"
            return
        for name, step in self.state.steps.items():
            assert step.startable <= self.offers[name], f"law 3: nobody comes for step {name!r}"
            assert name not in offered or step.startable, f"law 3: {name!r} has nothing to start"

    def _decided_once(self, stimulus: Stimulus, phase: Phase, outcome: object, _busy: int) -> None:
        state = self.state
        if phase in {Phase.WINDING_UP, Phase.OVER}:
            assert state.outcome is outcome, "law 4: the first decision stands"
            assert not any(isinstance(r, records.Started | records.Decided) for r in self.latest)
        if state.phase is Phase.WINDING_UP:
            drains = self.plan.on_stop == "drain" and isinstance(state.outcome, records.Stopped)
            demanded = isinstance(
                stimulus, stimuli.Expired | stimuli.CancelAsked | stimuli.Abandoned
            )
            if drains and state.running and not demanded:
                assert effects.Wind() not in self.effects, "law 4: a drain is cut short"
            else:
                assert self.wound, "law 4: nobody winds the run up"
        else:
            assert not self.wound or state.phase is Phase.OVER, "law 4: wound up, not decided"

    def _never_silent(self, phase: Phase, _outcome: object, busy: int) -> None:
        state = self.state
        idled = any(isinstance(record, records.Idled) for record in self.latest)
        assert idled == (effects.Rest() in self.effects), "law 6: a rest is a record and an effect"
        became_quiet = phase is Phase.GOING is state.phase and busy > 0 == state.busy
        assert idled == became_quiet, "law 5: a quiet run says so, and no other"
        assert state.phase is not Phase.GOING or state.busy or self.plan.asks, "law 5: silence"

    def _effects_have_a_cause(self, stimulus: Stimulus, phase: Phase) -> None:
        assert all(record.at == stimulus.now for record in self.latest)
        started = [r.delivery for r in self.latest if isinstance(r, records.Started)]
        begun = [e.delivery for e in self.effects if isinstance(e, effects.Begin)]
        assert started == begun, "law 6: begun is what was started"
        assert len(begun) <= 1
        if any(isinstance(effect, effects.Refuse) for effect in self.effects):
            assert not self.latest
            assert len(self.effects) == 1, "law 6: a refusal changes nothing"
        if phase is Phase.GOING:
            emitted = [
                record.event
                for record in self.latest
                if isinstance(record, records.Emitted | records.Completed | records.Streamed)
                and (isinstance(record, records.Streamed) or self._is_streamed(record.event))
            ]
            published = [e.event for e in self.effects if isinstance(e, effects.Publish)]
            assert published == emitted, "law 6: published is what was emitted for the stream"
            first = self.effects[: len(published)]
            assert all(isinstance(e, effects.Publish) for e in first), "law 6: routed before that"

    def _is_streamed(self, event: object) -> bool:
        route = self.plan.routes[type(event)]
        return route.observable and not route.stops

    def cannot_hear(self, stimulus: Stimulus) -> None:
        """Tell the kernel what cannot have happened: it raises, and changes nothing."""
        with pytest.raises(ImpossibleStimulus):
            decide(self.state, stimulus)
        assert self.state == self.twin, f"{stimulus} has changed something"

    def replays(self) -> None:
        """Make the state anew from the records."""
        again = replay(self.plan, self.records)
        assert again == self.state
        # Equality does not tell events apart.
        assert [*map(id, again.undelivered)] == [*map(id, self.state.undelivered)]

    # ------------------------------------------------------------ for tests that tell a story

    def open(self, event: object) -> None:
        """Begin the run."""
        self.hear(stimuli.Opened(self.now, event))

    def comes(self, step: str) -> DeliveryId | None:
        """Let a worker come; the delivery that it begins on."""
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
            event = self.state.running[DeliveryId(delivery)].event
        self.hear(
            stimuli.Contributed(
                self.now, DeliveryId(delivery), event, Shape.of(expected), buffer_id, key
            )
        )
        self._raise_refusal()
        return next((e.batch for e in self.effects if isinstance(e, effects.Give)), None)

    def writes(self, event: object, *, by: int = OUTSIDE) -> None:
        """Write an event to the stream."""
        self.hear(stimuli.Wrote(self.now, DeliveryId(by), event))
        self._raise_refusal()

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
