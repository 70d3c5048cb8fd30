"""The state of the calls of one body.

It has two parts. The **memory** is the sum of the records, and is compared by `==`: what is known of
each key, whatever process or attempt of the body it comes from. The **session** is the sum of the
marks, and of what the records did to the calls that were waiting: it begins anew with each start of
the body. Only `apply` changes either.
"""

from __future__ import annotations

from collections import deque

import attrs

from plait._kernel.value import a_deque, a_dict, a_list, mutable

from .keys import Key, Path
from .life import CLOSING, DOOMED, ENDED, HELD, LEAVING, Stage
from .records import CallCompleted, CallScheduled, DeadlineFired, Ending, Outcome
from .stimuli import Called


@mutable
class Past:
    """What the records say about one key."""

    #: Invariant: a call that has ended, or was cancelled, is no longer scheduled.
    scheduled: CallScheduled | None = None
    #: How many attempts have failed, when the first of them began, and when the next one is due.
    failures: int = 0
    began: float = 0.0
    due_at: float = 0.0
    ending: Ending | None = None
    #: The number of the ending; before that, of what scheduled it.
    n: int = 0
    #: The attempt of the body that cancelled it last; -1: none did.
    cancelled_in: int = -1
    #: The number of the record that says so: its turn to leave, unless a child is to be over first.
    cancelled_by: int = 0
    #: The child that was cancelled with it, until that is over.
    child: str | None = None
    cancellations: int = 0


@mutable
class Deadline:
    """A durable deadline of this attempt of the body."""

    due_at: float
    #: The number of the record that fired it; before that, of the one that set it.
    n: int
    fired: DeadlineFired | None = None


@mutable
class Call:
    """A call that was made in this start of the body and has not come back."""

    made: Called
    stage: Stage
    #: The number of the last record of its own, and of the one that led to its next one.
    n: int = 0
    cause: int = 0
    #: When its first attempt began, in whatever process.
    began: float | None = None


