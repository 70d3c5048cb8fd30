"""What the programs share: a witness, a unit of time, and what a run of them must come to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import attrs

from plait import Context, Event, JsonSerializer, Workflow
from plait.abc import Journal
from tests.faults.journal.witness import Witness


class Program(Workflow[Any]):
    """A workflow whose bodies have a witness.

    Each event of a program has a number of its own among those of its class, which the witness is
    told as the body's item: so a body with another key for the same item is a doubled event.
    """

    #: Classes that its annotations do not mention.
    others: tuple[type[Event], ...] = ()

    def __init__(self, witness: Witness, unit: float = 1.0, **options: Any) -> None:
        super().__init__(serializer=JsonSerializer([*self.others]), **options)
        self.witness = witness
        self.unit = unit

    async def sleep(self, units: float) -> None:
        """Let time pass: seconds of a virtual clock, little on a real one."""
        await anyio.sleep(units * self.unit)

    def body(self, ctx: Context, item: object = "") -> AbstractAsyncContextManager[None]:
        """Say what the body of a step does."""
        return self.witness.body(ctx, item)


@attrs.frozen(kw_only=True)
class Case:
    """A program, and what its runs must come to."""

    make: Callable[..., Program]
    #: Is this the result, or the error that is raised?
    right: Callable[[Any], bool]
    fields: dict[str, Any] = attrs.field(factory=dict)
    options: dict[str, Any] = attrs.field(factory=dict)
    #: Does a human answer what it asks?
    asks: bool = False
    #: Has each retry a worker as soon as it is due?
    prompt: bool = False
    #: What its stream must have, and whether a body that runs again may write it again.
    streams: tuple[str, ...] = ()
    #: Must every body come to its end, the ones too that run when the run is decided?
    finishes: bool = False

    @property
    def name(self) -> str:
        return self.make.__name__

    def flow(self, witness: Witness, journal: Journal, unit: float = 1.0) -> Program:
        """Make the workflow object of one process."""
        return self.make(witness, unit, journal=journal, **self.options)
