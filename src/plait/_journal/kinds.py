"""The kinds of records that a journal may hold: each has a tag, a version and a form. For ever.

Rule 1: a tag, once used, means the same for ever. A class may be renamed; its tag may not.
Rule 2: fields that change are a new version, with an upgrade from the one before. The files of
    `tests/conformance/golden` hold each version to its word.
Rule 3: a kind that is not in the table is refused. Nothing is imported by a name in a journal.

How a field is written follows from what it is annotated with; what does not is in `EXCEPTIONS`.
Times are written as they are, on the clock of the life of the run in which they were recorded.
Functions have tags of their own, among them `run.started`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias, get_type_hints

import attrs

from plait._ids import DeliveryId, RunId
from plait._kernel import records
from plait._kernel.collecting import Shape
from plait._kernel.records import Listed, Outcome
from plait._kernel.streams import Branch, StreamId
from plait._kernel.waits import Wait, WaitKey
from plait._show import show

from . import forms
from .forms import Form, Misfit, Values

Body: TypeAlias = dict[str, Any]
Upgrade: TypeAlias = Callable[[Body], Body]


@attrs.frozen
class Kind:
    """One kind of record: its tag, the version of its fields, and its class."""

    tag: str
    version: int
    cls: type


KINDS: Final = (
    Kind("run.opened", 1, records.RunStarted),
    Kind("run.reopened", 1, records.Reopened),
    Kind("run.permitted", 1, records.Permitted),
    Kind("run.idled", 1, records.Idled),
    Kind("run.decided", 1, records.Decided),
    Kind("run.closed", 1, records.Closed),
    Kind("event.emitted", 1, records.Emitted),
    Kind("event.repeated", 1, records.Repeated),
    Kind("event.collected", 1, records.Collected),
    Kind("event.written", 1, records.Streamed),
    Kind("event.written_before", 1, records.StreamedBefore),
    Kind("store.changed", 1, records.Stored),
    Kind("delivery.started", 1, records.Started),
    Kind("delivery.completed", 1, records.Completed),
    Kind("delivery.retrying", 1, records.Retrying),
    Kind("delivery.requeued", 1, records.Requeued),
    Kind("delivery.recovered", 1, records.Recovered),
    Kind("delivery.failed", 1, records.Failed),
    Kind("delivery.interrupted", 1, records.Interrupted),
    Kind("delivery.dropped", 1, records.Dropped),
    Kind("stream.fired", 1, records.Fired),
    Kind("stream.closed", 1, records.StreamClosed),
    Kind("wait.begun", 1, records.Waited),
    Kind("wait.answered", 1, records.Answered),
    Kind("event.handed_over", 1, records.HandedOver),
    Kind("wait.recalled", 1, records.Recalled),
    Kind("wait.ended", 1, records.WaitEnded),
    Kind("wait.resumed", 1, records.Resumed),
)

#: From this version of a tag to the next one: a body as it was written, yours to change and return.
UPGRADES: Final[dict[tuple[str, int], Upgrade]] = {}

# ---------------------------------------------------------------- how fields are written

BRANCH: Final = forms.fields(Branch, stream=forms.NUMBER, index=forms.COUNT)
WAIT_KEY: Final = forms.row(forms.COUNT, forms.COUNT)
WAIT_FIELDS: Final = {
    "delivery": forms.COUNT,
    "ordinal": forms.COUNT,
    "step": forms.TEXT,
    "kind": forms.KIND,
    "subclasses": forms.FLAG,
    "requirements": forms.table(forms.VALUE),
    "broadcast": forms.FLAG,
    "waiter_id": forms.TEXT,
    "since": forms.SECONDS,
}
WAIT: Final = forms.fields(Wait, **WAIT_FIELDS)
OUTCOME: Final = forms.choice(
    stopped=(records.Stopped, forms.fields(records.Stopped, event=forms.VALUE)),
    crashed=(records.Crashed, forms.fields(records.Crashed)),
    timed_out=(
        records.TimedOut,
        forms.fields(
            records.TimedOut,
            active=forms.listing(forms.TEXT),
            seconds=forms.optional(forms.DURATION),
        ),
    ),
    cancelled=(records.Cancelled, forms.fields(records.Cancelled, by_owner=forms.FLAG)),
    stalled=(records.Stalled, forms.fields(records.Stalled)),
)
LISTED: Final = forms.fields(Listed, stream=forms.NUMBER, size=forms.COUNT)

#: What a body returned: nothing, `{"event": ...}`, `{"listed": ...}`; and after the decision, when
#: a list opens no stream any more, `{"list": [...]}`.
_RETURNED: Final = {
    "event": forms.VALUE,
    "listed": LISTED,
    "list": Form(
        lambda data, values: forms.read_list(forms.read_value, data, values),
        lambda value, values: [forms.write_value(one, values) for one in value],
    ),
}


def _write_returned(value: object, values: Values) -> object:
    if value is None:
        return None
    name = "listed" if type(value) is Listed else "list" if isinstance(value, list) else "event"
    return {name: forms.write(_RETURNED[name], value, values)}


def _read_returned(data: object, values: Values) -> object:
    if data is None:
        return None
    given = forms.a_mapping(data)
    if len(given) != 1 or (name := next(iter(given))) not in _RETURNED:
        raise Misfit(f"{show(data, 40)} is none of {', '.join(_RETURNED)}")
    try:
        return _RETURNED[name].read(given[name], values)
    except Misfit as misfit:
        raise Misfit(faults=misfit.under(name)) from None


#: By what a field is annotated with.
BY_ANNOTATION: Final[dict[object, Form]] = {
    float: forms.SECONDS,
    int: forms.INTEGER,
    bool: forms.FLAG,
    str: forms.TEXT,
    object: forms.VALUE,
    Hashable: forms.KEY,
    type: forms.KIND,
    Exception: forms.instance(Exception),
    BaseException: forms.instance(BaseException),
    RunId: forms.TEXT,
    DeliveryId: forms.COUNT,  # 0 is the outside
    StreamId: forms.NUMBER,
    Branch | None: forms.optional(BRANCH),
    Shape: forms.SHAPE,
    Wait: WAIT,
    WaitKey: WAIT_KEY,
    Outcome: OUTCOME,
    tuple[str, ...]: forms.listing(forms.TEXT),
    tuple[WaitKey, ...]: forms.listing(WAIT_KEY),
    tuple[DeliveryId, ...]: forms.listing(forms.COUNT),
    tuple[StreamId, ...]: forms.listing(forms.NUMBER),
    tuple[object, ...]: forms.listing(forms.VALUE),
    Mapping[str, object]: forms.table(forms.VALUE),
}

#: `None`: it is not written, and read as `None`.
EXCEPTIONS: Final[dict[tuple[type, str], Form | None]] = {
    (records.Completed, "event"): Form(_read_returned, _write_returned),
    (records.Collected, "event"): None,  # an input of the delivery; `place` says which
}


def form_of(cls: type) -> Form:
    """Make the form of a record's class, of its fields."""
    hints = get_type_hints(cls)
    found: dict[str, Form] = {}
    for field in attrs.fields(cls):
        place = cls, field.name
        form = EXCEPTIONS[place] if place in EXCEPTIONS else BY_ANNOTATION[hints[field.name]]
        if form is not None:
            found[field.name] = form
    left_out = dict.fromkeys(hints.keys() - found.keys())
    return forms.fields(partial(cls, **left_out), **found)


