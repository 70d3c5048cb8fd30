"""A start of a function's body: its context is made, and its middleware put around it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from plait._engine.bodies.threads import Threads
from plait._steps.group import Group

from .context import Context, SyncContext
from .entrance import Entrance, ThreadEntrance
from .function import Function
from .middleware import around_run
from .parts import RunParts
from .step import Step
from .sync import SyncGroup, SyncStep

if TYPE_CHECKING:
    from plait._engine.bodies.calls import Calls


async def run_body(function: Function[Any, Any], parts: RunParts, calls: Calls) -> Any:
    """Run the user's function once, from its top, as the first task of its body.

    Args:
        function: The function. A plain one runs in a worker thread.
        parts: What its context needs. Made for this start.
        calls: The body's; `parts.calls` are the same.

    Returns:
        What the function returned, or what the middleware made of that.

    Raises:
        BaseException: What it raised.

    A checkpoint if the function is one, or is plain.
    """
    if function.is_async:
        ctx: Any = context_of(parts)
        body: Callable[[], Any] = partial(function.handler, ctx)
    else:
        threads = Threads(calls.body, parts.function_limiter, calls.nested)
        entrance = ThreadEntrance(threads)
        ctx = sync_context_of(parts, entrance)
        body = partial(entrance.thread, partial(function.handler, ctx))
    return await around_run(parts.middleware, ctx, body)


def context_of(parts: RunParts) -> Context[Any]:
    """Make the context of an `async def` function."""
    step = Step(parts)
    return Context(parts, step, Group(parts, step))


def sync_context_of(parts: RunParts, entrance: Entrance) -> SyncContext[Any]:
    """Make the context of a `def` function."""
    step = Step(parts)
    group = SyncGroup(parts, Group(parts, step), entrance)
    return SyncContext(parts, SyncStep(step, entrance), group, entrance)
