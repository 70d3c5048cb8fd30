"""jmespath: what selects a part of a step's data. Only `outputs` imports it, for the first selector.

It is jmespath as the library has it, and two functions more: `split(text, separator)` and
`from_json(text)`.
"""

from __future__ import annotations

import functools
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import jmespath
import jmespath.exceptions
import jmespath.functions

from plait._abc import JSON


class WrongSelector(ValueError):  # noqa: N818 - reads as what it says
    """This text is no selector. The exception's text says why, in one line."""


class CannotSelect(ValueError):  # noqa: N818 - reads as what it says
    """A function in a selector cannot do with this data what it shall."""


class _Functions(jmespath.functions.Functions):
    @jmespath.functions.signature({"types": ["string"]}, {"types": ["string"]})
    def _func_split(self, text: str, separator: str) -> list[str]:
        if not separator:
            raise CannotSelect("split() needs a separator")
        return text.split(separator)

    @jmespath.functions.signature({"types": ["string"]})
    def _func_from_json(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise CannotSelect(f"from_json(): no JSON: {error}") from None


_OPTIONS: Final = jmespath.Options(custom_functions=_Functions())

#: A comparison with a bare number, in a filter.
_BARE_NUMBER: Final = re.compile(r"\[\?[^\]]*[<>=]\s*-?\d")


class Selector:
    """A compiled selector."""

    def __init__(self, text: str, parsed: Any) -> None:
        self.text = text
        self._parsed = parsed

    def select(self, data: JSON) -> JSON:
        """Take a part of the data; a path that is not there gives null.

        Raises:
            CannotSelect: A function cannot do with this data what it shall.
        """
        try:
            return cast("JSON", self._parsed.search(data, options=_OPTIONS))
        except RecursionError:
            raise CannotSelect("nested too deeply") from None
        except (ValueError, TypeError, LookupError, ArithmeticError) as error:
            raise CannotSelect(_first_line(error)) from error


@functools.lru_cache(maxsize=1024)
def selector(text: str) -> Selector:
    """Compile a selector.

    Raises:
        WrongSelector: The text is none.
    """
    try:
        with warnings.catch_warnings():
            # A literal that is not JSON is a text: an old habit of the language, which it warns of.
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            parsed = jmespath.compile(text)
        for name, count in _calls(parsed.parsed):
            _check_call(name, count)
    except RecursionError:
        raise WrongSelector("nested too deeply") from None
    except (ValueError, TypeError, LookupError) as error:
        hint = "; numbers in filters need back-quotes" if _BARE_NUMBER.search(text) else ""
        raise WrongSelector(f"{_first_line(error)}{hint}") from None
    return Selector(text, parsed)


def _first_line(error: Exception) -> str:
    line = str(error).partition("\n")[0] or type(error).__name__
    return line if len(line) <= 300 else f"{line[:300]}..."


def _calls(node: Any) -> Iterator[tuple[str, int]]:
    """Find the calls of functions in a syntax tree: jmespath itself looks only when it gets there."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        if not isinstance(found, dict):
            continue  # the number of an index, the parts of a slice
        part = cast("dict[str, Any]", found)
        children = cast("list[Any]", part.get("children", []))
        if part.get("type") == "function_expression":
            yield part["value"], len(children)
        waiting.extend(children)


def _check_call(name: str, count: int) -> None:
    known = cast("Mapping[str, Any]", _Functions.FUNCTION_TABLE).get(name)
    if known is None:
        raise WrongSelector(f"Unknown function: {name}()")
    signature = known["signature"]
    if signature and signature[-1].get("variadic"):
        if count < len(signature):
            raise jmespath.exceptions.VariadictArityError(len(signature), count, name)
    elif count != len(signature):
        raise jmespath.exceptions.ArityError(len(signature), count, name)
