"""Flow control, in an app that is served: what cancels runs, and how long they may take."""

from __future__ import annotations

import anyio
import pytest

from plait._strands._durable.event import Event
from plait._strands._durable.options import Batch, Cancel, Concurrency, Debounce, Timeouts
from plait.errors import NobodyAccepts, RunCancelledError
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.flowing import Flow


def same_user(trigger, event):
    return trigger.data["user"] == event.data["user"]


# ---------------------------------------------------------------- cancel


@in_virtual_time
async def test_an_event_cancels_inside_a_step():
    flow = Flow()
    flow.works(seconds=100, cancel=Cancel("stop", if_exp=same_user))
    async with flow.served():
        await flow.send(1, user="a")
        await flow.send(2, user="b")
        await flow.until(10)
        await flow.send("x", name="stop", user="a")
    assert flow.of("stopped") == [(10, 1)]
    assert flow.of("end") == [(100, 2)]
    assert await flow.statuses() == {"cancelled": 1, "completed": 1}
    [cancelled] = await flow.app.runs(status="cancelled")
    assert cancelled.fn_id == "shop-fn"


@in_virtual_time
async def test_runs_in_the_queue_never_start():
    flow = Flow()
    flow.works(seconds=10, concurrency=Concurrency(1, of="runs"), cancel=Cancel("stop"))
    async with flow.served():
        await flow.send(1, 2, 3)
        await flow.until(5)
        await flow.send("x", name="stop")
        await flow.send(4)
    assert flow.log == [(0, "start", 1), (5, "stopped", 1), (5, "start", 4), (15, "end", 4)]
    assert await flow.statuses() == {"cancelled": 3, "completed": 1}


@in_virtual_time
async def test_only_for_so_long_after_queueing():
    flow = Flow()
    flow.works(seconds=100, cancel=Cancel("stop", timeout=10))
    async with flow.served():
        await flow.send(1)
        await flow.until(5)
        await flow.send(2)
        await flow.until(12)
        await flow.send("x", name="stop")
    assert flow.of("stopped") == [(12, 2)]
    assert flow.of("end") == [(100, 1)]


@in_virtual_time
async def test_a_run_that_sleeps_or_waits_is_cancelled():
    flow = Flow()

    async def body(ctx) -> None:
        try:
            if ctx.event.data["n"] == 1:
                await ctx.step.sleep("nap", 1000)
            else:
                await ctx.step.wait_for_event("wait", event="never", timeout=1000)
        finally:
            flow.say("clean", ctx.event.data["n"])

    flow.declare(body, cancel=Cancel("stop"))
    async with flow.served():
        await flow.send(1, 2)
        await flow.until(10)
        await flow.send("x", name="stop")
    assert sorted(flow.log) == [(10, "clean", 1), (10, "clean", 2)]
    assert await flow.statuses() == {"cancelled": 2}


@in_virtual_time
async def test_a_cancellation_while_nobody_serves_ends_the_run_when_somebody_does():
    flow = Flow()

    async def body(ctx) -> None:
        try:
            await ctx.step.run("work", flow.work, ctx.event.data["n"], 100)
        finally:
            flow.say("clean", ctx.event.data["n"])

    flow.declare(body, cancel=Cancel("stop"))
    async with flow.served(drain=False):
        await flow.send(1)
        await flow.until(5)
    flow.make_app()
    await flow.send("x", name="stop")
    await flow.until(10)
    async with flow.served():
        pass
    assert (105, "end", 1) not in flow.log
    assert flow.now < 20
    assert await flow.statuses() == {"cancelled": 1}


@in_virtual_time
async def test_children_are_cancelled_with_their_parent():
    flow = Flow()
    child = flow.works("child", seconds=100, on="never")

    async def body(ctx) -> None:
        await ctx.step.invoke("child", function=child, data={"n": "child"})

    flow.declare(body, cancel=Cancel("stop"))
    child = flow.made["child"]
    async with flow.served():
        await flow.send("parent")
        await flow.until(10)
        await flow.send("x", name="stop")
    assert flow.log == [(0, "start", "child"), (10, "stopped", "child")]
    assert await flow.statuses() == {"cancelled": 2}


@in_virtual_time
async def test_a_predicate_that_raises_reaches_the_sender_and_cancels_nobody():
    flow = Flow()

    def broken(trigger, event):
        raise LookupError("no idea")

    flow.works(seconds=10, cancel=Cancel("stop", if_exp=broken))
    async with flow.served():
        await flow.send(1)
        await flow.until(5)
        with pytest.raises(LookupError, match="no idea"):
            await flow.send("x", name="stop")
    assert flow.of("end") == [(10, 1)]
    assert await flow.skipped() == [("cancel", "")]


@in_virtual_time
async def test_what_nobody_can_ever_accept_is_refused():
    flow = Flow()
    flow.works(cancel=Cancel("stop"))
    async with flow.served():
        with pytest.raises(NobodyAccepts, match="nothing"):
            await flow.send(1, name="nothing")
        await flow.send(1, name="stop")
    assert not flow.log


# ---------------------------------------------------------------- timeouts


@in_virtual_time
async def test_a_run_that_is_too_long_in_the_queue_is_cancelled():
    flow = Flow()
    flow.works(seconds=10, concurrency=Concurrency(1, of="runs"), timeouts=Timeouts(start=15))
    async with flow.served():
        await flow.send(1, 2, 3)
        await flow.until(15.5)
        assert await flow.statuses() == {"completed": 1, "running": 1, "cancelled": 1}
    assert flow.of("end") == [(10, 1), (20, 2)]


