"""A run of a workflow, as its journal has it: who writes it, and what the run's context has of it.

The engine hands records over and takes them back; what lies in them, events and the values of the
store, only the workflow can write and read, since it knows the classes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from plait._abc import Entry, Journal, Opening
from plait._engine.attempt import current_attempt
from plait._engine.hosting import Hosting
from plait._engine.journaled import JournaledShell
from plait._errors import ContextSerdeError, RunConflictError, UnreadableEntryError, fault_of
from plait._ids import OUTSIDE, DeliveryId, RunId
from plait._journal.codec import Codec, status_after
from plait._journal.recorded import error_of
from plait._journal.values import Values
from plait._kernel.functions.reasons import Unreadable
from plait._kernel.records import AnyRecord, FunctionHeld, Reopened
from plait._kernel.state import RunState

from .forks import Fork, children_of, entry_of, fork_of, new_fork, put_state
from .serializers import are_alike
from .state.parts import parts_of, put_parts

if TYPE_CHECKING:
    from .context import Context


class _Remembering(Values):
    """Writes a value once: before the kernel decides about it, and not again for the record of it."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._written: tuple[object, object] | None = None

    def prepare(self, value: object) -> None:
        self._written = (value, self._values.encode(value))

    def encode(self, value: object, /, at: str = "") -> object:
        written, self._written = self._written, None
        if written is not None and written[0] is value:
            return written[1]
        return self._values.encode(value, at)

    def decode(self, data: object, /, at: str = "") -> Any:
        return self._values.decode(data, at)


class RunScribe:
    """Writes the entries of one run, one after the other, and reads them."""

    def __init__(self, run_id: RunId, values: Values, opening: Opening, fork: Fork | None) -> None:
        self._values = _Remembering(values)
        self._codec = Codec(run_id, self._values)
        self._opening = opening
        self._fork = fork
        self._n = 0
        self._was_held = False

    def begin(self, epoch: float) -> None:
        """Write from here on with the clock whose 0 is this Unix time."""
        self._codec.epoch = epoch

    def prepare(self, value: object) -> None:
        """See that a value can be written.

        Raises:
            ContextSerdeError: It cannot.
        """
        self._values.prepare(value)

    def entries(self, records: Sequence[AnyRecord], state: RunState) -> Sequence[Entry]:
        """Write records that follow those written or read last."""
        written: list[Entry] = []
        if self._n == 0 and self._fork is not None:
            at = self._codec.epoch + records[0].at
            written.append(entry_of(self._fork, RunId(self._codec.stream), at, self._opening))
        for n, record in enumerate(records, self._n + len(written) + 1):
            opening = self._opening if n == 1 else None
            status = status_after(record, state)
            if self._was_held and isinstance(record, Reopened):
                status = "running"
            written.append(self._codec.encode(record, n, status=status, opening=opening))
        self._n += len(written)
        return written

    def held(self, last: Entry, why: UnreadableEntryError) -> Entry | None:
        """Write, after the last entry of a run that cannot be read, that it is held.

        `None` if that is what the last entry says.
        """
        held = FunctionHeld(time.time(), Unreadable(fault_of(why)))
        with suppress(UnreadableEntryError):
            said = self._codec.decode(last)
            if isinstance(said, FunctionHeld) and said.why == held.why:
                return None
        return self._codec.encode(held, last.n + 1, status="held")

    def fork(self, entry: Entry) -> Fork | None:
        """Read the first entry, if it is none of a record but of a fork.

        Raises:
            UnreadableEntryError: It cannot be read.
        """
        fork = fork_of(entry, self._values)
        if fork is not None:
            self._n = 1
        return fork

    def records(self, entries: Iterable[Entry]) -> Iterator[AnyRecord]:
        """Read the entries that follow those read last.

        Raises:
            UnreadableEntryError: One is missing, or cannot be read.
        """
        for record in self._codec.records(entries, after=self._n):
            self._n += 1
            self._was_held = isinstance(record, FunctionHeld)
            yield record


