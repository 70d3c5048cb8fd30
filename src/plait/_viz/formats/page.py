"""Drawings as a page: one HTML file that opens without a network and asks nobody for anything.

Its policy forbids all but its own style and script, which it knows by their digests. Names are texts
in it, never markup. Without its script the pictures can be scrolled; without eyes there is a table.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from plait._errors import MissingExtra
from plait._viz.drawing import Arrow, Drawing, Node
from plait._viz.placing.layout import too_large

from .mermaid import mermaid
from .svg import STYLE as PICTURE
from .svg import svg, text, told

HERE: Final = Path(__file__).parent
STYLE: Final = PICTURE + (HERE / "page.css").read_text(encoding="utf-8")
SCRIPT: Final = (HERE / "page.js").read_text(encoding="utf-8")

#: What kinds of nodes are called.
KINDS: Final = {
    "step": "step",
    "start": "start",
    "stop": "end",
    "outside": "outside",
    "resource": "resource",
    "workflow": "workflow",
    "event": "event",
    "time": "planned time",
    "function": "function",
}

TOOLS: Final = (
    '<div class="tools" hidden>'
    '<button type="button" data-key="-" aria-label="Smaller">–</button>'
    '<button type="button" data-key="+" aria-label="Larger">+</button>'
    '<button type="button" data-key="0">Fit</button></div>'
)


def page(drawings: Sequence[Drawing]) -> str:
    """Make a page of drawings, the first of which is what it is about."""
    sections = (line for n, one in enumerate(drawings, 1) for line in _section(one, n))
    return document(drawings[0].title, sections)


def document(title: str, body: Iterable[str], style: str = "") -> str:
    """Make a page of lines of HTML.

    Args:
        title: A text.
        body: What is in it: markup, with all texts written as such.
        style: What its parts need beside the style of all pages.
    """
    return "\n".join(_document(title, body, style)) + "\n"


def _document(title: str, body: Iterable[str], style: str) -> Iterator[str]:
    styles = [STYLE, *([style] if style else [])]
    yield "<!DOCTYPE html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_policy(styles)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{text(title)}</title>"
    for one in styles:
        yield f"<style>{one}</style>"
    yield "</head>"
    yield "<body>"
    yield "<main>"
    yield from body
    yield "</main>"
    yield f"<script>{SCRIPT}</script>"
    yield "</body>"
    yield "</html>"


def _policy(styles: Iterable[str]) -> str:
    known = " ".join(f"'sha256-{_digest(one)}'" for one in styles)
    return (
        f"default-src 'none'; style-src {known}; "
        f"script-src 'sha256-{_digest(SCRIPT)}'; base-uri 'none'; form-action 'none'"
    )


def _digest(given: str) -> str:
    return base64.b64encode(hashlib.sha256(given.encode()).digest()).decode()


def _section(drawing: Drawing, number: int) -> Iterator[str]:
    level = "h1" if number == 1 else "h2"
    yield f'<section aria-labelledby="head-{number}">'
    yield f'<{level} id="head-{number}">{text(drawing.title)}</{level}>'
    if drawing.about:
        yield f'<p class="said">{text(". ".join(drawing.about))}.</p>'
    yield from picture(drawing, number)
    yield from _table(drawing)
    yield "</section>"


def picture(drawing: Drawing, number: int) -> Iterator[str]:
    """Frame the picture of a drawing: the page's script moves and zooms it."""
    if (why := too_large(drawing)) is not None:
        yield f'<p class="note">{text(why)}: the table has them all.</p>'
        return
    try:
        drawn = svg(drawing, key=f"p{number}")
    except MissingExtra as missing:
        yield f'<p class="note">There is no picture in this page: {text(str(missing))}.</p>'
        yield "<p>This is it as Mermaid, which many sites and editors draw:</p>"
        yield f"<pre>{text(mermaid(drawing))}</pre>"
        return
    yield '<div class="frame">'
    yield (
        '<div class="stage" tabindex="0" role="group" aria-label="Picture. Drag it or use the arrow '
        'keys to move it, plus, minus and Ctrl with the wheel to zoom, 0 to fit it.">'
    )
    yield drawn
    yield "</div>"
    yield TOOLS
    yield "</div>"


def _table(drawing: Drawing) -> Iterator[str]:
    labels = {node.name: node.whole for node in drawing.nodes}
    into: dict[str, list[str]] = {}
    out_of: dict[str, list[str]] = {}
    for arrow in drawing.arrows:
        into.setdefault(arrow.target, []).append(_end(labels[arrow.source], arrow))
        out_of.setdefault(arrow.source, []).append(_end(labels[arrow.target], arrow))
    yield '<div class="scroll"><table>'
    yield f"<caption>{text(told(drawing).partition('.')[0])}</caption>"
    heads = ("Name", "Kind", "To be known", "From", "To")
    yield (
        "<thead><tr>" + "".join(f'<th scope="col">{head}</th>' for head in heads) + "</tr></thead>"
    )
    yield "<tbody>"
    for node in drawing.nodes:
        yield _row(node, into.get(node.name, ()), out_of.get(node.name, ()))
    yield "</tbody>"
    yield "</table></div>"


def _row(node: Node, into: Iterable[str], out_of: Iterable[str]) -> str:
    cells = (text(KINDS[node.shape]), _list(node.marks), _list(into), _list(out_of))
    return (
        f'<tr><th scope="row">{text(node.whole)}</th>'
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + "</tr>"
    )


def _end(label: str, arrow: Arrow) -> str:
    return f"{label}: {arrow.whole}" if arrow.whole else label


def _list(items: Iterable[str]) -> str:
    written = "".join(f"<li>{text(item)}</li>" for item in items)
    return f"<ul>{written}</ul>" if written else ""
