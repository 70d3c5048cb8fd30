"""A run in this process: retried, rolled back, held, cancelled, and taken up after a crash anywhere."""

from __future__ import annotations

import logging

import anyio
import attrs
import pytest

from plait._strands._durable import arrivals
from plait._strands._durable.context import Context
from plait._strands._durable.event import Event, FunctionFailed
from plait._strands._durable.middleware import Middleware
from plait._strands._durable.triggers import TriggerEvent
from plait.errors import (
    DeterminismError,
    NonRetriableError,
    RunCancelledError,
    RunHeldError,
    StepError,
)
from plait.retry import ConstantDelayRetryPolicy
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.crashing import World, app_of, declare, ended_steps, lives, nap
from tests.strands.events.journal.lives import Kept

THREE = ConstantDelayRetryPolicy(maximum_attempts=3, delay=5)


def kinds(journal, run_id="r1"):
    return [e.kind for entries in journal.appends for e in entries if e.stream == run_id]


# ------------------------------------------------------------------ crashes


@in_virtual_time
async def test_steps_in_sequence_beside_one_another_and_a_sleep():
    def make(app, world):
        async def body(ctx: Context) -> object:
            first = await ctx.step.run("a", world.step("a", 1, seconds=3))
            both = await ctx.group.parallel(
                (
                    lambda: ctx.step.run("b", world.step("b", 2, seconds=2)),
                    lambda: ctx.step.run("c", world.step("c", 3, seconds=1)),
                )
            )
            await ctx.step.sleep("nap", 10)
            return [first, *both, await ctx.step.run("d", world.step("d", 4))]

        return declare(app, body)

    result, world, _ = await lives(make)
    assert result == [1, 2, 3, 4]
    assert world.ran == {"a": 1, "b": 1, "c": 1, "d": 1}


@in_virtual_time
async def test_a_completed_step_never_runs_again():
    journal, first = Kept(), World()

    async def run(world, kept):
        app = app_of(kept)

        async def body(ctx: Context) -> None:
            for name in "abc":
                await ctx.step.run(name, world.step(name))

        await app.invoke(declare(app, body), run_id="r1")

    await run(first, journal)
    for cut in range(len(journal.appends)):
        left, again = journal.killed_after(cut), World()
        done = {key for _, key in ended_steps(left)}
        await run(again, left)
        for name in "abc":
            assert again.ran[name] == (f'[[],"{name}",0]' not in done)


@in_virtual_time
async def test_a_run_that_a_worker_had_is_taken_up_by_the_next_one_after_a_crash_anywhere():
    def make(journal):
        app, world = app_of(journal), World()

        async def body(ctx: Context) -> int:
            total = 0
            for name in "abc":
                total += await ctx.step.run(name, world.step(name, 1, seconds=1))
            return total

        declare(app, body)
        return app, world

    journal = Kept()
    app, _ = make(journal)
    async with app.serve() as worker:
        await app.send([Event(name="begin", id=f"e{n}") for n in range(2)])
        await worker.drain()
    for cut in range(len(journal.appends)):
        left = journal.killed_after(cut)
        app, _ = make(left)
        async with app.serve() as worker:
            await app.send([Event(name="begin", id=f"e{n}") for n in range(2)])
            await worker.drain()
            runs = await app.runs()
        assert [run.status for run in runs] == ["completed"] * 2


# ------------------------------------------------------------------ retries of the body


@in_virtual_time
async def test_a_body_that_raises_is_tried_again_with_its_memos():
    def make(app, world):
        async def body(ctx: Context) -> list[int]:
            await ctx.step.run("a", world.step("a", seconds=1))
            world.log.append(ctx.attempt)
            if ctx.attempt < 2:
                raise ValueError(ctx.attempt)
            return [ctx.attempt]

        return declare(app, body, retries=THREE)

    began = anyio.current_time()
    app, world = app_of(), World()
    assert await app.invoke(make(app, world)) == [2]
    assert anyio.current_time() - began == pytest.approx(11, abs=0.1)
    assert world.log == [0, 1, 2]
    assert world.ran == {"a": 1}
    result, _, journal = await lives(make)
    assert result == [2]
    assert kinds(journal).count("run.retrying") == 2


