"""`ctx.store`: values that the steps of a run share, by dotted path.

It begins before its run and outlives it: a context that is used for a second run carries it on.

Rule 1: One writer at a time, first come, first served: writers take turns in a `Line`.
Rule 2: Readers never wait. An edit works on a copy, and committing it is one assignment.
Rule 3: Between looking at what a write would do and doing it there is no `await`: what is refused
    or cancelled has changed nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from plait._engine import native
from plait._engine.attempt import current_attempt
from plait._errors import WorkflowRuntimeError
from plait._naming import publish

from .state.copies import copied, merged
from .state.line import Line, Turn, being_inside
from .state.misfit import misfits
from .state.paths import look_up, nearest, put
from .state.state_class import new_state

if TYPE_CHECKING:
    from plait._engine.native import Backend

S = TypeVar("S")
T = TypeVar("T")


class Keeper(Protocol):
    """Keeps what is written to a store."""

    def check(self, path: str, value: object) -> None:
        """Refuse what cannot be kept. Raises `ContextSerdeError`."""
        ...

    def keep(self, state: object) -> None:
        """Keep a new state. Raises `ContextSerdeError` if that is not possible."""
        ...


def _not_found(state: object, path: str) -> ValueError:
    error = ValueError(f"Path {path!r} not found in state")
    near = nearest(state, path)
    meant = f"Did you mean {near!r}? " if near else ""
    error.add_note(f"{meant}Write get({path!r}, default=...) for what may be missing")
    return error


class StateStore(Generic[S]):
    """The values that the steps of a run share.

    A path walks mappings by key, lists by index and objects by attribute: `"users.0.name"`. The
    store works before, during and after a run, in steps and outside. Writers take turns, first
    come, first served; readers never wait, and see what has been committed.

    Example:
        ```python
        await ctx.store.set("todo", 3)
        left = await ctx.store.get("todo", default=0)
        ```
    """

    __slots__ = ("__weakref__", "_keeper", "_line", "_state")

    def __init__(self, state: S) -> None:
        self._state = state
        self._line = Line()
        #: Who keeps what is written, if the run has a journal.
        self._keeper: Keeper | None = None

    async def get(self, path: str, default: Any = ...) -> Any:
        """Look a value up.

        A checkpoint. The value is not copied: to change it, write it back or use `edit_state()`.

        Args:
            path: Where the value is.
            default: Returned if there is nothing; without it that is an error.

        Raises:
            ValueError: There is nothing at this path, or it is no path.

        Example:
            ```python
            name = await ctx.store.get("users.0.name")
            left = await ctx.store.get("todo", default=0)
            ```
        """
        await native.current().checkpoint()
        try:
            return look_up(self._state, path)
        except LookupError:
            if default is not ...:
                return default
            raise _not_found(self._state, path) from None

    async def set(self, path: str, value: Any) -> None:
        """Put a value; mappings that are missing on the way are made.

        A checkpoint. It waits while somebody edits. Cancelled or refused, it has changed nothing.

        Args:
            path: Where to put it.
            value: What to put there. It is kept as it is, not copied.

        Raises:
            ValueError: It is no path, leads to what takes no value, or to a typed field that this
                value does not fit.
            RuntimeError: Called inside `edit_state()`.
            ContextSerdeError: The run is kept in a journal, which cannot have this value.

        Example:
            ```python
            await ctx.store.set("users.0.name", "Ada")
            ```
        """
        turn = await self._turn()
        try:
            if self._keeper is not None:
                self._keeper.check(path, value)
            put(self._state, path, value)
            if self._keeper is not None:
                self._keeper.keep(self._state)
        finally:
            self._line.end(turn)

    async def clear(self) -> None:
        """Give every value its default again; what has none is gone.

        A checkpoint. It waits while somebody edits. Cancelled, it has changed nothing.

        Raises:
            RuntimeError: Called inside `edit_state()`.

        Example:
            ```python
            await ctx.store.clear()
            ```
        """
        turn = await self._turn()
        try:
            self._become(new_state(type(self._state)))
        finally:
            self._line.end(turn)

    async def get_state(self) -> S:
        """Return a deep copy of the whole state: whatever is done to it changes nothing here.

        A checkpoint. What cannot be copied, as a lock or a client, is shared.

        Example:
            ```python
            before = await ctx.store.get_state()
            ```
        """
        await native.current().checkpoint()
        return copied(self._state)

    async def set_state(self, state: S) -> None:
        """Put a copy of `state` in the place of the whole state.

        If it is of a base of the state's class, its fields are put in, and the others stay. A
        checkpoint. It waits while somebody edits. Cancelled or refused, it has changed nothing.

        Args:
            state: An instance of the state's class, or of a base of it.

        Raises:
            ValueError: It is neither, or a value in it does not fit its field.
            RuntimeError: Called inside `edit_state()`.

        Example:
            ```python
            await ctx.store.set_state(Progress(done=3))
            ```
        """
        turn = await self._turn()
        try:
            self._commit(merged(self._state, state))
        finally:
            self._line.end(turn)

    @asynccontextmanager
    async def edit_state(self) -> AsyncGenerator[S]:
        """Edit the whole state, exclusively: the next writer waits until the block is left.

        The block gets a deep copy. Leaving commits it; an exception or a cancellation drops it.
        Readers, those in the block too, see the old state until then. What cannot be copied, as a
        client, is shared. Entering and leaving are checkpoints.

        Raises:
            ValueError: On leaving: a value does not fit its field. Nothing has changed.
            RuntimeError: Called inside another `edit_state()`.

        Example:
            ```python
            async with ctx.store.edit_state() as state:
                state.done += 1
            ```
        """
        turn = await self._turn()
        try:
            draft = copied(self._state)
            with being_inside(turn):
                yield draft
            await native.current().checkpoint()
            self._commit(draft)
        finally:
            self._line.end(turn)

    @property
    def sync(self) -> SyncStateStore[S]:
        """The same, blocking, for plain `def` steps.

        Example:
            ```python
            @step
            def count(self, ctx: Context, ev: Query) -> Answer:
                with ctx.store.sync.edit_state() as state:
                    state.done += 1
                return Answer(text=ctx.store.sync.get("greeting"))
            ```
        """
        return SyncStateStore(self)

    def _commit(self, state: S) -> None:
        """Make this the state, unless a value does not fit. The strand's, not for users.

        Raises:
            ValueError: A value does not fit its field.
            ContextSerdeError: The run is kept in a journal, which cannot have this value.
        """
        for wrong in misfits(state, self._state):
            raise ValueError(str(wrong))
        self._become(state)

    def _become(self, state: S) -> None:
        if self._keeper is not None:
            self._keeper.keep(state)
        self._state = state

    async def _turn(self) -> Turn:
        if self._line.is_inside():
            await native.current().checkpoint()
            raise _nested()
        return await self._line.wait()


class SyncStateStore(Generic[S]):
    """`ctx.store.sync`: what `ctx.store` can do, blocking, in the worker thread of a plain step.

    Each call raises the backend's `Cancelled` once the run is being cancelled.

    Example:
        ```python
        @step
        def start(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.store.sync.set("todo", 3)
            return StopEvent(result=ctx.store.sync.get("todo"))
        ```
    """

    __slots__ = ("_store",)

    def __init__(self, store: StateStore[S]) -> None:
        self._store = store

    def get(self, path: str, default: Any = ...) -> Any:
        """Look a value up.

        Args:
            path: Where the value is.
            default: Returned if there is nothing; without it that is an error.

        Raises:
            ValueError: There is nothing at this path, or it is no path.
            WorkflowRuntimeError: Not called in the worker thread of a step.

        Example:
            ```python
            left = ctx.store.sync.get("todo", default=0)
            ```
        """
        return _in_loop(partial(self._store.get, path, default))

    def set(self, path: str, value: Any) -> None:
        """Put a value; mappings that are missing on the way are made.

        Args:
            path: Where to put it.
            value: What to put there. It is kept as it is, not copied.

        Raises:
            ValueError: It is no path, leads to what takes no value, or to a typed field that this
                value does not fit.
            RuntimeError: Called inside `edit_state()`.
            WorkflowRuntimeError: Not called in the worker thread of a step.

        Example:
            ```python
            ctx.store.sync.set("users.0.name", "Ada")
            ```
        """
        _in_loop(partial(self._store.set, path, value))

    def clear(self) -> None:
        """Give every value its default again; what has none is gone.

        Raises:
            RuntimeError: Called inside `edit_state()`.
            WorkflowRuntimeError: Not called in the worker thread of a step.

        Example:
            ```python
            ctx.store.sync.clear()
            ```
        """
        _in_loop(self._store.clear)

    def get_state(self) -> S:
        """Return a deep copy of the whole state: whatever is done to it changes nothing here.

        Raises:
            WorkflowRuntimeError: Not called in the worker thread of a step.

        Example:
            ```python
            before = ctx.store.sync.get_state()
            ```
        """
        return _in_loop(self._store.get_state)

    def set_state(self, state: S) -> None:
        """Put a copy of `state` in the place of the whole state.

        If it is of a base of the state's class, its fields are put in, and the others stay.

        Args:
            state: An instance of the state's class, or of a base of it.

        Raises:
            ValueError: It is neither, or a value in it does not fit its field.
            RuntimeError: Called inside `edit_state()`.
            WorkflowRuntimeError: Not called in the worker thread of a step.

        Example:
            ```python
            ctx.store.sync.set_state(Progress(done=3))
            ```
        """
        _in_loop(partial(self._store.set_state, state))

    @contextmanager
    def edit_state(self) -> Generator[S]:
        """Edit the whole state, exclusively: the next writer waits until the block is left.

        The block gets a deep copy. Leaving commits it; an exception or a cancellation drops it.
        Readers, those in the block too, see the old state until then.

        Raises:
            ValueError: On leaving: a value does not fit its field. Nothing has changed.
            RuntimeError: Called inside another `edit_state()`.
            WorkflowRuntimeError: Not called in the worker thread of a step.

        Example:
            ```python
            with ctx.store.sync.edit_state() as state:
                state.done += 1
            ```
        """
        store, backend = self._store, _backend()
        if store._line.is_inside():
            raise _nested()
        turn = backend.await_in_loop(store._line.wait)
        try:
            draft = backend.enter_loop(lambda: copied(store._state))
            with being_inside(turn):
                yield draft
            backend.enter_loop(lambda: store._commit(draft))
        finally:
            backend.clean_up_in_loop(lambda: store._line.end(turn))


def _nested() -> RuntimeError:
    return RuntimeError("writer called inside edit_state: mutate the yielded state instead")


def _in_loop(fn: Callable[[], Awaitable[T]]) -> T:
    return _backend().await_in_loop(fn)


def _backend() -> Backend:
    """Find the loop that this worker thread belongs to."""
    attempt = current_attempt.get()
    with suppress(RuntimeError):
        native.current()
        attempt = None  # this is the loop's thread
    if attempt is None:
        raise WorkflowRuntimeError(
            "ctx.store.sync is for plain steps; here write await ctx.store.get(...)"
        )
    return attempt.shell.native


publish("plait.events", StateStore)
