"""What the buttons of the page do: begin a run, cancel one, go on where one has ended.

A door needs a nursery: a run that the page begins belongs to whoever serves the page, and ends with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from plait._abc import ENDED, Journal, StreamInfo
from plait._engine import native
from plait._engine.run import Run
from plait._errors import PlaitError
from plait._journal.standing import INTERRUPTED
from plait._strands._flows.flow import Flow

from .inputs import input_of, params_of
from .refused import Refused as Refused
from .shown import STOPPED, KeptInfo, LiveRun
from .targets import Target, journal_of, name_of

if TYPE_CHECKING:
    from plait._engine.native import Nursery


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
        target: Target,
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

    async def retry(self, run_id: str, live: LiveRun | None = None) -> LiveRun:
        """Begin a run with the same input as one that has ended badly. A checkpoint.

        Args:
            run_id: The run.
            live: It, if it is one of this process.

        Raises:
            Refused: It has not ended badly, it is of something else, or its input cannot be had.
            JournalError: The journal cannot be read.
        """
        target = self._target
        start = await input_of(target, run_id, live=live, journal=self._journal)
        if isinstance(target, Flow):
            params = params_of(run_id, start)
            return self._host(lambda: self._flow(target, params=params))
        return self._host(lambda: target.run(start_event=start))

    def _flow(
        self, flow: Flow, resume: str | None = None, *, params: Mapping[str, object] | None = None
    ) -> Run[Any]:
        params = self._params if params is None else params
        return flow.start(params=params, journal=self._journal, resume=resume, grace=self._grace)

    def resumes(self, kept: KeptInfo) -> bool:
        """Say whether a run of the journal can be gone on with."""
        return self.knows(kept.info) and self._can(kept.state)

    def retries(self, kept: KeptInfo) -> bool:
        """Say whether a run of the journal may be begun again: its input has not been looked at."""
        return self.knows(kept.info) and kept.state in STOPPED

    def knows(self, info: StreamInfo) -> bool:
        """Say whether a run of the journal is one of what is begun here."""
        if self._journal is None or info.app_id or info.parent is not None:
            return False
        return info.target == name_of(self._target)

    def begins(self, live: LiveRun) -> bool:
        """Say whether a run of this process is one of what is begun here."""
        return live.is_of(self._target)

    def _can(self, state: str) -> bool:
        # A workflow's run that has ended would only give its result once more.
        if isinstance(self._target, Flow):  # one that goes on elsewhere is left alone
            return state in ENDED or state == INTERRUPTED
        return state not in ENDED

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
