"""A program, as whoever reads a failure wants it: one line a step, what is plain left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from tests.model.program import Program, Step, Timed


def show(program: Program) -> str:
    """Write a program down."""
    return "\n".join(_lines(program))


def _lines(program: Program, indent: str = "") -> Iterator[str]:
    yield f"{indent}program({_differs(program, 'steps', 'children', 'outside')})"
    for step in program.steps:
        yield f"{indent}  {_step(step)}"
    for inward in program.outside:
        what = "cancels" if inward.kind is None else f"sends {inward.kind}"
        yield f"{indent}  outside: {what} to {inward.target}, {inward.after} s later"
    for number, child in enumerate(program.children):
        yield f"{indent}  child {number}:"
        yield from _lines(child, indent + "    ")


def _step(step: Step) -> str:
    kinds = {"one": " | ", "join": ", ", "list": " | "}[step.shape].join(step.takes)
    taken = f"[{kinds}]" if step.shape == "list" else f"({kinds})"
    acts = "; ".join(_timed(timed) for timed in (*step.acts, step.give))
    options = _differs(step, "name", "takes", "shape", "acts", "give")
    return f"{step.name}{taken}: {acts}" + (f"   [{options}]" if options else "")


def _timed(timed: Timed) -> str:
    name = type(timed.act).__name__.lower()
    after = "" if timed.after is None else f"{timed.after} s, "
    return f"{after}{name}({_differs(timed.act)})"


def _differs(value: Any, *but: str) -> str:
    """The fields that are not as they are by default."""
    fields = (field for field in attrs.fields(type(value)) if field.name not in but)
    given = ((field, getattr(value, field.name)) for field in fields)
    return ", ".join(f"{field.name}={one}" for field, one in given if one != field.default)
