"""`Context`: what a step may ask of its run, and what code outside may ask of a run's values.

One class with three faces, as in older frameworks: made by hand, before a run; of a run, seen from
outside (`run.ctx`); of one attempt, as a step's parameter. What a face cannot do, it says.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Coroutine, Hashable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Self, cast, overload

from typing_extensions import TypeVar

from plait._engine.attempt import Attempt, current_attempt
from plait._engine.shell import Shell
from plait._errors import ContextStateError, UntrackedTaskError, WorkflowRuntimeError
from plait._event import Event, StartEvent
from plait._ids import DeliveryId, RunId
from plait._kernel.collecting import Shape
from plait._kernel.life import Phase
from plait._kernel.retry.policy import RetryInfo
from plait._naming import publish

from .advice import Former
from .arguments import check_event, check_wait
from .collect import shape_of
from .journals import journal_around
from .origin import Origin, restore, written
from .state.dict_state import DictState
from .state.state_class import new_state
from .store import StateStore

if TYPE_CHECKING:
    from plait._engine.native import CancelScope
    from plait._steps.checks import Duration
    from plait._steps.group import Group

    from .durable import DurableCalls, DurableStep
    from .serializers import BaseSerializer
    from .workflow import Workflow

S = TypeVar("S", default=DictState)
R = TypeVar("R")
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
        previous_context: What `to_dict()` of a context of this workflow has given.
        serializer: What reads its values; the workflow's by default.

    Raises:
        ValueError: Its steps name state classes of which none is derived from all others, or the
            one to use has a field without a default.
        ContextSerdeError: `previous_context` is of another workflow, or not what `to_dict()` gives.

    Example:
        ```python
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Query | None:
            for text in ("a", "b", "c"):
                ctx.send_event(Query(text=text))
        ```
    """

    __slots__ = (
        "_attempt",
        "_origin",
        "_shapes",
        "_shell",
        "_store",
        "_without",
        "_workflow",
    )

    if not TYPE_CHECKING:
        get = Former("await ctx.store.get(...)")
        set = Former("await ctx.store.set(...)")
        data = Former("await ctx.store.get(...) or set(...)")

    def __init__(
        self,
        workflow: Workflow[Any],
        previous_context: Mapping[str, Any] | None = None,
        serializer: BaseSerializer | None = None,
    ) -> None:
        if isinstance(workflow, type):
            raise TypeError(f"Context() takes a workflow object, not the class {workflow.__name__}")
        self._workflow = workflow
        graph, _ = workflow._compile()
        self._store: StateStore[S] = StateStore(cast("S", new_state(graph.state)))
        self._shell: Shell | None = None
        self._attempt: Attempt | None = None
        #: The last `expected` of each buffer, and what it means: reading it again costs O(n).
        self._shapes: dict[tuple[str, str], tuple[object, Shape]] = {}
        #: What the next run of it has to begin with.
        self._origin: Origin = Origin()
        #: Of a checkpoint: the delivery that has returned.
        self._without: DeliveryId | None = None
        if previous_context is not None:
            restore(self, previous_context, serializer)

    # ------------------------------------------------------------ the three faces

    def _bind(self, shell: Shell) -> None:
        """Become the context of a run that starts. The strand's, not for users.

        Raises:
            ContextStateError: A run of it is under way.
        """
        self._check_free()
        self._shell = shell
        self._shapes = {}
        self._origin.bind(shell)

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
        context._origin = self._origin
        attempt.context = context
        return context

    def _of_checkpoint(self, number: DeliveryId) -> Self:
        """Make the context of a checkpoint: seen from outside, without a delivery. The strand's."""
        context = copy.copy(self)
        context._without = number
        return context

    @staticmethod
    def get_step_context() -> Context[Any]:
        """Return the context of the step that is running here, from anywhere in it.

        Not a checkpoint.

        Raises:
            WorkflowRuntimeError: No step is running here.

        Example:
            ```python
            def note(text: str) -> None:
                Context.get_step_context().write_event_to_stream(Note(text=text))
            ```
        """
        attempt = current_attempt.get()
        if attempt is None:
            text = "Context.get_step_context() may only be called from within a step function"
            raise WorkflowRuntimeError(text)
        if attempt.context is None:
            of_run = cast("Context[Any] | None", attempt.shell.context)
            if of_run is None:
                text = "Context.get_step_context() was called after the run of this step had ended"
                raise WorkflowRuntimeError(text)
            of_run._of_attempt(attempt)
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

    def send_event(
        self, message: Event, step: str | None = None, *, on_success: bool = False
    ) -> None:
        """Send an event to every step that accepts it.

        It takes effect at once: a receiver may run while the sender goes on. Events arrive in the
        order in which they are sent, and before the one that the step returns. A `StopEvent` ends
        the run. Not a checkpoint; in a plain `def` step it raises `Cancelled` once the run is being
        cancelled, and so do `collect_events`, `write_event_to_stream` and `store.sync`.

        Args:
            message: The event.
            step: The one step that shall get it.
            on_success: Send it when this attempt has succeeded, before what it returns; a failed
                attempt sends it not at all.

        Raises:
            TypeError: It is no event.
            WorkflowRuntimeError: Nobody accepts it, or the run has been decided.
            WorkflowStepDoesNotExistError: There is no such step.
            ContextStateError: There is no run yet.

        Example:
            ```python
            for text in ("a", "b", "c"):
                ctx.send_event(Query(text=text))
            ```
        """
        check_event(message, "send_event()")
        if on_success:
            self._in_step("send_event(on_success=True)").hold(message, step)
        elif self._attempt is not None:
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
            TypeError: `expected` is no list, tuple or mapping of event classes.
            WorkflowRuntimeError: `ev` is not the input of this delivery.
            ContextStateError: Not called from within a step.

        Example:
            ```python
            answers = ctx.collect_events(ev, [Answer] * 3)
            if answers is None:
                return None
            return StopEvent(result=[answer.text for answer in answers])
            ```
        """
        attempt = self._in_step("collect_events")
        buffer = "default" if buffer_id is None else buffer_id
        place = (attempt.delivery.step, buffer)
        known = self._shapes.get(place)
        if known is not None and known[0] == expected:
            shape = known[1]
        else:
            shape = shape_of(expected)
            self._shapes[place] = (copy.copy(expected), shape)
        value = None if key is None else key(ev)
        batch = attempt.collect(ev, shape, buffer, value)
        if batch is not None and buffer_id is not None:
            self._shapes.pop(
                place, None
            )  # the next batch may have another name, and so on for ever
        return batch if batch is None or isinstance(expected, tuple) else [*batch]

    def write_event_to_stream(self, ev: Event | None) -> None:
        """Put an event on the run's stream, for whoever reads `run.stream_events()`.

        It goes to no step. Writing `None` does nothing. Not a checkpoint.

        Args:
            ev: The event.

        Raises:
            TypeError: It is no event.
            StreamFullError: The stream has a bound, and its backlog is full.
            ContextStateError: There is no run yet.
            WorkflowRuntimeError: The run has ended.

        Example:
            ```python
            ctx.write_event_to_stream(Progress(percent=50))
            ```
        """
        if ev is None:
            return
        check_event(ev, "write_event_to_stream()")
        if self._attempt is not None:
            self._attempt.write(ev)
        else:
            self._started("write_event_to_stream()").write(ev)

    async def emit(self, ev: Event) -> None:
        """Put an event on the run's stream, as soon as its backlog has room.

        Those who wait are let in first come, first served. A checkpoint. Cancelled, it has written
        nothing.

        Args:
            ev: The event.

        Raises:
            TypeError: It is no event.
            ContextStateError: Not called from within a step.

        Example:
            ```python
            await ctx.emit(Progress(percent=50))
            ```
        """
        check_event(ev, "emit()")
        await self._in_step("emit()").emit(ev)

    def wait_for_event(
        self,
        event_type: type[T],
        waiter_event: Event | None = None,
        waiter_id: str | None = None,
        requirements: Mapping[str, Any] | None = None,
        timeout: float | None = 2000,
        *,
        broadcast: bool = False,
    ) -> Coroutine[Any, Any, T]:
        """Wait until an event of a class comes: an answer from outside, or from another step.

        The body stays where it is, and gives its slot to the next delivery; with the answer it gets
        the next free one. One event answers one wait, the oldest; it still goes to the steps that
        accept it. An answer that came before is found in the run's mailbox. A checkpoint. Cancelled,
        it has taken no event.

        Args:
            event_type: The class to wait for.
            waiter_event: A question, put on the stream once, when the wait begins.
            waiter_id: The name of the wait in reports; by default step, delivery and count.
            requirements: Fields that the event must have with these values.
            timeout: Seconds to wait; `None`: for ever.
            broadcast: Let one event answer all such waits.

        Raises:
            TimeoutError: It has not come in time.
            TypeError: At the call: an argument is of another kind.
            WorkflowRuntimeError: At the call: the step is a plain function.
            ContextStateError: At the call: it is not made from within a step.

        Example:
            ```python
            answer = await ctx.wait_for_event(
                HumanResponseEvent, waiter_event=InputRequiredEvent(question="Go on?")
            )
            ```
        """
        attempt = self._in_step("wait_for_event()")
        if attempt.threaded:
            raise WorkflowRuntimeError(
                f"Step {attempt.delivery.step!r} is a plain function; "
                "wait_for_event needs async def."
            )
        check_wait(event_type, waiter_event, requirements, timeout)
        answer = attempt.wait(
            event_type,
            question=waiter_event,
            waiter_id=waiter_id,
            requirements=dict(requirements or {}),
            timeout=timeout,
            broadcast=broadcast,
        )
        named: Any = answer
        named.__qualname__ = "Context.wait_for_event"  # Python says so if nobody awaits it
        return cast("Coroutine[Any, Any, T]", answer)

    def retry_info(self) -> RetryInfo:
        """Say how often this delivery has failed before, and how. Not a checkpoint.

        Raises:
            ContextStateError: Not called from within a step.

        Example:
            ```python
            server = SERVERS[ctx.retry_info().retry_number]
            ```
        """
        attempt = self._in_step("retry_info()")
        if attempt.threaded:  # there a cancelled run shows at the next call
            return attempt.enter(_retry_info, attempt)
        return _retry_info(attempt)

    def cancel_step(self, step: str, where: Callable[[Event], bool] | None = None) -> int:
        """Cancel the running deliveries of a step. The run goes on.

        They see `Cancelled`, and end without an event, a retry or a handler. Not a checkpoint.

        Args:
            step: The step's name.
            where: Takes a delivery's input; true if it shall be cancelled. By default all.

        Returns:
            How many are cancelled.

        Raises:
            WorkflowStepDoesNotExistError: There is no such step.
            ContextStateError: There is no run yet.

        Example:
            ```python
            ctx.cancel_step("ask", where=lambda query: query.text == ev.text)
            ```
        """
        shell, attempt = self._started("cancel_step()"), self._attempt
        wanted = cast("Callable[[object], bool] | None", where)
        if attempt is not None and attempt.threaded:
            return attempt.enter(shell.cancel_step, step, wanted)
        return shell.cancel_step(step, wanted)

    async def run_child(
        self,
        workflow: Workflow[R],
        start_event: StartEvent | None = None,
        *,
        forward_events: bool = False,
        **start_fields: Any,
    ) -> R:
        """Run another workflow inside this step and return its result.

        It is cancelled with the step, which waits for its clean-up, and its errors are the step's. A
        checkpoint.

        Args:
            workflow: The workflow object.
            start_event: Its start event, made by the caller.
            forward_events: Write every event of its stream to this run's, as a `ChildEvent`, and
                offer it the events from outside that this run has no receiver for, those that lie in
                the mailbox too.
            **start_fields: Fields of its start event, made here.

        Raises:
            Exception: As `await workflow.run(...)` does.
            ContextStateError: Not called from within a step.

        Example:
            ```python
            text = await ctx.run_child(Chapter(), title=ev.title, forward_events=True)
            ```
        """
        attempt = self._in_step("run_child()")
        if not callable(getattr(workflow, "_compile", None)) or isinstance(workflow, type):
            raise TypeError(
                f"run_child() takes a workflow object, not {workflow!r}. Write "
                "await ctx.run_child(Child(), topic=...)"
            )
        run = workflow.run(start_event=start_event, **start_fields)
        if forward_events:
            run._forward_to(attempt)
        return await run

    # ------------------------------------------------------------ durable calls

    @property
    def step(self) -> DurableStep:
        """Calls that are remembered: `await ctx.step.run("send-email", send_email, user_id)`.

        Once such a call has ended it never runs again, also if the process dies or the step has another
        attempt: then the body runs again from its start, and the call returns what it returned. For
        workflows with a journal. The tasks of the body may make calls, in nurseries and groups too.

        Raises:
            WorkflowRuntimeError: The workflow has no journal, or the step is a plain function.
            UntrackedTaskError: The step does not mention `ctx.step`, and does not hand its context on.
            ContextStateError: Not called from within a step.
        """
        return self._durable("step").step

    @property
    def group(self) -> Group:
        """Several durable calls at a time: `await ctx.group.parallel((..., ...))`.

        Raises:
            Exception: As `step` does.
        """
        return self._durable("group").group

    def move_on_after(self, seconds: Duration) -> AbstractContextManager[CancelScope]:
        """Cancel what is inside when its time is over, which goes on from process to process.

        Entering and leaving it are no checkpoints. For workflows with a journal.

        Args:
            seconds: Seconds or a `timedelta`; 0 or less cancels at the next outcome or rest.

        Returns:
            The scope, as the backend has it: its `cancelled_caught` says whether it was cut short.

        Raises:
            TypeError: `seconds` is no duration.
            ValueError: `seconds` is not finite.
            NestedStepError: The caller is inside a handler.
            Exception: As `step` does.

        Example:
            ```python
            with ctx.move_on_after(60) as scope:
                await ctx.step.run("ask", ask, ev.question)
            ```
        """
        return self._durable("move_on_after()").move_on_after(seconds)

    def fail_after(self, seconds: Duration) -> AbstractContextManager[CancelScope]:
        """Do as `move_on_after`, and raise `TimeoutError` if the time was over.

        Args:
            seconds: Seconds or a `timedelta`, counted on from process to process.

        Raises:
            TimeoutError: On leaving: the time was over, and what was inside has been cancelled.
            Exception: As `move_on_after` does.
        """
        return self._durable("fail_after()").fail_after(seconds)

    def patched(self, patch: str) -> bool:
        """Say whether a change of the step's code holds for this execution of it. Not a checkpoint.

        True if the body was live when it first asked: not going over what is remembered. So bodies that
        were under way before the change go on as they began. What is said once is recorded, and is
        said for the rest of the delivery. For workflows with a journal.

        Args:
            patch: The name of the change.

        Raises:
            TypeError: `patch` is no text.
            ValueError: `patch` is empty.
            Exception: As `step` does.

        Example:
            ```python
            handler = send_html if ctx.patched("v2-mail") else send_text
            await ctx.step.run("mail", handler, ev.address)
            ```
        """
        return self._durable("patched()").patched(patch)

    def _durable(self, what: str) -> DurableCalls:
        attempt = self._in_step(f"ctx.{what}")
        if attempt.hosted is not None:
            from .durable import calls_of  # noqa: PLC0415 - for programs with a journal

            return calls_of(attempt.hosted)
        name, flow = attempt.delivery.step, type(self._workflow).__name__
        attempt.check(f"ctx.{what}")
        if journal_around(attempt) is None:
            raise WorkflowRuntimeError(
                f"Step {name!r} uses ctx.{what}, and workflow {attempt.shell.plan.name!r} has no "
                f'journal to remember its calls in.\n  right:  {flow}(journal="runs.db")'
            )
        if attempt.threaded:
            raise WorkflowRuntimeError(
                f"Step {name!r} is a plain function; ctx.{what} needs async def."
            )
        raise UntrackedTaskError(
            f"ctx.{what} was used in step {name!r}, whose own code neither mentions it nor hands its "
            f"context on: so its tasks are not watched.\n"
            f"  right:  async def {name}(self, ctx: Context, ev: ...): await helper(ctx, ev)"
        )

    # ------------------------------------------------------------ snapshots

    def to_dict(
        self, serializer: BaseSerializer | None = None, *, include_state: bool = True
    ) -> dict[str, Any]:
        """Write down the run as it stands, at any time: JSON values only, which share nothing with it.

        What is queued, collected and waited for is in it, and how much the bodies that are executing
        have sent and written to the stream: run again, they do not repeat that.
        `workflow.run(ctx=Context.from_dict(workflow, data))` goes on from there. Not a checkpoint.

        Args:
            serializer: Writes values of fields and of the store; the workflow's by default.
            include_state: Write down what is in the store as well.

        Raises:
            ContextStateError: Called within a step.
            ContextSerdeError: A value cannot be written; the text says which.

        Example:
            ```python
            async with Flow().run(topic="x") as run:
                await run.wait_idle()
                saved = json.dumps(run.ctx.to_dict())
            ```
        """
        if self._attempt is not None:
            raise ContextStateError(
                "to_dict is only available from handler code, not from within steps."
            )
        if self._without is not None:
            self._check_unrouted(self._without)
        return written(self, serializer, include_state=include_state, without=self._without)

    def _check_unrouted(self, number: DeliveryId) -> None:
        state = self._started("to_dict()").state
        if number not in state.running and number not in state.suspended:
            raise ContextStateError(
                "to_dict() of a checkpoint's context was called after its callback."
            )

    @classmethod
    def from_dict(
        cls,
        workflow: Workflow[Any],
        data: Mapping[str, Any],
        serializer: BaseSerializer | None = None,
    ) -> Self:
        """Make a context of what `to_dict()` has given.

        It may come from anywhere: it is checked to the last value, nothing is coerced or imported, and
        objects are made only of classes that the workflow's annotations mention. Not a checkpoint.

        Args:
            workflow: A workflow of the same name and with the same steps.
            data: The snapshot.
            serializer: Reads values of fields and of the store; the workflow's by default.

        Raises:
            ContextSerdeError: It does not fit; the text has a line for each fault, with its path.

        Example:
            ```python
            ctx = Context.from_dict(flow, json.loads(saved))
            result = await flow.run(ctx=ctx)
            ```
        """
        context = cls(workflow)
        restore(context, data, serializer)  # `None` too, which is no snapshot
        return context

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


def _retry_info(attempt: Attempt) -> RetryInfo:
    trouble = attempt.delivery.trouble
    if trouble is None:
        return RetryInfo(0, 0.0, None, None)
    return RetryInfo(
        trouble.failures,
        attempt.delivery.began - trouble.began,
        trouble.error,
        datetime.fromtimestamp(attempt.shell.state.epoch + trouble.failed, tz=UTC),
    )


publish("plait", Context)
