"""Flow control, in an app that is served: who waits in the queue, and who starts when."""

from __future__ import annotations

from collections import deque
from functools import partial

import anyio
import pytest

from plait._engine import native
from plait._strands._durable.options import Concurrency, Priority, Throttle
from plait.durable import MemoryJournal
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.crashing import nap
from tests.strands.durable.flowing import Flow


def by_user(event):
    return str(event.data.get("user"))


# ---------------------------------------------------------------- concurrency, of steps


@in_virtual_time
async def test_so_many_handlers_at_a_time_first_come_first_served():
    flow = Flow()
    flow.works(seconds=10, concurrency=2)
    async with flow.served():
        await flow.send(1, 2, 3, 4, 5)
    assert sorted(flow.starts) == [(0, 1), (0, 2), (10, 3), (10, 4), (20, 5)]


class OneByOne(MemoryJournal):
    """Says of each append that it is kept when that was said of the one before, passes of the loop ago."""

    def __init__(self):
        super().__init__()
        self.answers = deque()

    def append(self, entries, done):
        super().append(entries, partial(self.later, done))

    def later(self, done, error):
        self.answers.append(partial(done, error))
        if len(self.answers) == 1:
            self.soon = native.current().caller()
            self.soon(partial(self.answer, 5))

    def answer(self, passes):
        if passes:
            self.soon(partial(self.answer, passes - 1))
            return
        self.answers[0]()
        self.answers.popleft()
        if self.answers:
            self.soon(partial(self.answer, 5))


@in_virtual_time
async def test_who_was_queued_first_is_first_however_the_disk_answers():
    flow = Flow(OneByOne())
    flow.works(seconds=10, concurrency=1)
    async with flow.served():
        for k in range(5):
            await flow.send(*range(4 * k, 4 * k + 4))
    assert [said for _, said in flow.starts] == [*range(20)]


@in_virtual_time
async def test_each_key_has_a_limit_of_its_own():
    flow = Flow()
    flow.works(seconds=10, concurrency=Concurrency(1, key=by_user))
    async with flow.served():
        await flow.send(1, 2, user="a")
        await flow.send(3, 4, user="b")
    assert sorted(flow.starts) == [(0, 1), (0, 3), (10, 2), (10, 4)]


@in_virtual_time
async def test_who_sleeps_waits_or_invokes_holds_no_slot():
    flow = Flow()
    child = flow.works("child", seconds=5, on="never")

    async def body(ctx) -> None:
        n = ctx.event.data["n"]
        flow.say("start", n)
        if n == 1:
            await ctx.step.sleep("nap", 100)
        elif n == 2:
            await ctx.step.wait_for_event("wait", event="never", timeout=100)
        elif n == 3:
            await ctx.step.invoke("child", function=child, data={"n": "child"})
        await ctx.step.run("work", flow.work, f"step of {n}", 10)

    flow.declare(body, concurrency=1)
    async with flow.served():
        await flow.send(1, 2, 3, 4)
    steps = [(at, said) for at, said in flow.starts if "step" in str(said)]
    assert steps == [
        (0, "step of 4"),
        (10, "step of 3"),
        (100, "step of 1"),
        (110, "step of 2"),
    ]


@in_virtual_time
async def test_the_slot_is_free_between_two_attempts_and_when_a_handler_fails():
    flow = Flow()

    async def fails() -> None:
        flow.say("start", "fails")
        await nap(1)
        raise ValueError("no")

    async def body(ctx) -> None:
        if ctx.event.data["n"] == 1:
            await ctx.step.run("fails", fails, retry=1)
        else:
            await ctx.step.run("work", flow.work, "other", 0.5)

    flow.declare(body, concurrency=1, retries=0)
    async with flow.served():
        await flow.send(1, 2)
    assert flow.starts[:2] == [(0, "fails"), (1, "other")]
    assert len(flow.starts) == 3
    assert await flow.statuses() == {"failed": 1, "completed": 1}


@in_virtual_time
async def test_a_slot_that_a_branch_waits_for_goes_to_others_when_it_is_cancelled():
    flow = Flow()

    async def body(ctx) -> None:
        if ctx.event.data["n"] == 1:
            with ctx.move_on_after(5):
                await ctx.step.run("work", flow.work, "first", 100)
        elif ctx.event.data["n"] == 2:
            with ctx.move_on_after(3):
                await ctx.step.run("work", flow.work, "never", 1)
        else:
            await ctx.step.run("work", flow.work, "third", 1)

    flow.declare(body, concurrency=1)
    async with flow.served():
        await flow.send(1, 2, 3)
    assert flow.log == [
        (0, "start", "first"),
        (5, "stopped", "first"),
        (5, "start", "third"),
        (6, "end", "third"),
    ]


@in_virtual_time
async def test_functions_may_share_a_limit():
    flow = Flow()
    shared = Concurrency(1, key=by_user, scope="app")
    flow.works("one", seconds=10, concurrency=shared, on="one")
    flow.works("two", seconds=10, concurrency=shared, on="two")
    async with flow.served():
        await flow.send(1, name="one", user="a")
        await flow.send(2, name="two", user="a")
        await flow.send(3, name="two", user="b")
    assert sorted(flow.starts) == [(0, 1), (0, 3), (10, 2)]


@in_virtual_time
async def test_of_several_limits_all_are_needed():
    flow = Flow()
    flow.works(seconds=10, concurrency=[2, Concurrency(1, key=by_user)])
    async with flow.served():
        await flow.send(1, 2, user="a")
        await flow.send(3, 4, user="b")
        await flow.send(5, user="c")
    assert sorted(flow.starts) == [(0, 1), (0, 3), (10, 2), (10, 4), (20, 5)]


# ---------------------------------------------------------------- concurrency, of runs


