"""The checkpoints that a journal has, as `WorkflowCheckpointer.load` finds them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from plait._abc import Entry, Journal, StreamInfo
from plait._engine import native
from plait._engine.desk import reading
from plait._errors import PlaitError
from plait._ids import RunId

from .checkpoint import Checkpoint, Kept
from .kept_runs import Stream, positions, state_at

if TYPE_CHECKING:
    from .serializers import BaseSerializer
    from .workflow import Workflow

#: Entries that are read at once.
PAGE: Final = 1000
#: Streams that are listed at once: a list is of one moment, runs with the runs inside them.
LISTED: Final = 1_000_000

log: Final = logging.getLogger("plait")


async def checkpoints_in(
    journal: Journal, workflow: Workflow[Any], serializer: BaseSerializer | None
) -> dict[RunId, list[Checkpoint]]:
    """Read the checkpoints of all runs of a workflow, but of those that cannot be read.

    Raises:
        JournalError: The journal cannot be read.
    """
    async with reading(journal, native.current()):
        inside = await _by_parent(journal)
        mine = [
            one for held in inside.values() for one in held if one.target == workflow.workflow_name
        ]
        streams = [await _stream(journal, one, inside) for one in sorted(mine, key=_age)]
    return {stream.name: [*_checkpoints(workflow, stream, serializer)] for stream in streams}


def _checkpoints(
    workflow: Workflow[Any], stream: Stream, serializer: BaseSerializer | None
) -> Iterator[Checkpoint]:
    try:
        found = positions(workflow, stream)
    except PlaitError as error:  # perhaps of an older version of the workflow: the others are fine
        log.warning("Run %s has checkpoints that cannot be loaded: %s", stream.name, error)
        return
    for position in found:
        yield Checkpoint(
            f"{stream.name}:{position.delivery}",
            position.step,
            position.given,
            position.returned,
            Kept(partial(state_at, workflow, stream, position, serializer)),
        )._known_to(workflow._values(serializer))


def _age(stream: StreamInfo) -> tuple[float, str]:
    return stream.created, stream.stream


async def _by_parent(journal: Journal) -> Mapping[str | None, list[StreamInfo]]:
    """List the streams of event workflows, by the run that they are inside."""
    found: dict[str | None, list[StreamInfo]] = {}
    after = ""
    while page := await journal.streams(app_id="", after=after, limit=LISTED):
        after = page[-1].stream
        for one in page:
            found.setdefault(one.parent, []).append(one)
    return found


async def _stream(
    journal: Journal, info: StreamInfo, inside: Mapping[str | None, list[StreamInfo]]
) -> Stream:
    """Read a run up to where it stood in the list: somebody may be writing to it, faster than this reads."""
    entries: list[Entry] = []
    while True:
        limit = min(PAGE, info.last_n - len(entries))
        page = await journal.read(info.stream, after=len(entries), limit=limit)
        entries += page
        if not page or len(entries) >= info.last_n:  # no more: it has been pruned meanwhile
            break
    children = {
        RunId(child.stream): await _stream(journal, child, inside)
        for child in inside.get(info.stream, ())
    }
    return Stream(RunId(info.stream), info.target, entries, children)
