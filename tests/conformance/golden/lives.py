"""What happened in the golden journals of functions' runs, from the queue to the end, with some calls.

Each kind of record of a run's life is in one of them, and each reason to hold a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from plait._abc import Entry, Opening
from plait._errors import NonRetriableError
from plait._journal.codec import from_bytes
from plait._journal.failures import Failure
from plait._journal.scribes import FunctionScribe
from plait._kernel.calls import stimuli as of_calls
from plait._kernel.calls.keys import Key, key_text
from plait._kernel.functions import stimuli
from plait._kernel.functions.advance import advance
from plait._kernel.functions.apply import fold
from plait._kernel.functions.explain import status
from plait._kernel.functions.reasons import Unreadable
from plait._kernel.functions.records import AnyRecord, FunctionHeld
from plait._kernel.functions.state import FunctionState
from plait.retry import retry_policy, stop_after_attempt, wait_fixed

from .bodies import EPOCH, WithFailures

TWICE: Final = retry_policy(wait=wait_fixed(2), stop=stop_after_attempt(2))
EVENT: Final = {"id": "e1", "name": "order/new", "ts": 1_763_000_000_250, "data": {"n": 1}}


class Life:
    """A run that a kernel is told of. Time goes on by a quarter of a second with each stimulus."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.now = EPOCH
        self.state = FunctionState()
        self.appends: list[list[tuple[int, AnyRecord]]] = []
        target = f"golden-{name}"
        self.hear(
            stimuli.Queued, target, "order/new", (EVENT,), "parent-1", self.now, -5.0, 2**63, "abc"
        )

    def hear(self, kind: Callable[..., Any], *rest: Any, **more: Any) -> None:
        self.now += 0.25
        written, _ = advance(self.state, kind(self.now, *rest, **more))
        self.state.check()
        if written:
            self.appends.append(written)

    def synced(self) -> None:
        self.hear(of_calls.Acknowledged, self.state.calls.last_n)

    def starts(self, source: str | None = "abc", **more: Any) -> None:
        self.hear(stimuli.TakenUp, source, **{"retry": TWICE, **more})
        self.synced()

    def dies(self, *, down: float = 5.0) -> None:
        self.now += down
        self.state = FunctionState()
        for n, record in (one for append in self.appends for one in append):
            fold(self.state, record, n)

    def calls(self, step_id: str, **more: Any) -> Key:
        key = self.state.calls.next_key((), step_id)
        self.hear(of_calls.Called, key, "run", more.pop("handler", "work"), ("main",), **more)
        if key in self.state.calls.held:
            self.hear(of_calls.AtRest)
        return key

    def does(self, step_id: str, value: object = None, **more: Any) -> Key:
        key = self.calls(step_id, **more)
        if self.state.calls.outcome(key) is None:
            self.hear(of_calls.HandlerReturned, key, value)
            self.synced()
        self.hear(of_calls.AtRest)
        return key

    def is_undone(self, key: Key, error: Exception | None = None) -> None:
        self.hear(of_calls.Called, key.rollback, "rollback", "give_back", ("main",))
        if error is None:
            self.hear(of_calls.HandlerReturned, key.rollback, None)
        else:
            self.hear(of_calls.HandlerRaised, key.rollback, error)
        self.synced()
        self.hear(of_calls.AtRest)

    def raises(self, error: Exception) -> None:
        self.hear(stimuli.BodyRaised, error)
        self.synced()

    def is_held(self, why: Any) -> None:
        """By the strand: its stream could not be read."""
        n, self.now = self.state.calls.last_n + 1, self.now + 0.25
        held = FunctionHeld(self.now, why, n - 1)
        fold(self.state, held, n)
        self.appends.append([(n, held)])


def completes(life: Life) -> None:
    """The body raises once, and its process dies; at last it returns."""
    life.starts()
    life.does("charge", {"paid": 5.5})
    life.raises(ValueError("once ä"))
    life.now += 2
    life.hear(stimuli.RetryDue)
    life.synced()
    life.dies()
    life.starts("def")
    life.does("charge")
    life.does("mail", ["m1", None])
    life.hear(stimuli.BodyReturned, {"order": [1, True, "☕"]})


def fails(life: Life) -> None:
    """What was done is undone; one rollback fails, and a process dies in between."""
    life.starts()
    first = life.does("reserve", 1, undoable=True)
    second = life.does("charge", 2, undoable=True)
    life.raises(NonRetriableError("sold out"))
    life.is_undone(second, OSError("not now"))
    life.dies()
    life.starts()
    life.does("reserve", undoable=True)
    life.does("charge", undoable=True)
    life.hear(stimuli.BodyRaised, NonRetriableError("sold out"))
    life.is_undone(first)