@in_virtual_time
async def test_the_last_failure_fails_the_run():
    def make(app, world):
        async def body(ctx: Context) -> None:
            raise ValueError(f"attempt {ctx.attempt}")

        return declare(app, body, retries=THREE)

    result, _, journal = await lives(make)
    assert result == ("ValueError", "attempt 2")
    assert kinds(journal)[-1] == "run.failed"


@in_virtual_time
async def test_what_is_final_is_not_tried_again():
    def make(app, world):
        async def body(ctx: Context) -> None:
            world.log.append(ctx.attempt)
            raise NonRetriableError("no")

        return declare(app, body)

    result, world, _ = await lives(make)
    assert result == ("NonRetriableError", "no")
    assert world.log == [0]


@in_virtual_time
async def test_a_result_that_cannot_be_recorded_fails_the_run():
    app, world = app_of(), World()

    async def body(ctx: Context):
        world.log.append(ctx.attempt)
        return object()

    with pytest.raises(NonRetriableError, match="Annotate"):
        await app.invoke(declare(app, body))
    assert world.log == [0]


@in_virtual_time
async def test_the_delay_goes_on_after_a_restart():
    journal = Kept()

    def make():
        app = app_of(journal)

        async def body(ctx: Context) -> int:
            if not ctx.attempt:
                raise ValueError
            return ctx.attempt

        return app, declare(
            app, body, retries=ConstantDelayRetryPolicy(maximum_attempts=2, delay=100)
        )

    app, fn = make()
    began = anyio.current_time()
    with anyio.move_on_after(60):
        await app.invoke(fn, run_id="r1")
    app, fn = make()
    assert await app.invoke(fn, run_id="r1") == 1
    assert anyio.current_time() - began == pytest.approx(100, abs=1)


# ------------------------------------------------------------------ rollbacks


def booking(fails):
    """A function that books three things and then ends like this; what is undone is witnessed."""

    def make(app, world):
        def undoes(name):
            async def undo(value):
                world.log.append((name, value))
                await nap(1)

            return undo

        async def body(ctx: Context) -> None:
            for name in "abc":
                await ctx.step.run(name, world.step(name, name * 2), rollback=undoes(name))
            await fails(ctx)

        return declare(app, body, retries=0)

    return make


@in_virtual_time
async def test_a_failed_run_is_rolled_back_the_last_step_first():
    async def fails(ctx):
        raise ValueError("too bad")

    result, world, journal = await lives(booking(fails))
    assert result == ("ValueError", "too bad")
    assert world.log == [("c", "cc"), ("b", "bb"), ("a", "aa")]
    assert kinds(journal)[-1] == "run.failed"


@in_virtual_time
async def test_each_step_is_rolled_back_once_after_a_crash_anywhere():
    async def fails(ctx):
        raise ValueError("too bad")

    _, _, journal = await lives(booking(fails))
    for cut in range(len(journal.appends)):
        left = journal.killed_after(cut)
        undone = [key for _, key in ended_steps(left) if "rollback" in key]
        again = World()
        app = app_of(left)
        fn = booking(fails)(app, again)
        with pytest.raises(ValueError, match="too bad"):
            await app.invoke(fn, run_id="r1")
        names = [name for name, _ in again.log]
        assert names == [name for name in "cba" if not any(f'"{name}"' in key for key in undone)]


@in_virtual_time
async def test_a_rollback_that_fails_stops_nobody_and_is_in_the_notes():
    app, log = app_of(), []

    async def one() -> int:
        return 1

    async def fails(value):
        raise OSError("cannot undo")

    async def undo(value):
        log.append(value)

    async def body(ctx: Context) -> None:
        await ctx.step.run("a", one, rollback=undo)
        await ctx.step.run("b", one, rollback=fails, retry=0)
        raise ValueError("too bad")

    fn = declare(app, body, retries=0)
    for _ in range(2):
        with pytest.raises(ValueError, match="too bad") as caught:
            await app.invoke(fn, run_id="r1")
        assert "the rollback of step 'b' failed as well: OSError: cannot undo" in (
            caught.value.__notes__
        )
    assert log == [1]


