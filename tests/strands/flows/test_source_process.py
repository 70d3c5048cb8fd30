"""The process source: payloads, options, environment, failures; and how it checks a step."""

import logging
import sys

import pytest

from plait._abc import SourceContext
from plait._engine.process_groups import group_lives
from plait._strands._flows.marks import Raw
from plait._strands._flows.sources.catalog import find
from tests.strands.flows.sources_world import CONTEXT, check, found, sources

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request):
    return (request.param, {})


async def call(configuration, payload=None, **options):
    run = options.pop("run", {})
    async with sources(**run) as source:
        return await source.call("process", configuration, payload, **options)


def sh(text, **configuration):
    return {"command": ["sh", "-c", text], **configuration}


async def test_data():
    result = await call(sh('echo "{}"; echo err >&2'))
    assert result.data == {"stdout": "{}\n", "stderr": "err\n", "returncode": 0, "json": {}}
    assert result.ok
    result = await call(sh(r"printf '\377'"))
    assert result.data == {"stdout": "�", "stderr": "", "returncode": 0}


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ("x", "x"),
        ({"a": 1}, '{"a": 1}'),
        ([1, "a"], '[1, "a"]'),
        (5, "5"),
        (True, "True"),
        (1.5, "1.5"),
        ("", ""),
    ],
)
async def test_a_payload_is_the_last_argument_or_stdin(payload, text):
    result = await call({"command": ["printf", "[%s]"]}, payload)
    assert result.data["stdout"] == f"[{text}]"
    result = await call({"command": ["cat"], "pass_to": "stdin"}, payload)
    assert result.data["stdout"] == text


async def test_no_payload_is_no_argument_and_no_stdin():
    result = await call(sh("echo $#; cat", pass_to="arg"))
    assert result.data["stdout"] == "0\n"
    result = await call({"command": ["cat"], "pass_to": "stdin"})
    assert result.data["stdout"] == ""


async def test_a_payload_that_is_in_the_command_is_not_given_again():
    result = await call({"command": ["echo", "rendered"], "pass_to": "template"}, {"a": 1})
    assert result.data["stdout"] == "rendered\n"


async def test_options_of_an_input():
    base = {"command": ["sh", "-c", 'echo "$0 $1"; cat; echo "$X$Y"']}
    result = await call(
        {**base, "env": {"X": "1", "Y": "2"}},
        options={"args": ["a b", "c"], "stdin": {"k": [1]}, "env": {"X": "3"}},
    )
    assert result.data["stdout"] == 'a b c\n{"k": [1]}32\n'
    result = await call(base, options={"command": ["echo", True, 5]})
    assert result.data["stdout"] == "true 5\n"


async def test_environment(monkeypatch):
    monkeypatch.setenv("FT_A", "alpha")
    monkeypatch.setenv("S_1", "hidden")
    run = {"hidden_variables": frozenset({"S_1"})}
    text = 'echo "${FT_A-none} ${S_1-none} ${X-none}"'
    result = await call(sh(text, env={"X": "1"}), run=run)
    assert result.data["stdout"] == "alpha none 1\n"
    result = await call(sh(text, env={"FT_A": None, "S_1": "given"}), run=run)
    assert result.data["stdout"] == "none given none\n"
    result = await call(
        {
            "command": [sys.executable, "-c", "import os; print(sorted(os.environ))"],
            "inherit_env": False,
        }
    )
    names = ["PLAIT_ATTEMPT", "PLAIT_KEY", "PLAIT_RUN_ID", "PLAIT_STEP"]
    assert [name for name in eval(result.data["stdout"]) if name != "LC_CTYPE"] == names


async def test_it_is_told_who_calls():
    context = SourceContext("run7", "step x", 3, 2, "k-9")
    text = 'echo "$PLAIT_RUN_ID/$PLAIT_STEP/$PLAIT_ATTEMPT/$PLAIT_KEY"'
    result = await call(sh(text), context=context)
    assert result.data["stdout"] == "run7/step x/2/k-9\n"


