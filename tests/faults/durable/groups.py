"""Durable functions that do several things at a time with plait's own groups, and what must come of them."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import anyio

from plait.durable import Context
from plait.errors import RunSuspended, StepError

from .making import are_all, are_two, call, of, pattern, two
from .witness import Witness


@pattern(are_all)
async def fan_out(ctx: Context, w: Witness) -> Any:
    branches = tuple(partial(two, ctx, w, k) for k in range(5))
    return await ctx.group.parallel(branches)


@pattern(lambda found: len(found) == 7 and all(of(v, k) for k, v in enumerate(found)))
async def mapped(ctx: Context, w: Witness) -> Any:
    found = await ctx.group.map("each", w.gives, range(7), limit=3)
    for value in found:
        w.sees(ctx.attempt, value)
    return found


@pattern(lambda found: are_two(found[1], found[0]) and of(found[2], "last"))
async def race(ctx: Context, w: Witness) -> Any:
    branches = tuple(partial(two, ctx, w, k) for k in range(4))
    won = await ctx.group.parallel(branches, mode="race")
    w.sees(ctx.attempt, ("winner", won.branch))
    return won.branch, won.value, await call(ctx, w, "last", "last")


@pattern(lambda found: len(found) == 2 and all(are_two(pair, k) for k, pair in found))
async def first_two_of_five(ctx: Context, w: Witness) -> Any:
    won: list[Any] = []

    async def one(k: int) -> None:
        pair = await two(ctx, w, k)
        if len(won) < 2:
            won.append((k, pair))
            w.sees(ctx.attempt, ("winner", k))
        if len(won) == 2:
            tasks.cancel()

    async with ctx.group.open() as tasks:
        for k in range(5):
            tasks.start_soon(one, k)
    return won


@pattern(lambda found: all(are_all(part) for part in found[0]) and of(found[1], "beside"))
async def nested(ctx: Context, w: Witness) -> Any:
    async def inner() -> Any:
        return await ctx.group.parallel(tuple(partial(two, ctx, w, k) for k in range(5)))

    async def outer() -> Any:
        return await ctx.group.parallel((inner, inner))

    return await ctx.group.parallel((outer, lambda: call(ctx, w, "get", "beside")))


@pattern(lambda found: [v.split("#")[0] for v in found] == [f"b{k}" for k in range(4)])
async def retries(ctx: Context, w: Witness) -> Any:
    async def branch(k: int) -> str:
        await call(ctx, w, "flaky", f"a{k}", k % 3)
        return await call(ctx, w, "flaky", f"b{k}", 1)

    return await ctx.group.parallel(tuple(partial(branch, k) for k in range(4)))


def _right_errors(found: Any) -> bool:
    settled, rest = found
    return settled == ["ok", "StepError", "ok", "compensated"] and of(rest, "fallback")


@pattern(_right_errors)
async def errors(ctx: Context, w: Witness) -> Any:
    async def bad(item: str) -> str:
        await call(ctx, w, "before", item)
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
            await call(ctx, w, "undo", "undo")
            return "compensated"

    async def good(k: int) -> str:
        await two(ctx, w, k)
        return "ok"

    ended = await ctx.group.parallel(
        (partial(good, 0), partial(bad, "bad"), partial(good, 2), compensated), mode="settled"
    )
    settled = [one.value if hasattr(one, "value") else type(one.error).__name__ for one in ended]
    try:
        # The first failure cancels the others, wherever they are.
        await ctx.group.parallel(
            (partial(two, ctx, w, 4), partial(bad, "first"), partial(bad, "or"))
        )
    except* StepError as group:
        w.sees(ctx.attempt, tuple(str(error) for error in group.exceptions))
    return settled, await call(ctx, w, "fallback", "fallback")


@pattern(lambda found: are_two(found[0], 0) and of(found[1], "last"))
async def attempts_of_the_body(ctx: Context, w: Witness) -> Any:
    pairs = await ctx.group.parallel(tuple(partial(two, ctx, w, k) for k in range(2)))
    if ctx.attempt == 0:
        raise RuntimeError("between two steps")
    await call(ctx, w, "then", "then")
    if ctx.attempt == 1:
        raise RuntimeError("between two others")
    return pairs[0], await call(ctx, w, "last", "last")


@pattern(lambda found: len(found) == 4 and all(v is None or of(v, k) for k, v in enumerate(found)))
async def deadlines(ctx: Context, w: Witness) -> Any:
    async def branch(k: int) -> str | None:
        with ctx.move_on_after(1.2):
            await ctx.step.sleep("nap", 0.2 * k)
            w.sees(ctx.attempt, ("slept", k))
            return await call(ctx, w, "try", k)
        return None

    found = await ctx.group.parallel(tuple(partial(branch, k) for k in range(4)))
    w.sees(ctx.attempt, tuple(found))
    return found


@pattern(lambda found: of(found[0], "quick") and are_all(found[1]))
async def clean_up(ctx: Context, w: Witness) -> Any:
    """While losers clean up, which takes them a while, another branch goes on: just as far each time.

    In a recovery losers do not run, and so have nothing to clean up.
    """

    async def loser(k: int) -> str:
        await ctx.step.run("slow", w.lingers, k)
        raise AssertionError("it takes for ever")

    async def racing() -> str:
        branches = (partial(call, ctx, w, "quick", "quick"), partial(loser, 1), partial(loser, 2))
        won = await ctx.group.parallel(branches, mode="race")
        w.sees(ctx.attempt, ("winner", won.branch))
        return won.value

    async def others() -> Any:
        return [await two(ctx, w, k) for k in range(5)]

    return await ctx.group.parallel((racing, others))


@pattern(lambda found: are_all(found[0]) and found[1] is True)
async def a_step_in_a_finally(ctx: Context, w: Witness) -> Any:
    found = said = None
    try:
        found = await ctx.group.parallel(tuple(partial(two, ctx, w, k) for k in range(5)))
    finally:
        with anyio.CancelScope(shield=True), suppress(RunSuspended):
            said = await ctx.step.run("bye", w.says_goodbye, found is not None)
    return found, said


@pattern(lambda found: found[0] == [None] * 3 and are_all(found[1]))
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
            found.append(await two(ctx, w, k))
            w.sees(ctx.attempt, ("by then", *gone))
        return found

    left, found = await ctx.group.parallel((late, others))
    return list(left), found
