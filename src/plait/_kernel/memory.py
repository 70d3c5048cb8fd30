"""What an attempt has done, for when its process dies: a body that runs again does not do it twice.

Rule 1: *The n-th send of an attempt is emitted once.* A body that runs again sends from its top; what
    equals the n-th send on record is not queued again, what differs is new, and from then on it is
    the n-th. Records tell what was sent; a snapshot has the count only, and so many are taken for
    equal. So it is with what a body writes to the stream.
Rule 2: *What a run inside has shown is shown once.* Taken up from its own records it shows everything
    again, but a question that is open comes later than before: so each event stands for an equal one
    on record, wherever that is. Taken up from a snapshot it shows what is new.
Rule 3: *An answer is given once more, its question is not asked again.* A wait is known by its
    waiter id, which is its ordinal unless it was named. Tasks of one body may begin to wait in
    another order than before: then the oldest answer that fits is taken.
Rule 4: all that is of one attempt. After a failure the next one does everything anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from .records import Emitted
from .value import a_dict, a_list, mutable
from .waits import Wait


class Unanswered:
    """In place of an answer: the wait was open, or the body was called away from it."""


UNANSWERED: Final = Unanswered()


@mutable
class Reply:
    """What came of a wait."""

    wait: Wait
    answer: object
    #: Has the body gone on with it?
    taken: bool = False

    def was(self, wait: Wait) -> bool:
        """Is this the same wait, begun once more?"""
        return self.wait.waiter_id == wait.waiter_id and self.fits(wait)

    def fits(self, wait: Wait) -> bool:
        """Was it for the same?"""
        mine = self.wait
        return mine.kind is wait.kind and _equal(mine.requirements, wait.requirements)


@mutable
class Memory:
    """What one attempt has done, in all its lives. Made when there is something to remember."""

    #: What earlier lives have sent, by ordinal; `None`: whatever it was. While records are folded,
    #: what this one has sent as well.
    sends: list[Emitted | None] = attrs.field(factory=a_list)
    #: In the same way, the events that they have written to the stream.
    writes: list[object] = attrs.field(factory=a_list)
    #: What runs inside have shown in earlier lives, and not in this one; and what they have.
    shown: dict[str, list[object]] = attrs.field(factory=a_dict)
    shown_again: dict[str, list[object]] = attrs.field(factory=a_dict)
    #: What this life was answered, by the ordinal of the wait.
    answers: dict[int, Reply] = attrs.field(factory=a_dict)
    #: What came of the waits of earlier lives, and has not been asked for again.
    owed: list[Reply] = attrs.field(factory=a_list)

    def sent(self, ordinal: int, record: Emitted, *, keep: bool) -> None:
        """Take note of a send; one that no earlier life has made only if it is to be kept."""
        if ordinal < len(self.sends):
            self.sends[ordinal] = record
        elif keep:
            self.sends.append(record)

    def repeats(self, ordinal: int, event: object, to: tuple[str, ...]) -> bool:
        """Rule 1: is this send on record? `to`: the steps that it is for; in a drain it was none."""
        if ordinal >= len(self.sends):
            return False
        known = self.sends[ordinal]
        if known is None:
            return True
        return known.to in {to, ()} and _alike(known.event, event)

    def wrote(self, ordinal: int, event: object, *, keep: bool) -> None:
        """Take note of a write, as `sent` does of a send."""
        if ordinal < len(self.writes):
            self.writes[ordinal] = event
        elif keep:
            self.writes.append(event)

    def rewrites(self, ordinal: int, event: object) -> bool:
        """Rule 1: is this write on record?"""
        if ordinal >= len(self.writes):
            return False
        known = self.writes[ordinal]
        return known is None or _alike(known, event)

    def shows(self, source: str, event: object) -> None:
        """Take note of what a run inside has shown for the first time."""
        self.shown_again.setdefault(source, []).append(event)

    def place_on_stream(self, source: str, event: object) -> int:
        """Rule 2: find what a run inside shows among what it has shown and not again, or -1."""
        for place, known in enumerate(self.shown.get(source, ())):
            if _alike(known, event):
                return place
        return -1

    def shows_again(self, source: str, place: int) -> None:
        """Rule 2: this one has been shown again."""
        self.shows(source, self.shown[source].pop(place))

    def begun_before(self, wait: Wait) -> Wait:
        """Let the clock of a wait that an earlier life has begun go on: it does not start again."""
        for reply in self.owed:
            if reply.answer is UNANSWERED and reply.was(wait):
                return attrs.evolve(wait, since=reply.wait.since)
        return wait

    def to_begin(self, begun: Iterable[Wait]) -> Iterator[Wait]:
        """List the waits that an earlier life had open. `begun`: those that are open in this one."""
        known = {wait.waiter_id for wait in begun}
        known.update(reply.wait.waiter_id for reply in self.answers.values())
        for reply in self.owed:
            if reply.answer is UNANSWERED and reply.wait.waiter_id not in known:
                yield reply.wait

    def move_over(self, shift: float) -> None:
        """Change the times of waits to those of another clock."""
        for reply in self.owed:
            reply.wait = attrs.evolve(reply.wait, since=reply.wait.since + shift)

    def place_of(self, wait: Wait) -> int:
        """Rule 3: where the answer to a wait lies in `owed`, or -1."""
        for place, reply in enumerate(self.owed):
            if reply.was(wait):
                return -1 if reply.answer is UNANSWERED else place
        if wait.named:
            return -1
        for place, reply in enumerate(self.owed):
            if reply.fits(wait) and reply.answer is not UNANSWERED and not reply.wait.named:
                return place
        return -1

    def interrupt(self, sent: int, written: int, still_open: Iterable[Wait]) -> None:
        """The process has died: what this life has done is what the next one does not do again."""
        self.sends.extend([None] * (sent - len(self.sends)))
        self.writes.extend([None] * (written - len(self.writes)))
        for source, events in self.shown_again.items():
            self.shown[source] = [*events, *self.shown.get(source, ())]
        self.shown_again = {}
        latest = [*self.answers.values(), *(Reply(wait, UNANSWERED) for wait in still_open)]
        older = [reply for reply in self.owed if not any(new.was(reply.wait) for new in latest)]
        self.owed = [*latest, *older]
        self.answers = {}


def _alike(known: object, event: object) -> bool:
    return type(known) is type(event) and _equal(known, event)


def _equal(one: object, other: object) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - a class of the user's; what cannot be compared is new
        return False


def answers_of(memory: Memory | None) -> object:
    """What two states that are equal remember alike: of sends, one has the events, the other not."""
    return (memory.answers, memory.owed) if memory and (memory.answers or memory.owed) else None
