"""How the command ends: its exit codes, and the error for a command line that is of no use.

Of those that apply, the first of this order holds: 2, 3, 130, 124, 1, 0.
"""

from __future__ import annotations

from typing import Final

#: Everything went well, or `--exit-zero` says so.
WELL: Final = 0
#: A step failed, and nothing says that it may; or plait itself did.
FAILED: Final = 1
#: Bad usage, files, params, secrets, or an output that cannot be written: nothing has run.
USAGE: Final = 2
#: The address of `--ui`, `--status-port` or `webui` cannot be listened at: nothing has run.
CANNOT_BIND: Final = 3
#: The run took longer than its timeout.
TIMED_OUT: Final = 124
#: SIGINT or SIGTERM.
INTERRUPTED: Final = 130


class BindError(Exception):
    """A server was asked for, and cannot be opened: its text says why, and what to type instead."""


class UsageError(Exception):
    """What was asked for cannot be done as it was asked: its text says what to type instead."""
