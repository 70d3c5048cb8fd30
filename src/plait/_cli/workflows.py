"""`plait run module:Workflow`: an event workflow, with the start event that `--set` makes."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import attrs

from plait._errors import PlaitError, WorkflowCancelledByUser
from plait._kernel import records
from plait._kernel.records import AnyRecord

from .exits import FAILED, INTERRUPTED, TIMED_OUT, WELL, UsageError
from .journals import SHORT, chosen, journal_at, journal_path, opened, runs_in
from .logs import logged
from .messages import tell
from .news import News, Word, counted, several, took
from .outcome import outcome
from .page import beside
from .printable import printable
from .progress import Progress, progress
from .results import delivered, show_value
from .settings import start_fields
from .signals import Interruption, heeding

if TYPE_CHECKING:
    from plait._strands._events.run import Run
    from plait._strands._events.workflow import Workflow
    from plait._web.page import LivePage

    from .run import Options
    from .targets import Named


async def run_workflow(target: Named, options: Options) -> int:
    """Run an event workflow and show its result.

    Raises:
        UsageError: It cannot begin as it is asked for.
    """
    workflow = target.workflow
    _refuse(options)
    path = options.journal or (journal_path(None) if workflow.journal is None else None)
    # A class is made without arguments, and an object has been made by its module: what the
    # command line says comes after, as if it had been given there.
    if path is not None:
        workflow._journal = journal_at(path)
    if options.timeout is not None:
        workflow._timeout = options.timeout
    async with beside(workflow, target.name, options, workflow.journal) as page:
        return await _run(target, options, page)


async def _run(target: Named, options: Options, page: LivePage | None) -> int:
    """Run it to the end, and say what has come of it. A checkpoint."""
    workflow = target.workflow
    run = await _made(workflow, options)
    view = progress((step.name for step in workflow._compile()[1].steps), quiet=options.quiet)
    watch = _Watch(run, view, workflow)
    run.observe(watch)
    if page is not None:
        page.watch(run)
    steps = several(len(workflow._compile()[1].steps), "step")
    view.head(f"plait: run {run.run_id[:SHORT]} of {printable(target.name)}: {steps}")
    heard = Interruption()

    def interrupt() -> None:
        view.note("plait: interrupted, waiting for the clean-up of the steps")
        run.cancel()

    with logged(view, verbose=options.verbose), heeding(interrupt, heard):
        began = time.monotonic()
        async with view.shown():
            result, error = await outcome(run)
        seconds = time.monotonic() - began
    if error is not None and not watch.began and isinstance(error, PlaitError) and not heard:
        raise UsageError(str(error)) from error
    code = INTERRUPTED if heard else TIMED_OUT if watch.timed_out else FAILED if error else WELL
    view.note(f"plait: {_state(code)} in {took(seconds)}: {counted(watch.ends)}")
    if error is None:
        return delivered(code, lambda: show_value(result, options.wanted), options.wanted)
    _explain(error, watch, options)
    return code


def _refuse(options: Options) -> None:
    """Refuse what only flow files have.

    Raises:
        UsageError: It was asked for.
    """
    if options.max_workers is not None:
        text = "--max-workers is for flow files: num_workers is declared on each step of a workflow"
        raise UsageError(text)
    if options.compat is not None:
        raise UsageError("--compat is for flow files")
    if options.resume is not None and options.settings:
        raise UsageError("--resume goes on with a run that has its start event: leave out --set")


async def _made(workflow: Workflow[Any], options: Options) -> Run[Any]:
    """Make the run. A checkpoint only if it is one that goes on."""
    if options.resume is not None:
        return workflow.resume(await _old(workflow, options.resume))
    return _begin(workflow, options)  # noqa: ASYNC910 - see above


def _begin(workflow: Workflow[Any], options: Options) -> Run[Any]:
    fields = start_fields(workflow.start_event_class, options.settings)
    try:
        return workflow.run(start_event=workflow.start_event_class(**fields))
    except (PlaitError, TypeError, ValueError) as error:
        raise UsageError(f"{error}{_hint(workflow, fields)}") from error


def _hint(workflow: Workflow[Any], fields: Mapping[str, object]) -> str:
    """Say how the fields are set that nobody has set."""
    needed = [
        name
        for name, field in attrs.fields_dict(workflow.start_event_class).items()
        if field.init and field.default is attrs.NOTHING and name not in fields
    ]
    return "\nWrite " + " ".join(f"--set {name}=VALUE" for name in needed) if needed else ""


async def _old(workflow: Workflow[Any], wanted: str) -> str:
    """Find the run that is to go on. A checkpoint."""
    journal = workflow.journal
    if journal is None:
        raise UsageError("no journal: use --journal FILE or set PLAIT_JOURNAL")
    async with opened(journal):
        runs = await runs_in(journal)
    mine = [run for run in runs if not run.app_id and run.target == workflow.workflow_name]
    return chosen(mine, wanted).stream  # noqa: ASYNC910 - it has read


def _state(code: int) -> str:
    return {WELL: "completed", INTERRUPTED: "cancelled", TIMED_OUT: "timed out"}.get(code, "failed")


def _explain(error: Exception, watch: _Watch, options: Options) -> None:
    """Say why there is no result: each failed step with its place, then what else went wrong."""
    if not watch.told(error) and not isinstance(error, WorkflowCancelledByUser):
        tell(str(error) if isinstance(error, PlaitError) else f"{type(error).__name__}: {error}")
    for failure in watch.failures:
        sys.stderr.write(f"{failure}\n")
    if options.verbose:
        traceback.print_exception(error)
    sys.stderr.flush()


# ---------------------------------------------------------------- watching


@attrs.frozen
class _Failure:
    place: str
    step: str
    error: BaseException

    def __str__(self) -> str:
        said = f"{type(self.error).__name__}: {self.error}".rstrip(": ")
        return f"{self.place}step {printable(repr(self.step))} failed: {printable(said)}"


@attrs.define
class _Going:
    """A delivery that is under way."""

    step: str
    since: float
    attempt: int = 1


class _Watch:
    """Makes news of a run's records, and remembers what its end is to tell."""

    def __init__(self, run: Run[Any], view: Progress, workflow: Workflow[Any]) -> None:
        self._run = run
        self._view = view
        self._specs = {spec.name: spec for spec, _ in workflow._compile()[0].steps}
        self._going: dict[int, _Going] = {}
        self.ends: Counter[str] = Counter()
        self.failures: list[_Failure] = []
        self.began = False
        self.timed_out = False

    def told(self, error: BaseException) -> bool:
        """Say whether a failure is one of those of steps, or a group of such ones."""
        if isinstance(error, BaseExceptionGroup):
            group = cast("BaseExceptionGroup[BaseException]", error)
            return all(self.told(one) for one in group.exceptions)
        return any(failure.error is error for failure in self.failures)

    def __call__(self, record: AnyRecord) -> None:
        """Take note of a record."""
        self.began = True
        match record:
            case records.Started(at=at, delivery=number, step=step):
                going = self._going.setdefault(number, _Going(step, at))
                going.since = at
                self._news("started", number)
            case records.Completed(at=at, delivery=number):
                self._ended("succeeded", number, at)
            case records.Interrupted(at=at, delivery=number):
                self._ended("cancelled", number, at)
            case records.Failed(at=at, delivery=number, error=error):
                step = self._step(number)
                self.failures.append(_Failure(self._place(step, error), step, error))
                self._ended("failed", number, at, error)
            case records.Recovered(at=at, delivery=number, error=error):
                self._ended("failed", number, at, error)
            case records.Retrying(at=at, delivery=number, error=error, due=due):
                self._retrying(number, due - at, error)
            case records.Reopened(at=at):
                for delivery in self._run._shell.state.live():
                    self._going[delivery.number] = _Going(delivery.step, at)
            case records.Decided(outcome=records.TimedOut()):
                self.timed_out = True
            case records.Idled():
                self._view.note("plait: idle: the run waits for an event from outside")
            case _:
                pass

    def _step(self, number: int) -> str:
        going = self._going.get(number)
        return f"delivery {number}" if going is None else going.step

    def _news(self, word: Word, number: int, **more: Any) -> None:
        self._view.news(News(word, self._step(number), **more))

    def _ended(
        self, word: Word, number: int, at: float, error: BaseException | None = None
    ) -> None:
        going = self._going.get(number)
        seconds = None if going is None else at - going.since
        self.ends[word] += 1
        self._news(word, number, seconds=seconds, message=_said(error))
        self._going.pop(number, None)

    def _retrying(self, number: int, delay: float, error: BaseException) -> None:
        attempt = 1
        if (going := self._going.get(number)) is not None:
            going.attempt = attempt = going.attempt + 1
        self._news("retrying", number, attempt=attempt, delay=delay, message=_said(error))

    def _place(self, step: str, error: BaseException) -> str:
        """Say where in the step's file it happened, or where the step is: `shop.py:7: `."""
        spec = self._specs.get(step)
        code = getattr(spec and spec.func, "__code__", None)
        if code is None:
            return ""
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == code.co_filename]
        line = lines[-1] if lines else code.co_firstlineno
        return f"{_near(code.co_filename)}:{line}: "


def _said(error: BaseException | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error}".rstrip(": ")


def _near(file: str) -> str:
    """Name a file from the current folder on, if it is in it."""
    here = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118
    return file.removeprefix(here)
