"""Rows 7 to 13: steps and functions that fail."""

import anyio
import pytest

from plait.durable import Context, current_step
from plait.errors import (
    NonRetriableError,
    NonRetriableStepError,
    RetryAfterError,
    StepError,
)
from plait.retry import ExponentialBackoffRetryPolicy
from tests.parity.worlds import BEGIN, at_every_append, everywhere, restarted

#: Delays of 1, 2 and 4 seconds.
FIXED = ExponentialBackoffRetryPolicy(
    maximum_attempts=4, initial_delay=1, multiplier=2, jitter=False
)


class MyError(Exception):
    pass


@at_every_append
async def test_row_007_a_step_fails_and_nobody_catches_it(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
    async def fn(ctx: Context) -> None:
        await ctx.step.run("s", world.step("s", error=MyError("no disk")))

    with pytest.raises(StepError) as caught:
        await app.invoke(fn, run_id="r1")
    assert (caught.value.step_id, caught.value.attempts) == ("s", 1)
    assert isinstance(caught.value.__cause__, MyError)
    (run,) = await app.runs()
    assert run.status == "failed"
    assert (run.error.name, run.error.message) == ("MyError", "no disk")
    world.check(s=1)


@at_every_append
async def test_row_008_a_step_that_always_fails(world):
    app = world.app()
    raised = []

    async def fails() -> None:
        world.ran("fails")
        raised.append(MyError("again"))
        raise raised[-1]

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=2)
    async def fn(ctx: Context) -> str:
        with pytest.raises(StepError) as caught:
            await ctx.step.run("s", fails)
        world.notes.append("caught")
        error = caught.value
        assert (error.step_id, error.attempts) == ("s", 3)
        assert (error.name, error.message) == ("MyError", "again")
        assert type(error.__cause__) is MyError
        assert str(error.__cause__) == "again"
        assert world.crashed or error.__cause__ is raised[-1]
        return "went on"

    assert await app.invoke(fn, run_id="r1") == "went on"
    assert world.notes == ["caught"] or (world.crashed and not world.notes)
    assert world.attempts("fails") == [0, 1, 2]
    world.check(fails=3)


