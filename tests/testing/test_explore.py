"""`explore_schedules` is all that a test needs to be run in one order of tasks after the other."""

import asyncio
import re
import sys
from collections import Counter

import pytest
import trio
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

import plait.testing
from plait.errors import MissingExtra
from plait.testing import explore_schedules
from tests.house.test_import import python
from tests.testing.prices import Cheapest, FirstWins, same

pytest_plugins = ["pytester"]

#: To explain a failure takes longer than to find it.
QUICK = {*Phase} - {Phase.explain}


def notes(error):
    return "\n".join(error.__notes__)


# ------------------------------------------------------------ what it does


def test_an_async_test_is_run_in_virtual_time():
    times = []

    @explore_schedules(examples=5)
    async def test():
        await trio.sleep(3600)
        times.append(trio.current_time())

    assert test() is None
    assert times == [3600] * 5


def test_it_finds_what_depends_on_the_order():
    seen = []

    @explore_schedules
    @settings(database=None, phases=QUICK)
    async def test():
        seen.append(await FirstWins(same).run(shops=["a", "b"]))
        assert seen[-1] == "a"

    with pytest.raises(AssertionError) as caught:
        test()
    assert seen[0] == "a", "the plain order is tried first"
    assert "schedule: ask#3, ask#2 (plain order: ask#2, ask#3)" in notes(caught.value)
    assert re.search(r"schedule=<schedule: \d+ out of order>", notes(caught.value))


@explore_schedules(examples=10)
async def test_it_decorates_an_async_test():
    assert await Cheapest(same).run(shops=["a", "b"]) == "a"


@explore_schedules
def test_it_decorates_a_sync_test():
    async def main():
        assert await Cheapest(same).run(shops=["a", "b"]) == "a"

    plait.testing.run(main)


class TestInAClass:
    @explore_schedules(examples=3)
    async def test_a_method(self):
        assert isinstance(self, TestInAClass)
        await trio.sleep(1)


@pytest.mark.parametrize("shop", ["a", "b"])
@explore_schedules(examples=3)
async def test_with_fixtures_and_parameters(shop, tmp_path, monkeypatch):
    assert tmp_path.is_dir()
    assert await Cheapest(same).run(shops=[shop]) == shop


def test_a_parameter_may_be_called_as_ours():
    @explore_schedules(examples=2)
    async def test(schedule):
        assert schedule == "mine"

    test(schedule="mine")


def test_it_explores_as_much_as_it_is_asked_for():
    counts = Counter()

    @explore_schedules
    async def by_default():
        counts["by default"] += 1

    @explore_schedules(examples=7)
    async def seven():
        counts["seven"] += 1

    @settings(max_examples=8)
    @explore_schedules
    async def above():
        counts["above"] += 1

    @explore_schedules
    @settings(max_examples=9)
    async def below():
        counts["below"] += 1

    @explore_schedules(examples=10)
    @settings(max_examples=9, phases=[Phase.generate])
    async def both():
        counts["both"] += 1

    for test in (by_default, seven, above, below, both):
        test()
    profile = settings.default.max_examples
    assert counts == {"by default": profile, "seven": 7, "above": 8, "below": 9, "both": 10}


def test_no_example_has_a_deadline_unless_somebody_sets_one():
    @explore_schedules
    async def test():
        pass

    @explore_schedules
    @settings(deadline=50)
    async def strict():
        pass

    assert test._hypothesis_internal_use_settings.deadline is None
    assert strict._hypothesis_internal_use_settings.deadline.total_seconds() == 0.05


# ------------------------------------------------------------ beside @given


@pytest.mark.parametrize("is_async", [True, False])
def test_it_combines_with_given(is_async):
    seen = set()

    async def run_it(shops):
        order = []

        async def ask(name):
            await trio.sleep(1)
            order.append(name)
            return 1

        await Cheapest(ask).run(shops=shops)
        seen.add("".join(order))

    async def test_async(shops):
        await run_it(shops)

    def test_sync(shops):
        plait.testing.run(run_it, shops)

    strategy = st.lists(st.sampled_from("ab"), min_size=2, max_size=2, unique=True)
    explore_schedules(examples=60)(given(strategy)(test_async if is_async else test_sync))()
    assert seen == {"ab", "ba"}


