"""What a scenario is: what is timed, at which sizes, what the answer must be, and who takes part how."""

from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from benchmarks.clock import Stretch
from benchmarks.contenders import CONTENDERS

#: Does the work of one sample at a size, and returns the answer.
Program = Callable[[int], Awaitable[object]]
#: `sleep` of the contender's event loop.
Sleep = Callable[[float], Awaitable[object]]
#: Imports what the program needs and defines its steps; not timed.
Builder = Callable[[Sleep], Program]

#: Stands for the fastest peer of the scenario in a `Ratio`.
FASTEST_PEER: Final = "fastest_peer"


@attrs.frozen
class Measured:
    """The answer of a program that does its own measuring (bytes, the time of a part)."""

    cost: float
    answer: object


@attrs.frozen
class Part:
    """The answer of a program of which only a part is timed: not how a file is made and opened."""

    stretch: Stretch
    answer: object


@attrs.frozen
class Entry:
    """How one contender takes part."""

    build: Builder
    #: The largest size it is asked for: some peers are quadratic.
    limit: int | None = None


@attrs.frozen
class Ratio:
    """`subject`'s cost over that of `over`, at the reference size."""

    subject: str
    over: str


@attrs.frozen
class Cost:
    """A contender's cost at the reference size, in the scenario's unit."""

    subject: str


@attrs.frozen
class Equivalent:
    """A contender's cost at the reference size in its unit-equivalent, such as µs-equivalent."""

    subject: str


@attrs.frozen
class Growth:
    """A contender's cost at its largest size over that at `Scenario.growth_from`."""

    subject: str


Quantity = Ratio | Cost | Equivalent | Growth


@attrs.frozen
class Target:
    """What a quantity must be for the first version, and what it should become."""

    quantity: Quantity
    first: float | None = None
    goal: float | None = None
    #: A ratio of the kind "20 times faster than" must be at least, everything else at most, the figure.
    at_least: bool = False


@attrs.define(eq=False)
class Scenario:
    """One table of the report."""

    name: str
    title: str
    #: What one figure is: "µs per hop".
    unit: str
    about: str
    sizes: tuple[int, ...]
    quick_sizes: tuple[int, ...]
    #: The size at which contenders are compared.
    reference: int
    #: The answer that a program must give at a size.
    expected: Callable[[int], object]
    #: From the seconds of one run at a size to the unit. `None`: the programs measure themselves.
    scale: Callable[[float, int], float] | None = lambda seconds, size: seconds / size * 1e6
    #: Growth is the cost at the largest size over the cost at this one; `None`: not of interest.
    growth_from: int | None = None
    targets: tuple[Target, ...] = ()
    #: Whether a ratio says anything: not where most have next to nothing.
    ratios: bool = True
    #: Whether figures can be compared across machines as µs-equivalent.
    equivalent: bool = True
    #: In so many times as many rounds: a ratio that is to be known to a few percent needs them.
    rounds: int = 1
    entries: dict[str, Entry] = attrs.field(factory=dict[str, Entry], init=False)

    def contender(self, *keys: str, limit: int | None = None) -> Callable[[Builder], Builder]:
        """Let the decorated function build the program of the contenders that `keys` name."""
        assert not set(keys) - set(CONTENDERS), "a contender that contenders.py does not know"

        def register(build: Builder) -> Builder:
            self.entries.update({key: Entry(build, limit) for key in keys})
            return build

        return register
