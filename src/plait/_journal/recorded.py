"""What the records of durable calls have of failures, and the errors that are made of it.

An exception is in the record itself while the process lives, since policies are asked about it. A
journal is given its `Failure`, and so is a snapshot.
"""

from __future__ import annotations

from plait._errors import NestedStepError, StepError
from plait._kernel.calls.keys import key_text
from plait._kernel.calls.records import CallFailed

from .failures import Failure, nested, refused
from .outputs import OutputRefused


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
