"""Calls that are remembered: what `ctx.step` of every strand has.

What a call is given is looked at here, what it records and reads is made here; when and whether it
runs is the engine's affair.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import datetime
from functools import partial
from types import FunctionType
from typing import Any, Final

import attrs

from plait._engine.bodies.ports import Output as AnyOutput
from plait._journal.outputs import Output, output_of
from plait._kernel.retry.ask import AnyRetryPolicy

from . import arguments
from .attempt import attempt, called
from .checks import Duration, is_async
from .parts import Parts
from .returned import innermost, name_of_handler, returned


@attrs.frozen
class Handler:
    """What is known of a function that is a handler: how it is called, and what it returns."""

    name: str
    output: Output
    #: Is it known that calling it gives a coroutine?
    is_async: bool = False


#: What was found out of handlers before: a call of a step is not to look at annotations again.
_handlers: Final[MutableMapping[Any, Handler]] = weakref.WeakKeyDictionary()
#: Of functions that were given as they are: these have been checked as well.
_functions: Final[MutableMapping[Any, Handler]] = weakref.WeakKeyDictionary()


class StepCalls:
    """The calls of a body: those that every strand has."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def _look_at(
        self, step_id: object, handler: Callable[..., Any], output_type: Any, retry: Any
    ) -> tuple[AnyRetryPolicy | None, Handler]:
        """Look at what `run` was given: its policy, and what is known of the handler.

        Raises:
            TypeError: An argument is of another type.
            ValueError: `retry` is negative.
            ConfigError: The annotation of what is returned names what does not exist.
        """
        arguments.check_id(step_id, "ctx.step.run")
        known = _functions.get(handler) if type(handler) is FunctionType else None
        if known is None:
            arguments.check_handler("handler", handler, f"ctx.step.run({step_id!r}")
        if output_type is not None:
            arguments.check_type(output_type)
            known = None
        policy = self._parts.policy if retry is None else arguments.policy(retry)
        return policy, known or _known(handler, output_type)

    def _run(
        self,
        step_id: str,
        handler: Callable[..., Any],
        args: Sequence[object],
        policy: AnyRetryPolicy | None,
        known: Handler,
        output: AnyOutput,
        *,
        undoable: bool = False,
        around: bool = False,
    ) -> Awaitable[Any]:
        """Make the call of the engine. `around`: something runs around each attempt."""
        at_once = known.is_async and not around
        return self._parts.calls.run(
            step_id,
            partial(called if at_once else self._attempt, handler, args),
            name=known.name,
            retry=policy,
            output=output,
            undoable=undoable,
        )

    async def _attempt(self, handler: Callable[..., Any], args: Sequence[object]) -> object:
        return await attempt(handler, args, self._parts.handler_limiter)

    async def sleep(self, step_id: str, duration: Duration) -> None:
        """Sleep. After a restart only the rest is slept. A checkpoint.

        Cancelled by a scope of the caller, it is cancelled there again in a recovery. A process that ends
        or dies meanwhile cancels nothing: the end of the sleep is on record.

        Args:
            step_id: The id of the call. In one task it may be used several times.
            duration: Seconds or a `timedelta`. Zero or less is over at once.

        Raises:
            TypeError: An argument is of another type.
            ValueError: `duration` is not finite.

        Example:
            ```python
            await ctx.step.sleep("wait for the courier", 3 * 86400)
            ```
        """
        arguments.check_id(step_id, "ctx.step.sleep")
        seconds = arguments.duration("duration", duration)
        await self._parts.calls.sleep(step_id, seconds)

    async def sleep_until(self, step_id: str, until: datetime) -> None:
        """Sleep until a moment. A checkpoint; cancelled, it does as `sleep`.

        Args:
            step_id: The id of the call. In one task it may be used several times.
            until: With a time zone. The past is over at once.

        Raises:
            TypeError: An argument is of another type.
            ValueError: `until` has no time zone.

        Example:
            ```python
            await ctx.step.sleep_until("new year", datetime(2030, 1, 1, tzinfo=UTC))
            ```
        """
        arguments.check_id(step_id, "ctx.step.sleep_until")
        moment = arguments.moment("until", until)
        await self._parts.calls.sleep_until(step_id, moment)


def _known(handler: Callable[..., Any], output_type: Any) -> Handler:
    if output_type is not None:
        return _found(handler, output_type)
    inner = innermost(handler)
    try:
        known = _handlers.get(inner)
    except TypeError:  # it has no hash, or nobody can refer to it weakly
        return _found(handler, None)
    if known is None:
        known = _handlers[inner] = _found(handler, None)
    if type(handler) is FunctionType:
        known = attrs.evolve(known, is_async=is_async(handler))
        _functions[handler] = known
    return known


def _found(handler: Callable[..., Any], output_type: Any) -> Handler:
    hint = returned(handler) if output_type is None else output_type
    return Handler(name_of_handler(handler), output_of(hint))
