"""`open_runtime`, as the events strand hands it out: the engine's, with the strand's runs in it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, cast, final

from plait._engine.runtime import Runtime as EngineRuntime
from plait._engine.runtime import open_runtime_of
from plait._naming import publish

from .run import Run


@final
class Runtime(EngineRuntime):
    """The runs that were started in an `open_runtime()` block.

    Example:
        ```python
        async with plait.open_runtime() as runtime:
            Flow().run(topic="x")
            await trio.sleep(60)
            print(runtime.runs)
            runtime.cancel()
        ```
    """

    @property
    def runs(self) -> tuple[Run[Any], ...]:
        """The runs that have not ended, and those whose failure nobody has been told yet."""
        return cast("tuple[Run[Any], ...]", super().runs)


def open_runtime() -> AbstractAsyncContextManager[Runtime]:
    """Open a block in which `Workflow.run()` starts its run at once.

    It is in force in the block and in the tasks started there, not inside steps. Leaving waits for
    all runs; leaving by an exception cancels them first. Cancelling a task that awaits a run leaves
    the run alone. Entering is not a checkpoint; leaving is one, as with a nursery.

    Returns:
        A context manager. It gives the runtime, which lists its runs and can cancel them.

    Raises:
        Exception: The failure of a run that nobody awaited, on leaving; several in an
            `ExceptionGroup`.

    Example:
        ```python
        async with plait.open_runtime():
            first, second = Flow().run(topic="x"), Flow().run(topic="y")
            print(await first, await second)
        ```
    """
    return open_runtime_of(Runtime)


publish("plait", Runtime)
