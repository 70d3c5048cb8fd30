"""Beyond the rows: code that has changed, runs that are held, and a journal object that two apps have."""

import logging

import anyio
import pytest

from plait.durable import Context, Event, TriggerEvent
from plait.errors import DeterminismError, RunConflictError, RunHeldError, RunLockedError
from tests.parity.worlds import BEGIN, everywhere, left_after


def declared(app, body, **options):
    return app.create_function(fn_id="fn", trigger=BEGIN, **options)(body)


async def charge_card() -> str:
    return "charged"


async def refund() -> str:
    return "refunded"


async def charges(ctx: Context) -> str:
    got = await ctx.step.run("charge", charge_card)
    await ctx.step.sleep("nap", 10)
    return got


async def refunds(ctx: Context) -> str:
    got = await ctx.step.run("charge", refund)
    await ctx.step.sleep("nap", 10)
    return got


async def sleeps(ctx: Context) -> str:
    await ctx.step.sleep("charge", 1)
    return "slept"


@everywhere
@pytest.mark.parametrize("other", [refunds, sleeps])
async def test_a_step_that_is_another_one_holds_the_run(world, other):
    app = world.app()
    await left_after(5, app, declared(app, charges))
    app = world.app()
    declared(app, other)
    with pytest.raises(DeterminismError, match="'charge'") as caught:
        await app.resume("r1")
    assert "accept_changes=True" in str(caught.value)
    (run,) = await app.runs(status="held")
    assert run.run_id == "r1"
    assert "app.resume" in run.waiting_for

    app = world.app()
    declared(app, charges)  # the code is restored
    assert await app.resume("r1") == "charged"


@everywhere
async def test_a_run_that_is_held_goes_on_with_what_it_remembers_if_it_is_told_to(world):
    app = world.app()
    await left_after(5, app, declared(app, charges))
    app = world.app()
    declared(app, refunds)
    with pytest.raises(DeterminismError):
        await app.resume("r1")
    assert await app.resume("r1", accept_changes=True) == "charged"
    assert [run.status for run in await app.runs()] == ["completed"]


@everywhere
async def test_a_held_run_keeps_nobody_waiting(world):
    app = world.app()
    declared(app, charges)
    async with app.serve():
        await app.send(Event(name="begin", id="e1"))
        await anyio.sleep(5)
    app = world.app()
    declared(app, refunds)
    async with app.serve() as worker:
        await worker.drain()
        (run,) = await app.runs()
        assert run.status == "held"
        await app.send(Event(name="begin", id="e2"))
        await worker.drain()
        assert sorted(run.status for run in await app.runs()) == ["completed", "held"]
        assert await app.resume(run.run_id, accept_changes=True) == "charged"


@everywhere
async def test_another_source_is_logged_and_goes_on(world, caplog):
    caplog.set_level(logging.INFO)

    async def fn(ctx: Context) -> str:
        return await charges(ctx) + " once"

    async def changed(ctx: Context) -> str:
        return await charges(ctx) + " in another way"

    app = world.app()
    await left_after(5, app, declared(app, fn))
    app = world.app()
    declared(app, changed)
    assert await app.resume("r1") == "charged in another way"
    assert [one for one in caplog.records if "source" in one.getMessage()]


@everywhere
async def test_another_source_holds_the_run_if_that_is_asked_for(world):
    async def changed(ctx: Context) -> str:
        return await charges(ctx) + " in another way"

    app = world.app()
    declared(app, charges)
    async with app.serve():
        await app.send(Event(name="begin", id="e1"))
        await anyio.sleep(5)
    app = world.app()
    declared(app, changed)
    async with app.serve(on_code_change="hold") as worker:
        await worker.drain()
        (run,) = await app.runs()
        assert run.status == "held"
    app = world.app()
    declared(app, charges)
    async with app.serve(on_code_change="hold") as worker:
        await worker.drain()
    assert await app.resume(run.run_id) == "charged"


