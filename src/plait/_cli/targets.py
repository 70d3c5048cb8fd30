"""What is to be run or drawn: flow files, or one event workflow of a Python module.

A target that exists as a file is a file. Else `package.module:Name` is imported, with the current
folder first on the path. What is neither is a file that does not exist: reading it says so.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import attrs
from typing_extensions import TypeIs

from plait._strands._events.workflow import Workflow
from plait._strands._flows.problems import did_you_mean

from .app import as_typed
from .exits import UsageError

if TYPE_CHECKING:
    from plait._strands._durable.app import App

#: A name in a module, written as one writes the path of its file.
_BY_FILE: Final = re.compile(r"(?P<path>.+)\.py:(?P<name>[^:]*)")
_NAMED: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@attrs.frozen
class Files:
    """Flow files, to be merged in this order."""

    names: tuple[str, ...]


@attrs.frozen(eq=False)
class Named:
    """An event workflow, and how it was called."""

    name: str
    workflow: Workflow[Any]


Target: TypeAlias = Files | Named


def find(given: Sequence[str], verb: str) -> Target:
    """Find what the arguments of a verb mean. Imports the module of an event workflow.

    Args:
        given: The arguments.
        verb: The verb, for messages.

    Raises:
        UsageError: There is none, several event workflows, or a workflow among files; or the
            workflow cannot be had.
    """
    target = files_or_name(given, verb)
    return target if isinstance(target, Files) else Named(target, _workflow(target))


def files_or_name(given: Sequence[str], verb: str) -> Files | str:
    """Find whether the arguments of a verb mean files, or one name in a module. Imports nothing.

    Raises:
        UsageError: There is none, several names, or a name among files.
    """
    names = [*map(as_typed, given)]
    if not names:
        raise UsageError(f"{verb} needs FILE... or module:Workflow. Type: plait {verb} --help")
    for name in names:
        _refuse_path(name, verb)
    named = [name for name in names if is_named(name)]
    if not named:
        _refuse_python(names, verb)
        return Files(tuple(names))
    if len(named) < len(names):
        other = next(name for name in names if name not in named)
        raise UsageError(
            f"{named[0]} is a workflow and {other} a file: {verb} takes one or the other"
        )
    if len(named) > 1:
        raise UsageError(f"{verb} takes one workflow, not {len(named)}: {', '.join(named)}")
    return named[0]


def files(given: Sequence[str], verb: str) -> Files:
    """Find the flow files that the arguments of a verb mean.

    Raises:
        UsageError: There are none, or it is an event workflow.
    """
    names = [*map(as_typed, given)]
    if not names:
        raise UsageError(f"{verb} needs FILE... Type: plait {verb} --help")
    if named := [name for name in names if is_named(name)]:
        raise UsageError(f"{verb} takes flow files, and {named[0]} is a workflow")
    if python := [name for name in names if name.endswith(".py")]:
        raise UsageError(f"{python[0]} is Python, and {verb} takes flow files")
    return Files(tuple(names))


def _refuse_path(name: str, verb: str) -> None:
    """Refuse a name in a module whose file is written.

    Raises:
        UsageError: It is one.
    """
    by_file = _BY_FILE.fullmatch(name)
    if by_file is not None and not os.path.exists(name):  # noqa: PTH110
        right = f"plait {verb} {_module(by_file['path'])}:{by_file['name']}"
        raise UsageError(f"{name}: a module has no .py here. Type: {right}")


def _refuse_python(names: Sequence[str], verb: str) -> None:
    """Refuse what would be read as a flow file and can be none.

    Raises:
        UsageError: It is a Python file, or the name of a module alone.
    """
    for name in names:
        if name.endswith(".py"):
            right = f"plait {verb} {_module(name.removesuffix('.py'))}:NAME"
            raise UsageError(f"{name} is Python. What is in it is named so: {right}")
        if name.isidentifier() and not os.path.exists(name):  # noqa: PTH110
            text = f"{name} is neither a file nor module:Workflow"
            raise UsageError(f"{text}. Type: plait {verb} --help")


def _module(path: str) -> str:
    return path.removeprefix("./").replace("/", ".")


def is_named(target: str) -> bool:
    """Say whether a target is a name in a module: it looks like one, and is no file."""
    return _NAMED.fullmatch(target) is not None and not os.path.exists(target)  # noqa: PTH110


def durable_app(given: Sequence[str]) -> App | None:
    """Find the app of durable functions that is meant, if one is. Imports its module.

    Raises:
        UsageError: The module cannot be had.
    """
    names = [*map(as_typed, given)]
    if len(names) != 1 or not is_named(names[0]):
        return None
    from plait._strands._durable.app import App

    found = object_named(names[0])
    return found if isinstance(found, App) else None


def _workflow(target: str) -> Workflow[Any]:
    found = object_named(target)
    if _is_made(found):
        return found
    if not _is_class(found):
        _refuse_durable(found, target)
        raise UsageError(f"{target} is no workflow: it is {kind_of(found)}")
    try:
        return found()
    except TypeError as error:
        text = f"cannot make {target}: {error}. A class that needs arguments: name an object of it"
        raise UsageError(text) from error


def _refuse_durable(found: object, target: str) -> None:
    """Say how durable functions are run, if it is one of them.

    Raises:
        UsageError: It is an app, or a function of one.
    """
    if "plait._strands._durable.app" not in sys.modules:
        return  # nobody has made one
    from plait._strands._durable.app import App
    from plait._strands._durable.function import Function

    if isinstance(found, App):
        raise UsageError(f"{target} is an app of durable functions. Type: plait webui {target}")
    if isinstance(found, Function):
        module = target.partition(":")[0]
        apps = [name for name, one in vars(sys.modules[module]).items() if isinstance(one, App)]
        app = f"{module}:{apps[0] if apps else 'APP'}"
        text = f"{target} is a durable function: its app runs it. Type: plait webui {app}"
        raise UsageError(text)


def object_named(target: str) -> Any:
    """Find what `package.module:Name` is. Imports the module.

    Raises:
        UsageError: There is no such thing.
    """
    module_name, _, path = target.partition(":")
    found: Any = _imported(module_name)
    passed = module_name
    for name in path.split("."):
        if not hasattr(found, name):
            known = [key for key in cast("dict[str, object]", vars(found)) if key[:1] != "_"]
            raise UsageError(f"{passed!r} has no {name!r}{did_you_mean(name, known)}")
        found, passed = getattr(found, name), f"{passed}.{name}"
    return found


def _is_made(value: object) -> TypeIs[Workflow[Any]]:
    return isinstance(value, Workflow)


def _is_class(value: object) -> TypeIs[type[Workflow[Any]]]:
    return isinstance(value, type) and issubclass(value, Workflow)


def kind_of(value: object) -> str:
    """Say what a thing is, for a message: `"of 'int'"`."""
    return (
        f"class {value.__name__!r}" if isinstance(value, type) else f"of {type(value).__name__!r}"
    )


def _imported(name: str) -> ModuleType:
    here = os.getcwd()  # noqa: PTH109
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        raise UsageError(f"cannot import {name!r}: {_where(error)}{kind}: {error}") from error


def _where(error: BaseException) -> str:
    """Say where in somebody's code an import failed: `shop.py:7: `, or nothing."""
    if isinstance(error, SyntaxError):
        return ""  # its text says so
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<")
        and frame.filename not in {__file__, importlib.__file__}
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
