"""The streams of an app's runs, where they touch the app's own: opened, ended, and told of.

Each of these is in the append that is being collected: a run is queued with the event that asked for it,
and what its end leads to is with its end.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from plait._errors import ContextSerdeError, JournalError
from plait._journal.scribes import FunctionScribe
from plait._kernel.admission import effects, stimuli
from plait._kernel.functions import effects as of_runs
from plait._kernel.functions import stimuli as run_stimuli
from plait._kernel.functions.advance import advance
from plait._kernel.functions.records import (
    End,
    FunctionCancelled,
    FunctionCompleted,
    FunctionFailed,
)
from plait._kernel.functions.state import FunctionState

from .arrivals import recorded
from .compile import on_failure_id, run_name
from .ends import failed_event
from .event import Event
from .telling import about, is_told

if TYPE_CHECKING:
    from .session import Session


class Streams:
    """The streams of the runs of one app that is open."""

    def __init__(self, session: Session) -> None:
        self._session: Final = session
        #: Of runs that were queued by this process: nobody need read them again.
        self._fresh: dict[str, FunctionState] = {}

    def is_fresh(self, run_id: str) -> bool:
        """Say whether a run was queued by this process, and nobody has taken it up."""
        return run_id in self._fresh

    def take(self, run_id: str) -> FunctionState | None:
        """Give what is known of a run that is fresh, to who takes it up."""
        return self._fresh.pop(run_id, None)

    def scribe(self, run_id: str, fn_id: str, parent: str | None) -> FunctionScribe:
        """Make who writes the records of a run."""
        function = self._session.roster.functions.get(fn_id)
        source = None if function is None else function.source
        return self._session.book.scribe(run_id, target=fn_id, parent=parent, source=source)

    def queue(self, effect: effects.QueueRun) -> None:
        """Open the stream of a run."""
        state = FunctionState()
        function = self._session.roster.functions[effect.fn_id]
        now = self._session.timers.now()
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
        self._session.book.append(scribe.entries(kept), self._on_its_way)
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
                self._session.timers.now(),
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
        kept, todo = advance(state, run_stimuli.CancelAsked(self._session.timers.now(), reason))
        scribe = self.scribe(run.run_id, run.fn_id, run.parent)
        self._session.book.append(scribe.entries(kept), self._on_its_way)
        self._send_about(run.run_id, state, todo)

    def ended(self, run_id: str, state: FunctionState, end: End, todo: Sequence[object]) -> None:
        """Put what follows from an end into the same append."""
        now = self._session.timers.now()
        self._session.admission.hear(stimuli.RunEnded(now, run_id, status_of(end)))
        self._send_about(run_id, state, todo)

    def _send_about(self, run_id: str, state: FunctionState, todo: Sequence[object]) -> None:
        for effect in todo:
            match effect:
                case of_runs.SendEvent(name, end):
                    self._tell(name, run_id, state, end)
                case of_runs.RunOnFailure(end):
                    self._run_on_failure(run_id, state, end)
                case _:
                    pass

    def _tell(self, name: str, run_id: str, state: FunctionState, end: End) -> None:
        if is_told(state):
            return
        session, now = self._session, self._session.timers.now()
        make = partial(
            about, name, run_id, state, end, events=session.events, roster=session.roster
        )
        arrival = self._arrival(make, now)
        session.admission.hear(stimuli.EventsReceived(now, (arrival,)), unheard=True)

    def _run_on_failure(self, run_id: str, state: FunctionState, end: FunctionFailed) -> None:
        assert state.queued is not None
        session, now = self._session, self._session.timers.now()
        fn_id = on_failure_id(state.queued.fn_id)
        arrival = self._arrival(partial(failed_event, run_id, state.queued, end), now)
        name = run_name(session.roster.app_id, fn_id, run_id)
        session.admission.hear(stimuli.Invoked(now, fn_id, name, arrival), unheard=True)

    def _arrival(self, make: Callable[..., Event[Any]], now: float) -> stimuli.Arrival:
        """Write an event about an end; briefly, if it is too much: an end is told of whatever it is."""
        write = partial(self._session.events.arrivals, now=now, new_id=new_id)
        try:
            (arrival,) = write([make()])
        except ContextSerdeError as error:
            (arrival,) = write([make(brief=True)])
            self._session.logger.warning("%s: what it carries is left out: %s", arrival.id, error)
        return arrival


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
