"""`Worker`: an app that is served. It hosts the runs, each in a task of its own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from plait._kernel.functions import effects
from plait._naming import publish

from .ticks import Ticks

if TYPE_CHECKING:
    from plait._engine.native import CancelScope, Happening, Nursery

    from .session import Session
    from .terms import Terms


class Worker:
    """An app that is being served: what `async with app.serve() as worker` gives.

    Example:
        ```python
        async with app.serve() as worker:
            await app.send(Event(name="user/new", data={"user_id": 7}))
            await worker.drain()
        ```
    """

    def __init__(self, session: Session, terms: Terms, nursery: Nursery) -> None:
        self._session = session
        self._nursery = nursery
        self.terms: Final[Terms] = terms
        #: Set when the run that was taken last has been taken up.
        self._taken_up: Happening | None = None
        #: Around the block of whoever serves the app, while he is in it.
        self._block: CancelScope | None = None
        self._exit: BaseException | None = None
        self._ticks = Ticks(
            session.timers, session.tick, events=session.events, app_id=session.roster.app_id
        )

    def __repr__(self) -> str:
        session = self._session
        return f"<Worker of app {session.roster.app_id!r}: {len(session.hosts)} runs>"

    async def drain(self) -> None:
        """Wait until no run is queued or running. A checkpoint; cancelling the caller cancels no run.

        Events that wait for the end of a burst, or for company, count as queued. A run that is held does
        not count: it waits for `app.resume()`. Neither do events of the future.

        Raises:
            JournalError: The journal has failed meanwhile.
        """
        session = self._session
        await session.native.checkpoint()
        while not self._is_idle():
            session.check()
            await session.wait_for_news()
        session.check()

    def _is_idle(self) -> bool:
        session = self._session
        hosts = session.hosts
        if any(
            host is None or not isinstance(host.outcome, effects.Hold) for host in hosts.values()
        ):
            return False
        return session.admission.is_idle(self._is_held)

    def _is_held(self, run_id: str) -> bool:
        """Does a run of which nothing runs now wait for somebody from outside?"""
        session = self._session
        if run_id in session.hosts or run_id in session.held or run_id in session.left:
            return True  # all that are hosted are held: see above
        runs = session.admission.state.runs
        run = runs[run_id]
        if run.parent is not None and run.parent in runs:
            return self._is_held(run.parent)
        return run.started_at is None and run.fn_id not in session.roster.functions

    def begin(self) -> None:
        """Take what an earlier process, or a caller, has left unfinished; then what was missed, and ticks."""
        session = self._session
        for run in session.admission.unfinished_roots():
            self.take(run.run_id)
        self._ticks.begin(session.roster.own.values(), session.admission.state.ticks)

    def stop(self) -> None:
        """Take ticks no more."""
        self._ticks.stop()

    @contextmanager
    def leaving_at_exits(self) -> Generator[None]:
        """Leave the block, and raise it there, when a run has asked for the program's end.

        asyncio leaves its loop at once when the step of a task raises that, and then nobody cleans up.

        Raises:
            BaseException: A `SystemExit` or `KeyboardInterrupt` that came out of a run.
        """
        with self._session.native.cancel_scope() as block:
            self._block = block
            try:
                yield
            finally:
                self._block = None
        if self._exit is not None:
            raise self._exit

    def take(self, run_id: str) -> None:
        """Host a run, if nobody does. Not a checkpoint."""
        if run_id not in self._session.hosts and run_id not in self._session.awaited:
            before, self._taken_up = self._taken_up, self._session.native.event()
            self._nursery.start_soon(self._keep, run_id, before, self._taken_up)

    async def _keep(  # noqa: ASYNC910 - it is a task's, and that ends here
        self, run_id: str, before: Happening | None, taken_up: Happening
    ) -> None:
        """Host a run. New ones are taken up in the order in which they may start.

        The scheduler begins the tasks of one moment in any order.
        """
        try:
            if before is not None and self._session.streams.is_fresh(run_id):
                await before.wait()
            await self._session.keep(run_id, taken_up.set)
        except (SystemExit, KeyboardInterrupt) as error:
            if self._block is None:
                raise
            self._exit = self._exit or error
            self._block.cancel()
        finally:
            taken_up.set()


publish("plait.durable", Worker)
