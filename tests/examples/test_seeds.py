"""The seed programs: what they print and how long they take. Their random delays are virtual."""

import functools
import random
import runpy
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import plait.testing

EXAMPLES = Path(__file__).parents[2] / "examples"
SEEDS = [
    "emit_events",
    "collect_events",
    "collect_kinds",
    "bounded_workers",
    "parallel_steps",
    "parallel_steps_in_a_loop",
]


@pytest.fixture
def run(load, capsys):
    """Run an example's `main` with these random delays; what it printed, and when it was done."""

    def run(name, seed=0):
        module = load(name)
        assert capsys.readouterr().out == "", "importing it runs it"

        async def timed():
            await module.main()
            return trio.current_time()

        random.seed(seed)
        seconds = plait.testing.run(timed)
        return capsys.readouterr().out.splitlines(), seconds

    return run


@pytest.mark.parametrize("seed", range(10))
def test_emit_events(run, seed):
    lines, seconds = run("emit_events", seed)
    random.seed(seed)
    delays = {f"Query {n}": random.randint(1, 5) for n in (1, 2, 3)}
    *queries, first = lines
    assert queries == [f"Running slow query  {query}" for query in delays]
    assert seconds == min(delays.values()) == delays[first]


@pytest.mark.parametrize("seed", range(10))
def test_collect_events(run, seed):
    lines, seconds = run("collect_events", seed)
    random.seed(seed)
    delays = {f"StepThreeEvent(result='Query {n}')": random.randint(1, 5) for n in (1, 2, 3)}
    *queries, collected, done = lines
    assert queries == [f"Running query  Query {n}" for n in (1, 2, 3)]
    assert done == "Done"
    assert seconds == max(delays.values())
    order = sorted(delays, key=collected.index)
    assert collected == f"[{', '.join(order)}]"
    assert [delays[event] for event in order] == sorted(delays.values())


def test_collect_kinds(run):
    assert run("collect_kinds") == (["['Query 3', 'Query 1', 'Query 2']"], 0)


@pytest.mark.parametrize("seed", range(10))
def test_bounded_workers(run, seed):
    lines, seconds = run("bounded_workers", seed)
    random.seed(seed)
    one_by_one = sum(2 + random.random() for _ in "ABC")
    at_once = {letter: 2 + random.random() for letter in "ABC"}
    order = sorted(at_once, key=at_once.get)
    assert lines == [
        *(f"Completed processing: {letter}" for letter in "ABC"),
        "Processed: A, Processed: B, Processed: C",
        *(f"Completed processing: {letter}" for letter in order),
        ", ".join(f"Processed: {letter}" for letter in order),
    ]
    assert seconds == pytest.approx(one_by_one + max(at_once.values()))


def test_parallel_steps(run):
    lines, seconds = run("parallel_steps")
    *begun, result = lines
    assert sorted(begun) == ["Sending an email to user 7", "Updating user 7"]
    assert result == "(True, 'email to 7')"
    assert seconds == pytest.approx(2)


def test_parallel_steps_in_a_loop(run):
    lines, seconds = run("parallel_steps_in_a_loop")
    assert lines == [*(f"Updated user {n}" for n in (3, 2, 1)), "(False, True, False)"]
    assert seconds == pytest.approx(9)


@pytest.mark.parametrize("name", SEEDS)
def test_as_a_script(name, capsys, monkeypatch):
    clock = MockClock(autojump_threshold=0)
    monkeypatch.setattr(trio, "run", functools.partial(trio.run, clock=clock))
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert capsys.readouterr().out


def test_every_example_is_a_test():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        *SEEDS,
        "audit",
        "checkpoints",
        "order",
        "survive",
    }
