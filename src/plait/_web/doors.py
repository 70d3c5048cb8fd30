"""What the buttons of the page do: begin a run, cancel one, go on where one has ended.

A door needs a nursery: a run that the page begins belongs to whoever serves the page, and ends with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from plait._abc import Journal, StreamInfo
from plait._engine import native
from plait._engine.run import Run
from plait._errors import PlaitError
from plait._strands._events.workflow import Workflow
from plait._strands._flows.flow import Flow

from .shown import ENDED, LiveRun

if TYPE_CHECKING:
    from plait._engine.native import Nursery


class Refused(PlaitError):  # noqa: N818 - says what has happened
    """What was asked for cannot be done now."""


class Doors:
    """Begins runs of one flow or workflow.

    Args:
        target: It.
        name: What to call it.
        show: Puts a run on the page.
        journal: Keeps the runs of a flow; a workflow has its own.
        params: The params of a flow's runs.
        fields: Those of a workflow's start event.
        nursery: Where runs live.
        grace: Seconds that processes of a flow have to end by themselves, at most.
    """

    def __init__(
        self,
        target: Flow | Workflow[Any],
        name: str,
        *,
        show: Callable[[LiveRun], object],
        nursery: Nursery,
        journal: Journal | None = None,
        params: Mapping[str, object] | None = None,
        fields: Mapping[str, object] | None = None,
        grace: Callable[[], float] | None = None,
    ) -> None:
        self._target = target
        self._name = name
        self._show = show
        self._nursery = nursery
        self._journal = journal_of(target, journal)
        self._params = params
        self._fields: dict[str, Any] = dict(fields or {})
        self._grace = grace

    def begin(self) -> LiveRun:
        """Begin a run. Not a checkpoint.

        Raises:
            Refused: It cannot begin.
        """
        target = self._target
        return self._host(
            lambda: self._flow(target) if isinstance(target, Flow) else target.run(**self._fields)
        )

    def resume(self, run_id: str) -> LiveRun:
        """Go on where a run has ended: of a flow in a new run, of a workflow in that very one.

        Not a checkpoint.

        Raises:
            Refused: It cannot be.
        """
        target = self._target
        if self._journal is None:
            raise Refused("nothing can be resumed without a journal: use --journal FILE")
        return self._host(
            lambda: (
                self._flow(target, run_id) if isinstance(target, Flow) else target.resume(run_id)
            )
        )

    def _flow(self, flow: Flow, resume: str | None = None) -> Run[Any]:
        return flow.start(
            params=self._params, journal=self._journal, resume=resume, grace=self._grace
        )

    def resumes(self, info: StreamInfo) -> bool:
        """Say whether a run of the journal can be gone on with."""
        if info.app_id or self._journal is None or info.parent is not None:
            return False
        return info.target == name_of(self._target) and self._can(info.status)

    def _can(self, state: str) -> bool:
        # A workflow's run that has ended would only give its result once more.
        return state in ENDED if isinstance(self._target, Flow) else state not in ENDED

    def _host(self, make: Callable[[], Run[Any]]) -> LiveRun:
        try:
            run = make()
        except (PlaitError, TypeError, ValueError) as error:
            raise Refused(str(error)) from error
        resumable = isinstance(self._target, Flow) and self._journal is not None
        live = LiveRun(run, self._name, resumable=resumable)
        self._show(live)
        self._nursery.start_soon(hosted, live)
        return live


async def hosted(live: LiveRun) -> Any:
    """Run to the end, in this task. What it comes to is on the page. A checkpoint.

    Returns:
        Its result; `None` if there is none: `live.error` then says why.
    """
    cancelled = native.current().cancelled
    try:
        return await live.run
    except cancelled:
        raise
    except Exception as error:  # noqa: BLE001 - the page says it, and other runs go on
        live.failed(error)
    return None  # noqa: ASYNC910 - it has waited for the run


def name_of(target: Flow | Workflow[Any]) -> str:
    """What a journal calls it."""
    return target.name if isinstance(target, Flow) else target.workflow_name


def journal_of(target: Flow | Workflow[Any] | None, journal: Journal | None) -> Journal | None:
    """Find where the runs of a target are kept."""
    if journal is None and isinstance(target, Workflow):
        return target.journal
    return journal
