"""The shell of a run whose steps follow one another.

    run                  the scope and nursery of `host`
    ├── step "fetch"         a task, while its body runs
    └── step "load[3]"       the same for one of several deliveries

Rule 1: a step has no lane. It has one delivery, or few that come together, so its task lives as long as
    its body: ten thousand steps never mean ten thousand tasks. The limiter is the run's.
Rule 2: a delivery has its token before its task exists, so the scheduler cannot change who is first.
Rule 3: who has been given a slot and never began, since the run was decided first, is heard of as well.
Rule 4: what follows a body at once may have its task, under another name, at half the price of a new
    one. Nobody can tell: see the rules 3 to 5 of `lane`. After a few bodies it makes way for others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from plait._errors import StepTimeoutError, WorkflowRuntimeError
from plait._event import Event
from plait._ids import OUTSIDE, DeliveryId, RunId
from plait._kernel.graph.advance import advance
from plait._kernel.graph.effects import Launch
from plait._kernel.graph.keeping import KEEPING
from plait._kernel.graph.state import GraphState
from plait._kernel.life import GOING
from plait._kernel.plan import Plan
from plait._kernel.state import Delivery
from plait._kernel.stimuli import Abandoned, Raised, Returned, Stimulus, Unwound

from .attempt import Attempt, current_attempt
from .failure import split
from .journaled import Archive, JournaledShell
from .lane import BUDGET
from .shell import Shell
from .variables import variables
from .worker import Worker

if TYPE_CHECKING:
    from .lane import Work
    from .native import Limiter, Nursery


class GraphShell(Shell):
    """One run, from the inside."""

    # Made by `_new_state`, and never another.
    state: GraphState  # pyright: ignore[reportIncompatibleVariableOverride]
    _advance: Any = staticmethod(advance)
    _limiter: Limiter

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        #: Whose body runs, or is about to.
        self._bodies: Final[dict[DeliveryId, Worker]] = {}
        #: Makes the failure of a body that its step's timeout has ended, after so many seconds.
        self.late: Callable[[Attempt, float], Exception] = _late
        #: Whose task is free for the next body, while the end of its own is being heard.
        self._stays: Worker | None = None
        #: Bodies that one task runs.
        self._budget: Final = max(1, BUDGET // self.plan.max_workers)
        #: Who has a slot, while there is no nursery yet.
        self._early: list[DeliveryId] = []

    @staticmethod
    def _new_state(plan: Plan, run_id: RunId) -> GraphState:
        return GraphState(plan, run_id)

    def _begin(self) -> None:
        self._limiter = self.native.limiter(self.plan.max_workers)
        super()._begin()

    async def _guide(self, nursery: Nursery) -> None:
        self._nursery = nursery
        early, self._early = self._early, []
        for number in early:
            self._launch(number)
        await super()._guide(nursery)

    def _perform(self, effect: Any) -> None:
        if isinstance(effect, Launch):
            self._launch(effect.delivery)
        else:
            super()._perform(effect)

    def _launch(self, number: DeliveryId) -> None:
        """Rule 2."""
        if self._nursery is None and self.state.phase is GOING:
            self._early.append(number)
            return
        delivery = self.state.running.get(number)
        if delivery is None:
            return  # it has been heard of in the meantime
        if self.state.phase is not GOING or self._nursery is None or self.cut.is_set():
            self.hear(Unwound(self.clock(), number))  # rule 3
            return
        worker, self._stays = self._stays, None
        if worker is not None:  # rule 4
            worker.attempt = Attempt(self, delivery, worker)
            self._bodies[number] = worker
            return
        worker = Worker(self.native.cancel_scope(), self._limiter, None)
        self._limiter.acquire_on_behalf_of_nowait(worker)
        worker.holds = True
        attempt = worker.attempt = Attempt(self, delivery, worker)
        self._bodies[number] = worker
        self.spawn_in(self._nursery, lambda: self._live(worker, attempt), name=self._name(delivery))

    def _name(self, delivery: Delivery) -> str:
        several = self.state.open[delivery.step].count > 1
        return f"step {delivery.step}[{delivery.event}]" if several else f"step {delivery.step}"

    async def _live(self, worker: Worker, attempt: Attempt) -> None:  # noqa: ASYNC910 - the body decides
        """Run one body to its end, and then perhaps another one."""
        try:
            with worker.scope as scope:
                for left in range(self._budget, 0, -1):
                    number, work = attempt.delivery.number, self._work[attempt.delivery.step]
                    if self.state.phase is not GOING or worker.unwanted:
                        self._over(worker, number)
                        self.hear(Unwound(self.clock(), number))
                        return  # noqa: ASYNC910 - it was decided before the body had begun
                    current_attempt.set(attempt)
                    before = variables()
                    if work.timeout is not None:
                        scope.deadline = self.clock() + work.timeout
                    try:
                        value = await work.body(attempt)
                    except BaseException as error:  # noqa: ASYNC103, BLE001 - heard, and raised again
                        worker.disarm()
                        self._over(worker, number)
                        self._ended_badly(attempt, work, error)
                        return  # noqa: ASYNC104, ASYNC910 - no `Cancelled` comes this far
                    if work.timeout is not None:
                        worker.disarm()
                    stays = left > 1 and not worker.ended and variables() is before
                    self._over(worker, number, stays=stays)
                    self._returned(worker, number, value, stays=stays)
                    if worker.attempt is None:
                        return  # noqa: ASYNC910 - the body decides
                    attempt = worker.attempt
                    self.native.rename(self._name(attempt.delivery))
        finally:
            if worker.attempt is not None:
                self._over(worker, worker.attempt.delivery.number)
            worker.give_back()

    def _returned(self, worker: Worker, number: DeliveryId, value: object, *, stays: bool) -> None:
        now = self.clock()
        if now >= self.deadline or (self._is_last and self.disowned):
            self.notice()  # the body has swallowed a cancellation
        if stays:
            self._stays = worker
        try:
            self.hear(Returned(now, number, value))
        finally:
            self._stays = None

    @property
    def _is_last(self) -> bool:
        """Is there nothing but one delivery?"""
        return self.state.busy == 1 and not self.state.pending

    def _over(self, worker: Worker, number: DeliveryId, *, stays: bool = False) -> None:
        """Give the token back before the kernel gives the slot to the next, if not to this worker."""
        if worker.attempt is not None:
            worker.attempt.context = None  # it refers to the attempt: a cycle
            worker.attempt = None
        del self._bodies[number]
        if not stays:
            worker.give_back()

    def _ended_badly(self, attempt: Attempt, work: Work, error: BaseException) -> None:
        worker, number = attempt.worker, attempt.delivery.number
        cancelled, failure = split(error, self.native.cancelled)
        asked = worker.ended or self.notice()
        if not asked and failure is None:
            name = attempt.delivery.step
            failure = WorkflowRuntimeError(
                f"Step {name!r} raised Cancelled, but nobody cancelled it."
            )
            failure.__cause__ = error
        elif worker.ended and not (worker.unwanted or self.winding_up):
            late = self.late(attempt, work.timeout or 0.0)
            late.__cause__ = failure or error
            failure = late
        if failure is None:
            self.hear(Unwound(self.clock(), number))
        else:
            self.hear(Raised(self.clock(), number, failure, final=worker.unwanted))
        if cancelled is not None and asked:
            raise cancelled

    def send(self, event: object, step: str | None, sender: DeliveryId = OUTSIDE) -> None:
        """Refuse an event: no step takes one."""
        del event, step, sender
        raise WorkflowRuntimeError(
            f"Run {self.run_id!r} takes no events: its steps follow one another."
        )

    def attempts(self) -> Iterator[Attempt]:
        """The bodies that are executing."""
        for worker in [*self._bodies.values()]:
            if worker.attempt is not None:
                yield worker.attempt

    def _settle(self) -> None:
        if self.state.phase is GOING:  # or who is heard of now would make room for others
            self.hear(Abandoned(self.clock()))
        for number in [*self.state.running]:  # rule 3
            if number not in self._bodies:
                self.hear(Unwound(self.clock(), number))
        super()._settle()


def _late(attempt: Attempt, seconds: float) -> Exception:
    return StepTimeoutError(f"Step {attempt.delivery.step!r} timed out after {seconds} seconds.")


class GraphArchive(Archive, Protocol):
    """Where such a run is kept."""

    async def before(self, shell: JournaledGraphShell, /) -> Event:
        """Read what the run takes over from another one, and give its start event."""
        ...


class JournaledGraphShell(GraphShell, JournaledShell):  # pyright: ignore[reportIncompatibleVariableOverride]
    """One run that is kept in a journal, from the inside.

    Unlike the run of a workflow it ends with its owner: what goes on later is another run, which takes
    over what this one has finished.
    """

    archive: GraphArchive
    _keeping = KEEPING

    async def _take_up(self) -> None:
        """Read what it takes over from another run, and begin."""
        self._start_event = await self.archive.before(self)
        self._open_it()

    def _suspends(self, stimulus: Stimulus) -> bool:  # noqa: ARG002 - as its base asks for
        return False


#: What a strand calls to make a run.
MakeShell = Callable[..., GraphShell]