@at_every_append
async def test_row_009_another_error_instead(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
    async def fn(ctx: Context) -> None:
        try:
            await ctx.step.run("s", world.step("s", error=OSError("no disk")))
        except StepError as error:
            raise MyError(f"because of {error.name}") from error

    with pytest.raises(MyError, match="because of OSError"):
        await app.invoke(fn, run_id="r1")
    (run,) = await app.runs(status="failed")
    assert (run.error.name, run.error.message) == ("MyError", "because of OSError")
    world.check(s=1)


@at_every_append
async def test_row_010_a_step_that_shall_not_be_tried_again(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=5)
    async def fn(ctx: Context) -> str:
        with pytest.raises(NonRetriableStepError, match="never") as caught:
            await ctx.step.run("s", world.step("s", error=NonRetriableError("never")))
        assert isinstance(caught.value, StepError)
        assert isinstance(caught.value, NonRetriableError)
        return "caught"

    assert await app.invoke(fn, run_id="r1") == "caught"
    world.check(s=1)


@at_every_append
async def test_row_010_uncaught(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=5)
    async def fn(ctx: Context) -> None:
        await ctx.step.run("s", world.step("s", error=NonRetriableError("never")))

    with pytest.raises(NonRetriableStepError, match="never"):
        await app.invoke(fn, run_id="r1")
    (run,) = await app.runs()
    assert (run.status, run.attempt) == ("failed", 0)
    world.check(s=1)


@at_every_append
async def test_row_011_caught_as_an_exception_and_remembered(world):
    def make(app):
        @app.create_function(fn_id="fn", trigger=BEGIN, retries=5)
        async def fn(ctx: Context) -> str:
            said = "nothing"
            try:
                await ctx.step.run("s", world.step("s", error=NonRetriableError("never")))
            except Exception as error:  # noqa: BLE001 - as a user may write it
                said = type(error).__name__
            await ctx.step.run("later", world.step("later", seconds=10))
            return said

        return fn

    assert await restarted(world, make) == "NonRetriableStepError"
    assert len([one for one in world.execs if one.name == "s" and not one.lost]) == 1
    assert len({one.idempotency_key for one in world.execs}) == 2


@at_every_append
async def test_row_012_a_step_asks_for_its_delay(world):
    app = world.app()

    async def busy() -> str:
        world.ran("busy")
        world.log.append(world.elapsed)
        if current_step().attempt == 0:
            raise RetryAfterError("busy", 7)
        return "fine"

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> str:
        return await ctx.step.run("s", busy)

    assert await app.invoke(fn, run_id="r1") == "fine"
    assert 7 <= world.log[-1] < 8
    world.check(busy=2)


@at_every_append
async def test_row_012_a_body_asks_for_its_delay(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN)
    async def fn(ctx: Context) -> int:
        await ctx.step.run("s", world.step("s"))
        if ctx.attempt == 0:
            raise RetryAfterError("busy", 7)
        return ctx.attempt

    assert await app.invoke(fn, run_id="r1") == 1
    assert 7 <= world.elapsed < 8
    world.check(s=1)


@at_every_append
async def test_row_013_an_error_between_steps(world):
    app = world.app()

    @app.create_function(fn_id="fn", trigger=BEGIN, retries=2)
    async def fn(ctx: Context) -> None:
        world.log.append(ctx.attempt)
        await ctx.step.run("s", world.step("s"))
        raise MyError(f"attempt {ctx.attempt}")

    with pytest.raises(MyError, match="attempt 2"):
        await app.invoke(fn, run_id="r1")
    attempts = [attempt for attempt in world.log if isinstance(attempt, int)]
    assert [*dict.fromkeys(attempts)] == [0, 1, 2]
    assert world.crashed or attempts == [0, 1, 2]
    (run,) = await app.runs()
    assert (run.status, run.attempt, run.error.message) == ("failed", 2, "attempt 2")
    world.check(s=1)


# ---------------------------------------------------------------- attempts survive


@everywhere
async def test_row_008_the_count_of_attempts_survives_and_so_does_the_delay(world):
    """The second attempt is due at 1, the third at 3, the fourth at 7; the process ends at 2 and at 4."""

    def make():
        app = world.app()

        async def fails() -> None:
            world.ran("fails")
            world.log.append(world.elapsed)
            raise MyError("again")

        @app.create_function(fn_id="fn", trigger=BEGIN, retries=FIXED)
        async def fn(ctx: Context) -> None:
            await ctx.step.run("s", fails)

        return app, fn

    for seconds in (2, 2):
        app, fn = make()
        with anyio.move_on_after(seconds):
            await app.invoke(fn, run_id="r1")
    app, fn = make()
    with pytest.raises(StepError) as caught:
        await app.invoke(fn, run_id="r1")
    assert caught.value.attempts == 4
    assert world.log == pytest.approx([0, 1, 3, 7])
    assert world.attempts("fails") == [0, 1, 2, 3]
    world.check(fails=4)


@everywhere
async def test_row_008_an_attempt_that_the_process_did_not_survive_uses_up_none(world):
    def make():
        app = world.app()

        @app.create_function(fn_id="fn", trigger=BEGIN, retries=0)
        async def fn(ctx: Context) -> str:
            return await ctx.step.run("s", world.step("s", "fine", seconds=3))

        return app, fn

    for _ in range(3):
        app, fn = make()
        with anyio.move_on_after(2):
            await app.invoke(fn, run_id="r1")
    app, fn = make()
    assert await app.invoke(fn, run_id="r1") == "fine"
    assert world.attempts("s") == [0]
    assert len({one.idempotency_key for one in world.execs}) == 1
    assert len(world.execs) == 4
