"""Names in pictures: of events, and of what went wrong. The same live and of a journal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, cast

from plait._journal.exceptions import clean, text_of
from plait._journal.failures import Failure
from plait._journal.recorded import write_error
from plait._kernel.records import Listed
from plait._show import show


def event_name(event: object) -> str:
    """Name the class of an event, or a class: the last part of its name on the wire."""
    if isinstance(event, Listed):
        return f"list of {event.size}"
    if isinstance(event, list):
        return f"list of {len(cast('list[object]', event))}"
    kind = event if isinstance(event, type) else type(event)
    name = getattr(kind, "__plait_name__", None) or kind.__qualname__
    return str(name).rpartition(".")[2]


def error_text(error: object) -> str:
    """Say what went wrong in one text: the name of the exception, and what it says.

    Of a step of a flow only what it says: the strand has words of its own, without secrets.
    """
    # Never imported: whoever has one of its errors has done that.
    flows: Any = sys.modules.get("plait._strands._flows.result")
    if flows is not None and isinstance(error, flows.StepFailed):
        of_step: Any = error
        return str(of_step.error.message)
    if isinstance(error, BaseException):
        return _said(type(error).__name__, clean(text_of(error)))
    if isinstance(error, Failure):
        return _said(error.name, error.message)
    fields = mapping(error)
    match fields.get("name"), fields.get("message"):
        case str() as name, str() as message:
            return _said(name, message)
        case _:
            return show(error, 200)


def call_error(error: object) -> str:
    """Say what went wrong in a call: as its journal has it, or would have it."""
    return error_text(write_error(error) if isinstance(error, Exception) else error)


def mapping(value: object) -> Mapping[str, object]:
    """Take a mapping of JSON, or an empty one instead of anything else."""
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def _said(name: str, text: str) -> str:
    return f"{name}: {text}" if text else name
