"""`schedules` finds what depends on Trio's scheduling order, and leaves nothing behind."""

import re
import sys
import threading
from collections import Counter

import anyio
import pytest
import trio
import trio._core._run as scheduler
from hypothesis import HealthCheck, Phase, find, given, reproduce_failure, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase

import plait.testing
from plait import Context, Event, StartEvent, StopEvent, Workflow, step
from plait.errors import MissingExtra, PlaitError
from plait.testing import schedules
from tests.house.test_import import python

#: The same examples each time, from no database. To explain a failure takes longer than to find it.
settled = settings(
    derandomize=True, database=None, phases={*Phase} - {Phase.explain}, max_examples=100
)
#: A test within a test.
nesting = settings(
    suppress_health_check=[*settings().suppress_health_check, HealthCheck.nested_given]
)


class Ask(Event):
    name: str


class Answer(Event):
    name: str


class First(Workflow):
    """A bug: of two answers that come in the same instant, it takes `a` to be the first."""

    def __init__(self, pause=1):
        super().__init__()
        self.pause = pause

    @step
    async def start(self, ev: StartEvent) -> list[Ask]:
        return [Ask(name="a"), Ask(name="b")]

    @step
    async def ask(self, ev: Ask) -> Answer:
        await anyio.sleep(self.pause)
        return Answer(name=ev.name)

    @step
    async def choose(self, ctx: Context, ev: Answer) -> StopEvent | None:
        answers = ctx.collect_events(ev, [Answer] * 2)
        return answers and StopEvent(result=self.best(answers))

    def best(self, answers):
        return answers[0].name


class Best(First):
    """The same, mended."""

    def best(self, answers):
        return min(answer.name for answer in answers)


def orders(tasks, rounds):
    """In which order Trio runs some tasks, each of which has so many steps."""
    order = []

    async def task(name):
        for _ in range(rounds):
            await trio.lowlevel.checkpoint()
            order.append(name)

    async def main():
        async with trio.open_nursery() as nursery:
            for name in tasks:
                nursery.start_soon(task, name)

    plait.testing.run(main)
    return "".join(order)


def trios_own():
    return scheduler._r, scheduler._ALLOW_DETERMINISTIC_SCHEDULING


@pytest.fixture(autouse=True)
def trio_is_as_before():
    before = trios_own()
    yield
    assert trios_own() == before


def failing(workflow, check):
    """A property test of a workflow, which counts its examples."""
    examples = []

    def test(schedule):
        async def main():
            examples.append(result := await workflow.run())
            assert check(result)

        plait.testing.run(main)

    return test, examples


def a_is_first():
    return failing(First(), lambda result: result == "a")


# ------------------------------------------------------------ what it finds


def test_it_finds_a_bug_that_needs_another_order():
    test, examples = a_is_first()
    with pytest.raises(AssertionError) as caught:
        settled(given(schedules())(test))()
    assert examples[0] == "a", "the plain order is tried first"
    assert examples[-1] == "b"
    told = "\n".join(caught.value.__notes__)
    assert re.search(r"<schedule: \d+ out of order>", told), "it has shrunk"
    assert "schedule: ask#3, ask#2 (plain order: ask#2, ask#3)" in told


def test_without_the_bug_it_passes():
    test, examples = failing(Best(), lambda result: result == "a")
    settled(given(schedules())(test))()
    assert len(examples) == settled.max_examples


def test_without_it_the_bug_is_not_found():
    """Hypothesis alone has one schedule for all examples: why this strategy is there."""
    results = set()

    @settings(settled, max_examples=20)
    @given(st.integers())
    def test(n):
        results.add(plait.testing.run(run_first))

    async def run_first():
        return await First().run()

    test()
    assert len(results) == 1


def test_every_order_is_explored():
    seen = Counter()

    @settings(settled, max_examples=400)
    @given(schedules())
    def test(schedule):
        seen[orders("abc", 2)] += 1

    test()
    assert len(seen) == 36
    assert {len(order) for order in seen} == {6}


