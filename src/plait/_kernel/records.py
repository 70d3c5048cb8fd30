"""Records: what was decided, and all that is kept. The state is the sum of its records.

Journal, stream, trace, pictures, error messages and test assertions read these classes; `at` is the
time on the run's clock, in seconds, and `cause` the delivery that led to it (0: the outside).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeAlias

from plait._ids import DeliveryId, RunId

from .collecting import Shape
from .value import value

# ---------------------------------------------------------------- how a run can end


@value
class Stopped:
    """A step returned a stop event, or somebody sent one."""

    event: object


@value
class Crashed:
    """A body failed for good."""


@value
class TimedOut:
    """The deadline passed while these steps were running."""

    active: tuple[str, ...]


@value
class Cancelled:
    """Somebody asked for it, or the scope that owns the run was cancelled."""

    by_owner: bool


@value
class Stalled:
    """Nothing is queued, running or due, and nothing can come from outside."""


Outcome: TypeAlias = Stopped | Crashed | TimedOut | Cancelled | Stalled

# ---------------------------------------------------------------- the run


@value
class RunStarted:
    """The run begins."""

    at: float
    run_id: RunId


@value
class Idled:
    """Nothing is left to do until something comes from outside."""

    at: float


@value
class Decided:
    """How the run ends. The first decision stands; what follows is clean-up."""

    at: float
    outcome: Outcome


@value
class Closed:
    """Nothing of the run is left."""

    at: float


# ---------------------------------------------------------------- events and deliveries


@value
class Emitted:
    """An event was sent: by a delivery, or from outside.

    Each receiver in `to` gets a delivery of its own, numbered from `first` on, in this order.
    """

    at: float
    cause: DeliveryId
    event: object
    first: DeliveryId
    to: tuple[str, ...]


@value
class Started:
    """A worker began on a delivery: a body runs."""

    at: float
    delivery: DeliveryId
    step: str
    worker: int


@value
class Completed:
    """A body returned. What it returned is in the same record: both happened, or neither did."""

    at: float
    delivery: DeliveryId
    event: object
    first: DeliveryId
    to: tuple[str, ...]


@value
class Failed:
    """A body failed for good."""

    at: float
    delivery: DeliveryId
    error: BaseException


@value
class Interrupted:
    """A body was cancelled, and its clean-up is over."""

    at: float
    delivery: DeliveryId


@value
class Collected:
    """A delivery gave its input to a collection, where it counts as `kind`."""

    at: float
    delivery: DeliveryId
    kind: type
    shape: Shape
    buffer_id: str
    key: Hashable


@value
class Streamed:
    """An event was written to the stream."""

    at: float
    cause: DeliveryId
    event: object


Record: TypeAlias = (
    Started
    | Completed
    | Emitted
    | Collected
    | Streamed
    | Failed
    | Interrupted
    | RunStarted
    | Idled
    | Decided
    | Closed
)
