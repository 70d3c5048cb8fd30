"""What users call: pictures of what has happened in a run, in a file or as text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plait._naming import publish
from plait._viz.executions.execution import Execution
from plait._viz.executions.found import Watched, found
from plait._viz.formats.mermaid import mermaid
from plait._viz.timelines.chrome import chrome
from plait._viz.timelines.svg import timeline_svg
from plait._viz.timelines.text import text
from plait._viz.timelines.timeline import timeline

from .causes import draw_execution
from .draw import File, display_of_notebook, length
from .page import execution_page


def draw_most_recent_execution(
    run: Watched,
    filename: File = "workflow_recent_execution.html",
    notebook: bool = False,  # noqa: FBT001, FBT002 - the peer's signature
    max_label_length: int | None = None,
) -> None:
    """Write a page of what has happened in a run: when, because of what, and how it ended.

    It shows what the records say, and nothing else: each delivery with the one that caused it, retries,
    failures, and who was cancelled. The page is one file, which loads nothing. A run keeps no records
    unless it is asked to: call `run.trace()` before it starts, or read a journal with
    `read_execution`. Not a checkpoint: it writes a file.

    Args:
        run: A run, ended or not; its `Trace`; or an `Execution`.
        filename: The file; what was there is replaced.
        notebook: Show the timeline below the cell as well.
        max_label_length: Labels are cut at so many characters; by default not at all.

    Raises:
        TypeError: It is no run.
        ValueError: `max_label_length` is less than 1.
        WorkflowRuntimeError: The run has kept no records; the text says how to have them.
        MissingExtra: `notebook` without IPython.
        OSError: The file cannot be written.

    Example:
        ```python
        run = Flow().run(topic="x")
        run.trace()
        await run
        plait.viz.draw_most_recent_execution(run, filename="run.html")
        ```
    """
    execution, most = found(run), length(max_label_length)
    display = display_of_notebook() if notebook else None
    Path(filename).write_text(execution_page(execution, most), encoding="utf-8")
    if display is not None:
        laid_out = timeline(execution)
        display({"image/svg+xml": timeline_svg(laid_out), "text/plain": text(laid_out)}, raw=True)


def draw_most_recent_execution_mermaid(
    run: Watched,
    filename: File = "workflow_recent_execution.mermaid",
    max_label_length: int | None = None,
) -> str:
    """Write what led to what in a run as Mermaid, into a file, and return it.

    There is an arrow for each cause that the records name, and no other. Not a checkpoint: it writes a
    file.

    Args:
        run: A run, ended or not; its `Trace`; or an `Execution`.
        filename: The file; what was there is replaced.
        max_label_length: Labels are cut at so many characters; by default not at all.

    Raises:
        TypeError: It is no run.
        ValueError: `max_label_length` is less than 1.
        WorkflowRuntimeError: The run has kept no records; the text says how to have them.
        OSError: The file cannot be written.

    Example:
        ```python
        print(plait.viz.draw_most_recent_execution_mermaid(run, filename="run.mermaid"))
        ```
    """
    written = mermaid(draw_execution(found(run)).shortened(length(max_label_length)))
    Path(filename).write_text(written, encoding="utf-8")
    return written


def draw_timeline(run: Watched, filename: File = "workflow_timeline.svg") -> None:
    """Write when what happened in a run: a row for each worker, a bar for each attempt.

    Not a checkpoint: it writes a file.

    Args:
        run: A run, ended or not; its `Trace`; or an `Execution`.
        filename: The file; what was there is replaced. Its ending says what is written: `.svg`; `.html`,
            the page of `draw_most_recent_execution`; `.json`, a trace for `chrome://tracing` and
            Perfetto; `.txt`.

    Raises:
        TypeError: It is no run.
        ValueError: The name of the file has another ending.
        WorkflowRuntimeError: The run has kept no records; the text says how to have them.
        OSError: The file cannot be written.

    Example:
        ```python
        plait.viz.draw_timeline(run, "run.json")
        ```
    """
    write = WRITERS.get(Path(filename).suffix)
    if write is None:
        endings = ", ".join(WRITERS)
        raise ValueError(f"A timeline is not written to {str(filename)!r}: name it {endings}")
    Path(filename).write_text(write(found(run)), encoding="utf-8")


def timeline_text(run: Watched, width: int = 100) -> str:
    """Draw when what happened in a run, for a terminal. Not a checkpoint.

    Args:
        run: A run, ended or not; its `Trace`; or an `Execution`.
        width: How many characters a line may have, at least 40.

    Raises:
        TypeError: It is no run.
        WorkflowRuntimeError: The run has kept no records; the text says how to have them.

    Example:
        ```python
        print(plait.viz.timeline_text(run))
        ```
    """
    return text(timeline(found(run)), width)


WRITERS: dict[str, Callable[[Execution], str]] = {
    ".svg": lambda execution: timeline_svg(timeline(execution)),
    ".html": execution_page,
    ".json": chrome,
    ".txt": lambda execution: text(timeline(execution)),
}


publish("plait.viz", Execution)
