"""What a provider's `configuration` and `input` may say: keys, kinds of values, styles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import attrs

Kind: TypeAlias = Literal[
    "any",
    "text",
    "texts",
    "bool",
    "int",
    "duration",
    "size",
    "mapping",
    "list",
    "path",
    "word",
    "special",
]

CONFIGURATION: Final = frozenset({"C"})
INPUT: Final = frozenset({"I"})
BOTH: Final = CONFIGURATION | INPUT


@attrs.frozen
class Option:
    """One key of a provider.

    Attributes:
        name: The key.
        kind: What its value must be, once it is rendered.
        where: `"C"`: in `configuration`; `"I"`: in a mapping that is the `input`.
        legacy: Templates in it always give text; in a newer one, a lone expression keeps its type.
        words: What may stand here, if there are only so many words for it.
    """

    name: str
    kind: Kind
    where: frozenset[str] = BOTH
    legacy: bool = False
    words: tuple[str, ...] = ()


@attrs.frozen(eq=False)
class Options:
    """A rendered `input` that is options, laid over the configuration: the payload of such a call.

    Attributes:
        values: The options.
        folders: Of a relative path among them: where it starts, by the key.
    """

    values: Mapping[str, object]
    folders: Mapping[str, str] = attrs.field(factory=dict[str, str])
