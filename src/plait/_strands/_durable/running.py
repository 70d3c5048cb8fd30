"""What a body is given by its host: the ports of its context, one for each start."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from plait._engine.bodies.calls import Calls
from plait._engine.bodies.groups import Groups
from plait._engine.bodies.paths import Path
from plait._errors import ContextSerdeError, PlaitInternalError
from plait._kernel.admission import stimuli
from plait._kernel.calls.keys import Key
from plait._kernel.functions.records import RunQueued
from plait._kernel.functions.state import FunctionState
from plait._kernel.retry.policy import RetryPolicy

from .ends import event_of_failure
from .event import Event
from .function import Function
from .host import Host
from .middleware import Middleware
from .parts import Invocation, Lookout, Undoing
from .recorded import Sealed
from .start import run_body

if TYPE_CHECKING:
    from plait._engine.native import Limiter

    from .session import Session


def host_of(session: Session, run_id: str, state: FunctionState) -> Host:
    """Make the host of a run."""
    queued = state.queued
    assert queued is not None
    function = session.roster.functions.get(queued.fn_id)
    scribe = session.streams.scribe(run_id, queued.fn_id, queued.parent)
    if function is None:
        return Host(session, run_id, state, scribe=scribe, body=None, settle=_nothing)

    def body(host: Host, calls: Calls, attempt: int) -> Callable[[], Awaitable[object]]:
        return partial(_run, session, host, function, queued, calls, attempt)

    around = session.roster.around(function)
    output = Sealed(function.output, around)
    return Host(session, run_id, state, scribe=scribe, body=body, settle=partial(_settle, output))


def _nothing(value: object) -> object:
    return value


def _settle(output: Sealed, value: object) -> object:
    return output.settle(value)[0]


async def _run(
    session: Session,
    host: Host,
    function: Function[Any, Any],
    queued: RunQueued,
    calls: Calls,
    attempt: int,
) -> object:
    parts = Parts(session, host, function, queued, calls, attempt)
    return await run_body(function, parts, calls)


class Parts:
    """What the context of one start of a body is made of."""

    def __init__(
        self,
        session: Session,
        host: Host,
        function: Function[Any, Any],
        queued: RunQueued,
        calls: Calls,
        attempt: int,
    ) -> None:
        self._session = session
        self._host = host
        self._state = host.state.calls
        self.run_id: Final[str] = host.run_id
        self.attempt: Final[int] = attempt
        self.seed: Final[int] = queued.seed
        self.began: Final[float] = queued.at
        self.calls: Final[Calls] = calls
        self.groups: Final[Groups] = Groups(calls)
        self.policy: Final[RetryPolicy] = function.setup.policy
        self.middleware: Final[Sequence[Middleware]] = session.roster.around(function)
        self.function_limiter: Final[Limiter] = session.function_limiter
        self.handler_limiter: Final[Limiter] = session.handler_limiter
        self.logger: Final[logging.Logger] = session.logger
        self._waits = session.inbox.run(host.run_id, calls, host.fail, host.spawn)
        events = tuple(map(self._read, queued.events))
        if function.id in session.roster.on_failures:
            events = tuple(event_of_failure(event, self._read) for event in events)
        self.events: Final[tuple[Event[Any], ...]] = events
        self.event: Final[Event[Any]] = events[0]

    def _read(self, row: object) -> Event[Any]:
        return self._session.events.read(row)

    @property
    def moment(self) -> float | None:
        """The time of the outcome that was handed out last."""
        return self._state.moment

    @property
    def replaying(self) -> bool:
        """Do memos remain to be handed out?"""
        return self._state.replaying

    def here(self) -> Path:
        """Find the place of the calling task."""
        return self.calls.body.place().path

    def waits(self, if_exp: Callable[[Event[Any]], bool] | None, buffer: bool) -> Lookout:  # noqa: FBT001
        """Make what looks out for one wait's event."""
        return self._waits.wait(if_exp, buffer)

    def invocation(self, function_id: str, data: object) -> Invocation:
        """Make what runs a function, with this data, event or `None`.

        Raises:
            ValueError: The app has no such function.
            TypeError: The function cannot be given this data.
        """
        session = self._session
        function = session.roster.find(function_id)
        if function is None:
            app = session.roster.app_id
            known = ", ".join(repr(f"{app}-{name}") for name in sorted(session.roster.own))
            raise ValueError(f"App {app!r} has no function {function_id!r}. It has: {known}")
        try:
            arrival = session.arrival_of(data)
        except ContextSerdeError as error:
            raise TypeError(str(error)) from error
        output = Sealed(function.output, session.roster.around(function))
        return Invocation(self._host.children.port(function.id, arrival), output)

    def send(
        self, key: Key, events: Sequence[Event[Any]], complete: Callable[[object], None]
    ) -> None:
        """Have the app accept events, in one append with the call's outcome."""
        del key
        session = self._session
        with session.book.together():
            now = session.timers.now()
            arrivals = session.events.arrivals(events, now=now, new_id=_no_id)
            session.admission.hear(stimuli.EventsReceived(now, arrivals), unheard=True)
            complete([arrival.id for arrival in arrivals])

    def undoable(self, step_id: str, undoing: Undoing) -> None:
        """Keep what undoes the call with this id that the calling task is about to make."""
        path = self.calls.enter(step_id).path
        self._host.undoing[self._state.next_key(path, step_id)] = undoing


def _no_id(k: int) -> str:
    raise PlaitInternalError(f"event {k} of a step has no id")
