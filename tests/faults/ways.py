"""Ways to cancel a scenario at the n-th step of Trio's scheduler, and what is true afterwards."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import attrs
import trio

from plait.errors import WorkflowCancelledByUser, WorkflowTimeoutError
from plait.testing import task_tree
from tests.engine.harness import Cutter, Made
from tests.faults.account import Book, check_that_all_is_told
from tests.faults.owners import Owner
from tests.faults.scenarios.scenario import Scenario
from tests.leaks import Belongings

#: Longer than any scenario, in virtual seconds.
LONG = 1_000_000


class Bang(Exception):  # noqa: N818 - it is one
    """What somebody else has failed with."""


@contextmanager
def only(*kinds: type[BaseException]) -> Iterator[None]:
    """Let these pass, also inside of groups, and nothing else."""
    try:
        yield
    except kinds:
        pass
    except BaseExceptionGroup as group:
        if (rest := group.split(kinds)[1]) is not None:
            raise rest from None


class Timer(Cutter):
    """Takes the time of each step as well."""

    def __init__(self):
        super().__init__()
        self.times = []

    def before_task_step(self, task):
        self.times.append(trio.current_time())
        super().before_task_step(task)


@attrs.define(eq=False)
class Attempt:
    """One scenario, to be cancelled once or twice."""

    scenario: Scenario
    owner: Owner
    cutter: Cutter = attrs.field(factory=Cutter)
    #: What the runs gave, if they were let.
    results: list[object] | None = None

    async def act(self, use=None) -> None:
        """Do what the user does."""
        with only(*self.scenario.fails):
            self.results = await self.owner(self.scenario, use or self.scenario.use)

    def cancel_runs(self) -> None:
        """Cancel what there is."""
        for run in self.scenario.runs:
            run.cancel()


async def undisturbed(attempt: Attempt) -> None:
    with attempt.cutter:
        await attempt.act()


async def scope(attempt: Attempt, at: int) -> None:
    """Cancel the scope around it."""
    around = trio.CancelScope()
    attempt.cutter.cuts = {at: around.cancel}
    with attempt.cutter, around:
        await attempt.act()


async def deadline(attempt: Attempt, at: int) -> None:
    """Let the deadline of the scope around it come."""
    around = trio.CancelScope()

    def comes() -> None:
        around.deadline = trio.current_time()

    attempt.cutter.cuts = {at: comes}
    with attempt.cutter, around:
        await attempt.act()


async def run(attempt: Attempt, at: int) -> None:
    """Cancel the runs."""
    attempt.cutter.cuts = {at: attempt.cancel_runs}
    with attempt.cutter, only(WorkflowCancelledByUser):
        await attempt.act()


async def timeout(attempt: Attempt, at: int) -> None:
    """Let the runs' own timeout pass, and whatever else is due, by a jump of the clock."""
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, trio.testing.MockClock)
    attempt.scenario.flow._timeout = LONG
    attempt.cutter.cuts = {at: partial(clock.jump, LONG)}
    with attempt.cutter, only(WorkflowTimeoutError):
        await attempt.act()
    attempt.scenario.flow._timeout = None


async def sibling(attempt: Attempt, at: int) -> None:
    """Have the user fail beside the runs, inside of whatever owns them."""
    bang, done = trio.Event(), False

    async def to_the_end(runs) -> list[object]:
        nonlocal done
        results = await attempt.scenario.use(runs)
        done = True
        bang.set()
        return results

    async def use(runs) -> list[object] | None:
        results = None

        async def keep() -> None:
            nonlocal results
            results = await to_the_end(runs)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep)
            await bang.wait()
            if not done:
                raise Bang
        return results

    attempt.cutter.cuts = {at: bang.set}
    with attempt.cutter, only(Bang):
        await attempt.act(use)


async def closing(attempt: Attempt, at: int) -> None:
    """Cancel the runtime."""
    attempt.cutter.cuts = {at: lambda: attempt.scenario.runtime.cancel()}  # noqa: PLW0108 - later
    with attempt.cutter, only(WorkflowCancelledByUser):
        await attempt.act()


