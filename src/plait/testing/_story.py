"""`Story`: what happened in a run, delivery by delivery, as values for assertions."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, cast, final

import attrs

from plait._engine.run import Run
from plait._event import Event
from plait._ids import DeliveryId
from plait._kernel import records
from plait._kernel.records import AnyRecord
from plait._kernel.refusals import no_such_step
from plait._naming import publish
from plait._show import show

from ._batches import Batches

Outcome: TypeAlias = Literal["returned", "failed", "cancelled"]


@final
@attrs.frozen(repr=False)
class Delivery:
    """One event that was handed to one step: what it was, and what became of it.

    All times are in seconds since the start of the run. Two deliveries of one run are equal if they
    have the same number.

    Attributes:
        step: The step.
        number: The delivery's number in the run, as in `ask#2`.
        event: What the body was given: an event, for a join the tuple of them, for a fan-in the list.
        cause: The delivery that sent or returned it; `None`: it came from outside. For a fan-in it is
            the one that returned the list.
        attempts: When each of its attempts began.
        ended: When the last attempt ended; `None` while it runs, waits, or is to be tried again.
        outcome: `"returned"`, `"failed"` or `"cancelled"`; `None` as long as `ended` is.
        errors: What its attempts raised, in their order.
        sent: The events that it sent and returned, in their order.
        collected: The batches that its calls of `collect_events` were given, without the `None`s.
    """

    step: str
    number: int
    event: Any = attrs.field(eq=False)
    cause: Delivery | None = attrs.field(eq=False)
    attempts: tuple[float, ...] = attrs.field(eq=False)
    ended: float | None = attrs.field(eq=False)
    outcome: Outcome | None = attrs.field(eq=False)
    errors: tuple[BaseException, ...] = attrs.field(eq=False)
    sent: tuple[Event, ...] = attrs.field(eq=False)
    collected: tuple[tuple[Event, ...], ...] = attrs.field(eq=False)

    @property
    def began(self) -> float:
        """When its first attempt began."""
        return self.attempts[0]

    def __str__(self) -> str:
        return f"{self.step}#{self.number}"

    def __repr__(self) -> str:
        told = [f"{self} of {show(self.event)}: began at {', '.join(map(_time, self.attempts))}"]
        if self.ended is not None:
            told.append(f"{self.outcome} at {_time(self.ended)}")
        if self.errors:
            told.append(f"raised {', '.join(map(show, self.errors))}")
        if self.sent:
            told.append(f"sent {', '.join(map(show, self.sent))}")
        return f"<{', '.join(told)}>"


def _time(seconds: float) -> str:
    return f"{seconds:.3f}"


@final
class Story:
    """What happens in a run, kept from before its start. `print(story)` tells it.

    It may be read while the run goes on. It keeps everything, so it is for tests.

    Args:
        run: A run that has not been started.

    Raises:
        TypeError: It is no run.
        WorkflowRuntimeError: It has been started.

    Example:
        ```python
        run = Cheapest(fetch).run(shops=["a", "b"])
        story = Story(run)
        await run
        assert story.steps == ("start", "ask", "ask", "choose")
        assert [delivery.event.name for delivery in story.of("ask")] == ["a", "b"]
        ```
    """

    def __init__(self, run: Run[Any]) -> None:
        if not isinstance(cast("object", run), Run):
            raise TypeError(
                f"Story() takes a run, not {run!r}.\n"
                "  right:  run = Flow().run()\n"
                "          story = Story(run)\n"
                "          await run"
            )
        self._shell = run._shell
        self._trace = run.trace()
        #: What a body was given, and by whom: no record of a join says who met whom.
        self._inputs: dict[DeliveryId, tuple[object, DeliveryId]] = {}
        run.observe(self._look)
        self._told: tuple[Delivery, ...] = ()
        self._told_of = 0

    def _look(self, record: AnyRecord) -> None:
        if isinstance(record, records.Started) and record.delivery not in self._inputs:
            delivery = self._shell.state.running[record.delivery]
            self._inputs[record.delivery] = (delivery.event, delivery.cause)

    @property
    def records(self) -> tuple[Any, ...]:
        """Everything that happened, as the records of `plait.lowlevel`, in order."""
        return self._trace.records

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of the steps, in the order in which their bodies began. A retry begins again."""
        return tuple(r.step for r in self.records if isinstance(r, records.Started))

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """All that a body has begun with, in the order of their first attempts."""
        kept = self._trace.records
        if len(kept) != self._told_of:
            self._told, self._told_of = self._tell(kept), len(kept)
        return self._told

    def of(self, step: str) -> list[Delivery]:
        """List the deliveries of one step, in the order of their first attempts.

        Args:
            step: Its name.

        Raises:
            WorkflowStepDoesNotExistError: The workflow has no such step.
        """
        if step not in self._shell.plan.step:
            raise no_such_step(self._shell.state, step)
        return [delivery for delivery in self.deliveries if delivery.step == step]

    def __str__(self) -> str:
        return str(self._trace)

    def __repr__(self) -> str:
        head = f"<Story of run {self._shell.run_id} of {self._shell.plan.name!r}"
        return "\n".join([head, *str(self).splitlines()]) + ">"

    def _tell(self, kept: tuple[AnyRecord, ...]) -> tuple[Delivery, ...]:
        drafts: dict[int, _Draft] = {}
        batches = Batches()
        start = kept[0].at if kept else 0.0
        for record in kept:
            match record:
                case records.Started():
                    draft = drafts.setdefault(record.delivery, _Draft(record.step))
                    draft.attempts.append(record.at - start)
                case records.Emitted() if record.cause in drafts:
                    drafts[record.cause].sent.append(cast("Event", record.event))
                case records.Collected():
                    draft = drafts[record.delivery]
                    batch = batches.add(draft.step, record)
                    if batch is not None:
                        draft.collected.append(cast("tuple[Event, ...]", batch))
                case records.Completed():
                    draft = drafts[record.delivery]
                    draft.end(record.at - start, "returned")
                    if isinstance(record.event, Event):
                        draft.sent.append(record.event)
                case records.Retrying():
                    drafts[record.delivery].errors.append(record.error)
                case records.Failed() | records.Recovered():
                    draft = drafts[record.delivery]
                    draft.end(record.at - start, "failed")
                    draft.errors.append(record.error)
                case records.Interrupted():
                    drafts[record.delivery].end(record.at - start, "cancelled")
                case _:
                    pass
        done: dict[int, Delivery] = {}
        for number, draft in drafts.items():
            event, cause = self._inputs[DeliveryId(number)]
            if self._shell.plan.step[draft.step].gather is not None:
                event = [*cast("tuple[object, ...]", event)]
            done[number] = draft.delivery(number, event, done.get(cause))
        return tuple(done.values())


@attrs.define
class _Draft:
    """A delivery, as far as it has been told."""

    step: str
    attempts: list[float] = attrs.field(factory=list[float])
    ended: float | None = None
    outcome: Outcome | None = None
    errors: list[BaseException] = attrs.field(factory=list[BaseException])
    sent: list[Event] = attrs.field(factory=list[Event])
    collected: list[tuple[Event, ...]] = attrs.field(factory=list[tuple[Event, ...]])

    def end(self, at: float, outcome: Outcome) -> None:
        self.ended, self.outcome = at, outcome

    def delivery(self, number: int, event: object, cause: Delivery | None) -> Delivery:
        return Delivery(
            self.step,
            number,
            event,
            cause,
            tuple(self.attempts),
            self.ended,
            self.outcome,
            tuple(self.errors),
            tuple(self.sent),
            tuple(self.collected),
        )


publish("plait.testing", Delivery, Story)