@in_virtual_time
async def test_so_many_runs_at_a_time_from_start_to_end():
    flow = Flow()

    async def body(ctx) -> None:
        flow.say("start", ctx.event.data["n"])
        await ctx.step.sleep("nap", 10)
        flow.say("end", ctx.event.data["n"])

    flow.declare(body, concurrency=Concurrency(1, of="runs"))
    async with flow.served():
        await flow.send(1, 2, 3)
        await flow.until(5)
        assert await flow.statuses() == {"running": 1, "queued": 2}
    assert flow.log == [
        (at, what, n) for n in (1, 2, 3) for at, what in [(10 * n - 10, "start"), (10 * n, "end")]
    ]


@in_virtual_time
async def test_a_child_needs_no_slot_that_its_parent_holds():
    flow = Flow()
    one = Concurrency(1, key=lambda e: "all", scope="app", of="runs")
    child = flow.works("child", seconds=1, on="never", concurrency=one)

    async def body(ctx) -> None:
        await ctx.step.invoke(
            "child", function=child, data={"n": f"child of {ctx.event.data['n']}"}
        )

    flow.declare(body, concurrency=one)
    async with flow.served():
        await flow.send(1, 2)
    assert flow.starts == [(0, "child of 1"), (1, "child of 2")]


@in_virtual_time
async def test_who_waits_in_the_queue_is_there_after_a_restart():
    flow = Flow()
    flow.works(seconds=10, concurrency=Concurrency(1, of="runs"))
    async with flow.served(drain=False):
        await flow.send(1, 2, 3)
        await flow.until(15)
    assert flow.starts == [(0, 1), (10, 2)]
    flow.make_app()
    await flow.until(100)
    assert await flow.statuses() == {"completed": 1, "running": 1, "queued": 1}
    async with flow.served():
        pass
    assert flow.starts[2:] == [(100, 2), (110, 3)]
    assert await flow.statuses() == {"completed": 3}


# ---------------------------------------------------------------- throttle


@pytest.mark.parametrize(
    ("burst", "starts"), [(1, [0, 5, 10, 15]), (2, [0, 0, 5, 10]), (9, [0, 0, 0, 0])]
)
@in_virtual_time
async def test_starts_are_spread(burst, starts):
    flow = Flow()
    flow.works(throttle=Throttle(2, period=10, burst=burst))
    async with flow.served():
        await flow.send(1, 2, 3, 4)
    assert sorted(flow.starts) == [*zip(starts, [1, 2, 3, 4], strict=True)]


@in_virtual_time
async def test_each_key_is_spread_by_itself():
    flow = Flow()
    flow.works(throttle=Throttle(1, period=10, key=by_user))
    async with flow.served():
        await flow.send(1, 2, user="a")
        await flow.send(3, 4, user="b")
    assert sorted(flow.starts) == [(0, 1), (0, 3), (10, 2), (10, 4)]


@in_virtual_time
async def test_the_throttle_goes_on_after_a_restart():
    flow = Flow()
    flow.works(throttle=Throttle(1, period=10))
    async with flow.served(drain=False):
        await flow.send(1, 2, 3)
        await flow.until(5)
    flow.make_app()
    await flow.until(7)
    async with flow.served():
        pass
    assert flow.starts == [(0, 1), (10, 2), (20, 3)]


@in_virtual_time
async def test_a_restart_late_starts_what_is_overdue_and_spreads_the_rest():
    flow = Flow()
    flow.works(throttle=Throttle(1, period=10))
    async with flow.served(drain=False):
        await flow.send(1, 2, 3)
        await flow.until(5)
    flow.make_app()
    await flow.until(100)
    async with flow.served():
        pass
    assert flow.starts == [(0, 1), (100, 2), (110, 3)]


# ---------------------------------------------------------------- priority


@in_virtual_time
async def test_a_priority_is_seconds_that_a_run_comes_earlier():
    flow = Flow()
    one = Concurrency(1, of="runs")
    flow.works(seconds=50, concurrency=one, priority=Priority(lambda e: e.data.get("before", 0)))
    async with flow.served():
        await flow.send(1)
        await flow.until(1)
        await flow.send(2)
        await flow.until(20)
        await flow.send(3, before=18)
        await flow.send(4, before=20)
        await flow.send(5, before=-600)
        await flow.until(30)
        await flow.send(6)
    assert [said for _, said in flow.starts] == [1, 4, 2, 3, 6, 5]


@in_virtual_time
async def test_steps_go_by_priority_as_well():
    flow = Flow()
    flow.works(seconds=10, concurrency=1, priority=Priority(lambda e: e.data["n"] * 10))
    async with flow.served():
        await flow.send(1, 2, 3)
    assert flow.starts == [(0, 3), (10, 2), (20, 1)]


@pytest.mark.parametrize("stops", [False, True])
@in_virtual_time
async def test_throttle_comes_before_concurrency(stops):
    """A start that waits for a slot does not use up the throttle's leave before it starts."""
    flow = Flow()
    flow.works(seconds=25, throttle=Throttle(1, period=10), concurrency=Concurrency(1, of="runs"))
    async with flow.served(drain=not stops):
        await flow.send(1, 2, 3)
        await flow.until(26)
    if stops:
        flow.make_app()
        async with flow.served():
            pass
        assert flow.starts == [(0, 1), (25, 2), (26, 2), (51, 3)]
    else:
        assert flow.starts == [(0, 1), (25, 2), (50, 3)]


@in_virtual_time
async def test_draining_waits_for_the_queue():
    flow = Flow()
    flow.works(seconds=1, throttle=Throttle(1, period=3600))
    async with flow.served() as worker:
        await flow.send(1, 2, 3)
        with anyio.fail_after(3 * 3600):
            await worker.drain()
        assert flow.now == 7201
