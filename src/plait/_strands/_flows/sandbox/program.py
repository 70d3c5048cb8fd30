"""One template: what it refers to, and its compiled form."""

from __future__ import annotations

import functools
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import attrs
import jinja2
import jinja2.meta
import jinja2.nodes
import jinja2.parser

from plait._strands._flows.references import Use

from . import caps
from .data import result_of
from .environment import Environment, Style
from .failures import NotOneExpression, NullInText, TemplateError, Uncompilable


class Program(ABC):
    """A compiled template, in one style.

    Attributes:
        text: As it was written.
    """

    def __init__(self, text: str, environment: Environment) -> None:
        self.text = text
        self._environment = environment

    def run(self, names: Mapping[str, object]) -> object:
        """Render it: to text, or to an object if it is a lone expression in the native style.

        Raises:
            TemplateError: It cannot be, with these names.
        """
        caps.begin()
        try:
            return self._run(names)
        except NullInText:
            raise NullInText(self.text) from None
        except TemplateError:
            raise
        except Exception as error:
            raise TemplateError(_said(error)) from error

    @abstractmethod
    def _run(self, names: Mapping[str, object]) -> object: ...


class _Code(Program):
    """What Jinja makes of it: a function of Python."""

    def __init__(
        self, text: str, environment: Environment, template: jinja2.Template, *, lone: bool
    ) -> None:
        super().__init__(text, environment)
        self._template = template
        self._lone = lone

    def _run(self, names: Mapping[str, object]) -> object:
        names = {**self._environment.globals, **names}
        context = self._template.new_context(names, shared=True)
        written = self._template.root_render_func(context)
        if not self._lone:
            return self._environment.concat(written)
        for _ in written:
            pass
        return result_of(context.vars["result"])


@attrs.frozen
class _LookUp:
    """A name, and what is looked up in it: `flows.a['o']`, the steps as Jinja's code takes them."""

    root: str
    keys: tuple[tuple[bool, str | int], ...]  # whether it is written with a dot

    def find(self, names: Mapping[str, object], environment: Environment) -> Any:
        value: Any = names.get(self.root, environment)
        if value is environment:
            value = environment.undefined(name=self.root)
        for dotted, key in self.keys:
            look_up = environment.getattr if dotted else environment.getitem
            value = look_up(value, cast("str", key))
        return value


class _LookUps(Program):
    """Text with look-ups in it, or one look-up alone. Most templates are no more, and need no code.

    To make code of a template takes longer than all else that is done with a step.
    """

    def __init__(
        self, text: str, environment: Environment, parts: Sequence[str | _LookUp], *, lone: bool
    ) -> None:
        super().__init__(text, environment)
        self._parts = parts
        self._lone = lone

    def _run(self, names: Mapping[str, object]) -> object:
        environment = self._environment
        if self._lone:
            return result_of(cast("_LookUp", self._parts[0]).find(names, environment))
        return environment.concat(
            part if isinstance(part, str) else environment.written(part.find(names, environment))
            for part in self._parts
        )


def _said(error: Exception) -> str:
    match error:
        case RecursionError():
            return "template is nested too deeply"
        case MemoryError():
            return "template needs too much memory"
        case _:  # it may quote what it could not find, however long that is
            text = str(error) or type(error).__name__
            return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


#: Of a long message only so many characters are kept.
_LONGEST: Final = 1000


@attrs.define(eq=False, kw_only=True)
class Parsed:
    """What the syntax tree of a template tells.

    Attributes:
        text: As it was written.
        expression: Whether it was written without braces.
        lone: Whether it is one expression and nothing else.
        uses: The names that it looks up, in their order.
        free: Those that come from outside.
        assigned: Those that it assigns to.
        quoted: Whether each of its expressions ends in `| shquote`.
    """

    text: str
    expression: bool
    lone: bool
    uses: tuple[Use, ...]
    free: frozenset[str]
    assigned: frozenset[str]
    quoted: bool
    #: Until it is compiled: a tree is far larger than what it says.
    _tree: jinja2.nodes.Template | None = attrs.field(alias="tree")

    def take_tree(self) -> jinja2.nodes.Template:
        """Give the syntax tree away, or read the text again."""
        tree, self._tree = self._tree, None
        return tree or _tree(self.text, expression=self.expression)


