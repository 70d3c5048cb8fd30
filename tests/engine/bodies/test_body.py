"""Three kinds of cancellation, told apart; and nothing outlives the body's scope."""

import asyncio
import gc
import random
import signal

import anyio
import pytest
import trio

import plait.testing
from plait._engine import native
from plait._engine.bodies.body import Ended, Raised, Returned, Suspended
from plait.errors import PlaitInternalError, RunSuspended
from tests.engine.bodies.toy import live, make, turns

TRIALS = 400


async def cancelled_from_outside(draw):
    """Cancel the caller's scope at some moment; see what each task of the body knew by then."""
    toy = make()
    backend = native.current()
    knew = []
    over = []

    async def waits(how):
        try:
            if how == "call":
                await toy.call("a")
            elif how == "spin":
                while True:
                    await turns(1)
            else:
                await backend.event().wait()
        except backend.cancelled:
            knew.append(toy.body.suspending)
            with backend.cancel_scope(shield=True):
                await turns(draw.randint(0, 3))
            over.append(how)
            raise

    async def function():
        async with backend.open_nursery() as nursery:
            for how in ["call", "spin", "event"]:
                nursery.start_soon(waits, how)
            await waits("event")

    with backend.cancel_scope() as scope:
        async with backend.open_nursery() as nursery:

            async def cancels():
                await turns(draw.randint(0, 12))
                scope.cancel()

            nursery.start_soon(cancels)
            await toy.body.run(function)
            raise AssertionError("the cancellation comes out")
    assert scope.cancelled_caught
    assert len(over) == len(knew), "the caller has waited for every clean-up"
    assert toy.body.ending == Suspended() or toy.body.ending is None
    assert toy.cancelled == [], "a suspension is no cancelled step"
    return knew


