"""The records of steps that follow one another, as they are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._abc import Entry
from plait._ids import DeliveryId
from plait._journal.kinds import KINDS
from plait._kernel import keeping, records
from plait._kernel.graph.keeping import KEEPING
from plait._kernel.graph.records import Readied, Record, Reused, Skipped
from plait._kernel.keeping import Keep
from tests.journal.test_codec import EPOCH, codec
from tests.kernel.strategies import A, events, names, numbers, times

AFTER = st.none() | st.lists(names).map(tuple)
RECORDS = st.one_of(
    st.builds(Readied, times, names, numbers, st.integers(0, 5), AFTER),
    st.builds(Reused, times, numbers, st.none() | events),
    st.builds(
        Skipped,
        times,
        st.lists(names).map(tuple),
        st.sampled_from(["when", "upstream", "on_error", "abort"]),
        AFTER,
    ),
)


@given(RECORDS)
def test_a_record_of_a_step_is_read_back_as_it_was(record: Record):
    own = codec()
    assert own.decode(own.encode(record, 7)) == record


#: As these versions are written, for ever.
WRITTEN: list[tuple[Record, str, int, bytes]] = [
    (
        Readied(0.5, "a", DeliveryId(3), 2, ("b", "c")),
        "step.readied",
        2,
        b'{"after":["b","c"],"at":0.5,"count":2,"first":3,"step":"a"}',
    ),
    (
        Reused(0.5, DeliveryId(3), A(1)),
        "step.reused",
        1,
        b'{"at":0.5,"delivery":3,"event":{"event":"A","fields":{"number":1}}}',
    ),
    (
        Skipped(0.5, ("a", "b"), "on_error", ("c",)),
        "step.skipped",
        2,
        b'{"after":["c"],"at":0.5,"reason":"on_error","steps":["a","b"]}',
    ),
    (
        records.Decided(0.5, records.Finished()),
        "run.decided",
        1,
        b'{"at":0.5,"outcome":{"finished":{}}}',
    ),
]


@pytest.mark.parametrize(
    ("record", "kind", "version", "body"), WRITTEN, ids=lambda value: str(value)[:16]
)
def test_what_is_written_stays_readable(record: Record, kind: str, version: int, body: bytes):
    entry = codec().encode(record, 9)
    assert entry == Entry("run", 9, kind, version, EPOCH + 0.5, None, body)
    assert codec().decode(entry) == record


#: What version 1 said: nothing of what a step has waited for.
BEFORE: list[tuple[Record, str, bytes]] = [
    (
        Readied(0.5, "a", DeliveryId(3), 2),
        "step.readied",
        b'{"at":0.5,"count":2,"first":3,"step":"a"}',
    ),
    (
        Skipped(0.5, ("a", "b"), "on_error"),
        "step.skipped",
        b'{"at":0.5,"reason":"on_error","steps":["a","b"]}',
    ),
]


@pytest.mark.parametrize(("record", "kind", "body"), BEFORE, ids=lambda value: str(value)[:16])
def test_what_version_1_has_written_stays_readable(record: Record, kind: str, body: bytes):
    assert record.after is None  # type: ignore[union-attr]
    assert codec().decode(Entry("run", 9, kind, 1, EPOCH + 0.5, None, body)) == record


def test_every_kind_of_this_table_that_a_flow_writes_is_here():
    of_steps = {kind.cls for kind in KINDS if kind.cls.__module__ == Readied.__module__}
    assert of_steps == {type(record) for record, *_ in WRITTEN} - {records.Decided}


def test_how_a_record_is_kept():
    """Who is launched has been recorded; a step's turn goes with what led to it."""
    others = {kind: keep for kind, keep in KEEPING.items() if keeping.KEEPING.get(kind) != keep}
    assert others == {
        records.Started: Keep.ACKNOWLEDGED,
        Readied: Keep.ORDERED,
        Reused: Keep.ACKNOWLEDGED,
        Skipped: Keep.ACKNOWLEDGED,
    }
