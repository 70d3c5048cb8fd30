"""The sandbox: what a template can reach, and how its code is made."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, TypeAlias

import jinja2
import jinja2.compiler
import jinja2.nodes
import jinja2.runtime
import jinja2.sandbox
import markupsafe

from plait._strands._flows.names import View

from . import caps
from .data import to_json, to_text
from .filters import FILTERS, TESTS, lipsum

Style: TypeAlias = Literal["text", "native"]


class _Formatter(jinja2.sandbox.SandboxedFormatter):
    """`str.format`, counted field by field."""

    def __init__(self, env: jinja2.Environment) -> None:
        super().__init__(env)
        self._size = 0

    def format_field(self, value: Any, format_spec: str) -> str:
        caps.limit_specification(format_spec)
        caps.limit_text_of(value)
        text: str = super().format_field(value, format_spec)
        self._size += len(text)
        caps.limit(self._size)
        return text


class _EscapeFormatter(jinja2.sandbox.SandboxedEscapeFormatter):
    """The same of a `Markup`."""

    def format_field(self, value: Any, format_spec: str) -> str:
        caps.limit_specification(format_spec)
        caps.limit_text_of(value)
        text: str = super().format_field(value, format_spec)
        caps.charge(len(text))
        return text


class _Generator(jinja2.compiler.CodeGenerator):
    """Compiles with a count in each loop and each `~`, and computes nothing beforehand."""

    def visit_For(self, node: jinja2.nodes.For, frame: jinja2.compiler.Frame) -> None:  # noqa: N802
        counted = jinja2.nodes.ExprStmt(jinja2.nodes.EnvironmentAttribute("turn"))
        whole = node.body
        node.body = [counted.set_lineno(node.lineno), *whole]
        super().visit_For(node, frame)
        node.body = whole

    def visit_EnvironmentAttribute(  # noqa: N802
        self, node: jinja2.nodes.EnvironmentAttribute, frame: jinja2.compiler.Frame
    ) -> None:
        del frame
        self.write(f"environment.{node.name}()")

    def visit_Concat(self, node: jinja2.nodes.Concat, frame: jinja2.compiler.Frame) -> None:  # noqa: N802
        joined = "markup_join" if frame.eval_ctx.autoescape else "str_join"
        self.write(f"environment.joined({joined}, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def _output_child_to_const(self, node: Any, frame: Any, finalize: Any) -> str:
        if isinstance(node, jinja2.nodes.TemplateData):
            return super()._output_child_to_const(node, frame, finalize)
        raise jinja2.nodes.Impossible


class Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """The sandbox of one style."""

    code_generator_class = _Generator
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, style: Style, *, lenient: bool = False) -> None:
        super().__init__(
            undefined=jinja2.Undefined if lenient else jinja2.StrictUndefined,
            finalize=_measured if style == "text" else to_text,
            optimized=False,
            cache_size=0,
        )
        self.filters = dict(FILTERS)
        self.tests = dict(TESTS)
        self.globals["lipsum"] = lipsum
        self.policies["json.dumps_function"] = to_json

    def written(self, value: Any) -> str:
        """Turn what an expression gave into the text that it is in a text."""
        return str(self.finalize(value)) if self.finalize is not None else str(value)

    @staticmethod
    def turn() -> None:
        """Count a turn of a loop."""
        caps.turn()

    @staticmethod
    def joined(join: Callable[[Iterable[Any]], str], parts: tuple[Any, ...]) -> str:
        """Join the parts of a `~`."""
        caps.limit_joined("", parts)
        text = join(parts)
        caps.charge(len(text))
        return text

    @staticmethod
    def concat(parts: Iterable[str]) -> str:
        """Join what was written, and stop as soon as it is too much."""
        text: list[str] = []
        size = 0
        for part in parts:
            size += len(part)
            caps.limit(size)
            text.append(part)
        caps.charge(size)
        return "".join(text)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look for a key first: an output that is called `items` is no method."""
        if caps.is_mapping(obj):
            try:
                return obj[attribute]
            except KeyError:
                pass
            if isinstance(obj, View) and (hint := self._hint(obj, attribute)):
                return self.undefined(hint, obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look up a key, then an attribute."""
        if isinstance(obj, View) and isinstance(argument, str):
            return self.getattr(obj, argument)
        return super().getitem(obj, argument)

    @staticmethod
    def _hint(obj: View, attribute: str) -> str | None:
        if attribute.startswith("_") or attribute in _METHODS_OF_MAPPINGS:
            return None
        return obj._missing(attribute)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Let `str.format` and `str.format_map` see no more than a template does, and make no more."""
        if not isinstance(value, types.MethodType | types.BuiltinMethodType):
            return None
        text: object = value.__self__
        if not isinstance(text, str) or value.__name__ not in {"format", "format_map"}:
            return None
        kind = type(text)

        def formatted(*args: Any, **kwargs: Any) -> str:
            formatter: _Formatter | _EscapeFormatter
            if isinstance(text, markupsafe.Markup):
                formatter = _EscapeFormatter(self, escape=text.escape)
            else:
                formatter = _Formatter(self)
            if value.__name__ == "format_map":
                (mapping,) = args
                return kind(formatter.vformat(text, (), mapping))
            return kind(formatter.vformat(text, args, kwargs))

        return formatted

    def call_binop(
        self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any
    ) -> Any:
        """Compute what a template writes with an operator that can make much of little."""
        caps.limit_operation(operator, left, right)
        return caps.made(super().call_binop(context, operator, left, right))

    def call(self, context: jinja2.runtime.Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what a template calls."""
        caps.turn()
        arguments = [*args]
        if isinstance(obj, types.BuiltinMethodType):
            caps.limit_call(obj.__self__, obj.__name__, arguments, kwargs)
        return caps.made(super().call(context, obj, *arguments, **kwargs))


_METHODS_OF_MAPPINGS: Final = frozenset({"get", "items", "keys", "values"})


def _measured(value: Any) -> Any:
    """Let a value be written as `str()` has it, unless that is too much."""
    caps.limit_text_of(value)
    return value
