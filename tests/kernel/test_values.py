"""What goes into the kernel and what comes out are plain values, and all of them are known here.

The strategies are one module; whoever adds a stimulus, a record or an effect adds its strategy, or
these tests fail. Journal, stream and pictures read the same classes, so what a value can do is a
promise: it is equal to its copy, can be hashed, carries nothing but its fields, and says what it is.
"""

from __future__ import annotations

import copy
import inspect
from types import ModuleType
from typing import get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._kernel import effects, records, stimuli
from plait._kernel import value as values
from tests.kernel.strategies import EFFECTS, OUTCOMES, RECORDS, STIMULI

#: What is never by itself, but in a field of a record.
PARTS = {records.Listed}
EVERY_VALUE = {**STIMULI, **RECORDS, **OUTCOMES, **EFFECTS}


@pytest.mark.parametrize(
    ("table", "union"),
    [
        pytest.param(STIMULI, stimuli.Stimulus, id="stimuli"),
        pytest.param(RECORDS, records.Record, id="records"),
        pytest.param(OUTCOMES, records.Outcome, id="outcomes"),
        pytest.param(EFFECTS, effects.Effect, id="effects"),
    ],
)
def test_every_class_of_a_union_has_a_strategy(table: dict[type, object], union: object):
    assert {*table} == {*get_args(union)}


@pytest.mark.parametrize(
    ("module", "unions"),
    [
        pytest.param(stimuli, [stimuli.Stimulus], id="stimuli"),
        pytest.param(records, [records.Record, records.CallRecord, records.Outcome], id="records"),
        pytest.param(effects, [effects.Effect], id="effects"),
    ],
)
def test_every_class_of_a_module_is_in_its_union(module: ModuleType, unions: list[object]):
    defined = {
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
    }
    members = {kind for union in unions for kind in get_args(union)}
    assert defined - PARTS == {kind for kind in members if kind.__module__ == module.__name__}


@given(st.one_of(st.tuples(st.just(kind), values) for kind, values in EVERY_VALUE.items()))
def test_a_strategy_makes_the_class_that_it_stands_for(made: tuple[type, object]):
    kind, value = made
    assert type(value) is kind


@given(st.one_of(*EVERY_VALUE.values()))
def test_a_value_is_equal_to_its_copy_and_hashes_alike(value: attrs.AttrsInstance):
    again = copy.copy(value)
    assert again == value
    assert hash(again) == hash(value)


@given(st.one_of(*EVERY_VALUE.values()), st.data())
def test_a_value_with_another_field_is_another_value(
    value: attrs.AttrsInstance, data: st.DataObject
):
    fields = attrs.fields(type(value))
    if not fields:
        return
    changed = data.draw(st.sampled_from(fields)).name
    other = attrs.evolve(value, **{changed: "something else"})
    assert other != value


@given(st.one_of(*EVERY_VALUE.values()))
def test_a_value_carries_nothing_but_its_fields_and_shows_each(value: attrs.AttrsInstance):
    assert not hasattr(value, "__dict__")
    text = repr(value)
    assert text.startswith(f"{type(value).__name__}(")
    for field in attrs.fields(type(value)):
        assert f"{field.name}={getattr(value, field.name)!r}" in text


@pytest.mark.parametrize("kind", EVERY_VALUE, ids=lambda kind: kind.__name__)
def test_a_value_can_be_matched_by_position(kind: type):
    assert kind.__match_args__ == tuple(field.name for field in attrs.fields(kind))


def test_every_record_says_when_it_happened():
    for kind in get_args(records.Record):
        assert attrs.fields(kind)[0].name == "at"


def test_every_stimulus_says_what_time_it_is():
    for kind in get_args(stimuli.Stimulus):
        assert attrs.fields(kind)[0].name == "now"


@values.value
class Nothing:
    pass


@values.value
class Pair:
    left: object
    right: object = attrs.field(default=None, hash=False)
    shown: int = attrs.field(default=0, eq=False)
    aside: int = attrs.field(default=0, eq=False, repr=False)


@values.mutable
class Box:
    size: int = attrs.field(default=0, eq=abs)
    other: object = None


class Other(Pair):
    __slots__ = ()


def test_what_is_not_compared_makes_no_difference():
    assert Nothing() == Nothing() != Pair(1)
    assert hash(Nothing()) == hash(Nothing())
    assert Pair(1) == Pair(1, aside=2, shown=3)
    assert Pair(1) != Pair(2)
    assert Pair(1) != Pair(1, 2)
    assert hash(Pair(1)) == hash(Pair(1, 2, shown=3)) != hash(Pair(2))
    assert Pair(1) != (1, None)


def test_no_value_is_equal_to_one_of_a_subclass():
    assert Pair(1) != Other(1)
    assert Other(1) != Pair(1)
    assert repr(Other(1)) == "Other(left=1, right=None, shown=0)"


def test_a_field_that_is_compared_by_a_key_is_equal_by_it():
    assert Box(-1) == Box(1)
    assert Box(-1) != Box(2)
    assert Box(1, 2) != Box(1, 3)


def test_what_changes_has_no_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Box())


def test_what_holds_itself_can_be_shown():
    box = Box(1)
    box.other = box
    assert repr(box) == "Box(size=1, other=...)"
