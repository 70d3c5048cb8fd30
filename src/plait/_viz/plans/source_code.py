"""What the code of a step names, as far as it can be read without running it.

An annotation says which events a step returns, not how often, nor what else it does. Its code does say
something: whoever fans out through its context calls `ctx.send_event`, and a child is run by a name.
What is built at run time, out of texts or in another function, is not seen: pictures tell what is
there to be read, and never more.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any


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
