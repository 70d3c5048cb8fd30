"""`Run`, as the events strand hands it out: the engine's run, with its context."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypeVar

from plait._engine.run import Run as EngineRun
from plait._engine.runtime import Runtime
from plait._engine.shell import Shell
from plait._naming import publish

from .context import Context

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


WorkflowHandler = Run


publish("plait", Run)
