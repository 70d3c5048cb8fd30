"""Rows 1 to 6 and 14 to 22: steps, their ids, and their values."""

import functools
import threading

import anyio
import pytest

from plait.durable import Context, Event, TriggerEvent, current_step
from plait.errors import NestedStepError, StepError, StepOutputError
from tests.parity.worlds import BEGIN, at_every_append, restarted


@at_every_append
async def test_row_001_no_steps(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> str:
        return "hi"

    assert await app.invoke(fn, run_id="r1") == "hi"
    (run,) = await app.runs()
    assert (run.run_id, run.status) == ("r1", "completed")
    world.check()


@at_every_append
async def test_row_002_two_steps_in_sequence(world):
    app = world.app()

    async def add_one(n: int) -> int:
        world.ran("add one")
        return n + 1

    async def double(n: int) -> int:
        world.ran("double")
        return n * 2

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> int:
        n = await ctx.step.run("one", add_one, ctx.event.data["n"])
        return await ctx.step.run("two", double, n)

    assert await app.invoke(fn, {"n": 3}, run_id="r1") == 8
    world.check(**{"add one": 1, "double": 1})


@at_every_append
async def test_row_002_of_an_event_that_is_sent(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> int:
        n = await ctx.step.run("a", world.step("a", ctx.event.data["n"]))
        return n + await ctx.step.run("b", world.step("b", 10))

    async with app.serve() as worker:
        assert await app.send(Event(name="begin", data={"n": 3}, id="e1")) == ["e1"]
        await worker.drain()
    (run,) = await app.runs(fn=fn)
    assert run.status == "completed"
    assert await app.resume(run.run_id) == 13
    world.check(a=1, b=1)


@at_every_append
async def test_row_003_arguments(world):
    app = world.app()
    seen = []

    async def f(n: int, text: str) -> str:
        world.ran("f")
        seen.append((n, text))
        return text * n

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> str:
        return await ctx.step.run("s", f, 2, "a")

    assert await app.invoke(fn, run_id="r1") == "aa"
    assert {*seen} <= {(2, "a")}
    world.check(f=1)


@at_every_append
async def test_row_004_keyword_arguments(world):
    app = world.app()

    async def f(n: int, *, text: str, end: str = "") -> str:
        world.ran("f")
        return text * n + end

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> str:
        return await ctx.step.run("s", functools.partial(f, text="b", end="!"), 3)

    assert await app.invoke(fn, run_id="r1") == "bbb!"
    world.check(f=1)


@at_every_append
async def test_row_005_a_plain_handler_does_not_block_the_loop(world):
    app = world.app()
    loop = threading.get_ident()
    seen = []

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> str:
        go_on = threading.Event()

        def waits() -> str:
            world.ran("waits")
            seen.append(threading.get_ident() == loop)
            return "went on" if go_on.wait(60) else "the loop was blocked"

        async def sets() -> None:
            world.ran("sets")
            go_on.set()

        async def twice() -> None:
            await ctx.step.run("sets", sets)
            go_on.set()  # also when it is remembered

        waited, _ = await ctx.group.parallel((lambda: ctx.step.run("waits", waits), twice))
        return waited

    assert await app.invoke(fn, run_id="r1") == "went on"
    assert not any(seen)
    world.check(waits=1, sets=1)


@at_every_append
async def test_row_006_a_step_that_raises_once(world):
    app = world.app()

    async def flaky() -> str:
        world.ran("flaky")
        if current_step().attempt == 0:
            raise OSError("once")
        return "fine"

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=1)
    async def fn(ctx: Context) -> str:
        return await ctx.step.run("s", flaky)

    assert await app.invoke(fn, run_id="r1") == "fine"
    assert world.attempts("flaky") == [0, 1]
    world.check(flaky=2)


# ---------------------------------------------------------------- ids


def keys_of(records, kind="step.completed"):
    return [record.key for record in records if record.kind == kind]


@at_every_append
async def test_row_014_an_id_twice_in_a_loop(world):
    app = world.app()

    async def give(n: int) -> int:
        world.ran("give")
        return n

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[int]:
        return [await ctx.step.run("foo", give, n) for n in (5, 6)]

    assert await app.invoke(fn, run_id="r1") == [5, 6]
    assert keys_of(await app.history("r1")) == ['[[],"foo",0]', '[[],"foo",1]']
    world.check(give=2)


@at_every_append
async def test_row_015_an_id_that_looks_like_a_second_one(world):
    app = world.app()

    async def give(n: int) -> int:
        world.ran("give")
        return n

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[int]:
        ids = ["foo", "foo", "foo:1"]
        return [await ctx.step.run(step_id, give, n) for n, step_id in enumerate(ids)]

    assert await app.invoke(fn, run_id="r1") == [0, 1, 2]
    keys = keys_of(await app.history("r1"))
    assert keys == ['[[],"foo",0]', '[[],"foo",1]', '[[],"foo:1",0]']
    world.check(give=3)


IDS = ["x" * 1000, "größer", "\N{SNOWMAN} \N{GRINNING FACE}", "", " ", '"[]"', "\x00\n", "a/b"]


@at_every_append
async def test_row_016_ids_of_all_kinds(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[int]:
        return [await ctx.step.run(one, world.step(f"s{n}", n)) for n, one in enumerate(IDS)]

    assert await app.invoke(fn, run_id="r1") == [*range(len(IDS))]
    records = await app.history("r1")
    assert [record.step_id for record in records if record.kind == "step.completed"] == IDS
    world.check(**{f"s{n}": 1 for n in range(len(IDS))})


@at_every_append
async def test_row_017_an_id_that_is_no_text(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> str:
        for wrong in (7, None, b"a", ("a",)):
            with pytest.raises(TypeError, match="step_id"):
                await ctx.step.run(wrong, world.step("never"))
        with pytest.raises(TypeError, match="step_id"):
            await ctx.step.sleep(7, 1)
        return await ctx.step.run("s", world.step("s", "fine"))

    assert await app.invoke(fn, run_id="r1") == "fine"
    world.check(s=1, never=0)


# ---------------------------------------------------------------- values


@at_every_append
async def test_row_018_an_output_that_cannot_be_recorded(world):
    app = world.app()

    async def opaque():
        world.ran("opaque")
        return object()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=5)
    async def fn(ctx: Context) -> None:
        await ctx.step.run("s", opaque)

    with pytest.raises(StepOutputError, match="Annotate"):
        await app.invoke(fn, run_id="r1")
    (run,) = await app.runs()
    assert run.status == "failed"
    world.check(opaque=1)


@at_every_append
async def test_row_019_a_tuple(world):
    def make(app):
        async def typed() -> tuple[int, str]:
            world.ran("typed")
            return (1, "a")

        async def untyped():
            world.ran("untyped")
            return (1, "a")

        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> str:
            one = await ctx.step.run("typed", typed)
            two = await ctx.step.run("untyped", untyped)
            three = await ctx.step.run("told", untyped, output_type=tuple[int, str])
            await ctx.step.sleep("nap", 10)
            return repr((one, two, three))

        return fn

    assert await restarted(world, make) == "((1, 'a'), [1, 'a'], (1, 'a'))"
    world.check(typed=1, untyped=2)


@at_every_append
async def test_row_019_is_the_same_live(world):
    app = world.app()

    async def untyped():
        world.ran("untyped")
        return (1, ("a",))

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> str:
        return repr(await ctx.step.run("untyped", untyped))

    assert await app.invoke(fn, run_id="r1") == "[1, ['a']]"
    world.check(untyped=1)


@at_every_append
async def test_row_020_none_is_remembered(world):
    def make(app):
        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> bool:
            nothing = await ctx.step.run("s", world.step("s", None))
            await ctx.step.sleep("nap", 10)
            return nothing is None

        return fn

    assert await restarted(world, make) is True
    world.check(s=1)


@at_every_append
async def test_row_021_a_changed_list_changes_no_memo(world):
    def make(app):
        async def numbers() -> list[int]:
            world.ran("numbers")
            kept.append([1, 2])
            return kept[-1]

        kept = []

        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> list[int]:
            got = await ctx.step.run("s", numbers)
            got.append(3)
            assert not kept or kept[-1] == [1, 2]  # nor is it the handler's own
            await ctx.step.sleep("nap", 10)
            return got

        return fn

    assert await restarted(world, make) == [1, 2, 3]
    app = world.app()
    make(app)
    (memo,) = [r for r in await app.history("r1") if r.key == '[[],"s",0]' and "value" in r.fields]
    assert memo.fields["value"] == [1, 2]
    world.check(numbers=1)


# ---------------------------------------------------------------- steps inside handlers


async def run(ctx, child, inner):
    await ctx.step.run("inner", inner)


async def sleep(ctx, child, inner):
    await ctx.step.sleep("inner", 1)


async def wait(ctx, child, inner):
    await ctx.step.wait_for_event("inner", event="begin", timeout=1)


async def invoke(ctx, child, inner):
    await ctx.step.invoke("inner", function=child)


async def send(ctx, child, inner):
    await ctx.step.send_event("inner", Event(name="child"))


@at_every_append
async def test_row_022_a_step_inside_a_handler(world):
    app = world.app()

    @app.create_function(fn_id="child", trigger=TriggerEvent(event="child"))
    async def child(ctx: Context) -> None:
        world.log.append("the child")

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[str]:
        async def outer(call) -> str:
            world.ran(call.__name__)
            try:
                await call(ctx, child, world.step("never"))
            except Exception:  # noqa: BLE001 - it is not to be swallowed
                return "caught"
            return "went on"

        told = []
        for call in (run, sleep, wait, invoke, send):
            try:
                await ctx.step.run(call.__name__, outer, call)
            except NestedStepError as error:
                told.append(error.step_id)
        return told

    assert await app.invoke(fn, run_id="r1") == ["run", "sleep", "wait", "invoke", "send"]
    assert [run.run_id for run in await app.runs()] == ["r1"]
    assert "the child" not in world.log
    assert {record.step_id for record in await app.history("r1")} == {
        *(None, "run", "sleep", "wait", "invoke", "send")
    }
    world.check(run=1, sleep=1, wait=1, invoke=1, send=1, never=0)


@at_every_append
async def test_row_022_uncaught_it_fails_the_run(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=5)
    async def fn(ctx: Context) -> None:
        async def outer() -> None:
            world.ran("outer")
            await ctx.step.run("inner", world.step("never"))

        await ctx.step.run("outer", outer)

    with pytest.raises(StepError, match="inner") as caught:
        await app.invoke(fn, run_id="r1")
    assert isinstance(caught.value, NestedStepError)
    world.check(outer=1, never=0)


@at_every_append
async def test_row_022_in_a_task_of_the_handlers_too(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> str:
        async def outer() -> str:
            world.ran("outer")

            async def task() -> None:
                with pytest.raises(NestedStepError):
                    await ctx.step.run("inner", world.step("never"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(task)
            return "went on"

        with pytest.raises(NestedStepError):
            await ctx.step.run("outer", outer)
        return "fine"

    assert await app.invoke(fn, run_id="r1") == "fine"
    world.check(outer=1, never=0)