@in_virtual_time
async def test_a_run_that_is_cancelled_for_good_is_rolled_back():
    app, log = app_of(), []

    async def one() -> int:
        return 1

    async def undo(value):
        log.append(("undone", value))

    async def body(ctx: Context) -> None:
        await ctx.step.run("a", one, rollback=undo)
        try:
            await ctx.step.sleep("nap", 1000)
        finally:
            log.append("clean")

    fn = declare(app, body)

    async def cancels():
        await anyio.sleep(5)
        await app.cancel("r1")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancels)
        with pytest.raises(RunCancelledError):
            await app.invoke(fn, run_id="r1")
    assert log == ["clean", ("undone", 1)]


@in_virtual_time
async def test_a_suspension_rolls_nothing_back():
    app, log = app_of(), []

    async def one() -> int:
        return 1

    async def body(ctx: Context) -> int:
        value = await ctx.step.run("a", one, rollback=log.append)
        await ctx.step.sleep("nap", 100)
        return value

    fn = declare(app, body)
    with anyio.move_on_after(5):
        await app.invoke(fn, run_id="r1")
    assert await app.invoke(fn, run_id="r1") == 1
    assert log == []


@in_virtual_time
@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5])
async def test_rollbacks_go_on_after_a_suspension(seconds):
    async def fails(ctx):
        raise ValueError("too bad")

    app, world = app_of(), World()
    fn = booking(fails)(app, world)
    with anyio.move_on_after(seconds):
        await app.invoke(fn, run_id="r1")
    with pytest.raises(ValueError, match="too bad"):
        await app.invoke(fn, run_id="r1")
    names = [name for name, _ in world.log]
    assert sorted({*names}) == ["a", "b", "c"]
    assert len(names) == 4  # the one that was in flight twice


# ------------------------------------------------------------------ runs that are held


def two_versions(app, log, *, handler="charge"):
    async def charge() -> int:
        log.append("charge")
        return 1

    async def refund() -> int:
        log.append("refund")
        return 2

    chosen = {"charge": charge, "refund": refund}[handler]

    async def body(ctx: Context) -> int:
        value = await ctx.step.run("pay", chosen)
        await ctx.step.sleep("nap", 100)
        return value

    return declare(app, body)


@in_virtual_time
async def test_code_that_does_not_fit_holds_the_run_until_it_is_accepted():
    journal, log = Kept(), []
    app = app_of(journal)
    with anyio.move_on_after(5):
        await app.invoke(two_versions(app, log), run_id="r1")
    app = app_of(journal)
    fn = two_versions(app, log, handler="refund")
    with pytest.raises(DeterminismError, match=r"charge.*refund"):
        await app.invoke(fn, run_id="r1")
    assert [run.status for run in await app.runs()] == ["held"]
    with pytest.raises(DeterminismError):
        await app.resume("r1")
    assert await app.resume("r1", accept_changes=True) == 1
    assert log == ["charge"]


@in_virtual_time
async def test_a_worker_goes_on_beside_a_run_that_is_held_and_lets_it_go_to_who_resumes_it():
    journal, log = Kept(), []
    app = app_of(journal)
    with anyio.move_on_after(5):
        await app.invoke(two_versions(app, log), run_id="r1")
    app = app_of(journal)
    two_versions(app, log, handler="refund")
    async with app.serve() as worker:
        await worker.drain()
        assert [run.status for run in await app.runs()] == ["held"]
        await app.send(Event(name="begin"))
        await worker.drain()
        assert sorted(run.status for run in await app.runs()) == ["completed", "held"]
        assert await app.resume("r1", accept_changes=True) == 1
        await worker.drain()
    assert log == ["charge", "refund"]


@in_virtual_time
async def test_a_run_that_is_held_can_be_cancelled_for_good():
    journal = Kept()

    def make():
        app = app_of(journal)

        async def body(ctx: Context) -> None:
            await ctx.step.sleep("nap", 100)

        return app, body

    app, body = make()
    with anyio.move_on_after(5):
        await app.invoke(declare(app, body), run_id="r1")
    app, _ = make()  # and no such function
    async with app.serve() as worker:
        await worker.drain()
        assert [run.status for run in await app.runs()] == ["held"]
        await app.cancel("r1", reason="for good")
        await worker.drain()
        assert [run.status for run in await app.runs()] == ["cancelled"]


