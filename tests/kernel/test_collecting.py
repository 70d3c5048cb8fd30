"""`collect_events`, against a reference that is obviously right.

The reference keeps what has come in a list and looks through all of it each time. The kernel may
do neither: the last tests count what a call touches, and it must not depend on what is buffered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._errors import WorkflowRuntimeError
from plait._ids import DeliveryId
from plait._kernel import collecting, records, stimuli
from plait._kernel.collecting import Buffer, BufferKey, Shape
from plait._kernel.state import Delivery
from tests.kernel.price import Metered, price
from tests.kernel.shell import Shell
from tests.kernel.strategies import (
    COLLECTABLE,
    LETTERS,
    A,
    B,
    C,
    Dice,
    Event,
    FineA,
    FinestA,
    Start,
    Stop,
    Stray,
    expected_lists,
    expected_mappings,
    number_of,
    plan,
    step,
    words,
)

JOIN = plan(step("start", Start), step("join", *COLLECTABLE, Stray, num_workers=100))


def numbered(kinds: Iterable[type[Event]]) -> list[Event]:
    return [kind(number) for number, kind in enumerate(kinds, 1)]


arrivals = words.map(lambda word: numbered(LETTERS[letter] for letter in word))


def reference(
    arrivals: Sequence[Event], expected: Sequence[type]
) -> tuple[list[tuple[Event, ...] | None], list[Event]]:
    """What each arrival is told, and what is left in the end."""
    told: list[tuple[Event, ...] | None] = []
    waiting: list[Event] = []
    for arrival in arrivals:
        if type(arrival) in expected:
            waiting.append(arrival)
        if not all(
            sum(type(event) is kind for event in waiting) >= expected.count(kind)
            for kind in expected
        ):
            told.append(None)
            continue
        batch = []
        for kind in expected:
            oldest = next(n for n, event in enumerate(waiting) if type(event) is kind)
            batch.append(waiting.pop(oldest))
        told.append(tuple(batch))
    return told, waiting


def joining(arrivals: Sequence[Event]) -> Shell:
    """A run in which each of these events has its body running, in this order."""
    shell = Shell(JOIN)
    shell.open(Start())
    shell.comes("start")
    for event in arrivals:
        shell.sends(event, "join")
        shell.comes("join")
    return shell


def counted_as(shell: Shell) -> type:
    (record,) = shell.latest
    assert isinstance(record, records.Collected)
    return record.kind


def bodies(shell: Shell) -> list[DeliveryId]:
    return [n for n, delivery in shell.state.running.items() if delivery.step == "join"]


def ids(events: Sequence[object] | None) -> list[int] | None:
    """Events of one class are equal: only their identity tells one from the other."""
    return None if events is None else [*map(id, events)]


# ---------------------------------------------------------------- batches


@given(arrivals, expected_lists)
def test_batches_are_those_of_the_reference(arrivals: list[Event], expected: list[type]):
    shell = joining(arrivals)
    told, left = reference(arrivals, expected)
    for number, batch in zip(bodies(shell), told, strict=True):
        assert ids(shell.collects(number, expected)) == ids(batch)
    assert ids(shell.state.undelivered) == ids(left)


@given(arrivals, expected_mappings)
def test_a_mapping_is_the_list_that_repeats_each_class(
    arrivals: list[Event], expected: Mapping[type, int]
):
    shell = joining(arrivals)
    told, left = reference(arrivals, [k for k, count in expected.items() for _ in range(count)])
    for number, batch in zip(bodies(shell), told, strict=True):
        assert ids(shell.collects(number, expected)) == ids(batch)
    assert ids(shell.state.undelivered) == ids(left)


@given(arrivals, expected_lists.filter(bool))
def test_batches_are_in_order_and_nothing_is_lost_and_nothing_comes_twice(
    arrivals: list[Event], expected: list[type]
):
    """The promises one by one, should anybody doubt the reference."""
    shell = joining(arrivals)
    batches = [batch for number in bodies(shell) if (batch := shell.collects(number, expected))]
    for batch in batches:
        assert [type(event) for event in batch] == expected
    given = [event for batch in batches for event in batch]
    for kind in expected:
        mine = [number_of(event) for event in given if type(event) is kind]
        assert mine == sorted(mine)
    assert Counter(map(id, [*given, *shell.state.undelivered])) == Counter(
        id(event) for event in arrivals if type(event) in expected
    )


def test_who_comes_too_early_for_this_batch_is_in_the_next():
    a1, a2, a3, b1, b2 = arrivals = [A(1), A(2), A(3), B(1), B(2)]
    shell = joining(arrivals)
    told = [shell.collects(number, [A, B]) for number in bodies(shell)]
    assert told[:3] == [None, None, None]
    assert ids(told[3]) == ids([a1, b1])
    assert ids(told[4]) == ids([a2, b2])
    assert ids(shell.state.undelivered) == ids([a3])


def test_a_class_may_stand_in_several_places():
    b1, a1, a2 = arrivals = [B(1), A(1), A(2)]
    shell = joining(arrivals)
    *_, last = bodies(shell)
    told = [shell.collects(number, [A, B, A]) for number in bodies(shell)]
    assert told[:2] == [None, None]
    assert ids(told[2]) == ids([a1, b1, a2])
    assert shell.collects(last, [A, B, A]) == told[2]


def test_nothing_expected_is_given_at_once_and_leaves_no_record():
    shell = joining([A()])
    nothing: list[Mapping[type, int] | list[type]] = [[], {}, {A: 0}]
    for expected in nothing:
        assert shell.collects(bodies(shell)[0], expected) == ()
        assert shell.latest == []


def test_what_is_not_expected_is_not_kept():
    shell = joining([Stray()])
    assert shell.collects(bodies(shell)[0], [A]) is None
    assert shell.latest == []
    assert not shell.state.steps["join"].buffers


def test_another_event_than_the_bodys_own_is_refused():
    shell = joining([A(1), A(2)])
    first, _ = bodies(shell)
    text = "Step 'join' called collect_events with an event that is not its input."
    with pytest.raises(WorkflowRuntimeError) as caught:
        shell.collects(first, [A], event=A(1))  # equal, and still another one
    assert str(caught.value) == text


# ---------------------------------------------------------------- buffers

#: Two of them are one multiset in two orders.
ORDERS: list[list[type]] = [[A, B], [B, A], [A, A], [A], [A, B, B]]


@given(words, st.binary(min_size=12, max_size=12))
def test_each_multiset_buffer_id_and_key_has_a_buffer_of_its_own(word: str, chance: bytes):
    """Calls for many buffers, mixed: each buffer answers as if it were alone."""
    calls: list[tuple[type[Event], list[type], str, Hashable]] = [
        (
            LETTERS[letter],
            ORDERS[n % 5],
            ("default", "other")[n // 5 % 2],
            (None, 0, "k")[n // 10 % 3],
        )
        for letter, n in zip(word, chance, strict=False)
    ]
    arrivals = numbered([kind for kind, *_ in calls])
    shell = joining(arrivals)
    told = [
        shell.collects(number, expected, buffer_id, key)
        for number, (_, expected, buffer_id, key) in zip(bodies(shell), calls, strict=True)
    ]
    places = [
        (frozenset(Counter(expected).items()), buffer_id, key)
        for _, expected, buffer_id, key in calls
    ]
    for place in {*places}:
        mine = [n for n, other in enumerate(places) if other == place]
        got = {id(event) for n in mine for event in told[n] or ()}
        # Each call of a buffer may ask for another order: counting is all that they share.
        expected = calls[mine[0]][1]
        batches, _ = reference([arrivals[n] for n in mine], expected)
        assert [batch is not None for batch in batches] == [told[n] is not None for n in mine]
        assert got == {id(event) for batch in batches for event in batch or ()}
        for n in mine:
            assert told[n] is None or [type(event) for event in told[n] or ()] == calls[n][1]


def test_the_order_of_a_batch_is_that_of_the_call_that_completes_it():
    a, b = arrivals = [A(), B()]
    shell = joining(arrivals)
    first, second = bodies(shell)
    assert shell.collects(first, [A, B]) is None
    assert ids(shell.collects(second, [B, A])) == ids([b, a])


def test_one_delivery_may_give_its_event_to_several_buffers():
    shell = joining([A(1), A(2)])
    first, second = bodies(shell)
    assert shell.collects(first, [A, A]) is None
    assert shell.collects(first, [A, A], "other") is None
    assert shell.collects(first, [A, A], key=7) is None
    assert shell.collects(second, [A, A], "other") == (A(1), A(2))
    assert shell.collects(second, [A, A], key=7) == (A(1), A(2))
    assert shell.collects(second, [A, A]) == (A(1), A(2))
    assert not shell.state.steps["join"].buffers


def test_steps_do_not_share_their_buffers():
    both = plan(step("start", Start), step("s", A), step("t", A))
    shell = Shell(both)
    shell.open(Start())
    shell.sends(A())
    s, t = shell.comes("s"), shell.comes("t")
    assert s
    assert t
    assert shell.collects(s, [A, A]) is None
    assert shell.collects(t, [A, A]) is None
    assert [len(state.buffers) for state in shell.state.steps.values()] == [0, 1, 1]


def test_an_empty_buffer_is_forgotten():
    shell = joining([A(1), A(2)])
    for number in bodies(shell):
        shell.collects(number, [A], key=number)
    assert shell.state.steps["join"].buffers == {}


# ---------------------------------------------------------------- repeated calls


@given(arrivals, expected_lists, st.binary(min_size=12, max_size=12))
def test_a_repeated_call_gives_the_same_answer_and_counts_once(
    arrivals: list[Event], expected: list[type], chance: bytes
):
    dice = Dice(chance)
    shell = joining(arrivals)
    told, left = reference(arrivals, expected)
    answers = [*zip(bodies(shell), told, strict=True)]
    for n, (number, batch) in enumerate(answers):
        assert ids(shell.collects(number, expected)) == ids(batch)
        again, same = dice.one_of(answers[: n + 1])
        assert ids(shell.collects(again, expected)) == ids(same)
        assert shell.latest == []
    assert ids(shell.state.undelivered) == ids(left)


def test_the_answers_are_forgotten_with_the_delivery():
    shell = joining([A()])
    (number,) = bodies(shell)
    shell.collects(number, [A, A])
    delivery = shell.state.running[number]
    assert delivery.answers
    shell.returns(number, None)
    assert delivery not in [*shell.state.running.values()]
    assert ids(shell.state.undelivered) == [id(delivery.event)]


# ---------------------------------------------------------------- what an event counts as


def test_an_event_counts_for_its_exact_class():
    shell = joining([FineA(1), A(2)])
    fine, a = bodies(shell)
    assert shell.collects(fine, [A]) is None
    assert shell.collects(a, [A]) == (A(2),)


def test_with_subclasses_an_event_counts_for_the_first_class_of_its_mro_that_is_expected():
    shell = Shell(plan(step("start", Start), step("join", A, subclasses=True)))
    shell.open(Start())
    for kind in (FinestA, FinestA, A):
        shell.sends(kind())
    one, two, three = (shell.comes("join") or 0 for _ in range(3))
    assert shell.collects(one, [A, FineA]) is None
    assert counted_as(shell) is FineA
    assert shell.collects(two, [A, FinestA]) is None
    assert counted_as(shell) is FinestA
    assert shell.collects(three, [FineA, A]) == (FinestA(), A())


# ---------------------------------------------------------------- fan-in


@given(st.permutations(range(4)), st.integers(1, 4), st.binary(min_size=24, max_size=24))
def test_a_fan_in_fires_once_whatever_the_order_of_completion(
    order: list[int], num_workers: int, chance: bytes
):
    """Four pieces of work, any number of workers: one body of the join gets them all, once."""
    dice = Dice(chance)
    shell = Shell(
        plan(step("start", Start), step("work", A, num_workers=num_workers), step("join", B))
    )
    shell.open(Start())
    start = shell.comes("start") or 0
    for number in range(4):
        shell.sends(A(number), by=start)
    shell.returns(start, None)
    fired = []
    while shell.state.outcome is None:
        joining = [d.number for d in shell.state.running.values() if d.step == "join"]
        # Whoever is first in `order` is ready first; the bodies of the join come in between.
        working = [d for d in shell.state.running.values() if d.step == "work"]
        working.sort(key=lambda d: order.index(number_of(d.event)))
        startable = [
            name for name, step in shell.state.steps.items() if shell.state.startable(step)
        ]
        moves: list[str | Delivery | DeliveryId] = [*startable, *working[:1], *joining]
        match dice.one_of(moves):
            case str(name):
                shell.comes(name)
            case Delivery(number, _, event):
                shell.returns(number, B(number_of(event)))
            case int(number):
                batch = shell.collects(number, [B] * 4)
                fired += [batch] if batch else []
                shell.returns(number, Stop() if batch else None)
    assert [sorted(map(number_of, batch)) for batch in fired] == [[0, 1, 2, 3]]
    assert shell.state.outcome == records.Stopped(Stop())


# ---------------------------------------------------------------- shapes


@given(expected_lists)
def test_a_shape_is_the_runs_of_a_list(expected: list[type]):
    shape = Shape.of(expected)
    assert [kind for kind, count in shape.runs for _ in range(count)] == expected
    assert shape.need == Counter(expected)
    assert shape.wants == frozenset(Counter(expected).items())
    assert all(one[0] is not two[0] for one, two in zip(shape.runs, shape.runs[1:], strict=False))


@given(expected_mappings)
def test_a_shape_of_a_mapping_is_that_of_the_list(expected: Mapping[type, int]):
    as_list = [kind for kind, count in expected.items() for _ in range(count)]
    assert Shape.of(expected) == Shape.of(as_list)
    assert hash(Shape.of(expected)) == hash(Shape.of(as_list))


def test_a_thousand_million_cost_as_much_as_one():
    shell = joining([A()])
    assert shell.collects(bodies(shell)[0], {A: 10**9}) is None
    (buffer,) = shell.state.steps["join"].buffers.values()
    assert buffer.missing == 10**9 - 1


def test_a_whole_batch_in_a_buffer_does_not_pass_the_check():
    shape = Shape.of([A])
    buffer = Buffer(shape.need, 0.0)
    with pytest.raises(AssertionError, match="an empty buffer is kept"):
        buffer.check()
    buffer.add(A, (DeliveryId(1), A()))
    with pytest.raises(AssertionError, match="a whole batch lies in a buffer"):
        buffer.check()


# ---------------------------------------------------------------- the price of a call


def buffered(count: int, kinds: Sequence[type[Event]], shape: Shape) -> tuple[Shell, DeliveryId]:
    """So many events in the buffer, and one body more that has not given its own."""
    # The buffer is put together by hand: the way there is not what is measured.
    shell = Shell(JOIN)
    shell.open(Start())
    shell.comes("start")
    shell.sends(A(0), "join")
    number = shell.comes("join")
    assert number
    buffer = Buffer(shape.need, 0.0)
    for n in range(count):
        buffer.add(kinds[n % len(kinds)], (DeliveryId(1), kinds[n % len(kinds)](n)))
    shell.state.steps["join"].buffers[BufferKey("default", shape.wants)] = buffer
    return shell, number


@pytest.mark.parametrize(
    ("expected", "kinds", "looked_at"),
    [
        pytest.param({A: 10**6}, [A], 0, id="one class, far from whole"),
        pytest.param({A: 10**6, B: 10**6, C: 7}, [A, B], 0, id="several classes"),
        pytest.param({A: 1, B: 1}, [A], 0, id="all of it surplus"),
        pytest.param({A: 2, B: 3}, [B], 0, id="surplus of another class"),
    ],
)
def test_the_price_of_a_call_does_not_depend_on_what_is_buffered(
    expected: Mapping[type, int],
    kinds: list[type[Event]],
    looked_at: int,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(collecting, "deque", Metered)
    shape = Shape.of(expected)
    prices = []
    for count in (10, 1_000):
        shell, number = buffered(count, kinds, shape)
        event = shell.state.running[number].event
        call = stimuli.Contributed(0.0, number, event, shape, "default", None)
        prices.append(price(shell.state, call))
        assert len(shell.state.undelivered) == count + 1
    assert prices[0] == prices[1]
    assert prices[0][1] == looked_at


def test_the_price_of_a_batch_is_its_size_whatever_the_surplus(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(collecting, "deque", Metered)
    shape = Shape.of([A, B, B])
    prices = []
    for surplus in (10, 1_000):
        shell, number = buffered(surplus, [B], shape)
        event = shell.state.running[number].event
        call = stimuli.Contributed(0.0, number, event, shape, "default", None)
        prices.append(price(shell.state, call))
        assert len(shell.state.undelivered) == surplus - 2
    assert prices[0] == prices[1]


def test_the_price_of_a_call_does_not_depend_on_the_number_of_buffers():
    prices = []
    for count in (10, 1_000):
        shell, number = buffered(0, [A], Shape.of([A, A]))
        event = shell.state.running[number].event
        buffers = shell.state.steps["join"].buffers
        buffers.clear()
        for key in range(count):
            shape = Shape.of([A, A])
            buffer = buffers[BufferKey("default", shape.wants, key)] = Buffer(shape.need, 0.0)
            buffer.add(A, (DeliveryId(1), A(key)))
        call = stimuli.Contributed(0.0, number, event, Shape.of([A, A]), "default", count)
        prices.append(price(shell.state, call))
        assert len(buffers) == count + 1
    assert prices[0] == prices[1]
