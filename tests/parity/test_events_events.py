"""Rows 11 and 12: the event classes, as their user sees them."""

import attrs
import pytest

from plait import Event, StartEvent, StopEvent
from tests.parity.letters import A


class Query(Event):
    text: str
    limit: int = 10
    tags: list[str] = []
    _trace: str = "none"


class Loose(Event, extra=True):
    text: str


def test_row_011_declared_fields_are_attributes_only():
    query = Query(text="a")
    assert (query.text, query.limit, query.tags) == ("a", 10, [])
    with pytest.raises(KeyError):
        query["text"]
    assert "text" not in query
    assert query.get("text", "none") == "none"
    assert (len(query), list(query), list(query.keys())) == (0, [], [])


def test_row_011_undeclared_fields_are_attributes_and_items():
    event = Event(a=1, b=2)
    assert (event.a, event["a"], event.get("a"), event.get("c"), event.get("c", 3)) == (
        1,
        1,
        1,
        None,
        3,
    )
    assert "a" in event
    assert "c" not in event
    assert (list(event), list(event.keys()), list(event.values())) == (
        ["a", "b"],
        ["a", "b"],
        [1, 2],
    )
    assert list(event.items()) == [("a", 1), ("b", 2)]
    assert len(event) == 2
    with pytest.raises(KeyError):
        event["c"]
    with pytest.raises(AttributeError):
        _ = event.c
    with pytest.raises(TypeError):
        event["a"] = 2


def test_row_011_private_fields_keep_their_name():
    assert Query(text="a", _trace="t")._trace == "t"
    assert "_trace='t'" in repr(Query(text="a", _trace="t"))
    with pytest.raises(TypeError, match=r"unexpected field 'trace'\. Did you mean '_trace'\?"):
        Query(text="a", trace="t")


def test_row_011_an_event_is_true_even_if_it_is_empty():
    assert len(Event()) == 0
    assert bool(Event()) is True
    assert bool(A()) is True


def test_row_011_equality_is_class_and_all_fields():
    class Same(Event):
        n: int = 0

    assert A(n=1) == A(n=1) != A(n=2)
    assert A(n=1) != Same(n=1)
    assert Event(x=1) == Event(x=1) != Event(x=2)
    assert Loose(text="a", x=1) == Loose(text="a", x=1) != Loose(text="a")
    assert len({A(n=1), A(n=1), Event(x=1), Event(x=1)}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Event(x=[]))


def test_row_011_to_dict_gives_all_fields_the_declared_first():
    assert list(Loose(x=1, text="a").to_dict().items()) == [("text", "a"), ("x", 1)]
    assert StopEvent("done", seconds=7).to_dict() == {"result": "done", "seconds": 7}


def test_row_011_a_field_wins_over_a_method_of_its_name():
    class Odd(Event):
        items: int
        get: str

    odd = Odd(items=3, get="got")
    assert (odd.items, odd.get) == (3, "got")
    assert odd.to_dict() == {"items": 3, "get": "got"}
    assert Event(keys=1).keys == 1


def test_row_011_a_class_that_declares_fields_is_closed():
    with pytest.raises(
        TypeError, match=r"Query\(\) got an unexpected field 'txt'\. Did you mean 't"
    ):
        Query(txt="a")
    with pytest.raises(TypeError, match=r"(?m)^Query\(\) takes keyword arguments only$"):
        Query("a")
    assert Loose(text="a", more=1).more == 1
    assert StartEvent(anything=1).anything == 1


def test_row_011_a_mutable_default_is_not_shared():
    one, other = Query(text="a"), Query(text="b")
    one.tags.append("x")
    assert other.tags == []


def test_row_012_repr_shows_every_field():
    assert repr(Event(x=1)) == "Event(x=1)"
    assert repr(Event()) == "Event()"
    assert repr(Loose(text="a", x=1)) == "Loose(text='a', x=1)"
    assert repr(A(n=1)) == "A(n=1)"
    assert repr(StopEvent("a", b=2)) == "StopEvent(result='a', b=2)"


def test_row_012_events_are_frozen():
    for event, name in ((A(), "n"), (Event(x=1), "x"), (Event(), "new"), (StopEvent(), "result")):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(event, name, 2)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del A().n
