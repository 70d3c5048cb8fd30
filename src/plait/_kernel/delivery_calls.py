"""The durable calls of deliveries: the body of a delivery is a body like any other of `calls`.

Rule 1: A call belongs to the delivery that its key names: the first part of its path is the step's name
    and the delivery's number. So records of calls stand among all others of the run, and one key is
    one call in the whole run.
Rule 2: *A delivery remembers its calls as long as it lives:* over its retries, since an attempt goes on
    with what earlier ones have recorded, and over processes. When it is complete, so are they.
Rule 3: Each start of the body is a `Started`. Whatever has calls by then is told `Began` with it.
Rule 4: Numbers and causes of these records count the records of the delivery's calls. Only their order
    counts, and a run that goes on from a snapshot begins another stream.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final, TypeAlias, cast

from plait._errors import PlaitInternalError
from plait._ids import DeliveryId

from .calls import apply as of_calls
from .calls.advance import advance
from .calls.effects import Effect
from .calls.keeping import KEEPING as OF_CALLS
from .calls.keys import Key, Path
from .calls.marks import Began
from .calls.records import Patched, Record
from .calls.state import BodyState
from .calls.stimuli import Stimulus
from .keeping import KEEPING as OF_EVENTS
from .keeping import Keep
from .records import AnyRecord, CallRecord, DeliveryPatched, FunctionHeld
from .state import Delivery, RunState

#: How each record of a run is kept, those of calls too.
KEEPING: Final = {
    **cast("dict[type[AnyRecord], Keep]", OF_EVENTS),
    **cast("dict[type[AnyRecord], Keep]", OF_CALLS),
    DeliveryPatched: OF_CALLS[Patched],
}

Advance: TypeAlias = tuple[Sequence[tuple[int, CallRecord]], Sequence[Effect]]


def root_of(delivery: Delivery) -> Path:
    """Give the path of the first task of a delivery's body."""
    return ((delivery.step, delivery.number),)


def delivery_of(key: Key) -> DeliveryId:
    """Find the number of the delivery to which a call belongs.

    Raises:
        PlaitInternalError: It is no key of a delivery's call.
    """
    match key.path:
        case ((str(), int() as number), *_):
            return DeliveryId(number)
        case _:
            raise PlaitInternalError(f"{key} is no call of a delivery")


def calls_of(state: RunState, delivery: Delivery, now: float) -> BodyState:
    """Give the calls of a delivery whose body runs.

    Args:
        state: The run.
        delivery: Its body has begun.
        now: Unix time, in seconds.
    """
    if delivery.calls is None:
        text = f"{state.run_id}:{delivery.step}:{delivery.number}"
        delivery.calls = BodyState(seed=zlib.crc32(text.encode()))
        begin(delivery, delivery.calls, now)
    return delivery.calls


def begin(delivery: Delivery, calls: BodyState, now: float) -> None:
    """Begin a start of the body: rule 3."""
    of_calls.apply(calls, Began(now, delivery.attempt - 1))


def hear(state: RunState, number: DeliveryId, stimulus: Stimulus) -> Advance:
    """Take in what has happened to a delivery's calls: change the state, say what follows.

    As `calls.advance.advance`, where it is said who tells what, and when.

    Returns:
        The records, to be appended in one piece; and the effects, to be performed at once.

    Raises:
        PlaitInternalError: The shell is wrong: no such body executes, or it cannot have happened.
    """
    delivery = state.executing(number)
    if delivery is None:
        raise PlaitInternalError(f"{stimulus} of delivery {number}, which is not executing")
    kept, todo = advance(calls_of(state, delivery, stimulus.now), stimulus)
    return [(n, _as_kept(number, record)) for n, record in kept], todo


def _as_kept(number: DeliveryId, record: Record) -> CallRecord:
    """Say of a patch whose it is. All other records have a key."""
    if isinstance(record, Patched):
        return DeliveryPatched(record.at, number, record.patch, record.on, record.cause)
    return record


def _as_of_calls(record: CallRecord) -> tuple[DeliveryId, Record]:
    """Whose it is, and what it is to the kernel of calls."""
    if isinstance(record, DeliveryPatched):
        patched = Patched(record.at, record.patch, record.on, record.cause)
        return record.delivery, patched
    return delivery_of(record.key), record


def fold(state: RunState, record: CallRecord) -> None:
    """Change the state by a record of a call, in place."""
    number, of_call = _as_of_calls(record)
    delivery = state.executing(number)
    if delivery is None:
        raise PlaitInternalError(f"{record} of delivery {number}, which is not executing")
    calls = calls_of(state, delivery, record.at)
    of_calls.fold(calls, of_call, calls.last_n + 1)


def time_of(record: AnyRecord, epoch: float) -> float:
    """Tell when a record was made, on the run's clock.

    Args:
        record: Of that life of the run.
        epoch: The Unix time of the clock's 0.
    """
    return record.at - epoch if isinstance(record, CallRecord | FunctionHeld) else record.at
