"""The rows about sources: requests, child processes, plugins, and retries of what they give."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap

import pytest

import plait.flows
from plait._engine.process_groups import group_lives
from plait._strands._flows.sources import plugins
from plait._strands._flows.sources.request import TIMEOUT
from tests.origin import Origin
from tests.parity.clocks import in_virtual_time
from tests.parity.flows_world import SAMPLES
from tests.parity.flows_world import shared_origin as shared_origin
from tests.parity.flows_world import world as world

RAW = "output: [{name: o}]"
SO = "output: [{name: o, type: jmespath, value: stdout}]"


def one(source, given="", output=RAW, more=""):
    """A flow of one step, called a."""
    given = f"input: {given}, " if given else ""
    more = f"{more}, " if more else ""
    return f"flow: [{{name: a, source: {source}, {given}{more}{output}}}]\n"


def rest(configuration="{}", given="", output=RAW, more=""):
    return one(f"{{type: rest, configuration: {configuration}}}", given, output, more)


def process(configuration, given="", output=RAW, more=""):
    return one(f"{{type: process, configuration: {configuration}}}", given, output, more)


def url(path):
    return f"'{{{{ env.PLAIT_ORIGIN }}}}{path}'"


def output(told):
    assert told.code == 0, told.stderr
    return told.out["a"]["o"]


@pytest.fixture
def hanging(world, monkeypatch):
    """A world whose origin lets go of what still hangs when the test is over."""
    with Origin() as origin:
        monkeypatch.setenv("PLAIT_ORIGIN", origin.url)
        yield world


# ---------------------------------------------------------------- rest


@pytest.mark.parametrize(("method", "sent"), [("post", "POST"), ("BREW", "BREW")])
def test_row_56_sends_any_method(world, method, sent):
    assert (
        output(world(rest(f"{{url: {url('/echo')}, method: {method}}}"), alone=True))["method"]
        == sent
    )


def test_row_56_sends_any_headers(world):
    seen = output(
        world(rest(f"{{url: {url('/echo')}}}", "{headers: {Accept: null, X-B: b}}"), alone=True)
    )
    assert "Accept" not in seen["headers"]
    assert seen["headers"]["X-B"] == "b"
    told = world("flow:\n  - name: a\n    source: r\n    input:\n      headers: {X: 5}\n")
    assert told.code == 2
    assert told.stderr.startswith("flow4.yaml:5:20: ") or ":5:20: " in told.stderr
    assert "quote it to make it text" in told.stderr


@pytest.mark.parametrize(
    ("given", "body"), [("{a: 1}", '{"a": 1}'), ("'{\"a\": 1}'", '"{\\"a\\": 1}"')]
)
def test_row_57_sends_json_bodies(world, given, body):
    seen = output(
        world(rest(f"{{url: {url('/echo')}, method: POST, input_mode: body}}", given), alone=True)
    )
    assert (seen["body"], seen["headers"]["Content-Type"]) == (body, "application/json")


@pytest.mark.parametrize(
    ("given", "name", "path"),
    [
        ("abc", "", "/echo?id=abc"),
        ("[1, 2]", ", param_name: userId", "/echo?userId=1&userId=2"),
        ("true", "", "/echo?id=True"),
        ("{a: 1, b: x}", "", "/echo?a=1&b=x"),
        ("{type: value, value: v}", ", param_name: userId", "/echo?userId=v"),
    ],
)
def test_row_58_sends_a_parameter(world, given, name, path):
    text = rest(f"{{url: {url('/echo')}, input_mode: parameter{name}}}", given)
    told = world(text, alone=True)
    assert output(told)["path"] == path
    warned = "warning: step 'a': input {type, value} is the old grammar; write the value itself"
    assert (warned in told.stderr) == ("type" in given)


def test_row_59_takes_no_meaningless_input(world):
    told = world(one("r", "{a: 1}"))
    assert told.code == 2
    assert "unknown key 'a'" in told.stderr
    told = world(one("r", "abc"))
    assert told.code == 2
    assert "input needs input_mode" in told.stderr
    assert world.origin.requests == []


USERS = [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]


@pytest.fixture
def merging(world, monkeypatch, tmp_path):
    """A folder with a merge.py, and a python on the path."""
    (tmp_path / "merge.py").write_text("import json; print(json.dumps({'merged': True}))")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(world.origin, "delay", 0.2)
    return world


def sample(world, name, *arguments):
    world.origin.reset()
    return world.command("run", str(SAMPLES / name), "-j", *arguments)


def test_row_60_runs_the_automatic_sample(merging):
    told = sample(merging, "1-automatic.yaml")
    assert told.code == 0, told.stderr
    assert told.out == {
        "fetch_users": {"users": USERS},
        "fetch_products": {"products": [{"sku": "p1"}]},
        "fetch_orders": {"orders": [{"oid": 9}]},
    }
    assert (len(merging.origin.requests), merging.origin.peak) == (3, 3)
    assert "warning" not in told.stderr
    told = sample(merging, "1-automatic.yaml", "--max-workers", "2")
    assert (told.code, merging.origin.peak) == (0, 2)


def test_row_60_runs_the_mixed_sample(merging):
    told = sample(merging, "2-mixed.yaml")
    assert told.code == 0, told.stderr
    assert told.out == {
        "authenticate": {"token": "tok-123"},
        "fetch_users": {"users": USERS},
        "fetch_products": {"products": [{"sku": "p1"}]},
        "combine_data": {"combined": {"merged": True}},
    }
    assert "warning" not in told.stderr
    asked, *others = merging.origin.requests
    assert asked.path == "/auth"
    assert {other.path for other in others} == {"/users", "/products"}
    assert all(asked.ended <= other.started for other in others)
    assert {other.headers["Authorization"] for other in others} == {"Bearer tok-123"}
    assert merging.origin.peak == 2


def test_row_60_runs_the_explicit_sample(merging):
    told = sample(merging, "3-explicit.yaml")
    assert told.code == 0, told.stderr
    assert told.out == {
        "create_database": {"db_id": "db7"},
        "create_schema": {"schema_id": {"schema": "s1", "path": "/databases/db7/schema"}},
    }
    assert [(seen.method, seen.path) for seen in merging.origin.requests] == [
        ("POST", "/databases"),
        ("POST", "/databases/db7/schema"),
    ]


REQUEST = "params: {x: 1}, json: {y: 2}, auth: [u, p], method: POST"


@pytest.mark.parametrize("part", ["configuration", "input"])
def test_row_61_takes_request_options(world, part):
    where = url("/echo")
    if part == "configuration":
        text = rest(f"{{url: {where}, {REQUEST}}}")
    else:
        text = rest("{}", f"{{url: {where}, {REQUEST}}}")
    seen = output(world(text, alone=True))
    assert (seen["path"], seen["body"]) == ("/echo?x=1", '{"y": 2}')
    # The password is hidden in what is printed; the origin saw it.
    assert world.origin.requests[-1].headers["Authorization"] == "Basic dTpw"


@pytest.mark.parametrize("part", ["configuration", "input"])
def test_row_61_takes_a_timeout(hanging, part):
    where = url("/echo?delay=5")
    given = f"{{url: {where}, timeout: 0.1}}"
    told = hanging(rest(given) if part == "configuration" else rest("{}", given), alone=True)
    assert told.code == 1
    assert "step 'a' failed: timeout" in told.stderr


@pytest.mark.parametrize("status", [500, 304])
def test_row_62_keeps_failed_responses(world, status):
    told = world(
        f"""
        flow:
          - name: a
            source: {{type: rest, configuration: {{url: {url(f"/status/{status}")}}}}}
            on_error: continue
          - name: b
            source: cat
            depends_on: a
            input: '{{{{ flows.a.error.message }}}}: {{{{ flows.a.error.response.status }}}}'
            output: [{{name: o, type: jmespath, value: stdout}}]
        """
    )
    assert told.out["b"]["o"] == f"HTTP status {status}: {status}"
    assert f"HTTP status {status}" in told.stderr
    assert ('{"code": 500}' in told.stderr) == (status == 500)


def test_row_63_follows_redirects(world):
    text = rest(f"{{url: {url('/redirect?to=/echo')}, method: POST, json: {{a: 1}}}}")
    seen = output(world(text, alone=True))
    assert (seen["method"], seen["body"]) == ("GET", "")
    told = world(rest(f"{{url: {url('/loop')}}}"), alone=True)
    assert told.code == 1
    assert "Exceeded 30 redirects." in told.stderr
    told = world(rest(f"{{url: {url('/redirect?to=file:///etc/passwd')}}}"), alone=True)
    assert told.code == 1
    assert "root:" not in told.stdout + told.stderr


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/text", "plain text é\n"),
        ("/text-nocharset", "plain text é\n"),
        ("/status/204", ""),
        ("/digits", 123),
        ("/badjson", '{"v": '),
    ],
)
def test_row_64_reads_every_body(world, path, data):
    assert output(world(rest(f"{{url: {url(path)}}}"), alone=True)) == data


def test_row_64_prints_what_is_no_number_as_null(world):
    told = world(rest(f"{{url: {url('/nan')}}}"), alone=True)
    assert output(told) == {"v": None}
    assert "NaN is not JSON; printed as null" in told.stderr


def test_row_65_hides_urls(world):
    told = world(rest("{url: 'http://u:pw9x@127.0.0.1:1/x?api_key=SECRET99'}"), alone=True)
    assert told.code == 1
    assert "cannot connect to http://127.0.0.1:1" in told.stderr
    assert "SECRET99" not in told.stderr
    assert "pw9x" not in told.stderr


def test_row_66_takes_large_bodies_with_a_cap(world):
    length = "output: [{name: o, type: jmespath, value: length(blob)}]"
    assert (
        output(world(rest(f"{{url: {url('/big?mb=10')}}}", output=length), alone=True)) == 10485760
    )
    for path in ("/big?mb=10", "/big?mb=10&chunked=1"):
        told = world(rest(f"{{url: {url(path)}, max_body: 1MiB}}", output=length), alone=True)
        assert told.code == 1
        assert "body is larger than 1 MiB (max_body)" in told.stderr


@pytest.mark.parametrize("path", ["/hang", "/drip?n=100&gap=0.1"])
def test_row_67_times_http_out(hanging, path):
    told = hanging(rest(f"{{url: {url(path)}, timeout: 0.3}}"), alone=True)
    assert told.code == 1
    assert "step 'a' failed: timeout" in told.stderr


def test_row_67_has_a_time_without_being_told():
    assert TIMEOUT == 30.0


# ---------------------------------------------------------------- process


def test_row_68_splits_text_commands_without_a_shell(world):
    told = world(process("""{command: 'echo a | cat; echo $HOME'}""", output=SO), alone=True)
    assert output(told) == "a | cat; echo $HOME\n"
    told = world(
        r"""
        flow:
          - {name: b, source: fmt, input: 'x; y z', output: [{name: o, type: jmespath, value: stdout}]}
          - name: a
            source: {type: process, configuration: {command: "printf '[%s]' {{ flows.b.o }}"}}
            output: [{name: o, type: jmespath, value: stdout}]
        """
    )
    assert output(told) == "[[x; y z]]"


def test_row_69_passes_by_argument_and_stdin(world):
    assert output(world(one("p", "{a: 1}", SO))) == '{"a": 1}\n'
    assert output(world(one("cat", "{a: 1}", SO))) == '{"a": 1}'


def test_row_69_passes_by_template(world):
    told = world(
        """
        flow:
          - name: a
            source:
              type: process
              configuration:
                command: [echo, '{{json.a}}', '{{input}}', "{{jmespath('a')}}"]
                pass_to: template
            input: '{"a": 1}'
            output: [{name: o, type: jmespath, value: stdout}]
        """,
        alone=True,
    )
    assert output(told) == '1 {"a": 1} 1\n'


def test_row_69_is_strict_with_templates_unless_told(world):
    text = """
        flow:
          - name: a
            source:
              type: process
              configuration:
                command: [echo, 'x{{json.nope}}y']
                pass_to: template
                template_strict: STRICT
            input: '{"a": 1}'
            output: [{name: o, type: jmespath, value: stdout}]
        """
    assert output(world(text.replace("STRICT", "false"), alone=True)) == "xy\n"
    told = world(text.replace("STRICT", "true"), alone=True)
    assert told.code == 1
    assert "'dict object' has no attribute 'nope'" in told.stderr


def test_row_70_gives_process_data(world):
    told = world(process("""{command: [sh, -c, 'echo "{}"; echo err >&2']}"""), alone=True)
    assert output(told) == {"stdout": "{}\n", "stderr": "err\n", "returncode": 0, "json": {}}


def test_row_71_says_why_a_process_failed(world):
    told = world(one("bad"))
    assert told.code == 1
    assert "process exited with code 3" in told.stderr
    assert "why" in told.stderr
    told = world(process("{command: [sh, -c, 'kill -9 $$']}"), alone=True)
    assert "process exited with code -9" in told.stderr
    told = world(process("{command: [no-such-bin-xyz]}"), alone=True)
    assert told.code == 1
    assert "[Errno 2] No such file or directory: 'no-such-bin-xyz'" in told.stderr
    told = world(process("{}"), alone=True)
    assert told.code == 2
    assert "step 'a': process connector requires 'command' in configuration or input" in told.stderr


def test_row_72_times_a_process_out_with_its_group(world):
    text = "echo $$ > pid; sleep 60 & sleep 60"
    told = world(process(f"{{command: [sh, -c, '{text}'], timeout: 0.3}}"), alone=True)
    assert told.code == 1
    assert "step 'a' failed: timeout" in told.stderr
    assert not group_lives(int((world.folder / "pid").read_text()))


def test_row_73_gives_no_stdin(world):
    """In a process of its own, whose stdin has something to say."""
    name = world.write(process("{command: [cat]}", output=SO))
    told = subprocess.run(
        [sys.executable, "-m", "plait", "run", name, "-j"],
        input="FROM-PARENT",
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert '"o": ""' in told.stdout


def test_row_74_obeys_cwd_and_env(world):
    (world.folder / "flows" / "sub").mkdir(parents=True)
    text = process("{command: [sh, -c, 'pwd; echo $X'], cwd: sub, env: {X: '1'}}", output=SO)
    name = world.write(text, "flows/flow.yaml")
    told = world.command("run", name, "-j")
    assert output(told) == f"{(world.folder / 'flows' / 'sub').resolve()}\n1\n"


def test_row_74_obeys_cwd_and_env_of_an_input(world):
    (world.folder / "flows" / "sub").mkdir(parents=True)
    given = "{command: [sh, -c, 'pwd; echo $X'], cwd: sub, env: {X: '1'}}"
    name = world.write(one("process", given, SO), "flows/flow.yaml")
    told = world.command("run", name, "-j")
    assert output(told) == f"{(world.folder / 'flows' / 'sub').resolve()}\n1\n"


def test_row_74_obeys_shell(world):
    text = process("{command: 'echo $X | cat', shell: true, env: {X: '1'}}", output=SO)
    assert output(world(text, alone=True)) == "1\n"
    told = world(process("{command: 'echo {{ env.FT_A }}', shell: true}"), alone=True)
    assert told.code == 2
    assert "a template in a shell command must end in | shquote" in told.stderr
    told = world(
        process("{command: 'echo {{ env.FT_A | shquote }}', shell: true}", output=SO), alone=True
    )
    assert output(told) == "alpha\n"


# ---------------------------------------------------------------- plugins


@pytest.fixture
def plugged(world, monkeypatch, tmp_path):
    """Distributions on the path."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))

    def install(name, code, **groups):
        module = f"plug_{name}"
        (place / f"{module}.py").write_text(textwrap.dedent(code))
        info = place / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = []
        for group, points in groups.items():
            lines.append(f"[{group.replace('_', '.')}]")
            lines += [f"{point} = {module}:{thing}" for point, thing in points.items()]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        plugins.forget()

    yield install
    plugins.forget()
    for name in [name for name in sys.modules if name.startswith("plug_")]:
        del sys.modules[name]


