"""Records: what was decided, and all that is kept. The state is the sum of its records.

Journal, stream, trace, pictures, error messages and test assertions read these classes; `at` is the
time on the run's clock, in seconds, and `cause` the delivery that led to it (0: the outside). Each
process that takes a run up has a clock of its own: Unix time is `at` and the `epoch` of the last
`RunStarted` or `Reopened`.

The records of the durable calls that deliveries make are among them, see `delivery_calls`. Their times
are Unix times already, since due times outlive a process. So is that of `FunctionHeld`, which a run has
as those of functions do: who writes it may not know any clock of the run's.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Final, TypeAlias, get_args

import attrs

from plait._ids import DeliveryId, RunId

from .calls import records as of_calls
from .collecting import Shape
from .functions.records import FunctionHeld as FunctionHeld
from .streams import Branch, StreamId
from .value import value
from .waits import Wait, WaitKey

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
    """The deadline passed, so many seconds after the admission, while these steps were running."""

    active: tuple[str, ...]
    seconds: float | None = None


@value
class Cancelled:
    """Somebody asked for it, or the scope that owns the run was cancelled."""

    by_owner: bool


@value
class Stalled:
    """Nothing is queued, running or due, and nothing can come from outside."""


@value
class Finished:
    """Every step has come to its end, in a run whose steps follow one another."""


Outcome: TypeAlias = Stopped | Crashed | TimedOut | Cancelled | Stalled | Finished

# ---------------------------------------------------------------- the run


@value
class RunStarted:
    """The run begins. `epoch` is the Unix time of the clock's 0."""

    at: float
    run_id: RunId
    epoch: float
    stepwise: bool = False


@value
class Reopened:
    """Another process takes the run up. Bodies that were executing are gone; they run again.

    `epoch` is the Unix time of the new clock's 0; the times that are pending move over to it.
    """

    at: float
    epoch: float
    stepwise: bool = False
    elapsed: float = 0.0


@value
class Idled:
    """Nothing is left to do until something comes from outside."""

    at: float


@value
class Permitted:
    """A run that goes step by step may let one body run more, or one less."""

    at: float
    number: int = 1


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
    """An event was sent, by a delivery or from outside, or is a member of a returned list.

    Each receiver in `to` gets a delivery of its own, numbered from `first` on, in this order, or
    it is added to the receiver's join or fan-in. `resolves` lists the waits that it answers.
    """

    at: float
    cause: DeliveryId
    event: object
    first: DeliveryId
    to: tuple[str, ...]
    resolves: tuple[WaitKey, ...] = ()
    branch: Branch | None = None


@value
class Repeated:
    """A body that runs again sent what it had sent before: it is not emitted a second time."""

    at: float
    delivery: DeliveryId


@value
class Started:
    """A worker began on a delivery: a body runs."""

    at: float
    delivery: DeliveryId
    step: str
    worker: int


@value
class Listed:
    """Stands for a returned list: it opens the stream of this number, and its members follow."""

    stream: StreamId
    size: int


@value
class Completed:
    """A body returned. What it returned is in the same record: both happened, or neither did."""

    at: float
    delivery: DeliveryId
    event: object
    first: DeliveryId
    to: tuple[str, ...]
    resolves: tuple[WaitKey, ...] = ()


@value
class Retrying:
    """An attempt failed and another will follow, at `due`."""

    at: float
    delivery: DeliveryId
    error: Exception
    due: float


@value
class Requeued:
    """The time of a retry has come: the delivery is at the back of its queue."""

    at: float
    delivery: DeliveryId


@value
class Recovered:
    """A body failed for good, and a handler or a fan-in takes the failure as an event."""

    at: float
    delivery: DeliveryId
    error: Exception
    event: object
    first: DeliveryId
    to: str


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
class Dropped:
    """What waited in these streams was taken out: their fan-in has what it wanted."""

    at: float
    deliveries: tuple[DeliveryId, ...]
    streams: tuple[StreamId, ...]


