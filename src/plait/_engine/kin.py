"""Runs inside a run that show their events on its stream, and take what is sent from outside.

Rule 1: an event of a child travels outwards once, wrapped with the way that it came.
Rule 2: what is sent from outside and nobody takes goes to the oldest child that does.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from plait._event import ChildEvent, Event
from plait._ids import OUTSIDE
from plait._kernel.stimuli import Wrote

if TYPE_CHECKING:
    from .attempt import Attempt
    from .shell import Shell


class Kin:
    """The forwarding children of one run, and its own way outwards."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        #: The names of the workflows and steps around it, its own last.
        self._path: tuple[str, ...] = (shell.plan.name,)
        #: The oldest first.
        self._children: dict[Kin, None] = {}

    def forward_to(self, attempt: Attempt) -> None:
        """Show this run's events on the stream of an attempt's run, and take its strays."""
        shell, parent = self._shell, attempt.shell
        name, path = shell.plan.name, (*parent.kin._path, attempt.delivery.step, shell.plan.name)
        self._path = path

        def forward(event: Event) -> None:
            if not isinstance(event, ChildEvent):
                event = ChildEvent(event=event, workflow=name, run_id=shell.run_id, path=path)
            # Like an observable event that is routed, it does not mind the bound of the stream.
            number = attempt.delivery.number
            parent.hear(Wrote(parent.clock(), number, event, shell.run_id))

        shell.feed.listeners.append(forward)
        parent.kin._children[self] = None
        shell.on_end.append(partial(parent.kin._children.pop, self))

    def taker_of(self, event: object) -> Shell | None:
        """Find the child that an event from outside goes to, if it is not for the run itself."""
        if not self._children or self._takes(event):
            return None
        return next((kin._shell for kin in self._children if kin._reaches(event)), None)

    def _reaches(self, event: object) -> bool:
        """Would an event find somebody here, or in a run inside?"""
        if self._shell.winding_up:
            return False
        return self._takes(event) or any(child._reaches(event) for child in self._children)

    def _takes(self, event: object) -> bool:
        """Would a step or a wait of this very run get an event?"""
        state = self._shell.state
        route = state.plan.routes[type(event)]
        if route.to or route.stops or route.observable:
            return True
        return bool(state.waits.answered_by(event, leaving=OUTSIDE))
