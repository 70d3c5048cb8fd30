"""Arguments of decorators and methods: what is usable, and the refusal of what is not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final, cast

from plait._event import Event

from .advice import its_class, made
from .annotations import is_event_class

GRAPH_CHECKS: Final = ("dead_end", "reachability", "terminal_event")


def is_positive(number: object) -> bool:
    """Say whether this is a number of seconds."""
    return isinstance(number, int | float) and not isinstance(number, bool) and number > 0


def is_count(number: object) -> bool:
    """Say whether this is an integer of at least 1."""
    return type(number) is int and number >= 1


def are_names(names: object) -> bool:
    """Say whether this is a list of texts."""
    return isinstance(names, list) and all(isinstance(name, str) for name in names)  # pyright: ignore[reportUnknownVariableType]


def has_method(thing: object, method: str) -> bool:
    """Say whether this is an object, not a class, with this method."""
    return not isinstance(thing, type) and callable(getattr(thing, method, None))


def check_names(names: Collection[str] | None) -> frozenset[str]:
    """Make a set of the names of graph checks; one may stand alone."""
    if names is None:
        return frozenset()
    several = not isinstance(names, str) and isinstance(cast("object", names), Iterable)
    return frozenset(map(str, names) if several else [str(names)])


def unknown_checks(names: Collection[str] | None) -> str | None:
    """Say which names are no graph checks."""
    unknown = sorted(check_names(names) - {*GRAPH_CHECKS})
    if not unknown:
        return None
    valid = ", ".join(GRAPH_CHECKS)
    return f"Unknown graph check names: {', '.join(unknown)}. Valid names are: {valid}"


def check_event(ev: object, where: str) -> None:
    """Refuse what is no event."""
    if not isinstance(ev, Event):
        raise TypeError(f"{where} takes an Event, not {ev!r}{made(ev)}")


def check_wait(kind: object, question: object, requirements: object, timeout: object) -> None:
    """Refuse arguments of `wait_for_event` that no event would ever answer."""
    if not is_event_class(kind):
        raise TypeError(f"wait_for_event() takes an Event class, not {kind!r}{its_class(kind)}")
    if not isinstance(question, Event | None):
        raise TypeError(
            f"wait_for_event() takes an Event as waiter_event, not {question!r}{made(question)}"
        )
    if not isinstance(requirements, Mapping | None):
        raise TypeError(
            "wait_for_event() takes requirements as a mapping of fields to values, "
            f"not {requirements!r}"
        )
    if not isinstance(timeout, int | float | None):
        raise TypeError(f"wait_for_event() takes a timeout in seconds or None, not {timeout!r}")
