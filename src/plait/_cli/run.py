"""`plait run`: run flow files, or an event workflow."""

from __future__ import annotations

import sys
from contextlib import ExitStack, redirect_stdout
from typing import Annotated, Final, Literal

import attrs
from cyclopts import Parameter

from .exits import FAILED, WELL, UsageError
from .output_file import OutputFile
from .results import Wanted
from .signals import terminable
from .targets import Named, find

#: The highest port that there is.
LAST_PORT: Final = 65535


@attrs.frozen
class Options:
    """What `plait run` was asked for, beside its target.

    Attributes:
        max_workers: How many steps at once; `None`: as the file says.
        wanted: How the results are to be shown.
        quiet: No progress.
        verbose: Log lines, and the traceback of what failed.
        settings: The texts of `--set`.
        journal: The path of the journal, if one is named.
        resume: The run to go on with, as it was typed.
        timeout: Seconds that the run may take.
        compat: Behave as another program.
        ui: Show the run on a live page.
        status_port: The port of that page, if one is named.
    """

    max_workers: int | None
    wanted: Wanted
    quiet: bool
    verbose: bool
    settings: tuple[str, ...]
    journal: str | None
    resume: str | None
    timeout: float | None
    compat: Literal["flowtoy"] | None
    ui: bool
    status_port: int | None


async def run(
    *targets: str,
    max_workers: int | None = None,
    json: Annotated[bool, Parameter(name=["--json", "-j"])] = False,
    output_file: Annotated[str | None, Parameter(name=["--output-file", "-o"])] = None,
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"])] = False,
    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"])] = False,
    set_: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
    journal: str | None = None,
    resume: str | None = None,
    timeout: str | None = None,  # noqa: ASYNC109 - an option that is typed
    ui: bool = False,
    status_port: int | None = None,
    exit_zero: bool = False,
    compat: Literal["flowtoy"] | None = None,
) -> int:
    """Run flow files, merged from left to right, or an event workflow.

    Results go to stdout, everything else to stderr. Ctrl-C cancels the run, waits for its clean-up
    and shows what there is; a second Ctrl-C shortens every grace to nothing.

    Exit codes: 0 well, 1 a step failed, 2 bad usage or files, 3 no server, 124 timeout, 130 interrupted.

    Args:
        targets: FILE... (- is standard input), or module:Workflow.
        max_workers: How many steps may run at once; by default, and for 0, as many as the file says, else 4.
        json: Print the results as JSON, and nothing else.
        output_file: Write the results as JSON to this file, and nothing to stdout.
        quiet: No table and no progress.
        verbose: Log lines as well, and the traceback of an internal error.
        set_: NAME=VALUE: a param of the flow, or a field of the workflow's start event.
        journal: Keep the run in this file; by default in $PLAIT_JOURNAL.
        resume: Go on with this run of the journal: its id, the beginning of it, or last.
        timeout: How long the run may take: seconds, or 500ms, 2s, 1m30s.
        ui: Show the run live in a browser, at the address that is printed, until it ends; at port 8000.
        status_port: The same at this port of 127.0.0.1, 0 for any that is free: also /status.
        exit_zero: Exit with 0 also if a step failed.
        compat: flowtoy: unknown keys are warnings, and the results are printed as Python.
    """
    with ExitStack() as stack:
        stack.enter_context(terminable())
        # What a module or a step prints is no result.
        stdout = sys.stdout
        stack.enter_context(redirect_stdout(sys.stderr))
        port("--status-port", status_port)
        target = find(targets, "run")
        limit = None if timeout is None else seconds(timeout)
        file = None if output_file is None else stack.enter_context(_file(output_file))
        options = Options(
            max_workers=max_workers,
            wanted=Wanted(json, quiet, file, stdout, python=compat == "flowtoy"),
            quiet=quiet,
            verbose=verbose,
            settings=set_,
            journal=journal,
            resume=resume,
            timeout=limit,
            compat=compat,
            ui=ui,
            status_port=status_port,
        )
        if isinstance(target, Named):
            from .workflows import run_workflow

            code = await run_workflow(target, options)
        else:
            from .flows import run_files

            code = await run_files(target, options)
    return WELL if code == FAILED and (exit_zero or compat == "flowtoy") else code


def _file(name: str) -> OutputFile:
    from .app import as_typed

    if as_typed(name) == "-":
        raise UsageError("-o takes a file. For JSON on stdout: -j")
    return OutputFile(name)


def port(option: str, number: int | None) -> None:
    """Refuse what is no port. A socket would take it, and listen at another one.

    Raises:
        UsageError: It is none.
    """
    if number is not None and not 0 <= number <= LAST_PORT:
        raise UsageError(f"{option} takes 0 to {LAST_PORT}, not {number}")


def seconds(text: str) -> float:
    """Read `--timeout`, in seconds.

    Raises:
        UsageError: It is no duration.
    """
    from plait._strands._flows.durations import DURATION, duration

    found = duration(text)
    if not found:
        raise UsageError(f"--timeout takes {DURATION}, and more than 0; not {text!r}")
    return found
