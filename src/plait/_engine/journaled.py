"""The shell of a run that is kept in a journal.

It differs from any other in three things, and in none of what it decides:

Rule 1: what is decided is performed when it is on disk (`ledger`). A body that a worker has taken
    begins no sooner. But for one whose delivery is there already, no worker waits for the disk:
    otherwise a step with one worker would have a commit for each of its bodies.
Rule 2: whoever owns the run may leave it. What would cancel another run suspends this one: its tasks
    are cancelled, and its stream ends there. It can be taken up again from its records. Its own end,
    a timeout, and `run.cancel()` are records, and final.
Rule 3: a name that is in the journal stands for the run that is there. It goes on; or, if it has
    ended, it has come to what it had come to.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from plait._abc import ENDED, Entry, Journal
from plait._errors import (
    ContextSerdeError,
    JournalError,
    PlaitError,
    RunConflictError,
    StreamConflictError,
    UnknownRunError,
    UnreadableEntryError,
    WorkflowRuntimeError,
)
from plait._event import Event
from plait._ids import OUTSIDE, DeliveryId
from plait._kernel import records, stimuli
from plait._kernel.delivery_calls import KEEPING
from plait._kernel.effects import Alarm, Begin, Effect, Give, Offer, Publish, Refuse, Wind
from plait._kernel.explain import explain
from plait._kernel.functions.reasons import Why
from plait._kernel.keeping import Keep
from plait._kernel.life import GOING, Phase
from plait._kernel.records import AnyRecord, CallRecord
from plait._kernel.stimuli import Stimulus
from plait._show import show

from .attempt import HEARD, Attempt
from .desk import Desk, using
from .failure import Conclusion, cancelled_early, unkept
from .lane import Body, Lane
from .ledger import Ledger, Scribe
from .past import Past, find, say_held
from .shell import TOLD, Answer, Shell

if TYPE_CHECKING:
    from .hosting import Hosting
    from .native import Happening

#: Entries that are read at once.
PAGE: Final = 1000

#: What a body does while it executes.
OF_BODIES: Final = (
    stimuli.Sent,
    stimuli.Wrote,
    stimuli.Contributed,
    stimuli.WaitBegan,
    stimuli.WaitExpired,
    stimuli.StoreChanged,
)
#: What is heard of a body at its end.
ENDS: Final = (stimuli.Returned, stimuli.Raised, stimuli.Unwound)

log: Final = logging.getLogger("plait")


class Archive(Protocol):
    """Where a run is kept, and how it is written."""

    journal: Journal
    #: May the journal have the run? One with a new name it cannot have.
    known: bool
    #: Must it?
    resumes: bool
    #: The name of the workflow.
    target: str

    @property
    def scribe(self) -> Scribe:
        """Who writes it, and reads it."""
        ...

    def forks(self, shell: JournaledShell) -> bool:
        """Put the state in place that a run begins from which no start event begins, if it is one."""
        ...

    def forked(self, shell: JournaledShell, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Look at the first entries that were read. If the run began from a state, put that in place.

        Raises:
            PlaitError: It is not the run that was to begin.

        Returns:
            Those that follow.
        """
        ...

    def hosting(self, shell: JournaledShell) -> Hosting:
        """Make what hosts bodies that make durable calls."""
        ...

    def check(self) -> None:
        """Refuse to begin a run that cannot be kept. Raises `ContextSerdeError`."""
        ...

    def begun(self, shell: JournaledShell) -> None:
        """Do what is to be done when the run has begun."""
        ...

    def taken_up(self, shell: JournaledShell) -> None:
        """Do what is to be done when the run has been read, and before it goes on."""
        ...


