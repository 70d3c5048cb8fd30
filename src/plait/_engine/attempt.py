"""One execution of one body, as the body's context knows it.

`current_attempt` is set for each body, so that whatever a body calls can find out where it runs: a
child run knows its parent, and a step that waits for its own run is told so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from plait._errors import ContextStateError
from plait._ids import RunId
from plait._kernel import effects, refusals, stimuli
from plait._kernel.collecting import Shape
from plait._kernel.state import Delivery
from plait._kernel.waits import TimedOutWait, WaitKey

if TYPE_CHECKING:
    from .hosting import HostedBody
    from .native import Happening
    from .shell import Shell
    from .worker import Worker

P = ParamSpec("P")
T = TypeVar("T")


#: What a worker gets of a body whose end has been heard by then.
HEARD: Final = object()

#: Of an attempt that has made no runs: most make none.
NONE: Final[Mapping[RunId, object]] = {}


class Answerable:
    """What a body that waits is woken by."""

    __slots__ = ("answer", "answered", "woken")

    def __init__(self, woken: Happening) -> None:
        self.woken = woken
        self.answered = False
        self.answer: object = None

    def give(self, answer: object) -> None:
        """Let the body go on with this."""
        self.answer = answer
        self.answered = True
        self.woken.set()


class Attempt:
    """What a body may ask of its run. What is not `async` takes effect at once.

    A plain `def` body runs in a worker thread: its calls enter the event loop, and raise
    `Cancelled` there once the run is being cancelled.
    """

    __slots__ = (
        "children",
        "context",
        "delivery",
        "held",
        "shell",
        "threaded",
        "worker",
    )

    def __init__(self, shell: Shell, delivery: Delivery, worker: Worker) -> None:
        self.shell: Shell = shell
        self.delivery: Delivery = delivery
        self.worker: Worker = worker
        self.threaded: bool = False
        #: Events that are sent when the attempt succeeds.
        self.held: list[tuple[object, str | None]] | None = None
        #: The runs of other workflows that it has made, by their names, as the strand knows them.
        self.children: Mapping[RunId, object] = NONE
        #: The strand's own object for this attempt, made when the body first needs it.
        self.context: object = None

    @property
    def hosted(self) -> HostedBody | None:
        """What hosts its body, if that may make durable calls."""
        hosted = self.worker.hosted  # asked for by few: a field would be paid for by all
        return hosted if hosted is not None and hosted.attempt is self else None

    def send(self, event: object, step: str | None = None) -> None:
        """Send an event. Raises `WorkflowRuntimeError` if nobody takes it."""
        if self.threaded:
            self.enter(self.shell.send, event, step, self.delivery.number)
        else:
            self.shell.send(event, step, self.delivery.number)

    def hold(self, event: object, step: str | None) -> None:
        """Send an event when this attempt has succeeded, and not at all if it fails."""
        if self.held is None:
            self.held = []
        self.held.append((event, step))

    def adopt(self, run_id: RunId, child: object) -> None:
        """Know a run of another workflow that this body has made."""
        if self.children is NONE:
            self.children = {}
        assert isinstance(self.children, dict)
        self.children[run_id] = child

    def send_held(self) -> None:
        """Send what was held back."""
        self.shell.send_all(self.held or (), self.delivery.number)

    def write(self, event: object) -> None:
        """Put an event on the stream. Raises `StreamFullError` if its backlog is full."""
        if self.threaded:
            self.enter(self.shell.write, event, self.delivery.number)
        else:
            self.shell.write(event, self.delivery.number)

    async def emit(self, event: object) -> None:
        """Put an event on the stream, when its backlog has room."""
        shell, number = self.shell, self.delivery.number
        waits = not shell.state.is_on_stream(number, event)
        if waits:
            await shell.feed.room(shell.native)
        else:
            await shell.native.checkpoint_if_cancelled()
        # While it waited another task of the body may have written, and now this is what was next.
        gives_room_back = waits and shell.state.is_on_stream(number, event)
        shell.hear(stimuli.Wrote(shell.clock(), number, event))
        if gives_room_back:
            shell.feed.admit()
        await shell.native.cancel_shielded_checkpoint()

    def collect(
        self, event: object, shape: Shape, buffer_id: str, key: Hashable
    ) -> tuple[object, ...] | None:
        """Give the input to a collection; the batch, if this completes it."""
        if self.threaded:
            return self.enter(self._collect, event, shape, buffer_id, key)
        return self._collect(event, shape, buffer_id, key)

    def _collect(
        self, event: object, shape: Shape, buffer_id: str, key: Hashable
    ) -> tuple[object, ...] | None:
        shell = self.shell
        shell.check_thread("collect_events")
        self.check("collect_events")
        answer = shell.hear(
            stimuli.Contributed(shell.clock(), self.delivery.number, event, shape, buffer_id, key)
        )
        return answer.batch if isinstance(answer, effects.Give) else None

    def check(self, call: str) -> None:
        """Refuse what only a body may do that has not ended. Raises `ContextStateError`."""
        if self.worker.attempt is not self:
            raise ContextStateError(
                f"{call} is only available from within step functions. "
                f"This delivery of step {self.delivery.step!r} has ended."
            )

    async def wait(
        self,
        kind: type,
        *,
        question: object,
        waiter_id: str | None,
        requirements: Mapping[str, object],
        timeout: float | None,  # noqa: ASYNC109 - the peer's signature
        broadcast: bool,
    ) -> object:
        """Wait for an event without a slot. Raises `TimeoutError` after `timeout` seconds."""
        shell, native = self.shell, self.shell.native
        await native.checkpoint_if_cancelled()  # no more: who asks first is to be answered first
        self.check("wait_for_event")
        key: WaitKey = (self.delivery.number, self.delivery.waits)
        cell = shell.waiting[key] = Answerable(native.event())
        began = shell.clock()
        try:
            shell.hear(
                stimuli.WaitBegan(
                    began,
                    self.delivery.number,
                    kind,
                    requirements,
                    broadcast,
                    waiter_id,
                    question,
                )
            )
            if cell.answered:
                await native.cancel_shielded_checkpoint()
                await self._until_answered(cell, key, began, kind, timeout)
            else:
                self.worker.rest(began)
                if (wait := shell.state.waits.get(key)) is not None:
                    began = wait.since  # in an earlier process, perhaps
                try:
                    await self._until_answered(cell, key, began, kind, timeout)
                finally:
                    if self.worker.attempt is self:
                        self.worker.go_on(shell.clock())
        finally:
            del shell.waiting[key]
        if isinstance(cell.answer, TimedOutWait):
            raise TimeoutError(f"Timed out waiting for {kind.__name__}")
        return cell.answer

    async def _until_answered(
        self,
        cell: Answerable,
        key: WaitKey,
        began: float,
        kind: type,
        timeout: float | None,  # noqa: ASYNC109
    ) -> None:
        shell, native = self.shell, self.shell.native
        deadline = math.inf if timeout is None else began + timeout
        try:
            if not (cell.answered or shell.wound):
                with native.cancel_scope(deadline=deadline):
                    await cell.woken.wait()
            if not cell.answered and not shell.winding_up:
                shell.hear(stimuli.WaitExpired(shell.clock(), key))
                await cell.woken.wait()  # until there is a slot again
            if not cell.answered:
                await shell.cut.wait()  # the scope is being cancelled; only a shield goes on
                raise refusals.over(shell.state, kind, "waited for")
            await self.worker.take_again(native)
        except native.cancelled:
            shell.notice_deadline()  # before the wait is given up: the error tells of it
            # The body may go on, in a scope of its own making: it needs its slot for that.
            await self._slot_back(cell, key)  # noqa: ASYNC120 - it is shielded
            if cell.answered and not isinstance(cell.answer, TimedOutWait):
                return  # the answer has been taken; the cancellation comes at the next checkpoint
            raise

    async def _slot_back(self, cell: Answerable, key: WaitKey) -> None:  # noqa: ASYNC910
        shell, native = self.shell, self.shell.native
        with native.cancel_scope(shield=True) as shelter:
            self.worker.shelter = shelter
            if not cell.answered and not shell.winding_up:
                shell.hear(stimuli.WaitExpired(shell.clock(), key, called_away=True))
                await cell.woken.wait()  # set by the slot, or when the run is wound up
            if not (shell.winding_up or self.worker.ended):
                await self.worker.take_again(native)
        self.worker.shelter = None

    def enter(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` on the event loop, from this body's worker thread."""
        return self.shell.native.enter_loop(lambda: fn(*args, **kwargs))


current_attempt: Final[ContextVar[Attempt | None]] = ContextVar("current_attempt", default=None)
