"""What users call: pictures of workflows, functions and flows, as text or in a file."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, cast

from plait._engine.run import Run
from plait._engine.trace import Trace
from plait._errors import MissingExtra
from plait._show import show
from plait._strands._durable.app import App
from plait._strands._durable.function import Function
from plait._strands._events.workflow import Workflow
from plait._strands._flows.checked import CheckedFlow
from plait._strands._flows.flow import Flow

from .drawing import Drawing
from .durable import draw_app, draw_function, is_app, is_function
from .events import draw_all, is_workflow, is_workflow_class
from .execution import Execution
from .execution_drawing import draw_execution
from .execution_found import Watched, found
from .execution_page import execution_page
from .flows import draw_flow
from .formats import FORMATS, Format, written
from .mermaid import mermaid
from .page import page
from .representation import WorkflowGraph
from .svg import svg
from .text import text

#: What can be drawn before it runs.
Plan: TypeAlias = (
    Workflow[Any]
    | type[Workflow[Any]]
    | Flow
    | CheckedFlow
    | App
    | Function[Any, Any]
    | WorkflowGraph
)
#: And what has happened: see `plait._viz.execution_found`.
Drawn: TypeAlias = Plan | Watched
File: TypeAlias = str | PathLike[str]


def draw(what: Drawn, format: Format) -> str:  # noqa: A002 - the peer's name for it
    """Draw something, and write no file. Nothing runs; not a checkpoint.

    Args:
        what: A workflow or its class, a flow, an app of durable functions or one of its functions, or
            what `get_workflow_representation` returned. Or what has happened: a `Trace`, a run that
            has one, or an `Execution`.
        format: `"html"`: a page that opens offline. `"svg"`, `"dot"` for Graphviz, `"mermaid"`, or
            `"text"` for a terminal.

    Raises:
        TypeError: It is nothing that can be drawn.
        ValueError: There is no such format.
        WorkflowValidationError: The steps of a workflow cannot be read.
        WorkflowRuntimeError: A run has kept no records.
        MissingExtra: For `"svg"`, neither graphlay nor Graphviz is installed.

    Example:
        ```python
        print(draw(Flow, "text"))
        ```
    """
    if format not in FORMATS:
        known = ", ".join(map(repr, FORMATS))
        raise ValueError(f"There is no format {show(format, 40)}. The formats are {known}")
    if isinstance(what, Execution | Trace | Run):
        execution = found(what)
        if format == "html":
            return execution_page(execution)
        return written([draw_execution(execution)], format)
    return written(drawings(what), format)


def draw_all_possible_flows(
    workflow: Plan,
    filename: File = "workflow_all_flows.html",
    notebook: bool = False,  # noqa: FBT001, FBT002 - the peer's signature
    max_label_length: int | None = None,
) -> None:
    """Write a page with all ways that events can take, and with the workflows that it runs.

    The page is one file, which loads nothing. Not a checkpoint: it writes a file.

    Args:
        workflow: A workflow, its class, or anything else that `draw` takes.
        filename: The file; what was there is replaced.
        notebook: Show the picture below the cell as well.
        max_label_length: Labels are cut at so many characters; by default not at all.

    Raises:
        TypeError: It is nothing that can be drawn.
        ValueError: `max_label_length` is less than 1.
        WorkflowValidationError: The steps of a workflow cannot be read.
        MissingExtra: `notebook` without IPython.
        OSError: The file cannot be written.

    Example:
        ```python
        draw_all_possible_flows(Flow, filename="flow.html")
        ```
    """
    found = [drawing.shortened(length(max_label_length)) for drawing in drawings(workflow)]
    display = display_of_notebook() if notebook else None
    Path(filename).write_text(page(found), encoding="utf-8")
    if display is not None:
        display({"image/svg+xml": svg(found[0]), "text/plain": text(found[0])}, raw=True)


def draw_all_possible_flows_mermaid(
    workflow: Plan,
    filename: File = "workflow_all_flows.mermaid",
    max_label_length: int | None = None,
) -> str:
    """Write all ways that events can take as Mermaid, into a file, and return it.

    Not a checkpoint: it writes a file.

    Args:
        workflow: A workflow, its class, or anything else that `draw` takes.
        filename: The file; what was there is replaced.
        max_label_length: Labels are cut at so many characters; by default not at all.

    Raises:
        TypeError: It is nothing that can be drawn.
        ValueError: `max_label_length` is less than 1.
        WorkflowValidationError: The steps of a workflow cannot be read.
        OSError: The file cannot be written.

    Example:
        ```python
        print(draw_all_possible_flows_mermaid(Flow, filename="flow.mermaid"))
        ```
    """
    first, *_ = drawings(workflow)
    found = mermaid(first.shortened(length(max_label_length)))
    Path(filename).write_text(found, encoding="utf-8")
    return found


def drawings(what: object) -> list[Drawing]:
    """Make a drawing of something, and of what is inside it.

    Raises:
        TypeError: It is nothing that can be drawn.
    """
    if is_workflow(what) or is_workflow_class(what):
        return draw_all(what)
    if isinstance(what, Flow):
        return [draw_flow(what.checked)]
    if isinstance(what, CheckedFlow):
        return [draw_flow(what)]
    if is_app(what):
        return [draw_app(what)]
    if is_function(what):
        return [draw_function(what)]
    if isinstance(what, WorkflowGraph):
        return [what._drawing()]
    raise TypeError(
        f"This cannot be drawn: {show(what, 80)}\n"
        "  it takes a workflow or its class, a flow, an app, a durable function or a WorkflowGraph"
    )


def length(given: int | None) -> int | None:
    """Check how long labels may be.

    Raises:
        ValueError: They may have no sign at all.
    """
    if given is not None and given < 1:
        raise ValueError(f"max_label_length must be at least 1, or None, not {given}")
    return given


def display_of_notebook() -> Callable[..., object]:
    """Find what shows a picture below the cell.

    Raises:
        MissingExtra: This is no notebook.
    """
    try:
        module: Any = importlib.import_module("IPython.display")
    except ModuleNotFoundError as error:
        text = "notebook=True needs IPython, which every notebook has. Elsewhere, leave it out"
        raise MissingExtra(text) from error
    return cast("Callable[..., object]", module.display)
