"""`App`: durable functions, and the journal that they are kept in."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from os import PathLike
from typing import Any, Final, Literal, Protocol, TypeVar, get_args

from plait._abc import Journal, Status
from plait._engine import native
from plait._engine.desk import reading, using
from plait._engine.failure import split, unwrap
from plait._engine.wall import timers_of
from plait._errors import (
    ConfigError,
    NobodyAccepts,
    PlaitInternalError,
    RunCancelledError,
    RunConflictError,
    RunLockedError,
    RunSkippedError,
    UnknownRunError,
)
from plait._journal.memory import MemoryJournal
from plait._journal.sqlite import SqliteJournal
from plait._kernel.admission import effects, stimuli
from plait._kernel.admission.state import AppState
from plait._kernel.admission.stimuli import Arrival
from plait._kernel.functions import effects as of_runs
from plait._kernel.functions.records import FunctionCancelled, FunctionCompleted, FunctionFailed
from plait._kernel.functions.state import FunctionState
from plait._kernel.retry.policy import RetryPolicy
from plait._naming import publish
from plait._show import show
from plait._steps.checks import SHOWN

from .arrivals import Events, received
from .book import Book
from .ends import annotate, cancelled_error, error_of_run, held_error
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
from .recorded import Sealed
from .roster import Roster
from .session import Awaited, Session, Terms, new_id
from .setup import OnFailure, Setup
from .triggers import Trigger
from .worker import Worker

D = TypeVar("D")
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class TaskStatus(Protocol[T_contra]):
    """What a nursery's `start` gives, of Trio or AnyIO."""

    def started(self, value: T_contra, /) -> object:
        """Report."""
        ...


