"""Params: the values that a run is given, held against what the file declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, cast

from plait._abc import JSON

from .documents import plain_tree
from .grammar import Param, ParamType
from .problems import Path, Place, Problems, did_you_mean
from .shapes import got
from .yaml import Unreadable, plain

_KINDS: Final[Mapping[ParamType, type]] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "list": list,
    "object": dict,
}


def kind_of(param: Param) -> ParamType:
    """Say which type a param has: the one it says, else that of its default, else `str`."""
    if param.type is not None:
        return param.type
    for name, kind in _KINDS.items():
        if isinstance(param.default, kind):
            return name
    return "str"


def read_text(kind: ParamType, text: str) -> JSON:
    """Read the text of a value, as it is typed into a command.

    Args:
        kind: `str` takes it as it is; any other reads it as YAML 1.2.
        text: The text.

    Raises:
        ValueError: It is no value of this type.
    """
    if kind == "str":
        return text
    try:
        value = plain(text)
    except Unreadable as error:
        raise ValueError(f"expected {kind}, got text {text[:60]!r}: {error}") from error
    return _fitting(kind, value)


def read_texts(declared: Mapping[str, Param], texts: Mapping[str, str]) -> dict[str, object]:
    """Make values of `--set name=value`, for `read_params`.

    A text that is no value of the param's type stays text: `read_params` reports it with all else.
    """
    values: dict[str, object] = {**texts}
    for name, text in texts.items():
        if name in declared:
            try:
                values[name] = read_text(kind_of(declared[name]), text)
            except ValueError:
                continue
    return values


def read_params(
    declared: Mapping[str, Param],
    given: Mapping[str, object],
    *,
    place: Callable[[Path], Place],
    problems: Problems,
) -> dict[str, JSON]:
    """Make the values of all params: those that are given, and defaults.

    Args:
        declared: What the file declares.
        given: Values, by name.
        place: Where a path is in the file.
        problems: Takes what is wrong, all of it.
    """
    for name in given:
        if name not in declared:
            message = f"param {name!r} is not declared{did_you_mean(name, declared)}"
            problems.add("param", message, Place())
    values: dict[str, JSON] = {}
    for name, param in declared.items():
        where = place(("params", name))
        if name in given:
            values[name] = _value(name, param, given[name], where, problems)
        elif param.default is not None:
            values[name] = cast("JSON", param.default)
        else:
            message = f"missing param {name!r}: use --set {name}=VALUE"
            problems.add("param", message, where)
    return values


def check_params(
    declared: Mapping[str, Param], *, place: Callable[[Path], Place], problems: Problems
) -> None:
    """Check what is declared: defaults and choices have the type, a default is one of the choices."""
    for name, param in declared.items():
        for number, choice in enumerate(param.choices or ()):
            where = place(("params", name, "choices", number))
            _typed(name, param, choice, where, problems)
        if param.default is not None:
            where = place(("params", name, "default"))
            _value(name, param, param.default, where, problems)


def _value(name: str, param: Param, given: object, where: Place, problems: Problems) -> JSON:
    value = _typed(name, param, given, where, problems)
    if value is not None and param.choices is not None and value not in param.choices:
        known = ", ".join(map(str, param.choices))
        message = f"param {name!r}: {value!r} is not one of {known}"
        problems.add("param", message, where)
    return value


def _typed(name: str, param: Param, given: object, where: Place, problems: Problems) -> JSON:
    found = Problems()
    plain_tree(given, (), found)
    if found.errors:
        problems.add("param", f"param {name!r}: {found.errors[0].message}", where)
        return None
    try:
        return _fitting(kind_of(param), given)
    except ValueError as error:
        problems.add("param", f"param {name!r}: {error}", where)
        return None


def _fitting(kind: ParamType, value: object) -> JSON:
    """Take a value of this type, and a whole number for a float."""
    wanted, plainly = _KINDS[kind], value
    if wanted is float and type(value) is int:
        return float(value)
    if isinstance(value, wanted) and isinstance(value, bool) == (wanted is bool):
        return cast("JSON", value)
    raise ValueError(f"expected {kind}, got {got(plainly)}")
