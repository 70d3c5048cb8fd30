"""How a wrong value is spoken of: `flow[0].name: expected text, got int 1; quote it to make it text`."""

from __future__ import annotations

import json
from typing import Final, TypeGuard

from .problems import Path, spell

#: Of a long text only this much is shown.
_LONGEST: Final = 60


def is_mapping(value: object) -> TypeGuard[dict[str, object]]:
    """Say whether this is a mapping of a document: its keys are text."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Say whether this is a list of a document."""
    return isinstance(value, list)


def expected(path: Path, what: str, value: object) -> str:
    """Say what was expected, and what came.

    Args:
        path: Where, in the document.
        what: What is right there: `"text"`, `"a list of text"`.
        value: What is there.
    """
    where = f"{spell(path)}: " if path else ""
    return f"{where}expected {what}, got {got(value)}{_hint(what, value)}"


def got(value: object) -> str:
    """Name a value's type, and show it if it is short: `int 5`, `text 'abc'`, `a list`, `null`."""
    match value:
        case None:
            return "null"
        case bool():
            return f"bool {json.dumps(value)}"
        case int() | float():
            return f"{type(value).__name__} {_cut(_number(value))}"
        case str():
            return f"text {_cut(value)!r}"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return type(value).__name__


def kind(value: object) -> str:
    """Name a value's type, and nothing of it."""
    if value is None or is_mapping(value) or is_list(value):
        return got(value)
    return "text" if isinstance(value, str) else type(value).__name__


def _number(value: float) -> str:
    try:
        return repr(value)
    except ValueError:  # more digits than Python likes to write
        return hex(int(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _hint(what: str, value: object) -> str:
    wanted = what.startswith("text") and isinstance(value, int | float)
    return "; quote it to make it text" if wanted else ""
