"""`-v`: what plait logs, and what sources say, as lines of the progress."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, TypeAlias

from .printable import printable
from .progress import Lines, Nothing, Progress

#: Takes a line that a source says: the step, the item of it, the line.
Log: TypeAlias = Callable[[str, int | None, str], object]

LOGGER: Final = "plait"


class _Shown(logging.Handler):
    def __init__(self, view: Progress) -> None:
        super().__init__(logging.INFO)
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        self._view.note(f"{record.name}: {printable(record.getMessage())}")


@contextmanager
def logged(view: Progress, *, verbose: bool) -> Generator[Log | None]:
    """Show what plait logs while the block lasts, if that was asked for.

    Returns:
        What shows a line of a source; `None`: that was not asked for.
    """
    if not verbose:
        yield None
        return
    shown: Progress = Lines() if isinstance(view, Nothing) else view

    def log(step: str, index: int | None, line: str) -> None:
        place = "" if index is None else f"[{index}]"
        shown.note(f"{printable(step)}{place}: {printable(line)}")

    logger, handler = logging.getLogger(LOGGER), _Shown(shown)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield log
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
