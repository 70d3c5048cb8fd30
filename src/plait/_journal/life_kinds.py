"""The kinds of records of a function's run: each has a tag, a version and a form. For ever.

`registry` has the rules, `call_kinds` the kinds of a run's calls; one registry has both, since both are
in the run's stream. Values, errors and events are written as they come: the strand has made JSON values
of them. A record of a run's life has no key: it is of no step.
"""

from __future__ import annotations

from typing import Final, cast

from plait._abc import Status
from plait._kernel.calls.keys import Key
from plait._kernel.calls.refusals import Differs, NotCancelled
from plait._kernel.functions import reasons, records
from plait._kernel.functions.keeping import OF_RUNS
from plait._kernel.functions.reasons import Why
from plait._kernel.keeping import Keep

from . import call_kinds, forms
from .call_kinds import KEY
from .forms import Form, Values
from .registry import Forms, Kind, Registry, Upgrade

KINDS: Final = (
    Kind("run.queued", 1, records.RunQueued),
    Kind("run.started", 1, records.FunctionStarted),
    Kind("run.retrying", 1, records.FunctionRetrying),
    Kind("rollback.begun", 1, records.RollbackBegun),
    Kind("run.held", 1, records.FunctionHeld),
    Kind("run.freed", 1, records.FunctionFreed),
    Kind("run.completed", 1, records.FunctionCompleted),
    Kind("run.failed", 1, records.FunctionFailed),
    Kind("run.cancelled", 1, records.FunctionCancelled),
)

UPGRADES: Final[dict[tuple[str, int], Upgrade]] = {}

#: Tags of what recovery does not read, calls included.
NOTES: Final = call_kinds.NOTES | frozenset(
    kind.tag for kind in KINDS if OF_RUNS[kind.cls] is Keep.NOTE
)

#: Where each record leaves the stream. The others leave it where it was.
STATUS: Final[dict[type, Status]] = {
    records.RunQueued: "queued",
    records.FunctionStarted: "running",
    records.FunctionHeld: "held",
    records.FunctionFreed: "running",
    records.FunctionCompleted: "completed",
    records.FunctionFailed: "failed",
    records.FunctionCancelled: "cancelled",
}

# ---------------------------------------------------------------- why a run is held

KEYS: Final = forms.listing(KEY)
NAMES: Final = forms.listing(forms.TEXT)


def _read_said(data: object, values: Values) -> object:
    """An op or a handler is a text, the tasks on a path are several."""
    if isinstance(data, str):
        return data
    return NAMES.read(data, values)


def _write_said(value: object, _: Values) -> object:
    return [*cast("tuple[str, ...]", value)] if isinstance(value, tuple) else value


SAID: Final = Form(_read_said, _write_said)

WHY: Final = forms.choice(
    resumes=(
        reasons.TooManyResumes,
        forms.fields(reasons.TooManyResumes, resumes=forms.COUNT),
    ),
    source=(
        reasons.SourceChanged,
        forms.fields(reasons.SourceChanged, before=forms.TEXT, now=forms.TEXT),
    ),
    function=(
        reasons.UnknownFunction,
        forms.fields(reasons.UnknownFunction, fn_id=forms.TEXT),
    ),
    rollback=(reasons.CannotUndo, forms.fields(reasons.CannotUndo, keys=KEYS)),
    differs=(
        Differs,
        forms.fields(
            Differs,
            key=KEY,
            what=forms.word("op", "handler", "where"),
            before=SAID,
            now=SAID,
        ),
    ),
    not_cancelled=(NotCancelled, forms.fields(NotCancelled, key=KEY)),
    unreadable=(reasons.Unreadable, forms.fields(reasons.Unreadable, fault=forms.TEXT)),
)

# ---------------------------------------------------------------- how fields are written

BY_ANNOTATION: Final[dict[object, Form]] = {
    **call_kinds.BY_ANNOTATION,
    tuple[object, ...]: forms.listing(forms.VALUE),
    tuple[Key, ...]: KEYS,
    Why: WHY,
}

REGISTRY: Final = Registry(
    (*call_kinds.KINDS, *KINDS), {**call_kinds.UPGRADES, **UPGRADES}, Forms(BY_ANNOTATION, {})
)
