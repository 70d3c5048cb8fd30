"""Rows 31 to 41, 43 and 44: several steps at a time."""

import asyncio
import functools

import anyio
import pytest
import trio

from plait.durable import (
    Concurrency,
    Context,
    Event,
    LoopVariableWarning,
    TriggerEvent,
    Winner,
    current_step,
)
from plait.errors import StepError
from tests.parity.worlds import BEGIN, at_every_append, everywhere, restarted

CHILD = TriggerEvent(event="child")


class MyError(Exception):
    pass


@at_every_append
async def test_row_031_steps_of_several_kinds(world):
    app = world.app()

    @app.create_function(fn_id="child", trigger=CHILD)
    async def child(ctx: Context) -> str:
        return await ctx.step.run("in the child", world.step("child", "from the child"))

    @app.create_function(fn_id="other", trigger=TriggerEvent(event="other"))
    async def other(ctx: Context) -> None:
        await ctx.step.run("s", world.step("other"))

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[object]:
        one, two, three, ids = await ctx.group.parallel(
            (
                lambda: ctx.step.run("a", world.step("a", 1, seconds=3)),
                lambda: ctx.step.run("b", world.step("b", "two")),
                lambda: ctx.step.invoke("child", function=child),
                lambda: ctx.step.send_event("send", Event(name="other")),
            )
        )
        return [one, two, three, len(ids), await ctx.step.run("next", world.step("next", "n"))]

    assert await app.invoke(fn, run_id="r1") == [1, "two", "from the child", 1, "n"]
    async with app.serve() as worker:
        await worker.drain()
    assert len(await app.runs(fn=other)) == 1
    world.check(a=1, b=1, child=1, other=1, next=1)


