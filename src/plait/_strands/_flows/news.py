"""What happens to the steps of a run, as it is told to people, and what each has come to.

It watches the records of the run and nothing else, so in a run that is kept nobody is told what is not
on disk. All of it may be shown: secrets are `***`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import attrs

from plait._kernel import records
from plait._kernel.graph.records import Readied, Record, Reused, Skipped
from plait._kernel.records import AnyRecord
from plait._naming import publish

from .result import ItemResult, Reason, StepFailed, StepFailure, StepResult, StepState

if TYPE_CHECKING:
    from plait._ids import DeliveryId

    from .checked import CheckedFlow

Word: TypeAlias = Literal[
    "started", "reused", "succeeded", "failed", "retrying", "skipped", "cancelled"
]

log: Final = logging.getLogger("plait.flows")


@attrs.frozen(kw_only=True)
class StepNews:
    """One thing that has happened to a step, or to one item of it.

    Attributes:
        word: What it is.
        step: The step's name.
        index: Which item of it, from 0; `None`: the step itself.
        at: When, in seconds since the run began.
        seconds: How long it took, of what has ended.
        attempt: Which attempt comes next, of what is tried again.
        attempts: How many there may be.
        delay: Seconds until then.
        message: Why it failed.
        reason: Why it is skipped.
        error: All that is known of the failure.
    """

    word: Word
    step: str
    index: int | None = None
    at: float = 0.0
    seconds: float | None = None
    attempt: int = 1
    attempts: int = 1
    delay: float | None = None
    message: str = ""
    reason: Reason | None = None
    error: StepFailure | None = None


@attrs.define
class Item:
    """One delivery of a step that has several."""

    state: StepState = "pending"
    attempts: int = 0
    began: float | None = None
    reused: bool = False
    error: StepFailure | None = None


@attrs.define
class Progress(Item):
    """One step. Of one that has several items: the sum of these."""

    ended: float | None = None
    reason: Reason | None = None
    items: list[Item] | None = None
    left: int = 0


class Reporter:
    """Follows one run.

    Args:
        flow: The flow.
        several: The steps that have several items.
        error_of: Why a step has failed, of which items have; as it may be shown.
    """

    def __init__(
        self,
        flow: CheckedFlow,
        several: Container[str],
        error_of: Callable[[str], StepFailure | None],
    ) -> None:
        self.steps = {name: Progress() for name in flow.steps}
        self.began = 0.0
        self.ended = 0.0
        self.epoch = 0.0
        self.listeners: list[Callable[[StepNews], object]] = []
        self._flow = flow
        self._several = several
        self._error_of = error_of
        #: The deliveries that have not ended: of which step, and which item of it.
        self._where: dict[DeliveryId, tuple[str, int | None]] = {}

    def __call__(self, record: AnyRecord | Record) -> None:
        """Look at one record."""
        self.ended = record.at
        hear = HEARS.get(type(record))
        if hear is not None:
            hear(self, record)

    def _begin(self, record: records.RunStarted) -> None:
        self.began, self.epoch = record.at, record.epoch

    def _complete(self, record: records.Completed) -> None:
        self._end(record.at, record.delivery, "succeeded")

    def _reuse(self, record: Reused) -> None:
        self._end(record.at, record.delivery, "succeeded", reused=True)

    def _fail(self, record: records.Failed) -> None:
        self._end(record.at, record.delivery, "failed", error=_error(record.error))

    def _interrupt(self, record: records.Interrupted) -> None:
        self._end(record.at, record.delivery, "cancelled")

    def _drop(self, record: records.Dropped) -> None:
        for number in record.deliveries:
            self._end(record.at, number, "cancelled")

    def _ready(self, record: Readied) -> None:
        name, first = record.step, record.first
        if name not in self._several:
            self._where[first] = (name, None)
            return
        step = self.steps[name]
        step.items = [Item() for _ in range(record.count)]
        step.left = record.count
        for item in range(record.count):
            self._where[cast("DeliveryId", first + item)] = (name, item)
        if not record.count:
            self._over(record.at, name, step)

    def _start(self, record: records.Started) -> None:
        name, place = self._where[record.delivery]
        step = self.steps[name]
        item: Item = step
        if place is not None and step.items is not None:
            item = step.items[place]
            step.state = "running"
            if step.began is None:
                step.began = record.at
        item.attempts += 1
        item.state = "running"
        if item.began is None:
            item.began = record.at
            if self.listeners:
                self._tell(record.at, "started", name, place)

    def _retry(self, record: records.Retrying) -> None:
        name, place = self._where[record.delivery]
        step = self.steps[name]
        item = step if place is None or step.items is None else step.items[place]
        item.error = error = _error(record.error)
        spec = self._flow.steps[name].spec.retry
        self._tell(
            record.at,
            "retrying",
            name,
            place,
            attempt=item.attempts + 1,
            attempts=item.attempts + 1 if spec is None else spec.attempts,
            delay=record.due - record.at,
            message=error.message,
            error=error,
        )

    def _end(
        self,
        at: float,
        number: DeliveryId,
        state: Literal["succeeded", "failed", "cancelled"],
        *,
        reused: bool = False,
        error: StepFailure | None = None,
    ) -> None:
        name, place = self._where.pop(number)
        step = self.steps[name]
        if place is None or step.items is None:
            step.state, step.reused, step.error, step.ended = state, reused, error, at
            if self.listeners:
                self._tell_end(at, name, None, step)
            return
        item = step.items[place]
        item.state, item.reused, item.error = state, reused, error
        step.left -= 1
        if state != "failed" or item.began is not None:  # else its items could not be found out
            self._tell_end(at, name, place, item)
        if not step.left:
            self._over(at, name, step)

    def _over(self, at: float, name: str, step: Progress) -> None:
        """All items of a step have ended."""
        states = [item.state for item in step.items or ()]
        step.ended = at
        step.attempts = sum(item.attempts for item in step.items or ())
        step.reused = bool(step.items) and all(item.reused for item in step.items or ())
        if "failed" in states:
            step.state, step.error = "failed", self._error_of(name)
        else:
            step.state = "cancelled" if "cancelled" in states else "succeeded"
        self._tell_end(at, name, None, step)

    def _skip(self, record: Skipped) -> None:
        for name in record.steps:
            step = self.steps[name]
            step.state, step.reason, step.ended = "skipped", record.reason, record.at
            self._tell(record.at, "skipped", name, None, reason=record.reason)

    def _close(self, record: records.Closed) -> None:
        """Nothing of the run is left: what never began is cancelled."""
        at = record.at
        for name, step in self.steps.items():
            if step.state in {"pending", "running"}:
                for item in step.items or ():
                    if item.state in {"pending", "running"}:
                        item.state = "cancelled"
                if step.items:
                    self._over(at, name, step)
                else:
                    step.state, step.ended = "cancelled", at
                    self._tell_end(at, name, None, step)
        self._where.clear()

    def _tell_end(self, at: float, name: str, place: int | None, item: Item) -> None:
        if self.listeners:
            word: Word = "reused" if item.reused else cast("Word", item.state)
            seconds = at - (at if item.began is None else item.began)
            message = "" if item.error is None else item.error.message
            self._tell(at, word, name, place, seconds=seconds, message=message, error=item.error)

    def _tell(self, at: float, word: Word, step: str, index: int | None, **more: Any) -> None:
        if not self.listeners:
            return
        news = StepNews(word=word, step=step, index=index, at=at - self.began, **more)
        for listener in [*self.listeners]:
            try:
                listener(news)
            except Exception:
                log.exception("Whoever watched the steps of a run raised, and is told no more.")
                self.listeners.remove(listener)

    # ------------------------------------------------------------ what it has come to

    def time(self, at: float) -> datetime:
        """When something happened, for people."""
        return datetime.fromtimestamp(self.epoch + at, tz=UTC)

    def failed(self) -> list[str]:
        """The steps that have failed, in the order of the file."""
        return [name for name, step in self.steps.items() if step.state == "failed"]

    def succeeded(self) -> list[str]:
        """The steps that have succeeded, in the order of the file."""
        return [name for name, step in self.steps.items() if step.state == "succeeded"]

    def results(self, tolerated: Callable[[str], bool]) -> Mapping[str, StepResult]:
        """What each step has come to, in the order of the file."""
        return Results(self, tolerated)


#: Who takes which record.
HEARS: Final[dict[type[object], Callable[[Reporter, Any], None]]] = {
    Readied: Reporter._ready,
    Reused: Reporter._reuse,
    Skipped: Reporter._skip,
    records.RunStarted: Reporter._begin,
    records.Started: Reporter._start,
    records.Completed: Reporter._complete,
    records.Retrying: Reporter._retry,
    records.Failed: Reporter._fail,
    records.Interrupted: Reporter._interrupt,
    records.Dropped: Reporter._drop,
    records.Closed: Reporter._close,
}


class Results(Mapping[str, StepResult]):
    """What the steps of a run have come to. Each is put together when somebody looks at it."""

    def __init__(self, reporter: Reporter, tolerated: Callable[[str], bool]) -> None:
        self._reporter = reporter
        self._tolerated = tolerated
        self._made: dict[str, StepResult] = {}

    def __getitem__(self, name: str) -> StepResult:
        if (made := self._made.get(name)) is None:
            made = self._made[name] = self._make(name, self._reporter.steps[name])
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._reporter.steps)

    def __len__(self) -> int:
        return len(self._reporter.steps)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self) == dict(
            cast("Mapping[str, object]", other)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(dict(self))

    def _make(self, name: str, step: Progress) -> StepResult:
        time = self._reporter.time
        return StepResult(
            state=step.state,
            started_at=None if step.began is None else time(step.began),
            ended_at=None if step.ended is None else time(step.ended),
            attempts=step.attempts,
            reused=step.reused,
            reason=step.reason,
            error=step.error,
            items=None if step.items is None else _items(step.items),
            tolerated=step.state == "failed" and self._tolerated(name),
        )


def _items(items: Sequence[Item]) -> list[ItemResult]:
    return [
        ItemResult(
            index=index,
            state=item.state,
            attempts=item.attempts,
            reused=item.reused,
            error=item.error,
        )
        for index, item in enumerate(items)
    ]


def _error(error: BaseException) -> StepFailure:
    if isinstance(error, StepFailed):
        return error.error
    return StepFailure(kind="internal", message=f"{type(error).__name__}: {error}")


publish("plait.flows", StepNews)
