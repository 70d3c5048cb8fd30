"""A run, its body, a disk and a clock, all simulated: who plays shell to the kernel of a run.

A body is a script: calls one after the other, an error that some attempts raise, and a shielded
clean-up. Chance says who moves next, when what is appended reaches the disk, when somebody cancels the
run for good, and where the process dies or suspends it.

Laws, watched all the time:
1. what is recorded never runs again: neither a step nor a rollback;
2. the attempt of each start is the number of attempts that failed before it, whatever crashed, or for
   the sake of rollbacks that of the last start; its resumes are the starts since the last news;
3. nothing starts, wakes, is undone or told before what it follows from is on disk;
4. there is one end, the last record, and with it its events, once;
5. a cancellation that came before the end was settled is how it ends; else the script says it;
6. every undoable step that was done is undone, the last one first, unless the run completed;
7. while it is suspended nothing is written;
8. the state is the sum of its records, with and without notes, and its own invariants hold;
9. who holds it says so once, and the next one that can goes on as if that had not been.
"""

from __future__ import annotations

from collections.abc import Generator
from random import Random
from typing import Any, TypeAlias

import attrs

from plait._errors import NonRetriableError
from plait._kernel.calls import effects as calls
from plait._kernel.calls import records as of_calls
from plait._kernel.calls import stimuli as told
from plait._kernel.calls.apply import count
from plait._kernel.calls.keys import ROLLBACK, Key
from plait._kernel.functions import effects, records, stimuli
from plait._kernel.functions.advance import advance
from plait._kernel.functions.apply import fold
from plait._kernel.functions.explain import status, waits_for
from plait._kernel.functions.keeping import KEEPING
from plait._kernel.functions.reasons import UnknownFunction
from plait._kernel.functions.state import FunctionState
from plait._kernel.keeping import Keep
from plait._kernel.retry.policy import ConstantDelayRetryPolicy

STEPS = ConstantDelayRetryPolicy(maximum_attempts=3, delay=1)
BODIES = ConstantDelayRetryPolicy(maximum_attempts=3, delay=2)


@attrs.frozen
class Do:
    """A call. `fails`: how many attempts of its handler fail; three are all there are."""

    op: Any
    step_id: str
    fails: int = 0
    caught: bool = True
    undoable: bool = False
    undo_fails: bool = False


@attrs.frozen
class Oops:
    """The attempts of the body before this one raise here."""

    before: int
    final: bool = False


@attrs.frozen
class Script:
    parts: tuple[Do | Oops, ...]
    clean_up: bool = False
    on_failure: bool = False


class Failed(NonRetriableError):  # noqa: N818 - says what it is
    """A call failed for good."""


class Cancelled(BaseException):
    """A scope was cancelled."""


class Crash(BaseException):
    """The process has died."""


Requests: TypeAlias = Generator[Do, Any, Any]


def perform(script: Script, attempt: int) -> Requests:
    """What the body does: it yields calls, and is told what came of them."""
    done: list[Any] = []
    died = False
    try:
        for part in script.parts:
            if isinstance(part, Do):
                try:
                    done.append((yield part))
                except Failed:
                    if not part.caught:
                        raise
                    done.append("caught")
            elif attempt < part.before:
                raise Failed("final") if part.final else ValueError("oops")
    except GeneratorExit:
        died = True
        raise
    finally:
        if script.clean_up and not died:
            yield Do("run", "clean-up")
    return tuple(done)


def expected(script: Script) -> str:
    """How it ends if nobody cancels it."""
    for attempt in range(3):
        for part in script.parts:
            if isinstance(part, Do):
                if part.fails >= 3 and not part.caught:
                    return "failed"
            elif attempt < part.before:
                if part.final or attempt == 2:
                    return "failed"
                break
        else:
            return "completed"
    raise AssertionError


@attrs.define
class Fate:
    """How this life goes: how likely each thing is to happen, out of a thousand."""

    crash: int = 0
    suspend: int = 0
    cancel: int = 0


