"""Stimuli: what the shell reports to the kernel. Past tense, one class a kind of news.

`now` is the time on the run's one clock, in seconds. Whoever reports reads the clock; the kernel
has none.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeAlias

import attrs

from plait._ids import DeliveryId

from .collecting import Shape


@attrs.frozen
class Opened:
    """The run begins, with its start event."""

    now: float
    event: object


@attrs.frozen
class Ready:
    """A worker of this step stands ready, in answer to an `Offer`."""

    now: float
    step: str


@attrs.frozen
class Returned:
    """A body returned an event, or `None`."""

    now: float
    delivery: DeliveryId
    value: object


@attrs.frozen
class Raised:
    """A body raised."""

    now: float
    delivery: DeliveryId
    error: BaseException


@attrs.frozen
class Unwound:
    """A body was cancelled, and its clean-up is over."""

    now: float
    delivery: DeliveryId


@attrs.frozen
class Sent:
    """A delivery, or code outside the run, sent an event; `step` narrows it to one receiver."""

    now: float
    sender: DeliveryId
    event: object
    step: str | None = None


@attrs.frozen
class Contributed:
    """A delivery gave its input to a collection."""

    now: float
    delivery: DeliveryId
    event: object
    shape: Shape
    buffer_id: str
    key: Hashable


@attrs.frozen
class Wrote:
    """An event was written to the stream."""

    now: float
    sender: DeliveryId
    event: object


@attrs.frozen
class Expired:
    """The run's deadline has passed."""

    now: float


@attrs.frozen
class CancelAsked:
    """Somebody asked for the run to be cancelled."""

    now: float


@attrs.frozen
class Abandoned:
    """The scope that owns the run was cancelled, or its block was left by an exception."""

    now: float


@attrs.frozen
class Settled:
    """Nothing of the run is left: every body, clean-up and child has ended."""

    now: float


Stimulus: TypeAlias = (
    Ready
    | Returned
    | Sent
    | Contributed
    | Wrote
    | Raised
    | Unwound
    | Opened
    | Expired
    | CancelAsked
    | Abandoned
    | Settled
)
