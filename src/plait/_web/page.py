"""The page: which runs it shows, who may do what with them, and how windows are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from plait._abc import Journal, StreamInfo
from plait._engine import native
from plait._engine.run import Run
from plait._errors import ConfigError, JournalError
from plait._naming import publish
from plait._strands._events.workflow import Workflow
from plait._strands._flows.flow import Flow

from .doors import Doors, Refused, journal_of, name_of
from .graph import picture_of
from .guard import LOOPBACK, Guard, Receive, Scope, Send, new_token
from .remote import Remote
from .routes import routed
from .shown import ENDED, KeptRun, LiveRun, Shown, about, opened

if TYPE_CHECKING:
    from plait._engine.native import Nursery

R = TypeVar("R")
Fields = Mapping[str, Any]

#: Runs of this process that stay on the page when they are over, and runs of the journal that are open.
MOST_LIVE: Final = 20
MOST_KEPT: Final = 20
#: Runs of the journal that are listed.
MOST_LISTED: Final = 200


class LivePage:
    """An ASGI application that shows runs while they go on, and those of a journal.

    Made by `plait.web.app`. Serve it by `plait.web.serve`, or mount it in an application of yours.

    Attributes:
        token: Who has it may look, and use the buttons.
    """

    def __init__(
        self,
        target: Flow | Workflow[Any] | None = None,
        *,
        name: str | None = None,
        journal: Journal | None = None,
        token: str | None = None,
        hosts: Iterable[str] = LOOPBACK,
        remote: Remote | None = None,
    ) -> None:
        self.token: str = token or new_token()
        self._closed = False
        #: Is one higher whenever the list of runs is another.
        self._version = 0
        self._target = target
        self._name = name or ("" if target is None else name_of(target))
        self._journal = journal_of(target, journal)
        self._live: dict[str, LiveRun] = {}
        self._kept: dict[str, KeptRun] = {}
        self._doors: Doors | None = None
        self._picture: Fields | None = None
        self._remote = remote
        self._hosts = frozenset(hosts)
        self._inner = routed(self)
        self._guard = self._guarded(any_address=False)

    def _guarded(self, *, any_address: bool) -> Guard:
        return Guard(self._inner, token=self.token, hosts=self._hosts, any_address=any_address)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. A checkpoint."""
        await self._guard(scope, receive, send)

    # ------------------------------------------------------------ for programs

    def watch(self, run: Run[R]) -> Run[R]:
        """Show a run that has not been started yet, and give it back. Not a checkpoint.

        Watching costs the run next to nothing as long as no window is open.

        Args:
            run: A run of a workflow or of a flow.

        Raises:
            WorkflowRuntimeError: It has already been started.

        Example:
            ```python
            page = plait.web.app()
            result = await page.watch(Flow().run(topic="x"))
            ```
        """
        self._show(LiveRun(run, self._name or run._shell.plan.name))
        return run

    def close(self) -> None:
        """End the streams of all windows, which would hold a server up. Not a checkpoint."""
        self._closed = True

    # ------------------------------------------------------------ for the server and the command

    def _answers_to(self, host: str) -> None:
        """Let it be called by the address that it is served at."""
        self._hosts |= {host}
        self._guard = self._guarded(any_address=host not in LOOPBACK)

    def open_doors(
        self,
        nursery: Nursery,
        *,
        params: Mapping[str, object] | None = None,
        fields: Mapping[str, object] | None = None,
        grace: Callable[[], float] | None = None,
    ) -> None:
        """Let the buttons of the page begin runs. Not a checkpoint.

        Args:
            nursery: Where they live: a `trio.Nursery` under Trio, an `anyio.abc.TaskGroup` on asyncio.
                Cancelling it cancels them. What they raise is on the page, and not raised into it.
            params: The params of a flow's runs.
            fields: The fields of a workflow's start event.
            grace: Seconds that processes of a flow have to end by themselves, at most, asked again and
                again.

        Raises:
            ConfigError: The page was made without a flow or workflow.

        Example:
            ```python
            page = plait.web.app(flow)
            async with trio.open_nursery() as nursery:
                page.open_doors(nursery)
                await nursery.start(plait.web.serve, page)
            ```
        """
        if self._target is None:
            raise ConfigError("there is nothing to run: write plait.web.app(FLOW_OR_WORKFLOW)")
        self._doors = Doors(
            self._target,
            self._name,
            show=self._show,
            nursery=nursery,
            journal=self._journal,
            params=params,
            fields=fields,
            grace=grace,
        )
        self._version += 1

    def _show(self, live: LiveRun) -> None:
        """Put a run on the page. The oldest that is over makes room."""
        self._live.pop(live.run.run_id, None)
        self._kept.pop(live.run.run_id, None)
        self._live[live.run.run_id] = live
        live.ended = self._changed
        over = [name for name, one in self._live.items() if one.run.is_done()]
        for name in over[: max(0, len(self._live) - MOST_LIVE)]:
            del self._live[name]
        self._changed()

    def _changed(self) -> None:
        self._version += 1

    # ------------------------------------------------------------ for windows

    async def _board(self, *, picture: bool = True) -> Fields:
        """Say which runs there are, and which buttons; and give the picture. A checkpoint."""
        live = [*reversed([one.listed for one in self._live.values()])]
        names = {one["id"] for one in live}
        past: list[Fields] = []
        trouble = None
        try:
            past = [
                about(info, resumable=self._resumes(info))
                for info in await self._infos()
                if info.stream not in names
            ]
        except JournalError as error:
            trouble = str(error)
        drawn = {"picture": await self._drawn()} if picture else {}
        return {  # noqa: ASYNC910 - it has looked for past runs
            **drawn,
            "title": self._name,
            "runs": [*live, *past[:MOST_LISTED]],
            "more": max(0, len(past) - MOST_LISTED),
            "journal": trouble,
            "can_run": self._doors is not None,
            "journal_target": None if self._target is None else name_of(self._target),
        }

    async def _drawn(self) -> Fields | None:
        if self._picture is None and self._target is not None:
            # A large one takes its time, which runs are not to wait for.
            self._picture = await native.current().run_in_thread(picture_of, self._target)
        return self._picture  # noqa: ASYNC910 - one that is drawn is there at once

    def _resumes(self, info: StreamInfo) -> bool:
        return self._doors is not None and self._doors.resumes(info)

    async def _infos(self) -> list[StreamInfo]:
        """List the runs of the journal, the newest first. A checkpoint; raises `JournalError`."""
        await native.current().checkpoint()
        if self._journal is None:
            return []
        found: list[StreamInfo] = []
        async with opened(self._journal) as journal:
            after = ""
            while page := await journal.streams(after=after, limit=1_000):
                found += [one for one in page if not one.stream.startswith("app/")]
                after = page[-1].stream
        found.sort(key=lambda one: (one.created, one.stream), reverse=True)
        return found

    async def _shown(self, run_id: str) -> Shown | None:
        """Find a run: `""` is the newest. `None`: there is none. A checkpoint; raises `JournalError`."""
        await native.current().checkpoint()
        if not run_id and self._live:
            run_id = next(reversed(self._live))
        if run_id in self._live:
            return self._live[run_id]
        if run_id in self._kept:
            return self._kept[run_id]
        infos = await self._infos()
        info = next((one for one in infos if not run_id or one.stream == run_id), None)
        if info is None or self._journal is None:
            return None
        kept = KeptRun(info, self._journal, resumable=self._resumes)
        self._kept[info.stream] = kept
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return kept

    # ------------------------------------------------------------ the buttons

    def _begin(self) -> str:
        """Begin a run; its name. Raises `Refused`."""
        return self._open().begin().run.run_id

    def _resume(self, run_id: str) -> str:
        """Go on where a run has ended; the name of the run that does. Raises `Refused`."""
        live = self._live.get(run_id)
        if live is not None and not live.run.is_done():
            raise Refused(f"run {run_id} has not ended: it can be cancelled, and not resumed")
        return self._open().resume(run_id).run.run_id

    def _cancel(self, run_id: str) -> None:
        """Ask for the end of a run. Raises `Refused`."""
        live = self._live.get(run_id)
        if live is None:
            raise Refused(f"run {run_id} is not one of this process: only that can cancel it")
        if live.run.state in ENDED:
            raise Refused(f"run {run_id} has ended: {live.run.state}")
        live.run.cancel()

    def _open(self) -> Doors:
        if self._doors is None:
            raise Refused("this page only shows runs: nothing can be begun from here")
        return self._doors


publish("plait.web", LivePage)
