"""Templates in the values of a flow file: compiled once, at check time, rendered for each step.

There are two styles. In the old one, `"text"`, a template always gives text, as `str()` has it. In the
new one, `"native"`, a lone `{{ expression }}` gives the very object, and text around it is as in JSON.
A value without templates is rendered by giving it back, and does not load Jinja.
"""

from __future__ import annotations

import json
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import attrs

from plait._errors import MissingExtra

from .marks import Raw
from .names import Names
from .problems import Path, Place, Problems
from .references import Reference, Scope, find
from .sandbox.failures import NotOneExpression, NullInText, Uncompilable
from .sandbox.failures import TemplateError as TemplateError

if TYPE_CHECKING:
    from .sandbox.program import Parsed, Program  # noqa: TC004 - attrs does not look it up

Style: TypeAlias = Literal["text", "native"]


# ------------------------------------------------------------------------------ values


class _Node(ABC):
    """A value that has to be rendered, or that has one in it that has to be."""

    @abstractmethod
    def render(self, names: Mapping[str, object]) -> object: ...


@attrs.frozen(eq=False)
class _Constant(_Node):
    value: object

    def render(self, names: Mapping[str, object]) -> object:
        del names
        return self.value


@attrs.frozen(eq=False)
class _Template(_Node):
    program: Program

    def render(self, names: Mapping[str, object]) -> object:
        return self.program.run(names)


@attrs.frozen(eq=False)
class _List(_Node):
    items: Sequence[_Node]

    def render(self, names: Mapping[str, object]) -> object:
        return [item.render(names) for item in self.items]


@attrs.frozen(eq=False)
class _Mapping(_Node):
    items: Mapping[str, _Node]

    def render(self, names: Mapping[str, object]) -> object:
        return {key: item.render(names) for key, item in self.items.items()}


@attrs.frozen(eq=False)
class Tree:
    """A value of a flow file, its templates compiled.

    Attributes:
        references: What the templates refer to, in their order.
        has_templates: Whether rendering it does anything.
    """

    _root: _Node
    references: tuple[Reference, ...] = ()

    @property
    def has_templates(self) -> bool:
        return not isinstance(self._root, _Constant)

    def render(self, names: Names) -> object:
        """Render the templates. What has none is the same object each time: it must not be changed.

        Raises:
            TemplateError: One of them cannot be rendered with these names.
        """
        try:
            return self._root.render(names.values)
        except RecursionError:
            raise TemplateError("nested too deeply") from None


@attrs.frozen(eq=False)
class Expression:
    """A `when`.

    Attributes:
        references: What it refers to.
    """

    _program: Program
    references: tuple[Reference, ...] = ()

    def evaluate(self, names: Names) -> bool:
        """Say whether the step shall run.

        Raises:
            TemplateError: It cannot be evaluated with these names, or it gives a text.
        """
        value = self._program.run(names.values)
        if isinstance(value, str):
            shown = value if len(value) <= 60 else f"{value[:60]}..."
            text = f"when gave the text {shown!r}; compare it, e.g. params.x == 'true'"
            raise TemplateError(text, "when")
        return bool(value)


# ------------------------------------------------------------------------------ compiling


def compile_tree(
    value: object,
    *,
    path: Path,
    place: Callable[[Path], Place],
    style: Callable[[Path], Style],
    problems: Problems,
    scope: Scope,
    always: bool = False,
    lenient: bool = False,
) -> Tree:
    """Compile the templates in a value, and report what is wrong with them.

    Args:
        value: As it was read.
        path: Where it is.
        place: Where a path is in the file.
        style: How the string at a path is rendered.
        problems: Takes what is found.
        scope: What the templates can name.
        always: Whether a value that is one string is rendered even if it has no blocks, and then always
            as text: so it is with `input`.
        lenient: Whether an undefined name gives nothing, instead of a failure.
    """
    references: list[Reference] = []

    def template(text: str, at: Path, how: Style) -> _Node:
        where = place(at)
        if (parsed := _parsed(text, where, problems)) is None:
            return _Constant(text)
        references.extend(find(parsed, path=at, place=where, scope=scope, problems=problems))
        program = _compiled(parsed, how, where, problems, lenient=lenient)
        return _Constant(text) if program is None else _Template(program)

    def node(value: object, at: Path) -> _Node:
        match value:
            case str() if has_blocks(value):
                return template(value, at, style(at))
            case Raw():
                return _Constant(without_marks(value))
            case list():
                values = cast("list[object]", value)
                items = [node(one, (*at, number)) for number, one in enumerate(values)]
                if all(map(_is_same, items, values)):
                    return _Constant(values)
                return _folded(_List(items), items)
            case dict():
                mapping = cast("dict[str, object]", value)
                nodes = {key: node(one, (*at, key)) for key, one in mapping.items()}
                if all(map(_is_same, nodes.values(), mapping.values())):
                    return _Constant(mapping)
                return _folded(_Mapping(nodes), nodes.values())
            case _:
                return _Constant(value)

    try:
        if always and isinstance(value, str):
            root: _Node = template(value, path, "text") if _may_change(value) else _Constant(value)
        else:
            root = node(value, path)
    except RecursionError:
        problems.add("shape", "nested too deeply", place(path))
        root = _Constant(None)
    return Tree(root, tuple(references))


def _is_same(node: _Node, value: object) -> bool:
    return isinstance(node, _Constant) and node.value is value


def _folded(node: _Node, parts: Iterable[_Node]) -> _Node:
    """Render what has no template in it, once: a `!raw` is below it."""
    return _Constant(node.render({})) if all(isinstance(one, _Constant) for one in parts) else node


