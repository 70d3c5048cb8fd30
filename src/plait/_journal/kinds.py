"""The kinds of records of event workflows and flows: each has a tag, a version and a form. For ever.

`registry` has the rules. Times are written as they are, on the clock of the life of the run in which
they were recorded. Functions and apps have tags of their own: `life_kinds`, `app_kinds`.

The durable calls of deliveries have those of `call_kinds`, and are on the wall clock, as there. Their
values are JSON values by the time they are recorded, and stay as they are: only who makes the call
knows the type.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Final

import attrs

from plait._errors import ContextSerdeError
from plait._ids import DeliveryId, RunId
from plait._kernel import records
from plait._kernel.calls import records as of_calls
from plait._kernel.collecting import Shape
from plait._kernel.graph import records as graph
from plait._kernel.records import Listed, Outcome
from plait._kernel.streams import Branch, StreamId
from plait._kernel.waits import Wait, WaitKey
from plait._show import show

from . import call_kinds, forms, life_kinds
from .failures import Failure
from .forms import Form, Misfit, Values
from .recorded import write_error
from .registry import Forms, Kind, Registry, Upgrade

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
    Kind("event.met", 1, records.Met),
    Kind("stream.closed", 1, records.StreamClosed),
    Kind("wait.begun", 1, records.Waited),
    Kind("wait.answered", 1, records.Answered),
    Kind("event.handed_over", 1, records.HandedOver),
    Kind("wait.recalled", 1, records.Recalled),
    Kind("wait.ended", 1, records.WaitEnded),
    Kind("wait.resumed", 1, records.Resumed),
    Kind("delivery.patched", 1, records.DeliveryPatched, on_wall=True),
    Kind("step.readied", 2, graph.Readied),
    Kind("step.reused", 1, graph.Reused),
    Kind("step.skipped", 2, graph.Skipped),
)

UPGRADES: Final[dict[tuple[str, int], Upgrade]] = {
    # That did not say what a step has waited for.
    ("step.readied", 1): lambda body: {**body, "after": None},
    ("step.skipped", 1): lambda body: {**body, "after": None},
}

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
    finished=(records.Finished, forms.fields(records.Finished)),
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
    graph.Reason: forms.TEXT,
    tuple[str, ...]: forms.listing(forms.TEXT),
    tuple[str, ...] | None: forms.optional(forms.listing(forms.TEXT)),
    tuple[WaitKey, ...]: forms.listing(WAIT_KEY),
    tuple[DeliveryId, ...]: forms.listing(forms.COUNT),
    tuple[StreamId, ...]: forms.listing(forms.NUMBER),
    tuple[object, ...]: forms.listing(forms.VALUE),
    Mapping[str, object]: forms.table(forms.VALUE),
}

EXCEPTIONS: Final[dict[tuple[type, str], Form | None]] = {
    (records.Completed, "event"): Form(_read_returned, _write_returned),
    (records.Collected, "event"): None,  # an input of the delivery; `place` says which
}

FORMS: Final = Forms(BY_ANNOTATION, EXCEPTIONS)

# ---------------------------------------------------------------- calls of deliveries

# And one record of a function's run: that it is held.

CALL_KINDS: Final = tuple(
    attrs.evolve(kind, on_wall=True)
    for kind in (*call_kinds.KINDS, *life_kinds.KINDS)
    if kind.cls in {*records.CALL_RECORDS, records.FunctionHeld}
)


def _read_failure(data: object, _: Values) -> object:
    try:
        Failure.read(data)
    except ContextSerdeError as error:
        raise Misfit(str(error)) from None
    return data


#: Live it is an exception; what is read of it stays as it is written, until a call raises it.
FAILURE: Final = Form(_read_failure, lambda error, _: write_error(error))
CALL_FORMS: Final = Forms(
    {**life_kinds.BY_ANNOTATION, object: forms.AS_IT_COMES},
    {(of_calls.CallFailed, "error"): FAILURE, (of_calls.CallRetrying, "error"): FAILURE},
)

REGISTRY: Final = Registry(KINDS, UPGRADES, FORMS).beside(
    Registry(CALL_KINDS, call_kinds.UPGRADES, CALL_FORMS)
)
