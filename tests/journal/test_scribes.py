"""Records of calls and of an app's stream as entries, and back: equal, strict, in order."""

from __future__ import annotations

import json
from typing import Any, get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._abc import Entry, Opening
from plait._errors import ContextSerdeError, UnreadableEntryError
from plait._journal import app_kinds, call_kinds, kinds, life_kinds
from plait._journal.scribes import AppScribe, AsTheyCome, FunctionScribe
from plait._kernel.admission import keeping as app_keeping
from plait._kernel.admission import records as app_records
from plait._kernel.admission.records import EventReceived, EventSkipped, Keys, Need, RunAdmitted
from plait._kernel.calls import records as call_records
from plait._kernel.calls.keys import Key, key_text
from plait._kernel.calls.records import CallCancelled, CallCompleted, CallStarted, Patched
from plait._kernel.calls.refusals import Differs
from plait._kernel.functions import keeping as life_keeping
from plait._kernel.functions import reasons
from plait._kernel.functions import records as life_records
from plait._kernel.keeping import Keep
from tests.journal.scribed import APP, CALLS, LIVES
from tests.journal.test_codec import changed_somewhere, json_values

OPENING = Opening("shop", "shop-order", parent="p1", source="abc")
KEY = Key((0, ("g", 1, 2)), "charge", 0)
FUNCTION = FunctionScribe("r1", OPENING)
SHOP = AppScribe("shop")

TABLES = [
    (FUNCTION, call_kinds.KINDS),
    (FUNCTION, life_kinds.KINDS),
    (SHOP, app_kinds.KINDS),
]

Sample = tuple[FunctionScribe | AppScribe, Any]
every_sample = st.one_of(
    st.tuples(st.just(FUNCTION), st.one_of(*CALLS.values(), *LIVES.values())),
    st.tuples(st.just(SHOP), st.one_of(*APP.values())),
)
BOTH = [*((FUNCTION, tag) for tag in [*CALLS, *LIVES]), *((SHOP, tag) for tag in APP)]


def entry_of(scribe: Any, record: object, n: int = 7) -> Entry:
    (entry,) = scribe.entries([(n, record)])
    return entry


def read(scribe: Any, entry: Entry) -> Any:
    ((n, record),) = scribe.records([entry], after=entry.n - 1, notes=True)
    assert n == entry.n
    return record


def faults(scribe: Any, entry: Entry) -> tuple[str, ...]:
    with pytest.raises(UnreadableEntryError) as caught:
        read(scribe, entry)
    assert (caught.value.n, caught.value.kind) == (entry.n, entry.kind)
    return caught.value.faults


# ---------------------------------------------------------------- the tables


def test_every_record_that_is_kept_has_a_tag_and_no_other_has():
    assert {kind.cls for kind in call_kinds.KINDS} == {*get_args(call_records.Record)}
    assert {kind.cls for kind in life_kinds.KINDS} == {*life_keeping.OF_RUNS}
    of_streams = {kind.cls for kind in life_kinds.REGISTRY.kinds}
    assert of_streams == {*life_keeping.KEEPING}, "one registry has a whole stream"
    kept = {cls for cls, keep in app_keeping.KEEPING.items() if keep is not None}
    assert {kind.cls for kind in app_kinds.KINDS} == kept


