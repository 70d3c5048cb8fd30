"""Snapshots: all of a run that it needs to go on, as one document of JSON values.

    format, version     "plait.context", 1
    workflow, run_id    whose it is; it is refused for another workflow
    is_running          false: it has not begun, or is over
    elapsed             seconds that count against the run's timeout
    next_delivery       the number that the next delivery gets
    state               what is in the store, by name; null: it was left out
    steps               by name, see `STEP`; one that the workflow has got since is empty
    streams             of returned lists: `open`, and `next`, the number of the next one
    mailbox             what belongs to no step and no list, see `MAILBOX`
    children            the snapshots of runs inside this one: the strand's business

Rule 1: it is the run as it stands, bodies in the middle of what they do. Whoever takes it up tells
    the kernel so (`Reopened`), which puts interrupted deliveries back at the head of their queues.
Rule 2: it shares nothing with the run, and costs the same for each pending event however many.
Rule 3: reading is strict. It finds every fault at once, each with its path, and what comes out is a
    state in which `RunState.check()` holds. It is for untrusted hands: nothing is imported, and the
    only classes it makes are those that `Values` knows.
Rule 4: times are on the clock of the process that wrote them; `mailbox.epoch` says where that began.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from heapq import heappush
from typing import Any, Final, cast

import attrs

from plait._errors import ContextSerdeError
from plait._ids import DeliveryId, RunId
from plait._kernel.life import Phase
from plait._kernel.plan import Plan
from plait._kernel.state import Delivery, RunState, StepState
from plait._kernel.waits import Wait, Waits
from plait._show import show

from . import forms, pending
from .forms import Faults, Form, Misfit, Values, finding
from .kinds import OUTCOME
from .pending import JsonDict
from .soundness import faults_of

FORMAT: Final = "plait.context"
VERSION: Final = 1
LETTERS: Final = forms.listing(pending.KEPT)


@attrs.frozen
class Snapshot:
    """What was read.

    Attributes:
        state: The run as it stood. Nobody has been offered anything: `Reopened` is to come.
        elapsed: Seconds that count against the run's timeout.
        has_store: Was the store in it?
        children: The snapshots of runs inside this one, as they were given.
    """

    state: RunState
    elapsed: float
    has_store: bool
    children: Mapping[str, object]


# ---------------------------------------------------------------- the parts of the document

#: Where a step's deliveries are, besides its queue: so these attributes of a run are called.
PLACES: Final = ("running", "suspended", "due", "aside")


def step_forms(name: str) -> dict[str, Form]:
    """A step. Its deliveries are where they are in `RunState`; `free` are the workers without one."""
    deliveries = forms.listing(pending.delivery_of(name))
    return {
        "queue": deliveries,
        **dict.fromkeys(PLACES, deliveries),
        "buffers": forms.listing(Form(pending.read_buffer)),
        "joins": forms.listing(Form(pending.read_join)),
        "waits": forms.listing(pending.OPEN_WAIT),
        "resuming": forms.listing(pending.RESUMING),
        "free": forms.listing(forms.COUNT),
        "returned_none": forms.FLAG,
        "streamed_only": forms.listing(forms.KIND),
    }


MAILBOX: Final[dict[str, Form]] = {
    #: Events that nobody took, each with its number; and those that came after the decision.
    "letters": LETTERS,
    "unrouted": LETTERS,
    #: Classes of which somebody has waited for an event, and whether with their subclasses.
    "awaited": forms.listing(forms.row(forms.KIND, forms.FLAG)),
    #: How many bodies may run in a run that goes step by step.
    "permits": forms.optional(forms.COUNT),
    #: The decision, and what failed for good.
    "outcome": forms.optional(OUTCOME),
    "failures": forms.listing(Form(pending.read_failure, pending.write_failure)),
    #: The Unix time of the clock's 0, and how often another process has taken the run up.
    "epoch": forms.SECONDS,
    "reopened": forms.COUNT,
    "drains_again": forms.FLAG,
}
STREAMS: Final = {
    "open": forms.listing(Form(pending.read_stream, pending.write_stream)),
    "next": forms.NUMBER,
}


def _read_run_id(data: object, values: Values) -> RunId:
    return RunId(forms.TEXT.read(data, values))


HEAD: Final[dict[str, Form]] = {
    "run_id": Form(_read_run_id),
    "is_running": forms.FLAG,
    "elapsed": forms.SECONDS,
    "next_delivery": forms.NUMBER,
    "state": forms.optional(forms.table(forms.VALUE)),
    "streams": Form(lambda data, values: forms.read_fields(data, STREAMS, values)),
    "mailbox": Form(lambda data, values: forms.read_fields(data, MAILBOX, values)),
    "children": Form(lambda data, _: forms.a_mapping(data)),
}

# ---------------------------------------------------------------- writing


def write(
    state: RunState,
    values: Values,
    *,
    elapsed: float,
    store: Mapping[str, object] | None,
    children: Mapping[str, object] | None = None,
    without: DeliveryId | None = None,
) -> JsonDict:
    """Write a run out.

    Args:
        state: The run, which stays as it is.
        values: Writes users' values.
        elapsed: Seconds that count against the run's timeout.
        store: What is in the store, by name; `None` leaves it out.
        children: The snapshots of runs inside this one; JSON values already.
        without: A delivery whose body has returned something that is not in the run yet, as for a
            checkpoint. It is put aside, as `take_out` does.

    Raises:
        ContextSerdeError: A value of a user's cannot be written; the message says where.
    """
    if without is not None:
        state = _without(state, without)
    return {
        "format": FORMAT,
        "version": VERSION,
        "workflow": state.plan.name,
        "run_id": state.run_id,
        "is_running": state.phase in {Phase.GOING, Phase.WINDING_UP},
        "elapsed": float(elapsed),
        "next_delivery": state.next_delivery,
        "state": None if store is None else _write_store(store, values),
        "steps": _write_steps(state, values),
        "streams": {
            "open": forms.write(STREAMS["open"], state.streams.values(), values),
            "next": state.next_stream,
        },
        "mailbox": {
            "letters": forms.write(LETTERS, state.mailbox, values),
            "unrouted": forms.write(LETTERS, state.unrouted, values),
            "awaited": forms.write(MAILBOX["awaited"], state.awaited, values),
            "permits": state.permits,
            "outcome": forms.write(MAILBOX["outcome"], state.outcome, values),
            "failures": forms.write(MAILBOX["failures"], state.failures, values),
            "epoch": float(state.epoch),
            "reopened": state.reopened,
            "drains_again": state.drains_again,
        },
        "children": {} if children is None else {**children},
    }


def _write_store(store: Mapping[str, object], values: Values) -> JsonDict:
    written: JsonDict = {}
    for name, held in store.items():
        try:
            written[name] = forms.write_value(held, values)
        except ContextSerdeError as error:
            text = f"Failed to serialize state value for key {name}: {error}"
            raise ContextSerdeError(text) from error
    return written


def _write_steps(state: RunState, values: Values) -> JsonDict:
    written: JsonDict = {
        name: {
            "queue": [pending.write_delivery(delivery, values) for delivery in step.queue],
            **{place: [] for place in PLACES},
            "buffers": pending.write_buffers(step, values),
            "joins": pending.write_joins(step, values),
            "waits": [],
            "resuming": pending.write_resuming(step, values),
            "free": [*step.free],
            "returned_none": step.returned_none,
            "streamed_only": [forms.write_value(kind, values) for kind in step.streamed_only],
        }
        for name, step in state.steps.items()
    }
    for place in PLACES:
        deliveries: dict[DeliveryId, Delivery] = getattr(state, place)
        for delivery in deliveries.values():
            written[delivery.step][place].append(pending.write_delivery(delivery, values))
    for age, wait in enumerate(state.waits.values()):
        written[wait.step]["waits"].append(pending.write_wait(wait, age, values))
    return written


def _without(state: RunState, number: DeliveryId) -> RunState:
    """Look at a run as if a delivery had been put aside; the run itself stays as it is."""
    executing = state.running.get(number) or state.suspended[number]
    step = state.steps[executing.step]
    free = [*step.free]
    if executing.worker >= 0:
        heappush(free, executing.worker)
    resuming = OrderedDict((key, one) for key, one in step.resuming.items() if key[0] != number)
    waits = Waits()
    for wait in state.waits.values():
        if wait.delivery != number:
            waits.begin(wait)
    aside = attrs.evolve(executing, memory=None, sent=0, written=0, waits=0, worker=-1, calls=None)
    return attrs.evolve(
        state,
        steps={**state.steps, executing.step: attrs.evolve(step, free=free, resuming=resuming)},
        running={n: d for n, d in state.running.items() if n != number},
        suspended={n: d for n, d in state.suspended.items() if n != number},
        aside={**state.aside, number: aside},
        waits=waits,
    )


# ---------------------------------------------------------------- reading


def read(plan: Plan, data: object, values: Values) -> Snapshot:
    """Read what `write` has written.

    Args:
        plan: The workflow's.
        data: The document.
        values: Reads users' values.

    Raises:
        ContextSerdeError: It does not fit; the message has a line for each fault, with its path.
    """
    faults: Faults = []
    document = dict(cast("Mapping[str, object]", data)) if isinstance(data, Mapping) else data
    with finding(faults, ""):
        given = forms.a_mapping(document)
        _check_format(plan, given)
        parts = {**dict.fromkeys(("format", "version", "workflow"), ANYTHING), **HEAD}
        parts["steps"] = Form(lambda held, values: _read_steps(plan, held, values))
        found = forms.read_fields(given, parts, values)
        state = _Restored(plan, found).state
        return Snapshot(state, found["elapsed"], found["state"] is not None, found["children"])
    raise ContextSerdeError(_text(faults))


ANYTHING: Final = Form(lambda data, _: data)


def _text(faults: Faults) -> str:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    lines = [f"  {line}" for line in Misfit(faults=faults).lines]
    return "\n".join([f"Cannot load this context: {count}", *lines])


def _check_format(plan: Plan, given: dict[str, object]) -> None:
    """Whether it is for us at all; if not, nothing else is worth looking at."""
    wrong: Faults = []
    if given.get("format", FORMAT) != FORMAT:
        wrong.append(("format", f"{show(given['format'], 40)} is not {FORMAT!r}"))
    version = given.get("version", VERSION)
    if version != VERSION or type(version) is not int:
        text = f"cannot load version {show(version, 40)}, the newest known is {VERSION}"
        wrong.append(("version", text))
    if given.get("workflow", plan.name) != plan.name:
        text = f"it is of {show(given['workflow'], 80)}, not of {plan.name!r}"
        wrong.append(("workflow", text))
    if wrong:
        raise Misfit(faults=wrong)


def _read_steps(plan: Plan, data: object, values: Values) -> dict[str, JsonDict]:
    found: dict[str, JsonDict] = {}
    faults: Faults = []
    for name, held in forms.a_mapping(data).items():
        if name not in plan.step:
            faults.append((name, f"workflow {plan.name!r} has no step {name!r}"))
            continue
        with finding(faults, name):
            found[name] = forms.read_fields(held, step_forms(name), values)
    if faults:
        raise Misfit(faults=faults)
    return found


class _Restored:
    """Puts the parts in their places, and finds what is there twice."""

    def __init__(self, plan: Plan, found: JsonDict) -> None:
        self.state = state = RunState(plan, found["run_id"])
        self._faults: Faults = []
        self._numbers: set[DeliveryId] = set()
        self._head(found)
        self._mailbox(found["mailbox"], running=found["is_running"])
        for index, stream in enumerate(found["streams"]["open"]):
            if stream.id in state.streams:
                self._faults.append((f"streams.open[{index}].id", f"{stream.id} is there twice"))
            state.streams[stream.id] = stream
        waits: list[tuple[int, str, str, Wait]] = []
        for name, held in found["steps"].items():
            self._step(state.steps[name], held)
            for index, (age, wait) in enumerate(held["waits"]):
                waits.append((age, f"steps.{name}.waits[{index}]", name, wait))
        self._waits(waits)
        live = sum(len(place) for place in (state.running, state.due, state.aside))
        state.busy = live + sum(len(s.queue) + len(s.resuming) for s in state.steps.values())
        if faults := self._faults or faults_of(state):
            raise Misfit(faults=faults)

    def _head(self, found: JsonDict) -> None:
        state = self.state
        state.elapsed = found["elapsed"]
        state.next_delivery = found["next_delivery"]
        state.next_stream = found["streams"]["next"]
        state.store = found["state"] or {}

    def _mailbox(self, held: JsonDict, *, running: bool) -> None:
        state = self.state
        state.outcome = held["outcome"]
        decided = state.outcome is not None
        if running:
            state.phase = Phase.WINDING_UP if decided else Phase.GOING
        else:
            state.phase = Phase.OVER if decided else Phase.NEW
        state.mailbox = [*held["letters"]]
        state.unrouted = [*held["unrouted"]]
        state.awaited = dict.fromkeys(held["awaited"])
        state.failures = [*held["failures"]]
        for name in ("permits", "epoch", "reopened", "drains_again"):
            setattr(state, name, held[name])

    def _step(self, step: StepState, held: JsonDict) -> None:
        name, state = step.plan.name, self.state
        step.queue = deque(held["queue"])
        for index, delivery in enumerate(held["queue"]):
            self._once(delivery, f"steps.{name}.queue[{index}]")
        for place in PLACES:
            deliveries: dict[DeliveryId, Delivery] = getattr(state, place)
            for index, delivery in enumerate(held[place]):
                self._once(delivery, f"steps.{name}.{place}[{index}]")
                deliveries[delivery.number] = delivery
        for key, buffer in held["buffers"]:
            step.buffers[key] = buffer
        for level, slots in held["joins"]:
            step.joins[level] = slots
        for key, answer in held["resuming"]:
            step.resuming[key] = answer
        for part, read_as in (("buffers", step.buffers), ("joins", step.joins)):
            if len(cast("Mapping[Any, Any]", read_as)) < len(held[part]):
                self._faults.append((f"steps.{name}.{part}", "one is there twice"))
        if len(step.resuming) < len(held["resuming"]):
            self._faults.append((f"steps.{name}.resuming", "one is there twice"))
        step.running = len(held["running"])
        step.free = [*held["free"]]
        step.workers = step.running + len(step.free)
        step.returned_none = held["returned_none"]
        step.streamed_only = dict.fromkeys(held["streamed_only"])

    def _once(self, delivery: Delivery, path: str) -> None:
        if delivery.number in self._numbers:
            self._faults.append((f"{path}.number", f"{delivery.number} is there twice"))
        self._numbers.add(delivery.number)

    def _waits(self, waits: list[tuple[int, str, str, Wait]]) -> None:
        """The oldest first, over all steps."""
        for _, path, name, wait in sorted(waits, key=lambda found: found[0]):
            if wait.key in self.state.waits:
                self._faults.append((path, "it is there twice"))
            elif wait.step != name:
                self._faults.append((f"{path}.step", f"{wait.step!r} is not {name!r}"))
            else:
                self.state.waits.begin(wait)