def test_given_shrinks_both():
    @explore_schedules
    @settings(derandomize=True, database=None, max_examples=200, phases=QUICK)
    @given(st.lists(st.sampled_from("abc"), min_size=2, unique=True))
    async def test(shops):
        assert await FirstWins(same).run(shops=shops) == shops[0]

    with pytest.raises(AssertionError) as caught:
        test()
    told = notes(caught.value)
    assert "shops=['a', 'b']" in told
    assert "schedule: ask#3, ask#2 (plain order: ask#2, ask#3)" in told


def test_an_explicit_example_has_the_plain_order():
    seen = []

    @explore_schedules(examples=3)
    @example(shops=["b", "a"])
    @given(shops=st.just(["a", "b"]))
    async def test(shops):
        seen.append(await FirstWins(same).run(shops=shops))

    test()
    assert seen[0] == "b"
    assert len(seen) == 4


def test_a_failing_explicit_example_is_told():
    @explore_schedules(examples=3)
    @example(n=3)
    @given(n=st.integers())
    async def test(n):
        assert n != 3

    with pytest.raises(AssertionError) as caught:
        test()
    assert "n=3" in notes(caught.value)


# ------------------------------------------------------------ within pytest


PLAIN = """
import pytest, trio, plait.testing
from plait.testing import explore_schedules

@pytest.fixture
def made():
    return []

@explore_schedules(examples=5)
async def test_it(made):
    await trio.sleep(1)
    made.append(1)
    assert len(made) <= 5

class TestHere:
    @explore_schedules
    async def test_it(self):
        await trio.sleep(1)
"""


@pytest.mark.parametrize(
    "options",
    [
        ["-p", "no:trio", "-p", "no:anyio", "-p", "no:hypothesispytest"],
        ["-o", "trio_mode=true", "-o", "anyio_mode=auto"],
    ],
    ids=["none", "all, and eager"],
)
def test_it_does_not_mind_the_plugins(pytester, options):
    pytester.makepyfile(PLAIN)
    result = pytester.runpytest_subprocess("-q", "-W", "error", "-p", "no:cacheprovider", *options)
    result.assert_outcomes(passed=2)


# ------------------------------------------------------------ bad input


def test_what_is_no_test_is_refused():
    with pytest.raises(TypeError, match="decorates a test function, not 5"):
        explore_schedules(5)
    with pytest.raises(TypeError, match="decorates a test function, not <class"):
        explore_schedules(Cheapest)
    with pytest.raises(TypeError, match=r"wrong\(\) is a generator"):

        @explore_schedules
        async def wrong():
            yield

    with pytest.raises(TypeError, match=r"wrong\(\) is a generator"):

        @explore_schedules
        def wrong():
            yield


@pytest.mark.parametrize("examples", [0, -1])
def test_no_examples_are_refused(examples):
    with pytest.raises(ValueError, match=f"examples must be at least 1, not {examples}"):
        explore_schedules(examples=examples)


def test_inside_of_a_loop_an_async_test_is_refused():
    @explore_schedules(examples=1)
    async def inner():
        pass

    async def main():
        with pytest.raises(RuntimeError, match=r"^inner\(\), explored by explore_schedules, runs"):
            inner()

    plait.testing.run(main)
    asyncio.run(main())


def test_what_the_test_returns_is_not_awaited_in_silence():
    @settings(suppress_health_check=list(HealthCheck), max_examples=1)
    @explore_schedules
    def test():
        return 5

    with pytest.raises(Exception, match="return"):
        test()


def test_without_hypothesis_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    text = re.escape("explore_schedules needs hypothesis. Type: pip install 'plait[testing]'")

    async def test():
        pass

    with pytest.raises(MissingExtra, match=text):
        explore_schedules(test)


def test_hypothesis_is_loaded_only_when_it_is_asked_for():
    told = python(
        "import sys, plait.testing; plait.testing.explore_schedules(examples=3);"
        "print('hypothesis' in sys.modules)"
    )
    assert told.strip() == "False"
