"""Flow files, rows 15 to 28, 77, X5 and X10: templates, outputs, secrets, and what is hidden."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

import plait
from tests.parity.flows_world import BASE, Told, World
from tests.parity.flows_world import shared_origin as shared_origin
from tests.parity.flows_world import world as world

RAW = "output: [{name: o}]"
SO = "output: [{name: o, type: jmespath, value: stdout}]"
ERR = "output: [{name: o, type: jmespath, value: stderr}]"
J = "{name: j, source: j, output: [{name: v, type: jmespath, value: json}]}"


def one(step: str, *before: str) -> str:
    """A flow of the steps before, and one named a."""
    lines = "\n".join(f"  - {each}" for each in (*before, f"{{name: a, {step}}}"))
    return f"flow:\n{lines}\n"


def failed(told: Told, message: str, step: str = "a") -> None:
    """The step has failed with this message, and the run with it."""
    assert told.code == 1, told.stderr
    assert f"step {step!r} failed: {message}" in told.stderr


def refused(told: Told, message: str) -> None:
    """Nothing has run."""
    assert told.code == 2, told.stderr
    assert told.stdout == ""
    assert message in told.stderr


# ------------------------------------------------------------------ sources in templates


def test_row_15_gives_env_values_unset_as_null(world: World):
    source = "source: {type: env, configuration: {vars: [FT_A, FT_NOPE]}}"
    told = world(one(f"{source}, {RAW}"))
    assert told.code == 0
    assert told.out == {"a": {"o": {"FT_A": "alpha", "FT_NOPE": None}}}


ENV_NOPE = "sources: {e: {configuration: {vars: [FT_A, FT_NOPE]}}}\n"


def command(template: str) -> str:
    quoted = template.replace("'", "''")
    return f"source: {{type: process, configuration: {{command: [echo, '{quoted}']}}}}, {SO}"


def test_row_16_gives_env_values_in_configuration(world: World):
    told = world(one(command("{{ sources.e.FT_A }}")))
    assert told.out == {"a": {"o": "alpha\n"}}


def test_row_16_an_unset_one_fails_the_step(world: World):
    told = world(ENV_NOPE + one(command("{{ sources.e.FT_NOPE }}")))
    failed(told, "environment variable 'FT_NOPE' is not set")


def test_row_16_an_unset_one_has_a_default(world: World):
    told = world(ENV_NOPE + one(command("{{ sources.e.FT_NOPE | default('x') }}")))
    assert told.out == {"a": {"o": "x\n"}}


def test_row_17_gives_env_values_in_input(world: World):
    told = world(one(f"source: p, input: '{{{{ sources.e.FT_A }}}}', {SO}"))
    assert told.out == {"a": {"o": "alpha\n"}}


def test_row_18_knows_its_template_names(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FT_SECRET", "s3cr3t-value")
    text = "'{{ env.FT_A }} {{ params.k }} {{ secrets.s | length }} {{ run.id | length > 5 }}'"
    head = "params: {k: {default: kay}}\nsecrets: {s: {env: FT_SECRET}}\n"
    told = world(head + one(f"source: p, input: {text}, {SO}"))
    assert told.out == {"a": {"o": "alpha kay 12 True\n"}}


def test_row_18_and_no_other(world: World):
    told = world(one(f"source: p, input: '{{{{ steps.a.x }}}}', {SO}"))
    refused(told, "'steps' is undefined")
    assert len(told.lines()) == 1


# ------------------------------------------------------------------ what templates give


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("n", "[5]"),
        ("f", "[1.5]"),
        ("b", "[True]"),
        ("z", "[None]"),
        ("l", "[[1, 'a']]"),
        ("d", "[{'k': 'v<&>'}]"),
        ("d | tojson", '[{"k": "v\\u003c\\u0026\\u003e"}]'),
    ],
)
def test_row_19_renders_string_inputs_as_python_text(world: World, expression: str, text: str):
    told = world(one(f"source: fmt, input: '{{{{ flows.j.v.{expression} }}}}', {SO}", J))
    assert told.out["a"]["o"] == text


def test_row_20_renders_native_inputs_types_kept(world: World):
    value = "{k: '{{ flows.j.v.n }}', l: ['x{{ flows.j.v.b }}']}"
    told = world(one(f"source: p, input: {value}, {SO}", J))
    assert json.loads(told.out["a"]["o"]) == {"k": 5, "l": ["xtrue"]}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("!raw '{{ flows.zzz.o }}'", "{{ flows.zzz.o }}\n"),
        ("[!raw '{{ kept }}']", '["{{ kept }}"]\n'),
        ("!raw {a: ['{{ kept }}']}", '{"a": ["{{ kept }}"]}\n'),
        ("5", "5\n"),
        ("true", "True\n"),
        ("[1, a]", '[1, "a"]\n'),
    ],
)
def test_row_20_renders_nothing_else(world: World, value: str, shown: str):
    told = world(one(f"source: p, input: {value}, {SO}"))
    assert told.code == 0, told.stderr
    assert told.out["a"]["o"] == shown


@pytest.mark.parametrize(
    ("value", "shown"), [('"l1\\nl2\\n"', "l1\nl2"), ('"a{# x #}b"', "ab"), ('"a\\n\\n"', "a\n")]
)
def test_row_21_trims_one_newline_drops_comments(world: World, value: str, shown: str):
    told = world(one(f"source: cat, input: {value}, {SO}"))
    assert told.out["a"]["o"] == shown


def test_row_22_renders_configuration_only_with_blocks(world: World):
    words = """[printf, '[%s]', 'a{# k #}b', "nl\\n", "nl {{ 1+1 }}\\n"]"""
    source = f"source: {{type: process, configuration: {{command: {words}}}}}"
    told = world(one(f"{source}, {SO}"))
    assert told.out["a"]["o"] == "[a{# k #}b][nl\n][nl 2]"


def test_row_23_reports_undefined_values(world: World):
    told = world(one(f"source: p, input: '{{{{ flows.j.v.nope }}}}', {SO}", J))
    failed(told, "'dict object' has no attribute 'nope'")


def test_row_23_takes_a_default(world: World):
    told = world(one(f"""source: p, input: '{{{{ flows.j.v.nope | default("dd") }}}}', {SO}""", J))
    assert told.out["a"]["o"] == "dd\n"


def test_row_23_reports_undeclared_outputs_beforehand(world: World):
    told = world(one(f"source: p, input: '{{{{ flows.j.nope }}}}', {SO}", J))
    refused(told, "step 'j' has no output 'nope'; it declares: v")


def test_row_24_reports_template_syntax_beforehand(world: World):
    told = world("flow:\n  - name: a\n    source: p\n    input: 'cost {{ oops'\n")
    refused(told, "unexpected end of template")
    assert ".yaml:4:12: template: unexpected end of template" in told.stderr
    assert len(told.lines()) == 1


def test_row_25_sandboxes(world: World):
    text = "{{ cycler.__init__.__globals__.os.popen(''touch x'').read() }}"
    told = world(one(f"source: p, input: '{text}', {SO}"))
    failed(told, "access to attribute '__init__' of 'type' object is unsafe.")
    assert not world.has("x")


PEAK = """
import resource
import sys

