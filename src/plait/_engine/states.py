"""Records -> `StepStateChanged`, for those who want to see each delivery come and go."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile

from plait._event import Event, StepState, StepStateChanged, WorkflowIdleEvent
from plait._ids import DeliveryId
from plait._kernel import records
from plait._kernel.explain import explain
from plait._kernel.records import AnyRecord
from plait._kernel.state import Delivery, RunState

#: What a delivery has for a worker while it waits in its queue.
ENQUEUED = "<enqueued>"


class StateWatcher:
    """An observer that tells of deliveries: enqueued, running, no longer running."""

    def __init__(self, state: RunState, tell: Callable[[Event], None]) -> None:
        self._state = state
        self._tell = tell
        self._running: dict[DeliveryId, tuple[str, int, str]] = {}
        self._enqueued: set[DeliveryId] = set()

    def __call__(self, record: AnyRecord) -> None:
        """Tell what a record means for a delivery's state."""
        match record:
            case records.Started():
                delivery = self._state.running[record.delivery]
                self._enqueued.discard(record.delivery)
                name = type(delivery.event).__name__
                self._running[record.delivery] = (record.step, record.worker, name)
                self._changed(record.delivery, StepState.RUNNING, None)
                self._tell_of_the_queue(record.step)
            case records.Resumed() if record.worker >= 0 and record.wait[0] in self._running:
                step, _, event = self._running[record.wait[0]]
                self._running[record.wait[0]] = (step, record.worker, event)
            case records.Completed():
                output = None if record.event is None else type(record.event).__name__
                if isinstance(record.event, records.Listed):
                    output = "list"
                self._ended(record.delivery, output)
            case (
                records.Failed() | records.Interrupted() | records.Retrying() | records.Recovered()
            ):
                self._ended(record.delivery, None)
            case records.Emitted():
                for step in record.to:
                    self._tell_of_the_queue(step)
            case records.Idled():
                self._tell(WorkflowIdleEvent(explanation=explain(self._state, record.at)))
            case _:
                pass

    def _tell_of_the_queue(self, name: str) -> None:
        """Tell once of each delivery that cannot start at once: no slot is free for it."""
        step = self._state.steps[name]
        if step.running < step.plan.num_workers:
            return
        # Those that are news are the last ones: a look at all would cost as much as is queued.
        news = [*takewhile(lambda d: d.number not in self._enqueued, reversed(step.queue))]
        for delivery in reversed(news):
            self._enqueued.add(delivery.number)
            self._tell(_change(delivery, StepState.PREPARING, ENQUEUED))

    def _ended(self, number: DeliveryId, output: str | None) -> None:
        if number in self._running:
            self._changed(number, StepState.NOT_RUNNING, output)
            del self._running[number]

    def _changed(self, number: DeliveryId, state: StepState, output: str | None) -> None:
        step, worker, event = self._running[number]
        self._tell(
            StepStateChanged(
                name=step,
                step_state=state,
                worker_id=str(worker),
                input_event_name=event,
                output_event_name=output,
            )
        )


def _change(delivery: Delivery, state: StepState, worker: str) -> StepStateChanged:
    return StepStateChanged(
        name=delivery.step,
        step_state=state,
        worker_id=worker,
        input_event_name=type(delivery.event).__name__,
        output_event_name=None,
    )
