"""`open_runtime`: a block in which runs start at once, as in older frameworks, and end with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, final

from plait._naming import publish

from . import native
from .attempt import current_attempt
from .block import Block

if TYPE_CHECKING:
    from .native import Nursery
    from .run import Run


@final
class Runtime:
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

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        #: Has the block been left? A task that lives longer may still see the runtime.
        self._closed = False
        self._runs: list[Run[Any]] = []

    @property
    def runs(self) -> tuple[Run[Any], ...]:
        """The runs that have not ended, and those whose failure nobody has been told yet."""
        self._runs = [run for run in self._runs if not run.is_done() or run._unseen is not None]
        return tuple(self._runs)

    def cancel(self) -> None:
        """Cancel every run. Returns at once; may be repeated."""
        for run in self.runs:
            run.cancel()

    def _adopt(self, run: Run[Any]) -> None:
        """Start a run here. `Workflow.run()` calls it."""
        self._runs = [*self.runs, run]
        run._start_in(self._nursery, run._host)


current_runtime: Final[ContextVar[Runtime | None]] = ContextVar("current_runtime", default=None)


def runtime_here() -> Runtime | None:
    """Find the runtime in force; inside a step there is none."""
    runtime = None if current_attempt.get() else current_runtime.get()
    return None if runtime is None or runtime._closed else runtime


@asynccontextmanager
async def open_runtime() -> AsyncGenerator[Runtime]:
    """Open a block in which `Workflow.run()` starts its run at once.

    It is in force in the block and in the tasks started there, not inside steps. Leaving waits for
    all runs; leaving by an exception cancels them first. Cancelling a task that awaits a run leaves
    the run alone. Entering is not a checkpoint; leaving is one, as with a nursery.

    Yields:
        The runtime, which lists its runs and can cancel them.

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
    block = Block()
    runtime = Runtime(await block.open())
    token = current_runtime.set(runtime)
    raised: BaseException | None = None
    try:
        yield runtime
    except BaseException as error:  # noqa: ASYNC103, BLE001 - raised again below, with the runs'
        raised = error
        for run in runtime.runs:
            run._shell.abandon()
    finally:
        current_runtime.reset(token)
    try:
        await block.close()
    except BaseException as error:  # noqa: ASYNC103, BLE001 - likewise
        raised = raised or error
    finally:
        runtime._closed = True
    _raise_together(raised, [run._unseen for run in runtime.runs])


def _raise_together(raised: BaseException | None, unseen: Sequence[BaseException | None]) -> None:
    """Raise what the block raised and what its runs did; a failure replaces a cancellation."""
    errors = [error for error in unseen if error is not None]
    if raised is not None and not (errors and isinstance(raised, native.current().cancelled)):
        errors.insert(0, raised)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup(f"{len(errors)} failures in an open_runtime() block", errors)


publish("plait", Runtime)
