"""A codec of values for tests: it knows the classes that it is given, and the very exceptions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from plait._errors import ContextSerdeError


class PlainValues:
    """Writes attrs classes by their names, and exceptions by their places in a list of its own.

    Exceptions are equal to themselves only, so it gives back the one that it was given.
    """

    def __init__(self, classes: Iterable[type]) -> None:
        self.classes = {kind.__name__: kind for kind in classes}
        self.errors: list[BaseException] = []

    def encode(self, value: object, /) -> Any:
        if value is None or type(value) in {bool, int, float, str}:
            return value
        if isinstance(value, type):
            return {"class": self._name(value)}
        if isinstance(value, BaseException):
            if value not in self.errors:
                self.errors.append(value)
            return {"error": self.errors.index(value)}
        if isinstance(value, tuple):
            return {"tuple": [self.encode(one) for one in value]}
        fields = attrs.fields(type(value))
        inner = {f.name: self.encode(getattr(value, f.name)) for f in fields}
        return {"event": self._name(type(value)), "fields": inner}

    def _name(self, kind: type) -> str:
        if self.classes.get(kind.__name__) is not kind:
            raise ContextSerdeError(f"Class {kind.__name__} is not known")
        return kind.__name__

    def decode(self, data: Any, /) -> object:
        if data is None or type(data) in {bool, int, float, str}:
            return data
        try:
            match data:
                case {"class": name}:
                    return self.classes[name]
                case {"error": place}:
                    return self.errors[place]
                case {"tuple": members}:
                    return tuple(self.decode(one) for one in members)
                case {"event": name, "fields": fields}:
                    inner = {key: self.decode(one) for key, one in fields.items()}
                    return self.classes[name](**inner)
                case _:
                    raise ContextSerdeError(f"{data!r} is nothing")
        except (LookupError, TypeError, AttributeError) as error:
            raise ContextSerdeError(f"{data!r} is nothing: {error!r}") from error
