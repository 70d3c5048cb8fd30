"""Order and limits: numbers, queues, workers, offers.

What is emitted first is numbered first, queued first and begun first, whenever a worker really
comes. A step has at most `num_workers` bodies. No wake-up is lost, and a stimulus costs the same
whatever is queued.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._ids import OUTSIDE, DeliveryId
from plait._kernel import effects, records, stimuli
from plait._kernel.plan import Plan
from plait._kernel.state import Delivery, RunState
from tests.kernel.price import Metered, price
from tests.kernel.shell import RUN, Shell
from tests.kernel.strategies import A, Answer, B, Start, Stop, Watched, number_of, plan, step


def flow(num_workers: int = 2) -> Plan:
    return plan(step("start", Start), step("work", A, num_workers=num_workers), step("also", B))


def begun(of: Plan) -> tuple[Shell, int]:
    """A run whose first body runs."""
    shell = Shell(of)
    shell.open(Start())
    number = shell.comes("start")
    assert number == 1
    return shell, number


# ---------------------------------------------------------------- numbers


def test_the_run_begins_with_two_records_and_an_offer():
    shell = Shell(flow())
    shell.now = 2.5
    shell.open(Start())
    assert shell.latest == [
        records.RunStarted(2.5, RUN, 0.0),
        records.Emitted(2.5, OUTSIDE, Start(), DeliveryId(1), ("start",)),
    ]
    assert shell.effects == [effects.Offer("start")]


def test_a_start_event_goes_to_every_step_that_accepts_it():
    shell = Shell(plan(step("x", Start), step("y", A), step("z", Start)))
    shell.open(Start())
    assert shell.effects == [effects.Offer("x"), effects.Offer("z")]
    assert (shell.queue("x"), shell.queue("z")) == ([1], [2])


def test_deliveries_are_numbered_in_the_order_of_emission():
    shell, start = begun(flow())
    shell.sends(A(), by=start)
    shell.sends(B())
    shell.sends(A(), by=start)
    shell.returns(start, B())
    assert shell.queue("work") == [2, 4]
    assert shell.queue("also") == [3, 5]
    assert [(r.first, r.cause) for r in shell.records if isinstance(r, records.Emitted)] == [
        (1, OUTSIDE),
        (2, 1),
        (3, OUTSIDE),
        (4, 1),
    ]


def test_what_is_sent_comes_before_what_is_returned():
    shell, start = begun(plan(step("start", Start), step("work", A, B, num_workers=1)))
    shell.sends(A(1), by=start)
    shell.sends(B(2), by=start)
    shell.returns(start, A(3))
    order = []
    for _ in range(3):
        number = shell.comes("work") or 0
        order.append(number_of(shell.state.running[DeliveryId(number)].event))
        shell.returns(number, A(4) if number == 2 else Watched())
    assert order == [1, 2, 3]


def test_what_is_kept_uses_up_a_number_and_what_is_only_streamed_does_not():
    shell, start = begun(flow())
    shell.sends(Answer(), by=start)
    shell.sends(Watched(), by=start)
    shell.sends(A(), by=start)
    assert [number for number, _ in shell.state.mailbox] == [2]
    assert shell.queue("work") == [3]


def test_equal_events_are_two_deliveries():
    shell, _ = begun(flow())
    event = A()
    shell.sends(event)
    shell.sends(event)
    shell.sends(A())
    assert shell.queue("work") == [2, 3, 4]


def test_a_delivery_knows_what_caused_it():
    shell, start = begun(flow())
    shell.now = 1.5
    shell.sends(A(), by=start)
    (delivery,) = shell.state.steps["work"].queue
    assert delivery == Delivery(DeliveryId(2), "work", A(), DeliveryId(start))
    shell.returns(start, B())
    assert shell.state.steps["also"].queue[0].cause == start
    shell.now = 2.0
    shell.comes("work")
    assert (delivery.worker, delivery.began) == (-1, 0.0) or delivery.began == 2.0
    assert shell.state.running[DeliveryId(2)].began == 2.0


# ---------------------------------------------------------------- first in, first out


def test_a_step_has_one_queue_for_all_its_classes():
    shell, start = begun(plan(step("start", Start), step("work", A, B)))
    for kind in (A, B, B, A):
        shell.sends(kind(), by=start)
    assert [shell.comes("work") for _ in range(4)] == [2, 3, 4, 5]


def test_a_worker_begins_on_the_oldest_whoever_it_was_offered_for():
    shell, start = begun(flow(num_workers=1))
    shell.sends(A(), by=start)
    shell.sends(A(), by=start)
    assert shell.comes("work") == 2
    shell.sends(A(), by=start)
    assert shell.returns(2, None) is None
    assert shell.comes("work") == 3


def test_a_worker_that_stays_begins_on_the_oldest_at_once():
    shell, start = begun(flow(num_workers=1))
    shell.sends(A(), by=start)
    shell.sends(A(), by=start)
    assert shell.comes("work") == 2
    assert shell.returns(2, None, stays=True) == 3
    assert shell.latest == [
        records.Completed(0.0, DeliveryId(2), None, DeliveryId(4), ()),
        records.Started(0.0, DeliveryId(3), "work", 0),
    ]
    assert shell.effects == [effects.Begin(DeliveryId(3))]


def test_a_worker_that_stays_may_begin_on_what_its_body_returned():
    shell = Shell(plan(step("loop", Start, A), step("also", A)))
    shell.open(Start())
    shell.comes("loop")
    assert shell.returns(1, A(), stays=True) == 2
    assert shell.effects == [effects.Begin(DeliveryId(2)), effects.Offer("also")]
    assert shell.queue("also") == [3]


def test_what_a_body_returned_comes_after_what_its_step_has_queued():
    shell = Shell(plan(step("first", B), step("loop", Start, A, num_workers=1)))
    shell.open(Start())
    shell.comes("loop")
    shell.sends(A())
    assert shell.returns(1, A(), stays=True) == 2
    assert shell.queue("loop") == [3]


def test_a_worker_that_stays_for_nothing_begins_on_nothing():
    shell, start = begun(plan(step("start", Start), step("work", A, Answer)))
    assert shell.returns(start, A(), stays=True) is None
    assert shell.effects == [effects.Offer("work")]


# ---------------------------------------------------------------- workers


def test_no_more_bodies_than_the_limit_allows():
    shell, start = begun(flow(num_workers=2))
    for _ in range(4):
        shell.sends(A(), by=start)
    assert [shell.comes("work") for _ in range(4)] == [2, 3, None, None]
    assert shell.state.steps["work"].running == 2
    shell.returns(2, None)
    assert [shell.comes("work") for _ in range(2)] == [4, None]


def test_the_limit_of_a_step_is_its_own():
    shell, start = begun(plan(step("start", Start), *(step(n, A, num_workers=1) for n in "xy")))
    shell.sends(A(), by=start)
    assert [shell.comes(name) for name in "xxyy"] == [2, None, 3, None]


def test_a_worker_gets_the_lowest_free_id():
    shell, start = begun(flow(num_workers=3))
    for _ in range(8):
        shell.sends(A(), by=start)

    def worker(number: int | None) -> int:
        return shell.state.running[DeliveryId(number or 0)].worker

    assert [worker(shell.comes("work")) for _ in range(3)] == [0, 1, 2]
    shell.returns(3, None)  # worker 1 leaves, then worker 0
    shell.returns(2, None)
    assert worker(shell.comes("work")) == 0
    assert worker(shell.comes("work")) == 1
    shell.returns(4, None)
    assert worker(shell.comes("work")) == 2


@given(st.permutations(range(5)))
def test_workers_get_the_lowest_ids_in_whatever_order_they_left(order: list[int]):
    shell, start = begun(flow(num_workers=5))
    for _ in range(10):
        shell.sends(A(), by=start)
    first = [shell.comes("work") or 0 for _ in range(5)]
    for worker in order:
        shell.returns(first[worker], None)
    again = [shell.comes("work") or 0 for _ in range(5)]
    assert [shell.state.running[DeliveryId(n)].worker for n in again] == [0, 1, 2, 3, 4]


def test_a_worker_that_stays_also_gets_the_lowest_free_id():
    shell, start = begun(flow(num_workers=3))
    for _ in range(8):
        shell.sends(A(), by=start)
    two, three, four = (shell.comes("work") or 0 for _ in range(3))
    shell.unwinds(two)
    assert shell.state.running[DeliveryId(four)].worker == 2
    number = shell.returns(four, None, stays=True)
    assert number
    assert shell.state.running[number].worker == 0
    number = shell.returns(three, None, stays=True)
    assert number
    assert shell.state.running[number].worker == 1


# ---------------------------------------------------------------- offers


def test_a_delivery_that_can_start_is_offered_and_no_other():
    shell, start = begun(flow(num_workers=2))
    told = []
    for _ in range(4):
        shell.sends(A(), by=start)
        told.append([*shell.effects])
    offer = [effects.Offer("work")]
    assert told == [offer, offer, [], []]


def test_a_slot_that_comes_free_is_offered_if_anybody_waits():
    shell, start = begun(flow(num_workers=1))
    shell.sends(A(), by=start)
    shell.sends(A(), by=start)
    shell.comes("work")
    shell.returns(2, None)
    assert shell.effects == [effects.Offer("work")]
    shell.comes("work")
    shell.returns(3, None)
    assert shell.effects == []


def test_a_slot_that_an_interrupted_body_leaves_is_offered_too():
    shell, start = begun(flow(num_workers=1))
    shell.sends(A(), by=start)
    shell.sends(A(), by=start)
    shell.comes("work")
    shell.unwinds(2)
    assert shell.latest == [records.Interrupted(0.0, DeliveryId(2))]
    assert shell.effects == [effects.Offer("work")]


@pytest.mark.parametrize("queued", [0, 1, 2])
def test_a_freed_slot_is_offered_once_if_the_step_gets_an_event_as_well(queued: int):
    shell = Shell(plan(step("loop", Start, A, num_workers=1), step("also", A)))
    shell.open(Start())
    shell.comes("loop")
    for _ in range(queued):
        shell.sends(A(), "loop")
    shell.returns(1, A())
    assert {*shell.effects} == {effects.Offer("also"), effects.Offer("loop")}
    assert len(shell.effects) == 2
    assert shell.comes("loop") == 2


def test_a_worker_that_comes_in_vain_is_told_nothing():
    """One is on its way when another has taken what it was offered."""
    shell, start = begun(flow(num_workers=2))
    for _ in range(2):
        shell.sends(A(), by=start)
    assert shell.comes("work") == 2
    assert shell.returns(2, None, stays=True) == 3
    assert shell.offers["work"] == 1
    shell.hear(stimuli.Ready(0.0, "work"))
    assert (shell.latest, shell.effects) == ([], [])
    shell.sends(A(), by=start)
    assert shell.effects == [effects.Offer("work")]


def test_nobody_comes_who_was_not_asked():
    shell, _ = begun(flow())
    shell.cannot_hear(stimuli.Ready(0.0, "work"))
    assert shell.state.steps["work"].offered == 0


def test_a_worker_that_comes_after_the_decision_comes_in_vain():
    shell, start = begun(flow())
    shell.sends(A(), by=start)
    shell.sends(Stop(), by=start)
    shell.hear(stimuli.Ready(0.0, "work"))
    assert (shell.latest, shell.effects) == ([], [])


# ---------------------------------------------------------------- the price of a stimulus


def backlog(count: int) -> RunState:
    """A run with one worker busy and so many deliveries in its queue."""
    state = RunState(flow(num_workers=1), RUN)
    for step_state in state.steps.values():
        step_state.queue = Metered()
    news: list[stimuli.Stimulus] = [
        stimuli.Opened(0.0, Start()),
        stimuli.Ready(0.0, "start"),
        *(stimuli.Sent(0.0, OUTSIDE, A(n)) for n in range(count + 1)),
        stimuli.Ready(0.0, "work"),
    ]
    for stimulus in news:
        price(state, stimulus)
    assert len(state.steps["work"].queue) == count
    state.steps["work"].offered += 1  # one who comes in vain is on its way
    return state


@pytest.mark.parametrize(
    "stimulus",
    [
        pytest.param(stimuli.Sent(1.0, OUTSIDE, A()), id="an event for the long queue"),
        pytest.param(stimuli.Sent(1.0, OUTSIDE, B()), id="an event for another queue"),
        pytest.param(stimuli.Ready(1.0, "work"), id="a worker in vain"),
        pytest.param(stimuli.Returned(1.0, DeliveryId(2), None), id="a body that returns"),
        pytest.param(stimuli.Returned(1.0, DeliveryId(2), B(), stays=True), id="and stays"),
        pytest.param(stimuli.Unwound(1.0, DeliveryId(2)), id="a body that unwinds"),
        pytest.param(stimuli.Raised(1.0, DeliveryId(2), ValueError()), id="a body that raises"),
        pytest.param(stimuli.Returned(1.0, DeliveryId(2), Stop()), id="the end"),
    ],
)
def test_the_price_of_a_stimulus_does_not_depend_on_the_backlog(stimulus: stimuli.Stimulus):
    calls, looked_at = price(backlog(10), stimulus)
    assert price(backlog(2_000), stimulus) == (calls, looked_at)
    assert looked_at <= 2


def test_a_run_keeps_nothing_of_what_is_over():
    """The state after a thousand steps is as large as after ten."""
    sizes = []
    for count in (10, 1_000):
        shell = Shell(plan(step("loop", Start, A, num_workers=1)))
        shell.open(Start())
        number = shell.comes("loop")
        for _ in range(count):
            assert number
            number = shell.returns(number, A(), stays=True)
        loop = shell.state.steps["loop"]
        kept = (shell.state.running, shell.state.mailbox, shell.state.failures)
        sizes.append([len(held) for held in (*kept, loop.queue, loop.free, loop.buffers)])
    assert sizes[0] == sizes[1] == [1, 0, 0, 0, 0, 0]
