"""A body, a disk, handlers, children and a clock, all simulated: who plays shell to the calls' kernel.

A body is a tree: calls in sequence, groups, races, deadlines, in tasks that are generators. Chance says
who moves next, when what is appended reaches the disk, what ends first, and where the process dies.
What a handler returns tells how often it has run: a second run would be seen in the result.

Laws, watched all the time:
1. the outcomes are handed out, and cancelled calls let go, as they were in the life before, however
   long the handlers then took to clean up; up to the first that came when a record had been appended
   that is lost now: a call whose end is on its way cannot be cancelled, and
   if that end is lost the call is cancelled after all. What came of it is lost with it;
2. a call whose end is on disk never runs again;
3. a call that was cancelled never runs again in the same attempt of the body, also if the record of
   its cancellation was lost, unless nothing had been handed out before;
4. nothing is done for a call before what it follows from is on disk;
5. no child outlives the run;
6. the state is the sum of its records, with and without notes, and its own invariants hold.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from random import Random
from typing import Any, TypeAlias

import attrs

from plait._kernel.calls import effects, records, refusals, stimuli
from plait._kernel.calls.advance import advance
from plait._kernel.calls.apply import apply, count, fold
from plait._kernel.calls.keeping import KEEPING
from plait._kernel.calls.keys import Key, Path, key_of, key_text
from plait._kernel.calls.marks import Began, RollingBack
from plait._kernel.calls.state import BodyState
from plait._kernel.keeping import Keep

# ---------------------------------------------------------------- what a body does


@attrs.frozen
class Do:
    """A call. `fails`: how many attempts fail; `caught`: and its failure is caught."""

    op: Any
    step_id: str
    fails: int = 0
    seconds: float = 0.0
    caught: bool = True
    undoable: bool = False


@attrs.frozen
class Seq:
    parts: tuple[Any, ...]


@attrs.frozen
class Group:
    """Children at once; with `race` the first to end cancels the others."""

    parts: tuple[Any, ...]
    race: bool = False


@attrs.frozen
class MoveOn:
    """A durable deadline around something."""

    seconds: float
    part: Any


@attrs.frozen
class IfPatched:
    patch: str
    then: Any


class Policy:
    """A second between attempts, four attempts."""

    def next(self, elapsed: float, attempts: int, error: Exception) -> float | None:
        assert elapsed >= 0
        return 1.0 if attempts < 4 else None


POLICY = Policy()


class Failed(Exception):  # noqa: N818 - says what it is
    """A call failed for good."""


class Cancelled(BaseException):
    """A scope was cancelled."""


class Diverged(Exception):  # noqa: N818 - says what it is
    """The kernel refused."""


@attrs.define(eq=False)
class Scope:
    cancelled: bool = False


Requests: TypeAlias = Generator[Any, Any, Any]


@attrs.define(eq=False)
class Team:
    """The children of one group, and who waits for them."""

    parent: Task
    race: bool
    scope: Scope
    size: int
    #: By the place of the child: when it ended, and how.
    ends: dict[int, tuple[int, str, Any]] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Task:
    path: Path
    scopes: list[Scope]
    run: Requests
    team: Team | None = None
    place: int = 0
    #: What it is told when it moves next.
    told: tuple[str, Any] | None = ("send", None)
    waits_for: Key | None = None
    joins: Team | None = None
    groups: int = 0

    @property
    def cancelled(self) -> bool:
        return any(scope.cancelled for scope in self.scopes)


def perform(node: Any, task: Task) -> Requests:
    """What a task does: it yields requests, and is told what came of them."""
    match node:
        case Do():
            try:
                return (yield node)
            except Failed as failure:
                if not node.caught:
                    raise
                return ("failed", failure.args[0])
        case Seq():
            done = []
            for part in node.parts:
                done.append((yield from perform(part, task)))
            return tuple(done)
        case Group():
            return (yield node)
        case MoveOn():
            scope = Scope()
            task.scopes.append(scope)
            key = yield (node, scope)
            error: BaseException | None = None
            result: Any = "moved on"
            try:
                result = yield from perform(node.part, task)
            except (Failed, Cancelled) as trouble:
                if not (scope.cancelled and isinstance(trouble, Cancelled)):
                    error = trouble
            task.scopes.remove(scope)
            yield ("left", key)
            if error is not None:
                raise error
            return result
        case IfPatched():
            on = yield node
            return (on, (yield from perform(node.then, task)) if on else None)
        case _:
            raise AssertionError(node)


# ---------------------------------------------------------------- the process and its world


class Crash(BaseException):
    """The process has died."""


@attrs.define
class Fate:
    """How this life goes: how likely each thing is to happen, out of a thousand."""

    crash: int = 0
    suspend: int = 0
    patience: int = 100_000


@attrs.define
class World:
    """What outlives a process: the disk, the handlers' own log, the children."""

    body: Any
    chance: Random
    now: float = 1000.0
    #: What was appended, in pieces; those before `synced` are on disk.
    log: list[list[tuple[int, Any]]] = attrs.field(factory=list)
    synced: int = 0
    runs: dict[Key, int] = attrs.field(factory=dict)
    #: Who was cancelled in this attempt of the body, after something had been handed out.
    losers: set[Key] = attrs.field(factory=set)
    children: dict[str, tuple[str, Any]] = attrs.field(factory=dict)
    #: What was handed out in the life before and is on disk: it must come again, in this order.
    expected: list[int] = attrs.field(factory=list)
    order: list[tuple[int, int]] = attrs.field(factory=list)
    undone: list[Key] = attrs.field(factory=list)
    result: tuple[str, Any] | None = None
    lives: int = 0
    max_attempts: int = 2

    def kept(self) -> list[tuple[int, Any]]:
        return [entry for piece in self.log for entry in piece]

    def recovered(self, *, notes: bool = True) -> BodyState:
        """The state, from the records. What is not about calls is a tuple."""
        state = BodyState(seed=7)
        for n, record in self.kept():
            if isinstance(record, tuple):
                count(state, n)
                mark = Began(self.now, record[1]) if record[0] == "began" else RollingBack(self.now)
                apply(state, mark)
            elif notes or KEEPING[type(record)] is not Keep.NOTE:
                fold(state, record, n)
        return state

    def crash_to(self, pieces: int) -> None:
        """Only so many pieces are left."""
        del self.log[pieces:]
        self.synced = pieces

    def live(self, fate: Fate) -> bool:
        """One life of the process. Is the run over?"""
        self.lives += 1
        life = Life(self, fate)
        try:
            life.run()
        except Crash:
            life.audit()
            left = len(self.log)
            if self.chance.randrange(2):
                left = self.chance.randint(self.synced, left)
            self.crash_to(left)
            expected = life.handed_by(left)
            began = [r[1] for _, r in self.kept() if isinstance(r, tuple) and r[0] == "began"]
            same = bool(began) and began[-1] == life.state.attempt
            self.expected = expected if same else []
            return False
        life.audit()
        self.order = list(life.handed)
        self.expected = life.handed_by(len(self.log))
        return True