async def interrupt(attempt: Attempt, at: int) -> None:
    """Press Ctrl-C: Trio raises it in the main task, which is the one that acts."""
    attempt.cutter.cuts = {at: partial(signal.raise_signal, signal.SIGINT)}
    with only(KeyboardInterrupt):
        with attempt.cutter:
            await attempt.act()
        await trio.lowlevel.checkpoint()  # the key was pressed in the last moment


async def timeout_after(attempt: Attempt, seconds: float) -> None:
    """Let the runs' own timeout pass, when nothing else is due."""
    attempt.scenario.flow._timeout = seconds
    with only(WorkflowTimeoutError):
        await attempt.act()
    attempt.scenario.flow._timeout = None


async def run_of(attempt: Attempt, at: int, which: int) -> None:
    """Cancel one run of several."""
    attempt.cutter.cuts = {at: lambda: attempt.scenario.runs[which].cancel()}  # noqa: PLW0108 - later
    with attempt.cutter:
        await attempt.act()


async def scope_of(attempt: Attempt, at: int, which: int) -> None:
    """Cancel the scope around one run of several."""
    attempt.cutter.cuts = {at: lambda: attempt.scenario.scopes[which].cancel()}  # noqa: PLW0108 - later
    with attempt.cutter:
        await attempt.act()


# ---------------------------------------------------------------- twice


async def scope_then_run(attempt: Attempt, at: int, later: int) -> None:
    """Cancel the scope, and the runs while that is being cleaned up."""
    around = trio.CancelScope()
    attempt.cutter.cuts = {at: around.cancel, at + later: attempt.cancel_runs}
    with attempt.cutter, around, only(WorkflowCancelledByUser):
        await attempt.act()


async def run_then_scope(attempt: Attempt, at: int, later: int) -> None:
    """Cancel the runs, and the scope while that is being cleaned up."""
    around = trio.CancelScope()
    attempt.cutter.cuts = {at: attempt.cancel_runs, at + later: around.cancel}
    with attempt.cutter, around, only(WorkflowCancelledByUser):
        await attempt.act()


async def run_then_key(attempt: Attempt, at: int, later: int) -> None:
    """Cancel the runs, and press Ctrl-C while that is being cleaned up."""
    press = partial(signal.raise_signal, signal.SIGINT)
    attempt.cutter.cuts = {at: attempt.cancel_runs, at + later: press}
    with only(KeyboardInterrupt):
        with attempt.cutter, only(WorkflowCancelledByUser):
            await attempt.act()
        await trio.lowlevel.checkpoint()


# ---------------------------------------------------------------- afterwards


@attrs.define(eq=False)
class Aftermath:
    """What must be as it was, and what must be right."""

    made: Made
    books: list[Book]
    tree: str = attrs.field(factory=task_tree)
    belongings: Belongings = attrs.field(factory=Belongings.now)

    def check(self, attempt: Attempt) -> None:
        """Assert that nothing is left, nothing half done, and nothing lost."""
        assert task_tree() == self.tree
        assert self.belongings.left_behind() == []
        attempt.scenario.check()
        self.made.check()
        self.made.limiters.clear()
        self.made.channels.clear()
        for book in self.books:
            book.check()
        check_that_all_is_told(attempt.scenario.witness.raised, self.books)
        self.books.clear()
        if (results := attempt.results) is not None:
            assert results == [attempt.scenario.result] * len(results)


async def disturbed(
    cut: Callable[..., object], make: Callable[[], Scenario], owner: Owner, made, books, at, *args
) -> tuple[list[str], bool]:
    """Cancel a scenario, look what is left, and have the same workflow object run again.

    Returns the states in which the runs ended, and whether they had not ended before that step.
    """
    attempt = Attempt(make(), owner)
    after = Aftermath(made, books)
    await cut(attempt, at, *args)
    after.check(attempt)
    states = [run.state for run in attempt.scenario.runs]
    again = Attempt(attempt.scenario, owner)
    await again.act()
    assert again.results is not None
    assert len(again.results) == attempt.scenario.count
    after.check(again)
    return states, at not in attempt.cutter.cuts
