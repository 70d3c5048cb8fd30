"""One run of a workflow that is checked: on a virtual clock, perhaps cancelled at one step, and judged."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar, cast

import attrs
import trio

from plait._ids import RunId
from plait._kernel import records
from plait._show import show
from plait._strands._events.run import Run

from ._cut_short import INSTALLED
from ._laws import broken
from ._order import name_of
from ._story import Story
from ._tree import task_tree
from ._watch import Watch

R = TypeVar("R")

#: Steps of the scheduler after which a run is taken to go round and round.
MOST_STEPS: Final = 200_000
#: A run that nobody has given a name.
UNNAMED: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Where no result is known yet.
UNKNOWN: Final = object()


class Violation(Exception):  # noqa: N818 - of a promise; it never leaves `check_workflow`
    """A promise was broken. `title` says which, in the same words whenever it is the same one."""

    def __init__(self, title: str, text: str, story: Story, cause: Exception | None = None) -> None:
        super().__init__(title)
        self.title: str = title
        self.text: str = text
        self.story: Story = story
        self.cause: Exception | None = cause
        #: The turns of its run that were out of order.
        self.turns: list[str] = []


@attrs.define
class Case(Generic[R]):
    """What is checked, and what it is held to."""

    make: Callable[[], Run[R]]
    drive: Callable[[Run[R]], Awaitable[object]] | None
    check_result: Callable[[R], object] | None
    check_after: Callable[[], object] | None
    allow_unfinished: bool
    timeout: float
    #: What it gives in the plain order.
    expected: object = UNKNOWN
    driver_raised: Exception | None = None

    def new_run(self) -> Run[R]:
        """Make the next run, and see that it is one."""
        run = cast("object", self.make())
        if inspect.iscoroutine(run):
            run.close()
            raise TypeError(
                "check_workflow() takes a plain function that makes a run, not an async one.\n"
                "  right:  check_workflow(lambda: Flow().run())\n"
                "What shall happen while the run goes on belongs into drive=..."
            )
        if not isinstance(run, Run):
            raise TypeError(
                "check_workflow() takes a function that makes a run. It made "
                f"{show(run, 80)}.\n  right:  check_workflow(lambda: Flow().run())"
            )
        made = cast("Run[R]", run)
        if made.state != "created":
            raise TypeError(
                f"check_workflow() takes a function that makes a new run each time. It made {made!r}."
            )
        shell = made._shell
        if UNNAMED.fullmatch(shell.run_id):
            # What comes of the name, as a policy's jitter, shall be the same each time.
            shell.run_id = shell.state.run_id = RunId("check_workflow")
        return made

    async def perform(self, run: Run[R]) -> R:
        """Run to the end, and do meanwhile what is to be done from outside."""
        if self.drive is None:
            return await run
        async with run, trio.open_nursery() as nursery:
            nursery.start_soon(self._drive, run)
            result = await run.result()
            nursery.cancel_scope.cancel()
        return result

    async def _drive(self, run: Run[R]) -> None:
        assert self.drive is not None
        try:
            await self.drive(run)
        except Exception as error:
            self.driver_raised = error
            raise


class Overseer(trio.abc.Instrument):
    """Counts the steps of a run's tasks, cancels it at one of them, ends it when it takes too long.

    `scope` owns the run. Around it is another, whose deadline wakes nobody: it is there for the
    clock, which jumps to it when nothing else is due. Then the clean-up has taken too long as well.
    """

    def __init__(self, run: Run[Any], watch: Watch, *, timeout: float, cut: int | None) -> None:
        now = trio.current_time()
        self.scope = trio.CancelScope(deadline=now + timeout)
        self._last = trio.CancelScope(deadline=now + 2 * timeout)
        self.steps = 0
        self.cut_at: float | None = None
        #: How it stood when it had taken too long, and who was cleaning up when that had as well.
        self.expired: str | None = None
        self.stuck: str | None = None
        self._run = run
        self._watch = watch
        self._timeout = timeout
        self._cut = cut
        self._most_steps = MOST_STEPS
        self._paused = False

    def __enter__(self) -> Self:
        self._task = trio.lowlevel.current_task()
        self._last.__enter__()
        trio.lowlevel.add_instrument(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        trio.lowlevel.remove_instrument(self)
        return self._last.__exit__(kind, error, traceback)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - any task
        """Count, and do what is due before this step."""
        self.steps += 1
        if self.steps == self._cut:
            self.cut_at = trio.current_time()
            self._cancel()
        elif self.scope.cancel_called and self.cut_at is None and self.expired is None:
            self._expire(f"{self._timeout:g} virtual seconds")
        elif self.steps > self._most_steps:
            self._expire(f"{MOST_STEPS:,} steps of the scheduler, at {trio.current_time():g} s")

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - of this turn
        """See what time it is. While a thread works that says nothing: no clock waits for it."""
        if self._last.cancel_called:
            self._expire(f"{self._timeout:g} virtual seconds")
        elif self._paused is not self._busy_elsewhere():
            self._paused = not self._paused
            now = math.inf if self._paused else trio.current_time()
            self.scope.deadline = now + self._timeout
            self._last.deadline = now + (2 - self.scope.cancel_called) * self._timeout

    def _busy_elsewhere(self) -> bool:
        default = trio.to_thread.current_default_thread_limiter()
        return self._watch.threads or default.borrowed_tokens > 0

    def _expire(self, after: str) -> None:
        where = [f"{name} waits in {place}" for name, place in waiting_in(self._task)]
        if self.expired is None and self.cut_at is None:
            told = [f"It has not ended after {after}.", self._run.explain(), *where]
            self.expired = "\n".join(told)
        elif self.stuck is None:
            self.stuck = "\n".join([f"Cancelled, it has not ended after {after}.", *where])
            unshield(self._task, self.scope)
        self._cancel()

    def _cancel(self) -> None:
        self._most_steps = self.steps + MOST_STEPS
        now = math.inf if self._paused else trio.current_time()
        self._last.deadline = now + self._timeout
        self.scope.cancel()


def waiting_in(task: trio.lowlevel.Task) -> Iterator[tuple[str, str]]:
    """Say of a task and those below it in which line they wait, if that is a line of the user's."""
    for nursery in task.child_nurseries:
        for child in sorted(nursery.child_tasks, key=name_of):
            yield from waiting_in(child)
            own = [
                (frame, line)
                for frame, line in child.iter_await_frames()
                if not frame.f_code.co_filename.startswith(INSTALLED)
            ]
            if own:
                frame, line = own[-1]
                place = f"{frame.f_code.co_qualname}() at {frame.f_code.co_filename}:{line}"
                yield name_of(child), place