def test_the_tags_are_those_of_the_contract():
    """A tag, once used, means the same for ever: this table only grows."""
    assert {kind.tag: kind.cls for kind in call_kinds.KINDS} == {
        "step.started": CallStarted,
        "step.scheduled": call_records.CallScheduled,
        "step.retrying": call_records.CallRetrying,
        "step.completed": CallCompleted,
        "step.failed": call_records.CallFailed,
        "step.cancelled": CallCancelled,
        "deadline.set": call_records.DeadlineSet,
        "deadline.fired": call_records.DeadlineFired,
        "patch.decided": Patched,
    }
    assert {kind.tag: kind.cls for kind in life_kinds.KINDS} == {
        "run.queued": life_records.RunQueued,
        "run.started": life_records.FunctionStarted,
        "run.retrying": life_records.FunctionRetrying,
        "rollback.begun": life_records.RollbackBegun,
        "run.held": life_records.FunctionHeld,
        "run.freed": life_records.FunctionFreed,
        "run.completed": life_records.FunctionCompleted,
        "run.failed": life_records.FunctionFailed,
        "run.cancelled": life_records.FunctionCancelled,
    }
    assert {kind.tag: kind.cls for kind in app_kinds.KINDS} == {
        "event.received": EventReceived,
        "event.held": app_records.EventHeld,
        "event.skipped": EventSkipped,
        "cron.fired": app_records.CronFired,
        "cron.watched": app_records.CronWatched,
        "cancel.requested": app_records.CancelRequested,
        "run.admitted": RunAdmitted,
        "run.released": app_records.RunReleased,
        "run.left": app_records.RunLeft,
        "app.snapshot": app_records.AppSnapshot,
    }


def test_no_tag_is_in_two_tables():
    tables = [kinds.KINDS, call_kinds.KINDS, life_kinds.KINDS, app_kinds.KINDS]
    tags = [kind.tag for table in tables for kind in table]
    assert len(tags) == len({*tags})


def test_a_record_has_the_key_of_its_entry_wherever_it_has_one():
    for kind in life_kinds.REGISTRY.kinds:
        assert kind.keyed == ("key" in attrs.fields_dict(kind.cls))


# ---------------------------------------------------------------- there and back


@given(every_sample)
def test_a_record_is_read_back_as_it_was(sample: Sample):
    scribe, record = sample
    entry = entry_of(scribe, record)
    assert read(scribe, entry) == record
    assert entry.at == record.at
    status = life_kinds.STATUS.get(type(record))
    assert (entry.n, entry.status, entry.opening) == (7, status, None)


@given(every_sample)
def test_equal_records_are_written_in_the_same_bytes(sample: Sample):
    scribe, record = sample
    entry = entry_of(scribe, record)
    assert entry_of(scribe, read(scribe, entry)) == entry
    body = json.loads(entry.body)
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert entry.body == text.encode()


def test_a_call_is_short_and_its_key_stands_beside_it():
    error = {"name": "ValueError", "message": "no"}
    failed = call_records.CallFailed(100.5, KEY, "run", "charge_card", ("a", "b"), 3, error, 4)
    assert entry_of(FUNCTION, failed, 9) == Entry(
        stream="r1",
        n=9,
        kind="step.failed",
        version=1,
        at=100.5,
        key='[[0,["g",1,2]],"charge",0]',
        body=b'{"at":100.5,"attempts":3,"cause":4,"error":{"message":"no","name":"ValueError"},'
        b'"handler":"charge_card","op":"run","where":["a","b"]}',
    )


def test_what_is_about_no_step_has_no_key():
    assert entry_of(FUNCTION, Patched(1.0, "v2", on=True)).key is None
    skipped = EventSkipped(1.0, 3, "f", "rate_limit", "customer-7", "two have passed")
    assert entry_of(SHOP, skipped).key is None


def test_what_belongs_to_users_goes_as_it_comes():
    """The strand has written it, in its own manner: nothing in it means anything here."""
    value = {"$": ["class", "os.system"], "b": [None, 1.5, {"a": "\udce9"}]}
    completed = CallCompleted(1.0, KEY, "run", "h", None, 1, value)
    entry = entry_of(FUNCTION, completed)
    assert json.loads(entry.body)["value"] == value
    assert read(FUNCTION, entry) == completed


def test_a_strand_may_have_its_own_manner_of_writing_values_and_errors():
    class Texts(AsTheyCome):
        def encode(self, value: object, /) -> object:
            return {"text": str(value)}

        def decode(self, data: Any, /) -> object:
            return data["text"]

    calls, shop = FunctionScribe("r1", OPENING, Texts()), AppScribe("shop", Texts())
    failed = call_records.CallFailed(1.0, KEY, "run", "h", (), 1, ValueError("no"))
    received = EventReceived(1.0, 1, "e1", "order", 5, 1_000)
    assert read(calls, entry_of(calls, failed)) == attrs.evolve(failed, error="no")
    assert read(shop, entry_of(shop, received)) == attrs.evolve(received, data="5")


