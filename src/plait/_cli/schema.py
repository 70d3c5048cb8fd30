"""`plait schema`: the JSON Schema of flow files."""

from __future__ import annotations

import sys

from .exits import WELL


def schema() -> int:
    """Print the JSON Schema of flow files, for editors.

    A file says so in its first line: # yaml-language-server: $schema=flow.schema.json
    """
    from plait._strands._flows.schema import shipped

    sys.stdout.write(shipped())
    return WELL
