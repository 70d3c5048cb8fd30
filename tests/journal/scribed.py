"""Every record of a function's run and of an app's stream, by chance, out of its annotations."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from plait._journal import app_kinds, call_kinds, life_kinds
from plait._kernel.admission import records as app_records
from plait._kernel.admission import snapshot
from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import Op, Where
from plait._kernel.calls.refusals import Differs
from plait._kernel.functions.reasons import Why
from tests.kernel.calls.test_keys import KEY

TEXT = st.text(max_size=6)
NUMBER = st.integers(1, 2**53)
COUNT = st.integers(0, 2**53)
SECONDS = st.floats(allow_nan=False, allow_infinity=False)
#: What users' values are when they come.
JSON: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | SECONDS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def many(*members: SearchStrategy[Any]) -> SearchStrategy[tuple[Any, ...]]:
    """A tuple of any length; of rows, if a row has several members."""
    one = members[0] if len(members) == 1 else st.tuples(*members)
    return st.lists(one, max_size=2).map(tuple)


BY_ANNOTATION: dict[object, SearchStrategy[Any]] = {
    float: SECONDS,
    float | None: st.none() | SECONDS,
    int: COUNT,
    int | None: st.none() | COUNT,
    bool: st.booleans(),
    str: TEXT,
    str | None: st.none() | TEXT,
    object: JSON,
    Key: KEY,
    Op: st.sampled_from(get_args(Op)),
    Where: many(TEXT),
    Where | None: st.none() | many(TEXT),
    app_records.Knob: st.sampled_from(get_args(app_records.Knob)),
    app_records.Waited | None: st.none()
    | st.tuples(st.sampled_from(["debounce", "batch_events"]), TEXT),
    tuple[int, ...]: many(NUMBER),
    snapshot.Marks: many(TEXT, TEXT, SECONDS),
    tuple[object, ...]: many(JSON),
    tuple[Key, ...]: many(KEY),
}
EXCEPTIONS: dict[tuple[type, str], SearchStrategy[Any]] = {
    (app_records.EventReceived, "number"): NUMBER,
    (app_records.EventReceived, "ts"): st.integers(),
    (app_records.Need, "place"): st.integers(-1, 9),
    (snapshot.HeldPicture, "event"): NUMBER,
    (Differs, "what"): st.sampled_from(["op", "handler", "where"]),
    (Differs, "before"): TEXT | many(TEXT),
    (Differs, "now"): TEXT | many(TEXT),
}


def by_chance(cls: type) -> SearchStrategy[Any]:
    """Any object of a class of values."""
    hints = get_type_hints(cls)
    found: dict[str, SearchStrategy[Any]] = {}
    for field in attrs.fields(cls):
        place = cls, field.name
        known = place in EXCEPTIONS
        found[field.name] = EXCEPTIONS[place] if known else BY_ANNOTATION[hints[field.name]]
    return st.builds(cls, **found)


BY_ANNOTATION[Why] = st.one_of(*map(by_chance, get_args(Why)))
BY_ANNOTATION[tuple[app_records.Need, ...]] = many(by_chance(app_records.Need))
BY_ANNOTATION[app_records.Keys] = by_chance(app_records.Keys)
HELD = by_chance(snapshot.HeldPicture)
FUNCTION = {
    "passed": many(TEXT, many(SECONDS)),
    "tats": many(TEXT, SECONDS),
    "bursts": many(TEXT, HELD, SECONDS, SECONDS),
    "batches": many(TEXT, SECONDS, many(HELD)),
}
PICTURE = {
    "events": many(by_chance(app_records.EventReceived)),
    "runs": many(by_chance(snapshot.RunPicture)),
    "functions": many(st.builds(snapshot.FunctionPicture, TEXT, **FUNCTION)),
    "later": many(TEXT, SECONDS, HELD),
}
EXCEPTIONS.update({(snapshot.Picture, name): one for name, one in PICTURE.items()})
EXCEPTIONS[app_records.AppSnapshot, "state"] = by_chance(snapshot.Picture)

#: One strategy for each kind, by its tag.
CALLS = {kind.tag: by_chance(kind.cls) for kind in call_kinds.KINDS}
LIVES = {kind.tag: by_chance(kind.cls) for kind in life_kinds.KINDS}
APP = {kind.tag: by_chance(kind.cls) for kind in app_kinds.KINDS}
