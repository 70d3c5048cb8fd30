"""`plait.testing.context`: durable functions, called as any other."""

import functools
from datetime import timedelta

import pytest
import trio

import plait
import plait.testing
from plait._engine import native
from plait._steps.branches import Failed, Ok, Winner
from plait._strands._durable.event import Event
from plait.errors import NestedStepError, NonRetriableStepError, StepError, StepOutputError

EVENT = Event(name="begin", data={"user_id": 7}, ts=5_000)


class OrderPlaced(plait.Event):
    id: int


async def charge(user_id):
    return ("charged", user_id)


def plain(user_id):
    return user_id + 1


@pytest.mark.anyio
async def test_steps_call_straight_through():
    async def fn(ctx):
        return await ctx.step.run("a", charge, 7), await ctx.step.run("b", plain, 7)

    ctx = plait.testing.context(EVENT)
    assert await fn(ctx) == (["charged", 7], 8)
    assert ctx.called == ["a", "b"]
    assert (ctx.event, ctx.run_id, ctx.attempt, ctx.replaying) == (EVENT, "test", 0, False)


@pytest.mark.anyio
async def test_results_stand_for_handlers():
    ran = []

    async def fn(ctx):
        return await ctx.step.run("a", ran.append, 1), await ctx.step.run("b", plain, 1)

    with plait.testing.context(EVENT, {"a": 5}) as ctx:
        assert await fn(ctx) == (5, 2)
    assert ran == []


@pytest.mark.anyio
async def test_a_failure_is_the_one_that_the_function_would_see():
    async def fails():
        raise OSError("no disk")

    async def fn(ctx, handler):
        try:
            await ctx.step.run("a", handler, retry=5)
        except StepError as error:
            return type(error), error.name, error.attempts, type(error.__cause__)

    expected = (StepError, "OSError", 1, OSError)
    assert await fn(plait.testing.context(EVENT), fails) == expected
    given = plait.testing.context(EVENT, {"a": OSError("no disk")})
    assert await fn(given, fails) == expected
    refused = await fn(plait.testing.context(EVENT), object)
    assert refused[0] is StepOutputError
    with pytest.raises(NonRetriableStepError, match="cannot be called"):
        await plait.testing.context(EVENT).step.run("a", charge)


@pytest.mark.anyio
async def test_time_goes_on_without_sleep():
    async def fn(ctx):
        before = ctx.now()
        await ctx.step.sleep("nap", timedelta(days=7))
        await ctx.step.sleep_until("later", ctx.now() + timedelta(days=1))
        return before.timestamp(), ctx.now() - before

    assert await fn(plait.testing.context(EVENT)) == (5, timedelta(days=8))


@pytest.mark.anyio
async def test_waits_and_invokes_need_results():
    async def waits(ctx):
        return await ctx.step.wait_for_event("paid", event="order/paid", timeout=60)

    async def invokes(ctx):
        return await ctx.step.invoke_by_id("child", function_id="shop-fn")

    paid = Event(name="order/paid")
    assert await waits(plait.testing.context(EVENT, {"paid": paid})) is paid
    assert await waits(plait.testing.context(EVENT, {"paid": None})) is None
    assert await invokes(plait.testing.context(EVENT, {"child": [1]})) == [1]
    with pytest.raises(LookupError, match=r"write context\(event, results=\{'paid': Event"):
        await waits(plait.testing.context(EVENT))
    with pytest.raises(LookupError, match=r"'child' invokes 'shop-fn'.*\n.*\n.*says 'chlid'"):
        await invokes(plait.testing.context(EVENT, {"chlid": 1}))


@pytest.mark.anyio
async def test_what_is_sent_can_be_looked_at():
    async def fn(ctx):
        return await ctx.step.send_event("send", [Event(name="a"), OrderPlaced(id=3)])

    ctx = plait.testing.context(EVENT)
    assert await fn(ctx) == [event.id for event in ctx.sent]
    assert [event.name for event in ctx.sent] == ["a", OrderPlaced.__plait_name__]


