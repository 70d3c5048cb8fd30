"""What was asked in a run, as its records say: with which event, and what has been answered since.

Bounded: of very many questions the latest are known.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, TypeVar

from plait._event import ChildEvent, HumanResponseEvent, InputRequiredEvent
from plait._ids import OUTSIDE
from plait._kernel import records
from plait._kernel.waits import WaitKey

#: Questions that are remembered, of each kind.
MOST: Final = 200

K = TypeVar("K")


class Asked:
    """Remembers what was asked.

    Attributes:
        of_waits: With what a body asked that waits, or has waited.
        of_steps: What steps have returned or sent, by names that are given here, and nobody has answered.
        inside: With what runs inside this one have asked last, by their ids.
        answering: The names of what is being answered from the page: an answer that comes in is to those.
    """

    def __init__(self) -> None:
        self.of_waits: dict[WaitKey, object] = {}
        self.of_steps: dict[str, object] = {}
        self.inside: dict[str, object] = {}
        self.answering: deque[str] = deque()

    def take(self, n: int, record: Any) -> None:
        """Take in the n-th record."""
        match record:
            case records.Waited(wait=wait, question=question) if question is not None:
                _put(self.of_waits, wait.key, question)
            case records.Streamed(event=ChildEvent(event=InputRequiredEvent() as event) as around):
                _put(self.inside, around.run_id, event)
            case records.Emitted(cause=cause, event=HumanResponseEvent(), to=to) if (
                to and cause == OUTSIDE
            ):
                self._answered()
            case (
                records.Streamed(event=InputRequiredEvent() as event)
                | records.Emitted(event=InputRequiredEvent() as event)
                | records.Completed(event=InputRequiredEvent() as event)
            ):
                _put(self.of_steps, f"asked-{n}", event)
            case _:
                pass

    def _answered(self) -> None:
        name = self.answering.popleft() if self.answering else next(iter(self.of_steps), "")
        self.of_steps.pop(name, None)


def _put(kept: dict[K, object], key: K, value: object) -> None:
    kept[key] = value
    if len(kept) > MOST:
        del kept[next(iter(kept))]
