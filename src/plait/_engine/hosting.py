"""Hosts the bodies of deliveries that make durable calls: each is a body as those of functions are.

Its records go into the run's own stream, through the run's ledger. A body is run by its worker, and has
the worker's slot and its timeout. Why a worker is cancelled decides what becomes of the calls:

- Whoever owns the run has left it, or the journal has failed: they are suspended, and go on when the
  run does, under the same keys.
- The step's timeout, `cancel_step`, the end of the run: the body is cancelled for good, and so are its
  calls. If the delivery gets another attempt, that begins them anew; what has ended it remembers.

Bodies begin in the order in which their workers have taken them, as any others do: each in a task of
its own, so the next one is spawned when the one before has begun. And they end in the order in which
they have returned: what a body has come to is heard in its own task, before its worker is woken.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from plait._errors import DeterminismError, PlaitInternalError
from plait._kernel import delivery_calls
from plait._kernel import stimuli as of_run
from plait._kernel.calls import stimuli
from plait._kernel.calls.effects import Refuse
from plait._kernel.calls.keys import Key
from plait._kernel.calls.refusals import Differs, NotCancelled, Suspending, call_text
from plait._kernel.delivery_calls import calls_of, root_of
from plait._kernel.functions.stimuli import Stimulus

from .attempt import HEARD
from .bodies.body import Ended, Raised, Returned, Suspended
from .bodies.calls import Calls
from .bodies.groups import Groups
from .bodies.ports import ErrorOf
from .wall import timers_of

if TYPE_CHECKING:
    from .attempt import Attempt
    from .bodies.timers import Timers
    from .journaled import JournaledShell
    from .lane import Body
    from .native import Happening, Limiter

#: How many threads of plain handlers a run may have at a time.
THREADS: Final = 40

log: Final = logging.getLogger("plait")


class Hosting:
    """The bodies of one run that make durable calls.

    Args:
        shell: The run. A body of it runs.
        error_of: Makes the errors that calls raise.
        accept_changes: Are memos taken as they are, whatever the code says now?
    """

    def __init__(
        self, shell: JournaledShell, error_of: ErrorOf, *, accept_changes: bool = False
    ) -> None:
        self.shell: Final = shell
        self.error_of: Final = error_of
        self.accept_changes: Final = accept_changes
        self.timers: Final[Timers] = timers_of(shell.native, shell.state.epoch)
        self.handler_limiter: Final[Limiter] = shell.native.limiter(THREADS)
        #: Those that run; a dict, to keep them in order.
        self._bodies: dict[HostedBody, None] = {}
        #: Has one been spawned that has not begun? And those who wait for that.
        self._beginning = False
        self._in_line: deque[Happening] = deque()
        shell.spawn(self.timers.serve, name="alarms")

    async def run(self, attempt: Attempt, body: Body) -> object:
        """Run a body, in its worker's task; give what it returns. A checkpoint.

        Raises:
            BaseException: What the body raises.
        """
        if self._beginning:
            await self._stand_in_line()
        self._beginning = True
        try:
            hosted = HostedBody(self, attempt)
        except BaseException:
            self.has_begun()
            raise
        self._bodies[hosted] = None
        try:
            return await hosted.run(body)
        finally:
            hosted.begun()  # it never has, perhaps
            del self._bodies[hosted]

    async def _stand_in_line(self) -> None:
        called = self.shell.native.event()
        self._in_line.append(called)
        try:
            await called.wait()
        except BaseException:
            if called in self._in_line:
                self._in_line.remove(called)
            else:
                self.has_begun()
            raise

    def has_begun(self) -> None:
        """Hear that the body whose turn it was has begun, or never will: the turn is handed on."""
        if self._in_line:
            self._in_line.popleft().set()
        else:
            self._beginning = False

    def suspend(self) -> None:
        """Stop all of them: what they do from now on is no outcome of anything. Not a checkpoint."""
        for hosted in [*self._bodies]:
            hosted.calls.body.suspend()


class HostedBody:
    """One start of a body. For its calls it is the door to the kernel."""

    def __init__(self, hosting: Hosting, attempt: Attempt) -> None:
        shell, delivery = hosting.shell, attempt.delivery
        now = hosting.timers.now()
        self.hosting: Final = hosting
        self.attempt: Final = attempt
        #: The strand's own object for it.
        self.face: object = None
        self._shell = shell
        self._number = delivery.number
        #: Is nothing of its calls heard any more? Has its end been?
        self._over = self._heard = False
        self._has_begun = False
        #: Why its code does not fit the journal, if it does not.
        self._unfit: Differs | NotCancelled | None = None
        self.calls: Final = Calls(
            shell.run_id,
            calls_of(shell.state, delivery, now),
            door=self,
            perform=_perform,
            admit=_admit,
            timers=hosting.timers,
            error_of=hosting.error_of,
            report=self._report_spinning,
            warn=self._warn_of_deadline,
            root=root_of(delivery),
            why=self._why,
        )
        self.groups: Final = Groups(self.calls)
        if hosting.accept_changes:
            self.take_in(stimuli.Began(now, delivery.attempt - 1, accept_changes=True))

    # ------------------------------------------------------------ the door

    @property
    def may_move(self) -> bool:
        """As a door says it."""
        return not self._over and self.calls.state.may_move

    def take_in(self, stimulus: Stimulus) -> tuple[Sequence[object], Sequence[object]]:
        """Decide, and have kept what is to be kept: the door of the calls, which tell of nothing else."""
        if self._over:
            return (), ()
        heard = cast("stimuli.Stimulus", stimulus)
        kept, todo = delivery_calls.hear(self._shell.state, self._number, heard)
        for effect in todo:
            if isinstance(effect, Refuse) and not isinstance(effect.why, Suspending):
                self._unfit = effect.why
        self._shell.keep_calls(kept, self._are_kept)
        return [record for _, record in kept], todo

    def _are_kept(self, n: int) -> None:
        if not self._over:
            self.calls.hear_in_hook(stimuli.Acknowledged(self.calls.now(), n))

    # ------------------------------------------------------------ its life

    async def run(self, body: Body) -> object:
        """Run the body. Once. A checkpoint.

        Returns:
            What it returns; `HEARD` if the run has heard of its end.

        Raises:
            BaseException: What the body raises.
        """
        native, attempt = self._shell.native, self.attempt
        if not self._shell.keeps:
            await native.event().wait()  # the scope is being cancelled
        attempt.worker.hosted = self
        try:
            ending = await self.calls.start(partial(self._begin, body))
        except native.cancelled:
            if self._heard:
                # The worker goes to its seat, and is cancelled there.
                return HEARD  # noqa: ASYNC103, ASYNC104, ASYNC910
            left = self.calls.body.ending
            if isinstance(left, Suspended | Ended) and left.error is not None:
                raise left.error from None  # noqa: ASYNC104 - as the body itself would have it
            raise
        except DeterminismError as unfit:
            self._shell.give_up_on(self._number, self._unfit, unfit)
            ending = Suspended()
        finally:
            self._over = True
            attempt.worker.hosted = None
        if self._heard:
            return HEARD  # noqa: ASYNC910 - `start` is one
        match ending:
            case Returned(value):
                return value  # noqa: ASYNC910 - `start` is one
            case Raised(error):
                raise error
            case Suspended(error) | Ended(_, error):
                if error is not None:
                    raise error
                await native.event().wait()  # the scope is being cancelled
        raise PlaitInternalError(f"delivery {self._number} goes on without its body")

    async def _begin(self, body: Body) -> object:
        self.begun()
        attempt = self.attempt
        if self._comes_too_late:
            await self._shell.native.event().wait()  # the scope is being cancelled
        try:
            value = await body(attempt)
            if attempt.held and self._may_end:
                attempt.send_held()
        except Exception as error:
            if not self._may_end:
                raise
            self._end(of_run.Raised(self._shell.clock(), self._number, error))
            return None  # noqa: ASYNC910 - the body decides whether it suspends
        if self._may_end:
            self._end(of_run.Returned(self._shell.clock(), self._number, value, stays=False))
        return value

    @property
    def _comes_too_late(self) -> bool:
        """Has the run been suspended or decided since its worker took the delivery?"""
        shell = self._shell
        decided = shell.winding_up and not shell.state.draining
        return decided or not shell.keeps or shell.is_cancelled

    @property
    def _may_end(self) -> bool:
        """Is what it has come to its end? Else its host has been cancelled, and says what it is."""
        body, worker = self.calls.body, self.attempt.worker
        return not (
            body.suspending
            or body.ended is not None
            or worker.ended
            or worker.scope.cancel_called
            or self._shell.is_cancelled
        )

    def _end(self, stimulus: of_run.Returned | of_run.Raised) -> None:
        """Have the run hear of the end: what others return from now on comes later."""
        attempt, worker = self.attempt, self.attempt.worker
        self._over = self.calls.body.tree.over = True
        worker.attempt = attempt.context = attempt.held = None
        worker.disarm()
        worker.give_back()
        self._shell.hear(stimulus)
        self._heard = True

    def begun(self) -> None:
        """Let the next body begin, once."""
        if not self._has_begun:
            self._has_begun = True
            self.hosting.has_begun()

    def _why(self) -> object:
        """Say why the body is cancelled for good; `None` if the run goes on later."""
        worker, shell = self.attempt.worker, self._shell
        if worker.ended or worker.scope.cancel_called:
            return "the step was ended"
        shell.notice()
        return "the run was ended" if shell.keeps else None

    # ------------------------------------------------------------ what it says

    def _report_spinning(self, tasks: list[str]) -> None:
        log.warning(
            "run %s: delivery %s of step %r has outcomes waiting, and does not come to rest: %s keep "
            "running. Let a task that waits for nothing end, or await something in its loop",
            self._shell.run_id,
            self._number,
            self.attempt.delivery.step,
            ", ".join(tasks),
        )

    def _warn_of_deadline(self, key: Key) -> None:
        log.warning(
            "run %s: %s was cancelled by a deadline that starts anew in each process: "
            "use ctx.move_on_after, which does not",
            self._shell.run_id,
            call_text(key),
        )


def _perform(effect: object) -> None:
    raise PlaitInternalError(f"nobody performs {effect}")


def _admit(_: Key) -> None:
    """Let every attempt of a handler run at once: the worker has its slot."""
