"""One stimulus, to the end: decide, number what is kept, apply. The door for the shell.

The shell tells what happened, keeps the records it is given and does at once what it is told to:

    kept, todo = advance(state, stimulus)
    # append `kept`, numbered as it is, in one piece (see `keeping` for who is waited for: nobody here)
    # perform `todo`, in its order; none of it needs the disk any more, see rule 3 of `decide`

**Who says what when.** `now` is the wall clock.

- Recovery: `fold(state, record, n)` for each record of the stream that is in `keeping.KEEPING` (notes
  may be left out); `count(state, n)` for any other; and `apply(state, marks.Began(at, attempt))` after
  each `run.started`, `apply(state, marks.RollingBack(at))` after `rollback.begun`.
- `Began` before each start of the body, once its `run.started` is on disk, and all before that. If
  `rollback.begun` is in the stream and the state was not folded from it: `RollbackBegan` as well.
- `Called`, in the call's own task, with `state.next_key(path, step_id)`, also in a scope that is
  cancelled (`cancelled=True`). Then the call waits, shielded from nothing, for one of: `RunHandler`
  (run the handler in the call's task, and report), `HandOut` (return or raise), `LetGo` (raise
  `Cancelled`), `Refuse` (raise what it says). They may be among the effects of `Called` itself.
- `HandlerReturned`, `HandlerRaised`: how the handler ended, unless it was cancelled. For a `send` the
  "handler" puts the events into the same append.
- `CallCancelled`: a scope reached into the call, into its wait (Trio: in the abort function), or its
  handler has left, cancelled, with its clean-up behind it. With `LetGo` it raises `Cancelled` at once;
  without, it goes on to wait, uncancellable, for its turn: for `HandOut`, if its outcome is recorded,
  else for `LetGo`. Then it raises `Cancelled`.
- `Acknowledged(n)`: after each append that has reached the disk, in order. `n` is its last number,
  whoever wrote it.
- `AtRest`: when the body has come to rest; while it rests, again after any stimulus. At most one
  outcome or `LetGo` comes of each, so that whoever is given it has run until it rests again. Only
  worth while if `state.may_move`.
- `Due`: an alarm rang. Of several that are overdue, in the order of their times.
- `EventArrived`: for any scheduled wait without an end, also one whose call has not been made again
  yet. If no record comes of it, the event was not taken.
- `ChildEnded`: after `StartChild`, unless the call was let go. A child that was cancelled because its
  call took too long has an error that says so: the call's `due_at` has passed then.
- `DeadlineEntered`, `DeadlineLeft`: around a durable deadline's scope, with
  `state.next_key(path, None)`. `HandOut` of this key: cancel the scope.
- `PatchAsked`: `Answer` is among its effects.
- `Suspended`: before the body is cancelled from outside, also when a call was refused with `Differs`
  or `NotCancelled` (the run becomes `held`). Every call that waits must then be reported as
  `CallCancelled`, and is let go; nothing is recorded any more, and the state is of no more use.
- `RollbackBegan`: once `rollback.begun`, with `state.to_undo`, is on disk. Then, the body being over, one
  call after the other with the key `key.rollback` and the op `rollback`. In a replay `Cancel` says
  when there is nothing left to replay: cancel the body's scope, and report the calls.
- `state.unasked`, when a run has completed: memos that nobody asked for. `state.replaying`,
  `state.moment`: what `ctx.replaying` and `ctx.now()` are made of. `state.cancellations(key)`: belongs
  into the name of a child, since one that was cancelled with its call cannot be run again.
"""

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
