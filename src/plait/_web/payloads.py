"""What a page shows of users' values: JSON, cut to a size, with what sounds secret left out.

A run of a flow has no secret in its records: each is `***`, or named by a placeholder, which is shown
as `***` too. In events a field is hidden if its name says what it holds (`password`, `api_token`), or
if its class says that it is not for `repr`.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, cast

import attrs

from plait._event import Event
from plait._strands._flows.redaction import HIDDEN as HIDDEN
from plait._strands._flows.redaction import sounds_secret as sounds_secret
from plait._strands._flows.result import StepFailed
from plait._strands._flows.story import FlowStarted, StepDone
from plait._viz.executions.names import event_name

#: Characters of one payload, at most.
MOST_SIGNS: Final = 4_000
#: Members of a list or mapping, levels in each other, and lines of a traceback.
MOST_MEMBERS: Final = 100
DEEPEST: Final = 8
MOST_FRAMES: Final = 12

#: What the note of a failure begins with that has the input event in it.
INPUT: Final = "input event: "

_PLAIN: Final = (dict, list, tuple, str, int, float)

#: What holds no secret, whatever it is called: `tokens_used: 53`.
_COUNTED: Final = (bool, int, float, type(None))

_NONE: Final = object()
_PLACEHOLDER: Final = re.compile(r"\$\{plait:[^{}]*\}")


def kind_of(value: object) -> str:
    """Name what a record carries, as people do."""
    match value:
        case StepDone():
            return "outputs"
        case FlowStarted():
            return "flow"
        case Event() | BaseException():
            return event_name(value)
        case _ if hasattr(value, "wire"):
            return event_name(value)
        case _:
            return "value" if isinstance(value, _PLAIN) else event_name(value)


def payload(value: object) -> str:
    """Write a value as a text for people: JSON, cut if it is long."""
    text = json.dumps(plain(value), ensure_ascii=False, indent=1)
    surplus = len(text) - MOST_SIGNS
    return f"{text[:MOST_SIGNS]} … and {surplus} more characters" if surplus > 0 else text


def plain(value: object, *, depth: int = 0) -> Any:
    """Make JSON values of anything, and hide what is to be hidden."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if value - value == 0 else str(value)
        case str():
            return _shortened(_PLACEHOLDER.sub(HIDDEN, value))
        case bytes() | bytearray():
            return f"<{len(value)} bytes>"
        case _ if depth >= DEEPEST:
            return "…"
        case StepDone():
            return plain(value.outputs, depth=depth)
        case _ if (wire := getattr(value, "wire", _NONE)) is not _NONE:
            return plain(unwired(wire), depth=depth)
        case Event():
            return _fields(_of_event(value), depth)
        case Mapping():
            return _fields(cast("Mapping[object, object]", value).items(), depth)
        case list() | tuple() | AbstractSet():
            return _members(cast("Iterable[object]", value), depth)
        case BaseException():
            return said(value)
        case _:
            if attrs.has(type(value)):
                shown = [(one.name, getattr(value, one.name)) for one in _shown(type(value))]
                return _fields(shown, depth)
            return _shortened(_repr(value))


def outputs_of(done: StepDone) -> dict[str, Any]:
    """Give the outputs of a step of a flow, whole, with `***` for each secret."""
    return cast("dict[str, Any]", _unmarked(done.outputs))


def _unmarked(value: Any) -> Any:
    if isinstance(value, str):
        return _PLACEHOLDER.sub(HIDDEN, value)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {_PLACEHOLDER.sub(HIDDEN, key): _unmarked(one) for key, one in fields.items()}
    if isinstance(value, list):
        return [_unmarked(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _of_event(event: Event) -> Iterable[tuple[object, object]]:
    silent = {one.name for one in attrs.fields(type(event)) if one.repr is False}
    declared = [(name, getattr(event, name)) for name in type(event).__plait_fields__]
    pairs = [*declared, *event.items()]
    return [(name, HIDDEN if name in silent else value) for name, value in pairs]


def _shown(kind: type) -> Iterable[attrs.Attribute[Any]]:
    return [one for one in attrs.fields(kind) if one.repr is not False]


def _fields(pairs: Iterable[tuple[object, object]], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    left = 0
    for key, value in pairs:
        name = _PLACEHOLDER.sub(HIDDEN, str(key))
        if len(found) >= MOST_MEMBERS:
            left += 1
        elif sounds_secret(name.replace("-", "_")) and not isinstance(value, _COUNTED):
            found[name] = HIDDEN
        else:
            found[name] = plain(value, depth=depth + 1)
    if left:
        found["…"] = f"and {left} more"
    return found


def _members(values: Iterable[object], depth: int) -> list[Any]:
    found: list[Any] = []
    left = 0
    for value in values:
        if len(found) >= MOST_MEMBERS:
            left += 1
        else:
            found.append(plain(value, depth=depth + 1))
    if left:
        found.append(f"… and {left} more")
    return found


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a user's `__repr__`, and the page goes on
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"


def _shortened(text: str) -> str:
    surplus = len(text) - MOST_SIGNS
    return f"{text[:MOST_SIGNS]} … and {surplus} more characters" if surplus > 0 else text


def unwired(value: Any) -> Any:
    """Make plain JSON of a value as a journal has it: an event becomes its fields."""
    if isinstance(value, list):
        return [unwired(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    tagged = fields.get("$") if len(fields) == 1 else None
    match tagged:
        case ["event", _, _, inner]:
            return unwired(inner)
        case ["error", name, text, *_]:
            return f"{str(name).rpartition('.')[2]}: {text}"
        case [_, inner]:
            return unwired(inner)
        case _:
            return {key: unwired(one) for key, one in fields.items()}


# ---------------------------------------------------------------- errors


def said(error: BaseException) -> str:
    """Say in one line what was raised."""
    if isinstance(error, StepFailed):
        return _PLACEHOLDER.sub(HIDDEN, error.error.message)
    return _shortened(f"{type(error).__name__}: {_text(error)}".rstrip(": "))


def story(error: BaseException) -> str:
    """Tell what is known of an error: of a flow what the server or process said, else its traceback."""
    if isinstance(error, StepFailed):
        return payload(error.error.as_json())
    told = traceback.TracebackException.from_exception(error, limit=-MOST_FRAMES)
    _forget_inputs(told)
    return _shortened("".join(told.format(chain=True)).rstrip())


def _forget_inputs(told: traceback.TracebackException | None) -> None:
    """Leave out the notes with the input event: it is in the log, with its secrets hidden."""
    if told is None:
        return
    notes: object = told.__notes__  # a user's class may have made anything of it
    if isinstance(notes, list):
        told.__notes__ = [note for note in notes if not str(note).startswith(INPUT)]
    for one in (told.__cause__, told.__context__, *(told.exceptions or ())):
        _forget_inputs(one)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as other:  # noqa: BLE001 - a user's `__str__`, and the page goes on
        return f"<its text cannot be had: {type(other).__name__}>"
