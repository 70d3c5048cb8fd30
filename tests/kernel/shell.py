"""A shell without an event loop: it tells a kernel what happens, obeys, and watches the laws.

After every stimulus, in every test that goes through it:

Law 1: the state's own invariants hold, and the records so far make an equal state: `decide` has
    touched nothing, `apply` is all there is. What was decided comes first among the records.
Law 2: everything adds up, for each step. What came is queued, running, suspended, due, in a slot of
    a join or with a fan-in, or it has ended; what was emitted to nobody is in the mailbox, unrouted,
    streamed, the answer to a wait, or it ended the run; what was collected is buffered or given.
Law 3: as many workers are on their way as deliveries could start; none is offered what could not.
Law 4: there is one decision, nothing starts after it, and the run is wound up: at once, or when a
    drain has run dry.
Law 5: a run that is quiet has said so: it rests, or it has been decided.
Law 6: effects come from records: a `Begin` from a start, a `Publish` from an event and before it
    is routed, a `Rest` from an idle run. What is refused leaves no record.
Law 7: a wait that is over is resumed once, with its answer, unless its body has ended; a body that
    waits holds no slot.
Law 8: each fan-in of a stream fires once, before the stream closes; a stream closes once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping

import attrs
import pytest

from plait._ids import OUTSIDE, DeliveryId, RunId
from plait._kernel import effects, records, stimuli
from plait._kernel.advance import advance
from plait._kernel.apply import apply
from plait._kernel.collecting import Shape
from plait._kernel.decide import ImpossibleStimulus, decide
from plait._kernel.effects import Effect
from plait._kernel.life import Phase
from plait._kernel.plan import Plan
from plait._kernel.records import Record
from plait._kernel.state import Delivery, RunState
from plait._kernel.stimuli import Stimulus
from plait._kernel.streams import StreamId
from plait._kernel.waits import TIMED_OUT, WaitKey

RUN = RunId("run-1")


def flat(events: Iterable[object]) -> Iterator[object]:
    """What joins and fan-ins are given is a tuple."""
    for event in events:
        if isinstance(event, tuple | list):
            yield from event
        else:
            yield event


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
    stepwise: bool = False
    epoch: float = 0.0
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
    #: By step: the events that came to it, and the deliveries of it that have ended.
    came: Counter[str] = attrs.field(init=False, factory=Counter)
    gone: Counter[str] = attrs.field(init=False, factory=Counter)
    #: The fan-ins that each open stream still owes; what each of them was given.
    owed: dict[StreamId, set[str]] = attrs.field(init=False, factory=dict)
    #: Waits that are open, and those that are over and not resumed, with their answers.
    waiting: set[WaitKey] = attrs.field(init=False, factory=set)
    answered: dict[WaitKey, object] = attrs.field(init=False, factory=dict)
    #: Alarms that have not rung, and bodies that the kernel wants gone.
    alarms: dict[DeliveryId, float] = attrs.field(init=False, factory=dict)
    unwanted: set[DeliveryId] = attrs.field(init=False, factory=set)

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
        was = state.phase, state.outcome
        decided, _ = decide(state, stimulus)
        assert state == self.twin, "law 1: `decide` has touched the state"
        self.latest, todo = advance(state, stimulus)
        kinds = [type(record) for record in self.latest[: len(decided)]]
        assert kinds == [*map(type, decided)], "law 1: decided, and not written"
        self.effects = self._without_echo(stimulus, todo)
        for record in self.latest:
            self._count(record)
            apply(self.twin, record)
        self.twin.touched.clear()
        self.twin.loose.clear()
        self.records += self.latest
        state.check()
        assert state == self.twin, "law 1: the state is not the sum of its records"
        self._adds_up()
        self._waits_add_up()
        self._obey(stimulus)
        self._decided_once(stimulus, *was)
        self._never_silent()
        self._effects_have_a_cause(stimulus, was[0])

    def _without_echo(self, stimulus: Stimulus, todo: Iterable[Effect]) -> list[Effect]:
        """To wind up a run again is to wind it up: only one is kept, unless somebody insists."""
        insists = isinstance(stimulus, stimuli.Expired | stimuli.CancelAsked | stimuli.Abandoned)
        kept: list[Effect] = []
        for effect in todo:
            again = self.wound and not insists
            if effect != effects.Wind() or not (again or effect in kept):
                kept.append(effect)
        return kept

    def _home(self, number: DeliveryId) -> Delivery:
        """A delivery, wherever it was before this record."""
        twin = self.twin
        queued = {d.number: d for step in twin.steps.values() for d in step.queue}
        return {**queued, **twin.due, **twin.suspended, **twin.running}[number]

    def _count(self, record: Record) -> None:
        tally, winding_up = self.tally, self.twin.phase is Phase.WINDING_UP
        match record:
            case records.Completed(_, number, event, _, to, resolves):
                delivery = self._home(number)
                self._left(delivery)
                if isinstance(event, records.Listed):
                    opens = self.plan.step[delivery.step].opens
                    assert event.stream not in self.owed, "law 8: opened twice"
                    self.owed[event.stream] = {*opens}
                elif event is not None:
                    stream = delivery.branch.stream if delivery.branch else None
                    self._came(event, to, resolves, stream, late=winding_up)
            case records.Emitted(_, _, event, _, to, resolves, branch):
                stream = branch.stream if branch else None
                self._came(event, to, resolves, stream, late=winding_up)
            case records.Recovered(_, number, _, event, _, to):
                delivery = self._home(number)
                self._left(delivery)
                stream = delivery.branch.stream if delivery.branch else None
                self._came(event, (to,), (), stream, late=False)
            case records.Failed(_, number) | records.Interrupted(_, number):
                self._left(self._home(number))
            case records.Retrying(_, number):
                self._stopped_waiting(number)
            case records.Dropped(_, numbers, streams):
                for number in numbers:
                    self._left(self._home(number))
                for name, step in self.twin.steps.items():
                    lost = [slot for k in streams for slot in step.joins.get(k, ())]
                    self.came[name] -= sum(map(len, lost))
                for inner in streams[1:]:  # their branches are no more: nothing fires
                    self.owed[inner].clear()
                    for name, arrived in self.twin.streams[inner].gathered.items():
                        tally[name] -= len(arrived)
            case records.Collected():
                tally["collected"] += 1
            case records.Fired(_, stream_id, step, events):
                assert step in self.owed[stream_id], "law 8: it has fired already"
                self.owed[stream_id].remove(step)
                here = self.twin.streams[stream_id].gathered.get(step, [])
                assert [*map(id, events)] == [*map(id, self._batch(stream_id, step))]
                tally[step] -= len(here)
                self.came[step] += 1
            case records.StreamClosed(_, stream_id):
                assert not self.owed.pop(stream_id), "law 8: closed before a fan-in has fired"
            case records.Waited(_, wait):
                self.waiting.add(wait.key)
            case records.Answered(_, wait, letter, event):
                assert self.twin.mailbox[letter][1] is event, "law 2: another letter"
                tally["mailbox"] -= 1
                if wait.delivery in self.twin.suspended:  # it needs a slot first
                    self.answered[wait.key] = event
            case records.WaitEnded(_, key):
                self.waiting.remove(key)
                self.answered[key] = TIMED_OUT
            case records.Resumed(_, key):
                answer = self.answered.pop(key)
                given = [e.event for e in self.effects if e == effects.Resume(key, answer)]
                assert [*map(id, given)] == [id(answer)], "law 7: resumed with something else"
            case _:
                pass

    def _batch(self, stream_id: StreamId, step: str) -> list[object]:
        """What a fan-in is to be given, in its order, if it is its time."""
        gather, stream = self.plan.step[step].gather, self.twin.streams[stream_id]
        assert gather
        here = stream.gathered.get(step, [])
        whole = gather.take is not None and len(here) >= gather.take
        assert whole or not stream.live, "law 8: it has fired too early"
        taken = here[: gather.take]
        if gather.by_input:
            taken = sorted(taken, key=lambda kept: kept.index)
        return [kept.event for kept in taken]

    def _left(self, delivery: Delivery) -> None:
        self.gone[delivery.step] += 1
        self._stopped_waiting(delivery.number)

    def _stopped_waiting(self, number: DeliveryId) -> None:
        self.waiting = {key for key in self.waiting if key[0] != number}
        self.answered = {k: answer for k, answer in self.answered.items() if k[0] != number}

    def _came(
        self,
        event: object,
        to: Iterable[str],
        resolves: Iterable[WaitKey],
        stream: StreamId | None,
        *,
        late: bool,
    ) -> None:
        """An event was accepted: count where it goes."""
        for key in resolves:
            self.waiting.remove(key)
            self.answered[key] = event
        for name in to:
            if self.plan.step[name].gather is None:
                self.came[name] += 1
            elif stream is not None and name in self.owed.get(stream, ()):
                self.tally[name] += 1
        if not to:
            for one in event if isinstance(event, list) else [event]:
                self.tally[self._fate(one, late=late, answers=bool([*resolves]))] += 1

    def _fate(self, event: object, *, late: bool, answers: bool) -> str:
        route = self.plan.routes[type(event)]
        if route.stops:
            return "stopped"
        if late:
            return "unrouted"
        if answers:
            return "answered"
        awaited = any(
            type(event) is kind or (subclasses and isinstance(event, kind))
            for kind, subclasses in self.twin.awaited
        )
        if route.answers or awaited:
            return "mailbox"
        assert route.observable, "law 2: an event was dropped"
        return "streamed"

    def _adds_up(self) -> None:
        state, tally = self.state, self.tally
        here: Counter[str] = Counter(
            d.step for place in (state.running, state.suspended, state.due) for d in place.values()
        )
        for name, step in state.steps.items():
            here[name] += len(step.queue)
            deliveries = here[name] + self.gone[name]
            slotted = [kept for slots in step.joins.values() for slot in slots for kept in slot]
            wants = len(step.plan.slots) or 1
            assert self.came[name] == len(slotted) + wants * deliveries, (
                f"law 2: {name!r} has lost a delivery"
            )
            if step.plan.gather is not None:
                gathered = sum(len(s.gathered.get(name, ())) for s in state.streams.values())
                assert tally[name] == gathered, f"law 2: {name!r} has lost an event"
        buffered = sum(
            len(queue)
            for step in state.steps.values()
            for buffer in step.buffers.values()
            for queue in buffer.have.values()
        )
        assert tally["mailbox"] == len(state.mailbox), "law 2: an answer was lost"
        assert tally["unrouted"] == len(state.unrouted), "law 2: a late event was lost"
        for effect in self.effects:
            if isinstance(effect, effects.Give) and self.latest:
                tally["given"] += len(effect.batch)
        assert tally["collected"] == buffered + tally["given"], "law 2: a batch is not what came"
        self._reports_what_is_left()

    def _reports_what_is_left(self) -> None:
        state = self.state
        left = [event for _, event in (*state.mailbox, *state.unrouted)]
        left += [delivery.event for delivery in state.due.values()]
        for step in state.steps.values():
            left += [delivery.event for delivery in step.queue]
            left += [answer for _, answer in step.resuming if answer is not TIMED_OUT]
            for buffer in step.buffers.values():
                left += [event for queue in buffer.have.values() for _, event in queue]
            for slots in step.joins.values():
                left += [kept.event for slot in slots for kept in slot]
        for stream in state.streams.values():
            left += [kept.event for arrived in stream.gathered.values() for kept in arrived]
        reported = Counter(id(event) for event in state.undelivered)
        assert reported == Counter(map(id, flat(left))), (
            f"law 2: dropped: {left} {state.undelivered}"
        )

    def _waits_add_up(self) -> None:
        state = self.state
        assert {*state.waits} == self.waiting, "law 7: another waits"
        resuming = [key for step in state.steps.values() for key, _ in step.resuming]
        assert sorted(resuming) == sorted(self.answered), "law 7: an answer was lost"
        for number, delivery in state.suspended.items():
            assert delivery.worker == -1, "law 7: a body that waits holds a slot"
            assert number not in state.running
            mine = [key for key in (*self.waiting, *self.answered) if key[0] == number]
            assert mine, "law 7: suspended, and waits for nothing"

    def _obey(self, stimulus: Stimulus) -> None:
        if isinstance(stimulus, stimuli.Ready):
            self.offers[stimulus.step] -= 1
        for effect in self.effects:
            match effect:
                case effects.Offer(step):
                    self.offers[step] += 1
                    assert self.state.startable(self.state.steps[step]), (
                        f"law 3: {step!r} has nothing to start"
                    )
                case effects.Publish(event):
                    self.stream.append(event)
                case effects.Alarm(delivery, at):
                    assert at >= stimulus.now
                    self.alarms[delivery] = at
                case effects.Interrupt(deliveries):
                    executing = {*self.state.running, *self.state.suspended}
                    assert {*deliveries} <= executing, "law 6: interrupted, and not executing"
                    self.unwanted |= {*deliveries}
                case effects.Wind():
                    self.wound = True
                case _:
                    pass
        offered = {name: step.offered for name, step in self.state.steps.items()}
        assert offered == {name: self.offers[name] for name in offered}, "law 3: offers lost count"
        if self.state.phase is not Phase.GOING:
            assert not any(isinstance(effect, effects.Offer) for effect in self.effects), (
                "law 4: an offer after the decision"
            )
            return
        for name, step in self.state.steps.items():
            assert self.state.startable(step) <= self.offers[name], (
                f"law 3: nobody comes for step {name!r}"
            )

    def _decided_once(self, stimulus: Stimulus, phase: Phase, outcome: object) -> None:
        state = self.state
        if phase in {Phase.WINDING_UP, Phase.OVER}:
            assert state.outcome is outcome, "law 4: the first decision stands"
            begins = records.Started | records.Resumed | records.Fired | records.Decided
            assert not any(isinstance(record, begins) for record in self.latest)
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

    def _never_silent(self) -> None:
        state = self.state
        idled = any(isinstance(record, records.Idled) for record in self.latest)
        assert idled == (effects.Rest() in self.effects), "law 6: a rest is a record and an effect"
        quiet = state.phase is Phase.GOING and not state.busy
        assert idled == (quiet and bool(self.latest)), "law 5: a quiet run says so, and no other"
        assert not quiet or state.waits or self.plan.asks, "law 5: silence"
        assert state.idle == quiet

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
            published = [e.event for e in self.effects if isinstance(e, effects.Publish)]
            assert published == [*self._for_the_stream(stimulus)], (
                "law 6: published is what was emitted for the stream"
            )
            first = self.effects[: len(published)]
            assert all(isinstance(e, effects.Publish) for e in first), "law 6: routed before that"

    def _for_the_stream(self, stimulus: Stimulus) -> Iterator[object]:
        for record in self.latest:
            match record:
                case records.Streamed(_, _, event):
                    yield event
                case records.Emitted(_, _, event) | records.Completed(_, _, event):
                    route = self.plan.routes[type(event)]
                    if route.observable and not route.stops:
                        yield event
                case records.Waited():
                    assert isinstance(stimulus, stimuli.WaitBegan)
                    if stimulus.question is not None:
                        yield stimulus.question
                case _:
                    pass

    def cannot_hear(self, stimulus: Stimulus) -> None:
        """Tell the kernel what cannot have happened: it raises, and changes nothing."""
        with pytest.raises(ImpossibleStimulus):
            advance(self.state, stimulus)
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

    def writes(self, event: object, *, by: int = OUTSIDE) -> None:
        """Write an event to the stream."""
        self.hear(stimuli.Wrote(self.now, DeliveryId(by), event))
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
