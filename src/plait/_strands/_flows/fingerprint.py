"""What a step asks for, as a short text: equal if nothing that matters has changed."""

from __future__ import annotations

from collections.abc import Iterable

from plait._abc import JSON

from .outputs import Output
from .redaction import Redactor


def fingerprint(
    provider: str,
    configuration: JSON,
    payload: JSON,
    outputs: Iterable[Output],
    redactor: Redactor,
) -> str:
    """Make the fingerprint of a step, from what was rendered."""
    raise NotImplementedError
