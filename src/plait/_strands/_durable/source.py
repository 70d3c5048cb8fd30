"""The digest of a function's source: over its syntax tree, so comments and layout do not count.

Decorators are left out: what they say of retries and triggers may change while a run sleeps. So is what
one release of Python puts into a tree and another does not: a digest outlives an upgrade.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any


def digest(function: Callable[..., Any]) -> str | None:
    """Make the digest of a function: SHA-256, in hexadecimal.

    Returns:
        `None` if there is no source: it was typed at a prompt, or made by a program.
    """
    tree = tree_of(inspect.unwrap(function))
    if tree is None:
        return None
    tree.decorator_list = []
    return hashlib.sha256("\n".join(_lines(tree, 0)).encode("utf-8", "surrogatepass")).hexdigest()


def tree_of(function: Any) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Parse the source of a function; `None` if there is none, or it is a lambda."""
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        return None
    # Not dedented: that would change the texts of several lines in it.
    inner = text[:1] in " \t"
    try:
        module = ast.parse(f"if True:\n{text}" if inner else text)
    except SyntaxError:  # a lambda, which has no lines of its own
        return None
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return node
    return None


def _lines(value: object, depth: int) -> Iterator[str]:
    """Write a part of a tree, a line for each node and constant; what is empty is left out."""
    indent = " " * depth
    if isinstance(value, ast.AST):
        yield f"{indent}{type(value).__name__}"
        for name in value._fields:
            part = getattr(value, name, None)
            if part is None and not isinstance(value, ast.Constant):
                continue
            if part == [] or name in ("ctx", "kind", "type_comment"):
                continue
            if isinstance(value, ast.JoinedStr):  # Python 3.12 puts an empty text into `{x:{y}}`
                part = [piece for piece in value.values if not _is_empty(piece)]
            yield f"{indent}.{name}"
            yield from _lines(part, depth + 1)
    elif isinstance(value, list):
        for part in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _lines(part, depth)  # pyright: ignore[reportUnknownArgumentType]
    else:
        yield f"{indent}{value!r}"


def _is_empty(piece: ast.expr) -> bool:
    return isinstance(piece, ast.Constant) and piece.value == ""
