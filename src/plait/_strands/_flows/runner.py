"""Flows for programs without an event loop, and for programs that were written against flowtoy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, TypeAlias

from plait._abc import JSON
from plait._engine import native
from plait._errors import WorkflowRuntimeError
from plait._naming import publish

from .flow import Flow, load
from .news import StepNews

Status: TypeAlias = dict[str, dict[str, Any]]

#: What `on_status` is told, by what has happened.
STATES = {
    "started": "running",
    "reused": "succeeded",
    "succeeded": "succeeded",
    "failed": "failed",
    "skipped": "skipped",
    "cancelled": "cancelled",
}


def run_flow(
    files: Sequence[str | PathLike[str]] | str | PathLike[str] | Mapping[str, object],
    *,
    params: Mapping[str, object] | None = None,
    max_workers: int | None = None,
) -> tuple[dict[str, dict[str, JSON]], Status]:
    """Load a flow and run it to the end, in an event loop of its own. Blocks.

    Args:
        files: Paths, or a mapping such as a file would give.
        params: Values of params.
        max_workers: How many steps may run at once.

    Returns:
        The outputs of the steps that succeeded, and where each step stands.

    Raises:
        FlowConfigError: The flow is wrong, or its params.
        WorkflowRuntimeError: It is called in a running event loop.

    Example:
        ```python
        flows, status = plait.flows.run_flow(["flow.yaml"])
        ```
    """
    _refuse_loop("run_flow", "await plait.flows.load(paths).run()")
    runner = LocalRunner(load(files, max_workers=max_workers), params=params)
    runner.run()
    return runner.flows, runner.status


def _refuse_loop(name: str, instead: str) -> None:
    if native.is_running():
        raise WorkflowRuntimeError(f"{name}() starts its own event loop; here write: {instead}")


class LocalRunner:
    """Runs one flow, blocking, as often as it is asked to.

    Args:
        config: A `Flow`, or what `load` takes.
        on_status: Called with a step's name and its state: running, succeeded, failed, skipped,
            cancelled.
        params: Values of params.

    Attributes:
        config: The flow.
        flows: The outputs of the last run, by step.
        status: Where each step stands: `state`, and `notes` of what failed.

    Example:
        ```python
        runner = plait.flows.LocalRunner(["flow.yaml"], on_status=print)
        runner.run()
        print(runner.flows)
        ```
    """

    def __init__(
        self,
        config: Flow | Sequence[str | PathLike[str]] | str | PathLike[str] | Mapping[str, object],
        on_status: Callable[[str, str], object] | None = None,
        *,
        params: Mapping[str, object] | None = None,
    ) -> None:
        self.config: Flow = config if isinstance(config, Flow) else load(config)
        self.flows: dict[str, dict[str, JSON]] = {}
        self.status: Status = self._fresh()
        self._on_status = on_status
        self._params = params

    @property
    def sources(self) -> dict[str, object]:
        """The sources of the flow, by name."""
        return {**self.config.checked.document.sources}

    @property
    def steps(self) -> list[str]:
        """The names of the steps, in the order of the file."""
        return [*self.config.checked.steps]

    def _fresh(self) -> Status:
        return {name: {"state": "pending", "notes": []} for name in self.config.checked.steps}

    def run(self) -> dict[str, dict[str, JSON]]:
        """Run the flow to the end. Blocks.

        Returns:
            The outputs of the steps that succeeded.

        Raises:
            FlowConfigError: Params or secrets are missing or wrong.
            WorkflowRuntimeError: It is called in a running event loop.
        """
        _refuse_loop("LocalRunner.run", "await plait.flows.load(paths).run()")
        self.status = self._fresh()
        result = native.run("trio", self._once)
        self.flows = {name: dict(outputs) for name, outputs in result.flows.items()}
        return self.flows

    async def _once(self) -> Any:
        return await self.config.run(params=self._params, observe=self._hear)

    def _hear(self, news: StepNews) -> None:
        if news.index is not None or (state := STATES.get(news.word)) is None:
            return
        entry = self.status[news.step]
        entry["state"] = state
        if news.error is not None:
            entry["notes"] = [news.error.message]
        if self._on_status is not None:
            self._on_status(news.step, state)


publish("plait.flows", LocalRunner)
