"""Functions that invoke functions: the child lives in its parent, and ends with it."""

from __future__ import annotations

import anyio
import pytest

from plait._engine import native
from plait._strands._durable.context import Context
from plait._strands._durable.event import Event
from plait._strands._durable.options import Concurrency, RateLimit
from plait._strands._durable.triggers import TriggerEvent
from plait.errors import InvokeTimeoutError, RunCancelledError, RunSkippedError, StepError
from tests.parity.clocks import in_virtual_time
from tests.strands.durable.crashing import World, app_of, declare, ended_steps, lives, nap
from tests.strands.events.journal.lives import Kept


def family(app, world, *, seconds=3, fails=False, timeout=None, **options):
    """A parent that invokes a child, which has a step."""

    async def child(ctx: Context) -> dict[str, int]:
        try:
            value = await ctx.step.run("in-child", world.step("in-child", 1, seconds=seconds))
            if fails:
                raise OSError("the child fails")
            return {"value": value, "n": ctx.event.data.get("n", 0)}
        finally:
            with anyio.CancelScope(shield=True):
                await nap(1)
                world.log.append("clean child")

    inner = declare(app, child, fn_id="child", retries=0, **options)

    async def parent(ctx: Context) -> object:
        await ctx.step.run("before", world.step("before"))
        got = await ctx.step.invoke("call", function=inner, data={"n": 5}, timeout=timeout)
        world.log.append("called")
        return [got, await ctx.step.run("after", world.step("after", 2))]

    return declare(app, parent, retries=0)


@in_virtual_time
async def test_a_child_returns_its_result_to_the_call():
    result, world, _ = await lives(family)
    assert result == [{"value": 1, "n": 5}, 2]
    assert world.ran == {"before": 1, "in-child": 1, "after": 1}
    assert world.log == ["clean child", "called"]


@in_virtual_time
async def test_no_step_of_a_child_runs_again_once_it_has_completed():
    journal = Kept()

    async def run(kept, world):
        app = app_of(kept)
        return await app.invoke(family(app, world), run_id="r1")

    await run(journal, World())
    runs = set()
    for cut in range(len(journal.appends)):
        left, again = journal.killed_after(cut), World()
        done = {key for _, key in ended_steps(left)}
        await run(left, again)
        for name in ("before", "in-child", "after"):
            assert again.ran[name] == (f'[[],"{name}",0]' not in done)
        runs |= {name for name in left._streams if "/" not in name}
    assert len(runs) == 2  # the parent and one child, whenever it crashed


@in_virtual_time
async def test_a_child_that_fails_is_a_step_error_with_its_name_and_message():
    def make(app, world):
        return family(app, world, fails=True)

    app, world = app_of(), World()
    with pytest.raises(StepError) as caught:
        await app.invoke(make(app, world))
    assert (caught.value.step_id, caught.value.name) == ("call", "OSError")
    assert caught.value.message == "the child fails"
    result, _, _ = await lives(make)
    assert result == ("StepError", "Step 'call' failed: OSError: the child fails")


@in_virtual_time
async def test_the_failure_of_a_child_s_step_has_the_name_of_what_its_handler_raised():
    app, world = app_of(), World()

    async def child(ctx: Context) -> None:
        await ctx.step.run("s", world.step("s", error=OSError("no disk")), retry=0)

    inner = declare(app, child, fn_id="child")

    async def parent(ctx: Context) -> None:
        await ctx.step.invoke("call", function=inner)

    with pytest.raises(StepError) as caught:
        await app.invoke(declare(app, parent), run_id="r1")
    assert (caught.value.step_id, caught.value.name) == ("call", "OSError")
    assert caught.value.message == "no disk"
    errors = {str(run.error) for run in await app.runs()}
    assert errors == {"OSError: no disk"}


@in_virtual_time
async def test_a_child_that_takes_too_long_is_cancelled_and_its_clean_up_is_over():
    app, world = app_of(), World()
    fn = family(app, world, seconds=1000, timeout=10)
    began = anyio.current_time()
    with pytest.raises(InvokeTimeoutError):
        await app.invoke(fn)
    assert anyio.current_time() - began == pytest.approx(11, abs=0.1)
    assert world.log == ["clean child"]
    assert sorted(run.status for run in await app.runs()) == ["cancelled", "failed"]


@in_virtual_time
async def test_the_timeout_of_a_child_goes_on_after_a_crash():
    def make(app, world):
        return family(app, world, seconds=1000, timeout=10)

    result, _, journal = await lives(make)
    assert result[0] == "InvokeTimeoutError"
    statuses = {name: one.status for name, one in journal._streams.items() if "/" not in name}
    assert sorted(statuses.values()) == ["cancelled", "failed"]


@in_virtual_time
async def test_a_child_is_suspended_with_its_parent_and_entered_again():
    journal, world = Kept(), World()
    app = app_of(journal)
    fn = family(app, world, seconds=10)
    with anyio.move_on_after(5):
        await app.invoke(fn, run_id="r1")
    assert world.log == ["clean child"]
    assert [run.status for run in await app.runs()] == ["running"] * 2
    app = app_of(journal)
    fn = family(app, world, seconds=10)
    assert await app.invoke(fn, run_id="r1") == [{"value": 1, "n": 5}, 2]
    assert world.ran == {"before": 1, "in-child": 2, "after": 1}