OURS = """
class Source:
    def __init__(self, configuration):
        self.word = configuration.get("word", "hello")

    async def call(self, payload, context):
        from plait._engine.native import current
        await current().checkpoint()
        return b"bytes" if payload == "bytes" else {"said": f"{self.word} {payload}", "step": context.step}

    async def aclose(self):
        from plait._engine.native import current
        await current().checkpoint()
"""
THEIRS = """
class Provider:
    def __init__(self, configuration):
        self.configuration = configuration

    def call(self, given):
        if given == "fail":
            return {"status": {"success": False, "code": 7, "notes": []}, "data": None, "meta": {}}
        if given == "why":
            return {"status": {"success": False, "code": 7, "notes": ["one", "two"]}, "data": None}
        if given == "plain":
            return {"status": "ok", "data": 1}
        return {"status": {"success": True, "code": 0, "notes": []}, "data": [given, self.configuration], "meta": {}}
"""


def test_row_75_loads_plugins(world, plugged):
    plugged("ours", OURS, plait_sources={"mine": "Source"})
    plugged("theirs", THEIRS, flowtoy_providers={"old": "Provider", "mine": "Provider"})
    told = world(one("{type: mine, configuration: {word: hi}}", "you"), alone=True)
    assert output(told) == {"said": "hi you", "step": "a"}  # plait's, of two of that name
    told = world(one("{type: old, configuration: {k: '{{ 1 + 1 }}'}}", "x"), alone=True)
    assert output(told) == ["x", {"k": "2"}]
    assert output(world(one("old", "plain"), alone=True)) == {"status": "ok", "data": 1}
    told = world(one("old", "fail"), alone=True)
    assert told.code == 1
    assert "provider reported failure (code=7)" in told.stderr
    assert "step 'a' failed: one; two" in world(one("old", "why"), alone=True).stderr


