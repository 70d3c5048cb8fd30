"""One scenario, run: a process for each contender, interleaved rounds, and what came of it.

The session decides how often a program is run in a sample (a sample that lasts a few microseconds measures the
clock) and in how many rounds a slow contender takes part. Both follow from what the contender was seen to cost.
"""

import multiprocessing
import os
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Final

import attrs

from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.scenario import Scenario
from benchmarks.worker import Failed, Missing, Order, Ready, Reply, Sample, serve

#: Floor b's µs per hop of the longest chain on the machine on which the goals were set.
REFERENCE_HOP: Final = 6.0
#: Where the yardstick is taken: contender, scenario, size.
YARDSTICK: Final = ("floor_b", "chain", 10_000)


@attrs.frozen
class Effort:
    """How much time a session may take."""

    rounds: int
    #: Seconds that a sample should last at least.
    sample: float
    #: Seconds for all rounds of one contender at one size; a slow one takes part in fewer.
    cell: float
    #: Seconds after which a contender counts as hanging.
    patience: float = 300.0
    quick: bool = False


FULL: Final = Effort(rounds=7, sample=0.06, cell=8.0)
QUICK: Final = Effort(rounds=3, sample=0.02, cell=0.8, quick=True)


@attrs.define
class Outcome:
    """What a scenario cost everybody."""

    scenario: Scenario
    sizes: tuple[int, ...]
    #: By contender and size: a sample for each round, `None` where it sat the round out.
    samples: dict[tuple[str, int], list[Sample | None]]
    #: µs per hop of the yardstick, a figure for each round.
    yardstick: list[float]
    #: Why a contender has no row.
    absent: dict[str, str]
    #: Those of `absent` that were there and went wrong.
    failed: set[str] = attrs.field(factory=set[str])

    @property
    def reference(self) -> int:
        """The size at which contenders are compared."""
        wanted = self.scenario.reference
        return wanted if wanted in self.sizes else self.sizes[-1]

    def present(self) -> list[str]:
        """The contenders with figures, in the order of the tables."""
        keys = {key for key, _ in self.samples}
        return [key for key in CONTENDERS if key in keys]

    def largest(self, key: str) -> int:
        """The largest size at which a contender has figures, but not beyond the reference."""
        return max(size for size in self.sizes if size <= self.reference and (key, size) in self.samples)

    def cost(self, key: str, size: int) -> float | None:
        """The median over the rounds."""
        samples = [sample.cost for sample in self.samples.get((key, size), ()) if sample]
        return statistics.median(samples) if samples else None

    def spread(self, key: str, size: int) -> float:
        """Half the distance of the quartiles over the median: how far to trust `cost`."""
        costs = [sample.cost for sample in self.samples[key, size] if sample]
        if len(costs) < 2:
            return 0.0
        lower, median, upper = statistics.quantiles(costs, n=4, method="inclusive")
        return (upper - lower) / 2 / median

    def ratio(self, subject: str, over: str) -> float | None:
        """The median of the ratios of single rounds, at the largest size that both have."""
        if not {subject, over} <= set(self.present()):
            return None
        size = min(self.largest(subject), self.largest(over))
        pairs = zip(self.samples[subject, size], self.samples[over, size], strict=True)
        ratios = [a.cost / b.cost for a, b in pairs if a and b and b.cost]
        return statistics.median(ratios) if ratios else None

    def growth(self, key: str) -> float | None:
        """The cost at the contender's largest size over the cost at `Scenario.growth_from`."""
        base = self.scenario.growth_from
        sizes = [size for size in self.sizes if (key, size) in self.samples]
        if base is None or base not in sizes or sizes[-1] == base:
            return None
        pairs = zip(self.samples[key, sizes[-1]], self.samples[key, base], strict=True)
        ratios = [a.cost / b.cost for a, b in pairs if a and b and b.cost]
        return statistics.median(ratios) if ratios else None

    def equivalent(self, key: str) -> float | None:
        """The cost at the reference size on the machine on which the goals were set."""
        samples = self.samples.get((key, self.reference))
        if samples is None or not self.scenario.equivalent:
            return None
        pairs = zip(samples, self.yardstick, strict=True)
        return statistics.median(s.cost * REFERENCE_HOP / hop for s, hop in pairs if s)

    def contention(self) -> float:
        """Wall time over processor time of the floors: above 1 somebody else used the core."""
        shares = [
            sample.wall / sample.cpu
            for (key, _), samples in self.samples.items()
            for sample in samples
            if sample and sample.cpu and CONTENDERS[key].family == "floor"
        ]
        return statistics.median(shares) if shares else 1.0


class ContenderError(Exception):
    """A contender raised, hung, died or gave a wrong answer."""


