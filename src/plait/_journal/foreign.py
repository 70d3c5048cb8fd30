"""Pydantic models and msgspec structs, taken apart and put together again.

The two libraries are looked up in `sys.modules`, never imported, see `loaded`.
"""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Mapping
from typing import Any

from .arguments import is_dict, is_list, is_str
from .fields import Default, Fields
from .refused import Refused


class Model(Fields):
    """A pydantic model: its fields, those that it allows, those that it hides, and which were set."""

    extras = frozenset({"extra", "private", "set"})

    def __init__(self, kind: Any) -> None:
        defaults: dict[str, Default | None] = {
            name: None if field.is_required() else functools.partial(_default, field)
            for name, field in kind.model_fields.items()
        }
        super().__init__(kind, defaults)
        self.flat = False

    def take(self, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Take a model apart."""
        state = value.__dict__
        fields = {name: state[name] for name in self.names if name in state}
        self.check(fields)
        more: dict[str, Any] = {}
        if value.__pydantic_extra__:
            more["extra"] = {**value.__pydantic_extra__}
        private = value.__pydantic_private__
        if private:
            undefined = sys.modules["pydantic_core"].PydanticUndefined
            more["private"] = {n: part for n, part in private.items() if part is not undefined}
        given = value.__pydantic_fields_set__
        if given != fields.keys():
            more["set"] = sorted(given)
        return fields, more

    def make(self, fields: dict[str, Any], more: Mapping[str, Any]) -> Any:
        """Put a model together, as pydantic does with a pickled one."""
        for name in fields:
            if name not in self.defaults:
                raise Refused(self.strange(name))
        given = [is_str(name) for name in is_list(more.get("set", [*fields]))]
        extra, private = is_dict(more.get("extra", {})), is_dict(more.get("private", {}))
        allowed = self.kind.model_config.get("extra") == "allow"
        declared: Mapping[str, Any] = self.kind.__private_attributes__
        strange = {n for n in extra if not allowed or n in self.defaults}
        if strange := strange | (private.keys() - declared.keys()):
            raise Refused(self.strange(min(strange)))
        if not {*given} <= fields.keys() | extra.keys():
            raise Refused("the names of the fields that were set are others")
        value = self.kind.__new__(self.kind)
        for name, default in self.defaults.items():
            if name not in fields:
                fields[name] = self.made(name, default, fields)
        undefined = sys.modules["pydantic_core"].PydanticUndefined
        for name, attribute in declared.items():
            part = private[name] if name in private else _default(attribute, {**fields, **private})
            if part is not undefined:
                private[name] = part
        object.__setattr__(value, "__dict__", {n: fields[n] for n in self.names})
        object.__setattr__(value, "__pydantic_fields_set__", {*given})
        object.__setattr__(value, "__pydantic_extra__", extra if allowed else None)
        object.__setattr__(value, "__pydantic_private__", private if declared else None)
        return value


def _default(field: Any, known: Mapping[str, Any]) -> Any:
    """Make a default as pydantic does: a factory may ask for the fields before this one."""
    if field.default_factory is None:
        return copy.deepcopy(field.default)
    takes_known = getattr(field, "default_factory_takes_validated_data", False)
    return field.default_factory({**known}) if takes_known else field.default_factory()


class Struct(Fields):
    """A msgspec struct. It can be made only by calling its class; then its fields are set again."""

    def __init__(self, kind: Any) -> None:
        super().__init__(kind, dict.fromkeys(kind.__struct_fields__))
        self.flat = False

    def blank(self, fields: Mapping[str, Any]) -> Any:
        """Make a struct; the library gives it the fields that are not stored."""
        return self.kind(**fields)

    def put(self, value: Any, name: str, part: Any) -> None:
        """Set a field once more, whatever the class's `__post_init__` made of it."""
        sys.modules["msgspec"].structs.force_setattr(value, name, part)

    def add_defaults(self, value: Any, fields: Mapping[str, Any]) -> None:
        """Leave them as they are."""


def is_unset(kind: type) -> bool:
    """Say whether this is the class of msgspec's value for a field that is not set."""
    msgspec = sys.modules.get("msgspec")
    return msgspec is not None and kind is msgspec.UnsetType


def read_unset() -> Any:
    """Read that value."""
    msgspec = sys.modules.get("msgspec")
    if msgspec is None:
        raise Refused("msgspec is not imported here")
    return msgspec.UNSET
