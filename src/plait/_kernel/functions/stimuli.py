"""Stimuli: what the shell of a run reports. Past tense, one class a kind of news.

Those of `plait._kernel.calls.stimuli` are told here as well. `now` is the wall clock, in Unix seconds.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from plait._kernel.calls import stimuli as of_calls
from plait._kernel.retry.ask import AnyRetryPolicy
from plait._kernel.value import value


@value
class Queued:
    """A run was asked for."""

    now: float
    fn_id: str
    name: str
    events: tuple[object, ...]
    parent: str | None
    not_before: float
    priority: float
    seed: int
    source: str


@value
class TakenUp:
    """A process has the run, and its time has come.

    `source`: of the function; `None`: the app has none of this id. `retry`: its policy; `None`: one
    attempt. `on_failure`: it has a handler for that. `resumed`: somebody asked for this run by
    `app.resume()`, which counts as the beginning of its resumes.
    """

    now: float
    source: str | None
    retry: AnyRetryPolicy | None = attrs.field(default=None, hash=False)
    max_resumes: int = 100
    on_code_change: Literal["continue", "hold"] = "continue"
    on_failure: bool = False
    resumed: bool = False
    accept_changes: bool = False


@value
class CancelAsked:
    """The run is to be cancelled for good: the app's stream says so."""

    now: float
    reason: str


@value
class RetryDue:
    """The time of a `Wake` has come."""

    now: float


@value
class BodyReturned:
    """The body ended well. `value` is what recovery would give."""

    now: float
    value: object


@value
class BodyRaised:
    """The body raised."""

    now: float
    error: Exception


@value
class BodyCancelled:
    """The body was cancelled, and its clean-up is over."""

    now: float


BodyOver: TypeAlias = BodyReturned | BodyRaised | BodyCancelled

Stimulus: TypeAlias = Queued | TakenUp | CancelAsked | RetryDue | BodyOver | of_calls.Stimulus
