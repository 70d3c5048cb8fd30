"""The scope of a run: each context manager is kept open by a task of its own.

A context manager is entered and left by one task, because what it is made of (a nursery, a cancel
scope) may demand that. In a run the askers come and go, hence the keepers.
"""

from __future__ import annotations

import contextvars
import functools
import types
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from plait._engine import native
from plait._strands._events.context import Context

from .factory import enter
from .workflow_scope import Shelf, WorkflowScope

if TYPE_CHECKING:
    from plait._engine.native import Backend, Nursery


class Keeper:
    """The task that holds one context manager open, seen from outside."""

    def __init__(self, name: str, backend: Backend) -> None:
        self.name = name
        #: It is open, or that has failed; it shall be left; it has been left.
        self.ready, self.release, self.done = backend.event(), backend.event(), backend.event()
        #: What ends a run does not take from its steps what their clean-up uses.
        self.scope = backend.cancel_scope(shield=True)
        self.is_open = False
        self.value: object = None
        self.error: BaseException | None = None


class RunScope:
    """The resources of one run: to be entered before its steps begin, left when all have ended.

    What goes wrong with a context manager after it was entered lies in `errors` then; it belongs to
    the failures of the run. If one breaks down while it is in use (a task in its nursery raises),
    the block is cancelled: without its resource the run cannot go on.
    """

    _native: Backend
    _nursery: Nursery
    _opened: AbstractAsyncContextManager[Nursery, bool | None]
    #: The context variables of the run's start, as for the steps.
    _variables: contextvars.Context

    def __init__(self, workflow: WorkflowScope, context: Context[Any]) -> None:
        self.workflow = workflow
        self.context = context
        self.shelf = Shelf()
        self.errors: list[BaseException] = []
        self._keepers: list[Keeper] = []

    async def __aenter__(self) -> Self:
        self._native = native.current()
        self._variables = contextvars.copy_context()
        self._opened = self._native.open_nursery()
        self._nursery = await self._opened.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> bool | None:
        # By a task: whatever reaches this one, Ctrl-C or asyncio's own cancellation that minds no
        # shield, a nursery is not left before its tasks have ended.
        self._nursery.start_soon(self._close, name="closing of resources")
        return await self._opened.__aexit__(exc_type, exc, traceback)  # noqa: ASYNC102 - as above

    async def _close(self) -> None:  # noqa: ASYNC910 - there may be none
        with self._native.cancel_scope(shield=True):
            for keeper in reversed(self._keepers):
                keeper.release.set()
                await keeper.done.wait()  # clean-up may take as long as it needs
        self.shelf = Shelf()
        self._keepers = []

    async def keep(self, name: str, manager: object) -> object:
        """Enter a context manager, and hold it until the end of the run."""
        keeper = Keeper(name, self._native)
        hold = functools.partial(self._hold, keeper, manager)
        self._variables.run(lambda: self._nursery.start_soon(hold, name=f"resource {name}"))
        try:
            await keeper.ready.wait()
        except self._native.cancelled:
            if keeper.is_open:
                keeper.release.set()
            else:
                keeper.scope.cancel()
            with self._native.cancel_scope(shield=True):
                await keeper.done.wait()  # noqa: ASYNC120 - it is shielded
            if keeper.error is None or keeper.is_open:
                raise
        if keeper.error is not None and not keeper.is_open:
            raise keeper.error
        return keeper.value

    async def _hold(  # noqa: ASYNC910 - it waits to be released
        self, keeper: Keeper, manager: object
    ) -> None:
        try:
            with keeper.scope:
                async with AsyncExitStack() as stack:
                    keeper.value = await enter(stack, manager)
                    keeper.is_open = True
                    self._keepers.append(keeper)
                    keeper.ready.set()
                    await keeper.release.wait()
        except BaseException as error:  # noqa: ASYNC103, BLE001 - told to the asker or the run
            keeper.error = error
            if keeper.is_open:
                self.errors.append(error)
                in_use = not keeper.release.is_set()
                error.add_note(f"while {'using' if in_use else 'closing'} resource {keeper.name!r}")
                if in_use:
                    self._nursery.cancel_scope.cancel()
        finally:
            keeper.ready.set()
            keeper.done.set()
