"""Outputs: what is taken from the data of a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import attrs

from plait._abc import JSON

from .grammar import Out
from .problems import Path, Place, Problems


class OutputError(Exception):
    """An output cannot be taken. `message` says why; its kind is `"output"`."""

    kind = "output"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@attrs.frozen(eq=False, kw_only=True)
class Output:
    """A checked output."""

    name: str
    step: str
    type: Literal["raw", "json", "jmespath"]
    secret: bool
    definition: Mapping[str, JSON]


def compile_outputs(
    outs: Sequence[Out],
    *,
    step: str,
    provider: str,
    place: Callable[[Path], Place],
    problems: Problems,
    compat: bool = False,
) -> tuple[Output, ...]:
    """Check the outputs of a step: names, types, selectors. Reports all of section 13 about outputs."""
    raise NotImplementedError


def take(
    outputs: Sequence[Output],
    data: JSON,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    warn: Callable[[str], object],
) -> dict[str, JSON]:
    """Take the outputs from the data of a call. Raises OutputError."""
    raise NotImplementedError


def jmespath_function(data: JSON) -> Callable[[str], object]:
    """Make the `jmespath(expr)` that templates have with `pass_to: template`."""
    raise NotImplementedError
