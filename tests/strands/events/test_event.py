"""The event classes, sentence by sentence of section 3.1 of the events contract."""

import abc
import copy
import doctest
import enum
import functools
import inspect
import pickle
import textwrap
import typing
from collections import defaultdict
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait import _event
from plait._errors import ContextSerdeError
from plait._event import (
    ChildEvent,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    InternalDispatchEvent,
    StartEvent,
    StepFailedEvent,
    StepState,
    StepStateChanged,
    StopEvent,
    WorkflowCancelledEvent,
    WorkflowFailedEvent,
    WorkflowIdleEvent,
    WorkflowTimedOutEvent,
)

T = TypeVar("T")

OPEN = [Event, StartEvent, StopEvent, InputRequiredEvent, HumanResponseEvent]


class Query(Event):
    text: str
    limit: int = 10


class Ping(Event):
    pass


class Loose(Event, extra=True):
    text: str


class Report(StopEvent):
    total: int


names = st.from_regex(r"[a-z_][a-z_0-9]{0,6}", fullmatch=True)
values = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
fields = st.dictionaries(names, values, max_size=5)


def names_of(cls):
    return [field.name for field in attrs.fields(cls)]


# A subclass with annotated fields becomes, in place, a frozen, keyword-only attrs class.


def test_the_class_itself_becomes_an_attrs_class():
    seen = []

    class Witness:
        def __init_subclass__(cls, **options):
            super().__init_subclass__(**options)
            seen.append(cls)

    class Mine(Witness, Event, name="mine"):
        n: int

    assert seen == [Mine]
    assert type(Mine) is type
    assert names_of(Mine) == ["n"]
    assert "__slots__" not in vars(Mine)
    assert vars(Mine(n=1)) == {"n": 1}


@pytest.mark.parametrize("head", ["", "from __future__ import annotations\n"])
def test_annotated_attributes_are_fields_and_class_variables_are_none(head):
    source = head + textwrap.dedent("""
        import typing
        from typing import ClassVar

        def make():
            class Part:
                pass

            class Local(Event):
                unit: ClassVar[str] = "line"
                kind: typing.ClassVar = "k"
                shared = 3
                part: Part
                other: "Unknown | None" = None

            return Local, Part
    """)
    scope = {"Event": Event, "__name__": __name__}
    exec(source, scope)
    local, part = scope["make"]()
    given_part = part()
    event = local(part=given_part)
    assert names_of(local) == ["part", "other"]
    assert event.to_dict() == {"part": given_part, "other": None}
    assert (local.unit, local.kind, local.shared) == ("line", "k", 3)
    with pytest.raises(TypeError, match="unexpected field 'unit'"):
        local(part=given_part, unit="x")


def test_a_field_without_annotation_is_refused():
    with pytest.raises(attrs.exceptions.UnannotatedAttributeError):

        class Wrong(Event):
            n = attrs.field(default=1)


def test_positional_arguments_are_refused():
    class Counted(Event):
        n: int = 0

    with pytest.raises(TypeError, match=r"(?m)^Counted\(\) takes keyword arguments only$"):
        Counted(1)
    with pytest.raises(TypeError, match=r"(?m)^Query\(\) takes keyword arguments only$"):
        Query("a")
    with pytest.raises(TypeError, match=r"(?m)^Event\(\) takes keyword arguments only$"):
        Event("a")


def test_fields_are_inherited_and_can_be_redefined():
    class Narrow(Query):
        limit: int = 3
        where: str

    class Silent(Narrow):
        pass

    assert Silent(text="a", where="b").to_dict() == {"text": "a", "limit": 3, "where": "b"}
    assert isinstance(Silent(text="a", where="b"), Query)


def test_fields_come_from_several_bases():
    class Where(Event):
        where: str

    @attrs.define
    class Plain:
        weight: float = 1.0

    class Both(Query, Where, Plain):
        pass

    event = Both(text="a", where="b")
    assert (event.text, event.where, event.weight) == ("a", "b", 1.0)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.weight = 2.0
    with pytest.raises(TypeError, match="unexpected field 'x'"):
        Both(text="a", where="b", x=1)


def test_a_subclass_can_be_generic():
    class Box(Event, Generic[T]):
        item: T

    class IntBox(Box[int]):
        pass

    assert Box[str](item="a") == Box(item="a")
    assert Box[str](item="a").to_dict() == {"item": "a"}
    assert IntBox(item=1).item == 1


