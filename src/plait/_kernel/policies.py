"""Retry policies: an attempt has failed; is there another, and after how long?

A policy is an object with `next(elapsed_time, attempts, error, *, seed=None)`, which gives the delay
in seconds, or `None` to give up. `retry_policy` builds one from three strategies: a condition (is
this error worth another attempt?), a wait (how long until then?) and a stop (was that enough?).

Rule 1: A strategy is a callable of one argument, the `RetryState`. So tenacity's strategies, which
    are called with a state of the same attributes, fit wherever plait's do, and so does any function.
Rule 2: The stop is asked last, since `stop_before_delay` must know the wait that would follow.
Rule 3: Time and chance are arguments. A policy has no clock and no memory: what it says depends on
    nothing but the question, so a run says the same after recovery as before the crash.
Rule 4: One question has one generator, made from its seed, and every random wait in it draws the
    next number: two that are added vary independently, and the sum still follows from the seed.
Rule 5: `&`, `|` and `+` flatten, so `(a | b) | c` equals `a | (b | c)`, and a sum of thousands of
    strategies is a loop, not a recursion.

What is wrong with an argument is said when the strategy is made, long before anything fails; what
is wrong with an answer is said by `ask`, the one place where the kernel questions a policy.
"""

# ruff: noqa: N801 - strategies are called as functions are, and compared and shown as values are.
# ruff: noqa: ARG002 - an answer need not use all that is known.

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    NoReturn,
    Protocol,
    Self,
    TypeAlias,
    TypeVar,
    cast,
    final,
    overload,
    runtime_checkable,
)

import attrs

from plait._errors import WorkflowRuntimeError

Condition: TypeAlias = Callable[[Any], bool]
Wait: TypeAlias = Callable[[Any], float]
Stop: TypeAlias = Callable[[Any], bool]
S = TypeVar("S")
P = TypeVar("P", bound=Callable[[Any], Any])
Errors: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]

# -- the question ----------------------------------------------------------------------------------


@attrs.define
class Outcome:
    """How the last attempt ended. It failed: about a success nobody asks."""

    error: Exception
    failed: ClassVar[bool] = True

    def exception(self) -> Exception:
        """Return the error."""
        return self.error

    def result(self) -> NoReturn:
        """Raise the error: a failed attempt has no result."""
        raise self.error


@attrs.define
class RetryState:
    """What strategies are called with."""

    #: How many attempts have failed, this one included: 1, 2, 3 …
    attempt_number: int
    #: Counted from the start of the first attempt.
    seconds_since_start: float
    outcome: Outcome
    #: What the wait has said. Only the stop, which is asked last, sees it.
    upcoming_sleep: float = 0.0
    seed: int | None = None
    generator: Random | None = None

    #: How much of the time was slept through: a policy has no memory, and does not know.
    idle_for: ClassVar[float] = 0.0

    def draw(self) -> float:
        """Draw the question's next number from [0, 1)."""
        if self.generator is None:
            self.generator = Random(self.seed)  # noqa: S311 - a delay is no secret
        # Of all methods, only this one promises the same numbers in every release of Python.
        return self.generator.random()


# -- arguments -------------------------------------------------------------------------------------


def _float(number: object, wanted: str) -> float:
    if isinstance(number, int | float) and not isinstance(number, bool):
        return float(number)
    raise TypeError(f"expected {wanted}, not {number!r}")


def _number(number: float) -> float:
    return _float(number, "a number")


def _seconds(duration: float | timedelta) -> float:
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    return _float(duration, "seconds or a timedelta")


def _must_be(wanted: str, holds: Callable[[Any], bool]) -> Callable[[Any, Any, Any], None]:
    def check(strategy: Any, argument: Any, value: Any) -> None:
        if not holds(value):
            name = f"{type(strategy).__name__}: {argument.name}"
            raise ValueError(f"{name} must be {wanted}, not {value!r}")

    return check


# NaN is in no interval, and so refused by all of these.
_finite = _must_be("finite", math.isfinite)
_positive = _must_be("finite and greater than 0", lambda number: 0 < number < math.inf)
_not_negative = _must_be("finite and at least 0", lambda number: 0 <= number < math.inf)
_limit = _must_be("at least 0", lambda number: number >= 0)
_count = _must_be(
    "an integer greater than 0",
    lambda n: isinstance(n, int) and not isinstance(n, bool) and n > 0,
)


