"""Places in the user's code: of a function, a class, a call; and faults that carry them."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any, Protocol

from plait._errors import Fault, WorkflowValidationError


class FaultMaker(Protocol):
    """Makes a fault of a step: it has the step's place already."""

    def __call__(self, text: str, hint: str | None = None) -> WorkflowValidationError:
        """Say what is wrong, and what to write instead."""
        ...


def fault_maker(func: Callable[..., Any]) -> FaultMaker:
    """Make faults that carry the place of a function."""
    file, line = place(func)

    def make(text: str, hint: str | None = None) -> WorkflowValidationError:
        return WorkflowValidationError(Fault(text, file, line, func.__name__, hint))

    return make


def place(func: Callable[..., Any]) -> tuple[str | None, int | None]:
    """Find the file and line where a function is defined."""
    code = getattr(inspect.unwrap(func), "__code__", None)
    return (None, None) if code is None else (code.co_filename, code.co_firstlineno)


def class_place(cls: type) -> tuple[str | None, int | None]:
    """Find the file and line where a class is defined."""
    try:
        return inspect.getsourcefile(cls), inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):  # typed at a prompt, or made by a call
        return None, None


def caller() -> types.FrameType | None:
    """Find the code that called plait."""
    frame = inspect.currentframe()
    while frame and str(frame.f_globals.get("__name__")).partition(".")[0] == "plait":
        frame = frame.f_back
    return frame


def caller_place() -> tuple[str | None, int | None]:
    """Find the file and line from which plait was called."""
    frame = caller()
    return (None, None) if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def is_method(func: Callable[..., Any]) -> bool:
    """Say whether a function is defined in the body of a class."""
    parent = func.__qualname__.rpartition(".")[0]
    return bool(parent) and not parent.endswith("<locals>")
