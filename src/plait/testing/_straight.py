"""The parts of a context whose calls are made at once, and remembered by nobody."""

from __future__ import annotations

import difflib
import logging
from collections import Counter
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from plait._engine import native
from plait._engine.bodies.body import Raised, Returned
from plait._engine.bodies.calls import UNCHANGED
from plait._engine.bodies.current import CurrentStep, current_step
from plait._engine.bodies.groups import Branch, Mode, OnError, Tasks, Won
from plait._engine.bodies.paths import Path
from plait._engine.bodies.ports import Output, Waits
from plait._engine.failure import split, unwrap
from plait._errors import NestedStepError
from plait._journal.recorded import error_of
from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallFailed, Op
from plait._kernel.retry.policy import RetryPolicy
from plait._show import show
from plait._steps.arguments import policy_of
from plait._steps.checks import SHOWN
from plait._strands._durable.event import Event
from plait._strands._durable.middleware import Middleware
from plait._strands._durable.parts import Invocation, Lookout, Undoing

if TYPE_CHECKING:
    from plait._engine.native import CancelScope, Limiter, Nursery

#: How many threads plain handlers have, in each event loop.
THREADS = 40


class Nobody:
    """Stands where a run would have somebody look out for events, and run other functions."""

    since: int = 0

    def look_out(self, key: Key, event: str) -> object:
        """Do nothing: the result is given."""

    def forget(self, key: Key) -> object:
        """Do nothing."""

    def start(self, key: Key, child: str) -> object:
        """Do nothing."""

    def cancel(self, key: Key, child: str) -> object:
        """Do nothing."""

    def overdue(self, key: Key, over: Callable[[], object]) -> bool:
        """Say that nothing is looked for."""
        del key, over
        return False

    async def over(self, child: str, /) -> None:
        """Wait for nobody. A checkpoint."""
        del child
        await native.current().checkpoint()

    settle = UNCHANGED.settle
    read = UNCHANGED.read