def _in_order(wait: Any, _argument: Any, _value: Any) -> None:
    if wait.min > wait.max:
        name = type(wait).__name__
        raise ValueError(f"{name}: min must be at most max, but {wait.min} > {wait.max}")


class _Strategy:
    __slots__ = ()

    #: Its kind, in the words of error messages.
    wanted: ClassVar[str]

    if TYPE_CHECKING:

        def __call__(self, state: RetryState) -> Any: ...

    @classmethod
    def check(cls, strategy: S) -> S:
        """Refuse what cannot be such a strategy: among others a class that was not called."""
        of_another_kind = isinstance(strategy, _Strategy) and strategy.wanted != cls.wanted
        if of_another_kind or isinstance(strategy, type) or not callable(strategy):
            raise TypeError(f"expected {cls.wanted}, not {strategy!r}")
        return strategy


@attrs.frozen(init=False, repr=False)
class _Several(_Strategy, Generic[P]):
    parts: tuple[P, ...]

    def __init__(self, *parts: P) -> None:
        object.__setattr__(self, "parts", tuple(map(self.check, parts)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.parts))})"


def _flat(kind: type[_Several[Any]], *parts: Any) -> Iterator[Any]:
    for part in parts:
        if type(part) is kind:
            yield from part.parts
        else:
            yield part


@attrs.frozen(repr=False)
class _Constant(_Strategy):
    name: str
    answer: bool

    @overload
    def __call__(self) -> Self: ...
    @overload
    def __call__(self, state: RetryState) -> bool: ...
    def __call__(self, state: RetryState | None = None) -> Self | bool:
        return self if state is None else self.answer

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str:
        return self.name


# -- conditions ------------------------------------------------------------------------------------


class _Condition(_Strategy):
    __slots__ = ()
    wanted = "a condition, such as retry_if_exception_type(OSError)"

    def __and__(self, other: Condition) -> retry_all:
        return retry_all(*_flat(retry_all, self, other))

    def __rand__(self, other: Condition) -> retry_all:
        return retry_all(*_flat(retry_all, other, self))

    def __or__(self, other: Condition) -> retry_any:
        return retry_any(*_flat(retry_any, self, other))

    def __ror__(self, other: Condition) -> retry_any:
        return retry_any(*_flat(retry_any, other, self))


class retry_all(_Several[Condition], _Condition):
    """Try again if every one of the conditions holds: `a & b`. Of none, every one does.

    Example:
        >>> fleeting = retry_if_exception_type(OSError) & retry_if_exception_message("busy")
        >>> retry_policy(retry=fleeting).next(0, 1, OSError("busy"))
        5.0
    """

    def __call__(self, state: RetryState) -> bool:
        return all(part(state) for part in self.parts)


class retry_any(_Several[Condition], _Condition):
    """Try again if one of the conditions holds: `a | b`. Of none, not one does.

    Example:
        >>> fleeting = retry_if_exception_type(OSError) | retry_if_exception_message("busy")
        >>> retry_policy(retry=fleeting).next(0, 1, ValueError("busy"))
        5.0
    """

    def __call__(self, state: RetryState) -> bool:
        return any(part(state) for part in self.parts)


class _Always(_Constant, _Condition):
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
class retry_if_exception(_Condition):
    """Try again if `predicate`, called with the error, says so.

    Example:
        >>> busy = retry_if_exception(lambda error: "busy" in str(error))
        >>> retry_policy(retry=busy).next(0, 1, OSError("the disk is busy"))
        5.0
    """

    predicate: Callable[[Exception], bool] = attrs.field(validator=_must_be("callable", callable))

    def __call__(self, state: RetryState) -> bool:
        return bool(self.predicate(state.outcome.exception()))


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
class retry_if_exception_type(_Condition):
    """Try again if the error is an instance of `types`: a class, or a tuple of classes.

    Example:
        >>> retry_policy(retry=retry_if_exception_type(OSError)).next(0, 1, TimeoutError())
        5.0
    """

    types: Errors = attrs.field(default=Exception, converter=_errors, repr=_names)

    def __call__(self, state: RetryState) -> bool:
        return isinstance(state.outcome.exception(), self.types)


class retry_if_not_exception_type(retry_if_exception_type):
    """Try again unless the error is an instance of `types`: a class, or a tuple of classes.

    `retry_unless_exception_type` is the same.

    Example:
        >>> retry_policy(retry=retry_if_not_exception_type(ValueError)).next(0, 1, OSError())
        5.0
    """

    def __call__(self, state: RetryState) -> bool:
        return not super().__call__(state)


