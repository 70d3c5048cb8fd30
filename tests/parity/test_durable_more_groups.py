"""Beyond the rows: races, deadlines, rollbacks, and tasks that are spawned in all kinds of ways."""

import anyio
import pytest
import trio

from plait.durable import Context, Event, Failed, Ok, TriggerEvent, Winner
from plait.errors import RunCancelledError, StepError
from tests.parity.worlds import BEGIN, at_every_append, everywhere, left_after, restarted


class MyError(Exception):
    pass


# ---------------------------------------------------------------- modes


@at_every_append
async def test_any_takes_the_first_that_returns(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
    async def fn(ctx: Context) -> list[object]:
        winner = await ctx.group.parallel(
            (
                lambda: ctx.step.run("a", world.step("a", seconds=1, error=MyError("a"))),
                lambda: ctx.step.run("b", world.step("b", "b", seconds=100)),
                lambda: ctx.step.run("c", world.step("c", "c", seconds=2)),
            ),
            mode="any",
        )
        assert isinstance(winner, Winner)
        await ctx.step.run("next", world.step("next"))
        return [winner.branch, winner.value]

    assert await app.invoke(fn, run_id="r1") == [2, "c"]
    assert "b ends" not in world.log
    world.check(a=1, b=1, c=1, next=1)


@at_every_append
async def test_any_of_which_all_fail(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
    async def fn(ctx: Context) -> list[str]:
        with pytest.raises(ExceptionGroup) as caught:
            await ctx.group.parallel(
                (
                    lambda: ctx.step.run("a", world.step("a", seconds=2, error=MyError("a"))),
                    lambda: ctx.step.run("b", world.step("b", seconds=1, error=MyError("b"))),
                ),
                mode="any",
            )
        return [error.message for error in caught.value.exceptions]

    assert await app.invoke(fn, run_id="r1") == ["a", "b"]
    world.check(a=1, b=1)


@at_every_append
async def test_settled_tells_of_all(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
    async def fn(ctx: Context) -> list[object]:
        one, two, three = await ctx.group.parallel(
            (
                lambda: ctx.step.run("a", world.step("a", "a", seconds=3)),
                lambda: ctx.step.run("b", world.step("b", seconds=1, error=MyError("b"))),
                lambda: ctx.step.sleep("nap", 2),
            ),
            mode="settled",
        )
        assert isinstance(two, Failed)
        return [one == Ok("a"), two.error.message, three == Ok(None)]

    assert await app.invoke(fn, run_id="r1") == [True, "b", True]
    world.check(a=1, b=1)


@at_every_append
async def test_a_race_that_a_failure_wins(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
    async def fn(ctx: Context) -> str:
        with pytest.raises(StepError, match="a fails"):
            await ctx.group.parallel(
                (
                    lambda: ctx.step.run("a", world.step("a", seconds=1, error=MyError("a fails"))),
                    lambda: ctx.step.run("b", world.step("b", seconds=100)),
                ),
                mode="race",
            )
        return await ctx.step.run("next", world.step("next", "went on"))

    assert await app.invoke(fn, run_id="r1") == "went on"
    world.check(a=1, b=1, next=1)


@everywhere
async def test_the_winner_stays_the_winner_over_a_restart(world):
    """In the second life the one that has lost would be the faster one."""
    lives = []

    def make(app):
        lives.append(None)
        slow, fast = ("a", "b") if len(lives) == 1 else ("b", "a")

        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> str:
            delays = {slow: 3, fast: 1}
            winner = await ctx.group.parallel(
                (
                    lambda: ctx.step.run("a", world.step("a", "a", seconds=delays["a"])),
                    lambda: ctx.step.run("b", world.step("b", "b", seconds=delays["b"])),
                ),
                mode="race",
            )
            await ctx.step.sleep("nap", 10)
            return winner.value

        return fn

    assert await restarted(world, make) == "b"
    world.check(a=1, b=1)


@at_every_append
async def test_map_with_a_limit(world):
    app = world.app()
    going = []

    async def works(n: int) -> int:
        world.ran(f"item {n}")
        going.append(n)
        assert len(going) <= 2
        try:
            await anyio.sleep(5 - n)
        finally:
            going.remove(n)
        return n * n

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[int]:
        return list(await ctx.group.map("m", works, range(4), limit=2))

    assert await app.invoke(fn, run_id="r1") == [0, 1, 4, 9]
    world.check(**{f"item {n}": 1 for n in range(4)})


# ---------------------------------------------------------------- deadlines


@at_every_append
async def test_a_deadline_inside_a_body(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[object]:
        with ctx.move_on_after(5) as scope:
            await ctx.step.run("quick", world.step("quick", seconds=1))
            await ctx.step.run("slow", world.step("slow", seconds=100))
        with pytest.raises(TimeoutError), ctx.fail_after(5):
            await ctx.step.sleep("nap", 100)
        with ctx.move_on_after(5) as unused:
            last = await ctx.step.run("last", world.step("last", "last", seconds=1))
        return [scope.cancelled_caught, unused.cancelled_caught, last]

    assert await app.invoke(fn, run_id="r1") == [True, False, "last"]
    assert "slow ends" not in world.log
    world.check(quick=1, slow=1, last=1)


@everywhere
async def test_the_clock_of_a_deadline_does_not_start_again(world):
    def make():
        app = world.app()

        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> bool:
            with ctx.move_on_after(10) as scope:
                await ctx.step.wait_for_event("wait", event="answer", timeout=1000)
            await ctx.step.run("s", world.step("s"))
            return scope.cancelled_caught

        return app, fn

    for _ in range(2):
        app, fn = make()
        await left_after(4, app, fn)
    app, fn = make()
    assert await app.invoke(fn, run_id="r1") is True
    assert world.elapsed == pytest.approx(10, abs=0.1)
    world.check(s=1)


# ---------------------------------------------------------------- rollbacks


def undoes(world, name):
    async def undo(value: str) -> None:
        world.ran(f"undo {name}")
        world.log.append(f"undo {name} of {value}")

    return undo


@at_every_append
async def test_rollbacks_after_a_failure(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
    async def fn(ctx: Context) -> None:
        for name in "abc":
            await ctx.step.run(name, world.step(name, name.upper()), rollback=undoes(world, name))
        await ctx.step.run(
            "fails", world.step("fails", error=MyError("no")), rollback=undoes(world, "fails")
        )

    with pytest.raises(StepError, match="no"):
        await app.invoke(fn, run_id="r1")
    undone = [line for line in world.log if line.startswith("undo")]
    assert [*dict.fromkeys(undone)] == ["undo c of C", "undo b of B", "undo a of A"]
    (run,) = await app.runs()
    assert (run.status, run.error.message) == ("failed", "no")
    names = ["a", "b", "c", "fails", "undo a", "undo b", "undo c"]
    world.check(**dict.fromkeys(names, 1))


@at_every_append
async def test_a_rollback_that_fails_does_not_stop_the_others(world):
    app = world.app()

    async def fails(value: object) -> None:
        world.ran("undo b")
        raise OSError("cannot undo b")

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
    async def fn(ctx: Context) -> None:
        await ctx.step.run("a", world.step("a", "A"), rollback=undoes(world, "a"))
        await ctx.step.run("b", world.step("b", "B"), rollback=fails)
        raise MyError("no")

    with pytest.raises(MyError, match="no") as caught:
        await app.invoke(fn, run_id="r1")
    assert "cannot undo b" in "\n".join(caught.value.__notes__)
    world.check(**{"a": 1, "b": 1, "undo a": 1, "undo b": 1})


@at_every_append
async def test_rollbacks_after_a_cancellation(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> None:
        await ctx.step.run("a", world.step("a", "A"), rollback=undoes(world, "a"))
        await ctx.step.run("slow", world.step("slow", seconds=1000), rollback=undoes(world, "slow"))

    async def cancels():
        await anyio.sleep(5)
        await app.cancel("r1", reason="no more")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancels)
        with pytest.raises(RunCancelledError, match="no more"):
            await app.invoke(fn, run_id="r1")
    assert "slow ends" not in world.log
    world.check(**{"a": 1, "slow": 1, "undo a": 1})


@everywhere
async def test_nothing_is_rolled_back_on_suspension(world):
    def make(app):
        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> str:
            got = await ctx.step.run("a", world.step("a", "A"), rollback=undoes(world, "a"))
            await ctx.step.sleep("nap", 10)
            return got

        return fn

    assert await restarted(world, make) == "A"
    world.check(a=1)


# ---------------------------------------------------------------- tasks


@at_every_append
async def test_a_task_that_is_started_and_goes_on(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[str]:
        got: list[str] = []

        async def serves(*, task_status: anyio.abc.TaskStatus[str]) -> None:
            ready = await ctx.step.run("s", world.step("ready", "ready", seconds=1))
            task_status.started(ready)
            got.append(await ctx.step.run("s", world.step("served", "served", seconds=5)))

        async with anyio.create_task_group() as tasks:
            got.append(await tasks.start(serves))
            got.append(await ctx.step.run("s", world.step("body", "body", seconds=1)))
        return got

    assert await app.invoke(fn, run_id="r1") == ["ready", "body", "served"]
    world.check(ready=1, served=1, body=1)


@at_every_append
async def test_a_task_that_spawns_into_the_nursery_of_another(world):
    """Ids come from who spawns, not from where: two tasks spawn into one nursery, in any order."""
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> dict[str, str]:
        got: dict[str, str] = {}

        async def leaf(name: str, seconds: float) -> None:
            got[name] = await ctx.step.run("leaf", world.step(name, name, seconds=seconds))

        async def spawns(tasks, name: str, seconds: float) -> None:
            await ctx.step.run("before", world.step(f"before {name}", seconds=seconds))
            for n in (1, 2):
                tasks.start_soon(leaf, f"{name}{n}", seconds * n)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(spawns, tasks, "a", 2)
            tasks.start_soon(spawns, tasks, "b", 1)
        return got

    names = ["a1", "a2", "b1", "b2"]
    assert await app.invoke(fn, run_id="r1") == {name: name for name in names}
    world.check(**dict.fromkeys([*names, "before a", "before b"], 1))


@at_every_append
async def test_the_nursery_of_a_group(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[str]:
        got: dict[int, str] = {}

        async def one(n: int) -> None:
            got[n] = await ctx.step.run("s", world.step(f"s{n}", f"s{n}", seconds=4 - n))

        async with ctx.group.open() as tasks:
            for n in range(3):
                tasks.start_soon(one, n)
        return [got[n] for n in range(3)]

    assert await app.invoke(fn, run_id="r1") == ["s0", "s1", "s2"]
    world.check(s0=1, s1=1, s2=1)


@everywhere
async def test_a_step_under_a_deadline_of_the_loops_does_not_run_again(world):
    """The raw deadline starts anew in each process."""

    def make(app):
        @app.create_function(fn_id="fn", trigger=BEGIN)
        async def fn(ctx: Context) -> str:
            with anyio.move_on_after(2):
                await ctx.step.run("slow", world.step("slow", seconds=100))
            await ctx.step.sleep("nap", 10)
            return await ctx.step.run("s", world.step("s", "done"))

        return fn

    assert await restarted(world, make) == "done"
    world.check(slow=1, s=1)


@at_every_append
async def test_children_of_branches(world):
    """Children of one function, from branches that race: those of the loser are cancelled."""
    app = world.app()

    @app.create_function(fn_id="child", trigger=TriggerEvent(event="child"))
    async def child(ctx: Context) -> str:
        name = ctx.event.data["name"]
        return await ctx.step.run("s", world.step(name, name, seconds=ctx.event.data["seconds"]))

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> str:
        async def branch(name: str, seconds: float) -> str:
            data = {"name": name, "seconds": seconds}
            return await ctx.step.invoke("child", function=child, data=data)

        winner = await ctx.group.parallel(
            (lambda: branch("slow", 100), lambda: branch("fast", 1)), mode="race"
        )
        return winner.value

    assert await app.invoke(fn, run_id="r1") == "fast"
    runs = {run.run_id: run.status for run in await app.runs(fn=child)}
    assert sorted(runs.values()) == ["cancelled", "completed"]
    assert "slow ends" not in world.log
    world.check(slow=1, fast=1)


@at_every_append
async def test_what_a_step_sends_is_sent_once(world):
    app = world.app()

    @app.create_function(fn_id="other", trigger=TriggerEvent(event="other"))
    async def other(ctx: Context) -> None:
        await ctx.step.run("s", world.step(f"other {ctx.event.data['n']}"))

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> bool:
        sent = [Event(name="other", data={"n": n}) for n in range(2)]
        ids = await ctx.step.send_event("send", sent)
        await ctx.step.run("s", world.step("s"))
        return len({*ids}) == 2

    assert await app.invoke(fn, run_id="r1") is True
    async with app.serve() as worker:
        await worker.drain()
    assert len(await app.runs(fn=other)) == 2
    world.check(**{"s": 1, "other 0": 1, "other 1": 1})


@at_every_append
async def test_a_nursery_of_trio_in_a_race(world):
    """A branch may hold any code: a nursery, and a group in it."""
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> list[object]:
        got: list[str] = []

        async def one(n: int) -> None:
            got.append(await ctx.step.run("s", world.step(f"s{n}", f"s{n}", seconds=n)))

        async def inner() -> None:
            async with trio.open_nursery() if in_trio() else anyio.create_task_group() as nursery:
                for n in (1, 2, 50):
                    nursery.start_soon(one, n)

        winner = await ctx.group.parallel((inner, lambda: ctx.step.sleep("nap", 10)), mode="race")
        return [winner.branch, got]

    assert await app.invoke(fn, run_id="r1") == [1, ["s1", "s2"]]
    assert "s50 ends" not in world.log
    world.check(s1=1, s2=1, s50=1)


def in_trio():
    return trio.lowlevel.in_trio_task()
