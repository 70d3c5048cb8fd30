"""The records of a run, and its story: whatever is in the journal, and to the letter."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._abc import Entry, Opening
from plait._journal.life_kinds import REGISTRY
from plait._journal.scribes import FunctionScribe
from plait._kernel.calls.keys import Key
from plait._kernel.calls.records import (
    CallCancelled,
    CallCompleted,
    CallScheduled,
    CallStarted,
    DeadlineFired,
    DeadlineSet,
    Patched,
)
from plait._kernel.functions import records
from plait._strands._durable.book import Recorded
from plait._strands._durable.history import FAULT, TOLD, Record, history, story
from tests.conformance.golden import bodies, lives
from tests.journal.scribed import CALLS, LIVES
from tests.journal.test_scribes import changed_somewhere

AT = 1_700_000_000.0
SCRIBE = FunctionScribe("r1", Opening("shop", "shop-f"), Recorded())
QUEUED = records.RunQueued(AT, "shop-f", "f", ({"name": "e"},), None, 0.0, 0.0, 7, "s1")
STARTED = records.FunctionStarted(AT + 1, 0, 0, "s1", 1)
KEY = Key((), "a", 0)


def written(*more: Any) -> list[Entry]:
    return SCRIBE.entries([*enumerate((QUEUED, *more), 1)])


def lines(*more: Any) -> list[str]:
    """The lines of a story after those of queue and title, without their times."""
    told = story("r1", history(written(*more))).splitlines()
    return [line[13:] for line in told[2:]]


def golden(appends: Iterable[list[Entry]]) -> str:
    return story("r1", history([entry for entries in appends for entry in entries]))


# ---------------------------------------------------------------- the story


def test_the_story_of_a_run_that_fails_and_is_rolled_back() -> None:
    assert (
        golden(lives.appends_of("fails"))
        == """\
run r1 of golden-fails, 2025-11-13 02:13:20 UTC
    0.000 s  queued, by event 'order/new', for run 'parent-1'
    0.250 s  attempt 0 begins
    0.750 s  step 'reserve' runs work, attempt 0
    1.000 s  step 'reserve' is done: 1
    1.750 s  step 'charge' runs work, attempt 0
    2.000 s  step 'charge' is done: 2
    2.750 s  it fails with NonRetriableError: sold out, and is rolled back: step 'charge', step 'reserve'
    3.250 s  the rollback of step 'charge' runs give_back, attempt 0
    3.500 s  the rollback of step 'charge' failed: OSError: not now
    9.250 s  attempt 0 goes on, resumed once without news
   11.000 s  the rollback of step 'reserve' runs give_back, attempt 0
   11.250 s  the rollback of step 'reserve' is done
   11.750 s  failed with NonRetriableError: sold out
"""
    )


def test_the_story_of_a_run_that_is_cancelled() -> None:
    assert (
        golden(lives.appends_of("cancels"))
        == """\
run r1 of golden-cancels, 2025-11-13 02:13:20 UTC
    0.000 s  queued, by event 'order/new', for run 'parent-1'
    0.250 s  attempt 0 begins
    0.750 s  step 'reserve' runs work, attempt 0
    1.000 s  step 'reserve' is done
    1.750 s  step 'charge' runs work, attempt 0
    2.250 s  step 'charge' was cancelled, after step 'reserve' was done
    2.500 s  it is cancelled ('the shop is closed'), and is rolled back: step 'reserve'
    3.000 s  the rollback of step 'reserve' runs give_back, attempt 0
    3.250 s  the rollback of step 'reserve' is done
    3.750 s  cancelled: the shop is closed
"""
    )


def test_the_story_of_calls_of_every_kind() -> None:
    assert (
        golden(bodies.appends_of("calls"))
        == """\
