"""What `ctx.group.parallel` takes and gives: its branches, checked, and the classes of results."""

from __future__ import annotations

import inspect
import types
import warnings
from collections.abc import Callable
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, cast, final

import attrs

from plait._naming import publish
from plait._show import show

from .checks import SHOWN

T_co = TypeVar("T_co", covariant=True)

OnError: TypeAlias = Literal["cancel", "wait"]

MODES: Final = ("all", "settled", "race", "any")
ON_ERROR: Final = ("cancel", "wait")


@final
@attrs.frozen
class Ok(Generic[T_co]):
    """A branch that has returned, in `mode="settled"`.

    Example:
        >>> Ok("sent").value
        'sent'
    """

    value: T_co


@final
@attrs.frozen
class Failed:
    """A branch that has failed, in `mode="settled"`.

    Example:
        >>> str(Failed(OSError("no disk")).error)
        'no disk'
    """

    error: Exception


@final
@attrs.frozen
class Winner(Generic[T_co]):
    """The branch that came first, in `mode="race"` and `mode="any"`.

    Attributes:
        branch: Its place in the tuple, from 0.
        value: What it returned.

    Example:
        >>> Winner(0, "sent").value
        'sent'
    """

    branch: int
    value: T_co


class LoopVariableWarning(UserWarning):
    """Branches of a group are one and the same: lambdas in a loop see the loop variable's last value.

    Example:
        ```python
        await ctx.group.map("get-user", update_user, user_ids)
        ```
    """


def check_branches(branches: object, mode: object = "all", on_error: object = "cancel") -> None:
    """Refuse what `parallel` cannot run, and warn of branches that are the same.

    Raises:
        TypeError: It is no tuple of functions; the text says what to write.
        ValueError: `mode` or `on_error` is no such word, or there is no branch that could win.
    """
    if not isinstance(branches, tuple):
        raise TypeError(_no_tuple(branches))
    given = cast("tuple[object, ...]", branches)
    for n, branch in enumerate(given):
        if not callable(branch):
            _close(*given)
            raise TypeError(
                f"parallel() takes a tuple of functions, and branch {n} is "
                f"{_what(branch)}{_instead(branch)}"
            )
    _check_word("mode", mode, MODES)
    _check_word("on_error", on_error, ON_ERROR)
    if not given and mode in ("race", "any"):
        raise ValueError(f"parallel(mode={mode!r}) needs a branch: nobody can win")
    same = _same(given)
    if same:
        warnings.warn(
            f"Branches {same[0]} and {same[1]} of parallel() are the same {_what(given[same[1]])}: "
            "made in a loop, they all see the last value of its variable\n"
            '  write ctx.group.map("step-id", handler, items), or lambda item=item: ...',
            LoopVariableWarning,
            stacklevel=_callers_level(),
        )


def _no_tuple(branches: object) -> str:
    head = "parallel() takes a tuple of functions, not "
    if inspect.iscoroutine(branches):
        _close(branches)
        return f"{head}a coroutine: write (lambda: ctx.step.run(...), ...)"
    if callable(branches):
        return f"{head}one function: write ({_name(branches)},)"
    if isinstance(branches, list):
        _close(*cast("list[object]", branches))
        return f"{head}a list: write (..., ...) instead of [..., ...], or tuple(branches)"
    return f"{head}{show(branches, SHOWN)}: write (lambda: ctx.step.run(...), ...)"


def _what(branch: object) -> str:
    if inspect.iscoroutine(branch):
        return f"a coroutine of {branch.__qualname__}"
    if getattr(branch, "__name__", None) == "<lambda>":
        return "lambda"
    return show(branch, SHOWN)


def _instead(branch: object) -> str:
    if inspect.isawaitable(branch):
        return ", which has been called already: write lambda: before the call"
    return ""


def _name(branch: Callable[..., object]) -> str:
    name = getattr(branch, "__name__", "branch")
    return "lambda: ..." if name == "<lambda>" else str(name)


def _close(*branches: object) -> None:
    """Spare the user Python's warning that these were never awaited: the error says it better."""
    for branch in branches:
        if inspect.iscoroutine(branch):
            branch.close()


def _check_word(name: str, given: object, words: tuple[str, ...]) -> None:
    if given not in words:
        known = " or ".join(map(repr, words))
        raise ValueError(f"parallel() takes {name}={known}, not {show(given, SHOWN)}")


def _same(branches: tuple[Any, ...]) -> tuple[int, int] | None:
    """Find two functions that differ in nothing. One function given twice is no such mistake."""
    seen: dict[tuple[object, ...], int] = {}
    for n, branch in enumerate(branches):
        if not isinstance(branch, types.FunctionType):
            continue
        parts = (
            *(branch.__closure__ or ()),
            "defaults",
            *(branch.__defaults__ or ()),
            *(branch.__kwdefaults__ or {}).values(),
        )
        first = seen.setdefault((branch.__code__, *map(id, parts)), n)
        if branches[first] is not branch:
            return first, n
    return None


def _callers_level() -> int:
    """Count the frames from `warnings.warn` to the code that called plait."""
    level = 1
    frame = inspect.currentframe()
    frame = frame and frame.f_back
    while frame and str(frame.f_globals.get("__name__")).partition(".")[0] == "plait":
        level += 1
        frame = frame.f_back
    return level


publish("plait.durable", Ok, Failed, Winner, LoopVariableWarning)
