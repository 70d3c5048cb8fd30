"""The durable calls that stand in the source of a function, as they are written."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any, Final

import attrs

from plait._strands._durable.source import tree_of

#: The two namespaces of a durable context.
SPACES: Final = frozenset({"step", "group"})


@attrs.frozen
class Call:
    """A call on `ctx.step` or `ctx.group`, as it is written.

    Attributes:
        verb: The method.
        id: The id of the call, if it is a text in the code; `…` stands for what is put into one.
        arguments: What else is given by name.
    """

    verb: str
    id: str | None
    arguments: dict[str, ast.expr]


def calls_in(func: Callable[..., Any]) -> list[Call]:
    """Find the durable calls in the source of a function, from top to bottom; `[]` without source."""
    tree = tree_of(inspect.unwrap(func))
    if tree is None:
        return []
    found = [one for one in ast.walk(tree) if isinstance(one, ast.Call)]
    found.sort(key=lambda one: (one.lineno, one.col_offset))
    return [call for one in found if (call := _call(one)) is not None]


def _call(node: ast.Call) -> Call | None:
    match node.func:
        case ast.Attribute(attr=verb, value=ast.Attribute(attr=space)) if space in SPACES:
            pass
        case _:
            return None
    given = {one.arg: one.value for one in node.keywords if one.arg is not None}
    first = node.args[0] if node.args else given.get("step_id")
    return Call(verb, _text(first), given)


def _text(node: ast.expr | None) -> str | None:
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or "…" for part in parts)
        case _:
            return None
