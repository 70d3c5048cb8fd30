"""The one place where the kernel questions a policy, and says what is wrong with an answer."""

from __future__ import annotations

from typing import Any, Final, Protocol, cast

from plait._errors import WorkflowRuntimeError

from .waits import LONGEST


class AnyRetryPolicy(Protocol):
    """What a type checker shall accept as a policy: every `RetryPolicy`, and one without `seed`."""

    def next(self, elapsed_time: float, attempts: int, error: Exception, /) -> float | None:
        """As `RetryPolicy.next`."""
        ...


#: The flag of a code object with `**kwargs`.
_VARKEYWORDS: Final = 0x08


def _takes_seed(method: Any) -> bool:
    """Read the code object: `inspect.signature` is slower, and its module reads files.

    What is no Python function gets no seed.
    """
    while (wrapped := getattr(method, "__wrapped__", None)) is not None:
        method = wrapped
    code = getattr(method, "__code__", None)
    if code is None:
        return False
    named = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    return "seed" in named or bool(code.co_flags & _VARKEYWORDS)


def ask(
    policy: AnyRetryPolicy, elapsed: float, failures: int, error: Exception, seed: int
) -> float | None:
    """Ask a policy, the user's own as well: the delay in seconds, or `None` to give up.

    Whatever is raised here has the step's error as its cause.

    Raises:
        WorkflowRuntimeError: The answer is neither of the two.
        Exception: What the policy itself raised.
    """
    method = cast("Any", policy).next
    options = {"seed": seed} if _takes_seed(method) else {}
    try:
        answer = method(elapsed, failures, error, **options)
    except Exception as trouble:
        if trouble is not error:
            trouble.__cause__ = error
        raise
    if answer is None:
        return None
    if isinstance(answer, int | float) and not isinstance(answer, bool) and 0 <= answer <= LONGEST:
        return float(answer)
    raise WorkflowRuntimeError(
        f"Retry policy {policy!r} answered {answer!r} to failure {failures}.\n"
        "  next() must return a finite number of seconds, at least 0, or None to give up."
    ) from error
