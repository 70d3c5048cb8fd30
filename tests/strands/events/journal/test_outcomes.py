"""How a run has ended is on record: it is told again, in this process or in another."""

import sys
import types

import anyio
import pytest

from plait import Context, StartEvent, StopEvent, Timeout, Workflow, step
from plait.errors import (
    UnreconstructedException,
    WorkflowCancelledByUser,
    WorkflowStalledError,
    WorkflowTimeoutError,
)
from plait.events import WorkflowFailedEvent, WorkflowTimedOutEvent
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A, B
from tests.strands.events.journal.lives import Kept, everywhere, outcome_of, stream_of
from tests.strands.events.journal.lives import home as home
from tests.strands.events.journal.lives import wall_clock as wall_clock


class OutOfTeaError(Exception):
    def __init__(self, left, *, shelf):
        super().__init__(f"{left} left on {shelf}")
        self.left, self.shelf = left, shelf


class Fails(Workflow):
    def __init__(self, journal, error=None, **options):
        super().__init__(journal=journal, **options)
        self.error, self.log = error, []

    @step(retry_policy=ConstantDelayRetryPolicy(maximum_attempts=2, delay=0))
    async def only(self, ev: StartEvent) -> StopEvent:
        self.log.append(1)
        raise self.error


async def twice(home, flow_class, *args, **options):
    """What a run comes to, and what its record says it has come to."""
    first = flow_class(home.journal(), *args, **options).run(run_id="r")
    before = await outcome_of(first)
    flow = flow_class(home.journal(), **options)
    again = flow.resume("r")
    after = await outcome_of(again)
    assert flow.log == []
    assert again.state == first.state
    assert await outcome_of(flow_class(home.journal(), **options).run(run_id="r")) is not None
    return (before, first), (after, again)


@everywhere
async def test_a_failure_is_raised_again(home):
    """Of the same class, with the same arguments, attributes, notes and cause."""
    error = OutOfTeaError(2, shelf="B")
    error.__cause__ = KeyError("tea")
    error.add_note("mine")
    (before, _), (after, again) = await twice(home, Fails, error)
    assert before is error
    assert type(after) is OutOfTeaError
    assert after is not error
    assert (str(after), after.left, after.shelf) == ("2 left on B", 2, "B")
    assert after.__notes__ == before.__notes__
    assert "in step 'only' of workflow 'Fails' (run r, delivery 1, attempt 2)" in after.__notes__
    assert repr(after.__cause__) == "KeyError('tea')"
    assert again.state == "failed"
    assert await home.statuses() == {"r": "failed"}
    (event,) = await stream_of(again)
    assert (event.step_name, event.exception, event.attempts) == ("only", after, 2)


@everywhere
async def test_each_raise_is_of_the_same_object(home):
    await outcome_of(Fails(home.journal(), ValueError("x")).run(run_id="r"))
    run = Fails(home.journal()).resume("r")
    first = await outcome_of(run)
    assert await outcome_of(run) is first
    assert first.__notes__ == (await outcome_of(run)).__notes__


@everywhere
async def test_a_class_that_is_not_loaded_any_more(home, monkeypatch):
    """Nothing is imported: its name and its text are all that can be told."""
    module = types.ModuleType("gone")
    exec("class GoneError(Exception): pass", vars(module))
    monkeypatch.setitem(sys.modules, "gone", module)
    await outcome_of(Fails(home.journal(), module.GoneError("text")).run(run_id="r"))
    monkeypatch.delitem(sys.modules, "gone")
    error = await outcome_of(Fails(home.journal()).resume("r"))
    assert type(error) is UnreconstructedException
    assert str(error) == "gone.GoneError: text"
    assert any("in step 'only'" in note for note in error.__notes__)


@everywhere
async def test_a_failure_that_cannot_be_written(home):
    """A failure is recorded whatever it carries: the run has failed, with the text of that."""
    error = ValueError(print, "x")
    error.extra = open
    (before, _), (after, _) = await twice(home, Fails, error)
    assert before is error
    assert isinstance(after, UnreconstructedException | ValueError)
    assert str(before) in str(after)
    assert await home.statuses() == {"r": "failed"}


@everywhere
async def test_several_failures_are_a_group_again(home):
    class W(Workflow):
        def __init__(self, journal):
            super().__init__(journal=journal)
            self.log = []

        @step
        async def start(self, ev: StartEvent) -> list[A]:
            self.log.append(1)
            return [A(n=n) for n in range(3)]

        @step
        async def work(self, ev: A) -> B:
            self.log.append(1)
            if ev.n == 0:
                await anyio.wait_all_tasks_blocked()
                raise ValueError(0)
            try:
                await anyio.sleep_forever()
            finally:
                raise ValueError(ev.n)

        @step
        async def end(self, evs: list[B]) -> StopEvent:
            return StopEvent()

    (before, _), (after, _) = await twice(home, W)
    assert isinstance(after, ExceptionGroup)
    assert str(after) == str(before) == "3 steps of workflow 'W' failed (3 sub-exceptions)"
    assert [error.args for error in after.exceptions] == [error.args for error in before.exceptions]
    assert [error.__notes__ for error in after.exceptions] == [
        error.__notes__ for error in before.exceptions
    ]


