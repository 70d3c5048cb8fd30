"""A checked flow -> the plan that the engine runs: its steps, what they wait for, and their limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from plait._event import Event, HumanResponseEvent, StartEvent, StepFailedEvent, StopEvent
from plait._kernel.plan import After, Kinds, Plan, StepPlan, Word

from .policy import word_of
from .retrying import FlowRetry

if TYPE_CHECKING:
    from .checked import CheckedFlow, CheckedStep

#: Items that run at once, if the file does not say: as many as the run has workers.
ANY: Final = 1_000_000


def _none(_: type) -> bool:
    return False


def _no_failure(*_: object) -> object:
    raise AssertionError("failures of flows are no events")


KINDS: Final = Kinds(
    event=Event,
    stop=StopEvent,
    answer=HumanResponseEvent,
    observable=_none,
    failed=StepFailedEvent,
    make_failed=_no_failure,
    start=StartEvent,
)


def make_plan(flow: CheckedFlow) -> Plan:
    """Compile a checked flow."""
    words = edges(flow)
    groups: dict[str, int] = {}
    for step in flow.steps.values():
        if (shared := step.spec.concurrency) is not None:
            groups[shared.group] = shared.limit
    waited_for = {name for step in flow.steps.values() for name in step.after}
    return Plan(
        flow.name,
        tuple(
            _step(flow, step, words[step.name], leaf=step.name not in waited_for)
            for step in flow.steps.values()
        ),
        KINDS,
        max_workers=flow.workers,
        groups=groups,
    )


def edges(flow: CheckedFlow) -> dict[str, dict[str, Word]]:
    """Say of each step what the failure of each that it waits for means for it."""
    runner = flow.document.runner.on_error
    return {
        name: {
            needed: word_of(step.spec.on_error, flow.steps[needed].spec.on_error, runner)
            for needed in step.after
        }
        for name, step in flow.steps.items()
    }


def _step(
    flow: CheckedFlow, step: CheckedStep, needs: Mapping[str, Word], *, leaf: bool
) -> StepPlan:
    spec, runner = step.spec, flow.document.runner
    several = spec.foreach or spec.matrix
    tolerated = (spec.on_error or runner.on_error) == "continue"
    return StepPlan(
        step.name,
        (),
        1 if several is None else several.max_parallel or ANY,
        retry=None if spec.retry is None else FlowRetry(spec.retry),
        after=After(
            needs=tuple(needs.items()),
            group=None if spec.concurrency is None else spec.concurrency.group,
            fail_fast=several is None or several.fail_fast,
            aborts=runner.fail_fast and leaf and not tolerated,
        ),
    )
