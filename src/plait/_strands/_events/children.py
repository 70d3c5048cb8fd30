"""What a body has of the runs of other workflows that it has made, as long as it executes.

One that is under way is known by its context, which can be written down at any time. One that is over
is known by what it has come to, and no more of it: a body may make any number of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from plait._engine.attempt import Attempt
from plait._ids import RunId
from plait._kernel.life import Phase
from plait._kernel.records import Cancelled, Outcome
from plait._kernel.state import Failure, RunState

if TYPE_CHECKING:
    from .serializers import BaseSerializer
    from .workflow import Workflow  # noqa: TC004 - attrs does not look it up


@attrs.frozen
class Finished:
    """A run inside another one that is over. Its name stands for this when the body runs again."""

    workflow: Workflow[Any]
    run_id: RunId
    outcome: Outcome
    failures: tuple[Failure, ...]

    def written(self, serializer: BaseSerializer | None) -> dict[str, Any]:
        """Write it down, as a context would."""
        from plait._journal.snapshot import write  # noqa: PLC0415 - the codec, for who needs it

        _, plan = self.workflow._compile()
        state = RunState(plan, self.run_id, Phase.OVER)
        state.outcome, state.failures = self.outcome, [*self.failures]
        return write(state, self.workflow._values(serializer), elapsed=0.0, store=None)


def finish(parent: Attempt, workflow: Workflow[Any], state: RunState) -> None:
    """Keep of a run that is over what it has come to; nothing, if it was left before its end."""
    outcome = state.outcome
    left = outcome is None or (isinstance(outcome, Cancelled) and outcome.by_owner)
    parent.adopt(
        state.run_id,
        None
        if left or outcome is None
        else Finished(workflow, state.run_id, outcome, tuple(state.failures)),
    )