def test_row_75_finds_fault_with_a_plugin_only_where_it_is_used(world, plugged):
    plugged("broken", "raise RuntimeError('no such luck')", plait_sources={"broken": "Source"})
    assert output(world(one("ok", output=SO))) == "ok\n"
    told = world(one("broken"), alone=True)
    assert told.code == 2
    assert "provider 'broken' cannot be loaded: no such luck" in told.stderr
    told = world(one("brokn"), alone=True)
    assert told.code == 2
    assert (
        "Unknown provider type 'brokn'. Available providers: broken, env, process, rest"
        in told.stderr
    )
    assert "did you mean 'broken'?" in told.stderr


def test_row_75_refuses_data_that_is_not_json(world, plugged):
    plugged("ours", OURS, plait_sources={"mine": "Source"})
    told = world(one("mine", "bytes"), alone=True)
    assert told.code == 1
    assert "output 'o' is not JSON: bytes" in told.stderr


# ---------------------------------------------------------------- logs


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "['sh', '<2 args>']"),
        (", redact_args: [2]", "['sh', '-c', '[REDACTED]']"),
        (", redact_patterns: [tok]", "['sh', '-c', '[REDACTED]']"),
        (", redact_patterns: [nothing]", "['sh', '-c', 'true tok']"),
        (", log_full_command: true", "['sh', '-c', 'true tok']"),
    ],
)
def test_row_76_redacts_logged_arguments(world, caplog, options, said):
    caplog.set_level(logging.INFO, "plait.flows")
    told = world(process(f"{{command: [sh, -c, 'true tok']{options}}}"), alone=True)
    assert told.code == 0, told.stderr
    found = [record.getMessage() for record in caplog.records if record.name == "plait.flows"]
    assert f"process started: {said}" in found


