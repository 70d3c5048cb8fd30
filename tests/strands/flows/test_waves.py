from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from plait._strands._flows.waves import cycles, waves


def test_waves_keep_the_order_of_the_file():
    graph = {"d": ["a"], "a": [], "c": ["a", "b"], "b": []}
    assert waves(graph) == (("a", "b"), ("d", "c"))


def test_a_step_is_in_the_wave_after_its_last_dependency():
    assert waves({"a": [], "b": ["a"], "c": ["a", "b"]}) == (("a",), ("b",), ("c",))


def test_nothing():
    assert waves({}) == ()
    assert cycles({}) == []


def test_a_circle_begins_with_its_first_step_and_goes_as_they_run():
    graph = {"x": [], "b": ["a"], "a": ["c"], "c": ["b"], "d": ["a"]}
    (circle,) = cycles(graph)
    assert (circle[0], {*circle}) == ("b", {"a", "b", "c"})
    assert all(before in graph[after] for before, after in pairwise(circle))


def test_a_step_that_waits_for_itself():
    assert cycles({"a": ["a"], "b": ["a"]}) == [("a", "a")]


def test_one_circle_of_each_group_in_the_order_of_the_file():
    graph = {"c": ["d"], "a": ["b"], "b": ["a", "c"], "d": ["c"], "e": ["b"]}
    assert cycles(graph) == [("c", "d", "c"), ("a", "b", "a")]


def test_the_shortest_way_round():
    graph = {"a": ["c", "b"], "b": ["c"], "c": ["a"]}
    assert cycles(graph) == [("a", "c", "a")]


def test_long_chains_and_long_circles():
    count = 20_000
    chain = {f"s{i}": [f"s{i - 1}"] if i else [] for i in range(count)}
    assert len(waves(chain)) == count
    assert cycles(chain) == []
    (circle,) = cycles({**chain, "s0": [f"s{count - 1}"]})
    assert len(circle) == count + 1


GRAPHS = (
    st.integers(1, 8)
    .flatmap(lambda n: st.lists(st.sets(st.integers(0, n - 1)), min_size=n, max_size=n))
    .map(lambda rows: {str(i): sorted(map(str, row)) for i, row in enumerate(rows)})
)


@given(GRAPHS)
def test_either_waves_or_circles(graph):
    found = cycles(graph)
    done = {step for wave in waves(graph) for step in wave}
    assert bool(found) == (done != {*graph})
    for circle in found:
        assert circle[0] == circle[-1]
        assert len({*circle}) == len(circle) - 1
        assert all(a in graph[b] for a, b in pairwise(circle))
        assert circle[0] == min(circle, key=[*graph].index)


@given(GRAPHS)
def test_every_step_comes_after_all_that_it_waits_for(graph):
    number = {step: i for i, wave in enumerate(waves(graph)) for step in wave}
    for step, wave in number.items():
        assert wave == max((number[other] + 1 for other in graph[step]), default=0)