def test_a_subclass_can_be_abstract():
    class Shape(Event, abc.ABC):
        @abc.abstractmethod
        def area(self): ...

    class Square(Shape):
        side: int

        def area(self):
            return self.side**2

    with pytest.raises(TypeError, match="abstract"):
        Shape()
    assert Square(side=3).area() == 9


def test_converters_validators_factories_and_post_init_work():
    seen = []

    class Order(Event):
        n: int = attrs.field(converter=int, validator=attrs.validators.ge(1))
        double: int = attrs.field()
        tags: list[str] = attrs.field(factory=list, converter=list)
        total: int = attrs.field(init=False, default=0)

        @double.default
        def _double(self):
            return 2 * self.n

        def __attrs_post_init__(self):
            seen.append((self.n, self.double, self.tags))
            object.__setattr__(self, "total", self.n + self.double)

    class Heir(Order):
        pass

    assert Order(n="2").to_dict() == {"n": 2, "double": 4, "tags": [], "total": 6}
    assert Heir(n=1, double=7, tags="ab").total == 8
    assert seen == [(2, 4, []), (1, 7, ["a", "b"])]
    with pytest.raises(ValueError, match="must be >= 1"):
        Order(n="0")
    with pytest.raises(TypeError, match="unexpected field 'total'"):
        Order(n=1, total=5)


def test_post_init_sees_undeclared_fields():
    seen = []

    class Late(Event):
        def __attrs_post_init__(self):
            seen.append((self.x, self["x"]))

    Late(x=1)
    assert seen == [(1, 1)]


def test_a_type_error_of_a_converter_is_left_alone():
    error = TypeError("not this way")

    def convert(value):
        raise error

    class Picky(Event):
        n: int = attrs.field(converter=convert)

    with pytest.raises(TypeError) as caught:
        Picky(n=1)
    assert caught.value is error


def test_a_class_can_have_an_init_of_its_own():
    class Celsius(Event):
        degrees: float

        def __init__(self, fahrenheit):
            self.__attrs_init__(degrees=(fahrenheit - 32) / 1.8)

    class Called(Query):
        def __init__(self, word):
            super().__init__(text=word.upper())

    assert Celsius(212).degrees == 100
    assert Called("a").to_dict() == {"text": "A", "limit": 10}


def test_evolve_and_match():
    event = Query(text="a", limit=3)
    assert attrs.evolve(event, text="b") == Query(text="b", limit=3)
    with pytest.raises(TypeError, match="Did you mean 'text'"):
        attrs.evolve(event, txt="b")
    match event:
        case Query(text="a", limit=n):
            assert n == 3
        case _:
            pytest.fail("no match")
    match Event(x=1):
        case Event(x=n):
            assert n == 1
        case _:
            pytest.fail("no match")


@given(fields, fields)
def test_evolve_loses_no_undeclared_field(before, after):
    event = attrs.evolve(Event(**before), **after)
    assert event == Event(**{**before, **after})
    assert all(getattr(event, name) == event[name] for name in {**before, **after})
    stop = StopEvent(**{"result": "r", **before})
    assert attrs.evolve(stop, **after) == StopEvent(**{"result": "r", **before, **after})


def test_a_mutable_default_belongs_to_one_event():
    inner = ["a"]

    class Basket(Event):
        items_: list = []
        prices: dict = {}
        seen: set = attrs.field(default=set())
        nested: list = [inner]
        groups: dict = defaultdict(list)
        kept: tuple = (inner,)

    one, other = Basket(), Basket()
    one.items_.append(1)
    one.prices["a"] = 1
    one.seen.add(1)
    one.nested[0].append("b")
    one.groups["x"].append(1)
    assert other == Basket()
    assert other.to_dict() == {
        "items_": [],
        "prices": {},
        "seen": set(),
        "nested": [["a"]],
        "groups": {},
        "kept": (["a"],),
    }
    assert other.kept[0] is inner
    assert type(other.groups) is defaultdict


def test_an_inherited_mutable_default_belongs_to_one_event():
    class Base(Event):
        seen: list = []

    class Heir(Base):
        n: int = 0

    Heir().seen.append(1)
    assert Heir().seen == []


def test_a_private_field_is_passed_under_its_name():
    class Secret(Event):
        _p: int
        _q: int = attrs.field(alias="q", default=2)

    event = Secret(_p=1, q=3)
    assert (event._p, event._q) == (1, 3)
    assert attrs.evolve(event, _p=4) == Secret(_p=4, q=3)
    with pytest.raises(TypeError, match="unexpected field 'p'"):
        Secret(p=1)
    with pytest.raises(TypeError, match="unexpected field '_q'"):
        Secret(_p=1, _q=1)


