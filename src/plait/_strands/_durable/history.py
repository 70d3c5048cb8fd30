"""What has happened in a run, for people: its records, and its story as a text. Pure functions.

Rule 1: nothing here fails on what is in a journal. Who reads a history wants to know what is wrong.
Rule 2: the same records make the same text, wherever and whenever it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, cast

import attrs

from plait._abc import Entry
from plait._errors import ContextSerdeError
from plait._journal.codec import from_bytes
from plait._journal.failures import Failure
from plait._journal.forms import Misfit
from plait._journal.life_kinds import REGISTRY, WHY
from plait._journal.registry import UnknownKind
from plait._journal.scribes import AS_THEY_COME
from plait._kernel.calls.keys import Key, key_of, path_text
from plait._kernel.calls.refusals import call_text
from plait._naming import publish
from plait._show import show

#: How much of a value is shown in a story, in characters.
SHOWN: Final = 60
#: The field of a record that cannot be read: what is wrong with it.
FAULT: Final = "unreadable"


@attrs.frozen
class Record:
    """One record of a run.

    Attributes:
        n: Its place in the run's stream, from 1.
        kind: What has happened, as `"step.completed"`.
        at: When, in Unix seconds.
        key: The key of the step that it is about, as text; `None`: it is about none.
        step_id: The id of that step; `None` for a deadline, too.
        cause: The place of the record that led to it; 0: none did.
        fields: What else it says, as JSON values. Values of the user's are as they are recorded; an
            error has `name`, `message` and `stack`.

    Example:
        ```python
        for record in await app.history("r1"):
            print(record.n, record.kind, record.step_id)
        ```
    """

    n: int
    kind: str
    at: float
    key: str | None
    step_id: str | None
    cause: int
    fields: Mapping[str, Any]


def history(entries: Iterable[Entry]) -> list[Record]:
    """Make the records of a run, notes too, of what the journal has: none is left out.

    Args:
        entries: All of its stream, in order.
    """
    return [_record(entry) for entry in entries]


def _record(entry: Entry) -> Record:
    fields = _fields(entry)
    cause = fields.pop("cause", 0)
    fields.pop("at", None)
    key = _key(entry.key)
    return Record(
        n=entry.n,
        kind=entry.kind,
        at=entry.at,
        key=entry.key,
        step_id=None if key is None else key.step_id,
        cause=cause if isinstance(cause, int) else 0,
        fields={name: _readable(name, value, entry) for name, value in fields.items()},
    )


def _fields(entry: Entry) -> dict[str, Any]:
    """Read a body, as one of today's if its kind is known."""
    try:
        body = from_bytes(entry.body)
    except (ValueError, RecursionError) as error:
        return {FAULT: str(error)}
    if not isinstance(body, dict):
        return {FAULT: f"{show(body, SHOWN)} is no mapping"}
    found = cast("dict[str, Any]", body)
    try:
        REGISTRY.of(entry.kind, entry.version)
        return REGISTRY.upgraded(entry.kind, entry.version, found)
    except (UnknownKind, Misfit) as error:
        return {**found, FAULT: str(error)}


def _key(text: str | None) -> Key | None:
    try:
        return None if text is None else key_of(text)
    except (ValueError, RecursionError):
        return None


def _readable(name: str, value: Any, entry: Entry) -> Any:
    if name == "error" and value is not None:
        try:
            failure = Failure.read(value)
        except ContextSerdeError:
            return value
        return {"name": failure.name, "message": failure.message, "stack": failure.stack}
    if name == "why" and entry.kind == "run.held":
        try:
            return str(WHY.read(value, AS_THEY_COME).text(entry.stream))
        except Misfit:
            return value
    return value


# ---------------------------------------------------------------- the story


def story(run_id: str, records: Iterable[Record]) -> str:
    """Tell what has happened in a run: one line a record, with the seconds since the first.

    Args:
        run_id: The run.
        records: Its history, or any part of it.

    Example:
        ```python
        print(story("r1", await app.history("r1")))
        ```
    """
    told = _Story([*records])
    return "\n".join([told.title(run_id), *map(told.line, told.records)]) + "\n"


class _Story:
    def __init__(self, records: list[Record]) -> None:
        self.records = records
        self._by_n = {record.n: record for record in records}
        self._begun = records[0].at if records else 0.0
        #: The attempts of the body whose beginning has been told.
        self._attempts: set[object] = set()

    def title(self, run_id: str) -> str:
        if not self.records:
            return f"run {run_id}: nothing is recorded"
        fn_id = self.records[0].fields.get("fn_id")
        of = f" of {fn_id}" if isinstance(fn_id, str) else ""
        return f"run {run_id}{of}, {_day(self._begun)}"

    def line(self, record: Record) -> str:
        return f"{self.since(record.at):>11}  {self._text(record)}"

    def since(self, at: object) -> str:
        """Say a time: seconds since the beginning."""
        return f"{at - self._begun:.3f} s" if isinstance(at, int | float) else "some time"

    def _text(self, record: Record) -> str:
        tell = TOLD.get(record.kind)
        if tell is not None and FAULT not in record.fields:
            try:
                return tell(self, record, record.fields)
            except (KeyError, TypeError, IndexError, ValueError):  # it is not what its kind says
                pass
        fault = record.fields.get(FAULT, "it does not say what it should")
        return f"record {record.n} ({record.kind}) cannot be read: {fault}"

    # ------------------------------------------------------------ parts of lines

    def call(self, record: Record) -> str:
        """Name the call, or the deadline, that a record is about."""
        key = _key(record.key)
        if key is None:
            raise KeyError(record.key)
        if key.step_id is None:
            where = f" in {path_text(key.path)}" if key.path else ""
            return f"the deadline{where}"
        return call_text(key).removesuffix(" in the first task")

    def after(self, record: Record) -> str:
        """Say what a cancellation came of."""
        cause = self._by_n.get(record.cause)
        if cause is None or cause.kind not in OUTCOMES:
            return ""
        return f", after {self.call(cause)} {OUTCOMES[cause.kind]}"

    def start(self, fields: Fields) -> str:
        attempt = fields["attempt"]
        again = attempt in self._attempts
        self._attempts.add(attempt)
        resumed = f", resumed {_times(fields['resumes'])} without news" if fields["resumes"] else ""
        return f"attempt {attempt} {'goes on' if again else 'begins'}{resumed}"


