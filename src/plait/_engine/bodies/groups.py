"""Groups: several branches at a time, whose tasks are named by the group and not by the order of spawns.

A branch may hold any code; there are no waves. Which branch wins is decided when the body is next at
rest, before another outcome is handed out: of those that have ended by then the lowest, whichever the
event loop happened to run first. A failure cancels the others at once, as in any nursery.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import attrs

from plait._engine.failure import split, unwrap
from plait._errors import PlaitInternalError

from .body import Body, Raised, Returned
from .calls import Calls
from .paths import Part, Place

if TYPE_CHECKING:
    from plait._engine.native import Happening, Limiter, Nursery

Branch: TypeAlias = Callable[[], Awaitable[object]]
Mode: TypeAlias = Literal["all", "settled", "race", "any"]
OnError: TypeAlias = Literal["cancel", "wait"]


@attrs.frozen
class Won:
    """The branch that came first."""

    branch: int
    value: object


class Tasks:
    """A nursery of a body's function. Its tasks are numbered in the order in which they are started.

    Example:
        ```python
        async with ctx.group.open() as tasks:
            tasks.start_soon(one, 1)
            tasks.start_soon(one, 2)
        ```
    """

    def __init__(self, body: Body, nursery: Nursery, place: Place) -> None:
        self._body = body
        self._nursery = nursery
        self._place = place
        self._nth = place.next_open()
        self._started = 0

    def start_soon(self, fn: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start a task that runs `fn(*args)`. Not a checkpoint.

        Args:
            fn: An async function. Its calls on `ctx.step` are known by the task's number.
            *args: What it is called with.
        """
        self._body.spawn(self._nursery.start_soon, self._next(), _named(fn, partial(fn, *args)))

    async def start(self, fn: Callable[..., Awaitable[object]], *args: object) -> Any:
        """Start a task and wait for what it reports through its `task_status`. A checkpoint.

        Cancelled before it has reported, the task is cancelled, and has ended when this raises.

        Args:
            fn: An async function that takes `task_status` and calls `task_status.started(value)`.
            *args: What it is called with, besides.

        Returns:
            The value that it reported.
        """
        placed = _named(fn, partial(fn, *args))
        return await self._body.spawn_and_wait(self._nursery.start, self._next(), placed)

    def cancel(self) -> None:
        """Cancel all of them, and who waits for them. Not a checkpoint."""
        self._nursery.cancel_scope.cancel()

    def _next(self) -> Place:
        self._started += 1
        return self._place.child(("o", self._nth, self._started - 1))


