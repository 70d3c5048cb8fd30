"""What a function is given: the event, and what it can do with it."""

from __future__ import annotations

from typing import Generic

import attrs

from plait._naming import publish

from . import signatures, sync_signatures
from .event import D, Event


@attrs.frozen(eq=False, kw_only=True)
class Context(Generic[D]):
    """What an `async def` function is given.

    Attributes:
        event: What started the run; of a batch, the first event.
        events: All of a batch; else that one.
        run_id: The run.
        step: Calls that are remembered.
        group: Several at a time.

    Example:
        ```python
        @app.create_function(fn_id="greet", trigger=TriggerEvent("user/new"))
        async def greet(ctx: Context) -> str:
            return await ctx.step.run("greet", make_greeting, ctx.event.data["name"])
        ```
    """

    event: Event[D]
    events: tuple[Event[D], ...]
    run_id: str
    step: signatures.RunsSteps
    group: signatures.RunsBranches


@attrs.frozen(eq=False, kw_only=True)
class SyncContext(Generic[D]):
    """What a `def` function is given: as `Context`, without `await`. It runs in a worker thread.

    Example:
        ```python
        @app.create_function(fn_id="greet", trigger=TriggerEvent("user/new"))
        def greet(ctx: SyncContext) -> str:
            return ctx.step.run("greet", make_greeting, ctx.event.data["name"])
        ```
    """

    event: Event[D]
    events: tuple[Event[D], ...]
    run_id: str
    step: sync_signatures.RunsSteps
    group: sync_signatures.RunsBranches


publish("plait.durable", Context, SyncContext)
