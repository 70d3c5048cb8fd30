"""The codec of users' values, on values and data that nobody thought of."""

import collections
import contextlib
import copy
import dataclasses
import enum
import json
import string
from datetime import timedelta, timezone
from typing import Any, NamedTuple

import attrs
import msgspec
import pydantic
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plait import Event, StopEvent
from plait._journal.leaves import LEAVES
from plait._journal.values import TextValues, Values
from plait.errors import ContextSerdeError


class Query(Event, name="fuzz.query"):
    text: object = None
    limit: object = 1


class Loose(Event, extra=True, name="fuzz.loose", version=2):
    one: object

    @classmethod
    def upgrade(cls, data, version):
        return {"one": data["zero"]}


@attrs.frozen
class Item:
    x: object
    _y: object = 2


@attrs.define(slots=False, eq=True)
class Open:
    x: object = 1


@dataclasses.dataclass
class Data:
    x: object
    y: Any = dataclasses.field(default=None, init=False)


class Model(pydantic.BaseModel, extra="allow"):
    x: Any = None
    _y: Any = 1


class Struct(msgspec.Struct):
    x: object
    y: object = 1


class Pair(NamedTuple):
    x: object
    y: object = 1


class Color(enum.Enum):
    RED = 1


KNOWN = [Query, Loose, Item, Open, Data, Model, Struct, Pair, Color]
VALUES = Values(KNOWN)
TEXTS = TextValues(
    KNOWN, None, lambda v: json.dumps(VALUES.encode(v)), lambda t: VALUES.decode(json.loads(t))
)

# ---------------------------------------------------------------- values

texts = st.text(st.characters()) | st.text(
    st.characters(min_codepoint=0xD7FF, max_codepoint=0xE000)
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(2**62, 2**70),
    st.floats(allow_nan=False),
    texts,
    st.binary(max_size=5),
    st.complex_numbers(allow_nan=False),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.dates(),
    st.times(),
    st.times(timezones=st.just(timezone(timedelta(minutes=7)))),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.timedeltas(),
    st.sampled_from([Color.RED, Query, Item, int, ValueError, ...]),
)
names = st.text(st.sampled_from(string.ascii_letters + "$ _é"), max_size=3)
hashable = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(inner, max_size=3),
        st.builds(Pair, inner, inner),
        st.builds(Query, text=inner, limit=inner),
        st.dictionaries(names, inner, max_size=3).map(lambda d: Event(**d)),
    ),
    max_leaves=5,
)


def containers(inner):
    fields = st.dictionaries(names.filter(lambda n: n not in {"one", "result"}), inner, max_size=3)
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(collections.deque),
        st.dictionaries(names, inner, max_size=3),
        st.dictionaries(hashable, inner, max_size=3),
        st.dictionaries(hashable, inner, max_size=3).map(collections.OrderedDict),
        st.dictionaries(hashable, inner, max_size=3).map(
            lambda d: collections.defaultdict(list, d)
        ),
        st.sets(hashable, max_size=3),
        st.builds(Query, text=inner, limit=inner),
        st.builds(lambda one, more: Loose(one=one, **more), inner, fields),
        st.builds(lambda result, more: StopEvent(result, **more), inner, fields),
        st.builds(Item, inner, inner),
        st.builds(Open, inner),
        st.builds(Data, inner),
        st.builds(lambda x, more: Model(x=x, more=more), inner, inner),
        st.builds(Struct, inner, inner),
        st.builds(Pair, inner, inner),
    )


values = st.recursive(leaves, containers, max_leaves=12)


@given(values)
@settings(max_examples=300, deadline=None)
def test_every_value_comes_back(value):
    data = VALUES.encode(value)
    text = json.dumps(data, sort_keys=True, allow_nan=False, ensure_ascii=False)
    again = VALUES.decode(json.loads(text.encode()))
    assert type(again) is type(value)
    assert again == value
    assert json.dumps(VALUES.encode(again), sort_keys=True, ensure_ascii=False) == text


