"""Values of users in texts of plait. A leaf."""

from __future__ import annotations


def show(value: object, most: int | None = None) -> str:
    """`repr(value)`, cut at `most` characters; if it raises, what it raised.

    A text about a failure must not fail: half-made rows, proxies and mocks do raise in `repr`.
    """
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - whatever a user's class raises; the text says so
        text = f"<{type(value).__name__}, whose repr() raised {type(error).__name__}>"
    return text if most is None or len(text) <= most else text[: most - 1] + "…"
