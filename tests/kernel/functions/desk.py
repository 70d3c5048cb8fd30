"""A run and whoever reports to it, for tests that say each stimulus by hand."""

from __future__ import annotations

from typing import Any

import attrs

from plait._kernel.calls import stimuli as of_calls
from plait._kernel.calls.keys import Key
from plait._kernel.functions import effects, stimuli
from plait._kernel.functions.advance import advance
from plait._kernel.functions.apply import fold
from plait._kernel.functions.explain import status, waits_for
from plait._kernel.functions.keeping import KEEPING
from plait._kernel.functions.state import FunctionState
from plait._kernel.keeping import Keep
from plait._kernel.retry.policy import ConstantDelayRetryPolicy

TWICE = ConstantDelayRetryPolicy(maximum_attempts=2, delay=5)


@attrs.define
class Desk:
    """`now` stands still unless a test moves it. A new one with `kept` is another process."""

    kept: list[tuple[int, Any]] = attrs.field(factory=list)
    now: float = 100.0
    terms: dict[str, Any] = attrs.field(factory=lambda: {"source": "s1", "retry": TWICE})
    state: FunctionState = attrs.field(factory=FunctionState)

    def __attrs_post_init__(self) -> None:
        for n, record in self.kept:
            fold(self.state, record, n)
        self.state.check()

    def tell(self, stimulus: Any) -> list[Any]:
        kept, todo = advance(self.state, stimulus)
        self.state.check()
        self.kept += kept
        if kept:
            assert Desk(list(self.kept)).state == self.state, "the state is the sum of its records"
        return todo

    def queue(self) -> None:
        event = {"id": "e1"}
        self.tell(stimuli.Queued(self.now, "shop-f", "e", (event,), None, 0.0, 0.0, 7, "s1"))

    def take(self, **more: Any) -> list[Any]:
        return self.tell(stimuli.TakenUp(self.now, **{**self.terms, **more}))

    def sync(self) -> list[Any]:
        return self.tell(of_calls.Acknowledged(self.now, self.state.calls.last_n))

    def start(self, **more: Any) -> Desk:
        if not self.kept:
            self.queue()
        self.take(**more)
        assert self.sync() == [effects.StartBody(self.state.attempt)]
        return self

    def rest(self) -> list[Any]:
        return self.tell(of_calls.AtRest(self.now))

    def call(self, step_id: str = "a", op: Any = "run", **more: Any) -> tuple[Key, list[Any]]:
        key = more.pop("key", None) or self.state.calls.next_key((), step_id)
        more = {"handler": "h", **more}
        return key, self.tell(of_calls.Called(self.now, key, op, **more))

    def step(self, step_id: str = "a", **more: Any) -> Key:
        """A call, to its end."""
        key, _ = self.call(step_id, **more)
        if key in self.state.calls.held:
            self.rest()
        if self.state.calls.outcome(key) is None:
            self.tell(of_calls.HandlerReturned(self.now, key, "value"))
        self.sync()
        assert [out.key for out in self.rest()] == [key]
        return key

    def undo(self, key: Key, *, fails: bool = False) -> list[Any]:
        """Roll a step back; what follows when that is handed out."""
        assert self.state.undoing == key
        self.call(op="rollback", key=key.rollback)
        if fails:
            self.tell(of_calls.HandlerRaised(self.now, key.rollback, OSError("no")))
        else:
            self.tell(of_calls.HandlerReturned(self.now, key.rollback, None))
        assert not self.state.may_move
        self.sync()
        assert self.state.may_move
        out, *rest = self.rest()
        assert out.key == key.rollback
        return rest

    def returned(self, value: object = "done") -> list[Any]:
        return self.tell(stimuli.BodyReturned(self.now, value))

    def raised(self, error: Exception) -> list[Any]:
        return self.tell(stimuli.BodyRaised(self.now, error))

    def gone(self) -> list[Any]:
        return self.tell(stimuli.BodyCancelled(self.now))

    def cancel(self, reason: str = "enough") -> list[Any]:
        return self.tell(stimuli.CancelAsked(self.now, reason))

    def let_go(self, key: Key) -> list[Any]:
        """Cancel a call; unless that is enough, its turn to leave has come as well."""
        todo = self.tell(of_calls.CallCancelled(self.now, key))
        return todo + self.rest() if key in self.state.calls.leaving else todo

    def suspend(self) -> list[Any]:
        return self.tell(of_calls.Suspended(self.now))

    @property
    def last(self) -> Any:
        return self.kept[-1][1]

    @property
    def status(self) -> str:
        return status(self.state)

    @property
    def waits(self) -> list[tuple[str, float | None]]:
        return [(one.what, one.until) for one in waits_for(self.state)]

    def kinds(self) -> list[str]:
        return [type(record).__name__ for _, record in self.kept]

    def again(self) -> Desk:
        """Another process, with what is on disk; notes are gone."""
        without = [(n, r) for n, r in self.kept if KEEPING[type(r)] is not Keep.NOTE]
        return Desk(without, self.now, self.terms)
