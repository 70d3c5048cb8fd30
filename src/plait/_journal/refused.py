"""What cannot be written or read, and where in the value it lies."""

from __future__ import annotations

from plait._errors import ContextSerdeError
from plait._show import show

#: What a reader of an error needs to see of a place.
LONGEST_PATH = 200


class Refused(Exception):  # noqa: N818 - a signal, which ends as a ContextSerdeError
    """A part of a value was refused. On its way out it learns where that part lies."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: str = reason
        #: From the inside out.
        self.path: list[str] = []

    def inside(self, name: object) -> Refused:
        """Say that this happened in a field, or below a key."""
        plain = isinstance(name, str) and name.isidentifier()
        self.path.append(f".{name}" if plain else f"[{show(name, 40)}]")
        return self

    def at(self, index: int) -> Refused:
        """Say that this happened in an item of a list."""
        self.path.append(f"[{index}]")
        return self

    def error(self, start: str) -> ContextSerdeError:
        """Make the error that users see; `start` is the place of the whole value."""
        path = (start + "".join(reversed(self.path))).removeprefix(".")
        if len(path) > LONGEST_PATH:
            path = f"{path[: LONGEST_PATH // 2]}…{path[-LONGEST_PATH // 2 :]}"
        error = ContextSerdeError(f"{path}: {self.reason}" if path else self.reason)
        error.__cause__ = self.__cause__
        return error
