"""Snapshots: whatever a run is doing, its document is read back as the same state, or refused in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import attrs
import pytest

from plait._errors import ContextSerdeError
from plait._ids import DeliveryId
from plait._journal.snapshot import read, write
from plait._kernel.fold import take_out
from plait._kernel.life import Phase
from plait._kernel.plan import Gather, Plan
from plait._kernel.records import Record
from plait._kernel.state import RunState, StepState
from tests.journal.walks import drive, kernel_values, walk
from tests.kernel import strategies
from tests.kernel.shell import Shell
from tests.kernel.strategies import A, Answer, B, C, Start, Stray, Watched

VALUES = kernel_values()
BLOCK = 25


def document(state: RunState) -> dict[str, Any]:
    return write(state, VALUES, elapsed=state.elapsed, store=state.store)


def is_read_back(state: RunState) -> RunState:
    written = document(state)
    again = read(state.plan, json.loads(json.dumps(written)), VALUES).state
    assert again == state
    assert document(again) == written, "there is more than what `==` compares"
    return again


@pytest.mark.parametrize("first", range(0, 200, BLOCK))
def test_the_state_of_any_run_is_read_back_as_it_was_and_goes_on(first: int):
    seen = 0

    def look(state: RunState, _: list[Record]) -> None:
        nonlocal seen
        seen += 1
        if seen % 5 == 0:
            again = is_read_back(state)
            if state.phase in {Phase.GOING, Phase.WINDING_UP}:
                drive(again, is_read_back if seen % 20 == 0 else bool)
            VALUES.errors.clear()

    for seed in range(first, first + BLOCK):
        walk(seed, look)
    assert seen > BLOCK


# ---------------------------------------------------------------- what was changed on the way


def kept_documents() -> list[tuple[Plan, dict[str, Any]]]:
    """Of many walks, documents with much in them."""
    found: list[tuple[Plan, dict[str, Any]]] = []
    seen = 0

    def look(state: RunState, _: list[Record]) -> None:
        nonlocal seen
        seen += 1
        if state.phase is not Phase.NEW and seen % 7 == 0:
            found.append((state.plan, document(state)))

    for seed in range(200, 240):
        walk(seed, look)
    return found


DOCUMENTS = kept_documents()


def places_in(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something could be changed; what users' values look like is not looked into."""
    match node:
        case {"event": _, "fields": _} | {"class": _} | {"error": _}:
            return
        case dict():
            for key, held in node.items():
                yield (*path, key)
                yield from places_in(held, (*path, key))
        case list():
            for place, held in enumerate(node):
                yield (*path, place)
                yield from places_in(held, (*path, place))
        case _:
            return


def changed(document: dict[str, Any], chance: Random) -> dict[str, Any]:
    """The same document, with one thing or a few that are not as they were."""
    document = json.loads(json.dumps(document))
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        places = [*places_in(document)]
        *path, last = chance.choice(places)
        holder: Any = document
        for key in path:
            holder = holder[key]
        _change(holder, last, document, places, chance)
    return document


def _change(holder: Any, last: Any, document: Any, places: list[Any], chance: Random) -> None:
    held = holder[last]
    match chance.randrange(6):
        case 0:
            del holder[last]
        case 1 if isinstance(holder, list):
            holder.insert(chance.randrange(len(holder) + 1), held)
        case 2 if type(held) is int:
            holder[last] = held + chance.choice([-1, 1, 1, 2, 1000, -held, -held - 1])
        case 3 if isinstance(held, list):
            chance.shuffle(held)
        case 4:
            other: Any = document
            for key in chance.choice(places):
                other = other[key]
            holder[last] = json.loads(json.dumps(other))
        case _:
            holder[last] = chance.choice([None, True, 0, -1, 1.5, "s0", "", [], {}, [1], {"a": 1}])


@pytest.mark.parametrize("first", range(0, 4000, 500))
def test_a_document_that_was_changed_is_refused_or_makes_a_run_that_can_go_on(first: int):
    refused = loaded = 0
    for seed in range(first, first + 500):
        chance = Random(seed)
        plan, document = chance.choice(DOCUMENTS)
        try:
            state = read(plan, changed(document, chance), VALUES).state
        except ContextSerdeError as error:
            refused += str(error).startswith("Cannot load this context: ")
            continue
        loaded += 1
        if state.phase in {Phase.GOING, Phase.WINDING_UP}:
            try:
                drive(state, bool)
            except Exception as error:
                error.add_note(f"seed {seed}")
                raise
    assert refused + loaded == 500, "refused without a word"
    assert min(refused, loaded) > 25


