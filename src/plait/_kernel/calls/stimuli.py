"""Stimuli: what the shell of a body reports. Past tense, one class a kind of news.

`now` is the wall clock, in Unix seconds: it goes into records, and due times outlive a process.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from plait._kernel.retry.ask import AnyRetryPolicy
from plait._kernel.value import value

from .keys import Key
from .records import Op, Where


@value
class Began:
    """The body starts from its top, for the first time or again; what led to it is on disk."""

    now: float
    attempt: int
    accept_changes: bool = False


@value
class Called:
    """A task of the body made a call. `key`: `BodyState.next_key(path, step_id)`.

    `due_at`: for a sleep its end; for a wait, and an invoke if it has one, the end of its patience.
    `event`: the name that a wait waits for; `since`: the number of the last record in the stream of
    events. `child`: the run id of what is invoked. `retry`: the policy of a call with a handler;
    `None`: it has one attempt. `undoable`: it has a rollback. `bounded`: the task's effective
    deadline, apart from durable ones, is finite. `cancelled`: it is made in a cancelled scope.
    """

    now: float
    key: Key
    op: Op
    handler: str
    where: Where = ()
    due_at: float | None = None
    event: str | None = None
    child: str | None = None
    retry: AnyRetryPolicy | None = attrs.field(default=None, hash=False)
    undoable: bool = False
    bounded: bool = False
    cancelled: bool = False
    since: int | None = None


@value
class HandlerReturned:
    """A handler ended well. `value` is what recovery would give."""

    now: float
    key: Key
    value: object


@value
class HandlerRaised:
    """A handler failed. `final`: no attempt will mend it. `retry_at`: when it asks to be tried again."""

    now: float
    key: Key
    error: Exception
    final: bool = False
    retry_at: float | None = None


@value
class CallCancelled:
    """A scope reached into a call: a handler was cancelled, or somebody wants to leave its wait."""

    now: float
    key: Key


@value
class Due:
    """An alarm rang: for a call or a deadline."""

    now: float
    key: Key


@value
class EventArrived:
    """The first event that a wait accepts has come, since it began or before.

    `error`: nobody could say whether it accepts one. Only of a call that waits.
    """

    now: float
    key: Key
    value: object
    error: object = None


@value
class ChildEnded:
    """What a call has invoked has ended, and its scope is closed. `error`: it failed or was cancelled."""

    now: float
    key: Key
    value: object = None
    error: object = None


@value
class DeadlineEntered:
    """A scope with a durable deadline was entered. `key`: `BodyState.next_key(path, None)`."""

    now: float
    key: Key
    due_at: float


@value
class DeadlineLeft:
    """A scope with a durable deadline was left."""

    now: float
    key: Key


@value
class PatchAsked:
    """The body asks for a patch."""

    now: float
    patch: str


@value
class Acknowledged:
    """The records up to `n` are on disk."""

    now: float
    n: int


@value
class AtRest:
    """Each task of the body is blocked, or inside a handler."""

    now: float


@value
class Suspended:
    """The body is about to be stopped from outside, and goes on later, from the journal."""

    now: float


@value
class RollbackBegan:
    """`rollback.begun` has been recorded, now or in an earlier process."""

    now: float


Stimulus: TypeAlias = (
    AtRest
    | Called
    | HandlerReturned
    | Acknowledged
    | HandlerRaised
    | CallCancelled
    | Due
    | EventArrived
    | ChildEnded
    | DeadlineEntered
    | DeadlineLeft
    | PatchAsked
    | Began
    | Suspended
    | RollbackBegan
)
