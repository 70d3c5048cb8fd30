"""Checkpoints as they are taken: a step has returned something, and nobody has got it yet.

Rule 1: The body is wrapped only in a run whose checkpoints somebody wants; others pay nothing.
Rule 2: What `on_success=True` has held back is sent first: it is part of the run, and not of what
    the step returned.
Rule 3: After the decision nothing is routed any more, and nothing is a checkpoint.
Rule 4: A callback that raises fails the run. It is no failure of the step: no retry and no handler
    makes it good.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, TypeGuard, cast

from plait._engine.attempt import Attempt
from plait._engine.lane import Body
from plait._event import Event, InputRequiredEvent
from plait._naming import publish

from .context import Context


class CheckpointCallback(Protocol):
    """Told of each checkpoint of a run, see `Run.on_checkpoint`. Plain or async.

    Example:
        ```python
        async def keep(*, run_id, last_completed_step, input_ev, output_ev, ctx):
            await file.write_text(json.dumps(ctx.to_dict()))
        ```
    """

    def __call__(
        self,
        *,
        run_id: str,
        last_completed_step: str,
        input_ev: Any,
        output_ev: Any,
        ctx: Context[Any],
    ) -> Awaitable[object] | object:
        """Take a checkpoint.

        Args:
            run_id: The run's name.
            last_completed_step: The name of the step that has returned.
            input_ev: The event that it was given; a list, if it was given several.
            output_ev: The event, or the list of events, that it has returned.
            ctx: The run without this delivery; its `to_dict()` works until the callback returns.
        """
        ...


def checkpoint_callbacks(ctx: Context[Any]) -> Sequence[CheckpointCallback]:
    """List who wants the checkpoints of the run that begins with this context."""
    shell = ctx._shell
    return () if shell is None else tuple(cast("list[CheckpointCallback]", shell.checkpoints))


def checkpointed(body: Body, ctx: Context[Any], callbacks: Sequence[CheckpointCallback]) -> Body:
    """Take a checkpoint when a body has returned."""

    async def taking(attempt: Attempt) -> object:
        value = await body(attempt)
        if attempt.held and not attempt.worker.unwanted:
            attempt.send_held()
            attempt.held = None
        if is_output(value) and not (attempt.worker.unwanted or attempt.shell.winding_up):
            attempt.worker.disarm()
            try:
                await _tell(callbacks, ctx, attempt, value)
            except Exception as error:
                attempt.worker.unwanted = True  # nobody else is to make it good
                error.add_note("in a checkpoint callback: the step itself had returned")
                raise
        return value

    return cast("Body", taking)


async def _tell(  # noqa: ASYNC910 - a plain callback waits for nothing
    callbacks: Sequence[CheckpointCallback],
    ctx: Context[Any],
    attempt: Attempt,
    value: Event | list[Event],
) -> None:
    delivery = attempt.delivery
    for callback in callbacks:
        told = callback(
            run_id=attempt.shell.run_id,
            last_completed_step=delivery.step,
            input_ev=input_of(delivery.event),
            output_ev=[*value] if isinstance(value, list) else value,
            ctx=ctx._of_checkpoint(delivery.number),
        )
        if inspect.isawaitable(told):
            await told


def is_output(value: object) -> TypeGuard[Event | list[Event]]:
    """Say whether something that a step has returned makes a checkpoint."""
    if isinstance(value, list):
        return all(isinstance(one, Event) for one in cast("list[object]", value))
    return isinstance(value, Event) and not isinstance(value, InputRequiredEvent)


def input_of(event: object) -> Event | list[Event]:
    """Make of a delivery's input what a callback is given: an event, or those of a join or fan-in."""
    return (
        list(cast("tuple[Event, ...]", event)) if isinstance(event, tuple) else cast("Event", event)
    )


publish("plait.events", CheckpointCallback)
