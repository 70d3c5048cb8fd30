"""How the runs of a journal stand, for people: one that goes on nowhere is interrupted.

Its records cannot say so: nobody was left to write its end. But who writes a file holds it, and that can
be read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, Protocol, runtime_checkable

from plait._abc import Journal, StreamInfo

#: How a run stands whose process is gone.
INTERRUPTED: Final = "interrupted"
#: Seconds between the first record of a run and the opening of its file, at most.
OPENING: Final = 5.0


@runtime_checkable
class Written(Protocol):
    """A journal that knows who writes to it: `SqliteJournal` does."""

    async def written_since(self) -> float | None:
        """Say since when somebody has it open to write."""
        ...


async def standing(
    journal: Journal, runs: Sequence[StreamInfo], *, here: Collection[str] | None = None
) -> dict[str, str]:
    """Say where each run stands, by its name. A checkpoint, if one of them seems to go on.

    Args:
        journal: Where they are, open. In one that does not know who writes to it, they stand as they are listed.
        runs: What is listed of them.
        here: The runs of this process, if it is the one that writes; those of an app not among them.

    Raises:
        JournalError: It cannot be read.
    """
    stands = {run.stream: str(run.status) for run in runs}
    going = [run for run in runs if run.status == "running"]
    if going and isinstance(journal, Written):
        since = await journal.written_since()
        for run in going:
            if since is None:
                left = True
            elif run.app_id:
                left = False  # who serves an app takes all its runs up
            elif here is not None:
                left = run.stream not in here
            else:  # one that goes on has a record of since then, or from the moment of the opening
                left = run.updated < since - OPENING
            if left:
                stands[run.stream] = INTERRUPTED
    return stands  # noqa: ASYNC910 - as it says
