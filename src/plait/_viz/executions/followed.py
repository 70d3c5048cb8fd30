"""An execution of a run that is looked at while it goes on, by who may come late and miss records."""

from __future__ import annotations

import attrs

from plait._kernel import records
from plait._kernel.state import RunState

from .execution import Execution
from .standing import catch_up


@attrs.define(eq=False)
class FollowedExecution(Execution):
    """What has happened in a run so far, of which records may be left out: see `standing`."""

    def leave_out(self, state: RunState, created: float) -> None:
        """Go on after records that it is not fed. Not a checkpoint.

        Args:
            state: The state of the run, now or later.
            created: When the run began in this process, in Unix seconds.
        """
        reducer, epoch = self._reducer, state.epoch
        if not reducer.follows(epoch):  # the record that says when the clock began is among them
            at = created - epoch
            started = records.RunStarted(at, state.run_id, epoch)
            reducer.take(started if not self.count else records.Reopened(at, epoch))
        reducer.before_gap = {*self.activities}

    def catch_up(self, state: RunState) -> None:
        """Take in how the run stands, after records that were left out. Not a checkpoint.

        Activities of which it is not known how they ended are forgotten.

        Args:
            state: What the run came to with the last record that was fed.
        """
        catch_up(self._reducer, state)
