"""Effects: what the app must now do, in this order.

`QueueRun` and a `CancelRun` that has not started go to the run's own stream, in one append with the
records that they come with. All others are performed once that append is on disk.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeAlias

from plait._kernel.value import value

from .records import EventReceived, Knob


@value
class QueueRun:
    """Open the stream of this run: it is in the queue."""

    run_id: str
    fn_id: str
    events: tuple[EventReceived, ...]
    #: Seconds.
    priority: float
    parent: str | None


@value
class StartRun:
    """Let this run start. `again`: an earlier process may have done so."""

    run_id: str
    fn_id: str
    events: tuple[EventReceived, ...]
    parent: str | None
    again: bool = False


@value
class CancelRun:
    """Cancel this run for good.

    `started`: cancel its body, wait for the clean-up, and report `RunEnded`. If not, it never
    starts, and nothing is reported.
    """

    run_id: str
    reason: str
    started: bool


@value
class GiveSlot:
    """Let this call run its handler."""

    call: Hashable


@value
class Wake:
    """Report `TimePassed` at this time, and forget the time that was asked for before."""

    at: float | None


@value
class Report:
    """Raise this in whoever sent the event (or invoked; a tick's is logged), after the commit."""

    error: BaseException
    fn_id: str
    knob: Knob
    event_id: str


@value
class SkipRun:
    """Tell whoever invoked that there will be no run: this knob drops it."""

    run_id: str
    fn_id: str
    knob: Knob
    key: str


@value
class RefuseEvents:
    """Tell whoever sent that nothing was accepted: nobody can ever take events of these names."""

    names: tuple[str, ...]


@value
class RefuseCancel:
    """Tell whoever asked that no run of this id is queued or running."""

    run_id: str


Effect: TypeAlias = (
    QueueRun
    | StartRun
    | CancelRun
    | GiveSlot
    | Wake
    | Report
    | SkipRun
    | RefuseEvents
    | RefuseCancel
)
