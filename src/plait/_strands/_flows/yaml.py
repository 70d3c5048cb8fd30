"""Reading flow files: YAML 1.2 core with the place of each value.

PyYAML gives the events of its parser; nodes are made of them here, on a stack of our own. PyYAML's own
composer is no use: it is YAML 1.1 (`on` is true, `012` is ten), it loses the second of two equal keys,
and it calls itself for each level, which ends the process on a file of nothing but brackets.

Rule 1: an alias is the node of its anchor, so time and memory are linear in the file, whatever it says.
Rule 2: each node knows how many values it is with all aliases expanded, and how deep; there are limits
    for both, so whoever walks a document may forget about aliases, and may call himself.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any, Final, NoReturn

import attrs

from plait._errors import MissingExtra

from .marks import Marked as Marked
from .marks import Node, Raw, Spot, mapping, sequence
from .problems import Place, Problems
from .shapes import expected, is_list

#: Values in a file, with each alias expanded.
MOST_VALUES: Final = 1_000_000
#: Levels of mappings and lists in each other.
DEEPEST: Final = 100
#: Digits of a number, signs and all.
LONGEST_NUMBER: Final = 1_000

#: Problems of one file, after which the rest of it is not read.
MOST_PROBLEMS: Final = 1_000
#: Lines that declare tags: no flow file needs one, and many of them take the parser very long.
MOST_DECLARATIONS: Final = 20

QUOTE: Final = 'quote the template: "{{ ... }}"'

_CORE: Final = "tag:yaml.org,2002:"
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Final = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE: Final = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN: Final = frozenset({".nan", ".NaN", ".NAN"})
#: What a plain scalar starts with that may be more than text.
_STARTS: Final = frozenset(["", *"~nNtTfF+-.0123456789<"])

#: An escape in a text of JSON; two of the first kind stand for one character.
_ESCAPE: Final = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|.)", re.DOTALL)
_DECLARATION: Final = re.compile("^%TAG", re.MULTILINE)
_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_UNPRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)


class Unreadable(ValueError):  # noqa: N818 - says what the text is
    """A text is not YAML that plait reads.

    Attributes:
        line: From 1; 0 if the whole is meant.
        column: From 1.
    """

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


def compose(data: bytes, file: str, problems: Problems) -> Node | None:
    """Make the nodes of one document.

    Args:
        data: The file's contents.
        file: Its name, for places.
        problems: Takes what is wrong.

    Returns:
        `None` if it cannot be read, or says nothing.
    """
    try:
        return _Composer(file, problems).run(_events(_decode(data)))
    except Unreadable as error:
        problems.add("yaml", str(error), Place(file, error.line, error.column))
        return None


def plain(text: str) -> object:
    """Read a text as YAML, for a value that is typed into a command.

    Raises:
        Unreadable: It is not YAML, or there is something in it that flow files do not allow.
    """
    problems = Problems()
    node = compose(text.encode("utf-8", "surrogatepass"), "", problems)
    for one in problems.errors:
        raise Unreadable(one.message, one.place.line, one.place.column)
    if node is not None and node.raw:
        raise Unreadable("tag '!raw' is not allowed")
    return None if node is None else node.value


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Counted from after a byte order mark, as `error.start` is.
        before = error.object[: error.start].decode("utf-8", "replace")
        raise Unreadable("not UTF-8 text", *_end_of(before)) from None
    if found := _UNPRINTABLE.search(text):
        character = f"U+{ord(found[0]):04X}"
        message = f"control characters are not allowed, but here is {character}"
        raise Unreadable(message, *_end_of(text[: found.start()]))
    surplus = next(islice(_DECLARATION.finditer(text), MOST_DECLARATIONS, None), None)
    if surplus is not None:
        message = f"more than {MOST_DECLARATIONS} %TAG lines"
        raise Unreadable(message, *_end_of(text[: surplus.start()]))
    return _joined(text) if "\\ud" in text.lower() else text


def _joined(text: str) -> str:
    """Make one character of two escapes that stand for it: JSON has such pairs, and YAML has not."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or none that is not refused anyway
        return text
    return _ESCAPE.sub(lambda found: _character(found[0]), text)


