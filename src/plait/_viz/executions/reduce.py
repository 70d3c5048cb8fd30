"""The reducer: which record means what. What all kinds of activities have in common is here.

Rule 1: what is over stays over, and every attempt has one end.
Rule 2: when a process takes a run up, all that the last one was executing has ended with its last record:
    later than that nobody knows of it.
Rule 3: time does not go back. The clock of another process may be behind that of the last one: then what
    it records is as much later. Within a process a clock that was set back stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final, cast

from plait._kernel import records
from plait._kernel.calls import records as of_calls
from plait._kernel.functions import records as of_functions

from .calls import Calls
from .events import Deliveries
from .parts import OUTSIDE, OVER, Activity, Attempt, Cause, Ended, Pause, State, Stretch

if TYPE_CHECKING:
    from .execution import Execution

#: Their times are Unix times, whatever the clock of the run is.
ON_WALL: Final[frozenset[type]] = frozenset(
    {
        *records.CALL_RECORDS,
        *(of_functions.RunQueued, of_functions.FunctionStarted, of_functions.FunctionRetrying),
        *(of_functions.RollbackBegun, of_functions.FunctionHeld, of_functions.FunctionFreed),
        *(of_functions.FunctionCompleted, of_functions.FunctionFailed),
        *(of_functions.FunctionCancelled, of_calls.Patched),
    }
)


class Reducer:
    """Changes one execution. `execution_events` and `execution_calls` say what each record means."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.at = 0.0
        self.last = 0.0
        #: Unix time of the first record, in two parts: few digits of the clock are lost so.
        self._base: tuple[float, float] | None = None
        self._epoch = 0.0
        #: Seconds that are added to the clock of this process: rule 3.
        self._shift = 0.0
        self._changed: dict[str, None] = {}
        #: The activities that were known when records were left out last.
        self.before_gap: Collection[str] = frozenset()
        self.deliveries = Deliveries(self)
        self.calls = Calls(self)
        self._takes: dict[type, Callable[[Any], None]] = {
            **self.deliveries.takes(),
            **self.calls.takes(),
        }

    def take(self, record: Any) -> tuple[str, ...]:
        """Take one record in, and say which activities it has changed."""
        self._changed = {}
        kind = cast("type[object]", type(record))
        if kind is records.RunStarted or kind is records.Reopened:
            self._epoch = record.epoch
        if self._base is None:
            self._base = (0.0, record.at) if kind in ON_WALL else (self._epoch, record.at)
            self.execution.epoch = sum(self._base)
        on_wall = kind in ON_WALL
        if kind is records.Reopened or kind is of_functions.FunctionStarted:
            self._shift += max(self.at - self.time(record.at, on_wall=on_wall), 0.0)
        # Rule 3.
        self.last, self.at = self.at, max(self.time(record.at, on_wall=on_wall), self.at)
        take = self._takes.get(kind)
        if take is not None:
            take(record)
        self.execution.now = max(self.execution.now, self.at)
        return tuple(self._changed)

    def follows(self, epoch: float) -> bool:
        """Say whether the clock that records are told by is the one with this epoch."""
        return self._base is not None and self._epoch == epoch

    def time(self, at: float, *, on_wall: bool = False) -> float:
        """Turn a record's time into seconds since the run began."""
        epoch, began = self._base or (0.0, 0.0)
        return (0.0 if on_wall else self._epoch) - epoch + at - began + self._shift

    # ------------------------------------------------------------ activities

    def add(self, activity: Activity) -> Activity:
        """Add an activity that has come up, or has come up again."""
        self.execution.activities[activity.id] = activity
        self.touch(activity)
        return activity

    def touch(self, activity: Activity) -> None:
        """Say that an activity has changed."""
        self._changed[activity.id] = None

    def queue(self, activity: Activity, at: float | None = None) -> None:
        """It waits for a worker from now on."""
        activity.state = "queued"
        activity.pauses.append(Pause("queue", "", self.at if at is None else at))
        self.touch(activity)

    def pause(self, activity: Activity, pause: Pause, state: State) -> Pause:
        """It waits for something from now on."""
        activity.pauses.append(pause)
        activity.state = state
        self.touch(activity)
        return pause

    def unpause(self, activity: Activity, *kinds: str, at: float | None = None) -> None:
        """It waits no more: for nothing of these kinds, or for nothing at all."""
        for pause in activity.pauses:
            if pause.ended is None and (not kinds or pause.kind in kinds):
                pause.ended = self.at if at is None else at
        self.touch(activity)

    def begin(self, activity: Activity, worker: int | None) -> None:
        """An attempt begins."""
        self.unpause(activity, "queue", "retry")
        tried = activity.attempts
        again = bool(tried) and tried[-1].how == "interrupted"
        number = tried[-1].number + (not again) if tried else 1
        tried.append(Attempt(number, self.at, stretches=[Stretch(worker, self.at)]))
        activity.state = "running"

    def stop(
        self, activity: Activity, how: Ended, error: str | None = None, at: float | None = None
    ) -> None:
        """The attempt that is executing, if one is, ends."""
        at = self.at if at is None else at
        attempt = activity.current
        if attempt is not None:
            attempt.ended, attempt.how, attempt.error = at, how, error
            self.let_go(activity, at)
        self.unpause(activity, at=at)

    def let_go(self, activity: Activity, at: float | None = None) -> None:
        """It gives its worker back, if it has one."""
        for attempt in activity.attempts[-1:]:
            for stretch in attempt.stretches[-1:]:
                if stretch.ended is None:
                    stretch.ended = self.at if at is None else at
        self.touch(activity)

    def end(self, activity: Activity, state: State, error: str | None = None) -> None:
        """It comes to its end."""
        how: Ended = "cancelled"
        if state in {"succeeded", "failed"}:
            how = "succeeded" if state == "succeeded" else "failed"
        self.stop(activity, how, error if how == "failed" else None)
        if state in {"succeeded", "cancelled"}:
            error = None
        activity.state, activity.ended, activity.error = state, self.at, error
        self.touch(activity)

    def interrupt(self) -> None:
        """Rule 2. It is executed again: from the queue, or when its body comes to it."""
        for activity in self.execution.activities.values():
            if activity.current is not None:
                self.stop(activity, "interrupted", at=self.last)
                self.queue(activity)

    def close(self, reason: str) -> None:
        """Nothing of the run is left."""
        for activity in self.execution.activities.values():
            if activity.state in OVER:
                continue
            if activity.attempts or activity.kind == "call":
                self.end(activity, "cancelled")
            else:
                self.end(activity, "dropped")
            activity.reason = reason
        self.execution.ended = self.at

    def ended_by(self, source: str | None, event: str = "") -> None:
        """Say what brought about the end of the run."""
        self.execution.ends.append(Cause(source or OUTSIDE, "end", event))
