"""The execution of a run that somebody has at hand: of the records that it keeps because it was asked to.

A run keeps no records of its own, so that nobody pays for pictures that are never drawn. Who wants one asks
for `run.trace()` before the start, feeds an `Execution`, or has a journal.
"""

from __future__ import annotations

from types import MethodType
from typing import Any, TypeAlias, cast

from plait._engine.journaled import JournaledShell
from plait._engine.run import Run
from plait._engine.trace import Trace
from plait._errors import WorkflowRuntimeError
from plait._show import show

from .execution import Execution

#: What records are taken from.
Watched: TypeAlias = Run[Any] | Trace | Execution

KEPT_NONE = """\
Run {run_id} has kept no records, so nothing can be drawn of it. Ask for them before it starts:
  run = Flow().run()
  trace = run.trace()
  await run
  plait.viz.draw_most_recent_execution(run)"""
IN_JOURNAL = """\
Its journal has them: await plait.viz.read_execution(journal, {run_id!r}) gives what can be drawn."""


def found(run: Watched) -> Execution:
    """Find what has happened in a run so far.

    Raises:
        TypeError: It is no run, and nothing that one leaves behind.
        WorkflowRuntimeError: The run has kept no records.
    """
    if isinstance(run, Execution):
        return run
    if isinstance(run, Trace):
        return Execution().feed_all(run.records)
    if isinstance(cast("object", run), Run):
        return _of_run(run)
    raise TypeError(
        f"This is no run: {show(run, 80)}\n"
        "  it takes a Run, the Trace of one, or what `await plait.viz.read_execution(...)` gives"
    )


def _of_run(run: Run[Any]) -> Execution:
    shell = run._shell
    for observer in shell.observers:
        if isinstance(observer, Trace):
            execution = Execution(plan=shell.plan).feed_all(observer.records)
            return _settled(run, execution)
        if isinstance(observer, MethodType) and isinstance(observer.__self__, Execution):
            return _settled(run, observer.__self__)
    text = KEPT_NONE.format(run_id=run.run_id)
    if isinstance(shell, JournaledShell):
        text += "\n" + IN_JOURNAL.format(run_id=run.run_id)
    raise WorkflowRuntimeError(text)


def _settled(run: Run[Any], execution: Execution) -> Execution:
    """Whether a failure in a flow was tolerated the run knows, and no record says it."""
    if execution.over:
        match run.state:
            case "completed" | "failed" | "cancelled" as state:
                execution.status = state
            case _:
                pass
    return execution
