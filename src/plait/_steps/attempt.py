"""One attempt of a handler: where it runs, what is around it, and what it can know of its step.

An async handler runs in the calling task, a plain one in a worker thread. What a plain one returns is
awaited in the task if it is awaitable: so `lambda: update_user(7)` is a handler.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from plait._engine import native
from plait._engine.bodies import current
from plait._engine.bodies.current import CurrentStep
from plait._errors import NonRetriableError
from plait._naming import publish

from .checks import is_async
from .returned import name_of_handler

if TYPE_CHECKING:
    from plait._engine.native import Limiter

T = TypeVar("T")


def current_step() -> CurrentStep:
    """Tell the handler that runs which call it is, and the attempt. Not a checkpoint.

    Works in the handler itself, in the tasks and threads that it starts, and in `around_step`. Hand
    its `idempotency_key` to whatever the handler calls outside: an attempt that the process did not
    survive is made again with the same key.

    Raises:
        RuntimeError: The caller is not inside a handler.

    Example:
        ```python
        async def charge(card: str) -> str:
            return await bank.charge(card, idempotency_key=current_step().idempotency_key)
        ```
    """
    step = current.current_step.get(None)
    if step is None:
        raise RuntimeError(
            "current_step() is for handlers: call it in the function that ctx.step.run() is given"
        )
    return step


async def attempt(
    handler: Callable[..., Any],
    args: Sequence[object],
    limiter: Limiter,
) -> object:
    """Run a handler, with what is around it. A checkpoint if the handler is, or if it is plain.

    A thread cannot be interrupted: a cancellation waits for it.

    Args:
        handler: The user's.
        args: What it is called with.
        limiter: Bounds the threads of plain handlers.

    Raises:
        NonRetriableError: The handler cannot be called with these arguments.
        BaseException: What the handler raises.
    """
    if is_async(handler):
        return await called(handler, args)
    (value,) = await in_thread(
        limiter, lambda: (called(handler, args),)
    )  # Trio's wants no coroutine
    return await value if inspect.isawaitable(value) else value


async def in_thread(limiter: Limiter, fn: Callable[[], T]) -> T:
    """Run a plain function in a worker thread. A checkpoint; a cancellation waits for the thread."""
    me = object()  # a task may have several threads, one inside the other
    await limiter.acquire_on_behalf_of(me)
    try:
        return await native.current().run_in_thread(fn)
    finally:
        limiter.release_on_behalf_of(me)


def called(handler: Callable[..., Any], args: Sequence[object]) -> Any:
    """Call a handler, and give what it gives: of an async one a coroutine. Not a checkpoint.

    Raises:
        NonRetriableError: It cannot be called with these arguments.
        BaseException: What it raises.
    """
    try:
        return handler(*args)
    except TypeError as error:
        # It was raised by the call itself, and not in the handler: no attempt will mend that.
        inside = error.__traceback__ and error.__traceback__.tb_next
        if inside or _fits(handler, args):
            raise
        raise NonRetriableError(
            f"{name_of_handler(handler)} cannot be called with the arguments of the step: {error}"
        ) from error


def _fits(handler: Callable[..., Any], args: Sequence[object]) -> bool:
    try:
        inspect.signature(handler).bind(*args)
    except TypeError:
        return False
    except ValueError:  # a builtin tells nobody
        return True
    return True


publish("plait.durable", CurrentStep)
current_step.__module__ = "plait.durable"
