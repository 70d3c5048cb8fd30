"""One stimulus, to the end: decide, number what is kept, apply. The door for the shell.

The state has the state of the run's calls in it, and this door is the door of both: what is about calls
goes on to `plait._kernel.calls`, as its `advance` page says, and all records are numbered here.

    kept, todo = advance(state, stimulus)
    # append `kept`, numbered as it is, in one piece; with it, what `SendEvent` and `RunOnFailure`
    #   among `todo` make of the app's stream, and for an end its `RunEnded`
    # perform the rest of `todo`, in its order, at once: none of it needs the disk any more

**Who says what when.** `now` is the wall clock. A state is for one process: it is folded from the
stream, taken up once, and thrown away when the run is suspended. Of a run that is held it is kept, for
`status`, events and `CancelAsked`; `app.resume()` folds the stream anew.

- Recovery: `fold(FunctionState(), record, n)` for each record of the stream that is in
  `keeping.KEEPING`. Notes may be left out; for one that is, and for a tag that is not of this table,
  `count(state.calls, n)`.
- `Queued`: admission said `QueueRun`. Its record is the first of the stream.
- `TakenUp`: admission said `StartRun`, a parent enters its child (again), somebody invoked under this
  run id, or `app.resume()` (`resumed=True`). Of a run that has ended, the answer is `Finish`; of one
  that must not go on, `Hold` (once that is on disk); else it starts, or waits for its next attempt
  (`Wake`).
- `Acknowledged(n)`: as for calls, after each append that has reached the disk.
- After `StartBody`: run the body from its top, in a scope of its own, and report what it does with the
  stimuli of calls (but `Began` and `RollbackBegan`, which this kernel says by itself), `AtRest` while
  `state.may_move`. Then, with all its calls over, one of `BodyReturned`, `BodyRaised` (with what came
  out, as it is), `BodyCancelled` (it went with a cancellation that it was told of).
- `CancelAsked`: admission said `CancelRun`, and its record is on disk. Nothing is recorded of it here:
  admission says it again in the next process, and there, for a run that has started, it must be told
  right after `TakenUp`, or the calls that it had cancelled wait in vain. `CancelBody` follows, in a
  replay when there is nothing left to replay: cancel the body's scope, and report the calls.
- `Cancel`, from the calls: the same, in a replay for the sake of rollbacks.
- `StopBody`: the code and the journal do not fit. Cancel the body's scope as in a suspension, and
  report the calls. `Hold` follows when the body is over and why is on disk. The body's end is none of the run, here as
  after `Suspended`.
- `Undo(key)`: the body is over; make the call `key.rollback`, op `rollback`, in a task of its own that
  no deadline reaches, with the callable that the body's call brought. Report its handler as any
  other's, and `AtRest` while `state.may_move`. After its `HandOut` comes the next `Undo`, or the end: a
  rollback that fails stops nobody. Callables of the last body are kept until then, also over `Wake`.
- `RetryDue`: the time of a `Wake` has come. `ClearWake`: nobody needs it any more, if it is still set.
- `Suspended`: before the run is stopped from outside, as for calls; also when no body runs.
- `Hold(why)`: nothing of the run runs here any more; tell whoever waits for it. In the journal it is
  held from now on, and when it is taken up again that is judged anew.
- `Finish(end, notes)`: the run's end is on disk. Return or raise it to whoever waits for it, with what
  rollbacks failed as notes; a parent is told `ChildEnded`.
- `WarnUnasked`, `WarnNotUndone`, `LogSource`: say so.
"""

from __future__ import annotations

from typing import TypeAlias, cast

from plait._kernel.calls import effects as of_calls
from plait._kernel.calls.marks import Mark as CallMark

from .apply import apply, fold
from .decide import decide
from .effects import Effect
from .keeping import KEEPING
from .marks import Mark
from .records import AnyRecord
from .state import FunctionState
from .stimuli import Stimulus

Advance: TypeAlias = tuple[list[tuple[int, AnyRecord]], list[Effect | of_calls.Effect]]


def advance(state: FunctionState, stimulus: Stimulus) -> Advance:
    """Take a stimulus in: change the state, say what is to be kept and what to be done.

    Returns:
        The records, each with its number in the stream, to be appended in one piece; and the
        effects, to be performed at once, or with that append where they say so.

    Raises:
        ImpossibleStimulus: The shell is wrong; nothing has changed. The calls have one of their own.
    """
    changes, todo = decide(state, stimulus)
    kept: list[tuple[int, AnyRecord]] = []
    for change in changes:
        if type(change) in KEEPING:
            record = cast("AnyRecord", change)
            n = state.calls.last_n + 1
            fold(state, record, n)
            kept.append((n, record))
        else:
            apply(state, cast("Mark | CallMark", change))
    return kept, todo
