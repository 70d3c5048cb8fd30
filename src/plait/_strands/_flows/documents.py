"""The document of a run: files and mappings, read, merged from left to right, with their places."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO, Final, TypeAlias, cast

from .marks import NOWHERE, Marked, Node, Raw, mapping, overlay, sequence
from .problems import Path, Place, Problems, spell
from .shapes import expected, kind
from .yaml import DEEPEST, LONGEST_NUMBER, MOST_VALUES, compose

#: Bytes of a file.
LARGEST: Final = 10 << 20
STDIN: Final = "<stdin>"

#: What a document is made of: a file's path, `"-"` for standard input, or a mapping.
Given: TypeAlias = "str | os.PathLike[str] | Mapping[str, object]"


def read(files: Sequence[Given], problems: Problems) -> Marked:
    """Read files and mappings, and lay each over those before it.

    Mappings are merged key by key, at any depth; lists and scalars are replaced, by null too.

    Args:
        files: What to read, from left to right.
        problems: Takes what is wrong with them.

    Returns:
        The document; what could not be read is left out of it.
    """
    whole = mapping({}, {}, NOWHERE)
    for one in files:
        node = _from_mapping(one, problems) if isinstance(one, Mapping) else _file(one, problems)
        if node is None or node.value is None:
            continue
        if not isinstance(node.value, dict):
            message = f"expected a mapping at the top level, got {kind(node.value)}"
            problems.add("shape", message, Place(*node.spot))
            continue
        whole = overlay(whole, node)
    _refuse_raw(whole, (), problems)
    return Marked(whole, _name(files))


def _name(files: Iterable[Given]) -> str:
    names = ["flow" if isinstance(one, Mapping) else _short(os.fspath(one)) for one in files]
    return " + ".join(names) or "flow"


def _short(file: str) -> str:
    return STDIN if file == "-" else pathlib.Path(file).name or file


# -- files


def _file(file: str | os.PathLike[str], problems: Problems) -> Node | None:
    name = os.fspath(file)
    try:
        if name == "-":
            name = STDIN
            with open(0, "rb", closefd=False) as stream:
                data = _bytes(stream)
        else:
            with pathlib.Path(name).open("rb") as stream:
                data = _bytes(stream)
    except FileNotFoundError:
        problem = "no such file"
    except IsADirectoryError:
        problem = "is a directory"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except ValueError:  # a zero byte in its name
        problem = "no such file"
    else:
        if len(data) <= LARGEST:
            return compose(data, name, problems)
        problem = f"larger than {LARGEST >> 20} MiB"
    problems.add("file", problem, Place(name))
    return None


def _bytes(stream: BinaryIO) -> bytes:
    return stream.read(LARGEST + 1)


# -- mappings of a program


def _from_mapping(value: Mapping[str, object], problems: Problems) -> Node | None:
    found = Problems()
    node = _Converter(found).convert(value, ())
    for one in found.errors:
        problems.add(one.code, one.message, one.place)
    return None if found.errors else node


def plain_tree(value: object, path: Path, problems: Problems) -> object:
    """Make plain mappings, lists, texts and numbers of a value, and refuse what YAML could not say.

    Args:
        value: What a program has made.
        path: Where it is, for the messages.
        problems: Takes what is wrong.
    """
    return _Converter(problems).convert(value, path).value


class _Converter:
    """Makes nodes of what a program has made, and refuses what YAML could not say."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        #: By identity; `None`: we are in it.
        self._known: dict[int, Node | None] = {}
        #: Whether a limit was reported.
        self._over = False

    def convert(self, value: object, path: Path) -> Node:
        match value:
            case None | bool() | float():
                return Node(value, NOWHERE)
            case int():
                return Node(self._int(value, path), NOWHERE)
            case str():
                return Node(self._text(value, path), NOWHERE)
            case Raw():
                node = self.convert(value.value, path)
                return Node(Raw(node.value), NOWHERE, count=node.count, depth=node.depth, raw=True)
            case Mapping() | list() | tuple():
                given = cast("Mapping[object, object] | Sequence[object]", value)
                return self._container(given, path)
            case _:
                what = "text, a number, a bool, null, a list or a mapping"
                return self._wrong("shape", expected(path, what, value), path)

    def _container(self, value: Mapping[object, object] | Sequence[object], path: Path) -> Node:
        known = self._known.get(id(value), self)
        if known is None:
            return self._wrong("yaml", "an alias contains itself", path)
        if isinstance(known, Node):
            return known
        if len(path) >= DEEPEST:
            return self._limit(f"more than {DEEPEST} levels deep", path)
        self._known[id(value)] = None
        if isinstance(value, Mapping):
            node = self._mapping(value, path)
        else:
            children = [self.convert(one, (*path, number)) for number, one in enumerate(value)]
            node = sequence(children, NOWHERE)
        if node.count > MOST_VALUES:
            node = self._limit(f"more than {MOST_VALUES} values", path)
        elif len(path) + node.depth > DEEPEST:
            node = self._limit(f"more than {DEEPEST} levels deep", path)
        self._known[id(value)] = node
        return node

    def _mapping(self, value: Mapping[object, object], path: Path) -> Node:
        children: dict[str, Node] = {}
        for key, one in value.items():
            if isinstance(key, str):
                text = self._text(key, path)
                children[text] = self.convert(one, (*path, text))
            else:
                message = expected(path, "text as a key", key)
                self._problems.add("shape", message, Place(path=path))
        return mapping(children, {}, NOWHERE)

    def _text(self, value: str, path: Path) -> str:
        if not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
            self._wrong("yaml", "not UTF-8 text", path)
        return str.__str__(value)  # a subclass's own text may be another one

    def _int(self, value: int, path: Path) -> int:
        if abs(value) >= 10**LONGEST_NUMBER:
            self._wrong("yaml", f"a number with more than {LONGEST_NUMBER} digits", path)
        return int(value)

    def _limit(self, message: str, path: Path) -> Node:
        """Report a limit, and not what is above it as well: that is over it for the same reason."""
        if not self._over:
            self._over = True
            self._wrong("yaml", message, path)
        return Node(None, NOWHERE)

    def _wrong(self, code: str, message: str, path: Path) -> Node:
        self._problems.add(code, message, Place(path=path))
        return Node(None, NOWHERE)


# -- !raw


def _refuse_raw(node: Node, path: Path, problems: Problems) -> None:
    """Refuse `!raw` wherever nothing would be rendered without it."""
    if not node.raw:
        return
    if isinstance(node.value, Raw):
        where = spell(path) or "the top level"
        problems.add("yaml", f"{where}: !raw is only for what is in input", Place(*node.spot, path))
        return
    children = node.children
    pairs = children.items() if isinstance(children, dict) else enumerate(children)
    for part, child in pairs:
        below = (*path, part)
        if not _may_be_raw(below):
            _refuse_raw(child, below, problems)


def _may_be_raw(path: Path) -> bool:
    match path:
        case (str(key),):
            return key.startswith("x-")
        case ("flow", int(), "input"):
            return True
        case _:
            return False
