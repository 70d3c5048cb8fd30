"""An async test runs on Trio; one marked `anyio` runs on all three backends, each time where it says."""

import asyncio

import anyio
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock


def here():
    if not trio.lowlevel.in_trio_task():
        assert asyncio.current_task()
        return "asyncio"
    return "mock_clock" if isinstance(trio.lowlevel.current_clock(), MockClock) else "trio"


async def test_an_async_test_runs_on_trio():
    assert here() == "trio"


async def test_on_a_clock_that_jumps(autojump_clock):
    await trio.sleep(3600)
    assert here() == "mock_clock"


@settings(max_examples=2)
@given(st.integers())
async def test_a_property_runs_on_trio(number):
    assert here() == "trio"


@pytest.mark.anyio
async def test_on_every_backend(request, anyio_backend_name):
    assert here() == request.node.callspec.params["anyio_backend"]
    assert here().replace("mock_clock", "trio") == anyio_backend_name


@pytest.mark.anyio
@settings(max_examples=2)
@given(number=st.integers())
async def test_a_property_on_every_backend(anyio_backend, number):
    assert here().replace("mock_clock", "trio") == anyio_backend[0]


class TestInAClass:
    @pytest.mark.anyio
    async def test_on_every_backend(self, request):
        assert here() == request.node.callspec.params["anyio_backend"]

    async def test_on_trio(self):
        assert here() == "trio"


@pytest.mark.anyio
@settings(max_examples=3)
@given(days=st.integers(1, 7))
async def test_a_week_of_mock_time(anyio_backend, days):
    if here() == "mock_clock":
        assert anyio.current_time() == 0
        await anyio.sleep(days * 24 * 3600)
        assert anyio.current_time() == days * 24 * 3600


@pytest.fixture
async def where_a_fixture_runs(anyio_backend):
    return here()


@pytest.mark.anyio
async def test_a_fixture_runs_where_its_test_does(where_a_fixture_runs):
    assert where_a_fixture_runs == here()


@pytest.fixture
async def where_a_fixture_of_trio_runs():
    return here()


async def test_a_fixture_of_a_trio_test_runs_on_trio(where_a_fixture_of_trio_runs):
    assert where_a_fixture_of_trio_runs == "trio"
