"""One stimulus, to the end: time passes, it is decided, and what may start is started.

Nothing raises after the first record: what is impossible is refused before, and what the users'
callables raise is an effect.
"""

from __future__ import annotations

from typing import Final, TypeAlias, assert_never

from plait._errors import PlaitInternalError

from . import effects, records, stimuli
from .arrive import invoke, receive, tick, watch
from .due import let_time_pass
from .effects import Effect
from .records import Record
from .snapshot import picture_of
from .start import park, settle
from .state import AppState
from .stimuli import Stimulus
from .turn import Turn

Advance: TypeAlias = tuple[list[Record], list[Effect]]

#: A snapshot follows so many records, or half as many as it has entries, if these are more: what
#: it costs is shared by the records before it, however much is waiting.
SNAPSHOT_EVERY: Final = 10_000


class ImpossibleStimulus(PlaitInternalError):  # noqa: N818 - says what it is
    """The app reported what cannot have happened."""

    def __init__(self, stimulus: Stimulus, because: str) -> None:
        super().__init__(f"{stimulus}: {because}")


def advance(state: AppState, stimulus: Stimulus) -> Advance:
    """Take a stimulus in: change the state, and say what is to be kept and what to be done.

    Raises:
        ImpossibleStimulus: The app is wrong; nothing has changed.
    """
    if (wrong := _impossible(state, stimulus)) is not None:
        raise ImpossibleStimulus(stimulus, wrong)
    turn = Turn(state, stimulus.now)
    if isinstance(stimulus, stimuli.TakenUp):
        _take_up(turn)
    let_time_pass(turn)
    _decide(turn, stimulus)
    settle(turn)
    due = state.next_due
    if due != state.alarm or isinstance(stimulus, stimuli.TimePassed | stimuli.TakenUp):
        state.alarm = due
        turn.do(effects.Wake(due))
    if state.since >= max(SNAPSHOT_EVERY, state.size // 2):
        turn.write(records.AppSnapshot(turn.now, picture_of(state)))
    return turn.written, [effect for effect in turn.todo if not _is_moot(state, effect)]


def _is_moot(state: AppState, effect: Effect) -> bool:
    """Would it cancel a run that has ended with the same stimulus?"""
    return (
        isinstance(effect, effects.CancelRun) and effect.started and effect.run_id not in state.runs
    )


def _impossible(state: AppState, stimulus: Stimulus) -> str | None:
    """Say what is wrong with it."""
    match stimulus:
        case stimuli.Ticked() | stimuli.CronWatched() | stimuli.Invoked() if not state.knows(
            stimulus.fn_id
        ):
            return "no such function"
        case stimuli.Invoked() if stimulus.run_id in state.runs:
            return "its run has not ended"
        case stimuli.Invoked() if stimulus.parent is not None:
            parent = state.runs.get(stimulus.parent)
            return None if parent and parent.started_at is not None else "its parent is not running"
        case stimuli.RunEnded():
            if stimulus.run_id not in state.runs:
                return "no such run"
            return "it has handlers" if state.handlers.of_run[stimulus.run_id] else None
        case stimuli.HandlerAsked():
            if stimulus.call in state.handlers.calls:
                return "it has asked before"
            run = state.runs.get(stimulus.run_id)
            return None if run and run.started_at is not None else "its run is not running"
        case stimuli.HandlerLeft() if stimulus.call not in state.handlers.calls:
            return "no such call"
        case _:
            return None


def _decide(turn: Turn, stimulus: Stimulus) -> None:
    state, now = turn.state, turn.now
    match stimulus:
        case stimuli.EventsReceived():
            receive(turn, stimulus)
        case stimuli.Invoked():
            invoke(turn, stimulus)
        case stimuli.Ticked():
            tick(turn, stimulus)
        case stimuli.CronWatched():
            watch(turn, stimulus)
        case stimuli.RunEnded():
            if stimulus.run_id in state.runs:  # or it has just been too long in the queue
                turn.write(records.RunLeft(now, stimulus.run_id, stimulus.status))
        case stimuli.CancelAsked():
            if (run := state.runs.get(stimulus.run_id)) is None:
                turn.do(effects.RefuseCancel(stimulus.run_id))
            else:
                turn.cancel(run, stimulus.reason)
        case stimuli.HandlerAsked():
            turn.write(records.HandlerQueued(now, stimulus.run_id, stimulus.call))
        case stimuli.HandlerLeft():
            turn.write(records.HandlerGone(now, stimulus.call))
        case stimuli.TakenUp() | stimuli.TimePassed():
            pass  # that is done
        case _:
            assert_never(stimulus)


def _take_up(turn: Turn) -> None:
    """Ask again for what an earlier process may not have done: a crash forgets effects, not records.

    Runs with a parent are not started again: their parents do that, when they come to it.
    """
    park(turn)
    started = [run for run in turn.state.runs.values() if run.started_at is not None]
    for run in sorted(started, key=lambda run: (run.started_at, run.order)):
        if run.parent is None:
            turn.start(run, again=True)
        if run.cancelled is not None:
            turn.do(effects.CancelRun(run.run_id, run.cancelled, started=True))
