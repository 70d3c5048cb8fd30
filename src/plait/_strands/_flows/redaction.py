"""Hides values by what they are, in everything that leaves a run.

A secret is found wherever it turns up, in each form that it may take on its way: as it is, escaped in
JSON or in Python's `repr`, percent-encoded, in base64, and line by line. All forms of all secrets are one
compiled pattern, a longer one before a shorter one that begins like it, and the pattern is made again
only when a secret has been added.

Occurrences may overlap: what any of them covers is hidden. For the journal each is replaced by a
placeholder that names the secret and the form, `${plait:secrets.KEY:plain}`, so that it can be put back.
"""

from __future__ import annotations

import base64
import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias, cast
from urllib.parse import quote, quote_plus, unquote

import attrs

from plait._abc import JSON

HIDDEN: Final = "***"
"""What stands for a secret in everything that is shown."""

SHORTEST: Final = 4
"""Below so many characters, a secret is hidden only where it is the whole text."""

SHORTEST_LINE: Final = 8
"""Lines of a secret with so many characters are hidden one by one as well."""

#: Parts of the names of environment variables that hold secrets.
_TELLING: Final = (
    "PASSWORD",
    "PASSWD",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "API_KEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
)


def sounds_secret(variable: str) -> bool:
    """Say whether an environment variable of this name holds a secret: `MY_PASSWORD`, `Github_Token`."""
    name = variable.upper()
    return any(part in name for part in _TELLING)


class UnknownSecret(Exception):  # noqa: N818 - reads as what it says
    """A placeholder cannot be put back: the step that it was kept for runs again."""


# ------------------------------------------------------------------------------ forms


def _plain(value: str) -> str:
    return value


def _json(value: str) -> str:
    return json.dumps(value)[1:-1]


