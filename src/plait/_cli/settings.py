"""`--set NAME=VALUE`: what the texts of a command line mean."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin, get_type_hints

from plait._strands._flows.params import read_params, read_text, read_texts
from plait._strands._flows.problems import Place, Problems, did_you_mean
from plait._strands._flows.yaml import plain

from .exits import UsageError
from .printable import printable

if TYPE_CHECKING:
    from plait._event import StartEvent
    from plait._strands._flows.checked import CheckedFlow
    from plait._strands._flows.grammar import ParamType

#: The types that a text is read as, by the words for them in a flow file.
WORDS: Final[Mapping[object, ParamType]] = {
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


def flow_params(flow: CheckedFlow, settings: Sequence[str]) -> dict[str, object]:
    """Read what is set of a flow's params; starting the flow checks it, with what is missing.

    Args:
        flow: The flow.
        settings: What was typed.

    Raises:
        UsageError: Something typed is no setting.
    """
    return read_texts(flow.document.params, pairs(settings))


def check_params(flow: CheckedFlow, settings: Sequence[str]) -> None:
    """Check what is set of a flow's params, where nothing runs: none is missed.

    Raises:
        UsageError: Something typed is no setting.
        FlowConfigError: With all that is wrong with them.
    """
    declared, given = flow.document.params, flow_params(flow, settings)
    problems = Problems()
    for name in given:
        if name not in declared:
            text = f"param {name!r} is not declared{did_you_mean(name, declared)}"
            problems.add("param", text, Place())
    read_params(
        {name: param for name, param in declared.items() if name in given},
        {name: value for name, value in given.items() if name in declared},
        place=flow.marked.place,
        problems=problems,
    )
    problems.raise_if_any()


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
    return plain(text) if word is None else read_text(word, text)


def _word(hint: object) -> ParamType | None:
    """Find the word for a type; `None`: whatever the text is as YAML."""
    origin = get_origin(hint) or hint
    if origin in {Union, types.UnionType}:
        members: list[ParamType | None] = [
            _word(one) for one in get_args(hint) if one is not type(None)
        ]
        if "str" in members:
            return "str"
        return members[0] if len(members) == 1 else None
    try:
        return WORDS.get(origin)
    except TypeError:  # an annotation that has no hash
        return None