# ---------------------------------------------------------------- faults, in words

PLAN = strategies.plan(
    strategies.step("s0", Start, A, returns_list=True, opens=("f",), num_workers=2),
    strategies.step("s1", B, retry=strategies.Patience(), num_workers=2),
    strategies.join("j", A, C),
    strategies.fan_in("f", Stray),
    name="Flow",
)


def full_shell() -> Shell:
    """A run with something in nearly every place."""
    shell = Shell(PLAN, epoch=1000.0)
    shell.open(Start(1))
    shell.comes("s0")
    shell.returns(1, [B(2), B(3), B(4), B(5), C(6)])  # 2 to 5 in s1, 6 in the join
    shell.comes("s1")
    shell.returns(2, Stray(7))  # 7 in the fan-in
    shell.comes("s1")
    shell.raises(3, ValueError("once"))
    shell.comes("s1")
    shell.sends(A(8))  # 8 in s0, 9 in the join
    shell.comes("s0")
    shell.waits(8, Answer, Watched(9), number=3)
    shell.sends(Start(10))
    shell.comes("s0")
    shell.collects(10, [Start, Start])
    return shell


@pytest.fixture
def full() -> dict[str, Any]:
    return document(full_shell().state)


def faults(data: object, plan: Plan = PLAN) -> list[str]:
    with pytest.raises(ContextSerdeError) as caught:
        read(plan, data, VALUES)
    head, *lines = str(caught.value).splitlines()
    assert head == f"Cannot load this context: {len(lines)} fault{'s' * (len(lines) > 1)}"
    return [line.strip() for line in lines]


KEYS = [
    "format",
    "version",
    "workflow",
    "run_id",
    "is_running",
    "elapsed",
    "next_delivery",
    "state",
    "steps",
    "streams",
    "mailbox",
    "children",
]


def test_a_snapshot_has_just_these_keys(full: dict[str, Any]):
    assert [*full] == KEYS
    assert (full["format"], full["version"], full["workflow"]) == ("plait.context", 1, "Flow")
    assert {"queue", "running", "buffers", "waits"} <= full["steps"]["s0"].keys()


def test_a_snapshot_is_json_and_shares_nothing_with_the_run():
    shell = full_shell()
    before = document(shell.state)
    kept = json.dumps(before)
    shell.returns(4, Stray(11))
    assert json.dumps(before) == kept
    assert document(shell.state) != before
    assert json.loads(kept) == before, "a tuple, or a key that is no text"


@pytest.mark.parametrize("key", KEYS)
def test_every_key_must_be_there(full: dict[str, Any], key: str):
    del full[key]
    assert faults(full) == [f"{key}: is missing"]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (None, "None is no mapping"),
        ([], "[] is no mapping"),
        ("{}", "'{}' is no mapping"),
    ],
)
def test_what_is_no_document_is_refused(data: object, fault: str):
    assert faults(data) == [fault]


def test_garbage_is_refused_with_all_that_is_wrong():
    assert len(faults({})) == len(KEYS)
    assert "foo: is not known here" in faults({"foo": 1})


