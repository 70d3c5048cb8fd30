"""Virtual time on both backends: Trio's mock clock, and an asyncio loop that jumps likewise."""

import asyncio
import selectors

import pytest
import trio

from plait.testing import task_tree
from tests.conftest import MOCK_CLOCK


class Impatient(selectors.DefaultSelector):
    """Never waits for a time to come: it has the loop's clock jump there."""

    def __init__(self):
        super().__init__()
        self.jump = None

    def select(self, timeout=None):
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self.jump()
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time starts at 0 and jumps when there is nothing to do."""

    #: Has `jump` called instead of waiting.
    selector = Impatient

    def __init__(self):
        self.now = 0.0
        selector = self.selector()
        selector.jump = self._jump
        super().__init__(selector)

    def time(self):
        return self.now

    def _jump(self):
        self.now = self._scheduled[0].when()  # to the very time: a hair before would not be due


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
