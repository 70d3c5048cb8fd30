"""A planted bug is data: what is written wrong where, and which tests must see it.

The package knows nothing of it. Its text must occur exactly once in its file: so a refactoring cannot
disarm a bug in silence, and whoever moves the text moves the bug.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[2]
PACKAGE: Final = ROOT / "src" / "plait"

#: One file a layer.
LAYERS: Final = ("kernel", "engine", "events", "journal", "durable", "flows")


@attrs.frozen(kw_only=True)
class Bug:
    """One mistake that could really be made."""

    layer: str
    name: str
    #: Why it could really happen.
    why: str
    file: str
    text: str
    becomes: str
    #: The tests of which one must fail, as pytest is told of them.
    suite: tuple[str, ...] = attrs.field(converter=tuple)

    def written_into(self, source: str) -> str:
        """Make the mistake in the text of its file.

        Raises:
            ValueError: What it mistakes is not there exactly once.
        """
        if (count := source.count(self.text)) != 1:
            raise ValueError(f"{self.name!r} is disarmed: {self.file} has its text {count} times")
        return source.replace(self.text, self.becomes)


def planted() -> Iterator[Bug]:
    """Read all bugs, layer by layer."""
    for layer in LAYERS:
        listed = tomllib.loads((HERE / f"{layer}.toml").read_text(encoding="utf-8"))["bug"]
        for bug in listed:
            yield Bug(layer=layer, **bug)