# A class that declares or inherits fields is closed, unless it says extra=True.


@pytest.mark.parametrize("arguments", [{"txt": "a"}, {"text": "a", "txt": "b"}])
def test_an_unknown_field_is_refused_with_a_suggestion(arguments):
    with pytest.raises(TypeError) as caught:
        Query(**arguments)
    assert str(caught.value) == "Query() got an unexpected field 'txt'. Did you mean 'text'?"


@given(st.integers(min_value=0, max_value=10), st.sampled_from(["", "_", "e"]))
def test_any_one_letter_wrong_is_guessed(index, letter):
    class Reading(Event):
        temperature: float
        place: str = ""

    typo = "temperature"[:index] + letter + "temperature"[index + 1 :]
    if typo != "temperature":
        with pytest.raises(TypeError, match="Did you mean 'temperature'"):
            Reading(**{typo: 1.0})


def test_every_unknown_field_is_named():
    with pytest.raises(TypeError) as caught:
        Query(text="a", zzz=1, limt=2)
    assert str(caught.value).splitlines() == [
        "Query() got an unexpected field 'zzz'. It takes: text, limit",
        "Query() got an unexpected field 'limt'. Did you mean 'limit'?",
    ]


def test_every_missing_field_is_named():
    class Pair(Event):
        a: int
        b: int
        c: int
        d: int = 0

    with pytest.raises(TypeError, match=r"^Pair\(\) is missing 'a', 'c'$"):
        Pair(b=1)


def test_an_error_names_the_class_that_was_called():
    class Narrow(Query):
        pass

    with pytest.raises(TypeError, match=r"^Narrow\(\) got an unexpected field 'txt'"):
        Narrow(txt="a")


@pytest.mark.parametrize("cls", [*OPEN, Ping, WorkflowCancelledEvent, InternalDispatchEvent])
def test_a_class_without_fields_is_open(cls):
    assert cls.__plait_open__
    assert cls(x=1).x == 1


def test_a_class_variable_does_not_close_a_class():
    class Marked(Event):
        unit: ClassVar[str] = "line"

    assert Marked(x=1)["x"] == 1


def test_inherited_fields_close_a_class():
    class Heir(Query):
        pass

    assert not Heir.__plait_open__
    with pytest.raises(TypeError, match="unexpected field"):
        Heir(text="a", x=1)


def test_a_subclass_of_an_open_class_is_closed_by_its_fields():
    class Begin(StartEvent):
        topic: str

    with pytest.raises(TypeError, match=r"unexpected field 'topci'\. Did you mean 'topic'"):
        Begin(topci="a")


def test_extra_opens_a_class_and_is_inherited():
    class Looser(Loose):
        n: int = 0

    class Opened(Query, extra=True):
        pass

    class Mixed(Query, Loose):
        pass

    assert Looser(text="a", x=1).to_dict() == {"text": "a", "n": 0, "x": 1}
    assert Opened(text="a", x=1)["x"] == 1
    assert Mixed(text="a", x=1)["x"] == 1
    with pytest.raises(TypeError, match=r"^Looser\(\) is missing 'text'$"):
        Looser(x=1)
    with pytest.raises(TypeError, match="keyword arguments only"):
        Looser("a")


def test_a_declared_name_cannot_be_given_undeclared():
    class Odd(Event, extra=True):
        text: str = attrs.field(alias="t")
        total: int = attrs.field(init=False, default=0)

    assert Odd(t="a", x=1).to_dict() == {"text": "a", "total": 0, "x": 1}
    with pytest.raises(TypeError, match="unexpected field 'text'"):
        Odd(t="a", text="b")
    with pytest.raises(TypeError) as caught:
        Odd(t="a", total=1)
    assert str(caught.value) == "Odd() got an unexpected field 'total'. It takes: t"


# StopEvent takes `result`, also by position.


def test_a_stop_event_takes_a_result():
    assert StopEvent().result is None
    assert StopEvent("r").result == "r"
    assert StopEvent("r") == StopEvent(result="r")
    assert StopEvent("r", seconds=7).to_dict() == {"result": "r", "seconds": 7}
    assert repr(StopEvent(result=1)) == "StopEvent(result=1)"
    assert list(StopEvent("r", seconds=7)) == ["seconds"]
    with pytest.raises(
        TypeError, match=r"^StopEvent\(\) takes keyword arguments only after result"
    ):
        StopEvent(1, 2)