def test_a_stream_begins_with_what_it_is():
    first, second = CallCancelled(1.0, KEY), Patched(2.0, "v2", on=False)
    entries = FUNCTION.entries([(1, first), (2, second)])
    assert [(e.n, e.status, e.opening) for e in entries] == [
        (1, "queued", OPENING),
        (2, None, None),
    ]
    (entry,) = SHOP.entries([(1, app_records.RunReleased(1.0, "r1"))])
    shop = ("app/shop", "running", Opening("shop", "shop"))
    assert (entry.stream, entry.status, entry.opening) == shop


def test_each_record_of_a_life_says_where_it_leaves_the_stream():
    error, why = {"name": "ValueError"}, reasons.UnknownFunction("shop-order")
    told: list[tuple[Any, str | None]] = [
        (life_records.RunQueued(1.0, "f", "e", (), None, 0.0, 0.0, 7, "s"), "queued"),
        (life_records.FunctionStarted(2.0, 0, 0, "s"), "running"),
        (Patched(2.0, "v2", on=True), None),
        (life_records.FunctionRetrying(3.0, 0, error, 5.0), None),
        (life_records.FunctionHeld(4.0, why), "held"),
        (life_records.FunctionFreed(4.0), "running"),
        (life_records.FunctionStarted(5.0, 1, 0, "s"), "running"),
        (life_records.RollbackBegun(6.0, (KEY,), error, None), None),
        (life_records.FunctionFailed(7.0, error), "failed"),
    ]
    entries = FUNCTION.entries([*enumerate((record for record, _ in told), 1)])
    assert [entry.status for entry in entries] == [status for _, status in told]
    assert entries[0].opening == OPENING
    assert entry_of(FUNCTION, life_records.FunctionCompleted(7.0, None)).status == "completed"
    assert entry_of(FUNCTION, life_records.FunctionCancelled(7.0, "")).status == "cancelled"
    assert FUNCTION.entries([]) == []


def test_no_record_of_a_life_is_a_note():
    assert {*life_keeping.OF_RUNS.values()} == {Keep.ACKNOWLEDGED}
    assert {kind.tag for kind in life_kinds.KINDS}.isdisjoint(life_kinds.NOTES)


def test_a_run_that_is_held_says_why_in_few_bytes():
    held = life_records.FunctionHeld(4.0, Differs(KEY, "where", ("a", "b"), ()), 3)
    assert entry_of(FUNCTION, held).body == (
        b'{"at":4.0,"cause":3,"why":{"differs":{"before":["a","b"],'
        b'"key":"[[0,[\\"g\\",1,2]],\\"charge\\",0]","now":[],"what":"where"}}}'
    )


def test_every_fault_of_a_life_is_told_with_its_path():
    entry = entry_of(FUNCTION, life_records.RollbackBegun(1.0, (KEY, KEY), None, None))
    body = json.loads(entry.body) | {"keys": [key_text(KEY), "[]"], "reason": 5}
    assert faults(FUNCTION, attrs.evolve(entry, body=json.dumps(body).encode())) == (
        "keys[1]: '[]' is not the text of a key",
        "reason: 5 is no text",
    )
    entry = entry_of(FUNCTION, life_records.FunctionHeld(1.0, reasons.TooManyResumes(3)))
    for why, fault in (
        ({"resumes": {"resumes": -1}}, "why.resumes.resumes: -1 is below 0"),
        ({"weather": {}}, "why: {'weather': {}} is none of resumes, source, function"),
        (
            {"differs": {"before": 5, "key": key_text(KEY), "now": "b", "what": "op"}},
            "5 is no list",
        ),
    ):
        body = json.loads(entry.body) | {"why": why}
        (told,) = faults(FUNCTION, attrs.evolve(entry, body=json.dumps(body).encode()))
        assert fault in told


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1j, {1, 2}, [object()]])
def test_what_is_no_json_is_refused_whoever_has_made_it(wrong: object):
    completed = CallCompleted(1.0, KEY, "run", "h", None, 1, wrong)
    with pytest.raises(ContextSerdeError, match=r"Cannot write step\.completed"):
        FUNCTION.entries([(1, completed)])