@functools.lru_cache(maxsize=4096)
def parse(text: str, *, expression: bool = False) -> Parsed:
    """Read a template, or an expression without braces.

    Raises:
        Uncompilable: It has a fault, which the exception's text tells.
    """
    tree = _tree(text, expression=expression)
    nodes = [*_nodes(tree)]
    _check(nodes)
    uses = tuple(_uses(tree))
    assigned = frozenset(_assigned(nodes))
    return Parsed(
        text=text,
        expression=expression,
        lone=_lone(tree) is not None,
        uses=uses,
        free=_free(tree, {use.root for use in uses}, assigned),
        assigned=assigned,
        quoted=all(_is_quoted(one) for one in _expressions(nodes)),
        tree=tree,
    )


@functools.lru_cache(maxsize=4096)
def compiled(parsed: Parsed, style: Style, *, lenient: bool = False) -> Program:
    """Compile a template.

    Raises:
        Uncompilable: It has a fault, which the exception's text tells.
    """
    environment = _environment(style, lenient)
    tree = parsed.take_tree()
    lone = _lone(tree) if style == "native" else None
    if (parts := _look_ups(tree)) is not None:
        return _LookUps(parsed.text, environment, parts, lone=lone is not None)
    if lone is not None:
        # As `Environment.compile_expression` does it, from the tree.
        result = jinja2.nodes.Name("result", "store")
        tree = jinja2.nodes.Template([jinja2.nodes.Assign(result, lone, lineno=1)], lineno=1)
    try:
        template = environment.from_string(tree)
    except jinja2.TemplateSyntaxError as error:
        raise Uncompilable(error.message or "wrong syntax") from None
    except Exception as error:  # noqa: BLE001 - Python refuses the code: loops nested 20 deep
        raise Uncompilable(_said(error)) from None
    return _Code(parsed.text, environment, template, lone=lone is not None)


@functools.cache
def _environment(style: Style, lenient: bool) -> Environment:  # noqa: FBT001
    return Environment(style, lenient=lenient)


@functools.cache
def globals_of_jinja() -> frozenset[str]:
    """List the names that Jinja itself has."""
    return frozenset(_environment("text", lenient=False).globals)


# ------------------------------------------------------------------------------ the syntax tree

_LOADING: Final = (
    jinja2.nodes.Include,
    jinja2.nodes.Import,
    jinja2.nodes.FromImport,
    jinja2.nodes.Extends,
)


def _tree(text: str, *, expression: bool) -> jinja2.nodes.Template:
    environment = _environment("text", lenient=False)
    try:
        parser = jinja2.parser.Parser(environment, text, state="variable" if expression else None)
        if not expression:
            tree = parser.parse()
        else:
            found = parser.parse_expression()
            if not parser.stream.eos:
                raise NotOneExpression("chunk after expression")
            tree = jinja2.nodes.Template([jinja2.nodes.Output([found], lineno=1)], lineno=1)
            tree.set_environment(environment)
    except jinja2.TemplateSyntaxError as error:
        raise Uncompilable(error.message or "wrong syntax") from None
    except (RecursionError, ValueError, OverflowError, MemoryError) as error:
        raise Uncompilable(_said(error)) from None  # ValueError: a number of 5 000 digits
    return tree


def _check(nodes: Iterable[jinja2.nodes.Node]) -> None:
    """Refuse what Jinja would find only when it gets there, or not at all."""
    environment = _environment("text", lenient=False)
    for node in nodes:
        if isinstance(node, _LOADING):
            word = type(node).__name__.lower().removeprefix("from")
            raise Uncompilable(f"{word!r} loads another template, and there is none to load")
        if isinstance(node, jinja2.nodes.Filter) and node.name not in environment.filters:
            raise Uncompilable(f"No filter named {node.name!r}.")
        if isinstance(node, jinja2.nodes.Test) and node.name not in environment.tests:
            raise Uncompilable(f"No test named {node.name!r}.")


