"""What an earlier run has left for one that resumes it: which of its results still hold.

A step is reused if it succeeded then, if it would ask for the same now, and if each step that it waits
for without naming it in a template was reused or gave the same again. Then its source is not called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import attrs

from plait._abc import JSON, Journal, StreamInfo
from plait._errors import UnknownRunError

from .kept import reader_of, steps_given
from .redaction import UnknownSecret, reveal
from .story import FlowStarted, StepDone

if TYPE_CHECKING:
    from .checked import CheckedStep
    from .stepping import Stepping


@attrs.define
class Earlier:
    """A run as the journal has it, as far as another one may take it over.

    Attributes:
        run_id: Its name.
        started: How it began.
        done: What its steps gave, by step and item.
    """

    run_id: str
    started: FlowStarted
    done: dict[tuple[str, int], StepDone] = attrs.field(factory=dict[tuple[str, int], StepDone])


async def find_earlier(journal: Journal, name: str, target: str) -> Earlier:
    """Find a run in a journal and read what it has left. A checkpoint.

    Args:
        journal: The journal, open.
        name: The run's id, the beginning of it, or `"last"`.
        target: The name of the flow: `"last"` is the last run of that.

    Raises:
        UnknownRunError: There is none, there are several, or it is no run of a flow.
        UnreadableEntryError: It cannot be read.
    """
    run_id = await find_run(journal, name, target)
    reader, kept, after = reader_of(run_id), list[object](), 0
    while entries := await journal.read(run_id, after=after):
        kept += reader.records(entries)
        after += len(entries)
    started, done = steps_given(kept)
    if started is None:
        raise UnknownRunError(f"Run {run_id!r} in the journal is no run of a flow.")
    return Earlier(run_id, started, done)


async def find_run(journal: Journal, name: str, target: str | None = None) -> str:
    """Find a run by its id, by the beginning of that, or as the last one. A checkpoint.

    Args:
        journal: The journal, open.
        name: What it was called.
        target: Of which flow `"last"` is meant, if it has a run there.

    Raises:
        UnknownRunError: There is none, or there are several.
    """
    found: list[StreamInfo] = []
    after = ""
    while page := await journal.streams(app_id="", after=after):
        found += page
        after = page[-1].stream
    if name == "last":
        if not found:
            raise UnknownRunError("The journal has no run yet.")
        mine = [one for one in found if one.target == target]
        return max(mine or found, key=lambda one: (one.created, one.stream)).stream
    names = [one.stream for one in found]
    near = [name] if name in names else [one for one in names if one.startswith(name)]
    if len(near) == 1:
        return near[0]
    if not near:
        raise UnknownRunError(f"The journal has no run {name!r}.")
    raise UnknownRunError(f"{name!r} is the beginning of several runs: {', '.join(near[:5])}.")


class Past:
    """Decides for one run which results of an earlier one hold.

    Args:
        earlier: The earlier run.
        stepping: The steps of this one.
        secrets: The values of its secrets, by the names that placeholders have.
    """

    def __init__(self, earlier: Earlier, stepping: Stepping, secrets: Mapping[str, str]) -> None:
        self._earlier = earlier
        self._stepping = stepping
        self._secrets = secrets
        #: Steps of which everything was reused.
        self._reused: set[str] = set()

    def reused(self, step: CheckedStep, count: int) -> dict[int, object]:
        """Find what a step, or which of its items, need not be done again.

        Raises:
            TemplateError: What it asks for cannot be rendered.
        """
        if not step.spec.reuse or step.provider.name == "env" or self._hides(step):
            return {}
        if not all(self._holds(name) for name in self._silent(step)):
            return {}
        found: dict[int, object] = {}
        for item in range(count):
            done = self._earlier.done.get((step.name, item))
            if done is not None and (again := self._again(step, item, done)) is not None:
                found[item] = again
        if len(found) == count:
            self._reused.add(step.name)
        return found

    def _hides(self, step: CheckedStep) -> bool:
        return any(output.secret for output in step.outputs)

    def _silent(self, step: CheckedStep) -> set[str]:
        """Those that it waits for and does not name in a template."""
        named = {need.step for need in step.needs if need.because != "depends_on"}
        return {*step.after} - named

    def _holds(self, name: str) -> bool:
        """Was a step reused, or did it give the same again?"""
        if name in self._reused:
            return True
        book = self._stepping.book
        if book.error(name) is not None:
            return False
        now = book.given(name)
        before = {item: done for (step, item), done in self._earlier.done.items() if step == name}
        if now.keys() != before.keys():
            return False
        hide = self._stepping.redactor.hide
        return all(hide(cast("JSON", now[item])) == before[item].outputs for item in now)

    def _again(self, step: CheckedStep, item: int, done: StepDone) -> StepDone | None:
        """The same result for this run; `None`: it does not hold."""
        stepping = self._stepping
        asked = stepping.asked(step, item)
        if stepping.fingerprint(step, asked) != done.fingerprint:
            return None
        try:
            outputs = reveal(cast("JSON", done.outputs), self._secrets)
        except UnknownSecret:
            return None
        given = cast("dict[str, JSON]", outputs)
        if given.keys() != {output.name for output in step.outputs}:
            return None
        return attrs.evolve(stepping.gave(step, item, given, asked), reused=True)
