"""One scenario, run: interleaved rounds over everybody who takes part.

The session decides how often a program is run in a sample (a sample that lasts a few microseconds measures the
clock) and in how many rounds a slow contender takes part. Both follow from what the contender was seen to cost.
"""

from collections.abc import Callable
from typing import Final

import attrs

from benchmarks.contenders import Contender
from benchmarks.outcome import Outcome
from benchmarks.pool import ContenderError, NotInstalledError, Pool, Worker, quiet_core
from benchmarks.scenario import Scenario
from benchmarks.worker import Sample

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
    #: Seconds of a single run beyond which a contender sits a size out.
    longest: float
    quick: bool = False


FULL: Final = Effort(rounds=7, sample=0.06, cell=8.0, longest=60.0)
QUICK: Final = Effort(rounds=3, sample=0.02, cell=0.5, longest=1.5, quick=True)

#: Hears what the session does.
Tell = Callable[[str], None]


def measure(
    scenario: Scenario, contenders: list[Contender], effort: Effort, pool: Pool, tell: Tell
) -> Outcome:
    """Run all rounds of a scenario."""
    sizes = scenario.quick_sizes if effort.quick else scenario.sizes
    outcome = Outcome(scenario, sizes)
    keys = [contender.key for contender in contenders if contender.key in scenario.entries]
    tell(f"{scenario.name}: {', '.join(keys)}")
    # All are told before the first is waited for, so that their imports use all cores.
    yardstick = pool.prepare(YARDSTICK[1], YARDSTICK[0], role="yardstick")
    workers = {key: pool.prepare(scenario.name, key) for key in keys}
    yardstick.receive()
    pace = _Pace(scenario, effort, quiet_core())

    def attempt(key: str, what: Callable[[Worker], object]) -> None:
        """Do `what` with a worker, and take the contender out if that fails."""
        try:
            what(workers[key])
        except NotInstalledError as error:
            del workers[key]
            outcome.absent[key] = str(error)
        except ContenderError as error:
            del workers[key]
            pool.dismiss(key)
            outcome.fail(key, str(error))
            tell(f"{scenario.name}: {key} failed: {error}\n{error.details}")

    def sample(key: str, size: int) -> None:
        attempt(
            key,
            lambda worker: outcome.samples.setdefault((key, size), []).append(
                pace.sample(key, worker, size)
            ),
        )

    for key in keys:
        attempt(key, lambda worker: worker.receive())
    for key in [*workers]:
        attempt(key, lambda worker, key=key: pace.warm(key, worker, sizes[0]))
    rounds = effort.rounds * scenario.rounds
    for number in range(rounds):
        tell(f"{scenario.name}: round {number + 1} of {rounds}")
        outcome.yardstick.append(yardstick.sample(YARDSTICK[2], 1, pace.core).cost)
        for size in sizes:
            order = [*workers]
            turn = number % len(order) if order else 0
            for key in order[turn:] + order[:turn]:
                if not pace.too_long(key, size):
                    sample(key, size)
    return outcome


@attrs.define
class _Pace:
    """How often a program runs in a sample, and in how many rounds it takes part."""

    scenario: Scenario
    effort: Effort
    core: int | None
    #: Seconds of one run for one unit of size, as last seen: the guess for the next, larger size.
    guess: dict[str, float] = attrs.field(factory=dict[str, float])
    repeat: dict[tuple[str, int], int] = attrs.field(factory=dict[tuple[str, int], int])
    sat_out: dict[tuple[str, int], bool] = attrs.field(factory=dict[tuple[str, int], bool])
    spent: dict[tuple[str, int], list[float]] = attrs.field(
        factory=dict[tuple[str, int], list[float]]
    )

    def warm(self, key: str, worker: Worker, size: int) -> None:
        """Run what is done once only (imports, caches, validation), and take the first guess."""
        first = worker.sample(size, 1, self.core)
        again = worker.sample(size, 3, self.core) if first.own < 0.05 else first
        self.guess[key] = again.own / size

    def too_long(self, key: str, size: int) -> bool:
        """Whether a contender sits a size out; decided once, so that its rounds stay aligned."""
        if (key, size) not in self.sat_out:
            limit = self.scenario.entries[key].limit
            # Who measures itself also waits until memory settles, whatever the size.
            predicted = 0.0 if self.scenario.scale is None else self.guess[key] * size
            self.sat_out[key, size] = (limit is not None and size > limit) or (
                predicted > self.effort.longest
            )
        return self.sat_out[key, size]

    def sample(self, key: str, worker: Worker, size: int) -> Sample | None:
        """Run the program at a size, or sit the round out if enough time went into it already."""
        spent = self.spent.setdefault((key, size), [])
        if spent and sum(spent) + max(spent) > self.effort.cell * self.scenario.rounds:
            return None
        if (key, size) not in self.repeat:
            wanted = self.effort.sample / (self.guess[key] * size)
            own = self.scenario.scale is None
            self.repeat[key, size] = 1 if own else max(1, min(2_000, round(wanted)))
        repeat = self.repeat[key, size]
        sample = worker.sample(size, repeat, self.core)
        self.guess[key] = sample.own / size
        spent.append(sample.own * repeat)
        return sample
