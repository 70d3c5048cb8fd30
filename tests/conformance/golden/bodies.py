"""What happened in the golden journals of functions' calls: each kind of record is in one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from plait._abc import Entry, Opening
from plait._journal.failures import Failure
from plait._journal.scribes import AsTheyCome, FunctionScribe
from plait._kernel.calls import stimuli
from plait._kernel.calls.advance import advance
from plait._kernel.calls.apply import apply, fold
from plait._kernel.calls.keys import Key, Path, key_text
from plait._kernel.calls.marks import Began
from plait._kernel.calls.records import Op, Record
from plait._kernel.calls.state import BodyState
from plait._kernel.calls.stimuli import Stimulus
from plait.retry import retry_policy, stop_after_attempt, wait_fixed

EPOCH: Final = 1_763_000_000.25
TWICE: Final = retry_policy(wait=wait_fixed(2), stop=stop_after_attempt(2))


class WithFailures(AsTheyCome):
    """Writes errors as the strand of durable functions does."""

    def encode(self, value: object, /) -> object:
        return Failure.of(value).write() if isinstance(value, Exception) else value


class Body:
    """A body that a kernel is told of. Time goes on by a quarter of a second with each stimulus."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.now = EPOCH
        self.state = begun(BodyState())
        self.appends: list[list[tuple[int, Record]]] = []
        self.hear(stimuli.Began, 0)

    def hear(self, kind: Callable[..., Stimulus], *rest: Any, **more: Any) -> None:
        self.now += 0.25
        written, _ = advance(self.state, kind(self.now, *rest, **more))
        self.state.check()
        if written:
            self.appends.append(written)

    def call(self, path: Path, step_id: str, op: Op = "run", **more: Any) -> Key:
        key = self.state.next_key(path, step_id)
        self.hear(stimuli.Called, key, op, more.pop("handler", op), ("main",), **more)
        self.hear(stimuli.Acknowledged, self.state.last_n)
        return key

    def returns(self, key: Key, value: object) -> None:
        self.hear(stimuli.HandlerReturned, key, value)
        self.hear(stimuli.Acknowledged, self.state.last_n)
        self.rests()

    def raises(self, key: Key, error: Exception, **more: Any) -> None:
        self.hear(stimuli.HandlerRaised, key, error, **more)
        self.hear(stimuli.Acknowledged, self.state.last_n)
        self.rests()

    def rests(self) -> None:
        self.hear(stimuli.AtRest)

    def dies_and_is_taken_up(self) -> None:
        self.now += 5
        self.state = begun(BodyState())
        for n, record in (one for append in self.appends for one in append):
            fold(self.state, record, n)
        self.hear(stimuli.Began, 0)


def begun(state: BodyState) -> BodyState:
    """These journals begin when the body has: the records of that are another kernel's."""
    apply(state, Began(EPOCH, 0))
    return state


def calls(body: Body) -> None:
    """Every kind of call, in every kind of task, over two lives; what was charged is given back."""
    charge = body.call((), "charge", handler="charge_card", undoable=True)
    body.returns(charge, {"paid": 5.5, "to": ["ä", None, True]})
    body.hear(stimuli.PatchAsked, "v2-mail")
    body.hear(stimuli.DeadlineEntered, body.state.next_key((), None), body.now + 60)
    mail = body.call((0,), "mail", retry=TWICE)
    body.raises(mail, ValueError("once"))
    nap = body.call((("g", 0, 1),), "nap", "sleep", due_at=body.now + 10)
    wait = body.call(
        (("g", 0, 2),), "news", "wait", due_at=body.now + 30, event="order/paid", since=41
    )
    child = body.call((("m", "child", 0, 3),), "child", "invoke", child="child-1")
    late = body.call((("o", 0, 0), 1), "child", "invoke", child="child-2", due_at=body.now + 40)
    body.now += 2
    body.hear(stimuli.Due, mail)
    body.raises(mail, KeyError("twice"))
    body.hear(stimuli.CallCancelled, child)
    body.hear(stimuli.EventArrived, wait, {"id": "e1", "name": "order/paid", "data": {"n": 1}})
    body.now += 10
    body.hear(stimuli.Due, nap)
    body.rests()
    body.dies_and_is_taken_up()
    charge = body.call((), "charge", handler="charge_card", undoable=True)
    deadline = body.state.next_key((), None)
    body.hear(stimuli.DeadlineEntered, deadline, body.now + 60)
    late = body.call((("o", 0, 0), 1), "child", "invoke", child="child-2", due_at=body.now + 40)
    for _ in range(4):
        body.rests()
    body.hear(stimuli.ChildEnded, late, error=LookupError("in the child"))
    body.now += 60
    body.hear(stimuli.Due, deadline)
    body.hear(stimuli.DeadlineLeft, deadline)
    news = body.call((), "tell", "send")
    body.returns(news, ["e2", "e3"])
    body.hear(stimuli.RollbackBegan)
    undo = charge.rollback
    body.hear(stimuli.Called, undo, "rollback", "refund", ("main",))
    body.returns(undo, None)


def replays(body: Body) -> None:
    """One id again and again, and one like it; a call is cancelled; the replay writes nothing."""
    for n in range(3):
        body.returns(body.call((), "foo"), n)
    body.returns(body.call((), "foo:1"), "three keys")
    odd = body.call((), "caf\udce9 ☕")
    body.hear(stimuli.CallCancelled, odd)
    body.dies_and_is_taken_up()
    body.call((), "foo")
    body.rests()


STORIES: Final[Mapping[str, Callable[[Body], None]]] = {"calls": calls, "replays": replays}
SCRIBES: Final = {
    name: FunctionScribe(f"golden-{name}", Opening("golden", f"golden-{name}"), WithFailures())
    for name in STORIES
}


def appends_of(name: str) -> list[list[Entry]]:
    """Tell a story and encode it, append by append."""
    body = Body(name)
    STORIES[name](body)
    return [SCRIBES[name].entries(append) for append in body.appends]


class Reader:
    """The state that entries lead to, without their notes."""

    def __init__(self, name: str) -> None:
        self._scribe = SCRIBES[name]
        self._state = begun(BodyState())
        self._last = 0

    def read(self, entries: Iterable[Entry]) -> None:
        read = list(entries)
        for n, record in self._scribe.records(read, after=self._last):
            fold(self._state, record, n)
        self._last += len(read)
        self._state.check()

    def document(self) -> Any:
        """What is known of each key, and in which words errors are told."""
        state = self._state
        return {
            "patches": state.patches,
            "deadlines": {
                key_text(key): {"due_at": one.due_at, "n": one.n, "fired": one.fired is not None}
                for key, one in state.deadlines.items()
            },
            "calls": {
                key_text(key): {
                    "scheduled": past.scheduled is not None,
                    "failures": past.failures,
                    "due_at": past.due_at,
                    "n": past.n,
                    "cancellations": past.cancellations,
                    "ending": _ending(past.ending),
                }
                for key, past in state.past.items()
            },
        }

    def same(self, document: Any) -> bool:
        """Is this the state that was written down?"""
        return bool(self.document() == document)


def _ending(ending: Any) -> object:
    if ending is None:
        return None
    if hasattr(ending, "value"):
        return {"op": ending.op, "attempts": ending.attempts, "value": ending.value}
    failure = Failure.read(ending.error)
    told = [failure.name, failure.message, repr(failure.rebuilt())]
    return {"op": ending.op, "attempts": ending.attempts, "error": told}
