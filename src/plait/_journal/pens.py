"""Pens: each writes the body of one class of records as text, at once.

The same text as `canonical.to_bytes` makes of what the form writes, and by far the commonest way: to make a
mapping of each record and have an encoder look at it was half of what writing a record costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter, call
from typing import Any, Final

from .canonical import to_text
from .forms import VALUE, Form, Values

#: Calls each of several functions with its own argument, without code of Python's between them.
_CALL: Final[Any] = call


class Pen:
    """Writes bodies of one class.

    Args:
        fields: How each of them is written; at least two.

    Example:
        >>> from plait._kernel.functions.records import FunctionCancelled
        >>> from .forms import COUNT, SECONDS, TEXT
        >>> pen = Pen({"at": SECONDS, "reason": TEXT, "cause": COUNT})
        >>> pen.write(FunctionCancelled(2, "why", 1), None)
        '{"at":2.0,"cause":1,"reason":"why"}'
    """

    def __init__(self, fields: Mapping[str, Form]) -> None:
        names = sorted(fields)
        places = ",".join([f'"{name}":%s' for name in names])
        self._template: Final = f"{{{places}}}"
        self._look: Final = attrgetter(*names)
        #: What is a user's is a text by then.
        self._texts: Final = tuple(fields[name].text or str for name in names)
        self._users: Final = tuple(k for k, name in enumerate(names) if fields[name] is VALUE)

    def write(self, record: object, values: Values) -> str:
        """Write a body.

        Args:
            record: Of this pen's class.
            values: Writes users' values.

        Raises:
            ContextSerdeError: One of them cannot be written.
            ValueError: There is a number that JSON has not.
            TypeError: There is something that JSON has not.
        """
        seen: Any = self._look(record)
        if self._users:
            seen = [*seen]
            for place in self._users:
                seen[place] = _text(seen[place], values)
        texts: Iterator[str] = map(_CALL, self._texts, seen)
        return self._template % tuple(texts)


def pen_for(fields: Mapping[str, Form]) -> Pen | None:
    """Make a pen, if each of the fields is a user's value, or can be written as text at once."""
    if len(fields) < 2 or not all(form is VALUE or form.text for form in fields.values()):
        return None
    return Pen(fields)


def _text(value: object, values: Values) -> str:
    if value is None:
        return "null"
    data = values.encode(value)
    return int.__repr__(data) if type(data) is int else to_text(data)
