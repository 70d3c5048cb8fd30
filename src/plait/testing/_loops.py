"""How a plain durable function makes its calls in a test: each in an event loop of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

from plait._engine import native
from plait._strands._durable.entrance import Entrance, SyncScope

T = TypeVar("T")

FAILED = "Tasks of a group failed"


class Cut(BaseException):
    """A scope of a plain function was cancelled."""


class _Still:
    """A scope that only its own `cancel` ends."""

    def __init__(self) -> None:
        self.cancel_called: bool = False
        self.cancelled_caught: bool = False

    def cancel(self) -> None:
        self.cancel_called = True


class LoopEntrance(Entrance):
    """Makes each call in an event loop of its own."""

    def __init__(self) -> None:
        self._scopes: list[_Still] = []

    def call(self, fn: Callable[[], Awaitable[T]], step_id: str | None = None) -> T:
        """Await something under Trio."""
        del step_id
        if any(scope.cancel_called for scope in self._scopes):
            raise Cut
        with ThreadPoolExecutor(1) as threads:  # an event loop may run in this one
            context = copy_context()
            return threads.submit(lambda: context.run(native.run, "trio", fn)).result()

    def ask(self, fn: Callable[[], T]) -> T:
        """Call it here: nothing else runs."""
        return fn()

    async def thread(self, fn: Callable[[], T]) -> T:
        """Run it in a thread."""
        return await native.current().run_in_thread(fn)

    def scope(self, make: Callable[[], AbstractContextManager[Any]]) -> Any:
        """Give a scope that no time ends."""
        del make
        return self._sync_scope()

    @contextmanager
    def _sync_scope(self) -> Generator[SyncScope]:
        with self._entered() as scope:
            yield SyncScope(self, scope)

    @contextmanager
    def _entered(self) -> Generator[_Still]:
        scope = _Still()
        self._scopes.append(scope)
        try:
            yield scope
        except Cut:
            if not scope.cancel_called:
                raise
            scope.cancelled_caught = True
        finally:
            self._scopes.remove(scope)

    def async_scope(self, manager: AbstractAsyncContextManager[Any]) -> Any:
        """Give a nursery of threads: no event loop is there for the whole of it."""
        del manager
        return self._nursery()

    @contextmanager
    def _nursery(self) -> Generator[_LoopTasks]:
        with self._entered() as scope:
            tasks = _LoopTasks(scope)
            try:
                yield tasks
            except Exception as error:  # noqa: BLE001 - raised with what failed beside it
                scope.cancel()
                tasks.errors.append(error)
            finally:
                tasks.wait()
            if tasks.errors:
                raise ExceptionGroup(FAILED, tasks.errors)


class _LoopTasks:
    """Tasks in threads. Their calls raise, once they are cancelled."""

    def __init__(self, scope: _Still) -> None:
        self.errors: list[Exception] = []
        self._scope = scope
        self._threads: list[tuple[ThreadPoolExecutor, Future[object]]] = []

    def start_soon(self, run: Callable[..., Awaitable[object]]) -> None:
        self._start(run)

    async def start(self, run: Callable[..., Awaitable[object]]) -> object:
        reported: SimpleQueue[tuple[object, ...]] = SimpleQueue()
        self._start(lambda: run(task_status=_Status(reported)))
        self._threads[-1][1].add_done_callback(lambda _: reported.put(()))
        value = await native.current().run_in_thread(reported.get)
        if not value:
            raise RuntimeError("A task has ended without calling task_status.started()")
        return value[0]

    def cancel(self) -> None:
        self._scope.cancel()

    def wait(self) -> None:
        """Wait for all of them, and note what they raised."""
        for threads, task in self._threads:
            threads.shutdown()
            error = task.exception()
            if isinstance(error, Exception):
                self.errors.append(error)

    def _start(self, run: Callable[[], Awaitable[object]]) -> None:
        threads = ThreadPoolExecutor(1)
        context = copy_context()
        task = threads.submit(lambda: context.run(native.run, "trio", run))
        self._threads.append((threads, task))


class _Status:
    def __init__(self, reported: SimpleQueue[tuple[object, ...]]) -> None:
        self._reported = reported

    def started(self, value: object) -> None:
        self._reported.put((value,))
