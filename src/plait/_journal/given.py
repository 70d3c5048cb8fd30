"""What users give as a journal: an object of any class that has what a journal has, or a path."""

from __future__ import annotations

from os import PathLike, fspath
from typing import TypeGuard

from plait._abc import Journal


def is_journal(given: object) -> TypeGuard[Journal]:
    """Say whether it can be asked what a journal is asked: users' journals derive from nothing."""
    asked = ("open", "aclose", "append", "read", "streams")
    return not isinstance(given, type) and all(
        callable(getattr(given, name, None)) for name in asked
    )


def journal_of(given: Journal | str | PathLike[str]) -> Journal:
    """Take a journal, or the path of a file for one."""
    if isinstance(given, str | PathLike):
        from .sqlite import SqliteJournal  # noqa: PLC0415 - few programs need SQLite

        return SqliteJournal(fspath(given))
    return given
