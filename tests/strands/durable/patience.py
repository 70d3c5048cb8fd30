"""Virtual time that stands still while a thread is at work, on both backends.

A thread that waits for a call of its own is not at work. Both clocks look at one number, which only the
event loop's thread changes.
"""

import math
from contextlib import contextmanager

import pytest

from plait._engine.bodies.rest import CountedRest, PolledRest
from plait._steps import attempt
from tests.conftest import MOCK_CLOCK
from tests.parity.clocks import Impatient, JumpingLoop

at_work = 0


class PatientSelector(Impatient):
    """Has the loop's clock jump only if no thread is at work."""

    def select(self, timeout=None):
        if at_work:
            timeout = 0.001 if timeout is None or timeout > 0 else timeout
            return super(Impatient, self).select(timeout)
        return super().select(timeout)


class PatientLoop(JumpingLoop):
    selector = PatientSelector


def in_patient_time(test):
    """Run a test on both backends, in virtual time that waits for threads."""
    backends = [
        ("trio", MOCK_CLOCK),
        ("asyncio", {"loop_factory": PatientLoop}),
    ]
    both = pytest.mark.parametrize("anyio_backend", backends, ids=["trio", "asyncio"])
    return pytest.mark.anyio(both(pytest.mark.usefixtures("threads_counted")(test)))


@contextmanager
def counting():
    """Count the threads of functions and of handlers while they are at work."""
    global at_work  # noqa: PLW0603 - the clocks of all tests look at it
    at_work = 0
    with pytest.MonkeyPatch.context() as patch:
        for kind in (CountedRest, PolledRest):
            patch.setattr(kind, "_thread", _counted(kind._thread))
        patch.setattr(attempt, "in_thread", _in_thread(attempt.in_thread))
        yield


def _count(more):
    global at_work  # noqa: PLW0603 - the clocks of all tests look at it
    at_work += more
    MOCK_CLOCK["clock"].autojump_threshold = math.inf if at_work else 0


def _counted(thread):
    def counted(self, place, more):
        _count(more)
        thread(self, place, more)

    return counted


def _in_thread(in_thread):
    async def counted(limiter, fn):
        _count(1)
        try:
            return await in_thread(limiter, fn)
        finally:
            _count(-1)

    return counted
