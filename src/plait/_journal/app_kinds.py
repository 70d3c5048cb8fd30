"""The kinds of records of an app's stream: each has a tag, a version and a form. For ever.

`registry` has the rules. The data of events is written as it comes: JSON values, which the strand has
made. What is of one process only, who holds a slot for a handler, has no kind: it is not kept.
"""

from __future__ import annotations

from typing import Final, get_args

from plait._kernel.admission import records, snapshot
from plait._kernel.admission.keeping import KEEPING
from plait._kernel.admission.records import EventReceived, Keys, Knob, Need, Waited
from plait._kernel.keeping import Keep

from . import forms
from .forms import Form
from .registry import Forms, Kind, Registry, Upgrade

KINDS: Final = (
    Kind("event.received", 1, EventReceived),
    Kind("event.held", 1, records.EventHeld),
    Kind("event.skipped", 1, records.EventSkipped),
    Kind("cron.fired", 1, records.CronFired),
    Kind("cron.watched", 1, records.CronWatched),
    Kind("cancel.requested", 1, records.CancelRequested),
    Kind("run.admitted", 1, records.RunAdmitted),
    Kind("run.released", 1, records.RunReleased),
    Kind("run.left", 1, records.RunLeft),
    Kind("app.snapshot", 1, records.AppSnapshot),
)

UPGRADES: Final[dict[tuple[str, int], Upgrade]] = {}

#: Tags of what recovery does not read.
NOTES: Final = frozenset(kind.tag for kind in KINDS if KEEPING[kind.cls] is Keep.NOTE)

# ---------------------------------------------------------------- how fields are written

#: Events are numbered from 1; 0 is none.
EVENTS: Final = forms.listing(forms.NUMBER)
MARKS: Final = forms.listing(forms.row(forms.TEXT, forms.TEXT, forms.SECONDS))

BY_ANNOTATION: Final[dict[object, Form]] = {
    float: forms.SECONDS,
    float | None: forms.optional(forms.SECONDS),
    int: forms.COUNT,
    str: forms.TEXT,
    str | None: forms.optional(forms.TEXT),
    object: forms.VALUE,
    Knob: forms.word(*get_args(Knob)),
    tuple[int, ...]: EVENTS,
    tuple[str, ...]: forms.listing(forms.TEXT),
    Waited | None: forms.optional(forms.row(forms.word("debounce", "batch_events"), forms.TEXT)),
    snapshot.Marks: MARKS,
}

EXCEPTIONS: Final[dict[tuple[type, str], Form | None]] = {
    (EventReceived, "number"): forms.NUMBER,
    (EventReceived, "ts"): forms.INTEGER,
    (Need, "place"): forms.whole(-1),
    (snapshot.HeldPicture, "event"): forms.NUMBER,
}

FORMS: Final = Forms(BY_ANNOTATION, EXCEPTIONS)

# What records and snapshots are made of, from the inside out.

BY_ANNOTATION[tuple[Need, ...]] = forms.listing(FORMS.of(Need))
BY_ANNOTATION[Keys] = FORMS.of(Keys)
HELD: Final = FORMS.of(snapshot.HeldPicture)
PICTURES: Final[dict[tuple[type, str], Form]] = {
    (snapshot.FunctionPicture, "passed"): forms.listing(
        forms.row(forms.TEXT, forms.listing(forms.SECONDS))
    ),
    (snapshot.FunctionPicture, "tats"): forms.listing(forms.row(forms.TEXT, forms.SECONDS)),
    (snapshot.FunctionPicture, "bursts"): forms.listing(
        forms.row(forms.TEXT, HELD, forms.SECONDS, forms.SECONDS)
    ),
    (snapshot.FunctionPicture, "batches"): forms.listing(
        forms.row(forms.TEXT, forms.SECONDS, forms.listing(HELD))
    ),
    (snapshot.Picture, "events"): forms.listing(FORMS.of(EventReceived)),
    (snapshot.Picture, "runs"): forms.listing(FORMS.of(snapshot.RunPicture)),
    (snapshot.Picture, "later"): forms.listing(forms.row(forms.TEXT, forms.SECONDS, HELD)),
}
EXCEPTIONS.update(PICTURES)
EXCEPTIONS[snapshot.Picture, "functions"] = forms.listing(FORMS.of(snapshot.FunctionPicture))
EXCEPTIONS[records.AppSnapshot, "state"] = FORMS.of(snapshot.Picture)

REGISTRY: Final = Registry(KINDS, UPGRADES, FORMS)
