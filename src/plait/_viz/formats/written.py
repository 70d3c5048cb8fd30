"""The formats of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, assert_never, get_args

from plait._viz.drawing import Drawing

from .dot import dot
from .mermaid import mermaid
from .page import page
from .svg import svg
from .text import text

Format: TypeAlias = Literal["html", "svg", "dot", "mermaid", "text"]
FORMATS: Final[tuple[str, ...]] = get_args(Format)


def written(found: Sequence[Drawing], form: Format) -> str:
    """Write drawings in a format; where it has room for one, the first.

    Raises:
        MissingExtra: For SVG, neither graphlay nor Graphviz is installed.
        PlaitError: It is too large for a picture.
    """
    match form:
        case "html":
            return page(found)
        case "svg":
            return svg(found[0])
        case "dot":
            return dot(found[0])
        case "mermaid":
            return mermaid(found[0])
        case "text":
            return "\n".join(map(text, found))
        case _:
            assert_never(form)
