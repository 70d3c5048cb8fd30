"""A flow, loaded and checked: what programs run."""

from __future__ import annotations

import secrets as chance
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Final, Literal, TypeAlias

from plait._abc import Journal
from plait._engine.run import Run
from plait._engine.runtime import runtime_here
from plait._errors import ConfigError
from plait._journal.given import is_journal, journal_of
from plait._kernel.plan import Plan
from plait._naming import publish
from plait._show import show

from .check import check
from .checked import CheckedFlow
from .compile import make_plan
from .making import Making, Wishes
from .news import StepNews
from .problems import Problem
from .result import RunResult

Files: TypeAlias = Sequence[str | PathLike[str]] | str | PathLike[str] | Mapping[str, object]

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def load(
    files: Files,
    *,
    max_workers: int | None = None,
    timeout: float | None = None,
    compat: Literal["flowtoy"] | None = None,
) -> Flow:
    """Read flow files, merge them from left to right, and check them. Nothing runs. Not a checkpoint.

    Args:
        files: Paths, or one; or a mapping such as a file would give. `"-"` is standard input.
        max_workers: How many steps may run at once; by default what the file says, else 4.
        timeout: Seconds that a run may take; by default what the file says.
        compat: `"flowtoy"`: unknown keys, steps without a name and names given twice are warnings.

    Raises:
        FlowConfigError: With all that is wrong.
        MissingExtra: What flow files need is not installed.

    Example:
        ```python
        flow = plait.flows.load(["flow.yaml"])
        result = await flow.run()
        ```
    """
    given = files if isinstance(files, Mapping) else _listed(files)
    checked = check(given, compat=compat, max_workers=max_workers)
    return Flow(checked, timeout=timeout)


def _listed(
    files: Sequence[str | PathLike[str]] | str | PathLike[str],
) -> list[str | PathLike[str]]:
    return [files] if isinstance(files, str | PathLike) else [*files]


class Flow:
    """A flow that can run: as often as you like, also at the same time.

    Made by `plait.flows.load`.

    Attributes:
        checked: What was read: steps, dependencies, waves.

    Example:
        ```python
        flow = plait.flows.load("nightly.yaml")
        result = await flow.run(params={"region": "eu"})
        print(result.state, result.flows["report"]["text"])
        ```
    """

    def __init__(self, checked: CheckedFlow, *, timeout: float | None = None) -> None:
        self.checked: CheckedFlow = checked
        self._timeout = timeout if timeout is not None else checked.document.runner.timeout
        self._plan: Plan | None = None

    @property
    def name(self) -> str:
        """The name of its files."""
        return self.checked.name

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is not wrong, but should be written otherwise."""
        return self.checked.warnings

    @property
    def plan(self) -> Plan:
        """What the engine runs: see `plait.lowlevel`."""
        if self._plan is None:
            self._plan = make_plan(self.checked)
        return self._plan

    def start(
        self,
        *,
        params: Mapping[str, object] | None = None,
        journal: Journal | str | PathLike[str] | None = None,
        resume: str | None = None,
        observe: Callable[[StepNews], object] | None = None,
        warn: Callable[[Problem], object] | None = None,
        log: Callable[[str, int | None, str], object] | None = None,
        grace: Callable[[], float] | None = None,
        run_id: str | None = None,
    ) -> Run[RunResult]:
        """Make a run, which nothing has started yet. Await it, or enter it with `async with`.

        Not a checkpoint. The run gives a `RunResult` whatever its steps do.

        Args:
            params: Values of params, of the types that the file says.
            journal: Keeps the run: a journal, or the path of a file for one.
            resume: A run in that journal: its id, the beginning of its id, or `"last"`. What its steps
                gave is taken over where it still holds.
            observe: Told what happens to the steps.
            warn: Told of warnings about steps while they run.
            log: Takes lines that sources say: the step, the item of it, the line.
            grace: Seconds that processes have to end by themselves, at most, asked again and again.
            run_id: A name for the run; by default a new one.

        Raises:
            FlowConfigError: Params or secrets are missing or wrong.
            ConfigError: What is given as a journal is none; `resume` without one.

        Example:
            ```python
            async with flow.start(params={"region": "eu"}) as run:
                result = await run
            ```
        """
        kept = _journal(journal)
        if resume is not None and kept is None:
            raise ConfigError("resume needs the journal that has the run: write journal=...")
        wishes = Wishes(
            run_id=run_id or new_run_id(),
            params=params or {},
            journal=kept,
            resume=resume,
            timeout=self._timeout,
            observe=observe,
            warn=warn,
            log=log,
            grace=grace,
        )
        return Run(Making(self.checked, self.plan, wishes).shell(), runtime_here())

    async def run(
        self,
        *,
        params: Mapping[str, object] | None = None,
        journal: Journal | str | PathLike[str] | None = None,
        resume: str | None = None,
        observe: Callable[[StepNews], object] | None = None,
    ) -> RunResult:
        """Run it to the end, in this task. A checkpoint.

        Cancelled, it ends what is under way, waits for the clean-up, and raises the cancellation.

        Args:
            params: Values of params.
            journal: Keeps the run: a journal, or the path of a file for one.
            resume: A run in that journal whose results are taken over where they still hold.
            observe: Told what happens to the steps.

        Raises:
            FlowConfigError: Params or secrets are missing or wrong.
            JournalError: The journal cannot be used.
            UnknownRunError: The journal has no such run to resume.

        Example:
            ```python
            result = await flow.run(params={"region": "eu"}, journal="runs.db")
            ```
        """
        return await self.start(params=params, journal=journal, resume=resume, observe=observe)

    def __repr__(self) -> str:
        return (
            f"<Flow {self.name!r}: {len(self.checked.steps)} steps, {self.checked.workers} workers>"
        )


def new_run_id() -> str:
    """Make a name for a run: ten letters and digits that are hard to mistake."""
    return "".join(chance.choice(ALPHABET) for _ in range(10))


def _journal(given: Journal | str | PathLike[str] | None) -> Journal | None:
    if given is None:
        return None
    if isinstance(given, str | PathLike) or is_journal(given):
        return journal_of(given)
    raise ConfigError(f"journal must be a journal or the path of a file, not {show(given, 200)}")


publish("plait.flows", Flow)