retry_unless_exception_type = retry_if_not_exception_type


@attrs.frozen
class retry_if_exception_cause_type(_Condition):
    """Try again if the error was raised `from` one of `types`, directly or through others.

    Example:
        >>> error = ValueError("no answer")
        >>> error.__cause__ = TimeoutError()
        >>> retry_policy(retry=retry_if_exception_cause_type(OSError)).next(0, 1, error)
        5.0
    """

    types: Errors = attrs.field(default=Exception, converter=_errors, repr=_names)

    def __call__(self, state: RetryState) -> bool:
        error: BaseException = state.outcome.exception()
        seen: set[int] = set()  # a chain of causes may be a ring
        while (cause := error.__cause__) is not None and id(cause) not in seen:
            if isinstance(cause, self.types):
                return True
            seen.add(id(cause))
            error = cause
        return False


@attrs.frozen
class retry_if_exception_message(_Condition):
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

    def __call__(self, state: RetryState) -> bool:
        text = str(state.outcome.exception())
        return text == self.message if self.match is None else bool(re.match(self.match, text))


class retry_if_not_exception_message(retry_if_exception_message):
    """Try again unless the error's text is `message`, or begins with what `match` matches.

    Raises:
        TypeError: Neither of the two was given, or both were.

    Example:
        >>> unless_gone = retry_if_not_exception_message(match="HTTP 4..")
        >>> retry_policy(retry=unless_gone).next(0, 1, OSError("HTTP 410 Gone"))
    """

    def __call__(self, state: RetryState) -> bool:
        return not super().__call__(state)


# -- waits -----------------------------------------------------------------------------------------


class _Wait(_Strategy):
    __slots__ = ()
    wanted = "a wait, such as wait_fixed(5)"

    def __add__(self, other: Wait) -> wait_combine:
        return wait_combine(*_flat(wait_combine, self, other))

    # `sum` begins with 0.
    def __radd__(self, other: Wait | int) -> wait_combine:
        parts = (self,) if other == 0 else (other, self)
        return wait_combine(*_flat(wait_combine, *parts))


class wait_combine(_Several[Wait], _Wait):
    """Wait as long as all the waits together: `a + b`, or `sum([a, b])`.

    Example:
        >>> retry_policy(wait=wait_fixed(5) + wait_exponential()).next(0, 2, OSError())
        7.0
    """

    def __call__(self, state: RetryState) -> float:
        return sum((part(state) for part in self.parts), 0.0)


class wait_chain(_Several[Wait], _Wait):
    """Take the first wait after the first failure, the second after the second, and so on.

    The last one serves all further failures.

    Raises:
        ValueError: There is no wait.

    Example:
        >>> patient = retry_policy(
        ...     wait=wait_chain(wait_none(), wait_fixed(10)), stop=stop_after_attempt(4)
        ... )
        >>> [patient.next(0, failures, OSError()) for failures in (1, 2, 3, 4)]
        [0.0, 10.0, 10.0, None]
    """

    def __init__(self, *strategies: Wait) -> None:
        if not strategies:
            raise ValueError("wait_chain requires at least one strategy")
        super().__init__(*strategies)

    def __call__(self, state: RetryState) -> float:
        place = min(max(state.attempt_number, 1), len(self.parts))
        return self.parts[place - 1](state)


@attrs.frozen
class wait_fixed(_Wait):
    """Wait equally long each time.

    Example:
        >>> retry_policy(wait=wait_fixed(timedelta(minutes=1))).next(0, 1, OSError())
        60.0
    """

    wait: float = attrs.field(converter=_seconds, validator=_not_negative)

    def __call__(self, state: RetryState) -> float:
        return self.wait


@attrs.frozen
class wait_none(_Wait):
    """Try again at once.

    Example:
        >>> retry_policy(wait=wait_none()).next(0, 1, OSError())
        0.0
    """

    def __call__(self, state: RetryState) -> float:
        return 0.0


