"""`run.forked`: the first entry of a run that did not begin with a start event, but from a snapshot.

Rule 1: It is no record of the kernel. It says which state the first record was applied to.
Rule 2: What the step had returned whose checkpoint it was is in it as well. So a process that dies
    before that is routed takes nothing along.
Rule 3: The snapshot is written as it is: it has been written by somebody's serializer already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from plait._abc import Entry, Opening
from plait._errors import ContextSerdeError, UnreadableEntryError
from plait._ids import RunId
from plait._journal import forms
from plait._journal.codec import from_bytes, to_bytes
from plait._journal.forms import Form, Misfit
from plait._journal.snapshot import Snapshot, read

from .checkpointing import is_output

if TYPE_CHECKING:
    from plait._journal.values import Values
    from plait._kernel.plan import Plan
    from plait._kernel.state import RunState

KIND: Final = "run.forked"
VERSION: Final = 1

#: `from`: the run that the snapshot is of. `n`: the delivery that had returned, 0 if it is no
#: checkpoint's. `output`: what that had returned.
FIELDS: Final = {
    "from": forms.TEXT,
    "n": forms.COUNT,
    "snapshot": Form(lambda data, _: forms.a_mapping(data)),
    "output": forms.optional(forms.VALUE),
}


@attrs.frozen
class Fork:
    """Where a run begins instead of a start event."""

    #: A snapshot's document.
    snapshot: Mapping[str, Any]
    #: What the step had returned whose checkpoint it is.
    output: object
    #: The body of the entry.
    body: bytes

    @property
    def store(self) -> dict[str, object]:
        """What was in the store, as it is written."""
        return dict(self.snapshot["state"] or {})

    def restored(self, plan: Plan, values: Values) -> Snapshot:
        """Read the snapshot. The store stays as it is written: so a run that is kept has it.

        Raises:
            ContextSerdeError: It does not fit.
        """
        snapshot = read(plan, self.snapshot, values)
        snapshot.state.store = self.store
        return snapshot


def new_fork(snapshot: Mapping[str, Any], output: object, values: Values) -> Fork:
    """Begin a run from here.

    Args:
        snapshot: The document, as this process has written it.
        output: What was returned by the step whose delivery is aside, if one is.
        values: Writes the output.

    Raises:
        ContextSerdeError: The output cannot be written.
    """
    aside = [one["number"] for step in snapshot["steps"].values() for one in step["aside"]]
    body = {
        "from": snapshot["run_id"],
        "n": aside[0] if aside else 0,
        "snapshot": snapshot,
        "output": forms.write(FIELDS["output"], output, values),
    }
    return Fork(snapshot, output, to_bytes(body))


def entry_of(fork: Fork, run_id: RunId, at: float, opening: Opening | None) -> Entry:
    """Write it."""
    return Entry(run_id, 1, KIND, VERSION, at, None, fork.body, "running", opening)


def fork_of(entry: Entry, values: Values) -> Fork | None:
    """Read a run's first entry, if the run begins with a fork.

    Raises:
        UnreadableEntryError: It cannot be read.
    """
    if entry.kind != KIND:
        return None
    if entry.version != VERSION:
        text = f"version {entry.version} is not known, the newest known is {VERSION}"
        raise UnreadableEntryError(entry, text)
    try:
        found = forms.read_fields(from_bytes(entry.body), FIELDS, values)
    except Misfit as misfit:
        raise UnreadableEntryError(entry, *misfit.lines) from misfit
    except (ContextSerdeError, ValueError, RecursionError) as error:
        raise UnreadableEntryError(entry, str(error)) from error
    if found["n"] and not is_output(found["output"]):
        raise UnreadableEntryError(entry, "output: is no event and no list of events")
    if "state" not in found["snapshot"]:
        raise UnreadableEntryError(entry, "snapshot.state: is missing")
    return Fork(found["snapshot"], found["output"], entry.body)


def put_state(state: RunState, other: RunState) -> None:
    """Make a new run's state what another is. It keeps its name, and whoever knows it knows it still."""
    for field in attrs.fields(type(state)):
        if field.name not in {"plan", "run_id"}:
            setattr(state, field.name, getattr(other, field.name))


def children_of(snapshot: Snapshot) -> dict[RunId, object]:
    """The snapshots of the runs inside it, by their names."""
    return {RunId(name): child for name, child in snapshot.children.items()}
