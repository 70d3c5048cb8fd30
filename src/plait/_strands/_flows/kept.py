"""A run of a flow in a journal: how its records are written and read.

They are the records of any run. What is the strand's own are the values in them: how the run began,
what a step gave, why one failed. Each is a JSON object whose first key says which of these it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from plait._abc import Entry, Journal, Opening, Status
from plait._errors import ContextSerdeError
from plait._ids import RunId
from plait._journal.codec import Codec, status_after
from plait._kernel import records
from plait._kernel.graph.records import Readied, Record, Reused

from .result import StepFailed, StepFailure
from .story import FlowStarted, StepDone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from plait._engine.graph import JournaledGraphShell
    from plait._engine.journaled import JournaledShell
    from plait._kernel.state import RunState


class FlowValues:
    """Writes and reads the values in the records of a flow."""

    #: Are there numbers in what is written that JSON does not have? Rare, and it costs to find them.
    odd = False

    def encode(self, value: object, /) -> object:
        """Turn a value into JSON values."""
        match value:
            case FlowStarted():
                return {
                    "flow": value.files,
                    "params": value.params,
                    "resumed": value.resumed,
                    "first": value.first,
                }
            case StepDone():
                done = {"outputs": value.outputs, "fingerprint": value.fingerprint}
                return self._written({**done, "reused": True} if value.reused else done, "outputs")
            case StepFailed():
                return self._written(
                    {"failed": value.step, "error": value.error.as_json()}, "error"
                )
            case BaseException():
                return {"raised": type(value).__name__, "text": str(value)}
            case _:
                raise ContextSerdeError(f"a flow has no value such as {type(value).__name__}")

    def _written(self, fields: dict[str, Any], name: str) -> dict[str, Any]:
        return {**fields, name: _spelt(fields[name]), "odd": True} if self.odd else fields

    def decode(self, data: object, /) -> Any:
        """Turn what `encode` made into an equal value."""
        if isinstance(data, Mapping):
            found = cast("Mapping[str, Any]", data)
            try:
                return _read(found)
            except (KeyError, TypeError, ValueError) as error:
                raise ContextSerdeError(f"it is no value of a flow: {error!r}") from error
        raise ContextSerdeError("it is no value of a flow")


def _spelt(value: Any) -> Any:
    """Write numbers that JSON does not have as words in a list of one; and other lists in one as well."""
    match value:
        case float() if not math.isfinite(value):
            return [repr(value)]
        case list():
            return [[_spelt(one) for one in value]]
        case dict():
            return {key: _spelt(one) for key, one in cast("dict[str, Any]", value).items()}
        case _:
            return value


def _unspelt(value: Any) -> Any:
    match value:
        case [str() as word]:
            return float(word)
        case [list() as items]:
            return [_unspelt(one) for one in items]
        case dict():
            return {key: _unspelt(one) for key, one in cast("dict[str, Any]", value).items()}
        case _:
            return value


def _read(found: Mapping[str, Any]) -> Any:
    if found.get("odd"):
        found = {
            key: _unspelt(value) if key in {"outputs", "error"} else value
            for key, value in found.items()
        }
    if "flow" in found:
        return FlowStarted(
            files=[*found["flow"]],
            params={**found["params"]},
            resumed=found["resumed"],
            first=found["first"],
        )
    if "outputs" in found:
        return StepDone(
            outputs={**found["outputs"]},
            fingerprint=found["fingerprint"],
            reused=found.get("reused", False),
        )
    if "failed" in found:
        return StepFailed(found["failed"], StepFailure(**found["error"]))
    if "raised" in found:
        return StepFailed(
            "", StepFailure(kind="internal", message=f"{found['raised']}: {found['text']}")
        )
    raise ValueError("it has none of the keys that one has")


class FlowScribe:
    """Writes one run, and reads it again.

    Args:
        run_id: Its name.
        opening: What its stream is.
        failed: Says of a run that is over whether a failure in it was not tolerated.
    """

    def __init__(self, run_id: str, opening: Opening, failed: Callable[[RunState], bool]) -> None:
        self._values = FlowValues()
        self._codec: Codec[Any] = Codec(run_id, self._values)
        self._opening = opening
        self._failed = failed
        self._n = 0

    def begin(self, epoch: float) -> None:
        """Write from here on with the clock whose 0 is this Unix time."""
        self._codec.epoch = epoch

    def prepare(self, value: object) -> None:
        """See that a value can be written."""
        self._codec.values.encode(value)

    def entries(self, records: Sequence[Record], state: RunState) -> Sequence[Entry]:
        """Write records that follow those written last."""
        written: list[Entry] = []
        for n, record in enumerate(records, self._n + 1):
            opening = self._opening if n == 1 else None
            status = self._status(record, state)
            written.append(self._encode(record, n, status, opening))
        self._n += len(written)
        return written

    def _encode(
        self, record: Record, n: int, status: Status | None, opening: Opening | None
    ) -> Entry:
        try:
            return self._codec.encode(record, n, status=status, opening=opening)
        except ContextSerdeError:
            self._values.odd = True
            return self._codec.encode(record, n, status=status, opening=opening)
        finally:
            self._values.odd = False

    def _status(self, record: Record, state: RunState) -> Status | None:
        if type(record) is records.Closed and isinstance(state.outcome, records.Finished):
            return "failed" if self._failed(state) else "completed"
        return status_after(cast("records.Record", record), state)

    def records(self, entries: Iterable[Entry]) -> Iterator[Any]:
        """Read the entries that follow those read last."""
        for record in self._codec.records(entries, after=self._n):
            self._n += 1
            yield record


class FlowArchive:
    """Where one run is kept. It is a new one, always: to resume is to begin another."""

    resumes = False

    def __init__(
        self,
        journal: Journal,
        scribe: FlowScribe,
        target: str,
        *,
        resumes: str | None,
        before: Callable[[JournaledGraphShell], Awaitable[FlowStarted]],
    ) -> None:
        self.journal = journal
        self.scribe = scribe
        self.target = target
        #: Must the journal be read before it begins? If it takes over what another run has left.
        self.known = resumes is not None
        #: Reads that.
        self.before = before

    def forks(self, shell: JournaledShell) -> bool:
        """Begin with nothing."""
        del shell
        return False

    def forked(self, shell: JournaledShell, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Begin with nothing."""
        del shell
        return entries

    def check(self) -> None:
        """Have nothing that cannot be kept."""

    def begun(self, shell: JournaledShell) -> None:
        """Have nothing to do."""

    def taken_up(self, shell: JournaledShell) -> None:
        """Have nothing to do: it never is."""


def reader_of(run_id: str) -> FlowScribe:
    """Make what reads a run that is in a journal."""
    return FlowScribe(RunId(run_id), Opening("", ""), bool)


def steps_given(kept: Iterable[Any]) -> tuple[FlowStarted | None, dict[tuple[str, int], StepDone]]:
    """Find in the records of a run how it began, and what its steps gave."""
    started: FlowStarted | None = None
    where: dict[int, tuple[str, int]] = {}
    done: dict[tuple[str, int], StepDone] = {}
    for record in kept:
        match record:
            case records.Emitted(event=FlowStarted() as event):
                started = event
            case Readied(step=step, first=first, count=count):
                where.update({first + item: (step, item) for item in range(count)})
            case Reused(delivery=number, event=StepDone() as event):
                done[where[number]] = event
            case records.Completed(delivery=number, event=StepDone() as event):
                done[where[number]] = event
            case _:
                pass
    return started, done
