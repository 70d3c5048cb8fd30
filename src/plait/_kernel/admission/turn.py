"""One stimulus being dealt with: its time, and what it has led to so far.

A decision often hangs on the one before (the second event of a send may be a duplicate of the
first), so each record is applied as soon as it is written. Deciding only reads the state; what it
writes is records.
"""

from __future__ import annotations

import attrs

from plait._kernel.value import a_list

from . import effects, records
from .apply import apply
from .effects import Effect
from .records import Knob, Record, Waited
from .state import AppState, Run


@attrs.define(eq=False)
class Turn:
    """A stimulus of this time, on its way through the kernel."""

    state: AppState
    now: float
    written: list[Record] = attrs.field(factory=a_list)
    todo: list[Effect] = attrs.field(factory=a_list)

    def write(self, record: Record) -> None:
        """Decide something."""
        apply(self.state, record)
        self.written.append(record)

    def do(self, effect: Effect) -> None:
        """Let the app do something."""
        self.todo.append(effect)

    def skip(
        self,
        fn_id: str,
        number: int,
        knob: Knob,
        key: str,
        because: str,
        out_of: Waited | None = None,
    ) -> None:
        """Drop an event for one function."""
        self.write(records.EventSkipped(self.now, number, fn_id, knob, key, because, out_of))

    def cancel(self, run: Run, reason: str) -> None:
        """Cancel a run for good. One that is in the queue is gone at once."""
        if run.cancelled is not None:
            return
        self.write(records.CancelRequested(self.now, run.run_id, reason))
        started = run.started_at is not None
        if not started:
            self.write(records.RunLeft(self.now, run.run_id, "cancelled"))
        self.do(effects.CancelRun(run.run_id, reason, started))

    def start(self, run: Run, *, again: bool = False) -> None:
        """Let the app start a run."""
        self.do(effects.StartRun(run.run_id, run.fn_id, run.events, run.parent, again))
