"""Reading the declared secrets, when a run starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .grammar import Secret
from .problems import Path, Place, Problems


def read_secrets(
    declared: Mapping[str, Secret],
    *,
    environ: Mapping[str, str],
    folder: Callable[[Path], str],
    place: Callable[[Path], Place],
    problems: Problems,
) -> dict[str, str]:
    """Read every secret; what cannot be read is a problem. `folder(path)`: that of the file that says it."""
    raise NotImplementedError