class Groups:
    """The groups of one start of a body."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def parallel(
        self, branches: Sequence[Branch], *, mode: Mode = "all", on_error: OnError = "cancel"
    ) -> object:
        """Run branches at a time. A checkpoint; a cancellation waits for their clean-up.

        Args:
            branches: Functions, each the code of one branch.
            mode: What ends the group, and what it returns: `all` a tuple of values, `settled` one of
                `Returned` and `Raised`, `race` and `any` who `Won`.
            on_error: In mode `all`, whether the first failure cancels the others.

        Raises:
            Exception: In mode `all` the one failure, in mode `race` that of the winner.
            ExceptionGroup: Several failures, in the order of the branches; in mode `any` those of all.
            NestedStepError: The caller is inside a handler.
            UntrackedTaskError: The caller is not a task of this body.
        """
        place = self._calls.enter(None)
        nth = place.next_group()
        group = _Group(self._calls, place, f"{place.path!r} {nth}", mode, on_error)
        async with group.nursery():
            for k, branch in enumerate(branches):
                group.spawn(("g", nth, k), k, branch)
        return group.conclude()

    async def map(
        self,
        step_id: str,
        call: Callable[[Any], Awaitable[object]],
        items: Iterable[object],
        *,
        limit: int | Limiter | None = None,
        on_error: OnError = "cancel",
    ) -> tuple[object, ...]:
        """Run one call for each item. A checkpoint; a cancellation waits for their clean-up.

        Args:
            step_id: The id of each call.
            call: Makes the call for an item, in a task of its own.
            items: Their order is that of the results.
            limit: At most so many tasks exist; a limiter's tokens are shared with whoever else has it.
            on_error: Whether the first failure cancels the others, and those not yet begun.

        Raises:
            TypeError: `items` is a set, which has no order.
            Exception: As `parallel` in mode `all`.
        """
        if isinstance(items, AbstractSet):
            raise TypeError(
                "map() takes items in an order, and a set has none: write sorted(items)"
            )
        place = self._calls.enter(step_id)
        nth = place.next_map(step_id)
        group = _Group(self._calls, place, f"{place.path!r} {step_id!r} {nth}", "all", on_error)
        async with group.nursery():
            for k, item in enumerate(items):
                left = await group.room(limit, k)
                group.spawn(
                    ("m", step_id, nth, k), k, partial(call, item), _named_by=call, left=left
                )
        return cast("tuple[object, ...]", group.conclude())

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Tasks]:
        """Open a nursery. What it raises is as the backend's own nursery has it.

        Raises:
            NestedStepError: The caller is inside a handler.
            UntrackedTaskError: The caller is not a task of this body.
        """
        place = self._calls.enter(None)
        async with self._calls.body.native.open_nursery() as nursery:
            yield Tasks(self._calls.body, nursery, place)


class _Group:
    """One group: what its branches have come to, and when it is decided."""

    def __init__(
        self, calls: Calls, place: Place, rank: str, mode: Mode, on_error: OnError
    ) -> None:
        self._calls = calls
        self._body: Final = calls.body
        self._native: Final = calls.body.native
        self._place = place
        self._rank = rank
        self._mode: Mode = mode
        self._cancels = on_error == "cancel" and mode == "all"
        self._nursery: Nursery | None = None
        self._count = 0
        self._running = 0
        self._ends: dict[int, Returned | Raised] = {}
        self._winner: int | None = None
        self._asked = False
        #: Set when a branch has ended, for who waits for room; `None`: nobody does.
        self._room: Happening | None = None

    @asynccontextmanager
    async def nursery(self) -> AsyncGenerator[None]:
        """Run the branches inside. A failure beside theirs comes out of the nursery's groups."""
        try:
            async with self._native.open_nursery() as self._nursery:
                yield
        except BaseException as error:  # noqa: BLE001 - parted, and raised again
            cancelled, rest = split(error, self._native.cancelled)
            if rest is None and self._mode == "all" and self._failures():
                self._raise_failures()  # the clean-up of who was cancelled from outside has failed
            raise unwrap(rest) or cancelled or error from None  # noqa: ASYNC104 - out of its group

    async def room(self, limit: int | Limiter | None, k: int) -> Callable[[], object]:
        """Wait until one more may exist. Gives what is to be called when it has ended.

        A checkpoint if it waits, or if somebody else has the limiter as well.
        """
        if limit is None:
            return _nothing  # noqa: ASYNC910 - the nursery's end is one
        if not isinstance(limit, int):
            borrower = (self, k)
            await limit.acquire_on_behalf_of(borrower)
            return partial(limit.release_on_behalf_of, borrower)
        while self._running >= limit:
            self._room = self._native.event()
            await self._room.wait()
        self._room = None
        return _nothing  # noqa: ASYNC910

    def spawn(
        self,
        part: Part,
        k: int,
        branch: Branch,
        *,
        _named_by: Callable[..., object] | None = None,
        left: Callable[[], object] | None = None,
    ) -> None:
        """Start a branch. `left` is called when it has ended."""
        assert self._nursery is not None
        self._count += 1
        self._running += 1
        place = self._place.child(part)
        name = f"{__name__}.{_name_of(_named_by or branch)}"
        run = partial(self._run, place, k, branch, left or _nothing)
        self._body.spawn_adopting(self._nursery.start_soon, place, name, run)

    async def _run(  # noqa: ASYNC910 - a branch may wait for nothing
        self, place: Place, k: int, branch: Branch, left: Callable[[], object]
    ) -> None:
        self._body.adopt(place)
        try:
            self._ends[k] = Returned(await branch())
        except BaseException as error:  # noqa: BLE001, ASYNC103 - a failure is kept for the group's end
            self._note(k, error)
        finally:
            self._running -= 1
            left()
            if self._room is not None:
                self._room.set()
            if k in self._ends:
                self._look_at(self._ends[k])

    def _note(self, k: int, error: BaseException) -> None:
        """Note the failure of a branch; raise what is none."""
        cancelled, rest = split(error, self._native.cancelled)
        if rest is None and not self._native.is_cancelled():
            rest = RuntimeError("A branch raised a cancellation, and nobody had cancelled it")
            rest.__cause__, cancelled = cancelled, None
        if not isinstance(rest, Exception):
            raise error
        self._ends[k] = Raised(rest)
        if cancelled is not None:
            raise cancelled from None  # without what failed beside it

    def _look_at(self, end: Returned | Raised) -> None:
        if self._cancels and isinstance(end, Raised):
            self._cancel()
        elif not self._asked and (
            self._mode == "race" or (self._mode == "any" and isinstance(end, Returned))
        ):
            self._asked = True
            self._calls.at_next_rest(self._decide, self._rank)

    def _decide(self) -> None:
        if self._winner is None:
            self._winner = min(
                k
                for k, end in self._ends.items()
                if self._mode == "race" or isinstance(end, Returned)
            )
            self._cancel()

    def _cancel(self) -> None:
        assert self._nursery is not None
        self._nursery.cancel_scope.cancel()

    def conclude(self) -> object:
        """Say what the group came to, now that all of its tasks have ended."""
        if self._mode in ("race", "any"):
            if self._asked:
                self._decide()  # they have all ended before the body came to rest
            if self._winner is None:
                raise BaseExceptionGroup("Every branch failed", self._failures())
            end = self._ends[self._winner]
            if isinstance(end, Raised):
                raise end.error
            return Won(self._winner, end.value)
        if self._mode == "settled":
            return tuple(self._end_of(k) for k in range(self._count))
        if self._failures():
            self._raise_failures()
        values = (self._end_of(k) for k in range(self._count))
        return tuple(end.value for end in values if isinstance(end, Returned))

    def _end_of(self, k: int) -> Returned | Raised:
        if k not in self._ends:
            raise PlaitInternalError(f"branch {k} has neither returned nor failed")
        return self._ends[k]

    def _failures(self) -> list[BaseException]:
        ends = (self._ends[k] for k in sorted(self._ends))
        return [end.error for end in ends if isinstance(end, Raised)]

    def _raise_failures(self) -> None:
        errors = self._failures()
        if len(errors) == 1:
            raise errors[0]
        raise BaseExceptionGroup(f"{len(errors)} branches failed", errors)


def _named(fn: Callable[..., object], task: Callable[..., Awaitable[object]]) -> Any:
    """Have a task named by the user's function, whatever is wrapped around it."""

    async def named(**options: object) -> None:
        await task(**options)

    named.__qualname__ = _name_of(fn)
    return named


def _name_of(fn: Callable[..., object]) -> str:
    while isinstance(fn, partial):
        fn = cast("partial[object]", fn).func
    return str(getattr(fn, "__qualname__", type(fn).__qualname__))


def _nothing() -> None:
    """Nobody waits for room."""
