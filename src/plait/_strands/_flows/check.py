"""Everything that can be known about flow files before they run, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from .checked import CheckedFlow
from .checked import CheckedSource as CheckedSource
from .checked import CheckedStep as CheckedStep
from .checked import Need as Need
from .documents import Given


def check(
    files: Given | Sequence[Given],
    *,
    compat: Literal["flowtoy"] | None = None,
    max_workers: int | None = None,
) -> CheckedFlow:
    """Read flow files and check them.

    Args:
        files: One or several, merged from left to right; a mapping is as good as a file.
        compat: `"flowtoy"`: what it let pass in silence is a warning.
        max_workers: How many steps run at once; 0 and `None` leave it to the files.

    Raises:
        FlowConfigError: With every problem that was found.
        MissingExtra: A library is not installed.
    """
    raise NotImplementedError
