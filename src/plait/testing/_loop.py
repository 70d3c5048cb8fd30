"""No loop inside another: what starts one says so in words that help."""

from __future__ import annotations

import asyncio

import trio


def refuse_a_loop(what: str) -> None:
    """Raise `RuntimeError` if an event loop runs here."""
    running = trio.lowlevel.in_trio_run()
    if not running:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
    raise RuntimeError(
        f"{what} runs Trio by itself, and an event loop is running here.\n"
        "Call it from a plain function:  def test_...(): ..."
    )
