"""Runs as a journal has them, up to any of their entries: positions, and the checkpoints there.

Rule 1: A checkpoint in a journal is a position: the record of a completion that brought something. Its
    state is what the records before it lead to, and it is made when somebody asks for it.
Rule 2: The runs inside a run have streams of their own. What of them was there at that time goes into
    the state as records, which the workflow that they are of reads when it goes on with them: here
    nobody knows its classes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from plait._abc import Entry
from plait._engine.past import Past
from plait._errors import ContextSerdeError, PlaitError
from plait._event import Event
from plait._ids import DeliveryId, RunId
from plait._journal import forms
from plait._journal.codec import Codec
from plait._journal.forms import Form, Misfit
from plait._journal.snapshot import Snapshot, write
from plait._journal.soundness import faults_of
from plait._kernel import records
from plait._kernel.life import GOING
from plait._kernel.records import AnyRecord, Listed
from plait._kernel.state import RunState

from .checkpointing import input_of, is_output
from .forks import children_of, fork_of
from .journals import child_of, rename
from .timeout import Timeout

if TYPE_CHECKING:
    from .serializers import BaseSerializer
    from .workflow import Workflow

#: The format of a run inside another one that is written as its records.
FORMAT: Final = "plait.records"
VERSION: Final = 1

ROW: Final = (forms.TEXT, forms.NUMBER, forms.SECONDS, forms.TEXT)


def _read_row(data: object, values: forms.Values) -> tuple[Any, ...]:
    """Read an entry: its kind, version, time and body; and its key, if it is of a call."""
    given = forms.a_list(data)
    row = forms.row(*ROW, forms.TEXT) if len(given) > len(ROW) else forms.row(*ROW)
    found: tuple[Any, ...] = row.read(given, values)
    return found if len(found) > len(ROW) else (*found, None)


FIELDS: Final = {
    "format": forms.TEXT,
    "version": forms.NUMBER,
    "workflow": forms.TEXT,
    "run_id": forms.TEXT,
    "until": forms.SECONDS,
    "entries": forms.listing(Form(_read_row)),
    "children": Form(lambda data, _: forms.a_mapping(data)),
}

#: Called with each record and its place in the stream, before it is applied.
Look = Callable[[RunState, int, AnyRecord], object]


@attrs.frozen
class Stream:
    """A run's entries; and those of the runs inside it, by their names."""

    name: RunId
    workflow: str
    entries: Sequence[Entry]
    inside: Mapping[RunId, Stream]


@attrs.frozen
class Position:
    """A completion that brought something."""

    #: How many entries are before it, and when it was written: Unix time, and on the run's clock.
    before: int
    at: float
    now: float
    delivery: DeliveryId
    step: str
    given: Event | list[Event]
    returned: Event | list[Event]


# ---------------------------------------------------------------- folding


def folded(
    workflow: Workflow[Any],
    name: RunId,
    entries: Sequence[Entry],
    look: Look | None = None,
    *,
    now: float | None = None,
    until: float | None = None,
) -> Snapshot:
    """Make of a run's entries what its snapshot would be. The store is as it is written.

    Args:
        workflow: The workflow.
        name: The run's name.
        entries: From the first on.
        look: Called with each record, before it is applied.
        now: The time of the snapshot, on the run's clock; by default that of the last record.
        until: The same as Unix time.

    Raises:
        UnreadableEntryError: One cannot be read.
    """
    _, plan = workflow._compile()
    values = workflow._kept_values()
    state, first = RunState(plan, name), 0
    children: dict[RunId, object] = {}
    fork = fork_of(entries[0], values) if entries else None
    if fork is not None:
        snapshot = fork.restored(plan, values)
        state, children, first = snapshot.state, children_of(snapshot), 1
        rename(state, name, children)
    limit = workflow._timeout
    pauses = isinstance(limit, Timeout) and not limit.while_idle
    past, places = Past(pauses), count(first + 1)

    def see(record: AnyRecord) -> None:
        if look is not None:
            look(state, next(places), record)

    past.read(
        state, entries[first:], Codec(name, values).records(entries[first:], after=first), see
    )
    if until is not None:
        now = until - state.epoch
    if now is not None:
        past.until(now, idle=state.phase is not GOING or (pauses and state.idle))
    return Snapshot(
        state, past.elapsed, has_store=True, children=dict[str, object](children.items())
    )


