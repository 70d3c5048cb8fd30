from __future__ import annotations

from tests.strands.flows.flowing import checked, files, wrong

__all__ = ["checked", "files", "wrong"]
