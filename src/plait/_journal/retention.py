"""Which runs may be forgotten: whole families that have ended, long enough ago.

A run and the runs that it started are one family, and its first run, the root, speaks for it: a child
says nothing without its parent, and a parent without its children has holes.

Rule 1: a family goes when all of it has ended: a run that goes on may ask for what any of them gave.
Rule 2: it goes as a whole, children first. Whoever is interrupted leaves a family whose root is still
    there, and that goes the next time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from plait._abc import ENDED, Journal, StreamInfo

#: Streams that are listed at once.
PAGE: Final = 1000


async def ended_families(
    journal: Journal,
    *,
    ended_before: float,
    app_id: str | None = None,
    status: Collection[str] = ENDED,
) -> list[StreamInfo]:
    """List the runs that may be forgotten, children before their parents. A checkpoint.

    Args:
        journal: It is open.
        ended_before: In Unix seconds; a family ended when the last entry of any of it was written.
        app_id: Only those of this app; `""` for event workflows and flows.
        status: Only families whose root ended so.

    Raises:
        JournalError: The journal cannot be read.
    """
    listed: list[StreamInfo] = []
    after = ""
    while page := await journal.streams(app_id=app_id, after=after, limit=PAGE):
        listed += page
        after = page[-1].stream
    return chosen(listed, ended_before=ended_before, status=status)  # noqa: ASYNC910 - it has read


def chosen(
    listed: Iterable[StreamInfo], *, ended_before: float, status: Collection[str] = ENDED
) -> list[StreamInfo]:
    """Choose the runs that may be forgotten, children before their parents.

    Args:
        listed: All streams that there are.
        ended_before: As for `ended_families`.
        status: As for `ended_families`.
    """
    by_name = {one.stream: one for one in listed}
    families: dict[str, list[tuple[int, StreamInfo]]] = {}
    for one in by_name.values():
        root, depth = _root_of(one, by_name)
        families.setdefault(root, []).append((depth, one))
    found: list[StreamInfo] = []
    for root, family in families.items():
        over = all(one.status in ENDED and one.updated < ended_before for _, one in family)
        if over and by_name[root].status in status:
            family.sort(key=lambda member: -member[0])
            found += [one for _, one in family]
    return found


def _root_of(one: StreamInfo, by_name: Mapping[str, StreamInfo]) -> tuple[str, int]:
    """Find the first run of a family, as far as it is there, and how many runs lie between."""
    seen = {one.stream}
    while (parent := by_name.get(one.parent or "")) is not None and parent.stream not in seen:
        seen.add(parent.stream)
        one = parent
    return one.stream, len(seen)
