"""One run in this process: what the kernel says of its life is done here, in the task that has the run.

The kernel of a run is told of calls and life through one door, `take_in`: what it decides goes to the
book at once, together with what belongs into the same append. The rest is performed: what a body's
calls need by the brain of that body, and what the run needs by this module.

Rule 1: *The host is alive as long as its task.* What is to be done is put into a queue by whoever hears
    of it, and done by that task: bodies run in it, in its scope.
Rule 2: *A cancellation from outside suspends.* Nothing is recorded of it; whoever has the run next goes
    on from the journal. The children live in a nursery of the host, and are suspended with it.
Rule 3: *Who is held stays*, until somebody sends it away: it may still be cancelled for good.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from plait._engine.block import Block
from plait._engine.bodies.body import Ended, Ending, Raised, Returned, Suspended
from plait._engine.bodies.calls import Calls
from plait._engine.bodies.timers import Alarm
from plait._errors import (
    DeterminismError,
    JournalError,
    NonRetriableError,
    PlaitInternalError,
    StepError,
)
from plait._journal.outputs import OutputRefused
from plait._journal.recorded import error_of
from plait._kernel.calls import effects as of_calls
from plait._kernel.calls import stimuli as calls_stimuli
from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallCompleted, CallStarted
from plait._kernel.calls.refusals import call_text
from plait._kernel.functions import effects, stimuli
from plait._kernel.functions.advance import advance
from plait._kernel.functions.records import (
    AnyRecord,
    FunctionCancelled,
    FunctionCompleted,
    FunctionFailed,
)
from plait._kernel.functions.state import FunctionState
from plait._kernel.functions.stimuli import Stimulus

from .children import Children
from .parts import Undoing

if TYPE_CHECKING:
    from plait._engine.native import Nursery
    from plait._journal.scribes import FunctionScribe

    from .session import Session


ENDS: Final = (FunctionCompleted, FunctionFailed, FunctionCancelled)
#: What belongs into one append with its records.
JOINED: Final = (effects.SendEvent, effects.RunOnFailure, of_calls.CancelChild)


@attrs.frozen
class Gone:
    """The host was sent away: somebody else has the run now."""


Outcome: TypeAlias = effects.Finish | effects.Hold | Gone
Todo: TypeAlias = effects.StartBody | effects.Undo | Outcome


class Host:
    """The host of one run.

    Args:
        session: The app on its journal.
        run_id: The run.
        state: What the journal has of it, all of it on disk.
        scribe: Writes its records.
        body: Makes what a start of the body runs; `None` if the app has no such function.
        settle: Makes what is recorded of what the body returns.
    """

    def __init__(
        self,
        session: Session,
        run_id: str,
        state: FunctionState,
        *,
        scribe: FunctionScribe,
        body: Callable[[Host, Calls, int], Callable[[], Awaitable[object]]] | None,
        settle: Callable[[object], object],
    ) -> None:
        self.run_id: Final = run_id
        self.state: Final = state
        self._session = session
        self._native = session.native
        self._scribe = scribe
        self._body = body
        self._settle = settle
        self._native.protect(Host.hear)
        self._call_soon = self._native.caller()
        #: Of the body that lives, or of the rollbacks.
        self.calls: Calls | None = None
        #: What undoes the steps that the last body has made.
        self.undoing: dict[Key, Undoing] = {}
        #: Who lives beside the body.
        self.nursery: Nursery | None = None
        self.children: Final = Children(session, self)
        self._todo: deque[Todo] = deque()
        self._news = self._native.event()
        self._undo: Key | None = None
        #: Why the body is to be cancelled for good, if it has not begun when that is said.
        self._ends: effects.CancelBody | None = None
        self._alarm: Alarm | None = None
        self._broken: BaseException | None = None
        #: How it ended, or why it is held.
        self.outcome: Outcome | None = None

    # ------------------------------------------------------------ the door

    @property
    def may_move(self) -> bool:
        """As a door says it."""
        return self.state.may_move

    def take_in(self, stimulus: Stimulus) -> tuple[Sequence[object], Sequence[object]]:
        """Decide, and have kept what is to be kept: the door of a body's calls."""
        kept, todo = advance(self.state, stimulus)
        joined = [effect for effect in todo if isinstance(effect, JOINED)] if todo else ()
        if not kept and not joined:
            return (), todo
        records = [record for _, record in kept]
        end = records[-1] if records and isinstance(records[-1], ENDS) else None
        if end is None and not joined:  # as a rule
            self._keep(kept)
            return records, todo
        with self._session.book.together():
            self._keep(kept)
            for effect in joined:
                if isinstance(effect, of_calls.CancelChild):
                    self.children.cancel(effect.key, effect.child)
            if end is not None:
                self.children.end_with_parent()
                self._session.streams.ended(self.run_id, self.state, end, joined)
        return records, [effect for effect in todo if not isinstance(effect, JOINED)]

    def _keep(self, kept: Sequence[tuple[int, AnyRecord]]) -> None:
        if not kept:
            return
        book, entries, n = self._session.book, self._scribe.entries(kept), kept[-1][0]
        if self.calls is not None:  # calls come in bursts
            notes = type(kept[-1][1]) is CallStarted and len(kept) == 1
            book.gather(entries, n, self._is_kept, notes=notes)
        else:
            book.append(entries, partial(self._is_kept, n))

    def hear(self, stimulus: Stimulus) -> None:
        """Hear of something that no body tells of. Not a checkpoint."""
        if self.calls is not None:
            self.calls.hear_in_hook(stimulus)
            return
        try:
            _, todo = self.take_in(stimulus)
            for effect in todo:
                self._perform(effect)
        except BaseException as error:
            self.fail(error)
            raise

    def _is_kept(self, n: int, error: JournalError | None) -> None:
        if error is not None:
            self._session.failed(error)
            return
        try:
            self.hear(calls_stimuli.Acknowledged(self._now(), n))
        except BaseException as trouble:  # noqa: BLE001, ASYNC103 - called by the event loop
            self._session.failed(trouble)  # noqa: ASYNC104

    def _now(self) -> float:
        return self._session.timers.now()

    # ------------------------------------------------------------ from outside

    def cancel(self, reason: str) -> None:
        """Hear that the app's stream has it: the run is to be cancelled for good. Not a checkpoint."""
        if self.state.terms is not None and not isinstance(self.outcome, effects.Finish):
            self.hear(stimuli.CancelAsked(self._now(), reason))

    def fail(self, error: BaseException) -> None:
        """Stop here, since plait itself, or the journal, has failed. Not a checkpoint."""
        if self._broken is None:
            self._broken = error
        if self.calls is not None:
            self.calls.body.fail(error)
        self._news.set()

    def spawn(self, fn: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run something beside the body, as long as the run is hosted. Not a checkpoint.

        It may be called in a task of the body, whose spawns are counted: so somebody else spawns it.
        """
        self._call_soon(partial(self._spawn_now, fn))

    def _spawn_now(self, fn: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self.nursery is not None:  # else the run has been put away meanwhile
            self.nursery.start_soon(fn)

    def leave(self) -> None:
        """Go away: somebody else takes a run that is held here. Not a checkpoint."""
        self._put(Gone())

    # ------------------------------------------------------------ the life of a host

    async def live(
        self,
        terms: stimuli.TakenUp,
        *,
        cancelled: str | None = None,
        parked: bool = False,
        taken_up: Callable[[], object] | None = None,
    ) -> Outcome:
        """Take the run up, and have it run to its end. A checkpoint.

        Cancelling it suspends the run; it returns once all clean-up is over.

        Args:
            terms: On which terms it is taken up.
            cancelled: Why it is to be cancelled for good, if the app's stream says so.
            parked: Does it stay when it is held?
            taken_up: Called when it has been.

        Returns:
            How it ended; or why it is held.

        Raises:
            JournalError: The journal has failed.
            PlaitInternalError: Plait has.
        """
        block = Block()
        self.nursery = await block.open()
        try:
            self.hear(terms)
            if taken_up is not None:
                taken_up()
            if cancelled is not None:
                self.cancel(cancelled)
            self.children.take_ending()
            self.outcome = outcome = await self._go_on()
        finally:
            if not isinstance(self.outcome, effects.Finish):
                self.nursery.cancel_scope.cancel()  # what it has begun waits with it
            self.nursery = None  # it takes nobody in any more
            self._put_away()
            await block.close()  # noqa: ASYNC102 - however long the clean-up takes
        if parked and isinstance(outcome, effects.Hold):
            self._session.news()
            self.outcome = outcome = await self._go_on()
        return outcome

    def _put_away(self) -> None:
        if self._alarm is not None:
            self._alarm.clear()
        over = self.state.end is not None or self.state.held is not None
        if not over and self.state.terms is not None and not self.state.calls.stopped:
            self.take_in(calls_stimuli.Suspended(self._now()))

    async def _go_on(self) -> Outcome:
        while True:
            match await self._next():
                case effects.StartBody(attempt):
                    await self._run_body(attempt)
                case effects.Undo():
                    await self._run_rollbacks()
                case outcome:
                    return outcome

    async def _next(self) -> Todo:
        while not self._todo and self._broken is None:
            self._news = self._native.event()
            await self._news.wait()
        if self._broken is not None:
            raise self._broken
        return self._todo.popleft()  # noqa: ASYNC910 - what is done then is a checkpoint

    def _put(self, todo: Todo) -> None:
        self._todo.append(todo)
        self._news.set()

    # ------------------------------------------------------------ what is to be done

    def _perform(self, effect: object) -> None:
        match effect:
            case effects.StartBody():
                self.undoing.clear()
                self._ends = None
                self._put(effect)
            case effects.CancelBody(reason):
                self._ends = effect
                if self.calls is not None:
                    self.calls.body.end(reason)
            case effects.StopBody(why):
                if self.calls is not None:
                    self.calls.body.fail(DeterminismError(why.text(self.run_id)))
            case effects.Undo(key):
                if self._undo is None and self.calls is None:
                    self._put(effect)
                self._undo = key
            case effects.Wake(at):
                self._alarm = self._session.timers.set(at, self._ring)
            case effects.ClearWake():
                if self._alarm is not None:
                    self._alarm.clear()
            case effects.Hold() | effects.Finish():
                self._put(effect)
            case effects.LogSource() | effects.WarnUnasked() | effects.WarnNotUndone():
                self._say(effect)
            case _:
                raise PlaitInternalError(f"nobody performs {effect}")

    def _ring(self) -> None:
        try:
            self.hear(stimuli.RetryDue(self._now()))
        except BaseException as error:  # noqa: BLE001, ASYNC103 - called by whoever serves the alarms
            self._session.failed(error)  # noqa: ASYNC104

    def _say(self, effect: effects.LogSource | effects.WarnUnasked | effects.WarnNotUndone) -> None:
        log, run = self._session.logger, self.run_id
        match effect:
            case effects.LogSource(before, now):
                log.info(
                    "run %s goes on with another source: it was %s, and is now %s",
                    run,
                    before[:12] or "not known",
                    now[:12] or "not known",
                )
            case effects.WarnUnasked(keys):
                steps = ", ".join(map(call_text, keys))
                log.warning("run %s has completed, and nobody asked for %s", run, steps)
            case effects.WarnNotUndone(keys):
                steps = ", ".join(map(call_text, keys))
                log.warning(
                    "run %s does not roll back %s: its code has no rollback there any more",
                    run,
                    steps,
                )

    # ------------------------------------------------------------ bodies

    def _new_calls(self) -> Calls:
        session = self._session
        return Calls(
            self.run_id,
            self.state.calls,
            door=self,
            perform=self._perform,
            admit=partial(session.admit, self.run_id),
            timers=session.timers,
            error_of=error_of,
            report=self._report_spinning,
            warn=self._warn_of_deadline,
        )

    def _report_spinning(self, tasks: list[str]) -> None:
        self._session.logger.warning(
            "run %s has outcomes waiting, and does not come to rest: %s keep running. "
            "Let a task that waits for nothing end, or await something in its loop",
            self.run_id,
            ", ".join(tasks),
        )

    def _warn_of_deadline(self, key: Key) -> None:
        self._session.logger.warning(
            "run %s: %s was cancelled by a deadline that starts anew in each process: "
            "use ctx.move_on_after, which does not",
            self.run_id,
            call_text(key),
        )

    async def _run_body(self, attempt: int) -> None:
        # Made when it runs: until its first task is there, a body would seem to be at rest.
        calls = self._new_calls()
        assert self._body is not None
        if self._ends is not None:
            calls.body.end(self._ends.reason)
        self._judge(await self._host(calls, self._body(self, calls, attempt)))

    async def _host(self, calls: Calls, fn: Callable[[], Awaitable[object]]) -> Ending:
        self.calls = calls
        try:
            return await calls.start(fn)
        except DeterminismError:
            if self.state.held is None:
                raise
            return Suspended()  # noqa: ASYNC910 - a body has run
        finally:
            self.calls = None

    def _judge(self, ending: Ending) -> None:
        now = self._now()
        match ending:
            case Returned(value):
                try:
                    self.hear(stimuli.BodyReturned(now, self._settle(value)))
                except OutputRefused as error:
                    self.hear(stimuli.BodyRaised(now, self._refused(error)))
            case Raised(error):
                assert isinstance(error, Exception)
                self.hear(stimuli.BodyRaised(now, error))
            case Suspended() if self.state.held is None:
                # Somebody has cancelled a task of asyncio by itself: that comes from outside.
                raise self._native.cancelled
            case Suspended() | Ended():
                if ending.error is not None and self.state.verdict is None:  # else it is known
                    self._session.logger.error(
                        "run %s: the clean-up of its function failed",
                        self.run_id,
                        exc_info=ending.error,
                    )
                self.hear(stimuli.BodyCancelled(now))

    def _refused(self, error: OutputRefused) -> Exception:
        made = NonRetriableError(f"What run {self.run_id!r} returned: {error}")
        made.__cause__ = error
        return made

    # ------------------------------------------------------------ rollbacks

    async def _run_rollbacks(self) -> None:
        """Make the calls that undo steps, one after another, as long as there is one to be undone."""
        calls = self._new_calls()
        ending = await self._host(calls, partial(self._undo_all, calls))
        if isinstance(ending, Raised):
            raise ending.error

    async def _undo_all(self, calls: Calls) -> None:  # noqa: ASYNC910 - there is one to be undone
        while (key := self._undo) is not None:
            undoing = self.undoing[key]
            done = self.state.calls.outcome(key)
            assert isinstance(done, CallCompleted)
            self._undo = None
            try:
                await calls.undo(
                    key,
                    partial(undoing.undo, done.value),
                    name=undoing.name,
                    retry=undoing.retry,
                )
            except StepError as error:
                # It is in the journal, and among the notes of the run's own error.
                self._session.logger.warning("run %s: %s", self.run_id, error)
