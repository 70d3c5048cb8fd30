"""`Execution`: what happens in a run, from its records alone. A pure reducer: live, or from a journal.

Rule 1: *The records say it all.* Two executions that were fed the same records say the same, whoever
    fed them, and whenever. A plan, if there is one, adds the limits of the steps, and no activity.
Rule 2: *One clock.* All times are seconds since the first record, over all processes of the run.
Rule 3: *Nothing is refused.* Records may begin in the middle of a run: what was before is not known then,
    and an activity has no cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import attrs

from plait._kernel.plan import Plan

from .parts import END, Activity, Buffer, Cause, Link, Status, plain
from .reduce import Reducer

#: Of what `to_dict` gives.
FORMAT: Final = 1


@attrs.define(eq=False)
class Execution:
    """What has happened in a run so far: its activities, and what led to what.

    Feed it the run's records, each once and in their order: `run.observe(execution.feed)`. It keeps
    everything that it is told, so it is for those who look.

    Args:
        plan: The plan of the run, for the limits of its steps.

    Attributes:
        run_id: The run; `""` as long as no record says it.
        name: The workflow, the flow's file, or the function.
        status: Where the run stands.
        outcome: How it ended, in a few words; `""` as long as it has not.
        epoch: When it began, in Unix seconds.
        now: When the last record was made, in seconds since then. So are all other times.
        ended: When nothing of it was left; `None` before that.
        activities: By their ids, in the order in which they came up.
        buffers: What has been collected and waits for more, by step, id, key and what is wanted.
        limits: How many bodies of a step may run at once; of a flow, `""` is for all its steps.
        ends: What brought about the run's end.
        count: How many records it was fed.
        unreadable: What could not be read in a journal: the places of the records in the stream.
    """

    plan: Plan | None = None
    run_id: str = ""
    name: str = ""
    status: Status = "queued"
    outcome: str = ""
    epoch: float = 0.0
    now: float = 0.0
    ended: float | None = None
    activities: dict[str, Activity] = attrs.field(factory=dict[str, Activity])
    buffers: dict[tuple[object, ...], Buffer] = attrs.field(
        factory=dict[tuple[object, ...], Buffer]
    )
    limits: dict[str, int] = attrs.field(factory=dict[str, int])
    ends: list[Cause] = attrs.field(factory=list[Cause])
    count: int = 0
    unreadable: list[int] = attrs.field(factory=list[int])
    _reducer: Reducer = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.plan is not None:
            self.name = self.name or self.plan.name
            self.limits = _limits(self.plan)
        self._reducer = Reducer(self)

    def feed(self, record: Any, n: int | None = None) -> tuple[str, ...]:
        """Take in the next record: an observer. Not a checkpoint.

        Args:
            record: A record of an event workflow, of a flow, or of a function's run.
            n: Its place in the stream, from 1; by default the next one.

        Returns:
            The ids of the activities that it has changed.
        """
        self.count = self.count + 1 if n is None else n
        return self._reducer.take(record)

    def feed_all(self, records: Iterable[Any]) -> Execution:
        """Take in several records, and give back the execution."""
        for record in records:
            self.feed(record)
        return self

    def links(self) -> list[Link]:
        """List what led to what: from the outside, between activities, and to the end.

        An activity that was given several events at once has a link from each sender.
        """
        return [*self._links()]

    def _links(self) -> Iterator[Link]:
        for activity in self.activities.values():
            if activity.state != "joined":
                for cause in activity.causes:
                    yield Link(cause.source, activity.id, cause.how, cause.event)
        for cause in self.ends:
            yield Link(cause.source, END, cause.how, cause.event)

    @property
    def over(self) -> bool:
        """Has the run come to its end?"""
        return self.status in {"completed", "failed", "cancelled"}

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON values. What says nothing is left out: `None`, `False`, `""` and `[]`.

        Example:
            ```python
            execution.to_dict()["activities"]["work#2"]["state"]
            ```
        """
        return {
            "format": FORMAT,
            "run_id": self.run_id,
            "name": self.name,
            "status": self.status,
            "outcome": self.outcome,
            "epoch": round(self.epoch, 6),
            "now": round(self.now, 6),
            "ended": None if self.ended is None else round(self.ended, 6),
            "count": self.count,
            "limits": dict(self.limits),
            "activities": {name: written(one) for name, one in self.activities.items()},
            "links": plain(self.links()),
            "buffers": plain([*self.buffers.values()]),
            "unreadable": [*self.unreadable],
        }


def written(activity: Activity) -> dict[str, Any]:
    """Write one activity as JSON values, with the label that people call it by."""
    return {**plain(activity), "label": activity.label}


def _limits(plan: Plan) -> dict[str, int]:
    if any(step.after is not None for step in plan.steps):
        return {"": plan.max_workers}
    return {step.name: step.num_workers for step in plan.steps}
