"""Annotations, taken apart into event classes."""

from __future__ import annotations

from typing import TypeGuard, get_origin

from plait._annotations import members_of
from plait._event import Event


def is_event_class(kind: object) -> TypeGuard[type[Event]]:
    """Say whether this is an event class."""
    return isinstance(kind, type) and issubclass(kind, Event)


def events_of(hint: object) -> tuple[type[Event], ...]:
    """The event classes of `E` or `A | B`; none if anything else is among them."""
    members = [get_origin(member) or member for member in members_of(hint)]
    events = tuple(filter(is_event_class, members))
    return events if len(events) == len(members) else ()


def event_classes(hints: tuple[object, ...]) -> tuple[type[Event], ...]:
    """Pick the event classes."""
    bare = [get_origin(hint) or hint for hint in hints]
    return tuple(filter(is_event_class, bare))


def without_arguments(hint: object) -> object:
    """Make `E` of `E[int]`: events go by their class."""
    return next(iter(event_classes((hint,))), hint)
