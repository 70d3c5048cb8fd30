"""What waits, and for what, as data. The app puts it into words."""

from __future__ import annotations

from collections.abc import Iterator

from plait._kernel.value import value

from .records import EventReceived, Knob
from .state import AppState, Held


@value
class Waiting:
    """What a queued run waits for.

    `knob`: `throttle`, `singleton`, `concurrency`, or `function` if the running code has none of
    this id. `due`: when it may start, if that is known.
    """

    knob: str
    key: str
    due: float | None = None


def waits_for(state: AppState, run_id: str) -> Waiting | None:
    """Say what keeps a run in the queue; `None` if it has started, or is unknown, or nothing does.

    In a state that nobody has taken up, as who only looks has it, a run may wait for just that.
    """
    run = state.runs.get(run_id)
    if run is None or run.started_at is not None:
        return None
    place = state.queue.parked.get(run.lane)
    if place is None:
        place = state.full(run.lane, float("-inf"), state.queue)
    if place is None:
        return None
    bucket = place[0]
    match bucket[0]:
        case "throttle":
            return Waiting("throttle", bucket[-1], state.leave_at(bucket))
        case "one":
            return Waiting("singleton", bucket[-1])
        case "unknown":
            return Waiting("function", bucket[-1])
        case _:
            return Waiting("concurrency", bucket[-1])


@value
class Expected:
    """A run that may come of events that wait: they are not in the queue yet."""

    run_id: str
    fn_id: str
    events: tuple[EventReceived, ...]
    #: `ts`, `debounce` or `batch_events`.
    knob: Knob
    key: str
    due: float


def expected(state: AppState) -> Iterator[Expected]:
    """List what waits for its time, for the end of a burst or for company."""

    def one(fn_id: str, held: list[Held], knob: Knob, key: str, due: float) -> Expected:
        return Expected(held[0].run_id, fn_id, tuple(x.event for x in held), knob, key, due)

    for (_, fn_id), later in state.later.items():
        yield one(fn_id, [later.held], "ts", "", later.due)
    for fn_id, own in state.functions.items():
        for key, burst in own.bursts.items():
            yield one(fn_id, [burst.held], "debounce", key, burst.due)
        for key, company in own.batches.items():
            yield one(fn_id, company.held, "batch_events", key, company.due)