def unshield(task: trio.lowlevel.Task, outermost: trio.CancelScope) -> None:
    """Let a cancellation reach everybody: a clean-up that waits for ever would hang the test.

    Two private names of Trio; tests/testing/test_check_workflow.py says if they change.
    """
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            status = cast("Any", child)._cancel_status
            while status is not None and status._scope is not outermost:
                status._scope.shield = False
                status = status._parent
            unshield(child, outermost)


@attrs.define
class Trial(Generic[R]):
    """Runs a case once; or once up to a cut, and then again to see whether that has done harm."""

    case: Case[R]
    cut: int | None = None
    steps: int = 0
    cut_at: float | None = None

    async def main(self) -> R | None:
        """Raises `Violation`."""
        result = await self._once(self.cut)
        if self.cut is not None and self.cut_at is not None:
            try:
                await self._once(None)
            except Violation as late:
                late.title = f"after a cancelled run, {late.title}"
                raise
        return result

    async def _once(self, cut: int | None) -> R | None:
        before = task_tree()
        run = self.case.new_run()
        story, watch = Story(run), Watch()
        overseer = Overseer(run, watch, timeout=self.case.timeout, cut=cut)
        failure: Exception | None = None
        result: R | None = None
        with watch.over(run), overseer:
            try:
                with overseer.scope:
                    result = await self.case.perform(run)
            except Exception as error:  # noqa: BLE001 - it is what a violation tells of
                failure = error
        self.steps = self.steps or overseer.steps
        self.cut_at = self.cut_at if cut is None else overseer.cut_at
        for title, text, cause in self._judge(run, story, watch, overseer, failure, before):
            raise Violation(title, text, story, cause)
        completed = (
            failure is None and run.state == "completed" and not overseer.scope.cancelled_caught
        )
        if completed:
            for title, text, cause in self._judge_result(run, story, cast("R", result)):
                raise Violation(title, text, story, cause)
        cause = _failing(self.case.check_after) if self.case.check_after is not None else None
        if cause is not None:
            raise Violation("check_after() fails", _told(cause), story, cause)
        return result  # noqa: ASYNC910 - `perform` has waited

    def _judge(
        self,
        run: Run[R],
        story: Story,
        watch: Watch,
        overseer: Overseer,
        failure: Exception | None,
        before: str,
    ) -> Iterator[tuple[str, str, Exception | None]]:
        if overseer.stuck is not None:
            yield "a clean-up does not end", overseer.stuck, None
        if overseer.expired is not None:
            yield "the run does not end", overseer.expired, None
        laws = [*broken(story.records, run._shell.plan, watch, run.undelivered)]
        if laws:
            yield "a promise of plait's own is broken. Please report it", "\n".join(laws), None
        if failure is not None and (overseer.cut_at is None or _cleaning_up(failure)):
            failure = _alone(failure)
            who = "drive()" if failure is self.case.driver_raised else "the run"
            when = "fails" if overseer.cut_at is None else "fails when it is cancelled"
            yield f"{who} {when}", _told(failure), failure
        for who, found in watch.cut_short:
            text = f"{who} in {found}\nShield what has to be done: with trio.CancelScope(shield=True): ..."
            yield "a clean-up is cut short", text, None
        if not run.is_done() or watch.running:
            yield "the run is not over when its scope has been left", repr(run), None
        after = task_tree()
        if after != before:
            yield "tasks are left over", after, None
        for limiter in watch.limiters:
            if limiter.borrowed_tokens:
                yield "tokens of a shared limiter are not given back", repr(limiter), None

    def _judge_result(
        self, run: Run[R], story: Story, result: R
    ) -> Iterator[tuple[str, str, Exception | None]]:
        unfinished = [] if self.case.allow_unfinished else [*_unfinished(run, story)]
        if unfinished:
            lines = [
                *unfinished,
                "If that is meant, as when the first answer wins: allow_unfinished=True",
            ]
            yield "the run ends with things unfinished", "\n".join(lines), None
        if self.case.check_result is not None:
            cause = _failing(self.case.check_result, result)
            if cause is not None:
                text = f"of {show(result)}: {_told(cause)}"
                yield "check_result() fails", text, cause
        elif self.case.expected is not UNKNOWN and result != self.case.expected:
            lines = [f"here:               {show(result)}"]
            lines.append(f"in the plain order: {show(self.case.expected)}")
            if type(result).__eq__ is object.__eq__:
                lines.append(f"{type(result).__name__} has no __eq__. Use check_result=...")
            yield "the result is not always the same", "\n".join(lines), None


