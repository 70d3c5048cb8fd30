"""What is recorded of steps that follow one another, and of no others."""

from __future__ import annotations

from typing import Literal, TypeAlias

from plait._ids import DeliveryId
from plait._kernel import records
from plait._kernel.value import value

Reason: TypeAlias = Literal["when", "upstream", "on_error", "abort"]
"""Why a step will not run: it was told not to; none of those that it waits for has run; the failure of
one of them keeps it from running; the failure of one of them has ended the run."""


@value
class Readied:
    """A step's turn has come: `count` deliveries are queued for it, from number `first` on.

    `after`: the steps that it has waited for, all of which have come to their end; `None`: a record of an
    earlier version, which does not say it.
    """

    at: float
    step: str
    first: DeliveryId
    count: int = 1
    after: tuple[str, ...] | None = None


@value
class Reused:
    """A delivery needs no body: what it would return is known from an earlier run."""

    at: float
    delivery: DeliveryId
    event: object


@value
class Skipped:
    """These steps will not run, and that follows from the end of those in `after`; see `Readied`."""

    at: float
    steps: tuple[str, ...]
    reason: Reason
    after: tuple[str, ...] | None = None


Record: TypeAlias = Readied | Reused | Skipped | records.Record
