"""What a button says instead of doing what it was pressed for."""

from __future__ import annotations

from plait._errors import PlaitError


class Refused(PlaitError):  # noqa: N818 - says what has happened
    """What was asked for cannot be done now."""