@in_virtual_time
async def test_a_run_that_takes_too_long_is_cancelled_inside_its_step():
    flow = Flow()
    flow.works(seconds=10, timeouts=Timeouts(finish=7))
    async with flow.served():
        await flow.send(1)
    assert flow.log == [(0, "start", 1), (7, "stopped", 1)]
    assert await flow.statuses() == {"cancelled": 1}


@in_virtual_time
async def test_the_time_of_a_run_goes_on_over_restarts():
    flow = Flow()
    flow.works(seconds=10, timeouts=Timeouts(finish=7))
    async with flow.served(drain=False):
        await flow.send(1)
        await flow.until(3)
    flow.make_app()
    await flow.until(4)
    async with flow.served():
        pass
    assert flow.log[2:] == [(4, "start", 1), (7, "stopped", 1)]
    assert await flow.statuses() == {"cancelled": 1}


@in_virtual_time
async def test_the_time_in_the_queue_does_not_count_as_time_of_the_run():
    flow = Flow()
    flow.works(seconds=6, concurrency=Concurrency(1, of="runs"), timeouts=Timeouts(finish=7))
    async with flow.served():
        await flow.send(1, 2, 3)
    assert [said for _, said in flow.of("end")] == [1, 2, 3]


@in_virtual_time
async def test_who_invoked_is_told_of_a_timeout():
    flow = Flow()
    flow.works(seconds=10, timeouts=Timeouts(finish=7))
    async with flow.served():
        with pytest.raises(RunCancelledError, match="7 s have passed"):
            await flow.app.invoke(flow.made["fn"], {"n": 1})
        assert flow.now == 7


@in_virtual_time
async def test_who_invoked_is_told_that_it_never_started():
    flow = Flow()
    flow.works(seconds=10, concurrency=Concurrency(1, of="runs"), timeouts=Timeouts(start=3))
    async with flow.served():
        await flow.send(1)
        await flow.until(1)
        with pytest.raises(RunCancelledError, match="3 s in the queue"):
            await flow.app.invoke(flow.made["fn"], {"n": 2})
        assert flow.now == 4
    assert flow.of("start") == [(0, 1)]


# ---------------------------------------------------------------- what is not in the queue yet


@pytest.mark.parametrize(
    "options", [{"debounce": Debounce(10)}, {"batch_events": Batch(2, timeout=10)}], ids=str
)
@in_virtual_time
async def test_draining_waits_for_what_waits_for_company(options):
    flow = Flow()
    flow.works(**options)
    async with flow.served() as worker:
        await flow.send(1)
        with anyio.fail_after(100):
            await worker.drain()
        assert flow.now == 10
    assert flow.starts == [(10, 1)]


# ---------------------------------------------------------------- waits, in an app


@in_virtual_time
async def test_a_wait_gets_an_event_whoever_sends_it():
    flow = Flow()

    async def body(ctx) -> None:
        event = await ctx.step.wait_for_event("paid", event="paid", timeout=100)
        flow.say("got", event and (event.data["n"], bool(event.id), event.ts > 0))
        event = await ctx.step.wait_for_event("paid", event="paid", timeout=10)
        flow.say("got", event)

    async def sends(ctx) -> None:
        await ctx.step.send_event("send", Event(name="paid", data={"n": 7}))

    flow.declare(body)
    flow.declare(sends, "sends", on="go")
    async with flow.served():
        await flow.send(1)
        await flow.until(5)
        await flow.send(1, name="go")
    assert flow.log == [(5, "got", (7, True, True)), (15, "got", None)]


@pytest.mark.parametrize("restart", [False, True])
@in_virtual_time
async def test_an_event_that_came_before_the_wait_is_for_a_buffered_one(restart):
    flow = Flow()

    async def body(ctx) -> None:
        await ctx.step.sleep("nap", 10)
        plain = await ctx.step.wait_for_event("plain", event="msg", timeout=1)
        first = await ctx.step.wait_for_event("one", event="msg", timeout=5, buffer=True)
        second = await ctx.step.wait_for_event("two", event="msg", timeout=5, buffer=True)
        third = await ctx.step.wait_for_event("three", event="msg", timeout=5, buffer=True)
        flow.say("got", [e and e.data["n"] for e in (plain, first, second, third)])

    flow.declare(body)
    async with flow.served(drain=False):
        await flow.send("begin")
        await flow.until(3)
        await flow.send(1, name="msg")
        await flow.send(2, name="msg")
        await flow.until(8)
        if not restart:
            await flow.until(30)
    if restart:
        flow.make_app()
        async with flow.served():
            pass
    [(at, got)] = flow.of("got")
    assert got == [None, 1, 2, None]
    assert at == 16


@in_virtual_time
async def test_an_event_that_came_while_nobody_served_is_not_lost():
    flow = Flow()

    async def body(ctx) -> None:
        event = await ctx.step.wait_for_event("w", event="msg", timeout=50)
        flow.say("got", event and event.data["n"])

    flow.declare(body)
    async with flow.served(drain=False):
        await flow.send("begin")
        await flow.until(3)
    flow.make_app()
    await flow.send(1, name="msg")
    await flow.until(100)
    flow.make_app()
    async with flow.served():
        pass
    assert flow.log == [(100, "got", 1)], "it came in time"


@in_virtual_time
async def test_a_predicate_that_raises_fails_the_call():
    flow = Flow()

    async def body(ctx) -> None:
        await ctx.step.wait_for_event("w", event="msg", timeout=50, if_exp=lambda e: e.data["none"])

    flow.declare(body, retries=0)
    async with flow.served():
        await flow.send("begin")
        await flow.until(3)
        await flow.send(1, name="msg")
    [run] = await flow.app.runs()
    assert (run.status, run.error.name) == ("failed", "KeyError")
