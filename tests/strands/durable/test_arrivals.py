"""Events on their way: what is sent, what is recorded, what is read again."""

from __future__ import annotations

import itertools
import re

import attrs
import hypothesis
import pytest
from hypothesis import strategies as st

import plait
from plait._kernel.admission.records import EventReceived
from plait._strands._durable.arrivals import LATEST, Events, received, recorded
from plait._strands._durable.context import Context
from plait._strands._durable.event import Event, FunctionFailed
from plait._strands._durable.middleware import Middleware
from plait.errors import ConfigError, ContextSerdeError
from tests.strands.durable.declaring import function


class OrderPlaced(plait.Event, name="shop/order.placed"):
    id: int


@attrs.frozen
class Parcel:
    weight: float
    tags: tuple[str, ...] = ()


class Turned(Middleware):
    """Turns the bytes round, and says in which order it was asked."""

    def __init__(self, name, log):
        self.name = name
        self.log = log

    def before_send(self, events):
        self.log.append(f"{self.name} sees {len(events)}")
        return [*events, Event(name=f"by {self.name}")]

    def encode(self, data):
        self.log.append(f"{self.name} encodes")
        return self.name.encode() + data[::-1]

    def decode(self, data):
        self.log.append(f"{self.name} decodes")
        assert data.startswith(self.name.encode())
        return data[len(self.name) :][::-1]


def sent(events, *given, now=1000.5):
    numbers = itertools.count(1)
    return events.arrivals(
        events.prepare(list(given)), now=now, new_id=lambda k: f"new-{k}-{next(numbers)}"
    )


def as_received(arrival, number=1):
    return EventReceived(1000.5, number, arrival.id, arrival.name, arrival.data, arrival.ts, to="")


# ---------------------------------------------------------------- sent


def test_an_event_gets_an_id_and_a_time():
    first, second = sent(Events(), Event(name="a"), Event(name="b", id="mine", ts=7))
    assert (first.id, first.name, first.data, first.ts) == ("new-0-1", "a", {}, 1_000_500)
    assert (second.id, second.ts) == ("mine", 7)


def test_one_event_may_be_sent_as_it_is_and_several_in_any_iterable():
    events = Events()
    assert [e.name for e in events.prepare(Event(name="a"))] == ["a"]
    assert [e.name for e in events.prepare(OrderPlaced(id=1))] == ["shop/order.placed"]
    several = (event for event in (Event(name="a"), OrderPlaced(id=1)))
    assert [e.name for e in events.prepare(several)] == ["a", "shop/order.placed"]
    assert events.prepare([]) == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("order", "write Event(name='order')"),
        ({"name": "order"}, 'write Event(name="...", data=...)'),
        (OrderPlaced, "write OrderPlaced(...)"),
        (None, "takes events, not None"),
        ([Event(name="a"), "order"], "write Event"),
        (plait.Event(x=1), "takes a subclass of plait.Event"),
    ],
)
def test_what_is_no_event_is_refused(given, says):
    with pytest.raises(TypeError, match=re.escape(says)):
        Events().prepare(given)


def test_data_that_cannot_be_recorded_is_told_with_its_place():
    events, asked = Events(), []
    good, bad = Event(name="a"), Event(name="parcel", data=Parcel(2.5))
    with pytest.raises(ContextSerdeError) as caught:
        events.arrivals([good, bad], now=0, new_id=asked.append)
    text = str(caught.value)
    assert text.startswith("send(): event 'parcel' (2 of 2) has data that is not sent. ")
    assert "as in `ctx: Context[Parcel]`" in text


def test_data_that_is_too_large_is_refused():
    events = Events(max_value=100)
    with pytest.raises(ContextSerdeError, match="at most 100 are recorded"):
        sent(events, Event(name="a", data={"text": "x" * 100}))


def test_a_time_in_nanoseconds_is_refused():
    sent(Events(), Event(name="a", ts=LATEST))
    with pytest.raises(ValueError, match="that is not in Unix milliseconds"):
        sent(Events(), Event(name="a", ts=1_763_000_000_000_000_000))


# ---------------------------------------------------------------- and read again


