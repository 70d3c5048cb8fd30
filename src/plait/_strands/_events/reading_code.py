"""Whether a step may make durable calls: read off its code, once.

To host a body as one that makes such calls is worth something only if it does: its tasks are numbered
and watched. So a body is hosted unless its code shows that nobody can make a call through its context:
all that is done with the context is to look up an attribute that is none of `DURABLE`. A context that is
handed on, kept or closed over counts as one through which calls are made, and so does code that
cannot be read.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

#: Attributes of a context whose use is a durable call.
DURABLE: Final = frozenset({"step", "group", "move_on_after", "fail_after", "patched"})

#: Instructions that put a local variable on the stack, and what may stand between two others.
LOADS: Final = ("LOAD_FAST",)
LOOK_UPS: Final = ("LOAD_ATTR", "LOAD_METHOD")
NOTHING: Final = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "RESUME", "PRECALL"})


def may_make_calls(func: Callable[..., Any], name: str) -> bool:
    """Say whether a function may make durable calls through its context.

    Args:
        func: The step's.
        name: The name of its parameter for the context.
    """
    code = getattr(func, "__code__", None)
    if not inspect.iscode(code) or hasattr(func, "__wrapped__"):
        return True
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if name not in names or name in code.co_cellvars:
        return True
    return any(_is_handed_on(this, then, name) for this, then in _pairs(code))


def _pairs(code: Any) -> Iterator[tuple[dis.Instruction, dis.Instruction | None]]:
    """List the instructions, each with the next one."""
    found = [each for each in dis.get_instructions(code) if each.opname not in NOTHING]
    yield from zip(found, [*found[1:], None], strict=True)


def _is_handed_on(this: dis.Instruction, then: dis.Instruction | None, name: str) -> bool:
    loaded = cast("tuple[object, ...]", this.argval)
    if not isinstance(this.argval, tuple):
        loaded = (this.argval,)
    if name not in loaded or "FAST" not in this.opname:
        return False
    # Of two variables that are loaded at once the second is on top.
    if not this.opname.startswith(LOADS) or loaded[-1] != name or loaded.count(name) > 1:
        return True
    if then is None or not then.opname.startswith(LOOK_UPS):
        return True
    return then.argval in DURABLE