def test_a_stop_event_with_fields_has_no_result():
    assert Report(total=3).result is None
    assert Report(total=3).to_dict() == {"total": 3}
    assert repr(Report(total=3)) == "Report(total=3)"
    assert names_of(Report) == ["total"]
    with pytest.raises(TypeError, match="unexpected field 'result'"):
        Report(total=3, result=1)
    with pytest.raises(TypeError, match=r"(?m)keyword arguments only$"):
        Report(3)


def test_a_stop_event_can_declare_its_result():
    class Typed(StopEvent):
        result: str

    class Longer(Typed):
        n: int = 0

    class Computed(StopEvent):
        total: int

        @property
        def result(self):
            return -self.total

    assert Longer(result="a").to_dict() == {"result": "a", "n": 0}
    with pytest.raises(TypeError, match="missing 'result'"):
        Longer(n=1)
    assert Computed(total=3).result == -3


def test_a_stop_event_without_fields_is_like_stop_event():
    class Done(StopEvent):
        pass

    class Noted(StopEvent, extra=True):
        total: int

    assert Done("r").result == Done(result="r").result == "r"
    assert Done(x=1).result is None
    assert Noted(total=3).result is None
    assert Noted(total=3, result="r").result == "r"


# Item access sees the undeclared fields; declared fields are attributes only.


@given(fields)
def test_undeclared_fields_are_a_mapping(given_fields):
    for cls in (Event, Ping, StartEvent):
        event = cls(**given_fields)
        assert list(event) == list(given_fields)
        assert len(event) == len(given_fields)
        assert all(name in event and event[name] == given_fields[name] for name in given_fields)
        assert all(getattr(event, name) == value for name, value in given_fields.items())
        assert event.to_dict() == given_fields
        if not given_fields.keys() & {"keys", "get", "items", "values"}:
            assert event.keys() == given_fields.keys()
            assert event.items() == given_fields.items()
            assert list(event.values()) == list(given_fields.values())
            assert [event.get(name) for name in given_fields] == [*given_fields.values()]
            assert dict(event) == {**event} == given_fields


def test_declared_fields_are_no_items():
    event = Loose(text="a", x=1)
    with pytest.raises(KeyError) as caught:
        event["text"]
    assert caught.value.args == ("text",)
    assert caught.value.__notes__ == ["'text' is a declared field. Write: event.text"]
    with pytest.raises(KeyError) as caught:
        event["y"]
    assert not hasattr(caught.value, "__notes__")
    assert "text" not in event
    assert event.get("text") is None
    assert event.get("text", 5) == 5
    assert (list(event), len(event), list(event.items())) == (["x"], 1, [("x", 1)])
    assert (list(Query(text="a")), len(Query(text="a"))) == ([], 0)
    assert [*Query(text="a").keys(), *Query(text="a").values()] == []


def test_to_dict_gives_the_declared_fields_first():
    shown = Loose(a=1, text="t", b=[2]).to_dict()
    assert list(shown.items()) == [("text", "t"), ("a", 1), ("b", [2])]
    shown["a"] = 5
    assert Query(text="a").to_dict() == {"text": "a", "limit": 10}


METHODS = sorted(name for name in vars(Event) if not name.startswith("_"))


def test_there_are_methods_to_win_over():
    assert METHODS == ["get", "items", "keys", "to_dict", "upgrade", "values"]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("default", ["", " = 0"])
def test_a_field_wins_over_a_method_of_its_name(name, default):
    scope = {"Event": Event, "__name__": __name__}
    exec(f"class Named(Event):\n    {name}: int{default}\n    other: int = 0", scope)
    for event in (scope["Named"](**{name: 7}), Event(**{name: 7, "other": 0})):
        assert getattr(event, name) == 7
        assert Event.to_dict(event) == {name: 7, "other": 0}
        assert repr(event).endswith(f"({name}=7, other=0)")
        assert event == attrs.evolve(event)
        assert attrs.evolve(event, **{name: 8}) != event
        assert hash(event) == hash(copy.copy(event))
    assert callable(getattr(scope["Named"], name))


def test_self_can_be_an_undeclared_field():
    assert Event(self=1, cls=2).to_dict() == {"self": 1, "cls": 2}


def test_every_event_is_true():
    assert all([Event(), Event(x=0), Query(text=""), StopEvent(), StopEvent(0)])


# Equality: same class, equal fields, undeclared ones included; hashable if all values are.