@attrs.define
class World:
    """What outlives a process."""

    script: Script
    chance: Random
    now: float = 1000.0
    #: What was appended, in pieces, with what went to the app's stream; those before `synced` are on disk.
    log: list[tuple[list[tuple[int, Any]], list[Any]]] = attrs.field(factory=list)
    synced: int = 0
    #: How many pieces had been appended when it was cancelled for good: the app's stream has it.
    cancelled_at: int | None = None
    told_end: list[Any] = attrs.field(factory=list)

    def kept(self, pieces: int | None = None) -> list[tuple[int, Any]]:
        return [entry for piece, _ in self.log[:pieces] for entry in piece]

    def recovered(self, *, notes: bool = True) -> FunctionState:
        state = FunctionState()
        for n, record in self.kept():
            if notes or KEEPING[type(record)] is not Keep.NOTE:
                fold(state, record, n)
            else:
                count(state.calls, n)
        return state

    def crash_to(self, pieces: int) -> None:
        del self.log[pieces:]
        self.synced = pieces
        if self.cancelled_at is not None:
            self.cancelled_at = min(self.cancelled_at, pieces)

    def live(self, fate: Fate) -> bool:
        """One life of the process. Is the run over?"""
        life = Life(self, fate)
        try:
            life.run()
        except Crash:
            life.audit()
            left = len(self.log)
            if self.chance.randrange(2):
                left = self.chance.randint(self.synced, left)
            self.crash_to(left)
            return False
        life.audit()
        self.judge()
        return True

    def be_held(self) -> None:
        """A process has the run that does not know its function: law 9."""
        state = self.recovered()
        if state.queued is None or state.end is not None:
            return
        known = state.held
        kept, todo = advance(state, stimuli.TakenUp(self.now, None, None))
        if kept:
            assert known is None
            self.log.append((kept, []))
            _, todo = advance(state, told.Acknowledged(self.now, state.calls.last_n))
        self.synced = len(self.log)
        state.check()
        assert todo == [effects.Hold(UnknownFunction("f"))]
        assert status(state) == status(self.recovered()) == "held"

    def live_until_done(self, crash: int = 40, suspend: int = 15, cancel: int = 0) -> None:
        while not self.live(Fate(crash, suspend, cancel)):
            crash, suspend = crash * 4 // 5, suspend * 4 // 5
            for _ in range(self.chance.choice((0, 0, 1, 2))):
                self.be_held()

    def judge(self) -> None:
        """Laws 2, 4, 5 and 6."""
        kept = self.kept()
        failures = starts = 0
        last = 0
        rolling_back = False
        for _, record in kept:
            match record:
                case records.FunctionStarted():
                    assert record.attempt == (last if rolling_back else failures)
                    last = record.attempt
                    assert record.resumes == starts
                    starts += 1
                case records.FunctionRetrying():
                    failures += 1
                    starts = 0
                case records.RollbackBegun():
                    rolling_back = True
                    starts = 1
                case of_calls.CallCompleted() | of_calls.CallFailed():
                    starts = min(starts, 1)
                case _:
                    pass
        ends = [record for _, record in kept if isinstance(record, records.End)]
        (end,) = ends
        assert kept[-1][1] is end
        assert self.told_end
        assert all(one.end is end for one in self.told_end)
        self.judge_events(end)
        self.judge_end(end)
        self.judge_rollback(end)

    def judge_events(self, end: Any) -> None:
        sent = [(place, one) for place, (_, sends) in enumerate(self.log) for one in sends]
        assert {place for place, _ in sent} == {len(self.log) - 1}
        names = sorted(one.name for _, one in sent if isinstance(one, effects.SendEvent))
        others = [one for _, one in sent if not isinstance(one, effects.SendEvent)]
        match end:
            case records.FunctionCompleted():
                assert names == [effects.FINISHED]
            case records.FunctionFailed():
                assert names == [effects.FAILED, effects.FINISHED]
            case _:
                assert names == [effects.CANCELLED]
        failed = isinstance(end, records.FunctionFailed) and self.script.on_failure
        assert others == ([effects.RunOnFailure(end)] if failed else [])

    def judge_end(self, end: Any) -> None:
        settled = next(
            place
            for place, (piece, _) in enumerate(self.log)
            if any(isinstance(r, records.End | records.RollbackBegun) for _, r in piece)
        )
        if isinstance(end, records.FunctionCancelled):
            assert self.cancelled_at is not None
            return
        assert self.cancelled_at is None or settled < self.cancelled_at
        how = "completed" if isinstance(end, records.FunctionCompleted) else "failed"
        assert how == expected(self.script)

    def judge_rollback(self, end: Any) -> None:
        done: list[Key] = []
        undone: list[Key] = []
        undoable = {p.step_id for p in self.script.parts if isinstance(p, Do) and p.undoable}
        for _, record in self.kept():
            if isinstance(record, of_calls.CallCompleted | of_calls.CallFailed):
                if record.key.role == ROLLBACK:
                    undone.append(record.key.undone)
                elif isinstance(record, of_calls.CallCompleted) and record.key.step_id in undoable:
                    done.append(record.key)
        completed = isinstance(end, records.FunctionCompleted)
        assert undone == ([] if completed else done[::-1])
        assert [note.key.undone for note in self.told_end[-1].notes] == [
            key for key in undone if self.part(key).undo_fails
        ]

    def part(self, key: Key) -> Do:
        if key.step_id == "clean-up":
            return Do("run", "clean-up")
        return next(
            part
            for part in self.script.parts
            if isinstance(part, Do) and part.step_id == key.step_id
        )


