"""Which failures of a body no further attempt will mend."""

from __future__ import annotations

from typing import cast

from plait._errors import NonRetriableError, StepError


def is_final(error: BaseException) -> bool:
    """Would another attempt of the body raise the same? Its failed calls do, and so may the user say."""
    if isinstance(error, ExceptionGroup):
        return all(map(is_final, cast("ExceptionGroup[Exception]", error).exceptions))
    return isinstance(error, StepError | NonRetriableError)
