"""Reading flow files: YAML 1.2 core with the place of each value, several files merged to one document."""

from __future__ import annotations

import attrs


@attrs.frozen
class Raw:
    """What stands under `!raw`: it is never rendered, nor searched for references."""

    value: object
