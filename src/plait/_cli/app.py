"""The command line: which verbs there are. Each has a module, imported when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from cyclopts import (
    App,
    CycloptsError,
    MissingArgumentError,
    Parameter,
    UnknownCommandError,
    UnusedCliTokensError,
)

from plait._version import VERSION

from .exits import WELL, UsageError
from .help_text import Indented
from .printable import printable

#: A file `-`, as it goes through cyclopts, which takes a lone dash for an option. No argument of a
#: process can contain it.
STDIN: Final = "\0-"

#: The verbs, in the order of the help, and what each is for. Their modules know the rest.
VERBS: Final = {
    "run": "Run flow files, merged from left to right, or an event workflow.",
    "check": "Say what is wrong with flow files, without running anything.",
    "plan": "Show in which order the steps of flow files would run, and why.",
    "graph": "Draw flow files, an event workflow, or durable functions.",
    "webui": "Run flow files, a workflow or an app, and show it live in a browser.",
    "schema": "Print the JSON Schema of flow files, for editors.",
    "runs": "List the runs of a journal, the newest first.",
    "show": "Show one run of a journal: step by step and in time, or as a picture.",
    "prune": "Drop runs from a journal that ended long ago.",
}

ABOUT: Final = "Run concurrent workflows: flow files, and event workflows written in Python."


def make_app() -> App:
    """Make the command, without its verbs' modules."""
    app = App(
        name="plait",
        help=ABOUT,
        version=VERSION,
        version_format="plaintext",
        help_format="plaintext",
        help_formatter=Indented(),
        backend="trio",
        default_parameter=Parameter(negative="", show_default=False),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        sort_key=None,
    )
    for place, (verb, purpose) in enumerate(VERBS.items()):
        app.command(f"plait._cli.{verb}:{verb}", name=verb, help=purpose, sort_key=place)
    return app


def command(arguments: Sequence[str]) -> int:
    """Do what a command line asks for, and say how the command ends.

    Raises:
        UsageError: It asks for what there is not.
    """
    tokens = [STDIN if one == "-" else one for one in arguments]
    try:
        code = make_app()(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise UsageError(_said(error).replace(STDIN, "-")) from error
    sys.stdout.flush()
    return code if isinstance(code, int) else WELL


def _said(error: CycloptsError) -> str:
    """Say what is wrong with a command line, and what to type."""
    verb = " ".join(error.command_chain or ())
    match error:
        case MissingArgumentError(argument=argument) if argument is not None:
            name = argument.names[0]
            if name == "--run":  # the one argument that has no dashes
                text = f"{verb} needs RUN: its id, the beginning of it, or last"
            elif error.unused_tokens and name in error.unused_tokens:
                text = f"{name} needs a value"
            else:
                text = f"{verb} needs {name}"
        case UnusedCliTokensError(unused_tokens=[first, *_]):
            text = f"{verb} does not take {printable(repr(first))}"
        case UnknownCommandError():
            return f"{error} Type: plait --help"
        case _:
            return str(error)
    return f"{text}. Type: plait {verb} --help"


def as_typed(argument: str) -> str:
    """Give an argument back as it was typed."""
    return "-" if argument == STDIN else argument
