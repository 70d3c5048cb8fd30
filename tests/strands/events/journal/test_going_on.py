"""A run that is known by its name: it goes on, it has ended, it is another one, or it is unknown."""

import gc
from functools import partial

import anyio
import pytest

from plait import Context, Event, StartEvent, StopEvent, Workflow, open_runtime, step
from plait.errors import (
    RunConflictError,
    RunLockedError,
    UnknownRunError,
    WorkflowCancelledByUser,
    WorkflowRuntimeError,
)
from plait.events import WorkflowCancelledEvent
from tests.parity.clocks import in_virtual_time
from tests.parity.letters import A
from tests.strands.events.journal.lives import (
    Kept,
    Moment,
    everywhere,
    live_until,
    outcome_of,
    stream_of,
)
from tests.strands.events.journal.lives import home as home


class Order(StartEvent):
    item: str
    count: int = 1


class Shop(Workflow):
    """Two steps; the second stops at a gate in its first life."""

    def __init__(self, *, log, gate=None, **options):
        super().__init__(**options)
        self.log = log
        self.gate = gate
        self.reached = Moment()

    @step
    async def take(self, ev: Order) -> A:
        self.log.append(("take", ev.item))
        return A(n=ev.count)

    @step
    async def pack(self, ctx: Context, ev: A) -> StopEvent:
        self.log.append(("pack", ctx.idempotency_key))
        self.reached.set()
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.log.append("left")
        return StopEvent(result=ev.n * 10)


@pytest.fixture
def log():
    return []


async def interrupted(home, log, **options):
    """A run "r" that was left in its second step."""
    shop = Shop(log=log, gate=anyio.Event(), journal=home.journal(), **options)
    await live_until(shop.reached, shop.run(run_id="r", item="tea", count=3))
    assert log == [("take", "tea"), ("pack", "r:pack:2"), "left"]
    log.clear()


@everywhere
async def test_a_run_that_was_left_goes_on(home, log):
    """Leaving the scope suspends: what has completed does not run again, the rest has the same key."""
    await interrupted(home, log)
    assert await home.statuses() == {"r": "running"}
    assert (await home.tags("r"))[-2:] == ["delivery.completed", "delivery.started"]
    assert await Shop(log=log, journal=home.journal()).resume("r") == 30
    assert log == [("pack", "r:pack:2"), "left"]
    assert await home.statuses() == {"r": "completed"}


@everywhere
async def test_run_with_a_known_name_goes_on(home, log):
    """`run(run_id=...)` with the same start event is as `resume`."""
    await interrupted(home, log)
    shop = Shop(log=log, journal=home.journal())
    assert await shop.run(run_id="r", item="tea", count=3) == 30
    assert log == [("pack", "r:pack:2"), "left"]


@everywhere
@pytest.mark.parametrize("ended", [False, True])
async def test_another_start_event_is_a_conflict(home, log, ended):
    """The text has both events, and nothing has been done to the run."""
    await interrupted(home, log)
    if ended:
        await Shop(log=log, journal=home.journal()).resume("r")
    entries = await home.entries("r")
    log.clear()
    with pytest.raises(RunConflictError) as caught:
        await Shop(log=log, journal=home.journal()).run(run_id="r", item="tea", count=4)
    assert "Order(item='tea', count=3), not Order(item='tea', count=4)" in str(caught.value)
    assert log == []
    assert await home.entries("r") == entries
    assert await Shop(log=log, journal=home.journal()).resume("r") == 30


@everywhere
async def test_an_ended_run_gives_its_result_again(home, log):
    """No body runs, nothing is written, and the stream is what it was."""
    first = Shop(log=log, journal=home.journal()).run(run_id="r", item="tea")
    assert await first == 10
    entries = await home.entries("r")
    log.clear()
    shop = Shop(log=log, journal=home.journal())
    for make in (shop.resume, partial(shop.run, item="tea")):
        again = make(run_id="r")
        assert await again == 10
        assert (again.state, again.is_done()) == ("completed", True)
        assert again.get_stop_event() == first.get_stop_event() == StopEvent(result=10)
        assert await stream_of(again) == await stream_of(first)
    assert log == []
    assert await home.entries("r") == entries


