"""What a run of a flow has come to, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias

import attrs

from plait._abc import JSON
from plait._errors import PlaitError
from plait._naming import publish

RunState: TypeAlias = Literal["completed", "failed", "cancelled"]
StepState: TypeAlias = Literal["pending", "running", "succeeded", "failed", "skipped", "cancelled"]
Reason: TypeAlias = Literal["when", "upstream", "on_error", "abort"]


@attrs.frozen(kw_only=True)
class StepFailure:
    """Why a step, or one item of it, has failed.

    Attributes:
        kind: What kind of failure it is, in a word: `"http_status"`, `"timeout"`, `"exit"`.
        message: What went wrong.
        detail: More about it: which timeout it was, and how long.
        code: The HTTP status or the exit code.
        response: Of a failed request: `status`, `headers`, `body`.
        process: Of a failed process: `returncode`, `stdout_tail`, `stderr_tail`.
        items: Of a `foreach` or `matrix` step: which items have failed, from 0, and why.
        outputs: Of such a step: what the others gave, with null for those that failed.
        retry_after: Seconds that the server asked to wait.
    """

    kind: str
    message: str
    detail: str = ""
    code: int | None = None
    response: Mapping[str, JSON] | None = None
    process: Mapping[str, JSON] | None = None
    items: Sequence[Mapping[str, JSON]] | None = None
    outputs: Mapping[str, JSON] | None = None
    retry_after: float | None = None

    def as_json(self) -> dict[str, JSON]:
        """Write it as templates and `plait show` have it: without what there is not."""
        fields: dict[str, JSON] = {"kind": self.kind, "message": self.message}
        if self.detail:
            fields["detail"] = self.detail
        if self.code is not None:
            fields["code"] = self.code
        for name in ("response", "process", "outputs"):
            if (value := getattr(self, name)) is not None:
                fields[name] = dict(value)
        if self.items is not None:
            fields["items"] = [dict(one) for one in self.items]
        return fields


class StepFailed(PlaitError):  # noqa: N818 - says what has happened
    """A step has failed.

    Attributes:
        step: Its name.
        error: Why.
    """

    def __init__(self, step: str, error: StepFailure, *, final: bool = False) -> None:
        super().__init__(f"step {step!r} failed: {error.message}")
        self.step: str = step
        self.error: StepFailure = error
        #: Will no other attempt do better?
        self.final: bool = final


@attrs.frozen(kw_only=True)
class ItemResult:
    """What one item of a `foreach` or `matrix` step has come to.

    Attributes:
        index: Its place, from 0.
        state: How it ended.
        attempts: How often it was tried.
        reused: Whether its outputs are those of an earlier run.
        error: Why it failed.
    """

    index: int
    state: StepState
    attempts: int = 0
    reused: bool = False
    error: StepFailure | None = None


@attrs.frozen(kw_only=True)
class StepResult:
    """What a step has come to.

    Attributes:
        state: How it ended.
        started_at: When its first attempt began; `None`: it never did.
        ended_at: When it ended.
        attempts: How often it was tried; of several items, all together.
        reused: Whether its outputs are those of an earlier run.
        reason: Why it was skipped.
        error: Why it failed.
        items: Of a `foreach` or `matrix` step, its items.
        tolerated: Whether the run counts as good though it failed.
    """

    state: StepState
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: int = 0
    reused: bool = False
    reason: Reason | None = None
    error: StepFailure | None = None
    items: Sequence[ItemResult] | None = None
    tolerated: bool = False


@attrs.frozen(kw_only=True)
class RunResult:
    """What a run of a flow has come to.

    Attributes:
        run_id: The run.
        state: `completed`; `failed`, if a failure was not tolerated; or `cancelled`.
        exit_code: With what the command exits: 0, 1, 124 for a timeout, 130 for a cancellation.
        flows: The outputs of the steps that succeeded, in the order of the file; secrets are `***`.
        steps: What each step has come to, in the order of the file.
        started_at: When the run began.
        ended_at: When it ended.

    Example:
        ```python
        result = await plait.flows.load(["flow.yaml"]).run()
        result.raise_if_failed()
        print(result.flows["fetch_users"]["users"])
        ```
    """

    run_id: str
    state: RunState
    exit_code: int
    flows: Mapping[str, Mapping[str, JSON]]
    steps: Mapping[str, StepResult]
    started_at: datetime
    ended_at: datetime
    _reveal: Callable[[], Mapping[str, Mapping[str, JSON]]] = attrs.field(
        alias="reveal", repr=False, eq=False
    )
    _error: Exception | None = attrs.field(alias="error", default=None, repr=False, eq=False)

    def reveal(self) -> Mapping[str, Mapping[str, JSON]]:
        """Give the outputs as they are, secrets included."""
        return self._reveal()

    def raise_if_failed(self) -> None:
        """Raise what went wrong, if a failure was not tolerated.

        Raises:
            WorkflowTimeoutError: The run timed out.
            StepFailed: One step failed.
            ExceptionGroup: Several did, each a `StepFailed`.
        """
        if self.state != "failed":
            return
        if self._error is not None:
            raise self._error
        failures = [
            StepFailed(name, step.error)
            for name, step in self.steps.items()
            if step.error is not None and not step.tolerated
        ]
        for failure in failures:
            failure.add_note(f"in run {self.run_id}")
        if len(failures) == 1:
            raise failures[0]
        raise ExceptionGroup(f"{len(failures)} steps failed", failures)


publish("plait.flows", StepFailure, StepFailed, ItemResult, StepResult, RunResult)