def _nodes(tree: jinja2.nodes.Node) -> Iterator[jinja2.nodes.Node]:
    """Walk over all nodes, as they were written. A loop: a tree may be deep."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed([*node.iter_child_nodes()]))


def _lone(tree: jinja2.nodes.Template) -> jinja2.nodes.Expr | None:
    match tree.body:
        case [jinja2.nodes.Output(nodes=[one])] if not isinstance(one, jinja2.nodes.TemplateData):
            return one
        case _:
            return None


def _expressions(nodes: Iterable[jinja2.nodes.Node]) -> Iterator[jinja2.nodes.Expr]:
    for node in nodes:
        if isinstance(node, jinja2.nodes.Output):
            yield from (one for one in node.nodes if not isinstance(one, jinja2.nodes.TemplateData))


def _look_ups(tree: jinja2.nodes.Template) -> list[str | _LookUp] | None:
    """Read a template that is nothing but text and look-ups."""
    parts: list[str | _LookUp] = []
    for output in tree.body:
        if not isinstance(output, jinja2.nodes.Output):
            return None
        for node in output.nodes:
            part = node.data if isinstance(node, jinja2.nodes.TemplateData) else _look_up(node)
            if part is None:
                return None
            parts.append(part)
    return parts


def _look_up(node: jinja2.nodes.Expr) -> _LookUp | None:
    keys: list[tuple[bool, str | int]] = []
    while isinstance(node, jinja2.nodes.Getattr | jinja2.nodes.Getitem):
        if isinstance(node, jinja2.nodes.Getattr):
            keys.insert(0, (True, node.attr))
        elif isinstance(node.arg, jinja2.nodes.Const) and type(node.arg.value) in {str, int}:
            keys.insert(0, (False, node.arg.value))
        else:
            return None
        node = node.node
    if not isinstance(node, jinja2.nodes.Name) or node.name in globals_of_jinja() | _OF_BLOCKS:
        return None
    return _LookUp(node.name, tuple(keys))


def _is_quoted(node: jinja2.nodes.Expr) -> bool:
    return isinstance(node, jinja2.nodes.Filter) and node.name == "shquote"


def _uses(tree: jinja2.nodes.Node) -> Iterator[Use]:
    """Find what is looked up, a chain of keys as one: `flows.a['o']`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        target = node.node if isinstance(node, jinja2.nodes.Call) else node
        chain = _chain(target)
        if chain is None:
            rest = [*node.iter_child_nodes()]
        else:
            called = target is not node and chain.whole
            yield Use(chain.root, chain.keys, called=called)
            rest = [*chain.rest, *(one for one in node.iter_child_nodes() if target is not node)]
            rest = [one for one in rest if one is not target]
        waiting.extend(reversed(rest))


@attrs.frozen(eq=False)
class _Chain:
    """A name, the first fixed keys after it, what else stands in brackets, and whether that is all."""

    root: str
    keys: tuple[str, ...]
    rest: list[jinja2.nodes.Node]
    whole: bool


def _chain(node: jinja2.nodes.Node) -> _Chain | None:
    keys: list[str | None] = []
    rest: list[jinja2.nodes.Node] = []
    while isinstance(node, jinja2.nodes.Getattr | jinja2.nodes.Getitem):
        if isinstance(node, jinja2.nodes.Getattr):
            keys.insert(0, node.attr)
        elif isinstance(node.arg, jinja2.nodes.Const) and isinstance(node.arg.value, str):
            keys.insert(0, node.arg.value)
        else:
            keys.insert(0, None)
            rest.insert(0, node.arg)
        node = node.node
    if isinstance(node, jinja2.nodes.NSRef):
        return _Chain(node.name, (), rest, whole=False)
    if not isinstance(node, jinja2.nodes.Name) or node.ctx != "load":
        return None
    fixed = tuple(itertools.takewhile(lambda key: key is not None, keys))
    return _Chain(node.name, cast("tuple[str, ...]", fixed), rest, whole=len(fixed) == len(keys))


def _assigned(nodes: Iterable[jinja2.nodes.Node]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, jinja2.nodes.Macro) or (
            isinstance(node, jinja2.nodes.Name) and node.ctx != "load"
        ):
            yield node.name


#: What Jinja gives inside loops, macros and blocks.
_INSIDE: Final = frozenset({"loop", "caller", "varargs", "kwargs"})
_OF_BLOCKS: Final = frozenset({"self", "super"})


def _free(
    tree: jinja2.nodes.Template, names: Iterable[str], assigned: frozenset[str]
) -> frozenset[str]:
    """Tell the names that come from outside.

    Jinja's own answer takes as long as compiling, and is asked only where a name may be a local one.
    """
    names = frozenset(names) - globals_of_jinja()
    unsure = names & (assigned | _INSIDE)
    if not unsure:
        return names
    try:
        outside = jinja2.meta.find_undeclared_variables(tree)
    except Exception:  # noqa: BLE001 - what is wrong with it, `compiled` says
        return names
    return frozenset(name for name in names if name not in unsure or name in outside)
