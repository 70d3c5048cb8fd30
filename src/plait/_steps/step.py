"""Calls that are remembered: what `ctx.step` of every strand has.

What a call is given is looked at here, what it records and reads is made here; when and whether it
runs is the engine's affair.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, MutableMapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

from plait._engine.bodies.ports import Output as AnyOutput
from plait._journal.outputs import Output, output_of
from plait._kernel.retry.ask import AnyRetryPolicy

from . import arguments
from .attempt import attempt
from .checks import Duration
from .parts import Parts
from .returned import innermost, name_of_handler, returned

#: What is known of handlers by their annotations.
_outputs: Final[MutableMapping[Any, Output]] = weakref.WeakKeyDictionary()


class Given(NamedTuple):
    """What a call of `run` was given, looked at."""

    policy: AnyRetryPolicy | None
    output: Output


class StepCalls:
    """The calls of a body: those that every strand has."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def _look_at(
        self, step_id: object, handler: Callable[..., Any], output_type: Any, retry: Any
    ) -> Given:
        """Look at what `run` was given.

        Raises:
            TypeError: An argument is of another type.
            ValueError: `retry` is negative.
            ConfigError: The annotation of what is returned names what does not exist.
        """
        arguments.check_id(step_id, "ctx.step.run")
        arguments.check_handler("handler", handler, f"ctx.step.run({step_id!r}")
        arguments.check_type(output_type)
        policy = self._parts.policy if retry is None else arguments.policy(retry)
        return Given(policy, _output_for(handler, output_type))

    async def _run(
        self,
        step_id: str,
        handler: Callable[..., Any],
        args: Sequence[object],
        policy: AnyRetryPolicy | None,
        output: AnyOutput,
        *,
        undoable: bool = False,
    ) -> Any:
        return await self._parts.calls.run(
            step_id,
            partial(self._attempt, handler, args),
            name=name_of_handler(handler),
            retry=policy,
            output=output,
            undoable=undoable,
        )

    async def _attempt(self, handler: Callable[..., Any], args: Sequence[object]) -> object:
        return await attempt(handler, args, self._parts.handler_limiter)

    async def sleep(self, step_id: str, duration: Duration) -> None:
        """Sleep. After a restart only the rest is slept. A checkpoint.

        Args:
            step_id: The id of the call.
            duration: Seconds or a `timedelta`. Zero or less is over at once.

        Raises:
            TypeError: An argument is of another type.
            ValueError: `duration` is not finite.
        """
        arguments.check_id(step_id, "ctx.step.sleep")
        seconds = arguments.duration("duration", duration)
        await self._parts.calls.sleep(step_id, seconds)

    async def sleep_until(self, step_id: str, until: datetime) -> None:
        """Sleep until a moment. A checkpoint.

        Args:
            step_id: The id of the call.
            until: With a time zone. The past is over at once.

        Raises:
            TypeError: An argument is of another type.
            ValueError: `until` has no time zone.
        """
        arguments.check_id(step_id, "ctx.step.sleep_until")
        moment = arguments.moment("until", until)
        await self._parts.calls.sleep_until(step_id, moment)


def _output_for(handler: Callable[..., Any], output_type: Any) -> Output:
    if output_type is not None:
        return output_of(output_type)
    inner = innermost(handler)
    try:
        known = _outputs.get(inner)
    except TypeError:  # it has no hash, or nobody can refer to it weakly
        return output_of(returned(handler))
    if known is None:
        known = _outputs[inner] = output_of(returned(handler))
    return known
