"""What a provider's `configuration` and `input` may say: keys, kinds of values, and how they are read.

A value is read twice by the same functions: before anything runs, with `PENDING` in place of each
template, and rendered, where an option that wants text takes whatever a template gave.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias, cast

import attrs

from plait._strands._flows.durations import DURATION, SIZE, duration, size
from plait._strands._flows.marks import Raw
from plait._strands._flows.problems import Path
from plait._strands._flows.templates import as_text

Kind: TypeAlias = Literal[
    "any",
    "text",
    "texts",
    "flag",
    "number",
    "numbers",
    "names",
    "hops",
    "duration",
    "size",
    "mapping",
    "pairs",
    "table",
    "form",
    "auth",
    "folder",
    "trust",
    "argv",
]

#: What `auth` is told to be.
AUTH: Final = "[user, password], {basic: [user, password]} or {bearer: TOKEN}"

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
        words: What may stand here, if there are only so many words. Then it is never a template.
        fixed: Whether it is never a template, since it decides what the rest means.
    """

    name: str
    kind: Kind = "text"
    where: frozenset[str] = BOTH
    legacy: bool = False
    words: tuple[str, ...] = ()
    fixed: bool = False


def table(*options: Option) -> Mapping[str, Option]:
    """Make the table of a provider."""
    return {option.name: option for option in options}


@attrs.frozen(eq=False)
class Options:
    """A rendered `input` that is options, laid over the configuration: the payload of such a call.

    Attributes:
        values: The options.
        folders: Of a relative path among them: where it starts, by the key.
    """

    values: Mapping[str, object]
    folders: Mapping[str, str] = attrs.field(factory=dict[str, str])


class Misfit(Exception):  # noqa: N818 - it becomes a problem, or the failure of a step
    """A value is not what its option takes.

    Attributes:
        path: Where, from the option's mapping on.
        what: What is expected there.
        value: What is there.
    """

    def __init__(self, path: Path, what: str, value: object) -> None:
        super().__init__(what)
        self.path: Path = path
        self.what: str = what
        self.value: object = value


class Pending:
    """Stands for a template that has not been rendered."""

    def __repr__(self) -> str:
        return "a template"


PENDING: Final = Pending()


def is_template(text: str) -> bool:
    """Say whether a text has blocks that are rendered."""
    return "{{" in text or "{%" in text


def unrendered(value: object) -> object:
    """Put `PENDING` in place of each template, and take `!raw` off what is under it."""
    match value:
        case Raw():
            return value.value
        case str():
            return PENDING if is_template(value) else value
        case dict():
            return {key: unrendered(one) for key, one in cast("dict[str, object]", value).items()}
        case list():
            return [unrendered(one) for one in cast("list[object]", value)]
        case _:
            return value


def plain_mapping(given: object) -> dict[str, object]:
    """Copy a mapping; what is under a `!raw` above it is so itself then."""
    if isinstance(given, Raw):
        return {key: Raw(one) for key, one in cast("dict[str, object]", given.value).items()}
    return {**cast("dict[str, object]", given)}


def read(option: Option, value: object, *, strict: bool = False) -> object:
    """Read an option's value.

    Args:
        option: The option.
        value: Its value, rendered or with `PENDING` in it. It is not `None`.
        strict: Whether text must be text: so it is as long as no template has made it.

    Raises:
        Misfit: It is not what the option takes.
        TemplateError: There is a null where text is expected.
    """
    if value is PENDING and not (option.words or option.fixed):
        return value
    if option.words:
        if value not in option.words:
            raise Misfit((option.name,), " or ".join(option.words), _shown(value))
        return value
    if value is PENDING:
        raise Misfit((option.name,), f"{_FIXED.get(option.kind, 'a value')}, not a template", value)
    return _READERS[option.kind](_Reader(strict), (option.name,), value)


def _shown(value: object) -> object:
    return "{{ ... }}" if value is PENDING else value


_FIXED: Final = {"flag": "true or false"}