class RunArchive:
    """Where one run is kept, and what its context has to do with that."""

    def __init__(
        self,
        journal: Journal,
        run_id: RunId,
        context: Context[Any],
        values: Values,
        opening: Opening,
        *,
        known: bool,
        resumes: bool,
        origin: Mapping[str, Any] | None,
        accept_changes: bool = False,
    ) -> None:
        fork = None if origin is None else new_fork(origin, context._origin.output, values)
        self.journal = journal
        self.scribe = RunScribe(run_id, values, opening, fork)
        self.known = known
        self.resumes = resumes
        self.target = opening.target
        self._context = context
        self._values = values
        self._fork = fork
        self._accept_changes = accept_changes

    def hosting(self, shell: JournaledShell) -> Hosting:
        """Make what hosts bodies that make durable calls."""
        return Hosting(shell, error_of, accept_changes=self._accept_changes)

    def forks(self, shell: JournaledShell) -> bool:
        """Begin with the state that the run is to begin from, if there is one."""
        if self._fork is not None:
            self._put(self._fork, shell)
        return self._fork is not None

    def forked(self, shell: JournaledShell, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Begin with the state that the run has begun from, if the first entry has one.

        Raises:
            UnreadableEntryError: The entry cannot be read.
            RunConflictError: The run was to begin in another way.
        """
        fork = self.scribe.fork(entries[0])
        if not self.resumes:
            self._compare(fork, shell.run_id)
        if fork is None:
            return entries
        self._put(fork, shell)
        return entries[1:]

    def _compare(self, fork: Fork | None, run_id: RunId) -> None:
        mine = self._fork
        if (fork and fork.body) == (mine and mine.body):
            return
        began = "a start event" if fork is None else "a checkpoint or a context"
        other = "a start event" if mine is None else "this context" if fork is None else "this one"
        raise RunConflictError(
            f"The journal has a run {run_id!r} that began with {began}, not with {other}. "
            "Take another name, run_id=..., or go on with that run: workflow.resume(run_id)"
        )

    def _put(self, fork: Fork, shell: JournaledShell) -> None:
        snapshot = fork.restored(shell.plan, self._values)
        origin = self._context._origin
        origin.children = children_of(snapshot)
        if not are_alike(origin.reader, self._context._workflow._serializer):
            origin.reader = None  # as they are kept, they are for the workflows' own
        origin.rename(snapshot.state, shell.run_id)
        put_state(shell.state, snapshot.state)
        shell.completes = fork.output

    def check(self) -> None:
        """Refuse to begin with values in the store that cannot be kept.

        Raises:
            ContextSerdeError: There is such a value.
        """
        for key, value in parts_of(self._context._store._state).items():
            written_part(self._values, key, value)

    def begun(self, shell: JournaledShell) -> None:
        """Keep what the store has from the start, and from then on what is written to it."""
        store = self._context._store
        store._keeper = keeper = StoreKeeper(shell, self._values)
        keeper.keep(store._state)

    def taken_up(self, shell: JournaledShell) -> None:
        """Give the store what the run's steps have written to it."""
        store = self._context._store
        kept = {key: self._values.decode(data, key) for key, data in shell.state.store.items()}
        store._state = put_parts(store._state, kept)
        store._keeper = StoreKeeper(shell, self._values)


class StoreKeeper:
    """Tells a run what is written to its store."""

    def __init__(self, shell: JournaledShell, values: Values) -> None:
        self._shell = shell
        self._values = values

    def check(self, path: str, value: object) -> None:
        """Refuse what cannot be kept.

        Raises:
            ContextSerdeError: It cannot.
        """
        written_part(self._values, path, value)

    def keep(self, state: object) -> None:
        """Keep what is new in a state.

        Raises:
            ContextSerdeError: Something in it cannot be kept.
        """
        known, parts = self._shell.state.store, parts_of(state)
        written = {key: written_part(self._values, key, value) for key, value in parts.items()}
        values = {
            key: data for key, data in written.items() if key not in known or known[key] != data
        }
        removed = tuple(key for key in known if key not in parts)
        if values or removed:
            self._shell.store_changed(_sender(self._shell), values, removed)


def _sender(shell: JournaledShell) -> DeliveryId:
    attempt = current_attempt.get()
    if attempt is None or attempt.shell is not shell:
        return OUTSIDE
    return attempt.delivery.number


def written_part(values: Values, key: str, value: object) -> object:
    """Write a part of a state.

    Raises:
        ContextSerdeError: It cannot be written.
    """
    try:
        return values.encode(value)
    except ContextSerdeError as error:
        text = f"Failed to serialize state value for key {key}: {error}"
        raise ContextSerdeError(text) from error