class StraightCalls:
    """Calls that are made at once. Their results are looked up first.

    Args:
        parts: The context's.
        results: What calls return, or raise, instead.
    """

    def __init__(self, parts: StraightParts, results: Mapping[str, object]) -> None:
        self._parts = parts
        self._results = results
        self._counts: Counter[str] = Counter()
        #: Calls whose handlers have made calls.
        self._nested: dict[Key, NestedStepError] = {}

    @property
    def made(self) -> list[str]:
        """The ids of the calls, each once, in the order in which they were made first."""
        return [*self._counts]

    def key(self, step_id: str) -> Key:
        """Name a call.

        Raises:
            NestedStepError: It is made inside a handler.
        """
        step = current_step.get(None)
        if step is not None:
            text = f"Step {step_id!r} inside the handler of a step: call it in the function itself"
            error = NestedStepError(step_id, "", 0, "NestedStepError", text, "")
            raise self._nested.setdefault(step.call, error)
        self._counts[step_id] += 1
        return Key((), step_id, self._counts[step_id] - 1)

    async def run(
        self,
        step_id: str,
        handler: Callable[[], Awaitable[object]],
        *,
        name: str,
        retry: object = None,
        output: Output = UNCHANGED,
        undoable: bool = False,
    ) -> Any:
        """Run the handler once, or give its result."""
        del retry, undoable
        key = self.key(step_id)
        await native.current().checkpoint()
        if step_id in self._results:
            value = self._given(key, "run", name)
        else:
            value = await self._handled(key, name, handler)
        try:
            return output.settle(value)[1]
        except Exception as error:  # noqa: BLE001 - raised below, with a cause of its own
            failure = error
        raise _failed(key, "run", name, failure)

    async def _handled(
        self, key: Key, name: str, handler: Callable[[], Awaitable[object]]
    ) -> object:
        token = current_step.set(CurrentStep(self._parts.run_id, key, 0))
        failure: Exception | None = None
        value: object = None
        try:
            value = await handler()
        except Exception as error:  # noqa: BLE001 - raised below
            failure = error
        finally:
            current_step.reset(token)
        failure = self._nested.pop(key, failure)
        if failure is not None:
            raise _failed(key, "run", name, failure)
        return value  # noqa: ASYNC910 - `run` has had one

    async def send(
        self,
        step_id: str,
        put: Callable[[Key, Callable[[object], None]], object],
        *,
        output: Output = UNCHANGED,
    ) -> Any:
        """Keep the events, and give their ids."""
        await native.current().checkpoint()
        ids: list[object] = []
        put(self.key(step_id), ids.append)
        return output.settle(ids[0])[1]

    async def sleep(self, step_id: str, seconds: float) -> None:
        """Sleep no time: only `now()` says another one."""
        self.key(step_id)
        self._parts.moment += max(0.0, seconds)
        await native.current().checkpoint()

    async def sleep_until(self, step_id: str, until: datetime) -> None:
        """Sleep no time."""
        self.key(step_id)
        self._parts.moment = max(self._parts.moment, until.timestamp())
        await native.current().checkpoint()

    async def wait(
        self,
        step_id: str,
        event: str,
        *,
        seconds: float,
        waits: Waits,
        output: Output = UNCHANGED,
    ) -> Any:
        """Give the result."""
        del seconds, waits, output
        key = self.key(step_id)
        await native.current().checkpoint()
        self._need(step_id, f"waits for the event {event!r}", "Event(...) or None")
        return self._given(key, "wait", "")

    async def invoke(
        self,
        step_id: str,
        child: object,
        *,
        name: str,
        children: object,
        seconds: float | None = None,
        output: Output = UNCHANGED,
    ) -> Any:
        """Give the result."""
        del child, children, seconds, output
        key = self.key(step_id)
        await native.current().checkpoint()
        self._need(step_id, f"invokes {name!r}", "what it returns")
        return self._given(key, "invoke", name)

    def _need(self, step_id: str, does: str, what: str) -> None:
        if step_id in self._results:
            return
        close = difflib.get_close_matches(step_id, self._results, 1)
        hint = f"\n  Did you mean {step_id!r} where it says {close[0]!r}?" if close else ""
        raise LookupError(
            f"Step {step_id!r} {does}, and nobody does so in a test\n"
            f"  write context(event, results={{{step_id!r}: {what}}}){hint}"
        )

    def _given(self, key: Key, op: Op, name: str) -> object:
        result = self._results[key.step_id or ""]
        if isinstance(result, Exception):
            raise _failed(key, op, name, result)
        return result

    @contextmanager
    def move_on_after(self, seconds: float) -> Generator[CancelScope]:
        """Cancel what is inside after so many seconds of the event loop's clock."""
        backend = native.current()
        with backend.cancel_scope(deadline=backend.clock()() + seconds) as scope:
            yield scope

    @contextmanager
    def fail_after(self, seconds: float) -> Generator[CancelScope]:
        """Do so, and raise `TimeoutError`."""
        with self.move_on_after(seconds) as scope:
            yield scope
        if scope.cancelled_caught:
            raise TimeoutError(f"It took longer than {seconds} s")

    def patched(self, patch: str) -> bool:
        """Say that it is on: the run is new."""
        del patch
        return True


def _failed(key: Key, op: Op, name: str, error: Exception) -> Exception:
    return error_of(CallFailed(0.0, key, op, name, (), 1, error))


class StraightGroups:
    """Groups of plain tasks."""

    async def parallel(
        self, branches: Sequence[Branch], *, mode: Mode = "all", on_error: OnError = "cancel"
    ) -> object:
        """As `Groups.parallel`; the branch wins that ends first."""
        cancels = mode == "all" and on_error == "cancel"
        ends: dict[int, Returned | Raised] = {}
        backend = native.current()

        async def run(k: int, branch: Branch, nursery: Nursery) -> None:  # noqa: ASYNC910 - the branch's
            try:
                ends[k] = Returned(await branch())
            except Exception as error:  # noqa: BLE001 - it is told at the end of the group
                ends[k] = Raised(error)
            if isinstance(ends[k], Raised) if cancels else _wins(ends[k], mode):
                nursery.cancel_scope.cancel()

        try:
            async with backend.open_nursery() as nursery:
                for k, branch in enumerate(branches):
                    nursery.start_soon(run, k, branch, nursery)
        except BaseException as error:  # noqa: BLE001 - parted, and raised again
            cancelled, rest = split(error, backend.cancelled)
            raise unwrap(rest) or cancelled or error from None  # noqa: ASYNC104 - out of its group
        await backend.cancel_shielded_checkpoint()
        return _concluded(ends, len(branches), mode)

    async def map(
        self,
        step_id: str,
        call: Callable[[Any], Awaitable[object]],
        items: Iterable[object],
        *,
        limit: int | Limiter | None = None,
        on_error: OnError = "cancel",
    ) -> tuple[object, ...]:
        """As `Groups.map`; the items are taken at once."""
        del step_id
        room = native.current().limiter(limit) if isinstance(limit, int) else limit

        def branch(item: object) -> Branch:
            async def run() -> object:
                if room is None:
                    return await call(item)
                async with room:
                    return await call(item)

            return run

        found = await self.parallel([branch(item) for item in items], on_error=on_error)
        return cast("tuple[object, ...]", found)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Tasks]:
        """Open a plain nursery."""
        async with native.current().open_nursery() as nursery:
            yield cast("Tasks", StraightTasks(nursery))


