"""What bodies really do, seen from outside the engine: what they are given, told, and how they end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Hashable, Mapping
from contextlib import contextmanager
from typing import Any

import attrs
import trio

from plait._engine.attempt import Attempt
from plait._engine.lane import Body, Work
from plait._engine.run import Run
from plait._engine.shell import Shell
from plait._ids import DeliveryId
from plait._kernel.collecting import Shape

from ._cut_short import CutShort, cut_short


@attrs.frozen
class Call:
    """A call of `collect_events`, and what it was told."""

    delivery: DeliveryId
    event: object
    shape: Shape
    buffer_id: str
    key: Hashable
    batch: tuple[object, ...] | None


@attrs.define
class Watch:
    """The bodies of one run. To be made before the run starts."""

    #: How often the body of each delivery has begun, and with what.
    begun: Counter[DeliveryId] = attrs.field(factory=Counter[DeliveryId])
    inputs: dict[DeliveryId, object] = attrs.field(factory=dict[DeliveryId, object])
    #: The bodies that have not ended, and how many of them are in threads.
    running: list[Attempt] = attrs.field(factory=list[Attempt])
    calls: list[Call] = attrs.field(factory=list[Call])
    cut_short: list[tuple[str, CutShort]] = attrs.field(factory=list[tuple[str, CutShort]])
    #: Capacity limiters that steps share.
    limiters: list[trio.CapacityLimiter] = attrs.field(factory=list[trio.CapacityLimiter])

    @contextmanager
    def over(self, run: Run[Any]) -> Generator[None]:
        """Watch a run, for a block."""
        shell = run._shell
        bind, collect = shell._bind, Attempt.collect

        def binding(shell: Shell) -> Mapping[str, Work]:
            return {name: self._watched(work) for name, work in bind(shell).items()}

        def collecting(
            attempt: Attempt, event: object, shape: Shape, buffer_id: str, key: Hashable
        ) -> tuple[object, ...] | None:
            batch = collect(attempt, event, shape, buffer_id, key)
            if attempt.shell is shell:
                number = attempt.delivery.number
                self.calls.append(Call(number, event, shape, buffer_id, key, batch))
            return batch

        shell._bind = binding
        setattr(Attempt, "collect", collecting)  # noqa: B010 - a checker would ask for a method
        try:
            yield
        finally:
            setattr(Attempt, "collect", collect)  # noqa: B010 - as above

    @property
    def threads(self) -> bool:
        """Is a body in a thread? Then time that passes says nothing."""
        return any(attempt.threaded for attempt in self.running)

    def _watched(self, work: Work) -> Work:
        body: Body = work.body
        if isinstance(work.limiter, trio.CapacityLimiter):
            self.limiters.append(work.limiter)

        async def watched(attempt: Attempt) -> object:
            number = attempt.delivery.number
            self.begun[number] += 1
            self.inputs[number] = attempt.delivery.event
            self.running.append(attempt)
            try:
                return await body(attempt)
            except BaseException as error:
                step = attempt.delivery.step
                self.cut_short += [(f"{step}#{number}", found) for found in cut_short(error)]
                raise
            finally:
                self.running.remove(attempt)

        return attrs.evolve(work, body=watched)