run r1, 2025-11-13 02:13:20 UTC
    0.000 s  step 'charge' runs charge_card, attempt 0
    0.500 s  step 'charge' is done: {'paid': 5.5, 'to': ['ä', None, True]}
    1.250 s  patch 'v2-mail' is on
    1.500 s  the deadline is at 61.250 s
    1.750 s  step 'mail' in task 0 runs run, attempt 0
    2.250 s  step 'mail' in task 0: attempt 0 raised ValueError: once; attempt 1 is due at 4.250 s
    3.000 s  step 'nap' in task g0.1 sleeps until 12.750 s
    3.500 s  step 'news' in task g0.2 waits for event 'order/paid' until 33.250 s
    4.000 s  step 'child' in task mchild.0.3 invokes run 'child-1'
    4.500 s  step 'child' in task o0.0/1 invokes run 'child-2' until 44.250 s
    7.000 s  step 'mail' in task 0 runs run, attempt 1
    7.250 s  step 'mail' in task 0 failed after 2 attempts: KeyError: 'twice'
    8.000 s  step 'child' in task mchild.0.3 was cancelled, after step 'mail' in task 0 failed
    8.250 s  step 'news' in task g0.2 is done: {'data': {'n': 1}, 'id': 'e1', 'name': 'order/paid'}
   18.500 s  step 'nap' in task g0.1 is done
   26.500 s  step 'child' in task o0.0/1 failed: LookupError: in the child
   86.750 s  the deadline has passed
   87.250 s  step 'tell' runs send, attempt 0
   87.750 s  step 'tell' is done: ['e2', 'e3']
   88.750 s  the rollback of step 'charge' runs refund, attempt 0
   89.000 s  the rollback of step 'charge' is done
