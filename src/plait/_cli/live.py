"""The view on a terminal: a line for each step, what runs and what failed first, then how many.

All text of users' is shown as it is: as text, never as rich's markup, and without what a terminal
would obey.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeAlias

import attrs
import rich.console
import rich.live
import trio
from rich.text import Text

from .news import ENDS, News, took
from .printable import cut, printable

#: Seconds between two refreshes, at least; and at most, since what runs shows for how long.
BRIEF: Final = 0.1
LONG: Final = 1.0

#: What is looked at first, and how it looks.
STYLES: Final = {
    "running": "cyan",
    "retrying": "yellow",
    "failed": "bold red",
    "cancelled": "magenta",
    "skipped": "dim",
    "succeeded": "green",
    "reused": "green",
    "pending": "dim",
}
_RANK: Final = {word: place for place, word in enumerate(STYLES)}
_WIDEST: Final = max(map(len, STYLES))

Row: TypeAlias = tuple[str, int | None]


@attrs.define
class _Line:
    word: str = "pending"
    name: str = ""
    details: str = ""
    #: When it began, on the clock of this view.
    since: float | None = None
    place: int = 0


class Live:
    """The view of one run.

    Args:
        steps: The names of its steps; other ones are added as they come up.
        console: Where it is shown; by default stderr.
    """

    def __init__(self, steps: Iterable[str], console: rich.console.Console | None = None) -> None:
        self._console = console or rich.console.Console(stderr=True, highlight=False)
        self._lines: dict[Row, _Line] = {}
        self._head = ""
        self._changed = trio.Event()
        for step in steps:
            self._line((step, None), printable(step))

    def _line(self, row: Row, name: str) -> _Line:
        if row not in self._lines:
            self._lines[row] = _Line(name=name, place=len(self._lines))
        return self._lines[row]

    # ------------------------------------------------------------ what is told

    def head(self, text: str) -> None:
        """Write the first line above the view."""
        self.note(text)

    def note(self, text: str) -> None:
        """Write a line above the view."""
        self._console.print(Text(text), soft_wrap=True)

    def news(self, news: News) -> None:
        """Change the line of a step."""
        line = self._line((news.step, news.index), news.name)
        line.word = "running" if news.word == "started" else news.word
        line.details = news.details
        line.since = time.monotonic() if line.word == "running" else None
        self._changed.set()

    # ------------------------------------------------------------ what is shown

    def shown(self) -> AbstractAsyncContextManager[None]:
        """Show the view while the block lasts, and leave its last state there."""
        return self._shown()

    @asynccontextmanager
    async def _shown(self) -> AsyncGenerator[None]:
        # No thread of rich's: it refreshes from a task, which ends with the block.
        view = rich.live.Live(console=self._console, auto_refresh=False, get_renderable=self.render)
        with view:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._refresh, view)
                yield
                nursery.cancel_scope.cancel()
            view.refresh()

    async def _refresh(self, view: rich.live.Live) -> None:
        while True:
            view.refresh()
            await trio.sleep(BRIEF)
            with trio.move_on_after(LONG - BRIEF):
                await self._changed.wait()
            self._changed = trio.Event()

    def render(self) -> Text:
        """Draw as many steps as fit, and how many there are of which kind."""
        room = max(self._console.height - 2, 1)
        lines = sorted(self._lines.values(), key=lambda line: (_RANK[line.word], line.place))
        view = Text(no_wrap=True, overflow="ellipsis", end="")
        for line in lines[:room] if len(lines) > room else lines:
            view.append(f"{line.word:<{_WIDEST}}", style=STYLES[line.word])
            view.append(f"  {line.name}  {self._details(line)}".rstrip())
            view.append("\n")
        view.append(self._counts(lines, hidden=max(len(lines) - room, 0)))
        return view

    def _details(self, line: _Line) -> str:
        if line.since is not None:
            return took(time.monotonic() - line.since)
        return cut(line.details, self._console.width)

    def _counts(self, lines: Sequence[_Line], hidden: int) -> str:
        counts = Counter(line.word for line in lines)
        words = ("running", "retrying", *ENDS, "pending")
        text = ", ".join(f"{counts[word]} {word}" for word in words if counts[word])
        return f"{text} ({hidden} not shown)" if hidden else text
