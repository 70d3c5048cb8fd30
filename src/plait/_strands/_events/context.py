"""`Context`: what a step may ask of its run, and what code outside may ask of a run's values.

One class with three faces, as in older frameworks: made by hand, before a run; of a run, seen from
outside (`run.ctx`); of one attempt, as a step's parameter. What a face cannot do, it says.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, cast, overload

from typing_extensions import TypeVar

from plait._engine.attempt import Attempt, current_attempt
from plait._engine.shell import Shell
from plait._errors import ContextStateError, WorkflowRuntimeError
from plait._event import Event
from plait._ids import RunId
from plait._kernel.collecting import Shape
from plait._kernel.life import Phase
from plait._naming import publish

from .store import DictState, StateStore

if TYPE_CHECKING:
    from .workflow import Workflow

S = TypeVar("S", default=DictState)
T = TypeVar("T", bound=Event)
T1 = TypeVar("T1", bound=Event)
T2 = TypeVar("T2", bound=Event)
T3 = TypeVar("T3", bound=Event)
T4 = TypeVar("T4", bound=Event)
T5 = TypeVar("T5", bound=Event)
T6 = TypeVar("T6", bound=Event)


class Context(Generic[S]):
    """A step's way to its run: send and collect events, share values, write to the stream.

    Annotate a parameter of a step with it, at any place, and the step is given one.

    Args:
        workflow: The workflow whose runs may use it.

    Example:
        ```python
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Query | None:
            for text in ("a", "b", "c"):
                ctx.send_event(Query(text=text))
        ```
    """

    __slots__ = ("_attempt", "_shapes", "_shell", "_store", "_workflow")

    def __init__(self, workflow: Workflow[Any]) -> None:
        self._workflow = workflow
        self._store: StateStore[S] = StateStore(cast("S", DictState()))
        self._shell: Shell | None = None
        self._attempt: Attempt | None = None
        #: The last `expected` of each buffer, and what it means: reading it again costs O(n).
        self._shapes: dict[tuple[str, str], tuple[object, Shape]] = {}

    # ------------------------------------------------------------ the three faces

    def _bind(self, shell: Shell) -> None:
        """Become the context of a run that starts. The strand's, not for users.

        Raises:
            ContextStateError: A run of it is under way.
        """
        self._check_free()
        self._shell = shell
        self._shapes = {}

    def _check_free(self) -> None:
        """Check that a run may use it. The strand's, not for users.

        Raises:
            ContextStateError: It is a step's, or a run of it is under way.
        """
        if self._attempt is not None:
            raise ContextStateError("Cannot start workflow from a step function context")
        if self.is_running or (self._shell is not None and self._shell.queued):
            raise ContextStateError(
                "Cannot start a new run while context is already running. "
                "Wait for completion or use a new Context."
            )

    def _of_attempt(self, attempt: Attempt) -> Self:
        """Make the context of one attempt. The strand's, not for users."""
        context = object.__new__(type(self))
        context._workflow = self._workflow
        context._store = self._store
        context._shell = attempt.shell
        context._attempt = attempt
        context._shapes = self._shapes
        attempt.context = context
        return context

    @staticmethod
    def get_step_context() -> Context[Any]:
        """Return the context of the step that is running here, from anywhere in it.

        Raises:
            WorkflowRuntimeError: No step is running here.
        """
        attempt = current_attempt.get()
        if attempt is None:
            text = "Context.get_step_context() may only be called from within a step function"
            raise WorkflowRuntimeError(text)
        if attempt.context is None:
            cast("Context[Any]", attempt.shell.context)._of_attempt(attempt)
        return cast("Context[Any]", attempt.context)

    # ------------------------------------------------------------ what it knows

    @property
    def store(self) -> StateStore[S]:
        """The values that the steps share. It works before, during and after a run."""
        return self._store

    @property
    def run_id(self) -> RunId:
        """The run's name.

        Raises:
            ContextStateError: There is no run yet.
        """
        return self._started("run_id").run_id

    @property
    def is_running(self) -> bool:
        """Is a run of this context under way?"""
        return self._shell is not None and self._shell.state.phase in {
            Phase.GOING,
            Phase.WINDING_UP,
        }

    @property
    def step_name(self) -> str:
        """The name of the step that this is the context of.

        Raises:
            ContextStateError: It is not a step's.
        """
        return self._in_step("step_name").delivery.step

    @property
    def idempotency_key(self) -> str:
        """A text that is the same for every attempt of this delivery, and for no other.

        Raises:
            ContextStateError: It is not a step's.
        """
        attempt = self._in_step("idempotency_key")
        return f"{attempt.shell.run_id}:{attempt.delivery.step}:{attempt.delivery.number}"

    # ------------------------------------------------------------ events

    def send_event(self, message: Event, step: str | None = None) -> None:
        """Send an event to every step that accepts it.

        It takes effect at once: a receiver may run while the sender goes on. Events arrive in the
        order in which they are sent, and before the one that the step returns. Not a checkpoint.

        Args:
            message: The event.
            step: The one step that shall get it.

        Raises:
            TypeError: It is no event.
            WorkflowRuntimeError: Nobody accepts it, or the run has been decided.
            ContextStateError: There is no run yet.
        """
        check_event(message, "send_event()")
        if self._attempt is not None:
            self._attempt.send(message, step)
        else:
            self._started("send_event()").send(message, step)

    @overload
    def collect_events(
        self,
        ev: Event,
        expected: tuple[type[T1]],
        buffer_id: str | None = None,
        *,
        key: Callable[[Any], Hashable] | None = None,
    ) -> tuple[T1] | None: ...
    @overload
    def collect_events(
        self,
        ev: Event,
        expected: tuple[type[T1], type[T2]],
        buffer_id: str | None = None,
        *,
        key: Callable[[Any], Hashable] | None = None,
    ) -> tuple[T1, T2] | None: ...
    @overload
    def collect_events(
        self,
        ev: Event,
        expected: tuple[type[T1], type[T2], type[T3]],
        buffer_id: str | None = None,
        *,
        key: Callable[[Any], Hashable] | None = None,
    ) -> tuple[T1, T2, T3] | None: ...
    @overload
    def collect_events(
        self,
        ev: Event,
        expected: tuple[type[T1], type[T2], type[T3], type[T4]],
        buffer_id: str | None = None,
        *,
        key: Callable[[Any], Hashable] | None = None,
    ) -> tuple[T1, T2, T3, T4] | None: ...
    @overload
    def collect_events(
        self,
        ev: Event,
        expected: tuple[type[T1], type[T2], type[T3], type[T4], type[T5]],
        buffer_id: str | None = None,
        *,
        key: Callable[[Any], Hashable] | None = None,
    ) -> tuple[T1, T2, T3, T4, T5] | None: ...
    @overload
    def collect_events(
        self,
        ev: Event,
        expected: tuple[type[T1], type[T2], type[T3], type[T4], type[T5], type[T6]],
        buffer_id: str | None = None,
        *,
        key: Callable[[Any], Hashable] | None = None,
    ) -> tuple[T1, T2, T3, T4, T5, T6] | None: ...
    @overload
    def collect_events(
        self,
        ev: Event,
        expected: tuple[type[T], ...],
        buffer_id: str | None = None,
        *,
        key: Callable[[Any], Hashable] | None = None,
    ) -> tuple[T, ...] | None: ...
    @overload
    def collect_events(
        self,
        ev: Event,
        expected: list[type[T]] | Mapping[type[T], int],
        buffer_id: str | None = None,
        *,
        key: Callable[[Any], Hashable] | None = None,
    ) -> list[T] | None: ...
    def collect_events(
        self,
        ev: Event,
        expected: Any,
        buffer_id: str | None = None,
        *,
        key: Callable[[Any], Hashable] | None = None,
    ) -> Any:
        """Add `ev` to the batch and return the batch once it is complete; `None` until then.

        It comes in the order of `expected`, events of one class in the order of the calls. A
        surplus event waits for the next batch: it is never dropped. A call that is repeated gives
        the same answer. An event of a class that is not expected gives `None` and is not kept. The
        body runs once for each event, and the call costs the same whatever is waiting; for large
        batches write `{E: 1000}` and not `[E] * 1000`, which is itself a list of a thousand.

        Not a checkpoint.

        Args:
            ev: The step's input event.
            expected: The classes of a batch: a list or a mapping gives a list, a tuple a tuple.
            buffer_id: Keeps collections of the same classes in one step apart.
            key: Keeps batches apart by what it makes of an event, as an order's number.

        Raises:
            WorkflowRuntimeError: `ev` is not the input of this delivery.
            ContextStateError: Not called from within a step.
        """
        attempt = self._in_step("collect_events")
        buffer = "default" if buffer_id is None else buffer_id
        place = (attempt.delivery.step, buffer)
        known = self._shapes.get(place)
        if known is not None and known[0] == expected:
            shape = known[1]
        else:
            shape = _shape(expected)
            self._shapes[place] = (copy.copy(expected), shape)
        value = None if key is None else key(ev)
        batch = attempt.collect(ev, shape, buffer, value)
        return batch if batch is None or isinstance(expected, tuple) else [*batch]

    def write_event_to_stream(self, ev: Event | None) -> None:
        """Put an event on the run's stream, for whoever reads `run.stream_events()`.

        It goes to no step. Writing `None` does nothing. Not a checkpoint.

        Args:
            ev: The event.

        Raises:
            TypeError: It is no event.
            ContextStateError: There is no run yet.
            WorkflowRuntimeError: The run has ended.
        """
        if ev is None:
            return
        check_event(ev, "write_event_to_stream()")
        if self._attempt is not None:
            self._attempt.write(ev)
        else:
            self._started("write_event_to_stream()").write(ev)

    # ------------------------------------------------------------ which face is this?

    def _started(self, what: str) -> Shell:
        if self._shell is None or self._shell.state.phase is Phase.NEW:
            text = f"{what} called before workflow started. Call workflow.run() first."
            raise ContextStateError(text)
        return self._shell

    def _in_step(self, what: str) -> Attempt:
        if self._attempt is not None:
            return self._attempt
        if self._shell is None:
            text = f"{what} requires a running workflow. Call workflow.run() first."
            raise ContextStateError(text)
        raise ContextStateError(f"{what} is only available from within step functions.")


def check_event(ev: object, where: str) -> None:
    """Refuse what is no event."""
    if not isinstance(ev, Event):
        raise TypeError(f"{where} takes an Event, not {ev!r}")


def _shape(expected: Any) -> Shape:
    if not isinstance(expected, list | tuple | Mapping):
        raise TypeError(
            "collect_events expects a list, a tuple or a mapping of Event classes, "
            f"not {expected!r}. Write collect_events(ev, [E] * 3) or collect_events(ev, {{E: 3}})."
        )
    for kind in cast("Iterable[Any]", expected):
        if not (isinstance(kind, type) and issubclass(kind, Event)):
            raise TypeError(f"collect_events expects Event classes, not {kind!r}")
    if isinstance(expected, Mapping):
        for kind, count in cast("Mapping[type, Any]", expected).items():
            if type(count) is not int or count < 0:
                raise TypeError(f"collect_events expects how many {kind.__name__}, not {count!r}")
    return Shape.of(cast("Iterable[type]", expected))


publish("plait", Context)
