"""`plait run FILE...`: flow files."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from plait._engine import native
from plait._engine.process_groups import become_subreaper, end_orphans
from plait._errors import PlaitError, WorkflowCancelledByUser

from .alone import alone
from .exits import FAILED, INTERRUPTED, TIMED_OUT, UsageError
from .journals import SHORT, journal_at, journal_path
from .logs import logged
from .messages import say, tell
from .news import News, counted, several, took
from .outcome import outcome
from .page import beside
from .printable import printable
from .progress import Progress, progress
from .results import delivered, show_flows
from .settings import flow_params
from .signals import SAID, Interruption, heeding

if TYPE_CHECKING:
    from plait._abc import Journal
    from plait._strands._flows.flow import Flow
    from plait._strands._flows.news import StepNews
    from plait._strands._flows.problems import Problem
    from plait._strands._flows.result import RunResult, StepFailure
    from plait._web.page import LivePage

    from .run import Options
    from .targets import Files

#: Seconds from TERM to KILL of what is left when a run is over, as processes have them.
GRACE: Final = 10.0
#: Lines of what a server or a process has said about a failure.
MOST_LINES: Final = 20


async def run_files(target: Files, options: Options) -> int:
    """Run a flow and show its outputs.

    Raises:
        UsageError: It cannot begin as it is asked for.
        FlowConfigError: The files, the params or the secrets are wrong.
        JournalError: The journal cannot be used.
    """
    from plait._strands._flows.flow import load

    flow = load(
        target.names,
        max_workers=options.max_workers,
        timeout=options.timeout,
        compat=options.compat,
    )
    for warning in flow.warnings:
        say(warning)
    path = journal_path(options.journal)
    journal = None if path is None else journal_at(path)
    if options.resume is not None and path is None:
        raise UsageError("no journal: use --journal FILE or set PLAIT_JOURNAL")
    params = flow_params(flow.checked, options.settings)
    async with beside(flow, flow.name, options, journal) as page:
        return await _run(flow, options, params, journal, page)


async def _run(
    flow: Flow,
    options: Options,
    params: Mapping[str, object],
    journal: Journal | None,
    page: LivePage | None,
) -> int:
    """Run it to the end, and say what has come of it. A checkpoint."""
    view = progress(flow.checked.steps, quiet=options.quiet)
    watch = _Watch(flow, view)
    late: list[Problem] = []
    heard = Interruption()
    with logged(view, verbose=options.verbose) as log:
        run = flow.start(
            params=params,
            journal=journal,
            resume=options.resume,
            observe=watch.notice if options.quiet else watch,
            warn=late.append,
            log=log,
            grace=heard.grace,
        )
        watch.run_id = run.run_id
        if page is not None:
            page.watch(run)

        def interrupt() -> None:
            view.note(SAID)
            run.cancel()

        with heeding(interrupt, heard):
            async with view.shown(), no_orphans(heard):
                result, error = await outcome(run)
            if heard:  # one more signal is not to cost what there is
                return _tell(watch, options, result, error, late, INTERRUPTED)
    return _tell(watch, options, result, error, late)


def _tell(
    watch: _Watch,
    options: Options,
    result: RunResult | None,
    error: Exception | None,
    warnings: Sequence[Problem],
    code: int | None = None,
) -> int:
    """Say what has come of the run, show its outputs, and say how the command ends."""
    if result is None:
        assert error is not None
        if code == INTERRUPTED and isinstance(error, WorkflowCancelledByUser):
            return INTERRUPTED
        if not (watch.began and isinstance(error, PlaitError)):
            raise error
        tell(str(error))
        return FAILED if code is None else code
    code = result.exit_code if code is None else code
    watch.sum_up(result, code)
    for warning in warnings:
        say(warning)
    for line in _failures(watch.flow, result):
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
    return delivered(code, lambda: show_flows(result.flows, options.wanted), options.wanted)


@asynccontextmanager
async def no_orphans(heard: Interruption) -> AsyncGenerator[None]:
    """End, after a run, what its processes have left behind outside of their groups.

    On Linux, and where the process is the command's alone: what has lost its parent becomes its child.
    """
    if not (alone.get() and become_subreaper()):
        yield
        return
    try:
        yield
    finally:
        patience = lambda: min(GRACE, heard.grace())  # noqa: E731
        await end_orphans(native.current(), patience)  # noqa: ASYNC102 - shielded, and it ends


class _Watch:
    """Hands news on to the view, after a first line that says what runs."""

    def __init__(self, flow: Flow, view: Progress) -> None:
        self.flow = flow
        self._view = view
        self.run_id = ""
        self.began = False

    def begin(self) -> None:
        """Say what runs, once: what cannot even begin has said why."""
        if self.began:
            return
        self.began = True
        checked = self.flow.checked
        self._view.head(
            f"plait: run {self.run_id[:SHORT]} of {printable(checked.name)}: "
            f"{several(len(checked.steps), 'step')}, {several(checked.workers, 'worker')}"
        )

    def notice(self, _: StepNews) -> None:
        """Notice that the run has begun, where nobody wants to see more of it."""
        self.began = True

    def __call__(self, news: StepNews) -> None:
        """Show what happened."""
        self.begin()
        retrying = news.word == "retrying"
        self._view.news(
            News(
                news.word,
                news.step,
                index=news.index,
                seconds=news.seconds if news.word in {"succeeded", "failed", "cancelled"} else None,
                attempt=news.attempt if retrying else None,
                attempts=news.attempts if retrying else None,
                delay=news.delay,
                message=news.message if retrying or news.word == "failed" else None,
                reason=news.reason,
            )
        )

    def sum_up(self, result: RunResult, code: int) -> None:
        """Say what the steps have come to."""
        self.begin()
        ends = Counter("reused" if step.reused else step.state for step in result.steps.values())
        state = "timed out" if code == TIMED_OUT else result.state
        seconds = (result.ended_at - result.started_at).total_seconds()
        self._view.note(f"plait: {state} in {took(max(seconds, 0.0))}: {counted(ends)}")


# ---------------------------------------------------------------- what failed


def _failures(flow: Flow, result: RunResult) -> Iterator[str]:
    """Say of each failed step where it stands and why it failed, then what was said about it."""
    for name, step in result.steps.items():
        if step.error is None:
            continue
        place = flow.checked.steps[name].place
        yield printable(f"{place}: step {name!r} failed: {step.error.message}")
        yield from (f"  {printable(line)}" for line in _said(step.error))


def _said(error: StepFailure) -> Iterator[str]:
    if error.detail:
        yield from error.detail.splitlines()
    for item in error.items or ():
        yield f"[{item.get('index')}] {item.get('message')}"
    text = ""
    if error.response is not None:
        text = _text(error.response.get("body"))
    elif error.process is not None:
        text = _text(error.process.get("stderr_tail") or error.process.get("stdout_tail"))
    yield from text.splitlines()[:MOST_LINES]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
