"""What the page of an app of durable functions can do: send it an event; cancel, retry and resume its runs.

Its runs are those of its journal, which is read again and again: so the page shows also those that a
process before this one has begun. What an event begins is run by whoever serves the app.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from plait._engine import native
from plait._errors import JournalError, PlaitError, RunLockedError
from plait._event import Event as TypedEvent
from plait._strands._durable.again import begin_again
from plait._strands._durable.app import App
from plait._strands._durable.event import Event
from plait._strands._durable.triggers import TriggerEvent

from .forms import Unfit, form_of, made
from .payloads import said
from .refused import Refused
from .shown import BADLY, KeptInfo

if TYPE_CHECKING:
    from plait._engine.native import Nursery

Fields = Mapping[str, Any]


class AppDoors:
    """Sends events to an app, and cancels, retries and resumes its runs.

    Args:
        app: The app.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self._nursery: Nursery | None = None

    def open(self, nursery: Nursery) -> None:
        """Let runs begin from the page; those that are resumed live in this nursery."""
        self._nursery = nursery

    def _opened(self) -> Nursery:
        if self._nursery is None:
            raise Refused("this page only shows runs: nothing can be begun from here")
        return self._nursery

    def _kinds(self) -> dict[str, type[TypedEvent] | None]:
        """List the events that begin runs, by their names; a class for those that have one."""
        found: dict[str, type[TypedEvent] | None] = {}
        for function in self.app._roster.own.values():
            for trigger in function.setup.trigger:
                if isinstance(trigger, TriggerEvent):
                    kind = None if isinstance(trigger.event, str) else trigger.event
                    found[trigger.name] = found.get(trigger.name) or kind
        return found

    def forms(self) -> list[Fields]:
        """Write the forms of these events."""
        if self._nursery is None:
            return []
        return [
            {"kind": name, "label": name, "fields": [], "free": "{}"}
            if kind is None
            else form_of(kind).as_json(form_of(kind).fields)
            for name, kind in self._kinds().items()
        ]

    async def send(self, name: str, fields: Fields) -> list[str]:
        """Send an event. A checkpoint.

        Args:
            name: Which.
            fields: What it carries.

        Raises:
            Refused: There is no such event, or the app does not take it.
            Unfit: The fields make no such event.
        """
        kinds = self._kinds()
        self._opened()
        if name not in kinds:
            raise Refused(f"no function of app {self.app.id!r} is begun by that event")
        kind = kinds[name]
        try:
            if kind is None:
                return await self.app.send(Event(name=name, data=dict(fields)))
            return await self.app.send(made(kind, fields, {}))
        except Unfit:
            raise
        except (PlaitError, ExceptionGroup) as error:
            raise Refused(str(error)) from error

    async def cancel(self, run_id: str) -> None:
        """Cancel a run for good. A checkpoint; raises `Refused`."""
        try:
            await self.app.cancel(run_id, reason="cancelled on the live page")
        except PlaitError as error:
            raise Refused(str(error)) from error

    def deeds(self, kept: KeptInfo) -> Mapping[str, bool]:
        """Say which buttons there are for a run: its input has not been looked at."""
        info = kept.info
        if self._nursery is None or info.app_id != self.app.id or info.parent is not None:
            return {}
        ours = info.target in self.app._roster.functions
        return {
            "resumable": ours and kept.state == "held",
            "retryable": ours and kept.state in BADLY,
        }

    async def retry(self, kept: KeptInfo) -> str | None:
        """Begin a run with the same input as one that ended badly. A checkpoint.

        Returns:
            Its name; `None`: it waits in the queue, and has no stream yet.

        Raises:
            Refused: It has not ended badly, or no other can begin with what it began with.
        """
        self._opened()
        run_id = kept.info.stream
        if not self.deeds(kept).get("retryable"):
            raise Refused(f"run {run_id} cannot be begun again here: it is {kept.state}")
        try:
            async with self.app._open() as session:
                name = await begin_again(session, run_id)
                return None if await session.book.info(name) is None else name
        except JournalError:
            raise
        except Exception as error:  # a predicate or a key of the user's may raise anything
            text = str(error) if isinstance(error, PlaitError) else said(error)
            raise Refused(text) from error

    def resume(self, kept: KeptInfo) -> str:
        """Go on with a run that is held; its name. Not a checkpoint.

        Raises:
            Refused: It is not held.
        """
        nursery, run_id = self._opened(), kept.info.stream
        if not self.deeds(kept).get("resumable"):
            raise Refused(f"run {run_id} cannot be resumed here: it is {kept.state}")
        nursery.start_soon(self._resumed, run_id)
        return run_id

    async def _resumed(self, run_id: str) -> None:  # noqa: ASYNC910 - `resume` waits
        """Go on with a run, in this task. What it comes to is in the journal. A checkpoint."""
        cancelled = native.current().cancelled
        try:
            await self.app.resume(run_id)
        except cancelled:
            raise
        except (JournalError, RunLockedError) as error:
            self.app._roster.logger.error("run %s is not resumed: %s", run_id, error)  # noqa: TRY400 - it says all there is to say
        except Exception as error:  # noqa: BLE001 - its own end, which the page shows
            self.app._roster.logger.info("run %s, resumed on the live page: %r", run_id, error)