# ---------------------------------------------------------------- order, gaps, notes

STORY: list[tuple[int, call_records.Record]] = [
    (1, CallStarted(1.0, KEY, "run", "h", (), 0)),
    (2, CallCompleted(2.0, KEY, "run", "h", (), 1, "done", 1)),
    (3, CallStarted(3.0, KEY._replace(occurrence=1), "run", "h", (), 0, 2)),
    (4, Patched(4.0, "v2", on=True)),
    (5, CallCancelled(5.0, KEY._replace(occurrence=1), 4)),
]


def test_recovery_reads_no_notes_and_history_does():
    entries = FUNCTION.entries(STORY)
    assert [*FUNCTION.records(entries)] == [STORY[1], STORY[3], STORY[4]]
    assert [*FUNCTION.records(entries, notes=True)] == STORY
    assert [*FUNCTION.records(entries[3:], after=3)] == STORY[3:]


def test_a_note_may_say_anything():
    note, *rest = FUNCTION.entries(STORY)
    torn = attrs.evolve(note, body=b"{", key="nothing")
    assert [n for n, _ in FUNCTION.records([torn, *rest])] == [2, 4, 5]
    with pytest.raises(UnreadableEntryError):
        [*FUNCTION.records([torn, *rest], notes=True)]


@pytest.mark.parametrize("gone", range(4))
def test_a_record_that_is_missing_is_noticed_be_it_a_note(gone: int):
    entries = FUNCTION.entries(STORY)
    del entries[gone]
    with pytest.raises(UnreadableEntryError, match=f"not record {gone + 1} of run r1"):
        [*FUNCTION.records(entries)]


def test_records_out_of_their_order_are_noticed():
    one, two, *rest = FUNCTION.entries(STORY)
    for wrong in ([two, one, *rest], [one, one, two], [one, two, two]):
        with pytest.raises(UnreadableEntryError, match="which should follow"):
            [*FUNCTION.records(wrong)]


def test_a_record_of_another_stream_is_noticed():
    entries = FUNCTION.entries(STORY)
    entries[3] = attrs.evolve(entries[3], stream="r2")
    with pytest.raises(UnreadableEntryError, match="not record 4 of run r1"):
        [*FUNCTION.records(entries)]


def test_what_was_read_before_a_fault_has_been_given():
    entries = FUNCTION.entries(STORY)
    entries[3] = attrs.evolve(entries[3], body=b"{")
    found = FUNCTION.records(entries)
    assert next(found) == STORY[1]
    with pytest.raises(UnreadableEntryError):
        next(found)


# ---------------------------------------------------------------- what cannot be read


@pytest.mark.parametrize("kind", ["shop.thing", "event.emitted", "run.admitted", ""])
def test_a_kind_that_is_not_in_the_table_is_told(kind: str):
    entry = attrs.evolve(entry_of(FUNCTION, STORY[1][1]), kind=kind)
    (fault,) = faults(FUNCTION, entry)
    assert fault.startswith("no record of this kind is known; known are deadline.fired")


def test_an_app_has_kinds_of_its_own():
    released = entry_of(SHOP, app_records.RunReleased(1.0, "r1"))
    (fault,) = faults(SHOP, attrs.evolve(released, kind="step.completed"))
    assert fault.startswith("no record of this kind is known; known are app.snapshot")


@pytest.mark.parametrize("version", [-1, 0, 2])
@pytest.mark.parametrize("place", [0, 1])
def test_a_version_that_is_not_known_is_told_be_it_of_a_note(version: int, place: int):
    entries = FUNCTION.entries(STORY)
    entries[place] = attrs.evolve(entries[place], version=version)
    with pytest.raises(UnreadableEntryError, match=f"version {version} is not known"):
        [*FUNCTION.records(entries)]


