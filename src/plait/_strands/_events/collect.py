"""What is collected: the marker of a `list[E]` parameter, and `expected` of `collect_events`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast, final

import attrs

from plait._kernel.collecting import Shape

from .advice import its_class
from .annotations import is_event_class


@attrs.frozen
class Cardinality:
    """How many of a stream's events a fan-in takes. Use `All()` or `Take(n)`."""


@final
@attrs.frozen
class All(Cardinality):
    """Every event of the stream: the fan-in runs when the stream has ended.

    Example:
        ```python
        evs: Annotated[list[Answer], Collect(All(), order="input")]
        ```
    """


def _at_least_one(_take: Take, _attribute: attrs.Attribute[int], n: object) -> None:
    if type(n) is not int or n < 1:
        raise ValueError("Take(n) requires an integer n >= 1")


@final
@attrs.frozen
class Take(Cardinality):
    """The first `n` events: the fan-in runs at the n-th, or at the end of a shorter stream.

    Args:
        n: How many.
        cancel_rest: Cancel the other branches of the stream then. By default they go on, and what
            they return has no effect.

    Raises:
        ValueError: `n` is no integer of at least 1.

    Example:
        ```python
        evs: Annotated[list[Answer], Collect(Take(2, cancel_rest=True))]
        ```
    """

    n: int = attrs.field(validator=_at_least_one)
    cancel_rest: bool = attrs.field(default=False, kw_only=True)


def _known_order(_collect: Collect, _attribute: attrs.Attribute[Any], order: object) -> None:
    if order not in ("arrival", "input"):
        raise ValueError(f"Collect order must be 'arrival' or 'input', not {order!r}")


@final
@attrs.frozen
class Collect:
    """Says how a `list[E]` parameter is filled from the stream that a returned list opens.

    Args:
        cardinality: `All()`, or `Take(n)` for the first `n`.
        order: `"arrival"`, or `"input"` for the order of the list that opened the stream.

    Raises:
        ValueError: The order is neither of the two.

    Example:
        ```python
        @step
        async def best(self, evs: Annotated[list[Answer], Collect(Take(2))]) -> StopEvent:
            return StopEvent(result=[ev.text for ev in evs])
        ```
    """

    cardinality: Cardinality = attrs.field(factory=All)
    order: Literal["arrival", "input"] = attrs.field(
        default="arrival", kw_only=True, validator=_known_order
    )


def shape_of(expected: Any) -> Shape:
    """Read what a batch of `collect_events` is to hold.

    Raises:
        TypeError: It is no list, tuple or mapping of event classes.
    """
    if not isinstance(expected, list | tuple | Mapping):
        raise TypeError(
            "collect_events expects a list, a tuple or a mapping of Event classes, "
            f"not {expected!r}. Write collect_events(ev, [E] * 3) or collect_events(ev, {{E: 3}})."
        )
    for kind in cast("Iterable[Any]", expected):
        if not is_event_class(kind):
            raise TypeError(f"collect_events expects Event classes, not {kind!r}{its_class(kind)}")
    if isinstance(expected, Mapping):
        for kind, count in cast("Mapping[type, Any]", expected).items():
            if type(count) is not int or count < 0:
                raise TypeError(f"collect_events expects how many {kind.__name__}, not {count!r}")
    return Shape.of(cast("Iterable[type]", expected))
