"""One attempt of a step: render what it asks for, call its source, take its outputs.

Rule 1: *What a step asks for is rendered once,* when its first attempt starts or, on resume, when its
    turn comes: a retry repeats the same request.
Rule 2: *Steps see real values; whoever watches does not.* Records carry placeholders for secrets, and
    the errors in them have `***`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from plait._abc import JSON, SourceContext, SourceResult
from plait._engine.attempt import Attempt
from plait._engine.lane import Work

from .book import Ancestors, Book
from .fingerprint import fingerprint
from .outputs import OutputError, take
from .result import StepFailed, StepFailure
from .retrying import too_late
from .sources.options import Options
from .story import StepDone
from .templates import TemplateError

if TYPE_CHECKING:
    from .checked import CheckedFlow, CheckedStep
    from .names import Names
    from .redaction import Redactor
    from .sources.pool import Pool

log: Final = logging.getLogger("plait.flows")


@attrs.frozen(eq=False)
class Asked:
    """What a step, or one item of it, asks its source for."""

    configuration: Mapping[str, JSON]
    payload: JSON | Options


class Stepping:
    """The steps of one run, as its shell runs them.

    Args:
        flow: The flow.
        run_id: The run.
        first: The first run of this line: keys are made from it.
        names: What templates can name, but for `flows`.
        redactor: Hides secrets.
        pool: The sources.
        kept: Does somebody keep the run? Then each result has a fingerprint.
        log_line: Takes what a source says of a step while that runs.
        warn: Takes a warning about a step.
    """

    def __init__(
        self,
        flow: CheckedFlow,
        *,
        run_id: str,
        first: str,
        names: Names,
        redactor: Redactor,
        pool: Callable[[], Pool],
        kept: bool,
        log_line: Callable[[str, int | None, str], object],
        warn: Callable[[CheckedStep, str], object],
    ) -> None:
        self.flow = flow
        self.book = Book(flow)
        self.redactor = redactor
        self._run_id = run_id
        self._first = first
        self._names = names
        self._pool = pool
        self._kept = kept
        self._log_line = log_line
        self._warn = warn
        self._plain = Work(self._body)
        #: What has been rendered for those that are not over, by step and item.
        self._asked: dict[tuple[str, int], Asked] = {}
        #: More names, by item, of steps that have several.
        self._items: dict[str, list[dict[str, object]]] = {}

    # ------------------------------------------------------------ names and items

    def names_of(self, step: CheckedStep) -> Names:
        """What the templates of a step can name."""
        ancestors = Ancestors(self.flow.steps, step.name, self.book.view)
        return self._names.of_step(ancestors, step.name)

    def expect(self, step: CheckedStep, items: list[dict[str, object]]) -> None:
        """Know the items of a step."""
        self._items[step.name] = items
        self.book.expect(step.name, len(items))

    def asked(self, step: CheckedStep, item: int) -> Asked:
        """Say what a step asks for. Rule 1.

        Raises:
            TemplateError: That cannot be rendered.
        """
        key = (step.name, item)
        if (known := self._asked.get(key)) is None:
            known = self._asked[key] = self._render(step, item)
        return known

    def _render(self, step: CheckedStep, item: int) -> Asked:
        configuration, payload = step.configuration, step.input
        if not configuration.has_templates and (payload is None or not payload.has_templates):
            names = self._names  # nobody asks them anything
        else:
            names = self.names_of(step)
            if (items := self._items.get(step.name)) is not None:
                names = names.extended(items[item])
        given = None if payload is None else payload.render(names)
        if step.payload_names:
            names = names.extended(step.provider.payload_names(given))
        made = cast("Mapping[str, JSON]", configuration.render(names))
        if step.options:
            return Asked(made, Options(cast("Any", given), step.input_folders))
        return Asked(made, cast("JSON", given))

    def fingerprint(self, step: CheckedStep, asked: Asked) -> str:
        """Say in short what a step asks for."""
        payload = asked.payload
        plain = dict(payload.values) if isinstance(payload, Options) else payload
        return fingerprint(
            step.provider.name,
            cast("JSON", asked.configuration),
            cast("JSON", plain),
            step.outputs,
            self.redactor,
        )

    def key(self, step: str, item: int) -> str:
        """The same text in every attempt, and in every run that resumes this one."""
        text = f"{self._first}\0{step}\0{item}".encode()
        return hashlib.blake2b(text, digest_size=16).hexdigest()

    # ------------------------------------------------------------ one attempt

    def work(self, name: str) -> Work:
        """What the shell runs for a step."""
        timeout = self.flow.steps[name].spec.timeout
        return self._plain if timeout is None else Work(self._body, timeout)

    async def _body(self, attempt: Attempt) -> object:
        delivery = attempt.delivery
        name, item = delivery.step, cast("int", delivery.event)
        step = self.flow.steps[name]
        index = item if name in self._items else None
        try:
            asked = self.asked(step, item)
            context = SourceContext(
                self._run_id,
                name,
                index,
                delivery.attempt,
                self.key(name, item),
                partial(self._say, name, index),
            )
            result = await self._pool().call(
                step.provider, asked.configuration, asked.payload, context, step.folders
            )
            outputs = self._taken(step, item, delivery.attempt, result)
        except (TemplateError, OutputError) as error:
            raise self.failure(
                step, item, StepFailure(kind=error.kind, message=error.message)
            ) from None
        del self._asked[name, item]
        return self.gave(step, item, outputs, asked)

    def _taken(
        self, step: CheckedStep, item: int, attempt: int, result: SourceResult | JSON
    ) -> dict[str, JSON]:
        """Take the outputs from what a call gave. Raises what the attempt is told of a failure."""
        warn = partial(self._warn, step)
        if not isinstance(result, SourceResult):
            return take(step.outputs, result, warn=warn)
        if not result.ok:
            raise self.failed_call(step, item, attempt, result)
        status, headers = result.status, result.headers
        return take(step.outputs, result.data, status=status, headers=headers, warn=warn)

    def _say(self, step: str, index: int | None, line: str) -> None:
        self._log_line(step, index, self.redactor.text(line))

    def gave(
        self, step: CheckedStep, item: int, outputs: dict[str, JSON], asked: Asked | None
    ) -> StepDone:
        """Know what a step gave, and write it as it is kept. Rule 2."""
        for output in step.outputs:
            if output.secret:
                self.redactor.add(outputs[output.name], f"outputs.{step.name}.{output.name}")
        self.book.gave(step.name, item, outputs)
        mark = self.fingerprint(step, asked) if self._kept and asked is not None else ""
        write = self.redactor.hide if self._kept else self.redactor.tree
        return StepDone(outputs=cast("Any", write(cast("JSON", outputs))), fingerprint=mark)

    def failed_call(
        self, step: CheckedStep, item: int, attempt: int, result: SourceResult
    ) -> StepFailed:
        """Make of a failed call what the kernel is told."""
        error = StepFailure(
            kind=result.kind,
            message=result.message,
            detail=result.detail,
            code=result.code,
            response=result.response,
            process=result.process,
            retry_after=result.retry_after,
        )
        late = too_late(step.spec.retry, error, attempt)
        if late is not None:
            error = attrs.evolve(error, message=late)
        return self.failure(step, item, error, final=late is not None)

    def failure(
        self, step: CheckedStep, item: int, error: StepFailure, *, final: bool = False
    ) -> StepFailed:
        """Know why a step has failed, and make of it what the kernel is told. Rule 2."""
        self.book.lost(step.name, item, error)
        return StepFailed(step.name, redacted(error, self.redactor), final=final)

    def late(self, attempt: Attempt, seconds: float) -> StepFailed:
        """The same of an attempt that took longer than the step allows."""
        step, item = self.flow.steps[attempt.delivery.step], cast("int", attempt.delivery.event)
        detail = f"the step's own timeout of {seconds:g} s"
        return self.failure(
            step, item, StepFailure(kind="timeout", message="timeout", detail=detail)
        )


def redacted(error: StepFailure, redactor: Redactor) -> StepFailure:
    """Hide secrets in an error."""

    def tree(value: Mapping[str, JSON] | None) -> Mapping[str, JSON] | None:
        return None if value is None else cast("Mapping[str, JSON]", redactor.tree(dict(value)))

    items = None
    if error.items is not None:
        items = [cast("Mapping[str, JSON]", redactor.tree(dict(one))) for one in error.items]
    return attrs.evolve(
        error,
        message=redactor.text(error.message),
        detail=redactor.text(error.detail),
        response=tree(error.response),
        process=tree(error.process),
        items=items,
        outputs=tree(error.outputs),
    )
