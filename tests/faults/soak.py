"""A mixed load in real time: python -m tests.faults.soak --seconds 60

Workflows of all kinds run, fail, are cancelled and time out, over and over. Every few seconds a line
says what that costs an event and what is held: objects, resident memory, descriptors, threads, tasks.
At the end the second half is compared with the first: none of them may have risen.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

import attrs
import trio

from plait.errors import WorkflowCancelledByUser
from tests.faults import owners
from tests.faults.scenarios import company, gathering, trouble, world
from tests.faults.scenarios.scenario import Scenario
from tests.faults.ways import only
from tests.leaks import Belongings

#: Those that take no hours, and no processes: the five seconds that Trio gives one to end are short here.
LOAD: tuple[type[Scenario], ...] = (
    gathering.Resources,
    gathering.Joins,
    gathering.Races,
    gathering.Store,
    trouble.Timeouts,
    trouble.Limiter,
    trouble.Crowd,
    trouble.Stepwise,
    company.Nested,
    company.Human,
    company.Reader,
    world.Threads,
    world.Files,
)
OWNERS = (owners.block, owners.nursery)
#: What may come and go: memory is handed out in pages, and a measure has its chance.
SLACK = {
    "objects": 1.01,
    "kilobytes": 1.1,
    "descriptors": 1,
    "threads": 1,
    "tasks": 1,
    "cost": 1.25,
}


class Brisk(trio.abc.Clock):
    """A clock that runs a thousand times as fast: what sleeps a second here sleeps a millisecond."""

    def __init__(self, rate: float = 1000) -> None:
        self._rate = rate
        self._began = time.perf_counter()

    def start_clock(self) -> None:
        """Begin at 0."""
        self._began = time.perf_counter()

    def current_time(self) -> float:
        """Say how late it is."""
        return (time.perf_counter() - self._began) * self._rate

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Say how long to sleep in real time."""
        return (deadline - self.current_time()) / self._rate


@attrs.frozen
class Sample:
    """What is held after a round, and what an event of it has cost in microseconds."""

    objects: int
    kilobytes: int
    descriptors: int
    threads: int
    tasks: int
    cost: float


def resident() -> int:
    """Say how much memory the process has, in kilobytes; 0 where nobody tells."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return 0
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def look(cost: float) -> Sample:
    """Take a sample, without what is only garbage."""
    gc.collect()
    now, tasks = Belongings.now(), trio.lowlevel.current_statistics().tasks_living
    held = len(gc.get_objects())
    return Sample(held, resident(), len(now.descriptors), len(now.threads), tasks, cost)


async def one(scenario: Scenario, dice: random.Random) -> None:
    """Run a scenario to its end, or cancel it somewhere on the way."""
    owner, patience = dice.choice(OWNERS), dice.choice([1, 3, 10, 1_000_000])
    scope = trio.CancelScope(deadline=trio.current_time() + patience)
    with scope, only(*scenario.fails, WorkflowCancelledByUser):
        await owner(scenario, scenario.use)
    scenario.check()
    scenario.witness.raised.clear()


async def load(seconds: float, every: float, seed: int, folder: Path) -> list[Sample]:
    """Go round after round, the same workflow objects all the time."""
    dice = random.Random(seed)
    scenarios = [make(folder) for make in LOAD]
    samples: list[Sample] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began, runs = time.process_time(), 0
        stop = time.perf_counter() + every
        while time.perf_counter() < stop:
            for scenario in scenarios:
                await one(scenario, dice)
                runs += scenario.count
        samples.append(look((time.process_time() - began) / runs * 1e6))
    return samples


def soak(seconds: float, *, every: float | None = None, seed: int = 0) -> list[Sample]:
    """Run the load, and return the samples."""
    with tempfile.TemporaryDirectory() as folder:
        every = every or max(0.5, seconds / 20)
        return trio.run(load, seconds, every, seed, Path(folder), clock=Brisk())


def risen(samples: list[Sample], *names: str) -> dict[str, tuple[float, float]]:
    """Compare the last third with what came before it, without the warm-up."""
    samples = samples[len(samples) // 4 :]
    cut = max(1, len(samples) * 2 // 3)
    found = {}
    for name in names:
        before, after = (
            statistics.median(getattr(sample, name) for sample in part)
            for part in (samples[:cut], samples[cut:] or samples[-1:])
        )
        if after > before * SLACK[name]:
            found[name] = before, after
    return found


def main() -> int:
    """Soak, print, and say if something has risen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    samples = soak(asked.seconds, seed=asked.seed)
    for sample in samples:
        print(
            f"{sample.cost:8.0f} µs a run  {sample.objects:8} objects  {sample.kilobytes:8} KiB  "
            f"{sample.descriptors:3} descriptors  {sample.threads} threads  {sample.tasks} tasks"
        )
    found = risen(samples, *SLACK)
    print(
        "\n".join(f"{name} rose from {a:.0f} to {b:.0f}" for name, (a, b) in found.items())
        or "flat"
    )
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main())
