"""Records as entries of a journal, and back: equal, strict, and always with a word for what is wrong."""

from __future__ import annotations

import json
from typing import Any, get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait._abc import Entry, Opening
from plait._errors import ContextSerdeError
from plait._ids import DeliveryId, RunId
from plait._journal.codec import Codec, UnreadableEntryError, read_run, status_after
from plait._journal.kinds import FORMS, KINDS, REGISTRY
from plait._journal.registry import Kind, Registry
from plait._kernel import records
from plait._kernel.graph.records import Readied, Reused, Skipped
from plait._kernel.records import Record
from plait._kernel.state import RunState
from plait._kernel.value import value
from tests.journal.plain_values import PlainValues
from tests.kernel import strategies
from tests.kernel.strategies import A, B, Start, Stop, Stray, plan, step

KNOWN = [kind for kind in vars(strategies).values() if isinstance(kind, type)]
EPOCH = 1_700_000_000.0
ERROR = ValueError("one")
every_record = st.one_of(*strategies.RECORDS.values())


def codec(epoch: float = EPOCH, stream: str = "run", registry: Registry = REGISTRY) -> Codec:
    values = PlainValues(KNOWN)
    values.errors.append(ERROR)
    return Codec(stream, values, epoch, registry)


def as_written(record: Record) -> Record:
    """A collected event is an input of its delivery: the record says which, and that is written."""
    return attrs.evolve(record, event=None) if isinstance(record, records.Collected) else record


def body_of(entry: Entry) -> Any:
    return json.loads(entry.body)


def entry_with(kind: str, body: object, version: int = 1) -> Entry:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Entry("run", 7, kind, version, EPOCH, None, text)


# ---------------------------------------------------------------- the table


def test_every_class_of_record_has_a_tag():
    """Whoever adds a record gives it one, in `plait._journal.kinds`."""
    of_steps = {Readied, Reused, Skipped}  # of those that follow one another
    assert {kind.cls for kind in KINDS} == {*get_args(Record)} | of_steps


def test_a_tag_is_lower_case_and_dotted():
    for kind in KINDS:
        first, second = kind.tag.split(".")
        assert f"{first}{second}".replace("_", "").islower()


def test_no_tag_is_one_of_those_that_functions_and_apps_write():
    """They share the journal; the table is that of the contract."""
    ends = {"started", "retrying", "completed", "failed", "cancelled"}
    taken = {f"{what}.{end}" for what in ("run", "step") for end in ends}
    taken |= {"run.queued", "step.scheduled", "deadline.set", "deadline.fired", "patch.decided"}
    taken |= {"rollback.begun", "event.received", "event.held", "event.skipped", "cron.fired"}
    taken |= {"cancel.requested", "app.snapshot"}
    assert not taken & {kind.tag for kind in KINDS}


# ---------------------------------------------------------------- there and back


@given(every_record)
def test_a_record_is_read_back_as_it_was(record: Record):
    own = codec()
    entry = own.encode(record, 7)
    assert own.decode(entry) == as_written(record)
    assert (entry.stream, entry.n, entry.key) == ("run", 7, None)
    assert entry.at == record.at + EPOCH


@given(every_record)
def test_equal_records_are_written_in_the_same_bytes(record: Record):
    own = codec()
    body = own.encode(record, 7).body
    assert body == own.encode(own.decode(own.encode(record, 7)), 7).body
    assert body == json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")).encode()


def test_times_stay_on_the_clock_of_the_life_that_wrote_them():
    """The record of a further life says how that clock goes on; the entry has the Unix time."""
    there, here = codec(EPOCH + 0.1), codec(EPOCH + 100.7)
    retrying = records.Retrying(0.3, DeliveryId(1), ERROR, 5.3)
    entry = there.encode(retrying, 1)
    assert here.decode(entry) == retrying
    assert entry.at == EPOCH + 0.1 + 0.3


def test_half_of_a_surrogate_pair_is_kept():
    """It is in the names of files that are not in UTF-8."""
    own = codec()
    record = records.Started(0.0, DeliveryId(1), "caf\udce9", 0)
    assert own.decode(own.encode(record, 1)) == record
    assert own.encode(record, 1).body.isascii()


