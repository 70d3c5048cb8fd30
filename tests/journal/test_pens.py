"""A pen writes what the form of its class makes, and an encoder would write."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._journal import app_kinds, life_kinds
from plait._journal.codec import to_bytes
from plait._journal.scribes import AS_THEY_COME
from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallCompleted, CallStarted
from tests.journal.scribed import APP, CALLS, LIVES

EACH = [
    *((life_kinds.REGISTRY, records) for records in (*CALLS.values(), *LIVES.values())),
    *((app_kinds.REGISTRY, records) for records in APP.values()),
]


def texts(registry: Any, record: object) -> tuple[bytes, bytes] | None:
    kind, form = registry.by_class[type(record)]
    pen = registry.pens.get(type(record))
    if pen is None:
        return None
    fields = cast("dict[str, object]", form.write(record, AS_THEY_COME))
    if kind.keyed:
        del fields["key"]
    at_once = pen.write(record, AS_THEY_COME, lambda data: to_bytes(data).decode())
    return at_once.encode("utf-8", "surrogatepass"), to_bytes(fields)


@given(st.one_of([st.tuples(st.just(registry), records) for registry, records in EACH]))
def test_a_pen_writes_what_an_encoder_writes_of_the_form(drawn: tuple[Any, object]):
    found = texts(*drawn)
    if found is not None and b"\\ud" not in found[1]:  # half a pair: the codec takes the other way
        assert found[0] == found[1]


def test_the_records_of_a_step_have_pens():
    assert {CallStarted, CallCompleted} <= life_kinds.REGISTRY.pens.keys()


@pytest.mark.parametrize("at", [float("nan"), float("inf")])
def test_a_pen_refuses_what_json_has_not(at: float):
    pen = life_kinds.REGISTRY.pens[CallStarted]
    record = CallStarted(at, Key((), "a", 0), "run", "f", (), 0)
    with pytest.raises(ValueError, match="JSON"):
        pen.write(record, AS_THEY_COME, str)
