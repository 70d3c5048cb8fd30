"""Whether a task's context variables are as they were, at a price that a delivery can bear.

Comparing contexts with `==` would compare what users put into their variables: an equal object is
still another one, and some objects refuse to be compared. Walking the variables costs 1.3 µs; a
copied context for each body, 0.7. But a `Context` is a handle on an immutable mapping, and setting
a variable makes a new one: so it is enough to ask whether the mapping is the same object, 0.15 µs.
"""

from __future__ import annotations

import gc
from contextvars import copy_context


def variables() -> object:
    """Return the mapping itself: another object once a variable has been set to something else."""
    return gc.get_referents(copy_context())[-1]
