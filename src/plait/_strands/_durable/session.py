"""One app on its open journal: its runs in this process, and who hosts them.

It is there as long as somebody needs it: `serve()`, `invoke()`, `send()` and others share it.

Rule 1: a run is hosted by one task. A root run by the worker, or by whoever invoked it from outside, in
    whose task and scope it runs; a child in the nursery of its parent's host.
Rule 2: a run that may start, and that nobody is there to host, waits for the next worker: admission
    knows that it has started.
Rule 3: when the journal fails, everything here is suspended, and whoever is here is told the error.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from plait._abc import Journal
from plait._engine.desk import Desk
from plait._engine.passes import passes_of
from plait._engine.wall import timers_of
from plait._errors import (
    JournalError,
    PlaitInternalError,
    RunLockedError,
    UnreadableEntryError,
)
from plait._ids import RunId
from plait._kernel.admission import effects, stimuli
from plait._kernel.admission.records import EventReceived
from plait._kernel.admission.stimuli import Arrival
from plait._kernel.calls.keys import Key
from plait._kernel.functions import effects as of_runs
from plait._kernel.functions import stimuli as run_stimuli
from plait._kernel.functions.state import FunctionState

from .admission import Admission
from .arrivals import Events
from .book import Book
from .ends import invoked_event
from .host import Host, Outcome
from .past import History
from .roster import Roster
from .running import host_of
from .streams import Streams, new_id
from .terms import Awaited, Hosts, Terms
from .waits import Inbox

if TYPE_CHECKING:
    from logging import Logger

    from plait._engine.native import Backend, CancelScope, Limiter

#: How many threads run plain functions, and as many their handlers.
THREADS: Final = 40


class Session:
    """One app on its open journal."""

    def __init__(self, roster: Roster, journal: Journal, native: Backend) -> None:
        self.roster: Final = roster
        self.journal: Final = journal
        self.native: Final = native
        self.timers: Final = timers_of(native)
        self.logger: Final[Logger] = roster.logger
        self.events: Final = Events.of(roster.own.values(), roster.middleware)
        self._passes = passes_of(native)
        self.book: Final = Book(roster.app_id, journal, passes=self._passes)
        self.streams: Final = Streams(self)
        self.function_limiter: Final[Limiter] = native.limiter(THREADS)
        self.handler_limiter: Final[Limiter] = native.limiter(THREADS)
        self.admission: Admission
        self.inbox: Inbox
        #: Runs that are hosted here, or are about to be.
        self.hosts: Final[dict[str, Host | None]] = {}
        #: Those that are waited for by who will host them.
        self.awaited: Final[dict[str, Awaited]] = {}
        #: Those that whoever invoked them has left, and those that cannot be read.
        self.left: Final[set[str]] = set()
        self.held: Final[set[str]] = set()
        self.worker: Hosts | None = None
        self.error: BaseException | None = None
        self.users = 0
        self.desk: Desk
        self._turn = native.lock()
        self.is_open: bool = False
        self._claim = ExitStack()
        #: What is to be cancelled when everything is to be suspended.
        self._scopes: dict[CancelScope, None] = {}
        self._changed = native.event()

    async def ready(self, desk: Desk) -> None:
        """Read the app's stream, and take it up, unless somebody has. A checkpoint.

        Raises:
            RunLockedError: The app is in use in this process by another object of its name.
            ConfigError: An annotation of a function names what does not exist.
            JournalError: The journal cannot be read, or has failed.
            UnreadableEntryError: The app's stream cannot be read.
        """
        async with self._turn:
            self.check()
            if self.is_open:
                return
            self._claim.enter_context(desk.claim(RunId(f"app/{self.roster.app_id}")))
            self._claim.enter_context(desk.told(self.failed))
            self.desk = desk
            self.roster.check()
            plan = self.roster.plan(self.events)
            state = await self.book.read_app(plan)
            self.admission = Admission(
                state,
                book=self.book,
                timers=self.timers,
                runs=self,
                streams=self.streams,
                native=self.native,
            )
            self.inbox = Inbox(
                self.events,
                History(self.journal, self.book.append, self.roster.app_id),
                last=self._last,
                first_event=self._first_event,
            )
            self.is_open = True
            await self.admission.commit(stimuli.TakenUp(self.timers.now()))

    def _last(self) -> int:
        return self.book.app_n

    def _first_event(self, run_id: str) -> int:
        return self.admission.state.runs[run_id].events[0].number

    def close(self) -> None:
        """Let others have the app. Not a checkpoint."""
        self.book.flush()
        self._passes.close()
        self._claim.close()

    # ------------------------------------------------------------ trouble

    def failed(self, error: BaseException) -> None:
        """Rule 3. Not a checkpoint."""
        if self.error is not None:
            return
        self.error = error
        if isinstance(error, JournalError):
            self.desk.fail(error)
        for host in [*self.hosts.values()]:
            if host is not None:
                host.fail(error)
        for scope in [*self._scopes]:
            scope.cancel()
        self.news()

    @contextmanager
    def telling(self) -> Generator[None]:
        """Have the session fail of what is raised inside: nobody else would hear of it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - it comes out of whoever uses the session
            self.failed(error)

    @contextmanager
    def suspending(self) -> Generator[CancelScope]:
        """Cancel what is inside when the session has failed, and raise its error.

        Raises:
            BaseException: The journal's error, or another of our own.
        """
        with self.native.cancel_scope() as scope:
            self._scopes[scope] = None
            if self.error is not None:
                scope.cancel()
            try:
                yield scope
            finally:
                del self._scopes[scope]
        self.check()

    def check(self) -> None:
        """Raise what the session has failed with, if it has."""
        if self.error is not None:
            # Several may raise it: none of them has the way of the others.
            raise self.error.with_traceback(None)

    @contextmanager
    def claiming(self, run_id: str) -> Generator[Awaited]:
        """Be who hosts a run, once it may start.

        Raises:
            RunLockedError: Somebody else does, or will.
        """
        if run_id in self.hosts or run_id in self.awaited:
            raise RunLockedError(f"Run {run_id!r} is under way in this process.")
        self.awaited[run_id] = awaited = Awaited(self.native)
        try:
            yield awaited
        finally:
            del self.awaited[run_id]
            if self.admission.has_started(run_id):
                self.left.add(run_id)  # it goes on when it is asked for
            self.news()

    # ------------------------------------------------------------ what admission asks for

    def received(self, event: EventReceived, place: int) -> None:
        """Hand an event to who waits for it."""
        self.inbox.received(event, place)

    def tick(self, stimulus: stimuli.Ticked | stimuli.CronWatched) -> None:
        """Hear of a planned time. Not a checkpoint; it does not raise."""
        if self.error is not None:
            return
        try:
            self.admission.hear(stimulus, unheard=True)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - called by whoever serves the alarms
            self.failed(error)  # noqa: ASYNC104

    def trouble(self, report: effects.Report) -> None:
        """Hear what a predicate or a key of the user's has raised, and nobody waits for that."""
        self.logger.error(
            "%s of function %s raised for event %s",
            report.knob,
            report.fn_id,
            report.event_id,
            exc_info=report.error,
        )

    def start(self, effect: effects.StartRun) -> None:
        """Start a run: rules 1 and 2."""
        run_id = effect.run_id
        if (awaited := self.awaited.get(run_id)) is not None:
            awaited.start()
        elif effect.parent is not None:
            parent = self.hosts.get(effect.parent)
            if parent is not None:
                parent.children.take(run_id)
        elif self.worker is not None:
            self.worker.take(run_id)

    def cancel(self, run_id: str, reason: str) -> None:
        """Cancel a run that has started."""
        host = self.hosts.get(run_id)
        if host is not None:
            host.cancel(reason)
            return
        run = self.admission.state.runs.get(run_id)
        if run is None or run_id in self.hosts:
            return  # it has ended; or it is being read, and is told when it is taken up
        parent = None if run.parent is None else self.hosts.get(run.parent)
        if parent is not None:
            parent.children.take(run_id)
        elif run.parent is None and self.worker is not None:
            self.worker.take(run_id)

    def never_started(self, run_id: str, reason: str) -> None:
        """Tell whoever waits that a run was cancelled in the queue."""
        if (awaited := self.awaited.get(run_id)) is not None:
            awaited.cancel(reason)
        for host in self.hosts.values():
            if host is not None:
                host.children.never_started(run_id, reason)

    def news(self) -> None:
        """Wake who waits until nothing is queued or running."""
        changed, self._changed = self._changed, self.native.event()
        changed.set()

    async def wait_for_news(self) -> None:
        """Wait until something may have changed. A checkpoint."""
        await self._changed.wait()

    # ------------------------------------------------------------ what hosts ask for

    def admit(self, run_id: str, key: Key) -> AbstractAsyncContextManager[object] | None:
        """Let a handler run, when there is a slot for it; `None`: at once."""
        return self.admission.slot(run_id, key)

    # ------------------------------------------------------------ hosting

    async def find(self, run_id: str) -> FunctionState | None:
        """Read what the journal has of a run. A checkpoint.

        Raises:
            JournalError: The journal cannot be read.
            UnreadableEntryError: The run's stream cannot.
        """
        return await self.book.read_run(run_id)

    def arrival_of(self, data: object) -> Arrival:
        """Make what arrives when a function is invoked with this. Not a checkpoint.

        Raises:
            ContextSerdeError: No event can carry it.
        """
        now = self.timers.now()
        (arrival,) = self.events.arrivals(
            [invoked_event(data)], now=now, new_id=new_id, where="invoke()"
        )
        return arrival

    async def keep(self, run_id: str, taken_up: Callable[[], object] | None = None) -> None:
        """Host a run, unless somebody does, and stay when it is held. A checkpoint, as `host`."""
        if run_id in self.hosts:
            return  # noqa: ASYNC910 - it is a task's, and that ends here
        with self.telling():
            try:
                await self.host(run_id, parked=True, taken_up=taken_up)
            except UnreadableEntryError as error:
                self.held.add(run_id)
                self.logger.error("%s", error)  # noqa: TRY400 - it says all there is to say
                await self.book.hold(run_id, error, self.timers.now(), self._is_held)
                self.news()

    def _is_held(self, error: JournalError | None) -> None:
        if error is not None:
            self.failed(error)

    async def release(self, run_id: str) -> None:  # noqa: ASYNC910 - the run is read then
        """Have a host go away whose run is held. A checkpoint if there is one."""
        while (host := self.hosts.get(run_id)) is not None and isinstance(
            host.outcome, of_runs.Hold
        ):
            host.leave()
            await self.wait_for_news()

    async def host(
        self,
        run_id: str,
        *,
        parked: bool = False,
        resumed: bool = False,
        accept_changes: bool = False,
        taken_up: Callable[[], object] | None = None,
    ) -> tuple[Host, Outcome]:
        """Host a run in the calling task until it ends, or is held. A checkpoint.

        Cancelling it suspends the run.

        Args:
            run_id: A run that has started, as admission has it.
            parked: Does the host stay when the run is held?
            resumed: Did somebody ask for it?
            accept_changes: Does it go on though its code has changed?
            taken_up: Called when that has been decided of it.

        Raises:
            RunLockedError: It is hosted already.
            JournalError: The journal has failed.
            UnreadableEntryError: Its stream cannot be read.
        """
        if run_id in self.hosts:
            raise RunLockedError(f"Run {run_id!r} is under way in this process.")
        self.hosts[run_id] = None
        self.left.discard(run_id)
        self.held.discard(run_id)
        try:
            with self.desk.claim(RunId(run_id)):
                state = self.streams.take(run_id)
                if state is None:
                    state = await self.find(run_id)
                if state is None:
                    raise PlaitInternalError(f"run {run_id!r} has started, and has no stream")
                host = host_of(self, run_id, state)
                self.hosts[run_id] = host
                run = self.admission.state.runs.get(run_id)
                outcome = await host.live(
                    self._terms_of(state, resumed=resumed, accept_changes=accept_changes),
                    cancelled=None if run is None else run.cancelled,
                    parked=parked,
                    taken_up=taken_up,
                )
        finally:
            del self.hosts[run_id]
            self.news()
        if isinstance(outcome, of_runs.Finish):
            self._tell_parent(run_id, state, outcome)
        return host, outcome

    def _tell_parent(self, run_id: str, state: FunctionState, finish: of_runs.Finish) -> None:
        assert state.queued is not None
        parent = None if state.queued.parent is None else self.hosts.get(state.queued.parent)
        if parent is not None:
            parent.children.ended(run_id, state, finish.end)

    def _terms_of(
        self, state: FunctionState, *, resumed: bool, accept_changes: bool
    ) -> run_stimuli.TakenUp:
        assert state.queued is not None
        terms = self.worker.terms if self.worker is not None else Terms()
        function = self.roster.functions.get(state.queued.fn_id)
        return run_stimuli.TakenUp(
            self.timers.now(),
            None if function is None else function.source or "",
            None if function is None else function.setup.policy,
            terms.max_resumes,
            terms.on_code_change,
            function is not None and function.setup.on_failure is not None,
            resumed,
            accept_changes,
        )
