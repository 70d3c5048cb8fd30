"""A state and whoever reports to it, for tests that say each stimulus by hand."""

from __future__ import annotations

from typing import Any

import attrs

from plait._kernel.calls import records, stimuli
from plait._kernel.calls.advance import advance
from plait._kernel.calls.apply import apply, fold
from plait._kernel.calls.keys import Key, Path
from plait._kernel.calls.marks import Began
from plait._kernel.calls.state import BodyState


@attrs.define
class Desk:
    """`now` stands still unless a test moves it. A new one with `kept` is another process."""

    kept: list[tuple[int, Any]] = attrs.field(factory=list)
    attempt: int = 0
    accept_changes: bool = False
    now: float = 100.0
    state: BodyState = attrs.field(factory=BodyState)

    def __attrs_post_init__(self) -> None:
        apply(self.state, Began(0.0, 0))
        for n, record in self.kept:
            fold(self.state, record, n)
        self.tell(stimuli.Began(self.now, self.attempt, self.accept_changes))

    def tell(self, stimulus: Any) -> list[Any]:
        kept, todo = advance(self.state, stimulus)
        self.state.check()
        self.kept += kept
        return todo

    def call(self, step_id: str = "a", op: Any = "run", path: Path = (), **more: Any) -> Any:
        """Make a call; its key, and what follows."""
        key = more.pop("key", None) or self.state.next_key(path, step_id)
        if op == "sleep":
            more.setdefault("due_at", self.now + 10)
        if op == "wait":
            more = {"due_at": self.now + 10, "event": "news"} | more
        if op == "invoke":
            more.setdefault("child", "c1")
        more.setdefault("handler", "h")
        return key, self.tell(stimuli.Called(self.now, key, op, **more))

    def sync(self) -> list[Any]:
        return self.tell(stimuli.Acknowledged(self.now, self.state.last_n))

    def rest(self) -> list[Any]:
        return self.tell(stimuli.AtRest(self.now))

    def returned(self, key: Key, value: object = "value") -> list[Any]:
        return self.tell(stimuli.HandlerReturned(self.now, key, value))

    def raised(self, key: Key, **more: Any) -> list[Any]:
        return self.tell(stimuli.HandlerRaised(self.now, key, ValueError("no"), **more))

    def cancelled(self, key: Key) -> list[Any]:
        return self.tell(stimuli.CallCancelled(self.now, key))

    def due(self, key: Key) -> list[Any]:
        return self.tell(stimuli.Due(self.now, key))

    @property
    def last(self) -> Any:
        return self.kept[-1][1]

    def kinds(self) -> list[type]:
        return [type(record) for _, record in self.kept]

    def again(self, attempt: int = 0, **more: Any) -> Desk:
        """Another process, or another attempt, with what is on disk."""
        without = [(n, r) for n, r in self.kept if not isinstance(r, records.CallStarted)]
        return Desk(without, attempt, now=self.now, **more)
