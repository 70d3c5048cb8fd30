"""The codec of users' values: objects with fields come back as they were, not as they are made."""

import abc
import collections
import copy
import dataclasses
import enum
import functools
import json
import subprocess
import sys
import typing
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import attrs
import msgspec
import pydantic
import pytest

from plait import Event, HumanResponseEvent, InputRequiredEvent, StartEvent, StopEvent
from plait._journal.values import Values
from plait.errors import ContextSerdeError
from plait.events import (
    ChildEvent,
    StepFailedEvent,
    Waiting,
    WorkflowCancelledEvent,
    WorkflowTimedOutEvent,
)

T = TypeVar("T")


def never(*_):
    """A converter, validator or hook that must not be called while a value is read."""
    if never.forbidden:
        raise AssertionError("this runs the user's code")


never.forbidden = False


class Query(Event):
    text: str
    limit: int = 10
    _secret: str = "s"
    aliased: int = attrs.field(alias="other", default=1)
    many: list[int] = []
    late: int = attrs.field(init=False, default=7)
    KIND: ClassVar[str] = "k"


class Strict(Event):
    lines: list[str] = attrs.field(
        converter=lambda text: [never(), text.split()][1], validator=lambda *_: never()
    )
    total: int = attrs.field(init=False)

    def __attrs_post_init__(self):
        never()
        object.__setattr__(self, "total", len(self.lines))
        object.__setattr__(self, "hint", "beside the fields")

    @functools.cached_property
    def longest(self):
        return max(self.lines)


class Loose(Event, extra=True):
    text: str = ""


class Heir(Loose):
    more: int = 0


class Box(Event, Generic[T]):
    content: T


class Abstract(Event, abc.ABC):
    n: int = 0

    @abc.abstractmethod
    def go(self): ...


class Concrete(Abstract):
    def go(self): ...


class Bare(Event):
    pass


class Slotted(Event):
    __slots__ = ("unset",)
    n: int


@attrs.define
class Attrs:
    x: object
    _y: int = 2
    z: list[Any] = attrs.field(factory=list, alias="zed")
    unset: int = attrs.field(init=False)


@attrs.frozen(slots=False)
class AttrsDict:
    x: object = attrs.field(converter=lambda x: [never(), x][1])


@attrs.frozen(cache_hash=True)
class Hashed:
    x: str


@attrs.frozen(cache_hash=True, slots=False)
class HashedDict:
    x: str


@dataclasses.dataclass
class Data:
    x: object
    y: list[Any] = dataclasses.field(default_factory=list)
    seed: dataclasses.InitVar[int] = 3

    def __post_init__(self, seed):
        never()
        self.made = seed


@dataclasses.dataclass(frozen=True, slots=True)
class DataSlots:
    x: object = 1


@dataclasses.dataclass
class DataHeir(Data):
    w: int = 4


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    x: Any = 1
    when: datetime | None = None
    _hidden: int = 5
    _made: list[Any] = pydantic.PrivateAttr(default_factory=list)
    _unset: int

    @pydantic.model_validator(mode="after")
    def check(self):
        never()
        return self


class OpenModel(pydantic.BaseModel, extra="allow"):
    x: int = 1


class FrozenModel(pydantic.BaseModel, frozen=True):
    x: int = 1


class Root(pydantic.RootModel[list[int]]):
    pass


class GenericModel(pydantic.BaseModel, Generic[T]):
    x: T


class Struct(msgspec.Struct):
    x: object
    y: list[Any] = []


class FrozenStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag=True):
    some_name: int = 1
    other: int | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self):
        msgspec.structs.force_setattr(self, "some_name", self.some_name + 1)


class Pair(NamedTuple):
    x: object
    y: object = 2


OldPair = collections.namedtuple("OldPair", "a b", defaults=[1])  # noqa: PYI024 - the old way


class Shade(enum.Enum):
    DARK = DataSlots(1)


@dataclasses.dataclass(frozen=True)
class Mixin:
    x: int


class Tint(Mixin, enum.Enum):
    """An enum whose members have declared fields."""

    PALE = 1


KNOWN = [
    *(
        Query,
        Strict,
        Loose,
        Heir,
        Box,
        Concrete,
        Bare,
        Slotted,
        Attrs,
        AttrsDict,
        Hashed,
        HashedDict,
    ),
    *(
        Data,
        DataSlots,
        DataHeir,
        Model,
        OpenModel,
        FrozenModel,
        Root,
        GenericModel[int],
        GenericModel,
    ),
    *(Struct, FrozenStruct, Pair, OldPair, Shade, Tint),
]
VALUES = Values(KNOWN)
PREFIX = f"{__name__}."


