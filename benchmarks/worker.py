"""The process of one contender: it waits, runs one sample when told to, and answers with what it cost.

A sample runs the program as often as the session asks, each run timed alone and its answer checked outside of the
timed part. The event loop is started afresh for a sample, and its start is not timed.
"""

import asyncio
import gc
import importlib
import os
import time
import traceback
from collections.abc import Coroutine
from multiprocessing.connection import Connection
from typing import assert_never

import attrs

from benchmarks.contenders import CONTENDERS, Loop
from benchmarks.scenario import Measured, Program, Scenario
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


@attrs.frozen
class Sample:
    """What `repeat` runs cost on average."""

    #: In the scenario's unit.
    cost: float
    #: Seconds that a run took by the clock on the wall.
    wall: float
    #: Seconds of the processor that a run used. Far below `wall` it waited, or somebody else used the core.
    cpu: float


@attrs.frozen
class Order:
    """Run the program at this size, this many times."""

    size: int
    repeat: int


Reply = Ready | Missing | Failed | Sample


def serve(pipe: Connection, scenario: str, contender: str, core: int | None) -> None:
    """Build the program, then answer each `Order` with a `Sample` until the session hangs up."""
    # A peer may greet or log on standard output, which belongs to the report.
    os.dup2(2, 1)
    if core is not None:
        os.sched_setaffinity(0, {core})
    subject = SCENARIOS[scenario]
    try:
        program = subject.entries[contender].build()
    except ModuleNotFoundError as error:
        distribution = CONTENDERS[contender].distributions[0]
        pipe.send(Missing(f"no module {error.name!r}; it comes with {distribution}"))
        return
    except Exception:
        pipe.send(Failed(traceback.format_exc()))
        return
    pipe.send(Ready())
    loop = CONTENDERS[contender].loop
    while True:
        try:
            order: Order = pipe.recv()
        except EOFError:
            return
        # What an earlier sample left behind is not this sample's cost.
        gc.collect()
        try:
            pipe.send(_run(loop, _sample(subject, program, order)))
        except Exception:
            pipe.send(Failed(traceback.format_exc()))


async def _sample(scenario: Scenario, program: Program, order: Order) -> Sample:
    expected = scenario.expected(order.size)
    wall = cpu = cost = 0.0
    for _ in range(order.repeat):
        cpu_start, start = time.process_time(), time.perf_counter()
        answer = await program(order.size)
        seconds = time.perf_counter() - start
        cpu += time.process_time() - cpu_start
        wall += seconds
        if scenario.scale is not None:
            cost += scenario.scale(seconds, order.size)
        else:
            assert isinstance(answer, Measured), "a program without a clock measures itself"
            cost += answer.cost
            answer = answer.answer
        if answer != expected:
            raise AssertionError(f"size {order.size}: expected {expected!r:.200}, got {answer!r:.200}")
    return Sample(cost / order.repeat, wall / order.repeat, cpu / order.repeat)


def _run(loop: Loop, sample: Coroutine[object, object, Sample]) -> Sample:
    match loop:
        case "trio":
            # Not at the top: a contender on asyncio must not pay for Trio, nor the other way round.
            trio = importlib.import_module("trio")

            async def run_sample() -> Sample:
                return await sample

            return trio.run(run_sample)
        case "asyncio":
            return asyncio.run(sample)
        case _:
            assert_never(loop)