@value
class Fired:
    """A fan-in has its list: delivery `first` begins with it."""

    at: float
    stream: StreamId
    step: str
    events: tuple[object, ...]
    first: DeliveryId


@value
class Met:
    """These events have met, and `delivery` begins with all of them: a join is whole, or a fan-in has its list.

    Each of them was emitted under the number that is here, in the order in which the body is given them.
    """

    at: float
    delivery: DeliveryId
    events: tuple[DeliveryId, ...]


@value
class StreamClosed:
    """A returned list has been dealt with."""

    at: float
    stream: StreamId


@value
class Collected:
    """A delivery gave its input to a collection, where it counts as `kind`."""

    at: float
    delivery: DeliveryId
    kind: type
    event: object
    shape: Shape
    buffer_id: str
    key: Hashable
    #: Which input of the delivery it is.
    place: int = 0


@value
class Streamed:
    """An event was written to the stream."""

    at: float
    cause: DeliveryId
    event: object
    #: The run inside the body that has shown it; `""`: the body has written it itself.
    source: str = ""


@value
class StreamedBefore:
    """A body that runs again wrote what it had written before: it is not shown a second time."""

    at: float
    cause: DeliveryId
    source: str = ""
    #: Which of those that this source has not shown again.
    place: int = 0


@value
class Stored:
    """Something was written to the store; what is in it is opaque here."""

    at: float
    cause: DeliveryId
    values: Mapping[str, object] = attrs.field(hash=False)
    removed: tuple[str, ...] = ()
    cleared: bool = False


# ---------------------------------------------------------------- waits


@value
class Waited:
    """A delivery waits for an event, and has given its slot back. The question was streamed."""

    at: float
    wait: Wait
    question: object = None


@value
class Answered:
    """A delivery asked for an event that was already in the mailbox."""

    at: float
    wait: Wait
    #: Its place in the mailbox.
    letter: int
    event: object


@value
class Recalled:
    """A delivery that runs again waited for what it had been answered before."""

    at: float
    wait: Wait
    #: The place of the answer in `Memory.owed`.
    place: int


@value
class HandedOver:
    """A letter was taken out of the mailbox, for a run inside that asks for it."""

    at: float
    letter: int
    event: object
    run_id: RunId


@value
class WaitEnded:
    """A wait took too long, or the body was called away from it."""

    at: float
    wait: WaitKey
    called_away: bool = False


@value
class Resumed:
    """A delivery whose wait has ended has a slot again."""

    at: float
    wait: WaitKey
    worker: int


# ---------------------------------------------------------------- durable calls


@value
class DeliveryPatched:
    """A delivery's body asked for a patch, for the first time. `Patched` itself does not say whose it is.

    `cause` is of the delivery's calls, as theirs are.
    """

    at: float
    delivery: DeliveryId
    patch: str
    on: bool
    cause: int = 0


Emission: TypeAlias = Emitted | Completed

#: Of the durable calls that a delivery makes, and of its patches.
CallRecord: TypeAlias = (
    of_calls.CallCompleted
    | of_calls.CallStarted
    | of_calls.CallFailed
    | of_calls.CallScheduled
    | of_calls.CallRetrying
    | of_calls.CallCancelled
    | of_calls.DeadlineSet
    | of_calls.DeadlineFired
    | DeliveryPatched
)
CALL_RECORDS: Final[frozenset[type[CallRecord]]] = frozenset(get_args(CallRecord))

Record: TypeAlias = (
    Started
    | Completed
    | Emitted
    | Collected
    | Streamed
    | StreamedBefore
    | Stored
    | Repeated
    | Failed
    | Interrupted
    | Retrying
    | Requeued
    | Recovered
    | Dropped
    | Fired
    | Met
    | StreamClosed
    | Waited
    | Answered
    | HandedOver
    | Recalled
    | WaitEnded
    | Resumed
    | RunStarted
    | Reopened
    | Permitted
    | Idled
    | FunctionHeld
    | Decided
    | Closed
)
#: All that the stream of a run may hold.
AnyRecord: TypeAlias = Record | CallRecord
