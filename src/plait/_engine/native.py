"""Native objects of the running backend: Trio's under Trio, AnyIO's under asyncio.

The only module of the engine that imports either. Each costs half as much native as through the
other's wrapper, and `MockClock` and `trio.lowlevel` see Trio's own tasks. The two have unrelated
exception classes, so what must be caught is handed out as well.
"""

from __future__ import annotations

import functools
import math
import sys
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final, Literal, ParamSpec, TypeAlias, TypeVar

import attrs

if TYPE_CHECKING:
    import asyncio

    import anyio
    import anyio.abc
    import outcome
    import trio
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    Nursery: TypeAlias = trio.Nursery | anyio.abc.TaskGroup
    CancelScope: TypeAlias = trio.CancelScope | anyio.CancelScope
    Happening: TypeAlias = trio.Event | anyio.Event
    Limiter: TypeAlias = trio.CapacityLimiter | anyio.CapacityLimiter
    Lock: TypeAlias = trio.Lock | anyio.Lock
    Inlet: TypeAlias = trio.MemorySendChannel[None] | MemoryObjectSendStream[None]
    Outlet: TypeAlias = trio.MemoryReceiveChannel[None] | MemoryObjectReceiveStream[None]

P = ParamSpec("P")
T = TypeVar("T")


class TrioSeats:
    """Where workers wait until there is work: first come, first served.

    Trio's `ParkingLot` does more, at three times the price: a hop of a chain would cost a tenth more.
    """

    def __init__(self) -> None:
        import trio

        self._current_task = trio.lowlevel.current_task
        self._wait = trio.lowlevel.wait_task_rescheduled
        self._reschedule = trio.lowlevel.reschedule
        self._stood_up = trio.lowlevel.Abort.SUCCEEDED
        self._taken: OrderedDict[trio.lowlevel.Task, None] = OrderedDict()

    async def take(self) -> None:
        """Wait to be called. A checkpoint; who is cancelled stands up."""
        task = self._current_task()
        self._taken[task] = None

        def stand_up(_: object) -> trio.lowlevel.Abort:
            del self._taken[task]
            return self._stood_up

        await self._wait(stand_up)

    def call(self) -> bool:
        """Call who has waited longest; is there anybody?"""
        if not self._taken:
            return False
        self._reschedule(self._taken.popitem(last=False)[0])
        return True


