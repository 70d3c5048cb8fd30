"""A scenario: a workflow as a user writes it, whoever looks after its run, and what it must leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import anyio
import attrs

from plait import Run, Runtime, Workflow


@attrs.define(eq=False)
class Witness:
    """Counts bodies that begin and end, and what is opened and closed in which order."""

    #: Where a program may write.
    folder: Path
    began: Counter[str] = attrs.field(factory=Counter)
    ended: Counter[str] = attrs.field(factory=Counter)
    opened: Counter[str] = attrs.field(factory=Counter)
    closed: Counter[str] = attrs.field(factory=Counter)
    made: Counter[str] = attrs.field(factory=Counter)
    #: What is open, the newest last, by the scope that it is in.
    held: dict[str, list[str]] = attrs.field(factory=dict)
    wrong: list[str] = attrs.field(factory=list)
    #: What bodies have failed with.
    raised: list[Exception] = attrs.field(factory=list)
    #: Bodies may run in threads.
    _lock: Lock = attrs.field(factory=Lock)

    @contextmanager
    def body(self, name: str) -> Iterator[None]:
        """See a body, from its begin to the end of its clean-up."""
        with self._lock:
            self.began[name] += 1
        try:
            yield
        except Exception as error:
            self.raised.append(error)
            raise
        finally:
            with self._lock:
                self.ended[name] += 1

    @asynccontextmanager
    async def resource(self, name: str, scope: str) -> AsyncIterator[str]:
        """Be a resource that takes its time, also to close, and does not shield itself."""
        here = self.held.setdefault(scope, [])
        here.append(name)
        try:
            await anyio.sleep(0.5)
            self.opened[name] += 1
            try:
                yield name
            finally:
                await anyio.sleep(0.5)
                self.closed[name] += 1
        finally:
            if here.pop() != name:
                self.wrong.append(f"{name} is closed, and not the newest")
            if not here:
                self.held.pop(scope, None)

    def use(self, name: str, scope: str) -> None:
        """Note if a resource is used that is not open."""
        if name not in self.held.get(scope, ()):
            self.wrong.append(f"{name} is used, and not open")

    def check(self) -> None:
        """Assert that everything that began has ended, in its order."""
        assert self.began == self.ended, "a body has not ended"
        assert self.opened == self.closed, "a resource is open, or was closed twice, or half"
        assert not self.held, "a resource is open"
        assert self.wrong == []


#: Of the scenario that runs: factories of resources belong to no workflow object.
WITNESS: ContextVar[Witness] = ContextVar("WITNESS")


class Program(Workflow[Any]):
    """A workflow that is seen by a witness."""

    def __init__(self, witness: Witness, **options: Any) -> None:
        super().__init__(**options)
        self.witness = witness

    @asynccontextmanager
    async def body(self, name: str, seconds: float = 1) -> AsyncIterator[None]:
        """See a body that cleans up for some time, whoever cancels it."""
        with self.witness.body(name):
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(seconds)


class Scenario:
    """One program, and its user. A subclass says of which workflow."""

    #: What each of its runs gives.
    result: ClassVar[object]
    #: How many runs it has at once.
    count: ClassVar[int] = 1
    #: Does somebody look after the run from outside, so that it cannot just be awaited?
    attended: ClassVar[bool] = False
    #: What its bodies raise. It is not lost if they are cancelled when they have just done so.
    fails: ClassVar[tuple[type[Exception], ...]] = ()
    #: Is time virtual, and are the steps the same each time? Threads and processes take their own.
    virtual: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.witness = Witness(folder)
        self.flow = self.make()
        self.runs: list[Run[Any]] = []
        #: For owners that have them.
        self.runtime: Runtime | None = None
        self.scopes: list[anyio.CancelScope] = []

    def make(self) -> Program:
        """Make the workflow object, which serves all runs."""
        raise NotImplementedError

    def start(self) -> list[Run[Any]]:
        """Make the runs. In an open runtime they start."""
        WITNESS.set(self.witness)
        self.runs = [self.flow.run() for _ in range(self.count)]
        self.scopes = [anyio.CancelScope() for _ in self.runs]
        return self.runs

    async def attend(self, run: Run[Any]) -> None:
        """Look after a run from outside."""

    async def use(self, runs: list[Run[Any]]) -> list[object]:
        """Do what the user does with started runs."""
        for run in runs:
            await self.attend(run)
        return [await run for run in runs]

    def check(self) -> None:
        """Assert that nothing is left of any run."""
        assert all(run.is_done() for run in self.runs)
        self.witness.check()
