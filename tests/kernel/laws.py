"""The laws of a run, watched after every stimulus of every test that goes through a `Shell`.

Law 1, one mutator: the state is the sum of its records, and its own invariants hold.
Law 2, nothing is lost: each accepted event is at any time in exactly one place, queued, running,
    waiting, due, in a slot, gathered, in the mailbox; or it has come to its end. What has reached
    no body and no batch is reported as undelivered, the oldest first.
Law 3, order: the bodies of a step begin in the order of its queue, on the lowest free worker, never
    more than it has; who has waited comes first. In a stepwise run one body runs at a time, if it
    was asked for, and it is the lowest number at the head of a queue.
Law 4, no wake-up is lost: as many workers are on their way as deliveries could start, none in vain.
Law 5, routing: an event goes to every step that takes it. What nobody takes is refused to whoever
    sent it, and fails the body that returned it.
Law 6, waits: an event answers the oldest wait that wants it alone, and all that share it. A wait has
    one answer and is resumed once. A body that waits holds no slot.
Law 7, streams: each fan-in fires once, at its n-th event or when every branch has ended, before its
    stream closes; streams of cancelled branches end without. What `cancel_rest` cancels is gone.
Law 8, failures: a policy that knows more gives the next attempt after its delay; then a handler, no
    more often on one line of descent than it may; then a fan-in; then the run fails.
Law 9, the end: there is one decision, and nothing goes on after it. The run is wound up, at once or
    when a drain has run dry.
Law 10, collecting: a batch has what it wants, the oldest first; who asks again is told the same.
Law 11, quiet: when nothing is queued, running or due, the same stimulus says that the run is idle, or
    that it is stalled, and never both.
Law 12, effects come from records, and nothing from what is refused.
Law 13, a short cut leads where the long way leads. (`Shell` goes both.)
Law 14, another life: wherever the process dies, the records so far make the same state, and another
    process can take the run up. Bodies that were executing run again, before what is queued, and
    nobody else; what they had sent is not sent twice, what they were answered they are answered
    again, and notes are not missed. (`Shell` tries it after every stimulus.)

The ledger raises when a record breaks one of them; what is left is here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from math import inf
from typing import TypeAlias

import attrs

from plait._errors import PlaitInternalError
from plait._ids import RunId
from plait._kernel import effects, records, stimuli
from plait._kernel.collecting import BufferKey
from plait._kernel.effects import Effect
from plait._kernel.life import Phase
from plait._kernel.memory import UNANSWERED, Memory, Reply
from plait._kernel.plan import Plan
from plait._kernel.records import Record
from plait._kernel.refusals import Over, Refusal
from plait._kernel.state import RunState
from plait._kernel.stimuli import Stimulus
from plait._kernel.streams import Branch
from plait._kernel.waits import WaitKey
from tests.kernel.ledger import Item, Ledger, Place, ids
from tests.kernel.strategies import Event, Patience, Stop, Watched

DEMANDS = (stimuli.Expired, stimuli.CancelAsked, stimuli.Abandoned)
#: What may follow from any stimulus.
FOLLOWS = (
    records.Resumed,
    records.Fired,
    records.Met,
    records.Dropped,
    records.StreamClosed,
    records.Idled,
    records.Decided,
)
#: Every run of these tests.
RUN = RunId("run-1")
#: Effects that a record calls for, each the one or the other.
CALLED_FOR = (
    effects.Begin,
    effects.Publish,
    effects.Give,
    effects.Resume,
    effects.Alarm,
    effects.Interrupt,
    effects.Rest,
)


class Impossible:
    """What the shell reports cannot have happened: the kernel raises."""


class Refused:
    """Whoever asked is told that it cannot be done."""


#: The classes of the records that a stimulus leads to by itself; `None`: not known here.
Expected: TypeAlias = tuple[type, ...] | type[Impossible] | type[Refused] | None
ENDS = (records.Failed, records.Decided)


@attrs.define(eq=False)
class Laws:
    """Whoever watches one run."""

    plan: Plan
    ledger: Ledger = attrs.field(init=False)
    #: Workers that are on their way, by step.
    offers: Counter[str] = attrs.field(init=False, factory=Counter)
    wound: bool = attrs.field(init=False, default=False)
    #: Do its bodies finish after a stop?
    drains: bool = attrs.field(init=False, default=False)
    idle: bool = attrs.field(init=False, default=False)
    phase: Phase = attrs.field(init=False, default=Phase.NEW)
    expected: Expected = attrs.field(init=False, default=None)
    #: The steps whose bodies run, in the order of the plan, before the stimulus.
    active: tuple[str, ...] = attrs.field(init=False, default=())
    #: The step whose worker stays.
    stays: str | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.ledger = Ledger(self.plan)

    # ------------------------------------------------------------ before

    def expect(self, stimulus: Stimulus) -> Expected:
        """Say what a stimulus must lead to, before it is heard."""
        ledger = self.ledger
        ledger.calls_for = []
        running = {item.step for item in ledger.at(Place.RUNNING)}
        self.active = tuple(step.name for step in self.plan.steps if step.name in running)
        self.stays = None
        if isinstance(stimulus, stimuli.Returned) and stimulus.stays:
            item = ledger.items.get(stimulus.delivery)
            if item is not None and item.place is Place.RUNNING:
                self.stays = item.step
        self.expected = self._expected(stimulus)
        return self.expected

    def _expected(self, stimulus: Stimulus) -> Expected:
        ledger, phase = self.ledger, self.phase
        going = phase is Phase.GOING
        match stimulus:
            case stimuli.Opened():
                return (records.RunStarted, records.Emitted) if phase is Phase.NEW else Impossible
            case stimuli.TakenUp():
                return self._reopened()
            case stimuli.StoreChanged():
                if phase is Phase.NEW:
                    return Impossible
                return () if phase is Phase.OVER else (records.Stored,)
            case stimuli.CannotGoOn(_, number, _):
                return (records.FunctionHeld,) if ledger.executing(number) else Impossible
            case stimuli.Settled():
                executing = ledger.at(Place.RUNNING, Place.WAITING)
                ends = phase is Phase.WINDING_UP and not executing
                return (records.Closed,) if ends else Impossible
            case stimuli.Wrote() if phase is Phase.OVER:
                return Refused
            case stimuli.Wrote() if phase is Phase.NEW:
                return Impossible
            case stimuli.Wrote(_, number, _, _):
                writer = ledger.executing(number)
                before = writer is not None and ledger.is_on_stream(writer, stimulus)
                return (records.StreamedBefore if before else records.Streamed,)
            case stimuli.HandedOn(_, letter, _):
                lies_there = 0 <= letter < len(ledger.at(Place.MAILBOX))
                return (records.HandedOver,) if going and lies_there else Impossible
            case stimuli.Expired() | stimuli.CancelAsked() | stimuli.Abandoned():
                return (records.Decided,) if going else () if phase is not Phase.NEW else Impossible
            case stimuli.Ready(_, step):
                if not self.offers[step]:
                    return Impossible
                goes_on = going or ledger.drains_again
                return (records.Started,) if goes_on and ledger.startable(step) else ()
            case stimuli.WaitExpired(_, key, _):
                return (records.WaitEnded,) if going and key in ledger.waits else ()
            case stimuli.Due(_, number):
                item = ledger.items.get(number)
                due = going and item is not None and item.place is Place.DUE
                return (records.Requeued,) if due else ()
            case stimuli.StepAsked():
                stepwise = ledger.permits is not None and ledger.permits + stimulus.number >= 0
                return (records.Permitted,) if going and stepwise else ()
            case stimuli.Sent():
                return self._sent(stimulus)
            case _:
                item = ledger.executing(stimulus.delivery)
                return Impossible if item is None else self._of_a_body(stimulus, item)

    def _reopened(self) -> Expected:
        if self.phase is Phase.GOING:
            return (records.Reopened,)
        if self.phase is not Phase.WINDING_UP:
            return Impossible
        gone = [Place.WAITING] if self.drains else [Place.RUNNING, Place.WAITING]
        return (records.Reopened, *[records.Interrupted] * len(self.ledger.at(*gone)))

    def _of_a_body(
        self,
        stimulus: stimuli.Returned
        | stimuli.Raised
        | stimuli.Unwound
        | stimuli.Contributed
        | stimuli.WaitBegan,
        item: Item,
    ) -> Expected:
        match stimulus:
            case stimuli.Unwound():
                return (records.Interrupted,)
            case stimuli.Returned(_, _, value):
                return self._returned(item, value)
            case stimuli.Raised(_, _, error, final):
                return self.after_failure(item, error, final=final)
            case stimuli.Contributed():
                return self._contributed(item, stimulus)
            case stimuli.WaitBegan():
                return (records.Waited | records.Answered | records.Recalled,)

    def _returned(self, item: Item, value: object) -> Expected:
        if value is None or self.phase is Phase.WINDING_UP:
            return (records.Completed,)
        step = self.plan.step[item.step]
        if step.returns_list and isinstance(value, list):
            return self._listed(item, value)
        if isinstance(value, Stop):
            return (records.Completed, records.Decided)
        bare = step.returns_list and type(value) in step.only_listed
        if bare or not self.wanted(value, self.ledger.opener(item), but_of=item.number):
            return ENDS
        return (records.Completed,)

    def _listed(self, item: Item, members: Sequence[object]) -> Expected:
        found: list[type] = [records.Completed]
        given: set[WaitKey] = set()
        for index, member in enumerate(members):
            found.append(records.Emitted)
            if isinstance(member, Stop):  # what is behind it comes too late
                rest = members[index + 1 :]
                whole = all(isinstance(late, Event) for late in rest)
                return (*found, records.Decided, *[records.Emitted] * len(rest)) if whole else ENDS
            keys = self.ledger.answers_to(member, but_of=item.number, given=given)
            given |= {*keys}
            if not (keys or self.wanted(member, item.step, waits=False)):
                return ENDS
        return tuple(found)

    def wanted(
        self, event: object, opener: str | None = None, *, but_of: int = 0, waits: bool = True
    ) -> bool:
        """Is there anybody for whom it could be?"""
        ledger = self.ledger
        if not isinstance(event, Event):
            return False
        answers = waits and ledger.answers_to(event, but_of=but_of)
        takers = ledger.receivers(event, opener) or isinstance(event, Watched)
        return bool(takers or answers or ledger.kept(event))

    def after_failure(self, item: Item, error: BaseException, *, final: bool = False) -> Expected:
        """Say what comes of a body that raises this."""
        if self.phase is Phase.WINDING_UP:
            return (records.Interrupted,) if only_over(error) else (records.Failed,)
        fatal = not isinstance(error, Exception)
        own = isinstance(error, Refusal) and error.run_id == RUN
        if final or fatal or own or isinstance(error, PlaitInternalError):
            return ENDS
        policy = self.plan.step[item.step].retry
        if policy is not None and not isinstance(policy, Patience):
            return None
        if policy is not None and (delay := policy.after(item.failures + 1)) is not None:
            return (records.Retrying,) if 0 <= delay < inf else ENDS
        return (records.Recovered,) if self.ledger.taker(item) else ENDS

    def _contributed(self, item: Item, call: stimuli.Contributed) -> Expected:
        ledger, shape = self.ledger, call.shape
        inputs = ids(item.event)
        if id(call.event) not in inputs:
            return Refused
        asked = (
            BufferKey(call.buffer_id, shape.wants, call.key),
            inputs.index(id(call.event)),
        )
        if not shape.runs or asked in item.told:
            told = item.told[asked] if shape.runs else ()
            ledger.calls_for += [] if told is None else [effects.Give(told)]
            return ()
        return (records.Collected,) if self._counts_as(item, call) else ()

    def _counts_as(self, item: Item, call: stimuli.Contributed) -> type | None:
        mro = type(call.event).__mro__
        bases = mro if self.plan.step[item.step].accept_subclasses else mro[:1]
        wanted = [kind for kind, _ in call.shape.runs]
        return next((base for base in bases if base in wanted), None)

    def _sent(self, stimulus: stimuli.Sent) -> Expected:
        event, target, ledger = stimulus.event, stimulus.step, self.ledger
        draining = self.phase is Phase.WINDING_UP and self.drains
        heard = draining and ledger.executing(stimulus.sender)
        if self.phase is not Phase.GOING and not heard:
            return Refused
        item = ledger.executing(stimulus.sender)
        if item is not None and ledger.is_repeated(item, stimulus):
            return (records.Repeated,)
        if isinstance(event, Stop):
            return (records.Emitted,) if draining else (records.Emitted, records.Decided)
        wanted = self.wanted(event) if target is None else target in ledger.receivers(event)
        return (records.Emitted,) if wanted else Refused

    # ------------------------------------------------------------ after

    def watch(
        self,
        stimulus: Stimulus,
        latest: Sequence[Record],
        todo: Sequence[Effect],
        state: RunState,
    ) -> None:
        """Look at what a stimulus has led to."""
        ledger = self.ledger
        assert all(record.at == stimulus.now for record in latest)
        followed = self._as_expected(latest, todo)
        for before, record in zip([None, *latest], latest, strict=False):
            if isinstance(record, records.Decided):
                stopped = isinstance(record.outcome, records.Stopped)
                self.drains = stopped and self.plan.on_stop == "drain"
                if record in followed:
                    self._stalled(record.outcome)
                else:
                    self._decided(record.outcome, stimulus, before)
            if isinstance(record, records.Collected):
                assert isinstance(stimulus, stimuli.Contributed)
                kind = self._counts_as(ledger.items[record.delivery], stimulus)
                assert record.kind is kind, "law 10: it counts as something else"
            ledger.enter(record, stimulus)
        assert ledger.doomed is None, "law 7: what a fan-in cancels is dropped at once"
        self._called_for(todo)
        self._offered(stimulus, todo, state)
        self._wound_up(stimulus, todo, state)
        if isinstance(stimulus, stimuli.TakenUp):
            self.idle = False
        self._never_silent(latest, state)
        self._nobody_stays_for_nothing(latest)
        self._streams_are_dealt_with()
        agree(ledger, state)
        self.phase = state.phase

    def _as_expected(self, latest: Sequence[Record], todo: Sequence[Effect]) -> Sequence[Record]:
        """Compare the first records with what was expected; the others, which follow from them."""
        if self.expected is Refused:
            assert latest == [], "law 12: what is refused leaves no record"
            assert [*map(type, todo)] == [effects.Refuse], "law 12: a refusal, and nothing else"
            return []
        assert not any(isinstance(effect, effects.Refuse) for effect in todo), "law 5: refused"
        if self.expected is None:
            return []
        assert isinstance(self.expected, tuple)
        own, followed = latest[: len(self.expected)], latest[len(self.expected) :]
        assert len(own) == len(self.expected), f"{self.expected}, and not {latest}"
        assert all(map(isinstance, own, self.expected)), f"{self.expected}, and not {latest}"
        may = (*FOLLOWS, records.Started) if self.stays else FOLLOWS
        assert all(isinstance(record, may) for record in followed), f"{followed} by itself"
        assert own or not followed, "nothing follows from nothing"
        return followed

    def _stalled(self, outcome: records.Outcome) -> None:
        """Law 11: what follows from quiet is a stall."""
        assert outcome == records.Stalled()
        assert self.ledger.quiet, "law 11: stalled, and something can go on"
        assert not self.ledger.open_ended, "law 11: stalled, and the outside can move it on"

    def _decided(self, outcome: records.Outcome, stimulus: Stimulus, before: Record | None) -> None:
        """Law 9: the outcome is that of its cause."""
        match stimulus:
            case stimuli.Expired(_, seconds):
                assert outcome == records.TimedOut(self.active, seconds)
            case stimuli.CancelAsked():
                assert outcome == records.Cancelled(by_owner=False)
            case stimuli.Abandoned():
                assert outcome == records.Cancelled(by_owner=True)
            case _ if isinstance(before, records.Failed):
                assert outcome == records.Crashed()
            case _:
                assert isinstance(before, records.Completed | records.Emitted)
                assert isinstance(outcome, records.Stopped)
                assert outcome.event is before.event

    def _called_for(self, todo: Sequence[Effect]) -> None:
        """Law 12."""
        for kind in CALLED_FOR:
            done = [identity(effect) for effect in todo if isinstance(effect, kind)]
            due = [identity(effect) for effect in self.ledger.calls_for if isinstance(effect, kind)]
            assert done == due, f"law 12: {kind.__name__} comes from its record"
        kinds = [*map(type, todo)]
        published = kinds.count(effects.Publish)
        assert {*kinds[:published]} <= {effects.Publish}, "law 12: routed before it was streamed"
        assert kinds.count(effects.Begin) <= 1

    def _offered(self, stimulus: Stimulus, todo: Sequence[Effect], state: RunState) -> None:
        """Law 4."""
        ledger, offers = self.ledger, self.offers
        if isinstance(stimulus, stimuli.Ready):
            offers[stimulus.step] -= 1
        if isinstance(stimulus, stimuli.TakenUp):
            offers.clear()
        asked = Counter(effect.step for effect in todo if isinstance(effect, effects.Offer))
        offers.update(asked)
        for name, step in state.steps.items():
            assert step.offered == offers[name], "law 4: the offers have lost count"
            if ledger.outcome is not None and not ledger.drains_again:
                assert not asked[name], "law 9: an offer after the decision"
                continue
            startable = ledger.startable(name)
            assert startable <= offers[name], f"law 4: nobody comes for step {name!r}"
            assert not asked[name] or offers[name] == startable, f"law 4: {name!r}: in vain"

    def _nobody_stays_for_nothing(self, latest: Sequence[Record]) -> None:
        """Law 4: a worker that stays takes what there is, and waits for no offer."""
        ledger = self.ledger
        began = any(isinstance(record, records.Started) for record in latest)
        if self.stays and not began and (ledger.outcome, ledger.permits) == (None, None):
            assert not ledger.startable(self.stays), "law 4: a worker stays for nothing"

    def _wound_up(self, stimulus: Stimulus, todo: Sequence[Effect], state: RunState) -> None:
        """Law 9."""
        if isinstance(stimulus, stimuli.TakenUp):
            self.wound = False
        self.wound = self.wound or effects.Wind() in todo
        outcome = self.ledger.outcome
        assert (outcome is None) == (state.phase in {Phase.NEW, Phase.GOING})
        if outcome is None:
            assert not self.wound, "law 9: wound up, and not decided"
        elif state.phase is Phase.WINDING_UP:
            drains = self.plan.on_stop == "drain" and isinstance(outcome, records.Stopped)
            bodies = self.ledger.at(Place.RUNNING)
            if self.ledger.drains_again:
                bodies += self.ledger.at(Place.QUEUED)
            if drains and bodies and not isinstance(stimulus, DEMANDS):
                assert effects.Wind() not in todo, "law 9: a drain is cut short"
            else:
                assert self.wound, "law 9: nobody winds the run up"

    def _never_silent(self, latest: Sequence[Record], state: RunState) -> None:
        """Law 11."""
        quiet = state.phase is Phase.GOING and self.ledger.quiet
        assert not quiet or self.ledger.open_ended, "law 11: silence"
        idled = [record for record in latest if isinstance(record, records.Idled)]
        news = quiet and not self.idle
        assert len(idled) == news, "law 11: a run that gets quiet says so once, and no other"
        assert state.idle == quiet
        self.idle = quiet

    def _streams_are_dealt_with(self) -> None:
        """Law 7: what is due has fired, what has ended is closed, and who has met is told."""
        ledger = self.ledger
        assert not ledger.met, "law 7: events have met, and nobody is told"
        if ledger.outcome is not None:
            return
        for stream, listing in ledger.streams.items():
            assert ledger.live(stream), "law 7: a stream has ended, and is open"
            for name in listing.owed:
                assert not ledger.due_to_fire(stream, name), "law 7: a fan-in does not fire"


def only_over(error: BaseException) -> bool:
    """Does it say no more than that the run was over?"""
    if isinstance(error, BaseExceptionGroup):
        return all(map(only_over, error.exceptions))
    return isinstance(error, Over)


def identity(effect: Effect) -> object:
    """What an effect does, with which objects."""
    match effect:
        case effects.Publish(event):
            return id(event)
        case effects.Resume(key, answer):
            return key, id(answer)
        case effects.Give(batch):
            return ids(batch)
        case effects.Interrupt(deliveries):
            return {*deliveries}
        case _:
            return effect


# ---------------------------------------------------------------- the ledger and the state


def agree(ledger: Ledger, state: RunState) -> None:
    """Law 2: each event is in the one place where the ledger has it."""
    here = {item.number: _looks(item) for item in ledger.items.values()}
    there = dict(found := [*_held(state)])
    assert len(there) == len(found), "law 2: in two places"
    assert there == here, "law 2: an event was lost, or is somewhere else"
    assert state.next_delivery == ledger.next_number
    for name, step in state.steps.items():
        assert [d.number for d in step.queue] == ledger.queues[name], "law 3: another order"
        resuming = [(key, id(answer)) for key, answer in step.resuming.items()]
        mine = {key: answer for key, answer in ledger.over.items() if _step(ledger, key) == name}
        assert resuming == [(key, id(answer)) for key, answer in mine.items()], "law 6: an answer"
        assert step.returned_none == ledger.returned_none[name]
    assert [*state.waits] == [*ledger.waits], "law 6: another waits"
    assert {*state.awaited} == ledger.awaited
    owed = {stream: listing.owed for stream, listing in ledger.streams.items()}
    assert {stream.id: {*stream.open} for stream in state.streams.values()} == owed
    assert (state.outcome, state.permits) == (ledger.outcome, ledger.permits)
    assert state.store == ledger.store
    _remember_alike(ledger, state)
    failed = [(f.delivery, f.step, f.event, f.error, f.attempt, f.elapsed) for f in state.failures]
    assert failed == ledger.failed, "law 8: a failure was lost"
    streamed = {(name, kind) for name, step in state.steps.items() for kind in step.streamed_only}
    assert streamed == ledger.streamed_only
    _batches_agree(ledger, state)
    _left_is_reported(ledger, state)


def _step(ledger: Ledger, key: WaitKey) -> str:
    return ledger.items[key[0]].step


def _looks(item: Item) -> tuple[object, ...]:
    line = {handler: count for handler, count in item.recovered.items() if count}
    who = (item.worker, item.failures, item.waits, item.sent, item.written)
    return (item.place, item.step, ids(item.event), item.branch, line, *who)


def _held(state: RunState) -> Iterator[tuple[int, tuple[object, ...]]]:
    """All that the state holds, by its number."""
    nobody = (-1, 0, 0, 0, 0)
    for number, event in state.mailbox:
        yield number, (Place.MAILBOX, "", ids(event), None, {}, *nobody)
    queued = [delivery for step in state.steps.values() for delivery in step.queue]
    for place, deliveries in (
        (Place.QUEUED, queued),
        (Place.RUNNING, state.running.values()),
        (Place.WAITING, state.suspended.values()),
        (Place.DUE, state.due.values()),
    ):
        for d in deliveries:
            who = (d.worker, d.attempt - 1, d.waits, d.sent, d.written)
            yield d.number, (place, d.step, ids(d.event), d.branch, Counter(d.line), *who)
    for name, step in state.steps.items():
        for slot in (slot for slots in step.joins.values() for slot in slots):
            for s in slot:
                line = Counter(s.line)
                yield s.number, (Place.SLOT, name, ids(s.event), s.branch, line, *nobody)
    for stream in state.streams.values():
        for name, arrived in stream.gathered.items():
            for g in arrived:
                branch, line = Branch(stream.id, g.index), Counter(g.line)
                yield g.number, (Place.GATHERED, name, ids(g.event), branch, line, *nobody)


def _remember_alike(ledger: Ledger, state: RunState) -> None:
    """Law 14: what attempts were answered, and what is owed to those that run again."""
    for delivery in state.live():
        item, memory = ledger.items[delivery.number], delivery.memory or Memory()
        mine = [(wait.key, id(answer), taken) for wait, answer, taken in item.replies.values()]
        assert [*map(_reply, memory.answers.values())] == mine, "law 14: an answer was forgotten"
        mine = [(wait.key, id(answer), taken) for wait, answer, taken in item.owed]
        assert [*map(_reply, memory.owed)] == mine, "law 14: an answer is not owed"
        assert delivery.sends_on_record == max(len(item.sends), item.sent)
        assert delivery.writes_on_record == max(len(item.writes), item.written)
        owed = {source: events for source, events in memory.shown.items() if events}
        assert owed == {source: events for source, events in item.shown.items() if events}


def _reply(reply: Reply) -> tuple[WaitKey, int, bool]:
    answer = None if reply.answer is UNANSWERED else reply.answer
    return reply.wait.key, id(answer), reply.taken


def _batches_agree(ledger: Ledger, state: RunState) -> None:
    """Law 10: what was collected and not given is in its buffer, each class in its order."""
    held = {
        (name, key, kind): [(number, id(event)) for number, event in queue]
        for name, step in state.steps.items()
        for key, buffer in step.buffers.items()
        for kind, queue in buffer.have.items()
        if queue
    }
    mine: dict[object, list[tuple[int, int]]] = {}
    for (name, key), kept in ledger.buffers.items():
        for number, kind, event in kept:
            mine.setdefault((name, key, kind), []).append((number, id(event)))
    assert held == mine, "law 10: a buffer holds something else"
    assert {(name, key) for name, key, _ in mine} == {
        (name, key) for name, step in state.steps.items() for key in step.buffers
    }, "law 10: a buffer is empty"


def _left_is_reported(ledger: Ledger, state: RunState) -> None:
    """Law 2: the oldest first; under one number in any order."""
    reported = [*map(id, state.undelivered)]
    left = sorted(ledger.undelivered(), key=lambda kept: kept[0])
    for _, same in groupby(left, key=lambda kept: kept[0]):
        objects = [each for _, several in same for each in several]
        assert sorted(reported[: len(objects)]) == sorted(objects), "law 2: not reported"
        del reported[: len(objects)]
    assert not reported, "law 2: reported, and it is not left"
