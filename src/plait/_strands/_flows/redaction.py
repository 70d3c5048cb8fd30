"""Hides values by what they are, in everything that leaves a run."""

from __future__ import annotations

from collections.abc import Mapping

from plait._abc import JSON


class UnknownSecret(Exception):  # noqa: N818
    """A placeholder cannot be put back: the step that it was kept for runs again."""


class Redactor:
    """Knows the secrets of a run."""

    def add(self, value: object, name: str) -> None:
        """Hide this value from now on."""
        raise NotImplementedError

    def text(self, text: str, /) -> str:
        """Hide in this text what has to be hidden: `***`."""
        raise NotImplementedError

    def tree(self, value: JSON, /) -> JSON:
        """The same for every text and key in a JSON value, and for numbers that are a secret."""
        raise NotImplementedError

    def hide(self, value: JSON, /) -> JSON:
        """For the journal: placeholders that name the secrets instead."""
        raise NotImplementedError

    def named(self, value: JSON, /) -> JSON:
        """For fingerprints: the names of the secrets instead."""
        raise NotImplementedError


def reveal(value: JSON, secrets: Mapping[str, str]) -> JSON:
    """Put the values back for the placeholders of `Redactor.hide`.

    Raises:
        UnknownSecret: One of them is of a secret that is not in `secrets`.
    """
    raise NotImplementedError
