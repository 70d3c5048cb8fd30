"""What every test gets: a loop to run in, seeds, and a look at what it left behind.

Neither `trio_mode` nor `anyio_mode = auto`: the first runs an anyio test with the asyncio parameter
under Trio, where it passes; the second runs each Trio test twice. Here an async test belongs to Trio
unless it is marked `anyio`; then it runs on every backend of the fixture `anyio_backend`.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import signal

import hypothesis
import pytest
import trio
from hypothesis import HealthCheck
from trio.testing import MockClock

from tests.leaks import Belongings

# Never a deadline, nor a complaint about slow data: both depend on who else uses the machine.
settings = functools.partial(
    hypothesis.settings.register_profile,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings("quick", max_examples=10, derandomize=True, database=None)
settings("dev", max_examples=100)
settings("ci", max_examples=200, derandomize=True, database=None)
settings("nightly", max_examples=10_000)
hypothesis.settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev")
)

# A shell has what it starts in the background ignore Ctrl-C, and that is inherited. Tests are about it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    for item in items:
        test = getattr(item, "obj", None)
        test = getattr(getattr(test, "hypothesis", None), "inner_test", test)
        if inspect.iscoroutinefunction(test) and not item.get_closest_marker("anyio"):
            item.add_marker("trio")


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    """Threads, child processes and open descriptors are the same before and after."""
    before = Belongings.now()
    yield
    if left := before.left_behind():
        pytest.fail("left behind: " + ", ".join(left), pytrace=False)


#: The options of the backend `mock_clock`: a clock of its own for each test, and each example of one.
MOCK_CLOCK: dict[str, object] = {}


def wind_up():
    MOCK_CLOCK["clock"] = MockClock(autojump_threshold=0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    wind_up()


# Its scope is AnyIO's choice, and Hypothesis refuses a smaller one.
@pytest.fixture(scope="module", params=["trio", "mock_clock", "asyncio"])
def anyio_backend(request):
    """Where a test marked `anyio` runs: on Trio, on Trio with a clock that jumps, on asyncio."""
    return ("trio", MOCK_CLOCK) if request.param == "mock_clock" else (request.param, {})


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Make a test of several backends check which one it really runs on."""
    backend = pyfuncitem.funcargs.get("anyio_backend")
    hypothetical = getattr(pyfuncitem.obj, "hypothesis", None)
    test = hypothetical.inner_test if hypothetical else pyfuncitem.obj
    if backend is None or not inspect.iscoroutinefunction(test):
        return (yield)

    name, options = backend
    ran = False

    @functools.wraps(test)
    async def checked(*args, **kwargs):
        nonlocal ran
        ran = True
        assert running_backend() == name
        if clock := options.get("clock"):
            assert trio.lowlevel.current_clock() is clock
        await test(*args, **kwargs)
        if hypothetical:
            wind_up()

    if hypothetical:
        hypothetical.inner_test = checked
    else:
        pyfuncitem.obj = checked
    try:
        outcome = yield
    finally:
        if hypothetical:
            hypothetical.inner_test = test
    assert ran, "nobody ran the test"
    return outcome


def running_backend():
    """Ask the loops themselves: what sniffio says is what a plugin told it."""
    if trio.lowlevel.in_trio_task():
        return "trio"
    asyncio.get_running_loop()
    return "asyncio"
