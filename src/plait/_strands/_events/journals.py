"""Which journal a run is kept in, and under which name if it is a child's."""

from __future__ import annotations

import uuid
from itertools import count
from typing import Final

from plait._abc import Journal
from plait._engine.attempt import Attempt
from plait._engine.journaled import JournaledShell
from plait._ids import RunId
from plait._kernel.state import Delivery, RunState

#: The names of child runs are made in it: the same delivery makes the same names, wherever it runs.
CHILDREN: Final = uuid.UUID("6c7a3ad8-6f0e-5d3c-9a0b-6f0f5c1c2f11")


def journal_around(attempt: Attempt | None) -> Journal | None:
    """The journal of the run in which a child would run."""
    shell = None if attempt is None else attempt.shell
    return shell.archive.journal if isinstance(shell, JournaledShell) else None


def child_id(attempt: Attempt) -> RunId:
    """Name the next run that a body makes: the same name whenever this attempt runs again."""
    return child_of(attempt.shell.run_id, attempt.delivery, len(attempt.children))


def child_of(run_id: RunId, delivery: Delivery, ordinal: int) -> RunId:
    """Name a run that this attempt of a delivery makes, or has made. `ordinal`: from 0."""
    place = (run_id, delivery.step, delivery.number, delivery.attempt, ordinal)
    return RunId(str(uuid.uuid5(CHILDREN, "/".join(map(str, place)))))


def rename(state: RunState, run_id: RunId, children: dict[RunId, object]) -> None:
    """Let a run go on under another name, and the runs inside it under those that follow from it."""
    if state.run_id == run_id:
        return
    for delivery in state.live() if children else ():
        for ordinal in count():
            old = child_of(state.run_id, delivery, ordinal)
            if old not in children:
                break
            children[child_of(run_id, delivery, ordinal)] = children.pop(old)
    state.run_id = run_id
