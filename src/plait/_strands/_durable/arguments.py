"""Arguments of calls that only functions make, and of contexts: what is wrong is raised at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plait._errors import ConfigError
from plait._show import show
from plait._steps.checks import SHOWN

from .checks import check_function
from .event import Event, is_typed_event_class, name_of


def predicate(name: str, given: Any, event: object) -> Callable[[Event[Any]], bool] | None:
    """Give what a wait asks of an event: of a class, also that its data is of it.

    Raises:
        ConfigError: It is no plain function of one event.
    """
    faults = [*check_function(name, given)]
    if faults:
        raise ConfigError(*faults)
    if not is_typed_event_class(event):
        return given  # type: ignore[no-any-return]
    kind: type[object] = event

    def accepts(received: Event[Any]) -> bool:
        return isinstance(received.data, kind) and (given is None or bool(given(received)))

    return accepts


def event_name(name: str, given: object) -> str:
    """Give the name under which an event travels.

    Raises:
        TypeError: It is neither a name nor a class of events.
        ValueError: It is an empty text.
    """
    return name_of(given, name)


def flag(name: str, given: object) -> bool:
    """Refuse what is neither true nor false.

    Raises:
        TypeError: As it says.
    """
    if not isinstance(given, bool):
        raise TypeError(f"{name} must be True or False, not {show(given, SHOWN)}")
    return given
