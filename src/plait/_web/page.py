"""The page: which runs it shows, who may do what with them, and how windows are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from plait._abc import ENDED, Journal, StreamInfo
from plait._engine import native
from plait._engine.desk import under_way
from plait._engine.run import Run
from plait._errors import ConfigError, JournalError
from plait._journal.standing import standing
from plait._naming import publish
from plait._strands._durable.app import App

from .apps import AppDoors
from .doors import Doors
from .guard import LOOPBACK, Guard, Receive, Scope, Send, new_token
from .pictures import Pictures
from .refused import Refused
from .remote import Remote
from .routes import routed
from .shown import BADLY, STOPPED, KeptInfo, KeptRun, LiveRun, Shown, about, opened
from .targets import Target, journal_of, name_of

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
        target: Target | App | None = None,
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
        self._app = AppDoors(target) if isinstance(target, App) else None
        self._target = None if isinstance(target, App) else target
        self._name = name or _called(target)
        self._journal = journal_of(target, journal)
        self._live: dict[str, LiveRun] = {}
        self._kept: dict[str, KeptRun] = {}
        self._doors: Doors | None = None
        self._pictures = Pictures(target)
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
                Cancelling it cancels them. What they raise is on the page, and not raised into it. Those of
                an app are run by whoever serves it, but for one that was held and is resumed.
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
        if self._app is not None:
            if not (params is None and fields is None and grace is None):
                raise ConfigError(
                    "params, fields and grace are for flows and workflows, not for apps"
                )
            self._app.open(nursery)
            self._version += 1
            return
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
        live = [*reversed([self._listed(one) for one in self._live.values()])]
        names = {one["id"] for one in live}
        past: list[Fields] = []
        trouble = None
        try:
            past = [
                about(one, **self._deeds(one))
                for one in await self._infos()
                if one.info.stream not in names
            ]
        except JournalError as error:
            trouble = str(error)
        drawn = {"picture": await self._pictures.of_plan()} if picture else {}
        return {  # noqa: ASYNC910 - it has looked for past runs
            **drawn,
            "title": self._name,
            "runs": [*live, *past[:MOST_LISTED]],
            "more": max(0, len(past) - MOST_LISTED),
            "journal": trouble,
            "can_run": self._doors is not None,
            "sends": [] if self._app is None else self._app.forms(),
            "journal_target": None if self._target is None else name_of(self._target),
        }

    def _listed(self, live: LiveRun) -> Fields:
        listed, doors = live.listed, self._doors
        if doors is None or listed["state"] not in BADLY:
            return listed
        return {**listed, "retryable": doors.begins(live)}

    def _deeds(self, kept: KeptInfo) -> Mapping[str, bool]:
        doors = self._doors
        if self._app is not None:
            return self._app.deeds(kept)
        if doors is None:
            return {}
        return {"resumable": doors.resumes(kept), "retryable": doors.retries(kept)}

    async def _infos(self) -> list[KeptInfo]:
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
            stands = await standing(journal, found, here=under_way(journal))
        found.sort(key=lambda one: (one.created, one.stream), reverse=True)
        return [KeptInfo(one, stands[one.stream]) for one in found]

    async def _info(self, run_id: str) -> KeptInfo:
        """Find a run of the journal. A checkpoint; raises `Refused`, and `JournalError`."""
        for one in await self._infos():
            if one.info.stream == run_id:
                return one
        raise Refused(f"there is no run {run_id}")

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
        one = next((one for one in infos if not run_id or one.info.stream == run_id), None)
        if one is None or self._journal is None:
            return None
        ours = self._app is not None and one.info.app_id == self._app.app.id
        kept = KeptRun(one, self._journal, deeds=self._deeds, cancellable=ours)
        self._kept[one.info.stream] = kept
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return kept

    # ------------------------------------------------------------ the buttons

    def _begin(self) -> str:
        """Begin a run; its name. Raises `Refused`."""
        return self._open().begin().run.run_id

    async def _resume(self, run_id: str) -> str:
        """Go on where a run has ended; the name of the run that does. A checkpoint; raises `Refused`."""
        if self._app is not None:
            return self._app.resume(await self._info(run_id))
        await native.current().checkpoint()
        live = self._live.get(run_id)
        if live is not None and not live.run.is_done():
            raise Refused(f"run {run_id} has not ended: it can be cancelled, and not resumed")
        return self._open().resume(run_id).run.run_id

    async def _retry(self, run_id: str) -> str | None:
        """Begin a run with the same input; its name, if it has one yet. A checkpoint; raises `Refused`."""
        if self._app is not None:
            return await self._app.retry(await self._info(run_id))
        await native.current().checkpoint()
        doors = self._open()
        live = self._live.get(run_id)
        if live is not None:
            state: str = live.run.state
            ours, over = doors.begins(live), live.run.is_done()
        else:
            kept = await self._info(run_id)
            state, ours, over = kept.state, doors.knows(kept.info), True
        if not ours:
            raise Refused(f"run {run_id} is not of {self._name}: only that can be begun from here")
        if not over or state not in STOPPED:
            raise Refused(f"run {run_id} has not ended badly: it is {state}")
        return (await doors.retry(run_id, live)).run.run_id

    async def _cancel(self, run_id: str) -> None:
        """Ask for the end of a run. A checkpoint; raises `Refused`."""
        await native.current().checkpoint()
        if self._app is not None and run_id not in self._live:
            await self._app.cancel(run_id)
            self._version += 1
        else:
            self._going(run_id, "cancel").run.cancel()

    async def _send(self, kind: str, fields: Fields) -> None:
        """Send an event to the app of the page. A checkpoint; raises `Refused`, and `Unfit`."""
        if self._app is None:
            raise Refused("this page is of no app: there is nobody to send an event to")
        await self._app.send(kind, fields)
        self._version += 1

    def _answer(self, run_id: str, question: str, kind: str, fields: Fields) -> None:
        """Answer what a run asks. Raises `Refused`, and `Unfit`."""
        self._going(run_id, "answer").answer(question, kind, fields)

    def _going(self, run_id: str, deed: str) -> LiveRun:
        """Find a run of this process that has not ended. Raises `Refused`."""
        live = self._live.get(run_id)
        if live is None:
            raise Refused(f"run {run_id} is not one of this process: only that can {deed} it")
        if live.run.state in ENDED:
            raise Refused(f"run {run_id} has ended: {live.run.state}")
        return live

    def _open(self) -> Doors:
        if self._doors is None:
            raise Refused("this page only shows runs: nothing can be begun from here")
        return self._doors


def _called(target: Target | App | None) -> str:
    if target is None:
        return ""
    return target.id if isinstance(target, App) else name_of(target)


publish("plait.web", LivePage)
