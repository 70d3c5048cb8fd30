"""Where the command begins and ends: what it answers at once, and what an error becomes.

Rule 1: `--version` and the top-level `--help` need no library: they are answered before any is
    imported.
Rule 2: no error shows a traceback, unless it is a fault of plait's own and `-v` asks for it.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Final, TextIO, cast

from plait._errors import JournalError, MissingExtra, UnknownRunError, WorkflowValidationError
from plait._version import VERSION

from .alone import alone
from .exits import CANNOT_BIND, FAILED, INTERRUPTED, USAGE, WELL, BindError, UsageError
from .messages import say, tell

#: What `plait --help` prints. A test compares it with what the options say.
HELP: Final = "help.txt"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what a command line asks for.

    Args:
        arguments: The command line after the program's name; by default that of this process.

    Returns:
        The exit code.
    """
    given = sys.argv[1:] if arguments is None else [*arguments]
    alone.set(arguments is None)
    for stream in (sys.stdout, sys.stderr):
        _write_anything(stream)
    try:
        code = _answered(given)
        if code is None:
            code = _command()(given)
        sys.stdout.flush()
    except BrokenPipeError:
        _close_quietly()
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last one who can say what has happened
        return _failed(error, verbose=wants_more(given))
    return code


def wants_more(arguments: Sequence[str]) -> bool:
    """Say whether a command line asks for more words, also if nobody has understood it yet."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return any(
        one == "--verbose" or (one[:1] == "-" and one[1:2] != "-" and "v" in one.partition("=")[0])
        for one in options
    )


def _answered(arguments: Sequence[str]) -> int | None:
    """Answer what needs no library."""
    match arguments:
        case ["--version"]:
            print(f"plait {VERSION}")
        case ["--help" | "-h"]:
            print(_help(), end="")
        case []:
            sys.stderr.write(_help())
            return USAGE
        case _:
            return None
    return WELL


def _command() -> Callable[[Sequence[str]], int]:
    try:
        from .app import command
    except ModuleNotFoundError as error:
        if error.name != "cyclopts":
            raise
        text = "the command needs cyclopts. Type: pip install 'plait[cli]'"
        raise MissingExtra(text) from error
    return command


def _help() -> str:
    place = os.path.join(os.path.dirname(__file__), HELP)  # noqa: PTH118, PTH120 - pathlib costs 5 ms
    with open(place, encoding="utf-8") as file:  # noqa: PTH123
        return file.read()


def _failed(error: Exception, *, verbose: bool) -> int:
    """Say what was wrong, and how the command ends with that."""
    error = _alone(error)
    if isinstance(error, BindError):
        tell(str(error))
        return CANNOT_BIND
    if isinstance(
        error, UsageError | MissingExtra | JournalError | UnknownRunError | WorkflowValidationError
    ):
        tell(str(error))
        return USAGE
    from plait._strands._flows.problems import FlowConfigError

    if isinstance(error, FlowConfigError):
        for problem in error.problems:
            say(problem)
        return USAGE
    if verbose:
        traceback.print_exception(error)
    tell(
        f"internal error: {type(error).__name__}: {error}. This is a bug in plait. Please report it"
        + (" with this traceback." if verbose else " with what -v shows.")
    )
    return FAILED


def _alone(error: Exception) -> Exception:
    """Take a lone error out of the groups that nurseries have put around it."""
    while len(inner := _parts(error)) == 1:
        error = inner[0]
    return error


def _parts(error: Exception) -> Sequence[Exception]:
    if not isinstance(error, ExceptionGroup):
        return ()
    return cast("ExceptionGroup[Exception]", error).exceptions


def _write_anything(stream: TextIO) -> None:
    """Let a stream take what its encoding lacks: a name must not end the command."""
    from io import TextIOWrapper

    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _close_quietly() -> None:
    """Let the interpreter end without another word about a reader that has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
