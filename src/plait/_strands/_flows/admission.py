"""What becomes of a step when its turn comes: it runs, is left out, or has its outputs already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plait._kernel.graph.admission import ONCE, Broken, Go, Leave, Verdict

from .items import items_of
from .result import StepFailure
from .templates import TemplateError

if TYPE_CHECKING:
    from .checked import CheckedStep
    from .resume import Past
    from .stepping import Stepping


class Admission:
    """Asked by the kernel once for each step.

    Args:
        stepping: The steps of the run.
        past: What an earlier run has left, if this one resumes it.
    """

    def __init__(self, stepping: Stepping, past: Past | None) -> None:
        self._stepping = stepping
        self._past = past

    def __call__(self, name: str) -> Verdict:
        """Say what becomes of a step. Not a checkpoint."""
        step = self._stepping.flow.steps[name]
        try:
            return self._admit(step)
        except TemplateError as error:
            failure = StepFailure(kind=error.kind, message=error.message)
            return Broken(self._stepping.failure(step, 0, failure))

    def _admit(self, step: CheckedStep) -> Verdict:
        stepping = self._stepping
        if not self._is_wanted(step):
            return Leave()
        items = None
        if step.items is not None or step.axes is not None:
            items = items_of(step, stepping.names_of(step))
        if items is not None:
            stepping.expect(step, items)
        count = 1 if items is None else len(items)
        if self._past is None:
            return ONCE if items is None else Go(count)
        return Go(count, self._past.reused(step, count))

    def _is_wanted(self, step: CheckedStep) -> bool:
        if step.when is None or isinstance(step.when, bool):
            return step.when is not False
        return step.when.evaluate(self._stepping.names_of(step))
