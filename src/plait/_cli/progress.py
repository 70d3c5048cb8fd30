"""What stderr shows while a run goes on: lines, one a record, or nothing at all.

`live` has the third way, the view on a terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from .news import News


class Progress(Protocol):
    """Shows how a run goes."""

    def head(self, text: str) -> None:
        """Say that the run begins: which one, and of what."""
        ...

    def news(self, news: News) -> None:
        """Show what happened."""
        ...

    def note(self, text: str) -> None:
        """Show a line of text about the run."""
        ...

    def shown(self) -> AbstractAsyncContextManager[None]:
        """Keep what is shown up to date while the run goes on."""
        ...


class Lines:
    """A line for each thing that happens: for files, pipes, and terminals that can do no more."""

    def head(self, text: str) -> None:
        """Write the first line."""
        _write(text)

    def news(self, news: News) -> None:
        """Write a line."""
        _write(news.line)

    def note(self, text: str) -> None:
        """Write a line."""
        _write(text)

    def shown(self) -> AbstractAsyncContextManager[None]:
        """Do nothing more: a line is written when there is one."""
        return _as_it_is()


class Nothing:
    """Shows nothing."""

    def head(self, text: str) -> None:
        """Keep quiet."""

    def news(self, news: News) -> None:
        """Keep quiet."""

    def note(self, text: str) -> None:
        """Keep quiet."""

    def shown(self) -> AbstractAsyncContextManager[None]:
        """Keep quiet."""
        return _as_it_is()


@asynccontextmanager
async def _as_it_is() -> AsyncGenerator[None]:
    yield


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def progress(steps: Iterable[str], *, quiet: bool) -> Progress:
    """Choose how to show the progress: as stderr can.

    Args:
        steps: The names of the steps.
        quiet: Show nothing.
    """
    if quiet:
        return Nothing()
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return Lines()
    from .live import Live

    return Live(steps)
