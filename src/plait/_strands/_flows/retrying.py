"""When a step is tried again: `retry` of a flow file, as a policy of the kernel's."""

from __future__ import annotations

import random
from typing import Final

import attrs

from .grammar import Retry
from .result import StepFailed, StepFailure

#: Conditions that are a kind of failure, and which kinds they mean.
KINDS: Final = {
    "timeout": frozenset({"timeout"}),
    "connect": frozenset({"connect"}),
    "exit": frozenset({"exit"}),
    "signal": frozenset({"signal"}),
    "source": frozenset({"source"}),
}
#: What no other attempt would do better.
FINAL: Final = frozenset({"template", "output", "items", "when"})


def wants(conditions: tuple[str | int, ...], error: StepFailure) -> bool:
    """Say whether one of the conditions under `on` is met by a failure."""
    return error.kind not in FINAL and any(_meets(one, error) for one in conditions)


def _meets(condition: str | int, error: StepFailure) -> bool:
    text = str(condition)
    if text == "any":
        return True
    if text in KINDS:
        return error.kind in KINDS[text]
    if text.startswith("exit:"):
        return error.kind == "exit" and error.code == int(text[5:])
    if error.kind != "http_status" or error.code is None:
        return False
    return str(error.code // 100) + "xx" == text or str(error.code) == text


@attrs.frozen
class FlowRetry:
    """Asked after each failed attempt."""

    spec: Retry

    def next(
        self, elapsed_time: float, attempts: int, error: Exception, *, seed: int = 0
    ) -> float | None:
        """Say after how many seconds the next attempt begins, or that there is none."""
        del elapsed_time
        spec = self.spec
        if attempts >= spec.attempts or not isinstance(error, StepFailed):
            return None
        failure = error.error
        if error.final or not wants(spec.on, failure):
            return None
        delay = delay_after(spec, attempts)
        delay *= 1 - spec.jitter * random.Random(seed).random()  # noqa: S311 - it shall be the same again
        return max(delay, failure.retry_after or 0.0)


def delay_after(spec: Retry, attempts: int) -> float:
    """Say how long to wait after so many attempts, before chance has its say."""
    try:
        return min(spec.max_delay, spec.delay * spec.factor ** (attempts - 1))
    except OverflowError:
        return spec.max_delay


def too_late(spec: Retry | None, error: StepFailure, attempt: int) -> str | None:
    """Say why a step is not tried again though it could be: the server wants too long a pause."""
    if spec is None or error.retry_after is None or attempt >= spec.attempts:
        return None
    if error.retry_after <= spec.max_delay or not wants(spec.on, error):
        return None
    asked, most = (f"{seconds:g} s" for seconds in (error.retry_after, spec.max_delay))
    return f"{error.message} (Retry-After {asked} is more than max_delay {most})"
