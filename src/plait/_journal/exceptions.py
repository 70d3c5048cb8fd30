"""Exceptions: how they are written, and built again without running their code.

Rule 1: Writing one never fails: a failure must be recorded, whatever it carries. If its arguments
    cannot be written, its name and message are; attributes that cannot be written are left out.
Rule 2: One is built only of a class that is already loaded, found in `sys.modules` by plain look-ups,
    and that is an `Exception`: by `cls.__new__(cls, *args)`, and by setting its attributes. No
    `__init__` is called but those of Python itself. If its text is not what it was, it does not count.
Rule 3: What cannot be built becomes an `UnreconstructedException`, or, if it was a group, a plain
    `ExceptionGroup` of its members. Notes and `__cause__` are kept, also of these.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

import attrs

from plait._errors import UnreconstructedException
from plait._show import show

from .arguments import is_dict, is_list, is_str
from .closed_set import full_name
from .refused import Refused

Write: TypeAlias = Callable[[Any, int], object]
Read: TypeAlias = Callable[[object, int], Any]
StandIn: TypeAlias = Callable[[str, str], Exception]

#: What may stand beside name, text and arguments.
EXTRAS: Final = frozenset({"attributes", "bare", "cause", "members", "notes"})


# ---------------------------------------------------------------- written


def write_exception(error: BaseException, depth: int, write: Write) -> list[object]:
    """Write an exception: its class, its text, its arguments, and what else it has."""
    more: dict[str, object] = {}
    written = _written(_attributes(error), depth, write)
    if written:
        more["attributes"] = written
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list | tuple) and notes:
        more["notes"] = [clean(str(note)) for note in cast("list[object]", notes)]
    if error.__cause__ is not None:
        more["cause"] = _nested(error.__cause__, depth, write)
    elif error.__suppress_context__:
        more["bare"] = True
    args: Any = [*_arguments(error)]
    members: tuple[BaseException, ...] | None = getattr(error, "exceptions", None)
    if members is not None and issubclass(type(error), BaseExceptionGroup):
        more["members"] = [_nested(member, depth, write) for member in members]
        args = args[:1]
    try:
        args = write(args, depth)
    except Refused:  # rule 1
        args = None
    return [full_name(type(error)), clean(text_of(error)), args, *([more] if more else [])]


def _nested(error: BaseException, depth: int, write: Write) -> object:
    """Write an exception in another; only its name and message, if it lies too deep."""
    try:
        return write(error, depth)
    except Refused:
        return {"$": ["error", full_name(type(error)), clean(text_of(error)), None]}


def _arguments(error: BaseException) -> tuple[Any, ...]:
    if isinstance(error, OSError):  # its `args` have not the names of its files
        return cast("tuple[Any, tuple[Any, ...]]", OSError.__reduce__(error))[1]
    return error.args


def _attributes(error: BaseException) -> dict[str, Any]:
    found = {name: part for name, part in vars(error).items() if name != "__notes__"}
    for name in _slots(type(error)):
        if hasattr(error, name):
            found[name] = getattr(error, name)
    return found


def _slots(kind: Any) -> tuple[str, ...]:
    """List the fields of an exception that is an attrs class; they may lie in slots."""
    return tuple(field.name for field in attrs.fields(kind)) if attrs.has(kind) else ()


def _written(parts: Mapping[str, Any], depth: int, write: Write) -> dict[str, object]:
    """Write what can be written."""
    found: dict[str, object] = {}
    for name, part in parts.items():
        if clean(name) == name:
            try:
                found[name] = write(part, depth)
            except Refused:  # rule 1
                continue
    return found


def text_of(error: BaseException) -> str:
    """`str(error)`, whatever its class makes of that."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - whatever somebody's class raises
        return show(error)


def clean(text: str) -> str:
    """Replace what UTF-8 has not."""
    return text.encode("utf-8", "backslashreplace").decode()


# ---------------------------------------------------------------- read


def read_exception(
    name: object,
    text: object,
    args: object,
    more: object = None,
    *,
    depth: int,
    read: Read,
    stand_in: StandIn,
) -> BaseException:
    """Build an exception, or what stands in for it."""
    name, text = is_str(name), is_str(text)
    extras = is_dict({} if more is None else more)
    if not extras.keys() <= EXTRAS:
        raise Refused(f"an exception has no {min(extras.keys() - EXTRAS)!r:.80}")
    members = is_list(extras.get("members", []))
    notes = [is_str(note) for note in is_list(extras.get("notes", []))]
    arguments = None if args is None else is_list(read(args, depth))
    attributes = {n: read(part, depth) for n, part in is_dict(extras.get("attributes", {})).items()}
    group = [is_exception(read(member, depth)) for member in members]
    error = _built(name, text, arguments, attributes, group)
    if error is None:
        error = ExceptionGroup(_said(name, text), group) if group else stand_in(name, text)
    for note in notes:
        error.add_note(note)
    if "cause" in extras:
        error.__cause__ = is_exception(read(extras["cause"], depth))
    elif extras.get("bare"):
        error.__suppress_context__ = True
    return error


def unreconstructed(name: str, text: str) -> Exception:
    """Make what stands in for an exception that cannot be built: of its full name and its text."""
    return UnreconstructedException(_said(name, text))


def _said(name: str, text: str) -> str:
    short = name.removeprefix("builtins.")
    return f"{short}: {text}" if text else short


def _built(
    name: str,
    text: str,
    args: list[Any] | None,
    attributes: Mapping[str, Any],
    members: list[Exception],
) -> Exception | None:
    """Build it, if its class is loaded and makes the same of the same arguments."""
    kind: Any = loaded_exception(name)
    if kind is BaseExceptionGroup:
        kind = ExceptionGroup  # as Python has it, if all members are `Exception`s
    if kind is None or args is None or issubclass(kind, BaseExceptionGroup) != bool(members):
        return None
    args = [*args, members] if members else args
    try:
        error: Any = kind.__new__(kind, *args)
        if type(kind.__init__) is types.WrapperDescriptorType:  # it is one of Python's own
            kind.__init__(error, *args)
        for attribute, value in attributes.items():
            if attribute in _slots(kind):
                object.__setattr__(error, attribute, value)
            else:  # past any property
                vars(error)[attribute] = value
        return error if type(error) is kind and str(error) == text else None
    except Exception:  # noqa: BLE001 - whatever somebody's class raises; then it cannot be built
        return None


def loaded_exception(name: str) -> type[Exception] | None:
    """Find a class of exceptions without importing anything, and without calling anything."""
    parts = name.split(".")
    for n in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:n]))
        if module is None:
            continue
        found: object = module
        for part in parts[n:]:
            # Not `getattr`: a module or class may have a hook there that imports what is asked for.
            if not isinstance(found, types.ModuleType if found is module else type):
                return None
            found = vars(found).get(part)
        return cast("type[Exception]", found) if _is_harmless(found) else None
    return None


def _is_harmless(found: object) -> bool:
    return isinstance(found, type) and (issubclass(found, Exception) or found is BaseExceptionGroup)


def is_exception(value: object) -> Exception:
    """Check what is raised from, or is a member of a group."""
    if not isinstance(value, Exception):
        raise Refused(f"not an exception: {show(value, 80)}")
    return value
