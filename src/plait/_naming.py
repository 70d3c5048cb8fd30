"""Public names: what users import from `plait.errors` says so in tracebacks. A leaf."""

from __future__ import annotations


def publish(module: str, *classes: type) -> None:
    """Let classes name the module that users import them from, not the one they are written in."""
    for cls in classes:
        cls.__module__ = module
