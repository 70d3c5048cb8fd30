"""What a journal has of a run: how to find it, and the sum of its earlier lives.

Rule 1: Reading is `fold` and nothing else. What the state does not say is noted on the way: how long the
    run has gone on, and what was on its stream.
Rule 2: What nobody can read is held: its stream says so, once, and goes on when somebody has mended it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from plait._abc import Entry, Journal, StreamInfo
from plait._errors import JournalError, PlaitError, RunConflictError, UnreadableEntryError
from plait._ids import OUTSIDE, RunId
from plait._kernel import records
from plait._kernel.delivery_calls import time_of
from plait._kernel.fold import fold
from plait._kernel.records import AnyRecord
from plait._kernel.state import RunState
from plait._kernel.waits import WaitKey

if TYPE_CHECKING:
    from .ledger import Scribe
    from .native import Backend


log: Final = logging.getLogger("plait")


async def listed(journal: Journal, name: str) -> StreamInfo | None:
    """Look up what is listed of one stream; `None`: there is none. As `Journal.streams`."""
    found = await journal.streams(after=_just_before(name), limit=1)
    return found[0] if found and found[0].stream == name else None


def _just_before(name: str) -> str:
    """Give the last text before a name: the first stream after it is that one, if there is one."""
    head, last = name[:-1], ord(name[-1:] or "\0")
    if last == 0:
        return head
    return f"{head}{chr(0xD7FF if last == 0xE000 else last - 1)}\U0010ffff"


async def find(journal: Journal, name: RunId, target: str) -> StreamInfo | None:
    """Look up what is listed of a run. A checkpoint.

    Raises:
        RunConflictError: It is of another workflow: its records would mean something else here.
    """
    stream = await listed(journal, name)
    if stream is not None and stream.target != target:
        raise RunConflictError(
            f"Run {name!r} in the journal is of workflow {stream.target!r}, not of {target!r}."
        )
    return stream


async def say_held(
    journal: Journal,
    scribe: Scribe,
    listed: StreamInfo,
    unreadable: UnreadableEntryError,
    native: Backend,
) -> None:
    """Say in a run's stream that nobody can read it; not again, if that is what it says last.

    A checkpoint.
    """
    (last,) = await journal.read(listed.stream, after=listed.last_n - 1, limit=1)
    entry = scribe.held(last, unreadable)
    if entry is None:
        return
    kept = native.event()

    def done(error: JournalError | None) -> None:
        if error is not None:  # the other one is what the run's owner is to see
            log.error("The journal of run %s: %s", listed.stream, error)
        kept.set()

    journal.append([entry], done)
    await kept.wait()


@attrs.define
class Past:
    """What is known of the earlier lives of a run."""

    #: Does the clock of its timeout stand still while the run is idle?
    pauses: bool = False
    #: That were read.
    entries: int = 0
    begun: bool = False
    #: Seconds that count against the timeout: those of all lives, and not while the run was idle.
    elapsed: float = 0.0
    _last: float = math.nan
    #: What was on the stream, and which questions were.
    shown: list[object] = attrs.field(factory=list[object])
    questions: dict[WaitKey, object] = attrs.field(factory=dict[WaitKey, object])

    def read(
        self,
        state: RunState,
        entries: Sequence[Entry],
        kept: Iterable[AnyRecord],
        look: Callable[[AnyRecord], Any],
    ) -> None:
        """Add records to a state.

        Args:
            state: Of the run, before the first of them.
            entries: In which they are.
            kept: The records.
            look: Called with each of them, before it is applied.

        Raises:
            UnreadableEntryError: One of them cannot be read, or does not follow from those before it.
        """
        place = 0

        def looked_at() -> Iterator[AnyRecord]:
            nonlocal place
            for record in kept:
                look(record)
                self._note(record, state)
                yield record
                place += 1

        try:
            fold(state, looked_at(), self.shown.append)
        except PlaitError:
            raise
        except Exception as error:  # `apply` never judges: what fails, fails anyhow
            text = f"it does not follow from the records before it: {error!r}"
            raise UnreadableEntryError(entries[place], text) from error

    def _note(self, record: AnyRecord, state: RunState) -> None:
        if isinstance(record, records.Emitted) and record.cause == OUTSIDE:
            self.begun = True
        elif isinstance(record, records.Waited) and record.question is not None:
            self.questions[record.wait.key] = record.question
        elif isinstance(record, records.Reopened):
            self.begun = True
            self.ask_again(state.waits)
        self._count(record, state.epoch, idle=self.pauses and state.idle)

    def ask_again(self, waits: Iterable[WaitKey]) -> None:
        """Take the questions that nobody has answered off the stream: they are asked once more."""
        still_open = [self.questions.pop(key) for key in waits if key in self.questions]
        for question in still_open:
            self.shown[:] = [event for event in self.shown if event is not question]

    def _count(self, record: AnyRecord, epoch: float, *, idle: bool) -> None:
        """Let time pass until this record. `idle`: does the clock stand still until then?

        `epoch`: of the clock before it.
        """
        if isinstance(record, records.FunctionHeld):
            return  # perhaps by a process that did nothing else
        at = time_of(record, epoch)
        if isinstance(record, records.Reopened):
            self.elapsed = record.elapsed
        elif isinstance(record, records.RunStarted):
            pass  # the clock is another one
        else:
            at = max(at, self._last)  # the clock on the wall may have been set back
            self.until(at, idle=idle)
        self._last = at

    def until(self, at: float, *, idle: bool) -> None:
        """Let time pass until then."""
        if not idle:
            self.elapsed += at - self._last
