"""One step's lane: it performs what the kernel decided, and decides nothing.

The tree says what the user drew: a nursery for the step, in it the workers; a `CapacityLimiter`
whose tokens are the bodies that run; a memory channel, the inbox. A worker lives long: one that has
finished a delivery takes the next without a new task, at a third of the price of a task for each.
Nobody can tell, for these reasons:

Rule 1: the inbox holds offers, and a worker takes the oldest *delivery* from the kernel when it
    really runs. A scheduler that wakes tasks in any order cannot reorder the bodies.
Rule 2: every offer has a worker: one that sits beside the inbox and is called, one that is on its
    way back to it, or else a new one. `_coming` counts those on their way. Only an offer that finds
    nobody there lies in the inbox: to say that it is empty, a channel raises an exception, and a
    worker that waited in `receive` would cost a fifth more a hop.
Rule 3: each body begins in the context variables of the run's start. A worker whose body left
    other ones behind is dirty and retires.
Rule 4: a cancel scope belongs to a worker, not to a delivery, and costs nothing per delivery. It
    ends one body early: by a step's timeout, or because somebody wants it gone. Its worker retires
    with it, so that no other delivery is reached.
Rule 5: a body that raises is a stimulus like any other. `Cancelled` is not a failure: it passes
    through, after the kernel has heard of it, and the nursery waits for the clean-up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from plait._errors import StepTimeoutError, WorkflowRuntimeError
from plait._event import StopEvent
from plait._kernel.stimuli import Raised, Unwound

from .attempt import Attempt, current_attempt
from .failure import split
from .variables import variables
from .worker import SharedLimiter, Worker

if TYPE_CHECKING:
    from plait._ids import DeliveryId

    from .native import Happening, Inlet, Nursery, Outlet, Seats
    from .shell import Shell

#: Deliveries that the workers of a lane together handle without letting others run, if no body
#: suspends. At 64 a neighbour task runs every few 100 µs; unbounded, a long queue would starve it.
BUDGET: Final = 64


Body: TypeAlias = Callable[[Attempt], Awaitable[object]]


@attrs.define
class Work:
    """What a lane runs: a step's body, and the bounds that are not the kernel's. Nobody changes it.

    Each run makes its own; frozen, that would cost twice as much.
    """

    body: Body
    #: Seconds that one attempt may take, waits left out.
    timeout: float | None = None
    #: Shared with other steps, runs or programs.
    limiter: SharedLimiter | None = None
    #: May the body make durable calls?
    durable: bool = False


class Lanes(dict[str, "Lane"]):
    """The lanes of one run by the names of their steps, each opened when it is first asked for."""

    _open_lane: Callable[[str], Lane]

    def begin(self, open_lane: Callable[[str], Lane]) -> None:
        """Open lanes from here on."""
        self._open_lane = open_lane

    def close(self) -> None:
        """Close them all, and forget how to open any: that refers to the run, which has these."""
        for lane in self.values():
            lane.close()
        self.clear()
        vars(self).pop("_open_lane", None)

    def __missing__(self, step: str) -> Lane:
        lane = self[step] = self._open_lane(step)
        return lane


class Lane:
    """One step of one run. It costs a task and a nursery when its first event arrives."""

    def __init__(self, shell: Shell, name: str, num_workers: int, work: Work) -> None:
        self._shell = shell
        self._name = name
        self._work = work
        self._limiter = shell.native.limiter(num_workers)
        self._budget = max(1, BUDGET // num_workers) if work.limiter is None else 1
        self._send: Inlet
        self._receive: Outlet
        self._send, self._receive = shell.native.open_channel()
        #: Where workers sit beside the inbox.
        self._seats: Seats = shell.native.seats()
        self._nursery: Nursery | None = None
        #: Offers that lie in the inbox; workers on their way to it.
        self._lying = 0
        self._coming = 0
        #: How many bodies have begun.
        self._begun = 0
        #: All that live; a dict, to keep them in order.
        self.workers: dict[Worker, None] = {}
        #: Does nobody have to be cancelled for it to end, if no body runs or waits?
        self.gentle: Final = work.limiter is None
        self._over = False
        self._leaving: Happening | None = None

    def open(self, nursery: Nursery) -> None:
        """Open the step's own nursery, in a task of the run's."""
        self._shell.spawn_in(nursery, self._open, name=f"step {self._name}")

    def offer(self) -> None:
        """Let one worker more stand ready."""
        if self._seats.call():
            return
        self._send.send_nowait(None)
        self._lying += 1
        if self._lying > self._coming:
            self._coming += 1
            if self._nursery is not None:
                self._spawn(self._nursery)

    def _spawn(self, nursery: Nursery) -> None:
        self._shell.spawn_in(nursery, self._live, name="worker")

    def finish(self) -> None:
        """Let all workers go: the run has been decided, and none of them has a body."""
        self._over = True
        while self._seats.call():
            pass
        if self._leaving is not None:
            self._leaving.set()

    def close(self) -> None:
        """Close the inbox: the run is over, or was never admitted."""
        self._send.close()
        self._receive.close()

    async def _open(self) -> None:
        if self._over:
            return  # noqa: ASYNC910 - the run was decided before it began
        self._leaving = self._shell.native.event()
        async with self._shell.native.open_nursery() as nursery:
            for _ in range(self._coming):
                self._spawn(nursery)
            self._nursery = nursery
            try:
                await self._leaving.wait()  # workers may retire, all of them
            except self._shell.native.cancelled:
                self._shell.notice()  # before the nursery is closed to new workers
                self._over = True
                raise

    async def _live(self) -> None:  # noqa: ASYNC910 - `while` is entered
        """Work on one delivery after the other, and stand ready in between.

        The tokens are held from one delivery to the next if nothing is waited for: nobody else
        runs meanwhile, so nobody can see that they were not given back.
        """
        shell, body, timeout = self._shell, self._work.body, self._work.timeout
        running, clock, returned = shell.state.running, shell.clock, shell.returned
        shared, number, budget = self._work.limiter, None, 0
        with shell.native.cancel_scope() as scope:
            worker = Worker(scope, self._limiter, shared)
            self.workers[worker] = None
            self._coming -= 1
            try:
                while True:  # noqa: ASYNC913 - a budget of bodies that do not suspend, then it waits
                    if number is None:
                        if self._over:
                            return  # noqa: ASYNC910 - nobody waits for this task but its nursery
                        if self._lying:
                            self._lying -= 1
                            self._receive.receive_nowait()
                        else:
                            await self._seats.take()
                            if self._over:
                                return
                        if shared is not None:
                            await shared.acquire_on_behalf_of(worker)
                        number = shell.ready(self._name)
                        if number is None:
                            if shared is not None:
                                shared.release_on_behalf_of(worker)
                            continue
                        self._limiter.acquire_on_behalf_of_nowait(worker)
                        worker.holds = True
                        budget = self._budget
                    self._begun = begun = self._begun + 1
                    worker.attempt = attempt = Attempt(shell, running[number], worker)
                    current_attempt.set(attempt)
                    before = variables()
                    if timeout is not None:
                        scope.deadline = clock() + timeout
                    try:
                        try:
                            value = await body(attempt)
                            if attempt.held and not worker.unwanted:
                                attempt.send_held()
                        finally:
                            worker.attempt = None
                            attempt.context = None  # it refers to the attempt: a cycle
                            if timeout is not None:
                                worker.disarm()
                    except BaseException as error:  # noqa: ASYNC103, BLE001 - heard, and raised again
                        stays = not worker.ended and variables() is before
                        self._coming += stays
                        self._ended_badly(attempt, error)
                        self._coming -= stays
                        if not stays:
                            return  # noqa: ASYNC104, ASYNC910 - no `Cancelled` comes this far
                        number = None
                    else:
                        now = clock()
                        if worker.ended or variables() is not before:
                            self._returned_dirty(worker, number, value, now)
                            return  # noqa: ASYNC910 - the body decides whether it suspends
                        if (
                            now >= shell.deadline
                            or (value is None and shell.state.busy == 1)
                            or isinstance(value, StopEvent)
                        ):
                            self._look_up(now, value)
                        budget -= 1
                        if not budget and begun != self._begun and shared is None:
                            budget = self._budget  # another body has begun: this one has suspended
                        if budget:
                            number = returned(now, number, value, stays=True)
                        else:
                            self._coming += 1
                            number = returned(now, number, value, stays=False)
                            self._coming -= 1
                    if number is None:
                        worker.give_back()
                        if self._lying:
                            self._coming += 1
                            await shell.native.checkpoint()
                            self._coming -= 1
            finally:
                worker.give_back()
                del self.workers[worker]

    def _returned_dirty(
        self, worker: Worker, number: DeliveryId, value: object, now: float
    ) -> None:
        """Report a body whose worker retires."""
        shell = self._shell
        if worker.unwanted:  # what it returned all the same is not wanted either
            shell.hear(Unwound(now, number))
            return
        if worker.ended:  # by its timeout: whether the run has passed its own cannot be asked here
            if now >= shell.deadline:
                shell.notice()
        else:
            self._look_up(now, value)
        shell.returned(now, number, value, stays=False)

    def _look_up(self, now: float, value: object) -> None:
        """See whether a body has swallowed a cancellation: whoever is woken first says so."""
        shell = self._shell
        decides = shell.state.busy == 1 if value is None else isinstance(value, StopEvent)
        if now >= shell.deadline or (decides and shell.disowned):
            shell.notice()

    def _ended_badly(self, attempt: Attempt, error: BaseException) -> None:
        shell, worker, number = self._shell, attempt.worker, attempt.delivery.number
        cancelled, failure = split(error, shell.native.cancelled)
        # Asked also if the clean-up has made another failure of the `Cancelled`.
        asked = worker.ended or shell.notice()
        if not asked and failure is None:
            text = f"Step {self._name!r} raised Cancelled, but nobody cancelled it."
            failure = _caused(WorkflowRuntimeError(text), error)
        elif worker.ended and not (worker.unwanted or shell.winding_up):
            text = f"Step {self._name!r} timed out after {self._work.timeout} seconds."
            failure = _caused(StepTimeoutError(text), failure or error)
        if failure is None:
            shell.hear(Unwound(shell.clock(), number))
        else:
            # A body that somebody has cancelled gets no other attempt, and no handler.
            shell.hear(Raised(shell.clock(), number, failure, final=worker.unwanted))
        if cancelled is not None and asked:
            raise cancelled


def _caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error