@attrs.define
class Life:
    """One process that has the run."""

    world: World
    fate: Fate
    state: FunctionState = attrs.field(
        default=attrs.Factory(lambda self: self.world.recovered(), takes_self=True)
    )
    body: Requests | None = None
    #: What the body, or who undoes, is told when it moves next.
    answer: tuple[str, Any] | None = None
    waits: Key | None = None
    handler: tuple[Key, int] | None = None
    alarms: dict[Key, float] = attrs.field(factory=dict)
    wake: float | None = None
    undo: Key | None = None
    cancelled: bool = False
    suspending: bool = False
    finished: bool = False

    def audit(self) -> None:
        """Law 8."""
        whole = self.world.recovered()
        assert whole == self.state
        assert self.world.recovered(notes=False) == self.state
        whole.check()

    def tell(self, stimulus: Any) -> None:
        kept, todo = advance(self.state, stimulus)
        self.state.check()
        assert status(self.state) != "held"
        assert list(waits_for(self.state)) is not None
        sends = [one for one in todo if isinstance(one, effects.SendEvent | effects.RunOnFailure)]
        assert kept or not sends
        if kept:
            assert not self.suspending, "law 7"
            self.world.log.append((kept, sends))
        for effect in todo:
            if effect not in sends:
                self.do(effect)

    def on_disk(self, *kinds: type) -> bool:
        """Is the last of the run's own records there, and of one of these kinds?"""
        own = [(n, r) for n, r in self.world.kept() if isinstance(r, records.Record)]
        here = self.world.kept(self.world.synced)
        return own[-1] in here and isinstance(own[-1][1], kinds)

    def do(self, effect: Any) -> None:
        match effect:
            case effects.StartBody(attempt):
                assert self.on_disk(records.FunctionStarted)
                assert self.body is None
                self.body = perform(self.world.script, attempt)
                self.answer = ("send", None)
                self.cancelled = False
            case effects.Wake(at):
                assert self.on_disk(records.FunctionRetrying, records.FunctionFreed)
                self.wake = at
            case effects.ClearWake():
                self.wake = None
            case effects.CancelBody() | calls.Cancel():
                self.cancelled = True
                if self.waits is not None:
                    self.handler = None
                    self.tell(told.CallCancelled(self.world.now, self.waits))
            case effects.Undo(key):
                assert self.on_disk(records.RollbackBegun, records.FunctionStarted)
                assert self.body is None
                assert self.undo is None
                self.undo = key
            case effects.Finish():
                assert self.on_disk(*records.End.__args__)
                self.world.told_end.append(effect)
                self.finished = True
            case effects.WarnUnasked() | calls.Warn() | calls.Await() | calls.Forget():
                pass
            case calls.RunHandler(key, attempt):
                here = [r for _, r in self.world.kept(self.world.synced)]
                ended = [r for r in here if isinstance(r, of_calls.Ending) and r.key == key]
                assert not ended, "law 1"
                assert self.waits == key
                self.handler = (key, attempt)
            case calls.SetAlarm(key, at):
                self.alarms[key] = at
            case calls.ClearAlarm(key):
                self.alarms.pop(key, None)
            case calls.HandOut(key, n, outcome):
                assert n in [n for n, _ in self.world.kept(self.world.synced)], "law 3"
                good = isinstance(outcome, of_calls.CallCompleted)
                answer = ("send", outcome.value) if good else ("throw", Failed(str(outcome.error)))
                self.wakes(key, answer)
            case calls.LetGo(key) | calls.Refuse(key):
                self.wakes(key, ("throw", Cancelled()))
            case _:
                raise AssertionError(effect)

    def wakes(self, key: Key, answer: tuple[str, Any]) -> None:
        assert self.waits == key
        self.waits = self.handler = None
        if key.role == ROLLBACK:
            self.undo = None
        else:
            self.answer = answer

    def call(self, key: Key, part: Do) -> None:
        world = self.world
        self.waits = key
        due = world.now + 1.5 if part.op in {"sleep", "wait"} else None
        self.tell(
            told.Called(
                world.now,
                key,
                part.op,
                "handler",
                due_at=due,
                event="news" if part.op == "wait" else None,
                retry=STEPS,
                undoable=part.undoable,
                cancelled=self.cancelled and part.op != "rollback" and part.step_id != "clean-up",
            )
        )

    def step(self) -> None:
        assert self.body is not None
        assert self.answer is not None
        (how, what), self.answer = self.answer, None
        now = self.world.now
        try:
            part = self.body.send(what) if how == "send" else self.body.throw(what)
        except StopIteration as stop:
            self.body = None
            self.tell(stimuli.BodyReturned(now, stop.value))
        except Cancelled:
            self.body = None
            self.tell(stimuli.BodyCancelled(now))
        except (Failed, ValueError) as error:
            self.body = None
            self.tell(stimuli.BodyRaised(now, error))
        else:
            self.call(self.state.calls.next_key((), part.step_id), part)

    def run(self) -> None:
        world = self.world
        if self.state.queued is None:
            self.tell(stimuli.Queued(world.now, "f", "e", (), None, 0.0, 0.0, 7, "s"))
        options: Any = {"retry": BODIES, "on_failure": world.script.on_failure}
        self.tell(stimuli.TakenUp(world.now, "s", max_resumes=10_000, **options))
        if world.cancelled_at is not None:
            self.then_cancel()
        moves = 0
        while not self.finished:
            moves += 1
            assert moves < 20_000, "it does not end"
            self.turn()

    def turn(self) -> None:
        world, chance, state = self.world, self.world.chance, self.state
        luck = chance.randrange(1000)
        if luck < self.fate.crash:
            raise Crash
        if luck < self.fate.crash + self.fate.suspend:
            self.suspend()
        if chance.randrange(1000) < self.fate.cancel and world.cancelled_at is None:
            self.then_cancel()
        world.now += chance.choice((0.0, 0.0, 0.1, 0.5))
        may: list[str] = []
        if self.answer is not None:
            may.append("step")
        elif state.may_move or chance.randrange(4) == 0:
            may.append("rest")
        if self.handler is not None:
            may.append("end")
        if self.undo is not None and self.waits is None:
            may.append("undo")
        if any(at <= world.now for at in self.alarms.values()):
            may.append("due")
        if self.wake is not None and self.wake <= world.now:
            may.append("wake")
        if world.synced < len(world.log):
            may.append("sync")
        if any(p.scheduled and p.scheduled.event for p in state.calls.past.values()):
            may.append("event")
        if not may:
            return
        getattr(self, f"then_{chance.choice(may)}")()

    def then_step(self) -> None:
        self.step()

    def then_rest(self) -> None:
        self.tell(told.AtRest(self.world.now))

    def then_end(self) -> None:
        assert self.handler is not None
        (key, attempt), self.handler = self.handler, None
        part, now = self.world.part(key), self.world.now
        fails = (3 if part.undo_fails else 0) if key.role == ROLLBACK else part.fails
        if attempt < fails:
            self.tell(told.HandlerRaised(now, key, OSError("no")))
        else:
            self.tell(told.HandlerReturned(now, key, "value"))

    def then_undo(self) -> None:
        assert self.undo is not None
        self.call(self.undo.rollback, Do("rollback", ""))

    def then_due(self) -> None:
        key = min(self.alarms, key=lambda key: self.alarms[key])
        del self.alarms[key]
        self.tell(told.Due(self.world.now, key))

    def then_wake(self) -> None:
        self.wake = None
        self.tell(stimuli.RetryDue(self.world.now))

    def then_sync(self) -> None:
        world = self.world
        world.synced = world.chance.randint(world.synced + 1, len(world.log))
        n = world.log[world.synced - 1][0][-1][0]
        self.tell(told.Acknowledged(world.now, n))

    def then_cancel(self) -> None:
        if self.world.cancelled_at is None:
            self.world.cancelled_at = len(self.world.log)
        self.tell(stimuli.CancelAsked(self.world.now, "enough"))

    def then_event(self) -> None:
        past = self.state.calls.past
        key = next(k for k, p in past.items() if p.scheduled and p.scheduled.event)
        self.tell(told.EventArrived(self.world.now, key, "value"))

    def suspend(self) -> None:
        """Stop from outside: the clean-up runs, and the process is as good as dead."""
        self.tell(told.Suspended(self.world.now))
        self.suspending = self.cancelled = True
        if self.waits is not None:
            if self.handler is not None and self.world.chance.randrange(2):
                self.tell(told.HandlerReturned(self.world.now, self.waits, "in vain"))
            self.tell(told.CallCancelled(self.world.now, self.waits))
        while self.answer is not None:
            self.step()
        assert self.body is None
        assert not self.state.may_move
        self.tell(told.AtRest(self.world.now))
        raise Crash
