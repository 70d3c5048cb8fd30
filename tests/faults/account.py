"""What became of each event that a run accepted: its records, held against its state.

The kernel's tests have a ledger that follows every event from record to record, and raises with the
law that a record breaks. Here it reads the records of a real run after its end, where events are of
a user's classes. Each was consumed, or was with a body that was interrupted, or is undelivered.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import attrs
import pytest

from plait import HumanResponseEvent, StopEvent
from plait._engine.shell import Shell
from plait._kernel import records, stimuli
from plait._kernel.life import Phase
from plait._kernel.records import Record
from plait.events import StepFailedEvent
from tests.kernel import ledger as kernels
from tests.kernel.laws import agree, only_over
from tests.kernel.ledger import Ledger, Place


class _Observables(type):
    def __instancecheck__(cls, event: object) -> bool:
        return bool(getattr(event, "__plait_observable__", False))


class Observable(metaclass=_Observables):
    """What is streamed wherever it goes."""


#: What the kernel's tests call the classes that mean something, and the ones of users.
CLASSES = {
    "Answer": HumanResponseEvent,
    "Broken": StepFailedEvent,
    "Stop": StopEvent,
    "Watched": Observable,
}
#: Records do not say if an event was sent to one step: here that is never done.
SENT = stimuli.Expired(0)


@attrs.define(eq=False)
class Reader(Ledger):
    """The ledger, for policies and failures that are not the kernel's tests' own."""

    def _goes_on(self, record: Record) -> None:
        if not isinstance(record, records.Recovered):
            super()._goes_on(record)
            return
        item, event = self._ends(record.delivery), record.event
        assert record.to == self.taker(item), "law 8: somebody else takes the failure"
        assert isinstance(event, StepFailedEvent)
        assert (event.step_name, event.exception) == (item.step, record.error)
        line = item.recovered
        if self.plan.step[record.to].gather is None:
            line = line + type(line)({record.to: 1})
        self._goes(event, record.first, (record.to,), item.branch, line)

    def _retrying(self, record: records.Retrying) -> None:
        item = self._ends(record.delivery)
        item.failures += 1
        item.place, item.worker = Place.DUE, -1
        self.items[item.number] = item


@attrs.define
class Book:
    """The records of one run."""

    shell: Shell
    records: list[Record] = attrs.field(factory=list)

    def check(self) -> None:
        """Assert that the run is over, and that each event that it accepted is accounted for."""
        state, reader = self.shell.state, Reader(self.shell.plan)
        assert state.phase is Phase.OVER, "it has not ended"
        state.check()
        with pytest.MonkeyPatch.context() as patch:
            for name, kind in CLASSES.items():
                patch.setattr(kernels, name, kind)
            for record in self.records:
                reader.enter(record, _stimulus(record))
            agree(reader, state)
        assert not self.shell.waiting, "a wait is kept"
        assert not [*self.shell.attempts()], "a body is kept"
        assert not self.shell.kin._children, "a child is kept"


def check_that_all_is_told(raised: list[Exception], books: list[Book]) -> None:
    """Assert that what bodies have failed with is on record, but for calls that came too late."""
    told = {
        id(record.error)
        for book in books
        for record in book.records
        if isinstance(record, records.Failed | records.Retrying | records.Recovered)
    }
    assert {id(error) for error in raised if not only_over(error)} <= told, "a failure is lost"
    raised.clear()


def _stimulus(record: Record) -> stimuli.Stimulus:
    if isinstance(record, records.Waited):
        wait = record.wait
        return stimuli.WaitBegan(0, wait.delivery, wait.kind, {}, False, None, record.question)  # noqa: FBT003
    return SENT


@contextlib.contextmanager
def kept_books(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Book]]:
    """Keep the records of each run that starts, children included."""
    books: list[Book] = []
    start = Shell.start

    def start_a_book(shell: Shell) -> None:
        book = Book(shell)
        books.append(book)
        shell.observers.append(book.records.append)
        start(shell)

    with monkeypatch.context() as patch:
        patch.setattr(Shell, "start", start_a_book)
        yield books
