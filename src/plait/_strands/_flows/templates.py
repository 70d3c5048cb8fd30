"""Templates in the values of a flow file: compiled once, at check time, rendered for each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from .names import Names
from .problems import Path, Place, Problems
from .references import Reference, Scope

Style: TypeAlias = Literal["text", "native"]


class TemplateError(Exception):
    """A template cannot be rendered.

    Attributes:
        kind: `"template"`, or `"when"`.
        message: Why.
    """

    def __init__(self, message: str, kind: str = "template") -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind


class Tree:
    """A value with its templates compiled."""

    references: tuple[Reference, ...]
    has_templates: bool

    def render(self, names: Names) -> object:
        """Render. Raises TemplateError."""
        raise NotImplementedError


class Expression:
    """A compiled `when`."""

    references: tuple[Reference, ...]

    def evaluate(self, names: Names) -> bool:
        """Evaluate. Raises TemplateError, with kind "template" or "when"."""
        raise NotImplementedError


def compile_tree(
    value: object,
    *,
    path: Path,
    place: Callable[[Path], Place],
    style: Callable[[Path], Style],
    problems: Problems,
    scope: Scope,
    always: bool = False,
    lenient: bool = False,
) -> Tree:
    """Compile the templates in a value. `always`: a value that is one string is a template (input)."""
    raise NotImplementedError


def compile_when(
    value: bool | str,  # noqa: FBT001
    *,
    path: Path,
    place: Callable[[Path], Place],
    problems: Problems,
    scope: Scope,
) -> bool | Expression:
    """Compile a `when`."""
    raise NotImplementedError


def as_text(value: object, template: str) -> str:
    """Turn a rendered object into text, by the rule for text around it. Raises TemplateError."""
    raise NotImplementedError


def split_words(text: str) -> list[str]:
    """Split a command like `shlex`, a template block counting as part of its word. Raises ValueError."""
    raise NotImplementedError


def quotes_for_shell(text: str) -> bool:
    """Say whether each template in this text ends in `| shquote`."""
    raise NotImplementedError
