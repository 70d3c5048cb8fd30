"""The codec: the records of a stream as entries of a journal, and back.

Rule 1: what was encoded is decoded as an equal record, in any process: times are those of the clock
    of their own life of the run, and only the entry has the Unix time as well.
Rule 2: the same record gives the same bytes: JSON with sorted keys, without spaces, in UTF-8.
Rule 3: whatever bytes there are, decoding gives a record or an `UnreadableEntryError`, and what is
    wrong with one run is that run's matter alone: it is held, and the others go on.

`registry` says what a table of tags is, `forms` how each field is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, cast

from typing_extensions import TypeVar

from plait._abc import Entry, Opening, Status
from plait._errors import ContextSerdeError, PlaitInternalError, UnreadableEntryError, whose
from plait._kernel.calls.keys import key_text
from plait._kernel.fold import fold
from plait._kernel.records import (
    AnyRecord,
    Cancelled,
    Closed,
    Finished,
    FunctionHeld,
    RunStarted,
    Stopped,
)
from plait._kernel.state import RunState

from . import forms
from .canonical import from_bytes as from_bytes
from .canonical import to_bytes as to_bytes
from .forms import Misfit, Values, a_mapping
from .kinds import REGISTRY
from .pens import Pen
from .registry import Registry, UnknownKind


class Dated(Protocol):
    """A record."""

    @property
    def at(self) -> float:
        """When it was made, on the clock of its stream."""
        ...


R = TypeVar("R", bound=Dated, default=AnyRecord)


class Codec(Generic[R]):
    """Encodes and decodes one stream's records, by default those of a run of an event workflow.

    Args:
        stream: Its name: the run's id.
        values: Writes and reads users' values.
        epoch: The Unix time of the 0 of the stream's clock, in this life of it. Only `encode` needs it.
        registry: The kinds of records there are: all those that `R` stands for.

    Example:
        ```python
        codec = Codec("r1", values, epoch=time.time() - clock())
        journal.append([codec.encode(record, n)], done)
        ```
    """

    def __init__(
        self, stream: str, values: Values, epoch: float = 0.0, registry: Registry = REGISTRY
    ) -> None:
        self.stream = stream
        self.values = values
        self.epoch = epoch
        self._registry = registry
        self._by_class = registry.by_class
        self._pens = registry.pens

    def encode(
        self,
        record: R,
        n: int,
        *,
        status: Status | None = None,
        opening: Opening | None = None,
    ) -> Entry:
        """Make an entry of a record.

        Args:
            record: A record of this stream.
            n: Its place in the stream, from 1.
            status: The stream's new status, see `status_after`.
            opening: What the stream is, if this is its first entry.

        Raises:
            ContextSerdeError: A value of a user's in it cannot be written.
        """
        cls = type(record)
        kind, form = self._by_class[cls]
        key: str | None = None
        try:
            pen = self._pens.get(cls)
            body = None if pen is None else self._at_once(pen, record)
            if body is None:
                fields = forms.write(form, record, self.values)
                if kind.keyed:
                    key = cast("dict[str, str]", fields).pop("key")
                body = to_bytes(fields)
            elif kind.keyed:
                key = key_text(cast("Any", record).key)
        except (ValueError, TypeError, RecursionError) as error:
            if isinstance(error, ContextSerdeError):
                raise
            raise ContextSerdeError(f"Cannot write {kind.tag}: {error}") from error
        at = record.at if kind.on_wall else record.at + self.epoch
        return Entry(self.stream, n, kind.tag, kind.version, at, key, body, status, opening)

    def _at_once(self, pen: Pen, record: R) -> bytes | None:
        try:
            return pen.write(record, self.values).encode()
        except UnicodeEncodeError:  # see `to_bytes`
            return None

    def decode(self, entry: Entry) -> R:
        """Make a record of an entry.

        Raises:
            UnreadableEntryError: Its kind or version is not known, or its body does not fit.
        """
        registry = self._registry
        try:
            kind, form = registry.of(entry.kind, entry.version)
            body = from_bytes(entry.body)
            if entry.version < kind.version:
                body = registry.upgraded(entry.kind, entry.version, a_mapping(body))
            if kind.keyed:
                _give_key(a_mapping(body), entry.key)
            return cast("R", form.read(body, self.values))
        except Misfit as misfit:
            raise UnreadableEntryError(entry, *misfit.lines) from misfit
        except (UnknownKind, ValueError, RecursionError) as error:
            raise UnreadableEntryError(entry, str(error)) from error

    def check(self, entry: Entry) -> None:
        """See that an entry's kind and version are known, and look no further.

        Raises:
            UnreadableEntryError: They are not.
        """
        try:
            self._registry.of(entry.kind, entry.version)
        except UnknownKind as error:
            raise UnreadableEntryError(entry, str(error)) from error

    def in_order(self, entries: Iterable[Entry], *, after: int = 0) -> Iterator[Entry]:
        """See that entries follow one another, from the one after `after` on.

        Raises:
            UnreadableEntryError: One is missing, or another stream's.
        """
        for n, entry in enumerate(entries, after + 1):
            if entry.n != n or entry.stream != self.stream:
                text = f"it is not record {n} of {whose(self.stream)}, which should follow"
                raise UnreadableEntryError(entry, text)
            yield entry

    def records(self, entries: Iterable[Entry], *, after: int = 0) -> Iterator[R]:
        """Decode entries that follow one another, from the one after `after` on.

        Raises:
            UnreadableEntryError: One is missing, or cannot be read.
        """
        yield from map(self.decode, self.in_order(entries, after=after))


def _give_key(body: dict[str, object], key: str | None) -> None:
    if "key" in body:
        raise Misfit(faults=[("key", "is in the body, and belongs to the entry")])
    body["key"] = key


# ---------------------------------------------------------------- a whole run


def read_run(
    state: RunState,
    codec: Codec,
    entries: Iterable[Entry],
    *,
    after: int = 0,
    publish: Callable[[object], object] | None = None,
) -> int:
    """Add entries that follow one another to a run's state; the place of the last one.

    Args:
        state: A new state, or what the entries up to `after` have made of one.
        codec: That of the run.
        entries: As the journal gave them: whole appends, in order.
        after: The place of the last entry that the state has.
        publish: Told of each event that was put on the run's stream, in order.

    Raises:
        UnreadableEntryError: One is missing, cannot be read, or does not follow from the others. The
            state is of no use then.
    """
    last: list[Entry] = []

    def records() -> Iterator[AnyRecord]:
        for entry in entries:
            n = last[0].n if last else after
            last[:] = [entry]
            yield from codec.records([entry], after=n)

    try:
        fold(state, records(), publish)
    except UnreadableEntryError:
        raise
    except Exception as error:  # `apply` never judges: what fails fails anyhow
        if not last:
            raise
        text = f"it does not follow from the records before it: {error!r}"
        raise UnreadableEntryError(last[0], text) from error
    return last[0].n if last else after


def status_after(record: AnyRecord, state: RunState) -> Status | None:
    """Say which status a record gives its stream, if it changes it.

    Args:
        record: The record.
        state: The run, with this record applied.
    """
    if type(record) is RunStarted:
        return "running"
    if type(record) is FunctionHeld:
        return "held"
    if type(record) is not Closed:
        return None  # also after the decision: until all is cleaned up, the run goes on
    if state.failures:
        return "failed"
    match state.outcome:
        case Stopped() | Finished():
            return "completed"
        case Cancelled():
            return "cancelled"
        case None:
            raise PlaitInternalError(f"run {state.run_id} was closed without an outcome")
        case _:
            return "failed"
