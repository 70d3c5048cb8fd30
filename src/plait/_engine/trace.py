"""`Trace`: the records of a run, kept because somebody asked, and told as a story."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast, final

from plait._ids import DeliveryId
from plait._kernel import records
from plait._kernel.calls import records as of_calls
from plait._kernel.calls.keys import path_text
from plait._kernel.calls.refusals import call_text
from plait._kernel.delivery_calls import time_of
from plait._kernel.records import AnyRecord
from plait._naming import publish
from plait._show import show


@final
class Trace:
    """The records of a run. `str(trace)` has a line for each start, end and emission, with times.

    Ask for it before the run is started: records are not kept otherwise.

    Example:
        ```python
        run = Flow().run()
        trace = run.trace()
        await run
        print(trace)
        ```
    """

    def __init__(self) -> None:
        self._records: list[AnyRecord] = []

    def __call__(self, record: AnyRecord) -> None:
        """Keep a record: a trace is an observer."""
        self._records.append(record)

    @property
    def records(self) -> tuple[Any, ...]:
        """Everything that happened, in order."""
        return tuple(self._records)

    def __str__(self) -> str:
        return "\n".join(self._story())

    def __repr__(self) -> str:
        return f"<Trace of {len(self._records)} records>"

    def _story(self) -> Iterator[str]:
        began = self._records[0].at if self._records else 0.0
        epoch = 0.0
        steps: dict[DeliveryId, str] = {}
        for record in self._records:
            if isinstance(record, records.RunStarted | records.Reopened):
                epoch = record.epoch
            line = _line(record, steps, began)
            if line is not None:
                yield f"{time_of(record, epoch) - began:9.3f} s  {line}"


def _line(record: AnyRecord, steps: dict[DeliveryId, str], began: float) -> str | None:
    match record:
        case records.Started():
            steps[record.delivery] = f"{record.step}#{record.delivery}"
            return f"{steps[record.delivery]} starts on worker {record.worker}"
        case records.Emitted():
            who = steps.get(record.cause, "outside")
            return f"{who} sends {_name(record.event)}{_to(record)}"
        case records.Completed(event=None):
            return f"{steps[record.delivery]} ends"
        case records.Completed():
            return f"{steps[record.delivery]} ends, returns {_name(record.event)}{_to(record)}"
        case records.Retrying():
            due = record.due - began
            return f"{steps[record.delivery]} fails: {show(record.error)}; again at {due:.3f} s"
        case records.Recovered():
            return f"{steps[record.delivery]} fails: {show(record.error)}; goes to {record.to}"
        case records.Failed():
            return f"{steps[record.delivery]} fails: {show(record.error)}"
        case records.Interrupted():
            return f"{steps[record.delivery]} is cancelled"
        case records.Waited():
            return f"{steps[record.wait.delivery]} waits for {record.wait.kind.__name__}"
        case records.Answered():
            return f"{steps[record.wait.delivery]} finds {_name(record.event)} in the mailbox"
        case records.WaitEnded():
            return f"{steps[record.wait[0]]} waits no longer"
        case records.Resumed():
            return f"{steps[record.wait[0]]} goes on"
        case records.Fired():
            return f"{record.step}#{record.first} is given a list of {len(record.events)}"
        case of_calls.CallStarted():
            return f"{call_text(record.key)} runs, attempt {record.attempt}"
        case of_calls.CallScheduled():
            return f"{call_text(record.key)} begins: {record.op}"
        case of_calls.CallRetrying():
            return f"{call_text(record.key)} fails: {show(record.error)}; it will run again"
        case of_calls.CallCompleted():
            return f"{call_text(record.key)} ends"
        case of_calls.CallFailed():
            return f"{call_text(record.key)} fails: {show(record.error)}"
        case of_calls.CallCancelled():
            return f"{call_text(record.key)} is cancelled"
        case of_calls.DeadlineFired():
            return f"a deadline of {path_text(record.key.path)} is over"
        case records.Dropped(deliveries=(_, *_)):
            numbers = ", ".join(f"#{number}" for number in record.deliveries)
            return f"{numbers} will not start"
        case records.Decided():
            return f"the run ends: {type(record.outcome).__name__}"
        case _:
            return None


def _to(record: records.Emitted | records.Completed) -> str:
    return f" to {', '.join(record.to)}" if record.to else ""


def _name(event: object) -> str:
    if isinstance(event, records.Listed):
        return f"a list of {event.size}"
    if isinstance(event, list):  # while draining
        return f"a list of {len(cast('list[object]', event))}"
    return type(event).__name__


publish("plait.events", Trace)
