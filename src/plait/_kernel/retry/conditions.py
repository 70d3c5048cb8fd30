"""Conditions: is this error worth another attempt?"""

# ruff: noqa: N801 - strategies are called as functions are, and compared and shown as values are.

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import attrs

from .arguments import must_be
from .strategy import All, AnyOf, Constant, RetryState, Strategy

AnyCondition: TypeAlias = Callable[[Any], bool]
Errors: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]


class Condition(Strategy):
    """The base of plait's conditions."""

    __slots__ = ()
    wanted = "a condition, such as retry_if_exception_type(OSError)"

    def __and__(self, other: AnyCondition) -> retry_all:
        return retry_all(self, other)

    def __rand__(self, other: AnyCondition) -> retry_all:
        return retry_all(other, self)

    def __or__(self, other: AnyCondition) -> retry_any:
        return retry_any(self, other)

    def __ror__(self, other: AnyCondition) -> retry_any:
        return retry_any(other, self)


class retry_all(All[AnyCondition], Condition):
    """Try again if every one of the conditions holds: `a & b`. Of none, every one does.

    Example:
        >>> fleeting = retry_if_exception_type(OSError) & retry_if_exception_message("busy")
        >>> retry_policy(retry=fleeting).next(0, 1, OSError("busy"))
        5.0
    """


class retry_any(AnyOf[AnyCondition], Condition):
    """Try again if one of the conditions holds: `a | b`. Of none, not one does.

    Example:
        >>> fleeting = retry_if_exception_type(OSError) | retry_if_exception_message("busy")
        >>> retry_policy(retry=fleeting).next(0, 1, ValueError("busy"))
        5.0
    """


class _Always(Constant, Condition):
    __slots__ = ()


retry_always: Final = _Always("retry_always", answer=True)
"""Try again whatever the error is. `retry_always()` is the same.

Example:
    >>> retry_policy(retry=retry_always).next(0, 1, ValueError())
    5.0
"""

retry_never: Final = _Always("retry_never", answer=False)
"""Never try again. `retry_never()` is the same.

Example:
    >>> retry_policy(retry=retry_never).next(0, 1, ValueError())
"""


@attrs.frozen
class retry_if_exception(Condition):
    """Try again if `predicate`, called with the error, says so.

    Example:
        >>> busy = retry_if_exception(lambda error: "busy" in str(error))
        >>> retry_policy(retry=busy).next(0, 1, OSError("the disk is busy"))
        5.0
    """

    predicate: Callable[[Exception], bool] = attrs.field(validator=must_be("callable", callable))

    def __call__(self, retry_state: RetryState) -> bool:
        return bool(self.predicate(retry_state.outcome.exception()))


def _errors(types: Errors) -> Errors:
    each = cast("tuple[object, ...]", types if isinstance(types, tuple) else (types,))
    if not all(isinstance(cls, type) and issubclass(cls, BaseException) for cls in each):
        raise TypeError(f"expected an exception class or a tuple of them, not {types!r}")
    return types


def _names(types: Errors) -> str:
    if not isinstance(types, tuple):
        return types.__qualname__
    names = ", ".join(cls.__qualname__ for cls in types)
    return f"({names},)" if len(types) == 1 else f"({names})"


@attrs.frozen
class _OfTypes(Condition):
    types: Errors = attrs.field(default=Exception, converter=_errors, repr=_names)


class retry_if_exception_type(_OfTypes):
    """Try again if the error is an instance of `types`: a class, or a tuple of classes.

    Example:
        >>> retry_policy(retry=retry_if_exception_type(OSError)).next(0, 1, TimeoutError())
        5.0
    """

    def __call__(self, retry_state: RetryState) -> bool:
        return isinstance(retry_state.outcome.exception(), self.types)


class retry_if_not_exception_type(retry_if_exception_type):
    """Try again unless the error is an instance of `types`: a class, or a tuple of classes.

    `retry_unless_exception_type` is the same.

    Example:
        >>> retry_policy(retry=retry_if_not_exception_type(ValueError)).next(0, 1, OSError())
        5.0
    """

    def __call__(self, retry_state: RetryState) -> bool:
        return not super().__call__(retry_state)


retry_unless_exception_type = retry_if_not_exception_type


class retry_if_exception_cause_type(_OfTypes):
    """Try again if the error was raised `from` one of `types`, directly or through others.

    Example:
        >>> error = ValueError("no answer")
        >>> error.__cause__ = TimeoutError()
        >>> retry_policy(retry=retry_if_exception_cause_type(OSError)).next(0, 1, error)
        5.0
    """

    def __call__(self, retry_state: RetryState) -> bool:
        error: BaseException = retry_state.outcome.exception()
        seen: set[int] = set()  # a chain of causes may be a ring
        while (cause := error.__cause__) is not None and id(cause) not in seen:
            if isinstance(cause, self.types):
                return True
            seen.add(id(cause))
            error = cause
        return False


@attrs.frozen
class retry_if_exception_message(Condition):
    """Try again if the error's text is `message`, or if it begins with what `match` matches.

    Raises:
        TypeError: Neither of the two was given, or both were.

    Example:
        >>> retry_policy(retry=retry_if_exception_message(match="HTTP 5..")).next(
        ...     0, 1, OSError("HTTP 503 Service Unavailable")
        ... )
        5.0
    """

    message: str | None = None
    match: str | re.Pattern[str] | None = None

    def __attrs_post_init__(self) -> None:
        name = f"{type(self).__name__}()"
        if self.message is None and self.match is None:
            raise TypeError(f"{name} missing 1 required argument 'message' or 'match'")
        if self.message is not None and self.match is not None:
            raise TypeError(f"{name} takes either 'message' or 'match', not both")
        if self.match is not None:
            re.compile(self.match)

    def __call__(self, retry_state: RetryState) -> bool:
        text = str(retry_state.outcome.exception())
        return text == self.message if self.match is None else bool(re.match(self.match, text))


class retry_if_not_exception_message(retry_if_exception_message):
    """Try again unless the error's text is `message`, or begins with what `match` matches.

    Raises:
        TypeError: Neither of the two was given, or both were.

    Example:
        >>> unless_gone = retry_if_not_exception_message(match="HTTP 4..")
        >>> retry_policy(retry=unless_gone).next(0, 1, OSError("HTTP 410 Gone"))
    """

    def __call__(self, retry_state: RetryState) -> bool:
        return not super().__call__(retry_state)
