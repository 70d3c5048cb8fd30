"""Why a run is held, in words. It has not failed: `app.resume()` lets it go on."""

from __future__ import annotations

from typing import TypeAlias

from plait._kernel.calls.keys import Key
from plait._kernel.calls.refusals import Differs, NotCancelled, call_text
from plait._kernel.value import value


@value
class TooManyResumes:
    """It was taken up again and again, and nothing came of it: it may be what kills the process."""

    resumes: int

    def text(self, run_id: str) -> str:
        """Say it, and what to do."""
        return (
            f"run {run_id!r} was resumed {self.resumes} times without a new outcome, and may be what "
            f"ends the process. app.resume({run_id!r}) tries again"
        )


@value
class SourceChanged:
    """The function is another one than when the run was last started."""

    before: str
    now: str

    def text(self, run_id: str) -> str:
        """Say it, and what to do."""
        return (
            f"run {run_id!r} began with source {self.before[:12]}, and the function is now "
            f"{self.now[:12]}. Restore it, or app.resume({run_id!r})"
        )


@value
class UnknownFunction:
    """The running code has no function of this id."""

    fn_id: str

    def text(self, run_id: str) -> str:
        """Say it, and what to do."""
        return (
            f"run {run_id!r} is of the function {self.fn_id!r}, which this app does not have. "
            f"Restore it, then app.resume({run_id!r})"
        )


@value
class CannotUndo:
    """Steps are to be rolled back, and the body no longer makes them with a rollback."""

    keys: tuple[Key, ...]

    def text(self, run_id: str) -> str:
        """Say it, and what to do."""
        steps = ", ".join(map(call_text, self.keys))
        return (
            f"run {run_id!r} cannot roll back {steps}: its code has no rollback there any more. "
            f"Restore it, or app.resume({run_id!r}, accept_changes=True)"
        )


@value
class Unreadable:
    """Its stream has a gap, or a record that this plait cannot read. It is not the kernel that says so."""

    fault: str

    def text(self, run_id: str) -> str:
        """Say it, and what to do."""
        return (
            f"run {run_id!r} cannot be read: {self.fault}. Use a plait that knows what is in it, or "
            f"mend its journal, then app.resume({run_id!r})"
        )


Why: TypeAlias = (
    TooManyResumes
    | SourceChanged
    | UnknownFunction
    | CannotUndo
    | Differs
    | NotCancelled
    | Unreadable
)
