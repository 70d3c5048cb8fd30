"""Stops: was that enough?"""

# ruff: noqa: N801 - strategies are called as functions are, and compared and shown as values are.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import attrs

from .arguments import count, limit, seconds
from .strategy import All, AnyOf, Constant, RetryState, Strategy

AnyStop: TypeAlias = Callable[[Any], bool]


class Stop(Strategy):
    """The base of plait's stops."""

    __slots__ = ()
    wanted = "a stop, such as stop_after_attempt(3)"

    def __and__(self, other: AnyStop) -> stop_all:
        return stop_all(self, other)

    def __rand__(self, other: AnyStop) -> stop_all:
        return stop_all(other, self)

    def __or__(self, other: AnyStop) -> stop_any:
        return stop_any(self, other)

    def __ror__(self, other: AnyStop) -> stop_any:
        return stop_any(other, self)


class stop_all(All[AnyStop], Stop):
    """Give up when every one of the stops says so: `a & b`. Of none, every one does.

    Example:
        >>> stop = stop_after_attempt(3) & stop_after_delay(60)
        >>> retry_policy(stop=stop).next(10, 5, OSError())
        5.0
    """


class stop_any(AnyOf[AnyStop], Stop):
    """Give up when one of the stops says so: `a | b`. Of none, not one does.

    Example:
        >>> stop = stop_after_attempt(3) | stop_after_delay(60)
        >>> retry_policy(stop=stop).next(10, 5, OSError())
    """


class _Never(Constant, Stop):
    __slots__ = ()


stop_never: Final = _Never("stop_never", answer=False)
"""Never give up. `stop_never()` is the same.

Example:
    >>> retry_policy(stop=stop_never).next(0, 1000, OSError())
    5.0
"""


@attrs.frozen
class stop_after_attempt(Stop):
    """Give up when `n` attempts have failed, the first one included.

    Example:
        >>> policy = retry_policy(stop=stop_after_attempt(2))
        >>> [policy.next(0, failures, OSError()) for failures in (1, 2)]
        [5.0, None]
    """

    n: int = attrs.field(validator=count)

    def __call__(self, retry_state: RetryState) -> bool:
        return retry_state.attempt_number >= self.n


@attrs.frozen
class stop_after_delay(Stop):
    """Give up when `s` seconds or more have passed since the first attempt began.

    The last wait may end later than that; `stop_before_delay` prevents it.

    Example:
        >>> policy = retry_policy(stop=stop_after_delay(10))
        >>> [policy.next(elapsed, 1, OSError()) for elapsed in (9, 10)]
        [5.0, None]
    """

    s: float = attrs.field(converter=seconds, validator=limit)

    def __call__(self, retry_state: RetryState) -> bool:
        return retry_state.seconds_since_start >= self.s


@attrs.frozen
class stop_before_delay(Stop):
    """Give up when the next attempt would begin `s` seconds or more after the first.

    Example:
        >>> policy = retry_policy(stop=stop_before_delay(10))
        >>> [policy.next(elapsed, 1, OSError()) for elapsed in (4, 5)]
        [5.0, None]
    """

    s: float = attrs.field(converter=seconds, validator=limit)

    def __call__(self, retry_state: RetryState) -> bool:
        return retry_state.seconds_since_start + retry_state.upcoming_sleep >= self.s
