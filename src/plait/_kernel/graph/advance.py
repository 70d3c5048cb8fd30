"""One stimulus, to the end, for steps that follow one another: decide, apply, and what follows.

Rule 1: *Those whose turn comes together come in the order of the plan.*
Rule 2: *Who is ready and has room starts at once, in order.* Its slot is taken before its task exists:
    a scheduler that begins tasks in any order changes nothing.
Rule 3: *A run that has nothing left to do is over.*
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from plait._kernel import effects, records
from plait._kernel.life import GOING
from plait._kernel.stimuli import Stimulus

from .apply import apply
from .decide import ALONE, admitted, cut_short, decide, failed
from .effects import Effect, Launch
from .records import Record
from .state import GraphState
from .turns import next_in_turn

Advance: TypeAlias = tuple[list[Record], list[Effect]]


def advance(state: GraphState, stimulus: Stimulus) -> Advance:
    """Take a stimulus in: change the state, and say what is to be kept and what to be done.

    Raises:
        ImpossibleStimulus: The shell is wrong; nothing has changed.
    """
    written, todo = decide(state, stimulus)
    for record in written:
        apply(state, record)
    while state.phase is GOING and _follows(state, stimulus.now, written, todo):
        pass
    state.called.clear()
    state.hurt.clear()
    state.failed.clear()
    return written, todo


def _follows(state: GraphState, now: float, written: list[Record], todo: list[Effect]) -> bool:
    """Do the next thing that follows from the state; false if there is none."""
    if state.failed:
        _write(state, *failed(state, state.failed.popleft(), now), written, todo)
    elif state.hurt:
        name = state.hurt.popleft()
        if name in state.open and (state.plan.step[name].after or ALONE).fail_fast:
            _write(state, *cut_short(state, name, now), written, todo)
    elif state.called:
        called, state.called = sorted(state.called, key=state.plan.place.__getitem__), []
        for name in called:
            _write(state, admitted(state, name, now), [], written, todo)
    elif (started := next_in_turn(state, now)) is not None:
        _write(state, [started], [Launch(started.delivery)], written, todo)
    elif not state.busy:
        outcome = records.Stalled() if state.pending else records.Finished()
        _write(state, [records.Decided(now, outcome)], [effects.Wind()], written, todo)
    else:
        return False
    return True


def _write(
    state: GraphState,
    more: Sequence[Record],
    then: Sequence[Effect],
    written: list[Record],
    todo: list[Effect],
) -> None:
    for record in more:
        apply(state, record)
    written += more
    todo += then