@pytest.mark.anyio
async def test_groups():
    async def fn(ctx):
        async def fails():
            raise OSError("no")

        bad = functools.partial(ctx.step.run, "bad", fails)
        good = functools.partial(ctx.step.run, "good", plain, 1)
        never = native.current().event().wait
        settled = await ctx.group.parallel((good, bad), mode="settled")
        won = await ctx.group.parallel((bad, good), mode="any")
        first = await ctx.group.parallel((never, good), mode="race")
        with pytest.raises(StepError):
            await ctx.group.parallel((never, bad))
        with pytest.raises(ExceptionGroup):
            await ctx.group.parallel((bad, bad), on_error="wait")
        async with ctx.group.open() as tasks:
            tasks.start_soon(good)
        mapped = await ctx.group.map("m", plain, [1, 2], limit=1)
        return settled[0], type(settled[1]), won, first, mapped

    expected = (Ok(2), Failed, Winner(1, 2), Winner(1, 2), (2, 3))
    assert await fn(plait.testing.context(EVENT)) == expected


@pytest.mark.anyio
async def test_no_step_inside_a_handler():
    async def fn(ctx):
        async def nests():
            try:
                await ctx.step.run("in", plain, 1)
            except NestedStepError:
                return "swallowed"

        await ctx.step.run("out", nests)

    with pytest.raises(NestedStepError, match="'in' inside the handler"):
        await fn(plait.testing.context(EVENT))


@pytest.mark.anyio
async def test_a_batch_and_typed_events():
    batch = plait.testing.context([EVENT, Event(name="b")])
    assert (batch.event, len(batch.events)) == (EVENT, 2)
    assert plait.testing.context(OrderPlaced(id=3)).event.data.id == 3


def test_what_cannot_be_right_is_refused():
    with pytest.raises(TypeError, match="takes events, not 'begin'"):
        plait.testing.context("begin")
    with pytest.raises(TypeError, match="there is none"):
        plait.testing.context([])
    with pytest.raises(TypeError, match="results takes the ids of steps, not 1"):
        plait.testing.context(EVENT, {1: 2})


@pytest.mark.anyio
async def test_results_that_nobody_asked_for():
    async def fn(ctx):
        await ctx.step.run("charge", plain, 1)

    text = "called: 'charge'\n  Did you mean 'charge'"
    with pytest.raises(LookupError, match=text), plait.testing.context(EVENT, {"chrage": 1}) as ctx:
        await fn(ctx)
    with pytest.raises(OSError, match="mine"), plait.testing.context(EVENT, {"chrage": 1}):
        raise OSError("mine")


def program(ctx):
    async def slow():
        await native.current().checkpoint()
        return ctx.event.data["user_id"]

    with ctx.move_on_after(5) as scope:
        scope.cancel()
        ctx.step.run("never", plain, 1)
    with ctx.fail_after(5):
        both = ctx.group.parallel(
            (lambda: ctx.step.run("a", slow), lambda: ctx.step.run("b", plain, 1))
        )
    with ctx.group.open() as tasks:
        tasks.start_soon(ctx.step.sleep, "nap", 100)
    return scope.cancelled_caught, both, ctx.random.random() < 1


def test_a_plain_function():
    with plait.testing.context(EVENT, sync=True) as ctx:
        assert program(ctx) == (True, (7, 2), True)
    assert sorted(ctx.called) == ["a", "b", "nap"]
    with pytest.raises(LookupError), plait.testing.context(EVENT, {"x": 1}, sync=True):
        pass


def test_a_nursery_of_a_plain_function():
    ctx = plait.testing.context(EVENT, sync=True)
    found = []

    def reports(k, *, task_status):
        task_status.started(k)
        found.append(ctx.step.run("a", plain, k))

    def fails():
        raise OSError("no")

    with ctx.group.open() as tasks:
        assert tasks.start(reports, 3) == 3
    assert found == [4]
    with pytest.raises(ExceptionGroup) as caught, ctx.group.open() as tasks:
        tasks.start_soon(fails)
    assert repr(caught.value.exceptions) == "(OSError('no'),)"
    with (
        ctx.group.open() as tasks,
        pytest.raises(RuntimeError, match="without calling"),
    ):
        tasks.start(lambda *, task_status: None)
    with ctx.group.open() as tasks:
        tasks.cancel()
        ctx.step.run("never", found.append, 1)
    assert found == [4]


def test_a_plain_function_where_a_loop_runs():
    async def main():
        return program(plait.testing.context(EVENT, sync=True))

    assert trio.run(main) == (True, (7, 2), True)


def test_no_step_inside_a_handler_of_a_plain_function():
    ctx = plait.testing.context(EVENT, sync=True)

    def nests():
        try:
            ctx.step.run("in", plain, 1)
        except NestedStepError:
            return "swallowed"

    with pytest.raises(NestedStepError):
        ctx.step.run("out", nests)
