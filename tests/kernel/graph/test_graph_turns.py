"""Who begins, and when: first in, first out, as far as the limits let them."""

from __future__ import annotations

from plait._kernel import records
from plait._kernel.graph.admission import Admit, Go, Verdict
from tests.kernel.graph.board import Board, step
from tests.kernel.strategies import Patience


def names(run: Board) -> list[str]:
    """Who began, in order."""
    return [name for name, _ in run.launched]


def several(count: int) -> Admit:
    """Let each step whose name is in capitals have so many items."""

    def admit(name: str) -> Verdict:
        return Go(count if name.isupper() else 1)

    return admit


def test_no_more_bodies_run_than_there_are_workers():
    run = Board(*[step(f"s{n}") for n in range(5)], workers=2)
    assert run.running == ["s0", "s1"]
    run.returns("s1")
    assert run.running == ["s0", "s2"]
    run.returns("s0", "s2", "s3", "s4")
    assert run.outcome == records.Finished()


def test_who_becomes_ready_together_begins_in_the_order_of_the_plan():
    run = Board(step("e", "r"), step("a", "r"), step("c", "r"), step("r"), workers=1)
    run.returns("r", "e", "a", "c")
    assert names(run) == ["r", "e", "a", "c"]


def test_who_became_ready_first_begins_first():
    run = Board(step("r1"), step("k1", "r1"), step("r2"), workers=1)
    run.returns("r1", "r2", "k1")
    assert names(run) == ["r1", "r2", "k1"]


def test_a_worker_has_the_lowest_free_number():
    run = Board(*[step(f"s{n}") for n in range(5)], workers=3)
    run.returns("s1", "s0")
    workers = [r.worker for r in run.records if isinstance(r, records.Started)]
    assert workers == [0, 1, 2, 1, 0]


def test_a_step_whose_group_is_full_is_passed_over():
    run = Board(
        step("g0", group="db"),
        step("g1", group="db"),
        step("x"),
        step("g2", group="db"),
        step("y"),
        groups={"db": 1},
    )
    assert run.running == ["g0", "x", "y"]
    run.returns("x")
    assert run.running == ["g0", "y"]
    run.returns("g0")
    assert run.running == ["y", "g1"]
    run.returns("g1")
    assert run.running == ["y", "g2"]


def test_a_group_is_shared_first_in_first_out():
    run = Board(*[step(f"g{n}", group="db") for n in range(6)], workers=6, groups={"db": 2})
    assert run.running == ["g0", "g1"]
    run.returns("g0", "g1", "g3", "g2", "g4", "g5")
    assert names(run) == [f"g{n}" for n in range(6)]


def test_who_waited_for_its_group_comes_before_who_came_later():
    run = Board(
        step("g0", group="db"), step("g1", group="db"), step("late", "x"), step("x"),
        workers=2, groups={"db": 1},
    )  # fmt: skip
    assert run.running == ["g0", "x"]
    run.returns("x")
    assert run.running == ["g0", "late"]
    run.returns("g0")
    assert run.running == ["late", "g1"]


def test_items_begin_in_order_no_more_than_their_step_allows():
    run = Board(step("A", workers=2), step("z"), workers=4, admit=several(4))
    assert run.running == ["A[0]", "A[1]", "z"]
    run.returns(("A", 1))
    assert run.running == ["A[0]", "z", "A[2]"]
    run.returns(("A", 0), ("A", 2), ("A", 3))
    assert run.going
    run.returns("z")
    assert run.outcome == records.Finished()


def test_items_are_bounded_by_the_run_too():
    run = Board(step("A", workers=100), workers=2, admit=several(3))
    assert run.running == ["A[0]", "A[1]"]


def test_items_of_one_step_and_others_share_a_group():
    run = Board(
        step("A", workers=3, group="db"),
        step("B", workers=3, group="db"),
        step("z"),
        workers=9,
        groups={"db": 2},
        admit=several(3),
    )
    assert run.running == ["A[0]", "A[1]", "z"]
    run.returns(("A", 0))
    assert run.running == ["A[1]", "z", "A[2]"]
    run.returns(("A", 1))
    assert run.running == ["z", "A[2]", "B[0]"]
    run.returns(("A", 2))
    assert run.running == ["z", "B[0]", "B[1]"]


def test_a_step_that_may_have_no_more_bodies_leaves_its_groups_room_to_others():
    run = Board(
        step("A", workers=1, group="db"),
        step("B", workers=1, group="db"),
        workers=9,
        groups={"db": 2},
        admit=several(3),
    )
    assert run.running == ["A[0]", "B[0]"]
    run.returns(("B", 0))
    assert run.running == ["A[0]", "B[1]"]


def test_no_slot_is_lost_when_who_was_called_back_is_dropped():
    """The end of a body calls the next item back to its group, and then the step drops it."""
    run = Board(
        step("A", workers=2, group="db"),
        step("b", group="db"),
        step("z"),
        groups={"db": 1},
        admit=several(2),
    )
    assert run.running == ["A[0]", "z"]
    run.raises("A", 0)
    assert run.running == ["z", "b"]


def test_a_slot_of_a_group_goes_on_from_who_is_dropped_in_line():
    run = Board(
        step("A", workers=9, group="db", retry=Patience(2)),
        step("y"),
        step("z"),
        step("b", group="db"),
        step("c", group="db"),
        workers=2,
        groups={"db": 2},
        admit=several(4),
    )
    assert run.running == ["A[0]", "A[1]"]
    run.returns(("A", 0))
    assert run.running == ["A[1]", "A[2]"]
    run.raises("A", 2)  # it will try again: its worker is free
    assert run.running == ["A[1]", "A[3]"]
    run.raises("A", 1, final=True)  # item 2 is dropped
    assert run.running == ["A[3]", "y"]
    run.unwinds("A", 3)
    assert run.running == ["y", "z"]
    run.returns("y")
    assert run.running == ["z", "b"]
    run.returns("z")
    assert run.running == ["b", "c"]


def test_a_group_with_room_and_no_worker_keeps_nobody_aside():
    run = Board(
        step("g0", group="db"),
        step("g1", group="db"),
        step("g2", group="db"),
        step("x"),
        step("y"),
        workers=2,
        groups={"db": 1},
    )
    assert run.running == ["g0", "x"]
    run.returns("g0")
    assert run.running == ["x", "g1"]
    run.returns("x")
    assert run.running == ["g1", "y"]
    run.returns("g1")
    assert run.running == ["y", "g2"]


def test_who_was_dropped_while_a_group_held_it_back_is_passed_over():
    run = Board(
        step("A", workers=3, group="db", retry=Patience(2)),
        step("b", group="db"),
        step("c", group="db"),
        workers=9,
        groups={"db": 3},
        admit=several(3),
    )
    run.raises("A", 2)
    assert run.running == ["A[0]", "A[1]", "b"]
    run.rings("A", 2)  # behind c
    run.raises("A", 0, final=True)
    assert run.running == ["A[1]", "b", "c"]
    run.unwinds("A", 1)
    assert run.running == ["b", "c"]
    run.returns("b", "c")
    assert run.outcome == records.Finished()
