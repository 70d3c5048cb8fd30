"""What the page of an app of durable functions can do: send it an event, and cancel its runs.

Its runs are those of its journal, which is read again and again: so the page shows also those that a
process before this one has begun. What an event begins is run by whoever serves the app.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plait._errors import PlaitError
from plait._event import Event as TypedEvent
from plait._strands._durable.app import App
from plait._strands._durable.event import Event
from plait._strands._durable.triggers import TriggerEvent

from .forms import Unfit, form_of, made
from .refused import Refused

Fields = Mapping[str, Any]


class AppDoors:
    """Sends events to an app, and cancels its runs.

    Args:
        app: The app.

    Attributes:
        open: May events be sent from the page?
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.open = False

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
        if not self.open:
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
        if not self.open:
            raise Refused("this page only shows runs: nothing can be begun from here")
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
