"""Virtual time on both backends: Trio's mock clock, and an asyncio loop that jumps likewise."""

import asyncio
import selectors

import pytest
import trio

from plait.testing import task_tree
from tests.conftest import MOCK_CLOCK


class JumpingSelector(selectors.DefaultSelector):
    """Never waits for a time to come: it moves the clock instead."""

    def __init__(self):
        super().__init__()
        self.now = 0.0

    def select(self, timeout=None):
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self.now = round(self.now + timeout, 9)  # the sum may be a hair before the time meant
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time starts at 0 and jumps when there is nothing to do."""

    def __init__(self):
        self._clock = JumpingSelector()
        super().__init__(self._clock)

    def time(self):
        return self._clock.now


BACKENDS = [("trio", MOCK_CLOCK), ("asyncio", {"loop_factory": JumpingLoop})]


def in_virtual_time(test):
    """Run a test on both backends, in virtual time."""
    both = pytest.mark.parametrize("anyio_backend", BACKENDS, ids=["trio", "asyncio"])
    return pytest.mark.anyio(both(test))


def live_tasks():
    """Name the tasks that are alive, whatever the backend."""
    if trio.lowlevel.in_trio_task():
        return task_tree()
    return sorted(task.get_name() for task in asyncio.all_tasks())