@given(fields, fields)
def test_events_are_equal_if_their_fields_are(one, other):
    assert (Event(**one) == Event(**other)) is (one == other)
    assert Event(**one) == Event(**dict(reversed(one.items())))
    declared = {"text": "t"}
    assert (Loose(**{**one, **declared}) == Loose(**{**other, **declared})) is (
        {**one, **declared} == {**other, **declared}
    )


@given(fields)
def test_events_are_hashable_if_all_values_are(given_fields):
    event = Event(**given_fields)
    if any(isinstance(value, list) for value in given_fields.values()):
        with pytest.raises(TypeError, match="unhashable"):
            hash(event)
    else:
        assert hash(event) == hash(Event(**dict(reversed(given_fields.items()))))


def test_closed_events_are_equal_and_hashable_by_their_fields():
    class Narrow(Query):
        pass

    class Basket(Event):
        things: list

    assert Query(text="a") == Query(text="a", limit=10)
    assert Query(text="a") != Query(text="b")
    assert Query(text="a") != Narrow(text="a")
    assert Event(x=1) != Ping(x=1)
    assert {Query(text="a"), Query(text="a")} == {Query(text="a")}
    with pytest.raises(TypeError, match="unhashable"):
        hash(Basket(things=[]))


def test_a_cached_property_is_no_field():
    class Lazy(Event):
        @functools.cached_property
        def total(self):
            return self.x * 2

    event = Lazy(x=1)
    before = hash(event)
    assert event.total == 2
    assert event.to_dict() == {"x": 1}
    assert event == Lazy(x=1)
    assert hash(event) == before


# `repr` shows every field.


def test_repr_shows_every_field():
    class Login(Event):
        user: str
        password: str = attrs.field(repr=False)
        token: str = attrs.field(repr=lambda token: token[:2] + "...")
        _p: int = 0

    assert repr(Event(x=1)) == "Event(x=1)"
    assert repr(Query(text="a")) == "Query(text='a', limit=10)"
    assert repr(Loose(b=1, text="a")) == "Loose(text='a', b=1)"
    assert repr(Ping()) == "Ping()"
    login = Login(user="u", password="geheim", token="abcdef")
    assert repr(login) == "Login(user='u', token=ab..., _p=0)"


def test_repr_of_an_event_that_contains_itself():
    things = []
    event = Event(things=things)
    things.append(event)
    assert repr(event) == "Event(things=[...])"


# Assignment raises FrozenInstanceError.


@pytest.mark.parametrize(
    "event", [Query(text="a"), Loose(text="a"), Event(text="a"), StopEvent("r", text="a")]
)
@pytest.mark.parametrize("name", ["text", "new", "get"])
def test_events_are_frozen(event, name):
    before = repr(event)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(event, name, "b")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        delattr(event, name)
    assert repr(event) == before


def test_a_snapshot_does_not_change_with_what_was_passed():
    given_fields = {"x": 1}
    event = Event(**given_fields)
    event.to_dict()["x"] = 2
    given_fields["x"] = 3
    assert event == Event(x=1)


# Copies and pickles.


@pytest.mark.parametrize(
    "event",
    [
        Query(text="a"),
        Event(x=[1], y="z"),
        Loose(text="a", x=1),
        StopEvent([1], x=1),
        Report(total=1),
    ],
    ids=repr,
)
def test_copies_are_equal(event):
    for twin in (copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))):
        assert twin == event
        assert twin is not event
        assert twin.to_dict() == event.to_dict()
        assert list(twin) == list(event)


def test_a_deep_copy_shares_nothing():
    event = Event(x=[1])
    twin = copy.deepcopy(event)
    twin.x.append(2)
    assert twin["x"] == [1, 2]
    assert event.x == event["x"] == [1]


# Observable classes, wire names, versions.


def test_observable_is_inherited():
    class Progress(Event, observable=True):
        percent: int

    class Finer(Progress):
        digits: int = 0

    class Mixed(Query, Progress):  # whichever base it is
        pass

    assert Progress.__plait_observable__
    assert Finer.__plait_observable__
    assert Mixed.__plait_observable__
    assert [cls for cls in [*OPEN, Query] if cls.__plait_observable__] == [InputRequiredEvent]


def test_the_wire_name_is_the_place_of_the_class_or_its_name():
    class Named(Query, name="shop.query", version=3):
        pass

    class Heir(Named):
        pass

    here = "test_the_wire_name_is_the_place_of_the_class_or_its_name.<locals>"
    assert Query.__plait_name__ == f"{__name__}.Query"
    assert Query.__plait_version__ == 1
    assert (Named.__plait_name__, Named.__plait_version__) == ("shop.query", 3)
    assert Heir.__plait_name__ == f"{__name__}.{here}.Heir"
    assert Heir.__plait_version__ == 1


