"""Which runs may be forgotten: whole families, and none that may go on."""

import itertools
import random

import pytest

from plait._journal.retention import chosen
from plait.abc import StreamInfo

ENDED = {"completed", "failed", "cancelled"}


def run(stream, status="completed", parent=None, updated=1.0, app_id="shop"):
    return StreamInfo(stream, app_id, "f", parent, status, None, 0.0, updated, 1)


def names(*listed, before=100.0, **options):
    return [one.stream for one in chosen(listed, ended_before=before, **options)]


@pytest.mark.parametrize("status", ["queued", "running", "held"])
def test_what_may_go_on_stays_and_its_family_too(status):
    family = [run("root"), run("a", parent="root"), run("b", parent="a")]
    assert sorted(names(*family)) == ["a", "b", "root"]
    for place, one in enumerate(family):
        goes_on = run(one.stream, status, one.parent)
        assert names(*family[:place], goes_on, *family[place + 1 :]) == []


def test_a_family_is_as_young_as_its_last_run():
    family = [run("root"), run("child", parent="root", updated=100.0)]
    assert names(*family) == []
    assert names(*family, before=100.5) == ["child", "root"]


def test_children_go_before_their_parents():
    family = [run("root"), run("a", parent="root"), run("b", parent="a"), run("c", parent="root")]
    for order in itertools.permutations(family):
        found = names(*order)
        assert found[0] == "b"
        assert found[-1] == "root"
        assert sorted(found) == ["a", "b", "c", "root"]


def test_the_first_run_speaks_for_its_family():
    listed = [run("good"), run("bad child", "failed", "good"), run("bad", "failed"),
              run("good child", parent="bad")]  # fmt: skip
    assert names(*listed, status=("completed",)) == ["bad child", "good"]
    assert names(*listed, status=["failed"]) == ["good child", "bad"]
    assert names(*listed, status=()) == []


def test_whose_parent_is_gone_is_a_root():
    assert names(run("orphan", parent="gone"), run("its", parent="orphan")) == ["its", "orphan"]


def test_a_circle_of_parents_ends():
    assert sorted(names(run("a", parent="b"), run("b", parent="a"))) == ["a", "b"]
    assert names(run("a", parent="a")) == ["a"]


def test_random_forests_are_cut_at_roots_only():
    """Whoever is left has all of its family left, and whoever is gone has none of it left."""
    chance = random.Random(7)
    words = ["completed"] * 6 + ["failed", "cancelled", "running", "held", "queued"]
    for _ in range(300):
        listed = []
        for place in range(chance.randrange(1, 30)):
            parent = f"r{chance.randrange(place)}" if place and chance.random() < 0.6 else None
            listed.append(run(f"r{place}", chance.choice(words), parent, chance.uniform(0, 101)))
        by_name = {one.stream: one for one in listed}

        def root(one, by_name=by_name):
            while one.parent is not None:
                one = by_name[one.parent]
            return one.stream

        gone = names(*listed)
        assert len(set(gone)) == len(gone)
        for family in {root(one) for one in listed}:
            members = [one for one in listed if root(one) == family]
            over = all(one.status in ENDED and one.updated < 100.0 for one in members)
            assert {one.stream in gone for one in members} == {over}
