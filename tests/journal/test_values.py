"""The codec of users' values: what comes back is what was there, and nothing else does."""

import enum
import itertools
import json
import math
import os
import subprocess
import sys
import threading
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from uuid import UUID

import attrs
import pytest

from plait import Event, StartEvent, StopEvent
from plait._journal.objects import DEEPEST
from plait._journal.values import Values
from plait.errors import ContextSerdeError
from plait.events import StepState


@attrs.frozen
class Item:
    price: object = 1


class Query(Event):
    text: str
    found: object = None


class Color(enum.Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796 - another name
    GREEN = (1, "x")


class Size(enum.IntEnum):
    SMALL = 1


class Way(enum.StrEnum):
    UP = "up"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Keeping(enum.Flag, boundary=enum.KEEP):
    ONE = 1


VALUES = Values([Item, Query, Color, Size, Way, Right, Keeping], "workflow 'W'")


def to_text(data):
    return json.dumps(data, sort_keys=True, allow_nan=False, ensure_ascii=False)


def through(value, values=VALUES):
    """What comes back through a file: JSON with sorted keys, in UTF-8."""
    return values.decode(json.loads(to_text(values.encode(value)).encode()))


def same(a, b):
    """Equal, of the same classes and in the same order, NaN included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float | complex):
        return repr(a) == repr(b)
    if isinstance(a, dict):
        return len(a) == len(b) and all(
            same(x, y) for x, y in zip(a.items(), b.items(), strict=True)
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")

ROUND = [
    None,
    True,
    0,
    -0.0,
    1.0,
    "",
    "é🙂",
    "a\x00b",
    [],
    {},
    [1, [2, {"a": None}]],
    {"a": {"b": 1}},
    2**63,
    2**63 - 1,
    -(2**63),
    -(2**63) - 1,
    10**5000,
    math.inf,
    -math.inf,
    math.nan,
    "\ud800",
    "\ud83d\ude42",
    complex(0.0, -0.0),
    complex("nan+infj"),
    b"",
    b"\x00\xff",
    bytearray(b"x"),
    (),
    (1, (2,)),
    [(1,)],
    set(),
    {1, "a", (2, 3)},
    frozenset({frozenset({1})}),
    {1: 2, (3, 4): {5}, None: 1.5, "a": 1},
    {"b": 1, "a": 2},
    {"a": 1, "\ud800": 2},
    {Way.UP: 1},
    deque([1, 2]),
    deque([1, 2], 5),
    deque(maxlen=0),
    OrderedDict(b=1, a=2),
    Counter("aab"),
    defaultdict(list, {"b": [1], "a": []}),
    defaultdict(None, {1: 2}),
    range(1, 10, 3),
    ...,
    Decimal("1.20"),
    Decimal("-Infinity"),
    Decimal("1E+400"),
    UUID(int=7),
    Path("a/b"),
    Path("/"),
    Path(os.fsdecode(b"a\xff")),
    PurePosixPath("a"),
    PureWindowsPath("C:\\a"),
    date(2026, 1, 2),
    date.min,
    time(1, 2, 3, 4),
    time(1, tzinfo=UTC, fold=1),
    timedelta(-1, 3, 4),
    timedelta.max,
    datetime(2026, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001 - a naive one
    datetime(2026, 1, 2, tzinfo=UTC),
    datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-3, microseconds=1))),
    datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
    datetime.max,  # noqa: DTZ901 - as above
    UTC,
    timezone(timedelta(hours=1), "CET"),
    BERLIN,
    Color.RED,
    Color.CRIMSON,
    Color.GREEN,
    Size.SMALL,
    Way.UP,
    Right.READ | Right.WRITE,
    Right(0),
    Keeping(9),
    StepState.RUNNING,
    Item({"a": (1,)}),
    Query(text="x", found=Query(text="é")),
    Event(b=1, a=Item()),
    int,
    type(None),
    dict,
    datetime,
    Item,
    Query,
    StartEvent,
    Color,
    ValueError,
    ContextSerdeError,
]


@pytest.mark.parametrize(
    "value", ROUND, ids=[f"{type(v).__name__}-{n}" for n, v in enumerate(ROUND)]
)
def test_a_value_comes_back_as_it_was(value):
    assert same(through(value), value)
    assert same(through([value, {"a": (value,)}]), [value, {"a": (value,)}])
    for holder in (Query(text=value, found=value), Event(x=value), Event(z=value, a=1)):
        assert same(list(through(holder).to_dict().values()), list(holder.to_dict().values()))
    assert same(through(Item(value)).price, value)


def test_names_of_time_zones_and_folds_come_back():
    """Equality of times does not see them."""
    cet = through(timezone(timedelta(hours=1), "CET"))
    assert cet.tzname(None) == "CET"
    late = through(datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1))
    assert (late.fold, late.tzinfo, late.utcoffset()) == (1, BERLIN, timedelta(hours=1))
    assert through(time(1, fold=1)).fold == 1
    assert through(datetime(2026, 1, 1, fold=1)).fold == 1  # noqa: DTZ001


def test_what_json_has_is_written_as_it_is():
    plain = {"a": [1, 2.5, "é", None, True, {"b": {}}]}
    assert VALUES.encode(plain) == plain


@pytest.mark.parametrize(
    "value",
    [
        {"$": ["set", [1]]},
        {"$": 1},
        {"$": {"$": []}},
        {"$": ["event", "plait.Event", 1, {}], "a": 1},
        {"a": {"$": None}},
    ],
)
def test_a_dict_that_looks_like_a_tag_is_not_taken_for_one(value):
    assert same(through(value), value)
    assert through(Event(x=value)) == Event(x=value)
    assert through(Event(**value)) == Event(**value)


def test_the_order_of_a_dict_outlives_sorted_keys():
    """A body that goes through a dict does so in the same order after a restart."""
    assert [*through({"z": 1, "a": 2})] == ["z", "a"]
    assert [*through(Event(z=1, a=2))] == ["z", "a"]
    assert [*through(StopEvent(1, z=1, a=2)).keys()] == ["z", "a"]


def test_a_set_is_written_alike_in_every_process():
    """Texts have another hash in each."""
    program = (
        "from plait._journal.values import Values;"
        "print(Values().encode({'a', 'b', 'c', 'd', (1, 'e'), 2, None}))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "123"
    }
    assert len(said) == 1


def test_nothing_is_shared():
    inner = [1]
    value = {"a": inner, "b": Item(inner), "c": Event(x=inner)}
    data = VALUES.encode(value)
    before = to_text(data)
    inner.append(2)
    assert to_text(data) == before
    read, again = VALUES.decode(data), VALUES.decode(data)
    read["a"].append(3)
    read["b"].price.append(3)
    read["c"].x.append(3)
    assert again == {"a": [1], "b": Item([1]), "c": Event(x=[1])}
    assert to_text(data) == before


def test_each_result_of_encode_is_another_one():
    for value in (Color.RED, Item(), Query(text="a"), (1,), [1], {"b": 1, "a": 2}):
        one = VALUES.encode(value)
        next(iter(one.values())).clear() if isinstance(one, dict) else one.clear()
        assert VALUES.decode(VALUES.encode(value)) == value


# ---------------------------------------------------------------- refused when written


class Plain:
    pass


class Name(str):
    __slots__ = ()


class Zone(tzinfo):
    pass


@attrs.frozen
class Unknown:
    pass


class UnknownEvent(Event):
    pass


UnknownColor = enum.Enum("UnknownColor", "RED")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        *((Unknown(), "Unknown"), (UnknownEvent(), "UnknownEvent"), (Unknown, "Unknown")),
        *((UnknownColor.RED, "UnknownColor"), (UnknownEvent, "UnknownEvent"), (Plain, "Plain")),
    ],
)
def test_a_class_that_is_not_known_is_refused_with_the_cure(value, name):
    text = (
        f"state.items[2].price: Class {__name__}.{name} is not known to workflow 'W'. "
        f"Pass JsonSerializer(allowed_types=[{name}])."
    )
    with pytest.raises(ContextSerdeError) as caught:
        VALUES.encode({"items": [1, 2, Item(value)]}, at="state")
    assert str(caught.value) == text


def test_without_an_owner_the_text_names_none():
    with pytest.raises(ContextSerdeError, match=r"Unknown is not known\. Pass JsonSer"):
        Values().encode(Unknown())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (lambda: 1, "A value of type function cannot be stored"),
        (threading.Lock(), "A value of type _thread.lock cannot be stored"),
        (object(), "A value of type object cannot be stored"),
        ((n for n in ()), "A value of type generator cannot be stored"),
        (Plain(), "Plain cannot be stored. It is neither JSON nor of a class that declares fields"),
        (Name("x"), "Name cannot be stored. It is more than the str"),
        (datetime(2026, 1, 1, tzinfo=Zone()), "A time zone of type Zone cannot be stored"),
        (timezone(timedelta(1) / 2, "\ud800"), "the name of a time zone is no text"),
        (memoryview(b""), "A value of type memoryview cannot be stored"),
        (list[int], "A value of type types.GenericAlias cannot be stored"),
    ],
)
def test_what_is_no_data_is_refused_with_place_and_type(value, text):
    with pytest.raises(ContextSerdeError) as caught:
        VALUES.encode(Query(text="a", found={"a b": [value]}), at="steps.s.queue[0]")
    assert str(caught.value).startswith("steps.s.queue[0].found['a b'][0]: ")
    assert text in str(caught.value)


def test_an_open_file_is_refused(tmp_path):
    with (
        (tmp_path / "f").open("w") as file,
        pytest.raises(ContextSerdeError, match=r"^f: A value of type _io\.TextIOWrapper"),
    ):
        VALUES.encode(file, at="f")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({1: object()}, "[1]"),
        ({("a", 1): object()}, "[('a', 1)]"),
        ({"$": object()}, "['$']"),
        ({object(): 1}, "[<object object at"),
        ([[0, object()]], "[0][1]"),
        ((0, object()), "[1]"),
        (deque([0, object()]), "[1]"),
        (Event(a=1, x=object()), "x"),
        (Event(z=1, a=object()), "a"),
        (StopEvent([object()]), "result[0]"),
        (defaultdict(lambda: 1), "A value of type function"),
    ],
)
def test_the_place_is_told_whatever_it_lies_in(value, place):
    with pytest.raises(ContextSerdeError) as caught:
        VALUES.encode(value)
    assert str(caught.value).startswith(place)


def test_a_place_that_is_very_deep_is_cut():
    value = object()
    for _ in range(60):
        value = {"a_rather_long_name": value}
    with pytest.raises(ContextSerdeError) as caught:
        VALUES.encode(value)
    place, _, _ = str(caught.value).partition(": ")
    assert len(place) < 250
    assert "…" in place


# ---------------------------------------------------------------- depth

WRAPS = {
    "list": lambda inner: [inner],
    "dict": lambda inner: {"a": inner},
    "pairs": lambda inner: {1: inner},
    "tuple": lambda inner: (inner,),
    "object": Item,
    "event": lambda inner: Query(text="", found=inner),
    "open event": lambda inner: Event(x=inner),
    "odd event": lambda inner: Event(z=inner, a=1),
    "frozenset": lambda inner: frozenset({inner}),
}
SHELLS = {
    **{
        n: to_text(VALUES.encode(wrap("INNER"))).replace('"INNER"', "INNER")
        for n, wrap in WRAPS.items()
    },
    "error": '{"$":["error","builtins.ValueError","x",["x"],{"cause":INNER}]}',
}


def nested(wrap, depth):
    value = None
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize("name", WRAPS)
def test_depth_is_bounded_and_what_is_written_can_be_read(name):
    wrap = WRAPS[name]
    deep = nested(wrap, DEEPEST - (name == "odd event"))  # it has a list of names, too
    data = VALUES.encode(deep)
    assert VALUES.decode(json.loads(to_text(data))) == deep
    with pytest.raises(ContextSerdeError, match="more than 100 levels deep"):
        VALUES.encode(wrap(deep))


@pytest.mark.parametrize("name", SHELLS)
def test_data_that_is_too_deep_is_refused(name):
    """Whoever wrote it: this one did not stop."""
    text = "null"
    for _ in range(DEEPEST + 1 + (name == "error")):
        text = SHELLS[name].replace("INNER", text)
    with pytest.raises(ContextSerdeError, match="more than 100 levels deep"):
        VALUES.decode(json.loads(text))


def test_a_value_that_contains_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(ContextSerdeError, match="does it contain itself"):
        VALUES.encode(loop)


def test_a_stack_that_is_nearly_full_is_a_clear_error():
    """The depth that is left differs: it is an error of plait's, whatever was reached."""
    deep = nested(WRAPS["list"], DEEPEST)
    data = VALUES.encode(deep)

    def down(n):
        return down(n - 1) if n else (VALUES.encode(deep), VALUES.decode(data))

    reached = 0
    for left in itertools.chain(range(900, 990, 10)):
        try:
            down(left)
            reached += 1
        except ContextSerdeError as error:
            assert "what is left of the stack" in str(error)  # noqa: PT017
            break
        except RecursionError:
            break  # before plait was called
    assert reached < 9


# ---------------------------------------------------------------- refused when read


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ((1, 2), "not JSON: (1, 2)"),
        ({1}, "not JSON: {1}"),
        (math.nan, "not JSON: nan"),
        (math.inf, "not JSON: inf"),
        (b"a", "not JSON: b'a'"),
        ({1: 2}, "[1]: not JSON: a key that is no text"),
        ({"$": ["set", [1]], "a": 1}, "a tag has something beside it"),
        ({"$": "set"}, "not a list: 'set'"),
        ({"$": []}, "an unknown tag: None"),
        ({"$": [1]}, "an unknown tag: 1"),
        ({"$": [["set"]]}, "an unknown tag: ['set']"),
        ({"$": ["pickle", "x"]}, "an unknown tag: 'pickle'"),
        ({"$": ["text", "x"]}, "an unknown tag: 'text'"),
        ({"$": ["set"]}, "no set: ValueError"),
        ({"$": ["set", [1], 2]}, "no set: ValueError"),
        ({"$": ["set", [1, 1]]}, "an item that was there already"),
        ({"$": ["set", [[]]]}, "no item of a set: unhashable"),
        ({"$": ["set", {}]}, "not a list: {}"),
        ({"$": ["dict", [[1, 2], [1, 3]]]}, "[1]: a key that was there already"),
        ({"$": ["dict", [[1]]]}, "[0]: no pair"),
        ({"$": ["dict", [[[], 1]]]}, "[0]: no pair of a key and a value: unhashable"),
        ({"$": ["dict", {}]}, "not a list: {}"),
        ({"$": ["deque", [1, 2], 1]}, "more items than a deque may have"),
        ({"$": ["deque", [1, 2], -1]}, "more items than a deque may have"),
        ({"$": ["default-dict", [], 1]}, "not a class: 1"),
        ({"$": ["complex", [1, 2]]}, "not two numbers"),
        ({"$": ["int", "0x1"]}, "not as plait writes it: '0x1'"),
        ({"$": ["int", 5]}, "not a text: 5"),
        ({"$": ["int", "0x_8000_0000_0000_0000"]}, "not as plait writes it"),
        ({"$": ["float", "1.5"]}, "not as plait writes it: '1.5'"),
        ({"$": ["float", "NaN"]}, "not as plait writes it"),
        ({"$": ["str", "YQ"]}, "no str"),
        ({"$": ["bytes", "YQ"]}, "no bytes"),
        ({"$": ["bytes", "YR=="]}, "not as plait writes it"),
        ({"$": ["bytes", "é"]}, "no bytes: UnicodeEncodeError"),
        ({"$": ["decimal", "1_0"]}, "not as plait writes it"),
        ({"$": ["decimal", "x"]}, "no decimal"),
        ({"$": ["decimal", 1]}, "not a text: 1"),
        ({"$": ["uuid", "00000000000000000000000000000007"]}, "not as plait writes it"),
        ({"$": ["path", "a//b"]}, "not as plait writes it: ['a//b']"),
        ({"$": ["path", "YQ==", "hex"]}, "not as plait writes it"),
        ({"$": ["date", "20260102"]}, "not as plait writes it"),
        ({"$": ["date", "2026-13-01"]}, "no date"),
        ({"$": ["time", "01:00", None, 0]}, "not as plait writes it"),
        ({"$": ["time", "01:00:00+01:00", None, 0]}, "two time zones"),
        ({"$": ["datetime", "2026-01-02"]}, "not as plait writes it"),
        ({"$": ["datetime", "2026-01-02T00:00:00+01:00"]}, "two time zones"),
        ({"$": ["datetime", "2026-01-02T00:00:00", "../x", 0]}, "no name of a time zone"),
        ({"$": ["datetime", "2026-01-02T00:00:00", "No/Where", 0]}, "no datetime"),
        ({"$": ["datetime", "2026-01-02T00:00:00", None, 2]}, "no datetime"),
        ({"$": ["datetime", "2026-01-02T00:00:00", [0, 1], 0]}, "no datetime"),
        ({"$": ["timedelta", 0, 86400, 0]}, "not as plait writes it"),
        ({"$": ["timedelta", 0, True, 0]}, "not a whole number: True"),
        ({"$": ["timezone", None]}, "no time zone"),
        ({"$": ["timezone", [2, 0, 0]]}, "no timezone"),
        ({"$": ["range", 0, 1, 0]}, "no range"),
        ({"$": ["...", 1]}, "no ...: TypeError"),
        ({"$": ["enum", f"{__name__}.Color", "BLUE"]}, "Color has no member 'BLUE'"),
        ({"$": ["enum", f"{__name__}.Color", 1]}, "not a text: 1"),
        ({"$": ["enum", f"{__name__}.Right", 9]}, "no enum"),
        ({"$": ["enum", f"{__name__}.Item", "RED"]}, "Item is no enum"),
        ({"$": ["enum", "os.Color", "RED"]}, "Class os.Color is not known to workflow 'W'"),
        ({"$": ["class", "os.system"]}, "Class os.system is not known to workflow 'W'"),
        ({"$": ["class", 1]}, "not a text: 1"),
        ({"$": ["event-class", f"{__name__}.Item"]}, "Item is not known to workflow 'W'"),
        ({"$": ["object", f"{__name__}.Item", {"cost": 1}]}, "Item has no field 'cost'"),
        ({"$": ["object", f"{__name__}.Item", {}, {}, {}]}, "too much for an object"),
        ({"$": ["object", f"{__name__}.Item", {}, {"order": []}]}, "unknown: 'order'"),
        ({"$": ["object", f"{__name__}.Item", []]}, "not a mapping of names: []"),
        ({"$": ["object", f"{__name__}.Item"]}, "too much for an object"),
        ({"$": ["object", f"{__name__}.Color", {}]}, "are not stored by their fields"),
        ({"$": ["object", f"{__name__}.Query", {}]}, "Query is not known to workflow 'W'"),
        ({"$": ["object", ["x"], {}]}, "no object: TypeError: unhashable"),
        ({"$": ["event", f"{__name__}.Query", 1, {}]}, "Query needs a field 'text'"),
        ({"$": ["event", f"{__name__}.Query", 1, {"text": "a", "x": 1}]}, "Query has no field 'x'"),
        ({"$": ["event", f"{__name__}.Query", 2, {"text": "a"}]}, "cannot load version 2"),
        ({"$": ["event", f"{__name__}.Query", True, {"text": "a"}]}, "not a whole number: True"),
        ({"$": ["event", f"{__name__}.Query", 1.0, {"text": "a"}]}, "not a whole number: 1.0"),
        ({"$": ["event", "app.Gone", 1, {}]}, "Class app.Gone is not known to workflow 'W'"),
        ({"$": ["event", "plait.Event", 1, {"__plait_undeclared__": 1}]}, "Event has no field"),
        (
            {"$": ["event", "plait.Event", 1, {"a": 1}, {"order": []}]},
            "the order of the undeclared",
        ),
        ({"$": ["event", "plait.Event", 1, {"a": 1}, {"order": [1]}]}, "not a text: 1"),
        ({"$": ["unset", 1]}, "unset has no arguments"),
    ],
)
def test_what_plait_does_not_write_is_refused(data, text):
    with pytest.raises(ContextSerdeError) as caught:
        VALUES.decode(data)
    assert text in str(caught.value)
    with pytest.raises(ContextSerdeError) as caught:
        VALUES.decode({"items": [1, {"$": ["tuple", [data]]}]}, at="state")
    assert str(caught.value).startswith("state.items[1][0]")
    assert text in str(caught.value)


