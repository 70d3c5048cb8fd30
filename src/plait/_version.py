"""Which plait this is. A leaf, and a constant: asking the installed files takes 40 ms."""

from typing import Final

#: The same as in pyproject.toml.
VERSION: Final = "0.1.0"