# ---------------------------------------------------------------- retries


def test_row_x1_retries(world):
    text = rest(
        f"{{url: {url('/flaky?key=a&fail=FAIL')}}}", more="retry: {attempts: 3, delay: 10ms}"
    )
    told = world(text.replace("FAIL", "2"), alone=True)
    assert output(told) == {"ok": True, "request": 3}
    assert len(world.origin.requests) == 3
    world.origin.reset()
    told = world(text.replace("FAIL", "3"), alone=True)
    assert (told.code, len(world.origin.requests)) == (1, 3)
    world.origin.reset()
    text = rest(f"{{url: {url('/status/404')}}}", more="retry: {attempts: 3, delay: 10ms}")
    assert (world(text, alone=True).code, len(world.origin.requests)) == (1, 1)


SCRIPTED = """
from plait._engine.native import current
from plait.abc import SourceResult

starts = {}

class Source:
    def __init__(self, configuration):
        self.fails = configuration.get("fails", 0)
        self.after = configuration.get("after")

    async def call(self, payload, context):
        native = current()
        starts.setdefault(context.step, []).append(native.clock()())
        await native.checkpoint()
        if context.attempt <= self.fails:
            return SourceResult(ok=False, message="not now", kind="http_status", code=503, retry_after=self.after)
        return context.attempt

    async def aclose(self):
        await current().checkpoint()
"""