def _character(escape: str) -> str:
    pair = len(escape) == len(r"\ud83d\ude00")
    return json.loads(f'"{escape}"') if pair else escape


def _end_of(text: str) -> tuple[int, int]:
    """Say which line and column come next after a text."""
    lines = _BREAK.split(text)
    return len(lines), len(lines[-1]) + 1


def _events(text: str) -> Iterator[Any]:
    """Parse: the events of PyYAML, in the C library if it has one."""
    yaml = _library()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(error.problem or str(error.context), *_of(mark)) from None
    except yaml.reader.ReaderError as error:
        raise Unreadable(error.reason) from None
    except (ValueError, OverflowError):
        # The scanner that is written in Python does not check the number of an escape.
        message = "found invalid Unicode character escape code"
        raise Unreadable(message, *_of(loader.get_mark())) from None
    finally:
        loader.dispose()


def _library() -> Any:
    try:
        return importlib.import_module(
            "yaml"
        )  # an extra; the checks would cost every import of plait
    except ImportError as error:
        raise MissingExtra("flow files need pyyaml. Type: pip install 'plait[flows]'") from error


def _of(mark: Any) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark else (0, 0)


@attrs.define(eq=False)
class _Open:
    """A mapping or list that has not ended."""

    spot: Spot
    anchor: str | None
    raw: bool
    #: Of a list; of a mapping `None`.
    items: list[Node] | None
    fields: dict[str, Node] = attrs.field(factory=dict[str, Node])
    keys: dict[str, Spot] = attrs.field(factory=dict[str, Spot])
    #: What `<<` names, the first wins.
    bases: list[Node] = attrs.field(factory=list[Node])
    #: The key whose value comes next; `None`: a key comes next.
    key: _Key | None = None
    count: int = 1


@attrs.define(eq=False)
class _Key:
    """A key, `text=None` if its value is to be forgotten; `<<` is one if it stands there unquoted."""

    text: str | None
    spot: Spot
    merges: bool = False


