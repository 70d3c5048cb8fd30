"""Flow control, in an app that is served: what is dropped, replaced, held together or alone."""

from __future__ import annotations

import anyio
import pytest

from plait._engine import native
from plait._engine.wall import timers_of
from plait._strands._durable.event import Event
from plait._strands._durable.options import Batch, Debounce, RateLimit, Singleton
from plait._strands._durable.triggers import TriggerEvent
from plait.errors import RunSkippedError
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.crashing import nap
from tests.strands.durable.flowing import Flow

DAY = 86_400


def by_user(event):
    return str(event.data.get("user"))


# ---------------------------------------------------------------- ids, triggers, expressions


@in_virtual_time
async def test_an_id_counts_once_within_a_day_over_restarts():
    flow = Flow()
    flow.works()
    event = Event(name="e", data={"n": 1}, id="mine")
    async with flow.served():
        assert await flow.app.send([event, event]) == ["mine", "mine"]
    flow.make_app()
    await flow.until(DAY - 1)
    async with flow.served():
        assert await flow.app.send(event) == ["mine"]
    await flow.until(DAY + 1)
    async with flow.served():
        await flow.app.send(event)
    assert [at for at, _ in flow.starts] == [0, DAY + 1]
    assert await flow.skipped() == [("id", "mine"), ("id", "mine")]


@in_virtual_time
async def test_an_expression_chooses():
    flow = Flow()
    on = [TriggerEvent("e", expression=lambda e: e.data["n"] > 1), TriggerEvent("other")]
    flow.works(on=on)
    async with flow.served():
        await flow.send(1, 2)
        await flow.send(0, name="other")
    assert sorted(said for _, said in flow.starts) == [0, 2]


@in_virtual_time
async def test_several_functions_have_a_run_each():
    flow = Flow()
    flow.works("one")
    flow.works("two")
    async with flow.served():
        await flow.send(1)
    assert flow.starts == [(0, 1), (0, 1)]
    runs = await flow.app.runs()
    assert len({run.run_id for run in runs}) == 2


@in_virtual_time
async def test_an_event_of_the_future_is_queued_then():
    flow = Flow()
    flow.works()
    now = timers_of(native.current()).now()
    async with flow.served(drain=False):
        await flow.app.send(Event(name="e", data={"n": 1}, ts=int(now * 1000) + 60_000))
        await flow.until(30)
    flow.make_app()
    async with flow.served(drain=False):
        await flow.until(70)
    [(at, _)] = flow.starts
    assert at == pytest.approx(60, abs=0.01)


@in_virtual_time
async def test_what_a_callable_raises_skips_its_function_and_reaches_the_sender_afterwards():
    flow = Flow()

    def key(event):
        raise LookupError("no key today")

    flow.works("one", idempotency=key)
    flow.works("two")
    async with flow.served():
        with pytest.raises(LookupError, match="no key today"):
            await flow.send(1)
    assert flow.starts == [(0, 1)]
    assert await flow.skipped() == [("idempotency", "")]
    assert await flow.statuses() == {"completed": 1}


# ---------------------------------------------------------------- idempotency


@in_virtual_time
async def test_one_run_for_a_key_within_a_day_also_if_it_failed():
    flow = Flow()

    async def body(ctx) -> None:
        flow.say("start", ctx.event.data["n"])
        raise ValueError("no")

    flow.declare(body, idempotency=by_user, retries=0)
    async with flow.served():
        await flow.send(1, 2, user="a")
        await flow.send(3, user="b")
    flow.make_app()
    await flow.until(DAY - 1)
    async with flow.served():
        await flow.send(4, user="a")
    await flow.until(DAY)
    async with flow.served():
        await flow.send(5, user="a")
    assert sorted(flow.starts) == [(0, 1), (0, 3), (DAY, 5)]
    assert await flow.skipped() == [("idempotency", "a"), ("idempotency", "a")]


# ---------------------------------------------------------------- rate limit