@pytest.mark.parametrize(
    "data", [{"n": 1}, OrderPlaced(id=3), Parcel(2.5, ("a", "b")), {"all": [OrderPlaced(id=3)]}]
)
def test_what_is_read_is_what_was_sent(data):
    events = Events([Parcel])
    [arrival] = sent(events, Event(name="a", data=data, id="e1", ts=5))
    event = events.event_of(as_received(arrival))
    assert event == Event(name="a", data=data, id="e1", ts=5)
    again = received(recorded(as_received(arrival)), 7.0)
    assert again == EventReceived(7.0, 0, "e1", "a", arrival.data, 5)
    assert events.read(recorded(again)) == event


def test_each_reader_has_data_of_its_own():
    events = Events()
    data = {"tags": ["a"]}
    [arrival] = sent(events, Event(name="a", data=data))
    data["tags"].append("later")
    one, other = (events.event_of(as_received(arrival)) for _ in range(2))
    one.data["tags"].append("mine")
    assert other.data == {"tags": ["a"]}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@hypothesis.given(json_values)
def test_any_json_comes_back(data):
    events = Events([], [Turned("one", []), Turned("two", [])])
    [arrival, *_] = events.arrivals([Event(name="a", data=data)], now=0, new_id=str)
    assert events.event_of(as_received(arrival)).data == data


def test_a_class_that_is_no_longer_known_is_told():
    [arrival] = sent(Events([Parcel]), Event(name="a", data=Parcel(1.0)))
    with pytest.raises(ContextSerdeError, match="Parcel is not known"):
        Events().event_of(as_received(arrival))


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {"id": "1", "name": "a", "data": None},
        {"id": "1", "name": "", "data": None, "ts": 1},
        {"id": 1, "name": "a", "data": None, "ts": 1},
        {"id": "1", "name": "a", "data": None, "ts": -1},
        {"id": "1", "name": "a", "data": None, "ts": True},
        {"id": "1", "name": "a", "data": None, "ts": 1, "more": 2},
    ],
)
def test_what_is_no_recorded_event_is_told(wrong):
    with pytest.raises(ContextSerdeError, match="no recorded event"):
        Events().read(wrong)


# ---------------------------------------------------------------- middleware


def test_the_first_middleware_is_outermost():
    log = []
    events = Events([], [Turned("one", log), Turned("two", log)])
    arrivals = sent(events, Event(name="a", data={"n": 1}))
    assert [arrival.name for arrival in arrivals] == ["a", "by one", "by two"]
    assert log[:4] == ["one sees 1", "two sees 2", "one encodes", "two encodes"]
    del log[:]
    assert events.event_of(as_received(arrivals[0])).data == {"n": 1}
    assert log == ["two decodes", "one decodes"]


def test_in_a_run_the_functions_middleware_sees_events_as_well():
    log = []
    events = Events([], [Turned("app", log)])
    events.prepare(Event(name="a"), [Turned("app", log), Turned("fn", log)])
    assert log == ["app sees 1", "fn sees 2"]


class Bad(Middleware):
    def before_send(self, events):
        return "no list"

    def encode(self, data):
        return "no bytes"


def test_what_a_bad_middleware_gives_is_told():
    events = Events([], [Bad()])
    with pytest.raises(TypeError, match=r"Bad.before_send\(\) must give a list of Events"):
        events.prepare(Event(name="a"))
    with pytest.raises(TypeError, match=r"Bad.encode\(\) must give bytes, not 'no bytes'"):
        events.arrivals([Event(name="a")], now=0, new_id=str)


# ---------------------------------------------------------------- of functions


async def packs(ctx: Context[Parcel]) -> None:
    """Pack."""


async def lost(ctx: Context[Missing]) -> None:  # noqa: F821 - that is what it is about
    """Take what there is not."""


def test_the_types_of_functions_are_known():
    events = Events.of([function(), function("packs", handler=packs)])
    [arrival] = sent(events, Event(name="a", data=Parcel(1.0)))
    assert events.event_of(as_received(arrival)).data == Parcel(1.0)


def test_a_type_that_is_nowhere_is_told():
    with pytest.raises(ConfigError, match=r"'lost' takes cannot be known: NameError.*Missing"):
        Events.of([function("lost", handler=lost)])


def test_the_event_of_a_failed_run_is_known():
    events = Events()
    inner = Event(name="a", data={"n": 1}, id="e1", ts=5)
    failed = FunctionFailed(ValueError("no"), inner, (inner,), "shop-fn", "r1")
    [arrival] = sent(events, Event(name="plait/function.failed", data=failed))
    data = events.event_of(as_received(arrival)).data
    assert (str(data.error), data.event, data.run_id) == ("no", inner, "r1")
