"""Stimuli: what the app reports. Past tense, one class a kind of news. `now` is Unix time."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeAlias

from plait._kernel.value import value


@value
class Arrival:
    """An event as it came. The app has given it an id, and a `ts` (ms, rounded down) if it had none."""

    id: str
    name: str
    data: object
    ts: int


@value
class EventsReceived:
    """Somebody sent these events: all are accepted, or none."""

    now: float
    events: tuple[Arrival, ...]


@value
class Ticked:
    """The planned time of a cron trigger has come. One trigger's times are reported in order."""

    now: float
    fn_id: str
    #: Which trigger of the function, for instance its text.
    cron: str
    planned: float
    event: Arrival
    run_id: str


@value
class CronWatched:
    """A process serves a function with this cron trigger: what it misses later counts as missed."""

    now: float
    fn_id: str
    cron: str


@value
class Invoked:
    """Somebody waits for a run of this function. Its event's `ts` delays nothing.

    `parent`: the run that invokes; it has started. `None`: it is the app's caller.
    """

    now: float
    fn_id: str
    run_id: str
    event: Arrival
    parent: str | None = None


@value
class CancelAsked:
    """Somebody asked for a run to be cancelled for good."""

    now: float
    run_id: str
    reason: str = ""


@value
class RunEnded:
    """A run has ended, its clean-up too. `status`: `completed`, `failed` or `cancelled`."""

    now: float
    run_id: str
    status: str


@value
class HandlerAsked:
    """A call is about to run its handler. `call` names it among all that are under way."""

    now: float
    run_id: str
    call: Hashable


@value
class HandlerLeft:
    """A handler has ended, or its call no longer waits for a slot."""

    now: float
    call: Hashable


@value
class TimePassed:
    """The time of a `Wake` has come."""

    now: float


@value
class TakenUp:
    """A process serves this app: the first thing that it reports, after the records are folded."""

    now: float


Stimulus: TypeAlias = (
    EventsReceived
    | Ticked
    | CronWatched
    | Invoked
    | CancelAsked
    | RunEnded
    | HandlerAsked
    | HandlerLeft
    | TimePassed
    | TakenUp
)
