"""Hosts one body: runs a function as the first task of its tree, and knows why it is cancelled.

The function runs under a shield. The host waits outside of it, and a cancellation from outside
reaches only the host, which marks the body as suspending before it cancels it. So whatever a task of
the body does when it sees `Cancelled`, plait knows why:

| cause | `suspending` | `ended_by` | then |
|---|---|---|---|
| from outside: the caller's scope, Ctrl-C, `suspend` | yes | | what the function does is no outcome |
| by plait: `end`, or a host that says `why` | no | the reason | final |
| inside: the function's own scopes, nurseries, deadlines | no | | the function goes on |

The host ends after the function's clean-up, and takes its hooks off the event loop then.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import attrs

from plait._engine import native
from plait._engine.block import Block
from plait._engine.failure import split, unwrap
from plait._errors import PlaitInternalError, RunSuspended

from . import spawning
from .gate import Brain, OutcomeGate
from .paths import Path, Place, Tree, require

if TYPE_CHECKING:
    from plait._engine.native import CancelScope

T = TypeVar("T")

#: Seconds on the loop's clock for which a body may have outcomes waiting and not come to rest, until
#: somebody looks why. On a busy machine that proves nothing: what follows is not counted in seconds.
PATIENCE: Final = 1.0
#: Passes of the loop in which each runnable task has run once, and none of them has made a call. Who
#: is only slow, one of ten thousand, makes its call in one of the first.
PASSES: Final = 1000
#: How often another thread has come and gone meanwhile, if it is a thread that keeps the body from rest.
TURNS_OF_THREADS: Final = 100
#: In how many of the last of them it is noted who runs: of two that wake each other, either may be seen.
LOOKS: Final = 16


@attrs.frozen
class Returned:
    """The function has returned."""

    value: object


@attrs.frozen
class Raised:
    """The function has raised, and nobody had cancelled it."""

    error: BaseException


@attrs.frozen
class Suspended:
    """The function was stopped here and has no outcome. What its clean-up raised, if anything."""

    error: BaseException | None = None


@attrs.frozen
class Ended:
    """Plait has ended the function. What its clean-up raised, if anything."""

    reason: object
    error: BaseException | None = None


Ending: TypeAlias = Returned | Raised | Suspended | Ended


class Body:
    """One start of a durable function. Made where an event loop runs.

    Args:
        name: The run's name, for errors.
        brain: Decides which outcome comes next.
        report: Told once if the body has outcomes waiting, and does not come to rest however often its
            tasks run: the names of those that spin.
        root: The path of its first task.
        why: Asked when the host is cancelled: `None` if the body is to be suspended; else why it is
            cancelled for good.
    """

    def __init__(
        self,
        name: str,
        brain: Brain,
        report: Callable[[list[str]], object],
        *,
        root: Path = (),
        why: Callable[[], object] | None = None,
    ) -> None:
        self._root = root
        self._why = why
        self.native: Final = native.current()
        self.gate: Final = OutcomeGate(brain, self.native, self.look)
        self.rest: Final = spawning.new_rest(self.native, self.gate.settle, self.fail)
        self.tree: Final = Tree(name, self.rest, self.fail, self._has_ended)
        #: Is it being stopped from outside? Then nothing that it does is an outcome.
        self.suspending: bool = False
        #: Why plait has cancelled it for good, if it has.
        self.ended: Ended | None = None
        #: What became of it, once `run` is over. Also if that raises.
        self.ending: Ending | None = None
        self._brain = brain
        self._report = report
        self._watch: spawning.Watch | None = None
        self._clock = self.native.clock()
        self._scope: CancelScope = self.native.cancel_scope(shield=True)
        self._done = self.native.event()
        #: What the first task has come to. `None` also if it never began.
        self._outcome: Returned | Raised | None = None
        self._broken: BaseException | None = None
        #: Ends the host's wait when it is time to look for tasks that spin.
        self._alarm: CancelScope | None = None
        #: Has it been set, or need none be?
        self._has_alarm = False
        self._rests_before_alarm = 0
        self._reported = False

    def place(self) -> Place:
        """Find the place of the task that runs now. Not a checkpoint.

        Raises:
            UntrackedTaskError: It is not of this body.
        """
        try:
            task = self.native.current_task()
        except RuntimeError:  # nothing of this kind runs in this thread
            task = None
        return require(self.tree, task)

    async def begin_call(self) -> Place:
        """Find the place of a task that begins a call, if it may.

        Raises:
            UntrackedTaskError: The task is not of this body.
            RunSuspended: The body is being suspended, and the task is under a shield.

        A checkpoint if the task has been cancelled: then it raises at once, and nothing was begun.
        """
        place = self.place()
        await self.native.checkpoint_if_cancelled()
        if self.suspending:
            raise RunSuspended
        return place

    def spawn(
        self, start_soon: Callable[..., T], place: Place, fn: Callable[..., Awaitable[object]]
    ) -> T:
        """Spawn a task that has this place, by a nursery's `start_soon`. Not a checkpoint."""
        watch = self._live_watch()
        return watch.start_at(place, start_soon, _placed(watch, place, fn))

    def spawn_adopting(
        self, start_soon: Callable[..., T], place: Place, name: str, run: Callable[[], object]
    ) -> T:
        """Spawn a task that has this place and this name. Not a checkpoint.

        As `spawn`, without a coroutine around the function's own; it calls `adopt` before all else.
        """
        return self._live_watch().start_at(place, partial(start_soon, name=name), run)

    def adopt(self, place: Place) -> None:
        """Take this place for the task that runs now, which has been spawned for it."""
        if place.task is None:
            self._live_watch().adopt(place)

    async def spawn_and_wait(
        self,
        start: Callable[..., Awaitable[T]],
        place: Place,
        fn: Callable[..., Awaitable[object]],
    ) -> T:
        """Spawn a task that has this place, by a nursery's `start`; `fn` gets its `task_status`.

        A checkpoint, and cancelled as `start` is.
        """
        watch = self._live_watch()
        with watch.starting(place):
            return await start(_placed(watch, place, fn))

    def name_of(self, place: Place) -> str:
        """Name the task that has a place, the same in every life of its run."""
        return self._live_watch().name_of(place.task)

    def look(self, *, cancelling: bool = False) -> None:
        """Ask the brain as soon as the body is at rest: there is news for it. Not a checkpoint.

        It may be asked before this returns; not if it is called in the midst of `cancelling` a
        task of the body, which goes on before the body rests.
        """
        if self.tree.over:
            return
        rest = self.rest
        if cancelling:
            rest.want_after_a_step()
        else:
            rest.want()
        if rest.wanted and not self._has_alarm:
            self._set_the_alarm()

    def suspend(self) -> None:
        """Stop the body here, without an outcome. Not a checkpoint; `run` returns after the clean-up."""
        if self.suspending or self.tree.over:
            return
        self.suspending = True
        self._brain.suspended()
        self.gate.suspend()
        self._scope.cancel()
        self.look()

    def end(self, reason: object) -> None:
        """Cancel the body for good. Not a checkpoint; `run` returns after the clean-up."""
        if self.ended is None and not self.tree.over:
            self.ended = Ended(reason)
            self._scope.cancel()

    def fail(self, error: BaseException) -> None:
        """Stop the body since plait itself has failed; `run` raises it. Not a checkpoint."""
        if self._broken is None:
            self._broken = error
        self.suspend()

    async def run(self, fn: Callable[[], Awaitable[object]]) -> Ending:
        """Run the function as the body's first task, and wait for its end and its clean-up.

        A checkpoint. When it is cancelled, the body is suspended, and the cancellation comes out
        once the clean-up is over.

        Raises:
            BaseException: What `fail` was called with; or a KeyboardInterrupt or SystemExit that
                came out of the function, which is suspended by it.
        """
        await self.native.checkpoint_if_cancelled()
        self._watch = spawning.join(self.native, self.tree)
        try:
            await self._host(fn)
        finally:
            spawning.leave(self.native, self._watch, self.tree)
            self.ending = ending = self._end()
            if self._broken is not None:
                raise self._broken
        if isinstance(ending, Suspended) and not isinstance(ending.error, Exception | None):
            raise ending.error
        return ending

    def _live_watch(self) -> spawning.Watch:
        if self._watch is None:
            raise PlaitInternalError(f"the body of run {self.tree.name!r} is not running")
        return self._watch

    async def _host(self, fn: Callable[[], Awaitable[object]]) -> None:
        block = Block()
        nursery = await block.open()
        try:
            first = Place(self.tree, self._root)
            self.spawn(nursery.start_soon, first, partial(self._first_task, fn))
            await self._attend()
        except BaseException as error:
            self._stop(error)
            raise
        finally:
            await block.close()  # noqa: ASYNC102 - however long the clean-up takes

    def _stop(self, error: BaseException) -> None:
        """Stop the body: the host was cancelled, or torn away."""
        reason: object = None
        if self._why is not None and isinstance(error, self.native.cancelled):
            reason = self._why()
        if reason is None:
            self.suspend()
        else:
            self.end(reason)

    async def _first_task(self, fn: Callable[[], Awaitable[object]]) -> None:  # noqa: ASYNC910
        try:
            with self._scope:
                self._outcome = Returned(await fn())
        except BaseException as error:  # noqa: BLE001, ASYNC103 - `_end` judges it
            self._outcome = Raised(self._stray(error) or error)
        finally:
            await self._end_left_tasks()  # noqa: ASYNC102 - however long the clean-up takes
            self._done.set()

    async def _end_left_tasks(self) -> None:  # noqa: ASYNC910 - as a rule there are none
        """End what the function has left behind, as asyncio's own runner does: nothing outlives a body.

        A `gather` leaves the others behind when one fails. On Trio every task has a nursery.
        """
        watch = self._live_watch()
        while left := watch.left_tasks(self.tree):
            with self.native.cancel_scope(shield=True):
                await watch.end(left)

    def _stray(self, error: BaseException) -> Exception | None:
        """Say what has failed if all of an error is a cancellation, and nobody had cancelled the body.

        On asyncio it is what comes of awaiting a task that was cancelled, and a failure as others.
        """
        if self.suspending or self.ended is not None or self.native.is_cancelled():
            return None
        rest: BaseException | None = error
        for kind in (self.native.cancelled, RunSuspended):
            rest = None if rest is None else split(rest, kind)[1]
        if rest is not None:
            return None
        stray = RuntimeError("The function raised a cancellation, and nobody had cancelled it")
        stray.__cause__ = error
        return stray

    def _has_ended(self) -> None:
        # asyncio may cancel a task before it begins; then nothing of `_first_task` has run.
        self._done.set()

    def _end(self) -> Ending:
        error = self._outcome.error if isinstance(self._outcome, Raised) else None
        for kind in (self.native.cancelled, RunSuspended):
            error = None if error is None else split(error, kind)[1]
        if error is not None and not isinstance(error, Exception):
            # Ctrl-C, or an exit of the program: they come from outside as well.
            self.suspending = True
            return Suspended(unwrap(error))
        if self.suspending:
            return Suspended(error)
        if self.ended is not None:
            return Ended(self.ended.reason, error)
        if error is not None:
            return Raised(error)
        # What is left of a raised outcome was asyncio's own cancellation of the first task.
        return self._outcome if isinstance(self._outcome, Returned) else Suspended()

    async def _attend(self) -> None:  # noqa: ASYNC910 - the first task has just been spawned
        """Wait for the first task's end, outside of the shield. Hears every cancellation from outside."""
        while not self._done.is_set():
            with self.native.cancel_scope() as self._alarm:
                self._has_alarm = False
                if self.rest.wanted:
                    self._set_the_alarm()
                await self._done.wait()
            await self._look_for_spinners()

    def _set_the_alarm(self) -> None:
        # One for many outcomes: most are handed out within the second, and an alarm for each of them
        # would cost more than the handing out.
        alarm = self._alarm
        if alarm is not None and not self._reported and alarm.deadline == math.inf:
            self._has_alarm = True
            alarm.deadline = self._clock() + PATIENCE
            self._rests_before_alarm = self.rest.times

    async def _look_for_spinners(self) -> None:  # noqa: ASYNC910 - as a rule there are none
        """Report tasks that run and run, and lead to nothing. Time is no sign of that, but turns are."""
        seen = self.rest.spinning() if self._keeps_moving() else []
        if not seen:
            return  # noqa: ASYNC910 - there are none
        calls = self._brain.calls()
        turns = PASSES
        if any(place.threads for place in seen):  # the loop's passes say nothing of a thread
            turns = TURNS_OF_THREADS
        seen.clear()
        for turn in range(turns):
            if not self._keeps_moving() or self._brain.calls() != calls:
                return  # noqa: ASYNC910 - they get on
            if turns - turn <= LOOKS:
                seen += self.rest.spinning()
            if turns == PASSES:
                await self.native.checkpoint()
            else:
                await self.native.run_in_thread(_nothing)
        if seen and self._keeps_moving():
            self._reported = True
            spinning = sorted(set(seen), key=lambda place: repr(place.path))
            self._report([f"{self.name_of(each)} {each.path!r}" for each in spinning])

    def _keeps_moving(self) -> bool:
        """Are there outcomes waiting, and has the body not been at rest since the alarm was set?"""
        if self._done.is_set() or self._reported or not self.rest.wanted:
            return False
        return self.rest.times == self._rests_before_alarm and self._brain.has_outcomes()


def _nothing() -> None:
    """Be a thread that comes and goes."""


def _placed(
    watch: spawning.Watch, place: Place, fn: Callable[..., Awaitable[object]]
) -> Callable[..., Awaitable[None]]:
    async def placed(**options: object) -> None:
        watch.adopt(place)
        await fn(**options)

    # The task is named by these two.
    placed.__module__ = fn.__module__
    placed.__qualname__ = getattr(fn, "__qualname__", type(fn).__qualname__)
    return placed