class StraightTasks:
    """The tasks of a plain nursery."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery

    def start_soon(self, fn: Callable[..., Any], *args: object) -> None:
        """Start a task."""
        self._nursery.start_soon(fn, *args)

    async def start(self, fn: Callable[..., Any], *args: object) -> Any:
        """Start a task and wait for what it reports."""
        return await self._nursery.start(fn, *args)

    def cancel(self) -> None:
        """Cancel all of them."""
        self._nursery.cancel_scope.cancel()


def _wins(end: Returned | Raised, mode: Mode) -> bool:
    return mode == "race" or (mode == "any" and isinstance(end, Returned))


def _concluded(ends: dict[int, Returned | Raised], count: int, mode: Mode) -> object:
    failures = [end.error for _, end in sorted(ends.items()) if isinstance(end, Raised)]
    if mode in ("race", "any"):
        for k, end in ends.items():  # in the order of their ends
            if _wins(end, mode):
                if isinstance(end, Raised):
                    raise end.error
                return Won(k, end.value)
        raise BaseExceptionGroup("Every branch failed", failures)
    if mode == "settled":
        return tuple(ends[k] for k in range(count))
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise BaseExceptionGroup(f"{len(failures)} branches failed", failures)
    return tuple(end.value for _, end in sorted(ends.items()) if isinstance(end, Returned))


class StraightParts:
    """What a context needs, without a run.

    Args:
        run_id: What the context says of it.
        events: What started it.
        results: As for `StraightCalls`.
    """

    attempt: int = 0
    seed: int = 0
    replaying: bool = False
    middleware: Sequence[Middleware] = ()

    def __init__(
        self, run_id: str, events: tuple[Event[Any], ...], results: Mapping[str, object]
    ) -> None:
        self.run_id: str = run_id
        self.event: Event[Any] = events[0]
        self.events: tuple[Event[Any], ...] = events
        self.began: float = events[0].ts / 1000
        self.moment: float = self.began
        self.logger: logging.Logger = logging.getLogger("plait.testing")
        self.policy: RetryPolicy = policy_of(0)
        self.calls: StraightCalls = StraightCalls(self, results)
        self.groups: StraightGroups = StraightGroups()
        self.sent: list[Event[Any]] = []
        self._results = results

    @property
    def function_limiter(self) -> Limiter:
        """One of this event loop: there are no functions beside."""
        return native.current().limiter(THREADS)

    @property
    def handler_limiter(self) -> Limiter:
        """One of this event loop."""
        return native.current().limiter(THREADS)

    def here(self) -> Path:
        """Give one place to all tasks."""
        return ()

    def waits(self, if_exp: object, buffer: bool) -> Lookout:  # noqa: FBT001
        """Give nobody: the result is given."""
        del if_exp, buffer
        return cast("Lookout", Nobody())

    def invocation(self, function_id: str, data: object) -> Invocation:
        """Give nobody: the result is given."""
        del function_id, data
        return Invocation(Nobody(), UNCHANGED)

    def send(
        self, key: Key, events: Sequence[Event[Any]], complete: Callable[[object], None]
    ) -> None:
        """Keep the events, for the test to look at."""
        del key
        self.sent.extend(events)
        complete([event.id for event in events])

    def undoable(self, step_id: str, undoing: Undoing) -> None:
        """Do nothing: no run fails or is cancelled here."""

    def check(self) -> None:
        """Refuse results that nobody has asked for.

        Raises:
            LookupError: There are some.
        """
        unknown = [step_id for step_id in self._results if step_id not in self.calls.made]
        if not unknown:
            return
        made = self.calls.made
        close = difflib.get_close_matches(unknown[0], made, 1)
        hint = f"\n  Did you mean {close[0]!r}?" if close else ""
        called = ", ".join(map(repr, made)) or "none"
        raise LookupError(
            f"results has {show(unknown[0], SHOWN)}, and no step of that id was called\n"
            f"  called: {called}{hint}"
        )