def _day(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # of a year that no calendar here has
        return f"{at} s"


Fields: TypeAlias = Mapping[str, Any]

#: What hands something out, and so may lead to a cancellation.
OUTCOMES: Final = {
    "step.completed": "was done",
    "step.failed": "failed",
    "deadline.fired": "passed",
}


def _error(fields: Fields) -> str:
    error = fields["error"]
    return f"{error['name']}: {error['message']}" if error["message"] else str(error["name"])


def _value(fields: Fields) -> str:
    value = fields["value"]
    return "" if value is None else f": {show(value, SHOWN)}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _queued(told: _Story, record: Record, fields: Fields) -> str:
    events = [event["name"] for event in fields["events"]]
    asked = f", by event {events[0]!r}" if events else ""
    several = f" and {len(events) - 1} more" if len(events) > 1 else ""
    parent = f", for run {fields['parent']!r}" if fields["parent"] else ""
    due = fields["not_before"]
    later = f", not before {told.since(due)}" if due > record.at else ""
    return f"queued{asked}{several}{parent}{later}"


def _retrying(told: _Story, _: Record, fields: Fields) -> str:
    attempt = fields["attempt"]
    due = told.since(fields["due_at"])
    return f"attempt {attempt} raised {_error(fields)}; attempt {attempt + 1} is due at {due}"


def _rollback(_told: _Story, _record: Record, fields: Fields) -> str:
    why = f"is cancelled ({fields['reason']!r})"
    if fields["reason"] is None:
        why = f"fails with {_error(fields)}"
    steps = ", ".join(call_text(key_of(key)) for key in fields["keys"])
    return f"it {why}, and is rolled back: {steps}".replace(" in the first task", "")


def _cancelled(_told: _Story, _record: Record, fields: Fields) -> str:
    return f"cancelled: {fields['reason']}" if fields["reason"] else "cancelled"


def _scheduled(told: _Story, record: Record, fields: Fields) -> str:
    due = fields["due_at"]
    until = "" if due is None else f" until {told.since(due)}"
    what = {
        "sleep": "sleeps",
        "wait": f"waits for event {fields['event']!r}",
        "invoke": f"invokes run {fields['child']!r}",
    }[fields["op"]]
    return f"{told.call(record)} {what}{until}"


def _completed(told: _Story, record: Record, fields: Fields) -> str:
    tries = f" after {fields['attempts']} attempts" if fields["attempts"] > 1 else ""
    if fields["op"] == "wait" and fields["value"] is None:
        return f"{told.call(record)}: no event came"
    return f"{told.call(record)} is done{tries}{_value(fields)}"


def _failed(told: _Story, record: Record, fields: Fields) -> str:
    tries = f" after {fields['attempts']} attempts" if fields["attempts"] > 1 else ""
    return f"{told.call(record)} failed{tries}: {_error(fields)}"


def _deadline(told: _Story, record: Record, fields: Fields) -> str:
    return f"{told.call(record)} is at {told.since(fields['due_at'])}"


TOLD: Final[dict[str, Callable[[_Story, Record, Fields], str]]] = {
    "run.queued": _queued,
    "run.started": lambda told, _, fields: told.start(fields),
    "run.retrying": _retrying,
    "rollback.begun": _rollback,
    "run.held": lambda _told, _record, fields: f"held: {fields['why']}",
    "run.freed": lambda _told, _record, _fields: "no longer held: it waits for its next attempt",
    "run.completed": lambda _told, _record, fields: f"completed{_value(fields)}",
    "run.failed": lambda _told, _record, fields: f"failed with {_error(fields)}",
    "run.cancelled": _cancelled,
    "step.started": lambda told, record, fields: (
        f"{told.call(record)} runs {fields['handler']}, attempt {fields['attempt']}"
    ),
    "step.scheduled": _scheduled,
    "step.retrying": lambda told, record, fields: (
        f"{told.call(record)}: {_retrying(told, record, fields)}"
    ),
    "step.completed": _completed,
    "step.failed": _failed,
    "step.cancelled": lambda told, record, _: (
        f"{told.call(record)} was cancelled{told.after(record)}"
    ),
    "deadline.set": _deadline,
    "deadline.fired": lambda told, record, _: f"{told.call(record)} has passed",
    "patch.decided": lambda _told, _record, fields: (
        f"patch {fields['patch']!r} is {'on' if fields['on'] else 'off'}"
    ),
}

publish("plait.durable", Record)
