"""What users call: pictures of workflows, functions and flows, as text or in a file."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from plait._engine.run import Run
from plait._engine.trace import Trace
from plait._errors import MissingExtra
from plait._show import show
from plait._viz.drawing import Drawing
from plait._viz.executions.execution import Execution
from plait._viz.executions.found import Watched, found
from plait._viz.formats.mermaid import mermaid
from plait._viz.formats.page import page
from plait._viz.formats.svg import svg
from plait._viz.formats.text import text
from plait._viz.formats.written import FORMATS, Format, written
from plait._viz.plans.representation import WorkflowGraph

from .causes import draw_execution
from .page import execution_page

if TYPE_CHECKING:
    from plait._strands._durable.app import App
    from plait._strands._durable.function import Function
    from plait._strands._events.workflow import Workflow
    from plait._strands._flows.checked import CheckedFlow
    from plait._strands._flows.flow import Flow

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
    #: And what has happened: see `plait._viz.executions.found`.
    Drawn: TypeAlias = Plan | Watched

File: TypeAlias = str | PathLike[str]

#: What each strand's things come with, and who draws them. A strand is looked up among the modules that
#: are loaded, and never imported: whoever has a thing of it has done that.
STRANDS: Final = (
    ("plait._strands._events.workflow", "plait._viz.plans.events"),
    ("plait._strands._flows.checked", "plait._viz.plans.flows"),
    ("plait._strands._durable.app", "plait._viz.plans.durable"),
)


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
        PlaitError: It is too large for an SVG: thousands of nodes and arrows.

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
    if isinstance(what, WorkflowGraph):
        return [what._drawing()]
    for home, plans in STRANDS:
        if home in sys.modules:
            found: list[Drawing] = importlib.import_module(plans).drawings_of(what)
            if found:
                return found
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