@everywhere
async def test_an_unknown_run_cannot_be_resumed(home, log):
    """And asking for it leaves nothing behind."""
    shop = Shop(log=log, journal=home.journal())
    run = shop.resume("nobody")
    with pytest.raises(UnknownRunError, match="The journal has no run 'nobody'"):
        await run
    assert run.state == "failed"
    assert await home.statuses() == {}
    assert await shop.run(run_id="nobody", item="tea") == 10


async def test_without_a_journal_there_is_nothing_to_resume(log):
    with pytest.raises(WorkflowRuntimeError, match="has no journal, so there is nothing to resume"):
        Shop(log=log).resume("r")


async def test_the_name_must_be_one(log):
    with pytest.raises(WorkflowRuntimeError, match="run_id must match"):
        Shop(log=log, journal=Kept()).resume("a/b")


@everywhere
async def test_a_run_without_a_name_is_kept_as_well(home, log):
    run = Shop(log=log, journal=home.journal()).run(item="tea")
    assert await run == 10
    assert await home.statuses() == {run.run_id: "completed"}
    log.clear()
    assert await Shop(log=log, journal=home.journal()).resume(run.run_id) == 10
    assert log == []


@everywhere
async def test_cancelled_by_its_user_is_final(home, log):
    """`run.cancel()` is an end: `resume` gives it again, and so does `run`."""
    shop = Shop(log=log, gate=anyio.Event(), journal=home.journal())
    async with shop.run(run_id="r", item="tea") as run:
        await shop.reached.wait()
        run.cancel()
    assert run.state == "cancelled"
    assert await home.statuses() == {"r": "cancelled"}
    log.clear()
    shop = Shop(log=log, journal=home.journal())
    for make in (shop.resume, partial(shop.run, item="tea")):
        again = make(run_id="r")
        with pytest.raises(
            WorkflowCancelledByUser, match=r"Run r of workflow 'Shop' was cancelled\."
        ):
            await again
        assert again.state == "cancelled"
        assert [type(event) for event in await stream_of(again)] == [WorkflowCancelledEvent]
    assert log == []


@everywhere
async def test_a_suspended_run_can_be_cancelled_later(home, log):
    await interrupted(home, log)
    shop = Shop(log=log, gate=anyio.Event(), journal=home.journal())
    async with shop.resume("r") as run:
        await shop.reached.wait()
        await run.cancel_run()
    assert await home.statuses() == {"r": "cancelled"}


@everywhere
async def test_cancelled_before_it_began(home, log):
    """What was asked for before the start is done when the run has been read."""
    await interrupted(home, log)
    run = Shop(log=log, journal=home.journal()).resume("r")
    run.cancel()
    with pytest.raises(WorkflowCancelledByUser):
        await run
    assert log == []
    assert await home.statuses() == {"r": "cancelled"}


@everywhere
async def test_a_deadline_around_it_suspends(home, log):
    """A scope that the run does not own is its owner's, also if a deadline ended it."""
    shop = Shop(log=log, gate=anyio.Event(), journal=home.journal())
    run = shop.run(run_id="r", item="tea")
    with anyio.CancelScope() as scope:
        async with run:
            await shop.reached.wait()
            scope.deadline = anyio.current_time()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert await home.statuses() == {"r": "running"}
    assert await Shop(log=log, journal=home.journal()).resume("r") == 10


@everywhere
async def test_an_error_in_the_body_of_the_block_suspends(home, log):
    shop = Shop(log=log, gate=anyio.Event(), journal=home.journal())
    with pytest.raises(ZeroDivisionError):
        async with shop.run(run_id="r", item="tea"):
            await shop.reached.wait()
            raise ZeroDivisionError
    assert log[-1] == "left"
    assert await home.statuses() == {"r": "running"}
    assert await Shop(log=log, journal=home.journal()).resume("r") == 10