def test_two_faults_are_told_with_their_paths(full: dict[str, Any]):
    full["steps"]["nope"] = full["steps"].pop("j")
    full["steps"]["s1"]["queue"][0]["event"] = {"event": "Stolen", "fields": {}}
    found = faults(full)
    assert found[0] == "steps.nope: workflow 'Flow' has no step 'nope'"
    assert found[1].startswith("steps.s1.queue[0].event: {'event': 'Stolen'")
    assert len(found) == 2


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("format", "plait.run", "format: 'plait.run' is not 'plait.context'"),
        ("version", 99, "version: cannot load version 99, the newest known is 1"),
        ("version", True, "version: cannot load version True, the newest known is 1"),
        ("workflow", "Other", "workflow: it is of 'Other', not of 'Flow'"),
        ("more", 1, "more: is not known here"),
        ("elapsed", "1", "elapsed: '1' is no number of seconds"),
        ("is_running", 1, "is_running: 1 is no true or false"),
        ("state", [], "state: [] is no mapping"),
        ("children", None, "children: None is no mapping"),
        ("mailbox.more", 1, "mailbox.more: is not known here"),
        ("mailbox.permits", -1, "mailbox.permits: -1 is below 0"),
        ("mailbox.outcome", {"won": {}}, "mailbox.outcome: {'won': {}} is none of stopped,"),
        ("steps.s1.queue.0.number", "4", "steps.s1.queue[0].number: '4' is no whole number"),
        ("steps.s1.queue.0.more", 4, "steps.s1.queue[0].more: is not known here"),
        ("steps.s1.queue.0.number", 400, "steps.s1.queue[0].number: 400 is not below next_d"),
        ("steps.s1.queue.0.number", 4, "steps.s1.running[0].number: 4 is there twice"),
        ("steps.s1.queue.0.cause", 99, "steps.s1.queue[0].cause: 99 is not below next_delivery"),
        ("steps.s1.queue.0.worker", 0, "steps.s1.queue[0].worker: a delivery has a worker if"),
        ("steps.s1.queue.0.events", [], "steps.s1.queue[0]: it needs 'event' or 'events'"),
        ("steps.s1.running.0.worker", 1, "steps.s1.free: the workers are not numbered from 0"),
        ("steps.s1.due.0.trouble.failures", 0, "steps.s1.due[0].trouble.failures: 0 is below 1"),
        ("steps.s0.waits.0.ordinal", 5, "steps.s0.waits: delivery 8 has begun 1 waits"),
        ("steps.s0.waits.0.step", "s1", "steps.s0.waits[0].step: 's1' is not 's0'"),
        ("steps.s0.waits", [], "steps.s0.suspended: delivery 8 waits for nothing"),
        ("steps.s0.buffers.0.need.0.1", 0, "steps.s0.buffers[0].need[0][1]: 0 is below 1"),
        ("steps.s0.buffers.0.need.0.1", 1, "steps.s0.buffers[0].have: a whole batch lies in"),
        ("steps.j.joins.0.slots", [], "steps.j.joins[0].slots: 0 slots instead of 2"),
        ("steps.j.joins.0.stream", 5, "steps.j.joins[0].slots: delivery 6 is of another"),
        ("streams.open.0.live", 5, "streams.open[0].live: 4 are in it, not 5"),
        ("streams.open.0.step", "s9", "streams.open[0].step: workflow 'Flow' has no step 's9'"),
        ("streams.open.0.open", ["j"], "streams.open[0].open: ['j']; its streams end in f"),
        ("streams.open.0.id", 7, "streams.open[0].id: 7 is not below streams.next, 2"),
        ("streams.next", 1, "streams.open[0].id: 1 is not below streams.next, 1"),
        ("next_delivery", 4, "steps.s0.suspended[0].number: 8 is not below next_delivery, 4"),
    ],
)
def test_what_does_not_fit_is_told(full: dict[str, Any], path: str, value: object, fault: str):
    *way, last = path.split(".")
    node: Any = full
    for key in way:
        node = node[int(key) if key.isdigit() else key]
    node[int(last) if last.isdigit() else last] = value
    assert any(found.startswith(fault) for found in faults(full)), faults(full)


def test_a_member_of_a_stream_that_is_nowhere_is_told(full: dict[str, Any]):
    full["steps"]["s1"]["queue"].clear()
    assert faults(full) == [
        "streams.open[0].members: delivery 5 of step 's1' is nowhere",
        "streams.open[0].live: 3 are in it, not 4",
    ]


def test_a_delivery_that_its_stream_does_not_know_is_told(full: dict[str, Any]):
    members = full["streams"]["open"][0]["members"]
    members.remove([5, "s1"])
    assert faults(full) == ["steps.s1.queue[0].branch: stream 1 does not know of it"]


def test_a_retry_without_a_failure_is_told(full: dict[str, Any]):
    del full["steps"]["s1"]["due"][0]["trouble"]
    assert faults(full) == ["steps.s1.due[0].trouble: is missing"]


@pytest.mark.parametrize("slots", [[[], []], "whole"])
def test_a_join_that_is_whole_or_empty_is_told(full: dict[str, Any], slots: object):
    joins = full["steps"]["j"]["joins"]
    level = next(join for join in joins if join["stream"] is None)
    given = {"number": 9, "event": VALUES.encode(C(1))}
    level["slots"] = [level["slots"][0], [given]] if slots == "whole" else slots
    fault = "slots: a join waits while it has something, and not all"
    assert faults(full) == [f"steps.j.joins[{joins.index(level)}].{fault}"]


def test_a_fan_in_that_should_have_fired_is_told(full: dict[str, Any]):
    one = strategies.fan_in("f", Stray, gather=Gather(1))
    impatient = attrs.evolve(PLAN, steps=(*PLAN.steps[:-1], one))
    fault = "streams.open[0].gathered: fan-in 'f' has all that it takes"
    assert faults(full, impatient) == [fault]


