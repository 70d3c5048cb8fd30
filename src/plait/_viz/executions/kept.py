"""Executions of what a journal has: its entries as records, without any of the user's classes.

Rule 1: nothing here fails on what is in a journal. What cannot be read is counted, and left out.
Rule 2: *Nothing is imported by a name found in a journal.* An event of a class that is not known is an
    object with a class of the same name, and nothing else.
Rule 3: users' values are not looked at, beyond the names of their classes: what a secret was part of is
    in no picture.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from functools import lru_cache
from os import PathLike
from typing import Any, Final

from plait._abc import ENDED, Entry, Journal, StreamInfo
from plait._engine import native
from plait._engine.desk import reading
from plait._errors import UnknownRunError, UnreadableEntryError
from plait._journal import life_kinds
from plait._journal.codec import Codec
from plait._journal.scribes import AS_THEY_COME
from plait._journal.sqlite import SqliteJournal
from plait._journal.values import Values

from .execution import Execution
from .names import mapping

#: Entries that are read at once.
PAGE: Final = 1000
#: The first entry of a run of a function, and that of a run that began from a snapshot.
OF_A_FUNCTION: Final = "run.queued"
FORKED: Final = "run.forked"
#: The keys that the values of a flow begin with: see `plait._strands._flows.kept`.
OF_A_FLOW: Final = frozenset({"flow", "outputs", "failed", "raised"})


class _Kept:
    """Stands for an object whose class is not known here."""


@lru_cache(maxsize=1024)
def _class(name: str) -> type:
    """Make a class that is told by this name on the wire."""
    return type(name.rpartition(".")[2], (_Kept,), {"__plait_name__": name})


@lru_cache(maxsize=1024)
def _error(name: str) -> type[Exception]:
    return type(name.rpartition(".")[2], (Exception,), {})


@lru_cache(maxsize=1)
def _values_of_flows() -> Any:
    """Only who reads the run of a flow needs that strand."""
    return importlib.import_module("plait._strands._flows.kept").FlowValues()


class KeptValues(Values):
    """Reads users' values as far as their classes' names: rule 2."""

    def decode(self, data: object, /, at: str = "") -> Any:
        """Read a value, or as much of it as can be."""
        fields = mapping(data)
        if "$" not in fields and OF_A_FLOW & fields.keys():
            return _values_of_flows().decode(fields)
        return super().decode(data, at)

    def _read_event(self, parts: list[Any], depth: int) -> Any:
        del depth
        return _class(str(parts[0]))()

    def _read_object(self, parts: list[Any], depth: int) -> Any:
        del depth
        return _class(str(parts[0]))()

    def _read_enum(self, parts: list[Any], _depth: int) -> Any:
        return _class(str(parts[0]))()

    def _read_class(self, parts: list[Any], _depth: int) -> type:
        return _class(str(parts[0]))

    def _read_event_class(self, parts: list[Any], _depth: int) -> Any:
        return _class(str(parts[0]))

    def _read_error(self, parts: list[Any], depth: int) -> BaseException:
        del depth
        return _error(str(parts[0]))(str(parts[1]))


class KeptRun:
    """Follows a run in a journal: feeds an execution with entries as they are read.

    Args:
        info: What the journal says about the run's stream.

    Attributes:
        execution: What has happened so far.
    """

    def __init__(self, info: StreamInfo) -> None:
        self.execution = Execution(name=info.target, run_id=info.stream)
        self._codec: Codec[Any] = Codec(info.stream, KeptValues())

    def read(self, entries: Iterable[Entry]) -> tuple[str, ...]:
        """Take in the next entries, and say which activities they have changed."""
        changed: dict[str, None] = {}
        for entry in entries:
            if entry.kind == OF_A_FUNCTION:
                stream = self._codec.stream
                self._codec = Codec(stream, AS_THEY_COME, registry=life_kinds.REGISTRY)
            if entry.kind == FORKED:
                self.execution.count = entry.n
                continue
            try:
                record = self._codec.decode(entry)
            except UnreadableEntryError:
                self.execution.count = entry.n
                self.execution.unreadable.append(entry.n)
            else:
                changed.update(dict.fromkeys(self.execution.feed(record, entry.n)))
        return tuple(changed)

    def settle(self, info: StreamInfo) -> None:
        """Take over how the run has ended from the journal.

        A step of a flow may fail and be tolerated: of that the records say nothing.
        """
        if info.status in ENDED:
            self.execution.status = info.status


def execution_of(info: StreamInfo, entries: Iterable[Entry]) -> Execution:
    """Make the execution of a run that a journal has.

    Args:
        info: What the journal says about its stream.
        entries: All of it, in order.
    """
    run = KeptRun(info)
    run.read(entries)
    run.settle(info)
    return run.execution


async def read_execution(journal: Journal | str | PathLike[str], run_id: str) -> Execution:
    """Read what has happened in a run from its journal, whatever kind of run it is.

    The run may be going on, in this process or in another. A checkpoint.

    Args:
        journal: The journal, or the path of its file.
        run_id: The run.

    Raises:
        UnknownRunError: The journal has no such run.
        JournalError: It cannot be read.

    Example:
        ```python
        execution = await plait.viz.read_execution("shop.db", "order-17")
        plait.viz.draw_timeline(execution, "order-17.html")
        ```
    """
    kept: Any = SqliteJournal(journal) if isinstance(journal, str | PathLike) else journal
    async with reading(kept, native.current()):
        info = await _info(kept, run_id)
        run = KeptRun(info)
        while page := await kept.read(run_id, after=run.execution.count, limit=PAGE):
            run.read(page)
            if page[-1].n >= info.last_n:
                break
        run.settle(info)
    return run.execution


async def _info(journal: Journal, run_id: str) -> StreamInfo:
    # The stream before it, in the order of code points: `streams` lists those after a name.
    before = run_id[:-1]
    while page := await journal.streams(after=before, limit=PAGE):
        for info in page:
            if info.stream == run_id:
                return info
        before = page[-1].stream
        if before > run_id:
            break
    raise UnknownRunError(f"The journal has no run {run_id!r}.")
