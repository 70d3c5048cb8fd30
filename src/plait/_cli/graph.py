"""`plait graph`: draw flow files, an event workflow, or durable functions."""

from __future__ import annotations

import sys
import warnings
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from .exits import WELL, UsageError
from .messages import tell
from .output_file import OutputFile
from .targets import Files, files_or_name, kind_of, object_named

if TYPE_CHECKING:
    from plait._viz.drawing import Drawing


def graph(
    *targets: str,
    format_: Annotated[
        Literal["mermaid", "dot", "svg", "html", "text"], Parameter(name="--format")
    ] = "mermaid",
    output_file: Annotated[str | None, Parameter(name=["--output-file", "-o"])] = None,
) -> int:
    """Draw flow files, an event workflow, or durable functions.

    Args:
        targets: FILE... (- is standard input), or module:Name of a workflow, an app or a function.
        format_: mermaid, dot for Graphviz, svg, html for a page that opens offline, or text.
        output_file: Write the picture to this file, and nothing to stdout.
    """
    from plait._errors import PlaitError
    from plait._viz.formats.written import written

    with redirect_stdout(sys.stderr):  # what a module prints is no picture
        target = files_or_name(targets, "graph")
        drawings = _of_files(target) if isinstance(target, Files) else _of_name(target)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            text = written(drawings, format_)
        except PlaitError as error:
            raise UsageError(str(error)) from error
    for warning in said:
        tell(str(warning.message))
    if output_file is None:
        sys.stdout.write(text)
    else:
        with OutputFile(output_file) as file:
            file.write(text)
    return WELL


def _of_files(target: Files) -> list[Drawing]:
    from plait._strands._flows.check import check
    from plait._viz.plans.flows import draw_flow

    return [draw_flow(check(target.names))]


def _of_name(target: str) -> list[Drawing]:
    from plait._viz.plans.events import draw_all, is_workflow, is_workflow_class

    found = object_named(target)
    if is_workflow(found) or is_workflow_class(found):
        return draw_all(found)
    from plait._viz.pictures.draw import drawings  # which loads what durable functions need

    try:
        return drawings(found)
    except TypeError as error:
        text = f"{target} cannot be drawn: it is {kind_of(found)}, and no workflow, flow or app"
        raise UsageError(text) from error
