"""Marks: what changes the state of a run in this process, and is never kept.

As with those of calls, only `apply` takes them in.
"""

from __future__ import annotations

from typing import TypeAlias

from plait._kernel.calls.keys import Key
from plait._kernel.value import value

from .stimuli import TakenUp


@value
class Taken:
    """A process has the run, on these terms."""

    at: float
    terms: TakenUp


@value
class Performed:
    """What waited for the disk is done, or need not be done any more."""

    at: float


@value
class BodyBegan:
    """The body runs."""

    at: float


@value
class BodyEnded:
    """The body is over."""

    at: float


@value
class ToBeCancelled:
    """The run is to be cancelled for good."""

    at: float
    reason: str


@value
class CancelTold:
    """The body is being cancelled for good."""

    at: float


@value
class Undoing:
    """This step is being undone; with `None`, none is any more."""

    at: float
    key: Key | None


Mark: TypeAlias = Taken | Performed | BodyBegan | BodyEnded | ToBeCancelled | CancelTold | Undoing
