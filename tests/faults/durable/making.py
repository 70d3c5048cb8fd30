"""What patterns are made of: a call, a branch of two steps, and what must come of them.

A call returns what no other execution of it returns. So a result that was made of two executions, or
that went to another branch, is seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs

from plait.durable import Context

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


def of(value: Any, item: object) -> bool:
    return isinstance(value, str) and value.split("#")[0] == str(item)


async def call(
    ctx: Context, w: Witness, step_id: str, item: object, fails: int = 0, lane: str = ""
) -> str:
    """Make a call, and note what it returned."""
    await w.idle()
    value = await ctx.step.run(step_id, w.gives, item, fails)
    w.sees(ctx.attempt, value, lane)
    return value


async def two(ctx: Context, w: Witness, k: int, lane: str = "") -> tuple[str, str]:
    """Be a branch of two steps, with the same ids as the others."""
    first = await call(ctx, w, "get", f"get {k}", lane=lane)
    return first, await call(ctx, w, "put", f"put {k}", lane=lane)


def are_two(found: Any, k: int) -> bool:
    first, second = found
    return of(first, f"get {k}") and of(second, f"put {k}")


def are_all(found: Any) -> bool:
    return len(found) == 5 and all(are_two(pair, k) for k, pair in enumerate(found))