@in_virtual_time
async def test_a_run_that_is_resumed_in_vain_too_often_is_held():
    journal, log = Kept(), []

    def make():
        app = app_of(journal)

        async def body(ctx: Context) -> None:
            log.append("begun")
            await anyio.sleep(10)

        declare(app, body)
        return app

    app = make()
    await app.send(Event(name="begin", id="e"))
    for _ in range(3):
        async with make().serve(max_resumes=2):
            await anyio.sleep(1)
    assert log == ["begun"] * 3
    app = make()
    async with app.serve(max_resumes=2) as worker:
        await worker.drain()
        (run,) = await app.runs()
    assert log == ["begun"] * 3
    assert run.status == "held"
    assert await app.resume(run.run_id) is None


@in_virtual_time
async def test_another_source_holds_the_run_if_that_is_wanted(caplog):
    journal = Kept()

    async def first(ctx: Context) -> int:
        await ctx.step.sleep("nap", 100)
        return 1

    async def second(ctx: Context) -> int:
        await ctx.step.sleep("nap", 100)
        return 2

    app = app_of(journal)
    declare(app, first)
    await app.send(Event(name="begin"))
    async with app.serve():
        await anyio.sleep(5)
    app = app_of(journal)
    declare(app, second)
    async with app.serve(on_code_change="hold") as worker:
        await worker.drain()
        (run,) = await app.runs()
        assert run.status == "held"
    with caplog.at_level(logging.INFO, "plait"):
        assert await app.resume(run.run_id) == 2
    assert "another source" in caplog.text


@in_virtual_time
async def test_a_run_that_cannot_be_read_is_held_and_the_others_go_on():
    journal = Kept()
    app, world = app_of(journal), World()

    async def body(ctx: Context) -> None:
        await ctx.step.run("a", world.step("a", seconds=10))

    declare(app, body)
    await app.send([Event(name="begin"), Event(name="begin")])
    async with app.serve():
        await anyio.sleep(1)
    broken = min(name for name in journal._streams if "/" not in name)
    entries = journal._streams[broken].entries
    entries[1] = attrs.evolve(entries[1], body=b"{}")
    app = app_of(journal)
    declare(app, body)
    async with app.serve() as worker:
        await worker.drain()
        assert sorted(run.status for run in await app.runs()) == ["completed", "held"]
    async with app.serve() as worker:
        await worker.drain()
        assert sorted(run.status for run in await app.runs()) == ["completed", "held"]


# ------------------------------------------------------------------ cancelled while it is not alone


@in_virtual_time
async def test_a_run_is_cancelled_while_its_body_waits_for_the_next_attempt():
    app, log = app_of(), []

    async def one() -> int:
        return 1

    async def body(ctx: Context) -> None:
        await ctx.step.run("a", one, rollback=log.append)
        raise ValueError

    fn = declare(app, body, retries=ConstantDelayRetryPolicy(maximum_attempts=5, delay=100))

    async def cancels():
        await anyio.sleep(5)
        await app.cancel("r1")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancels)
        with pytest.raises(RunCancelledError):
            await app.invoke(fn, run_id="r1")
    assert log == [1]


@in_virtual_time
async def test_a_cancellation_that_is_on_disk_stands_after_a_crash():
    journal, log = Kept(), []

    def make(kept):
        app = app_of(kept)

        async def one() -> int:
            return 1

        async def undo(value):
            log.append("undone")

        async def body(ctx: Context) -> None:
            await ctx.step.run("a", one, rollback=undo)
            await ctx.step.sleep("nap", 1000)

        return app, declare(app, body)

    app, fn = make(journal)

    async def cancels():
        await anyio.sleep(5)
        await app.cancel("r1", reason="no more")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancels)
        with pytest.raises(RunCancelledError):
            await app.invoke(fn, run_id="r1")
    asked = next(
        n
        for n, entries in enumerate(journal.appends, 1)
        if any(entry.kind == "cancel.requested" for entry in entries)
    )
    for cut in range(asked, len(journal.appends) + 1):
        log.clear()
        left = journal.killed_after(cut)
        app, fn = make(left)
        with pytest.raises(RunCancelledError, match="no more"):
            await app.invoke(fn, run_id="r1")
        rolled_back = any("rollback" in key for _, key in ended_steps(journal.killed_after(cut)))
        assert log == ([] if rolled_back else ["undone"])
        app, fn = make(journal.killed_after(cut))
        async with app.serve() as worker:
            await worker.drain()
            assert [run.status for run in await app.runs()] == ["cancelled"]