def test_the_simplest_schedule_is_the_plain_order():
    simplest = []

    def keep(schedule):
        simplest.append((repr(schedule), orders("abc", 2)))
        return True

    find(schedules(), keep, settings=settled)
    assert simplest[-1] == ("<schedule: plain order>", "abcabc")


def test_only_what_matters_stays_out_of_order():
    """Of ten turns of nine tasks, those two on which the failure depends."""
    shrunk = []

    @settings(settled, max_examples=1000)
    @given(schedules())
    def test(schedule):
        order = orders("abcdefghi", 10)
        rounds = [order[at : at + 9] for at in range(0, 90, 9)]
        shrunk.append(rounds)
        swapped = [turn.index("h") < turn.index("c") for turn in rounds]
        assert not (swapped[3] and swapped[7])

    with pytest.raises(AssertionError):
        test()
    assert [n for n, order in enumerate(shrunk[-1]) if order != "abcdefghi"] == [3, 7]


def test_a_long_run_is_explored_to_its_end():
    """Beyond the decisions that are drawn one by one."""
    last = set()

    @settled
    @given(schedules())
    def test(schedule):
        last.add(orders("ab", 300)[-2:])

    test()
    assert last == {"ab", "ba"}


# ------------------------------------------------------------ again


def test_a_failure_replays_from_the_database():
    test, examples = a_is_first()
    remembering = settings(settled, derandomize=False, database=InMemoryExampleDatabase())
    test = remembering(given(schedules())(test))
    with pytest.raises(AssertionError):
        test()
    examples.clear()
    with pytest.raises(AssertionError):
        test()
    assert examples[0] == "b", "the failure is tried first"


def test_a_failure_replays_from_its_blob():
    test, _ = a_is_first()
    with pytest.raises(AssertionError) as caught:
        settings(settled, print_blob=True)(given(schedules())(test))()
    version, blob = re.search(
        r"@reproduce_failure\('(.*)', b'(.*)'\)", "\n".join(caught.value.__notes__)
    ).groups()
    again, examples = a_is_first()
    with pytest.raises(AssertionError):
        reproduce_failure(version, blob.encode())(given(schedules())(again))()
    assert set(examples) == {"b"}


def test_the_same_seed_explores_the_same_orders():
    def explored():
        log = []

        @settled
        @given(schedules(), st.integers(1, 4))
        def test(schedule, tasks):
            log.append((repr(schedule), orders("abcd"[:tasks], 5)))

        test()
        return log

    assert explored() == explored()


# ------------------------------------------------------------ where it works


@given(schedules(), st.integers(1, 3), st.text())
def test_it_combines_with_other_strategies(schedule, tasks, text):
    assert sorted(orders("abc"[:tasks], 1)) == [*"abc"[:tasks]]


@given(st.data())
def test_it_can_be_drawn_within_a_test(data):
    drawn = data.draw(schedules())
    assert scheduler._r is drawn
    assert len(orders("abc", 1)) == 3


@given(schedules(), schedules())
def test_of_two_the_later_one_counts(one, other):
    assert scheduler._r is other


@settings(max_examples=10)
@given(schedules())
async def test_it_works_on_an_async_test(schedule):
    assert trio.lowlevel.in_trio_run()
    assert scheduler._r is schedule
    assert await Best(pause=0).run() == "a"


@pytest.mark.anyio
@settings(max_examples=5)
@given(schedules())
async def test_it_does_no_harm_on_any_backend(schedule):
    assert await Best(pause=0).run() == "a"


def test_each_loop_of_an_example_follows_it():
    pairs = set()

    @settled
    @given(schedules())
    def test(schedule):
        pairs.add((orders("ab", 1), orders("ab", 1)))

    test()
    assert len(pairs) == 4


def test_a_loop_in_another_thread_follows_it():
    seen = set()

    @settled
    @given(schedules())
    def test(schedule):
        thread = threading.Thread(target=lambda: seen.add(orders("ab", 1)))
        thread.start()
        thread.join()

    test()
    assert seen == {"ab", "ba"}


