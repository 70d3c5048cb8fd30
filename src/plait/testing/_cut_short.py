"""Which clean-up did a cancellation cut short? Asked of the `Cancelled` that a body has raised.

A body that is cancelled runs its `finally`. If that awaits without a shield, it is cancelled again, at
once, and what stands below the `await` is never done. Python keeps the trace of it: the second
`Cancelled` has the first as its context, and the two went through the same frame. From there on the
frames of the second say where the clean-up was, and the source what it had still to do.

Code of installed packages is not judged: Trio's own `aclose()` is cancelled, and has closed before.
"""

from __future__ import annotations

import ast
import inspect
import os
import sysconfig
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Final, TypeAlias, cast

import attrs
import trio

#: Where the code lies that is nobody's test.
INSTALLED: Final = tuple(
    {sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {str(Path(__file__).parents[1]) + os.sep}
)
#: What does nothing that would be missed.
IDLE: Final = (ast.Pass, ast.Raise, ast.Return, ast.Continue, ast.Break)

Place: TypeAlias = tuple[FrameType, int]
Block: TypeAlias = list[ast.stmt]


@attrs.frozen
class CutShort:
    """A clean-up that was cancelled before it was done."""

    where: str
    awaited: str
    undone: str

    def __str__(self) -> str:
        return f"{self.where}: cancelled in `{self.awaited}`, and `{self.undone}` was never done"


def cut_short(error: BaseException) -> Iterator[CutShort]:
    """Find the clean-ups that `error`, raised by a cancelled body, has ended too early."""
    if isinstance(error, BaseExceptionGroup):
        for member in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from cut_short(member)
        return
    first = _before(error)
    if first is None:
        return
    came_from = {id(frame): line for frame, line in _places(first)}
    places = [*_places(error)]
    # Frames that both went through clean up after the first, the innermost of them at last.
    shared = [at for at, (frame, _) in enumerate(places) if id(frame) in came_from]
    for frame, line in places[shared[-1] :] if shared else []:
        code = frame.f_code
        if code.co_filename.startswith(INSTALLED):
            continue
        undone = _undone(code, line, came_from.get(id(frame)))
        if undone is not None:
            yield CutShort(f"{code.co_qualname}() at {code.co_filename}:{line}", *undone)
            return


def _before(error: BaseException) -> BaseException | None:
    """Find the `Cancelled` that was being handled when this one was raised."""
    if not isinstance(error, trio.Cancelled):
        return None
    before = error.__context__
    while before is not None and not isinstance(before, trio.Cancelled):
        before = before.__context__
    return before


def _places(error: BaseException) -> Iterator[Place]:
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def _undone(code: CodeType, line: int, came_from: int | None) -> tuple[str, str] | None:
    """Find what an exception in a line of a function has kept from running; that line, and what.

    `came_from` is the line that was cancelled at first, if it was in the same function: then the
    statement is one of the `finally` or `except` that was entered since.
    """
    function = _parsed(code)
    if function is None:
        return None
    above = code.co_firstlineno - 1
    way = [*_way(line - above, function.body, cleans_up=came_from is None)]
    if came_from is not None:
        entered = [
            at
            for at, (block, _, cleans_up) in enumerate(way)
            if cleans_up and not _has(block, came_from - above)
        ]
        if not entered:  # `async with`, which cleans up elsewhere
            return None
        way = way[entered[-1] :]
    if not way:
        return None
    last_block, last_at, _ = way[-1]
    innermost = last_block[last_at]
    for depth, (block, at, _) in enumerate(reversed(way)):
        if depth and isinstance(block[at], ast.For | ast.AsyncFor | ast.While):
            return _head(innermost), f"the rest of {_head(block[at])}"
        for later in block[at + 1 :]:
            if not isinstance(later, IDLE):
                return _head(innermost), _head(later)
    return None


def _head(statement: ast.stmt) -> str:
    return ast.unparse(statement).splitlines()[0]


def _parsed(code: CodeType) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Read the source of a function, if there is one."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, SyntaxError, TypeError):
        return None
    function = tree.body[0] if tree.body else None
    return function if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) else None


def _has(block: Block, line: int) -> bool:
    return block[0].lineno <= line <= (block[-1].end_lineno or block[-1].lineno)


def _way(line: int, block: Block, *, cleans_up: bool) -> Iterator[tuple[Block, int, bool]]:
    """Say through which blocks one comes to a line: each with the place in it, and what it is."""
    for at, statement in enumerate(block):
        if not statement.lineno <= line <= (statement.end_lineno or statement.lineno):
            continue
        yield block, at, cleans_up
        for inner, inner_cleans_up in _blocks(statement):
            if inner:
                yield from _way(line, inner, cleans_up=inner_cleans_up)


def _blocks(statement: ast.stmt) -> Iterator[tuple[Block, bool]]:
    for name in ("body", "orelse"):
        yield cast("Block", getattr(statement, name, [])), False
    for handler in cast("list[ast.ExceptHandler]", getattr(statement, "handlers", [])):
        yield handler.body, True
    yield cast("Block", getattr(statement, "finalbody", [])), True
    for case in cast("list[ast.match_case]", getattr(statement, "cases", [])):
        yield case.body, False
