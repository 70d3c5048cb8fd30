"""`open_runtime`: a block in which runs start at once, as in older frameworks, and end with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

from . import native
from .attempt import current_attempt
from .block import Block

if TYPE_CHECKING:
    from .native import Nursery
    from .run import Run

T = TypeVar("T", bound="Runtime")


class Runtime:
    """The runs of an `open_runtime()` block."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        #: Has the block been left? A task that lives longer may still see the runtime.
        self._closed = False
        self._runs: list[Run[Any]] = []
        self._look_at = 0

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
        if len(self._runs) > self._look_at:  # not each time: that would cost as much as is alive
            self._look_at = 16 + 2 * len(self.runs)
        self._runs.append(run)
        run._start_in(self._nursery, run._host)


current_runtime: Final[ContextVar[Runtime | None]] = ContextVar("current_runtime", default=None)


def runtime_here() -> Runtime | None:
    """Find the runtime in force; inside a step there is none."""
    runtime = None if current_attempt.get() else current_runtime.get()
    return None if runtime is None or runtime._closed else runtime


@asynccontextmanager
async def open_runtime_of(make: Callable[[Nursery], T]) -> AsyncGenerator[T]:
    """Open the block; see `open_runtime`. `make` makes the runtime that a strand shows."""
    block = Block()
    runtime = make(await block.open())
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
        for run in runtime.runs:
            run._give_up()
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
