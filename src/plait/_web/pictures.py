"""Pictures for windows: of what the page runs, of a run that is something else, of a part of either.

Rule 1: a picture is made in a thread, one at a time, and kept for the other windows that ask for it.
    So however many ask, the runs go on, and at most one core draws.
Rule 2: what is too large is not drawn. Around a step, never more than sixty boxes are.
Rule 3: a run of which the page has the plan is drawn by that: also what has not happened yet. Any other
    is drawn from its records.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final

import anyio

from plait._engine import native
from plait._strands._durable.app import App
from plait._viz.drawing import Drawing

from .graph import MOST_NODES, around, drawing_of, pictured
from .shown import Shown
from .sketch import sketch
from .targets import Target

#: Pictures that are kept.
MOST_KEPT: Final = 40
FROM_RECORDS: Final = (
    "Drawn from the records of the run: its steps, and what led from one to another"
)

Fields = Mapping[str, Any]


class Pictures:
    """Draws what one page shows.

    Args:
        target: What it runs, if that is known.
    """

    def __init__(self, target: Target | App | None) -> None:
        self._target = target
        self._drawing: Drawing | None = None
        self._kept: dict[Hashable, Fields] = {}
        self._lock = anyio.Lock()

    async def of_plan(self) -> Fields | None:
        """Give the picture of what the page runs; `None`: it runs nothing. A checkpoint."""
        return await self.of_run(None, None)

    async def of_run(self, shown: Shown | None, name: str | None) -> Fields | None:
        """Give the picture of a run. A checkpoint.

        Args:
            shown: The run, as far as it has been read; `None`: none is meant.
            name: The node around which to draw; `None`: all of it.

        Returns:
            `None` if nothing is known that could be drawn.

        Raises:
            KeyError: There is no such node.
        """
        async with self._lock:
            drawing = await self._of_plan()
            if shown is None:
                return None if drawing is None else await self._picture("plan", drawing, name)
            if drawing is not None and self._fits(drawing, shown):
                return await self._picture("plan", drawing, name)
            execution = shown.view.execution
            key = (shown.view.run_id, execution.count, execution.status)
            if (key, name) in self._kept:
                return self._kept[key, name]
            return await self._picture(key, await sketch(execution), name)

    def _fits(self, drawing: Drawing, shown: Shown) -> bool:
        """Is it a run of the very plan that the page has, as far as its steps tell?"""
        if self._target is None or isinstance(self._target, App) or not shown.is_of(self._target):
            return False
        names = {node.name for node in drawing.nodes}
        return all(
            one.name in names
            for one in shown.view.execution.activities.values()
            if one.kind != "call"
        )

    async def _of_plan(self) -> Drawing | None:
        if self._drawing is None and self._target is not None:
            self._drawing = await native.current().run_in_thread(drawing_of, self._target)
        return self._drawing  # noqa: ASYNC910 - the lock is one

    async def _picture(self, key: Hashable, drawing: Drawing, name: str | None) -> Fields:
        kept = self._kept.pop((key, name), None)
        if kept is None:
            kept = await native.current().run_in_thread(_made, drawing, name, key == "plan")
            while len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        self._kept[key, name] = kept  # what was asked for last is let go last
        return kept  # noqa: ASYNC910 - the lock is one


def _made(drawing: Drawing, name: str | None, of_plan: bool) -> Fields:  # noqa: FBT001 - for a thread
    large = len(drawing.nodes) > MOST_NODES
    part = drawing if name is None else around(drawing, name)
    found = pictured(part)
    notes: list[str] = [] if of_plan else [FROM_RECORDS]
    notes += () if name is None else part.about
    notes += [found["about"]] if "about" in found else []
    about = {"about": ". ".join(notes)} if notes else {}
    return {
        **found,
        "of": "plan" if of_plan else "records",
        "around": name,
        "large": large,
        **about,
    }
