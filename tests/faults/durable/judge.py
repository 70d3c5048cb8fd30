"""What must be true of a durable run when all is over: of its witness and its journal, read beside each other."""

from __future__ import annotations

from collections.abc import Iterator

from .lives import Story
from .witness import run_of


def faults(story: Story) -> list[str]:
    """List what is wrong."""
    return [
        *story.witness.wrong,
        *_of_the_end(story),
        *_of_the_journal(story),
        *_of_keys(story),
        *_of_order(story),
    ]


def _of_the_end(story: Story) -> Iterator[str]:
    """It comes to what it must come to, and does nothing when it is asked once more."""
    for life in story.lives:
        if life.raised is not None:
            yield f"life {life.number} raised {life.raised!r}"
    if not story.lives[-1].ended:
        yield "it has not come to its end"
        return
    last, again = story.lives[-2:]
    if not story.pattern.right(last.came_to):
        yield f"it came to {last.came_to!r}"
    if again.came_to != last.came_to:
        yield f"it came to {last.came_to!r}, and later to {again.came_to!r}"
    if any(begun.life == again.number for begun in story.witness.begun):
        yield "a run that has ended runs a handler"
    if any(life == again.number for life, _ in story.witness.seen):
        yield "a run that has ended runs its body"


def _of_the_journal(story: Story) -> Iterator[str]:
    for stream, entries in story.disk.streams.items():
        if [entry.n for entry in entries] != [*range(1, len(entries) + 1)]:
            yield f"{stream} has gaps"
    run = run_of(story.disk)
    if run is not None and story.lives[-1].ended and story.disk.status(run) != "completed":
        yield f"the run is {story.disk.status(run)}"


def _of_keys(story: Story) -> Iterator[str]:
    """A call has one idempotency key, and no two calls have the same."""
    named: dict[str, str] = {}
    for begun in story.witness.begun:
        if named.setdefault(begun.key, begun.idempotency_key) != begun.idempotency_key:
            yield f"{begun.key} has two idempotency keys"
    if len({*named.values()}) < len(named):
        yield "two calls have one idempotency key"


def _of_order(story: Story) -> Iterator[str]:
    """What a body sees, it sees again in each later life, in the same order."""
    known: dict[tuple[int, str], tuple[int, list[object]]] = {}
    for (life, place), seen in story.witness.seen.items():
        before, first = known.get(place, (life, []))
        common = min(len(first), len(seen))
        if first[:common] != seen[:common]:
            at = next(k for k in range(common) if first[k] != seen[k])
            yield (
                f"the body saw {first[at]!r} in life {before} as number {at}, "
                f"and {seen[at]!r} in life {life}"
            )
        if len(seen) >= len(first):
            known[place] = life, seen