async def scripted(plugged, retry, **configuration):
    """Run a step that fails twice, beside one that comes after it in the file; when did they start?"""
    plugged("scripted", SCRIPTED, plait_sources={"scripted": "Source"})
    source = {"type": "scripted", "configuration": configuration}
    steps = [
        {"name": "a", "source": source, "retry": retry, "output": [{"name": "o"}]},
        {"name": "b", "source": {"type": "scripted"}, "output": [{"name": "o"}]},
    ]
    flow = plait.flows.load({"flow": steps, "runner": {"max_workers": 1}})
    result = await flow.run()
    assert result.state == "completed", result.steps["a"].error
    return result, sys.modules["plug_scripted"].starts


@in_virtual_time
async def test_row_x1_waits_longer_each_time_and_holds_no_worker(plugged):
    retry = {"attempts": 3, "delay": "10s"}
    result, starts = await scripted(plugged, retry, fails=2)
    first, second, third = starts["a"]
    assert 9 <= second - first <= 10
    assert 18 <= third - second <= 20
    assert starts["b"] == [pytest.approx(first, abs=0.5)]  # the one worker was free
    assert result.flows == {"a": {"o": 3}, "b": {"o": 1}}
    assert result.steps["a"].attempts == 3


@in_virtual_time
async def test_row_x2_honours_retry_after(plugged):
    _, starts = await scripted(plugged, {"attempts": 2, "delay": "1s"}, fails=1, after=7)
    first, second = starts["a"]
    assert second - first == pytest.approx(7)


def test_row_x2_honours_retry_after_that_is_too_long(world):
    path = "/flaky?fail=1&code=429&retry_after=3600"
    text = rest(f"{{url: {url(path)}}}", more="retry: {attempts: 3, delay: 10ms, max_delay: 60s}")
    told = world(text, alone=True)
    assert (told.code, len(world.origin.requests)) == (1, 1)
    message = "HTTP status 429 (Retry-After 3600 s is more than max_delay 60 s)"
    assert f"step 'a' failed: {message}" in told.stderr


COUNTED = """
n=$(cat count 2>/dev/null || echo 0); n=$((n + 1)); echo $n > count; if [ $n -lt 3 ]; then exit 75; fi; echo $n
"""


def test_row_x3_retries_chosen_exits(world):
    retry = "retry: {attempts: 5, delay: 10ms, on: ['exit:75']}"
    text = process(f"{{command: [sh, -c, '{COUNTED.strip()}']}}", output=SO, more=retry)
    assert output(world(text, alone=True)) == "3\n"
    (world.folder / "count").unlink()
    text = process("{command: [sh, -c, 'echo x >> tries; exit 3']}", more=retry)
    assert world(text, alone=True).code == 1
    assert (world.folder / "tries").read_text() == "x\n"