class _Composer:
    """Makes nodes of events. What can be read is read on, so that all problems come at once."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._root: Node | None = None
        #: Levels of `!raw` around here.
        self._raw = 0
        #: Fields that `<<` has copied: one alias may stand in thousands of mappings.
        self._copied = 0
        #: Whether a template without quotes was seen.
        self._templates = False

    def run(self, events: Iterator[Any]) -> Node | None:
        try:
            return self._run(events)
        except Unreadable as error:
            # What the parser says of `{{ x['a'] }}` without quotes helps nobody.
            if self._templates or (spot := self._open_template()) is None:
                if not self._templates:
                    raise
                return None
            raise Unreadable(QUOTE, *spot[1:]) from error

    def _run(self, events: Iterator[Any]) -> Node | None:
        documents = 0
        for event in events:
            kind = type(event).__name__
            if kind == "ScalarEvent":
                self._scalar(event)
            elif kind == "MappingStartEvent":
                self._open(event, "map", None)
            elif kind == "SequenceStartEvent":
                self._open(event, "seq", [])
            elif kind in {"MappingEndEvent", "SequenceEndEvent"}:
                self._close()
            elif kind == "AliasEvent":
                self._alias(event)
            elif kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    self._refuse("expected a single document in the stream", event)
        return self._root

    # -- events

    def _scalar(self, event: Any) -> None:
        spot = self._spot(event)
        tag, text = event.tag, event.value
        unquoted = not event.style
        if tag is None and text.isascii() and (not unquoted or text[:1] not in _STARTS):
            value: object = text  # nearly all of them
        elif unquoted and (tag is None or tag == "!raw"):
            if text == "<<" and self._wants_key():
                self._stack[-1].key = _Key(text, spot, merges=True)
                return
            value = self._resolve(text, event)
        elif tag in (None, "!", "!raw"):
            value = self._text(text, event)
        else:
            value = self._tagged(tag, text, event)
        raw = tag == "!raw" and not self._raw
        node = Node(Raw(value) if raw else value, spot, raw=raw)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._add(node)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            self._refuse(f"found undefined alias {event.anchor!r}", event)
        node = self._anchors[event.anchor]
        if node is None:
            self._refuse("an alias contains itself", event)
        if self._raw and node.raw:
            node = _without_raw(node)
        spot = self._spot(event)
        self._add(attrs.evolve(node, spot=spot) if self._wants_key() else node)

    def _open(self, event: Any, kind: str, items: list[Node] | None) -> None:
        tag = event.tag
        if tag not in (None, "!", "!raw", _CORE + kind):
            self._bad_tag(tag, event)
        if len(self._stack) >= DEEPEST:
            self._refuse(f"more than {DEEPEST} levels deep", event)
        raw = tag == "!raw"
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(_Open(self._spot(event), event.anchor, raw and not self._raw, items))
        self._raw += self._stack[-1].raw

    def _close(self) -> None:
        frame = self._stack.pop()
        if frame.items is not None:
            node = sequence(frame.items, frame.spot)
        else:
            node = mapping(*self._merged(frame), frame.spot)
        if frame.raw:
            self._raw -= 1
            node = attrs.evolve(node, value=Raw(node.value), raw=True)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = node
        self._add(node)

    # -- nodes

    def _add(self, node: Node) -> None:
        """Put a node where it belongs: into a list, a mapping, as a key, or at the top."""
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        if frame.items is None and frame.key is None:
            frame.key = self._key(node, frame)
            return
        frame.count += node.count
        if frame.count > MOST_VALUES:
            raise Unreadable(
                f"more than {MOST_VALUES} values once aliases are expanded", *frame.spot[1:]
            )
        if len(self._stack) + node.depth > DEEPEST:
            raise Unreadable(f"more than {DEEPEST} levels deep", *node.spot[1:])
        if frame.items is not None:
            frame.items.append(node)
            return
        key, frame.key = frame.key, None
        assert key is not None
        if key.merges:
            self._note_bases(node, frame, key)
        elif key.text is not None:
            frame.fields[key.text] = node
            frame.keys[key.text] = key.spot

    def _key(self, node: Node, frame: _Open) -> _Key:
        text = node.value
        if not isinstance(text, str):
            # `{{ x }}` without quotes is a mapping whose only key is a mapping.
            is_template = isinstance(text, dict) and node.spot[:2] == frame.spot[:2]
            if is_template and node.spot[2] == frame.spot[2] + 1:
                self._note("yaml", QUOTE, frame.spot)
                self._templates = True
            elif self._open_template() is None:
                value: object = text.value if isinstance(text, Raw) else node.value
                message = expected((), "text", value).replace("text", "text as a key", 1)
                self._note("shape", message, node.spot)
            return _Key(None, node.spot)
        first = frame.keys.get(text)
        if first is not None:
            self._duplicate(text, first, node.spot)
            return _Key(None, node.spot)
        return _Key(text, node.spot)

    def _open_template(self) -> Spot | None:
        """Find two braces that have not been closed."""
        for outer, inner in pairwise(self._stack):
            is_key = outer.items is None and outer.key is None and inner.items is None
            file, line, column = outer.spot
            if is_key and inner.spot == (file, line, column + 1):
                return outer.spot
        return None

    def _note_bases(self, node: Node, frame: _Open, key: _Key) -> None:
        if frame.bases:
            self._duplicate("<<", frame.bases[0].spot, key.spot)
            return
        bases = [node]
        if is_list(node.value) and node.value:
            assert not isinstance(node.children, dict)
            bases = [*node.children]
        for base in bases:
            if not isinstance(base.value, dict):
                message = expected((), "a mapping or a list of mappings after '<<'", base.value)
                self._note("shape", message, base.spot)
                return
        frame.bases = bases
        # What is copied counts itself; `<<` and its aliases were only named.
        frame.count -= node.count

    def _merged(self, frame: _Open) -> tuple[dict[str, Node], dict[str, Spot]]:
        if not frame.bases:
            return frame.fields, frame.keys
        fields: dict[str, Node] = {}
        keys: dict[str, Spot] = {}
        for base in reversed(frame.bases):
            assert isinstance(base.children, dict)
            self._copied += len(base.children)
            frame.count += base.count
            if max(self._copied, frame.count) > MOST_VALUES:
                message = f"more than {MOST_VALUES} values once aliases are expanded"
                raise Unreadable(message, *frame.spot[1:])
            fields |= base.children
            keys |= base.keys
        return {**fields, **frame.fields}, {**keys, **frame.keys}

    def _wants_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].items is None and self._stack[-1].key is None

    # -- scalars

    def _resolve(self, text: str, event: Any) -> object:
        """Say what an unquoted scalar is, by the core schema of YAML 1.2."""
        if text[:1] not in _STARTS:
            return self._text(text, event)
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        try:
            number = _number(text)
        except ValueError as error:
            self._note("yaml", str(error), self._spot(event))
            return 0
        return self._text(text, event) if number is None else number

    def _text(self, text: str, event: Any) -> str:
        if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
            self._refuse("found invalid Unicode character escape code", event)
        return text

    def _tagged(self, tag: str, text: str, event: Any) -> object:
        if tag == f"{_CORE}str":
            return self._text(text, event)
        kinds = {"null": type(None), "bool": bool, "int": int, "float": float}
        kind = kinds.get(tag.removeprefix(_CORE)) if tag.startswith(_CORE) else None
        if kind is None:
            self._bad_tag(tag, event)
            return text
        value = self._resolve(text, event)
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:
            message = expected((), f"a value of {_short(tag)}", text)
            self._note("shape", message, self._spot(event))
        return value

    # -- what is wrong

    def _note(self, code: str, message: str, spot: Spot) -> None:
        self._problems.add(code, message, Place(*spot))
        if self._problems.count >= MOST_PROBLEMS:
            raise Unreadable(f"more than {MOST_PROBLEMS} problems; the rest is not read", *spot[1:])

    def _bad_tag(self, tag: str, event: Any) -> None:
        message = f"tag {_short(tag)!r} is not allowed"
        self._note("yaml", message, self._spot(event))

    def _duplicate(self, key: str, first: Spot, second: Spot) -> None:
        message = f"duplicate key {key!r}, first at {first[1]}:{first[2]}"
        self._note("duplicate", message, second)

    def _refuse(self, message: str, event: Any) -> NoReturn:
        raise Unreadable(message, *self._spot(event)[1:])

    def _spot(self, event: Any) -> Spot:
        mark = event.start_mark
        return self._file, mark.line + 1, mark.column + 1


def _short(tag: str) -> str:
    return f"!!{tag.removeprefix(_CORE)}" if tag.startswith(_CORE) else tag


def _number(text: str) -> float | None:
    """Read a number; `None` if it is none.

    Raises:
        ValueError: It has too many digits.
    """
    if _INT.fullmatch(text):
        if len(text) > LONGEST_NUMBER:
            raise ValueError(f"a number with more than {LONGEST_NUMBER} digits")
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text)
    if match := _INFINITE.fullmatch(text):
        return -math.inf if match[1] == "-" else math.inf
    return math.nan if text in _NAN else None


def _without_raw(node: Node) -> Node:
    """Take the `!raw` out of what is below another one."""
    if not node.raw:
        return node
    value = node.value
    if isinstance(value, Raw):
        return attrs.evolve(node, value=value.value, raw=False)
    if not isinstance(node.children, dict):
        return sequence([_without_raw(child) for child in node.children], node.spot)
    children = {key: _without_raw(child) for key, child in node.children.items()}
    return mapping(children, {**node.keys}, node.spot)