def test_a_body_is_short_and_says_what_it_is():
    own = codec()
    completed = records.Completed(0.5, DeliveryId(3), A(1), DeliveryId(4), ("s1",))
    entry = own.encode(completed, 9)
    assert entry == Entry(
        stream="run",
        n=9,
        kind="delivery.completed",
        version=1,
        at=EPOCH + 0.5,
        key=None,
        body=b'{"at":0.5,"delivery":3,"event":{"event":{"event":"A","fields":{"number":1}}},'
        b'"first":4,"resolves":[],"to":["s1"]}',
    )


def test_a_list_that_came_too_late_is_kept_as_a_list():
    """After the decision a returned list opens no stream, but is reported."""
    own = codec()
    late = records.Completed(0.0, DeliveryId(3), [A(1), B(2)], DeliveryId(4), ())
    assert own.decode(own.encode(late, 1)) == late


def test_an_entry_is_given_its_status_and_opening():
    opening = Opening("", "Flow")
    entry = codec().encode(records.Idled(0.0), 1, status="running", opening=opening)
    assert (entry.status, entry.opening) == ("running", opening)


# ---------------------------------------------------------------- what cannot be written


class Unknown:
    """Nobody knows it."""


def test_a_value_that_cannot_be_written_is_refused():
    with pytest.raises(ContextSerdeError, match="Unknown"):
        codec().encode(records.Streamed(0.0, DeliveryId(0), Unknown), 1)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1j, {1, 2}])
def test_what_is_not_json_is_refused_whoever_has_made_it(wrong: object):
    class Careless(PlainValues):
        def encode(self, value: object, /) -> object:
            return wrong

    own = Codec("run", Careless(()), EPOCH)
    with pytest.raises(ContextSerdeError, match="Cannot write event"):
        own.encode(records.Streamed(0.0, DeliveryId(0), A()), 1)


# ---------------------------------------------------------------- what cannot be read

GOOD: dict[str, Any] = {"at": 0.5, "delivery": 3, "step": "s1", "worker": 0}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"delivery": "3"}, "delivery: '3' is no whole number"),
        ({"delivery": True}, "delivery: True is no whole number"),
        ({"delivery": 3.0}, "delivery: 3.0 is no whole number"),
        ({"delivery": -1}, "delivery: -1 is below 0"),
        ({"step": None}, "step: None is no text"),
        ({"step": ["s1"]}, "step: ['s1'] is no text"),
        ({"more": 1}, "more: is not known here"),
        ({"at": "now"}, "at: 'now' is no number of seconds"),
    ],
)
def test_nothing_is_coerced(change: dict[str, object], fault: str):
    with pytest.raises(UnreadableEntryError) as caught:
        codec().decode(entry_with("delivery.started", GOOD | change))
    assert caught.value.faults == (fault,)


def test_every_fault_is_told_with_its_path():
    body: dict[str, Any] = {
        "at": 1.0,
        "cause": "x",
        "event": {"what": 1},
        "to": ["a", 5],
        "first": 1,
        "branch": {"stream": 0},
    }
    with pytest.raises(UnreadableEntryError) as caught:
        codec().decode(entry_with("event.emitted", body))
    error = caught.value
    assert (error.stream, error.n, error.kind) == ("run", 7, "event.emitted")
    assert str(error).splitlines() == [
        "Run run is held: its record 7 (event.emitted) cannot be read.",
        "  branch.index: is missing",
        "  branch.stream: 0 is below 1",
        "  cause: 'x' is no whole number",
        "  event: {'what': 1} is nothing",
        "  resolves: is missing",
        "  to[1]: 5 is no text",
    ]


def test_an_unknown_kind_is_told_by_its_name():
    with pytest.raises(UnreadableEntryError, match=r"7 \(shop.thing\)") as caught:
        codec().decode(entry_with("shop.thing", {}))
    assert "delivery.started" in caught.value.faults[0]


