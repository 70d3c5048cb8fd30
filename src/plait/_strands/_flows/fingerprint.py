"""What a step asks for, as a short text: the same if nothing that matters has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Final

from plait._abc import JSON

from .outputs import Output
from .redaction import Redactor

_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def fingerprint(
    provider: str,
    configuration: JSON,
    payload: JSON,
    outputs: Iterable[Output],
    redactor: Redactor,
) -> str:
    """Make the fingerprint of a step from what was rendered.

    Secrets are in it by name: a new password is no reason to do the work again. Files that a process
    reads are not in it.

    Args:
        provider: The name of the provider.
        configuration: The rendered configuration.
        payload: The rendered input.
        outputs: What is taken.
        redactor: Knows the secrets.
    """
    asked: JSON = [
        provider,
        redactor.named(configuration),
        redactor.named(payload),
        [output.definition for output in outputs],
    ]
    return hashlib.blake2b(_CANONICAL.encode(asked).encode(), digest_size=16).hexdigest()
