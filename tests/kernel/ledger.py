"""A second account of a run, kept from its records alone: each event, and the one place where it is.

`apply` keeps queues, slots and counts, so that a stimulus costs little. The ledger keeps a table: the
number under which a step got an event, and where that is now. What follows from the table is looked
up, whatever it costs. A record that may not be written now raises, with the law that it breaks; what
it calls for is noted in `calls_for`, for `laws` to compare with the effects.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import attrs

from plait._ids import OUTSIDE, DeliveryId
from plait._kernel import effects, records, stimuli
from plait._kernel.collecting import BufferKey
from plait._kernel.effects import Effect
from plait._kernel.plan import Plan, StepPlan
from plait._kernel.records import Record
from plait._kernel.stimuli import Stimulus
from plait._kernel.streams import Branch, StreamId
from plait._kernel.waits import TIMED_OUT, Wait, WaitKey
from tests.kernel.strategies import Answer, Broken, Patience, Stop, Watched


class Place(enum.Enum):
    """Where an event is."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    DUE = "due"
    SLOT = "in a slot of a join"
    GATHERED = "gathered by a fan-in"
    MAILBOX = "in the mailbox"


EXECUTING = {Place.RUNNING, Place.WAITING}
#: What is here keeps its stream open.
LIVE = {Place.QUEUED, Place.RUNNING, Place.WAITING, Place.DUE, Place.SLOT}
#: What is here has reached no body.
UNDELIVERED = {Place.QUEUED, Place.DUE, Place.SLOT, Place.GATHERED, Place.MAILBOX}


def parts(event: object) -> tuple[object, ...]:
    """A join and a fan-in are given a tuple, everybody else one event."""
    return event if isinstance(event, tuple) else (event,)


def ids(event: object) -> tuple[int, ...]:
    """Which objects these are: equality does not tell two events of one class apart."""
    return tuple(map(id, parts(event)))


@attrs.define(eq=False)
class Item:
    """What a step was given under one number."""

    number: int
    step: str
    event: object
    place: Place
    branch: Branch | None = None
    #: How often each handler has recovered, on the line of descent where it did so most often.
    recovered: Counter[str] = attrs.field(factory=Counter)
    worker: int = -1
    failures: int = 0
    waits: int = 0
    #: When the first attempt began, and when the next one is due.
    began: float = 0.0
    due: float = 0.0
    #: How many waits its failed attempts have begun.
    waits_before: int = 0
    #: What the attempt has sent, in all its lives, each with its receivers; how many in this life.
    sends: list[tuple[object, Sequence[str]] | None] = attrs.field(factory=list)
    sent: int = 0
    #: The same of what it has written to the stream; and what runs inside have shown there, by their
    #: names: in earlier lives and not in this one, and in this one.
    writes: list[object] = attrs.field(factory=list)
    written: int = 0
    shown: dict[str, list[object]] = attrs.field(factory=dict)
    shown_again: dict[str, list[object]] = attrs.field(factory=dict)
    #: What became of the waits of this life, by ordinal, and of earlier ones: the wait, its answer or
    #: `None`, and whether the body has gone on with it.
    replies: dict[int, tuple[Wait, object, bool]] = attrs.field(factory=dict)
    owed: list[tuple[Wait, object, bool]] = attrs.field(factory=list)
    told: dict[tuple[BufferKey, int], tuple[object, ...] | None] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Listing:
    """A returned list that has not been dealt with."""

    step: str
    parent: Branch | None
    recovered: Counter[str]
    #: The fan-ins that have not fired.
    owed: set[str]


