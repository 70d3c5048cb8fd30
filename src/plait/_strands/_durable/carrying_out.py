"""A run in the calling task and scope: what `invoke()` and `resume()` do once the journal is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plait._errors import (
    RunCancelledError,
    RunConflictError,
    RunLockedError,
    RunSkippedError,
)
from plait._kernel.admission import effects
from plait._kernel.admission.stimuli import Arrival, Invoked
from plait._kernel.functions import effects as of_runs
from plait._kernel.functions.records import FunctionCancelled, FunctionCompleted, FunctionFailed
from plait._kernel.functions.state import FunctionState
from plait._show import show

from .arrivals import received
from .ends import annotate, cancelled_error, error_of_run, held_error
from .function import Function
from .recorded import Sealed
from .roster import Roster
from .terms import Awaited
from .working import working

if TYPE_CHECKING:
    from .session import Session


async def carry_out(
    session: Session,
    run_id: str,
    awaited: Awaited,
    state: FunctionState | None,
    *,
    asked: Invoked | None = None,
    resumed: bool = False,
    accept_changes: bool = False,
) -> Any:
    """Have a run carried out in the calling task, or look up how it has ended. A checkpoint.

    Args:
        session: The app on its open journal.
        run_id: The run, which is claimed.
        awaited: Told when it may start.
        state: What the journal has of it; `None`: it is not there yet.
        asked: How it is asked for then.
        resumed: As for `Session.host`.
        accept_changes: As for `Session.host`.

    Raises:
        BaseException: As `App.invoke` and `App.resume` say.
    """
    if state is not None and state.end is not None:
        done = of_runs.Finish(state.end, state.not_undone)
        return _conclude(session.roster, run_id, state, done)  # noqa: ASYNC910 - it has been read
    async with working(session):
        if state is None:
            assert asked is not None
            await ask_for(session, asked)
        elif session.admission.has_started(run_id):
            awaited.start()
        await awaited.wait()
        if awaited.cancelled is not None:
            raise RunCancelledError(run_id, awaited.cancelled)
        host, outcome = await session.host(run_id, resumed=resumed, accept_changes=accept_changes)
        return _conclude(session.roster, run_id, host.state, outcome)


async def ask_for(session: Session, asked: Invoked) -> None:
    """Ask for a run, and wait until that is on disk. A checkpoint.

    Raises:
        RunSkippedError: Flow control drops it.
        Exception: What a predicate or a key of the user's has raised.
        JournalError: The journal has failed.
    """
    for effect in await session.admission.commit(asked):
        match effect:
            case effects.SkipRun(_, _, knob, key):
                raise RunSkippedError(knob, key or None)
            case effects.Report(error):
                raise error
            case _:
                pass


def _conclude(roster: Roster, run_id: str, state: FunctionState, outcome: object) -> Any:
    """Return or raise what a run has come to."""
    assert state.queued is not None
    fn_id = state.queued.fn_id
    match outcome:
        case of_runs.Finish(FunctionCompleted(value=value)):
            function = roster.functions.get(fn_id)
            if function is None:
                return value
            return Sealed(function.output, roster.around(function)).read(value)
        case of_runs.Finish(FunctionCancelled() as end, notes):
            raise cancelled_error(run_id, end, notes)
        case of_runs.Finish(FunctionFailed() as end, notes):
            raise annotate(error_of_run(state, end), run_id, fn_id, state, notes)
        case of_runs.Hold(why):
            raise held_error(why, run_id)
        case _:
            raise RunLockedError(f"Run {run_id!r} was taken over by app.resume().")


def check_same(
    function: Function[Any, Any], run_id: str, state: FunctionState, arrival: Arrival
) -> None:
    """Refuse another run than the one of this name.

    Raises:
        RunConflictError: The journal has one of another function, or with another input.
    """
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
