"""What a journal has of a run, step by step. Pure functions: from entries to what people ask about.

It needs none of the user's classes, and fails on nothing that may be in a journal: an entry that
cannot be read leaves its step as it was. A step that has run several times, or for several items,
is there several times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, cast

import attrs

from plait._abc import Entry
from plait._journal.codec import from_bytes
from plait._kernel.calls.keys import Key, key_of, path_text

Fields: TypeAlias = Mapping[str, Any]


@attrs.define
class KeptStep:
    """What is known of a step.

    Attributes:
        name: What it is called.
        index: Which item of it, from 0; `None`: the step as a whole.
        state: pending, running, succeeded, failed, skipped or cancelled.
        started: When its first attempt began, in Unix seconds.
        ended: When it ended.
        attempts: How many have begun.
        reused: Whether what it gave is from an earlier run.
        reason: Why it was skipped.
        error: What it failed with, in a text.
        known: All that is known of that, of a step of a flow.
        outputs: What it gave.
    """

    name: str
    index: int | None = None
    state: str = "pending"
    started: float | None = None
    ended: float | None = None
    attempts: int = 0
    reused: bool = False
    reason: str | None = None
    error: str | None = None
    known: Fields | None = None
    outputs: object = None

    @property
    def took(self) -> float | None:
        """Seconds from the beginning to the end."""
        if self.started is None or self.ended is None:
            return None
        return max(self.ended - self.started, 0.0)

    def fail(self, error: object) -> None:
        """Remember what went wrong, as the journal writes it."""
        self.error = _error(error)
        fields = _mapping(error)
        self.known = _of_flow(fields).error.as_json() if {"failed", "error"} <= {*fields} else None

    def end(self, state: str, at: float) -> None:
        """Come to an end."""
        self.state, self.ended = state, at


def steps_of(entries: Iterable[Entry]) -> list[KeptStep]:
    """Read what has become of the steps of a run, in the order in which they came up.

    Args:
        entries: All of its stream, in order.
    """
    return _Reader().read(entries)


#: Of the items of a step, the first of these states is the step's own.
_OF_ITEMS: Final = ("running", "failed", "cancelled", "pending", "succeeded")


def counted(steps: Iterable[KeptStep]) -> dict[str, int]:
    """Count steps by their state; those reused for themselves, and the items of one as one."""
    words: list[str] = []
    items: dict[str, list[str]] = {}
    for step in steps:
        word = "reused" if step.reused else step.state
        if step.index is None:
            words.append(word)
        else:
            items.setdefault(step.name, []).append(word)
    for states in items.values():
        all_reused = {*states} == {"reused"}
        words.append(
            "reused" if all_reused else next((w for w in _OF_ITEMS if w in states), "succeeded")
        )
    return dict(Counter(words))


# ---------------------------------------------------------------- values, for people


def shown(value: object) -> object:
    """Make plain JSON of a value as the journal writes it: an event becomes its fields."""
    if isinstance(value, list):
        return [shown(one) for one in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    mapping = cast("Fields", value)
    match [*_tagged(mapping)]:
        case ["event", _, _, fields]:
            return shown(fields)
        case ["error", name, text, *_]:
            return _named(name, text)
        case [_, one]:
            return shown(one)
        case _:
            return {key: shown(one) for key, one in mapping.items()}


def _mapping(value: object) -> Fields:
    return cast("Fields", value) if isinstance(value, dict) else {}


def _tagged(mapping: Fields) -> list[object]:
    """What is not plain JSON: its tag, and what belongs to that."""
    inner: object = mapping.get("$") if len(mapping) == 1 else None
    return cast("list[object]", inner) if isinstance(inner, list) else []


def _named(name: object, text: object) -> str:
    return f"{str(name).rpartition('.')[2]}: {text}".rstrip(": ")


def _of_flow(fields: Fields) -> Any:
    """Read what a step of a flow gave, or failed with: the strand has a form of its own for that."""
    from plait._strands._flows.kept import FlowValues

    return FlowValues().decode(fields)


def _error(value: object) -> str:
    error = _mapping(value)
    if {"failed", "error"} <= {*error}:
        return str(_of_flow(error).error.message)
    if "name" in error and "message" in error:
        return _named(error["name"], error["message"])
    said = shown(value)
    return said if isinstance(said, str) else repr(said)


def _given(returned: object) -> object:
    """What a body returned: of a flow's step its outputs, of another one the event's fields."""
    body = _mapping(returned)
    if "event" in body:
        event: object = body["event"]
        fields = _mapping(event)
        if {"outputs", "fingerprint"} <= {*fields}:
            return _of_flow(fields).outputs
        return shown(event)
    if "listed" in body:
        return {"events": _mapping(body["listed"]).get("size")}
    return shown(cast("object", body.get("list")))


# ---------------------------------------------------------------- the reader


class _Reader:
    def __init__(self) -> None:
        self._steps: list[KeptStep] = []
        self._by_delivery: dict[int, KeptStep] = {}
        self._by_key: dict[str, KeptStep] = {}

    def read(self, entries: Iterable[Entry]) -> list[KeptStep]:
        for entry in entries:
            take = TAKEN.get(entry.kind)
            if take is None:
                continue
            try:
                body = from_bytes(entry.body)
                take(self, entry, cast("Fields", body))
            except (ValueError, RecursionError, KeyError, TypeError):  # see above
                continue
        return self._steps

    def _new(self, name: str, index: int | None = None) -> KeptStep:
        step = KeptStep(name, index)
        self._steps.append(step)
        return step

    # ------------------------------------------------------------ deliveries

    def readied(self, _: Entry, fields: Fields) -> None:
        count, first = fields["count"], fields["first"]
        for place in range(count):
            index = None if count == 1 else place
            self._by_delivery[first + place] = self._new(fields["step"], index)

    def skipped(self, entry: Entry, fields: Fields) -> None:
        for name in fields["steps"]:
            step = self._new(name)
            step.end("skipped", entry.at)
            step.reason = fields["reason"]

    def started(self, entry: Entry, fields: Fields) -> None:
        number = fields["delivery"]
        if number not in self._by_delivery:
            self._by_delivery[number] = self._new(fields["step"])
        step = self._by_delivery[number]
        step.state = "running"
        step.attempts += 1
        step.started = entry.at if step.started is None else step.started

    def completed(self, entry: Entry, fields: Fields) -> None:
        step = self._by_delivery[fields["delivery"]]
        step.end("succeeded", entry.at)
        step.outputs = _given(fields["event"])

    def reused(self, entry: Entry, fields: Fields) -> None:
        step = self._by_delivery[fields["delivery"]]
        step.end("succeeded", entry.at)
        step.reused = True
        step.outputs = _given({"event": fields["event"]})

    def retrying(self, _: Entry, fields: Fields) -> None:
        self._by_delivery[fields["delivery"]].fail(fields["error"])

    def failed(self, entry: Entry, fields: Fields) -> None:
        step = self._by_delivery[fields["delivery"]]
        step.end("failed", entry.at)
        step.fail(fields["error"])

    def interrupted(self, entry: Entry, fields: Fields) -> None:
        self._by_delivery[fields["delivery"]].end("cancelled", entry.at)

    # ------------------------------------------------------------ calls of durable functions

    def _of(self, entry: Entry) -> KeptStep:
        text = entry.key or ""
        if text not in self._by_key:
            self._by_key[text] = self._new(_called(key_of(text)))
        return self._by_key[text]

    def call_started(self, entry: Entry, fields: Fields) -> None:
        step = self._of(entry)
        step.state = "running"
        step.attempts = max(step.attempts + 1, fields.get("attempt") or 0)
        step.started = entry.at if step.started is None else step.started

    def call_completed(self, entry: Entry, fields: Fields) -> None:
        step = self._of(entry)
        step.end("succeeded", entry.at)
        step.attempts = max(step.attempts, fields["attempts"])
        step.outputs = shown(fields["value"])

    def call_failed(self, entry: Entry, fields: Fields) -> None:
        step = self._of(entry)
        step.end("failed", entry.at)
        step.attempts = max(step.attempts, fields["attempts"])
        step.fail(fields["error"])

    def call_retrying(self, entry: Entry, fields: Fields) -> None:
        self._of(entry).fail(fields["error"])

    def call_cancelled(self, entry: Entry, _: Fields) -> None:
        self._of(entry).end("cancelled", entry.at)


TAKEN: Final[Mapping[str, Callable[[_Reader, Entry, Fields], object]]] = {
    "step.readied": _Reader.readied,
    "step.skipped": _Reader.skipped,
    "step.reused": _Reader.reused,
    "delivery.started": _Reader.started,
    "delivery.completed": _Reader.completed,
    "delivery.retrying": _Reader.retrying,
    "delivery.recovered": _Reader.failed,
    "delivery.failed": _Reader.failed,
    "delivery.interrupted": _Reader.interrupted,
    "step.started": _Reader.call_started,
    "step.scheduled": _Reader.call_started,
    "step.completed": _Reader.call_completed,
    "step.failed": _Reader.call_failed,
    "step.retrying": _Reader.call_retrying,
    "step.cancelled": _Reader.call_cancelled,
}


def _called(key: Key) -> str:
    """Name a call: with the task that it is in, and which of its name it is, where that matters."""
    again = f" #{key.occurrence + 1}" if key.occurrence else ""
    role = f" ({key.role})" if key.role else ""
    where = f" in {path_text(key.path)}" if key.path else ""
    return f"{key.step_id}{again}{role}{where}"
