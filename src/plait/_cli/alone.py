"""Whether this process is the command's alone, or a program has called it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

#: May it take in children that have lost their parent, and end them?
alone: Final = ContextVar("alone", default=False)