def test_a_run_in_which_nothing_goes_on_is_told():
    shell = Shell(strategies.plan(strategies.step("s0", Start), name="Flow"))
    shell.open(Start(1))
    alone = document(shell.state)
    alone["steps"]["s0"]["queue"].clear()
    quiet = "steps: it does not fit together: quiet, and nobody has said so"
    assert faults(alone, shell.plan) == [quiet]


def test_workers_that_are_no_heap_are_told():
    plan = strategies.plan(strategies.step("s0", Start, num_workers=3), name="Flow")
    shell = Shell(plan)
    shell.open(Start(1))
    shell.sends(Start(2))
    shell.sends(Start(3))
    shell.sends(Start(4))
    for _ in range(3):
        shell.comes("s0")
    for number in (3, 1, 2):
        shell.returns(number, None)
    of_three = document(shell.state)
    assert sorted(of_three["steps"]["s0"]["free"]) == [0, 1, 2]
    of_three["steps"]["s0"]["free"] = [1, 0, 2]
    assert faults(of_three, plan) == ["steps.s0.free: it is no heap"]


def test_an_event_that_its_step_does_not_accept_is_told(full: dict[str, Any]):
    full["steps"]["s1"]["queue"][0]["event"] = VALUES.encode(C(1))
    assert faults(full) == ["steps.s1.queue[0].event: step 's1' does not accept C"]


def test_a_step_that_the_workflow_has_got_since_is_empty(full: dict[str, Any]):
    more = attrs.evolve(PLAN, steps=(*PLAN.steps, strategies.step("new", strategies.FinestA)))
    state = read(more, full, VALUES).state
    assert state.steps["new"] == StepState(more.step["new"])
    assert not state.steps["new"].queue


# ---------------------------------------------------------------- what else is in it


def test_nobody_has_been_offered_anything_yet():
    """Else the kernel would take offers for out that no worker of this process has heard."""
    shell = full_shell()
    assert any(step.offered for step in shell.state.steps.values())
    again = read(PLAN, document(shell.state), VALUES).state
    assert not any(step.offered for step in again.steps.values())


def test_what_is_done_to_a_document_is_not_done_to_the_run():
    shell = full_shell()
    before = json.dumps(document(shell.state))
    _empty(document(shell.state))
    assert json.dumps(document(shell.state)) == before


def _empty(node: Any) -> None:
    for held in node.values() if isinstance(node, dict) else node:
        if isinstance(held, dict | list):
            _empty(held)
    node.clear()


def test_sets_are_written_in_one_order():
    """A set of classes has another order in each process."""
    written = []
    for expected in ([Start, A], [A, Start]):
        shell = Shell(PLAN)
        shell.open(Start(1))
        shell.comes("s0")
        shell.collects(1, expected)
        written.append(document(shell.state)["steps"]["s0"])
    assert written[0] == written[1]


def test_the_store_may_be_left_out():
    state = full_shell().state
    store = {"n": 1, "of": B}
    whole = write(state, VALUES, elapsed=2.5, store=store, children={"c": {"deep": [1]}})
    again = read(PLAN, whole, VALUES)
    assert (again.elapsed, again.has_store, again.children) == (2.5, True, {"c": {"deep": [1]}})
    assert again.state.store == store
    again = read(PLAN, write(state, VALUES, elapsed=2.5, store=None), VALUES)
    assert (again.has_store, again.state.store, again.children) == (False, {}, {})


def test_a_value_of_the_store_that_cannot_be_written_is_told_by_its_key():
    class Local:
        pass

    with pytest.raises(ContextSerdeError, match="Failed to serialize state value for key f:"):
        write(full_shell().state, VALUES, elapsed=0.0, store={"f": Local})


@pytest.mark.parametrize("number", [4, 8, 10])
def test_a_checkpoint_is_the_run_without_one_delivery(number: int):
    """The run stays as it is, and the document is that of a run from which it was taken out."""
    shell = full_shell()
    before = document(shell.state)
    state = shell.state
    taken = write(state, VALUES, elapsed=0.0, store=None, without=DeliveryId(number))
    assert document(state) == before
    take_out(state, DeliveryId(number))
    assert taken == write(state, VALUES, elapsed=0.0, store=None)
    again = read(PLAN, taken, VALUES).state
    assert [*again.aside] == [number]
    assert again == state