# ------------------------------------------------------------------ what follows from an end


@in_virtual_time
async def test_on_failure_is_a_run_of_its_own_after_a_failure_and_not_after_a_cancellation():
    def make(journal, log):
        app = app_of(journal)

        async def on_failure(ctx: Context[FunctionFailed]) -> None:
            data = ctx.event.data
            log.append((ctx.attempt, ctx.run_id != data.run_id, data.function_id))
            log.append((str(data.error), data.event.name, len(data.events)))

        async def body(ctx: Context) -> None:
            if ctx.event.data:
                await ctx.step.sleep("nap", 100)
            raise ValueError("too bad")

        return app, declare(app, body, retries=0, on_failure=on_failure)

    journal, log = Kept(), []
    app, fn = make(journal, log)
    async with app.serve() as worker:
        await app.send(Event(name="begin", id="e1"))
        await worker.drain()
        cuts = len(journal.appends)
        with anyio.move_on_after(1):
            await app.invoke(fn, {"long": True}, run_id="r1")
        await app.cancel("r1")
        await worker.drain()
        with pytest.raises(RunCancelledError):
            await app.resume("r1")
    told = [(0, True, "shop-fn"), ("too bad", "begin", 1)]
    assert log == told
    for cut in range(1, cuts):
        again = []
        left = journal.killed_after(cut)
        app, _ = make(left, again)
        async with app.serve() as worker:
            await app.send(Event(name="begin", id="e1"))
            await worker.drain()
            runs = await app.runs(fn="shop-fn/on_failure")
        assert [run.status for run in runs] == ["completed"]
        assert again in ([], told)


@in_virtual_time
async def test_the_app_sends_events_about_its_runs():
    app, log = app_of(), []

    async def about(ctx: Context) -> None:
        log.append((ctx.event.name, ctx.event.data["function_id"], ctx.event.data["run_id"]))

    names = [f"plait/function.{what}" for what in ("finished", "failed", "cancelled")]
    expression = lambda e: e.data["function_id"] != "shop-about"  # noqa: E731
    triggers = [TriggerEvent(name, expression=expression) for name in names]
    declare(app, about, fn_id="about", trigger=triggers)

    async def body(ctx: Context) -> int:
        match ctx.event.data["how"]:
            case "well":
                return 1
            case "badly":
                raise ValueError("too bad")
            case _:
                await ctx.step.sleep("nap", 1000)
        return 2

    fn = declare(app, body, retries=0)
    async with app.serve() as worker:
        await app.invoke(fn, {"how": "well"}, run_id="r1")
        with pytest.raises(ValueError, match="too bad"):
            await app.invoke(fn, {"how": "badly"}, run_id="r2")
        with anyio.move_on_after(1):
            await app.invoke(fn, {"how": "long"}, run_id="r3")
        await app.cancel("r3")
        await worker.drain()
    assert sorted(log) == sorted(
        [
            (names[0], "shop-fn", "r1"),
            (names[1], "shop-fn", "r2"),
            (names[0], "shop-fn", "r2"),
            (names[2], "shop-fn", "r3"),
        ]
    )


@in_virtual_time
async def test_what_is_held_says_what_to_do():
    journal = Kept()
    app = app_of(journal)

    async def body(ctx: Context) -> None:
        await ctx.step.sleep("nap", 100)

    with anyio.move_on_after(5):
        await app.invoke(declare(app, body), run_id="r1")
    app = app_of(journal)
    with pytest.raises(RunHeldError, match="does not have"):
        await app.resume("r1")