@in_virtual_time
async def test_so_many_in_any_window():
    flow = Flow()
    flow.works(rate_limit=RateLimit(2, period=10, key=by_user))
    async with flow.served():
        await flow.send(1, user="a")
        await flow.until(6)
        await flow.send(2, 3, user="a")
        await flow.send(4, user="b")
    flow.make_app()
    await flow.until(9)
    async with flow.served():
        await flow.send(5, user="a")
        await flow.until(10)
        await flow.send(6, 7, user="a")
        await flow.until(16)
        await flow.send(8, 9, user="a")
    assert sorted(flow.starts) == [(0, 1), (6, 2), (6, 4), (10, 6), (16, 8)]
    assert await flow.skipped() == [("rate_limit", "a")] * 4


# ---------------------------------------------------------------- debounce


@in_virtual_time
async def test_one_run_a_while_after_the_last_event_with_that_event():
    flow = Flow()
    flow.works(debounce=Debounce(2))
    async with flow.served():
        for n in range(4):
            await flow.until(n)
            await flow.send(n)
        assert await flow.statuses() == {"queued": 1}
        await flow.until(10)
        await flow.send("later")
    assert flow.starts == [(5, 3), (12, "later")]


@in_virtual_time
async def test_at_the_latest_so_long_after_the_first():
    flow = Flow()
    flow.works(debounce=Debounce(2, timeout=3, key=by_user))
    async with flow.served():
        await flow.send("other", user="b")
        for n, moment in enumerate([0, 1, 2, 3.5, 4.5]):
            await flow.until(moment)
            await flow.send(n, user="a")
    assert flow.starts == [(2, "other"), (3, 2), (6.5, 4)]


@in_virtual_time
async def test_a_burst_goes_on_after_a_restart():
    flow = Flow()
    flow.works(debounce=Debounce(10))
    async with flow.served(drain=False):
        await flow.send(1)
        await flow.until(4)
    flow.make_app()
    await flow.until(6)
    async with flow.served():
        await flow.send(2)
    assert flow.starts == [(16, 2)]


@in_virtual_time
async def test_a_burst_that_is_over_meanwhile_runs_at_once():
    flow = Flow()
    flow.works(debounce=Debounce(10))
    async with flow.served(drain=False):
        await flow.send(1)
    flow.make_app()
    await flow.until(100)
    async with flow.served():
        pass
    assert flow.starts == [(100, 1)]


# ---------------------------------------------------------------- batches


@in_virtual_time
async def test_so_many_events_are_one_run_in_their_order():
    flow = Flow()
    flow.works(batch_events=Batch(3, timeout=10))
    async with flow.served():
        await flow.send(1, 2)
        await flow.until(1)
        await flow.send(3, 4, 5, 6, 7)
        await flow.until(2)
        assert await flow.statuses() == {"queued": 1, "completed": 2}
    assert sorted(flow.starts[:2]) == [(1, [1, 2, 3]), (1, [4, 5, 6])]
    assert flow.starts[2:] == [(11, 7)]


@in_virtual_time
async def test_a_key_or_no_company_at_all():
    flow = Flow()
    flow.works(batch_events=Batch(2, timeout=10, key=by_user, if_exp=lambda e: e.data["n"] < 5))
    async with flow.served():
        await flow.send(1, user="a")
        await flow.send(2, 3, user="b")
        await flow.send(5, user="a")
        await flow.until(4)
        await flow.send(4, user="a")
    assert flow.starts[2:] == [(4, [1, 4])]
    assert sorted(map(str, flow.starts[:2])) == ["(0.0, 5)", "(0.0, [2, 3])"]


@in_virtual_time
async def test_a_batch_goes_on_after_a_restart():
    flow = Flow()
    flow.works(batch_events=Batch(3, timeout=10))
    async with flow.served(drain=False):
        await flow.send(1)
        await flow.until(4)
    flow.make_app()
    await flow.until(6)
    async with flow.served():
        await flow.send(2)
    assert flow.starts == [(10, [1, 2])]


# ---------------------------------------------------------------- singletons


@in_virtual_time
async def test_the_new_event_is_dropped_while_a_run_has_not_ended():
    flow = Flow()
    flow.works(seconds=10, singleton=Singleton("skip", key=by_user))
    async with flow.served():
        await flow.send(1, 2, user="a")
        await flow.send(3, user="b")
        await flow.until(11)
        await flow.send(4, user="a")
    assert sorted(flow.starts) == [(0, 1), (0, 3), (11, 4)]
    assert await flow.skipped() == [("singleton", "a")]