@in_virtual_time
async def test_a_child_is_cancelled_with_its_parent():
    app, world = app_of(), World()
    fn = family(app, world, seconds=1000)

    async def cancels():
        await anyio.sleep(5)
        await app.cancel("r1")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancels)
        with pytest.raises(RunCancelledError):
            await app.invoke(fn, run_id="r1")
    assert world.log == ["clean child"]
    assert [run.status for run in await app.runs()] == ["cancelled"] * 2


@in_virtual_time
async def test_a_child_that_loses_a_race_is_over_when_the_race_is():
    app, world = app_of(), World()

    async def child(ctx: Context) -> None:
        try:
            await ctx.step.sleep("nap", 1000)
        finally:
            with anyio.CancelScope(shield=True):
                await nap(2)
                world.log.append("clean child")

    inner = declare(app, child, fn_id="child")

    async def parent(ctx: Context) -> int:
        winner = await ctx.group.parallel(
            (
                lambda: ctx.step.invoke("call", function=inner),
                lambda: ctx.step.run("quick", world.step("quick", 1, seconds=5)),
            ),
            mode="race",
        )
        world.log.append("raced")
        return winner.branch

    assert await app.invoke(declare(app, parent)) == 1
    assert world.log == ["clean child", "raced"]
    assert sorted(run.status for run in await app.runs()) == ["cancelled", "completed"]


@in_virtual_time
async def test_a_child_waits_in_the_queue_of_its_function():
    app = app_of()

    async def child(ctx: Context) -> float:
        await ctx.step.sleep("nap", 10)
        return anyio.current_time()

    inner = declare(app, child, fn_id="child", concurrency=Concurrency(1, of="runs"))

    async def parent(ctx: Context) -> list[float]:
        ends = await ctx.group.parallel(
            (
                lambda: ctx.step.invoke("a", function=inner),
                lambda: ctx.step.invoke("b", function=inner),
            )
        )
        return sorted(ends)

    first, second = await app.invoke(declare(app, parent))
    assert second - first == pytest.approx(10, abs=0.1)


@in_virtual_time
async def test_a_child_that_flow_control_drops_fails_the_call():
    app, world = app_of(), World()
    fn = family(app, world, rate_limit=RateLimit(1, period=1000))
    await app.invoke(fn)
    with pytest.raises(StepError, match="rate_limit") as caught:
        await app.invoke(fn)
    assert caught.value.name == "RunSkippedError"


@pytest.mark.parametrize("key", ["ada", None])
@in_virtual_time
async def test_what_dropped_a_child_is_known_in_every_life_of_its_parent(key):
    def make(app, world):
        async def child(ctx: Context) -> str:
            return await ctx.step.run("in-child", world.step("in-child", "done"))

        def user(event: Event) -> str:
            return str(event.data["user"])

        limit = RateLimit(1, period=1000, key=None if key is None else user)
        inner = declare(app, child, fn_id="child", retries=0, rate_limit=limit)

        async def parent(ctx: Context) -> list[object]:
            data = {"user": "ada"}
            told: list[object] = [await ctx.step.invoke("one", function=inner, data=data)]
            try:
                await ctx.step.invoke("two", function=inner, data=data)
            except StepError as error:
                cause = error.__cause__
                assert isinstance(cause, RunSkippedError)
                told += [error.name, error.message, cause.knob, cause.key, str(cause)]
            return [*told, await ctx.step.run("after", world.step("after"))]

        return declare(app, parent, retries=0)

    result, _, _ = await lives(make)
    text = "The run was dropped by rate_limit" + ("" if key is None else f" for key {key!r}")
    assert result == ["done", "RunSkippedError", text, "rate_limit", key, text, None]


@in_virtual_time
async def test_children_of_a_worker_s_runs_and_of_children():
    app, world = app_of(), World()

    async def leaf(ctx: Context) -> int:
        return await ctx.step.run("leaf", world.step("leaf", 1, seconds=1))

    a = declare(app, leaf, fn_id="leaf", trigger=TriggerEvent("other"))

    async def middle(ctx: Context) -> int:
        return 1 + await ctx.step.invoke("call", function=a)

    b = declare(app, middle, fn_id="middle", trigger=TriggerEvent("other"))

    async def root(ctx: Context) -> int:
        return 1 + await ctx.step.invoke_by_id("call", function_id=b.id)

    declare(app, root)
    async with app.serve() as worker:
        await app.send([Event(name="begin") for _ in range(3)])
        await worker.drain()
        runs = await app.runs()
        assert {run.status for run in runs} == {"completed"}
        assert len(runs) == 9
    assert world.ran == {"leaf": 3}