"""
    )


def test_a_run_that_is_held_says_why_and_what_to_do() -> None:
    told = golden(lives.appends_of("holds"))
    assert (
        "held: step 'charge' in the first task ran work before, now refund. Restore it, use another "
        "id, or app.resume('golden-holds', accept_changes=True)"
    ) in told
    assert "no longer held: it waits for its next attempt" in told
    assert "attempt 0 goes on, resumed 2 times without news" in told


def test_a_body_that_raised_begins_again() -> None:
    error = ValueError("once")
    retrying = records.FunctionRetrying(AT + 2, 0, error, AT + 4, 2)
    again = records.FunctionStarted(AT + 4, 1, 0, "s1", 3)
    completed = records.FunctionCompleted(AT + 5, {"paid": 5}, 4)
    assert lines(STARTED, retrying, again, completed) == [
        "attempt 0 begins",
        "attempt 0 raised ValueError: once; attempt 1 is due at 4.000 s",
        "attempt 1 begins",
        "completed: {'paid': 5}",
    ]


def test_little_things() -> None:
    key = Key((0,), None, 0)
    assert lines(
        Patched(AT, "v2", on=False),
        DeadlineSet(AT, key, AT + 9),
        DeadlineFired(AT, key, AT + 9),
        CallScheduled(AT, KEY, "wait", AT + 9, "paid"),
        CallCompleted(AT, KEY, "wait", "", (), 1, None),
        CallCompleted(AT, KEY._replace(occurrence=1), "run", "h", (), 3, "x" * 100),
        CallCancelled(AT, KEY._replace(occurrence=2), 4),
        CallCancelled(AT, KEY._replace(occurrence=2), 2),
        records.FunctionCancelled(AT, ""),
    ) == [
        "patch 'v2' is off",
        "the deadline in task 0 is at 9.000 s",
        "the deadline in task 0 has passed",
        "step 'a' waits for event 'paid' until 9.000 s",
        "step 'a': no event came",
        "step 'a' (number 2 of this id) is done after 3 attempts: '" + "x" * 58 + "…",
        "step 'a' (number 3 of this id) was cancelled, after the deadline in task 0 passed",
        "step 'a' (number 3 of this id) was cancelled",
        "cancelled",
    ]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"events": ()}, "queued"),
        (
            {"events": ({"name": "a"}, {"name": "b"}, {"name": "c"})},
            "queued, by event 'a' and 2 more",
        ),
        ({"not_before": AT + 60}, "queued, by event 'e', not before 60.000 s"),
        ({"parent": "p1"}, "queued, by event 'e', for run 'p1'"),
    ],
)
def test_how_a_run_is_asked_for(more: dict[str, Any], told: str) -> None:
    (entry,) = SCRIBE.entries([(1, attrs.evolve(QUEUED, **more))])
    assert story("r1", history([entry])).splitlines()[1:] == [f"    0.000 s  {told}"]


def test_the_story_of_nothing() -> None:
    assert story("r1", []) == "run r1: nothing is recorded\n"


# ---------------------------------------------------------------- the records


def test_a_record_has_what_it_says_and_notes_are_there() -> None:
    started = CallStarted(AT + 2, KEY, "run", "h", ("b",), 0, 2)
    failed = records.FunctionFailed(AT + 3, ValueError("no"), 2)
    *_, note, end = history(written(STARTED, started, failed))
    assert note == Record(
        n=3,
        kind="step.started",
        at=AT + 2,
        key='[[],"a",0]',
        step_id="a",
        cause=2,
        fields={"op": "run", "handler": "h", "where": ["b"], "attempt": 0},
    )
    error = end.fields["error"]
    assert (error.pop("stack"), error) == (
        "ValueError: no\n",
        {"name": "ValueError", "message": "no"},
    )


def broken(entry: Entry) -> dict[str, Entry]:
    """What may have become of an entry."""
    return {
        "record 2 (run.danced) cannot be read: no record of this kind is known": attrs.evolve(
            entry, kind="run.danced"
        ),
        "record 2 (run.started) cannot be read: version 9 is not known": attrs.evolve(
            entry, version=9
        ),
        "record 2 (run.started) cannot be read: Expecting": attrs.evolve(entry, body=b"{"),
        "record 2 (run.started) cannot be read: [] is no mapping": attrs.evolve(entry, body=b"[]"),
        "record 2 (run.started) cannot be read: it does not say what it should": attrs.evolve(
            entry, body=b"{}"
        ),
        "record 2 (step.completed) cannot be read: it does not say": attrs.evolve(
            entry, kind="step.completed", key="nonsense"
        ),
    }


@pytest.mark.parametrize("text", broken(written(STARTED)[1]))
def test_what_cannot_be_read_is_told_and_the_rest_with_it(text: str) -> None:
    first, second, third = written(STARTED, records.FunctionCompleted(AT, None))
    found = history([first, broken(second)[text], third])
    assert [record.n for record in found] == [1, 2, 3]
    _, _, line, last = story("r1", found).splitlines()
    assert line[13:].startswith(text)
    assert last.endswith("completed")


def test_a_record_of_tomorrow_keeps_what_can_be_read_of_it() -> None:
    (entry,) = SCRIBE.entries([(2, STARTED)])
    (record,) = history([attrs.evolve(entry, version=9)])
    assert record.fields["source"] == "s1"
    assert "version 9 is not known" in record.fields[FAULT]


EVERY = st.one_of(*CALLS.values(), *LIVES.values())


@given(st.lists(EVERY, min_size=1, max_size=4), st.data())
def test_whatever_is_there_a_history_never_fails(kept: list[Any], data: Any) -> None:
    entries = SCRIBE.entries([*enumerate(kept, 1)])
    for place, entry in enumerate(entries):
        if data.draw(st.booleans()):
            body = changed_somewhere(json.loads(entry.body), data)
            entries[place] = attrs.evolve(entry, body=json.dumps(body).encode())
    found = history(entries)
    assert [record.n for record in found] == [*range(1, len(entries) + 1)]
    assert len(story("r1", found).splitlines()) >= len(entries) + 1


def test_a_rollback_of_what_is_no_key_has_a_line() -> None:
    (entry,) = SCRIBE.entries([(1, records.RollbackBegun(1.0, (), None, "stop", 0))])
    body = json.dumps({**json.loads(entry.body), "keys": ["0"]}).encode()
    (record,) = history([attrs.evolve(entry, body=body)])
    assert "record 1 (rollback.begun) cannot be read" in story("r1", [record])


def test_every_kind_of_record_has_a_line_of_its_own() -> None:
    assert TOLD.keys() == {kind.tag for kind in REGISTRY.kinds}