@attrs.frozen
class wait_incrementing(_Wait):
    """Wait `start` seconds the first time, and `increment` more each further time, up to `max`.

    A negative `increment` makes the waits shorter, down to 0.

    Example:
        >>> retry_policy(wait=wait_incrementing(1, 10)).next(0, 2, OSError())
        11.0
    """

    start: float = attrs.field(default=0.0, converter=_seconds, validator=_finite)
    increment: float = attrs.field(default=100.0, converter=_seconds, validator=_finite)
    max: float = attrs.field(default=math.inf, converter=_seconds, validator=_limit)

    def __call__(self, state: RetryState) -> float:
        grown = self.start + self.increment * (state.attempt_number - 1)
        return max(0.0, min(grown, self.max))


#: What a power that is larger than any float counts as.
_HUGE: Final = math.nextafter(math.inf, 0)


def _power(base: float, exponent: int) -> float:
    try:
        return base**exponent
    except OverflowError:
        return _HUGE


@attrs.frozen
class wait_exponential(_Wait):
    """Wait `multiplier` seconds the first time, and `exp_base` times as long each further time.

    It is never less than `min` and never more than `max`.

    Example:
        >>> retry_policy(wait=wait_exponential(multiplier=0.5)).next(0, 2, OSError())
        1.0
    """

    multiplier: float = attrs.field(default=1.0, converter=_number, validator=_not_negative)
    exp_base: float = attrs.field(default=2.0, converter=_number, validator=_positive)
    max: float = attrs.field(default=60.0, converter=_seconds, validator=_limit)
    min: float = attrs.field(default=0.0, converter=_seconds, validator=[_not_negative, _in_order])

    def __call__(self, state: RetryState) -> float:
        grown = self.multiplier * _power(self.exp_base, state.attempt_number - 1)
        return max(self.min, min(grown, self.max))


class wait_random_exponential(wait_exponential):
    """Wait at random between `min` and what `wait_exponential` would wait.

    Of many that fail together, few then come back together. `wait_full_jitter` is the same.

    Example:
        >>> 0 <= retry_policy(wait=wait_random_exponential()).next(0, 2, OSError(), seed=7) <= 2
        True
    """

    def __call__(self, state: RetryState) -> float:
        most = super().__call__(state)
        return min(self.min + (most - self.min) * state.draw(), most)


wait_full_jitter = wait_random_exponential


@attrs.frozen
class wait_random(_Wait):
    """Wait at random between `min` and `max` seconds.

    Example:
        >>> 5 <= retry_policy(wait=wait_random(5, 6)).next(0, 1, OSError(), seed=7) <= 6
        True
    """

    min: float = attrs.field(default=0.0, converter=_seconds, validator=_not_negative)
    max: float = attrs.field(default=1.0, converter=_seconds, validator=[_not_negative, _in_order])

    def __call__(self, state: RetryState) -> float:
        return min(self.min + (self.max - self.min) * state.draw(), self.max)


@attrs.frozen
class wait_exponential_jitter(_Wait):
    """Wait as `wait_exponential` does from `initial` on, and at random up to `jitter` seconds more.

    It is never more than `max`.

    Example:
        >>> policy = retry_policy(wait=wait_exponential_jitter())
        >>> 2 <= policy.next(0, 2, OSError(), seed=7) <= 3
        True
    """

    initial: float = attrs.field(default=1.0, converter=_seconds, validator=_not_negative)
    exp_base: float = attrs.field(default=2.0, converter=_number, validator=_positive)
    max: float = attrs.field(default=60.0, converter=_seconds, validator=_limit)
    jitter: float = attrs.field(default=1.0, converter=_seconds, validator=_not_negative)

    def __call__(self, state: RetryState) -> float:
        grown = self.initial * _power(self.exp_base, state.attempt_number - 1)
        return min(grown + self.jitter * state.draw(), self.max)


# -- stops -----------------------------------------------------------------------------------------


class _Stop(_Strategy):
    __slots__ = ()
    wanted = "a stop, such as stop_after_attempt(3)"

    def __and__(self, other: Stop) -> stop_all:
        return stop_all(*_flat(stop_all, self, other))

    def __rand__(self, other: Stop) -> stop_all:
        return stop_all(*_flat(stop_all, other, self))

    def __or__(self, other: Stop) -> stop_any:
        return stop_any(*_flat(stop_any, self, other))

    def __ror__(self, other: Stop) -> stop_any:
        return stop_any(*_flat(stop_any, other, self))


