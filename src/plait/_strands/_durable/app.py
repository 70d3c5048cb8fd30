"""`App`: durable functions, and the journal that they are kept in."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from os import PathLike
from typing import Any, Final, Literal, Protocol, TypeVar, get_args

from plait._abc import Journal, Status
from plait._engine import native
from plait._engine.desk import reading, using
from plait._engine.wall import timers_of
from plait._errors import (
    NobodyAccepts,
    RunLockedError,
    UnknownRunError,
)
from plait._journal.retention import ended_families
from plait._kernel.admission import effects, stimuli
from plait._kernel.admission.state import AppState
from plait._kernel.retry.policy import RetryPolicy
from plait._naming import publish
from plait._show import show
from plait._steps.checks import SHOWN, Duration

from .app_arguments import (
    check_app_id,
    check_middleware,
    check_prune,
    check_run_id,
    check_terms,
    journal_of,
)
from .arrivals import Events
from .book import Book
from .carrying_out import carry_out, check_same
from .event import Event, Sendable
from .function import Function, FunctionDecorator
from .history import Record
from .inspect import RunInfo
from .listing import list_runs, read_history
from .middleware import Middleware
from .options import (
    Batch,
    Cancel,
    Concurrency,
    Debounce,
    Priority,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)
from .roster import Roster
from .session import Session
from .setup import OnFailure, Setup
from .streams import new_id
from .triggers import Trigger
from .worker import Worker
from .working import working

D = TypeVar("D")
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class TaskStatus(Protocol[T_contra]):
    """What a nursery's `start` gives, of Trio or AnyIO."""

    def started(self, value: T_contra, /) -> object:
        """Report."""
        ...


