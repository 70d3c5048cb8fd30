"""`Run`, as the events strand hands it out: the engine's run, with its context."""

from __future__ import annotations

from typing import Any, Self

from typing_extensions import TypeVar

from plait._engine.run import Run as EngineRun
from plait._engine.runtime import Runtime
from plait._engine.shell import Shell
from plait._errors import WorkflowRuntimeError
from plait._naming import publish

from .checkpointing import CheckpointCallback
from .context import Context
from .origin import keep_children

R_co = TypeVar("R_co", covariant=True, default=Any)


class Run(EngineRun[R_co]):
    __doc__ = EngineRun.__doc__

    def __init__(self, shell: Shell, context: Context[Any], runtime: Runtime | None = None) -> None:
        self._context = context
        super().__init__(shell, runtime)

    @property
    def ctx(self) -> Context[Any]:
        """The run's context, as code outside the steps sees it: `run.ctx.store`, for instance."""
        return self._context

    def cancel(self) -> None:
        keep_children(self._context)
        super().cancel()

    cancel.__doc__ = EngineRun.cancel.__doc__

    def on_checkpoint(self, callback: CheckpointCallback) -> Self:
        """Have `callback` called whenever a step has returned something, before that is routed.

        Not for `None` and not for an `InputRequiredEvent`. The step's events wait for it, with its
        slot; its own time-out does not. What the callback raises fails the run. Not a checkpoint.

        Args:
            callback: Plain or async; called with the keywords `run_id`, `last_completed_step`,
                `input_ev`, `output_ev` and `ctx`, whose `to_dict()` gives the run without this
                delivery and without its output.

        Raises:
            WorkflowRuntimeError: The run has already been started.

        Example:
            ```python
            def note(*, last_completed_step, output_ev, **_):
                print(last_completed_step, output_ev)


            result = await Flow().run(topic="x").on_checkpoint(note)
            ```
        """
        if self._started:
            text = f"Run {self.run_id} has already been started. Call on_checkpoint() before that."
            raise WorkflowRuntimeError(text)
        self._shell.checkpoints.append(callback)
        return self


WorkflowHandler = Run


publish("plait", Run)