async def test_where_it_runs(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir("/")
    folders = {"cwd": str(tmp_path)}
    result = await call({"command": ["pwd"], "cwd": "sub"}, folders=folders)
    assert result.data["stdout"].strip() == str((tmp_path / "sub").resolve())
    result = await call({"command": ["pwd"]}, folders=folders)
    assert result.data["stdout"] == "/\n"


async def test_the_shell_only_when_asked():
    result = await call({"command": ["echo", "$HOME | cat; echo `x`"]})
    assert result.data["stdout"] == "$HOME | cat; echo `x`\n"
    result = await call({"command": "echo $X | cat", "shell": True, "env": {"X": "1"}})
    assert result.data["stdout"] == "1\n"
    result = await call({"command": 'echo "$1"', "shell": True}, options={"args": ["; echo no"]})
    assert result.data["stdout"] == "; echo no\n"


async def test_an_argument_is_data_for_the_shell_too():
    result = await call({"command": 'printf "[%s]" "$@"', "shell": True}, "x; y $(z)")
    assert result.data["stdout"] == "[x; y $(z)]"


async def test_lines_of_stderr_are_told():
    lines = []
    context = SourceContext("r", "a", log=lines.append)
    await call(sh("echo one >&2; echo two >&2"), context=context)
    assert lines == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "kind", "code"), [("exit 3", "exit", 3), ("kill -9 $$", "signal", -9)]
)
async def test_why_it_failed(text, kind, code):
    result = await call(sh(f"echo partial; echo why >&2; {text}"))
    assert (result.ok, result.kind, result.code) == (False, kind, code)
    assert result.message == f"process exited with code {code}"
    tails = {"returncode": code, "stdout_tail": "partial\n", "stderr_tail": "why\n"}
    assert result.process == tails


async def test_a_failure_keeps_the_end_of_what_was_written():
    result = await call(sh("head -c 10000 /dev/zero | tr '\\0' x; echo end; exit 1"))
    assert result.process["stdout_tail"] == "x" * 4092 + "end\n"


async def test_codes_that_are_fine():
    result = await call(sh("exit 3", ok_codes=[0, 3]))
    assert result.ok
    assert result.data["returncode"] == 3
    assert not (await call(sh("exit 0", ok_codes=[3]))).ok


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["no-such-bin-xyz"], "[Errno 2] No such file or directory: 'no-such-bin-xyz'"),
        (["echo", "a\0b"], "argument 1 has a NUL character"),
        (["echo", "x" * (1 << 22)], "[Errno 7] Argument list too long: 'echo'"),
    ],
)
async def test_what_cannot_be_started(command, message):
    result = await call({"command": command})
    assert (result.ok, result.kind, result.message) == (False, "start", message)


async def test_it_ends_in_time_with_its_group(tmp_path):
    pid = tmp_path / "pid"
    result = await call(sh(f"echo $$ > {pid}; echo out; sleep 60 & sleep 60", timeout=0.2))
    assert (result.ok, result.kind, result.message) == (False, "timeout", "timeout")
    assert result.detail == "the source's timeout of 0.2 s"
    assert result.process["stdout_tail"] == "out\n"
    assert not group_lives(int(pid.read_text()))


async def test_the_timeout_of_an_input_wins():
    result = await call(sh("sleep 60", timeout="1h"), options={"timeout": "200ms"})
    assert result.kind == "timeout"


async def test_too_much_output():
    result = await call({"command": ["yes"], "max_output": "64KiB"})
    assert (result.kind, result.message) == (
        "too_large",
        "stdout is larger than 64 KiB (max_output)",
    )


async def test_a_second_signal_shortens_the_grace():
    run = {"grace": lambda: 0.0}
    result = await call(sh("trap '' TERM; sleep 60 & sleep 60", timeout=0.2, grace="1h"), run=run)
    assert result.kind == "timeout"


async def test_a_null_for_text_fails_the_step():
    result = await call({"command": ["echo"]}, options={"args": [None]})
    assert (result.ok, result.kind) == (False, "template")
    assert "null inside text" in result.message


async def test_a_rendered_option_of_the_wrong_kind_fails_the_step():
    result = await call({"command": ["true"], "timeout": "soon"})
    assert (result.ok, result.kind) == (False, "template")
    assert result.message.startswith("timeout: expected a number of seconds")


async def test_what_is_logged(caplog):
    caplog.set_level(logging.INFO, "plait.flows")
    base = {"command": ["sh", "-c", "true tok"]}
    for more in (
        {},
        {"redact_args": [2]},
        {"redact_patterns": ["tok"]},
        {"log_full_command": True, "redact_args": [0]},
    ):
        await call({**base, **more})
    await call({"command": ["true"]})
    assert [record.getMessage() for record in caplog.records] == [
        "process started: ['sh', '<2 args>']",
        "process started: ['sh', '-c', '[REDACTED]']",
        "process started: ['sh', '-c', '[REDACTED]']",
        "process started: ['sh', '-c', 'true tok']",
        "process started: ['true']",
    ]
    assert {record.name for record in caplog.records} == {"plait.flows"}


