"""Exceptions as they are recorded, and the errors that users get: live and after recovery.

Rule 1: name, message and stack are taken down once, when the exception is raised, and never differ.
Rule 2: `__cause__` is the very exception while the process lives. After that it is built again, if its
    class is loaded and makes the same text of the same arguments; else it is a `RecordedError`.
"""

from __future__ import annotations

import traceback
from typing import Any, Final, Literal, TypeAlias, cast

import attrs

from plait._errors import (
    ContextSerdeError,
    InvokeTimeoutError,
    NestedStepError,
    NonRetriableError,
    NonRetriableStepError,
    RecordedError,
    StepError,
    StepOutputError,
)

from .canonical import to_bytes
from .closed_set import full_name
from .exceptions import clean, text_of
from .values import Values

#: Which class the error of a call has.
How: TypeAlias = Literal["failed", "final", "nested", "output", "timeout"]

CLASSES: Final[dict[How, type[StepError]]] = {
    "failed": StepError,
    "final": NonRetriableStepError,
    "nested": NestedStepError,
    "output": StepOutputError,
    "timeout": InvokeTimeoutError,
}

#: How much of a message, and of a stack, is recorded, in characters.
LONGEST: Final = 65_536

#: How much an exception may carry along, in bytes of JSON.
LARGEST: Final = 2**20


def recorded_error(name: str, text: str) -> Exception:
    """Make what stands in for an exception: of its full name and its text."""
    return RecordedError(name.rpartition(".")[2], text)


class _Exceptions(Values):
    """Writes exceptions; of a user's values in them, what JSON and Python have."""

    stand_in = staticmethod(recorded_error)


_values: Final = _Exceptions()


@attrs.frozen
class Failure:
    """What is recorded of an exception.

    Attributes:
        name: The name of its class.
        message: Its text.
        stack: Its traceback, as text.
        how: Which class the error of the call has.
        exception: The exception, written; `None` if there was none.
    """

    name: str
    message: str
    stack: str
    how: How
    exception: object = None

    @classmethod
    def of(cls, error: Exception, how: How | None = None) -> Failure:
        """Take down an exception. This never fails, whatever the exception is.

        Args:
            error: The exception, as it was caught.
            how: By default `"final"` for a `NonRetriableError`, else `"failed"`.
        """
        if how is None:
            how = "final" if isinstance(error, NonRetriableError) else "failed"
        return cls(
            type(error).__name__, _cut(text_of(error)), _cut(_stack(error)), how, _written(error)
        )

    @classmethod
    def read(cls, data: object) -> Failure:
        """Read what `write` has made.

        Raises:
            ContextSerdeError: It is something else.
        """
        texts = ("name", "message", "stack", "how")
        found = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
        if (
            found.keys() != {*texts, "exception"}
            or not all(isinstance(found[name], str) for name in texts)
            or found["how"] not in CLASSES
        ):
            raise ContextSerdeError(f"This is no recorded failure: {data!r:.200}")
        return cls(**found)

    def write(self) -> object:
        """Write it as JSON values."""
        return attrs.asdict(self, recurse=False)

    def rebuilt(self) -> Exception | None:
        """Build the exception again; `None` if there was none.

        Raises:
            ContextSerdeError: What is recorded of it is not what plait writes.
        """
        if self.exception is None:
            return None
        found = self._read()
        if type(found).__name__ == self.name or isinstance(found, RecordedError):
            return found
        return RecordedError(self.name, self.message)

    def _read(self) -> Exception:
        found = _values.decode(self.exception)
        if not isinstance(found, Exception):
            raise ContextSerdeError(f"This is no recorded exception: {self.exception!r:.200}")
        return found

    def step_error(
        self, step_id: str, key: str, attempts: int, live: Exception | None = None
    ) -> StepError:
        """Make the error that a call raises.

        Args:
            step_id: The id of the call.
            key: Its key, as text.
            attempts: How many attempts failed.
            live: The exception itself, if it was raised in this process.

        Raises:
            ContextSerdeError: As for `rebuilt`.
        """
        error = CLASSES[self.how](step_id, key, attempts, self.name, self.message, self.stack)
        error.__cause__ = self.rebuilt() if live is None else live
        return error


def refused(text: str) -> Failure:
    """Take down that an output cannot be recorded: `text` says what to annotate."""
    return Failure(StepOutputError.__name__, _cut(text), "", "output")


def nested(text: str) -> Failure:
    """Take down that a handler has made a call."""
    return Failure(NestedStepError.__name__, _cut(text), "", "nested")


def timed_out(text: str) -> Failure:
    """Take down that an invoked function did not end in time."""
    return Failure(InvokeTimeoutError.__name__, _cut(text), "", "timeout")


def _written(error: Exception) -> object:
    """Write an exception; only its name and its text, if it is too much, or too deep."""
    if len(text_of(error)) > LARGEST:  # which is much work to write, and its text is among it
        return _bare(error)
    try:
        data = _values.encode(error)
    except ContextSerdeError:
        return _bare(error)
    return data if len(to_bytes(data)) <= LARGEST else _bare(error)


def _bare(error: Exception) -> object:
    return {"$": ["error", full_name(type(error)), _cut(text_of(error)), None]}


def _stack(error: Exception) -> str:
    return "".join(traceback.format_exception(error))


def _cut(text: str) -> str:
    text = clean(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
