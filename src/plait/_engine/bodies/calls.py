"""The calls of one body, and its deadlines: each waits in its own task, and its handler runs there.

Rule 1: *Who may leave, and when, is the kernel's decision*, on either backend: without `LetGo` a call
    stays until its turn, and if it has an outcome then, the cancellation acts at the task's next
    checkpoint.
Rule 2: *A handler makes no calls.* Whoever does so inside one fails it, whatever is caught there.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs

from plait._engine.failure import split
from plait._errors import (
    NestedStepError,
    NonRetriableError,
    PlaitInternalError,
    RetryAfterError,
    RunSuspended,
)
from plait._kernel.calls import effects, stimuli
from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallCompleted, CallFailed, Op, Where
from plait._kernel.calls.state import BodyState
from plait._kernel.retry.ask import AnyRetryPolicy

from .body import Ending
from .brain import Deadline, KernelsBrain
from .current import CurrentStep, current_step
from .gate import LET_GO, RELEASED
from .paths import Path, Place
from .ports import Children, Door, ErrorOf, Output, Unchanged, Waits
from .timers import Timers

if TYPE_CHECKING:
    from plait._engine.native import CancelScope

UNCHANGED: Final = Unchanged()


@attrs.define(eq=False)
class _Inside:
    """A handler that runs."""

    #: What a call inside it was refused with.
    nested: NestedStepError | None = None


class Calls(KernelsBrain):
    """The calls of one start of a body. Made where an event loop runs.

    Args:
        run_id: The run.
        state: What is known of the calls. The door changes it.
        door: Takes in what is heard.
        perform: Does what the kernel says beside the effects of calls.
        admit: Lets an attempt of a handler run, and hears when it has ended; `None`: it runs at once,
            and nobody hears.
        timers: Rings alarms; served by somebody as long as the body lives.
        error_of: Makes the exceptions that calls raise.
        report: Told once if the body has outcomes waiting and does not come to rest: who spins.
        warn: Told of a call that was cancelled under a deadline that is not durable.
        root: The path of the body's first task.
        why: As for `Body`.
    """

    def __init__(
        self,
        run_id: str,
        state: BodyState,
        *,
        door: Door,
        perform: Callable[[object], object],
        admit: Callable[[Key], AbstractAsyncContextManager[object] | None],
        timers: Timers,
        error_of: ErrorOf,
        report: Callable[[list[str]], object],
        warn: Callable[[Key], object],
        root: Path = (),
        why: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(
            run_id,
            state,
            door=door,
            perform=perform,
            timers=timers,
            report=report,
            warn=warn,
            root=root,
            why=why,
        )
        self._admit = admit
        self._error_of = error_of
        #: Live values of calls that have completed, until they are handed out.
        self._live: dict[Key, object] = {}
        self._inside: dict[Path, _Inside] = {}
        self._wheres: dict[Path, Where] = {root: ()}

    async def start(self, fn: Callable[[], Awaitable[object]]) -> Ending:
        """Run the body's function from its top, once the kernel has said so: `Began` comes before.

        Once. A checkpoint; it is cancelled as `Body.run` is.

        Raises:
            JournalError: The journal failed; the body was suspended.
            DeterminismError: The function does not fit the journal; the body was suspended.
            BaseException: As `Body.run` does.
        """
        try:
            return await self.body.run(fn)
        finally:
            for alarm in self._alarms.values():
                alarm.clear()
            self._alarms.clear()

    # ------------------------------------------------------------ calls

    async def run(
        self,
        step_id: str,
        handler: Callable[[], Awaitable[object]],
        *,
        name: str,
        retry: AnyRetryPolicy | None = None,
        output: Output = UNCHANGED,
        undoable: bool = False,
    ) -> Any:
        """Run a handler in the calling task, unless its outcome is known. A checkpoint.

        Args:
            step_id: The id of the call.
            handler: Is called for each attempt.
            name: The handler's name, compared with that in the journal.
            retry: Asked after each failure; `None` for one attempt.
            output: Makes what is recorded of what the handler returns.
            undoable: Has the call a rollback?

        Raises:
            StepError: As `error_of` makes it: the call has failed for good.
            NestedStepError: The caller is inside a handler.
            UntrackedTaskError: The caller is not a task of this body.
            DeterminismError: Something else was called by this key.
            RunSuspended: The body is being suspended, and the caller is under a shield.
        """
        place = self.enter(step_id)
        key = self.state.next_key(place.path, step_id)
        return await self._call(
            place, key, "run", name, handler, output, retry=retry, undoable=undoable
        )

    async def undo(
        self,
        key: Key,
        handler: Callable[[], Awaitable[object]],
        *,
        name: str,
        retry: AnyRetryPolicy | None = None,
    ) -> None:
        """Run the rollback of a call that has completed. A checkpoint; raises as `run` does."""
        place = self.enter(key.step_id)
        await self._call(place, key.rollback, "rollback", name, handler, UNCHANGED, retry=retry)

    async def send(
        self,
        step_id: str,
        put: Callable[[Key, Callable[[object], None]], object],
        *,
        output: Output = UNCHANGED,
    ) -> Any:
        """Send something in one append with the call's outcome. A checkpoint; raises as `run` does.

        Args:
            step_id: The id of the call.
            put: Is called with the key and a function. It calls that with what the call returns,
                while `append` collects what belongs together. If it raises, the call has failed.
            output: As for `run`.
        """
        place = self.enter(step_id)
        key = self.state.next_key(place.path, step_id)
        return await self._call(place, key, "send", "", None, output, put=put)

    async def sleep(self, step_id: str, seconds: float) -> None:
        """Sleep; zero or less is over at once. A checkpoint; raises as `run` does."""
        await self._sleep(step_id, self.now() + max(0.0, seconds))

    async def sleep_until(self, step_id: str, until: datetime) -> None:
        """Sleep until then; the past is over at once. A checkpoint; raises as `run` does.

        Raises:
            ValueError: `until` has no time zone.
        """
        if until.tzinfo is None:
            msg = f"sleep_until() takes a datetime that has a time zone, not {until!r}"
            raise ValueError(msg)
        await self._sleep(step_id, until.timestamp())

    async def _sleep(self, step_id: str, due_at: float) -> None:
        place = self.enter(step_id)
        key = self.state.next_key(place.path, step_id)
        await self._call(place, key, "sleep", "", None, UNCHANGED, due_at=due_at)

    async def wait(
        self,
        step_id: str,
        event: str,
        *,
        seconds: float,
        waits: Waits,
        output: Output = UNCHANGED,
    ) -> Any:
        """Wait for an event; `None` after so many seconds. A checkpoint; raises as `run` does.

        Args:
            step_id: The id of the call.
            event: Its name.
            seconds: How long.
            waits: Looks out for it, and tells `event_arrived`.
            output: Reads what is recorded of it.
        """
        place = self.enter(step_id)
        key = self.state.next_key(place.path, step_id)
        self._waits[key] = waits
        try:
            due_at = self.now() + seconds
            return await self._call(
                place,
                key,
                "wait",
                "",
                None,
                output,
                due_at=due_at,
                event=event,
                since=waits.since,
            )
        finally:
            del self._waits[key]

    async def invoke(
        self,
        step_id: str,
        child: Callable[[Key, int], str],
        *,
        name: str,
        children: Children,
        seconds: float | None = None,
        output: Output = UNCHANGED,
    ) -> Any:
        """Run another function and return its result. A checkpoint; raises as `run` does.

        When it returns or raises, what was invoked is over, its clean-up too.

        Args:
            step_id: The id of the call.
            child: Names its run, of the key and how often this call was cancelled before.
            name: The name of the function.
            children: Runs it, and tells `child_ended`.
            seconds: How long it may take; then it is cancelled, and the call fails with its error.
            output: Reads what is recorded of its result.
        """
        place = self.enter(step_id)
        key = self.state.next_key(place.path, step_id)
        run = child(key, self.state.cancellations(key))
        self._children[key] = children
        try:
            due_at = None if seconds is None else self.now() + seconds
            return await self._call(
                place, key, "invoke", name, None, output, due_at=due_at, child=run
            )
        finally:
            del self._children[key]
            if not self.body.suspending:  # else whoever suspends the body suspends the child
                with self._native.cancel_scope(shield=True):
                    await children.over(run)  # noqa: ASYNC102 - however long the clean-up takes

    def event_arrived(self, key: Key, value: object, error: object = None) -> bool:
        """Hear of the first event that a wait accepts, as it is recorded. Not a checkpoint.

        Args:
            key: The call.
            value: What is recorded.
            error: What was raised by who was to say whether it accepts it: the call fails with that.

        Returns:
            Was it taken? Then its record went to `append`.
        """
        before = self.state.last_n
        self.hear(stimuli.EventArrived(self.now(), key, value, error))
        return self.state.last_n > before

    def child_ended(self, key: Key, value: object = None, error: object = None) -> None:
        """Hear of the end of what was invoked, as it is recorded. Not a checkpoint."""
        self.hear(stimuli.ChildEnded(self.now(), key, value, error))

    # ------------------------------------------------------------ deadlines and patches

    @contextmanager
    def move_on_after(self, seconds: float) -> Generator[CancelScope]:
        """Cancel what is inside when its time is over, which goes on from process to process.

        Raises:
            NestedStepError: The caller is inside a handler.
            UntrackedTaskError: The caller is not a task of this body.
        """
        place = self.enter(None)
        key = self.state.next_key(place.path, None)
        now = self.now()
        self.hear(stimuli.DeadlineEntered(now, key, now + seconds))
        known = self.state.deadlines.get(key)
        with self._native.cancel_scope() as scope:
            deadline = Deadline(scope, now + seconds if known is None else known.due_at)
            self.body.gate.expect(key, deadline)
            self._deadlines[key] = deadline
            if self.body.suspending:
                self.fall_back(deadline)
            try:
                yield scope
            finally:
                del self._deadlines[key]
                self.body.gate.forget(key)
                self.hear(stimuli.DeadlineLeft(self.now(), key))

    @contextmanager
    def fail_after(self, seconds: float) -> Generator[CancelScope]:
        """Do as `move_on_after`, and raise `TimeoutError` if the time was over."""
        with self.move_on_after(seconds) as scope:
            yield scope
        if scope.cancelled_caught:
            raise TimeoutError(f"It took longer than {seconds} s")

    def patched(self, patch: str) -> bool:
        """Say whether a patch is on: whether the run was live when it first asked. Not a checkpoint.

        Raises:
            UntrackedTaskError: The caller is not a task of this body.
        """
        self.body.place()
        todo = self.hear(stimuli.PatchAsked(self.now(), patch))
        return any(isinstance(effect, effects.Answer) and effect.on for effect in todo)

    # ------------------------------------------------------------ one call

    def enter(self, step_id: object) -> Place:
        """Find the place of a task that is about to make a call, or to open a group; `None`: no call.

        Raises:
            TypeError: `step_id` is no text.
            NestedStepError: The task is inside a handler, whose call fails with this.
            UntrackedTaskError: It is not of this body.
        """
        if step_id is not None and not isinstance(step_id, str):
            raise TypeError(f"step_id must be a str, not {step_id!r:.80}")
        place = self.body.place()
        if place.aside:
            raise self.nested(place.path, step_id)
        return place

    def nested(self, path: Path, step_id: str | None) -> NestedStepError:
        """Make the error of a call inside a handler, whose call fails with it. In whatever thread.

        Args:
            path: Where the handler's task stands.
            step_id: The id of the call that was made; `None`: of no call.
        """
        what = "A group or a deadline" if step_id is None else f"Step {step_id!r}"
        text = f"{what} inside the handler of a step: call it in the function itself"
        error = NestedStepError(step_id or "", "", 0, "NestedStepError", text, "")
        if (inside := self._inside.get(path)) is not None:
            inside.nested = inside.nested or error
        return error

    def _where(self, place: Place) -> Where:
        where = self._wheres.get(place.path)
        if where is None:
            assert place.above is not None
            where = (*self._where(place.above), self.body.name_of(place))
            self._wheres[place.path] = where
        return where

    async def _call(
        self,
        place: Place,
        key: Key,
        op: Op,
        name: str,
        handler: Callable[[], Awaitable[object]] | None,
        output: Output,
        *,
        put: Callable[[Key, Callable[[object], None]], object] | None = None,
        **options: Any,
    ) -> Any:
        deadline = self._native.deadline()
        called = stimuli.Called(
            self.now(),
            key,
            op,
            name,
            self._where(place),
            bounded=deadline != math.inf or self._times_out(key, place),
            cancelled=deadline == -math.inf,
            **options,
        )
        for effect in self.hear(called):
            if isinstance(effect, effects.LetGo):
                await self._leave(key, None)
            elif isinstance(effect, effects.Refuse):
                raise self.refused(effect.why)
        cancelled: BaseException | None = None
        try:
            while True:
                attempt = self._attempts.pop(key, None)
                if attempt is not None and put is not None:
                    self._put(key, put, output)
                elif attempt is not None:
                    assert handler is not None
                    cancelled = await self._run(place, key, attempt, handler, output)
                leave, sealed = partial(self._may_not_leave, key), self._has_its_turn(key)
                handed = await self.body.gate.wait(
                    key, place, leave, sealed=sealed, called_off=cancelled is not None
                )
                if handed is LET_GO:
                    await self._leave(key, cancelled)
                if handed is not RELEASED:
                    return self._open(handed, output)
        finally:
            if key in self.state.waiting:  # the body is being suspended
                self.hear(stimuli.CallCancelled(self.now(), key))

    def _times_out(self, key: Key, place: Place) -> bool:
        """Is a call that was cancelled before under a timeout that no scope knows of, as asyncio's own?"""
        past = self.state.past.get(key)
        if past is None or past.cancelled_in < 0:
            return False
        tasks: list[object] = []
        above: Place | None = place
        while above is not None:
            tasks.append(above.task)
            above = above.above
        return self._native.times_out(tasks)

    async def _leave(self, key: Key, cancelled: BaseException | None) -> NoReturn:  # noqa: ASYNC910
        """Raise the cancellation of a call: that which came out of its handler, if one did."""
        if cancelled is not None:
            raise cancelled  # noqa: ASYNC910
        await self._native.checkpoint()
        raise PlaitInternalError(f"{key} was let go, and nobody has cancelled it")

    async def _run(  # noqa: ASYNC910 - the wait for its outcome follows
        self,
        place: Place,
        key: Key,
        attempt: int,
        handler: Callable[[], Awaitable[object]],
        output: Output,
    ) -> BaseException | None:
        """Run a handler and report how it ended. Gives with what it left if it was cancelled."""
        inside = self._inside[place.path] = _Inside()
        token = current_step.set(CurrentStep(self.run_id, key, attempt))
        value: object = None
        error: BaseException | None = None
        rest = self.body.rest
        try:
            rest.go_aside(place)
            try:
                slot = self._admit(key)
                if slot is None:
                    value = await handler()
                else:
                    async with slot:
                        value = await handler()
            finally:
                rest.come_back(place)
        except BaseException as raised:  # noqa: BLE001, ASYNC103 - judged below
            error = raised
        finally:
            current_step.reset(token)
            del self._inside[place.path]
        if error is None and inside.nested is None:  # as a rule
            self._report_value(key, value, output)
            return None  # noqa: ASYNC910
        failure = None if error is None else self._failure(key, error)
        if failure is not None and not isinstance(failure, Exception):
            return failure  # noqa: ASYNC910
        if inside.nested is not None:
            self._report_failure(key, inside.nested)
        else:
            assert failure is not None
            self._report_failure(key, failure)
        return None  # noqa: ASYNC910

    def _failure(self, key: Key, error: BaseException) -> BaseException:
        """Say what failed; or, no `Exception`, how the call was cancelled.

        Raises:
            BaseException: The error, if the call leaves at once: the body is being suspended.
        """
        cancelled, rest = split(error, self._native.cancelled)
        if isinstance(rest, Exception):
            return rest  # a cancellation beside it acts at the next checkpoint
        if rest is None and not self._native.is_cancelled():
            stray = RuntimeError("The handler raised a cancellation, and nobody had cancelled it")
            stray.__cause__ = cancelled
            return stray
        if rest is not None and not isinstance(rest, RunSuspended):
            self.body.suspend()  # Ctrl-C, or an exit of the program: from outside
        if self._let_go(self.hear(stimuli.CallCancelled(self.now(), key)), key):
            raise error
        return error

    def _put(
        self, key: Key, put: Callable[[Key, Callable[[object], None]], object], output: Output
    ) -> None:
        def complete(value: object) -> None:
            self._report_value(key, value, output)

        try:
            put(key, complete)
        except Exception as error:
            if self._has_ended(key):
                raise
            self._report_failure(key, error)

    def _report_value(self, key: Key, value: object, output: Output) -> None:
        try:
            recorded, live = output.settle(value)
        except Exception as error:  # noqa: BLE001 - the handler has run, and shall not run again
            self.hear(stimuli.HandlerRaised(self.now(), key, error, final=True))
            return
        self._live[key] = live
        self.hear(stimuli.HandlerReturned(self.now(), key, recorded))

    def _report_failure(self, key: Key, error: Exception) -> None:
        now = self.now()
        retry_at = now + error.delay(now) if isinstance(error, RetryAfterError) else None
        final = isinstance(error, NonRetriableError)
        self.hear(stimuli.HandlerRaised(now, key, error, final, retry_at))

    def _has_ended(self, key: Key) -> bool:
        past = self.state.past.get(key)
        return past is not None and past.ending is not None

    def _has_its_turn(self, key: Key) -> bool:
        return self._has_ended(key) or key in self.state.leaving

    def _may_not_leave(self, key: Key) -> bool:
        return not self._let_go(self.hear_in_hook(stimuli.CallCancelled(self.now(), key)), key)

    @staticmethod
    def _let_go(todo: Sequence[object], key: Key) -> bool:
        return any(isinstance(effect, effects.LetGo) and effect.key == key for effect in todo)

    def _open(self, handed: object, output: Output) -> object:
        if isinstance(handed, CallFailed):
            raise self._error_of(handed)
        assert isinstance(handed, CallCompleted)
        if handed.key in self._live:
            return self._live.pop(handed.key)
        # What a sleep or a wait came to when its time was over was never an output.
        return None if handed.value is None else output.read(handed.value)
