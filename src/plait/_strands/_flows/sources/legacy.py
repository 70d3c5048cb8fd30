"""The old grammar of inputs: a mapping of just `{type, value}` or `{type, template}`."""

from __future__ import annotations

from typing import Final, cast

import attrs

from plait._strands._flows.problems import Path

from .provider import Parts

#: The words of the old grammar, and what each is for a request.
MODES: Final = {"parameter": "parameter", "value": "parameter", "body": "body", "filter": "body"}


@attrs.frozen
class Unwrapped:
    """What was inside.

    Attributes:
        value: The input itself.
        mode: What it is for a request: an `input_mode`.
        at: Where it is.
    """

    value: object
    mode: str
    at: Path


def unwrap(parts: Parts) -> Unwrapped | None:
    """Take an input out of the old grammar, with a warning; `None` if it is not in it."""
    found = parts.input
    if not isinstance(found, dict):
        return None
    given = cast("dict[str, object]", found)
    word = given.get("type")
    for key in ("value", "template"):
        if given.keys() == {"type", key} and isinstance(word, str) and word in MODES:
            message = (
                f"step {parts.step!r}: input {{type, value}} is the old grammar; "
                "write the value itself"
            )
            parts.problems.warn("legacy", message, parts.place(("input",)))
            return Unwrapped(given[key], MODES[word], ("input", key))
    return None
