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
    """A step's turn has come: `count` deliveries are queued for it, from number `first` on."""

    at: float
    step: str
    first: DeliveryId
    count: int = 1


@value
class Reused:
    """A delivery needs no body: what it would return is known from an earlier run."""

    at: float
    delivery: DeliveryId
    event: object


@value
class Skipped:
    """These steps will not run."""

    at: float
    steps: tuple[str, ...]
    reason: Reason


Record: TypeAlias = Readied | Reused | Skipped | records.Record
