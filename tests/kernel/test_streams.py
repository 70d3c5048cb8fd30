"""Streams: what a returned list opens, and what fan-ins make of it.

A branch is the chain of deliveries that follow a member of the list by return. When all branches
have ended, each fan-in of the stream fires once, be it with nothing. Streams nest.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._errors import WorkflowRuntimeError
from plait._ids import DeliveryId
from plait._kernel import effects, records, stimuli
from plait._kernel.plan import Gather, Plan
from plait._kernel.streams import Branch, merged
from tests.kernel.shell import Shell
from tests.kernel.strategies import (
    A,
    Answer,
    B,
    Broken,
    C,
    FineA,
    Patience,
    Start,
    Stop,
    Stray,
    Watched,
    fan_in,
    join,
    number_of,
    plan,
    step,
)


def fanning(*more: Any, gather: Gather = Gather(), on_stop: Any = "cancel") -> Plan:
    """`start` returns lists of A, `work` makes B of A, `f` gathers B."""
    return plan(
        step("start", Start, C, returns_list=True, opens=("f",)),
        step("work", A, num_workers=10),
        fan_in("f", B, gather=gather),
        *more,
        on_stop=on_stop,
    )


def listed(of: Plan, *members: object) -> Shell:
    """A run whose first body has returned a list."""
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", [*members])
    return shell


def fired(shell: Shell) -> list[list[int]]:
    """What each fan-in was given so far."""
    return [
        [number_of(event) for event in record.events]
        for record in shell.records
        if isinstance(record, records.Fired)
    ]


# ---------------------------------------------------------------- the list


def test_a_returned_list_is_a_completion_and_its_members():
    shell = listed(fanning(), A(1), A(2))
    completed, *emitted = shell.latest
    assert completed == records.Completed(0.0, DeliveryId(1), records.Listed(1, 2), 2, ())
    assert emitted == [
        records.Emitted(0.0, DeliveryId(1), A(1), 2, ("work",), (), Branch(1, 0)),
        records.Emitted(0.0, DeliveryId(1), A(2), 3, ("work",), (), Branch(1, 1)),
    ]
    assert shell.effects == [effects.Offer("work"), effects.Offer("work")]
    assert shell.queue("work") == [2, 3]


def test_an_observable_member_is_streamed_and_needs_no_step():
    shell = listed(fanning(), Watched(1), A(2))
    assert shell.stream == [Watched(1)]
    assert [*shell.state.steps["start"].streamed_only] == [Watched]


def test_a_member_that_nobody_accepts_fails_the_run_and_none_is_routed():
    shell = listed(fanning(), A(1), Stray(2))
    (failure,) = shell.state.failures
    assert isinstance(failure.error, WorkflowRuntimeError)
    assert str(failure.error).startswith("Step 'start' returned Stray, but no step")
    assert shell.queue("work") == []
    assert not any(isinstance(record, records.Emitted) for record in shell.latest)


def test_a_member_that_is_no_event_fails_the_run():
    shell = listed(fanning(), A(1), "text")
    (failure,) = shell.state.failures
    text = "Step function start returned a list containing str instead of an Event instance."
    assert str(failure.error) == text


def test_a_list_from_a_step_that_returns_none_is_no_event():
    shell = listed(plan(step("start", Start), step("work", A)), A())
    (failure,) = shell.state.failures
    text = "Step function start returned list instead of an Event instance."
    assert str(failure.error) == text


def test_a_bare_event_that_is_annotated_in_a_list_only_is_refused():
    of = plan(step("start", Start, returns_list=True, only_listed=(A,)), step("a", A), step("b", B))
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", A())
    (failure,) = shell.state.failures
    assert str(failure.error) == (
        "Step function start returned a bare A but its return annotation "
        "only declares it inside a list."
    )
    shell = Shell(of)
    shell.open(Start())
    shell.works("start", B())
    assert shell.state.outcome is None


@pytest.mark.parametrize("on_stop", ["cancel", "drain"])
def test_a_stop_event_in_a_list_ends_the_run(on_stop: str):
    members = [A(1), Watched(2), Stop(3), A(4), Watched(5), Stop(6)]
    shell = listed(fanning(on_stop=on_stop), *members)
    assert isinstance(shell.state.outcome, records.Stopped)
    assert shell.state.outcome.event is members[2]
    assert [*map(number_of, shell.stream)] == [2], "what is behind it comes too late"
    assert shell.effects == [effects.Publish(Watched()), effects.Wind()]
    assert [number_of(event) for event in shell.state.undelivered] == [1, 4, 5]


def test_what_is_no_event_fails_the_run_behind_a_stop_event_too():
    shell = listed(fanning(), Stop(1), A(2), "text")
    assert shell.state.outcome == records.Crashed()
    assert shell.state.undelivered == ()


def test_none_opens_no_stream():
    shell = Shell(fanning())
    shell.open(Start())
    shell.works("start", None)
    assert shell.state.streams == {}
    assert fired(shell) == []


# ---------------------------------------------------------------- the fan-in


def test_an_empty_list_fires_at_once_with_nothing():
    shell = listed(fanning())
    assert [type(record) for record in shell.latest] == [
        records.Completed,
        records.Fired,
        records.StreamClosed,
    ]
    assert fired(shell) == [[]]
    assert shell.body(shell.comes("f") or 0).event == ()


def test_a_fan_in_fires_when_all_branches_have_ended():
    shell = listed(fanning(), A(1), A(2), A(3), A(4))
    numbers = [shell.comes("work") or 0 for _ in range(4)]
    shell.returns(numbers[2], B(3))
    shell.returns(numbers[0], B(1))
    shell.returns(numbers[1], None)
    assert fired(shell) == []
    shell.unwinds(numbers[3])
    assert fired(shell) == [[3, 1]]
    (delivery,) = shell.state.steps["f"].queue
    assert delivery.event == (B(3), B(1))
    assert delivery.branch is None
    assert shell.state.streams == {}
    assert shell.effects == [effects.Offer("f")]


@given(st.permutations(range(5)), st.booleans())
def test_the_order_is_that_of_arrival_or_of_the_list(order: list[int], by_input: bool):  # noqa: FBT001
    shell = listed(fanning(gather=Gather(by_input=by_input)), *(A(n) for n in range(5)))
    numbers = [shell.comes("work") or 0 for _ in range(5)]
    for n in order:
        shell.returns(numbers[n], B(n))
    assert fired(shell) == [[*range(5)] if by_input else order]


def test_a_member_may_reach_the_fan_in_at_once():
    shell = listed(fanning(), B(1), B(2))
    assert fired(shell) == [[1, 2]]


def test_what_is_sent_leaves_the_stream():
    shell = listed(fanning(), A(1))
    number = shell.comes("work") or 0
    shell.sends(A(2), by=number)
    with pytest.raises(WorkflowRuntimeError, match="sent B, but no step"):
        shell.sends(B(3), by=number)
    shell.returns(number, None)
    assert fired(shell) == [[]]
    assert shell.state.steps["work"].queue[0].branch is None


def test_nothing_is_sent_to_a_fan_in():
    """Another step takes B, so it is not that nobody does."""
    shell = listed(fanning(step("also", B)), A(1))
    with pytest.raises(WorkflowRuntimeError, match="Step f does not accept event of type"):
        shell.sends(B(), "f")
    assert shell.queue("also") == []


def test_several_receivers_fork_a_branch():
    shell = listed(fanning(step("also", A)), A(1))
    one, two = shell.comes("work") or 0, shell.comes("also") or 0
    shell.returns(one, B(1))
    assert fired(shell) == []
    shell.returns(two, B(2))
    assert fired(shell) == [[1, 2]]


def test_a_stream_without_fan_in_closes_by_itself():
    shell = listed(plan(step("start", Start, returns_list=True), step("work", A)), A())
    shell.works("work", None)
    assert records.StreamClosed(0.0, 1) in shell.latest
    assert shell.state.outcome == records.Stalled()


def test_several_fan_ins_of_one_stream_fire_once_each():
    of = plan(
        step("start", Start, returns_list=True, opens=("f", "g", "h")),
        fan_in("f", B),
        fan_in("g", B, C),
        fan_in("h", C, gather=Gather(1)),
    )
    shell = listed(of, B(1), C(2), B(3))
    assert sorted(fired(shell)) == [[1, 2, 3], [1, 3], [2]]


def test_an_event_for_a_fan_in_of_another_stream_has_no_receiver():
    of = plan(
        step("start", Start, returns_list=True),
        step("work", A),
        fan_in("f", B),
    )
    shell = listed(of, A())
    shell.works("work", B())
    (failure,) = shell.state.failures
    assert str(failure.error).startswith("Step 'work' returned B, but no step")


def test_a_fan_ins_delivery_knows_who_returned_the_list():
    shell = listed(fanning(), B(1))
    (delivery,) = shell.state.steps["f"].queue
    assert delivery.cause == 1


def test_a_retry_and_a_wait_keep_their_stream_open():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("work", A, retry=Patience(2)),
        fan_in("f", B),
    )
    shell = listed(of, A(1), A(2))
    one, two = shell.comes("work") or 0, shell.comes("work") or 0
    shell.raises(one, ValueError())
    shell.waits(two, Answer)
    assert fired(shell) == []
    shell.sends(Answer())
    shell.returns(two, B(2))
    assert fired(shell) == []
    shell.rings(one)
    assert fired(shell) == []
    shell.works("work", B(1))
    assert fired(shell) == [[2, 1]]


def test_each_input_of_a_fan_in_may_be_collected():
    shell = listed(fanning(), B(1), B(2))
    number = shell.comes("f") or 0
    one, two = shell.body(number).event  # type: ignore[misc]
    assert shell.collects(number, [B, B], event=one) is None
    assert shell.collects(number, [B, B], event=two) == (one, two)


# ---------------------------------------------------------------- Take


def test_take_fires_at_the_nth_and_the_others_go_on_without_effect():
    shell = listed(fanning(gather=Gather(2)), *(A(n) for n in range(4)))
    numbers = [shell.comes("work") or 0 for _ in range(4)]
    for n in (3, 0, 1):
        shell.returns(numbers[n], B(n))
    assert fired(shell) == [[3, 0]]
    assert shell.state.streams[1].open == []
    shell.returns(numbers[2], B(2))
    assert fired(shell) == [[3, 0]]
    assert shell.state.streams == {}
    assert len(shell.queue("f")) == 1


def test_take_fires_with_fewer_at_the_end_of_a_shorter_stream():
    shell = listed(fanning(gather=Gather(3)), A(1))
    assert fired(shell) == []
    shell.works("work", B(1))
    assert fired(shell) == [[1]]


def test_a_fan_in_that_has_fired_takes_no_more():
    shell = listed(fanning(gather=Gather(1)), A(1), B(2))
    number = shell.state.next_delivery
    shell.works("work", B(3))
    assert fired(shell) == [[2]]
    assert shell.state.undelivered == (B(),)
    assert number_of(shell.state.undelivered[0]) == 2
    assert shell.state.next_delivery >= number


def test_take_has_its_n_even_if_more_arrive_together():
    shell = listed(fanning(gather=Gather(2, by_input=True)), B(1), B(2), B(3))
    assert fired(shell) == [[1, 2]]


def test_the_rest_is_cancelled_if_so_wished():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("work", A, num_workers=3, retry=Patience(2)),
        fan_in("f", B, gather=Gather(1, cancel_rest=True)),
        step("end", C),
    )
    shell = listed(of, *(A(n) for n in range(5)))
    one, two, three = (shell.comes("work") or 0 for _ in range(3))
    shell.raises(three, ValueError())
    shell.waits(two, Answer)
    four = shell.comes("work") or 0
    shell.returns(one, B(0))
    assert fired(shell) == [[0]]
    queued = shell.queue("work")
    dropped = [record for record in shell.latest if isinstance(record, records.Dropped)]
    assert dropped == [records.Dropped(0.0, (DeliveryId(three), DeliveryId(6)), (1,))]
    assert queued == []
    assert shell.effects == [
        effects.Interrupt((DeliveryId(two), DeliveryId(four))),
        effects.Offer("f"),
    ]
    assert shell.state.due == {}
    shell.rings(three)
    assert shell.latest == [], "an alarm of one that was dropped"
    shell.expires((DeliveryId(two), 0))
    shell.unwinds(two)
    assert shell.state.streams != {}
    shell.unwinds(four)
    assert shell.state.streams == {}
    assert shell.state.outcome is None


def test_what_was_cancelled_has_no_effect_and_what_was_sent_goes_on():
    shell = listed(fanning(gather=Gather(1, cancel_rest=True)), A(1), A(2), A(3))
    one, two = shell.comes("work") or 0, shell.comes("work") or 0
    shell.sends(A(4), by=two)
    shell.returns(one, B(1))
    assert [number_of(d.event) for d in shell.state.steps["work"].queue] == [4]
    shell.returns(two, B(2))
    assert fired(shell) == [[1]]


def test_cancelling_the_rest_reaches_streams_inside_and_half_joins():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("inner", A, returns_list=True, opens=("g",)),
        join("j", C, FineA),
        fan_in("g", B),
        fan_in("f", Watched, gather=Gather(1, cancel_rest=True)),
    )
    shell = listed(of, A(1), A(2), C(8))
    shell.works("inner", [C(3), B(4), A(5)], Watched(6))
    assert fired(shell) == [[6]]
    assert shell.queue("inner") == []
    assert shell.state.steps["j"].joins == {}
    assert [*shell.state.streams] == []
    assert shell.state.outcome is None
    assert shell.queue("f") != []


def test_a_stream_inside_cancels_its_own_rest_and_no_other():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("inner", A, returns_list=True, opens=("g",)),
        step("work", B),
        fan_in("g", C, gather=Gather(1, cancel_rest=True)),
        fan_in("f", Watched),
    )
    shell = listed(of, A(1), A(2))
    shell.works("inner", [B(3), B(4)], [B(5)])
    shell.works("work", C(6))
    assert fired(shell) == [[6]]
    assert [number_of(d.event) for d in shell.state.steps["work"].queue] == [5]
    shell.works("g", Watched(7))
    shell.works("work", None)
    shell.works("g", None)
    assert fired(shell) == [[6], [], [7]]


def test_a_branch_that_fails_after_its_fan_in_has_fired_has_no_effect():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("work", A),
        fan_in("f", B, Broken, gather=Gather(1)),
    )
    shell = listed(of, B(1), A(2))
    shell.raises(shell.comes("work") or 0, ValueError())
    assert shell.state.outcome is None
    assert fired(shell) == [[1]]


# ---------------------------------------------------------------- failures and fan-ins


def test_a_fan_in_that_lists_failures_gets_them():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("work", A, retry=Patience(2)),
        fan_in("f", B, Broken),
    )
    shell = listed(of, A(1), A(2))
    one, two = shell.comes("work") or 0, shell.comes("work") or 0
    error = ValueError("for good")
    shell.raises(one, error)
    shell.returns(two, B(2))
    shell.rings(one)
    shell.raises(shell.comes("work") or 0, error)
    recovered, shut, met, closed = shell.latest
    assert isinstance(recovered, records.Recovered)
    assert (recovered.to, recovered.error) == ("f", error)
    assert isinstance(shut, records.Fired)
    assert [type(event) for event in shut.events] == [B, Broken]
    assert isinstance(met, records.Met)
    assert met.delivery == shut.first
    assert isinstance(closed, records.StreamClosed)


def test_a_handler_comes_before_the_fan_in():
    of = plan(
        step("start", Start, returns_list=True, opens=("f",)),
        step("work", A, handler="h"),
        step("h", Broken),
        fan_in("f", B, Broken),
    )
    shell = listed(of, A(1))
    shell.raises(shell.comes("work") or 0, ValueError())
    assert len(shell.queue("h")) == 1
    shell.works("h", B(5))
    assert fired(shell) == [[5]]


def test_a_fan_in_that_lists_none_leaves_the_failure_to_the_run():
    shell = listed(fanning(), A(1))
    shell.raises(shell.comes("work") or 0, ValueError())
    assert shell.state.outcome == records.Crashed()


# ---------------------------------------------------------------- streams inside streams


def test_streams_nest():
    """Each inner stream fires its own fan-in; what comes of it goes on one level up."""
    of = plan(
        step("start", Start, returns_list=True, opens=("outer",)),
        step("split", A, returns_list=True, opens=("inner",), num_workers=2),
        step("work", B, num_workers=10),
        fan_in("inner", C),
        fan_in("outer", Watched),
    )
    shell = listed(of, A(1), A(2))
    shell.works("split", [B(1), B(2)], [B(3)])
    for number, n in zip([shell.comes("work") or 0 for _ in range(3)], (1, 2, 3), strict=True):
        shell.returns(number, C(n))
    assert fired(shell) == [[1, 2], [3]]
    assert [*shell.state.streams] == [1]
    branches = [delivery.branch for delivery in shell.state.steps["inner"].queue]
    assert branches == [Branch(1, 0), Branch(1, 1)]
    shell.works("inner", Watched(7), None)
    assert fired(shell) == [[1, 2], [3], [7]]
    assert shell.state.streams == {}


def test_an_open_stream_inside_keeps_the_one_around_it_open():
    of = plan(
        step("start", Start, A, returns_list=True, opens=("f",)),
        step("work", B),
        fan_in("f", C),
    )
    shell = listed(of, A(1))
    shell.works("start", [B(2)])
    assert [*shell.state.streams] == [1, 2]
    assert shell.state.streams[2].parent == Branch(1, 0)
    shell.works("work", C(3))
    assert fired(shell) == [[3]]
    assert [*shell.state.streams] == [1]
    shell.works("f", None)
    assert fired(shell) == [[3], []]


def test_two_lists_of_one_step_are_two_streams():
    shell = Shell(fanning())
    shell.open(Start())
    shell.sends(C())
    shell.works("start", [A(1), A(2)], [A(3)])
    one, two, three = (shell.comes("work") or 0 for _ in range(3))
    shell.returns(three, B(3))
    shell.returns(two, B(2))
    shell.returns(one, B(1))
    assert fired(shell) == [[3], [2, 1]]


# ---------------------------------------------------------------- what is left


def test_what_a_fan_in_has_gathered_is_not_dropped_in_silence():
    shell = listed(fanning(), B(1), A(2))
    shell.sends(Stop())
    assert [number_of(event) for event in shell.state.undelivered] == [1, 2]


def test_a_fan_in_that_has_not_begun_leaves_its_events():
    shell = listed(fanning(), B(1), B(2))
    shell.sends(Stop())
    assert [number_of(event) for event in shell.state.undelivered] == [1, 2]


def test_a_fan_in_of_nothing_leaves_nothing():
    shell = listed(fanning())
    shell.sends(Stop())
    assert shell.state.undelivered == ()


def test_a_list_that_is_returned_too_late_is_reported_event_by_event():
    shell = Shell(fanning(on_stop="drain"))
    shell.open(Start())
    number = shell.comes("start") or 0
    shell.sends(Stop(), by=number)
    shell.returns(number, [A(1), Stop(2), B(3)])
    assert [number_of(event) for event in shell.state.undelivered] == [1, 3]
    assert shell.effects == [effects.Wind()]


def test_after_the_decision_no_fan_in_fires():
    shell = listed(fanning(), A(1))
    number = shell.comes("work") or 0
    shell.hear(stimuli.CancelAsked(0.0))
    shell.unwinds(number)
    assert fired(shell) == []
    shell.settles()


def test_lines_that_meet_count_each_handler_as_often_as_in_any_of_them():
    assert merged([]) == ()
    assert merged([(), ("h",), ("g", "h"), ("h", "h")]) == ("g", "h", "h")
