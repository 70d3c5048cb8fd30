"""A run anew, with the input of one that has ended: what the page's button does.

It is a run of its own, and whoever serves the app runs it. The event goes to that function alone: others
that it would trigger have had it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait._errors import PlaitError, UnknownRunError
from plait._kernel.admission.stimuli import Arrival, Invoked

from .arrivals import received
from .carrying_out import ask_for
from .streams import new_id

if TYPE_CHECKING:
    from plait._kernel.functions.records import RunQueued

    from .session import Session


async def begin_again(session: Session, run_id: str) -> str:
    """Begin a run with the event that another one began with, as it is recorded. A checkpoint.

    Args:
        session: The app on its open journal.
        run_id: The run that has ended.

    Returns:
        The new run's id, once it is on disk.

    Raises:
        UnknownRunError: There is no such run of this app.
        PlaitError: It has not ended, it began with several events, or its function is gone.
        RunSkippedError: Flow control drops it.
        UnreadableEntryError: Its stream cannot be read.
        JournalError: The journal has failed.
    """
    state = await session.find(run_id)
    queued = None if state is None else state.queued
    if state is None or queued is None:
        raise UnknownRunError(f"App {session.roster.app_id!r} has no run {run_id!r}.")
    if state.end is None:
        raise PlaitError(f"run {run_id} has not ended")
    if queued.fn_id not in session.roster.functions:
        raise PlaitError(f"the app has no function {queued.fn_id!r} any more")
    name = new_id()
    await ask_for(
        session, Invoked(session.timers.now(), queued.fn_id, name, _input(run_id, queued))
    )
    return name


def _input(run_id: str, queued: RunQueued) -> Arrival:
    if len(queued.events) != 1:
        raise PlaitError(
            f"run {run_id} began with {len(queued.events)} events together: send them again"
        )
    event = received(queued.events[0], queued.at)
    return Arrival(new_id(), event.name, event.data, event.ts)
