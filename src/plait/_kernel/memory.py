"""What an attempt has done, for when its process dies: a body that runs again does not do it twice.

Rule 1: *The n-th send of an attempt is emitted once.* A body that runs again sends from its top; what
    equals the n-th send on record is not queued again, what differs is new, and from then on it is
    the n-th. Records tell what was sent; a snapshot has the count only, and so many are taken for
    equal.
Rule 2: *An answer is given once more, its question is not asked again.* A wait is known by its
    waiter id, which is its ordinal unless it was named. Tasks of one body may begin to wait in
    another order than before: then the oldest answer that fits is taken.
Rule 3: both are of one attempt. After a failure the next one does everything anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from .records import Emitted
from .value import a_dict, a_list
from .waits import Wait


class Unanswered:
    """In place of an answer: the wait was open, or the body was called away from it."""


UNANSWERED: Final = Unanswered()


@attrs.define
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


@attrs.define
class Memory:
    """What one attempt has done, in all its lives. Made when there is something to remember."""

    #: What earlier lives have sent, by ordinal; `None`: whatever it was. While records are folded,
    #: what this one has sent as well.
    sends: list[Emitted | None] = attrs.field(factory=a_list)
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
        same = type(known.event) is type(event) and known.to in {to, ()}
        return same and _equal(known.event, event)

    def begun_before(self, wait: Wait) -> Wait:
        """Let the clock of a wait that an earlier life has begun go on: it does not start again."""
        for reply in self.owed:
            if reply.answer is UNANSWERED and reply.was(wait):
                return attrs.evolve(wait, since=reply.wait.since)
        return wait

    def move_over(self, shift: float) -> None:
        """Change the times of waits to those of another clock."""
        for reply in self.owed:
            reply.wait = attrs.evolve(reply.wait, since=reply.wait.since + shift)

    def place_of(self, wait: Wait) -> int:
        """Rule 2: where the answer to a wait lies in `owed`, or -1."""
        for place, reply in enumerate(self.owed):
            if reply.was(wait):
                return -1 if reply.answer is UNANSWERED else place
        if wait.named:
            return -1
        for place, reply in enumerate(self.owed):
            if reply.fits(wait) and reply.answer is not UNANSWERED and not reply.wait.named:
                return place
        return -1

    def interrupt(self, sent: int, still_open: Iterable[Wait]) -> None:
        """The process has died: what this life has done is what the next one does not do again."""
        self.sends.extend([None] * (sent - len(self.sends)))
        latest = [*self.answers.values(), *(Reply(wait, UNANSWERED) for wait in still_open)]
        older = [reply for reply in self.owed if not any(new.was(reply.wait) for new in latest)]
        self.owed = [*latest, *older]
        self.answers = {}


def _equal(one: object, other: object) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - a class of the user's; what cannot be compared is new
        return False


def answers_of(memory: Memory | None) -> object:
    """What two states that are equal remember alike: of sends, one has the events, the other not."""
    return (memory.answers, memory.owed) if memory and (memory.answers or memory.owed) else None