class stop_all(_Several[Stop], _Stop):
    """Give up when every one of the stops says so: `a & b`. Of none, every one does.

    Example:
        >>> stop = stop_after_attempt(3) & stop_after_delay(60)
        >>> retry_policy(stop=stop).next(10, 5, OSError())
        5.0
    """

    def __call__(self, state: RetryState) -> bool:
        return all(part(state) for part in self.parts)


class stop_any(_Several[Stop], _Stop):
    """Give up when one of the stops says so: `a | b`. Of none, not one does.

    Example:
        >>> stop = stop_after_attempt(3) | stop_after_delay(60)
        >>> retry_policy(stop=stop).next(10, 5, OSError())
    """

    def __call__(self, state: RetryState) -> bool:
        return any(part(state) for part in self.parts)


class _Never(_Constant, _Stop):
    __slots__ = ()


stop_never: Final = _Never("stop_never", answer=False)
"""Never give up. `stop_never()` is the same.

Example:
    >>> retry_policy(stop=stop_never).next(0, 1000, OSError())
    5.0
"""


@attrs.frozen
class stop_after_attempt(_Stop):
    """Give up when `n` attempts have failed, the first one included.

    Example:
        >>> policy = retry_policy(stop=stop_after_attempt(2))
        >>> [policy.next(0, failures, OSError()) for failures in (1, 2)]
        [5.0, None]
    """

    n: int = attrs.field(validator=_count)

    def __call__(self, state: RetryState) -> bool:
        return state.attempt_number >= self.n


@attrs.frozen
class stop_after_delay(_Stop):
    """Give up when `s` seconds or more have passed since the first attempt began.

    The last wait may end later than that; `stop_before_delay` prevents it.

    Example:
        >>> policy = retry_policy(stop=stop_after_delay(10))
        >>> [policy.next(elapsed, 1, OSError()) for elapsed in (9, 10)]
        [5.0, None]
    """

    s: float = attrs.field(converter=_seconds, validator=_limit)

    def __call__(self, state: RetryState) -> bool:
        return state.seconds_since_start >= self.s


@attrs.frozen
class stop_before_delay(_Stop):
    """Give up when the next attempt would begin `s` seconds or more after the first.

    Example:
        >>> policy = retry_policy(stop=stop_before_delay(10))
        >>> [policy.next(elapsed, 1, OSError()) for elapsed in (4, 5)]
        [5.0, None]
    """

    s: float = attrs.field(converter=_seconds, validator=_limit)

    def __call__(self, state: RetryState) -> bool:
        return state.seconds_since_start + state.upcoming_sleep >= self.s


# -- policies --------------------------------------------------------------------------------------


@runtime_checkable
class RetryPolicy(Protocol):
    """Whatever decides about retries. Its `next` may leave out `seed`.

    Example:
        >>> class Thrice:
        ...     def next(self, elapsed_time, attempts, error, *, seed=None):
        ...         return 0.5 if attempts < 3 else None
        >>> isinstance(Thrice(), RetryPolicy)
        True
    """

    def next(
        self, elapsed_time: float, attempts: int, error: Exception, *, seed: int | None = None
    ) -> float | None:
        """Say how many seconds the next attempt shall wait, or `None` to give up.

        Args:
            elapsed_time: The seconds since the first attempt began.
            attempts: How many attempts have failed.
            error: The error of the last one.
            seed: Where chance comes from: the same seed must give the same answer.
        """
        ...


class AnyRetryPolicy(Protocol):
    """What a type checker shall accept as a policy: every `RetryPolicy`, and one without `seed`."""

    def next(self, elapsed_time: float, attempts: int, error: Exception, /) -> float | None:
        """As `RetryPolicy.next`."""
        ...


def _condition(condition: Condition | None) -> Condition:
    return _Condition.check(retry_if_exception_type() if condition is None else condition)


def _wait(wait: Wait | Literal[0]) -> Wait:
    return _Wait.check(wait_none() if wait == 0 else wait)


def _stop(stop: Stop) -> Stop:
    return _Stop.check(stop)