def _unfinished(run: Run[Any], story: Story) -> Iterator[str]:
    for event in run.undelivered:
        yield f"{show(event)} reached no body, or no whole batch"
    steps = {r.delivery: r.step for r in story.records if isinstance(r, records.Started)}
    decided = False
    for record in story.records:
        decided = decided or isinstance(record, records.Decided)
        if decided and isinstance(record, records.Interrupted):
            yield f"{steps[record.delivery]}#{record.delivery} was cancelled by the stop event"


def _failing(check: Callable[..., object], *args: object) -> Exception | None:
    """Call a check of the user's: the exception, if it raises one or returns `False`."""
    try:
        answer = check(*args)
    except Exception as error:  # noqa: BLE001 - whatever it raises, it fails
        return error
    return AssertionError("it returned False") if answer is False else None


def _cleaning_up(error: BaseException | None) -> bool:
    """Did it fail while it handled a cancellation? Else it would have failed without one as well.

    What a retry would have mended, had there been the time, is no fault.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(map(_cleaning_up, cast("BaseExceptionGroup[BaseException]", error).exceptions))
    while error is not None and not isinstance(error, trio.Cancelled):
        error = error.__context__
    return error is not None


def _alone(error: Exception) -> Exception:
    """Take a failure out of the groups that only it is in."""
    if not isinstance(error, ExceptionGroup):
        return error
    group = cast("ExceptionGroup[Exception]", error)
    return _alone(group.exceptions[0]) if len(group.exceptions) == 1 else group


def _told(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return "\n".join([text, *getattr(error, "__notes__", ())])