class AsyncioSeats:
    """The same on asyncio."""

    def __init__(self) -> None:
        import asyncio

        self._seat = asyncio.get_running_loop().create_future
        self._taken: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Wait to be called. A checkpoint; who is cancelled stands up."""
        seat = self._seat()
        self._taken.append(seat)
        await seat

    def call(self) -> bool:
        """Call who has waited longest; is there anybody?"""
        while self._taken:
            seat = self._taken.popleft()
            if not seat.done():  # else its task was cancelled
                seat.set_result(None)
                return True
        return False


Seats: TypeAlias = TrioSeats | AsyncioSeats


class TrioSlot:
    """Where one task waits for what it is handed. Once sealed, it cannot be cancelled there.

    `left` is called when the task is cancelled instead. If it says so, the task must stay all the same,
    and is sealed.
    """

    def __init__(self, left: Callable[[], object]) -> None:
        self._left = left
        self._sealed = False
        self._parts: Final = _slot_parts()
        self._task: trio.lowlevel.Task | None = None

    async def wait(self) -> object:
        """Wait until something is handed here. A checkpoint."""
        lowlevel = self._parts.lowlevel
        self._task = lowlevel.current_task()
        return await lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        abort: type[trio.lowlevel.Abort] = self._parts.lowlevel.Abort
        if self._sealed or self._left():
            return abort.FAILED
        self._task = None
        return abort.SUCCEEDED

    @property
    def waits(self) -> bool:
        """Has the task neither been handed anything nor been cancelled?"""
        return self._task is not None

    def seal(self) -> bool:
        """Refuse cancellations from now on; too late if the task is being cancelled."""
        self._sealed = True
        return self._task is not None

    def unseal(self) -> None:
        """Take that back."""
        self._sealed = False

    def hand(self, value: object) -> None:
        """Let `wait` return this."""
        self._wake(self._parts.value(value))

    def throw(self, error: BaseException) -> None:
        """Let `wait` raise this."""
        self._wake(self._parts.error(error))

    def _wake(self, what: outcome.Outcome[object]) -> None:
        task, self._task = self._task, None
        assert task is not None, "nobody waits"
        self._parts.lowlevel.reschedule(task, what)


@attrs.frozen
class _SlotParts:
    """What a slot needs of Trio: there is one for each call, and an import looks at a lock."""

    lowlevel: Any
    value: Callable[[object], Any]
    error: Callable[[BaseException], Any]


@functools.cache
def _slot_parts() -> _SlotParts:
    import outcome
    import trio

    # Not `Value[object]`: each call of that fails to note its type in what it has made.
    value: Any = outcome.Value
    return _SlotParts(trio.lowlevel, value, outcome.Error)


class AsyncioSlot:
    """The same on asyncio, where a task may also be cancelled by itself, past any shield."""

    def __init__(self, left: Callable[[], object]) -> None:
        import asyncio

        import anyio

        self._left = left
        self._current_task = asyncio.current_task
        self._cancelled: Final = asyncio.CancelledError
        self._new_future = asyncio.get_running_loop().create_future
        self._future: asyncio.Future[None] | None = None
        self._shield = anyio.CancelScope()
        self._sealed = False
        self._handed: tuple[object, BaseException | None] | None = None
        #: The messages of cancellations that are put off. No scope repeats them.
        self._owed: list[object] = []

    async def wait(self) -> object:
        """Wait until something is handed here. A checkpoint."""
        with self._shield:
            while not self._is_handed():
                self._future = self._new_future()
                try:
                    await self._future
                except self._cancelled as cancelled:
                    if not self._sealed and not self._is_handed():
                        if not self._left():
                            raise
                        self._sealed = self._shield.shield = True
                    if not _is_of_a_scope(cancelled):
                        self._owed.append(cancelled.args[0] if cancelled.args else None)
        task = self._current_task()
        assert task is not None
        for message in self._owed:  # to act at the next checkpoint, and to be counted once
            task.uncancel()
            task.cancel(message)
        assert self._handed is not None
        value, error = self._handed
        if error is not None:
            raise error
        return value  # noqa: ASYNC910 - nothing can be here before it has waited

    def _is_handed(self) -> bool:
        return self._handed is not None

    @property
    def waits(self) -> bool:
        """Has the task neither been handed anything nor been cancelled?"""
        if self._is_handed() or self._future is None:
            return False
        return self._sealed or not self._future.cancelled()

    def seal(self) -> bool:
        """Refuse cancellations from now on; too late if the task is being cancelled."""
        if self._future is not None and not self.waits:
            return False
        self._sealed = self._shield.shield = True
        return self._future is not None

    def unseal(self) -> None:
        """Take that back. A cancellation that was put off acts now: nobody else brings it again."""
        self._sealed = self._shield.shield = False
        if self._owed and self._future is not None and not self._is_handed():
            self._future.cancel(self._owed[-1])

    def hand(self, value: object) -> None:
        """Let `wait` return this."""
        self._wake(value, None)

    def throw(self, error: BaseException) -> None:
        """Let `wait` raise this."""
        self._wake(None, error)

    def _wake(self, value: object, error: BaseException | None) -> None:
        assert self._handed is None, "it was handed something before"
        assert self._future is not None, "nobody waits"
        self._handed = (value, error)
        if not self._future.done():  # else the task was cancelled and has not run since
            self._future.set_result(None)


def _is_of_a_scope(cancelled: BaseException) -> bool:
    """Say whether a cancellation is AnyIO's: its scopes repeat it by themselves."""
    text = cancelled.args[0] if cancelled.args else None
    return isinstance(text, str) and text.startswith("Cancelled via cancel scope ")


Slot: TypeAlias = TrioSlot | AsyncioSlot