@attrs.define(eq=False)
class Ledger:
    """One run, as its records tell it."""

    plan: Plan
    items: dict[int, Item] = attrs.field(init=False, factory=dict)
    #: The number that the next event will have.
    next_number: int = attrs.field(init=False, default=1)
    queues: dict[str, list[int]] = attrs.field(init=False)
    #: The slots of joins, by step and stream: numbers, the oldest first.
    slots: dict[tuple[str, StreamId | None], list[list[int]]] = attrs.field(
        init=False, factory=dict
    )
    streams: dict[StreamId, Listing] = attrs.field(init=False, factory=dict)
    #: Deliveries that begin with several events, and which: to be told after the record that led to it.
    met: list[tuple[int, list[int]]] = attrs.field(init=False, factory=list)
    #: Waits that are open, and those that are over and not resumed, with their answers.
    waits: dict[WaitKey, Wait] = attrs.field(init=False, factory=dict)
    over: dict[WaitKey, object] = attrs.field(init=False, factory=dict)
    awaited: set[tuple[type, bool]] = attrs.field(init=False, factory=set)
    #: What was collected and not given: number, class under which it counts, event.
    buffers: dict[tuple[str, BufferKey], list[tuple[int, type, object]]] = attrs.field(
        init=False, factory=dict
    )
    #: What came after the decision: the next number of then, and the event.
    late: list[tuple[int, object]] = attrs.field(init=False, factory=list)
    #: What failed for good: number, step, input, error, attempts, seconds since the first began.
    failed: list[tuple[int, str, object, BaseException, int, float]] = attrs.field(
        init=False, factory=list
    )
    returned_none: dict[str, bool] = attrs.field(init=False)
    streamed_only: set[tuple[str, type]] = attrs.field(init=False, factory=set)
    outcome: records.Outcome | None = attrs.field(init=False, default=None)
    epoch: float = attrs.field(init=False, default=0.0)
    #: Has another process taken up a drain?
    drains_again: bool = attrs.field(init=False, default=False)
    store: dict[str, object] = attrs.field(init=False, factory=dict)
    #: How many bodies a run that goes step by step may let run; `None`: it does not go so.
    permits: int | None = attrs.field(init=False, default=None)
    #: What the last records call for, in their order.
    calls_for: list[Effect] = attrs.field(init=False, factory=list)
    #: Does another process know what was sent, or only how many?
    has_sends: bool = attrs.field(init=False, default=True)
    #: Streams whose rest may have to be cancelled again.
    _again: set[StreamId] = attrs.field(init=False, factory=set)
    #: What must be dropped next: numbers and streams.
    doomed: tuple[set[int], list[StreamId]] | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.queues = {step.name: [] for step in self.plan.steps}
        self.returned_none = {step.name: False for step in self.plan.steps}

    # ------------------------------------------------------------ what can be looked up

    def at(self, *places: Place, step: str | None = None) -> list[Item]:
        """What is at one of these places, the oldest arrival first."""
        return [
            item
            for item in self.items.values()
            if item.place in places and step in {None, item.step}
        ]

    def executing(self, number: int) -> Item | None:
        """The delivery of this number, if its body has not ended."""
        item = self.items.get(number)
        return item if item is not None and item.place in EXECUTING else None

    def startable(self, name: str) -> int:
        """How many deliveries of a step could start now."""
        running, queue = self.at(Place.RUNNING), self.queues[name]
        if self.permits is None:
            busy = sum(item.step == name for item in running)
            return min(len(queue), self.plan.step[name].num_workers - busy)
        heads = [numbers[0] for numbers in self.queues.values() if numbers]
        may = self.permits > 0 and not running and bool(queue)
        return int(may and queue[0] == min(heads))

    @property
    def quiet(self) -> bool:
        """Is nothing queued, running or due, and has every wait that is over been resumed?"""
        return not (self.at(Place.QUEUED, Place.RUNNING, Place.DUE) or self.over)

    @property
    def open_ended(self) -> bool:
        """Can the outside move the run on?"""
        asks = (issubclass(kind, Answer) for step in self.plan.steps for kind in step.accepts)
        return bool(self.waits) or any(asks)

    def receivers(self, event: object, opener: str | None = None) -> tuple[str, ...]:
        """The steps that take an event, and the fan-ins of the stream that a step has opened."""
        opens = self.plan.step[opener].opens if opener else ()
        takers = [step for step in self.plan.steps if takes(step, type(event))]
        return (
            *(step.name for step in takers if step.gather is None),
            *(step.name for step in takers if step.gather is not None and step.name in opens),
        )

    def answers_to(self, event: object, *, but_of: int = OUTSIDE, given: Iterable[WaitKey] = ()):
        """The waits that an event answers: the oldest that wants it alone, and all that share it."""
        wanting = [
            wait
            for wait in self.waits.values()
            if wants(wait, event) and wait.delivery != but_of and wait.key not in given
        ]
        alone = [wait.key for wait in wanting if not wait.broadcast]
        return (*alone[:1], *(wait.key for wait in wanting if wait.broadcast))

    def kept(self, event: object) -> bool:
        """May an event that nobody takes now be asked for later?"""
        return isinstance(event, Answer) or any(
            type(event) is kind or (subclasses and isinstance(event, kind))
            for kind, subclasses in self.awaited
        )

    def letters(self, wait: Wait) -> list[Item]:
        """What lies in the mailbox for a wait, the oldest first."""
        return [item for item in self.at(Place.MAILBOX) if wants(wait, item.event)]

    def opener(self, item: Item) -> str | None:
        """The step that returned the list in whose stream this is."""
        return self.streams[item.branch.stream].step if item.branch else None

    def taker(self, item: Item) -> str | None:
        """Who takes the final failure of a body: its handler, or a fan-in of its stream."""
        handler, opener = self.plan.step[item.step].handler, self.opener(item)
        if handler and item.recovered[handler] < self.plan.step[handler].max_recoveries:
            return handler
        opens = self.plan.step[opener].opens if opener else ()
        return next((name for name in opens if Broken in self.plan.step[name].accepts), None)

    def live(self, stream: StreamId) -> bool:
        """Is anything of a stream pending, or a stream inside it?"""
        branches = [item.branch for item in self.items.values() if item.place in LIVE]
        branches += [listing.parent for listing in self.streams.values()]
        return any(branch is not None and branch.stream == stream for branch in branches)

    def inside(self, stream: StreamId) -> list[StreamId]:
        """A stream and all that were opened in it."""
        found = [stream]
        for other, listing in self.streams.items():
            if listing.parent is not None and listing.parent.stream in found:
                found.append(other)
        return found

    def gathered(self, stream: StreamId, step: str) -> list[Item]:
        """What a fan-in has of a stream, in the order of arrival."""
        here = self.at(Place.GATHERED, step=step)
        return [item for item in here if item.branch and item.branch.stream == stream]

    def due_to_fire(self, stream: StreamId, step: str) -> bool:
        """Is it time for a fan-in of a stream?"""
        gather = self.plan.step[step].gather
        assert gather is not None
        whole = gather.take is not None and len(self.gathered(stream, step)) >= gather.take
        return whole or not self.live(stream)

    def undelivered(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """All that has reached no body and no batch: its number, and which objects."""
        for item in self.at(*UNDELIVERED):
            yield item.number, ids(item.event)
        for kept in self.buffers.values():
            yield from ((number, ids(event)) for number, _, event in kept)
        for (number, _), answer in self.over.items():
            if answer is not TIMED_OUT:
                yield number, ids(answer)
        for item in self.items.values():
            for _, answer, taken in item.owed:
                if not (taken or answer is None or answer is TIMED_OUT):
                    yield item.number, ids(answer)
        yield from ((number, ids(event)) for number, event in self.late)

    # ------------------------------------------------------------ one record

    def enter(self, record: Record, stimulus: Stimulus) -> None:
        """Take a record in, or raise with the law that it breaks."""
        assert self.doomed is None or isinstance(record, records.Dropped), (
            "law 7: what a fan-in cancels is dropped at once"
        )
        match record:
            case records.RunStarted(_, _, epoch, stepwise):
                self.epoch, self.permits = epoch, 0 if stepwise else None
            case records.Permitted(_, more):
                assert self.permits is not None, "law 3: it does not go step by step"
                self.permits += more
                assert self.permits >= 0, "law 3: a permit that was used is taken back"
            case records.Emitted(_, cause, event, first, to, resolves, branch):
                targeted = isinstance(stimulus, stimuli.Sent) and stimulus.step is not None
                sender = self.executing(cause)
                line = sender.recovered if sender else Counter()
                step, opener = sender.step if sender else None, None
                if branch is not None:  # a member of a list: whoever returned it has left
                    listing = self.streams[branch.stream]
                    line, step = listing.recovered, listing.step
                    opener = step
                self._accepts(event, first, to, resolves, opener, step, targeted=targeted)
                self._goes(event, first, to, branch, line)
                if sender:
                    sender.sends[sender.sent : sender.sent + 1] = [(event, to)]
                    sender.sent += 1
            case records.Repeated(_, number):
                item = self.items[number]
                assert isinstance(stimulus, stimuli.Sent)
                assert self.is_repeated(item, stimulus), "law 14: it was never sent"
                item.sent += 1
            case records.Stored(_, _, values, removed, cleared):
                kept = {} if cleared else {k: v for k, v in self.store.items() if k not in removed}
                self.store = {**kept, **values}
            case records.Reopened():
                self._reopened(record)
            case records.Completed(_, number, event, first, to, resolves):
                self._completed(self._ends(number), event, first, to, resolves)
            case records.Collected():
                self._collected(record)
            case records.Streamed(_, cause, event, source):
                self.calls_for.append(effects.Publish(event))
                writer = self.executing(cause)
                if writer and source:
                    writer.shown_again.setdefault(source, []).append(event)
                elif writer:
                    writer.writes[writer.written : writer.written + 1] = [event]
                    writer.written += 1
            case records.StreamedBefore(_, number, source, place):
                item = self.items[number]
                assert isinstance(stimulus, stimuli.Wrote)
                assert self.is_on_stream(item, stimulus), "law 14: it was never written"
                if source:
                    known = item.shown[source].pop(place)
                    assert same_event(known, stimulus.event), "law 14: it is another"
                    item.shown_again.setdefault(source, []).append(known)
                else:
                    item.written += 1
            case records.HandedOver(_, place, event, _):
                letter = self.at(Place.MAILBOX)[place]
                assert letter.event is event, "law 5: not what lies there"
                del self.items[letter.number]
            case records.Failed(at, number, error):
                item = self._ends(number)
                attempts, elapsed = item.failures + 1, at - item.began
                self.failed.append((number, item.step, item.event, error, attempts, elapsed))
            case records.Interrupted(_, number):
                self._ends(number)
            case records.Decided(_, outcome):
                assert self.outcome is None, "law 9: the first decision stands"
                self.outcome = outcome
                self.met.clear()  # whoever has met begins no more
            case records.Closed():
                assert not self.at(*EXECUTING), "law 9: over, and a body has not ended"
            case records.Idled():
                self.calls_for.append(effects.Rest())
            case records.FunctionHeld(_, why, cause):
                assert isinstance(stimulus, stimuli.CannotGoOn)
                assert (why, cause) == (stimulus.why, stimulus.delivery), "law 5: not what was told"
            case records.Waited() | records.Answered() | records.WaitEnded() | records.Recalled():
                self._waited(record, stimulus)
            case _:
                again = self.drains_again and isinstance(record, records.Started)
                assert self.outcome is None or again, "law 9: after the decision nothing goes on"
                self._goes_on(record)

    def _goes_on(self, record: Record) -> None:
        match record:
            case records.Started():
                self._started(record)
            case records.Resumed(_, key, worker):
                self._resumed(key, worker)
            case records.Retrying():
                self._retrying(record)
            case records.Requeued(_, number):
                item = self.items[number]
                assert item.place is Place.DUE
                item.place = Place.QUEUED
                self.queues[item.step].append(number)
            case records.Recovered(at, number, error, event, first, to):
                item = self._ends(number)
                assert to == self.taker(item), "law 8: somebody else takes the failure"
                assert isinstance(event, Broken)
                assert (event.step, ids(event.event)) == (item.step, ids(item.event))
                assert event.error is error
                assert (event.attempts, event.elapsed) == (item.failures + 1, at - item.began)
                assert event.at == self.epoch + at
                line = item.recovered
                if self.plan.step[to].gather is None:
                    line = line + Counter({to: 1})
                    most = self.plan.step[to].max_recoveries
                    assert line[to] <= most, "law 8: recovered too often on this line of descent"
                self._goes(event, first, (to,), item.branch, line)
            case records.Fired():
                self._fired(record)
            case records.Met(_, number, met):
                assert self.met.pop(0) == (number, [*met]), "law 7: others have met"
            case records.Dropped():
                self._dropped(record)
            case records.StreamClosed(_, stream):
                assert not self.live(stream), "law 7: closed before its branches have ended"
                assert not self.streams.pop(stream).owed, "law 7: closed before a fan-in has fired"
            case _:
                raise AssertionError(f"{type(record).__name__} has no law")

    # ------------------------------------------------------------ events

    def _accepts(
        self,
        event: object,
        first: int,
        to: Sequence[str],
        resolves: Sequence[WaitKey],
        opener: str | None,
        step: str | None,
        *,
        targeted: bool = False,
    ) -> None:
        """An event was emitted: it goes to whoever takes it, or it is kept."""
        assert first == self.next_number, "law 2: a number was used twice, or left out"
        if self.outcome is not None:
            assert (to, resolves) == ((), ()), "law 9: routed after the decision"
            several = event if isinstance(event, list) else [event]
            self.late += [(first, one) for one in several if not isinstance(one, Stop)]
            return
        receivers = self.receivers(event, opener)
        assert to == receivers or (targeted and len(to) == 1 and {*to} <= {*receivers}), (
            "law 5: an event goes to the steps that take it"
        )
        answered = () if targeted else self.answers_to(event)
        assert resolves == answered, "law 6: the oldest wait, and all that share"
        for key in resolves:
            wait = self.waits.pop(key)
            self.over[key] = event
            self.items[key[0]].replies[key[1]] = (wait, event, False)
        if isinstance(event, Watched):
            self.calls_for.append(effects.Publish(event))
        if to or resolves or isinstance(event, Stop):
            return
        if self.kept(event):
            self.items[first] = Item(first, "", event, Place.MAILBOX)
            self.next_number += 1
        else:
            assert isinstance(event, Watched), "law 5: nobody takes it, and nobody was told"
            if step is not None:
                self.streamed_only.add((step, type(event)))

    def _goes(
        self,
        event: object,
        first: int,
        to: Iterable[str],
        branch: Branch | None,
        recovered: Counter[str],
    ) -> None:
        """Each receiver gets the event under a number of its own."""
        for number, name in enumerate(to, first):
            step, level = self.plan.step[name], branch.stream if branch else None
            item = Item(number, name, event, Place.QUEUED, branch, recovered)
            self.next_number = number + 1
            if step.gather is not None:
                assert level is not None, "law 7: a fan-in takes only what is in a stream"
                if name in self.streams[level].owed:  # else it has fired
                    item.place = Place.GATHERED
                    self.items[number] = item
                continue
            self.items[number] = item
            if step.slots:
                item.place = Place.SLOT
                self._meets(item, step, level)
            else:
                self.queues[name].append(number)

    def _meets(self, item: Item, step: StepPlan, level: StreamId | None) -> None:
        """An event takes the emptiest slot for it; the last one queues the join."""
        slots = self.slots.setdefault((step.name, level), [[] for _ in step.slots])
        able = [
            slot
            for slot, kind in zip(slots, step.slots, strict=True)
            if type(item.event) is kind or (step.accept_subclasses and isinstance(item.event, kind))
        ]
        min(able, key=len).append(item.number)
        if not all(slots):
            return
        met = [self.items.pop(slot.pop(0)) for slot in slots]
        self.met.append((item.number, [part.number for part in met]))
        if not any(slots):
            del self.slots[step.name, level]
        item.event = tuple(part.event for part in met)
        item.recovered = most(part.recovered for part in met)
        item.branch = met[0].branch
        item.place = Place.QUEUED
        self.items[item.number] = item
        self.queues[step.name].append(item.number)

    def _ends(self, number: int) -> Item:
        """A body is no more, and neither are its waits."""
        item = self.executing(number)
        assert item is not None, "law 2: it does not run"
        del self.items[number]
        self._waits_no_more(number)
        return item

    def _completed(
        self,
        item: Item,
        event: object,
        first: int,
        to: Sequence[str],
        resolves: Sequence[WaitKey],
    ) -> None:
        self.returned_none[item.step] = event is None
        if isinstance(event, records.Listed):
            assert event.stream not in self.streams
            owed = {*self.plan.step[item.step].opens}
            self.streams[event.stream] = Listing(item.step, item.branch, item.recovered, owed)
        elif event is not None:
            self._accepts(event, first, to, resolves, self.opener(item), item.step)
            self._goes(event, first, to, item.branch, item.recovered)

    # ------------------------------------------------------------ deliveries

    def _takes_slot(self, item: Item, worker: int) -> None:
        running = self.at(Place.RUNNING, step=item.step)
        step = self.plan.step[item.step]
        assert len(running) < step.num_workers, "law 3: more bodies than workers"
        busy = {other.worker for other in running}
        assert worker == min({*range(step.num_workers)} - busy), "law 3: not the lowest free worker"
        if self.permits is not None:
            assert not self.at(Place.RUNNING), "law 3: one body at a time"
            assert self.permits, "law 3: nobody has asked for it"
            self.permits -= 1
        item.place, item.worker = Place.RUNNING, worker

    def _started(self, record: records.Started) -> None:
        number, name = record.delivery, record.step
        assert self.queues[name][:1] == [number], "law 3: not the head of its queue"
        item = self.items[number]
        assert not any(self.items[key[0]].step == name for key in self.over), (
            "law 3: who has waited comes first"
        )
        if self.permits is not None:
            assert self.startable(name), "law 3: not the lowest number of all heads"
        self._takes_slot(item, record.worker)
        del self.queues[name][0]
        if not item.failures:
            item.began = record.at
        self.calls_for.append(effects.Begin(number))

    def _retrying(self, record: records.Retrying) -> None:
        item = self._ends(record.delivery)
        policy = self.plan.step[item.step].retry
        assert isinstance(policy, Patience), "law 8: an attempt more, and no policy"
        item.failures += 1
        asked = policy.asked[-1][:3]
        assert asked == (record.at - item.began, item.failures, record.error), (
            "law 8: the policy was asked something else"
        )
        delay = policy.after(item.failures)
        assert delay is not None, "law 8: the policy has given up"
        assert record.due == record.at + delay, "law 8: not the delay of the policy"
        item.place, item.worker, item.due = Place.DUE, -1, record.due
        item.sends, item.sent, item.waits_before = [], 0, item.waits
        item.writes, item.written, item.shown, item.shown_again = [], 0, {}, {}
        item.replies, item.owed = {}, []
        self.items[item.number] = item
        self.calls_for.append(effects.Alarm(record.delivery, record.due))

    # ------------------------------------------------------------ waits

    def _waited(
        self,
        record: records.Waited | records.Answered | records.WaitEnded | records.Recalled,
        stimulus: Stimulus,
    ) -> None:
        match record:
            case records.WaitEnded(_, key, called_away):
                assert self.outcome is None
                wait = self.waits.pop(key)
                self.over[key] = TIMED_OUT
                answer = None if called_away else TIMED_OUT
                self.items[key[0]].replies[key[1]] = (wait, answer, False)
                return
            case records.Waited(_, wait, question):
                assert not self.letters(wait), "law 6: its answer lies in the mailbox"
                item = self._waits_on(wait)
                assert owed_to(item, wait) < 0, "law 14: its answer is known"
                if self.permits is not None and item.place is Place.RUNNING:
                    self.permits += 1  # whoever it waits for may need it
                item.place, item.worker = Place.WAITING, -1
                self.waits[wait.key] = wait
                assert isinstance(stimulus, stimuli.WaitBegan)
                assert question is stimulus.question
                if question is not None:
                    self.calls_for.append(effects.Publish(question))
            case records.Answered(_, wait, place, event):
                letter = self.at(Place.MAILBOX)[place]
                assert letter.event is event
                assert letter is self.letters(wait)[0], "law 6: not the oldest letter"
                del self.items[letter.number]
                item = self._waits_on(wait)
                assert owed_to(item, wait) < 0, "law 14: its answer is known"
                self._given(item, wait, event)
            case records.Recalled(_, wait, place):
                item = self._waits_on(wait)
                assert place == owed_to(item, wait) >= 0, "law 14: another answer, or none"
                self._given(item, wait, item.owed.pop(place)[1])
                return
        self.awaited.add((wait.kind, wait.subclasses))

    def _given(self, item: Item, wait: Wait, answer: object) -> None:
        """A wait is answered as it begins."""
        runs = item.place is Place.RUNNING
        if runs:
            self.calls_for.append(effects.Resume(wait.key, answer))
        else:  # it needs a slot first
            self.over[wait.key] = answer
        item.replies[wait.ordinal] = (wait, answer, runs)

    def _waits_on(self, wait: Wait) -> Item:
        item = self.executing(wait.delivery)
        assert item is not None, "law 6: nobody waits"
        assert wait.ordinal == item.waits
        assert wait.step == item.step
        item.waits += 1
        return item

    def _resumed(self, key: WaitKey, worker: int) -> None:
        assert key in self.over, "law 6: resumed twice, or before its answer"
        item = self.items[key[0]]
        if item.place is Place.WAITING:
            first = next(
                other
                for other in self.over
                if self.items[other[0]].step == item.step
                and self.items[other[0]].place is Place.WAITING
            )
            assert key == first, "law 6: another has waited for a slot longer"
            self._takes_slot(item, worker)
        else:  # it waits for several events at once
            assert worker == -1
        wait, answer, _ = item.replies[key[1]]
        item.replies[key[1]] = (wait, answer, True)
        self.calls_for.append(effects.Resume(key, self.over.pop(key)))

    def _waits_no_more(self, number: int) -> None:
        self.waits = {key: wait for key, wait in self.waits.items() if key[0] != number}
        self.over = {key: answer for key, answer in self.over.items() if key[0] != number}

    # ------------------------------------------------------------ collections

    def _collected(self, record: records.Collected) -> None:
        item = self.executing(record.delivery)
        assert item is not None
        wanted: Counter[type] = Counter()
        for kind, count in record.shape.runs:
            wanted[kind] += count
        key = BufferKey(record.buffer_id, record.shape.wants, record.key)
        assert parts(item.event)[record.place] is record.event
        place = ids(item.event).index(id(record.event))
        assert (key, place) not in item.told, "law 10: it has counted already"
        here = self.buffers.setdefault((item.step, key), [])
        here.append((record.delivery, record.kind, record.event))
        have = Counter(kind for _, kind, _ in here)
        item.told[key, place] = None
        if have >= wanted:
            batch = []
            for kind in (kind for kind, count in record.shape.runs for _ in range(count)):
                oldest = next(kept for kept in here if kept[1] is kind)
                here.remove(oldest)
                batch.append(oldest[2])
            item.told[key, place] = tuple(batch)
            self.calls_for.append(effects.Give(tuple(batch)))
        if not here:
            del self.buffers[item.step, key]

    # ------------------------------------------------------------ streams

    def _fired(self, record: records.Fired) -> None:
        stream, name = record.stream, record.step
        listing, gather = self.streams[stream], self.plan.step[name].gather
        assert gather is not None
        assert name in listing.owed, "law 7: it has fired already"
        assert self.due_to_fire(stream, name), "law 7: it has fired too early"
        listing.owed.remove(name)
        here = self.gathered(stream, name)
        taken = here[: gather.take]
        if gather.by_input:
            taken = sorted(taken, key=lambda item: item.branch.index if item.branch else -1)
        assert ids(record.events) == tuple(id(item.event) for item in taken), "law 7: other events"
        for item in here:
            del self.items[item.number]
        if taken:
            self.met.append((record.first, [item.number for item in taken]))
        line = most([listing.recovered, *(item.recovered for item in taken)])
        assert record.first == self.next_number
        self._goes_up(record, listing, line)
        if not gather.cancel_rest:
            return
        self._cancels(self.inside(stream))

    def _cancels(self, inside: list[StreamId]) -> None:
        rest = [i for i in self.items.values() if i.branch and i.branch.stream in inside]
        waiting = {item.number for item in rest if item.place in {Place.QUEUED, Place.DUE}}
        slotted = any(item.place is Place.SLOT for item in rest)
        if waiting or slotted or len(inside) > 1:
            self.doomed = waiting, sorted(inside)
        if bodies := [DeliveryId(item.number) for item in rest if item.place in EXECUTING]:
            self.calls_for.append(effects.Interrupt(tuple(bodies)))

    def _goes_up(self, record: records.Fired, listing: Listing, line: Counter[str]) -> None:
        """A fan-in's delivery is where the list was returned, outside its stream."""
        item = Item(record.first, record.step, record.events, Place.QUEUED, listing.parent, line)
        self.items[item.number] = item
        self.queues[record.step].append(item.number)
        self.next_number = item.number + 1

    def _dropped(self, record: records.Dropped) -> None:
        dropped = {*map(int, record.deliveries)}, [*record.streams]
        assert dropped == self.doomed, "law 7: the rest is what waits in these streams"
        self.doomed = None
        fired, *inner = record.streams
        for stream in inner:  # their branches are no more: nothing fires
            self.streams[stream].owed.clear()
        for item in [*self.items.values()]:
            stream = item.branch.stream if item.branch else None
            if (
                item.number in record.deliveries
                or (item.place is Place.SLOT and stream in record.streams)
                or (item.place is Place.GATHERED and stream in inner)
            ):
                del self.items[item.number]
        for queue in self.queues.values():
            queue[:] = [number for number in queue if number in self.items]
        self.slots = {
            key: slots for key, slots in self.slots.items() if key[1] not in {fired, *inner}
        }
        self._cancels_again()

    # ------------------------------------------------------------ another process

    def is_repeated(self, item: Item, stimulus: stimuli.Sent) -> bool:
        """Law 14: is this the next send on record?"""
        if item.sent >= len(item.sends):
            return False
        known = item.sends[item.sent]
        if known is None:
            return True
        event, to = known
        wanted = self.receivers(event)
        if stimulus.step is not None and not isinstance(event, Stop):
            wanted = (stimulus.step,)
        return same_event(event, stimulus.event) and to in {wanted, ()}

    def is_on_stream(self, item: Item, stimulus: stimuli.Wrote) -> bool:
        """Law 14: is this the next write on record, or has the same run inside shown such an event?"""
        event = stimulus.event
        if stimulus.source:
            return any(same_event(known, event) for known in item.shown.get(stimulus.source, []))
        if item.written >= len(item.writes):
            return False
        known = item.writes[item.written]
        return known is None or same_event(known, event)

    def _reopened(self, record: records.Reopened) -> None:
        """Bodies are gone, and run again; the times that are pending move over."""
        shift = self.epoch - record.epoch
        self.epoch = record.epoch
        for item in self.items.values():
            item.began += shift
            item.due += shift
        going = self.outcome is None
        self.permits = 0 if record.stepwise and going else None
        if going:
            again = self.at(*EXECUTING)
            due = sorted((item.due, DeliveryId(item.number)) for item in self.at(Place.DUE))
            self.calls_for += [effects.Alarm(number, at) for at, number in due]
        elif isinstance(self.outcome, records.Stopped) and self.plan.on_stop == "drain":
            if not self.drains_again:
                for item in self.at(Place.QUEUED):
                    self.late += [(item.number, event) for event in parts(item.event)]
                    del self.items[item.number]
                self.queues = {name: [] for name in self.queues}
            self.drains_again = True
            again = self.at(Place.RUNNING)
        else:
            return
        for item in sorted(again, key=lambda item: item.number, reverse=True):
            self.queues[item.step].insert(0, item.number)
            mine = [wait for key, wait in self.waits.items() if key[0] == item.number]
            latest = [*item.replies.values(), *((wait, None, False) for wait in mine)]
            known = [reply for reply in item.owed if not any(same(reply[0], w[0]) for w in latest)]
            item.owed, item.replies = [*latest, *known], {}
            self._waits_no_more(item.number)
            item.place, item.worker, item.sent, item.written = Place.QUEUED, -1, 0, 0
            for source, events in item.shown_again.items():
                item.shown[source] = [*events, *item.shown.get(source, [])]
            item.shown_again = {}
            item.waits = item.waits_before
            if not self.has_sends:
                item.sends = [None] * len(item.sends)
                item.writes, item.shown = [None] * len(item.writes), {}
        self._again = {*self.streams}
        self._cancels_again()

    def _cancels_again(self) -> None:
        """Law 7: what a fan-in has cancelled does not run again in another process."""
        while self._again:
            stream = min(self._again)
            self._again.remove(stream)
            listing = self.streams[stream]
            gathers = {
                name: self.plan.step[name].gather for name in self.plan.step[listing.step].opens
            }
            fired = [gather for name, gather in gathers.items() if name not in listing.owed]
            if any(gather is not None and gather.cancel_rest for gather in fired):
                inside = self.inside(stream)
                self._again -= {*inside}
                self._cancels(inside)
                if self.doomed is not None:
                    return


def same_event(one: object, other: object) -> bool:
    """Are they of one class, and equal?"""
    return type(one) is type(other) and one == other


def takes(step: StepPlan, kind: type) -> bool:
    """Does a step accept events of exactly this class?"""
    if issubclass(kind, Stop):
        return False
    return kind in step.accepts or (step.accept_subclasses and issubclass(kind, step.accepts))


def wants(wait: Wait, event: object) -> bool:
    """Does an event answer a wait?"""
    fits = isinstance(event, wait.kind) if wait.subclasses else type(event) is wait.kind
    return fits and all(
        hasattr(event, name) and getattr(event, name) == value
        for name, value in wait.requirements.items()
    )


def same(wait: Wait, other: Wait) -> bool:
    """Is it one wait, begun by two lives of a body?"""
    return wait.waiter_id == other.waiter_id and fits(wait, other)


def fits(wait: Wait, other: Wait) -> bool:
    """Do two waits want the same?"""
    return wait.kind is other.kind and wait.requirements == other.requirements


def owed_to(item: Item, wait: Wait) -> int:
    """Law 14: the place of what an earlier life was answered, or -1."""
    mine = [place for place, reply in enumerate(item.owed) if same(reply[0], wait)]
    if mine:
        return mine[0] if item.owed[mine[0]][1] is not None else -1
    unnamed = f"{wait.step}:{wait.delivery}:"
    fitting = [
        place
        for place, (other, answer, _) in enumerate(item.owed)
        if fits(other, wait)
        and answer is not None
        and other.waiter_id == f"{unnamed}{other.ordinal}"
        and wait.waiter_id == f"{unnamed}{wait.ordinal}"
    ]
    return fitting[0] if fitting else -1


def most(lines: Iterable[Counter[str]]) -> Counter[str]:
    """Lines of descent meet: each handler counts as often as on any one of them."""
    found: Counter[str] = Counter()
    for line in lines:
        found |= line
    return found
