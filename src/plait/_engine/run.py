"""A run as its user holds it: started in one of four ways, awaited by anyone, cancelled by anyone.

Rule 1: nothing runs before it is started, and what is started has an owner: the task that awaits
    it, the block that was entered, the nursery it was given, or the open runtime.
Rule 2: the run is inside its owner's scope. Cancelling the owner cancels it; leaving waits for it.
Rule 3: everyone who awaits a run gets the same result or the same exception, however often.
Rule 4: a failure comes out once at least: raised to who awaits, or else on leaving the owner.

What happens inside is the shell's; the strand that made the run knows what it means.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, Self, TypeAlias, cast

from typing_extensions import TypeVar

from plait._abc import Observer
from plait._errors import Waiting, WorkflowRuntimeError
from plait._event import (
    Event,
    StopEvent,
    WorkflowCancelledEvent,
    WorkflowFailedEvent,
    WorkflowTimedOutEvent,
)
from plait._ids import RunId
from plait._kernel.explain import explain, waiting
from plait._kernel.records import Stopped

from . import native
from .attempt import Attempt, current_attempt
from .block import Block
from .failure import contains
from .runtime import Runtime
from .shell import Shell
from .stream import EventStream
from .trace import Trace

if TYPE_CHECKING:
    from .native import Happening, Nursery

#: Whoever wants a `Run[object]` takes a `Run[int]`; a bare `Run` is one of anything.
R_co = TypeVar("R_co", covariant=True, default=Any)

State: TypeAlias = Literal[
    "created", "queued", "running", "idle", "completed", "failed", "cancelled"
]


#: The last events of runs that have failed, also of those that give a result all the same.
FAILED: Final = (WorkflowFailedEvent, WorkflowTimedOutEvent)


class Run(Generic[R_co]):
    """One run of a workflow, not yet started.

    Start it by `await run` (in this task and cancel scope), by `async with run` (in a nursery that
    belongs to the block), or by `run.start_soon(nursery)`; inside `open_runtime()` it has started
    when you get it. A run that is dropped without having been started gives a `ResourceWarning`.

    Example:
        ```python
        result = await Flow().run(topic="x")
        ```
    """

    def __init__(self, shell: Shell, runtime: Runtime | None = None) -> None:
        self._shell = shell
        self._runtime = runtime
        self._tried = False
        self._started = False
        self._ended: Happening | None = None
        self._seen = False
        self._block: Block | None = None
        self._block_task: object = None
        self._told_block = False
        self._error_traceback: TracebackType | None = None
        if runtime is not None:
            self._claim()
            runtime._adopt(self)

    # ------------------------------------------------------------ starting

    if not TYPE_CHECKING:
        # A type checker says that these are not there. Who has none is told what to write.

        def __call__(self, *_args: object, **_options: object) -> NoReturn:
            self._tried = True
            name = self._shell.plan.name
            raise TypeError(
                f"trio.run() and start_soon() take a function, and {name}().run() is a run.\n"
                f"  wrong:  trio.run({name}().run())\n"
                f"  right:  plait.run({name}())\n"
                f"  wrong:  nursery.start_soon({name}().run())\n"
                f"  right:  {name}().run().start_soon(nursery)"
            )

        def __enter__(self) -> NoReturn:
            self._tried = True
            name = self._shell.plan.name
            raise TypeError(f"A run is entered by async with: async with {name}().run() as run:")

        def __exit__(self, *_: object) -> None:
            """Be there for Python, which looks for it before it enters."""

    def __await__(self) -> Generator[None, None, R_co]:
        """Run to the end, or wait for the end if it has started, and return the result.

        A checkpoint. If the awaiting task is cancelled, a run that this `await` started is cancelled
        with it; a run that has another owner goes on.

        Raises:
            Exception: What a step raised, with notes on where; several in an `ExceptionGroup`.
            WorkflowTimeoutError: The timeout passed.
            WorkflowStalledError: The run could go no further.
            WorkflowCancelledByUser: The run was cancelled, and not this task.
        """
        return self._result().__await__()

    async def _result(self) -> R_co:
        if self._started:
            return await self.result()
        self._claim()
        await self._host()
        return self._outcome()

    def start_soon(self, nursery: Nursery) -> Self:
        """Start in a nursery or task group of yours, and return at once.

        A failure is raised into the nursery, as by any child task; cancelling the nursery cancels the
        run. Not a checkpoint.

        Args:
            nursery: A `trio.Nursery` under Trio, an `anyio.abc.TaskGroup` on asyncio.

        Raises:
            WorkflowRuntimeError: It has already been started.

        Example:
            ```python
            async with trio.open_nursery() as nursery:
                run = Flow().run(topic="x").start_soon(nursery)
            print(await run)
            ```
        """
        self._claim()
        self._start_in(nursery, self._as_child)
        return self

    def _start_in(self, nursery: Nursery, host: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            nursery.start_soon(host, name=f"run {self.run_id}")
        except BaseException:  # it is closed: the run has begun, and nobody will ever host it
            self._give_up()
            raise

    def _give_up(self) -> None:
        """End a run that nobody hosts: asyncio may cancel a task before it has begun."""
        if self._shell.conclusion is None:
            assert self._ended is not None
            self._shell.give_up()
            self._ended.set()

    async def _as_child(self) -> None:
        await self._host()
        if self._unseen is not None:
            self._outcome()

    async def __aenter__(self) -> Self:
        """Start in a nursery that belongs to the block.

        Not a checkpoint: no step runs before the body's first one.

        Raises:
            WorkflowRuntimeError: It has already been started.
        """
        self._block_task = native.current().current_task()
        if self._runtime is None:
            self._claim()
            self._block = Block()
            nursery = await self._block.open()
            self._start_in(nursery, self._host)
        if (taken_up := self._shell.taken_up) is not None:
            await self._until(taken_up)
        return self  # noqa: ASYNC910 - like a nursery's entry

    async def _until(self, taken_up: Happening) -> None:
        """Wait until the journal has been read: before that, nothing is known of the run."""
        try:
            await taken_up.wait()
        except BaseException:
            self._shell.abandon()
            await self._leave(shield=True)  # noqa: ASYNC102 - as a nursery does
            raise

    async def __aexit__(  # noqa: ASYNC910 - waits in `_leave`
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for the end; after an exception of the body, cancel first.

        Raises:
            Exception: The run's failure, unless the body has already been given it.
        """
        if exc is not None:
            self._shell.abandon()
        try:
            await self._leave(shield=exc is not None)  # noqa: ASYNC102 - as a nursery does
        except native.current().cancelled:
            if exc is None and (self._shell.conclusion is None or self._unseen is None):
                raise
        conclusion = self._shell.conclusion
        if conclusion is None or conclusion.cancelled or self._told_block:
            return  # noqa: ASYNC910 - has waited in `_leave`
        if exc is None or isinstance(exc, native.current().cancelled):
            self._outcome()  # a failure goes out instead of a cancellation
        elif conclusion.error is not None and not contains(exc, conclusion.error):
            text = f"the body of the block and workflow {self._shell.plan.name!r} failed"
            raise BaseExceptionGroup(text, [exc, conclusion.error]) from None

    async def _leave(self, *, shield: bool) -> None:
        if self._block is not None:
            try:
                await self._block.close()
            finally:
                self._give_up()
            return
        with native.current().cancel_scope(shield=shield):
            await self._wait()

    def _claim(self) -> None:
        if self._started:
            raise WorkflowRuntimeError(
                f"Run {self.run_id} of workflow {self._shell.plan.name!r} has already been started."
            )
        self._tried = True
        self._ended = native.current().event()
        self._shell.start()
        self._started = True

    async def _host(self) -> None:
        """Run to the end, keeping the outcome. For the owner, once."""
        assert self._ended is not None
        try:
            await self._shell.host()
        finally:
            self._ended.set()

    # ------------------------------------------------------------ the end

    def _outcome(self) -> R_co:
        conclusion = self._shell.conclusion
        assert conclusion is not None
        error = conclusion.error
        if error is None:
            return cast("R_co", conclusion.result)
        if not self._seen:
            self._seen = True
            self._error_traceback = error.__traceback__
        self._told_block |= native.current().current_task() is self._block_task
        # Each raise adds frames to the one exception: start again from those of the step.
        raise error.with_traceback(self._error_traceback)

    @property
    def _unseen(self) -> BaseException | None:
        """The failure that nobody has been given yet."""
        conclusion = self._shell.conclusion
        if conclusion is None or self._seen or conclusion.cancelled:
            return None
        return conclusion.error

    async def _wait(self) -> None:
        if self.is_done():  # perhaps in another event loop
            await native.current().checkpoint()
            return
        self._refuse_own_steps()
        assert self._ended is not None
        await self._ended.wait()

    def _refuse_own_steps(self) -> None:
        attempt = current_attempt.get()
        while attempt is not None:
            # A task that a step has left elsewhere may wait, once that step has ended.
            if attempt.shell is self._shell and attempt.worker.attempt is attempt:
                text = f"Step {attempt.delivery.step!r} cannot wait for its own run."
                raise WorkflowRuntimeError(text)
            attempt = attempt.shell.parent

    async def result(self) -> R_co:
        """Wait for the end of a started run and return its result.

        For a plain `StopEvent` that is its `result`, for an instance of a subclass the instance. A
        checkpoint; cancelling the caller leaves the run alone.

        Raises:
            Exception: As `await run` does.
            WorkflowRuntimeError: It has not been started, or a step of the run itself asks.

        Example:
            ```python
            async with Flow().run(topic="x") as run:
                result = await run.result()
            ```
        """
        self._need_start("await run.result()")
        await self._wait()
        return self._outcome()

    async def stop_event_result(self) -> R_co:
        """Do as `result` does, by the name that older programs use. A checkpoint.

        Raises:
            Exception: As `result` does.
        """
        return await self.result()

    def get_stop_event(self) -> StopEvent | None:
        """Return the stop event with which the run ended, or `None`."""
        outcome = self._shell.state.outcome
        if not isinstance(outcome, Stopped):
            return None
        assert isinstance(outcome.event, StopEvent)
        return outcome.event

    def is_done(self) -> bool:
        """Say whether nothing of the run is left."""
        return self._shell.conclusion is not None

    def cancel(self) -> None:
        """Ask for the run to end. Returns at once; may be repeated. Not a checkpoint.

        Every step sees `Cancelled`; their clean-up is awaited by the owner. Asked of a run that has
        not been started, it is remembered. `await run` then raises `WorkflowCancelledByUser`, while
        an `async with run` block whose body has called it is left quietly.

        Example:
            ```python
            async with Flow().run(topic="x") as run:
                await trio.sleep(60)
                run.cancel()
            ```
        """
        self._shell.cancel()

    async def cancel_run(self) -> None:
        """Cancel, then wait for the end, however long the clean-up takes.

        A checkpoint. If the caller is cancelled meanwhile, the run ends all the same.

        Raises:
            WorkflowRuntimeError: It has not been started, or a step of the run itself asks.

        Example:
            ```python
            await run.cancel_run()
            assert run.is_done()
            ```
        """
        self._need_start("await run.cancel_run()")
        self.cancel()
        await self._wait()

    # ------------------------------------------------------------ meanwhile

    @property
    def run_id(self) -> RunId:
        """The run's name."""
        return self._shell.run_id

    @property
    def state(self) -> State:
        """Where the run is: created, queued, running, idle, completed, failed or cancelled."""
        shell = self._shell
        if (end := shell.conclusion) is not None:
            if isinstance(end.last_event, WorkflowCancelledEvent):
                return "cancelled"
            return "failed" if end.error or isinstance(end.last_event, FAILED) else "completed"
        if not self._started:
            return "created"
        if shell.queued:
            return "queued"
        return "idle" if shell.state.idle else "running"

    @property
    def undelivered(self) -> tuple[Event, ...]:
        """Events that were accepted and reached no body or no batch, the oldest first."""
        return cast("tuple[Event, ...]", self._shell.state.undelivered)

    def send_event(self, event: Event, step: str | None = None) -> None:
        """Send an event into the run. Takes effect at once; not a checkpoint.

        Args:
            event: What to send.
            step: The one step that shall get it; by default every step that accepts it.

        Raises:
            TypeError: It is no event.
            WorkflowRuntimeError: Nobody takes it, or the run has not been started or has ended.
            WorkflowStepDoesNotExistError: There is no such step.

        Example:
            ```python
            run.send_event(HumanResponseEvent(response="yes"))
            ```
        """
        self._need_start("run.send_event(...)")
        if not isinstance(cast("object", event), Event):
            raise TypeError(f"send_event() takes an Event, not {event!r}")
        self._shell.send(event, step)

    def stream_events(self, *, expose_internal: bool = False) -> EventStream:
        """Open a stream of the run's events, from the first on, also after the end.

        It counts as a reader from now on, and not from its first event. Not a checkpoint.

        Args:
            expose_internal: Show `StepStateChanged` and `WorkflowIdleEvent` as well, from now on:
                they are not kept.

        Raises:
            WorkflowRuntimeError: It has not been started.

        Example:
            ```python
            async with Flow().run(topic="x") as run:
                async for event in run.stream_events():
                    print(event)
            ```
        """
        self._need_start("async for event in run.stream_events(): ...")
        if expose_internal:
            self._shell.watch_states()
        return EventStream(self._shell.feed, native.current(), internal=expose_internal)

    def observe(self, observer: Observer) -> Self:
        """Have `observer` called with each record of the run, synchronously. Not a checkpoint.

        Args:
            observer: Takes one record, after it has taken effect, and must not block. If it raises,
                that is logged, and it is removed: watching never disturbs a run.

        Raises:
            WorkflowRuntimeError: The run has already been started.

        Example:
            ```python
            result = await Flow().run(topic="x").observe(print)
            ```
        """
        if self._started:
            text = f"Run {self.run_id} has already been started. Observe it before that."
            raise WorkflowRuntimeError(text)
        self._shell.observers.append(observer)
        return self

    def trace(self) -> Trace:
        """Keep the run's records, for a readable story: `print(trace)` after the end.

        They stay in memory as long as the trace does. Not a checkpoint.

        Raises:
            WorkflowRuntimeError: The run has already been started.

        Example:
            ```python
            run = Flow().run(topic="x")
            trace = run.trace()
            await run
            print(trace)
            ```
        """
        trace = Trace()
        self.observe(trace)
        return trace

    def stepwise(self) -> Self:
        """Let the run start one delivery at a time, each when `run_step` asks for it.

        Not a checkpoint.

        Raises:
            WorkflowRuntimeError: The run has already been started.

        Example:
            ```python
            async with Flow().run(topic="x").stepwise() as run:
                while (events := await run.run_step()) is not None:
                    print(events)
            ```
        """
        if self._started:
            text = f"Run {self.run_id} has already been started. Call stepwise() before that."
            raise WorkflowRuntimeError(text)
        self._shell.stepwise = True
        return self

    async def run_step(self) -> list[Event] | None:
        """Let one delivery run, the oldest, and return the events that came of it.

        A body that waits for an event lets the next delivery run; the step ends when one of them has.
        It waits while the run is idle, and for a retry that is due later. A checkpoint. Cancelled
        before a body has begun, it lets none begin.

        Returns:
            The events that the delivery sent and returned, in their order, `[]` if there are none, as
            when the attempt failed; `None` at the end of the run.

        Raises:
            WorkflowRuntimeError: The run is not stepwise, or has not been started.
        """
        self._need_start("await run.run_step()")
        if not self._shell.stepwise:
            raise WorkflowRuntimeError("This run is not stepwise. Write run = wf.run().stepwise()")
        return await self._shell.step()

    def _forward_to(self, attempt: Attempt) -> None:
        """Show the run's events on the stream of the run that the attempt belongs to."""
        self._shell.kin.forward_to(attempt)

    async def wait_idle(self) -> None:
        """Wait until the run is idle or has ended.

        A run is idle if nothing is left to do until an event comes from outside. A checkpoint.
        Cancelling the caller leaves the run alone.

        Raises:
            WorkflowRuntimeError: It has not been started, or a step of the run itself asks.

        Example:
            ```python
            await run.wait_idle()
            run.send_event(HumanResponseEvent(response="yes"))
            ```
        """
        self._need_start("await run.wait_idle()")
        backend = native.current()
        await backend.checkpoint()
        if not self.is_done():
            self._refuse_own_steps()
        while not (self.is_done() or self._shell.state.idle):
            await self._shell.rest()

    def running_steps(self) -> list[str]:
        """List the steps that have a running body, in the order of the workflow."""
        return [*self._shell.state.active]

    def waiting(self) -> tuple[Waiting, ...]:
        """List who in the run waits for which events, and how far that has come."""
        return waiting(self._shell.state)

    def explain(self) -> str:
        """Say in words how the run stands: who waits for what. A head, and at most 20 lines.

        Errors that end a run for want of events or of time say the same.
        """
        shell = self._shell
        return explain(shell.state, shell.clock() if self._started else 0.0)

    def __repr__(self) -> str:
        return f"<Run {self.run_id} of {self._shell.plan.name!r}: {self.state}>"

    def __del__(self) -> None:
        if not getattr(self, "_tried", True):
            name = self._shell.plan.name
            warnings.warn(
                f"workflow {name!r}: run() was called but the run was never started. Write "
                f'"result = await {name}().run()" or "async with {name}().run() as run:".',
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    def _need_start(self, call: str) -> None:
        if self._started:
            return
        name = self._shell.plan.name
        raise WorkflowRuntimeError(
            "This run has not been started, so it has no events yet.\n"
            f"  wrong:  run = {name}().run()\n"
            f"          {call}\n"
            f"  right:  async with {name}().run() as run:\n"
            f"              {call}"
        )
