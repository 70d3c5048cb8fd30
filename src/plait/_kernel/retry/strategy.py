"""What every condition, wait and stop is: a callable of one argument, the `RetryState`.

Rule 1: tenacity's strategies are called with a state of the same attributes. So they fit wherever
    plait's do, and so does any function; its own combinators pass the state as `retry_state`.
Rule 2: time and chance are arguments. A strategy has no clock and no memory: what it says depends
    on nothing but the question, so a run says the same after recovery as before the crash.
Rule 3: one question has one generator, made from its seed, and every random wait in it draws the
    next number: two that are added vary independently, and the sum still follows from the seed.
Rule 4: `&`, `|` and `+` flatten, so `(a | b) | c` equals `a | (b | c)`, and a sum of thousands of
    strategies is a loop, not a recursion.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, Self, TypeVar, cast, overload

import attrs

from plait._naming import publish

if TYPE_CHECKING:
    from collections.abc import Callable

S = TypeVar("S")
P = TypeVar("P", bound="Callable[[Any], Any]")


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


class Strategy:
    """The base of plait's own."""

    __slots__ = ()

    #: Its kind, in the words of error messages.
    wanted: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        publish("plait.retry", cls)

    if TYPE_CHECKING:

        def __call__(self, retry_state: RetryState) -> Any: ...

    @classmethod
    def check(cls, strategy: S) -> S:
        """Refuse what cannot be of this kind: among others a class that was not called."""
        of_another_kind = isinstance(strategy, Strategy) and strategy.wanted != cls.wanted
        if of_another_kind or isinstance(strategy, type) or not callable(strategy):
            raise TypeError(f"expected {cls.wanted}, not {strategy!r}")
        return strategy


@attrs.frozen(init=False, repr=False)
class Several(Strategy, Generic[P]):
    """A strategy made of others."""

    parts: tuple[P, ...]

    def __init__(self, *parts: P) -> None:
        object.__setattr__(self, "parts", tuple(map(self.check, parts)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.parts))})"


class Flat(Several[P]):
    """One in which the grouping makes no difference: Rule 4."""

    def __init__(self, *parts: P) -> None:
        flat: list[P] = []
        for part in parts:
            flat += cast("Self", part).parts if type(part) is type(self) else (part,)
        super().__init__(*flat)


class All(Flat[P]):
    """One that says yes if every part does."""

    def __call__(self, retry_state: RetryState) -> bool:
        return all(part(retry_state) for part in self.parts)


class AnyOf(Flat[P]):
    """One that says yes if one part does."""

    def __call__(self, retry_state: RetryState) -> bool:
        return any(part(retry_state) for part in self.parts)


@attrs.frozen(repr=False)
class Constant(Strategy):
    """One that says the same each time, and is the same with and without a call."""

    name: str
    answer: bool

    @overload
    def __call__(self) -> Self: ...
    @overload
    def __call__(self, retry_state: RetryState) -> bool: ...
    def __call__(self, retry_state: RetryState | None = None) -> Self | bool:
        return self if retry_state is None else self.answer

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str:
        return self.name