class App:
    """Durable functions: runs of them survive a crash of the process.

    Args:
        app_id: The app's name in the journal.
        journal: Where runs are kept: a journal, or the path of a file. By default a journal in memory,
            which lives as long as the app. It is open while `serve()` or a call needs it; several apps
            and workflows of a process share one by sharing the object.
        middleware: Code around all runs, steps and events; the first is outermost.
        logger: Told of what nobody waits for; by default the logger `"plait"`.

    Raises:
        ConfigError: An argument is wrong.

    Example:
        ```python
        app = App("shop", journal="shop.db")


        @app.create_function(fn_id="greet", trigger=TriggerEvent("user/new"))
        async def greet(ctx: Context) -> str:
            return await ctx.step.run("greet", make_greeting, ctx.event.data["name"])
        ```
    """

    def __init__(
        self,
        app_id: str,
        *,
        journal: Journal | str | PathLike[str] | None = None,
        middleware: Sequence[Middleware] = (),
        logger: logging.Logger | None = None,
    ) -> None:
        check_app_id(app_id)
        self.id: Final[str] = app_id
        self._journal: Journal = journal_of(journal)
        self._roster = Roster(
            app_id,
            check_middleware(middleware),
            logging.getLogger("plait") if logger is None else logger,
        )
        self._session: Session | None = None

    def __repr__(self) -> str:
        return f"<App {self.id!r}: {len(self._roster.own)} functions>"

    @property
    def journal(self) -> Journal:
        """Where its runs are kept."""
        return self._journal

    def create_function(
        self,
        *,
        fn_id: str,
        trigger: Trigger | Sequence[Trigger],
        name: str | None = None,
        retries: int | RetryPolicy = 4,
        concurrency: int | Concurrency | Sequence[Concurrency] | None = None,
        throttle: Throttle | None = None,
        rate_limit: RateLimit | None = None,
        debounce: Debounce | None = None,
        batch_events: Batch | None = None,
        priority: Priority | None = None,
        idempotency: Callable[[Event[Any]], str] | None = None,
        cancel: Cancel | Sequence[Cancel] = (),
        timeouts: Timeouts | None = None,
        singleton: Singleton | None = None,
        on_failure: OnFailure | None = None,
        middleware: Sequence[Middleware] = (),
        output_type: Any = None,
    ) -> FunctionDecorator:
        """Make a durable function of a function.

        Args:
            fn_id: Its name in the app, and with it in the journal.
            trigger: What starts it.
            name: What people call it; by default `fn_id`.
            retries: How many attempts may follow the first one, or a retry policy; of the body, and of
                steps that have none of their own.
            concurrency: How many handlers, or runs, there may be at a time.
            throttle: How often runs may start.
            rate_limit: How many events may lead to runs; the others are dropped.
            debounce: Only the last event of a burst leads to a run.
            batch_events: Several events lead to one run.
            priority: Which run starts first.
            idempotency: Makes the key of which there is one run within 24 hours.
            cancel: Events that cancel runs.
            timeouts: How long a run may wait for its start, and how long it may take.
            singleton: One unfinished run for each key.
            on_failure: Run, as a run of its own, when a run has failed.
            middleware: Around this function, inside the app's.
            output_type: The type of what it returns; by default as it is annotated.

        Returns:
            The decorator. It raises `ConfigError` with every mistake that it finds.
        """
        setup = Setup(
            trigger=trigger,
            retries=retries,
            concurrency=concurrency,
            throttle=throttle,
            rate_limit=rate_limit,
            debounce=debounce,
            batch_events=batch_events,
            priority=priority,
            idempotency=idempotency,
            cancel=cancel,
            timeouts=timeouts,
            singleton=singleton,
            on_failure=on_failure,
            middleware=middleware,
            output_type=output_type,
        )
        return FunctionDecorator(
            self.id, fn_id, setup, name=name, taken=self._roster.own, register=self._roster.add
        )

    # ------------------------------------------------------------ serving

    @asynccontextmanager
    async def serve(
        self,
        *,
        max_resumes: int = 100,
        on_code_change: Literal["continue", "hold"] = "continue",
    ) -> AsyncGenerator[Worker]:
        """Serve the app: resume what an earlier process left unfinished, and take events and ticks.

        Leaving the block suspends the runs and waits for their clean-up: the next `serve()` resumes them.

        Args:
            max_resumes: How often a run may be resumed without a new outcome, before it is held.
            on_code_change: What becomes of a run whose function has changed since it began: it goes on,
                or it is held.

        Raises:
            RunLockedError: The app is being served, or is in use, elsewhere in this process.
            JournalError: The journal cannot be opened, or has failed; then the runs are suspended.
            UnreadableEntryError: The app's own stream cannot be read.
        """
        terms = check_terms(max_resumes, on_code_change)
        async with self._open() as session:
            if session.worker is not None:
                raise RunLockedError(f"App {self.id!r} is being served in this process.")
            async with working(session) as nursery:
                worker = session.worker = Worker(session, terms, nursery)
                try:
                    worker.begin()
                    with worker.leaving_at_exits():
                        yield worker
                finally:
                    worker.stop()
                    session.worker = None

    async def serve_forever(  # noqa: ASYNC114 - a name for a linter's list, and not our own
        self,
        *,
        task_status: TaskStatus[Worker] | None = None,
        **options: Any,
    ) -> None:
        """Serve until it is cancelled: `worker = await nursery.start(app.serve_forever)`. A checkpoint.

        Cancelled, it suspends the runs and waits for their clean-up, as leaving `serve()` does.

        Args:
            task_status: Told the worker once the app is served.
            **options: As `serve()` takes them.

        Raises:
            JournalError: As `serve()`.
        """
        async with self.serve(**options) as worker:
            if task_status is not None:
                task_status.started(worker)
            await native.current().event().wait()

    # ------------------------------------------------------------ events

    async def send(self, events: Sendable | Iterable[Sendable]) -> list[str]:
        """Send events: all of them are accepted, or none. A checkpoint.

        Args:
            events: One or several.

        Returns:
            Their ids, once they are on disk.

        Raises:
            TypeError: There is something else among them.
            ContextSerdeError: The data of one of them cannot be recorded.
            NobodyAccepts: No function is triggered or cancelled by such an event, and no run may be
                waiting for it.
            ExceptionGroup: Predicates or keys of several functions raised; one error is raised as it is.
                The events have been accepted.
            JournalError: The journal has failed.
        """
        async with self._open() as session:
            made = session.events.prepare(events)
            now = session.timers.now()
            arrivals = session.events.arrivals(made, now=now, new_id=new_id)
            done = await session.admission.commit(stimuli.EventsReceived(now, arrivals))
        troubles: list[BaseException] = []
        for effect in done:
            match effect:
                case effects.RefuseEvents(names):
                    raise _nobody_accepts(self.id, names)
                case effects.Report(error):
                    troubles.append(error)
                case _:
                    pass
        if troubles:
            raise _one_or_all(troubles)
        return [arrival.id for arrival in arrivals]

    # ------------------------------------------------------------ runs

    async def invoke(
        self, fn: Function[D, T], data: D | Event[D] | None = None, *, run_id: str | None = None
    ) -> T:
        """Run a function in the calling task and scope, and return what it returns. A checkpoint.

        Cancelling it suspends the run: `invoke()` with the same `run_id`, `resume()` or the next
        `serve()` goes on with it.

        Args:
            fn: A function of this app.
            data: What its event carries, or the event.
            run_id: The run's name, of at most 64 letters, digits, `-` and `_`. A run of this name with the
                same function and input goes on; if it has ended, its result is returned or raised.

        Raises:
            RunConflictError: There is a run of this name, of another function or with another input.
            RunLockedError: It is under way in this process.
            RunSkippedError: Flow control drops it.
            RunCancelledError: It was cancelled for good.
            RunHeldError: It is held: the error says why. A `DeterminismError` is one.
            JournalError: The journal has failed; the run is suspended.
            Exception: What the function raised, with notes.
        """
        function = self._own(fn, "invoke()")
        if run_id is not None:
            check_run_id(run_id)
        async with self._open() as session:
            arrival = session.arrival_of(data)
            name = new_id() if run_id is None else run_id
            with session.claiming(name) as awaited:
                state = None if run_id is None else await session.find(name)
                if state is not None:
                    check_same(function, name, state, arrival)
                asked = stimuli.Invoked(session.timers.now(), function.id, name, arrival)
                value: T = await carry_out(session, name, awaited, state, asked=asked)
                return value

    async def resume(self, run_id: str, *, accept_changes: bool = False) -> Any:
        """Go on with a run in the calling task and scope, also with one that is held. A checkpoint.

        Cancelling it suspends the run again.

        Args:
            run_id: The run.
            accept_changes: Go on though its code and the journal do not fit: what is new runs anew.

        Returns:
            What its function returns; if it has ended, what it has returned.

        Raises:
            UnknownRunError: The journal has no such run of this app.
            RunLockedError: It is under way in this process.
            RunCancelledError: It was cancelled for good.
            RunHeldError: It is held again: the error says why.
            UnreadableEntryError: Its stream cannot be read.
            JournalError: The journal has failed; the run is suspended.
            Exception: What its function raised, with notes.
        """
        async with self._open() as session:
            await session.release(run_id)
            with session.claiming(run_id) as awaited:
                state = await session.find(run_id)
                if state is None:
                    raise self._unknown(run_id)
                return await carry_out(
                    session, run_id, awaited, state, resumed=True, accept_changes=accept_changes
                )

    async def cancel(self, run_id: str, *, reason: str = "") -> None:
        """Cancel a run for good. A checkpoint.

        It returns once that is on disk: the run's clean-up and its rollbacks follow, where it is hosted. A
        run that has ended stays as it is.

        Args:
            run_id: The run.
            reason: Told to whoever waits for it, and recorded.

        Raises:
            UnknownRunError: The journal has no such run of this app.
            JournalError: The journal has failed.
        """
        async with self._open() as session:
            asked = stimuli.CancelAsked(session.timers.now(), run_id, reason)
            for effect in await session.admission.commit(asked):
                refused = isinstance(effect, effects.RefuseCancel)
                if refused and await session.book.info(run_id) is None:
                    raise self._unknown(run_id)

    async def runs(
        self,
        *,
        fn: Function[Any, Any] | str | None = None,
        status: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[RunInfo]:
        """List runs by their ids, also while another process serves the app. A checkpoint.

        Args:
            fn: Only those of this function, or of the one with this id.
            status: Only those that stand so: `"queued"`, `"running"`, `"completed"`, `"failed"`,
                `"cancelled"` or `"held"`.
            after: Only those whose ids come after this one: the last of the page before.
            limit: How many at most.

        Raises:
            ValueError: There is no such status, or `limit` is less than 1.
            JournalError: The journal cannot be read.
            UnreadableEntryError: The app's own stream cannot be read.
        """
        if status is not None and status not in get_args(Status):
            known = ", ".join(map(repr, get_args(Status)))
            raise ValueError(f"status must be one of {known}, not {show(status, SHOWN)}")
        if type(limit) is not int or limit < 1:
            raise ValueError(f"limit must be a whole number, at least 1, not {show(limit, SHOWN)}")
        fn_id = None if fn is None else self._id_of(fn)
        async with self._reading() as (book, state, now):
            return await list_runs(
                book, state, now=now, fn_id=fn_id, status=status, after=after, limit=limit
            )

    async def prune(
        self,
        *,
        older_than: Duration,
        status: str | Sequence[str] = ("completed", "failed", "cancelled"),
    ) -> int:
        """Forget runs that ended long enough ago, also while the app is served. A checkpoint.

        A run and the runs that it invoked are forgotten together, once all of them have ended; the first
        one's status counts. What may still go on stays: runs that are queued, running or held. The id of
        a run that is forgotten is free again: `invoke()` with it runs anew.

        Args:
            older_than: How long ago the last of them ended, at least: seconds or a timedelta; 0 for all.
            status: Only those that ended so: `"completed"`, `"failed"`, `"cancelled"`, or several.

        Returns:
            How many runs were forgotten.

        Raises:
            ConfigError: An argument is wrong.
            JournalError: The journal is used by another process, or fails.
        """
        age, chosen = check_prune(older_than, status)
        backend = native.current()
        async with using(self._journal, backend):
            before = timers_of(backend).now() - age
            over = await ended_families(
                self._journal, ended_before=before, app_id=self.id, status=chosen
            )
            names = [info.stream for info in over]
            return await self._journal.prune(ended_before=before, only=names)

    async def history(self, run_id: str) -> list[Record]:
        """Read all that has happened in a run, also while another process serves the app. A checkpoint.

        Args:
            run_id: The run.

        Raises:
            UnknownRunError: The journal has no such run of this app.
            JournalError: The journal cannot be read.
        """
        async with self._reading() as (book, _, _):
            return await read_history(book, run_id)

    def _unknown(self, run_id: str) -> UnknownRunError:
        return UnknownRunError(f"App {self.id!r} has no run {run_id!r}.")

    def _id_of(self, fn: Function[Any, Any] | str) -> str:
        if not isinstance(fn, str):
            return self._own(fn, "runs()").id
        found = self._roster.find(fn)
        return fn if found is None else found.id  # its code may be gone, and its runs be there

    def _own(self, fn: object, where: str) -> Function[Any, Any]:
        found = self._roster.known(fn)
        if found is None:
            raise TypeError(
                f"{where} takes a function of app {self.id!r}, not {show(fn, SHOWN)}: "
                "what @app.create_function(...) has made"
            )
        return found

    # ------------------------------------------------------------ the journal

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[Session]:
        """Have the app on its open journal, together with whoever has it already."""
        backend = native.current()
        async with using(self._journal, backend) as desk:
            if self._session is None:
                self._session = Session(self._roster, self._journal, backend)
            session = self._session
            session.users += 1
            self._roster.users += 1
            try:
                await session.ready(desk)
                yield session
            finally:
                session.users -= 1
                self._roster.users -= 1
                if not session.users:
                    session.close()
                    self._session = None

    @asynccontextmanager
    async def _reading(self) -> AsyncGenerator[tuple[Book, AppState, float]]:
        """Have the book to read: the one in use, or one of a journal that is opened to read only."""
        backend = native.current()
        async with reading(self._journal, backend):
            if self._session is not None and self._session.is_open:
                session = self._session
                yield session.book, session.admission.state, session.timers.now()
            else:
                book = Book(self.id, self._journal)
                events = Events.of(self._roster.functions.values(), self._roster.middleware)
                state = await book.read_app(self._roster.plan(events))
                yield book, state, timers_of(backend).now()


def _nobody_accepts(app_id: str, names: Sequence[str]) -> NobodyAccepts:
    listed = ", ".join(map(repr, names))
    return NobodyAccepts(
        f"No function of app {app_id!r} is triggered or cancelled by {listed}, and no run is "
        "unfinished that could wait for it: nothing was sent.\n"
        f"  write @app.create_function(..., trigger=TriggerEvent({names[0]!r}))"
    )


def _one_or_all(troubles: list[BaseException]) -> BaseException:
    if len(troubles) == 1:
        return troubles[0]
    return BaseExceptionGroup("Predicates or keys of several functions raised", troubles)


publish("plait.durable", App)
