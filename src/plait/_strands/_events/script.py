"""`plait.run`: a workflow from plain code."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from plait._engine import native

from .workflow import Workflow

R = TypeVar("R")


def run(
    workflow: Workflow[R], *, backend: Literal["trio", "asyncio"] = "trio", **start_fields: Any
) -> R:
    """Run a workflow from synchronous code: start an event loop, run, close the loop.

    Ctrl-C cancels the run, waits for its clean-up, and raises `KeyboardInterrupt`. Inside an event
    loop write `await workflow.run(...)` instead.

    Args:
        workflow: The workflow object.
        backend: The event loop, `"trio"` or `"asyncio"`.
        **start_fields: Fields of the start event.

    Raises:
        TypeError: `workflow` is no workflow object.
        RuntimeError: An event loop is running here.
        Exception: As `await workflow.run(...)` does.

    Example:
        ```python
        print(plait.run(Flow(), topic="x"))
        ```
    """
    if not isinstance(workflow, Workflow):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"plait.run() takes a workflow object, not {workflow!r}. Write plait.run(W(), topic=...)"
        )

    async def main() -> R:
        return await workflow.run(**start_fields)

    return native.run(backend, main)
