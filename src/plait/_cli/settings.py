"""`--set NAME=VALUE`: what the texts of a command line mean."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin, get_type_hints

from plait._strands._flows.shapes import got
from plait._strands._flows.yaml import plain

from .exits import UsageError
from .printable import printable

if TYPE_CHECKING:
    from plait._event import StartEvent
    from plait._strands._flows.checked import CheckedFlow

#: The types that a text is read as, by the words for them in a flow file.
WORDS: Final[Mapping[object, str]] = {
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    list: "list",
    dict: "object",
}


def pairs(settings: Sequence[str]) -> dict[str, str]:
    """Part names and texts.

    Raises:
        UsageError: There is no `=`, or a name is set twice.
    """
    found: dict[str, str] = {}
    for one in settings:
        name, sign, text = one.partition("=")
        if not (name and sign):
            raise UsageError(f"--set takes NAME=VALUE, not {printable(one)!r}")
        if name in found:
            raise UsageError(f"--set {printable(name)} is given twice")
        found[name] = text
    return found


def flow_params(
    flow: CheckedFlow, settings: Sequence[str], *, partly: bool = False
) -> dict[str, object]:
    """Read the params of a flow, as it declares them.

    Args:
        flow: The flow.
        settings: What was typed.
        partly: Some may be missing: those of an earlier run hold.

    Raises:
        UsageError: Something typed is no setting.
        FlowConfigError: With all that is wrong with the params.
    """
    raise NotImplementedError


def start_fields(kind: type[StartEvent], settings: Sequence[str]) -> dict[str, Any]:
    """Read the fields of a start event: by their types; those that it does not declare as YAML.

    Args:
        kind: The class of the event.
        settings: What was typed.

    Raises:
        UsageError: A text is none of its type, with all that are not.
    """
    given = pairs(settings)
    if not given:
        return {}
    hints = get_type_hints(kind)
    fields: dict[str, Any] = {}
    wrong: list[str] = []
    for name, text in given.items():
        declared = name in kind.__plait_fields__
        try:
            fields[name] = _read(hints.get(name) if declared else None, text)
        except ValueError as error:
            wrong.append(f"field {name!r}: {error}")
    if wrong:
        raise UsageError("\n".join(wrong))
    return fields


def _read(hint: object, text: str) -> object:
    """Read a text as a type.

    Raises:
        ValueError: It is none of it.
    """
    word = _word(hint)
    if word == "str":
        return text
    value = plain(text)
    if word == "float" and type(value) is int:
        return float(value)
    if word is not None and WORDS.get(type(value)) != word:
        raise ValueError(f"expected {word}, got {got(value)}")
    return value


def _word(hint: object) -> str | None:
    """Find the word for a type; `None`: whatever the text is as YAML."""
    origin = get_origin(hint) or hint
    if origin in {Union, types.UnionType}:
        members = [_word(one) for one in get_args(hint) if one is not type(None)]
        return "str" if "str" in members else members[0] if len(members) == 1 else None
    try:
        return WORDS.get(origin)
    except TypeError:  # an annotation that has no hash
        return None