# ---------------------------------------------------------------- the registry


class UnknownKind(LookupError):  # noqa: N818 - says what it is
    """There is no such kind, or no such version of it."""


class Registry:
    """Which kinds there are, by class and by tag. Closed once it is made.

    Raises:
        ValueError: A tag or a class is there twice, or a version cannot be upgraded to today's.
    """

    def __init__(
        self, kinds: Iterable[Kind], upgrades: Mapping[tuple[str, int], Upgrade] = UPGRADES
    ) -> None:
        self.kinds: tuple[Kind, ...] = tuple(kinds)
        self._by_tag = {kind.tag: kind for kind in self.kinds}
        self.by_class: dict[type, tuple[Kind, Form]] = {
            kind.cls: (kind, form_of(kind.cls)) for kind in self.kinds
        }
        self._upgrades = dict(upgrades)
        if len(self._by_tag) < len(self.kinds) or len(self.by_class) < len(self.kinds):
            raise ValueError("a tag or a class is registered twice")
        needed = {(k.tag, version) for k in self.kinds for version in range(1, k.version)}
        if needed != self._upgrades.keys():
            raise ValueError(f"upgrades: {sorted(needed ^ self._upgrades.keys())}")

    def of(self, tag: str, version: int) -> tuple[Kind, Form]:
        """Find a kind.

        Raises:
            UnknownKind: There is none; the message says why.
        """
        kind = self._by_tag.get(tag)
        if kind is None:
            raise UnknownKind(f"no record of this kind is known; known are {self.known}")
        if not 1 <= version <= kind.version:
            raise UnknownKind(f"version {version} is not known, the newest known is {kind.version}")
        return self.by_class[kind.cls]

    @property
    def known(self) -> str:
        """The tags, as a text."""
        return ", ".join(sorted(self._by_tag))

    def upgraded(self, tag: str, version: int, body: Body) -> Body:
        """Turn a body of any known version into one of today's.

        Raises:
            Misfit: It is not a body of its version.
        """
        for older in range(version, self._by_tag[tag].version):
            try:
                body = self._upgrades[tag, older](body)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise Misfit(f"it is not of version {older}: {error!r}") from error
        return body


REGISTRY: Final = Registry(KINDS)