@everywhere
async def test_a_stall_tells_its_story_again(home):
    class W(Workflow):
        def __init__(self, journal):
            super().__init__(journal=journal)
            self.log = []

        @step
        async def only(self, ctx: Context, ev: StartEvent | A) -> A | StopEvent | None:
            self.log.append(1)
            if isinstance(ev, StartEvent):
                return A()
            ctx.collect_events(ev, [A] * 3)
            return None

    (before, first), (after, again) = await twice(home, W)
    assert type(after) is WorkflowStalledError
    assert str(after) == str(before)
    assert "collect_events(buffer 'default') has A 1/3" in str(after)
    assert after.waiting == before.waiting
    assert again.explain() == first.explain()
    assert [type(event) for event in await stream_of(again)] == [WorkflowFailedEvent]
    assert await home.statuses() == {"r": "failed"}


class Slow(Workflow):
    def __init__(self, journal, **options):
        super().__init__(journal=journal, **options)
        self.log = []

    @step
    async def only(self, ev: StartEvent) -> StopEvent:
        self.log.append(1)
        await anyio.sleep(1000)
        return StopEvent(result="late")


@in_virtual_time
async def test_a_timeout_tells_its_story_again():
    journal = Kept()
    first = Slow(journal, timeout=5).run(run_id="r")
    before = await outcome_of(first)
    flow = Slow(journal, timeout=5)
    again = flow.resume("r")
    after = await outcome_of(again)
    assert type(after) is WorkflowTimeoutError
    assert str(after) == str(before)
    assert str(after).startswith(
        "Operation timed out after 5 seconds. Currently active steps: only\n"
    )
    assert flow.log == []
    assert (
        await stream_of(again)
        == await stream_of(first)
        == [WorkflowTimedOutEvent(timeout=5, active_steps=["only"])]
    )
    assert anyio.current_time() == 5


@in_virtual_time
@pytest.mark.parametrize("limit", [None, 100, Timeout(7, while_idle=False)])
async def test_a_run_that_timed_out_under_another_timeout(limit):
    """The outcome is on record; what the workflow's timeout is today makes no difference."""
    journal = Kept()
    before = await outcome_of(Slow(journal, timeout=5).run(run_id="r"))
    after = await outcome_of(Slow(journal, timeout=limit).resume("r"))
    assert type(after) is WorkflowTimeoutError
    assert str(after) == str(before)


@everywhere
async def test_a_cancelled_run_with_a_failing_clean_up(home):
    class W(Workflow):
        def __init__(self, journal):
            super().__init__(journal=journal)
            self.log = []

        @step
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            self.log.append(1)
            run.cancel()
            try:
                await anyio.sleep_forever()
            finally:
                raise ValueError("in the clean-up")

    run = W(home.journal()).run(run_id="r")
    before = await outcome_of(run)
    after = await outcome_of(W(home.journal()).resume("r"))
    for error in (before, after):
        assert isinstance(error, ExceptionGroup)
        assert [type(part) for part in error.exceptions] == [WorkflowCancelledByUser, ValueError]
    assert await home.statuses() in ({"r": "cancelled"}, {"r": "failed"})


class Total(StopEvent):
    total: int
    lines: tuple[str, ...]


@everywhere
async def test_a_stop_event_of_ones_own(home):
    class W(Workflow):
        def __init__(self, journal):
            super().__init__(journal=journal)
            self.log = []

        @step
        async def only(self, ev: StartEvent) -> Total:
            self.log.append(1)
            return Total(total=3, lines=("a", "b"))

    (before, first), (after, again) = await twice(home, W)
    assert before == after == Total(total=3, lines=("a", "b"))
    assert again.get_stop_event() == after
    assert await stream_of(again) == await stream_of(first)


@everywhere
async def test_undelivered_events_are_reported_again(home):
    class W(Workflow):
        def __init__(self, journal):
            super().__init__(journal=journal)
            self.log = []

        @step(num_workers=1)
        async def only(self, ctx: Context, ev: StartEvent | A) -> A | StopEvent:
            self.log.append(1)
            ctx.send_event(A(n=1))
            ctx.send_event(A(n=2))
            return StopEvent(result=1)

    (_, first), (_, again) = await twice(home, W)
    assert again.undelivered == first.undelivered == (A(n=1), A(n=2))