def test_a_name_imports_nothing_and_calls_nothing():
    """Not even an attribute of a module is asked for: it may have a hook."""
    before = set(sys.modules)
    for name in ("antigravity.x", "this.x", "os.system", "plait.nothing.X", "builtins.eval"):
        for data in (
            {"$": ["class", name]},
            {"$": ["event", name, 1, {}]},
            {"$": ["object", name, {}]},
            {"$": ["enum", name, "A"]},
        ):
            with pytest.raises(ContextSerdeError, match="is not known"):
                VALUES.decode(data)
    assert set(sys.modules) == before


def test_one_name_of_two_classes_is_neither_written_nor_read():
    class One(Event, name="shop.query"):
        pass

    class Two(Event, name="shop.query"):
        pass

    def local():
        @attrs.frozen
        class Local:
            pass

        return Local

    first, second = local(), local()
    values = Values([One, Two, first, second, Item])
    places = f"{__name__}.{One.__qualname__} and {__name__}.{Two.__qualname__}"
    text = f"Two event classes claim the name 'shop.query': {places}."
    for attempt in (
        lambda: values.encode(One()),
        lambda: values.decode({"$": ["event", "shop.query", 1, {}]}),
    ):
        with pytest.raises(ContextSerdeError) as caught:
            attempt()
        assert str(caught.value) == text
    with pytest.raises(ContextSerdeError, match=r"Two classes claim the name '.*Local'"):
        values.encode(first())
    assert through(Item(), values) == Item()
    again = Values([first, first, One, One])
    assert again.decode(again.encode(One())) == One()


def test_a_class_of_the_same_name_is_another_class():
    """As one that was defined again, in a notebook."""

    def define():
        class Again(Event, name="shop.again"):
            n: int = 0

        return Again

    old, new = define(), define()
    values = Values([new])
    assert values.decode(values.encode(new(n=1))) == new(n=1)
    with pytest.raises(ContextSerdeError, match=r"Again is not known"):
        values.encode(old(n=1))


def test_a_container_that_another_thread_changes_is_written_whole():
    """Never `dictionary changed size during iteration`."""
    shared, items, done = {}, deque(maxlen=50), threading.Event()
    before = sys.getswitchinterval()

    def change():
        for n in itertools.count():
            shared[n % 50] = n
            shared.pop((n * 7) % 50, None)
            items.append(n)
            if done.is_set():
                return

    thread = threading.Thread(target=change)
    thread.start()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(300):
            VALUES.encode([shared, items, {*range(9)}])
    finally:
        sys.setswitchinterval(before)
        done.set()
        thread.join()
