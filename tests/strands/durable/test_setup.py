"""What is wrong with a decoration is told in words, and all of it at once."""

import functools
import re
from datetime import timedelta

import pytest

import plait
from plait._steps.arguments import policy_of
from plait._strands._durable.middleware import Middleware
from plait._strands._durable.options import (
    Batch,
    Cancel,
    Concurrency,
    Debounce,
    Priority,
    RateLimit,
    Singleton,
    Throttle,
    Timeouts,
)
from plait._strands._durable.setup import Setup
from plait._strands._durable.triggers import TriggerEvent
from plait.retry import ConstantDelayRetryPolicy, ExponentialBackoffRetryPolicy, retry_policy

ON_A = TriggerEvent("a")


class OrderPlaced(plait.Event, name="shop.order_placed"):
    id: int


async def an_async_function(event):
    return "k"


def said(value):
    """Name a case, in each process alike: no address of a function is in it."""
    return re.sub(" at 0x[0-9a-f]+", "", str(value))


RIGHT = [
    Concurrency(1),
    Concurrency(2, key=lambda e: e.data["id"], scope="app", of="runs"),
    Throttle(1, period=0.5),
    Throttle(1, timedelta(seconds=1), key=str, burst=3),
    RateLimit(1, period=0.001, key=functools.partial(getattr, "id")),
    Debounce(2, timeout=timedelta(minutes=1)),
    Batch(2, timeout=1, if_exp=lambda e: True),
    Priority(lambda e: 5),
    Cancel("a"),
    Cancel(OrderPlaced, if_exp=lambda trigger, e: True, timeout=3),
    Timeouts(),
    Timeouts(start=1, finish=timedelta(days=1)),
    Singleton("skip"),
    Singleton("cancel", key=lambda e: e.id),
    TriggerEvent(OrderPlaced, expression=lambda e: e.data.id > 3),
]


@pytest.mark.parametrize("option", RIGHT, ids=said)
def test_a_right_option_has_no_faults(option):
    assert [*option.faults()] == []


WRITE = "write a function, for example `lambda e: …`"

WRONG = [
    (Concurrency(0), "limit must be a whole number, at least 1, not 0"),
    (Concurrency("2"), "limit must be a whole number"),
    (Concurrency(limit=True), "limit must be a whole number"),
    (Concurrency(1, key="event.data.user_id"), f"key is 'event.data.user_id': {WRITE}"),
    (Concurrency(1, key=7), f"key is 7: {WRITE}"),
    (Concurrency(1, key=an_async_function), "key is async"),
    (Concurrency(1, key=functools.partial(an_async_function)), "key is async"),
    (Concurrency(1, key=lambda: "k"), "key is called with the event"),
    (Concurrency(1, scope="env", key=str), "scope must be 'fn' or 'app', not 'env'"),
    (Concurrency(1, scope="app"), 'scope="app" needs a key'),
    (Concurrency(1, of="events"), "of must be 'steps' or 'runs'"),
    (Throttle(0, 1), "Throttle: limit"),
    (Throttle(1, 0), "period must be finite and greater than 0, not 0"),
    (Throttle(1, timedelta(seconds=-1)), "greater than 0, not -1.0"),
    (Throttle(1, float("nan")), "finite"),
    (Throttle(1, float("inf")), "finite"),
    (Throttle(1, "1m"), "period must be seconds or a timedelta, not '1m'"),
    (Throttle(1, 1, burst=0), "burst"),
    (Throttle(1, 1, key="k"), WRITE),
    (RateLimit(0, 1), "RateLimit: limit"),
    (RateLimit(1, -1), "RateLimit: period"),
    (RateLimit(1, 1, key="k"), WRITE),
    (Debounce(0), "Debounce: period"),
    (Debounce(1, timeout=0), "Debounce: timeout"),
    (Debounce(1, key="k"), WRITE),
    (Batch(1, 1), "max_size must be a whole number, at least 2, not 1"),
    (Batch(2, 0), "Batch: timeout"),
    (Batch(2, 1, key="k"), WRITE),
    (Batch(2, 1, if_exp="event.data.x"), WRITE),
    (Priority("event.data.x"), WRITE),
    (Priority(None), WRITE),
    (Cancel(7), "the name or the class of an event"),
    (Cancel(""), "must not be empty"),
    (Cancel("a", if_exp="async.data.id == event.data.id"), "`lambda trigger, e: …`"),
    (Cancel("a", if_exp=lambda e: True), "the trigger's event and this one"),
    (Cancel("a", timeout=0), "Cancel: timeout"),
    (Timeouts(start=0), "Timeouts: start"),
    (Timeouts(finish=-1), "Timeouts: finish"),
    (Singleton("wait"), "mode must be 'skip' or 'cancel', not 'wait'"),
    (Singleton("skip", key="k"), WRITE),
    (TriggerEvent(7), "the name or the class of an event"),
    (TriggerEvent("a", expression="event.data.x > 1"), WRITE),
]


