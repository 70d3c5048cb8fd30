"""`ctx.step` and `ctx.group` of a `SyncContext`: each call is made by the task of the calling thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, TypeVarTuple, overload

import plait._event
from plait._engine.bodies.groups import Mode, OnError, Tasks
from plait._kernel.retry.policy import RetryPolicy
from plait._naming import publish
from plait._steps.checks import Duration
from plait._steps.group import Group, named, results

from . import sync_signatures
from .entrance import Entrance
from .event import Event, Sendable
from .function import Function
from .parts import RunParts
from .step import Step

if TYPE_CHECKING:
    from plait._engine.native import Limiter

D = TypeVar("D")
E = TypeVar("E", bound=plait._event.Event)
I = TypeVar("I")  # noqa: E741 - an item
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class SyncStep:
    """As `Step`, without `await`. A thread cannot be interrupted: its next call raises `Cancelled`.

    Example:
        ```python
        user = ctx.step.run("get-user", get_user, user_id)
        ctx.step.sleep("a day", 86400)
        ```
    """

    def __init__(self, step: Step, entrance: Entrance) -> None:
        self._step = step
        self._entrance = entrance

    @overload
    def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], Awaitable[T]],
        *args: *Ts,
        output_type: type[T] | None = None,
        retry: int | RetryPolicy | None = None,
        rollback: Callable[[T], object] | None = None,
    ) -> T: ...
    @overload
    def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], T],
        *args: *Ts,
        output_type: type[T] | None = None,
        retry: int | RetryPolicy | None = None,
        rollback: Callable[[T], object] | None = None,
    ) -> T: ...
    def run(
        self,
        step_id: str,
        handler: Callable[[*Ts], Any],
        *args: *Ts,
        output_type: Any = None,
        retry: int | RetryPolicy | None = None,
        rollback: Callable[[Any], object] | None = None,
    ) -> Any:
        """As `Step.run`, but it blocks: the function's thread waits for the outcome.

        A plain handler has a thread of its own, an async one runs in the event loop. Once the run is being
        cancelled or suspended, this raises the backend's cancellation; so do all the methods below.

        Args:
            step_id: The id of the call. In one thread it may be used several times.
            handler: The function to run.
            *args: What it is called with.
            output_type: The type of what it returns; by default as it is annotated.
            retry: How many attempts may follow the first one, or a retry policy; by default the function's.
            rollback: Called with what the handler returned if the run fails or is cancelled for good.

        Raises:
            Exception: As `Step.run` does.
        """
        options: dict[str, Any] = {
            "output_type": output_type,
            "retry": retry,
            "rollback": rollback,
        }
        return self._call(step_id, partial(self._step.run, step_id, handler, *args, **options))

    def sleep(self, step_id: str, duration: Duration) -> None:
        """As `Step.sleep`, with the same arguments: it blocks for `duration`, seconds or a `timedelta`."""
        self._call(step_id, lambda: self._step.sleep(step_id, duration))

    def sleep_until(self, step_id: str, until: datetime) -> None:
        """As `Step.sleep_until`, with the same arguments: it blocks until the moment `until`, which has a time zone."""
        self._call(step_id, lambda: self._step.sleep_until(step_id, until))

    @overload
    def wait_for_event(
        self,
        step_id: str,
        *,
        event: str,
        timeout: Duration,
        if_exp: Callable[[Event[Any]], bool] | None = None,
        buffer: bool = False,
    ) -> Event[Any] | None: ...
    @overload
    def wait_for_event(
        self,
        step_id: str,
        *,
        event: type[E],
        timeout: Duration,
        if_exp: Callable[[Event[Any]], bool] | None = None,
        buffer: bool = False,
    ) -> Event[E] | None: ...
    def wait_for_event(
        self,
        step_id: str,
        *,
        event: Any,
        timeout: Duration,
        if_exp: Callable[[Event[Any]], bool] | None = None,
        buffer: bool = False,
    ) -> Event[Any] | None:
        """As `Step.wait_for_event`, with the same arguments: it blocks until one fits or `timeout` is over."""
        found: Event[Any] | None = self._call(
            step_id,
            lambda: self._step.wait_for_event(
                step_id, event=event, timeout=timeout, if_exp=if_exp, buffer=buffer
            ),
        )
        return found

    def invoke(
        self,
        step_id: str,
        *,
        function: Function[D, T],
        data: D | Event[D] | None = None,
        timeout: Duration | None = None,
    ) -> T:
        """As `Step.invoke`, with the same arguments: it blocks until the `function` has ended."""
        return self._call(
            step_id,
            lambda: self._step.invoke(step_id, function=function, data=data, timeout=timeout),
        )

    def invoke_by_id(
        self,
        step_id: str,
        *,
        function_id: str,
        data: object = None,
        timeout: Duration | None = None,
    ) -> object:
        """As `Step.invoke_by_id`, with the same arguments: it blocks until that `function_id` has ended."""
        return self._call(
            step_id,
            lambda: self._step.invoke_by_id(
                step_id, function_id=function_id, data=data, timeout=timeout
            ),
        )

    def send_event(self, step_id: str, events: Sendable | Iterable[Sendable]) -> list[str]:
        """As `Step.send_event`, with the same arguments: it blocks until the `events` are on record."""
        return self._call(step_id, lambda: self._step.send_event(step_id, events))

    def _call(self, step_id: str, fn: Callable[[], Awaitable[T]]) -> T:
        return self._entrance.call(fn, step_id)


class SyncGroup(sync_signatures.RunsBranches):
    """As `Group`, without `await`. Each branch is a plain function, in a thread of its own.

    Example:
        ```python
        users = ctx.group.map("get-user", get_user, ctx.event.data["user_ids"], limit=10)
        ```
    """

    def __init__(self, parts: RunParts, group: Group, entrance: Entrance) -> None:
        self._parts = parts
        self._group = group
        self._entrance = entrance

    def _parallel(self, branches: tuple[Any, ...], mode: Mode, on_error: OnError) -> Any:
        run = [named(branch, in_a_thread(self._entrance, branch)) for branch in branches]
        ended = self._entrance.call(
            lambda: self._parts.groups.parallel(run, mode=mode, on_error=on_error)
        )
        return results(ended, mode)

    @overload
    def map(
        self,
        step_id: str,
        fn: Callable[[I], Awaitable[T]],
        items: Iterable[I],
        *,
        limit: int | Limiter | None = None,
        on_error: Literal["cancel", "wait"] = "cancel",
        retry: int | RetryPolicy | None = None,
        output_type: type[T] | None = None,
    ) -> tuple[T, ...]: ...
    @overload
    def map(
        self,
        step_id: str,
        fn: Callable[[I], T],
        items: Iterable[I],
        *,
        limit: int | Limiter | None = None,
        on_error: Literal["cancel", "wait"] = "cancel",
        retry: int | RetryPolicy | None = None,
        output_type: type[T] | None = None,
    ) -> tuple[T, ...]: ...
    def map(
        self,
        step_id: str,
        fn: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        limit: int | Limiter | None = None,
        on_error: Literal["cancel", "wait"] = "cancel",
        retry: int | RetryPolicy | None = None,
        output_type: Any = None,
    ) -> tuple[Any, ...]:
        """As `Group.map`, with the same arguments: it blocks until all calls have ended.

        The items are taken in the event loop: what they come from must not block.
        """
        options: dict[str, Any] = {
            "limit": limit,
            "on_error": on_error,
            "retry": retry,
            "output_type": output_type,
        }
        return self._entrance.call(lambda: self._group.map(step_id, fn, items, **options), step_id)

    def open(self) -> AbstractContextManager[SyncTasks]:
        """As `Group.open`: a nursery of plain functions, each in a thread of its own."""
        return self._open()

    @contextmanager
    def _open(self) -> Generator[SyncTasks]:
        manager = self._entrance.ask(self._group.open)
        with self._entrance.async_scope(manager) as tasks:
            yield SyncTasks(tasks, self._entrance)


class SyncTasks:
    """A nursery of a plain function. Its tasks are numbered in the order in which they are started.

    Example:
        ```python
        with ctx.group.open() as tasks:
            tasks.start_soon(one, 1)
            tasks.start_soon(one, 2)
        ```
    """

    def __init__(self, tasks: Tasks, entrance: Entrance) -> None:
        self._tasks = tasks
        self._entrance = entrance

    def start_soon(self, fn: Callable[[*Ts], object], *args: *Ts) -> None:
        """Start a thread that calls `fn(*args)`."""
        run = named(fn, in_a_thread(self._entrance, partial(fn, *args)))
        self._entrance.ask(lambda: self._tasks.start_soon(run))

    def start(self, fn: Callable[..., object], *args: object) -> Any:
        """Start a thread that calls `fn(*args, task_status=...)`, and wait for what it reports.

        `task_status.started(value)` has this return the value.
        """
        entrance = self._entrance

        async def run(**options: Any) -> None:
            status = SyncTaskStatus(options["task_status"], entrance)
            await entrance.thread(lambda: fn(*args, task_status=status))

        return entrance.call(lambda: self._tasks.start(named(fn, run)))

    def cancel(self) -> None:
        """Cancel all of them, and who waits for them."""
        self._entrance.ask(self._tasks.cancel)


class SyncTaskStatus:
    """What a function that is started by `SyncTasks.start` reports with."""

    def __init__(self, status: Any, entrance: Entrance) -> None:
        self._status = status
        self._entrance = entrance

    def started(self, value: object = None) -> None:
        """Report that it has begun, with this value."""
        self._entrance.ask(lambda: self._status.started(value))


def in_a_thread(entrance: Entrance, fn: Callable[[], object]) -> Callable[[], Awaitable[object]]:
    """Make what runs a plain function in a thread, in the name of the task that awaits it."""

    async def run() -> object:
        return await entrance.thread(fn)

    return run


publish("plait.durable", SyncStep, SyncGroup, SyncTasks)
