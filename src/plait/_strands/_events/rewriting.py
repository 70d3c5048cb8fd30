"""The snapshot of a run inside another one, which nobody has read yet, for another serializer.

Rule: nobody here knows its workflow, so it is not read; but what a serializer has made a text of can be
    told from all else, and is a text of the other one's then. For who has none it is written as JSON,
    with the classes by name: whoever reads that knows them, or refuses them.
"""

from __future__ import annotations

from typing import Any, cast

from plait._errors import ContextSerdeError
from plait._journal.values import Values

from .serializers import BaseSerializer, are_alike, values_for


def rewritten(
    document: object, reader: BaseSerializer | None, writer: BaseSerializer | None
) -> object:
    """Write a snapshot by another serializer.

    Args:
        document: The snapshot.
        reader: What wrote its values; `None` for that of its workflow.
        writer: What shall read them; `None` for that of its workflow.

    Raises:
        ContextSerdeError: One of them cannot be read, or not be written.
    """
    if are_alike(reader, writer):
        return document
    values = values_for(writer, (), "")
    values.open_to_all()
    return _Rewriting(reader, values).of(document)


class _Rewriting:
    def __init__(self, reader: BaseSerializer | None, values: Values) -> None:
        self._reader = reader
        self._values = values

    def of(self, data: object) -> object:
        if isinstance(data, list):
            return [self.of(item) for item in cast("list[object]", data)]
        if not isinstance(data, dict):
            return data
        mapping = cast("dict[str, Any]", data)
        match mapping:
            case {"$": ["text", str() as text]}:
                return self._of_text(text)
            case _:
                return {key: self.of(item) for key, item in mapping.items()}

    def _of_text(self, text: str) -> object:
        if self._reader is None:
            raise ContextSerdeError(
                "A run inside this one was written down by the serializer of its own workflow, when "
                "this one was cancelled. It can be gone on with, or written down by that one: "
                "ctx.to_dict() without a serializer."
            )
        try:
            value = self._reader.deserialize(text)
        except Exception as error:
            said = f"deserialize() raised {type(error).__name__}: {error}"
            raise ContextSerdeError(f"A value of a run inside this one: {said}") from error
        return self._values.encode(value)
