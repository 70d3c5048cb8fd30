"""How the help of a verb is laid out: plain text, each option with what goes on of it indented."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from cyclopts.help import PlainFormatter

if TYPE_CHECKING:
    from rich.console import Console

#: How far in what goes on of an option begins.
FURTHER: Final = " " * 6


class Indented(PlainFormatter):
    """Lays entries out anew: the formatter would wrap a text, and then once more with its name before it."""

    def _print_plain(self, console: Console, text: str) -> None:
        if text.startswith(self.indent):
            text = textwrap.fill(
                " ".join(text.split()),
                width=console.width,
                initial_indent=self.indent,
                subsequent_indent=FURTHER,
                break_on_hyphens=False,
            )
        super()._print_plain(console, text)
