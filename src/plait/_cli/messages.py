"""What the command itself says, on stderr: stdout is for results and nothing else."""

from __future__ import annotations

import sys

from .printable import printable


def tell(text: str) -> None:
    """Write a message of the command's own; further lines of it are kept as lines."""
    first, *more = text.split("\n")
    lines = [f"plait: {printable(first)}", *map(printable, more)]
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


def warn(text: str) -> None:
    """Write a warning that belongs to no place of a file."""
    tell(f"warning: {text}")