def test_an_unknown_option_of_a_class_is_refused():
    with pytest.raises(TypeError, match="observabel"):

        class Wrong(Event, observabel=True):
            pass


def test_upgrade_refuses_unless_it_is_overridden():
    class Old(Event, name="shop.query", version=2):
        text: str

    class New(Old, version=3):
        @classmethod
        def upgrade(cls, data, version):
            return {"text": data["txt"] + str(version)}

    with pytest.raises(ContextSerdeError) as caught:
        Old.upgrade({"txt": "a"}, 1)
    assert str(caught.value) == (
        "shop.query: cannot load version 1, the class is version 2 and has no upgrade()."
    )
    assert New.upgrade({"txt": "a"}, 2) == {"text": "a2"}


# The events that plait makes itself, and how the classes show themselves.

CATALOGUE = {
    WorkflowFailedEvent: {
        "step_name": str | None,
        "exception": BaseException,
        "attempts": int,
        "elapsed_seconds": float,
    },
    WorkflowTimedOutEvent: {"timeout": float, "active_steps": list[str]},
    WorkflowCancelledEvent: {},
    StepFailedEvent: {
        "step_name": str,
        "input_event": Any,
        "exception": Exception,
        "attempts": int,
        "elapsed_seconds": float,
        "failed_at": datetime,
    },
    ChildEvent: {"event": Event, "workflow": str, "run_id": str, "path": tuple[str, ...]},
    InternalDispatchEvent: {},
    StepStateChanged: {
        "name": str,
        "step_state": StepState,
        "worker_id": str,
        "input_event_name": str,
        "output_event_name": str | None,
    },
    WorkflowIdleEvent: {"explanation": str},
}
BASES = {
    StopEvent: [WorkflowFailedEvent, WorkflowTimedOutEvent, WorkflowCancelledEvent],
    Event: [StepFailedEvent, ChildEvent, InternalDispatchEvent],
    InternalDispatchEvent: [StepStateChanged, WorkflowIdleEvent],
}


@pytest.mark.parametrize("cls", CATALOGUE)
def test_the_fields_of_plaits_own_events(cls):
    hints = typing.get_type_hints(cls)
    expected = CATALOGUE[cls]
    if expected:
        assert {name: hints[name] for name in cls.__plait_fields__} == expected
        assert cls(**dict.fromkeys(expected)).to_dict() == dict.fromkeys(expected)
        assert not cls.__plait_open__
    else:
        assert set(cls.__plait_fields__) <= {"result"}


def test_the_bases_of_plaits_own_events():
    assert {base: [cls for cls in CATALOGUE if cls.__bases__ == (base,)] for base in BASES} == BASES


def test_the_wire_names_of_plaits_own_events():
    assert [cls.__plait_name__ for cls in OPEN] == [f"plait.{cls.__name__}" for cls in OPEN]
    assert all(cls.__plait_name__ == f"plait.events.{cls.__name__}" for cls in CATALOGUE)


def test_step_states():
    assert issubclass(StepState, enum.Enum)
    assert {state.name: state.value for state in StepState} == {
        "PREPARING": "preparing",
        "RUNNING": "running",
        "NOT_RUNNING": "not_running",
    }


def test_help_shows_the_fields():
    assert Query.__init__.__module__ == __name__
    assert str(inspect.signature(Query)) == "(*, text: str, limit: int = 10) -> None"
    assert list(inspect.signature(Loose).parameters) == ["text", "__fields"]
    assert list(inspect.signature(StopEvent).parameters) == ["result", "__fields"]


def test_the_examples_of_the_docstrings():
    # The classes name the public module, so doctest would take them for another module's.
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    for name, value in vars(_event).items():
        if inspect.isclass(value) and value.__module__ in ("plait", "plait.events"):
            for example in finder.find(value, name, module=False, globs=vars(_event).copy()):
                runner.run(example)
    assert runner.tries > 20
    assert runner.failures == 0


def test_a_field_of_pydantic_is_refused_with_what_to_write():
    pydantic = pytest.importorskip("pydantic")
    with pytest.raises(TypeError, match=r"Tags.tags: an event is an attrs class.*attrs\.field"):

        class Tags(Event):
            tags: list[str] = pydantic.Field(default_factory=list)
