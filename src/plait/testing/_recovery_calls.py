"""Calls of a body, as they are compared: who made which, with what."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final, cast
from uuid import UUID

import attrs

from plait._kernel.calls.keys import Key
from plait._show import show

#: How much of an argument is shown.
SHOWN: Final = 60
#: Values of these look alike if they are the same.
PLAIN: Final = (
    *(type(None), bool, int, float, complex, str, bytes),
    *(date, datetime, time, timedelta, Decimal, UUID),
)


@attrs.frozen
class Call:
    """A call that a task has made."""

    key: Key
    op: str
    #: Of the handler.
    name: str
    #: What it is given, as far as that can be compared.
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        what = f"{self.op} {self.key.step_id!r}"
        if not self.name:
            return what
        given = ", ".join(show_text(text) for text in self.arguments)
        return f"{what}: {self.name}({given})" if self.op == "run" else f"{what}: {self.name}"


def show_text(text: str) -> str:
    """Cut a text that is too long to read."""
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def arguments_of(handler: object) -> tuple[str, ...]:
    """Write down what a call gives its handler; of objects only their classes."""
    if not isinstance(handler, partial):  # what no handler is called for
        return ()
    bound = cast("tuple[Callable[..., Any], tuple[object, ...]]", handler.args)
    if len(bound) != len(("handler", "args")):
        return ()
    users, args = bound
    inner: list[str] = []
    while isinstance(users, partial):
        named = [f"{name}={written(value)}" for name, value in users.keywords.items()]
        inner = [*map(written, users.args), *inner, *named]
        users = users.func
    return (*inner, *map(written, args))


def class_of(value: object) -> type[object]:
    """Give the class of a value, whatever its type parameters."""
    return type(value)


def written(value: Any) -> str:
    """Write a value so that the same text means the same value; of objects only the class."""
    kind = class_of(value)
    if kind in PLAIN:
        return repr(value)
    if kind is list:
        return f"[{', '.join(map(written, value))}]"
    if kind is tuple:
        return f"({', '.join(map(written, value))})"
    if kind in {set, frozenset}:
        return f"{{{', '.join(sorted(map(written, value)))}}}"
    if kind is dict:
        items = cast("dict[Any, Any]", value).items()
        return f"{{{', '.join(f'{written(k)}: {written(v)}' for k, v in items)}}}"
    return f"<{kind.__qualname__}>"


def said(value: object) -> str:
    """Show a result."""
    return show(value, SHOWN * 4)
