"""What goes to stdout, or to a file: results, as a table or as JSON."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO, cast

import attrs

from .exits import FAILED
from .messages import tell, warn
from .output_file import OutputFile
from .printable import cut, printable


@attrs.frozen
class Wanted:
    """How the results are asked for.

    Attributes:
        json: As JSON.
        quiet: Without a table.
        file: Where they go instead of stdout.
        stdout: What is stdout for results: what steps print is none.
        python: As Python writes them, as flowtoy does.
    """

    json: bool = False
    quiet: bool = False
    file: OutputFile | None = None
    stdout: TextIO = attrs.field(factory=lambda: sys.stdout)
    python: bool = False


def delivered(code: int, show: Callable[[], object], wanted: Wanted) -> int:
    """Show results, and say how the command ends with that.

    Args:
        code: How it would end.
        show: Writes them.
        wanted: Where.
    """
    try:
        show()
        wanted.stdout.flush()
    except BrokenPipeError:
        raise  # nobody reads them any more
    except OSError as error:
        tell(f"cannot write the results: {error.strerror or error}")
        return code or FAILED
    return code


def show_flows(flows: Mapping[str, Mapping[str, object]], wanted: Wanted) -> None:
    """Show the outputs of a flow's steps."""
    if wanted.file is not None or wanted.json:
        _put(json_text(flows), wanted)
    elif wanted.quiet:
        return
    elif wanted.python:
        print(flows, file=wanted.stdout)
    else:
        shown = cast("Mapping[str, Mapping[str, object]]", strict(flows))
        rows = [
            (step, name, value)
            for step, outputs in shown.items()
            for name, value in (outputs or {"": ...}).items()
        ]
        wanted.stdout.write(table(rows, terminal_width(wanted.stdout)))


def show_value(value: object, wanted: Wanted) -> None:
    """Show the result of an event workflow."""
    if wanted.file is not None or wanted.json:
        _put(json_text(value), wanted)
    elif not wanted.quiet:
        width = terminal_width(wanted.stdout)
        line = one_line(value)
        print(line if width is None else cut(line, width), file=wanted.stdout)


def _put(text: str, wanted: Wanted) -> None:
    if wanted.file is None:
        wanted.stdout.write(text)
    else:
        wanted.file.write(text)


def terminal_width(stream: TextIO) -> int | None:
    """How many characters a line of a stream has room for; `None`: it is no terminal, or none tells."""
    if not stream.isatty():
        return None
    return os.get_terminal_size(stream.fileno()).columns or None


# ---------------------------------------------------------------- JSON


def json_text(value: object) -> str:
    """Write strict JSON: indented, in ASCII, with a line end. What is no number becomes null."""
    return json.dumps(strict(value), indent=2, allow_nan=False) + "\n"


def one_line(value: object) -> str:
    """Write JSON in one line, for people: other letters than ASCII stay."""
    return printable(json.dumps(strict(value), ensure_ascii=False, allow_nan=False))


def strict(value: object) -> object:
    """Make JSON values of a value, with a warning for each kind of thing that is none.

    NaN and infinities become null, events and other attrs classes mappings of their fields, and
    what is no JSON at all becomes its text.
    """
    strange: dict[str, None] = {}
    made = _json(value, strange)
    for text in strange:
        warn(text)
    return made


def _json(value: object, strange: dict[str, None]) -> object:
    if value is None or isinstance(value, str | bool | int):
        return value if value is None or type(value) in {str, bool, int} else _plain(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        strange["NaN is not JSON; printed as null"] = None
        return None
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        return {_key(key, strange): _json(one, strange) for key, one in mapping.items()}
    if isinstance(value, list | tuple):
        return [_json(one, strange) for one in cast("Sequence[object]", value)]
    if (fields := _fields(value)) is not None:
        return {name: _json(one, strange) for name, one in fields.items()}
    strange[f"{type(value).__name__} is not JSON; printed as text"] = None
    return str(value)


def _plain(value: str | int) -> object:
    """Take a text or number of a class of its own for what it is."""
    return str.__str__(value) if isinstance(value, str) else int(value)


def _key(key: object, strange: dict[str, None]) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    strange[f"a key of class {type(key).__name__} is not JSON; printed as text"] = None
    return str(key)


def _fields(value: object) -> Mapping[str, object] | None:
    """The fields of an event, an attrs class, a dataclass or a pydantic model."""
    from plait._event import Event

    if isinstance(value, Event):
        return Event.to_dict(value)
    kind = type(value)
    if attrs.has(kind):
        return {field.name: getattr(value, field.name) for field in attrs.fields(kind)}
    if "__dataclass_fields__" in dir(kind):
        names = cast("Mapping[str, object]", getattr(kind, "__dataclass_fields__"))  # noqa: B009
        return {name: getattr(value, name) for name in names}
    dump: Any = getattr(value, "model_dump", None)
    if callable(dump):
        return cast("Mapping[str, object]", dump(mode="json"))
    return None


# ---------------------------------------------------------------- tables


def table(rows: Sequence[tuple[str, str, object]], width: int | None) -> str:
    """Draw the outputs as a table, its lines cut to a width if there is one.

    Args:
        rows: Step, output and value; `...` for no output at all.
        width: In characters.
    """
    cells = [(*map(printable, row[:2]), "" if row[2] is ... else one_line(row[2])) for row in rows]
    return columns([("step", "output", "value"), *cells], width)


def columns(rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """Draw rows with their columns below one another; the last one is as long as it is."""
    if not rows:
        return ""
    sizes = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(size) for cell, size in zip(row, sizes, strict=True)).rstrip()
        for row in rows
    ]
    return "".join(f"{line if width is None else cut(line, width)}\n" for line in lines)
