"""Starts the body of a function. (The thinnest version: see the owner's.)"""

from __future__ import annotations

from functools import partial
from typing import Any

from plait._engine.bodies.body import Body

from .context import Context
from .function import Function
from .parts import RunParts
from .recorded import Sealed
from .returned import returned
from .values import output_of


class _Step:
    def __init__(self, parts: RunParts) -> None:
        self._parts = parts

    async def run(self, step_id: str, handler: Any, *args: Any) -> Any:
        output = Sealed(output_of(returned(handler, {})), self._parts.middleware)
        return await self._parts.calls.run(
            step_id,
            partial(handler, *args),
            name=getattr(handler, "__qualname__", "handler"),
            retry=self._parts.policy,
            output=output,
        )

    async def sleep(self, step_id: str, seconds: float) -> None:
        await self._parts.calls.sleep(step_id, seconds)


async def run_body(
    function: Function[Any, Any],
    parts: RunParts,
    body: Body,  # noqa: ARG001
) -> object:
    step: Any = _Step(parts)
    group: Any = parts.groups
    ctx: Context[Any] = Context(
        event=parts.event, events=parts.events, run_id=parts.run_id, step=step, group=group
    )
    return await function.handler(ctx)