@pytest.mark.parametrize(("option", "text"), WRONG, ids=said)
def test_a_wrong_option_is_made_and_says_what_is_wrong(option, text):
    (fault,) = option.faults()
    assert text in fault
    assert fault.startswith(type(option).__name__), "whose fault it is comes first"


def test_durations_are_seconds():
    assert Throttle(1, timedelta(minutes=1)).period == 60
    assert Debounce(1, timeout=timedelta(minutes=1)).timeout == 60
    assert Timeouts(start=timedelta(hours=1)).start == 3600
    assert Cancel("a", timeout=timedelta(seconds=1.5)).timeout == 1.5


def test_a_cancel_names_its_event():
    assert Cancel(OrderPlaced).name == "shop.order_placed"


# ---------------------------------------------------------------- of the whole decoration


def test_one_may_stand_for_several():
    setup = Setup(trigger=ON_A, concurrency=3, cancel=Cancel("b"), middleware=Middleware())
    assert setup.trigger == (ON_A,)
    assert setup.concurrency == (Concurrency(3),)
    assert setup.cancel == (Cancel("b"),)
    assert [*setup.faults()] == []


def test_several_stay_in_their_order():
    setup = Setup(trigger=[ON_A, TriggerEvent("b")], concurrency=[1, Concurrency(2, of="runs")])
    assert [trigger.name for trigger in setup.trigger] == ["a", "b"]
    assert [one.limit for one in setup.concurrency] == [1, 2]
    assert [*setup.faults()] == []


def expression(event):
    return True


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"trigger": []}, "there is no trigger"),
        ({"trigger": "a"}, "write TriggerEvent('a')"),
        ({"trigger": [ON_A, TriggerEvent("a")]}, "two triggers of 'a'"),
        (
            {"trigger": [TriggerEvent(OrderPlaced), TriggerEvent("shop.order_placed")]},
            "two triggers",
        ),
        ({"retries": -1}, "retries must be at least 0"),
        ({"retries": True}, "retries must be at least 0"),
        ({"retries": None}, "retries must be a whole number or a retry policy"),
        ({"retries": "4"}, "retries must be a whole number"),
        ({"retries": ConstantDelayRetryPolicy}, "write ConstantDelayRetryPolicy()"),
        ({"concurrency": "2"}, "concurrency takes a Concurrency, not '2'"),
        ({"concurrency": [Throttle(1, 1)]}, "concurrency takes a Concurrency"),
        ({"throttle": 3}, "throttle takes a Throttle, not 3"),
        ({"throttle": Throttle(0, 1)}, "Throttle: limit"),
        ({"cancel": "order/cancelled"}, "cancel takes a Cancel"),
        ({"idempotency": "event.data.id"}, "write a function"),
        ({"on_failure": 7}, "on_failure is 7: write a function"),
        ({"on_failure": print}, "write async def on_failure"),
        ({"middleware": Middleware}, "write Middleware()"),
        ({"middleware": [7]}, "middleware takes Middleware objects, not 7"),
    ],
)
def test_a_mistake_is_told(given, text):
    setup = Setup(**{"trigger": ON_A, **given})
    (fault,) = setup.faults()
    assert text in fault


def test_one_event_may_have_triggers_with_different_expressions():
    setup = Setup(trigger=[ON_A, TriggerEvent("a", expression=expression)])
    assert [*setup.faults()] == []
    setup = Setup(trigger=[TriggerEvent("a", expression=expression)] * 2)
    assert len([*setup.faults()]) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"cancel": Cancel("b")},
        {"debounce": Debounce(1)},
        {"singleton": Singleton("skip")},
        {"priority": Priority(lambda e: 1)},
        {"rate_limit": RateLimit(1, 1)},
        {"idempotency": str},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_batch_goes_with_nothing_that_is_about_one_event(other):
    (fault,) = Setup(trigger=ON_A, batch_events=Batch(2, 1), **other).faults()
    assert fault.startswith(f"{next(iter(other))} cannot be used with batch_events")


def test_a_batch_goes_with_the_rest():
    setup = Setup(
        trigger=ON_A,
        batch_events=Batch(2, 1),
        concurrency=1,
        throttle=Throttle(1, 1),
        timeouts=Timeouts(finish=1),
    )
    assert [*setup.faults()] == []


def test_every_mistake_is_told():
    setup = Setup(
        trigger=[],
        retries=-1,
        throttle=Throttle(0, -1, key="k"),
        batch_events=Batch(1, 0),
        singleton=Singleton("wait"),
    )
    assert len([*setup.faults()]) == 9


# ---------------------------------------------------------------- retries


def test_four_retries_are_five_attempts_with_growing_delays():
    assert policy_of(4) == ExponentialBackoffRetryPolicy(
        maximum_attempts=5, initial_delay=1, multiplier=2, max_delay=300
    )
    assert Setup(trigger=ON_A).policy == policy_of(4)
    assert policy_of(0).next(0, 1, OSError()) is None


def test_any_policy_will_do():
    for policy in (ConstantDelayRetryPolicy(), retry_policy()):
        setup = Setup(trigger=ON_A, retries=policy)
        assert setup.policy is policy
        assert [*setup.faults()] == []
