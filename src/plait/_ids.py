"""The names by which runs, steps and deliveries are known. A leaf: it imports nothing of plait."""

from __future__ import annotations

import re
from typing import Final, NewType

RunId = NewType("RunId", str)
"""A run's name, `[A-Za-z0-9_-]{1,64}`; a fresh UUID unless the caller chose one."""

DeliveryId = NewType("DeliveryId", int)
"""One event handed to one step: 1, 2, 3 … in the order of emission, unique in its run."""

OUTSIDE: Final = DeliveryId(0)
"""The cause of what no delivery caused: the start event, and what other code sends."""

_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def is_run_id(name: object) -> bool:
    """Say whether a run may have this name."""
    return isinstance(name, str) and _RUN_ID.fullmatch(name) is not None