class _NobodyAsks:
    """The task status of who was not started by a nursery's `start`."""

    def started(self, value: object, /) -> None:
        """Report to nobody."""


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
        _check_app_id(app_id)
        self.id: Final[str] = app_id
        self._journal: Journal = _journal_of(journal)
        self._roster = Roster(
            app_id,
            _check_middleware(middleware),
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
        terms = _check_terms(max_resumes, on_code_change)
        backend = native.current()
        failure: BaseException | None = None
        left = False
        async with self._open() as session:
            if session.worker is not None:
                raise RunLockedError(f"App {self.id!r} is being served in this process.")
            try:
                async with backend.open_nursery() as nursery:
                    nursery.start_soon(session.timers.serve)
                    worker = Worker(session, terms, nursery)
                    session.worker = worker
                    try:
                        with session.suspending():
                            worker.resume_all()
                            try:
                                yield worker
                            except Exception as error:  # noqa: BLE001 - out of the nursery as it is
                                failure = error
                        left = True
                    finally:
                        session.worker = None
                        nursery.cancel_scope.cancel()
            except BaseException as error:  # noqa: BLE001 - parted, and raised again
                cancelled, rest = split(error, backend.cancelled)
                raise unwrap(rest) or cancelled or error from None  # noqa: ASYNC104
        if failure is not None:
            raise failure
        if not left:
            raise _cancelled_by_nobody("serve()")

    async def serve_forever(
        self,
        *,
        task_status: TaskStatus[Worker] | None = None,
        **options: Any,
    ) -> None:
        """Serve until it is cancelled: `worker = await nursery.start(app.serve_forever)`.

        Args:
            task_status: Told the worker once the app is served.
            **options: As `serve()` takes them.

        Raises:
            JournalError: As `serve()`.
        """
        async with self.serve(**options) as worker:
            (task_status or _NobodyAsks()).started(worker)
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
            _check_run_id(run_id)
        async with self._open() as session:
            arrival = session.arrival_of(data)
            name = new_id() if run_id is None else run_id
            with session.claiming(name) as awaited:
                state = None if run_id is None else await session.find(name)
                if state is not None:
                    self._check_same(function, name, state, arrival)
                asked = stimuli.Invoked(session.timers.now(), function.id, name, arrival)
                value: T = await self._carry_out(session, name, awaited, state, asked)
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
                return await self._carry_out(
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
                if isinstance(effect, effects.RefuseCancel):
                    if await session.book.info(run_id) is None:
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

    async def _carry_out(
        self,
        session: Session,
        run_id: str,
        awaited: Awaited,
        state: FunctionState | None,
        asked: stimuli.Invoked | None = None,
        **options: bool,
    ) -> Any:
        """Have a run carried out in the calling task, or look up how it has ended."""
        if state is not None and state.end is not None:
            done = of_runs.Finish(state.end, state.not_undone)
            return self._conclude(run_id, state, done)
        backend = session.native
        value: Any = None
        failure: Exception | None = None
        done = False
        try:
            async with backend.open_nursery() as nursery:
                nursery.start_soon(session.timers.serve)
                try:
                    with session.suspending():
                        value = await self._host(session, run_id, awaited, state, asked, **options)
                    done = True
                except Exception as error:  # noqa: BLE001 - out of the nursery as it is
                    failure = error
                nursery.cancel_scope.cancel()
        except BaseException as error:  # noqa: BLE001 - parted, and raised again
            cancelled, rest = split(error, backend.cancelled)
            raise unwrap(rest) or cancelled or error from None  # noqa: ASYNC104
        if failure is not None:
            raise failure
        if not done:
            raise _cancelled_by_nobody(f"run {run_id!r}")
        return value

    async def _host(
        self,
        session: Session,
        run_id: str,
        awaited: Awaited,
        state: FunctionState | None,
        asked: stimuli.Invoked | None,
        **options: bool,
    ) -> Any:
        if state is None:
            assert asked is not None
            await self._ask_for(session, asked)
        elif session.admission.has_started(run_id):
            awaited.start()
        await awaited.wait()
        if awaited.cancelled is not None:
            raise RunCancelledError(run_id, awaited.cancelled)
        host, outcome = await session.host(run_id, **options)
        return self._conclude(run_id, host.state, outcome)

    async def _ask_for(self, session: Session, asked: stimuli.Invoked) -> None:
        for effect in await session.admission.commit(asked):
            match effect:
                case effects.SkipRun(_, _, knob, key):
                    raise RunSkippedError(knob, key or None)
                case effects.Report(error):
                    raise error
                case _:
                    pass

    def _conclude(self, run_id: str, state: FunctionState, outcome: object) -> Any:
        """Return or raise what a run has come to."""
        assert state.queued is not None
        fn_id = state.queued.fn_id
        match outcome:
            case of_runs.Finish(FunctionCompleted(value=value)):
                function = self._roster.functions.get(fn_id)
                if function is None:
                    return value
                return Sealed(function.output, self._roster.around(function)).read(value)
            case of_runs.Finish(FunctionCancelled() as end, notes):
                raise cancelled_error(run_id, end, notes)
            case of_runs.Finish(FunctionFailed() as end, notes):
                raise annotate(error_of_run(state, end), run_id, fn_id, state, notes)
            case of_runs.Hold(why):
                raise held_error(why, run_id)
            case _:
                raise RunLockedError(f"Run {run_id!r} was taken over by app.resume().")

    def _check_same(
        self,
        function: Function[Any, Any],
        run_id: str,
        state: FunctionState,
        arrival: Arrival,
    ) -> None:
        assert state.queued is not None
        queued = state.queued
        if queued.fn_id != function.id:
            raise RunConflictError(
                f"Run {run_id!r} in the journal is of function {queued.fn_id!r}, not of "
                f"{function.id!r}."
            )
        first = received(queued.events[0], queued.at)
        if (first.name, first.data) != (arrival.name, arrival.data):
            raise RunConflictError(
                f"The journal has a run {run_id!r} with another input: {show(first.data, 200)}, not "
                f"{show(arrival.data, 200)}. Take another name, or go on with that run: "
                f"app.resume({run_id!r})"
            )

    def _id_of(self, fn: Function[Any, Any] | str) -> str:
        if not isinstance(fn, str):
            return self._own(fn, "runs()").id
        found = self._roster.find(fn)
        return fn if found is None else found.id  # its code may be gone, and its runs be there

    def _own(self, fn: object, where: str) -> Function[Any, Any]:
        found = self._roster.find(fn) if isinstance(fn, Function) else None
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


def _check_app_id(app_id: object) -> None:
    if not isinstance(app_id, str) or not app_id or "/" in app_id:
        raise ConfigError(
            f"app_id must be a text that is not empty and has no slash, not {show(app_id, SHOWN)}"
        )


def _check_run_id(run_id: object) -> None:
    if not isinstance(run_id, str) or RUN_ID.fullmatch(run_id) is None:
        raise ValueError(
            f"run_id must be 1 to 64 of A-Z, a-z, 0-9, _ and -, not {show(run_id, SHOWN)}"
        )


def _check_middleware(middleware: Sequence[object]) -> tuple[Middleware, ...]:
    found = tuple(one for one in middleware if isinstance(one, Middleware))
    if len(found) < len(middleware):
        wrong = (one for one in middleware if not isinstance(one, Middleware))
        raise ConfigError(
            *(f"middleware takes Middleware objects, not {show(one, SHOWN)}" for one in wrong)
        )
    return found


def _check_terms(max_resumes: object, on_code_change: object) -> Terms:
    if type(max_resumes) is not int or max_resumes < 0:
        raise ConfigError(f"max_resumes must be a whole number, at least 0, not {max_resumes!r}")
    if on_code_change not in ("continue", "hold"):
        raise ConfigError(f"on_code_change must be 'continue' or 'hold', not {on_code_change!r}")
    return Terms(max_resumes=max_resumes, on_code_change=on_code_change)


def _journal_of(given: Journal | str | PathLike[str] | None) -> Journal:
    if given is None:
        return MemoryJournal()
    if isinstance(given, str | PathLike):
        return SqliteJournal(given)
    if not callable(getattr(given, "append", None)):
        raise ConfigError(
            f"journal must be a journal or the path of a file, not {show(given, SHOWN)}"
        )
    return given


def _nobody_accepts(app_id: str, names: Sequence[str]) -> NobodyAccepts:
    listed = ", ".join(map(repr, names))
    return NobodyAccepts(
        f"No function of app {app_id!r} is triggered or cancelled by {listed}, and no run is "
        "unfinished that could wait for it: nothing was sent.\n"
        f"  write @app.create_function(..., trigger=TriggerEvent({names[0]!r}))"
    )


def _cancelled_by_nobody(what: str) -> PlaitInternalError:
    return PlaitInternalError(f"{what} was cancelled, and nobody has cancelled it.")


def _one_or_all(troubles: list[BaseException]) -> BaseException:
    if len(troubles) == 1:
        return troubles[0]
    return BaseExceptionGroup("Predicates or keys of several functions raised", troubles)


publish("plait.durable", App)