@in_virtual_time
async def test_an_id_that_no_function_has_is_told_beside_those_that_there_are():
    app = app_of()

    async def fn(ctx: Context) -> object:
        return await ctx.step.invoke_by_id("call", function_id="other-leaf")

    function = declare(app, fn, retries=0)
    with pytest.raises(ValueError, match=f"(?m)no function 'other-leaf'. It has: '{function.id}'$"):
        await app.invoke(function)


@in_virtual_time
async def test_spawning_a_child_shifts_no_plain_task_of_the_body():
    app, world = app_of(), World()

    async def child(ctx: Context) -> int:
        return 1

    inner = declare(app, child, fn_id="child")

    async def parent(ctx: Context) -> None:
        await ctx.step.invoke("call", function=inner)

        async def one() -> None:
            await ctx.step.run("a", world.step("a"))

        async with native.current().open_nursery() as nursery:
            nursery.start_soon(one)

    journal = app.journal
    await app.invoke(declare(app, parent), run_id="r1")
    keys = [entry.key for entry in journal._streams["r1"].entries if entry.kind == "step.completed"]
    assert keys == ['[[],"call",0]', '[[0],"a",0]']


@in_virtual_time
async def test_events_are_sent_and_waited_for_between_runs():
    app = app_of()

    async def waits(ctx: Context) -> object:
        event = await ctx.step.wait_for_event("reply", event="reply", timeout=100)
        return None if event is None else event.data

    fn = declare(app, waits)

    async def sends(ctx: Context) -> list[str]:
        return await ctx.step.send_event("send", Event(name="reply", data={"n": 1}))

    other = declare(app, sends, fn_id="other")

    async def replies():
        await anyio.sleep(5)
        (sent,) = await app.invoke(other, run_id="r2")
        assert sent

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(replies)
        assert await app.invoke(fn, run_id="r1") == {"n": 1}


@in_virtual_time
async def test_handlers_have_slots():
    app, world = app_of(), World()
    busy = []

    async def handler(_: int) -> int:
        busy.append(1)
        world.log.append(len(busy))
        await nap(10)
        busy.pop()
        return 1

    async def body(ctx: Context) -> None:
        await ctx.group.map("a", handler, range(3))

    declare(app, body, concurrency=2)
    async with app.serve() as worker:
        began = anyio.current_time()
        await app.send([Event(name="begin"), Event(name="begin")])
        await worker.drain()
        assert anyio.current_time() - began == pytest.approx(30, abs=0.5)
    assert max(world.log) == 2


@in_virtual_time
async def test_entering_a_child_again_shifts_no_plain_task_of_the_body():
    def make(journal):
        app, world = app_of(journal), World()

        async def child(ctx: Context) -> int:
            return await ctx.step.run("in-child", world.step("in-child", 1, seconds=5))

        inner = declare(app, child, fn_id="child", trigger=TriggerEvent("other"))

        async def parent(ctx: Context) -> None:
            await ctx.group.parallel((lambda: ctx.step.sleep("long", 20), lambda: branch(ctx)))

        async def branch(ctx: Context) -> None:
            await nap(1)  # by then nothing is left to replay: the call enters the child by itself

            async def one() -> None:
                await ctx.step.run("a", world.step("a", 2))

            async with native.current().open_nursery() as nursery:
                await ctx.step.invoke("call", function=inner)
                nursery.start_soon(one)

        return app, declare(app, parent)

    journal = Kept()
    app, fn = make(journal)
    with anyio.move_on_after(3):
        await app.invoke(fn, run_id="r1")
    app, fn = make(journal)
    await app.invoke(fn, run_id="r1")
    ended = [e.key for e in journal._streams["r1"].entries if e.kind == "step.completed"]
    assert ended == [
        '[[["g",0,1]],"call",0]',
        '[[["g",0,1],0],"a",0]',
        '[[["g",0,0]],"long",0]',
    ]


@in_virtual_time
async def test_a_child_is_suspended_when_its_parent_is_held():
    journal, world = Kept(), World()

    def make(handler):
        app = app_of(journal)

        async def child(ctx: Context) -> None:
            try:
                await ctx.step.run("in-child", world.step("in-child", seconds=1000))
            finally:
                world.log.append("clean child")

        inner = declare(app, child, fn_id="child", trigger=TriggerEvent("other"))

        async def parent(ctx: Context) -> None:
            await ctx.group.parallel(
                (
                    lambda: ctx.step.invoke("call", function=inner),
                    lambda: changes(ctx),
                )
            )

        async def changes(ctx: Context) -> None:
            await ctx.step.sleep("nap", 10)
            await nap(5)  # by then nothing is left to replay, and the child is entered
            await ctx.step.run("step", handler)
            await ctx.step.sleep("long", 1000)

        declare(app, parent)
        return app

    async def before() -> None: ...

    async def now() -> None: ...

    app = make(before)
    await app.send(Event(name="begin"))
    async with app.serve():
        await nap(20)
    world.log.clear()
    app = make(now)
    async with app.serve() as worker:
        await worker.drain()
        assert world.log == ["clean child"]
        assert sorted(run.status for run in await app.runs()) == ["held", "running"]
