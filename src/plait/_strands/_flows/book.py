"""What the steps of one run have given so far: real values, for the templates of those that follow.

It is written by the bodies themselves, before the kernel hears of their end, so a step whose turn comes
finds all of it. Who waits for a step asks when that is over: what has no output and no failure then was
skipped. Nothing is copied; a step costs the same in a flow of ten and of ten thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from plait._abc import JSON

from .names import Outputs
from .result import StepFailure

if TYPE_CHECKING:
    from .checked import CheckedFlow, CheckedStep


class Book:
    """The outputs and errors of one run, by step and item."""

    def __init__(self, flow: CheckedFlow) -> None:
        self._flow = flow
        self._outputs: dict[str, dict[int, dict[str, JSON]]] = {}
        self._errors: dict[str, dict[int, StepFailure]] = {}
        #: How many items a `foreach` or `matrix` step has, once that is known.
        self._counts: dict[str, int] = {}
        self._views: dict[str, Outputs] = {}

    def expect(self, step: str, count: int) -> None:
        """Know how many items a step has."""
        self._counts[step] = count

    def gave(self, step: str, item: int, outputs: dict[str, JSON]) -> None:
        """Know what a step, or an item of it, gave."""
        self._outputs.setdefault(step, {})[item] = outputs

    def lost(self, step: str, item: int, error: StepFailure) -> None:
        """Know why a step, or an item of it, has failed; perhaps it will be tried again."""
        self._errors.setdefault(step, {})[item] = error

    def given(self, step: str) -> Mapping[int, dict[str, JSON]]:
        """What a step gave, by item."""
        return self._outputs.get(step, {})

    def outputs(self, step: str) -> dict[str, JSON]:
        """What a step gave that has succeeded: of several items, a list for each output."""
        if (count := self._counts.get(step)) is None:
            return self._outputs[step][0]
        return self._lists(step, count)

    def _lists(self, step: str, count: int) -> dict[str, JSON]:
        found = self._outputs.get(step, {})
        return {
            output.name: [
                found[item][output.name] if item in found else None for item in range(count)
            ]
            for output in self._flow.steps[step].outputs
        }

    def error(self, step: str) -> StepFailure | None:
        """Why a step has failed that is over; `None`: it has not."""
        count = self._counts.get(step)
        errors, given = self._errors.get(step, {}), self._outputs.get(step, {})
        failed = {item: error for item, error in errors.items() if item not in given}
        if not failed:
            return None
        if count is None:
            return failed[0]
        return self._of_items(step, count, failed)

    def _of_items(self, step: str, count: int, failed: Mapping[int, StepFailure]) -> StepFailure:
        several = self._flow.steps[step].spec.foreach or self._flow.steps[step].spec.matrix
        message = f"{len(failed)} of {count} items failed"
        if several is not None and several.fail_fast:
            first = next(iter(failed))  # in the order in which they failed
            message = f"item {first + 1} of {count} failed: {failed[first].message}"
        return StepFailure(
            kind="items",
            message=message,
            items=[{"index": item, **failed[item].as_json()} for item in sorted(failed)],
            outputs=self._lists(step, count),
        )

    def view(self, step: str) -> Outputs:
        """What templates see of a step that is over."""
        if (known := self._views.get(step)) is None:
            known = self._views[step] = self._view(step)
        return known

    def _view(self, step: str) -> Outputs:
        error = self.error(step)
        if error is not None:
            return Outputs(step, {}, state="failed", error=error.as_json())
        if step in self._outputs or step in self._counts:
            return Outputs(step, self.outputs(step))
        return Outputs(step, {}, state="skipped")


class Ancestors(Mapping[str, object]):
    """What a step sees as `flows`: those that it waits for, at first or at second hand."""

    def __init__(
        self, steps: Mapping[str, CheckedStep], step: str, view: Callable[[str], object]
    ) -> None:
        self._steps = steps
        self._needs = steps[step].after
        self._all: dict[str, None] | None = None
        self._view = view

    def __getitem__(self, name: str) -> object:
        if name not in self._needs and name not in self._known():
            raise KeyError(name)
        return self._view(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._steps if name in self._known())

    def __len__(self) -> int:
        return len(self._known())

    def _known(self) -> dict[str, None]:
        """All of them. Few templates ask: they name a step, and that is one that theirs waits for."""
        if self._all is None:
            found: dict[str, None] = {}
            stack = [*self._needs]
            while stack:
                name = stack.pop()
                if name not in found:
                    found[name] = None
                    stack += self._steps[name].after
            self._all = found
        return self._all