@pytest.mark.parametrize("version", [0, -1, 2, 99])
def test_an_unknown_version_is_told(version: int):
    with pytest.raises(UnreadableEntryError, match=f"version {version} is not known"):
        codec().decode(entry_with("delivery.started", GOOD, version))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"text"',
        b'{"at":NaN,"delivery":1,"step":"s","worker":0}',
        b'{"at":1e999,"delivery":1,"step":"s","worker":0}',
        b"[" * 100_000,
        b"1" * 5_000,
    ],
)
def test_bytes_that_are_no_record_are_refused(body: bytes):
    with pytest.raises(UnreadableEntryError):
        codec().decode(entry_with("delivery.started", body))


TAGS = [kind.tag for kind in KINDS]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(
    st.sampled_from(TAGS),
    st.binary(max_size=60) | json_values.map(lambda held: json.dumps(held).encode()),
)
def test_whatever_the_bytes_are_only_one_error_comes_out(tag: str, body: bytes):
    try:
        record = codec().decode(entry_with(tag, body))
    except UnreadableEntryError:
        return
    assert type(record) in get_args(Record)


@given(every_record, st.data())
def test_a_body_that_is_changed_somewhere_is_a_record_or_an_error(record: Record, data: Any):
    """Nearer to real damage: one value in a real body is another, or a key has gone."""
    own = codec()
    entry = own.encode(record, 7)
    changed = changed_somewhere(body_of(entry), data)
    try:
        again = own.decode(attrs.evolve(entry, body=json.dumps(changed).encode()))
    except UnreadableEntryError:
        return
    assert type(again) is type(record)
    assert again == own.decode(own.encode(again, 7)), "read, but not to be written again"


def changed_somewhere(body: Any, data: Any) -> Any:
    match body:
        case dict() if body:
            key = data.draw(st.sampled_from(sorted(body)))
            match data.draw(st.sampled_from(["inside", "drop", "add"])):
                case "drop":
                    return {name: one for name, one in body.items() if name != key}
                case "add":
                    return {**body, data.draw(st.text(max_size=3)): 1}
                case _:
                    return {**body, key: changed_somewhere(body[key], data)}
        case list() if body and data.draw(st.booleans()):
            place = data.draw(st.integers(0, len(body) - 1))
            return [*body[:place], changed_somewhere(body[place], data), *body[place + 1 :]]
        case _:
            return data.draw(json_values)


# ---------------------------------------------------------------- versions


@value
class Noted:
    """A record that there is only here: its third version has `words` and `at`."""

    at: float
    words: tuple[str, ...]


def _split(body: dict[str, Any]) -> dict[str, Any]:
    body["words"] = body.pop("text").split()
    return body


def _rename(body: dict[str, Any]) -> dict[str, Any]:
    body["text"] = body.pop("note")
    return body


NOTED = Registry(
    [Kind("test.noted", 3, Noted)],
    {("test.noted", 1): _rename, ("test.noted", 2): _split},
    FORMS,
)


@pytest.mark.parametrize(
    ("version", "body"),
    [(1, {"note": "a b"}), (2, {"text": "a b"}), (3, {"words": ["a", "b"]})],
)
def test_a_record_of_each_earlier_version_is_upgraded_step_by_step(
    version: int, body: dict[str, object]
):
    read = codec(registry=NOTED).decode(entry_with("test.noted", {"at": 0.0, **body}, version))
    assert read == Noted(0.0, ("a", "b"))


@pytest.mark.parametrize("body", [{}, {"note": 5}, [], {"note": "a", "more": 1}])
def test_a_body_that_is_not_of_its_version_is_told(body: object):
    with pytest.raises(UnreadableEntryError):
        codec(registry=NOTED).decode(entry_with("test.noted", body, 1))


@pytest.mark.parametrize(
    ("kinds", "upgrades"),
    [
        pytest.param([Kind("test.noted", 2, Noted)], {}, id="no way from version 1"),
        pytest.param(
            [Kind("test.noted", 1, Noted)], {("test.noted", 1): _split}, id="no version 2"
        ),
        pytest.param([Kind("test.a", 1, Noted), Kind("test.b", 1, Noted)], {}, id="two tags"),
        pytest.param(
            [Kind("test.a", 1, Noted), Kind("test.a", 1, records.Idled)],
            {},
            id="two classes",
        ),
    ],
)
def test_a_registry_with_a_hole_is_refused_when_it_is_made(kinds: list[Kind], upgrades: Any):
    with pytest.raises(ValueError, match=r"upgrades|registered twice"):
        Registry(kinds, upgrades, FORMS)