def test_nobody_sees_cancelled_before_the_mark_on_trio():
    seeds = iter(range(TRIALS))
    knew = []

    async def main():
        for seed in range(TRIALS):
            knew.extend(await cancelled_from_outside(random.Random(seed)))

    plait.testing.run(main)

    @plait.testing.explore_schedules(examples=TRIALS // 2)
    async def explored():
        knew.extend(await cancelled_from_outside(random.Random(next(seeds))))

    explored()
    assert len(knew) > 2 * TRIALS
    assert all(knew)


def test_nobody_sees_cancelled_before_the_mark_on_asyncio():
    knew = []

    async def main():
        for seed in range(TRIALS):
            knew.extend(await cancelled_from_outside(random.Random(seed)))

    asyncio.run(main())
    assert len(knew) > 2 * TRIALS
    assert all(knew)


def test_nor_if_the_caller_is_cancelled_by_asyncio_itself():
    knew = []

    async def main():
        for seed in range(TRIALS):
            draw = random.Random(seed)
            toy = make()

            async def function(toy=toy):
                async with asyncio.TaskGroup() as group:
                    for k in range(3):
                        group.create_task(waits(toy, k))

            async def waits(toy, k):
                try:
                    await (toy.call("a") if k else asyncio.sleep(1000))
                except asyncio.CancelledError:
                    knew.append(toy.body.suspending)
                    raise

            task = asyncio.create_task(toy.body.run(function))
            await turns(draw.randint(3, 9))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert toy.body.ending in (Suspended(), None)

    asyncio.run(main())
    assert len(knew) > 2 * TRIALS
    assert all(knew)


# ------------------------------------------------------------------------------ what it comes to


@pytest.mark.anyio
@pytest.mark.parametrize("clean_up", ["plain", "raises", "returns"])
@pytest.mark.parametrize("cause", ["suspend", "end", "inside"])
async def test_the_three_kinds_are_told_apart(anyio_backend, cause, clean_up):
    toy = make()
    backend = native.current()
    error = ValueError("in the clean-up")

    async def function():
        with backend.cancel_scope() as scope:
            try:
                if cause == "suspend":
                    toy.body.suspend()
                elif cause == "end":
                    toy.body.end("timeout")
                else:
                    scope.cancel()
                await turns(2)
            except backend.cancelled:
                if clean_up == "raises":
                    raise error from None
                if clean_up == "plain":
                    raise
            return "caught"
        return "goes on"

    ending = await toy.body.run(function)
    raised = error if clean_up == "raises" else None
    if cause == "suspend":
        assert ending == Suspended(raised), "what it returns or raises is no outcome"
    elif cause == "end":
        assert ending == Ended("timeout", raised)
    elif raised:
        assert ending == Raised(error)
    else:
        assert ending == Returned("goes on" if clean_up == "plain" else "caught")
    assert toy.body.suspending == (cause == "suspend")
    assert ending == toy.body.ending


@pytest.mark.anyio
async def test_suspending_a_body_that_plait_has_ended_and_the_first_reason_stays(anyio_backend):
    toy = make()

    async def function():
        toy.body.end("first")
        toy.body.end("second")
        await turns(1)

    assert await toy.body.run(function) == Ended("first")

    toy = make()

    async def is_suspended_as_well():
        toy.body.end("first")
        toy.body.suspend()
        await turns(1)

    assert await toy.body.run(is_suspended_as_well) == Suspended()
    assert toy.body.ended == Ended("first")
    toy.body.suspend()
    toy.body.end("after it is over")
    toy.body.look()


@pytest.mark.anyio
async def test_a_body_whose_caller_is_cancelled_already_does_not_begin(anyio_backend):
    toy = make()
    began = []

    async def function():
        began.append(1)

    with native.current().cancel_scope() as scope:
        scope.cancel()
        await toy.body.run(function)
    assert began == []
    with pytest.raises(PlaitInternalError, match="is not running"):
        toy.body.spawn(print, None, function)


@pytest.mark.anyio
async def test_what_a_clean_up_raised_is_known_though_the_cancellation_comes_out(anyio_backend):
    toy = make()

    async def function():
        try:
            scope.cancel()
            await native.current().event().wait()
        finally:
            raise KeyError("clean-up")

    with native.current().cancel_scope() as scope:
        await toy.body.run(function)
    assert isinstance(toy.body.ending, Suspended)
    assert repr(toy.body.ending.error) == "KeyError('clean-up')"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_in_the_function_suspends_it_and_comes_out(kind):
    async def main():
        toy = make()

        async def child():
            raise kind

        async def function():
            async with native.current().open_nursery() as nursery:
                nursery.start_soon(child)

        with pytest.raises(kind):
            await toy.body.run(function)
        assert isinstance(toy.body.ending, Suspended)
        assert toy.body.suspending

    trio.run(main)


def test_ctrl_c_in_the_host_suspends_the_body():
    knew = []

    async def main():
        toy = make()

        async def function():
            try:
                signal.raise_signal(signal.SIGINT)  # Trio gives it to the main task, which hosts
                await trio.sleep_forever()
            except trio.Cancelled:
                knew.append(toy.body.suspending)
                raise

        await toy.body.run(trio.lowlevel.enable_ki_protection(function))

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert knew == [True]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_first_task_that_asyncio_cancels_before_it_begins():
    async def main():
        toy = make()
        task = asyncio.create_task(toy.body.run(lambda: turns(1)))
        while not toy.body.rest.places:
            await asyncio.sleep(0)
            for other in asyncio.all_tasks() - {asyncio.current_task(), task}:
                other.cancel()
        assert await task == Suspended()

    asyncio.run(main())
    gc.collect()  # the coroutine that was never entered says so


# --------------------------------------------------------------------------- calls while suspending


@pytest.mark.anyio
async def test_calls_under_a_shield_raise_while_the_body_is_suspended(anyio_backend):
    """One that waits, one that is made then; one of which the outcome is recorded."""
    toy = make()
    backend = native.current()
    log = []

    async def shielded():
        try:
            with backend.cancel_scope(shield=True):
                await toy.call("waits under a shield")
        except RunSuspended:
            log.append("waits")
            raise

    async def in_finally():
        try:
            await backend.event().wait()
        finally:
            with backend.cancel_scope(shield=True):
                try:
                    await toy.call("in finally")
                except RunSuspended:
                    log.append("made")
            try:
                await toy.call("not under a shield")
            except backend.cancelled:
                log.append("cancelled")
                raise

    async def recorded():
        try:
            await toy.call("recorded")
        except backend.cancelled:
            log.append("recorded, and cancelled")
            raise

    async def function():
        async with backend.open_nursery() as nursery:
            nursery.start_soon(shielded)
            nursery.start_soon(in_finally)
            nursery.start_soon(recorded)
            while len(toy.waiting) < 2:
                await turns(1)
            toy.finish(((2,), "recorded", 0))
            toy.body.suspend()

    assert await toy.body.run(function) == Suspended()
    assert sorted(log) == ["cancelled", "made", "recorded, and cancelled", "waits"]
    assert toy.handed == []
    assert toy.cancelled == []
    assert not isinstance(RunSuspended(), Exception)


@pytest.mark.anyio
async def test_a_failure_beside_run_suspended_is_kept(anyio_backend):
    toy = make()
    backend = native.current()

    async def shielded():
        with backend.cancel_scope(shield=True):
            await toy.call("a")

    async def fails():
        try:
            await backend.event().wait()
        finally:
            raise KeyError("b")

    async def function():
        async with backend.open_nursery() as nursery:
            nursery.start_soon(shielded)
            nursery.start_soon(fails)
            await turns(3)
            toy.body.suspend()

    ending = await toy.body.run(function)
    assert isinstance(ending, Suspended)
    assert isinstance(ending.error, ExceptionGroup)
    assert [repr(error) for error in ending.error.exceptions] == ["KeyError('b')"]


@pytest.mark.anyio
async def test_what_plait_itself_fails_with_comes_out(anyio_backend):
    toy = make()
    cleaned = []

    def breaks():
        raise OSError("the brain")

    async def function():
        toy.at_rest, toy.has_outcomes = breaks, lambda: True
        try:
            await toy.call("a")
        finally:
            cleaned.append(1)

    with pytest.raises(OSError, match="the brain"):
        await toy.body.run(function)
    assert cleaned == [1]
    assert toy.body.ending == Suspended()


@pytest.mark.anyio
async def test_many_bodies_in_one_loop(anyio_backend):
    """Each comes to rest by itself, and its outcomes are its own."""

    async def function(toy):
        async with native.current().open_nursery() as nursery:
            for k in range(3):
                nursery.start_soon(toy.call, f"step {k}")
        return len(toy.handed)

    endings = []

    async def one(seed):
        toy = await live(function, random.Random(seed))
        endings.append(toy.ending)

    async with anyio.create_task_group() as group:
        for seed in range(20):
            group.start_soon(one, seed)
    assert endings == [Returned(3)] * 20