def compile_when(
    value: bool | str,  # noqa: FBT001 - that is what the file says
    *,
    path: Path,
    place: Callable[[Path], Place],
    problems: Problems,
    scope: Scope,
) -> bool | Expression:
    """Compile a `when`: a bool, or an expression with or without braces.

    Args:
        value: As it was read.
        path: Where it is.
        place: Where a path is in the file.
        problems: Takes what is found.
        scope: What it can name.
    """
    if isinstance(value, bool):
        return value
    where, text = place(path), value.strip()
    braces = text.startswith(("{{", "{%", "{#"))
    parsed: Parsed | None = None
    try:
        parsed = _parse(text, expression=not braces)
    except Uncompilable as error:
        # Text with braces somewhere in it is no expression: what Jinja says of it would not help.
        if text and not isinstance(error, NotOneExpression) and (braces or not has_blocks(text)):
            problems.add("template", f"template: {error}", where)
            return False
    if parsed is None or not parsed.lone:
        problems.add("reference", "when must be one expression", where)
        return False
    references = tuple(find(parsed, path=path, place=where, scope=scope, problems=problems))
    program = _compiled(parsed, "native", where, problems)
    return False if program is None else Expression(program, references)


def has_blocks(text: str) -> bool:
    """Say whether there is a template in this text. A comment alone is none."""
    return "{{" in text or "{%" in text


def _may_change(text: str) -> bool:
    """Say whether rendering can give anything else than the text itself."""
    return has_blocks(text) or "{#" in text or text.endswith("\n") or "\r" in text


def without_marks(value: object) -> object:
    """Give what stands under `!raw`."""
    match value:
        case Raw():
            return without_marks(value.value)
        case list():
            return [without_marks(one) for one in cast("list[object]", value)]
        case dict():
            mapping = cast("dict[str, object]", value)
            return {key: without_marks(one) for key, one in mapping.items()}
        case _:
            return value


def as_text(value: object, template: str) -> str:
    """Turn a rendered value into text, where an option wants text: by the rule for text around it.

    Args:
        value: As it was rendered.
        template: What it was rendered from, for the message.

    Raises:
        TemplateError: It is null.
    """
    match value:
        case None:
            raise NullInText(template)
        case str():
            return value
        case bool() | list() | dict():
            return json.dumps(value)
        case _:
            return str(value)


# ------------------------------------------------------------------------------ commands


def split_words(text: str) -> list[str]:
    """Split a command as `shlex` does, a template block counting as part of its word.

    Raises:
        ValueError: A quotation is not closed, or a block is not.
    """
    if not has_blocks(text):
        return shlex.split(text)
    blocks, gaps = _blocks(text)
    # A private character stands for a block while the text is split: one that the text has not.
    mark = next(chr(code) for code in range(0xE000, 0xF900) if chr(code) not in text)
    words = shlex.split(mark.join(gaps))
    rest = iter(blocks)
    return [re.sub(mark, lambda _: next(rest), word) for word in words]


def _blocks(text: str) -> tuple[list[str], list[str]]:
    """Take the blocks out of a text: they, and what is left around them."""
    blocks: list[str] = []
    gaps: list[str] = []
    at = 0
    while (begin := _BEGIN.search(text, at)) is not None:
        gaps.append(text[at : begin.start()])
        at = _end(text, begin.start())
        blocks.append(text[begin.start() : at])
    return blocks, [*gaps, text[at:]]


_BEGIN: Final = re.compile(r"\{[{%#]")
_RAW: Final = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}", re.DOTALL)
_STRING: Final = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
_BRACKET: Final = re.compile(rf"{_STRING}|\}}\}}|%\}}|[\[\](){{}}]", re.DOTALL)


def _end(text: str, begin: int) -> int:
    """Find where a block ends: not in a string, and not where a mapping in it does."""
    closing = {"{{": "}}", "{%": "%}", "{#": "#}"}[text[begin : begin + 2]]
    if closing == "#}" and (end := text.find(closing, begin)) >= 0:
        return end + 2
    if (raw := _RAW.match(text, begin)) is not None:
        return raw.end()
    depth, at = 0, begin + 2
    while closing != "#}" and (found := _BRACKET.search(text, at)) is not None:
        at = found.end()
        if found[0] == closing and depth == 0:
            return at
        if found[0] in "([{":
            depth += 1
        elif found[0] in {")", "]", "}", "}}"}:
            depth -= 1
            at = found.start() + 1
    raise ValueError("a template block is not closed")


def quotes_for_shell(text: str) -> bool:
    """Say whether each template in a command for the shell ends in `| shquote`."""
    if not has_blocks(text):
        return True
    try:
        return _parse(text).quoted
    except Uncompilable:
        return True  # that is reported as such


# ------------------------------------------------------------------------------ Jinja


def _parse(text: str, *, expression: bool = False) -> Parsed:
    try:
        from .sandbox.program import parse  # noqa: PLC0415 - Jinja, for flows that have templates
    except ModuleNotFoundError as error:
        if error.name not in {"jinja2", "markupsafe"}:
            raise
        raise MissingExtra("flow files need jinja2. Type: pip install 'plait[flows]'") from error
    return parse(text, expression=expression)


def _parsed(text: str, place: Place, problems: Problems) -> Parsed | None:
    try:
        return _parse(text)
    except Uncompilable as error:
        problems.add("template", f"template: {error}", place)
        return None


def _compiled(
    parsed: Parsed, style: Style, place: Place, problems: Problems, *, lenient: bool = False
) -> Program | None:
    from .sandbox.program import compiled  # noqa: PLC0415 - as above

    try:
        return compiled(parsed, style, lenient=lenient)
    except Uncompilable as error:
        problems.add("template", f"template: {error}", place)
        return None