# ---------------------------------------------------------------- a whole run

PLAN = plan(step("s0", Start), step("s1", A))
STORY: list[Record] = [
    records.RunStarted(0.0, RunId("run"), EPOCH),
    records.Emitted(0.0, DeliveryId(0), Start(), DeliveryId(1), ("s0",)),
    records.Started(0.25, DeliveryId(1), "s0", 0),
    records.Completed(0.5, DeliveryId(1), A(), DeliveryId(2), ("s1",)),
    records.Started(0.75, DeliveryId(2), "s1", 0),
    records.Completed(1.0, DeliveryId(2), Stop(), DeliveryId(3), ()),
    records.Decided(1.0, records.Stopped(Stop())),
    records.Closed(1.0),
]


def journal_of(story: list[Record]) -> list[Entry]:
    own, state = codec(), RunState(PLAN, RunId("run"))
    entries = []
    for n, record in enumerate(story, 1):
        entries.append(own.encode(record, n))
        read_run(state, own, entries[-1:], after=n - 1)
        entries[-1] = attrs.evolve(entries[-1], status=status_after(record, state))
    return entries


def test_a_run_is_folded_from_its_entries_in_one_go_or_in_two():
    entries, once, twice = journal_of(STORY), *(RunState(PLAN, RunId("run")) for _ in "12")
    assert read_run(once, codec(), entries) == len(entries)
    last = read_run(twice, codec(), entries[:5])
    assert read_run(twice, codec(), entries[last:], after=last) == len(entries)
    assert once == twice
    once.check()
    assert once.outcome == records.Stopped(Stop())


@pytest.mark.parametrize("gone", range(1, 7))
def test_an_entry_that_is_missing_is_noticed(gone: int):
    entries = journal_of(STORY)
    del entries[gone]
    with pytest.raises(UnreadableEntryError, match=f"not record {gone + 1} of run run"):
        read_run(RunState(PLAN, RunId("run")), codec(), entries)


def test_an_entry_of_another_run_is_noticed():
    entries = journal_of(STORY)
    entries[3] = attrs.evolve(entries[3], stream="other")
    with pytest.raises(UnreadableEntryError, match="not record 4 of run run"):
        read_run(RunState(PLAN, RunId("run")), codec(), entries)


def test_a_record_that_cannot_follow_is_told_of_and_not_raised_from_inside():
    own = codec()
    twice = [own.encode(STORY[0], 1), own.encode(STORY[2], 2)]
    with pytest.raises(UnreadableEntryError, match="does not follow from the records before"):
        read_run(RunState(PLAN, RunId("run")), own, twice)


def test_a_stream_runs_until_its_run_is_closed():
    statuses = [entry.status for entry in journal_of(STORY)]
    assert statuses == ["running", *[None] * 6, "completed"]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (records.Stopped(Stop()), "completed"),
        (records.Crashed(), "failed"),
        (records.TimedOut(()), "failed"),
        (records.Stalled(), "failed"),
        (records.Cancelled(by_owner=False), "cancelled"),
    ],
)
def test_how_a_run_ended_is_the_status_of_its_stream(outcome: records.Outcome, status: str):
    story = [*STORY[:2], records.Decided(1.0, outcome), records.Closed(1.0)]
    assert journal_of(story)[-1].status == status


def test_a_failure_in_the_clean_up_is_a_failure_whatever_was_decided():
    error = ValueError("late")
    story: list[Record] = [
        *STORY[:3],
        records.Decided(1.0, records.Cancelled(by_owner=False)),
        records.Failed(1.0, DeliveryId(1), error),
        records.Closed(1.0),
    ]
    own, state = codec(), RunState(PLAN, RunId("run"))
    read_run(state, own, [own.encode(record, n) for n, record in enumerate(story, 1)])
    assert status_after(story[-1], state) == "failed"


def test_a_class_that_nobody_knows_any_more_holds_the_run():
    own = codec()
    entry = own.encode(records.Streamed(0.0, DeliveryId(1), Stray(1)), 1)
    del own.values.classes["Stray"]
    with pytest.raises(UnreadableEntryError, match="event: "):
        own.decode(entry)
