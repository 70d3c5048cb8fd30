"""Deliveries of event workflows, and steps of flows: what each record of theirs means."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

import attrs

from plait._errors import WorkflowTimeoutError
from plait._kernel import records
from plait._kernel.graph.records import Readied, Reused, Skipped
from plait._kernel.waits import Wait, WaitKey

from .collecting import Collections
from .names import error_text, event_name
from .parts import OUTSIDE, OVER, UNKNOWN, Activity, Cause, How, Pause, Status, Stretch

if TYPE_CHECKING:
    from .reduce import Reducer


@attrs.frozen
class _Sender:
    """Who sent an event, and of which stream it is."""

    id: str | None
    stream: int | None


class Deliveries:
    """Follows the deliveries of one run."""

    def __init__(self, reducer: Reducer) -> None:
        self._reducer = reducer
        self._execution = reducer.execution
        self._by_number: dict[int, Activity] = {}
        #: The stream that a delivery is in; those that are in none are missing.
        self._stream_of: dict[int, int] = {}
        #: Who has been sent something in a stream that is open.
        self._inside: dict[int, list[Activity]] = {}
        #: Who returned the list that opened a stream.
        self._openers: dict[int, _Sender] = {}
        #: What has come for a step in a stream, and the fan-ins that have been given their list.
        self._came: dict[tuple[str, int], list[Activity]] = {}
        self._given: set[tuple[str, int | None]] = set()
        #: The activities of each step of a flow.
        self._of_step: dict[str, list[str]] = {}
        self._waits: dict[WaitKey, Pause] = {}
        self._mailbox: dict[int, Cause] = {}
        self.collections = Collections(reducer, self._activity)
        self.outcome: records.Outcome | None = None
        #: Who sent or returned an event last, who failed last, and which body of a flow ended last.
        self._spoke = Cause("", "end")
        self._failed: str | None = None
        self._finished: str | None = None

    def takes(self) -> dict[type, Callable[[Any], None]]:
        """Say who takes which record."""
        return {
            records.RunStarted: self._run_started,
            records.Reopened: self._reopened,
            records.Idled: self._idled,
            records.FunctionHeld: self._held,
            records.Decided: self._decided,
            records.Closed: self._closed,
            records.Emitted: self._emitted,
            records.Started: self._started,
            records.Completed: self._completed,
            records.Retrying: self._retrying,
            records.Requeued: self._requeued,
            records.Recovered: self._recovered,
            records.Failed: self._has_failed,
            records.Interrupted: self._interrupted,
            records.Dropped: self._dropped,
            records.StreamClosed: self._stream_closed,
            records.Fired: self._fired,
            records.Met: self._met,
            records.Collected: self.collections.take,
            records.Waited: self._waited,
            records.Answered: self._answered,
            records.HandedOver: self._handed_over,
            records.WaitEnded: self._wait_ended,
            records.Resumed: self._resumed,
            Readied: self._readied,
            Reused: self._reused,
            Skipped: self._skipped,
        }

    # ------------------------------------------------------------ the run

    def _run_started(self, record: records.RunStarted) -> None:
        self._execution.run_id = str(record.run_id)
        self._execution.status = "running"

    def _reopened(self, _: records.Reopened) -> None:
        self._reducer.interrupt()
        self._waits.clear()
        self._go_on()

    def _go_on(self) -> None:
        if self._execution.status in {"idle", "held", "queued"}:
            self._execution.status = "running"

    def _idled(self, _: records.Idled) -> None:
        self._execution.status = "idle"

    def _held(self, record: records.FunctionHeld) -> None:
        self._execution.status = "held"
        self._execution.outcome = record.why.text(self._execution.run_id)

    def _decided(self, record: records.Decided) -> None:
        self.learn(record.outcome)

    def learn(self, outcome: records.Outcome) -> None:
        """Take in how the run is to end."""
        self.outcome, end = outcome, self._reducer.ended_by
        self._execution.status = "ending"
        match outcome:
            case records.Stopped():
                name = event_name(outcome.event)
                self._execution.outcome = f"stopped by {name}"
                end(self._spoke.source, name)
            case records.Crashed():
                self._execution.outcome = "a step failed"
                end(self._failed)
            case records.TimedOut():
                after = "" if outcome.seconds is None else f" after {outcome.seconds:g} s"
                self._execution.outcome = f"timed out{after}"
                end(None, WorkflowTimeoutError.__name__)
            case records.Cancelled():
                self._execution.outcome = "cancelled"
                end(None, "cancelled")
            case records.Stalled():
                self._execution.outcome = "stalled"
                end(self._finished or None)
            case records.Finished():
                self._execution.outcome = "all steps have come to their end"
                end(self._finished or None)

    def _closed(self, _: records.Closed) -> None:
        self._reducer.close("the run ended")
        self._execution.status = self._last_status()

    def _last_status(self) -> Status:
        """Say how the run has ended, see `plait._journal.codec.status_after`."""
        if self._failed is not None:
            return "failed"
        match self.outcome:
            case records.Stopped() | records.Finished():
                return "completed"
            case records.Cancelled():
                return "cancelled"
            case _:
                return "failed"

    # ------------------------------------------------------------ what no record has told, see `standing`

    def knows(self, number: int) -> bool:
        """Say whether a delivery is known."""
        return number in self._by_number

    def name_of(self, number: int) -> str:
        """Find the id of a delivery; that of the outside, if it is not known."""
        return self._cause(self._sender(number).id, "event").source

    def put(self, activity: Activity) -> None:
        """Add a delivery."""
        self._by_number[activity.number] = self._reducer.add(activity)

    def forget(self, gone: Collection[Activity]) -> None:
        """Take away deliveries of which it is not known how they ended."""
        numbers = {activity.number for activity in gone}
        for activity in gone:
            del self._execution.activities[activity.id]
            del self._by_number[activity.number]
        for several in (*self._came.values(), *self._inside.values()):
            several[:] = [one for one in several if one.number not in numbers]
        for key in [key for key in self._waits if key[0] in numbers]:
            del self._waits[key]

    def wait_anew(self, activity: Activity, wait: Wait) -> None:
        """Take in what a delivery waits for."""
        pause = Pause("event", event_name(wait.kind), self._reducer.time(wait.since))
        activity.pauses.append(pause)
        self._waits[wait.key] = pause

    # ------------------------------------------------------------ events on their way

    def _sender(self, number: int) -> _Sender:
        activity = self._by_number.get(number)
        return _Sender(None if activity is None else activity.id, self._stream_of.get(number))

    def _emitted(self, record: records.Emitted) -> None:
        stream = None if record.branch is None else int(record.branch.stream)
        sender = _Sender(self._sender(record.cause).id, stream)
        self._send(sender, record.event, record.first, record.to, record.resolves)

    def _completed(self, record: records.Completed) -> None:
        activity = self._activity(record.delivery)
        self._reducer.end(activity, "succeeded")
        self._finished = activity.id
        event = record.event
        if isinstance(event, records.Listed):
            self._openers[int(event.stream)] = self._sender(record.delivery)
        elif event is not None:
            sender = self._sender(record.delivery)
            self._send(sender, event, record.first, record.to, record.resolves)

    def _send(
        self,
        sender: _Sender,
        event: object,
        first: int,
        to: tuple[str, ...],
        resolves: Iterable[WaitKey],
    ) -> None:
        self._go_on()
        name = event_name(event)
        self._spoke = Cause(sender.id or "", "end", name)
        for key in resolves:
            self._answer(key, sender.id, name)
        for number, step in enumerate(to, first):
            self._deliver(number, step, event, sender, "event")
        if not to:
            self._mailbox[first] = self._cause(sender.id, "answer", name)

    def _cause(self, source: str | None, how: How, event: str = "") -> Cause:
        return Cause(source or OUTSIDE, how, event)

    def _deliver(self, number: int, step: str, event: object, sender: _Sender, how: How) -> None:
        name = event_name(event)
        activity = Activity(f"{step}#{number}", "delivery", step, number, given=name)
        activity.causes.append(self._cause(sender.id, how, name))
        self._by_number[number] = self._reducer.add(activity)
        if sender.stream is not None:
            self._stream_of[number] = sender.stream
            self._inside.setdefault(sender.stream, []).append(activity)
            self._came.setdefault((step, sender.stream), []).append(activity)
        self._reducer.queue(activity)
        if (step, sender.stream) in self._given:
            self._left_out(activity)

    def _left_out(self, activity: Activity) -> None:
        self._reducer.end(activity, "dropped")
        activity.reason = "the list was given without it"

    def _activity(self, number: int, step: str = UNKNOWN) -> Activity:
        """Find a delivery; one of which nothing is known has begun before the first record."""
        activity = self._by_number.get(number)
        if activity is None:
            activity = Activity(f"{step}#{number}", "delivery", step, number)
            self._by_number[number] = self._reducer.add(activity)
        return activity

    def _met(self, record: records.Met) -> None:
        """One delivery begins with several events."""
        activity = self._activity(record.delivery)
        parts = [self._by_number[one] for one in record.events if one in self._by_number]
        if parts:
            causes = [cause for part in parts for cause in part.causes]
            activity.causes = [attrs.evolve(cause, how="part") for cause in causes]
        if record.delivery in record.events:  # a join, which has the number of the last of them
            activity.given = " + ".join(part.given for part in parts)
        for part in parts:
            if part is not activity:
                self._reducer.unpause(part)
                part.state, part.ended, part.into = "joined", self._reducer.at, activity.id
        self._reducer.touch(activity)

    def _fired(self, record: records.Fired) -> None:
        stream = int(record.stream)
        opener = self._openers.get(stream, _Sender(None, None))
        activity = Activity(f"{record.step}#{record.first}", "delivery", record.step, record.first)
        activity.given = event_name([*record.events])
        activity.causes = [self._cause(opener.id, "event", activity.given)]
        self._by_number[record.first] = self._reducer.add(activity)
        # The list has the first that have come: `Met` says which.
        self._given.add((record.step, stream))
        for late in self._came.pop((record.step, stream), [])[len(record.events) :]:
            if late.state not in OVER:
                self._left_out(late)
        if opener.stream is not None:
            self._stream_of[record.first] = opener.stream
        self._reducer.queue(activity)

    # ------------------------------------------------------------ bodies

    def _started(self, record: records.Started) -> None:
        self._go_on()
        activity = self._activity(record.delivery, record.step)
        self._reducer.begin(activity, record.worker)

    def _retrying(self, record: records.Retrying) -> None:
        activity = self._activity(record.delivery)
        text = error_text(record.error)
        self._reducer.stop(activity, "failed", text)
        activity.error = text
        due = self._reducer.time(record.due)
        self._reducer.pause(activity, Pause("retry", "", self._reducer.at, due), "retrying")

    def _requeued(self, record: records.Requeued) -> None:
        activity = self._activity(record.delivery)
        self._reducer.unpause(activity, "retry")
        self._reducer.queue(activity)

    def _recovered(self, record: records.Recovered) -> None:
        activity = self._activity(record.delivery)
        self._reducer.end(activity, "failed", error_text(record.error))
        activity.handled = True
        sender = self._sender(record.delivery)
        self._deliver(record.first, record.to, record.event, sender, "failure")

    def _has_failed(self, record: records.Failed) -> None:
        activity = self._activity(record.delivery)
        if activity.attempts:
            self._finished = activity.id
        self._reducer.end(activity, "failed", error_text(record.error))
        self._failed = activity.id

    def _interrupted(self, record: records.Interrupted) -> None:
        activity = self._activity(record.delivery)
        self._finished = activity.id
        self._reducer.end(activity, "cancelled")

    def _dropped(self, record: records.Dropped) -> None:
        for number in record.deliveries:
            activity = self._activity(number)
            self._reducer.end(activity, "cancelled" if activity.attempts else "dropped")
            activity.reason = "nobody needs it any more"

    def _stream_closed(self, record: records.StreamClosed) -> None:
        """What is left in the slots of joins is never given to anybody."""
        for activity in self._inside.pop(int(record.stream), ()):
            if activity.state == "queued":
                self._reducer.end(activity, "dropped")
                activity.reason = "no other event of its list came to be given with it"

    # ------------------------------------------------------------ waits

    def _waited(self, record: records.Waited) -> None:
        wait = record.wait
        activity = self._activity(wait.delivery, wait.step)
        self._reducer.let_go(activity)
        pause = Pause("event", event_name(wait.kind), self._reducer.at)
        self._waits[wait.key] = self._reducer.pause(activity, pause, "waiting")

    def _answer(self, key: WaitKey, source: str | None, event: str) -> None:
        activity = self._activity(key[0])
        activity.causes.append(self._cause(source, "answer", event))
        self._wait_over(key)

    def _wait_over(self, key: WaitKey) -> None:
        pause = self._waits.pop(key, None)
        if pause is not None:
            pause.ended = self._reducer.at
        activity = self._activity(key[0])
        self._reducer.touch(activity)
        holds = any(stretch.ended is None for one in activity.attempts for stretch in one.stretches)
        queued = any(p.kind == "queue" and p.ended is None for p in activity.pauses)
        if activity.attempts and not (holds or queued):
            self._reducer.queue(activity)

    def _wait_ended(self, record: records.WaitEnded) -> None:
        self._wait_over(record.wait)

    def _answered(self, record: records.Answered) -> None:
        activity = self._activity(record.wait.delivery, record.wait.step)
        cause = self._mailbox.pop(record.letter, None)
        activity.causes.append(cause or self._cause(None, "answer", event_name(record.event)))
        self._reducer.touch(activity)

    def _handed_over(self, record: records.HandedOver) -> None:
        self._mailbox.pop(record.letter, None)

    def _resumed(self, record: records.Resumed) -> None:
        self._go_on()
        activity = self._activity(record.wait[0])
        self._reducer.unpause(activity, "queue")
        if record.worker >= 0 and activity.attempts:
            activity.attempts[-1].stretches.append(Stretch(record.worker, self._reducer.at))
        activity.state = "running"

    # ------------------------------------------------------------ steps of flows

    def _readied(self, record: Readied) -> None:
        several = record.count != 1
        causes = self._readied_by(record.after, record.count)
        for item in range(record.count):
            number = int(record.first) + item
            name = f"{record.step}[{item}]" if several else record.step
            index = item if several else None
            activity = Activity(name, "step", record.step, number, index, causes=[*causes])
            self._by_number[number] = self._add_step(activity)
            self._reducer.queue(activity)
        if not record.count:
            activity = Activity(record.step, "step", record.step, int(record.first), causes=causes)
            self._reducer.end(self._add_step(activity), "succeeded")
            activity.reason = "it has no items"

    def _reused(self, record: Reused) -> None:
        self._reducer.end(self._activity(record.delivery), "reused")

    def _skipped(self, record: Skipped) -> None:
        for name in record.steps:
            activity = Activity(name, "step", name, 0, reason=record.reason)
            activity.causes = self._readied_by(record.after)
            self._reducer.end(self._add_step(activity), "skipped")

    def _add_step(self, activity: Activity) -> Activity:
        self._of_step.setdefault(activity.name, []).append(activity.id)
        return self._reducer.add(activity)

    def _readied_by(self, after: tuple[str, ...] | None, count: int = 1) -> list[Cause]:
        """Say which ends a step of a flow has waited for.

        Of one that has items, where this one has several too, the last item that there is: all of the one
        to all of the other would be more than anybody can read.
        """
        if (
            after is None
        ):  # a record of an earlier version: only the last of all that ended is known
            return [self._cause(self._finished, "ready")]
        ids = [self._of_step.get(name, []) for name in after]
        known = [name for one in ids for name in (one if count == 1 else one[-1:])]
        return [Cause(name, "ready") for name in known] or [self._cause(None, "ready")]
