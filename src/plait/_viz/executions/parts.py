"""What an execution is made of: activities, their attempts and pauses, and what led to what.

Plain data, changed by the reducers alone. All times are seconds since the run began, on one clock over
all processes that had a part in it.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias, cast

import attrs

State: TypeAlias = Literal[
    "queued",
    "running",
    "waiting",
    "retrying",
    "succeeded",
    "reused",
    "failed",
    "cancelled",
    "skipped",
    "dropped",
    "joined",
]
"""Where an activity stands. `waiting`: for an event, a person, a time or another run; `retrying`: its
next attempt is due later; `reused`: what it gives is from an earlier run; `skipped`: it was decided that
it will not run; `dropped`: it was queued, and will never run; `joined`: it is an event that went into
another activity, with others."""

Status: TypeAlias = Literal[
    "queued", "running", "idle", "ending", "held", "completed", "failed", "cancelled"
]
"""Where a run stands. `idle`: it waits for an event from outside; `ending`: it is decided how it ends,
and clean-up goes on; `held`: it waits for somebody to mend it."""

Ended: TypeAlias = Literal["succeeded", "failed", "cancelled", "interrupted"]
"""How an attempt ended. `interrupted`: its process ended, and another one takes the run up."""

How: TypeAlias = Literal["event", "part", "failure", "answer", "collected", "ready", "call", "end"]
"""How one thing led to another. `event`: it sent or returned the event; `part`: the same, of an event
that is given together with others; `failure`: it failed, and the failure is handled; `answer`: its event
ended a wait; `collected`: its event is in the batch that the other was given; `ready`: a step
of a flow waited for its end; `call`: its outcome was the last that the body was given; `end`:
it ended the run."""

#: What stands for code outside the run, and for the run's end, as the source or target of a link.
OUTSIDE: Final = "(outside)"
END: Final = "(end)"

#: The step of a delivery of which no record says what it is of.
UNKNOWN: Final = "?"

#: Of an activity that will change no more.
OVER: Final[frozenset[State]] = frozenset(
    {"succeeded", "reused", "failed", "cancelled", "skipped", "dropped", "joined"}
)


@attrs.define
class Stretch:
    """A time in which an attempt held a worker.

    Attributes:
        worker: The worker's number, from 0; `None` where there are no workers.
        began: When it took the worker.
        ended: When it gave it back; `None`: it has it.
    """

    worker: int | None
    began: float
    ended: float | None = None


@attrs.define
class Pause:
    """A time in which an activity waited for something that was to come.

    Attributes:
        kind: What for: `"queue"`, a worker; `"event"`; `"sleep"`, a time; `"invoke"`, another run;
            `"retry"`, the time of the next attempt.
        of: The name of the event, or of the run that was invoked; else `""`.
        began: When the wait began.
        due: When it is to be over at the latest; `None`: it is not said.
        ended: When it was over; `None`: it is not.
    """

    kind: Literal["queue", "event", "sleep", "invoke", "retry"]
    of: str
    began: float
    due: float | None = None
    ended: float | None = None


@attrs.define
class Attempt:
    """One execution of a body.

    Attributes:
        number: From 1. One that is executed again after its process ended keeps its number.
        began: When it began.
        ended: When it ended; `None`: it has not.
        how: How it ended.
        error: What it raised, as a text.
        stretches: When it held which worker: one, unless it has waited in between.
    """

    number: int
    began: float
    ended: float | None = None
    how: Ended | None = None
    error: str | None = None
    stretches: list[Stretch] = attrs.field(factory=list[Stretch])


@attrs.define
class Cause:
    """What led to an activity.

    Attributes:
        source: The id of an activity, or `OUTSIDE`.
        how: In which way.
        event: The name of the event's class, where it was an event.
    """

    source: str
    how: How
    event: str = ""


@attrs.define
class Activity:
    """A delivery, a step of a flow or one item of it, a durable call, or the body of a function.

    Attributes:
        id: Its name in the run: `"step#3"` for a delivery, the key's text for a call.
        kind: What it is.
        name: The name of the step.
        number: The delivery's number, or the place in the stream of the record that a call began with.
        index: Which item of the step it is, from 0; `None`: it is no item.
        task: Of a call, the task that makes it, in words; else `""`.
        within: Of a call of a delivery, the id of that delivery.
        given: The name of the class of the event that it was given; several are joined by `+`.
        causes: What led to it.
        state: Where it stands.
        attempts: Its executions, in their order.
        pauses: What it has waited for, in the order in which the waits began.
        ended: When it came to its end.
        error: What it failed with, as a text.
        reason: Why it was skipped, dropped or held.
        handled: Whether its failure was taken by a handler.
        into: Of an event that was given together with others: the activity that got it.
    """

    id: str
    kind: Literal["delivery", "step", "call", "function"]
    name: str
    number: int
    index: int | None = None
    task: str = ""
    within: str | None = None
    given: str = ""
    causes: list[Cause] = attrs.field(factory=list[Cause])
    state: State = "queued"
    attempts: list[Attempt] = attrs.field(factory=list[Attempt])
    pauses: list[Pause] = attrs.field(factory=list[Pause])
    ended: float | None = None
    error: str | None = None
    reason: str | None = None
    handled: bool = False
    into: str | None = None

    @property
    def label(self) -> str:
        """What people call it: `step#3`, or `step[2]` if it is an item."""
        if self.index is not None:
            return f"{self.name}[{self.index}]"
        return f"{self.name}#{self.number}" if self.kind == "delivery" else self.name

    @property
    def queued(self) -> float | None:
        """When it was first queued."""
        return next((pause.began for pause in self.pauses if pause.kind == "queue"), None)

    @property
    def began(self) -> float | None:
        """When its first attempt began."""
        return self.attempts[0].began if self.attempts else None

    @property
    def current(self) -> Attempt | None:
        """The attempt that is executing."""
        if self.attempts and self.attempts[-1].ended is None:
            return self.attempts[-1]
        return None


@attrs.define
class Buffer:
    """What has been collected, and waits for the rest of its batch.

    Attributes:
        step: The step that collects.
        buffer_id: Which of its buffers.
        key: The key of the batch, as a text; `""`: it has none.
        have: How many there are, by class.
        need: How many there must be, by class.
        since: When the first was put in.
    """

    step: str
    buffer_id: str
    key: str
    have: dict[str, int]
    need: dict[str, int]
    since: float

    def __str__(self) -> str:
        have = sum(min(self.have.get(kind, 0), count) for kind, count in self.need.items())
        return f"{have} of {sum(self.need.values())}"


@attrs.frozen
class Link:
    """From one activity to another, see `Cause`.

    Attributes:
        source: The id of an activity, or `OUTSIDE`.
        target: The id of an activity, or `END`.
        how: In which way the one led to the other.
        event: The name of the event's class, where it was an event.
    """

    source: str
    target: str
    how: How
    event: str = ""


#: A look at these fields costs a quarter of what `attrs.asdict` does, and there may be many thousands.
_FIELDS: Final[dict[type, tuple[str, ...]]] = {
    cls: tuple(field.name for field in attrs.fields(cls))
    for cls in (Activity, Attempt, Stretch, Pause, Cause, Buffer, Link)
}


def plain(thing: object) -> Any:
    """Make JSON values of one of these, without what says nothing: `None`, `False`, `""` and `[]`."""
    if isinstance(thing, float):
        return round(thing, 6)
    if isinstance(thing, list | tuple):
        return [plain(one) for one in cast("list[object]", thing)]
    if isinstance(thing, dict):
        found = cast("dict[str, object]", thing)
        return {name: plain(value) for name, value in found.items()}
    names = _FIELDS.get(type(thing))
    if names is None:
        return thing
    held: dict[str, Any] = {}
    for name in names:
        value = getattr(thing, name)
        if not _says_nothing(value):
            held[name] = plain(value)
    return held


def _says_nothing(value: object) -> bool:
    return value is None or value is False or value in ("", [])
