"""The state of one run of a durable function: its life, and its calls.

As that of the calls it has two parts. The **memory** is the sum of the records and is compared by `==`;
the **session** is what this process has of the run. Only `apply` changes either.
"""

from __future__ import annotations

import attrs

from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallFailed
from plait._kernel.calls.state import BodyState
from plait._kernel.value import mutable

from .life import Body, Phase
from .reasons import Why
from .records import End, FunctionCancelled, FunctionFailed, RollbackBegun, RunQueued
from .stimuli import TakenUp


@mutable
class FunctionState:
    """A run."""

    # -- memory
    calls: BodyState = attrs.field(factory=BodyState)
    phase: Phase = Phase.NEW
    queued: RunQueued | None = None
    #: Of the body, from 0; -1: it has not started. When attempt 0 began.
    attempt: int = -1
    began: float = 0.0
    #: How often it was taken up since the last new outcome; has there been one since the last start?
    resumes: int = 0
    moved: bool = False
    #: Of the function, as it was when the run was last started, or queued.
    source: str = ""
    #: What the last attempt raised, and when the next one is due.
    error: object = None
    due_at: float = 0.0
    verdict: RollbackBegun | None = None
    #: Why it does not go on by itself. Who takes it up judges anew.
    held: Why | None = None
    end: End | None = None
    #: The number of the last record that is not about calls.
    n: int = 0
    # -- session
    terms: TakenUp | None = attrs.field(default=None, eq=False)
    body: Body = attrs.field(default=Body.AHEAD, eq=False)
    #: What follows from record `n` waits until it is on disk.
    pending: bool = attrs.field(default=False, eq=False)
    #: Why it is to be cancelled for good; and has the body been told?
    cancel: str | None = attrs.field(default=None, eq=False)
    told: bool = attrs.field(default=False, eq=False)
    #: The step that is being undone.
    undoing: Key | None = attrs.field(default=None, eq=False)

    @property
    def may_move(self) -> bool:
        """Is it worth while to report `AtRest`? If not, the run waits for the world."""
        if self.body is Body.ALIVE:
            return self.calls.may_move or (self.cancel is not None and self.cancel_waits)
        return bool(self.calls.ready) and self.calls.may_move

    @property
    def cancel_waits(self) -> bool:
        """Is the body to be cancelled for good as soon as nothing is left to replay?"""
        calls = self.calls
        wanted = self.cancel is not None and not self.told
        return wanted and not calls.stopped and not calls.ready

    @property
    def cause(self) -> int:
        """The number of what leads to the next record."""
        return max(self.n, self.calls.last_handed)

    @property
    def to_undo(self) -> tuple[Key, ...]:
        """The steps that are still to be undone, in order."""
        keys = () if self.verdict is None else self.verdict.keys
        return tuple(key for key in keys if self.calls.outcome(key.rollback) is None)

    @property
    def not_undone(self) -> tuple[CallFailed, ...]:
        """The rollbacks that failed for good, in order."""
        keys = () if self.verdict is None else self.verdict.keys
        ends = [self.calls.outcome(key.rollback) for key in keys]
        return tuple(end for end in ends if isinstance(end, CallFailed))

    def check(self) -> None:
        """Assert what always holds. Every test of a run does so after every stimulus."""
        self.calls.check()
        self._check_memory()
        self._check_session()

    def _check_memory(self) -> None:
        phase = self.phase
        assert (self.queued is None) == (phase is Phase.NEW), "a run from nowhere"
        assert (self.end is None) == (phase is not Phase.OVER), "over without an end"
        assert self.attempt == self.calls.attempt, "two counts of the attempts"
        assert (self.verdict is not None) == self.calls.rolling_back, "who rolls back?"
        assert self.n <= self.calls.last_n, "a number from time to come"
        if phase in {Phase.NEW, Phase.QUEUED}:
            assert self.attempt == -1, "it moved before it started"
            assert self.held is None or phase is Phase.QUEUED, "held before it was there"
        if phase is Phase.UNDOING:
            assert self.verdict is not None, "nothing says that it is rolled back"
        if self.verdict is not None:
            assert phase in {Phase.UNDOING, Phase.OVER}, "what was settled goes on"
            if isinstance(self.end, FunctionFailed):
                assert self.verdict.reason is None, "it was to be cancelled"
            elif self.end is not None:
                assert isinstance(self.end, FunctionCancelled), "it ends well after all"
                assert self.end.reason == self.verdict.reason, "another reason"

    def _check_session(self) -> None:
        body, calls = self.body, self.calls
        if body is Body.ALIVE:
            assert self.phase in {Phase.RUNNING, Phase.UNDOING}, "a body outlives its run"
            assert self.terms is not None, "nobody has this run"
            assert self.held is None or calls.stopped, "it is held, and goes on"
        else:
            undone = () if self.undoing is None else (self.undoing.rollback,)
            assert {*calls.waiting} <= {*undone}, "a call outlives its body"
        if self.undoing is not None:
            assert self.phase is Phase.UNDOING, "nothing is to be undone"
            assert body is Body.ENDED, "too early to undo"
            assert self.verdict is not None, "nothing says what is to be undone"
            assert self.undoing in self.verdict.keys, "this is not to be undone"
        assert not self.told or self.cancel is not None, "cancelled by nobody"
