"""What the page shows of one run, made from its records: what has happened, and what changes.

It stands on `Execution`, which knows what the records mean. Here is what a window needs beside that: how
many activities of each step are in which state, the log with its payloads, and what has failed with all
that is known of it. The page is told of each change once; whoever comes later is given it whole.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, cast

import attrs

from plait._journal.standing import INTERRUPTED
from plait._kernel import records
from plait._kernel.calls import records as of_calls
from plait._kernel.calls.keys import Key, key_text
from plait._kernel.graph.records import Reused, Skipped
from plait._kernel.plan import Plan
from plait._kernel.state import RunState
from plait._kernel.waits import Wait
from plait._strands._flows.story import StepDone
from plait._viz.executions.execution import Execution, written
from plait._viz.executions.followed import FollowedExecution
from plait._viz.executions.parts import OVER, UNKNOWN, Status

from .asked import Asked
from .payloads import kind_of, outputs_of, payload, plain, said, story
from .words import WORDS

#: Lines of the log that a window is given when it comes.
MOST_LINES: Final = 1_000
#: Activities that a window is given when it comes, beside those that have not ended.
MOST_ACTIVITIES: Final = 4_000
#: Failures that are told in full.
MOST_FAILURES: Final = 200
#: Buffers that are shown.
MOST_BUFFERS: Final = 200

Fields = Mapping[str, Any]

#: The state of a step, of those of its activities: the first that there is.
_OF_STEP: Final = (
    "running",
    "retrying",
    "waiting",
    "queued",
    "failed",
    "cancelled",
    "dropped",
    "succeeded",
    "reused",
    "skipped",
)


class Items(dict[int, Any]):
    """What the items of a step gave, by their numbers."""


@attrs.define
class Tally:
    """What a step's activities have come to.

    Attributes:
        states: How many are in which state.
        began: When the first of them began, in seconds since the run began.
        ended: When the last of them ended that has.
        attempts: How often a body of it began.
        notes: What has failed last, in a line.
        reason: Why it was skipped.
    """

    states: Counter[str] = attrs.field(factory=Counter[str])
    began: float | None = None
    ended: float | None = None
    attempts: int = 0
    notes: str | None = None
    reason: str | None = None

    @property
    def state(self) -> str:
        """Where the step stands: as the most lively of its activities."""
        return next((one for one in _OF_STEP if self.states[one]), "pending")

    def as_json(self) -> dict[str, Any]:
        """Write it, without what says nothing."""
        states = {name: number for name, number in self.states.items() if number}
        found: dict[str, Any] = {"state": self.state, "states": states, "attempts": self.attempts}
        for name in ("began", "ended", "notes", "reason"):
            if (value := getattr(self, name)) is not None:
                found[name] = value
        return found


class RunView:
    """What is shown of one run.

    Args:
        run_id: The run.
        target: What it is of.
        plan: Its plan, if it is known: the steps in their order, and their limits.
        cancellable: Can it be cancelled from here?
        state: Asked how it stands, where records are missing; `None`: none ever are.
    """

    def __init__(
        self,
        run_id: str,
        target: str,
        *,
        plan: Plan | None = None,
        cancellable: bool = False,
        state: Callable[[], RunState] | None = None,
    ) -> None:
        self.execution = FollowedExecution(plan=plan)
        self.run_id = run_id
        self.target = target
        self.cancellable = cancellable
        self._state = state
        self._created = time.time()
        self.steps: dict[str, Tally] = {}
        if plan is not None:
            self.steps = {step.name: Tally() for step in plan.steps}
        #: What steps gave: of a flow its outputs, of a workflow the events they returned last.
        self.outputs: dict[str, dict[str, Any]] = {}
        self.result: str | None = None
        self.settled: Status | None = None
        #: Has it stopped in the midst of its work, with nobody left to write its end?
        self.interrupted = False
        self.unreadable = 0
        #: What has been asked, and what of that is open: see `questions`.
        self.asked = Asked()
        self.questions: Sequence[Fields] = ()
        self._misses = False
        self._log: deque[Fields] = deque(maxlen=MOST_LINES)
        self._failures: deque[Fields] = deque(maxlen=MOST_FAILURES)
        self._states: dict[str, tuple[str, int]] = {}
        self._ids: dict[int, str] = {}
        self._buffers: list[Fields] = []
        self._told: dict[str, Any] = {}
        self._at: dict[str, float] = {}

    # ------------------------------------------------------------ records

    def miss(self) -> None:
        """Take in that records are not there any more: the next one comes after them."""
        assert self._state is not None, "a run of which nothing is missing"
        self._misses = True
        self.execution.leave_out(self._state(), self._created)

    def catch_up(self) -> None:
        """Take in how the run stands after the last record: some have been missing."""
        assert self._state is not None, "a run of which nothing is missing"
        activities = self.execution.activities
        step_of = {name: activity.name for name, activity in activities.items()}
        self.execution.catch_up(self._state())
        for name in step_of.keys() - activities.keys():  # they have ended unseen
            state, _ = self._states.pop(name)
            self.steps[step_of[name]].states[state] -= 1
            del self._at[name]
        self.steps.pop(UNKNOWN, None)
        for name, activity in activities.items():
            if name not in self._at:
                self._meet(name)
            if activity.state not in OVER:
                self._count(name)

    def take(self, first: int, taken: Sequence[Any], /) -> Fields:
        """Take in records, and say what has changed."""
        changed: dict[str, None] = {}
        lines: list[Fields] = []
        failures: list[Fields] = []
        execution = self.execution
        for n, record in enumerate(taken, first):
            ids = execution.feed(record, n)
            for one in ids:
                changed[one] = None
                if one not in self._at:
                    self._meet(one)
            line = self._line(n, record)
            lines.append(line)
            if (failure := self._failure(line, record)) is not None:
                failures.append(failure)
            self._give(record)
            self.asked.take(n, record)
        self._log.extend(lines)
        self._failures.extend(failures)
        steps = {self._count(one) for one in changed}
        fields: dict[str, Any] = {
            "now": execution.now,
            "count": execution.count,
            "activities": {one: written(execution.activities[one]) for one in changed},
            "steps": {name: self.steps[name].as_json() for name in sorted(steps)},
            "log": lines,
        }
        if failures:
            fields["failures"] = failures
        return {**fields, **self.news()}

    def _meet(self, name: str) -> None:
        activity = self.execution.activities[name]
        self._at[name] = self.execution.now
        if activity.kind in {"delivery", "step"}:
            self._ids[activity.number] = name

    def _count(self, name: str) -> str:
        """Bring the tally of a step up to date with one of its activities; the step's name."""
        activity = self.execution.activities[name]
        step = activity.name
        tally = self.steps.setdefault(step, Tally())
        before, attempts = self._states.get(name, ("", 0))
        tally.states[before] -= 1 if before else 0
        tally.states[activity.state] += 1
        tally.attempts += len(activity.attempts) - attempts
        self._states[name] = activity.state, len(activity.attempts)
        if activity.began is not None and (tally.began is None or activity.began < tally.began):
            tally.began = activity.began
        if activity.ended is not None:
            tally.ended = max(activity.ended, tally.ended or 0.0)
        if activity.state == "failed":
            tally.notes = activity.error
        tally.reason = activity.reason or tally.reason
        return step

    # ------------------------------------------------------------ the log

    def _id(self, record: Any) -> str | None:
        number = getattr(record, "delivery", None)
        if number is None and (wait := getattr(record, "wait", None)) is not None:
            number = wait.delivery if isinstance(wait, Wait) else wait[0]
        if isinstance(number, int):
            return self._ids.get(number)
        if isinstance(record, records.Emitted | records.Streamed):
            return self._ids.get(record.cause)  # who sent it
        key = getattr(record, "key", None)
        return key_text(key) if isinstance(key, Key) else None

    def _line(self, n: int, record: Any) -> Fields:
        """Write a line of the log."""
        kind = cast("type[object]", type(record))
        line: dict[str, Any] = {
            "n": n,
            "at": self.execution.now,
            "what": WORDS.get(kind, kind.__name__),
        }
        where = self._id(record)
        if where is not None:
            line["id"] = where
        step = getattr(record, "step", None)
        if isinstance(record, Skipped):
            step = ", ".join(record.steps)
        if step is None and where in self.execution.activities:
            step = self.execution.activities[where].name
        if step is not None:
            line["step"] = step
        line.update(_carried(record))
        return line

    def _failure(self, line: Fields, record: Any) -> Fields | None:
        error: object = getattr(record, "error", None)
        if error is None:
            return None
        final = not isinstance(record, records.Retrying | of_calls.CallRetrying)
        handled = isinstance(record, records.Recovered)
        raised = error if isinstance(error, BaseException) else None
        return {
            "n": line["n"],
            "at": line["at"],
            "id": line.get("id"),
            "step": line.get("step"),
            "said": payload(error) if raised is None else said(raised),
            "story": "" if raised is None else story(raised),
            "final": final,
            "handled": handled,
        }

    def _give(self, record: Any) -> None:
        """Remember what a step gave."""
        match record:
            case records.Completed() | Reused() if record.event is not None:
                self._given(record.delivery, record.event)
            case records.Decided(outcome=records.Stopped(event=stop)):
                self.result = payload(stop)
            case _:
                pass

    def _given(self, number: int, event: object) -> None:
        where = self._ids.get(number)
        if where is None:
            return
        activity = self.execution.activities[where]
        given = self.outputs.setdefault(activity.name, {})
        if not isinstance(event, StepDone):
            given[kind_of(event)] = plain(event)
        elif activity.index is None:
            given.update(outputs_of(event))
        else:
            for name, value in outputs_of(event).items():
                given.setdefault(name, Items())[activity.index] = value

    # ------------------------------------------------------------ what is not in one record

    def settle(self, status: Status) -> None:
        """Take over how the run has ended: of failures that are tolerated its records say nothing."""
        self.settled = status
        self.execution.status = status

    def news(self) -> Fields:
        """What is different of the run as a whole."""
        now: dict[str, Any] = {
            "run": self.run(),
            "buffers": self._waiting(),
            "questions": self.questions,
        }
        news = {name: value for name, value in now.items() if self._told.get(name) != value}
        self._told.update(news)
        return news

    @property
    def status(self) -> str:
        """Where the run stands."""
        over = self.execution.over
        return INTERRUPTED if self.interrupted and not over else self.execution.status

    def run(self) -> dict[str, Any]:
        """What there is to say of the run as a whole."""
        execution = self.execution
        fields: dict[str, Any] = {
            "id": self.run_id,
            "target": self.target,
            "status": self.status,
            "outcome": execution.outcome,
            "epoch": execution.epoch,
            "ended": execution.ended,
            "limits": dict(execution.limits),
            "cancellable": self.cancellable and not execution.over,
        }
        if self._misses:
            fields["misses"] = True
        if self.unreadable:
            fields["unreadable"] = self.unreadable
        if self.result is not None:
            fields["result"] = self.result
        return fields

    def _waiting(self) -> Sequence[Fields]:
        return [
            {
                "step": one.step,
                "buffer": one.buffer_id,
                "key": one.key,
                "have": dict(one.have),
                "need": dict(one.need),
                "text": str(one),
                "since": one.since,
            }
            for one in islice(self.execution.buffers.values(), MOST_BUFFERS)
        ]

    def whole(self) -> Fields:
        """All that is to be shown."""
        execution = self.execution
        self.news()
        shown = _shown(execution)
        return {
            "run": self.run(),
            "now": execution.now,
            "count": execution.count,
            "steps": {name: tally.as_json() for name, tally in self.steps.items()},
            "activities": {name: written(execution.activities[name]) for name in shown},
            "left_out": len(execution.activities) - len(shown),
            "log": [*self._log],
            "failures": [*self._failures],
            "buffers": self._waiting(),
            "questions": self.questions,
        }


def _shown(execution: Execution) -> Sequence[str]:
    """Choose the activities that a window is given: those that go on, and the latest."""
    names = [*execution.activities]
    if len(names) <= MOST_ACTIVITIES:
        return names
    latest = {*names[-MOST_ACTIVITIES:]}
    activities = execution.activities
    return [name for name in names if name in latest or activities[name].state not in OVER]


def _carried(record: Any) -> Iterable[tuple[str, Any]]:
    """What a record carries of the user's: events, errors, values."""
    for name in ("event", "error", "value", "outcome"):
        value: object = getattr(record, name, None)
        if value is None:
            continue
        if isinstance(value, BaseException):
            yield "error", said(value)
            continue
        yield "event", kind_of(value)
        yield "payload", payload(value)
        return
