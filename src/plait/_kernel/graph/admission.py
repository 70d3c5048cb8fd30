"""What is said of a step when all that it waits for has come to its end.

The kernel asks once for each step, and records what it was told. Who answers knows the step's
conditions, its items, and what an earlier run has left: that is the strand's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import attrs


@attrs.frozen
class Go:
    """It runs: so many deliveries, of which some need no body, since their results are known."""

    count: int = 1
    reused: Mapping[int, object] = attrs.field(factory=dict[int, object])


@attrs.frozen
class Leave:
    """It was told not to run. Those that wait for it may, if they wait for others as well."""


@attrs.frozen
class Broken:
    """What it was to be asked for cannot be found out: it has failed without having run."""

    error: Exception


Verdict: TypeAlias = Go | Leave | Broken
Admit: TypeAlias = Callable[[str], Verdict]

ONCE: Final = Go()


def everyone(step: str) -> Verdict:  # noqa: ARG001 - as `Admit` asks for
    """Let each step run once."""
    return ONCE
