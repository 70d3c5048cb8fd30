"""What the records of a run hold of values and errors, and what is read of them.

Rule 1: a value is written by the output of its call before it becomes a record, and goes as it comes.
Rule 2: an exception is in the record itself while the process lives, since policies are asked about
    it. A journal is given its `Failure`.
"""

from __future__ import annotations

from collections.abc import Sequence

from plait._engine.bodies.ports import Output as AnyOutput
from plait._errors import NestedStepError, StepError
from plait._kernel.calls.keys import key_text
from plait._kernel.calls.records import CallFailed

from .failures import Failure, nested, refused
from .middleware import Middleware, seal, unseal
from .values import OutputRefused


def error_of(failed: CallFailed) -> StepError:
    """Make the error that a call raises, of what is recorded of its failure.

    Raises:
        ContextSerdeError: That is none.
    """
    error, key = failed.error, failed.key
    failure, live = _failure(error), error if isinstance(error, Exception) else None
    if failure.exception is None:  # there is none to speak of: what refused the call says it all
        live = None
    return failure.step_error(key.step_id or "", key_text(key), failed.attempts, live)


def write_error(error: object) -> object:
    """Write what a record has of a failure: an exception, or what was written before.

    Raises:
        ContextSerdeError: It is something else.
    """
    return _failure(error).write()


def _failure(error: object) -> Failure:
    if isinstance(error, Failure):
        return error
    if not isinstance(error, Exception):
        return Failure.read(error)
    if isinstance(error, OutputRefused):
        return refused(str(error))
    if isinstance(error, NestedStepError) and not error.key:  # of this very call
        return nested(error.message)
    return Failure.of(error)


class Sealed:
    """An output whose values go through the middleware's `encode`, and back."""

    def __init__(self, output: AnyOutput, middleware: Sequence[Middleware]) -> None:
        self._output = output
        self._middleware = middleware

    def settle(self, value: object) -> tuple[object, object]:
        """As `Output.settle`.

        Raises:
            OutputRefused: It cannot be written; or an `encode` raised.
        """
        if not self._middleware:
            return self._output.settle(value)
        data, live = self._output.settle(value)
        try:
            return seal(self._middleware, data), live
        except Exception as error:
            raise OutputRefused(f"Middleware did not encode it: {error}") from error

    def read(self, data: object) -> object:
        """As `Output.read`."""
        return self._output.read(unseal(self._middleware, data))