@pytest.fixture
def nothing_of_the_users_runs(monkeypatch):
    monkeypatch.setattr(never, "forbidden", True)


def through(value, values=VALUES):
    data = json.loads(json.dumps(values.encode(value), sort_keys=True, allow_nan=False))
    return values.decode(data)


def written(value):
    """The class's name, and the fields as they are written."""
    tag, name, *rest = VALUES.encode(value)["$"]
    return tag, name, rest


MODEL = Model(x=[1], when=datetime(2026, 1, 2, tzinfo=UTC))
MODEL._hidden = 9
MODEL._made.append(1)

EVENTS = [
    Query(text="a"),
    Query(text="é", limit=2**70, _secret="t", other=5, many=[1, 2]),
    Query(text=("not", "a", "str")),
    Loose(),
    Loose(text="b", z=1, a=(2,)),
    Heir(text="b", more=2, x={1: 2}),
    Box(content=Box(content=None)),
    Concrete(n=3),
    Bare(),
    Bare(n=1),
    Slotted(n=1),
    Event(),
    Event(text="a", self=1, name=2),
    Event(**{"a b": 1, "": 2, "é": 3}),
    StartEvent(topic="x"),
    StopEvent(),
    StopEvent({"a": 1}, seconds=7),
    InputRequiredEvent(prefix="?"),
    HumanResponseEvent(response="y"),
    WorkflowCancelledEvent(),
    WorkflowTimedOutEvent(timeout=0.1, active_steps=["a"]),
    ChildEvent(event=Query(text="in"), workflow="W", run_id="r", path=("W", "s")),
]
OBJECTS = [
    AttrsDict(1),
    AttrsDict(AttrsDict((1,))),
    Hashed("a"),
    HashedDict("a"),
    Data(1),
    Data(x=Data(2), y=[(1,)]),
    DataSlots(),
    DataSlots({"b": 1, "a": 2}),
    DataHeir(1, w=5),
    MODEL,
    Model(),
    Model(x=Model(x=2)),
    OpenModel(x=2, extra=(1,), more=OpenModel()),
    FrozenModel(x=3),
    Root([1, 2]),
    GenericModel[int](x=1),
    GenericModel(x="a"),
    Struct(1),
    Struct(Struct((1,)), [2]),
    FrozenStruct(some_name=5),
    FrozenStruct(other=4),
    Pair(1),
    Pair(Pair(1), y=(2,)),
    OldPair(1, 2),
    Shade.DARK,
    Tint.PALE,
    Waiting("s", "collect", {"A": 1}, {"A": 2}, key=("k", 1)),
]


@pytest.mark.parametrize("n", range(len(EVENTS)))
def test_an_event_comes_back(n, nothing_of_the_users_runs):
    event = EVENTS[n]
    again = through(event)
    assert type(again) is type(event)
    assert again == event
    assert again is not event
    assert repr(again) == repr(event)
    assert again.to_dict() == event.to_dict()
    assert [*again] == [*event]
    assert copy.copy(again) == event
    assert vars(again) == vars(event)


@pytest.mark.parametrize("n", range(len(OBJECTS)))
def test_an_object_comes_back(n, nothing_of_the_users_runs):
    value = OBJECTS[n]
    again = through(value)
    assert type(again) is type(value)
    assert again == value
    assert repr(again) == repr(value)


def test_a_field_that_is_not_set_stays_so():
    value = Attrs(1, zed=[2])
    again = through(value)
    assert (again.x, again._y, again.z, hasattr(again, "unset")) == (1, 2, [2], False)
    value.unset = 5
    assert through(value).unset == 5
    unset = Slotted(n=1)
    assert not hasattr(through(unset), "unset")


def test_neither_converters_nor_hooks_run_again(nothing_of_the_users_runs):
    never.forbidden = False
    strict, data, plain = Strict(lines="b a"), Data(1, seed=8), AttrsDict("x")
    never.forbidden = True
    again = through(strict)
    assert (again.lines, again.total, again.hint) == (["b", "a"], 2, "beside the fields")
    assert through(data).made == 8
    assert through(plain) == plain


def test_a_struct_gets_its_fields_after_its_hook():
    struct = FrozenStruct(some_name=5)
    assert struct.some_name == 6
    assert through(struct).some_name == 6


def test_a_cached_property_is_computed_again():
    strict = Strict(lines="b a")
    before = written(strict)
    assert strict.longest == "b"
    assert written(strict) == before
    again = through(strict)
    assert "longest" not in vars(again)
    assert again.longest == "b"


@pytest.mark.parametrize("kind", [Hashed, HashedDict])
def test_a_kept_hash_is_computed_again(kind):
    """Texts have another hash in another process."""
    value = kind("a")
    hash(value)
    data = VALUES.encode(value)
    assert data == {"$": ["object", f"{PREFIX}{kind.__name__}", {"x": "a"}]}
    again = VALUES.decode(data)
    assert again._attrs_cached_hash is None
    assert hash(again) == hash(value)