@attrs.frozen
class retry_policy:
    """A policy of three strategies: retry on which errors, how long to wait, when to give up.

    Each may be one of this module's, one of tenacity's, or a function of your own. That is called
    with a state that has `attempt_number` (the failures so far), `seconds_since_start`,
    `outcome.exception()` and, for a stop, `upcoming_sleep`. This module's random waits follow from
    the seed; what other code draws is its own affair, and differs from one recovery to the next.

    Args:
        retry: The condition; by default every exception is worth another attempt.
        wait: The wait, in seconds. 0, which is the `sum` of no waits, is no wait.
        stop: The stop.

    Raises:
        TypeError: An argument is no such strategy.

    Example:
        >>> policy = retry_policy(
        ...     retry=retry_if_exception_type(OSError),
        ...     wait=wait_exponential(multiplier=0.1) + wait_random(0, 0.1),
        ...     stop=stop_after_attempt(5) | stop_before_delay(30),
        ... )
        >>> policy.next(0, 1, ValueError())
        >>> policy.next(0, 1, OSError(), seed=7) == policy.next(0, 1, OSError(), seed=7)
        True
    """

    retry: Condition = attrs.field(default=None, converter=_condition)
    wait: Wait = attrs.field(default=wait_fixed(5), converter=_wait)
    stop: Stop = attrs.field(default=stop_after_attempt(3), converter=_stop)

    def next(
        self, elapsed_time: float, attempts: int, error: Exception, *, seed: int | None = None
    ) -> float | None:
        """As `RetryPolicy.next`; without a seed, chance is fresh."""
        state = RetryState(attempts, elapsed_time, Outcome(error), seed=seed)
        if not self.retry(state):
            return None
        state.upcoming_sleep = self.wait(state)
        return None if self.stop(state) else state.upcoming_sleep


@final
@attrs.frozen
class ConstantDelayRetryPolicy:
    """Wait equally long each time, until `maximum_attempts` have failed.

    Example:
        >>> policy = ConstantDelayRetryPolicy(maximum_attempts=3, delay=0.5)
        >>> [policy.next(0, failures, OSError()) for failures in (1, 2, 3)]
        [0.5, 0.5, None]
    """

    maximum_attempts: int = attrs.field(default=3, validator=_count)
    delay: float = attrs.field(default=5.0, converter=_seconds, validator=_not_negative)

    def next(
        self, elapsed_time: float, attempts: int, error: Exception, *, seed: int | None = None
    ) -> float | None:
        """As `RetryPolicy.next`."""
        return self.delay if attempts < self.maximum_attempts else None


@final
@attrs.frozen
class ExponentialBackoffRetryPolicy:
    """Wait longer each time, up to `max_delay`, until `maximum_attempts` have failed.

    With `jitter` a wait is drawn at random between 0 and what it would be without.

    Example:
        >>> policy = ExponentialBackoffRetryPolicy(jitter=False)
        >>> [policy.next(0, failures, OSError()) for failures in (1, 2, 3, 4, 5)]
        [1.0, 2.0, 4.0, 8.0, None]
    """

    maximum_attempts: int = attrs.field(default=5, validator=_count)
    initial_delay: float = attrs.field(default=1.0, converter=_seconds, validator=_not_negative)
    multiplier: float = attrs.field(default=2.0, converter=_number, validator=_positive)
    max_delay: float = attrs.field(default=60.0, converter=_seconds, validator=_limit)
    jitter: bool = True

    def next(
        self, elapsed_time: float, attempts: int, error: Exception, *, seed: int | None = None
    ) -> float | None:
        """As `RetryPolicy.next`; without a seed, chance is fresh."""
        if attempts >= self.maximum_attempts:
            return None
        kind = wait_random_exponential if self.jitter else wait_exponential
        wait = kind(self.initial_delay, self.multiplier, self.max_delay)
        return wait(RetryState(attempts, elapsed_time, Outcome(error), seed=seed))


@final
@attrs.frozen
class RetryInfo:
    """What `ctx.retry_info()` knows: how often this delivery has failed, and how.

    Attributes:
        retry_number: How many attempts have failed; 0 in the first.
        elapsed_seconds: Counted from the start of the first attempt.
        last_exception: The last attempt's error, if there was one.
        last_failed_at: Its time, in UTC.

    Example:
        >>> RetryInfo(0, 0.0, None, None).retry_number
        0
    """

    retry_number: int
    elapsed_seconds: float
    last_exception: Exception | None
    last_failed_at: datetime | None


# -- asking ----------------------------------------------------------------------------------------

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
    if isinstance(answer, int | float) and not isinstance(answer, bool) and 0 <= answer <= _HUGE:
        return float(answer)
    raise WorkflowRuntimeError(
        f"Retry policy {policy!r} answered {answer!r} to failure {failures}.\n"
        "  next() must return a finite number of seconds, at least 0, or None to give up."
    ) from error
