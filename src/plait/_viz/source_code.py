"""What the code of a step names, as far as it can be read without running it.

An annotation says which events a step returns, not how often, nor what else it does. Its code does say
something: whoever fans out through its context calls `ctx.send_event`, and a child is run by a name.
What is built at run time, out of texts or in another function, is not seen: pictures tell what is
there to be read, and never more.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, Final

import attrs

from plait._strands._durable.source import tree_of

#: The two namespaces of a durable context.
SPACES: Final = frozenset({"step", "group"})


def names_in(func: Callable[..., Any]) -> frozenset[str]:
    """Find the globals and attributes that a function uses, also in functions inside it."""
    code = getattr(inspect.unwrap(func), "__code__", None)
    return frozenset(_names(code)) if isinstance(code, CodeType) else frozenset()


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from code.co_freevars
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _names(part)


def values_named(func: Callable[..., Any], owner: object) -> Iterator[tuple[str, object]]:
    """Find what those names stand for now: globals, variables around the function, fields of `owner`."""
    bare = inspect.unwrap(func)
    code = getattr(bare, "__code__", None)
    if not isinstance(code, CodeType):
        return
    around: dict[str, object] = {}
    for name, cell in zip(code.co_freevars, bare.__closure__ or (), strict=True):
        try:
            around[name] = cell.cell_contents
        except ValueError:  # a variable without a value, yet
            continue
    spaces = (around, getattr(bare, "__globals__", {}), getattr(owner, "__dict__", {}))
    for name in dict.fromkeys(_names(code)):
        for space in spaces:
            if name in space:
                yield name, space[name]


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
