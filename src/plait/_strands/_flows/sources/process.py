"""`process`: child processes, of which nothing is left when a step is over."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from functools import partial
from typing import Final, cast

import attrs

from plait._abc import JSON, SourceContext, SourceResult
from plait._engine import process_groups
from plait._engine.processes import Ended, OutputTooLargeError, OverdueError, run_process
from plait._strands._flows.marks import Raw
from plait._strands._flows.outputs import jmespath_function
from plait._strands._flows.problems import Path
from plait._strands._flows.templates import TemplateError, quotes_for_shell, split_words

from .legacy import unwrap
from .options import (
    BOTH,
    CONFIGURATION,
    INPUT,
    Misfit,
    Option,
    Options,
    from_folder,
    plain_mapping,
    read_all,
    table,
)
from .parsing import parse, spell_size
from .provider import Parts, Provider, Reading, SourceFailure, SourceRun, Style, misfit_result

log = logging.getLogger("plait.flows")

OPTIONS: Final = table(
    Option("command", "argv", BOTH, legacy=True),
    Option("pass_to", "text", CONFIGURATION, legacy=True, words=("arg", "stdin", "template")),
    Option("timeout", "duration", BOTH, legacy=True),
    Option("template_strict", "flag", CONFIGURATION, legacy=True, fixed=True),
    Option("log_full_command", "flag", CONFIGURATION, legacy=True),
    Option("redact_args", "numbers", CONFIGURATION, legacy=True),
    Option("redact_patterns", "texts", CONFIGURATION, legacy=True),
    Option("args", "texts", INPUT),
    Option("stdin", "any", INPUT),
    Option("env", "table", BOTH),
    Option("inherit_env", "flag", CONFIGURATION),
    Option("cwd", "folder", BOTH),
    Option("shell", "flag", BOTH, fixed=True),
    Option("ok_codes", "numbers", CONFIGURATION),
    Option("max_output", "size", CONFIGURATION),
    Option("grace", "duration", CONFIGURATION),
)

#: A mapping with nothing else is options, also without a command.
MARKS: Final = frozenset({"command", "args", "stdin", "env", "cwd", "timeout", "shell"})
NO_GROUPS: Final = "process steps need groups of processes, which this system does not have"
SHELL: Final = "/bin/sh"
MOST_OUTPUT: Final = 64 << 20
GRACE: Final = 10.0
#: Bytes at the end of each stream that a failure keeps.
TAIL: Final = 4096


class Process(Provider):
    """The provider `process`."""

    name = "process"
    options = OPTIONS

    def takes_options(self, given: object, configuration: Mapping[str, object]) -> bool:
        """Say whether this input is options: it has only keys of theirs, or a command."""
        given = given.value if isinstance(given, Raw) else given
        if not isinstance(given, dict) or not given or configuration.get("pass_to") is not None:
            return False
        return "command" in given or cast("dict[str, object]", given).keys() <= MARKS

    def style(self, path: Path) -> Style:
        """Say how a string at this path is rendered."""
        if path[0] == "input":
            return "text" if len(path) == 1 else "native"
        option = OPTIONS.get(str(path[1])) if len(path) > 1 else None
        return "text" if option is not None and option.legacy else "native"

    def check(self, parts: Parts) -> Reading:
        """Find what is wrong with a step that uses this provider, and split its command."""
        if not process_groups.HAS_GROUPS:
            parts.problems.add("source", NO_GROUPS, parts.step_place)
        configuration = {**parts.configuration}
        parts.check_keys(("configuration",), configuration, OPTIONS)
        unwrapped = unwrap(parts)
        given = parts.input if unwrapped is None else unwrapped.value
        options = unwrapped is None and self.takes_options(given, configuration)
        inputs: dict[str, object] = {}
        if options:
            given = inputs = plain_mapping(given)
            parts.check_keys(("input",), inputs, OPTIONS)
        _check_command(parts, configuration, inputs)
        return Reading(
            configuration=configuration,
            input=given,
            input_at=("input",) if unwrapped is None else unwrapped.at,
            options=options,
            payload_names=configuration.get("pass_to") == "template",
            lenient=configuration.get("template_strict") in (False, "false", "False"),
            folders=parts.folders("configuration", configuration, "cwd"),
            input_folders=parts.folders("input", inputs, "cwd"),
        )

    def payload_names(self, payload: object) -> dict[str, object]:
        """Say what templates of a command may use of the payload."""
        if payload is None:
            return {"input": ""}
        text = _text(payload)
        try:
            data = json.loads(text)
        except ValueError:
            return {"input": text, "jmespath": jmespath_function(text)}
        return {"input": text, "json": data, "jmespath": jmespath_function(data)}

    def open(
        self, configuration: Mapping[str, JSON], *, run: SourceRun, folders: Mapping[str, str]
    ) -> ProcessSource:
        """Make a source."""
        try:
            settings = read_all(OPTIONS, configuration)
        except (Misfit, TemplateError) as error:
            raise SourceFailure(misfit_result(error)) from error
        return ProcessSource(settings, run, folders.get("cwd", run.folder))


def _check_command(
    parts: Parts, configuration: dict[str, object], inputs: dict[str, object]
) -> None:
    """Check the command, wherever it is, and split it into its words if the shell does not."""
    shell = inputs.get("shell", configuration.get("shell")) in (True, "true", "True")
    given = [
        (part, where)
        for part, where in (("input", inputs), ("configuration", configuration))
        if where.get("command") is not None
    ]
    if not given:
        message = (
            f"step {parts.step!r}: process connector requires 'command' in configuration or input"
        )
        parts.problems.add("command", message, parts.step_place)
    for number, (part, where) in enumerate(given):
        if shell and number == 0:  # the first one is the one that runs
            _check_shell_command(parts, (part, "command"), where["command"])
        else:
            where["command"] = _words(parts, (part, "command"), where["command"])


def _check_shell_command(parts: Parts, path: Path, command: object) -> None:
    if isinstance(command, Raw):
        command = command.value
    elif isinstance(command, str) and not quotes_for_shell(command):
        parts.add("template", "a template in a shell command must end in | shquote", path)
    if not isinstance(command, str):
        parts.misfit(path, "text, since the shell is to run it", command)


def _words(parts: Parts, path: Path, command: object) -> object:
    """Split a command that is text; data that is put into it later cannot add arguments."""
    raw = isinstance(command, Raw)
    words = command.value if isinstance(command, Raw) else command
    if isinstance(words, str):
        try:
            words = split_words(words)
        except ValueError as error:
            parts.add("command", f"command: {error}", path)
            return command
    if words == []:
        parts.misfit(path, "a program and its arguments", command)
    return Raw(words) if raw else words


@attrs.frozen
class _Call:
    """One call, ready to be made."""

    argv: list[str]
    stdin: bytes | None
    env: dict[str, str]
    cwd: str | None
    timeout: float | None


class ProcessSource:
    """Runs a program for each call."""

    def __init__(self, settings: Mapping[str, object], run: SourceRun, folder: str) -> None:
        self._settings = settings
        self._run = run
        self._folder = folder
        self._grace = cast("float", settings.get("grace", GRACE))
        self._most = cast("int", settings.get("max_output", MOST_OUTPUT))
        self._good = cast("list[int]", settings.get("ok_codes", [0]))
        # Read once a run, and not for each process: it costs 1 µs a variable.
        self._inherited: dict[str, str] = {}
        if settings.get("inherit_env", True):
            hidden = run.hidden_variables
            self._inherited = {n: value for n, value in os.environ.items() if n not in hidden}

    async def call(self, payload: JSON | Options, context: SourceContext) -> SourceResult:
        """Run the program. A checkpoint; a cancellation ends its whole group."""
        backend = self._run.backend
        try:
            call = self._prepare(payload, context)
        except (Misfit, TemplateError) as error:
            await backend.checkpoint()
            return misfit_result(error)
        except ValueError as error:
            await backend.checkpoint()
            return SourceResult(ok=False, message=str(error), kind="start")
        self._announce(call.argv)
        deadline = backend.clock()() + call.timeout if call.timeout is not None else math.inf
        try:
            ended = await run_process(
                backend,
                call.argv,
                stdin=call.stdin,
                cwd=call.cwd,
                env=call.env,
                deadline=deadline,
                max_output=self._most,
                grace=lambda: min(self._grace, self._run.grace()),
                on_stderr=context.log,
            )
        except OverdueError as error:
            detail = f"the source's timeout of {call.timeout:g} s"
            failure = _failure(error.ended, "timeout", "timeout")
            return attrs.evolve(failure, detail=detail)  # noqa: ASYNC910 - the child has run
        except OutputTooLargeError as error:
            message = f"{error.stream} is larger than {spell_size(self._most)} (max_output)"
            return _failure(error.ended, "too_large", message)  # noqa: ASYNC910 - the same
        except (OSError, ValueError) as error:  # as Python says it, errno and all
            await backend.checkpoint()
            return SourceResult(ok=False, message=str(error), kind="start")
        return await self._result(ended)

    async def aclose(self) -> None:
        """Do nothing: between calls it holds nothing. A checkpoint."""
        await self._run.backend.checkpoint()

    def _prepare(self, payload: JSON | Options, context: SourceContext) -> _Call:
        settings, folder = self._settings, self._folder
        inputs: Mapping[str, object] = {}
        if isinstance(payload, Options):
            inputs = read_all(OPTIONS, payload.values)
            if "cwd" in inputs:
                folder = payload.folders.get("cwd", self._run.folder)
        effective = {**settings, **inputs}
        argv = _argv(effective)
        stdin = _stdin(inputs["stdin"]) if "stdin" in inputs else None
        if payload is not None and not isinstance(payload, Options):
            match settings.get("pass_to", "arg"):
                case "stdin":
                    stdin = _text(payload).encode("utf-8", "surrogatepass")
                case "arg":
                    argv.append(_text(payload))
                case _:  # the command has it already
                    pass
        for place, argument in enumerate(argv):
            if "\0" in argument:
                raise ValueError(f"argument {place} has a NUL character")
        cwd = cast("str | None", effective.get("cwd"))
        return _Call(
            argv,
            stdin,
            self._environment(context, settings, inputs),
            None if cwd is None else from_folder(folder, cwd),
            cast("float | None", effective.get("timeout")),
        )

    def _environment(
        self, context: SourceContext, settings: Mapping[str, object], inputs: Mapping[str, object]
    ) -> dict[str, str]:
        env = {**self._inherited}
        for given in (settings, inputs):
            for name, value in cast("dict[str, str | None]", given.get("env", {})).items():
                if value is None:
                    env.pop(name, None)
                else:
                    env[name] = value
        env["PLAIT_RUN_ID"] = context.run_id
        env["PLAIT_STEP"] = context.step
        env["PLAIT_ATTEMPT"] = str(context.attempt)
        env["PLAIT_KEY"] = context.key
        return env

    def _announce(self, argv: list[str]) -> None:
        if log.isEnabledFor(logging.INFO):
            shown = [self._run.redactor.text(one) for one in _shown(argv, self._settings)]
            log.info("process started: %r", shown)

    async def _result(self, ended: Ended) -> SourceResult:
        code = ended.returncode
        if code not in self._good:
            kind = "signal" if code < 0 else "exit"
            message = f"process exited with code {code}"
            return _failure(ended, kind, message, code)  # noqa: ASYNC910 - the same
        stdout = ended.stdout.decode("utf-8", "replace")
        data: dict[str, JSON] = {
            "stdout": stdout,
            "stderr": ended.stderr.decode("utf-8", "replace"),
            "returncode": code,
        }
        parsed = await parse(self._run.backend, len(stdout), partial(json.loads, stdout))
        if parsed is not None:
            data["json"] = parsed[0]
        return SourceResult(data, code=code)


def _argv(effective: Mapping[str, object]) -> list[str]:
    command = effective.get("command")
    arguments = cast("list[str]", effective.get("args", []))
    if effective.get("shell", False):
        if not isinstance(command, str):
            raise Misfit(("command",), "text, since the shell is to run it", command)
        # What comes after the shell's name is $1 and so on, never part of what the shell reads.
        return [SHELL, "-c", command, SHELL, *arguments]
    # A text is split before it is rendered; one that is here came by another way, and is one word.
    words = [command] if isinstance(command, str) else cast("list[str] | None", command)
    if not words:
        raise Misfit(("command",), "a program and its arguments", command)
    return [*words, *arguments]


def _text(payload: object) -> str:
    """Write a payload as text, as it has always been."""
    if isinstance(payload, str):
        return payload
    return json.dumps(payload) if isinstance(payload, dict | list) else str(payload)


def _stdin(value: object) -> bytes:
    return _text(value).encode("utf-8", "surrogatepass")


def _shown(argv: list[str], settings: Mapping[str, object]) -> list[str]:
    """Say what of a command is logged."""
    if settings.get("log_full_command", False):
        return argv
    places = cast("list[int]", settings.get("redact_args", []))
    patterns = cast("list[str]", settings.get("redact_patterns", []))
    if not places and not patterns:
        return [argv[0], f"<{len(argv) - 1} args>"] if len(argv) > 1 else argv
    return [
        "[REDACTED]" if place in places or any(p in one for p in patterns) else one
        for place, one in enumerate(argv)
    ]


def _failure(ended: Ended, kind: str, message: str, code: int | None = None) -> SourceResult:
    tails = (ended.stdout[-TAIL:], ended.stderr[-TAIL:])
    stdout, stderr = (tail.decode("utf-8", "replace") for tail in tails)
    process: dict[str, JSON] = {
        "returncode": ended.returncode,
        "stdout_tail": stdout,
        "stderr_tail": stderr,
    }
    return SourceResult(ok=False, message=message, kind=kind, code=code, process=process)