@in_virtual_time
async def test_the_older_run_is_cancelled_first():
    flow = Flow()

    async def body(ctx) -> None:
        n = ctx.event.data["n"]
        try:
            await ctx.step.run("work", flow.work, n, 10)
        finally:
            with anyio.CancelScope(shield=True):
                await nap(2)
            flow.say("clean", n)

    flow.declare(body, singleton=Singleton("cancel"))
    async with flow.served():
        await flow.send(1)
        await flow.until(5)
        await flow.send(2)
    assert flow.log == [
        (0, "start", 1),
        (5, "stopped", 1),
        (7, "clean", 1),
        (7, "start", 2),
        (17, "end", 2),
        (19, "clean", 2),
    ]
    assert await flow.statuses() == {"cancelled": 1, "completed": 1}


@in_virtual_time
async def test_a_singleton_over_a_restart():
    flow = Flow()
    flow.works(seconds=10, singleton=Singleton("skip"))
    async with flow.served(drain=False):
        await flow.send(1)
        await flow.until(5)
    flow.make_app()
    async with flow.served():
        await flow.send(2)
    assert flow.starts == [(0, 1), (5, 1)]
    assert await flow.skipped() == [("singleton", "")]


# ---------------------------------------------------------------- what is invoked


@in_virtual_time
async def test_what_is_invoked_waits_for_no_burst_and_no_company():
    flow = Flow()
    one = flow.works("one", debounce=Debounce(100))
    two = flow.works("two", batch_events=Batch(5, timeout=100))
    async with flow.served():
        await flow.app.invoke(flow.made["one"], {"n": 1})
        await flow.app.invoke(flow.made["two"], {"n": 2})
    assert flow.starts == [(0, 1), (0, 2)]
    assert (one.fn_id, two.fn_id) == ("one", "two")


@pytest.mark.parametrize(
    ("options", "knob", "key"),
    [
        ({"rate_limit": RateLimit(1, period=10)}, "rate_limit", ""),
        ({"idempotency": by_user}, "idempotency", "a"),
        ({"singleton": Singleton("skip", key=by_user)}, "singleton", "a"),
    ],
    ids=["rate_limit", "idempotency", "singleton"],
)
@in_virtual_time
async def test_who_invokes_is_told_what_dropped_the_run(options, knob, key):
    flow = Flow()
    flow.works(seconds=5, **options)
    async with flow.served():
        await flow.send(1, user="a")
        await flow.until(1)
        with pytest.raises(RunSkippedError) as caught:
            await flow.app.invoke(flow.made["fn"], {"n": 2, "user": "a"})
    assert (caught.value.knob, caught.value.key or "") == (knob, key)
    assert flow.starts == [(0, 1)]


@in_virtual_time
async def test_a_step_that_invokes_is_told_as_well():
    flow = Flow()
    child = flow.works("child", on="never", rate_limit=RateLimit(1, period=10))
    told = []

    async def body(ctx) -> None:
        await ctx.step.invoke("one", function=child, data={"n": 1})
        try:
            await ctx.step.invoke("two", function=child, data={"n": 2})
        except Exception as error:  # noqa: BLE001 - which it is, is asserted
            told.append((type(error).__name__, error.name))

    flow.declare(body)
    child = flow.made["child"]
    async with flow.served():
        await flow.send("parent")
    assert told == [("StepError", "RunSkippedError")]
    assert flow.starts == [(0, 1)]


# ---------------------------------------------------------------- their order


@in_virtual_time
async def test_the_rate_limit_comes_before_the_singleton_which_gives_back_what_it_drops():
    flow = Flow()
    flow.works(seconds=5, rate_limit=RateLimit(2, period=100), singleton=Singleton("skip"))
    async with flow.served():
        await flow.send(1, 2)
        await flow.until(10)
        await flow.send(3, 4)
    assert await flow.skipped() == [("singleton", ""), ("rate_limit", "")]
    assert flow.starts == [(0, 1), (10, 3)]
