"""Stimuli: what the shell reports to the kernel. Past tense, one class a kind of news.

`now` is the time on the run's one clock, in seconds. Whoever reports reads the clock; the kernel
has none.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeAlias

import attrs

from plait._ids import DeliveryId, RunId

from .collecting import Shape
from .functions.reasons import Why
from .value import value
from .waits import WaitKey


@value
class Opened:
    """The run begins, with its start event. `epoch` is the Unix time of the clock's 0."""

    now: float
    event: object
    epoch: float = 0.0
    stepwise: bool = False


@value
class TakenUp:
    """Another process takes the run up, from its records or from a snapshot.

    `elapsed`: seconds of earlier processes that count against the run's timeout.
    """

    now: float
    epoch: float
    stepwise: bool = False
    elapsed: float = 0.0


@value
class Ready:
    """A worker of this step has come, in answer to an `Offer`."""

    now: float
    step: str


@value
class Returned:
    """A body returned an event, or `None`; its worker stands ready again, or leaves."""

    now: float
    delivery: DeliveryId
    value: object
    stays: bool = False


@value
class Raised:
    """A body raised; `final`: when somebody had cancelled it, so that nobody makes it good."""

    now: float
    delivery: DeliveryId
    error: BaseException
    final: bool = False


@value
class Unwound:
    """A body was cancelled, and its clean-up is over."""

    now: float
    delivery: DeliveryId


@value
class Sent:
    """A delivery, or code outside the run, sent an event; `step` narrows it to one receiver."""

    now: float
    sender: DeliveryId
    event: object
    step: str | None = None


@value
class Contributed:
    """A delivery gave its input to a collection."""

    now: float
    delivery: DeliveryId
    event: object
    shape: Shape
    buffer_id: str
    key: Hashable


@value
class WaitBegan:
    """A body asks for an event; `question` goes to the stream if it must wait."""

    now: float
    delivery: DeliveryId
    kind: type
    requirements: Mapping[str, object] = attrs.field(hash=False)
    broadcast: bool
    waiter_id: str | None
    question: object


@value
class WaitExpired:
    """A wait has taken too long, or the body was called away from it by a scope of its own."""

    now: float
    wait: WaitKey
    called_away: bool = False


@value
class Due:
    """The time of a retry has come."""

    now: float
    delivery: DeliveryId


@value
class StepAsked:
    """Whoever drives the run step by step asks for the next delivery; -1: no longer asks."""

    now: float
    number: int = 1


@value
class Wrote:
    """An event was written to the stream; or a run inside a body has shown it: that is its `source`."""

    now: float
    sender: DeliveryId
    event: object
    source: str = ""


@value
class HandedOn:
    """A letter of the mailbox was given to a run inside, that asks for it."""

    now: float
    letter: int
    run_id: RunId


@value
class StoreChanged:
    """Something was written to the store. What the values are is not the kernel's business."""

    now: float
    sender: DeliveryId
    values: Mapping[str, object] = attrs.field(hash=False)
    removed: tuple[str, ...] = ()
    #: Was everything else removed?
    cleared: bool = False


@value
class Expired:
    """The run's deadline has passed: `seconds` after its admission."""

    now: float
    seconds: float | None = None


@value
class CancelAsked:
    """Somebody asked for the run to be cancelled."""

    now: float


@value
class Abandoned:
    """The scope that owns the run was cancelled, or its block was left by an exception."""

    now: float


@value
class CannotGoOn:
    """The run is left where it is: a body's code does not fit its records. `now` is Unix time."""

    now: float
    delivery: DeliveryId
    why: Why


@value
class Settled:
    """Nothing of the run is left: every body, clean-up and child has ended."""

    now: float


#: What may change more than one step.
News: TypeAlias = (
    Returned
    | Sent
    | Contributed
    | Wrote
    | HandedOn
    | StoreChanged
    | WaitBegan
    | WaitExpired
    | Due
    | StepAsked
    | Raised
    | Unwound
    | Opened
    | TakenUp
    | Expired
    | CancelAsked
    | Abandoned
    | CannotGoOn
    | Settled
)

Stimulus: TypeAlias = Ready | News