@at_every_append
async def test_row_032_branches_of_steps_in_sequence(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> tuple[list[str], list[str], str]:
        async def several(*names: str) -> list[str]:
            return [
                await ctx.step.run(name, world.step(name, name, seconds=int(name[0])))
                for name in names
            ]

        return await ctx.group.parallel(
            (
                lambda: several("1a", "1b"),
                lambda: several("2a", "2b", "2c"),
                lambda: ctx.step.run("3", world.step("3", "3")),
            )
        )

    assert await app.invoke(fn, run_id="r1") == (["1a", "1b"], ["2a", "2b", "2c"], "3")
    world.check(**dict.fromkeys(["1a", "1b", "2a", "2b", "2c", "3"], 1))


@at_every_append
async def test_row_033_there_are_no_waves(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> None:
        async def fast() -> None:
            await ctx.step.run("a.1", world.step("a.1", seconds=1))
            await ctx.step.run("a.2", world.step("a.2", seconds=1))

        async def slow() -> None:
            await ctx.step.run("b.1", world.step("b.1", seconds=100))

        await ctx.group.parallel((fast, slow))

    await app.invoke(fn, run_id="r1")
    assert world.log.index("a.2 begins") < world.log.index("b.1 ends")
    world.check(**{"a.1": 1, "a.2": 1, "b.1": 1})


@at_every_append
async def test_row_034_a_race(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[object]:
        async def fast() -> str:
            await ctx.step.run("a.1", world.step("a.1", seconds=1))
            return await ctx.step.run("a.2", world.step("a.2", "fast", seconds=1))

        async def slow() -> str:
            try:
                await ctx.step.run("b.1", world.step("b.1", seconds=100))
                return await ctx.step.run("b.2", world.step("b.2", "slow"))
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(1)
                world.notes.append("b has cleaned up")

        winner = await ctx.group.parallel((fast, slow), mode="race")
        assert world.notes == ["b has cleaned up"]
        assert isinstance(winner, Winner)
        return [winner.branch, winner.value]

    assert await app.invoke(fn, run_id="r1") == [0, "fast"]
    assert "b.1 ends" not in world.log
    world.check(**{"a.1": 1, "a.2": 1, "b.1": 1, "b.2": 0})


@at_every_append
async def test_row_035_no_branches(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[object]:
        nothing = await ctx.group.parallel(())
        mapped = await ctx.group.map("m", world.step("never"), [])
        return [nothing == (), mapped == ()]

    assert await app.invoke(fn, run_id="r1") == [True, True]
    world.check(never=0)


# ---------------------------------------------------------------- failures


@at_every_append
async def test_row_036_a_failure_cancels_the_others(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
    async def fn(ctx: Context) -> None:
        await ctx.group.parallel(
            (
                lambda: ctx.step.run("a", world.step("a", seconds=1, error=MyError("a fails"))),
                lambda: ctx.step.run("b", world.step("b", seconds=100)),
            )
        )

    with pytest.raises(StepError, match="a fails"):
        await app.invoke(fn, run_id="r1")
    assert "b ends" not in world.log
    assert world.elapsed < 10
    world.check(a=1, b=1)


@at_every_append
async def test_row_036_or_waits_for_them(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
    async def fn(ctx: Context) -> None:
        await ctx.group.parallel(
            (
                lambda: ctx.step.run("a", world.step("a", seconds=1, error=MyError("a fails"))),
                lambda: ctx.step.run("b", world.step("b", seconds=100)),
            ),
            on_error="wait",
        )

    with pytest.raises(StepError, match="a fails"):
        await app.invoke(fn, run_id="r1")
    assert "b ends" in world.log
    world.check(a=1, b=1)


def falls_back(world, app, **options):
    """Declare a function whose first branch fails, and whose second is slow and fails at first."""

    async def flaky() -> None:
        world.ran("b")
        await anyio.sleep(5)
        if current_step().attempt == 0:
            raise OSError("at first")
        await anyio.sleep(100)

    @app.create_function(fn_id="fn", trigger=BEGIN, **options)
    async def fn(ctx: Context) -> str:
        with pytest.raises(StepError) as caught:
            await ctx.group.parallel(
                (
                    lambda: ctx.step.run(
                        "a", world.step("a", seconds=1, error=MyError("a")), retry=0
                    ),
                    lambda: ctx.step.run("b", flaky, retry=3),
                )
            )
        assert caught.value.step_id == "a"
        return await ctx.step.run("fallback", world.step("fallback", "fallback"))

    return fn


@at_every_append
async def test_row_037_a_fallback(world):
    app = world.app()
    assert await app.invoke(falls_back(world, app), run_id="r1") == "fallback"
    assert world.elapsed < 5
    world.check(a=1, b=1, fallback=1)


@at_every_append
async def test_row_037_with_one_handler_at_a_time(world):
    """Which branch has the slot first is chance: the second one runs, or never does."""
    app = world.app()
    fn = falls_back(world, app, concurrency=Concurrency(1))
    assert await app.invoke(fn, run_id="r1") == "fallback"
    world.check(a=1, fallback=1, b=...)


@at_every_append
async def test_row_038_two_failures_that_are_both_recorded(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
    async def fn(ctx: Context) -> list[str]:
        try:
            await ctx.group.parallel(
                (
                    lambda: ctx.step.run("a", world.step("a", seconds=2, error=MyError("a"))),
                    lambda: ctx.step.run("b", world.step("b", seconds=1, error=MyError("b"))),
                    lambda: ctx.step.run("c", world.step("c", seconds=3)),
                ),
                on_error="wait",
            )
        except ExceptionGroup as group:
            return [error.message for error in group.exceptions]
        return []

    assert await app.invoke(fn, run_id="r1") == ["a", "b"]
    world.check(a=1, b=1, c=1)


@at_every_append
async def test_row_038_else_the_first(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
    async def fn(ctx: Context) -> str:
        try:
            await ctx.group.parallel(
                (
                    lambda: ctx.step.run("a", world.step("a", seconds=20, error=MyError("a"))),
                    lambda: ctx.step.run("b", world.step("b", seconds=1, error=MyError("b"))),
                )
            )
        except StepError as error:
            return error.message
        return "no failure"

    assert await app.invoke(fn, run_id="r1") == "b"
    world.check(a=1, b=1)


@everywhere
async def test_row_038_two_that_fail_at_once_are_both_recorded_before_the_cancellation(world):
    def make(app):
        @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
        async def fn(ctx: Context) -> list[str]:
            both = anyio.Event()

            async def fails(name: str) -> None:
                world.ran(name)
                world.log.append(name)
                if len(world.log) == 2:
                    both.set()
                await both.wait()
                raise MyError(name)

            try:
                await ctx.group.map("s", fails, ["a", "b"])
            except ExceptionGroup as group:
                await ctx.step.sleep("nap", 10)
                return [error.message for error in group.exceptions]
            return []

        return fn

    assert await restarted(world, make) == ["a", "b"]
    world.check(a=1, b=1)


@at_every_append
async def test_row_039_a_failure_that_its_branch_makes_good(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
    async def fn(ctx: Context) -> tuple[str, int]:
        async def makes_good() -> str:
            try:
                return await ctx.step.run("a", world.step("a", error=MyError("a")))
            except StepError:
                return await ctx.step.run("comp", world.step("comp", "comp"))

        return await ctx.group.parallel(
            (makes_good, lambda: ctx.step.run("b", world.step("b", 1, seconds=3)))
        )

    assert await app.invoke(fn, run_id="r1") == ("comp", 1)
    world.check(a=1, comp=1, b=1)


# ---------------------------------------------------------------- keys


@at_every_append
async def test_row_040_the_same_ids_in_two_branches(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> tuple[list[str], list[str]]:
        async def steps(name: str, *delays: int) -> list[str]:
            got = []
            for n, seconds in enumerate(delays):
                one = f"{name}{n}"
                got.append(await ctx.step.run("step", world.step(one, one, seconds=seconds)))
            return got

        return await ctx.group.parallel(
            (lambda: steps("a", 5, 1, 1), lambda: steps("b", 1, 2, 9)),
        )

    assert await app.invoke(fn, run_id="r1") == (["a0", "a1", "a2"], ["b0", "b1", "b2"])
    world.check(a0=1, a1=1, a2=1, b0=1, b1=1, b2=1)


@at_every_append
async def test_row_041_nested_groups(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> tuple[tuple[str, str], str]:
        async def inner() -> tuple[str, str]:
            return await ctx.group.parallel(
                (
                    lambda: ctx.step.run("s", world.step("i1", "i1", seconds=2)),
                    lambda: ctx.step.run("s", world.step("i2", "i2", seconds=1)),
                )
            )

        return await ctx.group.parallel((inner, lambda: ctx.step.run("s", world.step("o", "o"))))

    assert await app.invoke(fn, run_id="r1") == (("i1", "i2"), "o")
    world.check(i1=1, i2=1, o=1)


@at_every_append
async def test_row_043_lambdas_that_capture_the_loop_variable(world):
    app = world.app()

    async def square(n: int) -> int:
        world.ran("square")
        return n * n

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[tuple[int, ...]]:
        branches = ()
        for n in (1, 2, 3):
            branches += (lambda: ctx.step.run("wrong", square, n),)  # noqa: B023 - the trap
        with pytest.warns(LoopVariableWarning, match="map"):
            wrong = await ctx.group.parallel(branches)
        partials = tuple(
            functools.partial(ctx.step.run, "partial", functools.partial(square, n))
            for n in (1, 2, 3)
        )
        return [
            wrong,
            await ctx.group.parallel(partials),
            await ctx.group.map("map", square, [1, 2, 3]),
        ]

    assert await app.invoke(fn, run_id="r1") == [(9, 9, 9), (1, 4, 9), (1, 4, 9)]
    world.check(square=9)


# ---------------------------------------------------------------- plain spawns


async def in_a_nursery(one, numbers):
    async with trio.open_nursery() as nursery:
        for n in numbers:
            nursery.start_soon(one, n)


async def in_a_task_group(one, numbers):
    async with asyncio.TaskGroup() as tasks:
        for n in numbers:
            tasks.create_task(one(n))


async def in_a_task_group_of_anyio(one, numbers):
    async with anyio.create_task_group() as tasks:
        for n in numbers:
            tasks.start_soon(one, n)


async def gathered(one, numbers):
    await asyncio.gather(*(one(n) for n in numbers))


def spawners():
    """The ways that the running backend has."""
    if trio.lowlevel.in_trio_task():
        return [in_a_nursery, in_a_task_group_of_anyio]
    return [in_a_task_group, gathered, in_a_task_group_of_anyio]


@at_every_append
async def test_row_044_plain_tasks(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[dict[str, str]]:
        got = []
        for spawn in spawners():
            values: dict[str, str] = {}

            async def one(n: int, values=values, of=spawn.__name__) -> None:
                name = f"{of} {n}"
                values[str(n)] = await ctx.step.run("s", world.step(name, name, seconds=4 - n))

            await spawn(one, (1, 2, 3))
            got.append(values)
        return got

    names = [spawn.__name__ for spawn in spawners()]
    got = await app.invoke(fn, run_id="r1")
    assert got == [{str(n): f"{name} {n}" for n in (1, 2, 3)} for name in names]
    world.check(**{f"{name} {n}": 1 for name in names for n in (1, 2, 3)})