@everywhere
async def test_a_function_that_is_gone_parks_its_runs(world):
    app = world.app()
    declared(app, charges)
    async with app.serve():
        await app.send(Event(name="begin", id="e1"))
        await anyio.sleep(5)
    app = world.app()
    app.create_function(fn_id="another", trigger=BEGIN)(refunds)
    async with app.serve() as worker:
        await worker.drain()
        (run,) = await app.runs()
        assert (run.fn_id, run.status) == ("shop-fn", "held")
        with pytest.raises(RunHeldError, match="shop-fn"):
            await app.resume(run.run_id)
    app = world.app()
    declared(app, charges)
    async with app.serve() as worker:
        await worker.drain()
    assert await app.resume(run.run_id) == "charged"


@everywhere
async def test_a_run_that_kills_its_process_is_held_at_last(world):
    def make():
        app = world.app()

        async def body(ctx: Context) -> None:
            await ctx.step.run("deadly", world.step("deadly", seconds=1000))

        return app, declared(app, body)

    app, _ = make()
    async with app.serve():
        await app.send(Event(name="begin", id="e1"))
        await anyio.sleep(1)
    for _ in range(3):
        app, _ = make()
        async with app.serve(max_resumes=3):
            await anyio.sleep(1)
    begun = len(world.execs)
    assert begun == 4
    app, fn = make()
    async with app.serve(max_resumes=3) as worker:
        await worker.drain()
        (run,) = await app.runs(fn=fn)
        assert run.status == "held"
    assert len(world.execs) == begun
    with anyio.move_on_after(5):
        await app.resume(run.run_id)  # somebody has a look at it
    assert len(world.execs) == begun + 1


@everywhere
async def test_a_child_that_nobody_asks_for_any_more_ends_with_its_parent(world):
    async def child(ctx: Context) -> None:
        await ctx.step.run("slow", world.step("slow", seconds=1000))

    async def before(ctx: Context) -> str:
        await ctx.step.invoke_by_id("child", function_id="child")
        return "before"

    async def after(ctx: Context) -> str:
        return await ctx.step.run("s", world.step("s", "after"))

    def make(body):
        app = world.app()
        app.create_function(fn_id="child", trigger=TriggerEvent(event="child"))(child)
        return app, declared(app, body)

    app, fn = make(before)
    await left_after(5, app, fn)
    app, fn = make(after)
    assert await app.resume("r1") == "after"
    async with app.serve() as worker:
        await worker.drain()
    statuses = {run.fn_id: run.status for run in await app.runs()}
    assert statuses == {"shop-fn": "completed", "shop-child": "cancelled"}
    assert "slow ends" not in world.log
    world.check(slow=1, s=1)


@everywhere
async def test_patched(world):
    """A run that was under way before the change goes on as it began; one that begins now does not."""
    runs = {}

    async def before(ctx: Context) -> str:
        got = await ctx.step.run("old", world.step("old", "old"))
        await ctx.step.sleep("nap", 10)
        return got

    async def after(ctx: Context) -> str:
        step_id = "new" if ctx.patched("v2") else "old"
        got = await ctx.step.run(step_id, world.step(step_id, step_id))
        await ctx.step.sleep("nap", 10)
        runs.setdefault(ctx.run_id, []).append(ctx.patched("v2"))
        return got

    app = world.app()
    await left_after(5, app, declared(app, before))
    app = world.app()
    fn = declared(app, after)
    assert await app.resume("r1") == "old"
    await left_after(5, app, fn, run_id="r2")
    app = world.app()
    declared(app, after)
    assert await app.resume("r2") == "new"
    assert runs == {"r1": [False], "r2": [True]}
    world.check(old=1, new=1)


# ---------------------------------------------------------------- who has a run


@everywhere
async def test_a_name_of_a_run_is_one_run(world):
    app = world.app()

    async def body(ctx: Context) -> str:
        return await ctx.step.run("s", world.step("s", ctx.event.data["text"]))

    fn = declared(app, body)
    assert await app.invoke(fn, {"text": "a"}, run_id="r1") == "a"
    assert await app.invoke(fn, {"text": "a"}, run_id="r1") == "a"
    with pytest.raises(RunConflictError):
        await app.invoke(fn, {"text": "b"}, run_id="r1")
    world.check(s=1)


@everywhere
async def test_two_objects_of_an_app_on_one_journal(world):
    journal = world.journal()
    app, other = world.app(journal=journal), world.app(journal=journal)
    declared(app, charges)
    declared(other, charges)
    async with app.serve():
        with pytest.raises(RunLockedError):
            async with other.serve():
                pass