def cancels(life: Life) -> None:
    """It is cancelled in a step, and what was done before is undone."""
    life.starts()
    done = life.does("reserve", undoable=True)
    late = life.calls("charge")
    life.hear(stimuli.CancelAsked, "the shop is closed")
    life.hear(of_calls.CallCancelled, late)
    life.now -= 0.25  # its turn to leave has come in the same moment
    life.hear(of_calls.AtRest)
    life.hear(stimuli.BodyCancelled)
    life.synced()
    life.is_undone(done)


def holds(life: Life) -> None:
    """It is held for each reason there is; at last it is cancelled."""
    life.starts()
    charge = life.does("charge", undoable=True)
    life.dies()
    life.starts(None)  # no such function
    life.dies()
    life.starts("def", on_code_change="hold")
    life.dies()
    life.starts()
    life.dies()
    life.starts(max_resumes=1)
    life.dies()
    life.starts(resumed=True)
    life.calls("charge", handler="refund")
    life.hear(stimuli.BodyRaised, ValueError("whatever"))
    life.dies()
    life.starts()
    life.does("charge", undoable=True)
    life.hear(of_calls.CallCancelled, life.calls("late"))
    life.dies()
    life.starts()
    life.does("charge", undoable=True)
    life.calls("late")
    life.hear(of_calls.AtRest)
    life.hear(stimuli.BodyRaised, ValueError("whatever"))
    life.dies()
    life.is_held(Unreadable("no record of this kind is known"))
    life.dies()
    life.starts(resumed=True, accept_changes=True)
    life.does("charge", undoable=True)
    life.raises(ValueError("once"))
    life.dies(down=0.0)
    life.starts(None)
    life.dies(down=0.0)
    life.starts()  # it waits for its next attempt again
    life.now += 2
    life.hear(stimuli.RetryDue)
    life.synced()
    life.does("charge", undoable=True)
    life.raises(ValueError("twice"))
    life.dies()
    life.starts()
    life.does("charge")
    life.hear(stimuli.BodyRaised, ValueError("twice"))
    life.dies()
    life.starts()
    life.does("charge", undoable=True)
    life.hear(stimuli.BodyRaised, ValueError("twice"))
    life.is_undone(charge)


STORIES: Final[Mapping[str, Callable[[Life], None]]] = {
    "completes": completes,
    "fails": fails,
    "cancels": cancels,
    "holds": holds,
}
SCRIBES: Final = {
    name: FunctionScribe(
        f"golden-{name}", Opening("golden", f"golden-{name}", "parent-1", "abc"), WithFailures()
    )
    for name in STORIES
}


def appends_of(name: str) -> list[list[Entry]]:
    """Tell a story and encode it, append by append."""
    life = Life(name)
    STORIES[name](life)
    return [SCRIBES[name].entries(append) for append in life.appends]


class Reader:
    """The state that entries lead to, without their notes."""

    def __init__(self, name: str) -> None:
        self._scribe = SCRIBES[name]
        self._state = FunctionState()
        self._last = 0

    def read(self, entries: Iterable[Entry]) -> None:
        read = list(entries)
        for n, record in self._scribe.records(read, after=self._last):
            fold(self._state, record, n)
        self._last += len(read)
        self._state.check()

    def document(self) -> Any:
        """Where the run is."""
        state, queued, verdict = self._state, self._state.queued, self._state.verdict
        assert queued is not None
        return {
            "status": status(state),
            "phase": state.phase.value,
            "queued": [
                queued.fn_id,
                queued.name,
                [*queued.events],
                queued.parent,
                queued.not_before,
                queued.priority,
                queued.seed,
                queued.source,
            ],
            "attempt": state.attempt,
            "began": state.began,
            "resumes": state.resumes,
            "moved": state.moved,
            "source": state.source,
            "error": told(state.error),
            "due_at": state.due_at,
            "held": state.held and state.held.text("r1"),
            "verdict": verdict
            and [told(verdict.error), verdict.reason, [*map(key_text, verdict.keys)]],
            "end": state.end and type(state.end).__name__,
            "value": getattr(state.end, "value", None),
            "failed": told(getattr(state.end, "error", None)),
            "reason": getattr(state.end, "reason", None),
            "calls": [key_text(key) for key, past in state.calls.past.items() if past.ending],
        }

    def same(self, document: Any) -> bool:
        """Is this the state that was written down?"""
        return bool(self.document() == document)


def told(error: object) -> object:
    """The words in which an error is told."""
    if error is None:
        return None
    failure = Failure.read(error)
    return [failure.name, failure.message, repr(failure.rebuilt())]


def reasons_in(entries: Iterable[Entry]) -> set[str]:
    """For which reasons these entries say that a run is held, by their tags."""
    found: set[str] = set()
    for entry in entries:
        if entry.kind == "run.held":
            body: Any = from_bytes(entry.body)
            found |= body["why"].keys()
    return found
