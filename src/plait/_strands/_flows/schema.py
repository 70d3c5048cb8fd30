"""The JSON Schema of flow files, for editors: made from the classes of the grammar, shipped as a file.

`python -m plait._strands._flows.schema` writes the file anew; a test compares the two. It says what
shapes are right. What needs more than one look (dependencies, names of sources, templates) it does not.
"""

from __future__ import annotations

import importlib.resources
import json
import pathlib
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

import attrs

from . import grammar
from .converter import CONDITIONS
from .grammar import (
    Concurrency,
    Document,
    Foreach,
    Matrix,
    Out,
    Param,
    ParamType,
    Policy,
    Retry,
    Runner,
    Secret,
    Step,
)
from .shapes import is_list, is_mapping

Schema: TypeAlias = dict[str, Any]

FILE: Final = "flow.schema.json"

_TEMPLATE: Final[Schema] = {"type": "string", "pattern": r"\{\{"}
_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_PARALLEL: Final[Schema] = {"type": "integer", "minimum": 1}
_UNITS: Final = ("d", "h", "m", "s", "ms")
_LENGTH: Final = "".join(rf"([0-9]+(\.[0-9]+)?{unit})?" for unit in _UNITS)
_DURATION: Final[Schema] = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": rf"^(?=.)({_LENGTH}|[0-9]+(\.[0-9]+)?)$"},
    ]
}


def _any_case(words: tuple[str, ...]) -> Schema:
    spelled = ("".join(f"[{sign.upper()}{sign}]" for sign in word) for word in words)
    return {"type": "string", "pattern": f"^({'|'.join(spelled)})$"}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _either(*schemas: Schema) -> Schema:
    return {"anyOf": [*schemas]}


def _listed(each: Schema) -> Schema:
    return {"type": "array", "items": each}


def _or_null(schema: Schema) -> Schema:
    """Let a key be null: then it is as if it were not there."""
    if not schema:
        return schema
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        return {"enum": [*schema["enum"], None]}
    if "anyOf" in schema:
        return _either(*schema["anyOf"], {"type": "null"})
    return _either(schema, {"type": "null"})


def _named(each: Schema) -> Schema:
    return {"type": "object", "additionalProperties": _or_null(each)}


_POLICY: Final = _any_case(get_args(Policy))
_CONDITION: Final = _either(
    {"type": "integer", "minimum": 100, "maximum": 599},
    {"enum": [*CONDITIONS]},
    {"type": "string", "pattern": r"^([1-5][0-9]{2}|exit:-?[0-9]{1,4})$"},
)

#: What the types of the fields do not say: short forms, limits, what holds a template.
_FIELDS: Final[Mapping[type, Mapping[str, Schema]]] = {
    Document: {"params": _named(_either({"enum": [*get_args(ParamType)]}, _ref("Param")))},
    Param: {"choices": {"type": "array"}},
    Secret: {"env": _TEXT, "file": _TEXT},
    Out: {"name": _TEXT, "type": {"enum": ["raw", "json", "jmespath"]}},
    Foreach: {
        "items": _either({"type": "array"}, {"type": "object"}, _TEMPLATE),
        "as": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "max_parallel": _PARALLEL,
    },
    Matrix: {
        "axes": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": _either({"type": "array"}, _TEMPLATE),
        },
        "max_parallel": _PARALLEL,
    },
    Retry: {
        "attempts": {"type": "integer", "minimum": 1, "maximum": 100},
        "delay": _DURATION,
        "factor": {"type": "number", "minimum": 0, "maximum": 1_000_000},
        "max_delay": _DURATION,
        "jitter": {"type": "number", "minimum": 0, "maximum": 1},
        "on": _listed(_CONDITION),
    },
    Concurrency: {"group": _TEXT, "limit": {"type": "integer", "minimum": 1}},
    Runner: {
        "on_error": _POLICY,
        "max_workers": {"type": "integer", "minimum": 0},
        "timeout": _DURATION,
    },
    Step: {
        "name": _TEXT,
        "source": _either(_TEXT, _ref("SourceRef"), _ref("SourceDef")),
        "depends_on": _either({"type": "string"}, _listed({"type": "string"})),
        "on_error": _POLICY,
        "foreach": _either({"type": "array"}, _TEMPLATE, _ref("Foreach")),
        "retry": _either({"type": "integer", "minimum": 1, "maximum": 100}, _ref("Retry")),
        "timeout": _DURATION,
    },
}

#: What must be there though its field has a default: `check` has its own words for it.
_REQUIRED: Final[Mapping[type, list[str]]] = {Out: ["name"]}


def make() -> Schema:
    """Make the schema from the classes."""
    definitions: dict[str, Schema] = {}
    whole = _class(Document, definitions)
    whole["patternProperties"] = {"^x-": {}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A flow of plait",
        **whole,
        "$defs": dict(sorted(definitions.items())),
    }


def shipped() -> str:
    """Read the schema as it is shipped."""
    return importlib.resources.files("plait._strands._flows").joinpath(FILE).read_text("utf-8")


def written(schema: Schema) -> str:
    """Write a schema as the shipped file has it."""
    return json.dumps(schema, indent=2) + "\n"


def _class(cls: type, definitions: dict[str, Schema]) -> Schema:
    hints = get_type_hints(cls)
    properties: dict[str, Schema] = {}
    required = [*_REQUIRED.get(cls, ())]
    for field in attrs.fields(cls):
        if field.name == "path":
            continue
        key = field.metadata.get("key", field.name)
        schema = _FIELDS.get(cls, {}).get(key) or _type(hints[field.name], definitions)
        for name in _references(schema):
            _define(name, definitions)
        if field.default is attrs.NOTHING:
            required.append(key)
        elif key not in required:
            schema = _or_null(schema)
        properties[key] = schema
    found: Schema = {
        "description": (cls.__doc__ or "").split("\n", maxsplit=1)[0],
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if required:
        found["required"] = required
    return found


def _define(name: str, definitions: dict[str, Schema]) -> None:
    if name not in definitions:
        definitions[name] = {}
        definitions[name] = _class(_CLASSES[name], definitions)


def _type(hint: Any, definitions: dict[str, Schema]) -> Schema:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        kinds = [_type(one, definitions) for one in arguments if one is not NoneType]
        return kinds[0] if len(kinds) == 1 else _either(*kinds)
    if origin is Literal:
        return {"enum": [*arguments]}
    if origin in (list, tuple):
        return _listed(_type(arguments[0], definitions))
    if origin is dict:
        each = _type(arguments[1], definitions)
        return {"type": "object"} if not each else _named(each)
    if attrs.has(hint):
        _define(hint.__name__, definitions)
        return _ref(hint.__name__)
    return {**_PLAIN[hint]}


_PLAIN: Final[Mapping[Any, Schema]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    object: {},
}

_CLASSES: Final[Mapping[str, type]] = {
    name: cls for name, cls in vars(grammar).items() if isinstance(cls, type) and attrs.has(cls)
}


def _references(schema: object) -> list[str]:
    if is_list(schema):
        return [name for one in schema for name in _references(one)]
    if not is_mapping(schema):
        return []
    found = [name for one in schema.values() for name in _references(one)]
    here = schema.get("$ref")
    return [*found, here.rpartition("/")[2]] if isinstance(here, str) else found


if __name__ == "__main__":
    pathlib.Path(__file__).with_name(FILE).write_text(written(make()), "utf-8")
