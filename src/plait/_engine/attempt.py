"""One execution of one body, as the body's context knows it.

`current_attempt` is set for each body, so that whatever a body calls can find out where it runs: a
child run knows its parent, and a step that waits for its own run is told so.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from plait._errors import ContextStateError
from plait._kernel import effects, stimuli
from plait._kernel.collecting import Shape
from plait._kernel.state import Delivery

if TYPE_CHECKING:
    from .shell import Shell

P = ParamSpec("P")
T = TypeVar("T")


class Attempt:
    """What a body may ask of its run. Every method is synchronous and takes effect at once.

    A plain `def` body runs in a worker thread: its calls enter the event loop, and raise
    `Cancelled` there once the run is being cancelled.
    """

    __slots__ = ("context", "delivery", "shell", "threaded")

    def __init__(self, shell: Shell, delivery: Delivery) -> None:
        self.shell = shell
        self.delivery = delivery
        self.threaded = False
        #: The strand's own object for this attempt, made when the body first needs it.
        self.context: object = None

    def send(self, event: object, step: str | None = None) -> None:
        """Send an event. Raises `WorkflowRuntimeError` if nobody takes it."""
        if self.threaded:
            self._enter(self.shell.send, event, step, self.delivery.number)
        else:
            self.shell.send(event, step, self.delivery.number)

    def write(self, event: object) -> None:
        """Put an event on the stream."""
        if self.threaded:
            self._enter(self.shell.write, event, self.delivery.number)
        else:
            self.shell.write(event, self.delivery.number)

    def collect(
        self, event: object, shape: Shape, buffer_id: str, key: Hashable
    ) -> tuple[object, ...] | None:
        """Give the input to a collection; the batch, if this completes it."""
        if self.threaded:
            return self._enter(self._collect, event, shape, buffer_id, key)
        return self._collect(event, shape, buffer_id, key)

    def _collect(
        self, event: object, shape: Shape, buffer_id: str, key: Hashable
    ) -> tuple[object, ...] | None:
        shell = self.shell
        if self.delivery.number not in shell.state.running:
            raise ContextStateError(
                f"collect_events: this delivery of step {self.delivery.step!r} has ended."
            )
        answer = shell.hear(
            stimuli.Contributed(shell.clock(), self.delivery.number, event, shape, buffer_id, key)
        )
        return answer.batch if isinstance(answer, effects.Give) else None

    def _enter(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` on the event loop, from this body's worker thread."""
        return self.shell.native.enter_loop(lambda: fn(*args, **kwargs))


current_attempt: Final[ContextVar[Attempt | None]] = ContextVar("current_attempt", default=None)
