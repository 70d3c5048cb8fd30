"""What happens to the steps of a run, as it is told to people, and what each has come to.

It watches the records of the run and nothing else, so in a run that is kept nobody is told what is not
on disk. All of it may be shown: secrets are `***`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import attrs

from plait._kernel import records
from plait._kernel.graph.records import Readied, Record, Reused, Skipped
from plait._naming import publish

from .result import ItemResult, Reason, StepError, StepFailed, StepResult, StepState

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
    error: StepError | None = None


@attrs.define
class Item:
    """One delivery of a step."""

    state: StepState = "pending"
    attempts: int = 0
    began: float | None = None
    reused: bool = False
    error: StepError | None = None


@attrs.define
class Progress:
    """One step."""

    state: StepState = "pending"
    began: float | None = None
    ended: float | None = None
    reason: Reason | None = None
    error: StepError | None = None
    items: list[Item] = attrs.field(factory=list[Item])
    left: int = 0


class Reporter:
    """Follows one run.

    Args:
        flow: The flow.
        several: Has a step several items?
        error_of: Why a step has failed, of which items have; as it may be shown.
    """

    def __init__(
        self,
        flow: CheckedFlow,
        several: Callable[[str], bool],
        error_of: Callable[[str], StepError | None],
    ) -> None:
        self.steps = {name: Progress() for name in flow.steps}
        self.began = 0.0
        self.ended = 0.0
        self.epoch = 0.0
        self.listeners: list[Callable[[StepNews], object]] = []
        self._flow = flow
        self._several = several
        self._error_of = error_of
        self._where: dict[DeliveryId, tuple[str, int]] = {}

    def __call__(self, record: Record) -> None:
        """Look at one record."""
        self.ended = record.at
        match record:
            case records.Started():
                self._start(record)
            case records.Completed():
                self._end(record.at, record.delivery, "succeeded")
            case Readied():
                self._ready(record)
            case Reused():
                self._end(record.at, record.delivery, "succeeded", reused=True)
            case records.Retrying():
                self._retry(record)
            case records.Failed():
                self._end(record.at, record.delivery, "failed", error=_error(record.error))
            case records.Interrupted():
                self._end(record.at, record.delivery, "cancelled")
            case records.Dropped():
                for number in record.deliveries:
                    self._end(record.at, number, "cancelled")
            case Skipped():
                self._skip(record)
            case records.RunStarted():
                self.began, self.epoch = record.at, record.epoch
            case records.Closed():
                self._close(record.at)
            case _:
                pass

    def _ready(self, record: Readied) -> None:
        step = self.steps[record.step]
        step.items = [Item() for _ in range(record.count)]
        step.left = record.count
        for item in range(record.count):
            self._where[cast("DeliveryId", record.first + item)] = (record.step, item)
        if not record.count:
            step.began = record.at
            self._over(record.at, record.step)

    def _start(self, record: records.Started) -> None:
        name, place = self._where[record.delivery]
        step = self.steps[name]
        item = step.items[place]
        item.attempts += 1
        item.state = step.state = "running"
        if step.began is None:
            step.began = record.at
        if item.began is None:
            item.began = record.at
            self._tell(record.at, "started", name, self._index(name, place))

    def _retry(self, record: records.Retrying) -> None:
        name, place = self._where[record.delivery]
        item = self.steps[name].items[place]
        item.error = _error(record.error)
        spec = self._flow.steps[name].spec.retry
        self._tell(
            record.at,
            "retrying",
            name,
            self._index(name, place),
            attempt=item.attempts + 1,
            attempts=item.attempts + 1 if spec is None else spec.attempts,
            delay=record.due - record.at,
            message=item.error.message,
            error=item.error,
        )

    def _end(
        self,
        at: float,
        number: DeliveryId,
        state: Literal["succeeded", "failed", "cancelled"],
        *,
        reused: bool = False,
        error: StepError | None = None,
    ) -> None:
        name, place = self._where.pop(number)
        step = self.steps[name]
        item = step.items[place]
        item.state, item.reused, item.error = state, reused, error
        step.left -= 1
        index = self._index(name, place)
        never = state == "failed" and item.began is None  # its items could not be found out
        if index is not None and not never:
            began = at if item.began is None else item.began
            self._tell_end(at, "reused" if reused else state, name, index, at - began, error)
        if not step.left:
            self._over(at, name)

    def _over(self, at: float, name: str) -> None:
        """All deliveries of a step have ended."""
        step = self.steps[name]
        states = [item.state for item in step.items]
        step.ended = at
        reused = bool(step.items) and all(item.reused for item in step.items)
        if "failed" in states:
            step.state = "failed"
            step.error = self._error_of(name) if self._several(name) else step.items[0].error
        else:
            step.state = "cancelled" if "cancelled" in states else "succeeded"
        began = at if step.began is None else step.began
        word: Word = "reused" if reused else cast("Word", step.state)
        self._tell_end(at, word, name, None, at - began, step.error)

    def _skip(self, record: Skipped) -> None:
        for name in record.steps:
            step = self.steps[name]
            step.state, step.reason, step.ended = "skipped", record.reason, record.at
            self._tell(record.at, "skipped", name, None, reason=record.reason)

    def _close(self, at: float) -> None:
        """Nothing of the run is left: what never began is cancelled."""
        for name, step in self.steps.items():
            if step.state in {"pending", "running"}:
                for item in step.items:
                    if item.state in {"pending", "running"}:
                        item.state = "cancelled"
                failed = any(item.state == "failed" for item in step.items)
                step.state, step.ended = "failed" if failed else "cancelled", at
                if failed:
                    step.error = (
                        self._error_of(name) if self._several(name) else step.items[0].error
                    )
                began = at if step.began is None else step.began
                self._tell_end(at, cast("Word", step.state), name, None, at - began, step.error)
        self._where.clear()

    def _index(self, name: str, place: int) -> int | None:
        return place if self._several(name) else None

    def _tell_end(
        self,
        at: float,
        word: Word,
        name: str,
        index: int | None,
        seconds: float,
        error: StepError | None,
    ) -> None:
        message = "" if error is None else error.message
        self._tell(at, word, name, index, seconds=seconds, message=message, error=error)

    def _tell(self, at: float, word: Word, step: str, index: int | None, **more: object) -> None:
        if not self.listeners:
            return
        news = StepNews(word=word, step=step, index=index, at=at - self.began, **more)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
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

    def results(self, tolerated: Callable[[str], bool]) -> dict[str, StepResult]:
        """What each step has come to, in the order of the file."""
        return {
            name: self._result(name, step, tolerated=tolerated(name))
            for name, step in self.steps.items()
        }

    def _result(self, name: str, step: Progress, *, tolerated: bool) -> StepResult:
        items: Iterable[ItemResult] | None = None
        if self._several(name):
            items = [
                ItemResult(
                    index=index,
                    state=item.state,
                    attempts=item.attempts,
                    reused=item.reused,
                    error=item.error,
                )
                for index, item in enumerate(step.items)
            ]
        return StepResult(
            state=step.state,
            started_at=None if step.began is None else self.time(step.began),
            ended_at=None if step.ended is None else self.time(step.ended),
            attempts=sum(item.attempts for item in step.items),
            reused=bool(step.items) and all(item.reused for item in step.items),
            reason=step.reason,
            error=step.error,
            items=None if items is None else [*items],
            tolerated=tolerated and step.state == "failed",
        )


def _error(error: BaseException) -> StepError:
    if isinstance(error, StepFailed):
        return error.error
    return StepError(kind="internal", message=f"{type(error).__name__}: {error}")


publish("plait.flows", StepNews)
