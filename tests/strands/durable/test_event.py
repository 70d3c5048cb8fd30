"""Events of durable functions, and typed events in an envelope."""

from datetime import UTC, datetime

import attrs
import pytest

import plait
from plait._strands._durable.event import Event, envelope, envelopes, name_of


class OrderPlaced(plait.Event, name="shop.order_placed"):
    id: int


class Unnamed(plait.Event):
    pass


def test_an_event_has_a_name_data_an_id_and_a_time():
    event = Event(name="order/placed", data={"id": 3}, id="e1", ts=5)
    assert (event.name, event.data, event.id, event.ts) == ("order/placed", {"id": 3}, "e1", 5)
    assert event == Event(name="order/placed", data={"id": 3}, id="e1", ts=5)


def test_what_is_left_out_is_empty_and_data_is_a_dict_of_its_own():
    one, other = Event(name="a"), Event(name="a")
    assert (one.data, one.id, one.ts) == ({}, "", 0)
    assert one.data is not other.data


def test_it_is_frozen():
    event = Event(name="a")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.name = "b"


def test_the_name_in_its_repr_and_module_is_the_public_one():
    assert repr(Event(name="a", data=1)) == "Event(name='a', data=1, id='', ts=0)"
    assert Event.__module__ == "plait.durable"


@pytest.mark.parametrize(
    ("fields", "kind", "text"),
    [
        ({"name": 7}, TypeError, "name must be a text, not 7"),
        ({"name": None}, TypeError, "name must be a text"),
        ({"name": ""}, ValueError, "must not be empty"),
        ({"name": OrderPlaced}, TypeError, r"app.send\(OrderPlaced\(id=3\)\)"),
        ({"name": OrderPlaced(id=1)}, TypeError, "needs no envelope"),
        ({"name": "a", "id": 7}, TypeError, "id must be a text, not 7"),
        ({"name": "a", "id": None}, TypeError, "leave it out"),
        ({"name": "a", "ts": 1.5}, TypeError, r"int\(moment.timestamp\(\) \* 1000\)"),
        ({"name": "a", "ts": datetime(2026, 1, 1, tzinfo=UTC)}, TypeError, "write int"),
        ({"name": "a", "ts": True}, TypeError, "whole number"),
        ({"name": "a", "ts": -1}, ValueError, "at least 0, not -1"),
    ],
)
def test_a_wrong_argument_is_named(fields, kind, text):
    with pytest.raises(kind, match=text):
        Event(**fields)


def test_fields_are_given_by_name():
    with pytest.raises(TypeError):
        Event("a")


# ---------------------------------------------------------------- typed events


def test_a_typed_event_travels_under_its_wire_name():
    order = OrderPlaced(id=3)
    assert envelope(order) == Event(name="shop.order_placed", data=order)
    assert envelope(Unnamed(x=1)).name == f"{__name__}.Unnamed"


def test_what_has_an_envelope_keeps_it():
    event = Event(name="a")
    assert envelope(event) is event


def test_one_event_or_several_can_be_sent():
    order, event = OrderPlaced(id=3), Event(name="a")
    assert [e.name for e in envelopes(order)] == ["shop.order_placed"]
    assert envelopes(event) == [event]
    assert [e.name for e in envelopes(iter([event, order]))] == ["a", "shop.order_placed"]
    assert envelopes(()) == []


def test_an_event_with_fields_that_can_be_iterated_over_is_still_one():
    assert [e.name for e in envelopes(Unnamed(a=1, b=2))] == [f"{__name__}.Unnamed"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("order/placed", r"write Event\(name='order/placed'\)"),
        ({"name": "a"}, r'write Event\(name="...", data=...\)'),
        (OrderPlaced, r"write OrderPlaced\(...\)"),
        (7, "send\\(\\) takes events, not 7"),
        (None, "takes events, not None"),
        ([Event(name="a"), "b"], r"write Event\(name='b'\)"),
        (b"a", "takes events"),
        (plait.Event(x=1), "not plait.Event itself"),
    ],
)
def test_what_is_no_event_is_refused_with_what_to_write(given, text):
    with pytest.raises(TypeError, match=text):
        envelopes(given)


def test_a_name_can_be_said_by_a_class():
    assert name_of(OrderPlaced, "Trigger") == "shop.order_placed"
    assert name_of("a", "Trigger") == "a"


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        (Event(name="a"), TypeError, "Trigger takes the name of an event: write 'a'"),
        (OrderPlaced(id=1), TypeError, "write OrderPlaced"),
        (plait.Event, TypeError, "a subclass of plait.Event"),
        (int, TypeError, "the name or the class of an event"),
        ("", ValueError, "must not be empty"),
    ],
)
def test_another_thing_is_no_name(given, kind, text):
    with pytest.raises(kind, match=text):
        name_of(given, "Trigger")