def test_tasks_within_a_step_are_named_after_it():
    class Flow(Workflow):
        @step
        async def work(self, ev: StartEvent) -> StopEvent:
            order = []

            async def child(name):
                await trio.lowlevel.checkpoint()
                order.append(name)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(child, 1, name="one")
                nursery.start_soon(child, 2, name="two")
            return StopEvent(result=order)

    test, _ = failing(Flow(), lambda result: result == [1, 2])
    with pytest.raises(AssertionError) as caught:
        settled(given(schedules())(test))()
    told = "\n".join(caught.value.__notes__)
    assert "schedule: two in work#1, one in work#1" in told


def test_an_idle_worker_is_named_after_its_step():
    """What it will take up is not known yet."""

    class Flow(Workflow):
        @step
        async def start(self, ctx: Context, ev: StartEvent) -> Ask | StopEvent | None:
            self.asked, turns = False, 0
            ctx.send_event(Ask(name="a"))
            while not self.asked:
                await trio.lowlevel.checkpoint()
                turns += 1
            return StopEvent(result=turns)

        @step
        async def ask(self, ev: Ask) -> StopEvent | None:
            self.asked = True

    async def plain():
        return await Flow().run()

    turns_in_plain_order = find(
        schedules().map(lambda _: plait.testing.run(plain)), lambda _: True, settings=settled
    )
    test, _ = failing(Flow(), lambda turns: turns >= turns_in_plain_order)
    with pytest.raises(AssertionError) as caught:
        settled(given(schedules())(test))()
    told = "\n".join(caught.value.__notes__)
    assert "schedule: worker of step ask, start#1 (plain order: start#1, worker" in told


# ------------------------------------------------------------ what it leaves behind


def test_trio_is_as_before_after_each_example(monkeypatch):
    monkeypatch.setattr(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", False)
    own = trios_own()
    during = []

    @settings(nesting, max_examples=5)
    @given(st.integers(0, 9))
    def test(n):
        @settings(settled, max_examples=2)
        @given(schedules(), schedules())
        def inner(one, other):
            during.append(trios_own())
            assert trios_own() == (other, True)

        inner()
        assert trios_own() == own

    test()
    assert len({id(number) for number, _ in during} - {id(own[0])}) > 1
    assert trios_own() == own


@pytest.mark.parametrize("how", ["it fails", "it is skipped", "a later draw gives up"])
def test_trio_is_as_before_after_an_example_that_ends_early(how):
    def give_up(schedule):
        if how == "it is skipped":
            pytest.skip()
        raise ValueError

    own = trios_own()
    other = st.integers().map(give_up) if how == "a later draw gives up" else st.none()

    @settings(settled, max_examples=5)
    @given(schedules(), other)
    def test(schedule, nothing):
        give_up(schedule)

    with pytest.raises((ValueError, pytest.skip.Exception)):
        test()
    assert trios_own() == own


@settings(nesting, max_examples=5)
@given(schedules())
def test_an_inner_test_gives_back_the_outer_schedule(schedule):
    @settings(settled, max_examples=2)
    @given(schedules())
    def inner(another):
        assert scheduler._r is another

    inner()
    assert scheduler._r is schedule


# ------------------------------------------------------------ without Hypothesis


def test_hypothesis_is_loaded_only_when_it_is_asked_for():
    loaded = "import sys, plait.testing; print('hypothesis' in sys.modules)"
    assert python(loaded).strip() == "False"
    assert python(f"{loaded}; plait.testing.schedules(); print('hypothesis' in sys.modules)") == (
        "False\nTrue\n"
    )


def test_without_hypothesis_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(
        MissingExtra, match=re.escape("needs hypothesis. Type: pip install 'plait[testing]'")
    ) as caught:
        schedules()
    assert isinstance(caught.value, PlaitError)
    assert isinstance(caught.value, ImportError)
