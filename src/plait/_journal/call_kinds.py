"""The kinds of records of the calls of a durable body: each has a tag, a version and a form. For ever.

`registry` has the rules; the registry is that of a whole run, in `life_kinds`. Values and errors are
written as they come, since the strand, which knows their types, has made JSON values of them. The key
of a call is that of the entry.
"""

from __future__ import annotations

from typing import Final, get_args

from plait._kernel.calls import records
from plait._kernel.calls.keeping import KEEPING
from plait._kernel.calls.keys import Key, key_of, key_text
from plait._kernel.calls.records import Op, Where
from plait._kernel.keeping import Keep

from . import forms
from .forms import Form, Misfit, Values
from .registry import Kind, Upgrade

KINDS: Final = (
    Kind("step.started", 1, records.CallStarted, keyed=True),
    Kind("step.scheduled", 1, records.CallScheduled, keyed=True),
    Kind("step.retrying", 1, records.CallRetrying, keyed=True),
    Kind("step.completed", 1, records.CallCompleted, keyed=True),
    Kind("step.failed", 1, records.CallFailed, keyed=True),
    Kind("step.cancelled", 1, records.CallCancelled, keyed=True),
    Kind("deadline.set", 1, records.DeadlineSet, keyed=True),
    Kind("deadline.fired", 1, records.DeadlineFired, keyed=True),
    Kind("patch.decided", 1, records.Patched),
)

UPGRADES: Final[dict[tuple[str, int], Upgrade]] = {}

#: Tags of what recovery does not read.
NOTES: Final = frozenset(kind.tag for kind in KINDS if KEEPING[kind.cls] is Keep.NOTE)

# ---------------------------------------------------------------- how fields are written


def _read_key(data: object, values: Values) -> Key:
    text: str = forms.TEXT.read(data, values)
    try:
        return key_of(text)
    except ValueError as error:
        raise Misfit(str(error)) from None


def _write_key(key: Key, _: Values) -> str:
    return key_text(key)


KEY: Final = Form(_read_key, _write_key)

BY_ANNOTATION: Final[dict[object, Form]] = {
    float: forms.SECONDS,
    float | None: forms.optional(forms.SECONDS),
    int: forms.COUNT,
    int | None: forms.optional(forms.COUNT),
    bool: forms.FLAG,
    str: forms.TEXT,
    str | None: forms.optional(forms.TEXT),
    object: forms.VALUE,
    Key: KEY,
    Op: forms.word(*get_args(Op)),
    Where: forms.listing(forms.TEXT),
    Where | None: forms.optional(forms.listing(forms.TEXT)),
}
