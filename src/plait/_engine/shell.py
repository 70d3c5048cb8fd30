"""The shell of one run: it tells the kernel what happens, and performs what the kernel decides.

    run                     the scope and nursery of `host`; its deadline is the run's timeout
    ├── step "start"        a lane: nursery, limiter, inbox
    │   └── worker
    └── step "combine"

Rule 1: `hear` is the only way in. It decides, applies, tells the observers, performs; it never
    awaits, so it is atomic, and no task ever sees a half-made step.
Rule 2: the first decision wakes the host, and the host cancels the scope: one round of the scheduler
    later, so that what was due in the same instant still runs and is still heard.
Rule 3: the run is over when the scope has been left. Only then is its end told to anyone.
Rule 4: who sees `Cancelled` first says why (`notice`): the deadline, or the scope that owns the run.
    A `Cancelled` that nobody asked for is a failure like any other.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final, TypeAlias, assert_never

from plait._abc import Observer
from plait._event import Event
from plait._ids import OUTSIDE, DeliveryId, RunId
from plait._kernel import effects, stimuli
from plait._kernel.apply import apply
from plait._kernel.decide import decide
from plait._kernel.explain import explain
from plait._kernel.life import Phase
from plait._kernel.plan import Plan
from plait._kernel.records import Record
from plait._kernel.state import RunState
from plait._kernel.stimuli import Stimulus

from . import native
from .attempt import Attempt, current_attempt
from .failure import Conclusion, conclude, split, unwrap
from .gate import Gate
from .lane import Body, Lane
from .stream import Feed

if TYPE_CHECKING:
    from .native import Backend, CancelScope, Happening, Nursery

Answer: TypeAlias = effects.Begin | effects.Give | None

log: Final = logging.getLogger("plait")


class Shell:
    """One run, from the inside."""

    native: Backend
    clock: Callable[[], float]
    #: The context variables of the run's start; every body begins in a copy.
    base: Context
    _wound: Happening
    _admission: Happening

    def __init__(
        self,
        plan: Plan,
        bodies: Callable[[Shell], Mapping[str, Body]],
        start_event: Event,
        run_id: RunId,
        timeout: float | None,
        gate: Gate | None = None,
    ) -> None:
        self.plan = plan
        self.run_id = run_id
        self.timeout = timeout
        self.state = RunState(plan, run_id)
        self.feed = Feed()
        self.observers: list[Observer] = []
        self.conclusion: Conclusion | None = None
        #: The strand's own object for this run.
        self.context: object = None
        #: What is called when the run comes to rest: idle, or over.
        self.on_rest: list[Callable[[], object]] = []
        self.queued = False
        #: The attempt of another run in which this one runs.
        self.parent: Attempt | None = None
        self._bodies: Mapping[str, Body] = {}
        self._lanes: dict[str, Lane] = {}
        self._nursery: Nursery | None = None
        self._scope: CancelScope | None = None
        self._start_event = start_event
        self._gate = gate
        self._bind = bodies
        self._unreported: deque[Record] = deque()
        self._reporting = False
        self._cancel_asked = False
        self._story = ""

    # ------------------------------------------------------------ the host

    def start(self) -> None:
        """Begin: from here on the run hears what is sent to it. Bodies begin when `host` runs."""
        self.native = native.current()
        self.native.protect(Shell.hear)
        self.clock = self.native.clock()
        self.base = copy_context()
        self.parent = current_attempt.get()
        self._wound = self.native.event()
        self._bodies = self._bind(self)
        self.hear(stimuli.Opened(self.clock(), self._start_event))
        if self._gate is not None:
            self.queued = True
            self._admission = self.native.event()
            self._gate.enter(self._admission)
        if self._cancel_asked:
            self.cancel()

    async def host(self) -> None:
        """Run to the end. Raises nothing but the backend's `Cancelled`; see `conclusion`."""
        if self._gate is None:
            await self._run()
        else:
            await self._queue(self._gate)

    async def _queue(self, gate: Gate) -> None:  # noqa: ASYNC910 - a decided run needs no place
        """Wait for admission, first come, first served; the timeout has not begun."""
        try:
            with self.native.cancel_scope() as scope:
                self._scope = scope
                if self.state.phase is Phase.GOING:
                    await self._admission.wait()
        except self.native.cancelled:
            gate.leave(self._admission)
            self._close(None)
            raise
        try:
            if self.state.phase is Phase.GOING:
                self.queued = False
                await self._run()
            else:
                self._close(None)
        finally:
            gate.leave(self._admission)

    async def _run(self) -> None:
        deadline = math.inf if self.timeout is None else self.clock() + self.timeout
        crash = None
        try:
            with self.native.cancel_scope(deadline=deadline) as scope:
                self._scope = scope
                async with self.native.open_nursery() as nursery:
                    await self._guide(nursery)
                    scope.cancel()
        except BaseException as error:  # noqa: ASYNC103, BLE001 - parted, and nothing is lost
            cancelled, crash = split(error, self.native.cancelled)
            end = self._close(unwrap(crash))
            if cancelled is not None and (end.error is None or end.cancelled):
                raise cancelled from None  # noqa: ASYNC104 - the same one, out of its group
            if cancelled is not None and self.native.deadline() > -math.inf:
                # No scope asked for it, but asyncio's runner, for Ctrl-C: it waits for just this.
                raise cancelled from end.error  # noqa: ASYNC104
            return  # noqa: ASYNC104, ASYNC910 - a failure goes out instead, as from any nursery
        self._close(None)

    async def _guide(self, nursery: Nursery) -> None:
        self._nursery = nursery
        for lane in self._lanes.values():
            lane.open(nursery)
        try:
            await self._wound.wait()
        except self.native.cancelled:
            self.notice()
            raise

    def give_up(self) -> None:
        """End a run that has been started and that nobody will host."""
        if self._gate is not None:
            self._gate.leave(self._admission)
        self._close(None)

    def _close(self, crash: BaseException | None) -> Conclusion:
        """Rule 3: nothing of the run is left."""
        self.queued = False
        if self.state.phase is Phase.GOING:
            self.hear(stimuli.Abandoned(self.clock()))
        if self.state.phase is Phase.WINDING_UP and not self.state.running:
            self.hear(stimuli.Settled(self.clock()))
        self.conclusion = conclude(self.state, timeout=self.timeout, story=self._story, crash=crash)
        self.feed.close(self.conclusion.last_event)
        self._rest()
        for lane in self._lanes.values():
            lane.close()
        self._bodies = {}
        self._lanes = {}
        return self.conclusion

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
        records, todo = decide(self.state, stimulus)
        for record in records:
            apply(self.state, record)
        if self.observers:
            self._report(records)
        answer = None
        for effect in todo:
            match effect:
                case effects.Offer(step):
                    self._offer(step)
                case effects.Begin() | effects.Give():
                    answer = effect
                case effects.Publish(event):
                    assert isinstance(event, Event)
                    self.feed.publish(event)
                case effects.Refuse(error):
                    raise error
                case effects.Rest():
                    self._rest()
                case effects.Wind():
                    self._story = self._story or explain(self.state)
                    self._wound.set()
                    if self.queued and self._scope is not None:
                        self._scope.cancel()
                case _:
                    assert_never(effect)
        return answer

    def _offer(self, step: str) -> None:
        lane = self._lanes.get(step)
        if lane is None:
            plan = self.plan.step[step]
            lane = self._lanes[step] = Lane(self, step, plan.num_workers, self._bodies[step])
            if self._nursery is not None:
                lane.open(self._nursery)
        lane.offer()

    def _report(self, records: Sequence[Record]) -> None:
        """Tell the observers, in the order of the records even if one of them sends something."""
        self._unreported.extend(records)
        if self._reporting:
            return
        self._reporting = True
        try:
            while self._unreported:
                record = self._unreported.popleft()
                for observer in [*self.observers]:
                    try:
                        observer(record)
                    except Exception:
                        log.exception("An observer of run %s raised; it is removed.", self.run_id)
                        self.observers.remove(observer)
        finally:
            self._reporting = False

    def _rest(self) -> None:
        calls, self.on_rest = self.on_rest, []
        for call in calls:
            call()

    def notice(self) -> bool:
        """Say why there is a `Cancelled`; false if nobody asked for one."""
        if self.state.phase is not Phase.GOING:
            return True
        if self._scope is not None and self._scope.cancel_called:
            self.hear(stimuli.Expired(self.clock()))
        elif self.native.deadline() == -math.inf:
            self.hear(stimuli.Abandoned(self.clock()))
        else:
            return False
        return True

    # ------------------------------------------------------------ what others may ask

    def send(self, event: object, step: str | None, sender: DeliveryId = OUTSIDE) -> None:
        """Send an event into the run."""
        self.hear(stimuli.Sent(self.clock(), sender, event, step))

    def write(self, event: object, sender: DeliveryId = OUTSIDE) -> None:
        """Put an event on the stream."""
        self.hear(stimuli.Wrote(self.clock(), sender, event))

    def cancel(self) -> None:
        """Ask for the run to end. Remembered if it has not begun."""
        if self.state.phase is Phase.NEW:
            self._cancel_asked = True
        else:
            self.hear(stimuli.CancelAsked(self.clock()))

    def abandon(self) -> None:
        """End the run because whoever owns it has gone."""
        if self.state.phase is Phase.NEW:
            self.cancel()
        else:
            self.hear(stimuli.Abandoned(self.clock()))
