"""The process of one contender: it waits, runs one sample when told to, and answers with what it cost.

A sample runs the program as often as the session asks, each run timed alone and its answer checked outside of the
timed part. The event loop is started afresh for a sample, and its start is not timed.

What is timed is the whole program, by `clock`, or the part of it that the program says.
"""

import asyncio
import gc
import os
import traceback
from collections.abc import Coroutine
from multiprocessing.connection import Connection
from typing import assert_never

import attrs

from benchmarks.clock import Stretch
from benchmarks.contenders import CONTENDERS, Loop
from benchmarks.scenario import Measured, Part, Program, Scenario, Sleep
from benchmarks.scenarios import SCENARIOS


@attrs.frozen
class Ready:
    """The program is built."""


@attrs.frozen
class Missing:
    """The contender is not installed."""

    reason: str


@attrs.frozen
class Failed:
    """The contender raised, or gave a wrong answer."""

    reason: str
    details: str


@attrs.frozen
class Sample:
    """What `repeat` runs cost on average."""

    #: In the scenario's unit.
    cost: float
    #: Seconds of a run by the clock on the wall.
    wall: float
    #: Those of them in which somebody else had the core.
    stolen: float

    @property
    def own(self) -> float:
        """Seconds of a run, had it had the core for itself."""
        return self.wall - self.stolen


@attrs.frozen
class Prepare:
    """Build the program of this scenario."""

    scenario: str


@attrs.frozen
class Order:
    """Run the program at this size, this many times, on this core."""

    size: int
    repeat: int
    core: int | None


Command = Prepare | Order
Reply = Ready | Missing | Failed | Sample


def serve(pipe: Connection, contender: str) -> None:
    """Do what the session says until it hangs up."""
    # A peer may greet or log on standard output, which belongs to the report.
    os.dup2(2, 1)
    loop = CONTENDERS[contender].loop
    scenario, program = next(iter(SCENARIOS.values())), _no_program
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    while True:
        try:
            command: Command = pipe.recv()
        except EOFError:
            return
        reply: Reply
        try:
            match command:
                case Prepare(name):
                    # The imports of all contenders may use all cores.
                    if cores is not None:
                        os.sched_setaffinity(0, cores)
                    scenario = SCENARIOS[name]
                    program = scenario.entries[contender].build(_sleep(loop))
                    reply = Ready()
                case Order(core=core):
                    if core is not None:
                        os.sched_setaffinity(0, {core})
                    # What an earlier sample left behind is not this sample's cost.
                    gc.collect()
                    reply = _run(loop, _sample(scenario, program, command))
        except ModuleNotFoundError as error:
            distribution = CONTENDERS[contender].distributions[0]
            reply = Missing(f"no module {error.name!r}; it comes with {distribution}")
        except Exception as error:
            cause: BaseException = error
            while isinstance(cause, BaseExceptionGroup):
                cause = cause.exceptions[0]
            reply = Failed(f"{type(cause).__name__}: {cause}", traceback.format_exc())
        pipe.send(reply)


async def _no_program(size: int) -> object:
    raise AssertionError("an order before there is a program")


async def _sample(scenario: Scenario, program: Program, order: Order) -> Sample:
    expected = scenario.expected(order.size)
    wall = lost = cost = 0.0
    for _ in range(order.repeat):
        with Stretch() as stretch:
            answer = await program(order.size)
        wall, lost = wall + stretch.wall, lost + stretch.stolen
        if scenario.scale is not None:
            if isinstance(answer, Part):
                stretch, answer = answer.stretch, answer.answer
            cost += scenario.scale(stretch.own, order.size)
        else:
            assert isinstance(answer, Measured), "a program without a clock measures itself"
            cost += answer.cost
            answer = answer.answer
        if answer != expected:
            raise AssertionError(
                f"size {order.size}: expected {expected!r:.200}, got {answer!r:.200}"
            )
    return Sample(cost / order.repeat, wall / order.repeat, lost / order.repeat)


def _sleep(loop: Loop) -> Sleep:
    if loop == "asyncio":
        return asyncio.sleep
    # Here and below, not at the top: a contender on asyncio must not pay for Trio.
    from trio import sleep

    return sleep


def _run(loop: Loop, sample: Coroutine[object, object, Sample]) -> Sample:
    match loop:
        case "trio":
            import trio

            async def run_sample() -> Sample:
                return await sample

            return trio.run(run_sample)
        case "asyncio":
            return asyncio.run(sample)
        case _:
            assert_never(loop)