class JournaledShell(Shell):
    """One run that is kept in a journal, from the inside."""

    taken_up: Happening | None
    conclusion: Conclusion | None
    #: How each record is kept.
    _keeping: Mapping[Any, Keep] = KEEPING

    def __init__(self, *args: Any, archive: Archive, **options: Any) -> None:
        super().__init__(*args, **options)
        self.archive = archive
        #: Has it come so far that its tasks may run?
        self._hosted = False
        self._desk: Desk
        self._read: Happening
        #: Does a body's last append wait for its completion? Does any wait for the next round?
        self._sending = self._in_doubt = False
        #: Classes that can be written.
        self._prepared: set[type] = set()
        self._ledger = Ledger(archive.scribe, self.state, self._cannot_go_on, self._keeping)
        #: Made for the first body that may make durable calls.
        self._hosting: Hosting | None = None

    # ------------------------------------------------------------ the beginning

    def _begin(self) -> None:
        self.native.name_in(self.base)  # effects are performed in callbacks of the loop
        self._read = self.native.event()
        if self.archive.known:
            self.taken_up = self._read
        if not self.archive.known:
            self._open_it()

    def _open_it(self) -> None:
        now = self.clock()
        self.archive.scribe.begin(time.time() - now)
        self._goes_on = self.archive.forks(self)
        self.archive.check()
        self._ledger.hold()  # one append: who takes the run up finds its store as well
        super()._begin()
        self.archive.begun(self)
        self._ledger.release()

    async def host(self) -> None:  # noqa: ASYNC910 - `using` waits
        """Run to the end, or until the owner leaves. Raises nothing but the backend's `Cancelled`."""
        archive = self.archive
        try:
            async with using(archive.journal, self.native) as desk:
                with desk.claim(self.run_id):
                    if archive.known:
                        await self._find()
                    self._ledger.attach(archive.journal)
                    self._read.set()
                    if self.conclusion is None:
                        self._hosted = True
                        self._desk = desk
                        with desk.told(self._fail):
                            await super().host()
        except PlaitError as error:
            self._unkept(error)
        finally:
            self._read.set()
            self._ledger.open = False
            if not self._hosted and self._gate is not None:
                self._gate.leave(self._admission)
            if self.conclusion is None:
                self._close(None)

    async def _find(self) -> None:
        """Take the run up, if it is there and of this workflow."""
        archive, unreadable = self.archive, None
        listed = await find(archive.journal, self.run_id, archive.target)
        try:
            await self._take_up()
        except UnreadableEntryError as error:
            unreadable = error
        if unreadable is not None:
            if listed is not None and listed.status not in ENDED:
                await say_held(archive.journal, archive.scribe, listed, unreadable, self.native)
            raise unreadable

    async def _take_up(self) -> None:
        """Read what there is of the run, and go on from there."""
        journal, scribe, past = self.archive.journal, self.archive.scribe, Past(self._pauses)
        while entries := await journal.read(self.run_id, after=past.entries, limit=PAGE):
            is_first, many = not past.entries, len(entries)
            if is_first:
                entries = self.archive.forked(self, entries)
            past.entries += many
            past.read(self.state, entries, scribe.records(entries), partial(self._look, past))
        if not past.entries:
            if self.archive.resumes:
                raise UnknownRunError(f"The journal has no run {self.run_id!r}.")
            self._open_it()
            return
        past.ask_again(self.state.waits)
        for event in past.shown:
            assert isinstance(event, Event)
            self.feed.publish(event)
        self.archive.taken_up(self)
        if self.state.phase is Phase.OVER:
            self._conclude(None, disowned=False)
            return
        now = self.clock()
        epoch = time.time() - now
        scribe.begin(epoch)
        self._go_on(now, epoch, past.elapsed)
        if self._cancel_asked:
            self.cancel()

    def _look(self, past: Past, record: AnyRecord) -> None:
        """Look at a record that is being read, before it is applied."""
        if not past.begun and isinstance(record, records.Emitted) and record.cause == OUTSIDE:
            self._compare(record.event)
        elif isinstance(record, records.Decided) and isinstance(record.outcome, TOLD):
            self._story = explain(self.state, record.at)

    def _compare(self, event: object) -> None:
        if not self.archive.resumes and event != self._start_event:
            raise RunConflictError(
                f"The journal has a run {self.run_id!r} with another start event: "
                f"{show(event, 200)}, not {show(self._start_event, 200)}. "
                "Take another name, or go on with that run: workflow.resume(run_id)"
            )

    def send(self, event: object, step: str | None, sender: DeliveryId = OUTSIDE) -> None:
        """Send an event into the run."""
        if self.state.phase is Phase.NEW or self.is_being_read:
            raise WorkflowRuntimeError(
                f"Run {self.run_id!r} is still being read from its journal.\n"
                "  right:  async with run: run.send_event(...)"
            )
        super().send(event, step, sender)

    @property
    def is_being_read(self) -> bool:
        """Is it not known yet how the run stands?"""
        return self.archive.known and not self._read.is_set()

    def hand_on(self, letter: int, child: Shell) -> None:
        """Give a letter of the mailbox to a run inside: one append, if they share a journal."""
        if isinstance(child, JournaledShell):
            with child._ledger.together_with(self._ledger):
                super().hand_on(letter, child)
        else:
            super().hand_on(letter, child)

    # ------------------------------------------------------------ the ear and the hands

    def hear(self, stimulus: Stimulus) -> Answer:
        """Do as any shell, once it is certain that what comes of it can be written."""
        if self._ledger.open:
            if self._suspends(stimulus):
                self._suspend(stimulus.now)
            else:
                self._doubt(stimulus)
                try:
                    self._prepare(stimulus)
                except ContextSerdeError as error:
                    if not isinstance(stimulus, stimuli.Returned):
                        raise
                    stimulus = stimuli.Raised(stimulus.now, stimulus.delivery, error)
        try:
            return super().hear(stimulus)
        finally:
            if self._sending and isinstance(stimulus, ENDS):
                self._sending = False
                self._ledger.release()

    def send_all(self, events: Iterable[tuple[object, str | None]], sender: DeliveryId) -> None:
        """Send the events that a body has held back: one append with its completion, which follows."""
        if not self._sending:
            self._sending = True
            self._ledger.hold()
        super().send_all(events, sender)

    def _suspend(self, now: float) -> None:
        if self.timeout is not None and self._ledger.error is None:
            super().hear(stimuli.StoreChanged(now, OUTSIDE, {}))  # so long it went on
        self._close_ledger()

    def _close_ledger(self) -> None:
        """Take nothing more: what follows is clean-up, and no outcome of anything."""
        self._ledger.open = False
        if self._hosting is not None:
            self._hosting.suspend()

    def _doubt(self, stimulus: Stimulus) -> None:
        """Keep what a body does in its clean-up back for one round of the scheduler.

        Whoever is woken first by a cancellation cannot know whose it is: its own, or that of the scope
        that owns the run. By then the host knows, and what came after a suspension is nobody's.
        """
        if (
            not self._in_doubt
            and isinstance(stimulus, OF_BODIES)
            and self.state.phase is GOING
            and self._may_be_cancelled(stimulus)
        ):
            self._in_doubt = True
            self._ledger.hold()
            self.native.caller()(self._be_certain)

    def _may_be_cancelled(self, stimulus: Stimulus) -> bool:
        if isinstance(stimulus, stimuli.WaitExpired) and stimulus.called_away:
            return True  # it is heard in a shield
        return self.native.current_task() is not None and self.native.deadline() == -math.inf

    def _be_certain(self) -> None:
        self._in_doubt = False
        self._ledger.release()

    def _prepare(self, stimulus: Stimulus) -> None:
        prepare = self.archive.scribe.prepare
        match stimulus:
            case stimuli.Sent() | stimuli.Wrote():
                prepare(stimulus.event)
            case stimuli.Returned():
                prepare(stimulus.value)
            case stimuli.Contributed():
                self._prepare_classes(stimulus.shape.need)
                prepare(stimulus.key)
            case stimuli.WaitBegan():
                self._prepare_classes([stimulus.kind])
                prepare(dict(stimulus.requirements))
                prepare(stimulus.question)
            case _:
                pass

    def _prepare_classes(self, kinds: Iterable[type]) -> None:
        for kind in kinds:
            if kind not in self._prepared:
                self.archive.scribe.prepare(kind)
                self._prepared.add(kind)

    def _suspends(self, stimulus: Stimulus) -> bool:
        """Rule 2. Ctrl-C in a body comes from the owner as well: it is no failure of the step's."""
        if not (self.state.phase is GOING or self.state.draining):
            return False
        if isinstance(stimulus, stimuli.Abandoned):
            return True
        return isinstance(stimulus, stimuli.Raised) and not isinstance(stimulus.error, Exception)

    def notice(self) -> bool:
        """Say why there is a `Cancelled`; false if nobody asked for one."""
        mine = self._scope is not None and self._scope.cancel_called
        if self.state.draining and self.disowned and not mine:
            self._close_ledger()
        return super().notice()

    def ready(self, step: str) -> DeliveryId | None:
        """Hear that a worker has come; the delivery for it."""
        if self.state.phase is not GOING and not self.state.drains_again:
            return None  # it was called by an offer that had been on its way to the disk
        answer = self.hear(stimuli.Ready(self.clock(), step))
        return answer.delivery if isinstance(answer, Begin) else None

    def returned(
        self, now: float, number: DeliveryId, value: object, *, stays: bool
    ) -> DeliveryId | None:
        """Hear that a body has returned; the next delivery for its worker, if that stays.

        It stays for one that is on disk. What it has returned itself may be on its way there: nobody
        sees that before, and without it both bodies were interrupted.
        """
        if value is HEARD:
            return None
        delivery = self.state.running.get(number)
        stays = stays and delivery is not None and self._next_is_kept(delivery.step, 1)
        answer = self.hear(stimuli.Returned(now, number, value, stays))
        return answer.delivery if isinstance(answer, Begin) else None

    def _act(self, records: Sequence[AnyRecord], todo: Sequence[Effect]) -> Answer:
        answer: Answer = None
        later: list[Effect] = []
        if self.state.phase is not GOING and isinstance(self.state.outcome, TOLD):
            self._story = self._story or explain(self.state, self.clock())
        for effect in todo:
            if isinstance(effect, Refuse):
                raise effect.error
            if isinstance(effect, Begin | Give):
                answer = effect
            elif isinstance(effect, Offer) and self._is_kept(effect.step):
                self._lanes[effect.step].offer()
            else:
                later.append(effect)
        if not self._ledger.open:  # what nobody will find on record is shown to nobody
            records, later = (), [effect for effect in later if not isinstance(effect, Publish)]
        self._ledger.append(records, partial(self._act_now, records, later))
        return answer

    def _is_kept(self, step: str) -> bool:
        """Are all deliveries on disk that this step has offered to workers?"""
        return self._next_is_kept(step, self.state.steps[step].offered)

    def _next_is_kept(self, step: str, count: int) -> bool:
        """Are the next deliveries of this step on disk, and may they begin?"""
        queue = self.state.steps[step].queue
        return (
            count <= len(queue)
            and self._ledger.has(queue[count - 1].number)
            and self._ledger.open
            and not self._in_doubt
            and self.state.phase is GOING
            and not self.cut.is_set()
        )

    def _act_now(self, records: Sequence[AnyRecord], todo: Sequence[Effect]) -> None:
        if self.cut.is_set() or not self._ledger.open:  # nobody is there to do anything any more
            todo = [effect for effect in todo if not isinstance(effect, Offer | Alarm)]
        super()._act(records, todo)

    def _open_lane(self, step: str) -> Lane:
        work = self._work[step]
        body = self._with_calls(work.body) if work.durable else work.body
        kept = attrs.evolve(work, body=self._once_kept(body))
        return self._new_lane(step, kept)

    def _once_kept(self, body: Body) -> Body:
        """Rule 1."""

        async def begin(attempt: Attempt) -> object:
            if not self._ledger.has(attempt.delivery.number):
                await self._until_kept()
            return await body(attempt)

        return begin

    async def _until_kept(self) -> None:  # noqa: ASYNC910 - it may be on disk by now
        if not await self._ledger.settled(self.native):
            await self.native.event().wait()  # the journal is broken: the scope is being cancelled

    # ------------------------------------------------------------ durable calls

    def _with_calls(self, body: Body) -> Body:
        async def host(attempt: Attempt) -> object:
            if self._hosting is None:
                self._hosting = self.archive.hosting(self)
            return await self._hosting.run(attempt, body)

        return host

    def keep_calls(
        self, kept: Sequence[tuple[int, CallRecord]], told: Callable[[int], object]
    ) -> None:
        """Keep the records of a delivery's calls. Not a checkpoint.

        Args:
            kept: The records, each with its number.
            told: Called with the last number when they are on disk, if it is worth while to wait.
        """
        if kept and self._ledger.open:
            records = [record for _, record in kept]
            waited = any(self._keeping[type(record)] is Keep.ACKNOWLEDGED for record in records)
            n = kept[-1][0]
            self._ledger.append(
                records,
                partial(self._calls_are_kept, records, partial(told, n) if waited else None),
            )

    def _calls_are_kept(
        self, records: Sequence[CallRecord], told: Callable[[], object] | None
    ) -> None:
        if self._tap is not None:
            self._tap(records)
        if self.observers:
            self.observers.tell(records)
        if told is not None:
            told()

    @property
    def keeps(self) -> bool:
        """Is what happens still kept? Not in a run that is suspended."""
        return self._ledger.open

    def give_up_on(self, number: DeliveryId, why: Why | None, error: Exception) -> None:
        """Hold the run where the journal has it. Not a checkpoint.

        Args:
            number: The delivery whose body cannot go on.
            why: Why not, as it is recorded.
            error: And as it is raised.
        """
        if self._ledger.open and why is not None:
            self.hear(stimuli.CannotGoOn(self.clock() + self.state.epoch, number, why))
        self._ledger.fail(error)

    def spawn(self, fn: Callable[[], Coroutine[Any, Any, None]], *, name: str) -> None:
        """Start a task that lives as long as the run."""
        assert self._nursery is not None, "no body runs before"
        self.spawn_in(self._nursery, fn, name=name)

    @property
    def is_cancelled(self) -> bool:
        """Has its scope been cancelled? A hosted body does not see that by itself."""
        return self._scope is not None and self._scope.cancel_called

    def _wind(self) -> None:
        super()._wind()
        if self._hosting is not None:  # its tasks do not end by themselves
            self._gentle = False

    def store_changed(
        self, sender: DeliveryId, values: Mapping[str, object], removed: tuple[str, ...]
    ) -> None:
        """Keep what was written to the store."""
        self.hear(stimuli.StoreChanged(self.clock(), sender, values, removed))

    # ------------------------------------------------------------ the end

    async def _kept(self) -> None:
        with self.native.cancel_scope(shield=True):
            await self._ledger.finish(self.native)

    def _fail(self, error: JournalError) -> None:
        """Hear that the journal has failed for another run: rule 4 of the ledger, for this one as well."""
        if self.state.phase is not Phase.OVER:
            self._ledger.fail(error)

    def _cannot_go_on(self) -> None:
        """Rule 4 of the ledger: the run is suspended where the journal has it."""
        if self._hosting is not None:
            self._hosting.suspend()
        error = self._ledger.error
        # A conflict refuses one append of one run, see `Journal`.
        if isinstance(error, JournalError) and not isinstance(error, StreamConflictError):
            self._desk.fail(error)
        super().hear(stimuli.Abandoned(self.clock()))
        if not self.wound:
            self._perform(Wind())

    def _conclude(self, crash: BaseException | None, *, disowned: bool) -> Conclusion:
        if self._ledger.error is not None:
            self._unkept(self._ledger.error, crash)
        elif self.state.phase is Phase.NEW:
            self._end(cancelled_early(self.state))
        if self.conclusion is not None:
            return self.conclusion
        return super()._conclude(crash, disowned=disowned)

    def _unkept(self, error: Exception, crash: BaseException | None = None) -> None:
        """End a run whose journal is broken, or does not have it, or does not want it."""
        if self.conclusion is None:
            self._end(unkept(self.state, error, crash))
        elif self.conclusion.error is None:
            self.conclusion = unkept(self.state, error, None)
        else:
            log.error("The journal of run %s: %s", self.run_id, error)
