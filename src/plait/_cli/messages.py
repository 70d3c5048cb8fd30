"""What the command itself says, on stderr: stdout is for results and nothing else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .printable import printable

if TYPE_CHECKING:
    from plait._strands._flows.problems import Problem


def tell(text: str) -> None:
    """Write a message of the command's own; further lines of it are kept as lines."""
    first, *more = text.split("\n")
    lines = [f"plait: {printable(first)}", *map(printable, more)]
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


def say(problem: Problem) -> None:
    """Write a problem of a file, or a warning, in one line that begins with its place."""
    sys.stderr.write(f"{printable(str(problem))}\n")
    sys.stderr.flush()


def warn(text: str) -> None:
    """Write a warning that belongs to no place of a file."""
    tell(f"warning: {text}")