from plait._cli.main import main

main(["run", sys.argv[2]])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
code = main(["run", sys.argv[1]])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it counts memory as POSIX does")
def test_row_25_a_huge_result_costs_no_memory(world: World):
    steps = one(f"source: p, input: \"{{{{ 'a' * 10**9 }}}}\", {SO}")
    small = one(f"source: p, input: \"{{{{ 'a' * 10 }}}}\", {SO}")
    files = [world.write(f"{BASE}{steps}"), world.write(f"{BASE}{small}")]
    path = str(Path(plait.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *files],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert "step 'a' failed: template result is larger than 16 MiB" in done.stderr
    code, grown = map(int, done.stderr.splitlines()[-1].split())
    assert code == 1
    assert grown < 50 * 1024 * (1024 if sys.platform == "darwin" else 1)  # bytes there, else KiB


# ------------------------------------------------------------------ outputs


def test_row_26_raw_output(world: World):
    told = world(one("source: j, output: [{name: o, type: raw, value: ignored}]"))
    assert set(told.out["a"]["o"]) == {"stdout", "stderr", "returncode", "json"}


def test_row_26_no_output(world: World):
    assert world(one("source: j")).out == {"a": {}}


def test_row_27_json_output(world: World):
    kind = "output: [{name: o, type: json}]"
    told = world(
        f"""
        flow:
          - {{name: a, source: j, {kind}}}
          - {{name: b, source: ok, {kind}}}
          - {{name: c, source: r, {kind}}}
          - {{name: d, source: r, {RAW}}}
        """
    )
    assert told.code == 0
    assert told.out["a"]["o"]["n"] == 5
    assert told.out["b"]["o"] == {"stdout": "ok\n", "stderr": "", "returncode": 0}
    assert told.out["c"]["o"]["path"] == "/echo"
    assert set(told.out["c"]["o"]) == set(told.out["d"]["o"])
    assert "warning" not in told.stderr


def selected(more: str) -> str:
    return one(f"source: j, output: [{{name: o, type: jmespath, {more}}}]")


def test_row_28_jmespath_output(world: World):
    assert world(selected("value: 'json.l[1]'")).out["a"]["o"] == "a"


def test_row_28_a_missing_path_is_null(world: World):
    told = world(selected("value: x.y"))
    assert (told.code, told.out["a"]["o"]) == (0, None)
    assert "warning" not in told.stderr


def test_row_28_a_wrong_type_is_null_and_a_warning(world: World):
    told = world(selected("value: length(json.n)"))
    assert (told.code, told.out["a"]["o"]) == (0, None)
    assert "warning: step 'a' output 'o': jmespath: In function length(), " in told.stderr
    assert "; null" in told.stderr


def test_row_28_wrong_syntax(world: World):
    refused(world(selected("value: '[[['")), "invalid jmespath '[[[': ")


def test_row_28_what_is_required(world: World):
    failed(world(selected("value: x.y, required: true")), "output 'o' found nothing: x.y")


# ------------------------------------------------------------------ what is hidden


def test_row_77_redacts_outputs(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MY_PASSWORD", "hunter2")
    text = "sources: {e: {configuration: {vars: [MY_PASSWORD]}}}\n" + one(
        f"source: p, input: 'x{{{{ sources.e.MY_PASSWORD }}}}y', {SO}"
    )
    files = [world.write(BASE, "base.yaml"), world.write(text)]
    told = world.command("run", *files, "-j", "-v", "--journal", "runs.db")
    assert told.out == {"a": {"o": "x***y\n"}}
    assert "hunter2" not in told.stdout + told.stderr
    told = world.command("run", *files, "-o", "out.json", "--journal", "runs.db")
    assert told.code == 0, told.stderr
    assert json.loads((world.folder / "out.json").read_text()) == {"a": {"o": "x***y\n"}}
    journal = [file for file in world.folder.iterdir() if file.name.startswith("runs.db")]
    assert journal
    assert not [file for file in journal if b"hunter2" in file.read_bytes()]


# ------------------------------------------------------------------ when


def test_row_x5_obeys_when(world: World):
    told = world(
        f"""
        flow:
          - {{name: a, source: ok, when: false, {SO}}}
          - {{name: b, source: ok, depends_on: a, {SO}}}
          - {{name: c, source: ok, when: "1 > 2", {SO}}}
          - {{name: d, source: ok, when: "{{{{ 2 > 1 }}}}", {SO}}}
        """
    )
    assert told.code == 0
    assert told.out == {"d": {"o": "ok\n"}}


def test_row_x5_two_exclusive_branches_meet_again(world: World):
    told = world(
        f"""
        flow:
          - {J}
          - {{name: b, source: ok, when: flows.j.v.n == 5, {SO}}}
          - {{name: c, source: ok, when: flows.j.v.n != 5, {SO}}}
          - {{name: d, source: ok, depends_on: [b, c], {SO}}}
        """
    )
    assert told.code == 0
    assert [*told.out] == ["j", "b", "d"]


def test_row_x5_a_text_is_no_condition(world: World):
    steps = one(f'source: ok, when: "{{{{ params.x }}}}", {SO}')
    told = world("params: {x: {default: 'false'}}\n" + steps)
    failed(told, "when gave the text 'false'; compare it, e.g. params.x == 'true'")


# ------------------------------------------------------------------ secrets

SECRET = "k/3y+%&w0rd ü"


@pytest.mark.parametrize("kind", ["env", "file"])
def test_row_x10_takes_secrets(world: World, monkeypatch: pytest.MonkeyPatch, kind: str):
    monkeypatch.setenv("THE_KEY", SECRET)
    (world.folder / "key.txt").write_text(f"{SECRET}\n", encoding="utf-8")
    declared = "env: THE_KEY" if kind == "env" else "file: key.txt"
    told = world(
        f"secrets: {{s: {{{declared}}}}}\n"
        + one(f"source: r, input: {{json: {{key: '{{{{ secrets.s }}}}'}}}}, {RAW}")
    )
    assert told.code == 0, told.stderr
    (request,) = world.origin.requests
    assert json.loads(request.body) == {"key": SECRET}
    assert SECRET not in told.stdout + told.stderr
    assert json.loads(told.out["a"]["o"]["body"]) == {"key": "***"}


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_row_x10_hides_every_form(world: World, monkeypatch: pytest.MonkeyPatch, form: str):
    monkeypatch.setenv("THE_KEY", SECRET)
    (world.folder / "shown.txt").write_text(f"<{form}>", encoding="utf-8")
    told = world(
        "secrets: {s: {env: THE_KEY}}\n"
        + one(f"source: p, input: {{command: [cat, shown.txt]}}, {SO}")
    )
    assert told.out["a"]["o"] == "<***>"


def test_row_x10_children_do_not_inherit_it(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THE_KEY", SECRET)
    script = "[sh, -c, 'echo ${THE_KEY-unset} ${FT_A-unset}']"
    told = world(
        "secrets: {s: {env: THE_KEY}}\n" + one(f"source: p, input: {{command: {script}}}, {SO}")
    )
    assert told.out["a"]["o"] == "unset alpha\n"


def test_row_x10_an_unset_one_is_a_problem(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("THE_KEY", raising=False)
    told = world(
        "secrets: {s: {env: THE_KEY}, t: {file: nope.txt}}\n"
        + one(f"source: p, input: {{command: [touch, x]}}, {SO}")
    )
    refused(told, "secret 's': environment variable 'THE_KEY' is not set")
    assert "secret 't': no such file" in told.stderr
    assert not world.has("x")
