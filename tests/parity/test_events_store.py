"""Rows 89 to 94, and 7 for its part: `ctx.store`."""

import dataclasses
import re
import threading

import anyio
import anyio.lowlevel
import attrs
import pytest
import trio

import plait.testing
from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import ContextStateError, WorkflowRuntimeError

NESTED = "^writer called inside edit_state: mutate the yielded state instead$"


class Work(Event):
    n: int = 0


class Done(Event):
    pass


class Flow(Workflow):
    @step
    async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
        return StopEvent()


@pytest.fixture
def store():
    return Context(Flow()).store


# ---------------------------------------------------------------- 7


@pytest.mark.anyio
async def test_row_007_what_a_plain_step_stores_is_read_by_the_next():
    main = threading.get_ident()
    threads = set()

    class Plain(Workflow):
        @step
        def put(self, ctx: Context, ev: StartEvent) -> Work:
            threads.add(threading.get_ident())
            ctx.store.sync.set("k.a", [1])
            with ctx.store.sync.edit_state() as state:
                state.total = 5
                assert ctx.store.sync.get("total", default=None) is None
            return Work()

        @step
        def take(self, ctx: Context, ev: Work) -> Done:
            threads.add(threading.get_ident())
            whole = ctx.store.sync.get_state()
            assert whole == {"k": {"a": [1]}, "total": 5}
            ctx.store.sync.clear()
            assert ctx.store.sync.get_state() == {}
            whole.k["a"].append(2)
            ctx.store.sync.set_state(whole)
            return Done()

        @step
        async def end(self, ctx: Context, ev: Done) -> StopEvent:
            return StopEvent(result=(await ctx.store.get("k.a"), await ctx.store.get("total")))

    assert await Plain().run() == ([1, 2], 5)
    assert main not in threads