@attrs.define(eq=False)
class Worker:
    """The session's end of a contender's process."""

    pipe: Connection
    patience: float

    def receive(self) -> Reply:
        """The next answer.

        Raises:
            ContenderError: There was none in time, or it was an error.
        """
        if not self.pipe.poll(self.patience):
            raise ContenderError(f"no answer within {self.patience:.0f} s")
        try:
            reply: Reply = self.pipe.recv()
        except EOFError:
            raise ContenderError("its process ended") from None
        if isinstance(reply, Failed):
            raise ContenderError(reply.reason)
        return reply

    def sample(self, size: int, repeat: int) -> Sample:
        """Run the program.

        Raises:
            ContenderError: It failed.
        """
        self.pipe.send(Order(size, repeat))
        reply = self.receive()
        assert isinstance(reply, Sample), reply
        return reply


@contextmanager
def _worker(scenario: str, contender: str, core: int | None, patience: float) -> Iterator[Worker]:
    # Spawned, not forked: a contender must start from a clean interpreter.
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(
        target=serve, args=(theirs, scenario, contender, core), daemon=True, name=f"{contender} {scenario}"
    )
    process.start()
    theirs.close()
    try:
        yield Worker(ours, patience)
    finally:
        ours.close()
        process.join(1)
        if process.is_alive():
            process.kill()
            process.join()


def core_of_the_session() -> int | None:
    """The core that every contender is pinned to, or `None` where the platform cannot."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def measure(
    scenario: Scenario, contenders: list[Contender], effort: Effort, tell: Callable[[str], None]
) -> Outcome:
    """Run all rounds of a scenario."""
    outcome = Outcome(
        scenario, scenario.quick_sizes if effort.quick else scenario.sizes, {}, [], {}
    )
    core = core_of_the_session()
    with ExitStack() as stack:

        def start(scenario_name: str, key: str) -> Worker:
            return stack.enter_context(_worker(scenario_name, key, core, effort.patience))

        keys = [contender.key for contender in contenders if contender.key in scenario.entries]
        yardstick = start(YARDSTICK[1], YARDSTICK[0])
        # All are started before the first is waited for: the imports of two cores' worth run at a time.
        workers = {key: start(scenario.name, key) for key in keys}
        yardstick.receive()
        for key, worker in [*workers.items()]:
            try:
                reply = worker.receive()
                if isinstance(reply, Missing):
                    outcome.absent[key] = reply.reason
                    del workers[key]
                    continue
                assert isinstance(reply, Ready), reply
            except ContenderError as error:
                _fail(outcome, workers, key, error, tell)
        pace = _Pace(scenario, effort, outcome.sizes)
        for key, worker in [*workers.items()]:
            try:
                pace.warm(key, worker)
            except ContenderError as error:
                _fail(outcome, workers, key, error, tell)
        for number in range(effort.rounds):
            tell(f"{scenario.name}: round {number + 1} of {effort.rounds}")
            outcome.yardstick.append(yardstick.sample(YARDSTICK[2], 1).cost)
            for size in outcome.sizes:
                order = [*workers]
                turn = number % len(order) if order else 0
                for key in order[turn:] + order[:turn]:
                    limit = scenario.entries[key].limit
                    if limit is not None and size > limit:
                        continue
                    samples = outcome.samples.setdefault((key, size), [])
                    try:
                        samples.append(pace.sample(key, workers[key], size))
                    except ContenderError as error:
                        _fail(outcome, workers, key, error, tell)
    return outcome


def _fail(
    outcome: Outcome,
    workers: dict[str, Worker],
    key: str,
    error: ContenderError,
    tell: Callable[[str], None],
) -> None:
    """Take a contender out, with all its figures: half a row would look like a measurement."""
    del workers[key]
    outcome.samples = {where: value for where, value in outcome.samples.items() if where[0] != key}
    outcome.absent[key] = str(error).strip().splitlines()[-1]
    outcome.failed.add(key)
    tell(f"{outcome.scenario.name}: {key} failed\n{error}")


@attrs.define
class _Pace:
    """How often a program runs in a sample, and in how many rounds it takes part."""

    scenario: Scenario
    effort: Effort
    sizes: tuple[int, ...]
    #: Seconds of one run for one unit of size, as last seen: the guess for the next, larger size.
    guess: dict[str, float] = attrs.field(factory=dict[str, float])
    repeat: dict[tuple[str, int], int] = attrs.field(factory=dict[tuple[str, int], int])
    spent: dict[tuple[str, int], list[float]] = attrs.field(factory=dict[tuple[str, int], list[float]])

    def warm(self, key: str, worker: Worker) -> None:
        """Run what is done once only (imports, caches, validation), and take the first guess."""
        size = self.sizes[0]
        worker.sample(size, 1)
        self.guess[key] = worker.sample(size, 3).wall / size

    def sample(self, key: str, worker: Worker, size: int) -> Sample | None:
        spent = self.spent.setdefault((key, size), [])
        if spent and sum(spent) + max(spent) > self.effort.cell:
            return None
        if (key, size) not in self.repeat:
            wanted = self.effort.sample / (self.guess[key] * size)
            own = self.scenario.scale is None
            self.repeat[key, size] = 1 if own else max(1, min(2_000, round(wanted)))
        repeat = self.repeat[key, size]
        sample = worker.sample(size, repeat)
        self.guess[key] = sample.wall / size
        spent.append(sample.wall * repeat)
        return sample
