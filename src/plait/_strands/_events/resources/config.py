"""Configs: a part of a JSON file, made into the class that the parameter's annotation names."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, cast

from .marker import ResourceConfig


class ConfigFault(Exception):  # noqa: N818 - a signal inside this package
    """A config cannot be read, or does not fit its class."""


def config_text(lines: Iterable[str]) -> str:
    """Put the faults of several configs together."""
    return "\n  - ".join(["Resource config validation failed:", *lines])


#: What JSON has of its own: given as it is.
PLAIN: Final = (dict, list, str, int, float, bool)


def load(config: ResourceConfig, hint: object) -> object:
    """Read the file and make what the parameter is given.

    Raises:
        ConfigFault: The file cannot be read, or does not fit.
    """
    file, selector = config.config_file, config.path_selector
    try:
        data = json.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigFault(f"No such file: {file}") from None
    except OSError as error:
        raise ConfigFault(f"Cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigFault(f"Not a JSON file: {file}: {error}") from error
    try:
        for segment in () if selector is None else selector.split("."):
            data = data[int(segment) if isinstance(data, list) else segment]
    except (LookupError, TypeError, ValueError):
        raise ConfigFault(f"No {selector!r} in {file}") from None
    where = file if selector is None else f"{selector!r} of {file}"
    try:
        return _build(data, hint)
    except Exception as error:
        raise ConfigFault(f"{where} is no {getattr(hint, '__name__', hint)}: {error}") from error


def _build(data: object, hint: Any) -> object:
    """Make what a parameter is given. What this raises says why it cannot be made."""
    if hint in (Any, object):
        return data
    if hint in PLAIN:
        return _exactly(data, hint)
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(hint, type) and issubclass(hint, pydantic.BaseModel):
        return cast("Any", hint).model_validate(data)
    from cattrs import BaseValidationError, transform_error  # noqa: PLC0415 - for who needs it
    from cattrs.preconf.json import make_converter  # noqa: PLC0415

    converter = make_converter()
    for kind in PLAIN[2:]:
        converter.register_structure_hook(kind, _exactly)
    try:
        return cast("object", converter.structure(data, hint))
    except BaseValidationError as error:
        raise ValueError("; ".join(transform_error(error))) from error


def _exactly(value: object, kind: type) -> object:
    """Take a value as it is, if it is of its type; cattrs alone would make `1` of `"1"`."""
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    raise TypeError(f"expected {kind.__name__}, not {value!r}")