def test_every_fault_of_a_call_is_told_with_its_path():
    body = {
        "at": None,
        "attempts": True,
        "cause": -1,
        "handler": 5,
        "more": 1,
        "op": "jump",
        "where": ["a", 5],
    }
    entry = Entry("r1", 7, "step.completed", 1, 1.0, "[]", json.dumps(body).encode())
    assert faults(FUNCTION, entry) == (
        "at: None is no number of seconds",
        "attempts: True is no whole number",
        "cause: -1 is below 0",
        "handler: 5 is no text",
        "key: '[]' is not the text of a key",
        "more: is not known here",
        "op: 'jump' is none of run, sleep, wait, invoke, send, rollback",
        "value: is missing",
        "where[1]: 5 is no text",
    )


def test_every_fault_of_an_app_is_told_with_its_path():
    keys = Keys(priority=1.0, runs=(Need(-1, ("one", "f", "k")),))
    admitted = RunAdmitted(1.0, "r1", "f", (1, 2), keys, out_of=("debounce", "k"))
    entry = entry_of(SHOP, admitted)
    body = json.loads(entry.body)
    body["events"][1] = 0
    body["keys"]["runs"][0] = {"place": -2, "bucket": "one"}
    body["keys"]["priority"] = "high"
    body["out_of"][0] = "throttle"
    with pytest.raises(UnreadableEntryError) as caught:
        read(SHOP, attrs.evolve(entry, body=json.dumps(body).encode()))
    assert str(caught.value).splitlines() == [
        "App shop cannot be served: its record 7 (run.admitted) cannot be read.",
        "  events[1]: 0 is below 1",
        "  keys.priority: 'high' is no number of seconds",
        "  keys.runs[0].bucket: 'one' is no list",
        "  keys.runs[0].place: -2 is below -1",
        "  out_of[0]: 'throttle' is none of debounce, batch_events",
    ]


@pytest.mark.parametrize("key", [None, "", "[]", '[[], "a", 0]', "[[" * 100_000, '[[],"\xe9",0]'])
def test_a_step_without_a_right_key_is_told(key: str | None):
    (fault,) = faults(FUNCTION, attrs.evolve(entry_of(FUNCTION, STORY[1][1]), key=key))
    assert "key" in fault or "recursion" in fault


def test_there_is_one_truth_about_a_key():
    entry = entry_of(FUNCTION, STORY[1][1])
    body = json.loads(entry.body) | {"key": key_text(KEY)}
    told = faults(FUNCTION, attrs.evolve(entry, body=json.dumps(body).encode()))
    assert told == ("key: is in the body, and belongs to the entry",)


@given(
    st.sampled_from(BOTH),
    st.binary(max_size=60) | json_values.map(lambda held: json.dumps(held).encode()),
    st.none() | st.text(max_size=8) | st.just(key_text(KEY)),
)
def test_whatever_the_bytes_are_only_one_error_comes_out(
    of: tuple[Any, str], body: bytes, key: str | None
):
    scribe, tag = of
    entry = Entry("r1" if scribe is FUNCTION else "app/shop", 7, tag, 1, 1.0, key, body)
    try:
        record = read(scribe, entry)
    except UnreadableEntryError:
        return
    assert type(record) in {kind.cls for _, table in TABLES for kind in table}


@given(every_sample, st.data())
def test_a_body_that_is_changed_somewhere_is_a_record_or_an_error(sample: Sample, data: Any):
    scribe, record = sample
    entry = entry_of(scribe, record)
    changed = changed_somewhere(json.loads(entry.body), data)
    try:
        again = read(scribe, attrs.evolve(entry, body=json.dumps(changed).encode()))
    except UnreadableEntryError:
        return
    assert type(again) is type(record)
    assert again == read(scribe, entry_of(scribe, again)), "read, but not to be written again"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"null", b"[]", b"[" * 100_000, b"1" * 5_000]
)
@pytest.mark.parametrize("tag", ["step.completed", "patch.decided"])
def test_bytes_that_are_no_record_are_refused(tag: str, body: bytes):
    assert faults(FUNCTION, Entry("r1", 7, tag, 1, 1.0, key_text(KEY), body))
