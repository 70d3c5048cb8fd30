"""One stimulus, to the end: decide, number what is kept, apply."""

from __future__ import annotations

from typing import TypeAlias, cast

from .apply import apply, fold
from .decide import decide
from .effects import Effect
from .keeping import KEEPING
from .marks import Mark
from .records import Record
from .state import BodyState
from .stimuli import Stimulus

Advance: TypeAlias = tuple[list[tuple[int, Record]], list[Effect]]


def advance(state: BodyState, stimulus: Stimulus) -> Advance:
    """Take a stimulus in: change the state, say what is to be kept and what to be done.

    Returns:
        The records, each with its number in the stream, to be appended in one piece; and the
        effects, to be performed at once.

    Raises:
        ImpossibleStimulus: The shell is wrong; nothing has changed.
    """
    changes, todo = decide(state, stimulus)
    kept: list[tuple[int, Record]] = []
    for change in changes:
        if type(change) in KEEPING:
            record = cast("Record", change)
            n = state.last_n + 1
            fold(state, record, n)
            kept.append((n, record))
        else:
            apply(state, cast("Mark", change))
    return kept, todo
