"""Outputs: what is taken from the data of a step, and kept under a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import attrs

from plait._abc import JSON
from plait._errors import MissingExtra

from .grammar import Out, OutputFrom
from .problems import Path, Place, Problems
from .sandbox.failures import TemplateError

if TYPE_CHECKING:
    from .selectors import Selector  # noqa: TC004 - attrs does not look it up

OutputType: TypeAlias = Literal["raw", "json", "jmespath"]

_TYPES: Final = frozenset({"raw", "json", "jmespath"})

#: What these give is JSON already: they have read it.
_BUILT_IN: Final = frozenset({"rest", "process", "env"})


class OutputError(Exception):
    """An output cannot be taken from the data that has come.

    Attributes:
        message: Why.
        kind: `"output"`.
    """

    kind: Final = "output"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@attrs.frozen(eq=False, kw_only=True)
class Output:
    """A checked output.

    Attributes:
        name: What it is kept under.
        step: Whose it is.
        provider: Where the step's data comes from.
        type: What of the data it takes.
        origin: What is taken for the data: the body, or what came with it.
        value: The selector, as it was written, if it has one.
        default: What it is if nothing was found.
        required: Whether it is a failure if nothing was found, and there is no default.
        secret: Whether its value is hidden from then on.
    """

    name: str
    step: str
    provider: str
    type: OutputType
    origin: OutputFrom = "body"
    value: str | None = None
    default: JSON = None
    required: bool = False
    secret: bool = False
    _selector: Selector | None = attrs.field(default=None, alias="selector")

    @property
    def definition(self) -> dict[str, JSON]:
        """Everything about it that decides what it gives."""
        return {
            "name": self.name,
            "type": self.type,
            "from": self.origin,
            "value": self.value,
            "default": self.default,
            "required": self.required,
        }

    def take(
        self,
        data: JSON,
        *,
        status: int | None,
        headers: Mapping[str, str] | None,
        warn: Callable[[str], object],
    ) -> JSON:
        """Take it from what a call gave.

        Raises:
            OutputError: Nothing was found, or what was found is not JSON.
        """
        match self.origin:
            case "status":
                found: JSON = status
            case "headers":
                found = {name.lower(): text for name, text in (headers or {}).items()}
            case _:
                found = data
        if self._selector is not None:
            found = self._selected(self._selector, found, warn)
        elif self.type == "json" and self.provider == "process" and isinstance(found, dict):
            found = found.get("json", found)
        if found is None:
            found = self.default
        if found is None and self.required:
            raise OutputError(f"output {self.name!r} found nothing: {self.value or self.origin}")
        return found

    def _selected(self, selector: Selector, data: JSON, warn: Callable[[str], object]) -> JSON:
        try:
            return selector.select(data)
        except ValueError as error:
            warn(f"step {self.step!r} output {self.name!r}: jmespath: {error}; null")
            return None


def take(
    outputs: Sequence[Output],
    data: JSON,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    warn: Callable[[str], object],
) -> dict[str, JSON]:
    """Take the outputs of a step from what a call gave.

    Args:
        outputs: Those of the step.
        data: What the source gave.
        status: The HTTP status, if there is one.
        headers: The headers of an answer, if there are some.
        warn: Takes a warning.

    Raises:
        OutputError: One of them found nothing, or data of a plugin is not JSON.
    """
    if outputs and outputs[0].provider not in _BUILT_IN and (odd := not_json(data)) is not None:
        raise OutputError(f"output {outputs[0].name!r} is not JSON: {odd}")
    return {
        output.name: output.take(data, status=status, headers=headers, warn=warn)
        for output in outputs
    }


def not_json(value: object) -> str | None:
    """Name what is no JSON in a value: `bytes`; `None` if all of it is."""
    try:
        return _not_json(value, set())
    except RecursionError:
        return "it is nested too deeply"


def _not_json(value: object, around: set[int]) -> str | None:
    match value:
        case None | str() | bool() | int() | float():
            return None
        case list():
            parts = cast("list[object]", value)
        case dict():
            mapping = cast("dict[object, object]", value)
            for key in mapping:
                if not isinstance(key, str):
                    return f"{type(key).__name__} as a key"
            parts = [*mapping.values()]
        case _:
            return type(value).__name__
    number = id(cast("object", value))
    if number in around:
        return "it contains itself"
    around.add(number)
    for part in parts:
        if (odd := _not_json(part, around)) is not None:
            return odd
    around.discard(number)
    return None


# ------------------------------------------------------------------------------ checking


def compile_outputs(
    outs: Sequence[Out],
    *,
    step: str,
    provider: str,
    place: Callable[[Path], Place],
    problems: Problems,
    compat: bool = False,
) -> tuple[Output, ...]:
    """Check the outputs of a step, and compile their selectors.

    Args:
        outs: As they were read.
        step: The step's name.
        provider: The name of its provider.
        place: Where a path is in the file.
        problems: Takes what is found: names, types, selectors.
        compat: Whether the rules of flowtoy hold: `json` is `raw`.
    """
    outputs: dict[str, Output] = {}
    for out in outs:
        output = _compiled(out, step, provider, place, problems, compat=compat)
        if output is None:
            continue
        if output.name in outputs:
            problems.add("duplicate", f"duplicate output name {output.name!r}", place(out.path))
        outputs.setdefault(output.name, output)
    return tuple(outputs.values())


def _compiled(
    out: Out,
    step: str,
    provider: str,
    place: Callable[[Path], Place],
    problems: Problems,
    *,
    compat: bool,
) -> Output | None:
    if out.type not in _TYPES:
        text = f"Step {step!r} output {str(out.name)!r} has unknown type {out.type!r}"
        problems.add("output-type", text, place((*out.path, "type")))
        return None
    if not out.name:
        problems.add("name", "output needs a name", place(out.path))
        return None
    kind = cast("OutputType", out.type)
    selector: Selector | None = None
    if kind == "jmespath":
        if out.value is None:
            problems.add("jmespath", f"output {out.name!r} needs a value", place(out.path))
            return None
        try:
            selector = _selector(out.value)
        except ValueError as error:
            text = f"invalid jmespath {out.value!r}: {error}"
            problems.add("jmespath", text, place((*out.path, "value")))
            return None
    if out.from_ != "body" and provider != "rest":
        text = f"output {out.name!r}: from: {out.from_} needs a rest source"
        problems.add("shape", text, place((*out.path, "from")))
    return Output(
        name=out.name,
        step=step,
        provider=provider,
        type="raw" if compat and kind == "json" else kind,
        origin=out.from_,
        value=out.value if kind == "jmespath" else None,
        default=cast("JSON", out.default),
        required=out.required,
        secret=out.secret,
        selector=selector,
    )


def _selector(text: str) -> Selector:
    try:
        from .selectors import selector  # noqa: PLC0415 - jmespath, for flows that select
    except ModuleNotFoundError as error:
        if error.name != "jmespath":
            raise
        raise MissingExtra("flow files need jmespath. Type: pip install 'plait[flows]'") from error
    return selector(text)


def jmespath_function(data: JSON) -> Callable[[str], object]:
    """Make the `jmespath(text)` that templates have where a payload is passed to them.

    Args:
        data: The payload.
    """

    def jmespath(text: str) -> object:
        try:
            return _selector(text).select(data)
        except ValueError as error:
            raise TemplateError(f"jmespath {text!r}: {error}") from error

    return jmespath