@attrs.frozen
class _Reader:
    """Reads values of each kind; what is pending stays as it is."""

    strict: bool

    def text(self, path: Path, value: object) -> object:
        if value is PENDING or isinstance(value, str):
            return value
        if self.strict or (value is not None and not _is_plain(value)):
            raise Misfit(path, "text", value)
        return as_text(value, _spelled(path))

    def texts(self, path: Path, value: object) -> object:
        if not isinstance(value, list):
            raise Misfit(path, "a list of text", value)
        each = enumerate(cast("list[object]", value))
        return [self.text((*path, number), one) for number, one in each]

    def flag(self, path: Path, value: object) -> object:
        if value in ("true", "True"):
            return True
        if value in ("false", "False"):
            return False
        if not isinstance(value, bool):
            raise Misfit(path, "true or false", value)
        return value

    def number(self, path: Path, value: object) -> object:
        if isinstance(value, str) and _is_number(value):
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Misfit(path, "a whole number", value)
        return value

    def numbers(self, path: Path, value: object) -> object:
        if not isinstance(value, list):
            raise Misfit(path, "a list of whole numbers", value)
        each = enumerate(cast("list[object]", value))
        return [n if n is PENDING else self.number((*path, at), n) for at, n in each]

    def names(self, path: Path, value: object) -> object:
        """Read `true`, `false` or a list of names."""
        if isinstance(value, list):
            return self.texts(path, cast("object", value))
        return self.flag(path, value)

    def hops(self, path: Path, value: object) -> object:
        """Read a count that may be `true` or `false` as well."""
        if value in ("true", "True", "false", "False") or isinstance(value, bool):
            return self.flag(path, value)
        number = self.number(path, value)
        if cast("int", number) < 0:
            raise Misfit(path, "true, false or a number from 0", value)
        return number

    def duration(self, path: Path, value: object) -> object:
        seconds = duration(value)
        if seconds is None:
            raise Misfit(path, DURATION, value)
        return seconds

    def size(self, path: Path, value: object) -> object:
        octets = size(value)
        if octets is None:
            raise Misfit(path, SIZE, value)
        return octets

    def mapping(self, path: Path, value: object) -> object:
        if not isinstance(value, dict):
            raise Misfit(path, "a mapping", value)
        return cast("dict[str, object]", value)

    def table(self, path: Path, value: object) -> object:
        """Read text to text; null takes one away."""
        if not isinstance(value, dict):
            raise Misfit(path, "a mapping of text", value)
        entries = cast("dict[str, object]", value).items()
        return {
            name: None if one is None else self.text((*path, name), one) for name, one in entries
        }

    def pairs(self, path: Path, value: object) -> object:
        """Read a mapping or a list of pairs."""
        if isinstance(value, dict):
            return [*cast("dict[str, object]", value).items()]
        if not isinstance(value, list):
            raise Misfit(path, "a mapping or a list of pairs", value)
        found: list[tuple[object, object]] = []
        for number, pair in enumerate(cast("list[object]", value)):
            if pair is PENDING:
                found.append((PENDING, PENDING))
                continue
            both = _listed(pair)
            if len(both) != 2:
                raise Misfit((*path, number), "a pair [name, value]", pair)
            name, one = both
            found.append((self.text((*path, number, 0), name), one))
        return found

    def form(self, path: Path, value: object) -> object:
        """Read a mapping or text."""
        return cast("object", value) if isinstance(value, dict) else self.text(path, value)

    def auth(self, path: Path, value: object) -> object:
        shown = value
        if isinstance(value, list):
            return self._basic(path, cast("list[object]", value))
        if isinstance(value, dict) and len(cast("dict[str, object]", value)) == 1:
            ((kind, one),) = cast("dict[str, object]", value).items()
            if kind == "bearer":
                return ("bearer", self.text((*path, kind), one))
            if kind == "basic" and isinstance(one, list):
                return self._basic((*path, kind), cast("list[object]", one))
            if kind == "basic" and one is PENDING:
                return PENDING
        raise Misfit(path, AUTH, shown)

    def _basic(self, path: Path, given: list[object]) -> object:
        if len(given) != 2:
            raise Misfit(path, AUTH, given)
        user, password = given
        return ("basic", self.text((*path, 0), user), self.text((*path, 1), password))

    def trust(self, path: Path, value: object) -> object:
        """Read `true`, `false` or the name of a file."""
        if isinstance(value, bool) or value in ("true", "True", "false", "False"):
            return self.flag(path, value)
        if not isinstance(value, str):
            raise Misfit(path, "true, false or a file of certificates", value)
        return value

    def argv(self, path: Path, value: object) -> object:
        """Read a program and its arguments; text is left to whoever splits it."""
        if isinstance(value, list):
            return self.texts(path, cast("object", value))
        return self.text(path, value)

    def any(self, path: Path, value: object) -> object:
        del path
        return value


_READERS: Final[Mapping[str, Callable[[_Reader, Path, object], object]]] = {
    "any": _Reader.any,
    "text": _Reader.text,
    "texts": _Reader.texts,
    "flag": _Reader.flag,
    "number": _Reader.number,
    "numbers": _Reader.numbers,
    "names": _Reader.names,
    "hops": _Reader.hops,
    "duration": _Reader.duration,
    "size": _Reader.size,
    "mapping": _Reader.mapping,
    "pairs": _Reader.pairs,
    "table": _Reader.table,
    "form": _Reader.form,
    "auth": _Reader.auth,
    "folder": _Reader.text,
    "trust": _Reader.trust,
    "argv": _Reader.argv,
}


def _listed(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _is_plain(value: object) -> bool:
    return isinstance(value, bool | int | float | list | dict)


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii() and len(text) < 20


def _spelled(path: Path) -> str:
    head, *rest = map(str, path)
    return head + "".join(f"[{part}]" for part in rest)


def read_all(options: Mapping[str, Option], given: Mapping[str, object]) -> dict[str, object]:
    """Read rendered options: those that are given, and not null.

    Raises:
        Misfit: One is not what it should be.
        TemplateError: There is a null where text is expected.
    """
    return {
        name: read(options[name], value)
        for name, value in given.items()
        if value is not None and name in options
    }


def folder_of(file: str) -> str:
    """Say where the relative paths of a file start: in its folder; elsewhere in the current one."""
    if not file or file == "-" or file.startswith("/dev/"):
        return ""
    return os.path.dirname(os.path.abspath(file))  # noqa: PTH100, PTH120 - no file system is asked


def from_folder(folder: str, path: str) -> str:
    """Put a path of a flow file where it belongs."""
    return os.path.join(folder, path)  # noqa: PTH118 - text in, text out
