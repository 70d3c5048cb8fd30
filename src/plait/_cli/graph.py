"""`plait graph`: draw the steps of flow files, or of an event workflow."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from plait._viz.drawing import Drawing

from .exits import WELL, UsageError
from .output_file import OutputFile
from .targets import Files, find

if TYPE_CHECKING:
    from plait._strands._events.workflow import Workflow


def graph(
    *targets: str,
    format_: Annotated[
        Literal["mermaid", "dot", "svg", "html"], Parameter(name="--format")
    ] = "mermaid",
    output_file: Annotated[str | None, Parameter(name=["--output-file", "-o"])] = None,
) -> int:
    """Draw the steps of flow files, or of an event workflow.

    Args:
        targets: FILE... (- is standard input), or module:Workflow.
        format_: mermaid or dot.
        output_file: Write the picture to this file, and nothing to stdout.
    """
    if format_ in {"svg", "html"}:
        raise UsageError(f"--format {format_} is not there yet: use mermaid or dot")
    with redirect_stdout(sys.stderr):  # what a module prints is no picture
        target = find(targets, "graph")
        drawing = _of_files(target) if isinstance(target, Files) else _of_workflow(target.workflow)
    text = _text(drawing, format_)
    if output_file is None:
        sys.stdout.write(text)
    else:
        with OutputFile(output_file) as file:
            file.write(text)
    return WELL


def _of_files(target: Files) -> Drawing:
    from plait._strands._flows.check import check
    from plait._viz.flows import draw_flow

    return draw_flow(check(target.names))


def _of_workflow(workflow: Workflow[Any]) -> Drawing:
    from plait._viz.events import draw_workflow

    return draw_workflow(workflow)


def _text(drawing: Drawing, format_: str) -> str:
    if format_ == "dot":
        from plait._viz.dot import dot

        return dot(drawing)
    from plait._viz.mermaid import mermaid

    return mermaid(drawing)
