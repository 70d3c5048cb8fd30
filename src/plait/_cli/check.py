"""`plait check`: what is wrong with flow files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .exits import USAGE, WELL
from .messages import say
from .news import several
from .results import json_text
from .targets import files

if TYPE_CHECKING:
    from plait._strands._flows.problems import Problem


def check(
    *targets: Annotated[str, Parameter(name="FILE")],
    json: Annotated[bool, Parameter(name=["--json", "-j"])] = False,
) -> int:
    """Say what is wrong with flow files, without running anything.

    Exit codes: 0 if nothing is, 2 otherwise.

    Args:
        targets: FILE... (- is standard input).
        json: Print the problems as JSON.
    """
    from plait._strands._flows import check as checking
    from plait._strands._flows.problems import FlowConfigError

    problems: tuple[Problem, ...]
    counts = ""
    try:
        flow = checking.check(files(targets, "check").names)
    except FlowConfigError as error:
        problems = error.problems
    else:
        problems = flow.warnings
        sources = flow.document.sources
        counts = f"{several(len(flow.steps), 'step')}, {several(len(sources), 'source')}"
    if json:
        document = {"ok": bool(counts), "problems": [_document(one) for one in problems]}
        print(json_text(document), end="")
    else:
        for problem in problems:
            say(problem)
        if counts:
            print(f"ok: {counts}")
    return WELL if counts else USAGE


def _document(problem: Problem) -> dict[str, object]:
    place = problem.place
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "code": problem.code,
        "message": problem.message,
        "severity": problem.severity,
    }
