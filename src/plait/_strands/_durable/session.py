"""One app on its open journal: its runs in this process, and who hosts them.

It is there as long as somebody needs it: `serve()`, `invoke()`, `send()` and others share it.

Rule 1: a run is hosted by one task. A root run by the worker, or by whoever invoked it from outside, in
    whose task and scope it runs; a child in the nursery of its parent's host.
Rule 2: a run that may start, and that nobody is there to host, waits for the next worker: admission
    knows that it has started.
Rule 3: when the journal fails, everything here is suspended, and whoever is here is told the error.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import attrs

from plait._abc import Journal
from plait._engine.desk import Desk
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
from plait._kernel.functions.advance import advance
from plait._kernel.functions.records import End, FunctionCancelled, FunctionCompleted
from plait._kernel.functions.state import FunctionState

from .admission import Admission
from .arrivals import Events, recorded
from .book import Book
from .compile import on_failure_id, run_name
from .ends import about, failed_event, invoked_event
from .host import Host, Outcome
from .past import History
from .roster import Roster
from .running import host_of
from .waits import Inbox

if TYPE_CHECKING:
    from logging import Logger

    from plait._engine.native import Backend, CancelScope, Limiter

#: How many threads run plain functions, and as many their handlers.
THREADS: Final = 40


@attrs.frozen(kw_only=True)
class Terms:
    """On which terms runs are taken up: what `serve()` was told."""

    max_resumes: int = 100
    on_code_change: Literal["continue", "hold"] = "continue"


class Awaited:
    """A run for which somebody waits who will host it: told when it may start, or that it never will."""

    def __init__(self, native: Backend) -> None:
        self._news = native.event()
        self.started = False
        #: Why it was cancelled in the queue.
        self.cancelled: str | None = None

    def start(self) -> None:
        """It may start."""
        self.started = True
        self._news.set()

    def cancel(self, reason: str) -> None:
        """It never will."""
        self.cancelled = reason
        self._news.set()

    async def wait(self) -> None:
        """Wait for either. A checkpoint."""
        await self._news.wait()


class Hosts(Protocol):
    """Who hosts root runs: the worker of an app that is served."""

    @property
    def terms(self) -> Terms:
        """On which terms."""
        ...

    def take(self, run_id: str) -> None:
        """Host a run."""
        ...


class Session:
    """One app on its open journal."""

    def __init__(self, roster: Roster, journal: Journal, native: Backend) -> None:
        self.roster: Final = roster
        self.journal: Final = journal
        self.native: Final = native
        self.timers: Final = timers_of(native)
        self.logger: Final[Logger] = roster.logger
        self.events: Final = Events.of(roster.functions.values(), roster.middleware)
        self.book: Final = Book(roster.app_id, journal)
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
        self.is_open = False
        self._claim = ExitStack()
        #: Those that were queued by this process: nobody need read them again.
        self._fresh: dict[str, FunctionState] = {}
        #: What is to be cancelled when everything is to be suspended.
        self._scopes: dict[CancelScope, None] = {}
        self._changed = native.event()

    async def ready(self, desk: Desk) -> None:
        """Read the app's stream, and take it up, unless somebody has. A checkpoint.

        Raises:
            RunLockedError: The app is in use in this process by another object of its name.
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
            plan = self.roster.plan(self.events)
            state = await self.book.read_app(plan)
            self.admission = Admission(
                state, book=self.book, timers=self.timers, runs=self, native=self.native
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
            raise self.error

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

    def queue(self, effect: effects.QueueRun) -> None:
        """Open the stream of a run."""
        state = FunctionState()
        function = self.roster.functions[effect.fn_id]
        now = self.timers.now()
        queued = run_stimuli.Queued(
            now,
            effect.fn_id,
            function.name,
            tuple(map(recorded, effect.events)),
            effect.parent,
            now,
            effect.priority,
            seed_of(effect.run_id),
            function.source or "",
        )
        kept, _ = advance(state, queued)
        scribe = self.scribe(effect.run_id, effect.fn_id, effect.parent)
        self.book.append(scribe.entries(kept), self._on_its_way)
        self._fresh[effect.run_id] = state

    def _on_its_way(self, error: JournalError | None) -> None:
        """Hear of an append whose news comes with another's, which is told of failures."""
        del error

    def cancel_queued(self, run: effects.QueueRun, reason: str) -> None:
        """End a run that has not started."""
        state = self._fresh.pop(run.run_id, None)
        if state is None:
            state = FunctionState()
            queued = run_stimuli.Queued(
                self.timers.now(),
                run.fn_id,
                "",
                tuple(map(recorded, run.events)),
                run.parent,
                0.0,
                run.priority,
                0,
                "",
            )
            advance(state, queued)  # as its first record, as far as its end is concerned
        kept, todo = advance(state, run_stimuli.CancelAsked(self.timers.now(), reason))
        scribe = self.scribe(run.run_id, run.fn_id, run.parent)
        self.book.append(scribe.entries(kept), self._on_its_way)
        self._send_about(run.run_id, state, todo)

    def received(self, event: EventReceived, place: int) -> None:
        """Hand an event to who waits for it."""
        self.inbox.received(event, place)

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

    def admit(self, run_id: str, key: Key) -> AbstractAsyncContextManager[object]:
        """Let a handler run, when there is a slot for it."""
        return self.admission.slot(run_id, key)

    def run_ended(self, host: Host, end: End, todo: Sequence[object]) -> None:
        """Put what follows from an end into the same append."""
        now = self.timers.now()
        self.admission.hear(stimuli.RunEnded(now, host.run_id, status_of(end)))
        self._send_about(host.run_id, host.state, todo)

    def _send_about(self, run_id: str, state: FunctionState, todo: Sequence[object]) -> None:
        queued = state.queued
        assert queued is not None
        now = self.timers.now()
        for effect in todo:
            match effect:
                case of_runs.SendEvent(of, end):
                    event = about(of, run_id, queued, end)
                    arrivals = self.events.arrivals([event], now=now, new_id=new_id)
                    self.admission.hear(stimuli.EventsReceived(now, arrivals), unheard=True)
                case of_runs.RunOnFailure(end):
                    fn_id = on_failure_id(queued.fn_id)
                    event = failed_event(run_id, queued, end)
                    (arrival,) = self.events.arrivals([event], now=now, new_id=new_id)
                    name = run_name(self.roster.app_id, fn_id, run_id)
                    self.admission.hear(stimuli.Invoked(now, fn_id, name, arrival), unheard=True)
                case _:
                    pass

    # ------------------------------------------------------------ hosting

    def scribe(self, run_id: str, fn_id: str, parent: str | None) -> Any:
        """Make who writes the records of a run."""
        function = self.roster.functions.get(fn_id)
        source = None if function is None else function.source
        return self.book.scribe(run_id, target=fn_id, parent=parent, source=source)

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

    def is_fresh(self, run_id: str) -> bool:
        """Say whether a run was queued by this process, and nobody has taken it up."""
        return run_id in self._fresh

    async def keep(self, run_id: str, taken_up: Callable[[], object] | None = None) -> None:
        """Host a run, unless somebody does, and stay when it is held. A checkpoint, as `host`."""
        if run_id in self.hosts:
            return
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

    async def release(self, run_id: str) -> None:
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
                state = self._fresh.pop(run_id, None)
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
            parent.children.ended(run_id, finish.end)

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


def new_id(_: int = 0) -> str:
    """Make an id of an event or a run."""
    return uuid.uuid4().hex


def seed_of(run_id: str) -> int:
    """Make the seed of all chance in a run."""
    return zlib.crc32(run_id.encode())


def status_of(end: End) -> str:
    """Say how a run has ended, as admission has it."""
    match end:
        case FunctionCompleted():
            return "completed"
        case FunctionCancelled():
            return "cancelled"
        case _:
            return "failed"