@everywhere
async def test_other_awaiters_of_a_suspended_run(home, log):
    """They are told as if it were cancelled: for this process it is over."""
    shop = Shop(log=log, gate=anyio.Event(), journal=home.journal())
    run = shop.run(run_id="r", item="tea")
    told = []
    async with anyio.create_task_group() as tasks:
        owner = anyio.CancelScope()

        async def own():
            with owner:
                await run

        async def listen():
            told.append(await outcome_of(run))

        tasks.start_soon(own)
        await shop.reached.wait()
        tasks.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        owner.cancel()
    assert [type(error) for error in told] == [WorkflowCancelledByUser]
    assert await Shop(log=log, journal=home.journal()).resume("r") == 10


@everywhere
async def test_in_a_nursery(home, log):
    await interrupted(home, log)
    async with anyio.create_task_group() as tasks:
        run = Shop(log=log, journal=home.journal()).resume("r").start_soon(tasks)
        assert await run.result() == 30


@everywhere
async def test_in_a_block(home, log):
    await interrupted(home, log)
    async with Shop(log=log, journal=home.journal()).resume("r") as run:
        assert await run.result() == 30


@everywhere
async def test_in_a_runtime(home, log):
    await interrupted(home, log)
    async with open_runtime():
        assert await Shop(log=log, journal=home.journal()).resume("r") == 30
        handler = Shop(log=log, journal=home.journal()).run(run_id="s", item="tea")
        assert await handler == 10


@everywhere
async def test_a_runtime_that_is_left_suspends(home, log):
    shop = Shop(log=log, gate=anyio.Event(), journal=home.journal())
    with pytest.raises(ZeroDivisionError):
        async with open_runtime():
            shop.run(run_id="r", item="tea")
            await shop.reached.wait()
            raise ZeroDivisionError
    assert await home.statuses() == {"r": "running"}
    assert await Shop(log=log, journal=home.journal()).resume("r") == 10


@everywhere
async def test_two_at_once_under_one_name(home, log):
    """The second is refused and the first goes on, whatever object asks."""
    journal = home.journal()
    gate = anyio.Event()
    shop = Shop(log=log, gate=gate, journal=journal)
    other = Shop(log=log, journal=journal)
    async with shop.run(run_id="r", item="tea") as run:
        await shop.reached.wait()
        with pytest.raises(WorkflowRuntimeError, match="'r' already exists"):
            shop.resume("r")
        for make in (other.resume, partial(other.run, item="tea")):
            with pytest.raises(RunLockedError, match="Run 'r' is under way in this process"):
                await make(run_id="r")
        gate.set()
        assert await run.result() == 10
    assert await other.resume("r") == 10


@everywhere
async def test_several_workflows_share_a_journal(home, log):
    """Each has its own runs in it, and it is closed when the last of them has ended."""
    journal = home.journal()
    results = {}

    async def one(name):
        shop = Shop(log=log, journal=journal)
        results[name] = await shop.run(run_id=name, item=name, count=len(results))

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(one, f"r{number}")
    assert sorted(results) == [f"r{n}" for n in range(5)]
    assert await home.statuses() == dict.fromkeys(results, "completed")
    for name, result in results.items():
        assert await Shop(log=[], journal=journal).resume(name) == result


@in_virtual_time
async def test_the_journal_is_open_while_a_run_needs_it(log):
    """The first opens it, the last closes it, and the next opens it again."""

    class Watched(Kept):
        async def open(self, backend, *, write=True):
            calls.append("open")
            await super().open(backend, write=write)

        async def aclose(self):
            calls.append("close")
            await super().aclose()

    calls = []
    journal = Watched()
    gate = anyio.Event()
    shop = Shop(log=log, gate=gate, journal=journal)
    async with shop.run(run_id="a", item="tea"):
        await shop.reached.wait()
        await Shop(log=log, journal=journal).run(run_id="b", item="tea")
        assert calls == ["open"]
        gate.set()
    assert calls == ["open", "close"]
    await Shop(log=log, journal=journal).resume("b")
    assert calls == ["open", "close"] * 2


