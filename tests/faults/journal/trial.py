"""One trial: a program, what goes wrong in each of its lives, and the verdict."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from random import Random
from typing import Final

import attrs

from .disk import Plot
from .judge import faults
from .lives import Story, on_asyncio, on_trio
from .programs.every import CASES

#: A program that appends no more than this does not do what it is for.
FEW: Final = 3


@attrs.frozen
class Trial:
    """A story that can be told again."""

    case: str
    plots: tuple[Plot, ...] = ()
    seed: int = 0
    #: Is the disk slow?
    slow: bool = False
    #: Seconds from a death to the next life.
    pause: float = 0
    asyncio: bool = False

    def live(self) -> Story:
        """Live it."""
        case = CASES[self.case]
        if self.asyncio:
            return on_asyncio(case, self.plots)
        return on_trio(case, self.plots, seed=self.seed, slow=self.slow, pause=self.pause)

    def wrong(self) -> str:
        """Live it, and say what is wrong in a line that repeats it; "" if nothing is."""
        try:
            found = faults(self.live())
        except Exception as error:  # noqa: BLE001 - it is told with the line
            found = [f"{type(error).__name__}: {error}"]
        return f"{self.line}  # {' '.join(found[0].split())[:400]}" if found else ""

    @property
    def line(self) -> str:
        """The command that repeats it."""
        words = [self.case, *map(str, self.plots)]
        words += [f"--seed={self.seed}"] * bool(self.seed)
        words += ["--slow"] * self.slow + [f"--pause={self.pause}"] * bool(self.pause)
        words += ["--asyncio"] * self.asyncio
        return "python -m tests.faults.journal " + shlex.join(words)


def appends(case: str, *, slow: bool = False) -> int:
    """Count the appends of a life in which nothing goes wrong."""
    life = Trial(case, slow=slow).live().lives[0]
    assert life.ended
    assert life.appends > FEW
    return life.appends


def each_point(case: str, hows: tuple[str, ...], *, slow: bool = False) -> Iterator[Trial]:
    """Let it die at each append, in each of these ways, with and without a long time until it is found."""
    for at in range(1, appends(case, slow=slow) + 1):
        for how in hows:
            plots = (Plot.of(f"{at}:{how}"),)
            yield Trial(case, plots, at, slow, pause=at % 3 * 5)


def some_series(case: str, count: int, *, slow: bool = False) -> Iterator[Trial]:
    """Let it die, and die again when it is taken up; also by a full disk, and politely."""
    random = Random(f"series {case} {slow}")
    last = appends(case, slow=slow)
    for seed in range(count):
        hows = random.choices(("before", "unanswered", "answered", "leave", "full"), k=4)
        plots = [Plot.of(f"{random.randint(1, last)}:{how}") for how in hows]
        rest = [Plot.of(f"{random.randint(1, 6)}:{how}") for how in hows[1 : random.randint(2, 4)]]
        yield Trial(case, (plots[0], *rest), seed, slow, pause=random.choice((0, 3, 30)))
