"""What a function is given: the event, and what it can do with it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Generic
from uuid import UUID

from plait._engine.bodies.current import current_step
from plait._naming import publish
from plait._steps.arguments import duration, text
from plait._steps.checks import Duration

from .chance import Chance, uuid_of
from .event import D, Event
from .run_logger import RunLogger

if TYPE_CHECKING:
    from plait._engine.bodies.paths import Path
    from plait._engine.native import CancelScope
    from plait._steps.group import Group

    from .entrance import Entrance, SyncScope
    from .parts import RunParts
    from .step import Step
    from .sync import SyncGroup, SyncStep


class _OfRun(Generic[D]):
    """What both contexts have."""

    def __init__(self, parts: RunParts) -> None:
        self._parts = parts
        self._chance = Chance(parts.seed)
        self._logger = RunLogger(parts.logger, parts.run_id, lambda: parts.replaying)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of run {self.run_id!r}>"

    @property
    def event(self) -> Event[D]:
        """What started the run; of a batch, the first event."""
        return self._parts.event

    @property
    def events(self) -> tuple[Event[D], ...]:
        """All events of a batch; else that one."""
        return self._parts.events

    @property
    def run_id(self) -> str:
        """The run."""
        return self._parts.run_id

    @property
    def attempt(self) -> int:
        """The attempt, from 0: in a handler that of its call, elsewhere that of the function."""
        step = current_step.get(None)
        return self._parts.attempt if step is None else step.attempt

    @property
    def replaying(self) -> bool:
        """Does the function go again over what is remembered?

        Then calls return what they returned before. Outside of logs there is hardly a use for it: a
        function that does something else then does not fit its journal.
        """
        return self._parts.replaying

    @property
    def logger(self) -> RunLogger:
        """The app's logger, silent while `replaying`."""
        return self._logger

    @property
    def random(self) -> Random:
        """Chance that is the same after a recovery. Each task has its own, and each handler.

        Raises:
            UntrackedTaskError: The caller is not a task of this run.
        """
        step = current_step.get(None)
        if step is not None and step.run_id == self.run_id:
            return self._chance.of_handler(step)
        return self._chance.of_task(self._here())

    def uuid(self) -> UUID:
        """Draw a UUID from `random`: the same after a recovery. Not a checkpoint.

        Raises:
            UntrackedTaskError: The caller is not a task of this run.
        """
        return uuid_of(self.random)

    def now(self) -> datetime:
        """Tell the time, in UTC: that of the last outcome handed out. Not a checkpoint.

        Before there is one, when the run was queued. It is the same after a recovery, and stands still
        between two calls.
        """
        moment = self._parts.moment
        return datetime.fromtimestamp(self._parts.began if moment is None else moment, UTC)

    def _here(self) -> Path:
        return self._parts.here()


class Context(_OfRun[D]):
    """What an `async def` function is given.

    Attributes:
        step: Calls that are remembered.
        group: Several at a time.

    Example:
        ```python
        @app.create_function(fn_id="greet", trigger=TriggerEvent("user/new"))
        async def greet(ctx: Context) -> str:
            return await ctx.step.run("greet", make_greeting, ctx.event.data["name"])
        ```
    """

    def __init__(self, parts: RunParts, step: Step, group: Group) -> None:
        super().__init__(parts)
        self.step = step
        self.group = group

    def move_on_after(self, seconds: Duration) -> AbstractContextManager[CancelScope]:
        """Cancel what is inside when its time is over, which goes on from process to process.

        Entering and leaving it are no checkpoints.

        Args:
            seconds: Seconds or a `timedelta`; 0 or less cancels at the next outcome or rest.

        Returns:
            The scope, as the backend has it: its `cancelled_caught` says whether it was cut short.

        Raises:
            TypeError: `seconds` is no duration.
            ValueError: `seconds` is not finite.
            NestedStepError: The caller is inside a handler.
            UntrackedTaskError: The caller is not a task of this run.

        Example:
            ```python
            with ctx.move_on_after(3600) as scope:
                await ctx.step.wait_for_event("paid", event="order/paid", timeout=86400)
            if scope.cancelled_caught:
                ...
            ```
        """
        return self._parts.calls.move_on_after(duration("seconds", seconds))

    def fail_after(self, seconds: Duration) -> AbstractContextManager[CancelScope]:
        """Do as `move_on_after`, and raise `TimeoutError` if the time was over.

        Args:
            seconds: Seconds or a `timedelta`, counted on from process to process.

        Raises:
            TimeoutError: On leaving: the time was over, and what was inside has been cancelled.
            Exception: As `move_on_after` does.
        """
        return self._parts.calls.fail_after(duration("seconds", seconds))

    def patched(self, patch: str) -> bool:
        """Say whether a change of the function holds for this run. Not a checkpoint.

        True if the run was live when it first asked: not going over what is remembered. So runs that
        were under way before the change go on as they began. What is said once is recorded, and is
        said for the rest of the run.

        Args:
            patch: The name of the change.

        Raises:
            TypeError: `patch` is no text.
            ValueError: `patch` is empty.
            UntrackedTaskError: The caller is not a task of this run.

        Example:
            ```python
            if ctx.patched("v2-mail"):
                await ctx.step.run("mail", send_html, address)
            else:
                await ctx.step.run("mail", send_text, address)
            ```
        """
        return self._parts.calls.patched(text("patch", patch, 'ctx.patched("what-has-changed")'))


class SyncContext(_OfRun[D]):
    """What a `def` function is given: as `Context`, without `await`. It runs in a worker thread.

    Its calls are made from the thread in which the function runs, or in a branch's, not from
    threads of your own. A thread cannot be interrupted: a cancellation comes out of its next call.

    Attributes:
        step: Calls that are remembered.
        group: Several at a time, each branch in a thread of its own.

    Example:
        ```python
        @app.create_function(fn_id="greet", trigger=TriggerEvent("user/new"))
        def greet(ctx: SyncContext) -> str:
            return ctx.step.run("greet", make_greeting, ctx.event.data["name"])
        ```
    """

    def __init__(
        self, parts: RunParts, step: SyncStep, group: SyncGroup, entrance: Entrance
    ) -> None:
        super().__init__(parts)
        self.step = step
        self.group = group
        self._entrance = entrance

    def move_on_after(self, seconds: Duration) -> AbstractContextManager[SyncScope]:
        """As `Context.move_on_after`: the call inside that waits then is cancelled, or the next one.

        Args:
            seconds: Seconds or a `timedelta`. What computes meanwhile, and calls nothing, goes on.
        """
        given = duration("seconds", seconds)
        return self._entrance.scope(lambda: self._parts.calls.move_on_after(given))

    def fail_after(self, seconds: Duration) -> AbstractContextManager[SyncScope]:
        """Do as `move_on_after`, and raise `TimeoutError` if the time was over.

        Args:
            seconds: As for `move_on_after`.
        """
        given = duration("seconds", seconds)
        return self._entrance.scope(lambda: self._parts.calls.fail_after(given))

    def patched(self, patch: str) -> bool:
        """As `Context.patched`, without waiting for anything.

        Args:
            patch: The name of the change.
        """
        name = text("patch", patch, 'ctx.patched("what-has-changed")')
        return self._entrance.ask(lambda: self._parts.calls.patched(name))

    def _here(self) -> Path:
        return self._entrance.ask(self._parts.here)


publish("plait.durable", Context, SyncContext)
