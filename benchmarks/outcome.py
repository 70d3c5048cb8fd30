"""What came of a scenario: medians over rounds, and ratios of contenders that ran in the same round."""

import statistics
from typing import Final

import attrs

from benchmarks.contenders import CONTENDERS
from benchmarks.scenario import Scenario
from benchmarks.worker import Sample

#: Floor b's µs per hop of the longest chain on the machine on which the goals were set.
REFERENCE_HOP: Final = 6.0


@attrs.define
class Outcome:
    """What a scenario cost everybody."""

    scenario: Scenario
    sizes: tuple[int, ...]
    #: By contender and size: a sample for each round, `None` where it sat the round out.
    samples: dict[tuple[str, int], list[Sample | None]] = attrs.field(
        factory=dict[tuple[str, int], list[Sample | None]]
    )
    #: µs per hop of the yardstick, a figure for each round.
    yardstick: list[float] = attrs.field(factory=list[float])
    #: Why a contender has no row.
    absent: dict[str, str] = attrs.field(factory=dict[str, str])
    #: Those of `absent` that were there and went wrong.
    failed: set[str] = attrs.field(factory=set[str])

    def fail(self, key: str, reason: str) -> None:
        """Take a contender out, with all its figures: half a row would look like a measurement."""
        self.samples = {where: value for where, value in self.samples.items() if where[0] != key}
        self.absent[key] = reason
        self.failed.add(key)

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
        return max(
            size for size in self.sizes if size <= self.reference and (key, size) in self.samples
        )

    def cost(self, key: str, size: int) -> float | None:
        """The median over the rounds."""
        samples = [sample.cost for sample in self.samples.get((key, size), ()) if sample]
        return statistics.median(samples) if samples else None

    def spread(self, key: str, size: int) -> float | None:
        """Half the distance of the quartiles over the median: how far to trust `cost`.

        `None` if there was one round only, or if it costs nothing that could be measured.
        """
        costs = [sample.cost for sample in self.samples[key, size] if sample]
        if len(costs) < 2:
            return None
        lower, median, upper = statistics.quantiles(costs, n=4, method="inclusive")
        return (upper - lower) / 2 / median if median else None

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

    def stolen(self) -> float:
        """The share of the time on the wall in which somebody else had the core."""
        taken = [sample for samples in self.samples.values() for sample in samples if sample]
        return sum(sample.stolen for sample in taken) / (sum(sample.wall for sample in taken) or 1)