@attrs.define
class Life:
    """One process that has the run."""

    world: World
    fate: Fate
    state: BodyState = attrs.field(
        default=attrs.Factory(lambda self: self.world.recovered(), takes_self=True)
    )
    tasks: list[Task] = attrs.field(factory=list)
    callers: dict[Key, Task] = attrs.field(factory=dict)
    scopes: dict[Key, Scope] = attrs.field(factory=dict)
    nodes: dict[Key, Any] = attrs.field(factory=dict)
    handlers: dict[Key, int] = attrs.field(factory=dict)
    alarms: dict[Key, float] = attrs.field(factory=dict)
    awaited: dict[Key, str] = attrs.field(factory=dict)
    children: dict[Key, str] = attrs.field(factory=dict)
    #: Handlers that were cancelled, and clean up.
    cleaning: set[Key] = attrs.field(factory=set)
    #: Races that are to be decided when the body is at rest.
    undecided: list[Team] = attrs.field(factory=list)
    #: What was handed out or let go, and how many pieces had been appended by then.
    handed: list[tuple[int, int]] = attrs.field(factory=list)
    end: tuple[str, Any] | None = None
    suspending: bool = False
    moves: int = 0

    # -- the disk

    def append(self, piece: list[tuple[int, Any]]) -> None:
        if piece:
            assert not self.suspending, f"{piece} while suspending"
            self.world.log.append(piece)

    def note(self, *record: Any) -> None:
        """Append what is not about calls, and wait for it."""
        n = self.state.last_n + 1
        count(self.state, n)
        self.append([(n, record)])
        self.sync(len(self.world.log))

    def sync(self, pieces: int) -> None:
        """So many pieces are on disk."""
        self.world.synced = pieces
        ended = self.world.log[pieces - 1]
        self.tell(stimuli.Acknowledged(self.world.now, ended[-1][0]))

    def on_disk(self, n: int) -> bool:
        pieces = self.world.log[: self.world.synced]
        return bool(pieces) and pieces[-1][-1][0] >= n

    def handed_by(self, pieces: int) -> list[int]:
        """What was handed out before any piece but the first ones had been appended."""
        return [n for n, appended in self.handed if appended <= pieces]

    def audit(self) -> None:
        """Law 6."""
        whole = self.world.recovered()
        assert whole == self.state
        assert self.world.recovered(notes=False) == self.state
        whole.check()

    # -- the kernel

    def tell(self, stimulus: Any) -> list[Any]:
        kept, todo = advance(self.state, stimulus)
        self.state.check()
        self.append(kept)
        for _, record in kept:
            if isinstance(record, records.CallCancelled) and self.state.last_handed:
                self.world.losers.add(record.key)
        for effect in todo:
            self.do(effect)
        return todo

    def do(self, effect: Any) -> None:
        world, chance = self.world, self.world.chance
        match effect:
            case effects.RunHandler(key, attempt):
                ended = [
                    record.key
                    for piece in world.log[: world.synced]
                    for _, record in piece
                    if isinstance(record, records.CallCompleted | records.CallFailed)
                ]
                assert key not in ended, f"{key} runs again"  # law 2
                assert key not in world.losers, f"{key} was cancelled, and runs"  # law 3
                assert key in self.callers
                world.runs[key] = world.runs.get(key, 0) + 1
                self.handlers[key] = attempt
            case effects.SetAlarm(key, at):
                if key.step_id is not None:
                    assert self.on_disk(self.state.waiting[key].n), "law 4"
                    assert self.callers[key].waits_for == key
                assert key not in self.alarms
                self.alarms[key] = at
            case effects.ClearAlarm(key):
                self.alarms.pop(key, None)
            case effects.Await(key, event):
                assert self.on_disk(self.state.waiting[key].n), "law 4"
                assert key not in self.awaited
                self.awaited[key] = event
            case effects.Forget(key):
                del self.awaited[key]
            case effects.StartChild(key, child):
                over = world.children.get(child, ("running", None))[0] != "running"  # it only asks
                assert over or self.on_disk(self.state.waiting[key].n), "law 4"
                self.children[key] = child
                world.children.setdefault(child, ("running", None))
            case effects.CancelChild(key, child):
                if world.children.get(child, ("running", None))[0] == "running":
                    world.children[child] = ("failed", "cancelled")
                assert self.children.get(key, child) == child
            case effects.HandOut(key, n, outcome):
                assert not self.runnable(), "not at rest"
                assert self.on_disk(n), "law 4"
                assert key_of(key_text(key)) == key
                self.comes(n)
                assert self.state.last_handed == n
                if isinstance(outcome, records.DeadlineFired):
                    self.cancel(self.scopes[key])
                    return
                good = isinstance(outcome, records.CallCompleted)
                told = ("send", outcome.value) if good else ("throw", Failed(str(outcome.error)))
                self.wake(key, told)
            case effects.LetGo(key):
                self.forget(key)
                if (past := self.state.past.get(key)) and past.cancelled_by and not self.suspending:
                    assert not self.runnable(), "not at rest"
                    self.comes(past.cancelled_by)
                self.wake(key, ("throw", Cancelled()))
            case effects.Cancel(keys):
                if self.tasks:
                    self.cancel(self.tasks[0].scopes[0])
                left = {*keys} & {*self.callers}
                assert left <= {*self.state.leaving}, "every held call is gone"
            case effects.Refuse(key, why):
                if isinstance(why, refusals.Suspending):
                    self.wake(key, ("throw", Cancelled()))
                    return
                raise Diverged(why.text("r1"))
            case effects.Answer():
                pass
            case _:
                raise AssertionError(effect)
        assert chance

    def comes(self, n: int) -> None:
        """Law 1."""
        if self.world.expected:
            assert n == self.world.expected.pop(0), "another order"
        self.handed.append((n, len(self.world.log)))

    def forget(self, key: Key) -> None:
        """A call was cancelled; a handler with it."""
        self.handlers.pop(key, None)
        self.children.pop(key, None)

    def wake(self, key: Key, told: tuple[str, Any]) -> None:
        task = self.callers.pop(key)
        assert task.waits_for == key
        task.waits_for = None
        task.told = told

    # -- tasks

    def runnable(self) -> list[Task]:
        return [task for task in self.tasks if task.told is not None]

    def cancel(self, scope: Scope) -> None:
        scope.cancelled = True
        for task in [*self.tasks]:
            key = task.waits_for
            if not task.cancelled or key is None:
                continue
            if not self.suspending and self.handlers.pop(key, None) is not None:
                self.cleaning.add(key)
            elif self.suspending or key not in self.cleaning:
                self.tell(stimuli.CallCancelled(self.world.now, key))

    def step(self, task: Task) -> None:
        assert task.told is not None
        (how, what), task.told = task.told, None
        try:
            request = task.run.send(what) if how == "send" else task.run.throw(what)
        except StopIteration as stop:
            self.ended(task, "ok", stop.value)
        except Failed as failure:
            self.ended(task, "failed", failure.args[0])
        except Cancelled:
            self.ended(task, "cancelled", None)
        else:
            self.hear(task, request)

    def ended(self, task: Task, how: str, what: Any) -> None:
        self.tasks.remove(task)
        team = task.team
        if team is None:
            self.end = (how, what)
            return
        team.ends[task.place] = (len(self.handed), how, what)
        if how != "cancelled" and team.race:
            self.undecided.append(team)
        elif how == "failed":
            self.cancel(team.scope)
        if len(team.ends) == team.size:
            self.joined(team)

    def joined(self, team: Team) -> None:
        """All children have ended: the same for the same order of outcomes."""
        parent = team.parent
        parent.joins = None
        real = sorted((e[0], k, *e[1:]) for k, e in team.ends.items() if e[1] != "cancelled")
        failed = [one for one in real if one[2] == "failed"]
        if parent.cancelled:
            parent.told = ("throw", Cancelled())
        elif team.race:
            _, k, how, what = real[0]
            parent.told = ("send", (k, what)) if how == "ok" else ("throw", Failed(what))
        elif failed:
            parent.told = ("throw", Failed(failed[0][3]))
        else:
            parent.told = ("send", tuple(team.ends[k][2] for k in range(team.size)))

    def hear(self, task: Task, request: Any) -> None:
        state, now = self.state, self.world.now
        match request:
            case Do():
                key = state.next_key(task.path, request.step_id)
                self.call(task, key, request)
            case Group(parts, race):
                team = Team(task, race, Scope(), len(parts))
                task.joins = team
                group = task.groups
                task.groups += 1
                for k, part in enumerate(parts):
                    path = (*task.path, ("g", group, k))
                    self.spawn(path, [*task.scopes, team.scope], part, team, k)
            case (MoveOn(seconds, _), Scope() as scope):
                key = state.next_key(task.path, None)
                self.scopes[key] = scope
                self.tell(stimuli.DeadlineEntered(now, key, now + seconds))
                task.told = ("send", key)
            case ("left", Key() as key):
                self.tell(stimuli.DeadlineLeft(now, key))
                self.alarms.pop(key, None)
                task.told = ("send", None)
            case IfPatched(patch, _):
                (answer,) = self.tell(stimuli.PatchAsked(now, patch))
                task.told = ("send", answer.on)
            case _:
                raise AssertionError(request)

    def spawn(
        self, path: Path, scopes: list[Scope], node: Any, team: Team | None, place: int
    ) -> None:
        task = Task(path, scopes, iter(()), team, place)  # type: ignore[arg-type]
        task.run = perform(node, task)
        self.tasks.append(task)

    def call(self, task: Task, key: Key, node: Do) -> None:
        now = self.world.now
        task.waits_for = key
        self.callers[key] = task
        self.nodes[key] = node
        child = f"{key_text(key)}#{self.state.cancellations(key)}" if node.op == "invoke" else None
        self.tell(
            stimuli.Called(
                now,
                key,
                node.op,
                "handler",
                ("main",),
                due_at=now + node.seconds if node.op in {"sleep", "wait", "invoke"} else None,
                event="news" if node.op == "wait" else None,
                child=child,
                retry=POLICY if node.fails < 9 else None,
                undoable=node.undoable,
                cancelled=task.cancelled,
            )
        )

    # -- the world moves

    def run(self) -> None:
        started = [r[1] for _, r in self.world.kept() if isinstance(r, tuple) and r[0] == "began"]
        attempt = started[-1] if started else 0
        while True:
            self.note("began", attempt)
            self.tell(stimuli.Began(self.world.now, attempt))
            self.end = None
            self.alarms.clear()
            self.spawn((), [Scope()], self.world.body, None, 0)
            self.drive()
            assert self.end is not None
            assert not self.tasks
            assert not self.handlers
            if self.state.rolling_back or self.end[0] == "cancelled":
                break
            if self.end[0] == "ok" or attempt + 1 == self.world.max_attempts:
                break
            attempt += 1
            self.world.losers.clear()
            self.handed.clear()
            self.world.expected.clear()
        if self.end[0] != "ok":
            self.roll_back()
        result = self.end
        assert self.world.result in {None, result}
        assert attempt or not self.state.unasked
        assert all(how != "running" for how, _ in self.world.children.values()), "law 5"
        self.world.result = result

    def roll_back(self) -> None:
        """Undo what was done, as far as no earlier process has done so."""
        keys = self.state.to_undo
        if not self.state.rolling_back:
            self.note("rollback", keys)
            self.tell(stimuli.RollbackBegan(self.world.now))
            self.world.undone = list(keys)
        assert list(keys) == self.world.undone
        for key in keys:
            task = Task((), [Scope()], iter(()), None, 0, told=None)  # type: ignore[arg-type]
            self.call(task, key.rollback, Do("rollback", "", fails=1))
            while task.told is None:
                self.turn()
            assert task.told[0] == "send"

    def drive(self) -> None:
        while self.end is None:
            self.turn()

    def turn(self) -> None:
        """Somebody moves."""
        world, chance, state = self.world, self.world.chance, self.state
        self.moves += 1
        assert self.moves < self.fate.patience, "it does not end"
        luck = chance.randrange(1000)
        if luck < self.fate.crash:
            raise Crash
        if luck < self.fate.crash + self.fate.suspend and self.tasks:
            self.suspend()
        world.now += chance.choice((0.0, 0.0, 0.1, 0.5))
        ready = self.runnable()
        may: list[Any] = [("step", task) for task in ready]
        may += [("end", key) for key in self.handlers]
        may += [("clean", key) for key in sorted(self.cleaning, key=key_text)]
        overdue = [(at, key) for key, at in self.alarms.items() if at <= world.now]
        if overdue:
            first = min(at for at, _ in overdue)
            may += [("due", key) for at, key in overdue if at == first]
        may += [("child", key) for key in self.children if key in state.waiting]
        waits = [k for k, p in state.past.items() if p.scheduled and p.scheduled.op == "wait"]
        may += [("event", key) for key in waits]
        if world.synced < len(world.log):
            may.append(("sync", None))
        wanted = state.may_move or self.undecided
        if not ready and (wanted or chance.randrange(4) == 0):  # it may be told in vain
            may.append(("rest", None))
        if not may:
            assert self.alarms, "nothing will ever happen"
            world.now = max(world.now, min(self.alarms.values()))
            return
        what, whom = chance.choice(may)
        match what:
            case "step":
                self.step(whom)
            case "end":
                self.handler_ends(whom)
            case "clean":
                self.cleaning.remove(whom)
                self.tell(stimuli.CallCancelled(world.now, whom))
            case "due":
                del self.alarms[whom]
                self.tell(stimuli.Due(world.now, whom))
                assert self.awaited.pop(whom, None) is None
            case "child":
                self.child_ends(whom)
            case "event":
                if chance.randrange(4) == 0:
                    self.tell(stimuli.EventArrived(world.now, whom, ("event", key_text(whom))))
                    self.awaited.pop(whom, None)
            case "sync":
                self.sync(chance.randint(world.synced + 1, len(world.log)))
            case _ if self.undecided:
                self.cancel(self.undecided.pop(0).scope)
            case _:
                self.tell(stimuli.AtRest(world.now))

    def handler_ends(self, key: Key) -> None:
        attempt = self.handlers.pop(key)
        node = self.nodes[key]
        now = self.world.now
        if attempt < node.fails:
            self.tell(stimuli.HandlerRaised(now, key, ValueError(f"attempt {attempt}")))
        else:
            self.tell(stimuli.HandlerReturned(now, key, (key_text(key), self.world.runs[key])))

    def child_ends(self, key: Key) -> None:
        child = self.children[key]
        how, what = self.world.children[child]
        if how == "running":
            if self.world.chance.randrange(3):
                return
            how, what = self.world.children[child] = ("ok", ("child", child))
        del self.children[key]
        if how == "ok":
            self.tell(stimuli.ChildEnded(self.world.now, key, value=what))
        else:
            self.tell(stimuli.ChildEnded(self.world.now, key, error=what))

    def suspend(self) -> None:
        """Stop from outside: every clean-up runs, and the process is as good as dead."""
        self.tell(stimuli.Suspended(self.world.now))
        self.suspending = True
        for key in [*self.handlers]:
            if self.world.chance.randrange(2):
                self.tell(stimuli.HandlerReturned(self.world.now, key, "in vain"))
        for key in [*self.alarms]:
            self.tell(stimuli.Due(self.world.now, key))
        self.cancel(self.tasks[0].scopes[0])
        for _ in range(10_000):
            if not (ready := self.runnable()):
                break
            self.step(self.world.chance.choice(ready))
        assert not self.tasks, "everything was let go"
        assert not self.tell(stimuli.AtRest(self.world.now))
        raise Crash


# ---------------------------------------------------------------- bodies by chance

IDS: Sequence[str] = ("a", "a:1", "b")


def a_body(chance: Random, depth: int = 3) -> Any:
    """A tree of calls."""
    kind = chance.randrange(10 if depth else 4)
    if kind < 4:
        op = chance.choice(("run", "run", "run", "sleep", "wait", "invoke", "send"))
        fails = chance.choice((0, 0, 0, 1, 2, 9)) if op in {"run", "send"} else 0
        return Do(
            op,
            chance.choice(IDS),
            fails,
            chance.choice((-1.0, 0.0, 1.0, 3.0, 60.0)),
            caught=chance.randrange(3) > 0,
            undoable=op == "run" and chance.randrange(3) == 0,
        )
    if kind == 8:
        return MoveOn(chance.choice((0.0, 1.0, 2.0)), a_body(chance, depth - 1))
    if kind == 9:
        return IfPatched(chance.choice("pq"), a_body(chance, depth - 1))
    parts = tuple(a_body(chance, depth - 1) for _ in range(chance.randint(1, 4)))
    if kind in {4, 5}:
        return Seq(parts)
    return Group(parts, race=kind == 7)
