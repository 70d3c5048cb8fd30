"""`ctx.group`: several calls at a time, named by the group and their place in it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, ItemsView, Iterable, KeysView
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

from plait._engine.bodies.body import Raised, Returned
from plait._engine.bodies.groups import Mode, Tasks, Won
from plait._kernel.retry.policy import RetryPolicy
from plait._naming import publish
from plait._show import show

from . import arguments
from .branches import ON_ERROR, Failed, Ok, OnError, Winner
from .checks import SHOWN, check_word
from .parts import Parts
from .returned import name_of_handler
from .signatures import RunsBranches, RunsSteps

if TYPE_CHECKING:
    from plait._engine.native import Limiter

I = TypeVar("I")  # noqa: E741 - an item
T = TypeVar("T")
#: What nearly every branch gives: asked for first, since `isawaitable` looks for more.
_COROUTINE: Final[Any] = CoroutineType

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


class Group(RunsBranches):
    """Several calls at a time. What a group starts has ended when it returns or raises.

    Example:
        ```python
        (user, sent) = await ctx.group.parallel(
            (
                lambda: ctx.step.run("update-user", update_user, user_id),
                lambda: ctx.step.run("send-email", send_email, user_id),
            )
        )
        ```
    """

    def __init__(self, parts: Parts, step: RunsSteps) -> None:
        self._parts = parts
        self._step = step

    async def _parallel(self, branches: tuple[Any, ...], mode: Mode, on_error: OnError) -> Any:
        run = [awaited(branch, k) for k, branch in enumerate(branches)]
        ended = await self._parts.groups.parallel(run, mode=mode, on_error=on_error)
        return results(ended, mode)

    async def map(
        self,
        step_id: str,
        fn: Callable[[I], Awaitable[T]],
        items: Iterable[I],
        *,
        limit: int | Limiter | None = None,
        on_error: Literal["cancel", "wait"] = "cancel",
        retry: int | RetryPolicy | None = None,
        output_type: type[T] | None = None,
    ) -> tuple[T, ...]:
        """Call `ctx.step.run(step_id, fn, item)` for each item, and return the results in their order.

        Each is a call of its own, named by the position of its item. A checkpoint; a cancellation
        cancels the calls, and waits for their clean-up.

        Args:
            step_id: The id of each call.
            fn: The handler. A plain one runs in worker threads.
            items: In an order that is the same each time: no set. Taken one by one, as there is room.
            limit: At most so many tasks exist at a time; or a capacity limiter, whose tokens are
                shared with whoever else has it. By default one task for each item.
            on_error: `"cancel"`: the first failure cancels the others, and those that have not begun.
                `"wait"`: all may end.
            retry: As for `ctx.step.run`.
            output_type: As for `ctx.step.run`.

        Raises:
            TypeError: An argument is of another type; or `items` is a set.
            ValueError: `limit` is less than 1, or `on_error` is no such word.
            Exception: The failure of one call.
            ExceptionGroup: The failures of several, in the order of the items.

        Example:
            ```python
            users = await ctx.group.map("get-user", get_user, ctx.event.data["user_ids"], limit=10)
            ```
        """
        arguments.check_id(step_id, "ctx.group.map")
        arguments.check_handler("fn", fn, f"ctx.group.map({step_id!r}")
        given = ordered(items)
        for fault in check_word("on_error", on_error, ON_ERROR):
            raise ValueError(fault)
        room: int | Limiter | None = arguments.limit(limit)

        async def call(item: I) -> T:
            return await self._step.run(step_id, fn, item, output_type=output_type, retry=retry)

        call.__qualname__ = name_of_handler(fn)
        found = await self._parts.groups.map(step_id, call, given, limit=room, on_error=on_error)
        return cast("tuple[T, ...]", found)

    def open(self) -> AbstractAsyncContextManager[Tasks]:
        """Open a nursery whose tasks are named by it. Entering and leaving it are checkpoints.

        On Trio, and on asyncio with its own tasks, any nursery will do. This one also names its tasks
        where the event loop has no task factory that plait can extend.

        Raises:
            NestedStepError: The caller is inside a handler.
            UntrackedTaskError: The caller is not a task of this run.
            ExceptionGroup: As the backend's nursery has it.

        Example:
            ```python
            async with ctx.group.open() as tasks:
                tasks.start_soon(one, 1)
                tasks.start_soon(one, 2)
            ```
        """
        return self._parts.groups.open()


def awaited(branch: Callable[[], Any], k: int) -> Callable[[], Awaitable[Any]]:
    """Wrap a branch: what it gives must be awaitable."""

    def run() -> Awaitable[Any]:
        given: Awaitable[Any] = branch()
        if not isinstance(given, _COROUTINE) and not inspect.isawaitable(given):
            raise TypeError(
                f"Branch {k} of parallel() gave {show(given, SHOWN)}, which cannot be awaited\n"
                "  write lambda: ctx.step.run(...), or an async function"
            )
        return given

    return named(branch, run)


def named(branch: Any, run: F) -> F:
    """Name what runs a branch as the branch: it is recorded as the name of its task."""
    while isinstance(branch, partial):
        branch = branch.func
    run.__qualname__ = getattr(branch, "__qualname__", type(branch).__qualname__)
    return run


def results(ended: object, mode: Mode) -> Any:
    """Make of how branches ended what `parallel` gives."""
    if mode == "all":
        return ended
    if isinstance(ended, Won):
        return Winner(ended.branch, ended.value)
    return tuple(map(_settled, cast("tuple[Returned | Raised, ...]", ended)))


def _settled(end: Returned | Raised) -> Ok[object] | Failed:
    if isinstance(end, Returned):
        return Ok(end.value)
    assert isinstance(end.error, Exception), "what else comes out of a branch is no failure"
    return Failed(end.error)


def ordered(items: Any) -> Iterable[Any]:
    """Refuse what has no order.

    Raises:
        TypeError: It is a set, or nothing that has items.
    """
    if isinstance(items, KeysView | ItemsView):  # a dict's have one
        return iter(cast("Iterable[Any]", items))
    if isinstance(items, AbstractSet):
        raise TypeError(
            "items must have an order, the same each time, and a set has none\n"
            "  write sorted(items), or keep a list"
        )
    if not isinstance(items, Iterable) and not hasattr(items, "__getitem__"):
        hint = ""
        if hasattr(items, "__aiter__"):
            hint = "\n  write [item async for item in items], in a step"
        raise TypeError(f"items must be iterable, not {show(items, SHOWN)}{hint}")
    return cast("Iterable[Any]", items)


publish("plait.durable", Group, Tasks)
