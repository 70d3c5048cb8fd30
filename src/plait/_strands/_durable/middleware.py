"""Middleware: code around runs, steps and sent events; and how several are nested.

Rule: the first of a list is outermost, and the app's come before the function's. What goes out passes
    the first one first, what comes back passes it last.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, cast

from plait._errors import ContextSerdeError
from plait._journal.codec import from_bytes, to_bytes
from plait._journal.leaves import read_bytes, write_bytes
from plait._journal.refused import Refused
from plait._naming import publish
from plait._show import show
from plait._steps.checks import SHOWN

from .event import Event, is_event

CallNext: TypeAlias = Callable[[], Awaitable[Any]]


class Middleware:
    """Code around what an app does. Override what you need; the rest passes through.

    Example:
        >>> class Timed(Middleware):
        ...     async def around_step(self, step, call_next):
        ...         print("before")
        ...         try:
        ...             return await call_next()
        ...         finally:
        ...             print("after")
    """

    async def around_run(self, ctx: Any, call_next: CallNext) -> Any:
        """Be around a start of a body: once per process, and once more for each retry.

        A cancellation passes through: what is after the call stands in a `finally`.

        Args:
            ctx: The body's context.
            call_next: Runs what is inside, and gives what the body returns. To be called once.

        Returns:
            What the body returns, or what shall count as that.
        """
        del ctx
        return await call_next()

    async def around_step(self, step: Any, call_next: CallNext) -> Any:
        """Be around an attempt of a handler; never around what a journal remembers.

        A cancellation passes through, as above. What it raises is the failure of the attempt.

        Args:
            step: What `current_step()` gives in the handler.
            call_next: Runs what is inside, and gives what the handler returns. To be called once.

        Returns:
            What the handler returns, or what shall count as that.
        """
        del step
        return await call_next()

    def before_send(self, events: list[Event[Any]]) -> list[Event[Any]]:
        """See events before they are sent; give these, or others instead.

        Args:
            events: Typed ones are in their envelopes.
        """
        return events

    def encode(self, data: bytes) -> bytes:
        """Change a value on its way to the journal: encrypt it, for example.

        Args:
            data: JSON in UTF-8.
        """
        return data

    def decode(self, data: bytes) -> bytes:
        """Change `data`, which `encode` has given, back. Called whenever the journal is read."""
        return data


def around_run(stack: Sequence[Middleware], ctx: Any, body: CallNext) -> Awaitable[Any]:
    """Run a body with what is around it."""
    for middleware in reversed(stack):
        body = partial(middleware.around_run, ctx, body)
    return body()


def around_step(stack: Sequence[Middleware], step: Any, handler: CallNext) -> Awaitable[Any]:
    """Run an attempt of a handler with what is around it."""
    for middleware in reversed(stack):
        handler = partial(middleware.around_step, step, handler)
    return handler()


def before_send(stack: Sequence[Middleware], events: list[Event[Any]]) -> list[Event[Any]]:
    """Hand events through, from the outermost on.

    Raises:
        TypeError: One of them gave something else.
    """
    for middleware in stack:
        given = middleware.before_send(events)
        if not _are_events(given):
            raise TypeError(
                f"{type(middleware).__name__}.before_send() must give a list of Events, "
                f"not {show(given, SHOWN)}"
            )
        events = given
    return events


def _are_events(given: Any) -> bool:
    return isinstance(given, list) and all(map(is_event, cast("list[object]", given)))


# ---------------------------------------------------------------- values

#: The tag of a value that middleware has changed. Values have none of this name.
SEALED: Final = "sealed"

_CODES: Final = (Middleware.encode, Middleware.decode)


def seal(stack: Sequence[Middleware], data: object) -> object:
    """Hand a value, as JSON values, through each `encode`.

    Raises:
        TypeError: One of them gave no bytes.
    """
    coding = _coding(stack)
    if not coding:
        return data
    body = to_bytes(data)
    for middleware in coding:
        body = _bytes(middleware, "encode", middleware.encode(body))
    return {"$": [SEALED, *write_bytes(body)]}


def unseal(stack: Sequence[Middleware], data: object) -> object:
    """Hand a value back through each `decode`, the last one first.

    What was recorded without such middleware is given as it is.

    Raises:
        TypeError: One of them gave no bytes.
        ContextSerdeError: What came out is no JSON; or it is sealed, and nobody can open it.
    """
    text = _sealed(data)
    if text is None:
        return data
    coding = _coding(stack)
    if not coding:
        raise ContextSerdeError(
            "A middleware has encoded this value, and there is none to decode it."
        )
    try:
        body = read_bytes(text)
        for middleware in reversed(coding):
            body = _bytes(middleware, "decode", middleware.decode(body))
        return from_bytes(body)
    except (Refused, ValueError, RecursionError) as error:
        raise ContextSerdeError(f"Decoding gave no value: {error}") from error


def _coding(stack: Sequence[Middleware]) -> list[Middleware]:
    return [each for each in stack if (type(each).encode, type(each).decode) != _CODES]


def _sealed(data: Any) -> object:
    if not isinstance(data, dict) or data.keys() != {"$"}:
        return None
    tag, *rest = cast("list[object]", data["$"])
    return rest[0] if tag == SEALED else None


def _bytes(middleware: Middleware, method: str, given: object) -> bytes:
    if type(given) is not bytes:
        name = f"{type(middleware).__name__}.{method}()"
        raise TypeError(f"{name} must give bytes, not {show(given, SHOWN)}")
    return given


publish("plait.durable", Middleware)