@given(values)
@settings(max_examples=100, deadline=None)
def test_every_value_comes_back_through_somebody_elses_serializer(value):
    again = TEXTS.decode(json.loads(json.dumps(TEXTS.encode(value), sort_keys=True)))
    assert type(again) is type(value)
    assert again == value


# ---------------------------------------------------------------- data

TAGS = sorted({leaf.tag for leaf in LEAVES.values()} | set(VALUES._readers))
NAMES = [
    *(
        kind.__plait_name__ if issubclass(kind, Event) else f"{__name__}.{kind.__name__}"
        for kind in KNOWN
    ),
    *("plait.Event", "plait.StopEvent", "builtins.ValueError", "builtins.ExceptionGroup"),
    *("builtins.OSError", "builtins.int", "plait.errors.Waiting", "app.Gone", "RED"),
]
FIELDS = ["x", "y", "_y", "text", "limit", "one", "zero", "result", "beside", "order", "extra"]
FIELDS += ["private", "set", "cause", "members", "notes", "attributes", "bare", "__class__", "$"]
atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.integers(),
    st.floats(),
    st.sampled_from(NAMES),
    st.text(max_size=4),
    st.sampled_from(
        ["nan", "1.5", "YQ==", "0x8000000000000000", "2026-01-02", "Europe/Berlin", "1"]
    ),
    st.sampled_from(
        ["2026-01-02T03:04:05", "03:04:05", "a/b", "00000000-0000-0000-0000-000000000007"]
    ),
)


def shapes(inner):
    fields = st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3)
    parts = st.lists(inner | fields, max_size=4)
    return st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=2), inner, max_size=3),
        st.builds(lambda tag, parts: {"$": [tag, *parts]}, st.sampled_from(TAGS), parts),
        st.builds(
            lambda tag, name, parts: {"$": [tag, name, *parts]},
            st.sampled_from(["object", "event", "error", "enum", "class", "event-class"]),
            st.sampled_from(NAMES),
            parts,
        ),
        st.builds(
            lambda name, version, fields: {"$": ["event", name, version, fields]},
            st.sampled_from(NAMES),
            st.integers(0, 3),
            fields,
        ),
    )


data = st.recursive(atoms, shapes, max_leaves=15)


@given(data)
@settings(max_examples=1000, deadline=None)
@example({"$": ["event", "fuzz.loose", 1, {"zero": {"$": ["set", [1]]}}]})
@example({"$": ["error", "builtins.OSError", "x", [], {"members": []}]})
def test_all_data_is_a_value_or_an_error_with_a_place(data):
    before = copy.deepcopy(data)
    try:
        value = VALUES.decode(data, at="here")
    except ContextSerdeError as error:
        assert str(error).startswith("here")  # noqa: PT017
    else:
        VALUES.encode(value)
    assert repr(data) == repr(before)


@given(values, st.data())
@settings(max_examples=300, deadline=None)
def test_a_value_that_was_tampered_with_is_a_value_or_an_error(value, draw):
    """Something is taken out, put in or put in another place of what plait has written."""
    data = json.loads(json.dumps(VALUES.encode(value)))
    places = [*within(data)]
    if not places:
        return
    holder, key = draw.draw(st.sampled_from(places))
    match draw.draw(st.sampled_from(["drop", "other", "double"])):
        case "drop":
            del holder[key]
        case "other":
            holder[key] = draw.draw(atoms | st.just([]) | st.just({}))
        case "double" if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        case "double":
            holder[f"{key}x"] = holder[key]
    with contextlib.suppress(ContextSerdeError):
        VALUES.encode(VALUES.decode(data))


def within(data):
    if isinstance(data, dict | list):
        for key, part in data.items() if isinstance(data, dict) else enumerate(data):
            yield data, key
            yield from within(part)