@in_virtual_time
async def test_a_step_error_is_the_runs_own_error_and_a_group_of_them_as_well():
    def make(app, world):
        async def body(ctx: Context) -> None:
            await ctx.group.parallel(
                (
                    lambda: ctx.step.run("a", world.step("a", error=ValueError("a")), retry=0),
                    lambda: ctx.step.run("b", world.step("b", error=ValueError("b")), retry=0),
                ),
                on_error="wait",
            )

        return declare(app, body)

    app, world = app_of(), World()
    with pytest.raises(ExceptionGroup) as caught:
        await app.invoke(make(app, world))
    assert all(isinstance(error, StepError) for error in caught.value.exceptions)
    assert world.ran == {"a": 1, "b": 1}


@attrs.frozen
class Order:
    id: int


class Backwards(Middleware):
    """Seals values by writing them backwards."""

    def encode(self, data):
        return data[::-1]

    def decode(self, data):
        return data[::-1]


@in_virtual_time
@pytest.mark.parametrize("middleware", [(), (Backwards(),)], ids=["plain", "sealed"])
async def test_what_is_told_of_an_end_is_as_users_know_it(middleware):
    app, log = app_of(middleware=middleware), []

    async def about(ctx: Context) -> None:
        data = ctx.event.data
        log.append((data["event"]["data"], data.get("result"), data.get("error", {}).get("name")))

    about_fn = [
        TriggerEvent(
            f"plait/function.{what}", expression=lambda e: e.data["function_id"] == "shop-fn"
        )
        for what in ("finished", "failed")
    ]
    declare(app, about, fn_id="about", trigger=about_fn)

    async def told(ctx: Context[FunctionFailed]) -> None:
        log.append((ctx.event.data.event.data, str(ctx.event.data.error)))

    async def fails():
        raise OSError("no disk")

    async def body(ctx: Context[Order]) -> Order:
        if not ctx.event.data.id:
            await ctx.step.run("s", fails, retry=0)
        return ctx.event.data

    fn = declare(app, body, on_failure=told)
    async with app.serve() as worker:
        assert await app.invoke(fn, Order(1)) == Order(1)
        await worker.drain()
        assert log == [(Order(1), Order(1), None)]
        log.clear()
        with pytest.raises(StepError):
            await app.invoke(fn, Order(0))
        await worker.drain()
    told_of = "Step 's' failed: OSError: no disk"
    assert sorted(log, key=len) == [(Order(0), told_of), *[(Order(0), None, "OSError")] * 2]


@in_virtual_time
async def test_a_function_that_is_triggered_by_ends_is_not_triggered_by_its_own():
    app, log = app_of(), []

    async def about(ctx: Context) -> None:
        log.append(ctx.event.data["function_id"])
        raise ValueError("and fails")

    async def told(ctx: Context[FunctionFailed]) -> None:
        log.append("told")
        raise ValueError("fails as well")

    names = [f"plait/function.{what}" for what in ("finished", "failed", "cancelled")]
    declare(
        app, about, fn_id="about", trigger=[*map(TriggerEvent, names)], retries=0, on_failure=told
    )

    async def body(ctx: Context) -> None: ...

    declare(app, body)
    async with app.serve() as worker:
        await app.send(Event(name="begin"))
        await worker.drain()
    assert log == ["shop-fn", "told"]


@in_virtual_time
async def test_an_end_is_told_of_whatever_it_carries(monkeypatch, caplog):
    app, log = app_of(), []
    limit = 2000
    monkeypatch.setattr(arrivals.Events.__init__, "__kwdefaults__", {"max_value": limit})

    async def told(ctx: Context[FunctionFailed]) -> None:
        log.append((str(ctx.event.data.error), ctx.event.data.event.data))

    async def about(ctx: Context) -> None:
        log.append([*ctx.event.data])

    declare(app, about, fn_id="about", trigger=TriggerEvent("plait/function.failed"))

    async def body(ctx: Context) -> None:
        raise ValueError("too bad")

    declare(app, body, retries=0, on_failure=told)
    async with app.serve() as worker:
        await app.send(Event(name="begin", data={"much": "x" * (limit - 100)}))
        await worker.drain()
    assert ["function_id", "run_id", "error"] in log
    assert ("ValueError: too bad", None) in log
    assert "left out" in caplog.text
