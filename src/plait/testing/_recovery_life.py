"""One life of a durable run: a process with a journal, that may die, and what it was seen to do.

Rule 1: a process dies when it appends once too often. That append is lost, and so is all that it does
    afterwards: its tasks are cancelled, since Python cannot be killed from inside, and nobody looks.
Rule 2: what is on disk outlives it, and nothing else does.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Any, Final

import anyio
import attrs

from plait._abc import Backend, Entry, StreamInfo
from plait._errors import JournalError, StepError
from plait._journal.memory import MemoryJournal
from plait._kernel.calls.keys import Key, Path
from plait._strands._durable.function import Function
from plait._strands._durable.inspect import RunInfo
from plait._strands._durable.middleware import CallNext, Middleware

from ._order import Schedule, in_force
from ._recovery_calls import Call, arguments_of
from ._virtual import Library, Threads, counted, run_virtual

#: The run. Those that it invokes have names that are made of this one.
RUN: Final = "check_recovery"
ENDS: Final = frozenset({"run.completed", "run.failed", "run.cancelled"})
OUTCOMES: Final = frozenset({"step.completed", "step.failed"})

Append = tuple[Entry, ...]
Done = Callable[[JournalError | None], object]


@attrs.frozen
class Case:
    """What is checked."""

    fn: Function[Any, Any]
    event: Any
    library: Library
    timeout: float
    drive: Callable[[Any], Awaitable[object]] | None


@attrs.frozen
class Exec:
    """A handler that has run."""

    run_id: str
    key: str
    idempotency_key: str


@attrs.define
class Start:
    """What one start of a body has done."""

    #: The calls that each task has made, in their order.
    made: dict[Path, list[Call]] = attrs.field(factory=dict[Path, list[Call]])
    #: The calls that have returned or failed, over all tasks, in their order.
    seen: list[Key] = attrs.field(factory=list[Key])


@attrs.define
class Life:
    """What one process has seen of a run."""

    #: What was on disk when it began, and then what it has appended.
    found: int
    appends: list[Append]
    #: By run, and by attempt of the body.
    starts: dict[tuple[str, int], Start] = attrs.field(factory=dict[tuple[str, int], Start])
    execs: list[Exec] = attrs.field(factory=list[Exec])
    died: bool = False
    #: It has taken too long.
    expired: bool = False
    value: Any = None
    error: Exception | None = None
    driver_raised: Exception | None = None
    infos: dict[str, RunInfo] = attrs.field(factory=dict[str, RunInfo])
    #: On the clock.
    ended_at: float = 0.0

    @property
    def outcomes(self) -> set[tuple[str, str | None]]:
        """The steps that had ended when it began."""
        return {
            (entry.stream, entry.key)
            for append in self.appends[: self.found]
            for entry in append
            if entry.kind in OUTCOMES
        }

    @property
    def before_the_end(self) -> list[Append]:
        """All that was appended until the run ended."""
        for at, append in enumerate(self.appends):
            if any(entry.stream == RUN and entry.kind in ENDS for entry in append):
                return self.appends[:at]
        return self.appends


class _DiedError(JournalError):
    """What a process is told that has died, so that it comes to an end."""


class _MortalJournal:
    """The journal of one process."""

    def __init__(self, appends: list[Append], room: int | None, die: Callable[[], object]) -> None:
        self._appends = appends
        self._room = room
        self._die = die
        self._disk = MemoryJournal()
        for append in appends:
            for entry in append:
                self._disk._keep(entry)

    async def open(self, backend: Backend, *, write: bool = True) -> None:
        await self._disk.open(backend, write=write)

    async def aclose(self) -> None:
        await self._disk.aclose()

    def append(self, entries: Sequence[Entry], done: Done) -> None:
        if self._room is not None and len(self._appends) >= self._room:
            self._die()
            self._disk.append((), lambda _: done(_DiedError("The process is dead.")))
            return
        self._appends.append(tuple(entries))
        self._disk.append(entries, done)

    def flush(self) -> None:
        self._disk.flush()

    async def read(self, stream: str, *, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        return await self._disk.read(stream, after=after, limit=limit)

    async def streams(
        self,
        *,
        app_id: str | None = None,
        status: Sequence[str] = (),
        after: str = "",
        limit: int = 100,
    ) -> Sequence[StreamInfo]:
        return await self._disk.streams(app_id=app_id, status=status, after=after, limit=limit)

    async def prune(self, *, ended_before: float, only: Collection[str] | None = None) -> int:
        return await self._disk.prune(ended_before=ended_before, only=only)


class _Watch(Middleware):
    """Sees what bodies call, and which handlers run. It is around all other middleware.

    Two private names of the durable strand; tests/testing/test_check_recovery.py says if they change.
    """

    def __init__(self, life: Life) -> None:
        self._life = life

    async def around_run(self, ctx: Any, call_next: CallNext) -> Any:
        parts = ctx._parts
        start = self._life.starts.setdefault((parts.run_id, parts.attempt), Start())
        parts.calls._call = partial(self._call, parts.calls._call, start)
        return await call_next()

    async def around_step(self, step: Any, call_next: CallNext) -> Any:
        if not self._life.died:
            self._life.execs.append(Exec(step.run_id, step.key, step.idempotency_key))
        return await call_next()

    async def _call(
        self,
        call: Callable[..., Awaitable[Any]],
        start: Start,
        place: Any,
        key: Key,
        op: str,
        name: str,
        handler: Any,
        *args: Any,
        **options: Any,
    ) -> Any:
        if not self._life.died:
            made = Call(key, op, name, arguments_of(handler))
            start.made.setdefault(place.path, []).append(made)
        try:
            value = await call(place, key, op, name, handler, *args, **options)
        except StepError:
            self._see(start, key)
            raise
        self._see(start, key)
        return value

    def _see(self, start: Start, key: Key) -> None:
        if not self._life.died:
            start.seen.append(key)


def live(
    case: Case,
    found: Sequence[Append] = (),
    *,
    order: int,
    room: int | None = None,
    begin: float = 0.0,
) -> Life:
    """Begin a run, or recover it.

    Args:
        case: What is checked.
        found: What is on disk.
        order: Of Trio's tasks: the seed of a schedule, or 0 for the plain one. Also the seed of what
            `random` gives, which is something else in each life.
        room: How many appends the disk takes in all before the process dies. `None`: any number.
        begin: On the clock, which goes on from life to life.
    """
    life = Life(len(found), [*found])
    threads = Threads()
    schedule = Schedule(b"", order, lambda _: None)
    chance = random.getstate()
    random.seed(f"{order} {len(found)} {room}")
    try:
        with counted(threads), in_force(schedule):
            run_virtual(
                case.library, partial(_live, case, life, room), begin=begin, threads=threads
            )
    finally:
        random.setstate(chance)
    return life


async def _live(case: Case, life: Life, room: int | None) -> None:
    process = anyio.CancelScope()

    def die() -> None:
        life.died = True
        process.cancel()

    app = _app(case.fn, _MortalJournal(life.appends, room, die), _Watch(life))
    with anyio.move_on_after(case.timeout) as patience, process:  # noqa: ASYNC912 - `invoke` waits
        async with anyio.create_task_group() as tasks:
            if case.drive is not None:
                tasks.start_soon(_drive, case.drive, app, life, process)
            try:
                life.value = await app.invoke(case.fn, case.event, run_id=RUN)
            except Exception as error:  # noqa: BLE001 - it is what the run has come to
                life.error = error
            tasks.cancel_scope.cancel()
    life.ended_at = anyio.current_time()
    life.expired = patience.cancelled_caught
    if not life.died:
        life.infos = {info.run_id: info for info in await app.runs(limit=1000)}


async def _drive(  # noqa: ASYNC910 - as its function is
    drive: Callable[[Any], Awaitable[object]], app: Any, life: Life, process: anyio.CancelScope
) -> None:
    try:
        await drive(app)
    except Exception as error:  # noqa: BLE001 - it is told of
        if not life.died:
            life.driver_raised = error
            process.cancel()


def _app(fn: Function[Any, Any], journal: _MortalJournal, watch: _Watch) -> Any:
    """Make the app of a function once more, as the next process does."""
    from plait._strands._durable.app import App  # noqa: PLC0415 - it loads SQLite

    roster = fn._roster
    assert roster is not None
    app = App(roster.app_id, journal=journal)
    app._roster = attrs.evolve(roster, middleware=(watch, *roster.middleware), users=0)
    return app
