"""`Context[State]`: what `ctx.store` holds, for steps that are async and for plain ones. Never run."""

from typing import Any, assert_type

import attrs

from plait import Context, Run, StartEvent, StopEvent, Workflow, step
from plait.events import DictState, StateStore


@attrs.define
class Progress:
    done: int = 0
    names: list[str] = attrs.field(factory=list[str])


class Flow(Workflow[int]):
    @step
    async def typed(self, ctx: Context[Progress], ev: StartEvent) -> StopEvent:
        assert_type(ctx.store, StateStore[Progress])
        assert_type(await ctx.store.get_state(), Progress)
        assert_type((await ctx.store.get_state()).done, int)
        async with ctx.store.edit_state() as state:
            assert_type(state, Progress)
            state.done += 1
            state.done = "1"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
            state.dnoe  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        await ctx.store.set_state(Progress(done=3))
        await ctx.store.set_state({"done": 3})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await ctx.store.set_state(DictState())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with ctx.store.edit_state():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
            pass
        return StopEvent(result=1)

    @step
    async def untyped(self, ctx: Context, ev: StartEvent) -> StopEvent:
        assert_type(ctx, Context[DictState])
        assert_type(await ctx.store.get_state(), DictState)
        async with ctx.store.edit_state() as state:
            assert_type(state, DictState)
            assert_type(state.anything, Any)
            assert_type(state["anything"], Any)
            state.anything = 1
            state["anything"] = 1
            state[1] = 1  # type: ignore[index]  # pyright: ignore[reportArgumentType]
        return StopEvent(result=1)

    @step
    async def paths(self, ctx: Context, ev: StartEvent) -> StopEvent:
        assert_type(await ctx.store.get("a.b.0"), Any)
        assert_type(await ctx.store.get("a", default=0), Any)
        await ctx.store.set("a", object())
        await ctx.store.clear()
        ctx.store.get("a").real  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        await ctx.store.get(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await ctx.store.get(["a", "b"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await ctx.store.set("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        ctx.store = StateStore(DictState())  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
        return StopEvent(result=1)

    @step
    def plain(self, ctx: Context[Progress], ev: StartEvent) -> StopEvent:
        sync = ctx.store.sync
        assert_type(sync.get("done"), Any)
        assert_type(sync.get("done", default=0), Any)
        assert_type(sync.get_state(), Progress)
        with sync.edit_state() as state:
            assert_type(state, Progress)
        sync.set("done", 1)
        sync.set_state(Progress())
        sync.clear()
        sync.set_state({"done": 1})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        sync.get(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        return StopEvent(result=1)


# Before a run, and after it.


async def outside(run: Run[int]) -> None:
    assert_type(Context(Flow()), Context[DictState])
    assert_type(Context[Progress](Flow()), Context[Progress])
    typed: Context[Progress] = Context(Flow())
    assert_type(await typed.store.get_state(), Progress)
    await typed.store.set("done", 1)
    assert_type(await Flow().run(typed), int)
    assert_type(await run.ctx.store.get("done"), Any)
    assert_type(await run.ctx.store.get_state(), Any)

    other: Context[DictState] = typed  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    del other
    Context()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Context(Flow)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Flow().run(typed.store)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


assert_type(DictState({"a": 1}, b=2), DictState)
assert_type(list(DictState()), list[str])
assert_type(DictState(a=1).get("a"), Any | None)