def positions(workflow: Workflow[Any], stream: Stream) -> list[Position]:
    """List the checkpoints of a run, the oldest first.

    Raises:
        UnreadableEntryError: One of its entries cannot be read.
    """
    found: list[Position] = []
    members: list[Event] = []
    due = 0
    cause = DeliveryId(0)

    def look(state: RunState, n: int, record: AnyRecord) -> None:
        nonlocal members, due, cause
        if due and isinstance(record, records.Emitted) and record.cause == cause:
            members.append(cast("Event", record.event))
            due -= 1
        elif isinstance(record, records.Completed) and state.phase is GOING:
            delivery = state.running.get(record.delivery) or state.suspended.get(record.delivery)
            if delivery is None:
                return  # the run began with it
            returned: object = record.event
            if isinstance(returned, Listed):
                due, cause = returned.size, record.delivery
                returned = members = []
            if is_output(returned):
                at, given = stream.entries[n - 1].at, input_of(delivery.event)
                number, step = record.delivery, delivery.step
                found.append(Position(n - 1, at, record.at, number, step, given, returned))

    folded(workflow, stream.name, stream.entries, look)
    return found


def state_at(
    workflow: Workflow[Any],
    stream: Stream,
    position: Position,
    serializer: BaseSerializer | None,
) -> dict[str, Any]:
    """Write the run down as it stood at a position, without the delivery that had returned."""
    values = workflow._kept_values()
    before = stream.entries[: position.before]
    snapshot = folded(workflow, stream.name, before, now=position.now)
    state = snapshot.state
    children: dict[str, object] = {}
    for delivery in state.live():
        if delivery.number != position.delivery:
            children.update(_inside(stream, snapshot, delivery, position.at))
    store = {key: values.decode(data, key) for key, data in state.store.items()}
    return write(
        state,
        workflow._values(serializer),
        elapsed=snapshot.elapsed,
        store=store,
        children=children,
        without=position.delivery,
    )


def _inside(
    stream: Stream, snapshot: Snapshot, delivery: Any, until: float
) -> Iterator[tuple[RunId, object]]:
    """The runs that a body has made, as far as they had come."""
    ordinal = 0
    while True:
        name = child_of(stream.name, delivery, ordinal)
        kept = _written(stream.inside[name], until) if name in stream.inside else None
        written = kept or snapshot.children.get(name)
        if written is None:
            return
        yield name, written
        ordinal += 1


# ---------------------------------------------------------------- runs inside a run, as records


def _written(stream: Stream, until: float) -> dict[str, Any] | None:
    # Up to the last one of that time: clocks of several processes may not agree.
    count = max((n for n, one in enumerate(stream.entries, 1) if one.at <= until), default=0)
    if not count:
        return None
    inside = {name: _written(child, until) for name, child in stream.inside.items()}
    return {
        "format": FORMAT,
        "version": VERSION,
        "workflow": stream.workflow,
        "run_id": stream.name,
        "until": until,
        "entries": [
            [
                *(one.kind, one.version, one.at, base64.b64encode(one.body).decode()),
                *(() if one.key is None else (one.key,)),
            ]
            for one in stream.entries[:count]
        ],
        "children": {name: child for name, child in inside.items() if child is not None},
    }


def restored(workflow: Workflow[Any], data: Mapping[str, Any]) -> Snapshot:
    """Read a run that is written as its records.

    Raises:
        ContextSerdeError: It does not fit.
    """
    values = workflow._kept_values()
    try:
        found = forms.read_fields(data, FIELDS, values)
    except Misfit as misfit:
        raise _refusal(misfit.faults) from misfit
    if (found["format"], found["version"]) != (FORMAT, VERSION):
        text = f"cannot load version {found['version']}, the newest known is {VERSION}"
        raise _refusal([("version", text)])
    if found["workflow"] != workflow.workflow_name:
        text = f"it is of {found['workflow']!r}, not of {workflow.workflow_name!r}"
        raise _refusal([("workflow", text)])
    try:
        name = RunId(found["run_id"])
        entries = [
            Entry(name, n, kind, version, at, key, base64.b64decode(body))
            for n, (kind, version, at, body, key) in enumerate(found["entries"], 1)
        ]
        snapshot = folded(workflow, name, entries, until=found["until"])
    except (PlaitError, ValueError) as error:
        raise _refusal([("entries", str(error))]) from error
    state = snapshot.state
    if faults := faults_of(state):
        raise _refusal([("entries", f"{path}: {text}") for path, text in faults])
    state.store = {key: values.decode(held, key) for key, held in state.store.items()}
    return attrs.evolve(snapshot, children={**snapshot.children, **found["children"]})


def _refusal(faults: Sequence[tuple[str, str]]) -> ContextSerdeError:
    counted = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    lines = [
        f"Cannot load this context: {counted}",
        *(f"  {path}: {text}" for path, text in faults),
    ]
    return ContextSerdeError("\n".join(lines))
