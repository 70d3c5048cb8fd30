"""Durable functions, each with one way to do several things at a time, and what must come of them.

A call returns what no other execution of it returns. So a result that was made of two executions, or
that went to another branch, is seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import anyio
import attrs
import trio

from plait.durable import Context
from plait.errors import RunSuspended, StepError

from .witness import Witness

Body = Callable[[Context, Witness], Awaitable[Any]]
#: Says of what a run came to whether it is right: of the result, or of the error.
Right = Callable[[Any], bool]


@attrs.frozen
class Pattern:
    """One function."""

    name: str
    body: Body
    right: Right
    backends: tuple[str, ...] = ("trio", "asyncio")


PATTERNS: Final[dict[str, Pattern]] = {}


def pattern(right: Right, *backends: str) -> Callable[[Body], Body]:
    """Make a pattern of a function."""

    def add(body: Body) -> Body:
        name = body.__name__
        PATTERNS[name] = Pattern(name, body, right, backends or ("trio", "asyncio"))
        return body

    return add


def _of(value: Any, item: object) -> bool:
    return isinstance(value, str) and value.split("#")[0] == str(item)


async def _call(
    ctx: Context, w: Witness, step_id: str, item: object, fails: int = 0, lane: str = ""
) -> str:
    """Make a call, and note what it returned."""
    await w.idle()
    value = await ctx.step.run(step_id, w.gives, item, fails)
    w.sees(ctx.attempt, value, lane)
    return value


async def _two(ctx: Context, w: Witness, k: int, lane: str = "") -> tuple[str, str]:
    """Be a branch of two steps, with the same ids as the others."""
    first = await _call(ctx, w, "get", f"get {k}", lane=lane)
    return first, await _call(ctx, w, "put", f"put {k}", lane=lane)


def _are_two(found: Any, k: int) -> bool:
    first, second = found
    return _of(first, f"get {k}") and _of(second, f"put {k}")


def _are_all(found: Any) -> bool:
    return len(found) == 5 and all(_are_two(pair, k) for k, pair in enumerate(found))


@pattern(_are_all)
async def fan_out(ctx: Context, w: Witness) -> Any:
    branches = tuple(partial(_two, ctx, w, k) for k in range(5))
    return await ctx.group.parallel(branches)


@pattern(lambda found: len(found) == 7 and all(_of(v, k) for k, v in enumerate(found)))
async def mapped(ctx: Context, w: Witness) -> Any:
    found = await ctx.group.map("each", w.gives, range(7), limit=3)
    for value in found:
        w.sees(ctx.attempt, value)
    return found


@pattern(lambda found: _are_two(found[1], found[0]) and _of(found[2], "last"))
async def race(ctx: Context, w: Witness) -> Any:
    branches = tuple(partial(_two, ctx, w, k) for k in range(4))
    won = await ctx.group.parallel(branches, mode="race")
    w.sees(ctx.attempt, ("winner", won.branch))
    return won.branch, won.value, await _call(ctx, w, "last", "last")


@pattern(lambda found: len(found) == 2 and all(_are_two(pair, k) for k, pair in found))
async def first_two_of_five(ctx: Context, w: Witness) -> Any:
    won: list[Any] = []

    async def one(k: int) -> None:
        pair = await _two(ctx, w, k)
        if len(won) < 2:
            won.append((k, pair))
            w.sees(ctx.attempt, ("winner", k))
        if len(won) == 2:
            tasks.cancel()

    async with ctx.group.open() as tasks:
        for k in range(5):
            tasks.start_soon(one, k)
    return won


@pattern(lambda found: all(_are_all(part) for part in found[0]) and _of(found[1], "beside"))
async def nested(ctx: Context, w: Witness) -> Any:
    async def inner() -> Any:
        return await ctx.group.parallel(tuple(partial(_two, ctx, w, k) for k in range(5)))

    async def outer() -> Any:
        return await ctx.group.parallel((inner, inner))

    return await ctx.group.parallel((outer, lambda: _call(ctx, w, "get", "beside")))


@pattern(lambda found: [v.split("#")[0] for v in found] == [f"b{k}" for k in range(4)])
async def retries(ctx: Context, w: Witness) -> Any:
    async def branch(k: int) -> str:
        await _call(ctx, w, "flaky", f"a{k}", k % 3)
        return await _call(ctx, w, "flaky", f"b{k}", 1)

    return await ctx.group.parallel(tuple(partial(branch, k) for k in range(4)))


def _right_errors(found: Any) -> bool:
    settled, rest = found
    return settled == ["ok", "StepError", "ok", "compensated"] and _of(rest, "fallback")


@pattern(_right_errors)
async def errors(ctx: Context, w: Witness) -> Any:
    async def bad(item: str) -> str:
        await _call(ctx, w, "before", item)
        try:
            await ctx.step.run("bad", w.fails, item, retry=0)
        except StepError as error:
            w.sees(ctx.attempt, f"{item}: {error.message}")
            raise
        raise AssertionError

    async def compensated() -> str:
        try:
            return await bad("worse")
        except StepError:
            await _call(ctx, w, "undo", "undo")
            return "compensated"

    async def good(k: int) -> str:
        await _two(ctx, w, k)
        return "ok"

    ended = await ctx.group.parallel(
        (partial(good, 0), partial(bad, "bad"), partial(good, 2), compensated), mode="settled"
    )
    settled = [one.value if hasattr(one, "value") else type(one.error).__name__ for one in ended]
    try:
        # The first failure cancels the others, wherever they are.
        await ctx.group.parallel(
            (partial(_two, ctx, w, 4), partial(bad, "first"), partial(bad, "or"))
        )
    except* StepError as group:
        w.sees(ctx.attempt, tuple(str(error) for error in group.exceptions))
    return settled, await _call(ctx, w, "fallback", "fallback")


@pattern(lambda found: _are_two(found[0], 0) and _of(found[1], "last"))
async def attempts_of_the_body(ctx: Context, w: Witness) -> Any:
    pairs = await ctx.group.parallel(tuple(partial(_two, ctx, w, k) for k in range(2)))
    if ctx.attempt == 0:
        raise RuntimeError("between two steps")
    await _call(ctx, w, "then", "then")
    if ctx.attempt == 1:
        raise RuntimeError("between two others")
    return pairs[0], await _call(ctx, w, "last", "last")


@pattern(lambda found: len(found) == 4 and all(v is None or _of(v, k) for k, v in enumerate(found)))
async def deadlines(ctx: Context, w: Witness) -> Any:
    async def branch(k: int) -> str | None:
        with ctx.move_on_after(1.2):
            await ctx.step.sleep("nap", 0.2 * k)
            w.sees(ctx.attempt, ("slept", k))
            return await _call(ctx, w, "try", k)
        return None

    found = await ctx.group.parallel(tuple(partial(branch, k) for k in range(4)))
    w.sees(ctx.attempt, tuple(found))
    return found


@pattern(lambda found: _of(found[0], "quick") and _are_all(found[1]))
async def clean_up(ctx: Context, w: Witness) -> Any:
    """While losers clean up, which takes them a while, another branch goes on: just as far each time.

    In a recovery losers do not run, and so have nothing to clean up.
    """

    async def loser(k: int) -> str:
        await ctx.step.run("slow", w.lingers, k)
        raise AssertionError("it takes for ever")

    async def racing() -> str:
        branches = (partial(_call, ctx, w, "quick", "quick"), partial(loser, 1), partial(loser, 2))
        won = await ctx.group.parallel(branches, mode="race")
        w.sees(ctx.attempt, ("winner", won.branch))
        return won.value

    async def others() -> Any:
        return [await _two(ctx, w, k) for k in range(5)]

    return await ctx.group.parallel((racing, others))


@pattern(lambda found: _are_all(found[0]) and found[1] is True)
async def a_step_in_a_finally(ctx: Context, w: Witness) -> Any:
    found = said = None
    try:
        found = await ctx.group.parallel(tuple(partial(_two, ctx, w, k) for k in range(5)))
    finally:
        with anyio.CancelScope(shield=True), suppress(RunSuspended):
            said = await ctx.step.run("bye", w.says_goodbye, found is not None)
    return found, said


@pattern(lambda found: found[0] == [None] * 3 and _are_all(found[1]))
async def deadlines_at_once(ctx: Context, w: Witness) -> Any:
    """Deadlines pass in one moment, and who is cancelled leaves when it likes, or was asleep.

    In which order they leave stands as soon as an outcome stands that came later.
    """
    gone: list[int] = []

    async def branch(k: int) -> None:
        with ctx.move_on_after(1.0):
            if k:
                await ctx.step.run("slow", w.lingers, k)
            await ctx.step.sleep("nap", 10.0)
        gone.append(k)
        await ctx.step.run("after", w.gives, k)
        w.sees(ctx.attempt, ("moved on", k, *gone))

    async def late() -> Any:
        return await ctx.group.parallel(tuple(partial(branch, k) for k in range(3)))

    async def others() -> Any:
        found = []
        for k in range(5):
            found.append(await _two(ctx, w, k))
            w.sees(ctx.attempt, ("by then", *gone))
        return found

    left, found = await ctx.group.parallel((late, others))
    return list(left), found


# ---------------------------------------------------------------- what is not plait's


@pattern(_are_all, "trio")
async def nursery(ctx: Context, w: Witness) -> Any:
    found: dict[int, Any] = {}

    async def one(k: int) -> None:
        found[k] = await _two(ctx, w, k)

    async with trio.open_nursery() as here:
        for k in range(5):
            here.start_soon(one, k)
    return [found[k] for k in range(5)]


@pattern(_are_all)
async def anyio_task_group(ctx: Context, w: Witness) -> Any:
    found: dict[int, Any] = {}

    async def one(k: int) -> None:
        found[k] = await _two(ctx, w, k)

    async with anyio.create_task_group() as here:
        for k in range(5):
            here.start_soon(one, k)
    return [found[k] for k in range(5)]


@pattern(lambda found: len(found) == 2 and all(_are_two(pair, k) for k, pair in found), "trio")
async def first_two_in_a_nursery(ctx: Context, w: Witness) -> Any:
    won: list[Any] = []

    async def one(k: int) -> None:
        won.append((k, await _two(ctx, w, k)))
        w.sees(ctx.attempt, ("winner", k))
        if len(won) == 2:
            here.cancel_scope.cancel()

    async with trio.open_nursery() as here:
        for k in range(5):
            here.start_soon(one, k)
    return won[:2]


@pattern(_are_all, "asyncio")
async def asyncio_task_group(ctx: Context, w: Witness) -> Any:
    async with asyncio.TaskGroup() as here:
        tasks = [here.create_task(_two(ctx, w, k)) for k in range(5)]
    return [task.result() for task in tasks]


@pattern(_are_all, "asyncio")
async def gather(ctx: Context, w: Witness) -> Any:
    return await asyncio.gather(*(_two(ctx, w, k) for k in range(5)))


@pattern(lambda found: _are_two(found[0][0], 0) and _are_two(found[1], 2), "asyncio")
async def gathers_within(ctx: Context, w: Witness) -> Any:
    async def inner() -> Any:
        pair = await asyncio.wait_for(asyncio.gather(_two(ctx, w, 0), _two(ctx, w, 1)), 10_000)
        w.sees(ctx.attempt, tuple(pair))
        return [*pair, await _call(ctx, w, "then", "then")]

    return await asyncio.gather(inner(), _two(ctx, w, 2), _two(ctx, w, 3))
