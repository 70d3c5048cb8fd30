"""Records: what was decided, and all that is kept. The state is the sum of its records.

Journal, stream, trace, pictures, error messages and test assertions read these classes; `at` is the
time on the run's clock, in seconds, and `cause` the delivery that led to it (0: the outside).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeAlias

import attrs

from plait._ids import DeliveryId, RunId

from .collecting import Shape

# ---------------------------------------------------------------- how a run can end


@attrs.frozen
class Stopped:
    """A step returned a stop event, or somebody sent one."""

    event: object


@attrs.frozen
class Crashed:
    """A body failed for good."""


@attrs.frozen
class TimedOut:
    """The deadline passed while these steps were running."""

    active: tuple[str, ...]


@attrs.frozen
class Cancelled:
    """Somebody asked for it, or the scope that owns the run was cancelled."""

    by_owner: bool


@attrs.frozen
class Stalled:
    """Nothing is queued, running or due, and nothing can come from outside."""


Outcome: TypeAlias = Stopped | Crashed | TimedOut | Cancelled | Stalled

# ---------------------------------------------------------------- the run


@attrs.frozen
class RunStarted:
    """The run begins."""

    at: float
    run_id: RunId


@attrs.frozen
class Idled:
    """Nothing is left to do until something comes from outside."""

    at: float


@attrs.frozen
class Decided:
    """How the run ends. The first decision stands; what follows is clean-up."""

    at: float
    outcome: Outcome


@attrs.frozen
class Closed:
    """Nothing of the run is left."""

    at: float


# ---------------------------------------------------------------- events and deliveries


@attrs.frozen
class Emitted:
    """An event was sent: by a delivery, or from outside.

    Each receiver in `to` gets a delivery of its own, numbered from `first` on, in this order.
    """

    at: float
    cause: DeliveryId
    event: object
    first: DeliveryId
    to: tuple[str, ...]


@attrs.frozen
class Started:
    """A worker began on a delivery: a body runs."""

    at: float
    delivery: DeliveryId
    step: str
    worker: int


@attrs.frozen
class Completed:
    """A body returned. What it returned is in the same record: both happened, or neither did."""

    at: float
    delivery: DeliveryId
    event: object
    first: DeliveryId
    to: tuple[str, ...]


@attrs.frozen
class Failed:
    """A body failed for good."""

    at: float
    delivery: DeliveryId
    error: BaseException


@attrs.frozen
class Interrupted:
    """A body was cancelled, and its clean-up is over."""

    at: float
    delivery: DeliveryId


@attrs.frozen
class Collected:
    """A delivery gave its input to a collection, where it counts as `kind`."""

    at: float
    delivery: DeliveryId
    kind: type
    shape: Shape
    buffer_id: str
    key: Hashable


@attrs.frozen
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
