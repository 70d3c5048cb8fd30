"""Records of an app's stream: what was decided, and all that is kept. The state is their sum.

`at` is Unix time. An event is known by its number, a run by its id. The first line of each
docstring ends with the tag under which the journal keeps it.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal, TypeAlias

from plait._kernel.value import value

#: What has slots: a limit of one function, or one that functions share, for one key.
Bucket: TypeAlias = tuple[str, ...]

#: Who made an event wait, or dropped it: an option of the function, or the event's own id or time.
Knob: TypeAlias = Literal[
    "id",
    "ts",
    "expression",
    "idempotency",
    "rate_limit",
    "debounce",
    "batch_events",
    "singleton",
    "priority",
    "throttle",
    "concurrency",
    "cancel",
]


#: Where events have waited for the end of a burst or for company: the knob, and the key there.
Waited: TypeAlias = tuple[Literal["debounce", "batch_events"], str]


@value
class Need:
    """A slot that is needed. `place`: of its limit in the function's list; -1: its singleton's."""

    place: int
    bucket: Bucket


@value
class Keys:
    """What the user's callables said of an event when it came. They are not asked again.

    `None`: the function has no such knob, or (for a batch) the event gets a run of its own.
    """

    idempotency: str | None = None
    rate_limit: str | None = None
    debounce: str | None = None
    batch: str | None = None
    singleton: str | None = None
    throttle: str | None = None
    #: Seconds by which it comes earlier.
    priority: float = 0.0
    #: The slots that its run needs from start to end, and those that each of its handlers needs.
    runs: tuple[Need, ...] = ()
    handlers: tuple[Need, ...] = ()


@value
class EventReceived:
    """An event was accepted: `event.received`.

    What `data` is, the kernel does not know. `to`: the one function that it was made for, by an
    `invoke` or a tick; such an event is no duplicate of any.
    """

    at: float
    number: int
    id: str
    name: str
    data: object
    #: Unix milliseconds.
    ts: int
    to: str = ""


@value
class EventHeld:
    """An event waits for its time, for the end of a burst or for company: `event.held`.

    `knob` is `ts`, `debounce` or `batch_events`; `run_id` the run that may come of it.
    """

    at: float
    event: int
    fn_id: str
    run_id: str
    knob: Knob
    key: str
    due_at: float
    because: str
    keys: Keys


@value
class EventSkipped:
    """An event leads to no run of this function: `event.skipped`.

    `event` is 0, and `fn_id` empty, for one whose id was seen before.
    """

    at: float
    event: int
    fn_id: str
    knob: Knob
    key: str
    because: str
    out_of: Waited | None = None


@value
class CronFired:
    """The planned time of a tick has come: `cron.fired`. Its event follows."""

    at: float
    fn_id: str
    scheduled_at: float
    cron: str


@value
class CronWatched:
    """The planned times of a cron trigger count from now on: `cron.watched`. Once for each trigger."""

    at: float
    fn_id: str
    cron: str


@value
class CancelRequested:
    """A run is to be cancelled for good: `cancel.requested`. The first reason stands."""

    at: float
    run_id: str
    reason: str


@value
class RunAdmitted:
    """A run is in the queue: `run.admitted`.

    `needs` are the slots for which it must wait; one that its parent holds is not among them.
    """

    at: float
    run_id: str
    fn_id: str
    events: tuple[int, ...]
    keys: Keys
    needs: tuple[Need, ...] = ()
    parent: str | None = None
    out_of: Waited | None = None


@value
class RunReleased:
    """A run may start, and has what it needs: `run.released`."""

    at: float
    run_id: str


@value
class RunLeft:
    """A run has ended, or will never start: `run.left`. Its slots are free."""

    at: float
    run_id: str
    #: `completed`, `failed` or `cancelled`.
    status: str


@value
class AppSnapshot:
    """The state, written out: `app.snapshot`. What came before it is no longer needed."""

    at: float
    #: A `Picture`, see `snapshot`.
    state: object


# ---------------------------------------------------------------- of this process only


@value
class HandlerQueued:
    """A call of a run asked for the slots of its handler."""

    at: float
    run_id: str
    call: Hashable


@value
class HandlerAdmitted:
    """It has them."""

    at: float
    call: Hashable


@value
class HandlerGone:
    """It gave them back, or no longer waits for them."""

    at: float
    call: Hashable


Record: TypeAlias = (
    EventReceived
    | EventHeld
    | EventSkipped
    | CronFired
    | CronWatched
    | CancelRequested
    | RunAdmitted
    | RunReleased
    | RunLeft
    | AppSnapshot
    | HandlerQueued
    | HandlerAdmitted
    | HandlerGone
)
