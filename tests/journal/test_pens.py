"""A pen writes what the form of its class makes, and an encoder would write."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._journal import app_kinds, kinds, life_kinds
from plait._journal.canonical import to_bytes
from plait._journal.registry import Registry
from plait._journal.scribes import AS_THEY_COME
from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import CallCompleted, CallStarted
from tests.journal.scribed import APP, CALLS, LIVES
from tests.journal.walks import kernel_values
from tests.kernel import strategies

#: Of the calls of deliveries, their tags.
OF_DELIVERIES = [kind.tag for kind in kinds.CALL_KINDS if kind.tag in CALLS]
EACH = [
    *((life_kinds.REGISTRY, AS_THEY_COME, each) for each in (*CALLS.values(), *LIVES.values())),
    *((app_kinds.REGISTRY, AS_THEY_COME, each) for each in APP.values()),
    *((kinds.REGISTRY, kernel_values(), each) for each in strategies.RECORDS.values()),
    *((kinds.REGISTRY, AS_THEY_COME, CALLS[tag]) for tag in OF_DELIVERIES),
]


def texts(registry: Any, values: Any, record: object) -> tuple[bytes, bytes] | None:
    kind, form = registry.by_class[type(record)]
    pen = registry.pens.get(type(record))
    if pen is None:
        return None
    fields = cast("dict[str, object]", form.write(record, values))
    if kind.keyed:
        del fields["key"]
    at_once = pen.write(record, values)
    return at_once.encode("utf-8", "surrogatepass"), to_bytes(fields)


@given(st.one_of([st.tuples(st.just(kinds), st.just(by), each) for kinds, by, each in EACH]))
def test_a_pen_writes_what_an_encoder_writes_of_the_form(drawn: tuple[Any, Any, object]):
    found = texts(*drawn)
    if found is not None and b"\\ud" not in found[1]:  # half a pair: the codec takes the other way
        assert found[0] == found[1]


@pytest.mark.parametrize("registry", [life_kinds.REGISTRY, kinds.REGISTRY])
def test_the_records_of_a_step_have_pens(registry: Registry):
    assert {CallStarted, CallCompleted} <= registry.pens.keys()


@pytest.mark.parametrize("at", [float("nan"), float("inf")])
def test_a_pen_refuses_what_json_has_not(at: float):
    pen = life_kinds.REGISTRY.pens[CallStarted]
    record = CallStarted(at, Key((), "a", 0), "run", "f", (), 0)
    with pytest.raises(ValueError, match="JSON"):
        pen.write(record, AS_THEY_COME)
