"""How repetitions are tried."""

from __future__ import annotations

from .judge import faults
from .lives import Trial


def wrong(trial: Trial) -> str:
    """Live it, and say what is wrong in a line that repeats it; "" if nothing is."""
    try:
        found = faults(trial.live())
    except Exception as error:  # noqa: BLE001 - it is told with the line
        found = [f"{type(error).__name__}: {error}"]
    return f"{trial.line}  # {' '.join(found[0].split())[:400]}" if found else ""
