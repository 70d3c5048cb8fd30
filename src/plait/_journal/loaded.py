"""Classes of pydantic and msgspec.

The two libraries are looked up in `sys.modules`, never imported: whoever has such a class has
imported its library. Nothing else is here, so that `import plait` need not load the codec for it.
"""

from __future__ import annotations

import sys


def is_pydantic(kind: type) -> bool:
    """Say whether a class is a pydantic model."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(kind, pydantic.BaseModel)


def is_struct(kind: type) -> bool:
    """Say whether a class is a msgspec struct."""
    msgspec = sys.modules.get("msgspec")
    return msgspec is not None and issubclass(kind, msgspec.Struct)
