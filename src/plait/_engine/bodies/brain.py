"""Joins the kernel, which decides, and the body, whose tasks wait.

It hears what happens and does what the kernel says; for the gate it is the brain. The kernel is behind
a door, which numbers and keeps the records: whoever has the run opens it for calls and life alike.

Rule 1: *What the kernel has decided is kept before anything is done.* An effect may lead to the next
    stimulus at once: a scope that is cancelled asks each of its calls whether it may leave.
Rule 2: *Nothing is handed out in the midst of a cancellation*: the task that is asked whether it may
    leave is not runnable yet, and the others of its scope have not been asked.
Rule 3: *Plait's own failures suspend the body*, and come out of `Body.run`: those of the journal, of a
    port, and of code that does not fit the journal. None of them is an outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from plait._errors import DeterminismError, RunSuspended
from plait._kernel.calls import effects, refusals, stimuli
from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallCompleted, CallFailed
from plait._kernel.calls.state import BodyState
from plait._kernel.functions.stimuli import Stimulus

from .body import Body
from .gate import LET_GO, HandOut, Move, Release
from .paths import Path
from .ports import Children, Door, Waits
from .timers import Alarm, Timers

if TYPE_CHECKING:
    from plait._engine.native import CancelScope

#: Why a body is cancelled that was only replayed to be rolled back.
REPLAYED: Final = "replayed"

#: A union that is written out is made anew at each look.
_ENDINGS: Final = (CallCompleted, CallFailed)


class Deadline:
    """A durable deadline whose scope is open."""

    def __init__(self, scope: CancelScope, due_at: float) -> None:
        self.scope = scope
        self.due_at = due_at

    def hand(self, outcome: object) -> None:  # noqa: ARG002 - as others are handed theirs
        """Cancel what is inside."""
        self.scope.cancel()


class KernelsBrain:
    """What is heard in one start of a body. Made where an event loop runs.

    Args:
        run_id: The run.
        state: What is known of the calls. The door changes it.
        door: Takes in what is heard.
        perform: Does what the kernel says beside the effects of calls.
        timers: Rings alarms; served by somebody as long as the body lives.
        report: Told once if the body has outcomes waiting and does not come to rest: who spins.
        warn: Told of a call that was cancelled under a deadline that is not durable.
        root: The path of the body's first task.
        why: As for `Body`.
    """

    def __init__(
        self,
        run_id: str,
        state: BodyState,
        *,
        door: Door,
        perform: Callable[[object], object],
        timers: Timers,
        report: Callable[[list[str]], object],
        warn: Callable[[Key], object],
        root: Path = (),
        why: Callable[[], object] | None = None,
    ) -> None:
        self.run_id: Final = run_id
        self.state: Final = state
        self.body: Final = Body(run_id, self, report, root=root, why=why)
        self.now: Final = timers.now
        self._door = door
        self._perform_else = perform
        self._timers = timers
        self._warn = warn
        self._native = self.body.native
        # Ctrl-C must not fall between a decision and its effects.
        self._native.protect(KernelsBrain.hear)
        self._alarms: dict[Key, Alarm] = {}
        #: The attempts of handlers that are to run, until their tasks take them.
        self._attempts: dict[Key, int] = {}
        self._waits: dict[Key, Waits] = {}
        self._children: dict[Key, Children] = {}
        self._deadlines: dict[Key, Deadline] = {}
        #: What is to be decided before the next outcome is handed out, with its rank.
        self._decisions: dict[Callable[[], object], str] = {}

    def hear(self, stimulus: Stimulus) -> Sequence[object]:
        """Take in what has happened, and do what follows. Not a checkpoint.

        Returns:
            What followed.

        Raises:
            BaseException: What is our own failure, or a port's; the body is suspended.
        """
        try:
            todo = self._take(stimulus)
            for effect in todo:
                self._perform(effect)
            if self._door.may_move:
                self.body.look(cancelling=isinstance(stimulus, stimuli.CallCancelled))
        except BaseException as error:
            self.body.fail(error)
            raise
        return todo

    def hear_in_hook(self, stimulus: Stimulus) -> Sequence[object]:
        """Hear it where nobody could take an error: the body is failed by then."""
        try:
            return self.hear(stimulus)
        except BaseException:  # noqa: BLE001, ASYNC103
            return ()  # noqa: ASYNC104

    def _take(self, stimulus: Stimulus) -> Sequence[object]:
        """Rule 1."""
        kept, todo = self._door.take_in(stimulus)
        for record in kept:
            if isinstance(record, _ENDINGS):
                self.body.gate.seal(record.key)
        return todo

    def _ring(self, key: Key) -> None:
        self._alarms.pop(key, None)
        waits = self._waits.get(key)
        if waits is None or not waits.overdue(key, partial(self._is_due, key)):
            self._is_due(key)

    def _is_due(self, key: Key) -> None:
        self.hear_in_hook(stimuli.Due(self.now(), key))

    def _perform(self, effect: object) -> None:
        if isinstance(effect, effects.RunHandler):  # the commonest: no pattern is as fast
            self._attempts[effect.key] = effect.attempt
            self.body.gate.release(effect.key)
            return
        match effect:
            case effects.SetAlarm(key, at):
                self._alarms[key] = self._timers.set(at, partial(self._ring, key))
            case effects.ClearAlarm(key):
                if (alarm := self._alarms.pop(key, None)) is not None:
                    alarm.clear()
            case effects.Await(key, event):
                self._waits[key].look_out(key, event)
            case effects.Forget(key):
                self._waits[key].forget(key)
            case effects.StartChild(key, child):
                self._children[key].start(key, child)
            case effects.CancelChild(key, child):
                self._children[key].cancel(key, child)
            case effects.Cancel():
                self.body.end(REPLAYED)
            case effects.Refuse(key, why):
                error = self.refused(why)
                self.body.gate.throw(key, error)
                if isinstance(error, DeterminismError):
                    self.body.fail(error)
            case effects.Warn(key):
                self._warn(key)
            case effects.LetGo() | effects.Answer() | effects.HandOut():
                pass  # whoever has told of the stimulus sees to them
            case _:
                self._perform_else(effect)

    def refused(self, why: refusals.Refusal) -> BaseException:
        """Make the error that a call raises."""
        text = why.text(self.run_id)
        return (
            RunSuspended(text) if isinstance(why, refusals.Suspending) else DeterminismError(text)
        )

    # ------------------------------------------------------------ the brain of the gate

    def at_rest(self) -> Move | None:
        """Say what to do, now that the body is at rest."""
        if self._decisions:
            self._decide()
            return Release(())
        outcome: HandOut | None = None
        released: list[Key] = []
        for effect in self._take(stimuli.AtRest(self.now())):
            if isinstance(effect, effects.HandOut):
                outcome = HandOut(effect.key, effect.outcome)
            elif isinstance(effect, effects.LetGo):
                outcome = HandOut(effect.key, LET_GO)
            elif isinstance(effect, effects.RunHandler):
                self._attempts[effect.key] = effect.attempt
                released.append(effect.key)
            else:
                self._perform(effect)
        return outcome or (Release(tuple(released)) if released else None)

    def has_outcomes(self) -> bool:
        """Say whether something would be handed out or released if the body were at rest now."""
        return bool(self._decisions) or self._door.may_move

    def calls(self) -> int:
        """Count the calls that wait."""
        return len(self.state.waiting)

    def suspended(self) -> None:
        """Hear that the body is stopped from outside."""
        self._take(stimuli.Suspended(self.now()))
        self._decide()
        for deadline in self._deadlines.values():
            self.fall_back(deadline)

    def at_next_rest(self, decide: Callable[[], object], rank: str) -> None:
        """Have something decided once, before the next outcome is handed out; the lowest rank first.

        At once if the body is being suspended: then no outcome comes any more.
        """
        if self.body.suspending:
            decide()
            return
        self._decisions[decide] = rank
        self.body.look()

    def _decide(self) -> None:
        decisions, self._decisions = self._decisions, {}
        for decide in sorted(decisions, key=decisions.__getitem__):
            decide()

    def fall_back(self, deadline: Deadline) -> None:
        """Have a deadline end by itself."""
        # No outcome is handed out any more, and clean-up under a shield must end in time.
        left = max(0.0, deadline.due_at - self.now())
        deadline.scope.deadline = self._native.clock()() + left
