"""What cannot be done, and in words. The shell knows which class of error each becomes."""

from __future__ import annotations

from typing import TypeAlias

from plait._kernel.value import value

from .keys import ROLLBACK, Key, in_delivery, path_text
from .state import Past
from .stimuli import Called


def call_text(key: Key) -> str:
    """Name a call in a message."""
    undoes = "the rollback of " if key.role == ROLLBACK else ""
    again = f" (number {key.occurrence + 1} of this id)" if key.occurrence else ""
    return f"{undoes}step {key.step_id!r}{again} in {path_text(key.path)}"


@value
class Suspending:
    """The run is being stopped here, and goes on later: a step would be remembered as done."""

    key: Key

    def text(self, run_id: str) -> str:
        """Say it."""
        return f"run {run_id!r} is being suspended: {call_text(self.key)} runs when it goes on"


@value
class Differs:
    """The journal has this key, and something else was called by it."""

    key: Key
    what: str
    before: object
    now: object

    def text(self, run_id: str) -> str:
        """Say it, and what to do."""
        if self.what == "handler":
            how = f"ran {self.before} before, now {self.now}"
        elif self.what == "op":
            how = f"was a {self.before} before, now a {self.now}"
        else:
            how = f"was in {self.before} before, now in {self.now}"
        return f"{call_text(self.key)} {how}. {_remedy(run_id, self.key)}"


@value
class NotCancelled:
    """This call was cancelled before, and now nothing is left that could cancel it."""

    key: Key

    def text(self, run_id: str) -> str:
        """Say it, and what to do."""
        return (
            f"{call_text(self.key)} was cancelled before, and now nothing cancels it. "
            f"{_remedy(run_id, self.key)}"
        )


def _remedy(run_id: str, key: Key) -> str:
    whose = "workflow" if in_delivery(key.path) else "app"
    return f"Restore it, use another id, or {whose}.resume({run_id!r}, accept_changes=True)"


Refusal: TypeAlias = Suspending | Differs | NotCancelled


def differs(past: Past, stimulus: Called) -> Differs | None:
    """Compare a call with what the journal has under its key."""
    key, ending = stimulus.key, past.ending
    if ending is not None:
        if ending.op != stimulus.op:
            return Differs(key, "op", ending.op, stimulus.op)
        if ending.where is None:  # it ended before its task had come to it again
            return None
        if ending.handler != stimulus.handler:
            return Differs(key, "handler", ending.handler, stimulus.handler)
        if ending.where != stimulus.where:
            return Differs(key, "where", ending.where, stimulus.where)
    elif past.scheduled is not None and past.scheduled.op != stimulus.op:
        return Differs(key, "op", past.scheduled.op, stimulus.op)
    return None
