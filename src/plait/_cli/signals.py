"""Ctrl-C and its like: the first cancels the run, a second lets nothing be graceful any more."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import trio

#: What is said when it begins.
SAID: Final = "plait: interrupted, waiting for the clean-up; once more leaves no grace"
#: What asks for the end: from the keyboard, and from whoever looks after processes.
HEEDED: Final = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """What has been asked for by signals so far."""

    def __init__(self) -> None:
        self.count = 0

    def __bool__(self) -> bool:
        return self.count > 0

    def grace(self) -> float:
        """The seconds that are left for a graceful end, at most: none after a second signal."""
        return 0.0 if self.count > 1 else math.inf


@contextmanager
def heeding(first: Callable[[], object], heard: Interruption) -> Generator[None]:
    """Call `first` in the event loop when the first signal comes, and count them all.

    Args:
        first: Cancels what is running.
        heard: Counts them.
    """
    soon = trio.lowlevel.current_trio_token().run_sync_soon

    def hear() -> None:
        heard.count += 1
        if heard.count == 1:
            first()

    def handle(_number: int, _frame: FrameType | None) -> None:
        soon(hear)

    before = {number: signal.signal(number, handle) for number in HEEDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminable() -> Generator[None]:
    """Let SIGTERM be what Ctrl-C is, where nothing runs yet that could be cancelled."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)  # Trio knows when that is safe

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
