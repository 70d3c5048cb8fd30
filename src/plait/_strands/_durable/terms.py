"""On which terms an app is served, and who waits for a run that may not start yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import attrs

if TYPE_CHECKING:
    from plait._engine.native import Backend


@attrs.frozen(kw_only=True)
class Terms:
    """On which terms runs are taken up: what `serve()` was told."""

    max_resumes: int = 100
    on_code_change: Literal["continue", "hold"] = "continue"


class Awaited:
    """A run for which somebody waits who will host it: told when it may start, or that it never will."""

    def __init__(self, native: Backend) -> None:
        self._news = native.event()
        self.started = False
        #: Why it was cancelled in the queue.
        self.cancelled: str | None = None

    def start(self) -> None:
        """It may start."""
        self.started = True
        self._news.set()

    def cancel(self, reason: str) -> None:
        """It never will."""
        self.cancelled = reason
        self._news.set()

    async def wait(self) -> None:
        """Wait for either. A checkpoint."""
        await self._news.wait()


class Hosts(Protocol):
    """Who hosts root runs: the worker of an app that is served."""

    @property
    def terms(self) -> Terms:
        """On which terms."""
        ...

    def take(self, run_id: str) -> None:
        """Host a run."""
        ...