@everywhere
async def test_a_run_that_nobody_began_leaves_nothing(home, log):
    shop = Shop(log=log, journal=home.journal())
    run = shop.run(run_id="r", item="tea")
    with pytest.warns(ResourceWarning, match="was never started"):  # noqa: PT031 - both are needed
        del run
        gc.collect()
    assert await home.statuses() == {}


@everywhere
async def test_a_run_that_is_given_up_before_it_is_hosted(home, log):
    """Entered in a scope that has been cancelled, it has not begun, or can be gone on with."""
    shop = Shop(log=log, journal=home.journal())
    with anyio.CancelScope() as scope:
        scope.cancel()
        await shop.run(run_id="r", item="tea")
    assert scope.cancelled_caught
    assert log == []
    assert await home.statuses() in ({}, {"r": "running"})
    assert await Shop(log=log, journal=home.journal()).run(run_id="r", item="tea") == 10
    assert len(log) == 3


@everywhere
async def test_a_resume_that_is_given_up_changes_nothing(home, log):
    await interrupted(home, log)
    entries = await home.entries("r")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await Shop(log=log, journal=home.journal()).resume("r")
    assert log == []
    assert await home.entries("r") == entries
    assert await Shop(log=log, journal=home.journal()).resume("r") == 30


@everywhere
async def test_a_path_is_a_journal(home, log, tmp_path):
    """`journal=` takes a path, and another object of the class finds the run there."""
    path = tmp_path / "shop.db"
    shop = Shop(log=log, gate=anyio.Event(), journal=path)
    await live_until(shop.reached, shop.run(run_id="r", item="tea"))
    assert await Shop(log=log, journal=str(path)).resume("r") == 10


@everywhere
async def test_a_run_of_another_workflow(home, log):
    """A name that another workflow's run has is refused, and that run is as it was."""

    class Other(Workflow):
        @step
        async def only(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result="other")

    await interrupted(home, log)
    entries = await home.entries("r")
    other = Other(journal=home.journal())
    for make in (other.resume, other.run):
        with pytest.raises(RunConflictError) as caught:
            await make(run_id="r")
        assert "Shop" in str(caught.value)
        assert "Other" in str(caught.value)
    assert await home.entries("r") == entries
    assert await Shop(log=log, journal=home.journal()).resume("r") == 30


@everywhere
async def test_what_the_steps_do_may_change_between_two_lives(home, log):
    """A step more, and another body: the queue of the run is as it was."""

    class NewShop(Shop):
        @step
        async def pack(self, ev: A) -> Wrapped:
            log.append("new pack")
            return Wrapped(n=ev.n)

        @step
        async def wrap(self, ev: Wrapped) -> StopEvent:
            return StopEvent(result=-ev.n)

    await interrupted(home, log)
    new = NewShop(log=log, journal=home.journal(), workflow_name=Shop(log=log).workflow_name)
    assert await new.resume("r") == -3
    assert log == ["new pack"]


class Wrapped(Event):
    n: int


@everywhere
async def test_limited_runs(home, log):
    """`num_concurrent_runs` holds for runs that go on as well."""

    class Few(Workflow):
        def __init__(self):
            super().__init__(journal=home.journal(), num_concurrent_runs=2)
            self.live, self.most = 0, 0
            self.two = Moment()

        @step
        async def only(self, ctx: Context, ev: StartEvent) -> StopEvent:
            self.live += 1
            self.most = max(self.most, self.live)
            if self.live == 2:
                self.two.set()
            try:
                await self.two.wait()
                await gate.wait()
            finally:
                self.live -= 1
            return StopEvent(result=ctx.run_id)

    async def own(run):
        results.append(await run)

    names, results, gate = [f"r{n}" for n in range(4)], [], anyio.Event()
    few = Few()
    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(own, few.run(run_id=name))
        await few.two.wait()
        tasks.cancel_scope.cancel()
    assert (few.most, results) == (2, [])
    few = Few()
    gate.set()
    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(own, few.run(run_id=name))
    assert sorted(results) == names
    assert few.most == 2