@mutable
class BodyState:
    """The calls of one body.

    Args:
        seed: The run's: chance in retry delays comes from it.
    """

    seed: int = 0
    # -- memory
    past: dict[Key, Past] = attrs.field(factory=a_dict)
    deadlines: dict[Key, Deadline] = attrs.field(factory=a_dict)
    patches: dict[str, bool] = attrs.field(factory=a_dict)
    #: The attempt of the body; -1: it has not begun.
    attempt: int = -1
    #: How many outcomes are recorded: endings, and deadlines that fired.
    outcomes: int = 0
    #: Has `rollback.begun` been recorded?
    rolling_back: bool = False
    #: The number of the stream's last record, of whatever kind. Notes may be missing.
    last_n: int = attrs.field(default=0, eq=False)
    # -- session
    #: Are calls without a memo held?
    replay: bool = attrs.field(default=False, eq=False)
    accept_changes: bool = attrs.field(default=False, eq=False)
    #: Does nothing that happens count any more?
    stopped: bool = attrs.field(default=False, eq=False)
    #: Records up to here are on disk.
    confirmed: int = attrs.field(default=0, eq=False)
    #: How often each task has used each id; `None` stands for deadlines.
    counts: dict[tuple[Path, str | None], int] = attrs.field(factory=a_dict, eq=False)
    waiting: dict[Key, Call] = attrs.field(factory=a_dict, eq=False)
    #: Those of them that are HELD, and those that are DOOMED (was somebody warned?).
    held: dict[Key, None] = attrs.field(factory=a_dict, eq=False)
    doomed: dict[Key, bool] = attrs.field(factory=a_dict, eq=False)
    #: Those that are LEAVING.
    leaving: dict[Key, None] = attrs.field(factory=a_dict, eq=False)
    #: How many are RUNNING, SETTING, PENDING or CLOSING.
    going: int = attrs.field(default=0, eq=False)
    #: Calls whose due time is on the way to disk, in the order of the records.
    unconfirmed: deque[tuple[int, Key]] = attrs.field(factory=a_deque, eq=False)
    #: A heap of what may be handed out, or let go. A deadline's entry is stale if its scope has been
    #: left; the first entry never is.
    ready: list[tuple[int, Key]] = attrs.field(factory=a_list, eq=False)
    #: Deadlines whose scope is open: has it fired?
    entered: dict[Key, bool] = attrs.field(factory=a_dict, eq=False)
    #: How many of them have not fired.
    ticking: int = attrs.field(default=0, eq=False)
    #: Those that were entered in replay, and have no alarm yet.
    unarmed: dict[Key, None] = attrs.field(factory=a_dict, eq=False)
    #: A heap of when the held and the unarmed are due, with the number of what says so. May be stale.
    dues: list[tuple[float, int, Key]] = attrs.field(factory=a_list, eq=False)
    #: Calls that were made with a rollback.
    undoable: dict[Key, None] = attrs.field(factory=a_dict, eq=False)
    #: How many outcomes were handed out; the last one's number, and its time.
    handed: int = attrs.field(default=0, eq=False)
    last_handed: int = attrs.field(default=0, eq=False)
    moment: float | None = attrs.field(default=None, eq=False)

    def next_key(self, path: Path, step_id: str | None) -> Key:
        """Name the next call of the task at `path` with this id; its next deadline, with `None`."""
        return Key(path, step_id, self.counts.get((path, step_id), 0))

    @property
    def replaying(self) -> bool:
        """Do memos remain to be handed out, as far as is known?"""
        return self.replay and self.handed < self.outcomes

    @property
    def may_move(self) -> bool:
        """Is it worth while to report `AtRest`? If not, the body waits for the world."""
        if self.stopped:
            return False
        if self.ready:
            n, key = self.ready[0]
            return n <= self.confirmed or self.leaves_alone(key)
        if self.held or self.unarmed or self.doomed:
            return True
        return self.rolling_back and self.replay

    def leaves_alone(self, key: Key) -> bool:
        """Does this call leave, and nobody else waits with whom it could change places?"""
        return key in self.leaving and len(self.waiting) == 1

    @property
    def unasked(self) -> tuple[Key, ...]:
        """Calls that have a memo, and were not made in this start of the body."""
        return tuple(
            key
            for key, past in self.past.items()
            if past.ending is not None
            and not key.role
            and key.occurrence >= self.counts.get((key.path, key.step_id), 0)
        )

    @property
    def to_undo(self) -> tuple[Key, ...]:
        """What is to be rolled back, the last to complete first: the keys of the steps."""
        done: list[tuple[int, Key]] = []
        for key in self.undoable:
            past = self.past.get(key)
            if past is not None and isinstance(past.ending, CallCompleted):
                done.append((past.n, key))
        return tuple(key for _, key in sorted(done, reverse=True))

    def cancellations(self, key: Key) -> int:
        """How often this call was cancelled: who invokes a child again needs another name for it."""
        past = self.past.get(key)
        return 0 if past is None else past.cancellations

    def outcome(self, key: Key) -> Outcome | None:
        """Look up how a call ended, or a deadline fired."""
        if (deadline := self.deadlines.get(key)) is not None:
            return deadline.fired
        past = self.past.get(key)
        return None if past is None else past.ending

    def check(self) -> None:
        """Assert what always holds. Every test of the calls does so after every stimulus."""
        self._check_memory()
        self._check_session()

    def _check_memory(self) -> None:
        endings = [past for past in self.past.values() if past.ending is not None]
        fired = [one for one in self.deadlines.values() if one.fired is not None]
        assert self.outcomes == len(endings) + len(fired), "lost count of the outcomes"
        numbers = [past.n for past in endings] + [one.n for one in fired]
        assert len({*numbers}) == len(numbers), "two outcomes in one place"
        assert all(0 < n <= self.last_n for n in numbers), "an outcome from nowhere"
        for key, past in self.past.items():
            assert not (past.ending and past.scheduled), f"{key} ended, and is scheduled"
            assert past.cancelled_in <= self.attempt, f"{key} was cancelled in time to come"
            assert (past.cancelled_in >= 0) == (past.cancellations > 0), f"{key}: who cancelled?"
            assert (past.cancelled_in >= 0) == (past.cancelled_by > 0), f"{key}: it has no turn"
            assert past.child is None or past.cancelled_in >= 0, f"{key}: who cancelled its child?"

    def _check_session(self) -> None:
        stages: dict[Stage, set[Key]] = {stage: set() for stage in Stage}
        for key, call in self.waiting.items():
            assert key == call.made.key, f"{key} has another's place"
            stages[call.stage].add(key)
        assert stages[HELD] == {*self.held}, "the held are not those that are held"
        assert stages[DOOMED] == {*self.doomed}, "the doomed are not those that are doomed"
        assert stages[LEAVING] == {*self.leaving}, "the leaving are not those that leave"
        still = sum(len(stages[stage]) for stage in (HELD, DOOMED, LEAVING, ENDED))
        assert self.going == len(self.waiting) - still, "lost count of what goes on"
        assert self.replay or not (self.held or self.unarmed), "held, and replay is over"
        for key, call in self.waiting.items():
            past = self.past.get(key)
            ended = past is not None and past.ending is not None
            assert (call.stage is ENDED) == ended, f"{key} has ended, or has not"
            if call.stage is CLOSING:
                assert past is not None, f"{key} was never cancelled"
                assert past.child is not None, f"{key} waits for no child"
            if call.stage in {DOOMED, CLOSING, LEAVING}:
                assert past is not None, f"{key} was never cancelled"
                assert past.cancelled_in == self.attempt, f"{key} was cancelled in another attempt"
        live = {key for _, key in self.ready if key in self.waiting or key in self.entered}
        fired = {key for key, has in self.entered.items() if has}
        handed = {key for key in fired if not any(key == other for _, other in self.ready)}
        told = stages[ENDED] | stages[LEAVING] | fired
        assert told == live | handed, "an outcome that nobody will be given"
        assert all(n == self._number(key) for n, key in self.ready), "out of order"
        if self.ready:
            first = self.ready[0][1]
            assert first in self.waiting or first in self.entered, "a stale outcome comes first"
        open_ones = [key for key, has in self.entered.items() if not has]
        assert self.ticking == len(open_ones), "lost count of the deadlines"
        assert {*self.unarmed} <= {*open_ones}, "no alarm for a deadline that is over"
        assert self.confirmed <= self.last_n, "on disk before it was written"
        assert self.handed <= self.outcomes, "handed out twice"

    def _number(self, key: Key) -> int:
        past = self.past.get(key)
        if past is None:
            return self.deadlines[key].n
        return past.cancelled_by if past.ending is None else past.n