class TrioBackend:
    """Trio's own objects. The reference."""

    name = "trio"

    def __init__(self) -> None:
        import trio

        self.cancelled: type[BaseException] = trio.Cancelled
        self.event: Final = trio.Event
        self.lock: Final = trio.Lock
        self.cancel_scope: Final = trio.CancelScope
        self.open_nursery: Final = trio.open_nursery
        self.limiter: Final = trio.CapacityLimiter
        self.open_channel: Final = functools.partial(trio.open_memory_channel[None], math.inf)
        self.seats: Final = TrioSeats
        self.slot: Final = TrioSlot
        self.checkpoint: Final = trio.lowlevel.checkpoint
        self.checkpoint_if_cancelled: Final = trio.lowlevel.checkpoint_if_cancelled
        self.cancel_shielded_checkpoint: Final = trio.lowlevel.cancel_shielded_checkpoint
        self.deadline: Final = trio.current_effective_deadline
        self._to_thread = trio.to_thread
        self._from_thread = trio.from_thread
        self.current_task: Callable[[], object] = trio.lowlevel.current_task
        self._this_task = trio.lowlevel.current_task
        self.sleep_until: Final = trio.sleep_until
        self.wait_readable: Final = trio.lowlevel.wait_readable
        self.wait_writable: Final = trio.lowlevel.wait_writable
        self.getaddrinfo: Final = trio.socket.getaddrinfo
        self._current_clock = trio.lowlevel.current_clock
        self._current_token = trio.lowlevel.current_trio_token
        self._protect = functools.cache(trio.lowlevel.enable_ki_protection)

    def protect(self, fn: Callable[..., object]) -> None:
        """Have Ctrl-C wait until `fn` is over: it must not fall between two statements of it."""
        self._protect(fn)

    def is_cancelled(self) -> bool:
        """Say whether a scope around the task that runs now, and not shielded off, is cancelled."""
        return self.deadline() == -math.inf

    def times_out(self, tasks: Collection[object]) -> bool:
        """Say no: `deadline` knows them all."""
        del tasks
        return False

    def clock(self) -> Callable[[], float]:
        """Bind the run's clock: half the price of looking it up at each reading."""
        return self._current_clock().current_time

    def loop(self) -> object:
        """Tell event loops apart."""
        return self._current_token()

    def caller(self) -> Callable[[Callable[[], object]], object]:
        """Make what has a function called soon, on this event loop, from any thread."""
        return self._current_token().run_sync_soon

    def rename(self, name: str) -> None:
        """Name the task that runs now."""
        self._this_task().name = name

    def name_in(self, context: Context) -> None:
        """Do nothing: Trio is recognized everywhere in its loop."""

    async def run_in_thread(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run in a worker thread; a cancellation waits for it. The caller bounds how many."""
        call = functools.partial(fn, *args, **kwargs)
        return await self._to_thread.run_sync(call, limiter=self.limiter(1))

    def enter_loop(self, fn: Callable[[], T]) -> T:
        """Call `fn` on the event loop, from a thread of `run_in_thread`.

        Raises the backend's `Cancelled` if the thread's task has been cancelled.
        """
        self._from_thread.check_cancelled()
        return self._from_thread.run_sync(fn)

    def await_in_loop(self, fn: Callable[[], Awaitable[T]]) -> T:
        """Await `fn()` on the event loop, from a thread of `run_in_thread`.

        Raises the backend's `Cancelled` if the thread's task has been cancelled, or is meanwhile.
        """
        self._from_thread.check_cancelled()
        return self._from_thread.run(fn)

    def clean_up_in_loop(self, fn: Callable[[], T]) -> T:
        """Do as `enter_loop`, also when the thread's task has been cancelled."""
        return self._from_thread.run_sync(fn)


class AnyioBackend:
    """AnyIO's objects, on asyncio."""

    name = "asyncio"

    def __init__(self) -> None:
        import asyncio

        import anyio
        import anyio.from_thread
        import anyio.lowlevel
        import anyio.to_thread

        self.cancelled: type[BaseException] = asyncio.CancelledError
        self.event: Final = anyio.Event
        self.lock: Final = anyio.Lock
        self.cancel_scope: Final = anyio.CancelScope
        self.open_nursery: Final = anyio.create_task_group
        self.limiter: Final = anyio.CapacityLimiter
        self.open_channel: Final = functools.partial(
            anyio.create_memory_object_stream[None], max_buffer_size=math.inf
        )
        self.seats: Final = AsyncioSeats
        self.slot: Final = AsyncioSlot
        self.checkpoint: Final = anyio.lowlevel.checkpoint
        self.checkpoint_if_cancelled: Final = anyio.lowlevel.checkpoint_if_cancelled
        self.cancel_shielded_checkpoint: Final = anyio.lowlevel.cancel_shielded_checkpoint
        self.deadline: Final = anyio.current_effective_deadline
        self._to_thread = anyio.to_thread
        self._from_thread = anyio.from_thread
        self.current_task: Callable[[], object] = asyncio.current_task
        self._this_task = asyncio.current_task
        self._timeout: Any = asyncio.Timeout
        #: What ends a wait of asyncio's that has a timeout.
        self._release_waiter: Any = getattr(asyncio.tasks, "_release_waiter", None)
        self._sleep = anyio.sleep
        self.wait_readable: Final = anyio.wait_readable
        self.wait_writable: Final = anyio.wait_writable
        self.getaddrinfo: Final = anyio.getaddrinfo
        self._running_loop = asyncio.get_running_loop

    def protect(self, fn: Callable[..., object]) -> None:
        """Do nothing: asyncio turns Ctrl-C into a cancellation of the main task."""

    def is_cancelled(self) -> bool:
        """Say the same; or the task was cancelled by itself, and nobody has taken that back."""
        task = self._this_task()
        return self.deadline() == -math.inf or (task is not None and task.cancelling() > 0)

    def times_out(self, tasks: Collection[object]) -> bool:
        """Say whether one of these is inside `asyncio.timeout`, or waits with a timeout of asyncio's.

        `deadline` knows of scopes only. Other event loops than asyncio's own do not show their timers.
        """
        timers: list[Any] = getattr(self._running_loop(), "_scheduled", [])
        for timer in timers:
            if timer.cancelled():
                continue
            owner: Any = getattr(timer._callback, "__self__", None)
            if type(owner) is self._timeout and owner._task in tasks:
                return True
            if timer._callback is self._release_waiter and any(
                getattr(task, "_fut_waiter", None) is timer._args[0] for task in tasks
            ):
                return True
        return False

    def clock(self) -> Callable[[], float]:
        """Bind the run's clock."""
        return self._running_loop().time

    def loop(self) -> object:
        """Tell event loops apart."""
        return self._running_loop()

    def caller(self) -> Callable[[Callable[[], object]], object]:
        """Make what has a function called soon, on this event loop, from any thread."""
        context = copy_context()
        self.name_in(context)
        return functools.partial(self._running_loop().call_soon_threadsafe, context=context)

    def rename(self, name: str) -> None:
        """Name the task that runs now."""
        task = self._this_task()
        assert task is not None
        task.set_name(name)

    def name_in(self, context: Context) -> None:
        """Let AnyIO know its backend in this context, also where no task is: in a callback."""
        sniffio = sys.modules.get("sniffio")
        if sniffio is not None:  # else AnyIO asks asyncio
            context.run(sniffio.current_async_library_cvar.set, "asyncio")

    async def sleep_until(self, deadline: float) -> None:
        """Sleep until a time on the run's clock."""
        await self._sleep(max(0.0, deadline - self._running_loop().time()))

    async def run_in_thread(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run in a worker thread; a cancellation waits for it. The caller bounds how many."""
        call = functools.partial(fn, *args, **kwargs)
        return await self._to_thread.run_sync(call, limiter=self.limiter(1))

    def enter_loop(self, fn: Callable[[], T]) -> T:
        """Call `fn` on the event loop, from a thread of `run_in_thread`.

        Raises the backend's `Cancelled` if the thread's task has been cancelled.
        """
        self._from_thread.check_cancelled()
        return self._from_thread.run_sync(fn)

    def await_in_loop(self, fn: Callable[[], Awaitable[T]]) -> T:
        """Await `fn()` on the event loop, from a thread of `run_in_thread`.

        Raises the backend's `Cancelled` if the thread's task has been cancelled, or is meanwhile.
        """
        self._from_thread.check_cancelled()
        return self._from_thread.run(_as_coroutine, fn)

    def clean_up_in_loop(self, fn: Callable[[], T]) -> T:
        """Do as `enter_loop`, also when the thread's task has been cancelled."""
        return self._from_thread.run_sync(fn)


async def _as_coroutine(fn: Callable[[], Awaitable[T]]) -> T:
    return await fn()


Backend: TypeAlias = TrioBackend | AnyioBackend

_trio = functools.cache(TrioBackend)
_anyio = functools.cache(AnyioBackend)


def current() -> Backend:
    """Find the running backend. Trio is not imported for an application that has not done so.

    Raises:
        RuntimeError: Neither Trio nor asyncio is running here.
    """
    match is_running():
        case "trio":
            return _trio()
        case "asyncio":
            return _anyio()
        case None:
            pass
    msg = "plait runs inside trio.run(...) or anyio.run(...). From plain code: plait.run(workflow)."
    raise RuntimeError(msg)


def is_running() -> Literal["trio", "asyncio"] | None:
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        return "trio"
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        return "asyncio"
    return None


#: What the waits of each backend raise where the other one runs. Neither names the cause.
_FOREIGN: Final = {
    "asyncio": ("must be called from async context", "Task got bad yield: "),
    "trio": ("no running event loop", "There is no current event loop in thread "),
}


def foreign_wait(error: BaseException) -> str | None:
    """Say what to do about an error that comes of waiting by the means of the other backend."""
    running = is_running()
    if type(error) is not RuntimeError or running is None:
        return None
    if not str(error).startswith(_FOREIGN[running]):
        return None
    here, there = ("Trio", "asyncio") if running == "trio" else ("asyncio", "Trio")
    return (
        f"This code waits by {there}'s means, and {here} is running. Use what {here} or AnyIO has, "
        f"or run it on {there}"
    )


def run(backend: str, fn: Callable[[], Awaitable[T]]) -> T:
    """Start an event loop for one call, and close it.

    Raises:
        ValueError: There is no such backend.
        RuntimeError: An event loop is running here.
    """
    if is_running():
        msg = "plait.run() starts an event loop, and one is running here. Write await W().run()"
        raise RuntimeError(msg)
    if backend == "trio":
        import trio

        return trio.run(fn)
    if backend == "asyncio":
        import asyncio

        import anyio

        try:
            return anyio.run(fn, backend="asyncio")
        except asyncio.CancelledError as cancelled:
            # Nobody else can cancel the main task: it was Ctrl-C, which the runner failed to see.
            raise KeyboardInterrupt from cancelled  # noqa: ASYNC104
    msg = f"backend must be 'trio' or 'asyncio', not {backend!r}"
    raise ValueError(msg)
