"""One run of a flow, put together: its names and secrets, its sources, its steps, its end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import attrs

from plait._abc import JSON, Journal, Opening
from plait._engine import native
from plait._engine.failure import Conclusion, cancelled_early, conclude
from plait._engine.graph import GraphShell, JournaledGraphShell
from plait._errors import WorkflowTimeoutError
from plait._event import (
    StopEvent,
    WorkflowCancelledEvent,
    WorkflowFailedEvent,
    WorkflowTimedOutEvent,
)
from plait._ids import RunId
from plait._kernel import records
from plait._kernel.graph.state import GraphState

from .admission import Admission
from .kept import FlowArchive, FlowScribe
from .names import Names, Variables
from .news import Reporter, StepNews
from .params import read_params
from .policy import is_tolerated
from .problems import Place, Problem, Problems
from .redaction import Redactor, UnknownSecret, reveal
from .result import RunResult, RunState, StepFailed
from .resume import Past, find_earlier
from .secrets import read_secrets
from .sources import env
from .sources.catalog import SourceRun
from .sources.pool import Pool
from .stepping import Stepping, redacted
from .story import FlowStarted

if TYPE_CHECKING:
    from plait._engine.lane import Work
    from plait._engine.shell import Shell
    from plait._kernel.plan import Plan, Word

    from .checked import CheckedFlow, CheckedStep
    from .result import StepFailure
    from .resume import Earlier


@attrs.frozen(kw_only=True)
class Wishes:
    """What whoever starts a run says."""

    run_id: str
    params: Mapping[str, object]
    journal: Journal | None
    resume: str | None
    timeout: float | None
    observe: Callable[[StepNews], object] | None
    warn: Callable[[Problem], object] | None
    log: Callable[[str, int | None, str], object] | None
    grace: Callable[[], float] | None


class Works(dict[str, "Work"]):
    """What the shell runs for each step, made when it is first asked for."""

    def __init__(self, work: Callable[[str], Work]) -> None:
        super().__init__()
        self._work = work

    def __missing__(self, name: str) -> Work:
        work = self[name] = self._work(name)
        return work


class Making:
    """One run.

    Args:
        flow: What runs.
        plan: The same, compiled.
        wishes: What whoever starts it says.
    """

    stepping: Stepping

    def __init__(self, flow: CheckedFlow, plan: Plan, wishes: Wishes) -> None:
        self._flow = flow
        self._plan = plan
        self._wishes = wishes
        self._redactor = Redactor()
        self._secrets: dict[str, str] = {}
        self._pool: Pool | None = None
        several = frozenset(
            name
            for name, step in flow.steps.items()
            if step.spec.foreach is not None or step.spec.matrix is not None
        )
        self.reporter = Reporter(flow, several, self._error_of)
        if wishes.observe is not None:
            self.reporter.listeners.append(wishes.observe)

    # ------------------------------------------------------------ before it begins

    def prepare(self, params: Mapping[str, object], earlier: Earlier | None) -> FlowStarted:
        """Check params, read secrets, and know what templates can name.

        Raises:
            FlowConfigError: With all that is wrong.
        """
        flow, wishes = self._flow, self._wishes
        problems = Problems()
        secrets = read_secrets(
            flow.document.secrets,
            environ=os.environ,
            folder=flow.marked.folder,
            place=flow.marked.place,
            problems=problems,
        )
        for name, secret in secrets.items():
            self._hide(f"secrets.{name}", secret)
        old = {} if earlier is None else self._params_of(earlier, params, problems)
        values = read_params(
            flow.document.params, {**old, **params}, place=flow.marked.place, problems=problems
        )
        problems.raise_if_any()
        run = {
            "id": wishes.run_id,
            "started_at": datetime.fromtimestamp(time.time(), tz=UTC).isoformat(),
        }
        names = Names(
            flows={},
            sources=self._sources(),
            env=os.environ,
            params=values,
            secrets=secrets,
            run=run,
        )
        first = wishes.run_id
        if earlier is not None:
            first = earlier.started.first or earlier.run_id
        self.stepping = Stepping(
            flow,
            run_id=wishes.run_id,
            first=first,
            names=names,
            redactor=self._redactor,
            pool=self.pool,
            kept=wishes.journal is not None,
            log_line=wishes.log or _say_nothing,
            warn=self._warn_of,
        )
        return FlowStarted(
            files=[*flow.files],
            params=cast("dict[str, JSON]", self._redactor.hide(cast("JSON", values))),
            resumed="" if earlier is None else earlier.run_id,
            first=first,
        )

    def _params_of(
        self, earlier: Earlier, given: Mapping[str, object], problems: Problems
    ) -> dict[str, JSON]:
        """Give the params of an earlier run, those that are not given anew, with the secrets of today."""
        found: dict[str, JSON] = {}
        for name, value in earlier.started.params.items():
            if name not in given:
                try:
                    found[name] = reveal(value, self._redactor.values)
                except UnknownSecret:
                    problems.add(
                        "param",
                        f"param {name!r} of run {earlier.run_id} held a secret that is not there any"
                        f" more; give it again: --set {name}=VALUE",
                        self._flow.marked.place(("params", name)),
                    )
        return found

    def _hide(self, name: str, value: str) -> None:
        self._secrets[name] = value
        self._redactor.add(value, name)

    def _sources(self) -> dict[str, object]:
        """What templates see as `sources`: of an env source its values, of another its definition."""
        found: dict[str, object] = {}
        for name, source in self._flow.sources.items():
            if source.provider is not None and source.provider.name == "env":
                configuration = self._flow.document.sources[name].configuration
                values = env.values(configuration, os.environ)
                for variable, secret in env.secrets(configuration, values).items():
                    self._hide(f"sources.{name}.{variable}", secret)
                found[name] = Variables(values)
            else:
                found[name] = source.definition
        return found

    def _warn_of(self, step: CheckedStep, text: str) -> None:
        self._tell(text, step.place)

    def _warn(self, text: str) -> None:
        self._tell(text, self._flow.marked.place(()))

    def _tell(self, text: str, place: Place) -> None:
        if self._wishes.warn is not None:
            self._wishes.warn(Problem("run", self._redactor.text(text), place, "warning"))

    # ------------------------------------------------------------ the shell

    def shell(self) -> GraphShell:
        """Make the run, which nothing has started yet."""
        wishes, flow = self._wishes, self._flow
        make: Callable[..., GraphShell] = GraphShell
        if wishes.journal is not None:
            opening = Opening("", flow.name)
            scribe = FlowScribe(wishes.run_id, opening, self._has_failed)
            archive = FlowArchive(
                wishes.journal, scribe, flow.name, resumes=wishes.resume, before=self._before
            )
            make = partial(JournaledGraphShell, archive=archive)
        started = FlowStarted(files=[], params={})  # of a run that resumes another: not known yet
        if wishes.resume is None:
            started = self.prepare(wishes.params, None)
        shell = make(
            self._plan,
            self._works,
            started,
            RunId(wishes.run_id),
            timeout=wishes.timeout,
            around=Closing(self),
        )
        if wishes.resume is None:
            self._admits(shell, None)
        shell._ending = self._ending
        shell.observers.append(self.reporter)
        return shell

    def _works(self, shell: Shell) -> Mapping[str, Work]:
        del shell
        return Works(self._work)

    def _work(self, name: str) -> Work:
        return self.stepping.work(
            name
        )  # of a run that resumes another there is none before that is read

    def _admits(self, shell: GraphShell, past: Past | None) -> None:
        shell.state.admit = Admission(self.stepping, past)
        shell.late = self.stepping.late

    async def _before(self, shell: JournaledGraphShell) -> FlowStarted:
        """Read the run that this one resumes, and know what it has left. A checkpoint."""
        wishes = self._wishes
        assert wishes.journal is not None
        assert wishes.resume is not None
        earlier = await find_earlier(wishes.journal, wishes.resume, self._flow.name)
        started = self.prepare(wishes.params, earlier)
        self._admits(shell, Past(earlier, self.stepping, self._secrets))
        return started

    def pool(self) -> Pool:
        """The sources of the run, opened when first needed."""
        if self._pool is None:
            runner, wishes = self._flow.document.runner, self._wishes
            allowed = runner.allow_hosts
            declared = self._flow.document.secrets.values()
            self._pool = Pool(
                SourceRun(
                    backend=native.current(),
                    run_id=wishes.run_id,
                    redactor=self._redactor,
                    allow_hosts=None if allowed is None else tuple(allowed),
                    deny_private=runner.deny_private,
                    hidden_variables=frozenset(one.env for one in declared if one.env is not None),
                    grace=wishes.grace or _as_long_as_it_takes,
                    warn=self._warn,
                )
            )
        return self._pool

    async def aclose(self) -> None:
        """Close the sources. A checkpoint."""
        if self._pool is None:
            await native.current().checkpoint_if_cancelled()
        else:
            await self._pool.aclose()

    # ------------------------------------------------------------ what it has come to

    def _error_of(self, name: str) -> StepFailure | None:
        error = self.stepping.book.error(name)
        return None if error is None else redacted(error, self._redactor)

    def _tolerates(self, name: str) -> bool:
        spec, runner = self._flow.steps[name].spec, self._flow.document.runner.on_error
        words: tuple[Word, ...] = tuple(word for _, word in self._plan.dependents.get(name, ()))
        return is_tolerated(spec.on_error, runner, words)

    def _has_failed(self, state: Any) -> bool:
        return any(not self._tolerates(failure.step) for failure in state.failures)

    def _ending(
        self, state: GraphState, *, story: str, others: Sequence[BaseException], disowned: bool
    ) -> Conclusion:
        """Make a result of the end, or of what is no step's failure an error."""
        outcome = state.outcome
        broken = [one.error for one in state.failures if not isinstance(one.error, StepFailed)]
        if broken or others or outcome is None:
            return conclude(state, story=story, others=others, disowned=disowned)
        if isinstance(outcome, records.Cancelled) and outcome.by_owner:
            return cancelled_early(state)  # what steps have come to is no failure of the run's
        result = self._result(state)
        last: StopEvent = StopEvent(result=result)
        if result.state == "cancelled":
            last = WorkflowCancelledEvent()
        elif isinstance(outcome, records.TimedOut):
            last = WorkflowTimedOutEvent(
                timeout=outcome.seconds or 0.0, active_steps=[*outcome.active]
            )
        elif result.state == "failed":
            first = state.failures[0]
            last = WorkflowFailedEvent(
                step_name=first.step,
                exception=first.error,
                attempts=first.attempt,
                elapsed_seconds=first.elapsed,
            )
        return Conclusion(result, None, last)

    def _result(self, state: GraphState) -> RunResult:
        reporter = self.reporter
        steps = reporter.results(self._tolerates)
        outcome = state.outcome
        ended: RunState = "completed"
        code = 0
        error: Exception | None = None
        if isinstance(outcome, records.Cancelled):
            ended, code = "cancelled", 130
        elif isinstance(outcome, records.TimedOut):
            ended, code = "failed", 124
            error = WorkflowTimeoutError(f"the run timed out after {outcome.seconds:g} seconds")
        elif not all(self._tolerates(name) for name in reporter.failed()):
            ended, code = "failed", 1
        book, redactor = self.stepping.book, self._redactor
        real = {name: book.outputs(name) for name in reporter.succeeded()}
        shown = {
            name: cast("dict[str, JSON]", redactor.tree(cast("JSON", outputs)))
            for name, outputs in real.items()
        }
        return RunResult(
            run_id=self._wishes.run_id,
            state=ended,
            exit_code=code,
            flows=shown,
            steps=steps,
            started_at=reporter.time(reporter.began),
            ended_at=reporter.time(reporter.ended),
            reveal=lambda: real,
            error=error,
        )


class Closing(AbstractAsyncContextManager[None, None]):
    """What lies around the steps: when they have ended, the sources are closed, cancelled or not."""

    def __init__(self, making: Making) -> None:
        self.errors: list[BaseException] = []
        self._making = making

    async def __aenter__(self) -> None:
        """Have nothing to open: each source is, when it is first needed."""

    async def __aexit__(  # noqa: ASYNC910 - a run without sources has nothing to close
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with native.current().cancel_scope(shield=True):
            try:
                await self._making.aclose()
            except Exception as error:  # noqa: BLE001 - reported as a failure of the run
                self.errors.append(error)


def _say_nothing(step: str, index: int | None, line: str) -> None:
    """Take a line for nobody."""


def _as_long_as_it_takes() -> float:
    return float("inf")
