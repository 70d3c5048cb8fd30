"""The shell of one run: it tells the kernel what happens, and performs what the kernel decides.

    run                     the scope and nursery of `host`; its deadline is the run's timeout
    ├── step "start"        a lane: nursery, limiter, inbox
    │   └── worker
    └── step "combine"

Rule 1: `hear` is the only way in, with `ready` and `returned` for its two commonest stimuli. It
    decides, applies, tells the observers, performs; it never awaits, so it is atomic, and no task
    ever sees a half-made step.
Rule 2: the first decision wakes the host, and the host cancels the scope: one round of the scheduler
    later, so that what was due in the same instant still runs and is still heard. If no body runs or
    waits, the lanes let their workers go instead: to cancel them takes a third longer.
Rule 3: the run is over when the scope has been left. Only then is its end told to anyone.
Rule 4: who sees `Cancelled` first says why (`notice`): the deadline, or the scope that owns the run.
    A `Cancelled` that nobody asked for is a failure like any other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import Context, copy_context
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, assert_never

from plait._errors import WorkflowRuntimeError
from plait._event import Event
from plait._ids import OUTSIDE, DeliveryId, RunId
from plait._kernel import effects, stimuli
from plait._kernel.advance import Advance, advance
from plait._kernel.copying import copy_of
from plait._kernel.effects import Begin, Effect, Give, Offer
from plait._kernel.explain import explain
from plait._kernel.life import GOING, WINDING_UP, Phase
from plait._kernel.plan import Plan
from plait._kernel.records import AnyRecord, Stalled, Stopped, TimedOut
from plait._kernel.refusals import no_such_step
from plait._kernel.shortcuts import come, pass_on
from plait._kernel.state import RunState
from plait._kernel.stimuli import Stimulus
from plait._kernel.waits import WaitKey

from . import native
from .alarms import Alarms
from .attempt import Answerable, Attempt, current_attempt
from .failure import Conclusion, broken, conclude, split, unwrap
from .gate import Gate
from .kin import Kin
from .lane import Lane, Lanes, Work
from .observers import Observers
from .states import StateWatcher
from .stream import Feed
from .walker import Walker

if TYPE_CHECKING:
    from .native import Backend, CancelScope, Happening, Nursery

Answer: TypeAlias = Begin | Give | None
#: Takes records, and neither raises nor sends anything.
Tap: TypeAlias = Callable[[Sequence[AnyRecord]], object]

#: The ends whose error says how the run stood.
TOLD: Final = (TimedOut, Stalled)


class Surroundings(AbstractAsyncContextManager[object, bool | None], Protocol):
    """What lies around all steps of a run, and is left when they have ended."""

    #: What went wrong with it: failures of the run.
    errors: list[BaseException]


class Shell:
    """One run, from the inside."""

    #: The kernel's door, and what is made of the end that a run comes to.
    _advance: Callable[[RunState, Stimulus], Advance] = staticmethod(advance)
    _ending: Callable[..., Conclusion] = staticmethod(conclude)
    native: Backend
    clock: Callable[[], float]
    #: The context variables of the run's start; every body begins in a copy.
    base: Context
    _wound: Happening
    #: Set when the run's scope has been cancelled: whoever still waits then is shielded.
    cut: Happening
    _admission: Happening
    _thread: int

    def __init__(
        self,
        plan: Plan,
        work: Callable[[Shell], Mapping[str, Work]],
        start_event: Event,
        run_id: RunId,
        *,
        timeout: float | None = None,
        pauses: bool = False,
        gate: Gate | None = None,
        around: Surroundings | None = None,
        stream_buffer: float = math.inf,
        state: RunState | None = None,
    ) -> None:
        self.plan = plan
        self.run_id = run_id
        self.timeout = timeout
        #: Of a run that goes on, what a snapshot has of it.
        self._goes_on = state is not None
        self.state: RunState = self._new_state(plan, run_id) if state is None else state
        self.feed: Feed = Feed(stream_buffer)
        #: The waits that have not ended.
        self.waiting: dict[WaitKey, Answerable] = {}
        self.observers: Observers = Observers(run_id)
        #: Are given the records of each decision at once, see `tap`.
        self._taps: Sequence[Tap] = ()
        self._tap: Tap | None = None
        self.conclusion: Conclusion | None = None
        #: The strand's own object for this run, until that is over.
        self.context: object = None
        #: Set when the run comes to rest, idle or over; there is none while nobody waits for it.
        self._at_rest: Happening | None = None
        self.queued: bool = False
        #: The attempt of another run in which this one runs.
        self.parent: Attempt | None = None
        self._work: Mapping[str, Work] = {}
        #: Does the deadline wait while the run is idle? Then: what was left of it.
        self._pauses = pauses
        self._left: float | None = None
        #: On the run's clock; and when it was admitted, as if there had been no other process.
        self.deadline: float = math.inf
        self._admitted: float | None = None
        self._lanes = Lanes()
        self._nursery: Nursery | None = None
        self._scope: CancelScope | None = None
        self._start_event = start_event
        self._gate = gate
        self._around = around
        self._bind = work
        self._alarms = Alarms()
        self._cancel_asked = False
        self._begun = False
        #: Will all tasks of the decided run end by themselves, at once? To be cancelled costs more.
        self._gentle = False
        self._story = ""
        #: Does the run start one delivery at a time, each when it is asked to?
        self.stepwise = False
        self._watcher: StateWatcher | None = None
        self._walker: Walker | None = None
        self._kin: Kin | None = None
        #: How it stood when it was cancelled: from there it may go on under its context.
        self.resumable: RunState | None = None
        #: Set when it is known how the run stands, if that has to be read first.
        self.taken_up: Happening | None = None
        #: What is called once when the run is over.
        self.on_end: list[Callable[[], object]] = []
        #: Called, by the strand, when a body has returned and that has not been routed.
        self.checkpoints: list[Callable[..., object]] = []
        #: What the delivery returned that a checkpoint has put aside.
        self.completes: object = None

    @staticmethod
    def _new_state(plan: Plan, run_id: RunId) -> RunState:
        return RunState(plan, run_id)

    # ------------------------------------------------------------ the host

    def start(self) -> None:
        """Begin: from here on the run hears what is sent to it. Bodies begin when `host` runs."""
        self.native = native.current()
        self.parent = current_attempt.get()
        self._refuse_deadlock()
        self._thread = get_ident()
        kind = type(self)
        for ear in (kind.hear, kind.ready, kind.returned):
            self.native.protect(ear)
        self.clock = self.native.clock()
        self.base = copy_context()
        self._wound = self.native.event()
        self.cut = self.native.event()
        self._work = self._bind(self)
        del self._bind  # it refers to what refers to the run
        self._lanes.begin(self._open_lane)
        self._begun = True
        self._begin()
        if self._gate is not None:
            self.queued = True
            self._admission = self.native.event()
            self._gate.enter(self._admission)

    def _begin(self) -> None:
        now = self.clock()
        epoch = time.time() - now
        if not self._goes_on:
            self.hear(stimuli.Opened(now, self._start_event, epoch, stepwise=self.stepwise))
        elif self.state.phase is not Phase.OVER:
            self._go_on(now, epoch, self.state.elapsed)
        if self._cancel_asked:
            self.cancel()

    def _go_on(self, now: float, epoch: float, elapsed: float) -> None:
        """Take the run up, and then what was returned at the checkpoint that it begins with."""
        self.hear(stimuli.TakenUp(now, epoch, self.stepwise, elapsed))
        for number in [*self.state.aside]:
            self.hear(stimuli.Returned(now, number, self.completes))

    def _refuse_deadlock(self) -> None:
        """Refuse a run that waits for a place which only the runs around it can free.

        Raises:
            WorkflowRuntimeError: It could never begin.
        """
        if self._gate is None:
            return
        around, attempt = 0, self.parent
        while attempt is not None:
            around += attempt.shell._gate is self._gate
            attempt = attempt.shell.parent
        if around >= self._gate.limit:
            raise WorkflowRuntimeError(
                f"Workflow {self.plan.name!r} has num_concurrent_runs={self._gate.limit}, and this "
                "run is inside of as many: it could never begin. Run another object of the class."
            )

    async def host(self) -> None:
        """Run to the end. Raises nothing but the backend's `Cancelled`; see `conclusion`."""
        if self._kin is not None:
            self._kin.begin()
        if self.state.phase is Phase.OVER:  # so it was when it was written down
            self._conclude(None, disowned=False)
            if self._gate is not None:
                self._gate.leave(self._admission)
            await self.native.checkpoint()
        elif self._gate is None:
            await self._run()
        else:
            await self._queue(self._gate)

    async def _queue(self, gate: Gate) -> None:  # noqa: ASYNC910 - a decided run needs no place
        """Wait for admission, first come, first served; the timeout has not begun."""
        try:
            with self.native.cancel_scope() as scope:
                self._scope = scope
                if self.state.phase is GOING:
                    await self._admission.wait()
        except BaseException:  # Ctrl-C too: nobody else gives the place back
            gate.leave(self._admission)
            self._close(None)
            raise
        try:
            if self.state.phase is GOING:
                self.queued = False
                await self._run()
            else:
                self._close(None)
        finally:
            gate.leave(self._admission)

    async def _run(self) -> None:  # noqa: ASYNC910 - `_guide` waits
        deadline = math.inf
        self._admitted = self.clock() - self.state.elapsed
        if self.timeout is not None:
            deadline = self._admitted + self.timeout
        self.deadline = deadline
        cancelled = crash = None
        try:
            async with self._around or nullcontext():
                with self.native.cancel_scope(deadline=deadline) as scope:
                    self._scope = scope
                    async with self.native.open_nursery() as nursery:
                        await self._guide(nursery)
                        if not self._gentle:
                            scope.cancel()
                        self.cut.set()
        except BaseException as error:  # noqa: ASYNC103, BLE001 - parted, and nothing is lost
            cancelled, crash = split(error, self.native.cancelled)
        # Was it the scope that owns the run, or what lies around the steps?
        stopped = isinstance(self.state.outcome, Stopped)  # then it makes no difference
        disowned = cancelled is not None or (not stopped and self.disowned)
        self._settle()
        await self._kept()
        end = self._conclude(unwrap(crash), disowned=disowned)
        if cancelled is not None and (end.error is None or end.cancelled):
            raise cancelled from None  # noqa: ASYNC104 - the same one, out of its group
        if cancelled is not None and self.native.deadline() > -math.inf:
            # No scope asked for it, but asyncio's runner, for Ctrl-C: it waits for just this.
            raise cancelled from end.error  # noqa: ASYNC104
        # Else a failure goes out instead of the cancellation, as from any nursery.

    async def _guide(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self._alarms.begin(self, nursery)
        for lane in self._lanes.values():
            lane.open(nursery)
        try:
            await self._wound.wait()
        except self.native.cancelled:
            self.notice()
            self.cut.set()
            raise

    def give_up(self) -> None:
        """End a run that has been started and that nobody will host."""
        if self._gate is not None:
            self._gate.leave(self._admission)
        self._close(None)

    def _close(self, crash: BaseException | None) -> None:
        self._settle()
        self._conclude(crash, disowned=True)

    def _settle(self) -> None:
        """Rule 3: nothing of the run is left."""
        self.queued = False
        if self.state.phase is GOING:
            self.hear(stimuli.Abandoned(self.clock()))
        going = self.state.running or self.state.suspended  # torn away, by Ctrl-C in plait itself
        if self.state.phase is WINDING_UP and not going:
            self.hear(stimuli.Settled(self.clock()))

    async def _kept(self) -> None:  # noqa: ASYNC910 - a run in memory has nothing to wait for
        """Wait until what the run has come to is kept."""

    def _conclude(self, crash: BaseException | None, *, disowned: bool) -> Conclusion:
        """Say what it has come to. `disowned`: the scope that owns it was cancelled."""
        others = [] if crash is None else [crash]
        if self._around is not None:
            others += self._around.errors
        try:
            conclusion = self._ending(
                self.state,
                story=self._story,
                others=others,
                disowned=disowned,
            )
        except Exception as bug:  # noqa: BLE001 - it is raised to whoever awaits the run
            conclusion = broken(self.state, bug)
        self._end(conclusion)
        return conclusion

    def _end(self, conclusion: Conclusion) -> None:
        self.conclusion = conclusion
        self.feed.close(conclusion.last_event)
        self._rest()
        for call in self.on_end:
            call()
        self._lanes.close()
        self._work = {}
        self.context = None  # it refers to the run: so a run that is over goes when nobody has it

    def spawn_in(
        self, nursery: Nursery, fn: Callable[[], Coroutine[Any, Any, None]], *, name: str
    ) -> None:
        """Start a task in the context variables of the run's start.

        A task copies the context of whoever calls `start_soon`, and that may be any body.
        """
        self.base.run(lambda: nursery.start_soon(fn, name=name))

    # ------------------------------------------------------------ the kernel's ear and hands

    def hear(self, stimulus: Stimulus) -> Answer:
        """Tell the kernel what happened and do what it says. Raises what the kernel refuses."""
        return self._act(*self._advance(self.state, stimulus))

    def ready(self, step: str) -> DeliveryId | None:
        """Hear that a worker has come; the delivery for it."""
        now = self.clock()
        if self.observers or self._pauses:
            answer = self.hear(stimuli.Ready(now, step))
            return answer.delivery if isinstance(answer, Begin) else None
        started = come(self.state, now, step)
        if started is None:
            return None
        if self._tap is not None:
            self._tap((started,))
        return started.delivery

    def returned(
        self, now: float, number: DeliveryId, value: object, *, stays: bool
    ) -> DeliveryId | None:
        """Hear that a body has returned; the next delivery for its worker, if that stays."""
        passed_on = pass_on(self.state, now, number, value, stays=stays)
        if passed_on is None or self.observers or self._pauses:
            stimulus = stimuli.Returned(now, number, value, stays)
            answer = self._act(*(passed_on or advance(self.state, stimulus)))
            return answer.delivery if isinstance(answer, Begin) else None
        if self._tap is not None:
            self._tap(passed_on[0])
        begun = None
        for effect in passed_on[1]:  # as in `_act`, a call less: this is every second stimulus
            if isinstance(effect, Offer):
                self._lanes[effect.step].offer()
            elif isinstance(effect, Begin):
                begun = effect.delivery
            else:
                assert not isinstance(effect, Give)
                self._perform(effect)
        return begun

    def _act(self, records: Sequence[AnyRecord], todo: Sequence[Effect]) -> Answer:
        if self._tap is not None:
            self._tap(records)
        if self.observers:
            self.observers.tell(records)
        if self._pauses:
            self._pause_or_go_on()
        answer = None
        for effect in todo:
            if isinstance(effect, Offer):  # a `match` over all of them takes four times as long
                self._lanes[effect.step].offer()
            elif isinstance(effect, (Begin, Give)):
                answer = effect
            else:
                self._perform(effect)
        return answer

    def _perform(self, effect: effects.Deed) -> None:
        match effect:
            case effects.Publish():
                assert isinstance(effect.event, Event)
                self.feed.publish(effect.event)
            case effects.Refuse():
                raise effect.error
            case effects.Resume(wait, event):
                if wait in self.waiting:
                    self.waiting[wait].give(event)
            case effects.Alarm(delivery, at):
                self._alarms.set(self, self._nursery, delivery, at)
            case effects.Interrupt(deliveries):
                losers = {*deliveries}
                for attempt in self.attempts():
                    if attempt.delivery.number in losers:
                        attempt.worker.end()
            case effects.Rest():
                self._rest()
            case effects.Wind():
                self._wind()
            case _:
                assert_never(effect)

    def _open_lane(self, step: str) -> Lane:
        return self._new_lane(step, self._work[step])

    def _new_lane(self, step: str, work: Work) -> Lane:
        lane = Lane(self, step, self.plan.step[step].num_workers, work)
        if self._nursery is not None:
            lane.open(self._nursery)
        return lane

    def _wind(self) -> None:
        if isinstance(self.state.outcome, TOLD):
            self._story = self._story or explain(self.state, self.clock())
        self._wound.set()
        lanes = self._lanes.values()
        state = self.state
        idle = not (state.running or state.suspended or self._alarms)
        self._gentle = idle and all(lane.gentle for lane in lanes)
        if self._gentle:
            for lane in lanes:
                lane.finish()
        for cell in self.waiting.values():
            cell.woken.set()
        for attempt in self.attempts():
            attempt.worker.lift_shelter()
        if self.queued and self._scope is not None:
            self._scope.cancel()

    def _pause_or_go_on(self) -> None:
        """While the run is idle its deadline is put off."""
        scope, now = self._scope, self.clock()
        if scope is None or self.queued:
            return
        if self.state.idle and self._left is None:
            self._left = scope.deadline - now
            self.deadline = scope.deadline = math.inf
        elif not self.state.idle and self._left is not None:
            self.deadline = scope.deadline = now + self._left
            self._left = None

    def tap(self, take: Tap, *, instead_of: Tap | None = None) -> None:
        """Have `take` given the records of each decision, for whoever looks at them later.

        An observer costs a hop a sixth of its time, since it may raise, and send; this costs next to
        nothing. So `take` must do neither: it is a `deque.extend`.

        Args:
            take: Is given them.
            instead_of: Is given no more of them.
        """
        taps = [one for one in self._taps if one != instead_of]
        self._taps = [*taps, take]
        if not taps:
            self._tap = take
            return

        def all_of_them(records: Sequence[AnyRecord]) -> None:
            for one in self._taps:
                one(records)

        self._tap = all_of_them

    def _rest(self) -> None:
        if self._at_rest is not None:
            at_rest, self._at_rest = self._at_rest, None
            at_rest.set()

    async def rest(self) -> None:
        """Wait until the run is idle, or over."""
        if self._at_rest is None:
            self._at_rest = self.native.event()
        await self._at_rest.wait()

    def notice(self) -> bool:
        """Say why there is a `Cancelled`; false if nobody asked for one."""
        if self.state.phase is not GOING or self.notice_deadline():
            return True
        if self.native.deadline() == -math.inf:
            self.hear(stimuli.Abandoned(self.clock()))
        else:
            return False
        return True

    def notice_deadline(self) -> bool:
        """Say so if the deadline has passed. Also from inside scopes of somebody else."""
        passed = self._scope is not None and self._scope.cancel_called
        if passed and self.state.phase is GOING:
            self.hear(stimuli.Expired(self.clock(), self.timeout))
        return passed

    # ------------------------------------------------------------ what others may ask

    def check_thread(self, call: str) -> None:
        """Refuse a call from a thread that is not the event loop's: it would race with the run.

        Raises:
            WorkflowRuntimeError: It comes from another thread.
        """
        if get_ident() != self._thread:  # 40 ns, of 4 µs that the cheapest call takes
            library = "trio" if self.native.name == "trio" else "anyio"
            raise WorkflowRuntimeError(
                f"{call}() was called from a thread. Write {library}.from_thread.run_sync({call}, ...)"
            )

    def send(self, event: object, step: str | None, sender: DeliveryId = OUTSIDE) -> None:
        """Send an event into the run."""
        self.check_thread("send_event")
        if sender == OUTSIDE and step is None and self._kin is not None:
            child = self._kin.taker_of(event)
            if child is not None:
                child.send(event, None)
                return
        self.hear(stimuli.Sent(self.clock(), sender, event, step))

    def send_all(self, events: Iterable[tuple[object, str | None]], sender: DeliveryId) -> None:
        """Send the events that a body has held back until it succeeded."""
        for event, step in events:
            self.send(event, step, sender)

    def hand_on(self, letter: int, child: Shell) -> None:
        """Give a letter of the mailbox to a run inside."""
        child.send(self.state.mailbox[letter][1], None)
        self.hear(stimuli.HandedOn(self.clock(), letter, child.run_id))

    @property
    def kin(self) -> Kin:
        """The forwarding runs around it and inside it; made when there are some."""
        if self._kin is None:
            self._kin = Kin(self)
        return self._kin

    def write(self, event: object, sender: DeliveryId = OUTSIDE) -> None:
        """Put an event on the stream. Raises `StreamFullError` if its backlog is full."""
        self.check_thread("write_event_to_stream")
        if self.feed.bounded and not self.state.is_on_stream(sender, event):
            self.feed.check_room()
        self.hear(stimuli.Wrote(self.clock(), sender, event))

    def cancel_step(self, step: str, where: Callable[[object], bool] | None) -> int:
        """Cancel the running bodies of a step whose input satisfies `where`; count them."""
        self.check_thread("cancel_step")
        if step not in self.state.steps:
            raise no_such_step(self.state, step)
        lane = self._lanes.get(step)
        found = [
            worker
            for worker in (lane.workers if lane is not None else ())
            if worker.attempt is not None
            and not worker.unwanted
            and (where is None or where(worker.attempt.delivery.event))
        ]
        for worker in found:
            worker.end()
        return len(found)

    def attempts(self) -> Iterator[Attempt]:
        """The bodies that are executing, those that wait included."""
        for lane in self._lanes.values():
            for worker in lane.workers:
                if worker.attempt is not None:
                    yield worker.attempt

    def watch_states(self) -> None:
        """Tell the readers of internal events of each delivery, from now on."""
        if self._watcher is None:
            self._watcher = StateWatcher(self.state, self.feed.whisper)
            self.observers.append(self._watcher)

    async def step(self) -> list[Event] | None:
        """Let one delivery run to its end; the events that came of it, `None` at the end."""
        await self.native.checkpoint()
        if self.conclusion is not None:
            return None
        if self._walker is None:
            self._walker = Walker()
            self.observers.append(self._walker)
            self.on_end.append(self._walker.close)
        stride = self._walker.begin(self.native.event())
        self.hear(stimuli.StepAsked(self.clock()))
        try:
            await stride.done.wait()
        except self.native.cancelled:
            if self._walker.forgo(stride):
                self.hear(stimuli.StepAsked(self.clock(), -1))
            raise
        return stride.events if stride.ended else None

    @property
    def elapsed(self) -> float:
        """The seconds that count against the run's timeout."""
        if self._admitted is None:
            return self.state.elapsed
        if self._left is not None and self.timeout is not None:
            return self.timeout - self._left
        if self.deadline < math.inf and self.timeout is not None:
            return self.timeout - (self.deadline - self.clock())
        return self.clock() - self._admitted

    @property
    def disowned(self) -> bool:
        """Has a scope around this task been cancelled? To be asked outside of a body's own."""
        return self.native.deadline() == -math.inf

    @property
    def wound(self) -> bool:
        """Is the scope about to be cancelled?"""
        return self._wound.is_set()

    @property
    def is_being_read(self) -> bool:
        """Is it not known yet how the run stands?"""
        return False

    @property
    def winding_up(self) -> bool:
        """Has the run been decided?"""
        return self.state.phase is not GOING

    def cancel(self) -> None:
        """Ask for the run to end. Remembered if it has not begun."""
        if not self._begun or self.state.phase is Phase.NEW:
            self._cancel_asked = True
        else:
            self.check_thread("cancel")
            if self.state.phase is GOING:
                self.resumable = copy_of(self.state)
            self.hear(stimuli.CancelAsked(self.clock()))

    def abandon(self) -> None:
        """End the run because whoever owns it has gone."""
        if not self._begun or self.state.phase is Phase.NEW:
            self.cancel()
        else:
            self.hear(stimuli.Abandoned(self.clock()))
