"""Why a run has not started: what it waits for, as data. The app puts it into words."""

from __future__ import annotations

from plait._kernel.value import value

from .state import AppState


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
    """Say what keeps a run in the queue; `None` if it has started, or is unknown."""
    run = state.runs.get(run_id)
    if run is None or run.started_at is not None:
        return None
    bucket = state.queue.parked[run.lane][0]
    match bucket[0]:
        case "throttle":
            return Waiting("throttle", bucket[-1], state.leave_at(bucket))
        case "one":
            return Waiting("singleton", bucket[-1])
        case "unknown":
            return Waiting("function", bucket[-1])
        case _:
            return Waiting("concurrency", bucket[-1])