@pytest.mark.anyio
async def test_row_007_plain_steps_take_turns_with_others():
    class Plain(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Work | None:
            await ctx.store.set("total", 0)
            await ctx.store.set("ended", 0)
            for n in range(8):
                ctx.send_event(Work(n=n))

        @step(num_workers=8)
        def add(self, ctx: Context, ev: Work) -> Done:
            with ctx.store.sync.edit_state() as state:
                state.total += 1
            return Done()

        @step(num_workers=8)
        async def also_add(self, ctx: Context, ev: Work) -> Done:
            async with ctx.store.edit_state() as state:
                before = state.total
                await anyio.lowlevel.checkpoint()
                state.total = before + 1
            return Done()

        @step(num_workers=1)
        async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
            async with ctx.store.edit_state() as state:
                state.ended += 1
            if await ctx.store.get("ended") == 16:
                return StopEvent(result=await ctx.store.get("total"))
            return None

    assert await Plain().run() == 16


@pytest.mark.anyio
async def test_row_007_sync_is_for_plain_steps():
    text = "ctx.store.sync is for plain steps; here write await ctx.store.get(...)"

    class Wrong(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.store.sync.set("k", 1)
            return StopEvent()

    with pytest.raises(WorkflowRuntimeError, match=f"^{re.escape(text)}"):
        await Wrong().run()


# ---------------------------------------------------------------- 89


@pytest.mark.anyio
async def test_row_089_dotted_set_and_get(store):
    await store.set("k.a.b", 3)
    assert await store.get("k.a.b") == 3
    assert await store.get("k") == {"a": {"b": 3}}
    await store.set("k.a.c", 4)
    assert await store.get("k.a") == {"b": 3, "c": 4}


@pytest.mark.anyio
async def test_row_089_paths_walk_lists_and_attributes(store):
    class Thing:
        name = "x"

    await store.set("tags", ["a", {"b": [Thing()]}])
    assert await store.get("tags.0") == "a"
    assert await store.get("tags.1.b.0.name") == "x"
    await store.set("tags.0", "z")
    await store.set("tags.1.b.0.name", "y")
    assert await store.get("tags.0") == "z"
    assert await store.get("tags.1.b.0.name") == "y"


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["x", "k.x", "k.x.y", "tags.5", "tags.one", "tags.²", "n.real.no"])
async def test_row_089_a_missing_value_is_an_error_or_the_default(store, path):
    await store.set("k", {"a": 1})
    await store.set("tags", ["a"])
    await store.set("n", 1)
    with pytest.raises(ValueError, match=f"(?m)^{re.escape(f'Path {path!r} not found in state')}$"):
        await store.get(path)
    assert await store.get(path, default=7) == 7
    assert await store.get(path, None) is None


@pytest.mark.anyio
async def test_row_089_what_is_no_path_is_refused(store):
    long = ".".join("a" * 1001)
    for path, text in (
        ("", "Path cannot be empty"),
        (long, "Path length exceeds 1000 segments"),
    ):
        with pytest.raises(ValueError, match=f"^{text}$"):
            await store.get(path)
        with pytest.raises(ValueError, match=f"^{text}$"):
            await store.get(path, default=1)
        with pytest.raises(ValueError, match=f"^{text}$"):
            await store.set(path, 1)
    await store.set(long[2:], 1)
    assert await store.get(long[2:]) == 1


@pytest.mark.anyio
async def test_row_089_a_place_that_takes_no_value_is_an_error(store):
    await store.set("n", 1)
    await store.set("t", (1, 2))
    await store.set("tags", ["a"])
    for path in ("n.real", "t.0", "tags.5", "tags.one"):
        with pytest.raises(ValueError, match=f"Path '{path}' cannot be set"):
            await store.set(path, 3)
    assert await store.get("t") == (1, 2)
    assert await store.get("tags") == ["a"]


@pytest.mark.anyio
async def test_row_089_names_of_methods_are_names_like_others(store):
    for name in ("get", "keys", "items", "pop", "__class__x"):
        await store.set(name, 1)
        await store.set(f"k.{name}", 2)
        assert await store.get(name) == 1
        assert await store.get(f"k.{name}") == 2


# ---------------------------------------------------------------- 90


def test_row_090_twenty_increments_at_once_give_twenty():
    class Count(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Work | None:
            await ctx.store.set("count", 0)
            for n in range(20):
                ctx.send_event(Work(n=n))

        @step(num_workers=20)
        async def add(self, ctx: Context, ev: Work) -> Done:
            async with ctx.store.edit_state() as state:
                before = state.count
                await trio.sleep(1)
                state.count = before + 1
            return Done()

        @step
        async def end(self, ctx: Context, ev: Done) -> StopEvent | None:
            if ctx.collect_events(ev, [Done] * 20) is not None:
                return StopEvent(result=await ctx.store.get("count"))
            return None

    async def main():
        assert await Count().run() == 20
        assert trio.current_time() == 20  # one at a time

    plait.testing.run(main)


@pytest.mark.anyio
async def test_row_090_the_old_value_is_read_inside(store):
    await store.set("count", 1)
    async with store.edit_state() as state:
        state.count = 2
        state["tags"] = ["a"]
        assert await store.get("count") == 1
        assert await store.get_state() == {"count": 1}
    assert await store.get("count") == 2
    assert await store.get("tags.0") == "a"


@pytest.mark.anyio
async def test_row_090_an_exception_drops_the_edit(store):
    await store.set("k", {"a": [1]})
    with pytest.raises(ZeroDivisionError):
        async with store.edit_state() as state:
            state.k["a"].append(2)
            state.more = 1
            _ = 1 / 0
    assert await store.get_state() == {"k": {"a": [1]}}
    async with store.edit_state() as state:  # and the next one has its turn
        state.k["a"].append(3)
    assert await store.get("k.a") == [1, 3]


@pytest.mark.anyio
async def test_row_090_a_writer_inside_is_refused(store):
    async with store.edit_state() as state:
        state.count = 1
        with pytest.raises(RuntimeError, match=NESTED):
            await store.set("count", 2)
        with pytest.raises(RuntimeError, match=NESTED):
            await store.clear()
        with pytest.raises(RuntimeError, match=NESTED):
            await store.set_state(state)
        with pytest.raises(RuntimeError, match=NESTED):
            async with store.edit_state():
                pytest.fail("entered")
    assert await store.get_state() == {"count": 1}


@pytest.mark.anyio
async def test_row_090_a_writer_inside_is_refused_in_steps_too():
    class Nested(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Work:
            async with ctx.store.edit_state() as state:
                state.count = 1
                with pytest.raises(RuntimeError, match=NESTED):
                    await ctx.store.set("count", 2)
            return Work()

        @step
        def end(self, ctx: Context, ev: Work) -> StopEvent:
            with ctx.store.sync.edit_state() as state:
                state.count += 1
                with pytest.raises(RuntimeError, match=NESTED):
                    ctx.store.sync.set("count", 5)
                with (
                    pytest.raises(RuntimeError, match=NESTED),
                    ctx.store.sync.edit_state(),
                ):
                    pytest.fail("entered")
            return StopEvent(result=ctx.store.sync.get("count"))

    assert await Nested().run() == 2


# ---------------------------------------------------------------- 91


@attrs.define
class Basic:
    count: int = 0
    name: str = "basic"


@attrs.define
class Derived(Basic):
    tags: list[str] = attrs.field(factory=list)


@dataclasses.dataclass
class Other:
    count: int = 0


@pytest.mark.anyio
async def test_row_091_the_most_derived_class_of_a_chain_is_used():
    class Chain(Workflow):
        @step
        async def start(self, ctx: Context[Basic], ev: StartEvent) -> Work:
            async with ctx.store.edit_state() as state:
                state.count += 1
            return Work()

        @step
        async def then(self, ctx: Context[Derived], ev: Work) -> Done:
            async with ctx.store.edit_state() as state:
                state.tags.append("a")
            await ctx.store.set_state(Basic(count=5, name="set"))
            return Done()

        @step
        async def end(self, ctx: Context, ev: Done) -> StopEvent:
            return StopEvent(result=await ctx.store.get_state())

    assert await Chain().run() == Derived(count=5, name="set", tags=["a"])


@pytest.mark.anyio
async def test_row_091_siblings_are_refused():
    class Siblings(Workflow):
        @step
        async def start(self, ctx: Context[Derived], ev: StartEvent) -> Work:
            return Work()

        @step
        async def end(self, ctx: Context[Other], ev: Work) -> StopEvent:
            return StopEvent()

    text = (
        "Multiple state types are not in a compatible inheritance hierarchy. "
        "All state types must share a common inheritance chain. Found: Derived, Other"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        await Siblings().run()


@pytest.mark.anyio
async def test_row_091_every_field_needs_a_default():
    @attrs.define
    class Needy:
        count: int
        name: str = "x"

    class Flow(Workflow):
        @step
        async def s(self, ctx: Context[Needy], ev: StartEvent) -> StopEvent:
            return StopEvent()

    with pytest.raises(ValueError, match=r"^State must have defaults for all fields"):
        await Flow().run()


# ---------------------------------------------------------------- 92


@pytest.mark.anyio
async def test_row_092_typed_sets_are_checked_and_get_state_is_deep():
    class Typed(Workflow):
        @step
        async def s(self, ctx: Context[Derived], ev: StartEvent) -> StopEvent:
            with pytest.raises(ValueError, match="'count' takes int, not 'x' of type str"):
                await ctx.store.set("count", "x")
            with pytest.raises(ValueError, match=r"'tags\.1' takes str, not 2 of type int"):
                async with ctx.store.edit_state() as state:
                    state.count = 1
                    state.tags = ["a", 2]
            assert await ctx.store.get_state() == Derived()
            copy = await ctx.store.get_state()
            copy.count = 7
            copy.tags.append("mine")
            return StopEvent(result=await ctx.store.get_state())

    assert await Typed().run() == Derived()


@pytest.mark.anyio
async def test_row_092_get_state_is_deep(store):
    await store.set("k.a", [1])
    copy = await store.get_state()
    copy.k["a"].append(2)
    copy.more = 1
    assert await store.get_state() == {"k": {"a": [1]}}


# ---------------------------------------------------------------- 93


@pytest.mark.anyio
async def test_row_093_the_store_works_before_during_and_after_a_run():
    class Greet(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            await ctx.store.set("seen", await ctx.store.get("seed"))
            return StopEvent()

    workflow = Greet()
    ctx = Context(workflow)
    await ctx.store.set("seed", 3)
    run = workflow.run(ctx)
    await run
    assert await run.ctx.store.get("seen") == 3
    await run.ctx.store.set("after", 4)
    assert await ctx.store.get("after") == 4


@pytest.mark.anyio
async def test_row_093_outside_and_inside_share_one_store():
    asked, answered = anyio.Event(), anyio.Event()

    class Ask(Workflow):
        @step
        async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
            async with ctx.store.edit_state() as state:
                state.question = "?"
                asked.set()
                await anyio.lowlevel.checkpoint()
            await answered.wait()
            return StopEvent(result=await ctx.store.get("answer"))

    async with Ask().run() as run:
        await asked.wait()
        await run.ctx.store.set("answer", "!")  # waits for the edit
        assert await run.ctx.store.get("question") == "?"
        answered.set()
        assert await run.result() == "!"


# ---------------------------------------------------------------- 94


class Tally(Workflow):
    @step
    async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
        before = await ctx.store.get("runs", default=0)
        await ctx.store.set("runs", before + 1)
        return StopEvent(result=before)


@pytest.mark.anyio
async def test_row_094_a_context_carries_its_store():
    workflow = Tally()
    ctx = Context(workflow)
    assert [await workflow.run(ctx) for _ in range(3)] == [0, 1, 2]
    assert await workflow.run() == 0


def test_row_094_from_one_loop_to_the_next():
    workflow = Tally()
    ctx = Context(workflow)

    async def edit(seconds):
        async with ctx.store.edit_state() as state:
            await anyio.sleep(seconds)
            state.loops = state.get("loops", 0) + 1

    async def main():
        async with anyio.create_task_group() as group:
            group.start_soon(edit, 0.001)
            group.start_soon(edit, 0)
        return await workflow.run(ctx)

    assert plait.testing.run(main) == 0
    assert plait.testing.run(main) == 1
    assert anyio.run(main, backend="asyncio") == 2
    assert plait.testing.run(main) == 3
    assert plait.testing.run(ctx.store.get, "loops") == 8


@pytest.mark.anyio
async def test_row_094_two_live_runs_of_one_context_are_an_error():
    workflow = Tally()
    ctx = Context(workflow)
    async with workflow.run(ctx):
        with pytest.raises(ContextStateError, match="Cannot start a new run while"):
            workflow.run(ctx)
