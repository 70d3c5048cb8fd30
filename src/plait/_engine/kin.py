"""Runs inside a run that show their events on its stream, and take what is sent from outside.

Rule 1: an event of a child travels outwards once, wrapped with the way that it came.
Rule 2: what is sent from outside and nobody takes goes to the oldest child that does.
Rule 3: what nobody takes yet waits in the mailbox. A child that comes later is given its letters, and
    the records of both runs say so in one append.
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
        self._around: Kin | None = None
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
        self._around = parent.kin
        parent.kin._children[self] = None
        shell.on_end.append(partial(parent.kin._children.pop, self))

    def taker_of(self, event: object) -> Shell | None:
        """Find the child that an event from outside goes to, if it is not for the run itself."""
        if not self._children or self._takes(event):
            return None
        child = next((kin for kin in self._children if kin._reaches(event)), None)
        return None if child is None else child.taker_of(event) or child._shell

    def begin(self) -> None:
        """Rule 3: take the letters that lie in the runs around, now that this one can be sent to."""
        around = self._around
        while around is not None:
            around._hand_on()
            around = around._around

    def _hand_on(self) -> None:
        shell, place = self._shell, 0
        while not shell.winding_up and place < len(shell.state.mailbox):
            child = self.taker_of(shell.state.mailbox[place][1])
            if child is None:
                place += 1
            else:
                shell.hand_on(place, child)

    def _reaches(self, event: object) -> bool:
        """Would an event find somebody here, or in a run inside?"""
        if self._shell.winding_up or self._shell.is_being_read:
            return False
        return self._takes(event) or any(child._reaches(event) for child in self._children)

    def _takes(self, event: object) -> bool:
        """Would a step or a wait of this very run get an event, now or when it has come so far again?"""
        state = self._shell.state
        route = state.plan.routes[type(event)]
        if route.to or route.stops or route.observable:
            return True
        return bool(state.waits.answered_by(event, leaving=OUTSIDE)) or state.will_ask_for(event)