def test_what_a_model_hides_and_what_was_set_comes_back():
    again = through(MODEL)
    assert (again._hidden, again._made, again.model_fields_set) == (9, [1], {"x", "when"})
    assert not hasattr(again, "_unset")
    assert through(Model(x=2)).model_fields_set == {"x"}
    assert through(OpenModel(y=1)).model_extra == {"y": 1}
    assert through(OpenModel(y=1)).model_fields_set == {"y"}
    assert through(Model()).model_dump() == Model().model_dump()
    with pytest.raises(pydantic.ValidationError):
        through(FrozenModel()).x = 2


def test_events_are_as_frozen_as_before():
    again = through(Query(text="a"))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        again.text = "b"
    assert attrs.evolve(again, text="b") == Query(text="b")
    assert attrs.evolve(through(Loose(a=1)), text="b") == Loose(text="b", a=1)


def test_how_an_event_is_written():
    """Stored runs are made of this: it never changes."""
    assert VALUES.encode(Query(text="a", other=2)) == {
        "$": [
            "event",
            f"{PREFIX}Query",
            1,
            {"text": "a", "limit": 10, "_secret": "s", "aliased": 2, "many": [], "late": 7},
        ]
    }
    assert VALUES.encode(StopEvent((1,), b=1, a=2)) == {
        "$": [
            "event",
            "plait.StopEvent",
            1,
            {"result": {"$": ["tuple", [1]]}, "b": 1, "a": 2},
            {"order": ["b", "a"]},
        ]
    }
    assert VALUES.encode(Pair(1)) == {"$": ["object", f"{PREFIX}Pair", {"x": 1, "y": 2}]}


# ---------------------------------------------------------------- classes that have changed


def stored(name, version=1, **fields):
    return {"$": ["event", name, version, fields]}


class Today(Event, name="shop.query", version=3):
    text: str
    limit: int = 5
    tags: list[str] = []
    where: str = attrs.field(default="here", converter=str.upper)
    size: int = attrs.field(
        default=attrs.Factory(lambda self: len(self.text), takes_self=True),
        converter=attrs.Converter(
            lambda n, it, field: (n, it.text, field.name), takes_self=True, takes_field=True
        ),
    )

    @classmethod
    def upgrade(cls, data, version):
        if version > 3:
            raise LookupError(f"version {version} is of the future")
        if version == 1:
            data["text"] = data.pop("txt")
        return data if version else None


class Changed(Event, name="shop.changed", version=2):
    text: str = ""


TODAY = Values([Today, Changed])


def test_an_event_of_another_version_is_upgraded():
    old = stored("shop.query", 1, txt={"$": ["tuple", [1]]}, limit=2)
    assert TODAY.decode(old) == Today(text=(1,), limit=2)
    assert TODAY.decode(stored("shop.query", 2, text="ab")).text == "ab"
    assert old == stored("shop.query", 1, txt={"$": ["tuple", [1]]}, limit=2)


def test_a_field_that_is_not_stored_gets_its_default():
    event = TODAY.decode(stored("shop.query", 3, text="ab"))
    assert event == Today(text="ab")
    assert (event.where, event.size, event.tags) == ("HERE", (2, "ab", "size"), [])
    event.tags.append("x")
    assert TODAY.decode(stored("shop.query", 3, text="ab")).tags == []
    part = {"$": ["object", f"{PREFIX}Data", {"x": 1}]}
    assert VALUES.decode(part).y == []
    assert VALUES.decode({"$": ["object", f"{PREFIX}Model", {}]}) == Model.model_construct()
    assert VALUES.decode({"$": ["object", f"{PREFIX}Struct", {"x": 1}]}) == Struct(1)
    assert VALUES.decode({"$": ["object", f"{PREFIX}OldPair", {"a": 3}]}) == OldPair(3)


def test_without_upgrade_another_version_is_refused():
    for version in (1, 3):
        with pytest.raises(ContextSerdeError) as caught:
            TODAY.decode({"q": stored("shop.changed", version, text="a")}, at="steps.s")
        assert str(caught.value) == (
            f"steps.s.q: shop.changed: cannot load version {version}, "
            "the class is version 2 and has no upgrade()."
        )


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (stored("shop.query", 1, text="a"), "upgrade() from version 1 raised KeyError: 'txt'"),
        (stored("shop.query", 9), "upgrade() from version 9 raised LookupError: version 9 is of"),
        (stored("shop.query", 0), "shop.query: upgrade() returned None, not a dict of fields"),
        (stored("shop.query", 2), "Today needs a field 'text', and there is none"),
        (stored("shop.query", 2, text="a", x=1), "Today has no field 'x'"),
        (stored("shop.query", 2, text={"$": ["date", "x"]}), "text: no date"),
    ],
)
def test_an_upgrade_that_fails_is_told(event, text):
    with pytest.raises(ContextSerdeError) as caught:
        TODAY.decode(event)
    assert text in str(caught.value).replace('"', "'")