def _json_of_unicode(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _json_for_html(value: str) -> str:
    """Write it as the filter `tojson` does."""
    escapes = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"}
    return "".join(escapes.get(character, character) for character in _json(value))


def _repr(value: str) -> str:
    return repr(value)[1:-1]


def _percent(value: str) -> str:
    return quote(_bytes(value), safe="")


def _percent_in_path(value: str) -> str:
    return quote(_bytes(value))


def _percent_in_form(value: str) -> str:
    return quote_plus(_bytes(value))


def _percent_in_lower_case(value: str) -> str:
    return re.sub("%..", lambda code: code[0].lower(), _percent(value))


def _base64(value: str) -> str:
    return base64.b64encode(_bytes(value)).decode()


def _base64_of_urls(value: str) -> str:
    return base64.urlsafe_b64encode(_bytes(value)).decode()


def _base64_within(value: str, before: int) -> str:
    """Write what base64 makes of it in the middle of a longer text, `before` bytes after a group's begin."""
    whole = base64.b64encode(b"\0" * before + _bytes(value)).decode()
    # Six bits a character: those at the ends have bits of the neighbours as well.
    return whole[-(-before * 8 // 6) : (before + len(_bytes(value))) * 8 // 6]


def _bytes(value: str) -> bytes:
    return value.encode(errors="surrogateescape")


_FORMS: Final[Mapping[str, Callable[[str], str]]] = {
    "plain": _plain,
    "json": _json,
    "json-unicode": _json_of_unicode,
    "json-html": _json_for_html,
    "repr": _repr,
    "percent": _percent,
    "percent-path": _percent_in_path,
    "percent-form": _percent_in_form,
    "percent-lower": _percent_in_lower_case,
    "base64": _base64,
    "base64-url": _base64_of_urls,
    "base64-0": lambda value: _base64_within(value, 0),
    "base64-1": lambda value: _base64_within(value, 1),
    "base64-2": lambda value: _base64_within(value, 2),
}

#: Forms that cut the value: as short as a word they would hit what is no secret.
_CUT: Final = frozenset({"base64-0", "base64-1", "base64-2"})


def _forms_of(value: str) -> Iterator[tuple[str, str]]:
    """List the forms of a value, each under its name, those of its lines after its own."""
    if len(value) < SHORTEST:
        return
    for name, form in _FORMS.items():
        text = _formed(form, value)
        if len(text) >= (SHORTEST_LINE if name in _CUT else SHORTEST):
            yield name, text
    lines = value.splitlines()
    if len(lines) > 1:
        for number, line in enumerate(lines):
            if len(line) >= SHORTEST_LINE:
                for name, form in _FORMS.items():
                    if name not in _CUT:
                        yield f"{number}/{name}", _formed(form, line)


def _formed(form: Callable[[str], str], value: str) -> str:
    try:
        return form(value)
    except UnicodeEncodeError:  # half of a pair of characters: it has no bytes
        return ""


def _form_of(value: str, name: str) -> str:
    """Make one form of a value."""
    number, _, kind = name.rpartition("/")
    if number:
        value = value.splitlines()[int(number)]
    return _FORMS[kind](value)


# ------------------------------------------------------------------------------ the redactor


@attrs.frozen
class _Known:
    """A form of a secret: which secret, and which form."""

    name: str
    form: str


#: Data may look like a placeholder: what one begins with gets a placeholder of its own.
_MARK: Final = "${plait:"
_LITERAL: Final = _Known("", "")
_PLACEHOLDER: Final = re.compile(r"\$\{plait:([^:{}]*):([^:{}]*)(?::(\d+))?\}")

#: Texts of so many characters are looked through for each form first.
_LONG: Final = 4096

#: Writes what stands for a match: which it is, and how many of its characters are hidden already.
_Write: TypeAlias = Callable[[_Known, int], str]


def _stars(known: _Known, hidden: int) -> str:
    del known
    return "" if hidden else HIDDEN


def _placeholder(known: _Known, hidden: int) -> str:
    rest = f":{hidden}" if hidden else ""
    return f"{_MARK}{quote(known.name, safe='')}:{known.form}{rest}}}"


def _only_name(known: _Known, hidden: int) -> str:
    return "" if hidden else f"{_MARK}{quote(known.name, safe='')}}}"


class Redactor:
    """Knows the secrets of a run, and hides them.

    The first name that a value is added under is the one that placeholders have.
    """

    def __init__(self) -> None:
        self._forms: dict[str, _Known] = {}
        self._whole: dict[str, _Known] = {}
        self._numbers: dict[str, _Known] = {}
        self._values: dict[str, JSON] = {}
        self._shown: re.Pattern[str] | None = None
        self._kept: re.Pattern[str] | None = None

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._whole)} texts>"

    @property
    def values(self) -> Mapping[str, JSON]:
        """The secrets by name, as `reveal` wants them. Nothing else may see them."""
        return self._values

    def add(self, value: object, name: str) -> None:
        """Hide this value from now on.

        A bool or a null in it is not hidden: it could not be told apart from any other.

        Args:
            value: A text; or any JSON value: then every text and number in it.
            name: What placeholders call it: `secrets.KEY`. Of a value with parts, each has its path too.
        """
        match value:
            case str():
                self._values.setdefault(name, value)
                self._add_text(value, name)
            case bool() | None:
                pass
            case int() | float():
                self._values.setdefault(name, value)
                self._numbers.setdefault(repr(value), _Known(name, "number"))
                self._add_text(repr(value), name)
            case dict():
                for key, one in cast("dict[str, object]", value).items():
                    self.add(one, f"{name}.{key}")
            case list():
                for number, one in enumerate(cast("list[object]", value)):
                    self.add(one, f"{name}.{number}")
            case _:
                raise TypeError(f"a secret must be JSON, not {type(value).__name__}")

    def _add_text(self, value: str, name: str) -> None:
        if not value or value in self._whole:
            return
        self._whole[value] = _Known(name, "plain")
        for form, text in _forms_of(value):
            self._forms.setdefault(text, _Known(name, form))
        self._shown = self._kept = None

    # -------------------------------------------------------------- what is shown

    def text(self, text: str, /) -> str:
        """Hide in this text what has to be hidden, as `***`."""
        return self._in_text(text, _stars)

    def tree(self, value: JSON, /) -> JSON:
        """Hide it in every text and key of a JSON value, and in numbers.

        What has nothing to hide is given back as the same object.
        """
        return self._in_tree(value, _stars) if self._whole else value

    # -------------------------------------------------------------- what is kept

    def hide(self, value: JSON, /) -> JSON:
        """Put placeholders for secrets, for the journal. `reveal` puts the values back."""
        return self._in_tree(value, _placeholder)

    def named(self, value: JSON, /) -> JSON:
        """Put the names of secrets for them, whatever their form: for fingerprints."""
        return self._in_tree(value, _only_name)

    # -------------------------------------------------------------- how

    def _in_tree(self, value: JSON, write: _Write) -> JSON:
        if not self._whole and not _has_mark(value):
            return value
        return self._replaced(value, write)

    def _replaced(self, value: JSON, write: _Write) -> JSON:
        # Written for speed: it looks at all that a step gives, for each step.
        if isinstance(value, str):
            return self._in_text(value, write)
        if isinstance(value, dict):
            pairs = [(self._in_text(k, write), self._replaced(v, write)) for k, v in value.items()]
            if all(map(_is_pair, pairs, value.items())):
                return value
            made: dict[str, JSON] = {}
            for key, one in pairs:
                made[_apart(key, made)] = one
            return made
        if isinstance(value, list):
            items = [self._replaced(one, write) for one in value]
            return value if all(map(operator.is_, items, value)) else items
        if value is None or isinstance(value, bool) or not self._numbers:
            return value
        known = self._numbers.get(repr(value))
        return value if known is None else write(known, 0)

    def _in_text(self, text: str, write: _Write) -> str:
        if (known := self._whole.get(text)) is not None:
            return write(known, 0)
        shown = write is _stars
        if len(text) > _LONG and not any(form in text for form in self._looked_for(shown=shown)):
            return text  # as most long ones: this tells several times as fast as the pattern
        pattern = self._pattern(shown=shown)
        if pattern is None or (match := pattern.search(text)) is None:
            return text
        made: list[str] = []
        done = 0
        while match is not None:
            begin, end = match.span()
            if end > done:  # what overlaps goes on where the one before it ended
                made.append(text[done:begin])
                made.append(write(self._forms.get(match[0], _LITERAL), max(0, done - begin)))
                done = end
            match = pattern.search(text, begin + 1)
        made.append(text[done:])
        return "".join(made)

    def _looked_for(self, *, shown: bool) -> list[str]:
        return [*self._forms] if shown else [*self._forms, _MARK]

    def _pattern(self, *, shown: bool) -> re.Pattern[str] | None:
        if shown:
            if self._shown is None and self._forms:
                self._shown = re.compile(_any_of(self._forms))
            return self._shown
        if self._kept is None:
            self._kept = re.compile(_any_of(self._looked_for(shown=False)))
        return self._kept


def _is_pair(one: tuple[str, object], other: tuple[str, object]) -> bool:
    return one[1] is other[1] and one[0] == other[0]


def _has_mark(value: JSON) -> bool:
    if isinstance(value, str):
        return _MARK in value
    if isinstance(value, dict):
        return any(_MARK in key or _has_mark(one) for key, one in value.items())
    return isinstance(value, list) and any(map(_has_mark, value))


def _apart(key: str, taken: Mapping[str, object]) -> str:
    """Keep keys apart that have come to look the same: nothing is dropped."""
    number, new = 1, key
    while new in taken:
        number += 1
        new = f"{key} ({number})"
    return new


def _any_of(texts: Iterable[str]) -> str:
    """Write a pattern for any of these texts, the longest one where several begin alike.

    They are sorted into groups by their first characters, so that most of a text is passed over at once.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    for text in sorted(texts, key=lambda text: (-len(text), text)):
        groups.setdefault(text[0], {}).setdefault(text[1:3], []).append(text[3:])
    return _either(
        re.escape(first)
        + _either(
            re.escape(second) + _either(map(re.escape, rests)) for second, rests in group.items()
        )
        for first, group in groups.items()
    )


def _either(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(patterns)})"


# ------------------------------------------------------------------------------ putting them back


def reveal(value: JSON, secrets: Mapping[str, JSON]) -> JSON:
    """Put the values back for the placeholders of `Redactor.hide`.

    Args:
        value: From the journal.
        secrets: The values by the names that they were added under: `Redactor.values` of this run.

    Raises:
        UnknownSecret: One that is needed is not there any more, or has not as many lines.
    """
    match value:
        case str():
            whole = _PLACEHOLDER.fullmatch(value)
            if whole is not None and whole[2] == "number":
                return _value(whole[1], secrets)
            return _PLACEHOLDER.sub(lambda match: _revealed(match, secrets), value)
        case list():
            return [reveal(one, secrets) for one in value]
        case dict():
            return {str(reveal(key, secrets)): reveal(one, secrets) for key, one in value.items()}
        case _:
            return value


def _revealed(match: re.Match[str], secrets: Mapping[str, JSON]) -> str:
    name, form, hidden = match.groups()
    if not name and not form:
        text = _MARK
    else:
        found = _value(name, secrets)
        try:
            text = _form_of(found if isinstance(found, str) else repr(found), form)
        except (LookupError, ValueError):
            raise UnknownSecret(unquote(name)) from None
    return text[int(hidden or 0) :]


def _value(name: str, secrets: Mapping[str, JSON]) -> JSON:
    try:
        return secrets[unquote(name)]
    except KeyError:
        raise UnknownSecret(unquote(name)) from None
