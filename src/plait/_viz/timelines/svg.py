"""A timeline as SVG: sharp at any size, in light and in dark, and told in words for who cannot see it.

What a bar means is in its form as well as in its colour: a failure is crossed, a wait is hatched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from plait._viz.drawing import cut
from plait._viz.formats.svg import text

from .timeline import Bar, Row, Timeline, said, times

#: Pixels.
NAME: Final = 190.0
HIGH: Final = 22.0
TOP: Final = 30.0
EDGE: Final = 12.0
#: So wide is time drawn, if nobody says otherwise.
WIDE: Final = 900.0
#: No bar is thinner than this: what took no time is seen.
THIN: Final = 2.0
#: What a letter takes, and how long a name may be.
LETTER: Final = 6.2
LONGEST: Final = 28

STYLE: Final = """
.timeline { --paper: #ffffff; --ink: #1f2328; --faint: #59636e; --grid: #d8dee4; --band: #f6f8fa;
  --well: #4c9a63; --bad: #c4342b; --off: #8b949e; --open: #3b7dd8; --wait: #bf8a30; --queue: #d5dbe3;
  font-family: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
@media (prefers-color-scheme: dark) {
  .timeline { --paper: #0d1117; --ink: #e6edf3; --faint: #9da7b3; --grid: #2a313a; --band: #12171f;
    --well: #3f8f57; --bad: #d9534a; --off: #7d8590; --open: #4f8fe6; --wait: #c79a4a; --queue: #343c47; } }
.timeline .paper { fill: var(--paper); } .timeline .band { fill: var(--band); }
.timeline .grid { stroke: var(--grid); stroke-width: 1; }
.timeline text { font-size: 12px; fill: var(--ink); } .timeline .faint { fill: var(--faint); font-size: 11px; }
.timeline .group { font-weight: 600; } .timeline .on { fill: #ffffff; font-size: 11px; pointer-events: none; }
.timeline .succeeded { fill: var(--well); } .timeline .failed { fill: var(--bad); }
.timeline .cancelled { fill: var(--off); } .timeline .interrupted { fill: var(--off); }
.timeline .open { fill: var(--open); }
.timeline .wait, .timeline .retry { stroke: var(--wait); stroke-width: 1; }
.timeline .retry { stroke-dasharray: 3 2; }
.timeline .cross { stroke: #ffffff; stroke-width: 1.5; pointer-events: none; }
.timeline .hatch { stroke: var(--wait); stroke-width: 1.2; }
.timeline .beside { pointer-events: none; paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
.timeline .depth { fill: var(--queue); stroke: var(--off); stroke-width: 1; }
""".strip()


def timeline_svg(
    laid_out: Timeline,
    *,
    width: float = WIDE,
    key: str = "timeline",
    most: int | None = None,
    styled: bool = True,
) -> str:
    """Draw a timeline.

    Args:
        laid_out: The timeline.
        width: How wide time is drawn, in pixels.
        key: Begins the ids in it: where several pictures are in one page, each needs its own.
        most: Labels are cut at so many characters; by default at what there is room for.
        styled: Whether its style is in it; a page has that already.
    """
    picture = _Picture(laid_out, width, key, most, STYLE if styled else "")
    return "\n".join(picture.lines()) + "\n"


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


class _Picture:
    def __init__(
        self, laid_out: Timeline, width: float, key: str, most: int | None, style: str
    ) -> None:
        self._most = most
        self._style = style
        self._laid_out = laid_out
        self._width = width
        self._key = key
        self._scale = width / laid_out.length if laid_out.length > 0 else 0.0

    def _x(self, at: float) -> float:
        return NAME + at * self._scale

    def lines(self) -> Iterator[str]:
        laid_out, key = self._laid_out, self._key
        wide = NAME + self._width + EDGE + 4 * LETTER
        high = TOP + HIGH * max(len(laid_out.rows), 1) + EDGE
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="timeline" role="img" '
            f'width="{_n(wide)}" height="{_n(high)}" viewBox="0 0 {_n(wide)} {_n(high)}" '
            f'aria-labelledby="{key}-title {key}-about">'
        )
        yield f'<title id="{key}-title">{text(laid_out.title)}</title>'
        yield f'<desc id="{key}-about">{text(told(laid_out))}</desc>'
        if self._style:
            yield f"<style>{self._style}</style>"
        yield (
            f'<defs><pattern id="{key}-hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
            f'patternTransform="rotate(45)"><line class="hatch" x1="0" y1="0" x2="0" y2="6"/>'
            f"</pattern></defs>"
        )
        yield f'<rect class="paper" width="{_n(wide)}" height="{_n(high)}"/>'
        yield from self._bands(wide)
        yield from self._axis(high)
        for place, row in enumerate(laid_out.rows):
            yield from self._row(place, row)
        yield "</svg>"

    def _bands(self, wide: float) -> Iterator[str]:
        """Every second group is on a band of its own."""
        even, before = False, None
        for place, row in enumerate(self._laid_out.rows):
            even = even if row.group == before else not even
            before = row.group
            if not even:
                y = TOP + HIGH * place
                yield f'<rect class="band" y="{_n(y)}" width="{_n(wide)}" height="{_n(HIGH)}"/>'

    def _axis(self, high: float) -> Iterator[str]:
        for at in times(self._laid_out.length):
            x = _n(self._x(at))
            yield f'<line class="grid" x1="{x}" y1="{_n(TOP - 6)}" x2="{x}" y2="{_n(high - 6)}"/>'
            yield f'<text class="faint" x="{x}" y="16" text-anchor="middle">{text(said(at))}</text>'

    def _row(self, place: int, row: Row) -> Iterator[str]:
        top = TOP + HIGH * place
        middle = _n(top + HIGH / 2 + 4)
        rows = self._laid_out.rows
        if row.group and (not place or rows[place - 1].group != row.group):
            name = cut(row.group, LONGEST - len(row.name) - 2 if row.name else LONGEST)
            yield (
                f'<text class="group" x="8" y="{middle}"><title>{text(row.group)}</title>'
                f"{text(name)}</text>"
            )
        yield (
            f'<text class="faint" x="{_n(NAME - 8)}" y="{middle}" text-anchor="end">'
            f"{text(row.name)}</text>"
        )
        if row.depth:
            yield from self._depth(top, row)
        for bar in row.bars:
            yield from self._bar(top, bar)

    def _bar(self, top: float, bar: Bar) -> Iterator[str]:
        x, y, high = self._x(bar.began), top + 3, HIGH - 6
        # A gap of a pixel tells two bars apart that follow each other at once.
        wide = max((bar.ended - bar.began) * self._scale - 1, THIN)
        fill, kind = "", bar.ending
        shape = "bar"
        if bar.what != "run":
            fill, shape = f' fill="url(#{self._key}-hatch)"', bar.what
        classes = f"{shape} {kind}" if bar.what == "run" else shape
        yield (
            f'<g data-activity="{text(bar.activity)}"><title>{text(about(bar))}</title>'
            f'<rect class="{classes}" x="{_n(x)}" y="{_n(y)}" width="{_n(wide)}" '
            f'height="{_n(high)}" rx="2"{fill}/>'
        )
        if bar.what == "run":
            yield from self._ending(bar, x, y, wide, high)
        room = int((wide - 8) / LETTER)
        if room >= min(len(bar.label), 4):
            on = "on" if bar.what == "run" else "faint beside"
            label = bar.label if self._most is None else cut(bar.label, self._most)
            label = label if bar.what == "run" else f"{label} {bar.note}"
            yield (
                f'<text class="{on}" x="{_n(x + 4)}" y="{_n(y + high - 4)}">'
                f"{text(cut(label, room))}</text>"
            )
        yield "</g>"

    def _ending(self, bar: Bar, x: float, y: float, wide: float, high: float) -> Iterator[str]:
        """Cross what failed, and strike through what was cancelled."""
        right = x + wide
        left = max(right - 9, x)
        up, down = y + 4, y + high - 4
        if bar.ending in {"failed", "cancelled", "interrupted"} and wide >= THIN * 3:
            yield self._stroke(left, down, right - 2, up)
        if bar.ending == "failed" and wide >= THIN * 3:
            yield self._stroke(left, up, right - 2, down)

    def _stroke(self, x1: float, y1: float, x2: float, y2: float) -> str:
        return f'<line class="cross" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"/>'

    def _depth(self, top: float, row: Row) -> Iterator[str]:
        most = max(count for _, count in row.depth)
        base, room = top + HIGH - 3, HIGH - 6
        points = [f"M{_n(self._x(row.depth[0][0]))} {_n(base)}"]
        for at, count in row.depth:
            points.append(f"H{_n(self._x(at))}V{_n(base - room * count / most)}")
        end = self._x(self._laid_out.length)
        points.append(f"H{_n(end)}V{_n(base)}Z")
        yield (
            f"<g><title>{text(f'{row.group} {row.name}: {most} at most'.strip())}</title>"
            f'<path class="depth" d="{"".join(points)}"/>'
            f'<text class="faint" x="{_n(end + 4)}" y="{_n(top + HIGH / 2 + 4)}">{most}</text></g>'
        )


def about(bar: Bar) -> str:
    """Tell a bar in words."""
    how = {"run": bar.ending, "wait": "waits", "retry": "waits"}[bar.what]
    how = "goes on" if how == "open" else how
    time = f"{said(bar.began)} to {said(bar.ended)}, {said(bar.ended - bar.began)}"
    return "\n".join([f"{bar.label}: {how}", time, *([bar.note] if bar.note else [])])


def told(laid_out: Timeline) -> str:
    """Tell a timeline in words."""
    bars = sum(len(row.bars) for row in laid_out.rows)
    failed = sum(bar.ending == "failed" for row in laid_out.rows for bar in row.bars)
    rows = len(laid_out.rows)
    return f"{laid_out.status}, {said(laid_out.length)}; {rows} rows, {bars} bars, {failed} failed."