def test_a_field_named_like_a_tag_is_no_tag_in_an_upgrade():
    class Odd(Event, name="odd", version=2):
        @classmethod
        def upgrade(cls, data, version):
            return data

    values = Values([Odd])
    assert values.decode(stored("odd", 1, **{"$": ["x"]})) == Odd(**{"$": ["x"]})


@pytest.mark.parametrize(
    ("name", "fields", "more", "text"),
    [
        ("AttrsDict", {"x": 1}, {"beside": {"__class__": 1}}, "AttrsDict has no field '__class__'"),
        ("Data", {"x": 1}, {"beside": {"__post_init__": 1}}, "Data has no field '__post_init__'"),
        ("Data", {"x": 1}, {"beside": {"x": 2}}, "Data has no field 'x'"),
        ("DataSlots", {"x": 1}, {"beside": {"a": 2}}, "DataSlots has no field 'a'"),
        ("Data", {"x": 1}, {"beside": 1}, "not a mapping of names"),
        ("Data", {}, {}, "Data needs a field 'x'"),
        ("Model", {"y": 1}, {}, "Model has no field 'y'"),
        ("Model", {"x": 1}, {"extra": {"y": 1}}, "Model has no field 'y'"),
        ("OpenModel", {"x": 1}, {"extra": {"x": 1}}, "OpenModel has no field 'x'"),
        ("Model", {"x": 1}, {"private": {"x": 1}}, "Model has no field 'x'"),
        ("Model", {"x": 1}, {"set": ["y"]}, "the names of the fields that were set are others"),
        ("Model", {"x": 1}, {"set": [1]}, "not a text: 1"),
        ("Model", {"x": 1}, {"beside": {}}, "unknown: 'beside'"),
        ("Struct", {}, {}, "Struct cannot be made: TypeError: Missing required argument"),
        ("Struct", {"x": 1, "z": 1}, {}, "Struct has no field 'z'"),
        ("Pair", {"y": 1}, {}, "Pair needs a field 'x'"),
        ("Pair", {"x": 1, "z": 1}, {}, "Pair has no field 'z'"),
        ("Pair", {"x": 1}, {"beside": {"a": 1}}, "unknown: 'beside'"),
        ("Shade", {"x": 1}, {}, "Shade are not stored by their fields"),
        ("Tint", {"x": 1}, {}, "Tint are not stored by their fields"),
    ],
)
def test_an_object_gets_nothing_that_its_class_has_not(name, fields, more, text):
    with pytest.raises(ContextSerdeError) as caught:
        VALUES.decode({"$": ["object", PREFIX + name, fields, *([more] if more else [])]})
    assert text in str(caught.value)


def test_a_class_with_a_builtin_base_is_refused_when_it_is_written():
    """Its fields are not all there is to it."""

    @attrs.define
    class Listed(list):
        x: int = 1

    with pytest.raises(ContextSerdeError, match="it has a builtin base"):
        Values([Listed]).encode(Listed())


def test_a_default_that_cannot_be_made_is_told():
    class Broken(Event):
        x: int = attrs.field(factory=lambda: 1 / 0)

    with pytest.raises(ContextSerdeError, match=r"Broken cannot be made: ZeroDivisionError"):
        Values([Broken]).decode(stored(Broken.__plait_name__))


def test_types_come_back_as_types():
    kinds = [Query, Data, Model, Struct, Pair, typing.NamedTuple and Pair, StepFailedEvent]
    assert through(kinds) == kinds


def test_libraries_are_looked_up_and_never_imported():
    program = (
        "import sys, plait, attrs\n"
        "from plait._journal.values import Values\n"
        "values = Values()\n"
        "values.decode(values.encode({'a': (1, {2}, plait.Event(x=1), ValueError('x'))}))\n"
        "for data in (['object', 'pydantic.main.BaseModel', {}], ['unset']):\n"
        "    try: values.decode({'$': data})\n"
        "    except plait.errors.ContextSerdeError as error: print(error)\n"
        "print({'pydantic', 'msgspec', 'cattrs', 'zoneinfo', 'pickle'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "Class pydantic.main.BaseModel is not known. Pass JsonSerializer(allowed_types=[BaseModel]).",
        "msgspec is not imported here",
        "set()",
    ]
