"""What is wrong with a template, or with what it is rendered with. Jinja is not needed for it."""

from __future__ import annotations


class TemplateError(Exception):
    """A template cannot be rendered with these names.

    Attributes:
        message: Why.
        kind: `"template"`; `"when"` if it is the result of a `when` that is of no use.
    """

    def __init__(self, message: str, kind: str = "template") -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind


class NullInText(TemplateError):  # noqa: N818 - reads as what it says
    """There is a null among text: who knows the template says which."""

    def __init__(self, template: str = "") -> None:
        shown = template if len(template) <= 200 else f"{template[:200]}..."
        super().__init__(f"null inside text: {shown}")


class TooMuch(TemplateError):  # noqa: N818 - reads as what it says
    """A template goes beyond a limit."""


class Uncompilable(Exception):  # noqa: N818 - reads as what it says
    """A template is wrong whatever it is rendered with. The text says why."""


class NotOneExpression(Uncompilable):
    """There is more than one expression where one should be."""
