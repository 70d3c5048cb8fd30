"""Durable functions that do several things at a time in nurseries that are not plait's, and with `gather`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias

import anyio
import attrs
import trio

from plait.durable import Context
from plait.errors import StepError

from .making import are_all, are_two, call, of, pattern, two
from .witness import Witness

Branch: TypeAlias = Callable[..., Awaitable[object]]


@attrs.frozen
class Opened:
    """A nursery that is open: how a task is started in it, and how all are cancelled."""

    start_soon: Callable[..., object]
    cancel: Callable[[], object] | None


@asynccontextmanager
async def of_trio() -> AsyncGenerator[Opened]:
    async with trio.open_nursery() as here:
        yield Opened(here.start_soon, here.cancel_scope.cancel)


@asynccontextmanager
async def of_anyio() -> AsyncGenerator[Opened]:
    async with anyio.create_task_group() as here:
        yield Opened(here.start_soon, here.cancel_scope.cancel)


@asynccontextmanager
async def of_asyncio() -> AsyncGenerator[Opened]:
    """Nobody can cancel it but by a failure."""
    async with asyncio.TaskGroup() as here:
        yield Opened(lambda fn, *args: here.create_task(fn(*args)), None)


Open: TypeAlias = Callable[[], AbstractAsyncContextManager[Opened]]
#: What a body of this kind is called, how it opens a nursery, and where that is to be had.
KINDS: Final[dict[str, tuple[Open, tuple[str, ...]]]] = {
    "trio": (of_trio, ("trio",)),
    "anyio": (of_anyio, ("trio", "asyncio")),
    "asyncio": (of_asyncio, ("asyncio",)),
}


def in_each(
    right: Callable[[Any], bool], *, cancels: bool = False
) -> Callable[[Callable[..., Any]], object]:
    """Make a pattern for each kind of nursery. `cancels`: of those that can be cancelled."""

    def add(body: Callable[..., Any]) -> object:
        for kind, (opens, backends) in KINDS.items():
            if cancels and kind == "asyncio":
                continue

            async def run(ctx: Context, w: Witness, opens: Open = opens) -> Any:
                return await body(ctx, w, opens)

            run.__name__ = f"{body.__name__}_{kind}"
            pattern(right, *backends)(run)
        return body

    return add


@in_each(lambda found: are_two(found[1], found[0]) and of(found[2], "last"), cancels=True)
async def race_in(ctx: Context, w: Witness, opens: Open) -> Any:
    won: list[Any] = []

    async def one(k: int) -> None:
        won.append((k, await two(ctx, w, k)))
        w.sees(ctx.attempt, ("winner", k))
        assert here.cancel is not None
        here.cancel()

    async with opens() as here:
        for k in range(4):
            here.start_soon(one, k)
    return *won[0], await call(ctx, w, "last", "last")


@in_each(lambda found: len(found) == 2 and all(are_two(pair, k) for k, pair in found), cancels=True)
async def first_two_in(ctx: Context, w: Witness, opens: Open) -> Any:
    won: list[Any] = []

    async def one(k: int) -> None:
        won.append((k, await two(ctx, w, k)))
        w.sees(ctx.attempt, ("winner", k))
        if len(won) == 2 and here.cancel is not None:
            here.cancel()

    async with opens() as here:
        for k in range(5):
            here.start_soon(one, k)
    return won[:2]


@in_each(lambda found: all(are_all(part) for part in found[0]) and of(found[1], "beside"))
async def nested_in(ctx: Context, w: Witness, opens: Open) -> Any:
    found: dict[int, dict[int, Any]] = {0: {}, 1: {}}
    beside: list[str] = []

    async def one(part: int, k: int) -> None:
        found[part][k] = await two(ctx, w, k)

    async def inner(part: int) -> None:
        async with opens() as here:
            for k in range(5):
                here.start_soon(one, part, k)
        w.sees(ctx.attempt, ("inner", part))

    async def aside() -> None:
        beside.append(await call(ctx, w, "get", "beside"))

    async with opens() as outer:
        outer.start_soon(inner, 0)
        outer.start_soon(aside)
        outer.start_soon(inner, 1)
    return [[found[part][k] for k in range(5)] for part in range(2)], beside[0]


@in_each(lambda found: [v.split("#")[0] for v in found] == [f"b{k}" for k in range(4)])
async def retries_in(ctx: Context, w: Witness, opens: Open) -> Any:
    found: dict[int, str] = {}

    async def one(k: int) -> None:
        await call(ctx, w, "flaky", f"a{k}", k % 3)
        found[k] = await call(ctx, w, "flaky", f"b{k}", 1)

    async with opens() as here:
        for k in range(4):
            here.start_soon(one, k)
    return [found[k] for k in range(4)]


@in_each(lambda found: found[0] and of(found[1], "undo") and of(found[2], "fallback"))
async def errors_in(ctx: Context, w: Witness, opens: Open) -> Any:
    undone: list[str] = []

    async def bad(item: str) -> None:
        await call(ctx, w, "before", item)
        await ctx.step.run("bad", w.fails, item, retry=0)

    async def compensated() -> None:
        try:
            await bad("worse")
        except StepError:
            undone.append(await call(ctx, w, "undo", "undo"))

    async with opens() as here:
        here.start_soon(two, ctx, w, 0)
        here.start_soon(compensated)
    failed: list[str] = []
    try:
        # The first failure cancels the others, wherever they are.
        async with opens() as here:
            here.start_soon(two, ctx, w, 1)
            here.start_soon(bad, "first")
            here.start_soon(bad, "or")
    except* StepError as group:
        failed += [str(error) for error in group.exceptions]
    w.sees(ctx.attempt, tuple(failed))
    return len(failed) > 0, undone[0], await call(ctx, w, "fallback", "fallback")


@pattern(lambda found: are_two(found[1], found[0]) and of(found[2], "last"), "asyncio")
async def race_by_asyncio_wait(ctx: Context, w: Witness) -> Any:
    tasks = [asyncio.create_task(two(ctx, w, k)) for k in range(4)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    (won,) = done
    w.sees(ctx.attempt, ("winner", tasks.index(won)))
    return tasks.index(won), won.result(), await call(ctx, w, "last", "last")


@pattern(are_all, "trio")
async def nursery(ctx: Context, w: Witness) -> Any:
    found: dict[int, Any] = {}

    async def one(k: int) -> None:
        found[k] = await two(ctx, w, k)

    async with trio.open_nursery() as here:
        for k in range(5):
            here.start_soon(one, k)
    return [found[k] for k in range(5)]


@pattern(are_all)
async def anyio_task_group(ctx: Context, w: Witness) -> Any:
    found: dict[int, Any] = {}

    async def one(k: int) -> None:
        found[k] = await two(ctx, w, k)

    async with anyio.create_task_group() as here:
        for k in range(5):
            here.start_soon(one, k)
    return [found[k] for k in range(5)]


@pattern(lambda found: len(found) == 2 and all(are_two(pair, k) for k, pair in found), "trio")
async def first_two_in_a_nursery(ctx: Context, w: Witness) -> Any:
    won: list[Any] = []

    async def one(k: int) -> None:
        won.append((k, await two(ctx, w, k)))
        w.sees(ctx.attempt, ("winner", k))
        if len(won) == 2:
            here.cancel_scope.cancel()

    async with trio.open_nursery() as here:
        for k in range(5):
            here.start_soon(one, k)
    return won[:2]


@pattern(are_all, "asyncio")
async def asyncio_task_group(ctx: Context, w: Witness) -> Any:
    async with asyncio.TaskGroup() as here:
        tasks = [here.create_task(two(ctx, w, k)) for k in range(5)]
    return [task.result() for task in tasks]


@pattern(are_all, "asyncio")
async def gather(ctx: Context, w: Witness) -> Any:
    return await asyncio.gather(*(two(ctx, w, k) for k in range(5)))


@pattern(lambda found: are_two(found[0][0], 0) and are_two(found[1], 2), "asyncio")
async def gathers_within(ctx: Context, w: Witness) -> Any:
    async def inner() -> Any:
        pair = await asyncio.wait_for(asyncio.gather(two(ctx, w, 0), two(ctx, w, 1)), 10_000)
        w.sees(ctx.attempt, tuple(pair))
        return [*pair, await call(ctx, w, "then", "then")]

    return await asyncio.gather(inner(), two(ctx, w, 2), two(ctx, w, 3))
