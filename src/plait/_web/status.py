"""`/status` and `/outputs`: how a run stands, in the words that flowtoy's users know.

Times are Unix seconds. A step of an event workflow may run often: it is `running` while one of its
bodies is, and counts as completed while none is and at least one has been.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .view import Items, RunView

#: The words of `/status`, by where a step stands.
STATES: Final[Mapping[str, str]] = {
    "queued": "pending",
    "retrying": "running",
    "waiting": "running",
    "reused": "succeeded",
    "dropped": "cancelled",
}
COMPLETED: Final = frozenset({"succeeded", "failed", "skipped", "cancelled"})


def status(view: RunView) -> dict[str, Any]:
    """Say how a run stands."""
    execution = view.execution
    epoch = execution.epoch or None
    steps: dict[str, dict[str, Any]] = {}
    for name, tally in view.steps.items():
        state = STATES.get(tally.state, tally.state)
        steps[name] = {
            "state": "cancelled" if execution.over and state == "pending" else state,
            "started_at": _time(epoch, tally.began),
            "ended_at": _time(epoch, tally.ended) if state in COMPLETED else None,
            "notes": [tally.notes] if tally.notes and state == "failed" else [],
            "outputs": [*view.outputs.get(name, {})],
        }
    running = [name for name, step in steps.items() if step["state"] == "running"]
    return {
        "run_id": view.run_id,
        "state": view.status,
        "started_at": epoch,
        "ended_at": _time(epoch, execution.ended),
        "total_steps": len(steps),
        "completed_steps": sum(step["state"] in COMPLETED for step in steps.values()),
        "running_steps": running,
        "running_count": len(running),
        "current_step": running[0] if running else None,
        "steps": steps,
    }


def outputs(view: RunView) -> dict[str, dict[str, Any]]:
    """List what the steps gave, by step and name. Of a step with items, a list in their order."""
    return {
        name: {output: _listed(value) for output, value in given.items()}
        for name, given in view.outputs.items()
    }


def _listed(value: Any) -> Any:
    """Make a list of what is kept by the number of its item; null where there is none yet."""
    if not isinstance(value, Items):
        return value
    return [value.get(index) for index in range(max(value) + 1)]


def _time(epoch: float | None, at: float | None) -> float | None:
    return None if epoch is None or at is None else epoch + at