async def test_secrets_are_hidden_in_the_log(caplog):
    caplog.set_level(logging.INFO, "plait.flows")
    async with sources() as source:
        source.hidden.add("hunter2", "secrets.s")
        await source.call("process", {"command": ["echo", "hunter2"], "log_full_command": True})
    assert caplog.messages == ["process started: ['echo', '***']"]


# ---------------------------------------------------------------- checking

OPTION_KEYS = ["command", "args", "stdin", "env", "cwd", "timeout", "shell"]


def test_which_inputs_are_options():
    takes = find("process").takes_options
    assert takes({"command": ["x"], "zzz": 1}, {})
    assert all(takes({key: None}, {}) for key in OPTION_KEYS)
    assert takes(Raw({"args": []}), {})
    assert not takes({}, {})
    assert not takes({"args": [], "zzz": 1}, {})
    assert not takes({"command": ["x"]}, {"pass_to": "stdin"})
    assert not takes("command", {})


def test_a_text_is_split_before_it_is_rendered():
    reading, problems = check("process", {"command": "echo '{{ flows.a.o }} x' {{ b | f('c d') }}"})
    assert problems.errors == ()
    assert reading.configuration["command"] == ["echo", "{{ flows.a.o }} x", "{{ b | f('c d') }}"]
    reading, _ = check("process", {}, {"command": "a 'b c'"})
    assert reading.input == {"command": ["a", "b c"]}
    reading, _ = check("process", {}, Raw({"command": "a {{b}}"}))
    assert reading.input == {"command": Raw(["a", "{{b}}"])}


def test_a_shell_command_stays_as_it_is_and_quotes_its_templates():
    command = "echo {{ flows.a.o | shquote }} | cat"
    reading, problems = check("process", {"command": command, "shell": True})
    assert problems.errors == ()
    assert reading.configuration["command"] == command
    quoted = ["a template in a shell command must end in | shquote"]
    assert found("process", {"command": "echo {{ flows.a.o }}", "shell": True}) == quoted
    assert found("process", {"command": "echo {{ flows.a.o }}"}, {"shell": True}) == quoted
    assert found("process", {"command": ["echo"], "shell": True}) != []


def test_what_is_wrong():
    command = "step 'a': process connector requires 'command' in configuration or input"
    assert found("process", {}) == [command]
    assert found("process", {}, {"args": ["x"]}) == [command]
    assert found("process", {"command": ["x"]}, {"command": ["y"], "comand": 1}) == [
        "unknown key 'comand' in input of step 'a'; did you mean 'command'?"
    ]
    assert found("process", {"command": ["x"], "args": ["y"]}) == [
        "'args' belongs in input, not in configuration"
    ]
    (text,) = found("process", {"command": ["sleep", 5]})
    assert text == "configuration.command[1]: expected text, got int 5; quote it to make it text"
    (text,) = found("process", {"command": ["x"], "timeout": "soon"})
    assert text.startswith("configuration.timeout: expected a number of seconds or text such as")
    (text,) = found("process", {"command": ["x"], "pass_to": "{{ x }}"})
    assert text.startswith("configuration.pass_to: expected arg or stdin or template, got")
    assert found("process", {"command": []}) != []
    assert found("process", {"command": "echo 'x"}) != []
    assert found("process", {"command": ["{{ x }}"], "timeout": "{{ t }}"}) == []


def test_a_system_without_groups_is_a_problem_before_anything_runs(monkeypatch):
    monkeypatch.setattr("plait._engine.process_groups.HAS_GROUPS", False)
    (text,) = found("process", {"command": ["x"]})
    assert text.startswith("process steps need groups of processes")


def test_the_old_grammar():
    for word in ("parameter", "value", "body", "filter"):
        for key in ("value", "template"):
            reading, problems = check("process", {"command": ["x"]}, {"type": word, key: "v"})
            assert (reading.input, reading.input_at, reading.options) == (
                "v",
                ("input", key),
                False,
            )
            (warning,) = problems.warnings
            assert warning.message == (
                "step 'a': input {type, value} is the old grammar; write the value itself"
            )
    reading, problems = check("process", {"command": ["x"]}, {"type": "other", "value": "v"})
    assert reading.input == {"type": "other", "value": "v"}
    assert problems.warnings == ()


def test_names_of_a_payload():
    names = find("process").payload_names('{"a": 1}')
    assert (names["input"], names["json"]) == ('{"a": 1}', {"a": 1})
    assert find("process").payload_names({"a": 1})["input"] == '{"a": 1}'
    assert "json" not in find("process").payload_names("no json")
    assert CONTEXT.attempt == 1
